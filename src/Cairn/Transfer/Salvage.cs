// Salvage: what is readable of a damaged database, in a new one, with an account of what is not. By hand, never in place.
//
// It reads the segments, whatever the manifests say: a manifest is asked for the database's identity and for how far the log went, and one
// that is missing or damaged is a loss of its own. Every record is proven by its checks, which belong to its segment and its place. At one
// that is not right the scan looks for the next right header, every 8 bytes, and goes on there.
//
//      segment 16   | r1 r2 r3 |   17  (damaged header)   18 | r8 r9 ~~~ r11 |   19 (missing)
//      salvaged       r1 r2 r3                                 r8 r9     r11
//      losses         17: all of it, sequences 4 to 7;   18 at offset 8,200: 512 bytes, sequence 10;   behind 18: up to 14
//
// S1  What was lost is told by what is left: sequences are dense, so a jump names what is missing; the parts of a run name the run's
//     record before, so a jump there says that the run lost something; events are numbered, so a jump names them.
// S2  Each transaction becomes one commit of the new database, at its own time, with what its operations had resolved to. Where nothing
//     is lost the new database has the same sequences and the same state hash.
// S3  What rests on something lost is handled by name (SalvageWriter): it is carried where it still means something, and counted otherwise.
// S4  A stale record is no record: of an ended segment the bytes behind its successor's base do not count, and a sequence that was read
//     already is not read again.
// S5  Where the log does not begin at its beginning, the state at a checkpoint comes from its tables (SalvageImage), with large values from
//     segments and archives (SalvageContents). The log goes on behind its mark. Before the state comes the past: what records in archives
//     (SalvagedArchive), and in segments below the mark, wrote to keys and cells, at their own commit times (SalvageWriter.Past.cs).
//     Versions and commit times of what came from tables alone are new ones: the commits that made them are not there any more.
//
//      tables     ~~~~~~~~~~ state at 700 ~~~~~~~~~~~ |
//      archive    [ some of 1 to 550 ]                |
//      segments                            19 (550 -) | 20 (712 -)  21
//      new        keys and cells as they were then,   | 701, 702 ... each as it was
//                 then the rest, many keys a commit   |
//
//     Without a checkpoint the records of archives are carried as those of segments are, as far as they were kept.
//
// S6  The new database does not open before all is in it: a file named `salvaging` says so, from before its first manifest until it is
//     synced and closed. A salvage that is killed leaves what nobody takes for whole.
//
// Not salvaged: the floors that retention left. What it had let go of is not there, and a question about the time before is answered from
// what is. With the log whole from its beginning tables are not read: what a damaged segment lost is not looked for in them.

using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Recovery;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Takes a transaction that was read, by its sequence and its position in the damaged log.</summary>
internal delegate void SalvageRecord(ulong sequence, ReadOnlySpan<byte> payload, ulong position);

/// <summary>See the essay above. One pass over a directory; use it once.</summary>
internal sealed class Salvage(IStorage source, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
{
    private readonly List<SalvageLoss> _losses = [];
    private Manifest? _manifest;
    private UInt128 _databaseId;
    private ulong _lastSequence;
    private ulong _endPosition;
    private ulong _upTo;
    private long _totalBytes;
    private long _doneBytes;

    internal IReadOnlyList<SalvageLoss> Losses => _losses;

    /// <summary>Of the last transaction that was read.</summary>
    internal ulong LastSequence => _lastSequence;

    /// <summary>Sequence of the checkpoint that was used; 0 = all came from the log.</summary>
    internal ulong Checkpoint { get; private set; }

    /// <param name="open">Gives what writes the new database, which is made when the first commit's time is known.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotADatabase"/>: there is neither a readable segment nor a readable table or
    /// archive.</exception>
    internal void Read(Func<long, SalvageWriter> open)
    {
        var directory = DirectorySurvey.Of(source, isWhole: true);
        _manifest = ReadManifest(directory.Manifests);
        var segments = ReadHeaders(directory.Segments);
        if (segments is [{ BasePosition: 0 }, ..])
        {
            _lastSequence = segments[0].FirstSequence - 1;
            ReadLog(segments, null, open);
            return;
        }

        var image = SalvageImage.Find(source, _manifest, directory.Tables, _databaseId, _losses, cancellationToken);
        using var contents = new SalvageContents(source, _manifest, segments, directory.Archives, _databaseId, _losses);
        if (image is not null)
        {
            ReadState(segments, image, contents, open);
            _lastSequence = Checkpoint = image.Sequence;
        }
        else if (segments.Count == 0 && !contents.Archives.Any())
        {
            throw new CairnException(
                ErrorCode.NotADatabase, $"Nothing in {source.Description} can be salvaged: there is no segment with a header that can be "
                    + $"read, no checkpoint and no archive.");
        }
        else
        {
            ReadArchives(contents, (sequence, payload, position, kept) =>
                open(TransactionPayload.ReadCommitTime(payload)).Carry(sequence, payload, position, kept));
            _lastSequence = segments.Count > 0 ? segments[0].FirstSequence - 1 : 0;
            if (segments.Count > 0)
            {
                Lose(LogNames.SegmentPath(segments[0].Number), 0, 0, 1, _lastSequence,
                    "the log before it is not there; what archives have of it was taken");
            }
        }

        ReadLog(segments, image, open);
    }

    // S5: the past, then the state.
    private void ReadState(
        List<SegmentHeader> segments, SalvageImage image, SalvageContents contents, Func<long, SalvageWriter> open)
    {
        SalvageWriter? writer = null;
        SalvageWriter Begun(long time)
        {
            if (writer is null)
            {
                writer = open(time);
                writer.BeginImage(image, contents, cancellationToken);
            }

            return writer;
        }

        if (!Mutant.Is("salvage-forgets-archives"))
        {
            ReadArchives(contents, (sequence, payload, _, kept) =>
                Begun(TransactionPayload.ReadCommitTime(payload)).CarryPast(sequence, payload, kept));
        }

        ReadPast(segments, image, (sequence, payload, _) =>
            Begun(TransactionPayload.ReadCommitTime(payload)).CarryPast(sequence, payload, kept: null));
        Begun(image.Time).CarryImage(image.Entries(cancellationToken), image.Time);
        Begun(image.Time).Note(image.Sequence);
    }

    private void ReadArchives(SalvageContents contents, SalvageKept carry)
    {
        foreach (var archive in contents.Archives.ToList())
        {
            new SalvagedArchive(archive, (offset, reason) => contents.Lose(archive.Path, offset, 0, reason, isHistory: true)).Read(
                (sequence, payload, position, kept) =>
                {
                    try
                    {
                        carry(sequence, payload, position, kept);
                    }
                    catch (MalformedPayloadException malformed)
                    {
                        Lose(archive.Path, archive.OffsetOf(position), payload.Length, sequence, sequence, $"the record is whole and is "
                            + $"not {malformed.Expected}");
                    }
                },
                cancellationToken);
            Report(archive.Path, archive.Named.FileBytes);
        }
    }

    // The log from its first segment on, up to the mark.
    private void ReadPast(List<SegmentHeader> segments, SalvageImage image, SalvageRecord carry)
    {
        if (segments.Count == 0)
            return;
        var known = _losses.Count;
        _lastSequence = segments[0].FirstSequence - 1;
        ReadSegments(segments, 0, FirstBehind(segments, image), image.Sequence, image.Mark ?? ulong.MaxValue, 0, carry);
        for (var i = known; i < _losses.Count; i++)
            _losses[i] = _losses[i] with { IsHistory = true };
    }

    /// <summary>The segment in which the log goes on behind a checkpoint.</summary>
    private static int FirstBehind(List<SegmentHeader> segments, SalvageImage image) => Math.Max(
        0,
        segments.FindLastIndex(segment => image.Mark is { } mark
            ? segment.BasePosition <= mark
            : segment.FirstSequence <= image.Sequence + 1));

    // S5: what lies before the mark is in the tables.
    private void ReadLog(List<SegmentHeader> segments, SalvageImage? image, Func<long, SalvageWriter> open)
    {
        var first = image is null ? 0 : FirstBehind(segments, image);
        MakeGood(segments, first, image);
        ReadSegments(
            segments, first, segments.Count - 1, ulong.MaxValue, ulong.MaxValue, image?.Mark ?? 0,
            (sequence, payload, position) => open(TransactionPayload.ReadCommitTime(payload)).Carry(sequence, payload, position));
        CheckEnd(segments.Count > 0 ? segments[^1].Number : 0);
    }

    /// <param name="segments">All that can be read.</param>
    /// <param name="first">The first of them that is wanted.</param>
    /// <param name="last">And the last one.</param>
    /// <param name="upTo">No sequence above it.</param>
    /// <param name="limit">No position from it on.</param>
    /// <param name="from">In the first one: no position below it.</param>
    /// <param name="carry">Takes the transactions.</param>
    private void ReadSegments(
        List<SegmentHeader> segments, int first, int last, ulong upTo, ulong limit, ulong from, SalvageRecord carry)
    {
        _upTo = upTo;
        for (var i = first; i <= last; i++)
        {
            if (i > first && segments[i].Number != segments[i - 1].Number + 1)
                LoseMissing(segments[i - 1].Number + 1, segments[i].Number - 1);
            if (segments[i].BasePosition < limit)
                ReadSegment(segments[i], i + 1 < segments.Count ? segments[i + 1] : null, from, limit, carry);
        }
    }

    // Segments that cannot be read and lie before the first one that is needed: the state is in tables, the past is lost.
    private void MakeGood(List<SegmentHeader> segments, int first, SalvageImage? image)
    {
        if (image is null || first >= segments.Count)
            return;
        for (var i = 0; i < _losses.Count; i++)
        {
            if (_losses[i].IsOfLog && string.CompareOrdinal(_losses[i].File, LogNames.SegmentPath(segments[first].Number)) < 0
                && segments[first].FirstSequence <= image.Sequence + 1)
                _losses[i] = _losses[i] with { IsHistory = true };
        }
    }

    private Manifest? ReadManifest(List<ulong> numbers)
    {
        for (var i = numbers.Count - 1; i >= 0; i--)
        {
            try
            {
                return Manifest.Load(source, numbers[i], forWriting: false, out _);
            }
            catch (Exception damage) when (damage is CairnException or StorageException)
            {
                Lose(LogNames.Manifest(numbers[i]), 0, 0, 0, 0, $"the manifest cannot be read: {damage.Message}");
            }
        }

        if (numbers.Count == 0)
            Lose(LogNames.Root, 0, 0, 0, 0, "there is no manifest");
        return null;
    }

    /// <summary>Headers that are right and of one database, in order.</summary>
    private List<SegmentHeader> ReadHeaders(List<uint> numbers)
    {
        var headers = new List<SegmentHeader>();
        foreach (var number in numbers)
        {
            var path = LogNames.SegmentPath(number);
            try
            {
                using var file = source.Open(path, writable: false);
                var bytes = new byte[SegmentHeader.Size];
                if (file.ReadAt(bytes, 0) < bytes.Length || !SegmentHeader.TryRead(bytes, out var header) || header.Number != number)
                {
                    Lose(path, 0, file.Length, 0, 0, "the header is damaged, and without it no record in the file can be proven");
                    continue;
                }

                header.Format.Check(path, forWriting: false);
                _totalBytes += file.Length;
                headers.Add(header);
            }
            catch (Exception unreadable) when (unreadable is CairnException or StorageException)
            {
                Lose(path, 0, 0, 0, 0, unreadable.Message);
            }
        }

        var id = _databaseId = _manifest?.DatabaseId
            ?? headers.GroupBy(header => header.DatabaseId).MaxBy(group => group.Count())?.Key ?? default;
        foreach (var stranger in headers.Where(header => header.DatabaseId != id))
            Lose(LogNames.SegmentPath(stranger.Number), 0, 0, 0, 0, "it belongs to another database");
        headers.RemoveAll(header => header.DatabaseId != id);
        return headers;
    }

    private void ReadSegment(SegmentHeader header, SegmentHeader? successor, ulong from, ulong limit, SalvageRecord carry)
    {
        var path = LogNames.SegmentPath(header.Number);
        using var file = source.Open(path, writable: false);
        var inFile = header.BasePosition + (ulong)(Math.Max(0, file.Length - SegmentHeader.Size) & ~(long)(RecordFrame.Alignment - 1));
        var end = Math.Min(limit, Math.Min(inFile, successor?.BasePosition ?? ulong.MaxValue));
        var isFollowed = end == limit || successor?.Number == header.Number + 1;
        var salt = new byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        using var scanner = new LogScanner();
        scanner.Begin(file, path, salt, header.BasePosition, end, header.PreviousDigest.Chain, header.FirstSequence - 1);
        if (from > header.BasePosition && from < end)
            scanner.StepOverTo(from);
        try
        {
            while (true)
            {
                ReadRecords(scanner, path, carry);
                if (scanner.Fault == RecordFault.None || !TryStepOver(scanner, file, path, salt, header, end, isFollowed))
                    break;
            }
        }
        catch (Exception unreadable) when (unreadable is FormatVersionException or StorageException)
        {
            Lose(path, scanner.Offset, file.Length - scanner.Offset, 0, 0, unreadable.Message);
        }

        _endPosition = Math.Max(_endPosition, scanner.Position);
        Report(path, file.Length);
    }

    // What is read twice counts twice.
    private void Report(string path, long bytes)
    {
        _doneBytes += bytes;
        _totalBytes = Math.Max(_totalBytes, _doneBytes);
        progress?.Report(new TransferProgress(path, _doneBytes, _totalBytes));
    }

    private void ReadRecords(LogScanner scanner, string path, SalvageRecord carry)
    {
        var position = scanner.Position;
        while (scanner.Read(out var header, out var payload))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (header.Sequence > _upTo)
                return;
            if (header.Type == RecordType.Transaction && header.Sequence > _lastSequence)
            {
                if (header.Sequence > _lastSequence + 1 && !Mutant.Is("salvage-tells-no-jump"))
                    NameSequences(path, scanner.Offset, header.Sequence);
                _lastSequence = header.Sequence;
                Carry(carry, header.Sequence, payload, position, path, scanner.Offset);
            }

            position = scanner.Position;
        }
    }

    private void Carry(SalvageRecord carry, ulong sequence, ReadOnlySpan<byte> payload, ulong position, string path, long offset)
    {
        try
        {
            carry(sequence, payload, position);
        }
        catch (MalformedPayloadException malformed)
        {
            Lose(path, offset, payload.Length, sequence, sequence, $"the record is whole and is not {malformed.Expected}");
        }
    }

    // S1: the hole before this record belongs to the last loss without sequences in it, if there is one; otherwise it is told here.
    private void NameSequences(string path, long offset, ulong next)
    {
        for (var i = _losses.Count - 1; i >= 0; i--)
        {
            if (_losses[i].FirstSequence == Sequence.None && _losses[i].IsOfLog && !_losses[i].IsHistory
                && (_upTo == ulong.MaxValue || string.CompareOrdinal(_losses[i].File, path) <= 0))
            {
                _losses[i] = _losses[i] with { FirstSequence = new Sequence(_lastSequence + 1), LastSequence = new Sequence(next - 1) };
                return;
            }

            if (_losses[i].LastSequence.Value > 0)
                break;
        }

        Lose(path, offset, 0, _lastSequence + 1, next - 1, "the sequence jumps here");
    }

    /// <summary>Behind a record that is not right, the next one that is.</summary>
    private bool TryStepOver(
        LogScanner scanner, IFile file, string path, byte[] salt, in SegmentHeader header, ulong end, bool isFollowed)
    {
        // Whole, and not what should follow: what was before it is gone, it is not.
        if (scanner.Fault is RecordFault.Sequence or RecordFault.Chain)
        {
            Lose(path, scanner.Offset, 0, 0, 0, "records before it are not there");
            scanner.StepOverTo(scanner.Position);
            return true;
        }

        var from = scanner.Fault >= RecordFault.DurableUpTo ? scanner.Position + RecordFrame.Alignment : scanner.Position;
        var endOffset = SegmentHeader.Size + (long)(end - header.BasePosition);
        var survey = TailSurvey.Of(file, salt, header.BasePosition, from, endOffset);
        if (survey.GoodRecords > 0 && !Mutant.Is("salvage-stops-at-damage"))
        {
            Lose(path, scanner.Offset, (long)(survey.FirstGood - scanner.Position), 0, 0, $"damaged ({scanner.Fault})");
            scanner.StepOverTo(survey.FirstGood);
            return true;
        }

        // Zeros behind the last record are room that was never written, unless the next segment says that there was more.
        if (survey.NonZeroEnd > scanner.Offset || (isFollowed && scanner.Position < end))
        {
            var bytes = Math.Max(survey.NonZeroEnd, isFollowed ? endOffset : 0) - scanner.Offset;
            Lose(path, scanner.Offset, bytes, 0, 0, $"damaged ({scanner.Fault}), nothing behind it");
        }

        return false;
    }

    private void LoseMissing(uint first, uint last)
    {
        for (var number = first; number <= last; number++)
        {
            var path = LogNames.SegmentPath(number);
            if (!_losses.Exists(loss => loss.File == path))
                Lose(path, 0, 0, 0, 0, "the file is missing");
        }
    }

    // How far the log went is known to the manifest alone.
    private void CheckEnd(uint lastNumber)
    {
        if (_manifest is null)
            return;
        if (_manifest.Segments[^1].Number > lastNumber)
            LoseMissing(lastNumber + 1, _manifest.Segments[^1].Number);
        if (_manifest.LastSequence > _lastSequence)
            NameSequences(LogNames.SegmentPath(lastNumber), 0, _manifest.LastSequence + 1);
        else if (_manifest.DurablePosition > _endPosition && !_losses.Exists(loss => loss.IsOfLog))
            Lose(LogNames.SegmentPath(lastNumber), 0, (long)(_manifest.DurablePosition - _endPosition), 0, 0, "the log was synced "
                + "further than it can be read");
    }

    private void Lose(string file, long offset, long bytes, ulong first, ulong last, string reason) =>
        _losses.Add(new SalvageLoss(file, offset, bytes, new Sequence(first), new Sequence(last), reason));
}
