// Compaction of the log
// ---------------------
// What lies below the older of the two kept checkpoints is no longer needed to open the database. Of it, two things are still needed:
// records that history answers from (HistoryNeeds.cs, as the policies of the runs say), and contents that the image refers to. The rest is
// garbage. When there is enough of it, what is needed is copied into an archive and the segments go; archives in which there is enough
// garbage are written again, smaller, and neighbours as one: each compaction leaves an archive, and garbage that is little in each of them
// is much in all.
//
//      log       |..seg 1..|..seg 2..|..seg 3..|..seg 4..| seg 5 M1 ..... M2 ...     M1, M2: marks of the two checkpoints
//                 \______ may go, if nothing holds it __/   ^ never touched
//
//   plan      each segment below the limit, each archive: read, and what is needed of it counted      reads only
//   choose    the longest front of the segments of which enough is garbage; archives of which enough is
//   copy      segments in order, some into one archive: until it has 64 MiB or a million entries       a .part
//   finish    sync, read back and verify, name                                                         archives/
//   sync      the log: what the plan saw as visible cannot be undone any more
//   publish   one manifest with the archive and without its segments, then unlink                      repeated for each archive
//
//  K1  The limit is a pure function (LogNeeds.Limit): the older checkpoint's mark, and nothing while a snapshot older than that checkpoint
//      is open, since what it sees may be a content that neither the image nor the log above the mark refers to.
//  K2  A crash at any step leaves the old placement or the new one, complete: the archive and the absence of its segments are one manifest.
//  K3  Readers are not stopped. They hold handles; who comes by position finds the archive before the segment is gone (SegmentedLog, 8).
//  K4  What is read is checked before it is copied, and the copy is read back before it is published. Damage ends the compaction and
//      changes nothing.
//  K5  Nothing goes by arithmetic: a content stays because a table of a kept checkpoint names it, whatever counters say.
//  K6  Policies are looked at once, when a compaction begins. A fork of a past point that came meanwhile needs records that were not asked
//      for: then nothing is published, and the next compaction looks again.
//  K7  Before anything is planned every reader that was inside has left: whoever comes later finds as the newest version of a key one that
//      the older checkpoint has too, or one above its mark.
//
// In steps of about a megabyte, so that one thread can do this beside its other work.

using Cairn.Content;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>When a compaction does something.</summary>
/// <param name="GarbageShare">More than this part of what would be written again or dropped is garbage; 0 to 1.</param>
/// <param name="GarbageBytesMin">And so many bytes are.</param>
internal readonly record struct CompactionTrigger(double GarbageShare, long GarbageBytesMin);

/// <summary>Figures of one compaction, or of what it would do.</summary>
internal sealed class CompactionFigures
{
    /// <summary>Of segments below the limit and of archives, as files.</summary>
    internal long BytesSeen { get; set; }

    /// <summary>What is needed of them.</summary>
    internal long BytesNeeded { get; set; }

    internal long SegmentsDropped { get; set; }

    internal long ArchivesWritten { get; set; }

    internal long ArchivesReplaced { get; set; }

    /// <summary>Files that went, or would go.</summary>
    internal long BytesDropped { get; set; }

    /// <summary>Archives that came, or would come: about.</summary>
    internal long BytesWritten { get; set; }

    /// <summary>Bytes of tables that merging gave back, or would, about.</summary>
    internal long TableBytesFreed { get; set; }

    /// <summary>Why the log cannot be given up further; empty = it can.</summary>
    internal string HeldBy { get; set; } = "";
}

/// <summary>See the essay above. One at a time; the caller sees to that.</summary>
internal sealed class LogCompaction(
    CommitPath path, SnapshotRegistry pins, SegmentedLog log, IStorage storage, Retention database, Func<UInt128> drawBits,
    Func<ulong, ulong, IEnumerable<LogExtent>> contents)
{
    /// <summary>An archive ends at the segment that brings it to so much. Chosen: as a full segment.</summary>
    internal const long ArchiveBytes = 64 << 20;

    /// <summary>Or to so many entries, which its writer keeps in memory.</summary>
    internal const int ArchiveEntries = 1 << 20;

    /// <summary>An archive of so much is written again with its neighbours although nothing of it is garbage.</summary>
    private const int TakenAlongBytes = 4 << 10;

    internal CompactionFigures Figures { get; } = new();

    private Func<bool>? _isStillRight;                       // K6, but for forks of past points: what they need was not asked for

    /// <summary>Memory for counting versions.</summary>
    internal long RanksBytesMax { get; init; } = HistoryNeeds.RanksBytesMax;

    /// <summary>Does it, a step at a time.</summary>
    /// <param name="limit">From <see cref="LogNeeds.Limit"/>.</param>
    /// <param name="onlyPlans">True: says what it would do.</param>
    /// <exception cref="CorruptionException">K4.</exception>
    internal IEnumerable<Step> Run(ulong limit, CompactionTrigger trigger, bool onlyPlans)
    {
        var pastForks = path.Catalogue.PastForks;
        _isStillRight = () => path.Catalogue.PastForks == pastForks || Mutant.Is("compaction-overlooks-new-past-forks");
        using var needs = new HistoryNeeds(path, pins, log, database, RanksBytesMax);
        var sieve = new LogSieve(needs, contents);

        // In the order of the log: what stays as it is below decides what a deletion above has to cover.
        var archives = new List<Archive>();
        var parts = new List<Part>();
        foreach (var archive in Archives())
        {
            var count = new Count();
            foreach (var step in Held(archive, sieve, count))
                yield return step;
            var part = new Part(archive.Named.FileBytes, ArchiveFormat.FileBytes(count.Bytes), count.Entries);
            Figures.BytesSeen += part.Bytes;
            Figures.BytesNeeded += part.Needed;
            archives.Add(archive);
            parts.Add(part);
            if (count.LosesAny && !IsWorth(part.Bytes, part.Needed, trigger))
                sieve.Stale.Add(archive);                    // what is counted above it covers it; taken back if it goes with others
        }

        var groups = GroupsOf(parts, trigger);
        foreach (var (first, count) in groups)
            sieve.Stale.RemoveAll(archives.GetRange(first, count).Contains);

        var segments = new List<Part>();
        foreach (var (named, file) in log.SegmentsBelow(limit))
        {
            var count = new Count();
            foreach (var step in sieve.Sieve(named, file, SaltOf(file), count))
                yield return step;
            segments.Add(new Part(named.FileBytes, count.Bytes, count.Entries));
        }

        Figures.BytesSeen += segments.Sum(part => part.Bytes);
        Figures.BytesNeeded += segments.Sum(part => part.Needed);
        var front = FrontOf(segments, trigger);
        if (onlyPlans)
        {
            Figures.SegmentsDropped = front;
            var replaced = groups.SelectMany(group => parts.GetRange(group.First, group.Count)).ToList();
            Figures.ArchivesReplaced = replaced.Count;
            Figures.BytesDropped = segments.Take(front).Sum(part => part.Bytes) + replaced.Sum(part => part.Bytes);
            Figures.BytesWritten = segments.Take(front).Sum(part => part.Needed) + replaced.Sum(part => part.Needed);
            yield break;
        }

        foreach (var (first, count) in groups)
        {
            foreach (var step in WriteAgain(archives.GetRange(first, count), sieve, needs))
                yield return step;
        }

        if (front > 0)
        {
            foreach (var step in GiveUp(log.SegmentsBelow(limit).Take(front).ToList(), sieve, needs))
                yield return step;
        }
    }

    private IReadOnlyList<Archive> Archives() => (log.Archive as ArchiveSet)?.Archives ?? [];

    // The longest front of the log of which enough is garbage.
    private static int FrontOf(List<Part> segments, CompactionTrigger trigger)
    {
        var (front, bytes, needed) = (0, 0L, 0L);
        for (var i = 0; i < segments.Count; i++)
        {
            bytes += segments[i].Bytes;
            needed += segments[i].Needed;
            if (segments[i].Needed < segments[i].Bytes && IsWorth(bytes, needed, trigger))
                front = i + 1;
        }

        return front;
    }

    // Neighbouring archives that are worth writing again as one, each group the longest from where it begins. One without garbage is taken
    // along only if it costs little: it is small, or the garbage beside it is more.
    private static List<(int First, int Count)> GroupsOf(List<Part> archives, CompactionTrigger trigger)
    {
        var groups = new List<(int, int)>();
        for (var first = 0; first < archives.Count; first++)
        {
            var (bytes, needed, entries, count) = (0L, 0L, 0L, 0);
            for (var i = first; i < archives.Count; i++)
            {
                var part = archives[i];
                if (i > first && (needed + part.Needed > ArchiveBytes || entries + part.Entries > ArchiveEntries
                    || (part.Needed >= part.Bytes && part.Bytes > Math.Max(TakenAlongBytes, bytes - needed))
                    || Mutant.Is("archives-never-joined")))
                    break;
                bytes += part.Bytes;
                needed += part.Needed;
                entries += part.Entries;
                if (part.Needed < part.Bytes && IsWorth(bytes, needed, trigger))
                    count = i - first + 1;
            }

            if (count == 0)
                continue;
            groups.Add((first, count));
            first += count - 1;
        }

        return groups;
    }

    private static bool IsWorth(long bytes, long needed, CompactionTrigger trigger) =>
        bytes - needed >= trigger.GarbageBytesMin && bytes - needed > trigger.GarbageShare * bytes;

    private IEnumerable<Step> GiveUp(List<(ManifestSegment Named, SegmentFile File)> segments, LogSieve sieve, HistoryNeeds needs)
    {
        for (var next = 0; next < segments.Count;)
        {
            var first = next;
            using var copy = new Copy(NewWriter, Fail);
            for (; next < segments.Count && (next == first || !copy.IsFull); next++)
            {
                foreach (var step in sieve.Sieve(segments[next].Named, segments[next].File, SaltOf(segments[next].File), copy))
                    yield return step;
            }

            var end = segments[next - 1].Named.End;
            foreach (var step in copy.Finish(needs, segments[first].Named.BasePosition, end))
                yield return step;
            path.Log.Sync();
            Failpoint.Hit("compaction.synced-before-published");
            if (!TryPublish(end, copy.Named is { } named ? [.. log.Manifest.Archives, named] : log.Manifest.Archives, copy.Named))
                yield break;
            Figures.SegmentsDropped += next - first;
            Figures.BytesDropped += segments.Skip(first).Take(next - first).Sum(segment => segment.Named.FileBytes);
        }
    }

    private IEnumerable<Step> WriteAgain(List<Archive> neighbours, LogSieve sieve, HistoryNeeds needs)
    {
        using var copy = new Copy(NewWriter, Fail);
        foreach (var archive in neighbours)
        {
            copy.BeginArchive();
            foreach (var step in Held(archive, sieve, copy))
                yield return step;
        }

        foreach (var step in copy.Finish(needs, neighbours[0].FirstPosition, neighbours[^1].EndPosition))
            yield return step;
        path.Log.Sync();
        var rest = log.Manifest.Archives.Where(named => !neighbours.Exists(archive => archive.Named == named));
        if (!TryPublish(log.FirstPosition, copy.Named is { } smaller ? [.. rest, smaller] : [.. rest], copy.Named))
            yield break;
        Figures.ArchivesReplaced += neighbours.Count;
        Figures.BytesDropped += neighbours.Sum(archive => archive.Named.FileBytes);
    }

    // False: somebody has begun to read the log from its beginning, or to need more of it. The archive has a name that no manifest says,
    // and goes.
    private bool TryPublish(ulong upTo, IReadOnlyList<ManifestArchive> archives, ManifestArchive? written)
    {
        try
        {
            if (!log.GiveUp(upTo, archives, _isStillRight))
            {
                Discard(written);
                return false;
            }
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            Discard(written);                                // no manifest says it, and the one of before counts
            throw;
        }
        catch (Exception failure) when (failure is StorageException or DatabaseFailedException)
        {
            path.State.Fail(failure);
            throw;
        }

        if (written is { } named)
        {
            Figures.ArchivesWritten++;
            Figures.BytesWritten += named.FileBytes;
        }

        return true;
    }

    private void Discard(ManifestArchive? written)
    {
        if (written is not { } unused)
            return;
        try
        {
            storage.Unlink(LogNames.ArchivePath(unused.Number));
        }
        catch (StorageException)
        {
            // No manifest says it: it goes at the next opening, and the next archive gets another number.
        }
    }

    private static IEnumerable<Step> Held(Archive archive, LogSieve sieve, ISieved target)
    {
        if (!archive.TryPin())
            throw new InvariantException("an archive is replaced by compaction alone");
        try
        {
            foreach (var step in sieve.Sieve(archive, target))
                yield return step;
        }
        finally
        {
            archive.Unpin();
        }
    }

    private void Fail(Exception failure) => path.State.Fail(failure);

    private ArchiveWriter NewWriter()
    {
        var number = log.Manifest.NextArchive;
        while (storage.Exists(LogNames.ArchivePath(number)))
            number++;
        return new ArchiveWriter(storage, number, log.DatabaseId, drawBits());
    }

    private static UInt128 SaltOf(SegmentFile segment) => System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(segment.Salt);

    /// <summary>A file, how much of it is needed, and how many entries of an archive that is.</summary>
    private readonly record struct Part(long Bytes, long Needed, long Entries);

    /// <summary>Counts what a sieve leaves.</summary>
    private sealed class Count : ISieved
    {
        private ulong _end = ulong.MaxValue;

        internal long Bytes { get; private set; }

        internal long Entries { get; private set; }

        /// <summary>Something that was kept until now is not needed.</summary>
        internal bool LosesAny { get; private set; }

        public void Begin(in ArchiveSource source) => Bytes += ArchiveSource.Size;

        public void Keep(ulong position, ReadOnlySpan<byte> bytes)
        {
            Bytes += bytes.Length + (position == _end ? 0 : ArchivePiece.Size);
            Entries += position == _end ? 0 : 1;
            _end = position + (ulong)bytes.Length;
        }

        public void KeepRecord(RunId run, ulong position, KeptOperations kept)
        {
            Bytes += ArchivedRecord.Size + kept.Bytes.Length;
            Entries++;
        }

        public void Meet(RunId run, ulong previous)
        {
        }

        public void Lose(RunId run) => LosesAny = true;

        public void MeetFloor(in ArchiveFloor floor) => Bytes += ArchiveFloor.Size;
    }

    /// <summary>Writes what a sieve leaves into an archive. There is one only if something is left, or some run's history goes on
    /// below.</summary>
    /// <param name="fail">A write or a sync that failed ends writing (5.5), but for a full disk: then the <c>.part</c> goes.</param>
    private sealed class Copy(Func<ArchiveWriter> create, Action<Exception> fail) : ISieved, IDisposable
    {
        private readonly Dictionary<RunId, (ulong Below, int Archive)> _below = [];     // of runs that were met: their record before the
                                                                                        // first one here, and where that is
        private readonly Dictionary<RunId, ArchiveFloor> _floors = [];
        private readonly HashSet<RunId> _lost = [];
        private readonly List<ArchiveSource> _sources = [];         // begun, and nothing kept yet
        private ArchiveWriter? _writer;
        private int _archive;

        internal bool IsFull => _writer is { } writer && (writer.DataBytes >= ArchiveBytes || writer.Entries >= ArchiveEntries);

        /// <summary>Null when none was needed.</summary>
        internal ManifestArchive? Named { get; private set; }

        public void Begin(in ArchiveSource source)
        {
            _sources.Clear();
            _sources.Add(source);
        }

        public void Keep(ulong position, ReadOnlySpan<byte> bytes)
        {
            try
            {
                _writer ??= create();
                if (_sources.Count > 0)
                    _writer.BeginSource(_sources[0]);
                _sources.Clear();
                _writer.Add(position, bytes);
            }
            catch (StorageException failure) when (IsFinal(failure))
            {
                fail(failure);
                throw;
            }
        }

        public void KeepRecord(RunId run, ulong position, KeptOperations kept)
        {
            try
            {
                _writer ??= create();
            }
            catch (StorageException failure) when (IsFinal(failure))
            {
                fail(failure);
                throw;
            }

            _writer.AddRecord(run, position, kept);
        }

        private bool IsFinal(StorageException failure) => failure.Error != StorageError.NoSpace || _writer is { IsPublishing: true };

        /// <summary>What follows is of the next archive of some that become one, in the order of the log.</summary>
        internal void BeginArchive() => _archive++;

        public void Meet(RunId run, ulong previous) => _below.TryAdd(run, (previous, _archive));

        public void Lose(RunId run) => _lost.Add(run);

        // Of two archives that become one the run goes on below the lower one. Whoever walks through both asks the floors of both.
        public void MeetFloor(in ArchiveFloor floor)
        {
            if (_floors.TryGetValue(floor.Run, out var lower))
                _floors[floor.Run] = new ArchiveFloor(floor.Run, lower.Since.And(floor.Since), lower.Below);
            else if (_below.TryGetValue(floor.Run, out var met) && met.Archive < _archive)
                _floors[floor.Run] = floor with { Below = met.Below };
            else
                _floors[floor.Run] = floor;
        }

        internal IEnumerable<Step> Finish(HistoryNeeds needs, ulong first, ulong end)
        {
            foreach (var run in _lost)
            {
                // With a floor of before, something had been left out already: what is kept now answers from the later one on.
                var before = _floors.TryGetValue(run, out var floor) ? floor : (ArchiveFloor?)null;
                if (needs.FloorOf(run) is not { } since)
                    _floors.Remove(run);
                else
                    _floors[run] = new ArchiveFloor(run, before?.Since.And(since) ?? since, before?.Below ?? _below[run].Below);
                yield return default;
            }

            if (_writer is null && _floors.Count == 0)
                yield break;
            _writer ??= create();
            foreach (var floor in _floors.Values)
                _writer.AddFloor(floor);
            using (var steps = _writer.Finish(first, end).GetEnumerator())
            {
                while (Next(steps))
                    yield return steps.Current;
            }

            Named = _writer.Named;
        }

        private bool Next(IEnumerator<Step> steps)
        {
            try
            {
                return steps.MoveNext();
            }
            catch (StorageException failure) when (IsFinal(failure))
            {
                fail(failure);
                throw;
            }
        }

        public void Dispose() => _writer?.Dispose();
    }
}
