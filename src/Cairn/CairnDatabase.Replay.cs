using Cairn.Log;
using Cairn.Replay;

namespace Cairn;

// The past of the database: its commits, and its runs as they were.
public sealed partial class CairnDatabase
{
    /// <summary>The commit of a sequence: when, in which runs, what it did, and who and what caused it. Costs a read of the segment that
    /// holds it, up to there.</summary>
    /// <exception cref="HistoryTrimmedException">It is no longer kept; in memory without a policy that keeps the past, none is.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: it is not there yet, or is
    /// <see cref="Sequence.None"/>; <see cref="ErrorCode.NotFound"/>: no commit has this sequence, which a salvaged database may
    /// have.</exception>
    public CommittedTransaction TransactionAt(Sequence sequence)
    {
        _engine.Path.ThrowIfNotReadable();
        if (sequence == Sequence.None)
            throw new CairnException(ErrorCode.InvalidArgument, "The first commit has sequence 1. Ask for 1 or a later one.");
        if (sequence > Sequence)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {sequence} is not there yet: the last one that can be asked for is {Sequence}.");
        }

        if (_engine.Path.Log.Device is not SegmentedLog log)
            throw new HistoryTrimmedException(sequence, new Sequence(Sequence.Value + 1));
        using var commits = new CommitSearch(log);
        if (commits.TryFind(sequence.Value, out var header, out var payload, out var position))
            return CommittedTransaction.Of(log, Operations, header, payload, position);
        return commits.EarliestInLog > sequence.Value
            ? throw new HistoryTrimmedException(sequence, new Sequence(commits.EarliestInLog))
            : throw new CairnException(ErrorCode.NotFound, $"No commit has the sequence {sequence}.");
    }

    /// <summary>Makes a run anew from its records: as it was at its end, or, while it is open, as it is now.</summary>
    /// <inheritdoc cref="Run.At(Sequence)"/>
    public RunView Replay(RunId run) => RunView.Now(_engine, _engine.Find(run));

    /// <summary>Makes a run anew from its records, as it was right after a commit.</summary>
    /// <inheritdoc cref="Run.At(Sequence)"/>
    public RunView Replay(RunId run, Sequence until) => RunView.At(_engine, _engine.Find(run), until);
}
