using System.Globalization;

namespace Cairn.Documents;

/// <summary>What <c>$key</c>, <c>$version</c> and <c>$time</c> are compared with: one kind each, so that a condition which can never hold
/// is refused when it is made.</summary>
internal static class FilterFields
{
    // Up to a microsecond, which is what a commit has.
    private static readonly string[] TimeForms = ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFK"];

    /// <summary>Why a field is not compared with a value.</summary>
    /// <returns>Null, or why the condition has no meaning; <paramref name="value"/> becomes what is compared.</returns>
    internal static string? Refusal(FilterField field, FilterKind kind, ref Value value)
    {
        if (field == FilterField.Value || kind == FilterKind.Exists)
            return null;
        var name = FilterPath.NameOf(field);
        if (field == FilterField.Key)
            return value.Kind == ValueKind.String ? null : $"{name} is compared with a String.";
        if (kind is FilterKind.Contains or FilterKind.Prefix)
            return $"{name} is a number: it is compared, and has no parts.";
        if (field == FilterField.Version)
            return Comparison.IsNumber(value) ? null : $"{name} is compared with a number.";
        if (value.Kind == ValueKind.String && DateTimeOffset.TryParseExact(
            value.AsString(), TimeForms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
            value = CommitClock.Microseconds(time);
        return Comparison.IsNumber(value)
            ? null
            : $"{name} is compared with a time as 2026-11-30T08:00:00Z, or with microseconds since 1970-01-01T00:00:00Z.";
    }
}
