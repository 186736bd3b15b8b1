using System.Buffers.Binary;
using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tables;

/// <summary>
/// Writes one table, front to back, in bounded memory whatever its size: the block under way, the keys' hashes of one filter, one open
/// index block per level, and one stretch of content references. <see cref="Finish"/> publishes it in the order of
/// <see cref="PublishedFile"/>; before that, and after a failure, there is only a <c>.part</c>. Not thread-safe.
/// </summary>
internal sealed class TableWriter : IDisposable
{
    private readonly IStorage _storage;
    private readonly uint _number;
    private readonly string _path;
    private readonly uint _salted;
    private readonly TableOutput _output;
    private readonly DataBlockBuilder _data = new();
    private readonly IndexTree _index;
    private readonly IndexTree _contentIndex;
    private readonly List<ulong> _hashes = [];            // of the keys since the last filter
    private readonly List<ContentExtent> _contents = [];  // of the stretch under way
    private byte[] _last = new byte[64];                  // run and key of the last entry
    private int _lastBytes;
    private ulong _lastSequence;
    private byte[] _separator = new byte[64];             // of the block under way
    private int _separatorBytes;
    private ulong _separatorSequence;
    private byte[] _key = new byte[64];
    private ulong _hash;
    private int _stretches;
    private long _entries, _keys, _tombstones, _contentReferences, _contentBytes;
    private ulong _firstSequence = ulong.MaxValue, _highestSequence;
    private bool _isFinished;
    private bool _isDisposed;

    /// <param name="storage">Where the database lives.</param>
    /// <param name="number">The table's; never used before in this database.</param>
    /// <param name="databaseId">Of the database.</param>
    /// <param name="salt">Random; seeds every check of the file.</param>
    internal TableWriter(IStorage storage, uint number, UInt128 databaseId, UInt128 salt)
    {
        Invariant.Check(number > 0, "tables are numbered from 1");
        _storage = storage;
        _number = number;
        _path = LogNames.TablePath(number);
        _salted = TableFormat.Salted(salt);
        if (!storage.Exists(LogNames.TableDirectory))
        {
            storage.CreateDirectory(LogNames.TableDirectory);
            PublishedFile.SyncDirectory(storage, LogNames.Root);
        }

        _output = new TableOutput(storage.CreateNew(_path + LogNames.Part));
        _index = new IndexTree(WriteBlock);
        _contentIndex = new IndexTree(WriteBlock);
        Span<byte> header = stackalloc byte[SealedFileHeader.Size];
        new SealedFileHeader(FormatFeatures.Current, databaseId, number, salt).Write(TableFormat.Magic, header);
        _output.Append(header);
    }

    /// <summary>Entries added so far.</summary>
    internal long Entries => _entries;

    /// <summary>Bytes that are certain to be in the file so far.</summary>
    internal long Bytes => _output.Offset;

    /// <summary>Adds an entry: run and key ascending by their bytes, of one key the newest version first.</summary>
    /// <param name="key">The store key, at most <see cref="TableFormat.KeyBytesMax"/> bytes. Copied.</param>
    /// <param name="version">Its value is copied.</param>
    internal void Add(RunId run, ReadOnlySpan<byte> key, in VersionView version)
    {
        Invariant.Check(!_isFinished && key.Length <= TableFormat.KeyBytesMax, "an open table takes keys of up to 32,767 bytes");
        Invariant.Check(version.Sequence > 0 && version.Created <= version.Sequence, "a version is not older than its key");
        Invariant.Check(
            !version.IsContent || (version.Stored.Length == ContentReference.Size && !version.IsTombstone),
            "a content reference has 16 bytes");
        var bytes = RunId.Size + key.Length;
        Grow(ref _key, bytes);
        run.Write(_key);
        key.CopyTo(_key.AsSpan(RunId.Size));
        var probe = _key.AsSpan(0, bytes);

        var order = _entries == 0 ? 1 : probe.SequenceCompareTo(_last.AsSpan(0, _lastBytes));
        Invariant.Check(order > 0 || (order == 0 && version.Sequence < _lastSequence), "entries of a table come in order");
        var isAgain = order == 0;

        // A block ends early, too, rather than lose much of its prefix: where the run changes, as a rule.
        if (_data.Count > 0 && (_data.Bytes >= TableFormat.DataBlockBytes || _data.LossWith(probe) > TableFormat.PrefixLossMax
            || _data.BytesWith(probe, version.Stored.Length) > TableFormat.DataBlockBytesMax))
            EndDataBlock();
        if (_data.Count == 0)
            BeginDataBlock(probe, isAgain);
        if (!isAgain)
        {
            _hash = TableHash.Of(probe);
            _keys++;
        }

        if (!isAgain || _hashes.Count == 0)
            _hashes.Add(_hash);
        _data.Add(probe, _hash, isAgain, version);
        Remember(probe, version);
        if (version.IsContent)
            AddContent(version.Stored);
    }

    /// <summary>Ends the file and publishes it: footer, sync, name, sync of the directory.</summary>
    /// <exception cref="StorageException">A failed sync is final, as everywhere.</exception>
    internal TableInfo Finish()
    {
        Invariant.Check(!_isFinished && !_isDisposed, "a table is finished once");
        if (_data.Count > 0)
            EndDataBlock();
        EndGroup();
        EndStretch();
        var contentRoot = default(BlockPlace);
        var contentLevel = 0;
        if (_stretches > 0)
            (contentRoot, contentLevel) = _contentIndex.Finish(0);
        var (root, rootLevel) = _index.Finish(1);
        var footer = new TableFooter(
            root, rootLevel, contentRoot, contentLevel, _stretches, _entries, _keys, _tombstones, _entries == 0 ? 0 : _firstSequence,
            _highestSequence, _contentReferences, _contentBytes, _output.Offset + TableFooter.Size);
        Span<byte> bytes = stackalloc byte[TableFooter.Size];
        footer.Write(bytes, _salted, _output.Offset);
        _output.Append(bytes);
        _output.Flush();

        _isFinished = true;
        Failpoint.Hit("table.written-before-sync");
        PublishedFile.Sync(_output.File);
        var info = new TableInfo(
            _number, footer.FileBytes, _output.Digest.Current(), footer.FirstSequence, footer.LastSequence, _entries, _tombstones,
            _contentReferences, _contentBytes);
        _output.Dispose();
        Failpoint.Hit("table.synced-before-named");
        PublishedFile.Rename(_storage, _path + LogNames.Part, _path);
        _isDisposed = true;
        return info;
    }

    /// <summary>Throws away what was not finished. A <c>.part</c> that cannot be removed goes at the next opening.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _isFinished = true;
        _output.Dispose();
        try
        {
            _storage.Unlink(_path + LogNames.Part);
        }
        catch (StorageException)
        {
            // Nothing names it; why the table was given up is what the caller has to hear.
        }
    }

    private void Remember(ReadOnlySpan<byte> probe, in VersionView version)
    {
        Grow(ref _last, probe.Length);
        probe.CopyTo(_last);
        _lastBytes = probe.Length;
        _lastSequence = version.Sequence;
        _entries++;
        if (version.IsTombstone)
            _tombstones++;
        _firstSequence = Math.Min(_firstSequence, version.Sequence);
        _highestSequence = Math.Max(_highestSequence, version.Sequence);
    }

    private void BeginDataBlock(ReadOnlySpan<byte> first, bool isAgain)
    {
        // Between two keys the shortest bytes that tell them apart will do; between versions of one key, the sequence.
        var bytes = isAgain ? first.Length : 1 + first.CommonPrefixLength(_last.AsSpan(0, _lastBytes));
        Grow(ref _separator, bytes);
        first[..bytes].CopyTo(_separator);
        _separatorBytes = bytes;
        _separatorSequence = isAgain ? _lastSequence - 1 : ulong.MaxValue;
    }

    private void EndDataBlock()
    {
        var place = WriteBlock(_data.Build());
        _data.Clear();
        _index.Add(0, _separator.AsSpan(0, _separatorBytes), _separatorSequence, place, default);
        if (_index.BytesAt(0) >= TableFormat.IndexBlockBytes || _hashes.Count >= TableFormat.FilterKeysMax)
            EndGroup();
    }

    // A filter, and the index block of the data blocks whose keys are in it.
    private void EndGroup()
    {
        if (_hashes.Count == 0)
            return;
        var filter = WriteBlock(FilterBlock.Build(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_hashes)));
        _hashes.Clear();
        _index.EndBlock(0, filter);
    }

    private void AddContent(ReadOnlySpan<byte> reference)
    {
        var extent = ContentExtent.Of(reference);
        _contents.Add(extent);
        _contentReferences++;
        _contentBytes += extent.Length;
        if (_contents.Count == ContentBlock.StretchMax)
            EndStretch();
    }

    private void EndStretch()
    {
        if (_contents.Count == 0)
            return;
        _contents.Sort();
        Span<byte> key = stackalloc byte[ContentBlock.IndexKeyBytes];
        for (var rest = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_contents); rest.Length > 0;)
        {
            var some = rest[..Math.Min(rest.Length, ContentBlock.EntriesMax)];
            BinaryPrimitives.WriteInt32BigEndian(key, _stretches);
            BinaryPrimitives.WriteUInt64BigEndian(key[4..], some[0].Position);
            _contentIndex.Add(0, key, ulong.MaxValue, WriteBlock(ContentBlock.Build(some)), default);
            if (_contentIndex.IsFull(0))
                _contentIndex.EndBlock(0, default);
            rest = rest[some.Length..];
        }

        _contents.Clear();
        _stretches++;
    }

    private BlockPlace WriteBlock(Span<byte> block)
    {
        Invariant.Check(block.Length <= TableFormat.BlockBytesMax, "a block has a bound");
        var place = new BlockPlace(_output.Offset, block.Length);
        Block.Seal(block, _salted, place.Offset);
        _output.Append(block);
        return place;
    }

    private static void Grow(ref byte[] buffer, int bytes)
    {
        if (buffer.Length < bytes)
            Array.Resize(ref buffer, Math.Max(2 * buffer.Length, bytes));
    }
}

/// <summary>The file under way: gathers small pieces into large writes and hashes what goes out.</summary>
internal sealed class TableOutput(IFile file) : IDisposable
{
    private const int WritebackBytes = 1 << 20;

    private readonly byte[] _buffer = new byte[256 << 10];
    private int _filled;
    private long _written;
    private long _begun;                                     // on its way to the device, so that the sync at the end finds little to do
    private bool _isBroken;

    internal IFile File => file;

    internal RunningDigest Digest { get; } = new();

    /// <summary>Where the next piece goes.</summary>
    internal long Offset => _written + _filled;

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _buffer.Length - _filled)
            Flush();
        if (bytes.Length >= _buffer.Length)
        {
            Write(bytes);
            return;
        }

        bytes.CopyTo(_buffer.AsSpan(_filled));
        _filled += bytes.Length;
    }

    internal void Flush()
    {
        Write(_buffer.AsSpan(0, _filled));
        _filled = 0;
    }

    // After a failure nothing more is written: the file has a hole where the failed piece should be.
    private void Write(ReadOnlySpan<byte> bytes)
    {
        Invariant.Check(!_isBroken, "a table is given up after a failed write");
        if (bytes.Length == 0)
            return;
        _isBroken = true;
        file.WriteAt(bytes, _written);
        Digest.Append(bytes);
        _written += bytes.Length;
        _isBroken = false;
        if (_written - _begun < WritebackBytes)
            return;
        file.BeginWriteback(_begun, _written - _begun);
        _begun = _written;
    }

    public void Dispose()
    {
        file.Dispose();
        Digest.Dispose();
    }
}

/// <summary>The index blocks under way, one per level. A full block is written and named in the level above.</summary>
internal sealed class IndexTree(IndexTree.BlockSink write)
{
    private readonly List<IndexBlockBuilder> _levels = [new(0), new(1)];

    internal delegate BlockPlace BlockSink(Span<byte> block);

    internal int BytesAt(int level) => _levels[level].Bytes;

    /// <summary>A block holds at least two entries, however long they are: else the tree would never end.</summary>
    internal bool IsFull(int level) => _levels[level].Bytes >= TableFormat.IndexBlockBytes && _levels[level].Count >= 2;

    internal void Add(int level, ReadOnlySpan<byte> key, ulong sequence, BlockPlace child, BlockPlace filter) =>
        _levels[level].Add(key, sequence, child, filter);

    /// <summary>Writes the block under way of a level and names it above.</summary>
    internal void EndBlock(int level, BlockPlace filter)
    {
        var builder = _levels[level];
        var place = write(builder.Build());
        if (_levels.Count == level + 1)
            _levels.Add(new IndexBlockBuilder(level + 1));
        Add(level + 1, builder.FirstKey, builder.FirstSequence, place, filter);
        builder.Clear();
        if (IsFull(level + 1))
            EndBlock(level + 1, default);
    }

    /// <summary>Writes what is under way, from a level up.</summary>
    /// <returns>The one block that is above all, and its level.</returns>
    internal (BlockPlace Root, int Level) Finish(int lowest)
    {
        var level = lowest;
        for (; _levels.Skip(level + 1).Any(above => above.Count > 0); level++)
        {
            if (_levels[level].Count > 0)
                EndBlock(level, default);
        }

        return (write(_levels[level].Build()), level);
    }
}
