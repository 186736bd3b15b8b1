// A table: entries of many runs in one immutable, sorted file. What a checkpoint writes, what a merge makes of several.
//
//      offset 0      header      magic, format, database, number, salt
//      128           data block  run 01: key a @7, key a @3, key b @5 ...
//                    data block
//                    filter      of the keys in the data blocks above
//                    index 0     names these data blocks: a group
//                    data block ...
//                    filter, index 0
//                    content     stretches of the log that entries refer to, sorted
//                    index 1     names each group's index block and its filter; level 2 and so on above, if there are that many
//      end - 112     footer      where the root is, counts
//
//      get(run, key, @6):  root -> (filter says no: absent) -> index 0 -> data block -> slot of the key -> its versions, newest first
//
// T1  A table never changes. It is written front to back under a .part name, synced, named, and only then may a manifest name it.
// T5  Every block has a check that is seeded with the file's salt and its own offset; header and footer have theirs. A block that is not
//     right is Corruption with file and offset, never an absent key. A block is checked once, when it comes from the disk.
// T7  Opening reads header, footer and root, which have a bound: it costs the same for any size.
// T8  No filter ever denies a key that one of its blocks has.
//
// The file is as long as the manifest says and has the digest it says; Open checks the length, Verify the digest and everything else.
// A table does not know who may still read it. Whoever owns it closes it when nobody can be inside (the epoch of the stores).
//
// What it does not do: values above 4 KiB are in the log, the entry has their reference; a table that is damaged is told and not repaired
// here (Recovery/Rebuilder.cs).

using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tables;

/// <summary>One open table. Thread-safe for reading.</summary>
internal sealed class Table : IDisposable
{
    /// <summary>Read at once when a table is opened: the footer, and as a rule the root, which stands right before it.</summary>
    private const int TailBytes = 4096;

    private static uint s_lastIdentity;

    private readonly IFile _file;
    private readonly BlockCache _cache;
    private readonly uint _salted;
    private readonly byte[] _root;
    private readonly uint _identity = Interlocked.Increment(ref s_lastIdentity);   // in the cache: a number may be used by two databases

    private Table(IFile file, TableInfo info, in SealedFileHeader header, in TableFooter footer, ReadOnlySpan<byte> tail, BlockCache cache)
    {
        _file = file;
        _cache = cache;
        _salted = TableFormat.Salted(header.Salt);
        Info = info;
        Footer = footer;
        _root = Read(footer.Root, BlockKind.Index, footer.RootLevel, tail);
    }

    internal TableInfo Info { get; }

    internal TableFooter Footer { get; }

    internal byte[] RootBlock => _root;

    /// <summary>Opens a table that a manifest names: reads and checks its header, footer and root.</summary>
    /// <exception cref="CorruptionException">It is not there, or not what the manifest and the database say.</exception>
    /// <exception cref="FormatVersionException">Written by a newer version.</exception>
    internal static Table Open(IStorage storage, TableInfo info, UInt128 databaseId, BlockCache cache)
    {
        IFile file;
        try
        {
            file = storage.Open(info.Path, writable: false);
        }
        catch (StorageException missing) when (missing.Error == StorageError.NotFound)
        {
            throw Damaged(info, 0, "the table that the manifest names; it is missing");
        }

        try
        {
            var header = ReadHeader(file, info, databaseId);
            Span<byte> tail = stackalloc byte[(int)Math.Min(TailBytes, info.FileBytes)];
            var footer = ReadFooter(file, info, TableFormat.Salted(header.Salt), tail);
            return new Table(file, info, header, footer, tail, cache);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The newest version of a key at or below a sequence, tombstones included.</summary>
    /// <param name="probe">Run and key, see <see cref="Probe"/>.</param>
    /// <param name="hash">Of <paramref name="probe"/>.</param>
    internal bool TryGet(scoped ReadOnlySpan<byte> probe, ulong hash, ulong sequence, out VersionView version)
    {
        if (TryPlace(probe, hash, sequence, out var place))
        {
            var data = Data(place);
            var entry = DataBlock.Find(data, probe, hash, sequence);
            if (entry >= 0)
            {
                version = DataBlock.View(data, entry);
                return true;
            }
        }

        version = default;
        return false;
    }

    /// <summary>The data block that has that version if any has it; false when certainly none has.</summary>
    internal bool TryPlace(scoped ReadOnlySpan<byte> probe, ulong hash, ulong sequence, out BlockPlace place)
    {
        place = default;
        var block = _root;
        for (var level = Footer.RootLevel;; level--)
        {
            var child = IndexBlock.Search(block, probe, sequence);
            if (child < 0 || (level == 1 && !PassesFilter(block, child, hash)))
                return false;
            if (level == 0)
            {
                place = IndexBlock.Child(block, child);
                return true;
            }

            block = Index(IndexBlock.Child(block, child), level - 1);
        }
    }

    /// <summary>False: the table certainly has no version of the key. Asks filters only.</summary>
    internal bool MayHave(ReadOnlySpan<byte> probe, ulong hash)
    {
        ReadOnlySpan<byte> block = _root;
        for (var level = Footer.RootLevel;; level--)
        {
            var child = IndexBlock.Search(block, probe, ulong.MaxValue);
            if (child < 0)
                return false;
            if (level == 1)
                return PassesFilter(block, child, hash);
            block = Index(IndexBlock.Child(block, child), level - 1);
        }
    }

    internal byte[] Data(BlockPlace place, bool keep = true) => Get(place, BlockKind.Data, 0, keep);

    internal byte[] Index(BlockPlace place, int level, bool keep = true) => Get(place, BlockKind.Index, level, keep);

    internal byte[] Content(BlockPlace place, bool keep = true) => Get(place, BlockKind.Content, 0, keep);

    /// <summary>Looks at everything: digest, every block, order, counts. In steps: <see cref="TableVerification"/>.</summary>
    /// <exception cref="CorruptionException">Something is not as it was written.</exception>
    internal void Verify()
    {
        using var verification = new TableVerification(this);
        while (!verification.Step(int.MaxValue))
        {
        }
    }

    /// <summary>Closes the file. Nobody may be inside.</summary>
    public void Dispose()
    {
        _cache.Forget(_identity);
        _file.Dispose();
    }

    private bool PassesFilter(ReadOnlySpan<byte> block, int child, ulong hash)
    {
        var filter = IndexBlock.Filter(block, child);
        return filter.Bytes == 0 || FilterBlock.MayHave(Get(filter, BlockKind.Filter, 0, keep: true), hash);
    }

    private byte[] Get(BlockPlace place, BlockKind kind, int level, bool keep)
    {
        if (_cache.Find(_identity, place.Offset) is { } found)
        {
            // Only an index that names one block as two kinds could bring this about.
            if (Block.Kind(found) != kind || Block.Level(found) != level)
                throw Damaged(place.Offset, $"a {kind} block of level {level}");
            return found;
        }

        var block = Read(place, kind, level);
        if (keep)
            _cache.Add(_identity, place.Offset, block);
        return block;
    }

    /// <param name="tail">The end of the file, if that has been read.</param>
    private byte[] Read(BlockPlace place, BlockKind kind, int level, ReadOnlySpan<byte> tail = default)
    {
        if (place.Offset < SealedFileHeader.Size || place.Bytes is < Block.HeaderBytes or > TableFormat.BlockBytesMax
            || place.Offset > Info.FileBytes - TableFooter.Size - place.Bytes)
            throw Damaged(place.Offset, $"a place of a {kind} block inside the file");
        var block = GC.AllocateUninitializedArray<byte>(place.Bytes);
        var inTail = place.Offset - (Info.FileBytes - tail.Length);
        if (inTail >= 0 && inTail + place.Bytes <= tail.Length)
            tail.Slice((int)inTail, place.Bytes).CopyTo(block);
        else
            ReadRaw(block, place.Offset);
        if (Block.FindFault(block, kind, level, _salted, place.Offset) is { } fault)
            throw Damaged(place.Offset, fault);
        return block;
    }

    /// <summary>Bytes of the file, unchecked.</summary>
    internal void ReadRaw(Span<byte> target, long offset)
    {
        int read;
        try
        {
            read = _file.ReadAt(target, offset);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(Info.Path);                // a reader's door is near: what it cannot read is no corruption yet
        }

        if (read != target.Length)
            throw Damaged(offset, $"{target.Length} bytes; {read} are there");
    }

    private static SealedFileHeader ReadHeader(IFile file, TableInfo info, UInt128 databaseId)
    {
        if (file.LengthWhenOpened != info.FileBytes)
            throw Damaged(info, file.LengthWhenOpened, $"a file of {info.FileBytes} bytes; it has {file.Length}");
        Span<byte> bytes = stackalloc byte[SealedFileHeader.Size];
        if (file.ReadAt(bytes, 0) != bytes.Length || !SealedFileHeader.TryRead(TableFormat.Magic, bytes, out var header))
            throw Damaged(info, 0, "a table's header");
        header.Format.Check(info.Path, forWriting: false);
        if (header.DatabaseId != databaseId)
            throw Damaged(info, 32, "a table of this database");
        if (header.Number != info.Number)
            throw Damaged(info, 48, $"table number {info.Number}, not {header.Number}");
        return header;
    }

    private static TableFooter ReadFooter(IFile file, TableInfo info, uint salted, Span<byte> tail)
    {
        var offset = info.FileBytes - TableFooter.Size;
        if (offset < SealedFileHeader.Size || file.ReadAt(tail, info.FileBytes - tail.Length) != tail.Length)
            throw Damaged(info, Math.Max(0, offset), "a table's footer");
        var bytes = tail[^TableFooter.Size..];
        if (!TableFooter.IsRight(salted, offset, bytes))
            throw Damaged(info, Math.Max(0, offset), "a table's footer");
        var footer = TableFooter.Read(bytes);
        if (footer.RootLevel is < 1 or > TableFormat.LevelsMax || footer.ContentRootLevel is < 0 or > TableFormat.LevelsMax
            || footer.FileBytes != info.FileBytes || footer.Entries != info.Entries || footer.Tombstones != info.Tombstones
            || footer.FirstSequence != info.FirstSequence || footer.LastSequence != info.LastSequence
            || footer.ContentReferences != info.ContentReferences || footer.ContentBytes != info.ContentBytes
            || footer.ContentStretches < 0 || (footer.ContentStretches == 0) != (info.ContentReferences == 0))
            throw Damaged(info, offset, "the counts that the manifest names");
        return footer;
    }

    /// <summary>What is not right is told to whoever looks after it.</summary>
    internal CorruptionException Damaged(long offset, string expected)
    {
        var damage = Damaged(Info, offset, expected);
        _cache.Damaged?.Invoke(Info, damage);
        return damage;
    }

    private static CorruptionException Damaged(TableInfo info, long offset, string expected) =>
        new(info.Path, offset, new Sequence(info.FirstSequence), expected);
}
