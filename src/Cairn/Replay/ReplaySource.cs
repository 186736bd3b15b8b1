using Cairn.Content;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>What a run is replayed from: its log, and the run itself for where its records begin.</summary>
internal sealed record ReplaySource(
    SegmentedLog Log, LogWriter Writer, RunState Live, OperationTable Operations, ContentStore Content, Limits Limits)
{
    /// <summary>Sequence that began the run; 0 = it was always there.</summary>
    internal ulong Born => Live.Born;

    /// <summary>Of the living runs: while a fork has a pin, what it reads through to stays, whatever becomes of the fork.</summary>
    internal required SnapshotRegistry Pins { get; init; }
}

/// <summary>The moment of a view: all commits up to a sequence and up to a time, whichever comes first.</summary>
/// <param name="Sequence">The highest there is: only the time counts.</param>
/// <param name="Time">Commit time, microseconds since 1970; the highest there is: only the sequence counts.</param>
internal readonly record struct ReplayPoint(ulong Sequence, long Time)
{
    internal static ReplayPoint At(ulong sequence) => new(sequence, long.MaxValue);

    internal static ReplayPoint AtTime(long time) => new(ulong.MaxValue, time);

    internal bool IsTime => Sequence == ulong.MaxValue;

    internal bool Covers(ulong sequence, long time) => sequence <= Sequence && time <= Time;

    public override string ToString() => IsTime ? $"{CommitClock.Time(Time):O}" : $"@{Sequence}";
}

/// <summary>Where a replay begins.</summary>
internal enum ReplayBase
{
    /// <summary>Wherever it is cheaper: the run's first record, or the image of a checkpoint.</summary>
    Nearest,

    /// <summary>The run's first record, or not at all.</summary>
    Beginning,

    /// <summary>The image of the newest checkpoint that is not behind the moment, if there is one.</summary>
    Image,
}

/// <summary>Takes a record; what it is given is good for the call. Of the header, sequence and length are told.</summary>
internal delegate void RecordVisitor(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position);

/// <summary>The commit time of a sequence, for views between two commits of their run.</summary>
internal static class CommitTimes
{
    /// <summary>Exact where the run itself committed or the record of that commit is kept. Where it is not, the time of the run's commit
    /// before does as well, unless something of the run expired between that and its next commit.</summary>
    /// <exception cref="HistoryTrimmedException">Something did.</exception>
    /// <exception cref="CorruptionException">A record on the way is damaged.</exception>
    internal static long Of(RunReplay view)
    {
        if (view.Sequence == view.Run.LastSequence || view.Sequence == view.Checkpoint?.Sequence || view.Sequence == 0)
            return view.LastTime;
        using var search = new CommitSearch(view.Source.Log);
        if (search.TryFind(view.Sequence, out _, out var payload, out _))
            return TransactionPayload.ReadCommitTime(payload);
        Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> to = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        using var reader = view.Run.Store.Read();
        var expiries = reader.Scan(
            StoreKeys.Expiry(from, Math.Max(0, view.LastTime) + 1, default),
            view.NextTime is { } next ? StoreKeys.Expiry(to, next + 1, default) : [StoreKeys.ExpiryFamily + 1], view.Sequence);
        return expiries.MoveNext()
            ? throw new HistoryTrimmedException(new Sequence(view.Sequence), new Sequence(search.EarliestInLog))
            : view.LastTime;
    }
}
