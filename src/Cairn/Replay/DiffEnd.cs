using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>One side of a difference: a run as a scope shows it, its record, and where its chain of records begins.</summary>
/// <param name="live">The run itself, which a view stands for.</param>
/// <param name="numbers">Of the run, at the scope's sequence or later.</param>
/// <param name="hold">Keeps what the scope shows, and is let go with this; null: somebody else does.</param>
internal sealed class DiffEnd(Scope scope, RunInfo info, RunState live, RunNumbers numbers, IDisposable? hold) : IDisposable
{
    internal Scope Scope { get; } = scope;

    internal RunInfo Info { get; } = info;

    internal RunState Run => Scope.Run;

    internal RunState Live { get; } = live;

    internal RunNumbers Numbers { get; } = numbers;

    internal ulong Sequence => Scope.Sequence;

    internal long Time => Scope.Time;

    internal RunPoint Point => new(Run.Id, new Sequence(Sequence));

    internal OperationTable Operations => Scope.Path.Operations;

    internal SegmentedLog? Log => Scope.Path.Log.Device as SegmentedLog;

    /// <summary>What is shown, and what that was forked from, down to the first of its line.</summary>
    internal IEnumerable<CommonPoint> Line()
    {
        var (run, at) = (Live, Sequence);
        while (true)
        {
            yield return new CommonPoint(run.Id, at);
            if (run.Store.Base is not { } below)
                yield break;
            (run, at) = (below.Owner, Math.Min(at, below.At));
        }
    }

    public void Dispose() => hold?.Dispose();
}

/// <summary>Up to here two sides have the same history.</summary>
internal readonly record struct CommonPoint(RunId Run, ulong Sequence)
{
    /// <returns>Null when they have none.</returns>
    internal static CommonPoint? Of(DiffEnd a, DiffEnd b)
    {
        var line = a.Line().ToDictionary(point => point.Run, point => point.Sequence);
        foreach (var point in b.Line())
        {
            if (line.TryGetValue(point.Run, out var at))
                return point with { Sequence = Math.Min(at, point.Sequence) };
        }

        return null;
    }
}

/// <summary>The records of a side behind a common point, newest first: its own, and then those of the runs that it was forked from, each
/// from where the fork begins. One thread.</summary>
internal sealed class DiffChain(DiffEnd end, CommonPoint? common) : IDisposable
{
    private RunState Owner { get; set; } = end.Live;

    private RunChain? _chain = end.Log is { } log ? new RunChain(log, end.Live.Id, end.Numbers, end.Sequence) : null;

    /// <summary>Whose record it is.</summary>
    internal RunId Run => Owner.Id;

    /// <summary>What the run above it reads through to, when the walk has come down from a fork.</summary>
    internal ForkBase? Above { get; private set; }

    internal RecordHeader Header => _chain!.Header;

    internal ulong Position => _chain!.Position;

    /// <summary>Something is missing: records that are no longer kept, or all of them, without a log.</summary>
    internal bool IsTrimmed => _chain is null || _chain.IsTrimmed;

    /// <summary>The earliest record that was met.</summary>
    internal ulong Oldest => _chain?.Oldest ?? end.Sequence + 1;

    /// <param name="payload">Good until the next call.</param>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    internal bool MoveNext(out ReadOnlySpan<byte> payload)
    {
        payload = default;
        while (_chain is not null)
        {
            while (_chain.MoveNext(out payload))
            {
                if (Owner.Id == common?.Run && Header.Sequence <= common.Value.Sequence)
                    return false;
                if (Header.Type == RecordType.Transaction)
                    return true;
            }

            if (_chain.IsTrimmed || Owner.Id == common?.Run || Owner.Store.Base is not { } below || Mutant.Is("diff-forgets-the-line"))
                return false;
            RunNumbers numbers;
            lock (below.Owner.CommitLock)
                numbers = below.Owner.Numbers;
            numbers.LastPosition = Owner.Numbers.BasePosition;
            numbers.LastSequence = below.At;
            _chain.Dispose();
            (Owner, Above) = (below.Owner, below);
            _chain = new RunChain(end.Log!, Owner.Id, numbers, Math.Min(below.At, end.Sequence));
        }

        return false;
    }

    public void Dispose() => _chain?.Dispose();
}

/// <summary>A pin that is let go once.</summary>
internal sealed class PinHold(SnapshotRegistry pins, SnapshotPin pin) : IDisposable
{
    private int _isFree;

    internal ulong Sequence => pin.Sequence;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isFree, 1) == 0)
            pins.Release(pin);
    }
}
