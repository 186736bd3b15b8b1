// Replay: a run as it was, made from its records
// ----------------------------------------------
// A run is a function of its records: the one Apply over them, in order, gives its state at any of their sequences. Recovery does that
// for all runs from the newest checkpoint on; replay does it for one run up to a moment of the past, into a store that nobody else knows
// and that goes when the view is disposed of.
//
//     live run ---- numbers: position of its newest record
//                                                         |
//     log   ..| A B | A | B B C | A | B | A C | B | C C | A          records of A, found by the position that each has of the one before
//              1     2           3       4               5
//     image of a checkpoint at @3, if it is of use        ^ the view at @4: [image, or 1 2 3] and 4, applied forward; 5 is passed over
//
// P1  A view is a function of the run's records up to its sequence and of that sequence (and of a checkpoint's image, which is itself one
//     of the log, T2). It asks no clock, no chance, no culture, no address, no other run.
// P2  It has no effect: nothing is written, touched or counted as used. What it holds is a hold on the log and its own memory.
// P3  It is derived: nothing is ever read back from it into the run.
// P4  It is not kept: no file, no entry in a cache that others read. Two views of one moment are built twice.
// P5  The same moment gives the same view, bit for bit, in every process on every machine: StateHash says so.
// P6  As often as it is asked for, beside whatever is committed meanwhile.
//
// Cost: what the run wrote since it began, or since the image, and not what the log holds. Walking back reads each record once; what is
// needed again is kept in memory as far as KeptBytes go and read a second time beyond that. An image is used when the chain does not
// reach the run's beginning any more (retention), or when reading has cost ImageAfterBytes and the image has the rest.
//
// What has been given up. A record that is missing, or of which some operations are, ends the chain. With an image at or below the
// moment, the records above it are enough, and they are whole because the log above the older checkpoint always is (T3). Without one the
// moment cannot be built, and is refused as HistoryTrimmed: a state that some versions are missing of is not a state (P5).
//
// Meanwhile the log is held: contents (values above the threshold) are read by their position in it, as everywhere.
//
// A fork. Its records begin with the fork, and what it has from before is its base: the living parent at the point of the fork, which
// changes for nobody (Store/ForkBase.cs). The view reads through to it like the fork itself, and has a pin of the fork, so that the base
// stays if the fork is deleted meanwhile. So a view of a fork costs what the fork wrote, whatever its parent holds. P1 holds: the base is
// a function of the parent's records up to the point. The base of a fork at a past point is made of those records (PastRun.cs).
//
// What it does not do: no diff; no view of more than one run; nothing of a run that was deleted; nothing of a fork before it was one.

using Cairn.Checkpoints;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. A run in a store of its own, as it was right after its newest commit at or below a sequence. Reads are
/// thread-safe; dispose of it once.</summary>
internal sealed class RunReplay : IDisposable
{
    /// <summary>Chosen: records are kept while the chain is walked, so that most runs are read once.</summary>
    private const int KeptBytes = 32 << 20;

    /// <summary>Chosen: below this, reading the records is cheaper than opening the tables of an image. A record that lies far from the one
    /// before counts as <see cref="FarBytes"/> more.</summary>
    internal const long ImageAfterBytes = 4 << 20;

    /// <summary>Chosen: what a call costs beside the bytes that it copies, for sixty-four of them are about an opened image.</summary>
    internal const long FarBytes = 64 << 10;

    /// <summary>Closer than this, many records are read with one call.</summary>
    internal const ulong NearBytes = 16 << 10;

    /// <summary>Chosen: up to here a record is taken for a key that is new, and the table need not grow. More records may be about few
    /// keys.</summary>
    private const int ExpectedKeysMost = 8 << 10;

    private const int RecordsPerLook = 64;
    private const long CacheBytes = 4 << 20;

    private readonly LogHold _hold;
    private readonly Image? _image;
    private readonly SnapshotRegistry _pins = new();
    private readonly CancellationToken _cancellationToken;   // of the building
    private readonly SnapshotPin _fork;                      // of a fork: its base stays as it is

    private RunReplay(
        ReplaySource source, LogHold hold, ManifestCheckpoint? checkpoint, int records, CancellationToken cancellationToken)
    {
        _hold = hold;
        _cancellationToken = cancellationToken;
        Source = source;
        Checkpoint = checkpoint;
        LastTime = checkpoint?.CommitTime ?? 0;
        var image = new CurrentImage();
        if (checkpoint is not null)
        {
            _image = CheckpointImage.Open(source.Log.Storage, hold.Manifest, checkpoint, new BlockCache(CacheBytes), content: null);
            image.Value = _image;
        }

        _fork = source.Live.Store.Base is null ? default : source.Pins.TakeAt(source.Live.Born, source.Live.Store.RunTag);
        try
        {
            source.Live.Store.Base?.Prepare();
            if (source.Live.IsGone)
                throw new CairnException(ErrorCode.NotFound, $"Run {source.Live.Id} was deleted.");
            Catalogue = new Catalogue(_pins, new VisibleSequence(), source.Content, image, checkpoint?.Sequence ?? 0)
            {
                Limits = source.Limits,
                Bases = _ => source.Live.Store.Base!,
            };
            Catalogue.BeginLoad(Math.Min(records, ExpectedKeysMost));
            Run = Catalogue.Find(source.Live.Id) ?? Catalogue.NewState(source.Live.Id);
        }
        catch
        {
            Catalogue?.Dispose();
            CloseTables();
            source.Pins.Release(_fork);
            throw;
        }

        Sequence = Run.LastSequence;
    }

    internal ReplaySource Source { get; }

    /// <summary>Of this run alone: its record, and what else of the index of runs follows from that.</summary>
    internal Catalogue Catalogue { get; }

    internal RunState Run { get; }

    /// <summary>Of its own store: none is needed to read at <see cref="Sequence"/>.</summary>
    internal SnapshotRegistry Pins => _pins;

    /// <summary>What it is a view at.</summary>
    internal ulong Sequence { get; private set; }

    /// <summary>Commit time of the run's newest commit in the view; of the beginning of time without one.</summary>
    internal long LastTime { get; private set; }

    /// <summary>Commit time of the run's first commit behind the view, as far as one was met.</summary>
    internal long? NextTime { get; private set; }

    /// <summary>Begun with; null = with the run's first record.</summary>
    internal ManifestCheckpoint? Checkpoint { get; }

    /// <summary>Records that were read to build it.</summary>
    internal long RecordsRead { get; private set; }

    internal long BytesRead { get; private set; }

    /// <summary>Commits of the run that were applied, above the image.</summary>
    internal long Applied { get; private set; }

    internal long MemoryBytes => Run.Store.MemoryBytes + Catalogue.State.Store.MemoryBytes;

    /// <summary>Builds the run as it was at a moment.</summary>
    /// <exception cref="HistoryTrimmedException">The records that it needs are no longer kept.</exception>
    /// <exception cref="CorruptionException">A record or the image is damaged.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run had not begun.</exception>
    /// <exception cref="LimitException">It takes more memory than <see cref="Limits.ViewBytesMax"/>.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    internal static RunReplay Build(
        ReplaySource source, ReplayPoint point, ReplayBase from = ReplayBase.Nearest, CancellationToken cancellationToken = default)
    {
        var replay = Begin(source, point, from, out var walk, cancellationToken);
        try
        {
            using (walk)
            {
                replay.Load(walk, walk.Count);
                replay.End(walk);
                return replay;
            }
        }
        catch
        {
            replay.Dispose();
            throw;
        }
    }

    /// <summary>The run as it was before the first record of a walk.</summary>
    /// <param name="walk">Has the records; dispose of it.</param>
    internal static RunReplay Begin(
        ReplaySource source, ReplayPoint point, ReplayBase from, out ReplayWalk walk, CancellationToken cancellationToken = default)
    {
        var hold = source.Log.HoldAll("a view of a run");
        ReplayWalk? found = null;
        try
        {
            found = new ReplayWalk(source, hold.Manifest, point, from, KeptBytes, ImageAfterBytes);
            found.Run(cancellationToken);
            var replay = new RunReplay(source, hold, found.Checkpoint, found.Count, cancellationToken);
            walk = found;
            return replay;
        }
        catch
        {
            found?.Dispose();
            hold.Dispose();
            throw;
        }
    }

    /// <summary>Applies the first records of the walk, as recovery does: until this is over nobody reads, and only the newest version of
    /// a key is kept.</summary>
    internal void Load(ReplayWalk walk, int count)
    {
        Run.Tail = new EventTail();
        walk.Forward(0, count, Apply);
        if (!Mutant.Is("replay-forgets-its-tail"))
            EventOperations.EndTail(Run);
        Run.Tail = null;
        CheckMemory();
        Catalogue.EndLoad();
        if (!IsListed)
            Run.Store.EndLoad();
        Publish();
    }

    private void End(ReplayWalk walk)
    {
        if (Run.Born == 0 && !IsAlwaysThere(Run.Id))
        {
            throw new CairnException(
                ErrorCode.NotFound, $"Run {Run.Id} had not begun at {walk.Point}: it begins at {new Sequence(Source.Born)}.");
        }

        if (!walk.Point.IsTime)
            Sequence = walk.Point.Sequence;
        Run.Visible.Publish(Sequence);
        NextTime = walk.NextTime;
        RecordsRead = walk.RecordsRead;
        BytesRead = walk.BytesRead;
        _hold.From(Mutant.Is("replay-lets-go-of-the-log") ? ulong.MaxValue : Checkpoint is null ? walk.LowestPosition : 0);
    }

    /// <summary>Applies one record beside readers: versions that they have pinned stay.</summary>
    internal void Follow(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        CommitPath.Reserve(Run, Catalogue, Source.Operations, payload);
        Apply(header, payload, position);
        Run.Store.EndReserve();
        Catalogue.State.Store.EndReserve();
        Publish();
    }

    private void Apply(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        try
        {
            LastTime = CommitPath.Replay(Catalogue, Source.Operations, Run, header.Sequence, payload, position);
        }
        catch (MalformedPayloadException malformed)
        {
            var (path, offset, _) = Source.Log.PlaceOf(position);
            throw new CorruptionException(path, offset, new Sequence(header.Sequence), malformed.Expected);
        }

        Applied++;
        if (Applied % RecordsPerLook != 0)
            return;
        _cancellationToken.ThrowIfCancellationRequested();
        CheckMemory();
    }

    private void CheckMemory()
    {
        if (MemoryBytes > Source.Limits.ViewBytesMax)
        {
            throw new LimitException(
                nameof(Limits.ViewBytesMax), Source.Limits.ViewBytesMax, MemoryBytes, "bytes of memory for one view");
        }
    }

    private void Publish()
    {
        Sequence = Run.LastSequence;
        Run.Visible.Publish(Sequence);
    }

    // A run that has not begun is in no catalogue.
    private bool IsListed => Catalogue.Loaded.Contains(Run);

    private static bool IsAlwaysThere(RunId id) => id == RunId.Default || id == RunId.System;

    private void CloseTables()
    {
        if (_image is null)
            return;
        foreach (var table in _image.Tables)
            table.Dispose();
    }

    public void Dispose()
    {
        if (!IsListed)
            Run.Dispose();
        Catalogue.Dispose();
        CloseTables();
        Source.Pins.Release(_fork);
        _hold.Dispose();
    }
}
