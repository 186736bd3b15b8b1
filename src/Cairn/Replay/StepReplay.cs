using Cairn.Log;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>A run's commits one by one, each with the keys it changed, before and after.</summary>
internal static class StepReplay
{
    /// <summary>Goes through the steps from the first to the last asked for.</summary>
    /// <param name="first">Of the run's commits, counted from 1.</param>
    /// <param name="check">Is told how many steps there are, and refuses what is asked for.</param>
    /// <exception cref="HistoryTrimmedException">Some of the run's records are no longer kept, so its steps cannot be counted.</exception>
    internal static void Read(ReplaySource source, ulong sequence, int first, int last, Action<int> check, StepVisitor visit)
    {
        using var steps = RunReplay.Begin(source, ReplayPoint.At(sequence), ReplayBase.Beginning, out var walk);
        using (walk)
        {
            check(walk.Count);
            steps.Load(walk, first - 1);
            var touched = new TouchedKeys();
            var records = new TouchedKeys();
            steps.Run.Recent = touched;
            steps.Catalogue.State.Recent = records;
            var number = first;
            walk.Forward(first - 1, last - first + 1, (in RecordHeader header, ReadOnlySpan<byte> payload, ulong position) =>
            {
                touched.Clear();
                records.Clear();
                var pin = steps.Pins.TakeAt(steps.Sequence, SnapshotRegistry.AllRuns);
                try
                {
                    var before = steps.Sequence;
                    steps.Follow(header, payload, position);
                    visit(new ReplayedStep(number++, header, position, before, steps, touched.Keys, records.Keys), payload);
                }
                finally
                {
                    steps.Pins.Release(pin);
                }
            });
        }
    }

    /// <summary>How many commits the run has up to a sequence.</summary>
    /// <exception cref="HistoryTrimmedException">Some are no longer kept.</exception>
    internal static int Count(ReplaySource source, ulong sequence)
    {
        using var hold = source.Log.HoldAll("a reading of a run's steps");
        using var walk = new ReplayWalk(source, hold.Manifest, ReplayPoint.At(sequence), ReplayBase.Beginning, 0, 0);
        walk.Run();
        return walk.Count;
    }

    /// <summary>The sequence of a step.</summary>
    /// <param name="number">Counted from 1.</param>
    /// <param name="count">How many steps there are.</param>
    /// <returns>Null: there is no such step.</returns>
    internal static ulong? SequenceOf(ReplaySource source, long number, out int count)
    {
        using var hold = source.Log.HoldAll("a reading of a run's steps");
        using var walk = new ReplayWalk(
            source, hold.Manifest, ReplayPoint.At(source.Live.Visible.Value), ReplayBase.Beginning, 0, 0);
        walk.Run();
        count = walk.Count;
        return number >= 1 && number <= count ? walk.SequenceAt((int)number - 1) : null;
    }
}

/// <summary>One commit of a run, just applied: its store has the versions of before and after.</summary>
internal readonly ref struct ReplayedStep(
    int number, RecordHeader header, ulong position, ulong before, RunReplay replay, IReadOnlyCollection<byte[]> touched,
    IReadOnlyCollection<byte[]> records)
{
    /// <summary>Counted from 1.</summary>
    internal int Number { get; } = number;

    internal RecordHeader Header { get; } = header;

    internal ulong Position { get; } = position;

    /// <summary>Sequence of the step before; 0 = it is the first.</summary>
    internal ulong Before { get; } = before;

    internal RunReplay Replay { get; } = replay;

    /// <summary>Store keys of the run that were written, each once, in order.</summary>
    internal IReadOnlyCollection<byte[]> Touched { get; } = touched;

    /// <summary>The same of the index of runs.</summary>
    internal IReadOnlyCollection<byte[]> Records { get; } = records;
}

/// <summary>Takes a step; good for the call.</summary>
internal delegate void StepVisitor(in ReplayedStep step, ReadOnlySpan<byte> payload);

/// <summary>The keys that one commit writes.</summary>
internal sealed class TouchedKeys() : RecentWrites(0, capacity: 0)
{
    private readonly SortedSet<byte[]> _keys = new(ByteArrayComparer.Instance);

    internal IReadOnlyCollection<byte[]> Keys => _keys;

    internal void Clear() => _keys.Clear();

    internal override void Add(ulong sequence, ReadOnlySpan<byte> key) => _keys.Add(key.ToArray());
}
