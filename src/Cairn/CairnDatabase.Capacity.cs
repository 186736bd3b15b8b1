using Cairn.Log;
using Cairn.Replay;
using Cairn.Store;

namespace Cairn;

// How far limits are used, and who keeps the past: for who looks after a database before something ends.
public sealed partial class CairnDatabase
{
    /// <summary>How far each limit is used, and who keeps the past from being given up, since when, and how much it is. Of runs those
    /// that are loaded are looked at. Costs the reading of a segment while something is pinned.</summary>
    /// <exception cref="CorruptionException">A record on the way is damaged.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.Io"/>: the system refused.</exception>
    public CapacityReport Capacity()
    {
        _engine.Path.ThrowIfNotReadable();
        var runs = _engine.Catalogue.Loaded;
        return new CapacityReport
        {
            Limits = [.. DatabaseLimits().Concat(RunLimits(runs)).OrderByDescending(limit => limit.Share)],
            Holds = [.. Holds().OrderBy(hold => hold.Sequence)],
            RunsExamined = runs.Count,
        };
    }

    private IEnumerable<CapacityLimit> DatabaseLimits()
    {
        var metrics = Metrics;
        if (metrics.MemoryBudgetBytes > 0)
        {
            yield return new("memory", null, metrics.MemoryUsedBytes, metrics.MemoryBudgetBytes, "bytes",
                $"From {MemoryBudget.FullPercent} % on commits wait. Raise CairnOptions.MemoryBudgetBytes, or hold fewer snapshots.");
        }

        yield return new("cursors", null, metrics.OpenCursors, _engine.Limits.CursorsMax, "cursors",
            "Read pages to their end, or raise Limits.CursorsMax.");
        yield return new("queued commits", null, metrics.QueuedCommits, _engine.Limits.QueuedCommitsMax, "commits",
            "The disk is slower than the writers: commits wait, and are then refused as Busy.");
        if (_engine.Path.Log.Device is not SegmentedLog log)
            yield break;
        var manifest = log.Manifest;
        yield return new("segments", null, manifest.Segments.Count, Manifest.SegmentsMax, "files",
            "Compact under a policy that lets log go, or open with larger segments: CairnOptions.SegmentBytesMax.");
        yield return new("tables", null, manifest.Tables.Count, Manifest.TablesMax, "files", "Compact: that merges them.");
        yield return new("archives", null, manifest.Archives.Count, Manifest.ArchivesMax, "files",
            "Compact under a policy that keeps less: that writes neighbours as one.");
        yield return new("segment numbers", null, manifest.Segments[^1].Number, uint.MaxValue, "numbers",
            "Export the runs and import them into a new database.");
        yield return new("table numbers", null, manifest.NextTable, uint.MaxValue, "numbers",
            "Export the runs and import them into a new database.");

        // The same as DiskSpace decides by: full when this is all there is.
        var space = log.Space();
        var needed = space.Reserve + Math.Max(0, space.Reserve - space.Held);
        yield return new("disk", null, needed, Math.Max(1, space.Free), "bytes",
            "Free some: when no more is free than the reserve needs, writes are refused and only deletions go on.");
    }

    private IEnumerable<CapacityLimit> RunLimits(ICollection<RunState> runs)
    {
        var limits = _engine.Limits;
        yield return Most(runs, "subscriptions", limits.SubscriptionsMax, "Drop some, or raise Limits.SubscriptionsMax.",
            run => CountOf(run, StoreKeys.Subscription));
        yield return Most(runs, "triggers", limits.TriggersMax, "Drop some, or raise Limits.TriggersMax.",
            run => CountOf(run, StoreKeys.Trigger));
        yield return Most(runs, "indexes", limits.IndexesMax, "Drop some, or raise Limits.IndexesMax.",
            run => CountOf(run, StoreKeys.Index));
        yield return Most(runs, "idempotency keys", limits.IdempotencyKeysMax,
            "Let them expire sooner (Limits.IdempotencyKeyLife), or raise Limits.IdempotencyKeysMax.",
            run => CountOf(run, StoreKeys.Idempotency));
        yield return Most(runs, "levels of forks", limits.ForkDepthMax, "Export the run and import it, or raise Limits.ForkDepthMax.",
            run => run.Store.Base?.Depth ?? 0);
    }

    private static CapacityLimit Most(
        ICollection<RunState> runs, string name, long allowed, string remedy, Func<RunState, long> count)
    {
        var most = runs.Select(run => (run.Id, Count: count(run))).DefaultIfEmpty().MaxBy(run => run.Count);
        return new CapacityLimit(name, most.Count == 0 ? null : most.Id, most.Count, allowed, name, remedy);
    }

    private static long CountOf(RunState run, byte family)
    {
        using var reader = run.Store.Read();
        return reader.Count(family, ulong.MaxValue);
    }

    private IEnumerable<PastHold> Holds()
    {
        var now = _engine.Clock.GetUtcNow();
        var pins = _engine.Pins.Count(out var pinned);
        var log = _engine.Path.Log.Device as SegmentedLog;
        if (pins > 0)
        {
            var since = log is not null && pinned < Sequence.Value ? TimeOf(log, pinned + 1) : null;
            yield return new(
                pins == 1 ? "a snapshot, transaction or cursor" : $"the oldest of {pins} snapshots, transactions and cursors",
                new Sequence(pinned), since, now - since, log is null ? 0 : KeptBelow(log, pinned));
        }

        if (_engine.OldestTransaction is { } oldest)
        {
            yield return new(
                $"the oldest of {_engine.OpenTransactions} open transaction(s)", new Sequence(oldest.Sequence), now - oldest.Age,
                oldest.Age, log is null ? 0 : KeptBelow(log, oldest.Sequence));
        }

        if (log is null)
            yield break;
        var (holds, captures) = log.Holders();
        foreach (var hold in holds)
        {
            var first = hold.Position <= log.FirstPosition ? 0 : log.SegmentAt(hold.Position).FirstSequence;
            yield return At(hold.Holder, first, hold.Began, now, KeptFrom(log, hold.Position));
        }

        foreach (var capture in captures)
            yield return At(capture.Holder, capture.Manifest.LastSequence, capture.Began, now, OnlyIn(capture.Manifest, log.Manifest));
        if (_engine.Compactions?.TriggersFrom?.Invoke() is { } needed && needed < log.AppendedPosition)
        {
            var first = log.SegmentAt(Math.Max(needed, log.FirstPosition)).FirstSequence;
            var time = TimeOf(log, first);
            yield return new("a trigger that has not looked at it", new Sequence(first), time, now - time, KeptFrom(log, needed));
        }

        if (log.Manifest.Checkpoints is [var older, ..])
        {
            yield return At(
                "the older checkpoint", older.Sequence, older.CommitTime, now, (long)(log.AppendedPosition - older.MarkPosition));
        }
    }

    private static PastHold At(string holder, ulong sequence, long since, DateTimeOffset now, long kept)
    {
        var time = CommitClock.Time(since);
        return new(holder, new Sequence(sequence), time, now - time, kept);
    }

    private static DateTimeOffset? TimeOf(SegmentedLog log, ulong sequence)
    {
        using var commits = new CommitSearch(log);
        return commits.TryFind(sequence, out _, out var payload, out _)
            ? CommitClock.Time(TransactionPayload.ReadCommitTime(payload))
            : null;
    }

    // As LogNeeds decides: a pin from before the older checkpoint keeps all of the log.
    private static long KeptBelow(SegmentedLog log, ulong pinned) =>
        log.Manifest.Checkpoints is [var older, _, ..] && pinned < older.Sequence ? KeptFrom(log, 0) : 0;

    private static long KeptFrom(SegmentedLog log, ulong position)
    {
        if (log.Manifest.Checkpoints is not [var older, _, ..])
            return 0;
        var from = Math.Max(position, log.FirstPosition);
        return older.MarkPosition > from ? (long)(older.MarkPosition - from) : 0;
    }

    private static long OnlyIn(Manifest held, Manifest now) =>
        held.Segments.Where(segment => !now.Segments.Any(other => other.Number == segment.Number)).Sum(segment => segment.FileBytes)
        + held.Tables.Where(table => !now.Tables.Any(other => other.Number == table.Number)).Sum(table => table.FileBytes)
        + held.Archives.Where(archive => !now.Archives.Any(other => other.Number == archive.Number)).Sum(archive => archive.FileBytes);
}
