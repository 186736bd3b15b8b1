using System.Diagnostics.CodeAnalysis;

namespace Cairn;

/// <summary>What a condition of a filter looks at.</summary>
public enum FilterField
{
    /// <summary>A place of the value.</summary>
    Value = 0,

    /// <summary>The key that the value is stored under, a String: <c>$key</c>.</summary>
    Key = 1,

    /// <summary>The version, an Int64; of what a commit writes, that commit's sequence: <c>$version</c>.</summary>
    Version = 2,

    /// <summary>The time of the commit, an Int64 of microseconds since 1970-01-01T00:00:00Z: <c>$time</c>.</summary>
    Time = 3,
}

/// <summary>What a condition of a filter looks at: a place of the value (a <see cref="DocumentPath"/> in either spelling), or what is known
/// about the value, as <c>$key</c>, <c>$version</c> and <c>$time</c>. Immutable; safe from any thread.</summary>
public sealed class FilterPath : IEquatable<FilterPath>
{
    private const string KeyName = "$key";
    private const string VersionName = "$version";
    private const string TimeName = "$time";

    private FilterPath(FilterField field, DocumentPath? place)
    {
        Field = field;
        Place = place;
    }

    /// <summary><c>$key</c>: compared with Strings.</summary>
    public static FilterPath Key { get; } = new(FilterField.Key, null);

    /// <summary><c>$version</c>: compared with numbers.</summary>
    public static FilterPath Version { get; } = new(FilterField.Version, null);

    /// <summary><c>$time</c>: compared with microseconds since 1970-01-01T00:00:00Z, or with a String in the form of ISO 8601
    /// (<c>2026-11-30T08:00:00Z</c>, also with up to six digits of a second, with an offset, or the date alone), which becomes that number
    /// when the filter is made. Without an offset it is UTC.</summary>
    public static FilterPath Time { get; } = new(FilterField.Time, null);

    /// <summary>What is looked at.</summary>
    public FilterField Field { get; }

    /// <summary>The place of the value; null for key, version and time.</summary>
    public DocumentPath? Place { get; }

    /// <summary>The path of a text; see <see cref="Parse"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "Parse is the named form.")]
    public static implicit operator FilterPath(string text) => Parse(text);

    /// <summary>A place of the value; see <see cref="Of"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "Of is the named form.")]
    public static implicit operator FilterPath(DocumentPath place) => Of(place);

    /// <summary>The same place or field.</summary>
    public static bool operator ==(FilterPath? left, FilterPath? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Another place or field.</summary>
    public static bool operator !=(FilterPath? left, FilterPath? right) => !(left == right);

    /// <summary>A place of the value.</summary>
    public static FilterPath Of(DocumentPath place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new FilterPath(FilterField.Value, place);
    }

    /// <summary>Reads a path: <c>$key</c>, <c>$version</c>, <c>$time</c>, or what <see cref="DocumentPath.Parse"/> reads. A member that is
    /// called like one of the three is <c>$['$key']</c>, or the pointer <c>/$key</c>.</summary>
    /// <param name="text">At most <see cref="Limits.StringBytesMax"/> bytes with <see cref="Limits.PathSegmentsMax"/> segments.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="MalformedTextException">None of them; it says where.</exception>
    /// <exception cref="LimitException">Too long, or too many segments.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    public static FilterPath Parse(string text, Limits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return OfField(FieldOf(text)) ?? Of(DocumentPath.Parse(text, limits));
    }

    /// <summary>The one text of the path, which <see cref="Parse"/> reads as the same path.</summary>
    public override string ToString() => Place?.ToString() ?? NameOf(Field);

    /// <summary>The same place or field.</summary>
    public bool Equals([NotNullWhen(true)] FilterPath? other) => other is not null && Field == other.Field && Place == other.Place;

    /// <summary>The same place or field.</summary>
    public override bool Equals([NotNullWhen(true)] object? obj) => Equals(obj as FilterPath);

    /// <summary>A hash of the text, the same in every process.</summary>
    public override int GetHashCode() => ((Value)ToString()).GetHashCode();

    /// <summary>The field of a name with its <c>$</c>; <see cref="FilterField.Value"/> when it is none.</summary>
    internal static FilterField FieldOf(ReadOnlySpan<char> name) => name switch
    {
        KeyName => FilterField.Key,
        VersionName => FilterField.Version,
        TimeName => FilterField.Time,
        _ => FilterField.Value,
    };

    /// <summary>The path to a field; null for a place of the value.</summary>
    internal static FilterPath? OfField(FilterField field) => field switch
    {
        FilterField.Key => Key,
        FilterField.Version => Version,
        FilterField.Time => Time,
        _ => null,
    };

    internal static string NameOf(FilterField field) => field switch
    {
        FilterField.Key => KeyName,
        FilterField.Version => VersionName,
        FilterField.Time => TimeName,
        _ => "$",
    };
}

/// <summary>A value with what is known about it, for a filter that asks for it.</summary>
/// <param name="Value">The value.</param>
/// <param name="Key">The key that it is stored under; null when it has none.</param>
/// <param name="Version">The sequence of the commit that wrote it; null when it has none.</param>
/// <param name="Time">The time of that commit, to the microsecond; null when it has none.</param>
public readonly record struct FilterItem(Value Value, string? Key, Sequence? Version, DateTimeOffset? Time)
{
    /// <summary>What a read with its version has found, under its key.</summary>
    public static FilterItem Of(string key, Versioned<Value> found)
    {
        ArgumentNullException.ThrowIfNull(key);
        return new FilterItem(found.Value, key, found.Version, found.Time);
    }
}
