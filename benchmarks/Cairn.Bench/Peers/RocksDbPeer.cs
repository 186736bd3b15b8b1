using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Cairn.Bench.Peers;

/// <summary>
/// RocksDB over its C interface, without compression. InMemory writes no log; Buffered writes the log with each put and syncs it
/// every 100 ms, by time alone; Strict syncs each put and groups concurrent ones. Any number of threads.
/// </summary>
internal sealed unsafe partial class RocksDbPeer : Peer
{
    internal const string PeerName = "RocksDB";

    private const string Library = "librocksdb.so.7.8";
    private const int NoCompression = 0;
    private const int BufferBytes = 256 << 20;
    private static readonly TimeSpan SyncInterval = TimeSpan.FromMilliseconds(100);

    private readonly Durability _durability;
    private readonly int _bufferBytes;
    private readonly nint _options;
    private readonly nint _writing;
    private readonly nint _reading;
    private readonly nint _database;
    private readonly PeriodicSync? _sync;

    /// <param name="bufferBytes">Of a memtable: so much is written to the log before it goes into a table.</param>
    internal RocksDbPeer(Durability durability, string directory, int bufferBytes = BufferBytes)
    {
        _durability = durability;
        _bufferBytes = bufferBytes;
        _options = CreateOptions();
        SetCreateIfMissing(_options, 1);
        SetWriteBufferBytes(_options, (nuint)bufferBytes);
        SetCompression(_options, NoCompression);
        _writing = CreateWriteOptions();
        SetSync(_writing, durability == Durability.Strict ? (byte)1 : (byte)0);
        DisableLog(_writing, durability == Durability.InMemory ? 1 : 0);
        _reading = CreateReadOptions();
        nint error = 0;
        _database = Open(_options, directory, ref error);
        Check(error, "open");
        if (durability == Durability.Buffered)
            _sync = new PeriodicSync(SyncInterval, Sync);
    }

    internal static string? Missing => SharedLibrary.Missing(Library);

    internal override string Name => PeerName;

    internal override string Configuration => $"{Library["librocksdb.so.".Length..]}, no compression, "
        + $"{_bufferBytes >> 20} MiB write buffer, " + _durability switch
        {
            Durability.InMemory => "no log",
            Durability.Buffered => "log written per put, synced every 100 ms",
            _ => "log synced per put",
        };

    [SkipLocalsInit]
    internal override void Put(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        Put(Encode(key, buffer), value);
    }

    internal void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        nint error = 0;
        fixed (byte* keyStart = key)
        fixed (byte* valueStart = value)
            Put(_database, _writing, keyStart, (nuint)key.Length, valueStart, (nuint)value.Length, ref error);
        Check(error, "put");
    }

    [SkipLocalsInit]
    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        nint error = 0;
        nint pinned;
        fixed (byte* keyStart = encoded)
            pinned = GetPinned(_database, _reading, keyStart, (nuint)encoded.Length, ref error);
        Check(error, "get");
        written = 0;
        if (pinned == 0)
            return false;
        var value = PinnedValue(pinned, out var bytes);
        written = (int)bytes;
        new ReadOnlySpan<byte>(value, written).CopyTo(destination);
        ReleasePinned(pinned);
        return true;
    }

    internal override bool IsOrdered => true;

    internal override long Scan()
    {
        var iterator = CreateIterator(_database, _reading);
        long bytes = 0;
        for (SeekToFirst(iterator); IsValid(iterator) != 0; MoveNext(iterator))
        {
            _ = Value(iterator, out var length);
            bytes += (long)length;
        }

        nint error = 0;
        GetError(iterator, ref error);
        DestroyIterator(iterator);
        Check(error, "scan");
        return bytes;
    }

    public override void Dispose()
    {
        _sync?.Dispose();
        Close(_database);
        DestroyReadOptions(_reading);
        DestroyWriteOptions(_writing);
        DestroyOptions(_options);
    }

    private void Sync()
    {
        nint error = 0;
        FlushLog(_database, sync: 1, ref error);
        Check(error, "sync");
    }

    private static void Check(nint error, string what)
    {
        if (error == 0)
            return;
        var message = Marshal.PtrToStringUTF8(error);
        Free(error);
        throw new PeerException($"RocksDB: {what}: {message}");
    }

    [LibraryImport(Library, EntryPoint = "rocksdb_options_create")]
    private static partial nint CreateOptions();

    [LibraryImport(Library, EntryPoint = "rocksdb_options_destroy")]
    private static partial void DestroyOptions(nint options);

    [LibraryImport(Library, EntryPoint = "rocksdb_options_set_create_if_missing")]
    private static partial void SetCreateIfMissing(nint options, byte value);

    [LibraryImport(Library, EntryPoint = "rocksdb_options_set_write_buffer_size")]
    private static partial void SetWriteBufferBytes(nint options, nuint bytes);

    [LibraryImport(Library, EntryPoint = "rocksdb_options_set_compression")]
    private static partial void SetCompression(nint options, int compression);

    [LibraryImport(Library, EntryPoint = "rocksdb_writeoptions_create")]
    private static partial nint CreateWriteOptions();

    [LibraryImport(Library, EntryPoint = "rocksdb_writeoptions_destroy")]
    private static partial void DestroyWriteOptions(nint options);

    [LibraryImport(Library, EntryPoint = "rocksdb_writeoptions_set_sync")]
    private static partial void SetSync(nint options, byte value);

    [LibraryImport(Library, EntryPoint = "rocksdb_writeoptions_disable_WAL")]
    private static partial void DisableLog(nint options, int value);

    [LibraryImport(Library, EntryPoint = "rocksdb_readoptions_create")]
    private static partial nint CreateReadOptions();

    [LibraryImport(Library, EntryPoint = "rocksdb_readoptions_destroy")]
    private static partial void DestroyReadOptions(nint options);

    [LibraryImport(Library, EntryPoint = "rocksdb_open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Open(nint options, string directory, ref nint error);

    [LibraryImport(Library, EntryPoint = "rocksdb_close")]
    private static partial void Close(nint database);

    [LibraryImport(Library, EntryPoint = "rocksdb_free")]
    private static partial void Free(nint memory);

    [LibraryImport(Library, EntryPoint = "rocksdb_put")]
    private static partial void Put(
        nint database, nint options, byte* key, nuint keyBytes, byte* value, nuint valueBytes, ref nint error);

    [LibraryImport(Library, EntryPoint = "rocksdb_flush_wal")]
    private static partial void FlushLog(nint database, byte sync, ref nint error);

    [LibraryImport(Library, EntryPoint = "rocksdb_get_pinned")]
    private static partial nint GetPinned(nint database, nint options, byte* key, nuint keyBytes, ref nint error);

    [LibraryImport(Library, EntryPoint = "rocksdb_pinnableslice_value"), SuppressGCTransition]
    private static partial byte* PinnedValue(nint pinned, out nuint bytes);

    [LibraryImport(Library, EntryPoint = "rocksdb_pinnableslice_destroy")]
    private static partial void ReleasePinned(nint pinned);

    [LibraryImport(Library, EntryPoint = "rocksdb_create_iterator")]
    private static partial nint CreateIterator(nint database, nint options);

    [LibraryImport(Library, EntryPoint = "rocksdb_iter_destroy")]
    private static partial void DestroyIterator(nint iterator);

    [LibraryImport(Library, EntryPoint = "rocksdb_iter_seek_to_first")]
    private static partial void SeekToFirst(nint iterator);

    [LibraryImport(Library, EntryPoint = "rocksdb_iter_next")]
    private static partial void MoveNext(nint iterator);

    // The two below only read a field: without the transition of an ordinary call the peer looks its best.
    [LibraryImport(Library, EntryPoint = "rocksdb_iter_valid"), SuppressGCTransition]
    private static partial byte IsValid(nint iterator);

    [LibraryImport(Library, EntryPoint = "rocksdb_iter_value"), SuppressGCTransition]
    private static partial byte* Value(nint iterator, out nuint bytes);

    [LibraryImport(Library, EntryPoint = "rocksdb_iter_get_error")]
    private static partial void GetError(nint iterator, ref nint error);
}
