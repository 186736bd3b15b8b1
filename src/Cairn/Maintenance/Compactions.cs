using Cairn.Checkpoints;
using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Store.Native;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>The compactions of one opening: one at a time, by the maintainer when there is enough to gain, or when somebody asks.
/// Thread-safe.</summary>
internal sealed class Compactions(
    CommitPath path, SnapshotRegistry pins, IStorage storage, Retention database, Func<UInt128> drawBits, long garbageBytesMin,
    Merger merger)
    : IDisposable
{
    /// <summary>More than this part must be garbage, when nobody asks (CNT-2).</summary>
    private const double GarbageShare = 0.5;

    private static readonly TimeSpan LookWhileWaiting = TimeSpan.FromMilliseconds(50);

    private readonly SemaphoreSlim _turn = new(1, 1);
    private long _done, _freed, _needed, _garbage, _ticks;
    private string _heldBy = "";
    private long _line;                                      // of the compaction that has the turn

    /// <summary>Compactions that gave something up.</summary>
    internal long Done => Volatile.Read(ref _done);

    /// <summary>Bytes of files that went, less those that came.</summary>
    internal long BytesFreed => Volatile.Read(ref _freed);

    /// <summary>As the last look found it: what is needed of the log below the older checkpoint, and of archives.</summary>
    internal long BytesNeeded => Volatile.Read(ref _needed);

    /// <summary>And what is not.</summary>
    internal long BytesGarbage => Volatile.Read(ref _garbage);

    internal TimeSpan Time => TimeSpan.FromTicks(Volatile.Read(ref _ticks));

    internal string HeldBy => Volatile.Read(ref _heldBy);

    /// <summary>From where on triggers still need the log.</summary>
    internal Func<ulong>? TriggersFrom { get; set; }

    internal SegmentedLog Log => (SegmentedLog)path.Log.Device!;

    /// <summary>Bytes of files that a compaction would look through now.</summary>
    internal long BytesInReach()
    {
        var manifest = Log.Manifest;
        var limit = Limit(manifest, out _);
        return manifest.Segments.Where(segment => !segment.IsOpen && segment.End <= limit).Sum(segment => segment.FileBytes)
            + manifest.Archives.Sum(archive => archive.FileBytes);
    }

    /// <summary>The trigger of the maintainer.</summary>
    internal CompactionTrigger Enough => new(GarbageShare, garbageBytesMin);

    /// <summary>As soon as anything is garbage.</summary>
    internal static CompactionTrigger Any => new(0, 1);

    /// <summary>Does one, step by step; while another one is under way it ends at once, and when a reader stays inside, after a while:
    /// without figures.</summary>
    /// <param name="onlyPlans">True: says what it would do.</param>
    internal IEnumerable<Step> TryRun(CompactionTrigger trigger, bool onlyPlans, Action<CompactionFigures> ended)
    {
        if (!_turn.Wait(0))
            yield break;
        try
        {
            foreach (var step in RunInTurn(trigger, onlyPlans, ended))
                yield return step;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Does one on this thread, when its turn comes.</summary>
    /// <exception cref="OperationCanceledException">Between two steps; what was published stays.</exception>
    /// <exception cref="BusyException">A reader stays inside; what was published stays.</exception>
    internal CompactionFigures Run(CompactionTrigger trigger, bool onlyPlans, Action<long>? read, CancellationToken cancellationToken)
    {
        while (!_turn.Wait(LookWhileWaiting, cancellationToken))
            path.State.ThrowIfNotWritable(onlyDeletes: true);        // then nobody ends the one that is under way
        try
        {
            // First, for a content that only a superseded version in a table refers to is not seen as garbage.
            var patience = new Patience(path.Clock, path.Limits.BusyWaitMax);
            var (replaced, written) = (merger.BytesReplaced, merger.BytesWritten);
            if (!onlyPlans)
                TryMerge(patience, read, cancellationToken);
            CompactionFigures? figures = null;
            foreach (var step in RunInTurn(trigger, onlyPlans, done => figures = done))
            {
                cancellationToken.ThrowIfCancellationRequested();
                read?.Invoke(step.Bytes);
            }

            if (figures is null)
                throw patience.Told(_line);
            if (!onlyPlans)
            {
                merger.ReleaseAll(patience, cancellationToken);
                figures.TableBytesFreed = merger.BytesReplaced - replaced - (merger.BytesWritten - written);
            }

            return figures;
        }
        finally
        {
            _turn.Release();
        }
    }

    private void TryMerge(Patience patience, Action<long>? read, CancellationToken cancellationToken)
    {
        try
        {
            merger.MergeAll(patience, read, cancellationToken);
        }
        catch (BusyException full) when (full.Code == ErrorCode.DiskFull)
        {
            // No room for a table; to give up log may make some.
        }
    }

    private IEnumerable<Step> RunInTurn(CompactionTrigger trigger, bool onlyPlans, Action<CompactionFigures> ended)
    {
        var began = path.Clock.GetTimestamp();

        // K1, of one manifest: checkpoints that come after it change nothing of what its own say is needed below its older mark.
        using var contents = LiveContents.Of(Log, storage);
        var limit = Limit(contents.Manifest, out var holder);

        // K7: a reader without a pin may still stand on a version from before the older checkpoint, and be about to read its content.
        // One that never leaves is not waited for: another compaction looks again.
        var patience = new Patience(path.Clock, path.Limits.BusyWaitMax);
        patience.Begin();
        for (_line = Epoch.Advance(); !Epoch.HasPassed(_line) && !Mutant.Is("compaction-overtakes-readers");)
        {
            if (patience.IsOver)
            {
                Volatile.Write(ref _heldBy, Epoch.HolderOf(_line));
                yield break;
            }

            Failpoint.Wait("compaction.wait-for-readers");
            Thread.Yield();
            yield return default;
        }

        var forecast = 0L;
        if (onlyPlans)
        {
            var steps = 0;
            forecast = merger.Forecast(contents.TablesOfOlder, () => steps++);
            yield return default;
        }

        var compaction = new LogCompaction(path, pins, Log, storage, database, drawBits, contents.In);
        foreach (var step in compaction.Run(limit, trigger, onlyPlans))
            yield return step;
        var figures = compaction.Figures;
        figures.HeldBy = holder;
        figures.TableBytesFreed = forecast;
        Volatile.Write(ref _heldBy, holder);
        var gone = onlyPlans ? 0 : figures.BytesDropped - figures.BytesWritten;
        Volatile.Write(ref _needed, figures.BytesNeeded);
        Volatile.Write(ref _garbage, Math.Max(0, figures.BytesSeen - figures.BytesNeeded - gone));
        if (!onlyPlans && figures.BytesDropped > 0)
        {
            Interlocked.Increment(ref _done);
            Interlocked.Add(ref _freed, gone);
            var time = path.Clock.GetElapsedTime(began);
            Interlocked.Add(ref _ticks, time.Ticks);
            path.Log.Counters.Events.Raise(
                SystemEvents.Compaction,
                ("bytes_dropped", figures.BytesDropped), ("bytes_written", figures.BytesWritten), ("bytes_needed", figures.BytesNeeded),
                ("ms", (long)time.TotalMilliseconds));
        }

        ended(figures);
    }

    private ulong Limit(Manifest manifest, out string holder)
    {
        var oldest = pins.Count(out var sequence) == 0 ? (ulong?)null : sequence;
        var limit = LogNeeds.Limit(manifest.Checkpoints, oldest, Log.FirstPosition, out holder);
        if (Log.HeldFrom is var held && held < limit)
            (limit, holder) = (held, "a view of a run or a verification that reads the log");
        if (TriggersFrom?.Invoke() is { } needed && needed < limit && !Mutant.Is("triggers-hold-nothing"))
            (limit, holder) = (needed, "a trigger that has not looked at it");
        return limit;
    }

    public void Dispose() => _turn.Dispose();
}

/// <summary>Compacts when there may be enough to gain: what is in reach has grown by half, and by the least that is worth it, since the
/// last look; or a while has passed, because what a policy by time keeps becomes less by itself.</summary>
internal sealed class CompactionJob(Compactions compactions, EngineState state, TimeProvider clock, long garbageBytesMin)
    : MaintenanceJob("compaction"), IDisposable
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromHours(1);

    /// <summary>Steps of a compaction that are done at once: so long, and not much longer.</summary>
    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(20);

    private IEnumerator<Step>? _running;
    private ulong _manifest;
    private long _seen;
    private long _left;
    private long _looked;

    /// <summary>Bytes that the compaction under way has to look through still.</summary>
    internal override long Backlog => Volatile.Read(ref _left);

    internal override long Capacity => 1 << 30;

    // Nothing comes into reach but by a manifest.
    internal override bool HasWorkInSight => Volatile.Read(ref _running) is not null || compactions.Log.Manifest.Number != _manifest;

    internal override TimeSpan? DueIn =>
        Volatile.Read(ref _looked) is not 0 and var looked ? LookAgain - clock.GetElapsedTime(looked) : null;

    internal override bool Step()
    {
        if (_running is null)
        {
            if (!IsDue())
                return false;
            _left = _seen;
            _seen = 0;                                       // if it does not come to its end, the next manifest is reason enough
            _running = compactions.TryRun(compactions.Enough, onlyPlans: false, _ => _seen = compactions.BytesInReach()).GetEnumerator();
        }

        try
        {
            var began = clock.GetTimestamp();
            while (_running.MoveNext())
            {
                Did(1);
                _left = Math.Max(1, _left - _running.Current.Bytes);
                if (Stopping.IsCancellationRequested || clock.GetElapsedTime(began) >= Turn)
                    return true;
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        Dispose();
        return false;
    }

    private bool IsDue()
    {
        var manifest = compactions.Log.Manifest.Number;
        var isLate = _looked != 0 && clock.GetElapsedTime(_looked) >= LookAgain;
        if (state.IsDiskFull || (manifest == _manifest && !isLate))
            return false;
        _manifest = manifest;
        var bytes = compactions.BytesInReach();
        if (isLate)
            Volatile.Write(ref _looked, clock.GetTimestamp());
        if (bytes < garbageBytesMin || (!isLate && bytes < _seen + Math.Max(garbageBytesMin, _seen / 2)))
            return false;
        Volatile.Write(ref _looked, clock.GetTimestamp());
        _seen = bytes;
        return true;
    }

    /// <summary>Ends what is under way: what was published stays, the rest leaves nothing.</summary>
    public void Dispose()
    {
        _running?.Dispose();
        _running = null;
        _left = 0;
    }
}
