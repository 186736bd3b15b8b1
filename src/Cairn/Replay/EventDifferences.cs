using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// Differences of events: a common prefix, and behind it what stands at the same number, step for step. Two events are the same when their
/// hashes are, and if these differ, as they do between runs that have nothing in common but what was done, when type and payload are. The
/// hash is over the whole past, so the end of what is the same by hash is found in logarithmic time. What retention has trimmed on one of
/// the sides is not compared.
/// <code>
///      number      #0    #1    #2      #3       #4
///      A           task  call  result  call x   answer
///      B           task  call  result  call y   answer   note       #3 Modified, #5 Added; #4 is the same
///                  '- common prefix -'
/// </code>
/// </summary>
internal static class EventDifferences
{
    internal const ulong EventsPerPiece = 256;

    /// <summary>Inputs are recorded with how long the answer took and in which step: timing and an id that was made, which make no
    /// difference.</summary>
    private static readonly string[] InputMembers = ["duration_us", "trace"];

    /// <summary>How many events from the first on are the same.</summary>
    internal static ulong CommonPrefix(DiffEnd a, DiffEnd b, DiffOptions options)
    {
        var shared = Math.Min(EndOf(a), EndOf(b));
        var low = EqualHashes(a, b);
        while (low < shared)
        {
            var (inA, inB) = (Read(a, low, EventsPerPiece), Read(b, low, EventsPerPiece));
            for (var i = 0; i < Math.Min(inA.Count, inB.Count); i++, low++)
            {
                if (low >= shared || !IsSame(inA[i], inB[i], options))
                    return low;
            }
        }

        return low;
    }

    /// <summary>How many events from the first on have the same hashes; what is not kept on one of the sides counts.</summary>
    internal static ulong EqualHashes(DiffEnd a, DiffEnd b)
    {
        var high = Math.Min(EndOf(a), EndOf(b));
        var low = Math.Min(FirstKept(a, b), high);
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (HashOf(a, middle) is { } hash && hash == HashOf(b, middle))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    internal static IEnumerable<DiffItem> Of(DiffEnd a, DiffEnd b, ulong common, ChangedKeys? touched, DiffOptions options)
    {
        foreach (var item in Redactions(a, b, common, touched))
            yield return item;
        var (endA, endB) = (EndOf(a), EndOf(b));
        for (var next = Math.Max(common, FirstKept(a, b)); next < Math.Max(endA, endB); next += EventsPerPiece)
        {
            var (inA, inB) = (Read(a, next, EventsPerPiece), Read(b, next, EventsPerPiece));
            for (var i = 0; i < Math.Max(inA.Count, inB.Count); i++)
            {
                var (before, after) = (inA.ElementAtOrDefault(i), inB.ElementAtOrDefault(i));
                if (before is null || after is null || before.IsRedacted != after.IsRedacted || !IsSame(before, after, options))
                    yield return Item(before, after);
            }
        }
    }

    // Within the common prefix an event can only have been redacted on one side.
    internal static IEnumerable<DiffItem> Redactions(DiffEnd a, DiffEnd b, ulong common, ChangedKeys? touched)
    {
        var kept = FirstKept(a, b);
        var candidates = touched is null
            ? All(kept, common)
            : touched.Of(StoreKeys.Event).Select(NumberIn).Where(number => number < common && number >= kept);
        foreach (var number in candidates)
        {
            if (IsRedacted(a, number) != IsRedacted(b, number))
                yield return Item(Read(a, number, 1)[0], Read(b, number, 1)[0]);
        }
    }

    private static IEnumerable<ulong> All(ulong from, ulong to)
    {
        for (var number = from; number < to; number++)
            yield return number;
    }

    private static ulong NumberIn(byte[] key) => System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(key.AsSpan(1));

    internal static DiffItem Item(EventRecord? before, EventRecord? after) => new(
        ItemAddress.OfEvent((before ?? after)!.Number),
        before is null ? DiffKind.Added : after is null ? DiffKind.Removed : DiffKind.Modified)
    {
        Before = Version(before),
        After = Version(after),
        OtherAddress = before is not null && after is not null && before.Number != after.Number
            ? ItemAddress.OfEvent(after.Number)
            : null,
    };

    private static DiffVersion? Version(EventRecord? record) => record is null
        ? null
        : new DiffVersion(record.Payload ?? Value.Null, record.Sequence, record.Time)
        {
            Type = record.Type,
            IsRedacted = record.IsRedacted,
        };

    internal static bool IsSame(EventRecord a, EventRecord b, DiffOptions options)
    {
        if (a.Hash == b.Hash)
            return true;
        if (a.Type != b.Type || a.IsRedacted || b.IsRedacted)
            return a.Type == b.Type && a.IsRedacted && b.IsRedacted;
        return IsSame(a.Type, a.Payload!.Value, b.Payload!.Value, options);
    }

    /// <summary>Two payloads of a type, without what makes no difference.</summary>
    internal static bool IsSame(string type, Value a, Value b, DiffOptions options) =>
        a == b || Compared(type, a, options) == Compared(type, b, options);

    /// <summary>A payload without the members that make no difference.</summary>
    internal static Value Compared(string type, Value payload, DiffOptions options)
    {
        var isInput = Inputs.Types.Contains(type);
        if (payload.Kind != ValueKind.Object || (!isInput && options.IgnoredMembers.Count == 0))
            return payload;
        return Value.Object(payload.AsObject().Where(
            member => !options.IgnoredMembers.Contains(member.Key) && !(isInput && InputMembers.Contains(member.Key))));
    }

    internal static ulong EndOf(DiffEnd end)
    {
        using var reader = end.Run.Store.Read();
        return new EventReader(end.Scope, reader, stackalloc byte[EventReader.KeyBytes]).End;
    }

    internal static ulong FirstKept(DiffEnd a, DiffEnd b) => Math.Max(FirstKept(a), FirstKept(b));

    private static ulong FirstKept(DiffEnd end)
    {
        using var reader = end.Run.Store.Read();
        return new EventReader(end.Scope, reader, stackalloc byte[EventReader.KeyBytes]).Floor().Number;
    }

    private static Hash256? HashOf(DiffEnd end, ulong number)
    {
        using var reader = end.Run.Store.Read();
        var events = new EventReader(end.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        return events.TryGet(number, out var stored, out _, out _) ? stored.Hash : null;
    }

    private static bool IsRedacted(DiffEnd end, ulong number)
    {
        using var reader = end.Run.Store.Read();
        var events = new EventReader(end.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        return events.TryGet(number, out var stored, out _, out _) && stored.IsRedacted;
    }

    internal static List<EventRecord> Read(DiffEnd end, ulong from, ulong count)
    {
        using var reader = end.Run.Store.Read();
        var events = new EventReader(end.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        var to = Math.Min(events.End, from + count);
        var records = new List<EventRecord>();
        if (from >= to)
            return records;
        var scan = new EventScan(events, from, to, reverse: false, stackalloc byte[EventScan.BoundsBytes]);
        while (scan.MoveNext())
            records.Add(scan.ToRecord());
        return records;
    }
}
