using Cairn.Content;
using Cairn.Log;
using Cairn.Primitives;

namespace Cairn.Maintenance;

/// <summary>What a sieve leaves, in the order of the log.</summary>
internal interface ISieved
{
    /// <summary>What follows lies in this segment.</summary>
    void Begin(in ArchiveSource source);

    /// <summary>These bytes are needed.</summary>
    void Keep(ulong position, ReadOnlySpan<byte> bytes);

    /// <summary>The bytes kept at a position hold a record of which these operations are needed for a run.</summary>
    void KeepRecord(RunId run, ulong position, KeptOperations kept);

    /// <summary>A record with a part of a run; called before <see cref="KeepRecord"/> or <see cref="Lose"/>, in the order of the
    /// log.</summary>
    /// <param name="previous">The run's record before it; all ones = none.</param>
    void Meet(RunId run, ulong previous);

    /// <summary>A record, or an operation of it that was kept until now, is not kept for a run.</summary>
    void Lose(RunId run);

    /// <summary>What an archive that is sieved again says of a run. After all records.</summary>
    void MeetFloor(in ArchiveFloor floor);
}

/// <summary>Tells in a part of the log what is still needed from what is not: records that history needs, and contents. Reads front to
/// back, a step at a time. Every record is checked while it is read, so nothing is copied that was not right.</summary>
internal sealed class LogSieve(HistoryNeeds needs, Func<ulong, ulong, IEnumerable<LogExtent>> contents)
{
    private const int StepBytes = 1 << 20;

    /// <summary>Archives that are left as they are, although not all of what they keep is needed.</summary>
    internal List<Archive> Stale { get; } = [];

    internal IEnumerable<Step> Sieve(ManifestSegment named, SegmentFile segment, UInt128 salt, ISieved target)
    {
        if (segment.TryPin() is not { } file)
            throw new InvariantException("a segment is given up by who sieves it alone");
        try
        {
            var live = LogExtent.Union(contents(named.BasePosition, named.End));
            var at = 0;
            target.Begin(new ArchiveSource(named.Number, named.BasePosition, named.End, named.FirstSequence, salt));
            using var scanner = new LogScanner();
            Begin(scanner, file, segment, named);
            var stepAt = named.BasePosition;
            while (Next(scanner, ref at, live, target))
            {
                if (scanner.Position - stepAt < StepBytes)
                    continue;
                yield return new Step((int)Math.Min(scanner.Position - stepAt, int.MaxValue));
                stepAt = scanner.Position;
            }

            if (scanner.Position != named.End)
                throw Damaged(segment.Path, scanner.Offset, scanner.LastSequence, "a valid record");
            if (at < live.Count)
                throw Damaged(segment.Path, segment.OffsetOf(live[at].Position), named.FirstSequence, "a content inside a record");
        }
        finally
        {
            segment.Unpin();
        }
    }

    private static void Begin(LogScanner scanner, Storage.IFile file, SegmentFile segment, in ManifestSegment named) => scanner.Begin(
        file, segment.Path, segment.Salt, named.BasePosition, named.End, segment.FirstChain, segment.FirstSequence - 1);

    private bool Next(LogScanner scanner, ref int at, List<LogExtent> live, ISieved target)
    {
        var position = scanner.Position;
        if (!scanner.Read(out var header, out var payload))
            return false;
        var record = scanner.Record;
        var isNeeded = false;
        if (header.Type == RecordType.Transaction)
        {
            try
            {
                isNeeded = Judge(payload, position, header.Sequence, target);
            }
            catch (MalformedPayloadException malformed)
            {
                throw Damaged(scanner.Path, scanner.Offset - record.Length, header.Sequence - 1, malformed.Expected);
            }
        }

        Keep(position, record, isNeeded, ref at, live, target);
        return true;
    }

    private bool IsStale(RunId run, ulong below)
    {
        foreach (var archive in Stale)
        {
            if (archive.FirstPosition < below && archive.TryFindRecord(run, below, out _))
                return true;
        }

        return false;
    }

    private bool Judge(ReadOnlySpan<byte> payload, ulong position, ulong sequence, ISieved target)
    {
        var isNeeded = false;
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            target.Meet(part.Run, part.Previous);
            if (needs.IsNeeded(part, position, sequence, transaction.CommitTime, run => IsStale(run, position), out var kept))
            {
                target.KeepRecord(part.Run, position, kept);
                isNeeded = true;
                if (!kept.IsAll && !Mutant.Is("marked-record-loses-nothing"))
                    target.Lose(part.Run);                   // what is not marked
            }
            else
            {
                target.Lose(part.Run);
            }
        }

        return isNeeded;
    }

    // The record whole, or the contents in it. One that begins in a record ends in it too.
    private static void Keep(
        ulong position, ReadOnlySpan<byte> record, bool isNeeded, ref int at, List<LogExtent> live, ISieved target)
    {
        if (isNeeded)
            target.Keep(position, record);
        var end = position + (ulong)record.Length;
        for (; at < live.Count && live[at].Position < end; at++)
        {
            if (live[at].Position < position || live[at].End > end)
            {
                throw Damaged(
                    LogNames.LogDirectory, 0, 0, $"a content of {live[at].Length} bytes at position {live[at].Position} inside a record");
            }

            if (!isNeeded)
                target.Keep(live[at].Position, record.Slice((int)(live[at].Position - position), (int)live[at].Length));
        }
    }

    /// <summary>The same for an archive. The caller holds it.</summary>
    internal IEnumerable<Step> Sieve(Archive archive, ISieved target)
    {
        // The records that are needed, and all contents, as stretches; then the stretches are copied from the pieces that hold them.
        var kept = contents(archive.FirstPosition, archive.EndPosition).ToList();
        var bytes = 0L;
        using var buffer = new ArchivedRecordBuffer();
        foreach (var (position, records) in ByPosition(archive))
        {
            var record = buffer.Read(archive, position);
            bytes += record.Length;
            if (Judge(archive, buffer, position, records, target))
                kept.Add(new LogExtent(position, record.Length));
            if (bytes < StepBytes)
                continue;
            yield return new Step((int)Math.Min(bytes, int.MaxValue));
            bytes = 0;
        }

        foreach (var floor in archive.Floors())
            target.MeetFloor(floor);
        var source = default(ArchiveSource);
        foreach (var extent in LogExtent.Union(kept))
        {
            for (var from = extent.Position; from < extent.End;)
            {
                if (!archive.TrySourceAt(from, out var holder))
                    throw Damaged(archive.Path, archive.OffsetOf(from), 0, $"what is needed of the log at position {from}");
                if (holder != source)
                    target.Begin(source = holder);
                var taken = buffer.Read(archive, from, (int)Math.Min(Math.Min(extent.End, source.End) - from, StepBytes));
                if (taken.IsEmpty)
                    throw Damaged(archive.Path, archive.OffsetOf(from), 0, $"what is needed of the log at position {from}");
                target.Keep(from, taken.Span);
                from += (ulong)taken.Length;
                yield return new Step(taken.Length);
            }
        }
    }

    private bool Judge(Archive archive, ArchivedRecordBuffer buffer, ulong position, List<ArchivedRecord> records, ISieved target)
    {
        var isNeeded = false;
        var transaction = new TransactionPayload(buffer.Payload);
        while (transaction.MoveNext(out var part))
        {
            var run = part.Run;
            var index = records.FindIndex(record => record.Run == run);
            if (index < 0)
                continue;                                    // not kept for that run
            target.Meet(run, part.Previous);
            var before = archive.MarksOf(records[index]);
            if (needs.IsNeeded(
                    part, position, buffer.Header.Sequence, transaction.CommitTime, other => IsStale(other, archive.FirstPosition),
                    out var kept)
                && kept.And(before) is { IsNone: false } still)
            {
                target.KeepRecord(run, position, still);
                isNeeded = true;
                if (!still.Bytes.SequenceEqual(before.Bytes))
                    target.Lose(run);
            }
            else
            {
                target.Lose(run);
            }
        }

        return isNeeded;
    }

    // Some bytes for each record of the archive, whose number its writer has bounded.
    private static IEnumerable<(ulong Position, List<ArchivedRecord> Records)> ByPosition(Archive archive)
    {
        var records = new List<ArchivedRecord>();
        ulong? position = null;
        foreach (var record in archive.Records().OrderBy(record => record.Position))
        {
            if (position is { } at && at != record.Position)
            {
                yield return (at, records);
                records.Clear();
            }

            position = record.Position;
            records.Add(record);
        }

        if (position is { } last)
            yield return (last, records);
    }

    private static CorruptionException Damaged(string path, long offset, ulong sequence, string expected) =>
        new(path, offset, new Sequence(sequence), expected);
}
