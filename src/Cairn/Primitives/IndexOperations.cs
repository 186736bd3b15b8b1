// Secondary indexes: definitions, and the steps by which they are built and cleared away.
//
//   store keys    90 name         the definition: its number, and a canonical object of target and paths (Store/IndexSet.cs)
//                 91 number ..    items (IndexItems.cs)
//                 93 number       how far it is: building up to a thing, ready, or clearing up to an item
//                 6B id           (catalogue) runs where something is left to do, so that they are found without looking at all runs
//                 01 90, 01 96    how many; the numbers given so far
//   operations    90 Define, 91 Drop, 9A Build (docs/format.md has the bodies)
//   conflicts     a definition is decided under the run's lock. A query in a transaction has read the intervals that it looked into, and
//                 that the index is there; while an index is built its state is read by nobody
//   text          none; diff, merge: none, what follows from the rest is no difference
//   replay        Build does again what it did: its steps are logged, as numbers of things from the cursor on
//   fork          inherited, with items and state: read through like all else. What was not ready goes on in each by itself
//
// Items are ordinary keys, so an index is right at each sequence that the run is right at: in a snapshot, a view, a fork, behind a
// checkpoint and after a crash there is nothing to catch up with. Only making one for things that are there already takes time:
//
//      things        t1  t2  t3  t4  t5  t6              Define: state "building", no cursor; nothing else
//      Build 2       i1  i2|                             t1 and t2 have items; t2 is the cursor
//      write t1      i1' i2|                             behind the cursor: maintained by the write
//      write t5      i1' i2|           t5'               ahead of it: left to the build, which finds it as it is then
//      Build 9       i1' i2  i3  i4  i5' i6              at the end: ready, and from now on all writes maintain it
//
//   IX1  An item is there exactly when its thing is, has that value, and lies at or behind the cursor. Apply looks at nothing else.
//   IX2  A step is one commit with a bounded number of things, so the run's lock is held for a short while only.
//   IX3  Numbers are never given twice in a run, so items of a dropped index are nobody else's.
//   IX4  A query uses an index that is ready at the sequence it reads at, and no other.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class IndexOperations : OperationSet
{
    /// <summary>Most things or items of one step. Chosen: a millisecond or so under the run's lock.</summary>
    internal const int StepMax = 256;

    /// <summary>A step ends behind the thing that brings what is large to so many bytes. Chosen: some milliseconds to read.</summary>
    internal const int StepBytesMax = 4 << 20;

    /// <summary>Body of a Build: number u32, most u32.</summary>
    internal const int BuildBytes = 2 * sizeof(uint);

    /// <summary>Definition, state, two counts.</summary>
    private const int Writes = 6;

    internal override byte Family => StoreKeys.Index;

    internal override bool Takes(OperationCode code) =>
        code is OperationCode.IndexDefine or OperationCode.IndexDrop or OperationCode.IndexBuild;

    internal override string Name => "indexes";

    internal override bool Owns(byte storeFamily) =>
        storeFamily is StoreKeys.Index or StoreKeys.IndexItem or StoreKeys.IndexState or StoreKeys.RunIndexes;

    // The state too: a run with an index half built holds what one has that is ready.
    internal override bool IsDerived(byte storeFamily) => storeFamily != StoreKeys.Index;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey[0] switch
    {
        StoreKeys.Index => Utf8.GetTrustedString(storeKey[1..]),
        StoreKeys.RunIndexes => RunId.Read(storeKey[1..]).ToString(),
        _ when storeKey.Length >= IndexItems.PrefixBytes => $"index {IndexItems.NumberIn(storeKey)}",
        _ => "",
    };

    internal override string Describe(in Operation operation, RunId run) =>
        operation.Code == (byte)OperationCode.IndexBuild && operation.Body.Length == BuildBytes
            ? $"index {BinaryPrimitives.ReadUInt32LittleEndian(operation.Body)}"
            : Utf8.GetTrustedString(operation.Key);

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        storeKey[0] == StoreKeys.Index ? Value.Decode(version.Value[sizeof(uint)..]) : default(Value?);

    internal static byte[] StateKey(uint number)
    {
        var key = IndexItems.Prefix(number);
        key[0] = StoreKeys.IndexState;
        return key;
    }

    // ---- before the sequence ---------------------------------------------------------------------------------------------------

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        if (operation.Code == (byte)OperationCode.IndexBuild)
        {
            visit(run.Store, StateKey(BinaryPrimitives.ReadUInt32LittleEndian(operation.Body)));
            visit(catalogue.State.Store, RunKeys.Indexes(buffer, run.Id));
            if (run.Indexes is { } known && TryFind(operation, known, out var index, out var most)
                && index.State == StoredIndexState.Clearing)
            {
                var cleared = Clear(run, index, most).Items;
                for (var i = 0; i < cleared.Count; i++)
                    visit(run.Store, cleared[i]);
            }

            return;
        }

        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.Index, operation.Key));
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Index, operation.Key), out var version) && !version.IsTombstone)
                visit(run.Store, StateKey(BinaryPrimitives.ReadUInt32LittleEndian(version.Value)));
        }

        visit(catalogue.State.Store, RunKeys.Indexes(buffer, run.Id));
    }

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if (operation.Code == (byte)OperationCode.IndexBuild)
            return null;                                     // who builds names the state that he saw
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = run.Store.Read();
        var isThere = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Index, operation.Key), out var version) && !version.IsTombstone;
        if (operation.Code == (byte)OperationCode.IndexDrop)
            return isThere ? null : NotFound();
        if (isThere)
            return Exists();
        return CheckRoom(reader.Count(StoreKeys.Index, ulong.MaxValue), catalogue.Limits)
            ?? (ComingUnique(operation, 0) is { } unique ? UniqueRows.Duplicates(unique, ItemsOf(run, unique), reader, time) : null);
    }

    // A unique index is built by the commit that defines it: before that nobody could say that a value is free (IDX-13).
    private static StoredIndex? ComingUnique(in Operation operation, uint number) =>
        StoredIndex.Coming(Utf8.GetTrustedString(operation.Key), number, operation.Body) is { IsUnique: true } index ? index : null;

    private static List<(byte[] Thing, List<byte[]> Items)> ItemsOf(RunState run, StoredIndex index)
    {
        var all = new List<(byte[] Thing, List<byte[]> Items)>();
        Build(run, index, (thing, items) => all.Add((thing, items)));
        return all;
    }

    internal static CairnException? CheckRoom(long kept, Limits limits) => kept < limits.IndexesMax
        ? null
        : new LimitException(nameof(Limits.IndexesMax), limits.IndexesMax, kept + 1, "indexes");

    internal static CairnException NotFound() =>
        new(ErrorCode.NotFound, "There is no index of this name in the run. Define it first, or list those that are there.");

    internal static CairnException Exists() =>
        new(ErrorCode.AlreadyExists, "An index of this name is there. Take another name, or drop it.");

    internal override bool HasItems => true;

    internal override WriteCount CountIndexWrites(in Operation operation, RunState run)
    {
        var count = default(WriteCount);
        if (operation.Code == (byte)OperationCode.IndexDefine && ComingUnique(operation, 0) is { } unique)
            Build(run, unique, (_, items) => count = count.And(items));
        if (operation.Code != (byte)OperationCode.IndexBuild || !TryFind(operation, IndexSet.Of(run), out var index, out var most))
            return count;
        return count.And(StepOf(run, index, most).Items);
    }

    // ---- behind it -------------------------------------------------------------------------------------------------------------

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.HasExpiry)
            return false;
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.IndexDefine:
                return ApplyDefine(operation, context);
            case OperationCode.IndexDrop:
                return operation.Body.IsEmpty && ApplyDrop(operation, context);
            default:
                return operation.Key.IsEmpty && operation.Body.Length == BuildBytes && ApplyBuild(operation, context);
        }
    }

    private static bool ApplyDefine(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.NameBytesMax || StoredIndex.Coming("", 0, operation.Body) is null)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Index, operation.Key);
        uint number;
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(key, out var version) && !version.IsTombstone)
                return false;
            number = (uint)reader.Count(StoreKeys.IndexNumbers, ulong.MaxValue) + 1;
        }

        var stored = new byte[sizeof(uint) + operation.Body.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(stored, number);
        operation.Body.CopyTo(stored.AsSpan(sizeof(uint)));
        context.Put(key, stored);
        context.AddCount(StoreKeys.Index, 1);
        context.AddCount(StoreKeys.IndexNumbers, 1);
        if (ComingUnique(operation, number) is { } unique)
        {
            foreach (var item in ItemsOf(context.Run, unique).SelectMany(thing => thing.Items))
                context.PutNew(item, default);
            context.PutNew(StateKey(number), [(byte)StoredIndexState.Ready]);
            context.Run.Indexes = null;
            return true;
        }

        context.PutNew(StateKey(number), [(byte)StoredIndexState.Building]);
        context.On(context.Catalogue.State).Put(RunKeys.Indexes(buffer, context.Run.Id), default);
        context.Run.Indexes = null;
        context.Catalogue.IndexWork?.Invoke(context.Run.Id);
        return true;
    }

    private static bool ApplyDrop(in Operation operation, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Index, operation.Key);
        uint number;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(key, out var version) || version.IsTombstone)
                return false;
            number = BinaryPrimitives.ReadUInt32LittleEndian(version.Value);
        }

        context.Delete(key);
        context.Put(StateKey(number), [(byte)StoredIndexState.Clearing]);
        context.AddCount(StoreKeys.Index, -1);
        context.On(context.Catalogue.State).Put(RunKeys.Indexes(buffer, context.Run.Id), default);
        context.Run.Indexes = null;
        context.Catalogue.IndexWork?.Invoke(context.Run.Id);
        return true;
    }

    private static bool ApplyBuild(in Operation operation, in ApplyContext context)
    {
        var run = context.Run;
        if (!TryFind(operation, IndexSet.Of(run), out var index, out var most))
            return false;
        var step = StepOf(run, index, most);
        run.IndexStep = null;
        for (var i = 0; i < step.Items.Count; i++)
        {
            if (index.State == StoredIndexState.Clearing)
                context.Delete(step.Items[i]);
            else
                context.PutNew(step.Items[i], default);
        }

        if (!step.IsDone)
            context.Put(StateKey(index.Number), [(byte)index.State, .. step.Cursor]);
        else if (index.State == StoredIndexState.Clearing)
            context.Delete(StateKey(index.Number));
        else
            context.Put(StateKey(index.Number), [(byte)StoredIndexState.Ready]);
        run.Indexes = null;
        Mark(context, IndexSet.Of(run).HasWork);
        return true;
    }

    // A fork that goes on with its parent's begins without a mark.
    private static void Mark(in ApplyContext context, bool hasWork)
    {
        Span<byte> buffer = stackalloc byte[1 + RunId.Size];
        var mark = RunKeys.Indexes(buffer, context.Run.Id);
        var catalogue = context.On(context.Catalogue.State);
        bool exists;
        using (var reader = catalogue.Read())
            exists = reader.TryGetForApply(mark, out var version) && !version.IsTombstone;
        if (exists && !hasWork)
            catalogue.Delete(mark);
        else if (!exists && hasWork)
            catalogue.Put(mark, default);
    }

    private static bool TryFind(in Operation operation, IndexSet all, out StoredIndex index, out int most)
    {
        var number = BinaryPrimitives.ReadUInt32LittleEndian(operation.Body);
        most = (int)Math.Min(int.MaxValue, BinaryPrimitives.ReadUInt32LittleEndian(operation.Body[sizeof(uint)..]));
        index = all.All.FirstOrDefault(one => one.Number == number)!;
        return index is not null && index.State != StoredIndexState.Ready && most > 0;
    }

    // What a step comes to: found beforehand (IndexAhead.cs), or when it is counted, and again by Apply unless the run has had no commit
    // since.
    private static IndexStep StepOf(RunState run, StoredIndex index, int most)
    {
        if (run.IndexStep is { } known && known.IsOf(index, most) && IndexAhead.TryBring(run, index, known))
            return known;
        return run.IndexStep = index.State == StoredIndexState.Clearing
            ? Clear(run, index, most)
            : Gather(run, index, index.Cursor, most, ulong.MaxValue);
    }

    /// <summary>The next things behind a cursor, with their items.</summary>
    /// <param name="sequence">As they were there, which the caller pins; <see cref="ulong.MaxValue"/> = as they are, under the run's
    /// lock.</param>
    internal static IndexStep Gather(RunState run, StoredIndex index, byte[] cursor, int most, ulong sequence)
    {
        var target = IndexTargets.Of(index.Target);
        var items = new ItemBuffer();
        var (things, isDone) = (0, true);
        Span<byte> last = stackalloc byte[Limits.KeyBytesMax];
        var lastLength = 0;
        using (var reader = run.Store.Read())
        {
            var scan = reader.Scan(FirstOf(target, cursor), [(byte)(target.Family + 1)], sequence);
            while (scan.MoveNext())
            {
                if (!target.IsThing(scan.Key))
                    continue;
                if (things == most)
                {
                    isDone = false;
                    break;
                }

                things++;
                lastLength = scan.Key.Length - 1;
                scan.Key[1..].CopyTo(last);
                if (!Mutant.Is("index-build-skips-one") || things != 2)
                    target.WriteItems(run, index, last[..lastLength], scan.Version, sequence, items);
            }
        }

        items.Sort();
        var at = sequence == ulong.MaxValue ? run.LastSequence : sequence;
        return new IndexStep
        {
            Number = index.Number, From = cursor, Most = most, Sequence = at, HoldsAt = at, IsPinned = sequence != ulong.MaxValue,
            Cursor = last[..lastLength].ToArray(), Items = items, IsDone = isDone,
        };
    }

    // All things of an index that is built by one commit, with their items.
    private static void Build(RunState run, StoredIndex index, Action<byte[], List<byte[]>> visit)
    {
        var target = IndexTargets.Of(index.Target);
        using var reader = run.Store.Read();
        var scan = reader.Scan([target.Family], [(byte)(target.Family + 1)], ulong.MaxValue);
        while (scan.MoveNext())
        {
            if (target.IsThing(scan.Key))
                visit(scan.Key[1..].ToArray(), target.ItemsAt(run, index, scan.Key[1..], scan.Version, ulong.MaxValue));
        }
    }

    // The next items behind the cursor.
    private static IndexStep Clear(RunState run, StoredIndex index, int most)
    {
        byte[] prefix = IndexItems.Prefix(index.Number);
        byte[] from = index.Cursor.Length == 0 ? prefix : [.. index.Cursor, 0];
        var items = new ItemBuffer();
        var isDone = true;
        using var reader = run.Store.Read();
        var scan = reader.Scan(from, KeyInterval.After(prefix), ulong.MaxValue);
        while (scan.MoveNext())
        {
            if (items.Count == most)
            {
                isDone = false;
                break;
            }

            items.Add(scan.Key);
        }

        return new IndexStep
        {
            Number = index.Number, From = index.Cursor, Most = most, Sequence = run.LastSequence, HoldsAt = run.LastSequence,
            Cursor = items.Count == 0 ? [] : items[items.Count - 1].ToArray(), Items = items, IsDone = isDone,
        };
    }

    /// <summary>Without a lock: brings what an index that is built by one commit will look at from the disk, so that nobody waits for it
    /// under the run's lock.</summary>
    internal static void ReadAhead(RunState run, StoredIndex index)
    {
        if (!run.Store.IsWhole)
            Build(run, index, static (_, _) => { });
    }

    internal static byte[] FirstOf(IndexedThings target, byte[] cursor) =>
        cursor.Length == 0 ? [target.Family] : [target.Family, .. cursor, 0];

    // ---- writing operations ----------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write)
    {
        write.Value.CopyTo(batch.AddIndexed(write.Code, write.OperationKey, write.Value.Length, Writes));
        batch.NeedsResolve = true;
    }

    internal static void AddBuild(Batch batch, uint number, int most)
    {
        var body = batch.AddIndexed(OperationCode.IndexBuild, default, BuildBytes, Writes);
        BinaryPrimitives.WriteUInt32LittleEndian(body, number);
        BinaryPrimitives.WriteUInt32LittleEndian(body[sizeof(uint)..], (uint)most);
        batch.AddWriteBytes(Limits.KeyBytesMax + IndexItems.KeptBytes);
    }
}
