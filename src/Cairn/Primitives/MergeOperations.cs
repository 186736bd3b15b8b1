// Merges: what a run knows of the runs that were merged into it. The merge itself is made of ordinary writes (Replay/MergePlan.cs); this
// operation stands behind them in the same record and says what they were.
//
//   store keys    69 source       up to where the source is in here: sequence u64, number u64 of its next event then
//                 6A number       the first of a row of events that came with a merge: the run 16 that appended them, the first one's
//                                 number there u64, count u64, hash 32 of that run's event before the row, hash 32 of the last one there
//   operation     66 Merge: key the source, body {sequence, next, events?: [[run, from, at, count, previous, last], ...]}
//   conflicts     point of the source: two merges of one source never both begin at the same base
//   text          none; diff: none. Merge: rows say which events both sides have already, whichever way they came
//   replay        the operation says all of it
//   fork          inherited: what was merged into the parent before is in the fork too
//
// A row names the run that appended its events, not the one that they were merged from: an event is the same one through however many
// merges, and never comes twice. It keeps no hash per event. The hash of an event at its origin is made of its number there, the hash
// before it, and its type, time and payload hash, which the event has here too: so from the hash before the row all of them follow, and
// the last one proves them. An event whose payload had to be rewritten, because it names numbers, or whose time had to be put forward, is a
// row of its own, with its hash as the last.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class MergeOperations : OperationSet
{
    internal override byte Family => 0x60;

    internal override bool Takes(OperationCode code) => code == OperationCode.RunMerge;

    internal override string Name => "merges";

    internal override bool Owns(byte storeFamily) => storeFamily is StoreKeys.Merged or StoreKeys.MergedEvents;

    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => 0;

    internal override string Describe(in Operation operation, RunId run) =>
        operation.Key.Length == RunId.Size ? RunId.Read(operation.Key).ToString() : Convert.ToHexStringLower(operation.Key);

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey.Length == 1 + RunId.Size
        ? RunId.Read(storeKey[1..]).ToString()
        : storeKey.Length == 9 ? new EventNumber(BinaryPrimitives.ReadUInt64BigEndian(storeKey[1..])).ToString() : "all";

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) => storeKey[0] == StoreKeys.Merged
        ? (long)MergedUpTo.Read(version.Value).Sequence
        : MergedEvents.Read(storeKey, version.Value).Origin.ToString();

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        visit(run.Store, StoreKeys.Of(key, StoreKeys.Merged, operation.Key));
    }

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length != RunId.Size || operation.HasExpiry
            || !TryRead(operation.Body, out var upTo, out var rows))
        {
            return false;
        }

        Span<byte> value = stackalloc byte[MergedEvents.Size];
        upTo.Write(value);
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        context.Put(StoreKeys.Of(key, StoreKeys.Merged, operation.Key), value[..MergedUpTo.Size]);
        foreach (var row in rows)
        {
            row.Write(value);
            context.PutNew(StoreKeys.Of(key, StoreKeys.MergedEvents, row.At), value);
        }

        return true;
    }

    internal static byte[] Body(MergedUpTo upTo, IReadOnlyList<MergedEvents> rows) => Fields.Write(
        ("sequence", (long)upTo.Sequence),
        ("next", (long)upTo.Next),
        ("events", rows.Count == 0 ? default(Value?) : Value.Array(rows.Select(ToValue)))).Encode();

    private static Value ToValue(MergedEvents row) => Value.Array(
        Fields.Of(row.Origin.Bits)!.Value, (long)row.From, (long)row.At, (long)row.Count, Value.Bytes(row.Previous.ToArray()),
        Value.Bytes(row.Last.ToArray()));

    private static bool TryRead(ReadOnlySpan<byte> body, out MergedUpTo upTo, out List<MergedEvents> rows)
    {
        (upTo, rows) = (default, []);
        if (!Fields.TryRead(body, out var fields) || !fields.TryNumber("sequence", out var sequence) || sequence is not > 0
            || !fields.TryNumber("next", out var next) || next is not >= 0)
        {
            return false;
        }

        upTo = new MergedUpTo((ulong)sequence.Value, (ulong)next.Value);
        if (fields.Any("events") is not { } events)
            return true;
        if (events.Kind != ValueKind.Array)
            return false;
        var end = 0UL;
        foreach (var item in events.AsArray())
        {
            if (!TryRead(item, out var row) || row.At < end)
                return false;
            end = row.At + row.Count;
            rows.Add(row);
        }

        return true;
    }

    private static bool TryRead(in Value item, out MergedEvents row)
    {
        row = default;
        if (item.Kind != ValueKind.Array || item.AsArray() is not { Count: 6 } parts
            || !IsBytes(parts[0], RunId.Size) || !IsBytes(parts[4], Hash256.Size) || !IsBytes(parts[5], Hash256.Size)
            || parts.Skip(1).Take(3).Any(part => part.Kind != ValueKind.Int64 || part.AsInt64() < 0) || parts[3].AsInt64() == 0)
        {
            return false;
        }

        row = new MergedEvents(
            RunId.Read(parts[0].AsBytes().Span), (ulong)parts[1].AsInt64(), (ulong)parts[2].AsInt64(), (ulong)parts[3].AsInt64(),
            new Hash256(parts[4].AsBytes().Span), new Hash256(parts[5].AsBytes().Span));
        return true;

        static bool IsBytes(in Value part, int length) => part.Kind == ValueKind.Bytes && part.AsBytes().Length == length;
    }

    // Writes: how far, and each row.
    internal override void Encode(Batch batch, PendingWrite write)
    {
        var rows = (int)write.Steps;
        write.Value.CopyTo(batch.Add(
            write.Code, 0, write.OperationKey, write.Value.Length, 1 + rows, MergedUpTo.Size + rows * (long)MergedEvents.Size));
        batch.KnowsEventNumbers |= rows > 0;
    }
}

/// <summary>Up to where a source is in the run that it was merged into. Layout, little-endian: sequence u64, number u64 of the event that
/// was the source's next one.</summary>
internal readonly record struct MergedUpTo(ulong Sequence, ulong Next)
{
    internal const int Size = 16;

    internal static byte[] Key(RunId source)
    {
        var key = new byte[1 + RunId.Size];
        key[0] = StoreKeys.Merged;
        source.Write(key.AsSpan(1));
        return key;
    }

    internal static MergedUpTo Read(ReadOnlySpan<byte> stored) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(stored), BinaryPrimitives.ReadUInt64LittleEndian(stored[8..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Next);
    }
}

/// <summary>A row of events that came with a merge: <paramref name="From"/> and those behind it of the run that appended them are here at
/// <paramref name="At"/> and behind it.</summary>
/// <param name="Origin">That run.</param>
/// <param name="Previous">Hash of its event before the row; zeros before its first one.</param>
/// <param name="Last">Hash that the row's last event has there.</param>
internal readonly record struct MergedEvents(RunId Origin, ulong From, ulong At, ulong Count, Hash256 Previous, Hash256 Last)
{
    internal const int Size = RunId.Size + 8 + 8 + 2 * Hash256.Size;

    private const int PreviousOffset = RunId.Size + 16;

    internal static MergedEvents Read(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> stored) => new(
        RunId.Read(stored),
        BinaryPrimitives.ReadUInt64LittleEndian(stored[RunId.Size..]),
        BinaryPrimitives.ReadUInt64BigEndian(storeKey[1..]),
        BinaryPrimitives.ReadUInt64LittleEndian(stored[(RunId.Size + 8)..]),
        new Hash256(stored.Slice(PreviousOffset, Hash256.Size)),
        new Hash256(stored.Slice(PreviousOffset + Hash256.Size, Hash256.Size)));

    internal void Write(Span<byte> target)
    {
        Origin.Write(target);
        BinaryPrimitives.WriteUInt64LittleEndian(target[RunId.Size..], From);
        BinaryPrimitives.WriteUInt64LittleEndian(target[(RunId.Size + 8)..], Count);
        Previous.CopyTo(target[PreviousOffset..]);
        Last.CopyTo(target[(PreviousOffset + Hash256.Size)..]);
    }

    /// <summary>Where an event of the source is; null when the row has it not.</summary>
    internal ulong? AtOf(ulong number) => number >= From && number - From < Count ? At + (number - From) : null;

    /// <summary>What an event of the row is called at the source; null when the row has it not.</summary>
    internal ulong? FromOf(ulong number) => number >= At && number - At < Count ? From + (number - At) : null;

    /// <summary>All rows that a scope at one sequence sees, by their numbers.</summary>
    internal static List<MergedEvents> All(Scope scope)
    {
        byte[] from = [StoreKeys.MergedEvents];
        byte[] to = [StoreKeys.MergedEvents + 1];
        scope.NoteRange(from, to);
        var rows = new List<MergedEvents>();
        using var reader = scope.Run.Store.Read();
        var scan = reader.Scan(from, to, scope.Sequence);
        while (scan.MoveNext())
            rows.Add(Read(scan.Key, scan.Version.Value));
        return rows;
    }

    /// <summary>The row that an event came in; null when it was appended to the run itself, or to one that this was forked from.</summary>
    internal static MergedEvents? RowOf(Scope scope, ulong number)
    {
        Span<byte> bounds = stackalloc byte[2 * EventReader.KeyBytes];
        using var reader = scope.Run.Store.Read();
        var scan = reader.Scan(
            StoreKeys.Of(bounds, StoreKeys.MergedEvents, 0),
            StoreKeys.Of(bounds[EventReader.KeyBytes..], StoreKeys.MergedEvents, number + 1), scope.Sequence, reverse: true);
        return scan.MoveNext() && Read(scan.Key, scan.Version.Value) is var row && row.FromOf(number) is not null ? row : null;
    }

    /// <summary>The hashes that the row's events have where they were appended, of the first ones up to one of them.</summary>
    /// <returns>Null when retention has let go of something that they follow from.</returns>
    internal Hash256[]? HashesThere(EventReader events, ulong upTo)
    {
        var last = At + Count - 1;
        var hashes = new Hash256[upTo - At + 1];
        var isSame = events.TryGet(last, out var end, out _, out _) && end.Hash == Last;
        var hash = Previous;
        Span<byte> made = stackalloc byte[2 * Hash256.Size];
        for (var at = At; at <= upTo; at++)
        {
            if (at == last)
            {
                hash = Last;
            }
            else if (!events.TryGet(at, out var stored, out var time, out _))
            {
                return null;
            }
            else if (isSame)
            {
                hash = stored.Hash;                          // the whole chain is the same on both sides
            }
            else
            {
                stored.PayloadHash.CopyTo(made);
                hash.CopyTo(made[Hash256.Size..]);
                EventHash.OfEvent(From + (at - At), stored.Type, time, made[..Hash256.Size], made[Hash256.Size..], made[..Hash256.Size]);
                hash = new Hash256(made[..Hash256.Size]);
            }

            hashes[at - At] = hash;
        }

        return hashes;
    }

    /// <summary>Where an event came from; null as <see cref="RowOf"/>.</summary>
    /// <remarks>The hash is null when retention has let go of something that it follows from.</remarks>
    internal static (RunId Run, ulong Number, Hash256? Hash)? OriginOf(EventReader events, Scope scope, ulong number)
    {
        if (RowOf(scope, number) is not { } row)
            return null;
        var isLast = number == row.At + row.Count - 1;
        return (row.Origin, row.FromOf(number)!.Value, isLast ? row.Last : row.HashesThere(events, number)?[^1]);
    }
}
