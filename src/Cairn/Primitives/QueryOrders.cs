// Orders that queries can use: those of indexes, and those that are built in (IDX-11)
// -----------------------------------------------------------------------------------
// A kind of things is stored in more orders than that of its keys:
//
//   events   by number, which is by time; of a type it is known how many there are, and between which numbers
//   traces   by time; by type, tag and parent, and within each of these by time
//   runs     by status, tag and parent; by name
//
// A condition on one of these names an interval of such an order, as it names one of an index; an order by time walks one. They are there
// without being defined, in every state that is read, and a plan calls them by the place with a $ before it, as no index is called.
//
//   BO1  What is named so holds all that the conditions can hold for, in the state that is read; it is asked all the same.
//   BO2  An order of events is no order of its own but a stretch of their keys: a query scans less, and what it has read is that stretch.

using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Some keys of a run's store, each of which names a thing.</summary>
internal abstract class QuerySource
{
    /// <summary>How a plan calls it.</summary>
    internal abstract string Name { get; }

    /// <summary>The key of the thing that is named.</summary>
    internal abstract byte[] ThingOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version);

    /// <summary>A transaction's query has relied on it.</summary>
    internal virtual void NoteUse(Scope scope)
    {
    }

    /// <summary>Where a walk goes on behind a thing. False: the order does not do.</summary>
    internal abstract bool TryAfter(byte[] thing, in AskedThing asked, out byte[] storeKey);

    /// <summary>The key has no place among those that begin the same.</summary>
    internal virtual bool IsUnordered(ReadOnlySpan<byte> storeKey) => false;
}

/// <summary>The items of a secondary index.</summary>
internal sealed class IndexSource(StoredIndex index) : QuerySource
{
    internal StoredIndex Index => index;

    internal override string Name => index.Name;

    internal override byte[] ThingOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        IndexItems.ThingOf(storeKey, index.Paths.Length).ToArray();

    // Once it is ready its state is written when it is dropped, and not before: from then on writes leave no trace in it.
    internal override void NoteUse(Scope scope) => scope.NotePoint(IndexOperations.StateKey(index.Number));

    internal override bool TryAfter(byte[] thing, in AskedThing asked, out byte[] storeKey)
    {
        storeKey = [];
        if (asked.Order[0] is not { } part || part.Length > IndexItems.KeptBytes / 2)
            return false;
        storeKey = [.. IndexItems.Prefix(index.Number), .. part, .. thing];
        return true;
    }

    internal override bool IsUnordered(ReadOnlySpan<byte> storeKey)
    {
        var rest = storeKey[IndexItems.PrefixBytes..];
        return IndexItems.IsCut(rest[..IndexItems.PartLength(rest)]);
    }
}

/// <summary>An order that is built in: behind a prefix the keys of the things, or a time and these, or the things are the values.</summary>
/// <param name="time">The place in a thing of the time that the order is by within the prefix; null = it is by none.</param>
/// <param name="thingBytes">Of a thing's key; 0 = the value is the thing.</param>
internal sealed class BuiltInSource(string name, byte[] prefix, string? time, int thingBytes) : QuerySource
{
    internal override string Name => name;

    /// <summary>By the time at this place.</summary>
    internal DocumentPath? Time { get; } = time is null ? null : DocumentPath.Root.Member(time);

    internal override byte[] ThingOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        thingBytes == 0 ? version.Value.ToArray() : storeKey[^thingBytes..].ToArray();

    internal override bool TryAfter(byte[] thing, in AskedThing asked, out byte[] storeKey)
    {
        storeKey = [];
        if (Time is null || !Time.TryGet(asked.Document, out var at))
            return false;
        storeKey = [.. At(prefix, at.AsInt64()), .. thing];
        return true;
    }

    /// <summary>A prefix with a time behind it, as the orders have it.</summary>
    internal static byte[] At(byte[] prefix, long time)
    {
        var key = new byte[prefix.Length + sizeof(long)];
        prefix.CopyTo(key, 0);
        new KeyWriter(key.AsSpan(prefix.Length)).Int64(time);
        return key;
    }

    /// <summary>The keys of a prefix between two times.</summary>
    internal static KeyInterval Between(byte[] prefix, in TimeBounds bounds) => new(
        bounds.From == long.MinValue ? prefix : At(prefix, bounds.From),
        bounds.IsEmpty ? prefix : bounds.To == long.MaxValue ? KeyInterval.After(prefix)
            : At(prefix, Mutant.Is("index-order-ends-early") ? bounds.To : bounds.To + 1));
}

/// <summary>A stretch of the things' own keys that holds all that conditions can hold for.</summary>
/// <param name="Things">In it, as far as is known without looking.</param>
/// <param name="Names">What it follows from.</param>
internal sealed record KeyStretch(byte[] From, byte[] To, long Things, List<string> Names);

/// <summary>The whole numbers that conditions leave of a place that has one in every thing; both ends belong.</summary>
internal readonly record struct TimeBounds(long From, long To)
{
    internal static TimeBounds All => new(long.MinValue, long.MaxValue);

    internal bool IsEmpty => From > To;

    internal bool IsAll => this == All;

    internal static TimeBounds Of(List<Filter> conditions, DocumentPath path)
    {
        var bounds = All;
        foreach (var condition in conditions)
        {
            if (condition.Path != path)
                continue;
            var (value, kind) = (condition.Value, condition.Kind);
            if (kind is not (FilterKind.Eq or FilterKind.Gt or FilterKind.Gte or FilterKind.Lt or FilterKind.Lte))
                continue;
            if (!Comparison.IsNumber(value) || (value.Kind == ValueKind.Float64 && double.IsNaN(value.AsFloat64())))
                return None;                                 // no whole number compares so with what it is
            if (kind is FilterKind.Eq or FilterKind.Gt or FilterKind.Gte)
            {
                if (Least(value, isAbove: kind == FilterKind.Gt) is not { } least)
                    return None;
                bounds = bounds with { From = Math.Max(bounds.From, least) };
            }

            if (kind is FilterKind.Eq or FilterKind.Lt or FilterKind.Lte)
            {
                if (Most(value, isBelow: kind == FilterKind.Lt) is not { } most)
                    return None;
                bounds = bounds with { To = Math.Min(bounds.To, most) };
            }
        }

        return bounds;
    }

    private static TimeBounds None => new(1, 0);

    // Null: none is as large.
    private static long? Least(in Value value, bool isAbove)
    {
        if (value.Kind == ValueKind.Int64)
            return !isAbove ? value.AsInt64() : value.AsInt64() == long.MaxValue ? null : value.AsInt64() + 1;
        var number = isAbove ? Math.Floor(value.AsFloat64()) : Math.Ceiling(value.AsFloat64());
        if (number >= long.MaxValue)
            return null;
        return number < long.MinValue ? long.MinValue : isAbove ? (long)number + 1 : (long)number;
    }

    // Null: none is as small.
    private static long? Most(in Value value, bool isBelow)
    {
        if (value.Kind == ValueKind.Int64)
            return !isBelow ? value.AsInt64() : value.AsInt64() == long.MinValue ? null : value.AsInt64() - 1;
        var number = isBelow ? Math.Ceiling(value.AsFloat64()) : Math.Floor(value.AsFloat64());
        if (number < long.MinValue || (isBelow && number <= long.MinValue))
            return null;
        return number >= long.MaxValue ? long.MaxValue : isBelow ? (long)number - 1 : (long)number;
    }
}

/// <summary>What conditions say of places that have a text, or an Array of texts, in every thing.</summary>
internal static class TextConditions
{
    /// <summary>The texts that are left at a place; null = the conditions do not say. What is no text is none there.</summary>
    internal static List<string>? EqualTo(List<Filter> conditions, DocumentPath path)
    {
        foreach (var condition in conditions)
        {
            if (condition.Path == path && condition.Kind == FilterKind.Eq)
                return condition.Value.Kind == ValueKind.String ? [condition.Value.AsString()] : [];
        }

        if (conditions.Find(condition => condition.Path == path && condition.Kind == FilterKind.In) is not { } among)
            return null;
        var texts = new SortedSet<string>(StringComparer.Ordinal);
        foreach (ref readonly var value in among.ValueSpan)
        {
            if (value.Kind == ValueKind.String)
                texts.Add(value.AsString());
        }

        return [.. texts];
    }

    /// <summary>The texts that the Array at a place has to contain, each by itself.</summary>
    internal static IEnumerable<string?> ContainedIn(List<Filter> conditions, DocumentPath path) => conditions
        .Where(condition => condition.Path == path && condition.Kind == FilterKind.Contains)
        .Select(condition => condition.Value.Kind == ValueKind.String ? condition.Value.AsString() : null);

    /// <summary>The text as it stands in an order of tags or names; false: nothing can have it.</summary>
    internal static bool IsName([NotNullWhen(true)] string? text) => text is { Length: > 0 }
        && !text.Contains('\0', StringComparison.Ordinal) && Utf8.GetByteCount(text) <= Limits.NameBytesMax;
}
