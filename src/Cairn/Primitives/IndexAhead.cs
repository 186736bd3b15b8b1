// Steps of a build, found before their commits
// --------------------------------------------
// What a step does is a function of the things behind the cursor: Apply could look at them itself, and in recovery and in a replay it does.
// But that is most of the work, it needs nobody's lock, and of different stretches several threads can do it. So stretches ahead of the
// cursor are planned in order, each with a pin, and gathered at that pin by whoever has time:
//
//      things       t1 .. t1024 | t1025 .. t2048 | t2049 .. t3072 |
//      this thread  gathers       commits 1        commits 2         commits 3
//      another                    gathers 2        gathers 3
//
//   IA1  One result (IDX-12): a step is its count of things, and that is all its operation says. Who gathered it, and how many did, is in
//        no byte of the log and in no item.
//   IA2  Under the lock a step is brought from its pin to the state there: the things in its stretch that have been written since are asked
//        again. Where a thing came or went the count tells another stretch, and where nothing is left behind it is the last: then the step
//        is made anew.
//   IA3  Steps are planned by count of things, and end sooner where these are large.

using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>See the essay above. Of one index of one run, as far as it is planned.</summary>
internal sealed class IndexAhead(RunState run, uint number, SnapshotRegistry pins)
{
    /// <summary>More things than that are not asked again: the step is made anew.</summary>
    private const int ChangedMax = 64;

    private readonly Lock _gate = new();
    private readonly Queue<Stretch> _planned = new();
    private byte[] _end = [];
    private bool _isAll;
    private SnapshotPin _taken;

    internal RunState Run => run;

    internal uint Number => number;

    /// <summary>Plans stretches until there are so many, or no more things.</summary>
    /// <returns>Those that are planned.</returns>
    internal int Plan(StoredIndex index, int most, int stretches)
    {
        lock (_gate)
        {
            if (_planned.TryPeek(out var first) ? !first.From.AsSpan().SequenceEqual(index.Cursor) || first.Most > most
                : _isAll || !_end.AsSpan().SequenceEqual(index.Cursor))
                Forget(index.Cursor);
            while (_planned.Count < stretches && !_isAll)
                _planned.Enqueue(Next(index, most));
            return _planned.Count;
        }
    }

    private Stretch Next(StoredIndex index, int most)
    {
        var target = IndexTargets.Of(index.Target);
        var pin = pins.Take(run.Visible, run.Store.RunTag);
        var from = _end;
        var (things, bytes) = (0, 0L);
        _isAll = true;
        using var reader = run.Store.Read();
        var scan = reader.Scan(IndexOperations.FirstOf(target, from), [(byte)(target.Family + 1)], pin.Sequence);
        while (scan.MoveNext())
        {
            if (!target.IsThing(scan.Key))
                continue;
            if (things == most || bytes >= IndexOperations.StepBytesMax)
            {
                _isAll = false;
                break;
            }

            things++;
            bytes += scan.Version.IsContent ? scan.Version.ValueLength : 0;
            if (things == most || bytes >= IndexOperations.StepBytesMax)
                _end = scan.Key[1..].ToArray();
        }

        return new Stretch(index, from, _isAll ? most : things, pin);
    }

    /// <summary>Gathers the first stretch that nobody has begun. Any thread.</summary>
    /// <returns>False: there is none.</returns>
    internal bool TryWork()
    {
        Stretch? next;
        lock (_gate)
        {
            next = _planned.FirstOrDefault(static stretch => !stretch.IsBegun);
            if (next is null)
                return false;
            next.IsBegun = true;
        }

        next.Gather(run);
        return true;
    }

    /// <summary>The first stretch, gathered.</summary>
    internal IndexStep Take()
    {
        Stretch first;
        bool isMine;
        lock (_gate)
        {
            first = _planned.Dequeue();
            isMine = !first.IsBegun;
            first.IsBegun = true;
        }

        if (isMine)
            first.Gather(run);
        _taken = first.Pin;
        return first.Wait();
    }

    /// <summary>The step of <see cref="Take"/> was placed, or will not be.</summary>
    internal void Placed()
    {
        pins.Release(_taken);
        _taken = default;
    }

    private void Forget(byte[] cursor)
    {
        while (_planned.TryDequeue(out var stretch))
        {
            if (stretch.IsBegun)
                stretch.WaitUntilGathered();
            pins.Release(stretch.Pin);
        }

        (_end, _isAll) = (cursor, false);
    }

    /// <summary>Nobody goes on with it.</summary>
    internal void End()
    {
        lock (_gate)
            Forget([]);
        Placed();
    }

    /// <summary>Under the run's lock: brings a step to the newest state (IA2). False: it has to be made anew.</summary>
    internal static bool TryBring(RunState run, StoredIndex index, IndexStep step)
    {
        if (step.HoldsAt == run.LastSequence)
            return true;
        if (!step.IsPinned)
            return false;
        var target = IndexTargets.Of(index.Target);
        using var reader = run.Store.Read();
        HashSet<byte[]>? changed = null;
        if (!TryFindChanged(reader, target, target.Family, step, ref changed)
            || (target.WrittenFamily != target.Family && !TryFindChanged(reader, target, target.WrittenFamily, step, ref changed)))
            return false;
        if (changed is not null && !Mutant.Is("index-step-not-brought-up"))
            step.Items = Without(step.Items, changed, index, new ItemBuffer());
        if (!step.IsDone && !HasMore(reader, target, step.Cursor))
            return false;
        step.IsPinned = changed is null;                     // what it holds now was never pinned
        if (changed is not null && !TryAsk(run, reader, target, index, step, changed))
            return false;
        step.HoldsAt = run.LastSequence;
        return true;
    }

    private static bool TryFindChanged(
        scoped in StoreReader reader, IndexedThings target, byte family, IndexStep step, ref HashSet<byte[]>? changed)
    {
        byte[] from = step.From.Length == 0 ? [family] : [family, .. step.From, 0];
        byte[] to = step.IsDone ? [(byte)(family + 1)] : [family, .. step.Cursor, 0];
        while (reader.FindNewer(from, to, step.Sequence, out var key, out _))
        {
            from = [.. key, 0];
            if (family == target.Family && !target.IsThing(key))
                continue;
            (changed ??= new HashSet<byte[]>(ByteArrayComparer.Instance)).Add(key[1..].ToArray());
            if (changed.Count > ChangedMax)
                return false;
        }

        return true;
    }

    // What was behind the stretch may have gone: then it is the last one.
    private static bool HasMore(scoped in StoreReader reader, IndexedThings target, byte[] cursor)
    {
        var scan = reader.Scan(IndexOperations.FirstOf(target, cursor), [(byte)(target.Family + 1)], ulong.MaxValue);
        while (scan.MoveNext())
        {
            if (target.IsThing(scan.Key))
                return true;
        }

        return Mutant.Is("index-step-forgets-its-end");
    }

    private static ItemBuffer Without(ItemBuffer items, HashSet<byte[]> things, StoredIndex index, ItemBuffer left)
    {
        var lookup = things.GetAlternateLookup<ReadOnlySpan<byte>>();
        for (var i = 0; i < items.Count; i++)
        {
            if (!lookup.Contains(IndexItems.ThingOf(items[i], index.Paths.Length)))
                left.Add(items[i]);
        }

        return left;
    }

    private static bool TryAsk(
        RunState run, scoped in StoreReader reader, IndexedThings target, StoredIndex index, IndexStep step, HashSet<byte[]> things)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        foreach (var thing in things)
        {
            var storeKey = StoreKeys.Of(key, target.Family, thing);
            var was = reader.TryGet(storeKey, step.Sequence, out var before) && !before.IsTombstone;
            var isThere = reader.TryGetNewest(storeKey, out var version) && !version.IsTombstone;
            if (was != isThere)
                return false;
            if (isThere && !Mutant.Is("index-step-not-brought-up"))
                target.WriteItems(run, index, thing, version, ulong.MaxValue, step.Items);
        }

        step.Items.Sort();
        return true;
    }

    /// <summary>Some things one behind the other.</summary>
    private sealed class Stretch(StoredIndex index, byte[] from, int most, SnapshotPin pin)
    {
        private readonly object _gate = new();               // with a condition
        private bool _isGathered;
        private IndexStep? _step;
        private Exception? _failure;

        internal byte[] From => from;

        internal int Most => most;

        internal SnapshotPin Pin => pin;

        /// <summary>Somebody gathers it, or has.</summary>
        internal bool IsBegun { get; set; }

        internal void Gather(RunState run)
        {
            try
            {
                _step = IndexOperations.Gather(run, index, from, most, pin.Sequence);
            }
            catch (Exception failure)
            {
                _failure = failure;                          // told to who takes it
            }

            lock (_gate)
            {
                _isGathered = true;
                Monitor.PulseAll(_gate);
            }
        }

        internal void WaitUntilGathered()
        {
            lock (_gate)
            {
                while (!_isGathered)
                    Monitor.Wait(_gate);
            }
        }

        internal IndexStep Wait()
        {
            WaitUntilGathered();
            if (_failure is not null)
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(_failure);
            return _step!;
        }
    }
}
