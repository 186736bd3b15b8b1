// The manifest: the root of a database. It names every file that is part of it; what it does not name is not.
//
// 1  A manifest is never changed. Each change of what it says is a new file with the next number; the highest number counts.
// 2  Order of a change, each step resting on the sync before it:
//
//        write manifest-0000000043.part
//          |  crash: a .part, removed at the next opening; 42 counts
//        sync the file
//          |  crash: the same
//        rename to manifest-0000000043, never replacing (a name that is taken means another owner: fenced, rule 10.3)
//          |  crash: the name may be there or not; the content is whole either way. 42 or 43 counts, both true
//        sync the directory
//          |  crash: 43 counts
//        unlink manifest-0000000041 and the files that only 41 named, sync the directory
//             crash: some of them may come back; they have no meaning and are removed at the next opening
//
//    Every file that 43 names was written, synced, renamed and its directory synced before the first step.
// 3  Two stay: N, and N-1 for people and for backups that are under way. N-1 is never used in silence in place of a bad N: it
//    would hide segments (8.4).
// 4  The body stands in the file twice, each copy with its own SHA-256, the second at a multiple of 4096, so that one bad
//    sector is a warning. A manifest that has its name was synced before: both copies bad is corruption, never "no database".
// 5  An opening writes a manifest with epoch + 1 before it takes its first commit. Before each new segment or manifest the
//    highest number on disk must be the opening's own (10.3): where locks lie, two owners find each other here.
//
// Live files, as an example: after a crash in segment 17 and a recovery that copied the tail from position 8200 on,
//
//      segment    base    copied-to   end     digest         note
//      16         0       0           4096    9f31...        sealed by a rotation: end = base of 17
//      17         4096    4096        8200    77c0...        ended by recovery at the floor: its later bytes have no meaning
//      18         8200    8712        0       0              open; 8200 to 8712 written by recovery, synced before it was named
//
// 6  The two newest checkpoints stay, and every table that one of them names (T3 of docs/storage.md). Numbers of tables and archives
//    are never used twice: the manifest says which come next, so a file that only a lost attempt wrote is known as such.
//
// A manifest says nothing about what the records mean: it does not know runs, keys or values. What is in a table or an archive is
// not its business either: it names the files, with their lengths and digests, and which tables are the image at which sequence.

using System.Buffers.Binary;
using Cairn.Storage;

namespace Cairn.Log;

/// <summary>One segment as a manifest names it. Layout, little-endian: <code>
///  0  u32  number
///  4  u32  zero
///  8  u64  base position
/// 16  u64  copied-to position
/// 24  u64  first sequence
/// 32  u64  end position     0 = open
/// 40  u64  file bytes       the file is at least this long: as it was when it was named, or up to its end
/// 48  32   digest           SHA-256 of the file from byte 0 to its end; zero = open </code></summary>
internal readonly record struct ManifestSegment(
    uint Number, ulong BasePosition, ulong CopiedTo, ulong FirstSequence, ulong End, long FileBytes, Digest Digest)
{
    internal const int Size = 80;

    /// <summary>This segment after its last record.</summary>
    internal ManifestSegment EndedAt(ulong end, Digest digest) =>
        this with { End = end, FileBytes = SegmentHeader.Size + (long)(end - BasePosition), Digest = digest };

    internal bool IsOpen => Digest == default;

    internal static ManifestSegment Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[32..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[40..]),
        Digest.Read(source[48..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], BasePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], CopiedTo);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], FirstSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], End);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], FileBytes);
        Digest.Write(target[48..]);
    }
}

/// <summary>What a manifest says. Layout of the body, little-endian: <code>
///   0  u64  number             equals the name
///   8  16   database id
///  24  u64  epoch
///  32  u64  durable position   every byte of the log below it was synced
///  40  u64  end position       of a clean close; 0 otherwise
///  48  u64  last sequence      when it was written
///  56  i64  commit time        floor of the commit clock, microseconds since 1970
///  64  i64  created            commit time of creation
///  72  u32  flags              bit 0 = closed cleanly
///  76  u32  key bytes max      a limit of the format, compared at open
///  80  u32  name bytes max     the same
///  84  u32  payload bytes max  the same
///  88  32   previous digest    SHA-256 that the manifest before carries; zero in the first
/// 120  u32  segments S
/// 124  u32  tables T
/// 128  u32  checkpoints C     0 to 2
/// 132  u32  archives A
/// 136  u32  next table        number that the next table file gets
/// 140  u32  next archive      number that the next archive file gets
/// 144  u64  retention floor   first sequence of the first segment, once one was given up: below it, history is what policies
///                             have kept; 0 = the log is whole
/// 152  the segments, ascending, 80 bytes each
///      the tables, ascending, 96 bytes each
///      the archives, in the order of the log, 64 bytes each
///      the checkpoints, ascending, 48 bytes and their list of tables each </code></summary>
internal sealed record Manifest
{
    internal const int CopyHeaderBytes = 32;
    internal const int BodyFixedBytes = 152;
    internal const int CopyAlignment = 4096;

    /// <summary>Most segments a manifest can name: a bound for reading (64 TiB of full segments).</summary>
    internal const int SegmentsMax = 1 << 20;

    /// <summary>The same for tables; merging keeps them to a few dozen.</summary>
    internal const int TablesMax = 1 << 16;

    /// <summary>The same for archives.</summary>
    internal const int ArchivesMax = 1 << 20;

    /// <summary>Checkpoints that stay.</summary>
    internal const int CheckpointsMax = 2;

    private const uint CleanFlag = 1;

    internal FormatFeatures Format { get; init; } = FormatFeatures.Current;

    internal required ulong Number { get; init; }

    internal required UInt128 DatabaseId { get; init; }

    internal required ulong Epoch { get; init; }

    internal ulong DurablePosition { get; init; }

    internal bool IsClean { get; init; }

    internal ulong EndPosition { get; init; }

    internal ulong LastSequence { get; init; }

    internal long CommitTime { get; init; }

    internal long Created { get; init; }

    internal uint KeyBytesMax { get; init; } = Limits.KeyBytesMax;

    internal uint NameBytesMax { get; init; } = Limits.NameBytesMax;

    internal uint PayloadBytesMax { get; init; } = RecordFrame.PayloadBytesMax;

    internal Digest PreviousDigest { get; init; }

    internal required IReadOnlyList<ManifestSegment> Segments { get; init; }

    /// <summary>Every table that a checkpoint names, ascending by number.</summary>
    internal IReadOnlyList<TableInfo> Tables { get; init; } = [];

    /// <summary>Ascending: the last one is the newest.</summary>
    internal IReadOnlyList<ManifestCheckpoint> Checkpoints { get; init; } = [];

    /// <summary>In the order of the log: the parts of it that they stand for do not overlap, and lie below the first segment.</summary>
    internal IReadOnlyList<ManifestArchive> Archives { get; init; } = [];

    internal uint NextTable { get; init; } = 1;

    internal uint NextArchive { get; init; } = 1;

    internal ulong RetentionFloor { get; init; }

    internal static ReadOnlySpan<byte> Magic => "CAIRNMAN"u8;

    internal string Name => LogNames.Manifest(Number);

    /// <summary>The tables of a checkpoint, newest first.</summary>
    internal IReadOnlyList<TableInfo> TablesOf(ManifestCheckpoint checkpoint) =>
        [.. checkpoint.Tables.Select(number => Tables.First(table => table.Number == number))];

    private int CopyBytes => CopyHeaderBytes + BodyFixedBytes + Segments.Count * ManifestSegment.Size + Tables.Count * TableInfo.Size
        + Archives.Count * ManifestArchive.Size + Checkpoints.Sum(checkpoint => checkpoint.Bytes) + Log.Digest.Size;

    /// <summary>The whole file: both copies.</summary>
    internal byte[] Encode()
    {
        Invariant.Check(
            Segments.Count <= SegmentsMax && Tables.Count <= TablesMax && Archives.Count <= ArchivesMax && FindContradiction() is null,
            "a manifest does not contradict itself");
        return EncodeUnchecked();
    }

    internal byte[] EncodeUnchecked()
    {
        var copyBytes = CopyBytes;
        var second = NextCopy(copyBytes);
        var file = new byte[second + copyBytes];
        WriteCopy(file.AsSpan(0, copyBytes));
        file.AsSpan(0, copyBytes).CopyTo(file.AsSpan(second));
        return file;
    }

    /// <summary>The SHA-256 that the copies of this manifest carry.</summary>
    internal Digest Digest()
    {
        var copy = new byte[CopyBytes];
        WriteCopy(copy);
        return Log.Digest.Read(copy.AsSpan(copy.Length - Log.Digest.Size));
    }

    /// <summary>Makes this the manifest that counts (1, 2).</summary>
    /// <exception cref="DatabaseFailedException">Fenced: another owner has written a manifest (10.3).</exception>
    internal void Publish(IStorage storage)
    {
        CheckFence(storage, Number - 1);
        if (Mutant.Is("old-manifest-unlinked-first"))
            (this with { Number = Number + 1 }).UnlinkOlder(storage);
        try
        {
            PublishedFile.Write(storage, Name, Encode());
        }
        catch (StorageException taken) when (taken.Error == StorageError.Exists)
        {
            throw Fenced(Name, taken);
        }
    }

    /// <summary>Removes what is older than the manifest before this one (3).</summary>
    internal void UnlinkOlder(IStorage storage)
    {
        var any = false;
        foreach (var name in storage.List(LogNames.Root))
        {
            if (!LogNames.TryParseManifest(name, out var number) || number + 1 >= Number)
                continue;
            storage.Unlink(name);
            any = true;
        }

        if (any)
            PublishedFile.SyncDirectory(storage, LogNames.Root);
    }

    /// <summary>The highest manifest on disk must be the opening's own (5).</summary>
    /// <exception cref="DatabaseFailedException">Fenced.</exception>
    internal static void CheckFence(IStorage storage, ulong own)
    {
        foreach (var name in storage.List(LogNames.Root))
        {
            if (LogNames.TryParseManifest(name, out var number) && number > own)
                throw Fenced(name, null);
        }
    }

    internal static DatabaseFailedException Fenced(string name, Exception? cause) => new(
        ErrorCode.Fenced, $"Another owner wrote {name} in this directory since it was opened. This process writes no more; reopen.", cause);

    /// <summary>Reads the manifest of that number (4).</summary>
    /// <param name="warning">Not null when one of the two copies is bad.</param>
    /// <exception cref="CorruptionException">Both copies are bad, or they do not belong under this name.</exception>
    /// <exception cref="FormatVersionException">Written by a newer version.</exception>
    internal static Manifest Load(IStorage storage, ulong number, bool forWriting, out string? warning)
    {
        var name = LogNames.Manifest(number);
        return Decode(ReadAll(storage, name), name, number, forWriting, out warning);
    }

    /// <summary>The same from bytes that were read, or kept elsewhere.</summary>
    /// <param name="name">For messages.</param>
    internal static Manifest Decode(byte[] file, string name, ulong number, bool forWriting, out string? warning)
    {
        warning = null;

        var first = TryReadCopy(file, name, out var firstEnd);
        var second = first is null ? FindSecondCopy(file, name) : TryReadCopy(Behind(file, NextCopy(firstEnd)), name, out _);
        var manifest = first ?? second ?? throw new CorruptionException(name, 0, Sequence.None, "a manifest; neither copy is whole");
        if (first is null || second is null)
            warning = $"{name}: the {(first is null ? "first" : "second")} of its two copies is damaged; the other one is whole.";

        manifest.Format.Check(name, forWriting);
        if (first is not null && second is not null && first.Digest() != second.Digest())
            throw new CorruptionException(name, NextCopy(firstEnd), Sequence.None, "two copies that say the same");
        if (manifest.Number != number)
            throw new CorruptionException(name, CopyHeaderBytes, Sequence.None, $"manifest number {number}, not {manifest.Number}");
        if (manifest.FindContradiction() is { } contradiction)
            throw new CorruptionException(name, CopyHeaderBytes, new Sequence(manifest.LastSequence), contradiction);
        manifest.CheckLimits(name);
        return manifest;
    }

    private void WriteCopy(Span<byte> target)
    {
        Magic.CopyTo(target);
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], Format.Major);
        BinaryPrimitives.WriteUInt16LittleEndian(target[10..], Format.Minor);
        BinaryPrimitives.WriteUInt32LittleEndian(target[12..], (uint)(target.Length - CopyHeaderBytes - Log.Digest.Size));
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], Format.Compatible);
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], Format.ReadOnlyCompatible);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Format.Incompatible);
        WriteBody(target[CopyHeaderBytes..^Log.Digest.Size]);
        Log.Digest.Of(target[..^Log.Digest.Size]).Write(target[^Log.Digest.Size..]);
    }

    private void WriteBody(Span<byte> body)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(body, Number);
        BinaryPrimitives.WriteUInt128LittleEndian(body[8..], DatabaseId);
        BinaryPrimitives.WriteUInt64LittleEndian(body[24..], Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(body[32..], DurablePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(body[40..], EndPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(body[48..], LastSequence);
        BinaryPrimitives.WriteInt64LittleEndian(body[56..], CommitTime);
        BinaryPrimitives.WriteInt64LittleEndian(body[64..], Created);
        BinaryPrimitives.WriteUInt32LittleEndian(body[72..], IsClean ? CleanFlag : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(body[76..], KeyBytesMax);
        BinaryPrimitives.WriteUInt32LittleEndian(body[80..], NameBytesMax);
        BinaryPrimitives.WriteUInt32LittleEndian(body[84..], PayloadBytesMax);
        PreviousDigest.Write(body[88..]);
        BinaryPrimitives.WriteUInt32LittleEndian(body[120..], (uint)Segments.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(body[124..], (uint)Tables.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(body[128..], (uint)Checkpoints.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(body[132..], (uint)Archives.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(body[136..], NextTable);
        BinaryPrimitives.WriteUInt32LittleEndian(body[140..], NextArchive);
        BinaryPrimitives.WriteUInt64LittleEndian(body[144..], RetentionFloor);
        var rest = body[BodyFixedBytes..];
        foreach (var segment in Segments)
            segment.Write(Take(ref rest, ManifestSegment.Size));
        foreach (var table in Tables)
            table.Write(Take(ref rest, TableInfo.Size));
        foreach (var archive in Archives)
            archive.Write(Take(ref rest, ManifestArchive.Size));
        foreach (var checkpoint in Checkpoints)
            checkpoint.Write(Take(ref rest, checkpoint.Bytes));
    }

    private static Span<byte> Take(ref Span<byte> rest, int bytes)
    {
        var taken = rest[..bytes];
        rest = rest[bytes..];
        return taken;
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> rest, int bytes)
    {
        var taken = rest[..bytes];
        rest = rest[bytes..];
        return taken;
    }

    private static int NextCopy(int end) => (end + CopyAlignment - 1) & ~(CopyAlignment - 1);

    private static byte[] ReadAll(IStorage storage, string name)
    {
        using var file = storage.Open(name, writable: false);
        const long most = 2L * (CopyHeaderBytes + BodyFixedBytes + (long)SegmentsMax * ManifestSegment.Size
            + (long)TablesMax * (TableInfo.Size + CheckpointsMax * sizeof(uint)) + (long)ArchivesMax * ManifestArchive.Size
            + CheckpointsMax * ManifestCheckpoint.FixedBytes + 2 * CopyAlignment);
        var bytes = new byte[(int)Math.Min(file.LengthWhenOpened, most)];
        var read = file.ReadAt(bytes, 0);
        return read == bytes.Length ? bytes : bytes[..read];
    }

    private static ReadOnlySpan<byte> Behind(byte[] file, int offset) => offset < file.Length ? file.AsSpan(offset) : default;

    /// <summary>Reads one copy; null when it is not whole. A whole copy of a newer version is refused by the caller.</summary>
    private static Manifest? TryReadCopy(ReadOnlySpan<byte> source, string name, out int end)
    {
        end = 0;
        if (source.Length < CopyHeaderBytes + Log.Digest.Size || !source.StartsWith(Magic))
            return null;
        var bodyBytes = BinaryPrimitives.ReadUInt32LittleEndian(source[12..]);
        if (bodyBytes > (uint)(source.Length - CopyHeaderBytes - Log.Digest.Size))
            return null;
        var covered = CopyHeaderBytes + (int)bodyBytes;
        if (Log.Digest.Of(source[..covered]) != Log.Digest.Read(source[covered..]))
            return null;

        end = covered + Log.Digest.Size;
        var format = SegmentHeader.ReadFormat(source);
        format.Check(name, forWriting: false);
        return TryReadBody(source[CopyHeaderBytes..covered], format);
    }

    private static Manifest? FindSecondCopy(ReadOnlySpan<byte> file, string name)
    {
        for (var offset = CopyAlignment; offset < file.Length; offset += CopyAlignment)
        {
            if (TryReadCopy(file[offset..], name, out _) is { } manifest)
                return manifest;
        }

        return null;
    }

    private static Manifest? TryReadBody(ReadOnlySpan<byte> body, FormatFeatures format)
    {
        if (body.Length < BodyFixedBytes)
            return null;
        var counts = (
            Segments: BinaryPrimitives.ReadUInt32LittleEndian(body[120..]),
            Tables: BinaryPrimitives.ReadUInt32LittleEndian(body[124..]),
            Checkpoints: BinaryPrimitives.ReadUInt32LittleEndian(body[128..]),
            Archives: BinaryPrimitives.ReadUInt32LittleEndian(body[132..]));
        if (counts.Segments > SegmentsMax || counts.Tables > TablesMax || counts.Checkpoints > CheckpointsMax
            || counts.Archives > ArchivesMax)
            return null;
        var rest = body[BodyFixedBytes..];
        if (rest.Length < (long)counts.Segments * ManifestSegment.Size + counts.Tables * TableInfo.Size
            + counts.Archives * ManifestArchive.Size)
            return null;

        var segments = new ManifestSegment[counts.Segments];
        for (var i = 0; i < segments.Length; i++)
            segments[i] = ManifestSegment.Read(Take(ref rest, ManifestSegment.Size));
        var tables = new TableInfo[counts.Tables];
        for (var i = 0; i < tables.Length; i++)
            tables[i] = TableInfo.Read(Take(ref rest, TableInfo.Size));
        var archives = new ManifestArchive[counts.Archives];
        for (var i = 0; i < archives.Length; i++)
            archives[i] = ManifestArchive.Read(Take(ref rest, ManifestArchive.Size));
        var checkpoints = new ManifestCheckpoint[counts.Checkpoints];
        for (var i = 0; i < checkpoints.Length; i++)
        {
            if (ManifestCheckpoint.TryRead(rest) is not { } checkpoint)
                return null;
            checkpoints[i] = checkpoint;
            rest = rest[checkpoint.Bytes..];
        }

        return new Manifest
        {
            Format = format,
            Number = BinaryPrimitives.ReadUInt64LittleEndian(body),
            DatabaseId = BinaryPrimitives.ReadUInt128LittleEndian(body[8..]),
            Epoch = BinaryPrimitives.ReadUInt64LittleEndian(body[24..]),
            DurablePosition = BinaryPrimitives.ReadUInt64LittleEndian(body[32..]),
            EndPosition = BinaryPrimitives.ReadUInt64LittleEndian(body[40..]),
            LastSequence = BinaryPrimitives.ReadUInt64LittleEndian(body[48..]),
            CommitTime = BinaryPrimitives.ReadInt64LittleEndian(body[56..]),
            Created = BinaryPrimitives.ReadInt64LittleEndian(body[64..]),
            IsClean = (BinaryPrimitives.ReadUInt32LittleEndian(body[72..]) & CleanFlag) != 0,
            KeyBytesMax = BinaryPrimitives.ReadUInt32LittleEndian(body[76..]),
            NameBytesMax = BinaryPrimitives.ReadUInt32LittleEndian(body[80..]),
            PayloadBytesMax = BinaryPrimitives.ReadUInt32LittleEndian(body[84..]),
            PreviousDigest = Log.Digest.Read(body[88..]),
            Segments = segments,
            Tables = tables,
            Checkpoints = checkpoints,
            Archives = archives,
            NextTable = BinaryPrimitives.ReadUInt32LittleEndian(body[136..]),
            NextArchive = BinaryPrimitives.ReadUInt32LittleEndian(body[140..]),
            RetentionFloor = BinaryPrimitives.ReadUInt64LittleEndian(body[144..]),
        };
    }

    /// <summary>What in this manifest cannot be true; null when nothing.</summary>
    private string? FindContradiction()
    {
        if (Segments.Count == 0)
            return "at least one segment";
        for (var i = 0; i < Segments.Count; i++)
        {
            var segment = Segments[i];
            var isLast = i == Segments.Count - 1;
            if (segment.BasePosition % RecordFrame.Alignment != 0 || segment.CopiedTo < segment.BasePosition || segment.Number == 0)
                return $"segment {segment.Number} with a base and copies that fit";
            if (segment.IsOpen && !isLast)
                return $"an end of segment {segment.Number}";
            if (!segment.IsOpen && (segment.End < segment.CopiedTo || segment != segment.EndedAt(segment.End, segment.Digest)))
                return $"an end of segment {segment.Number} behind its copies";
            if (!isLast && (Segments[i + 1].Number != segment.Number + 1 || Segments[i + 1].BasePosition != segment.End))
                return $"segment {segment.Number + 1} to begin where segment {segment.Number} ends";
        }

        if (IsClean == Segments[^1].IsOpen)
            return IsClean ? "an end of the last segment after a clean close" : "an open last segment";
        if (IsClean && EndPosition != Segments[^1].End)
            return "the end of a clean close at the end of the last segment";
        if (RetentionFloor != 0 && RetentionFloor != Segments[0].FirstSequence)
            return $"a retention floor where the log begins, at sequence {Segments[0].FirstSequence}";
        return FindTableContradiction() ?? FindCheckpointContradiction();
    }

    private string? FindTableContradiction()
    {
        for (var i = 0; i < Tables.Count; i++)
        {
            var table = Tables[i];
            if (table.Number == 0 || table.Number >= NextTable || (i > 0 && table.Number <= Tables[i - 1].Number))
                return $"tables that ascend below number {NextTable}, not table {table.Number}";
            if (table.FileBytes <= 0 || table.FirstSequence > table.LastSequence)
                return $"length and sequences of table {table.Number} that can be";
            if (!Checkpoints.Any(checkpoint => checkpoint.Tables.Contains(table.Number)))
                return $"a checkpoint that names table {table.Number}";
        }

        if (Archives.DistinctBy(archive => archive.Number).Count() != Archives.Count)
            return "each archive once";
        for (var i = 0; i < Archives.Count; i++)
        {
            var archive = Archives[i];
            if (archive.Number == 0 || archive.Number >= NextArchive)
                return $"archives below number {NextArchive}, not archive {archive.Number}";
            if (archive.FileBytes <= 0 || archive.FirstPosition >= archive.EndPosition)
                return $"length and positions of archive {archive.Number} that can be";
            if (archive.EndPosition > Segments[0].BasePosition || (i > 0 && archive.FirstPosition < Archives[i - 1].EndPosition))
                return $"archive {archive.Number} behind the one before it and below the segments";
        }

        return null;
    }

    // The older checkpoint has its mark in the log that is kept (T3), and no mark lies where the log was not synced.
    private string? FindCheckpointContradiction()
    {
        for (var i = 0; i < Checkpoints.Count; i++)
        {
            var checkpoint = Checkpoints[i];
            if (checkpoint.Number == 0 || (i > 0 && checkpoint.Number <= Checkpoints[i - 1].Number))
                return $"checkpoints that ascend, not checkpoint {checkpoint.Number}";
            if (i > 0 && (checkpoint.Sequence < Checkpoints[i - 1].Sequence || checkpoint.MarkPosition <= Checkpoints[i - 1].MarkPosition))
                return $"checkpoint {checkpoint.Number} behind checkpoint {Checkpoints[i - 1].Number}";
            if (checkpoint.MarkPosition % RecordFrame.Alignment != 0 || checkpoint.MarkPosition < Segments[0].BasePosition
                || checkpoint.MarkPosition >= DurablePosition || checkpoint.Sequence > LastSequence)
                return $"a mark of checkpoint {checkpoint.Number} in the log that was synced";
            foreach (var number in checkpoint.Tables)
            {
                if (Tables.FirstOrDefault(table => table.Number == number) is not { } table || table.LastSequence > checkpoint.Sequence)
                    return $"tables of checkpoint {checkpoint.Number} up to its sequence";
            }
        }

        return null;
    }

    private void CheckLimits(string name)
    {
        CheckLimit(name, "keys", KeyBytesMax, Limits.KeyBytesMax);
        CheckLimit(name, "names", NameBytesMax, Limits.NameBytesMax);
        CheckLimit(name, "payloads", PayloadBytesMax, RecordFrame.PayloadBytesMax);
    }

    private static void CheckLimit(string name, string what, uint found, uint known)
    {
        if (found != known)
            throw new FormatVersionException(name, $"{what} of up to {found} bytes", $"{known} bytes");
    }
}
