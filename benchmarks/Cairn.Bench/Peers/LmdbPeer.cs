using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Cairn.Bench.Peers;

/// <summary>
/// LMDB, a transaction per put, one renewed read transaction for gets. InMemory means no sync at all and a writable map, its
/// quickest setting; Strict syncs each commit. It has no log, hence no Buffered mode. One thread.
/// </summary>
internal sealed unsafe partial class LmdbPeer : Peer
{
    internal const string PeerName = "LMDB";

    private const string Library = "liblmdb.so.0";
    private const uint MapMebibytes = 8192;
    private const uint NoSync = 0x10000;
    private const uint ReadOnly = 0x20000;
    private const uint WriteMap = 0x80000;
    private const uint NoThreadLocal = 0x200000;
    private const uint NoMemoryInit = 0x1000000;
    private const int NotFound = -30798;
    private const int First = 0;
    private const int Next = 8;
    private const int OwnerReadsAndWrites = 0x180;

    private readonly bool _syncs;
    private readonly nint _environment;
    private readonly uint _database;
    private readonly nint _reading;

    internal LmdbPeer(Durability durability, string directory)
    {
        if (durability == Durability.Buffered)
            throw new ArgumentOutOfRangeException(nameof(durability), "LMDB has no log to buffer.");
        _syncs = durability == Durability.Strict;
        Check(CreateEnvironment(out _environment), "create");
        Check(SetMapSize(_environment, (nuint)MapMebibytes << 20), "map size");
        var flags = NoThreadLocal | NoMemoryInit | (_syncs ? 0 : NoSync | WriteMap);
        Check(Open(_environment, directory, flags, OwnerReadsAndWrites), "open");
        Check(Begin(_environment, 0, 0, out var transaction), "begin");
        Check(OpenDatabase(transaction, null, 0, out _database), "database");
        Check(Commit(transaction), "commit");
        Check(Begin(_environment, 0, ReadOnly, out _reading), "begin");
        ResetReading(_reading);
    }

    private LmdbPeer(string directory)
    {
        Check(CreateEnvironment(out _environment), "create");
        Check(SetMapSize(_environment, (nuint)MapMebibytes << 20), "map size");
        Check(Open(_environment, directory, NoThreadLocal | ReadOnly, OwnerReadsAndWrites), "open");
        Check(Begin(_environment, 0, ReadOnly, out _reading), "begin");
        Check(OpenDatabase(_reading, null, 0, out _database), "database");
        ResetReading(_reading);
    }

    internal static string? Missing => SharedLibrary.Missing(Library);

    /// <summary>Opens what is there, for reading only.</summary>
    internal static LmdbPeer OpenReading(string directory) => new(directory);

    internal override string Name => PeerName;

    internal override string Configuration
    {
        get
        {
            _ = Version(out var major, out var minor, out var patch);
            return $"{major}.{minor}.{patch}, {(_syncs ? "sync per commit" : "NOSYNC, WRITEMAP")}, a transaction per put";
        }
    }

    [SkipLocalsInit]
    internal override void Put(string key, ReadOnlySpan<byte> value)
    {
        Check(Begin(_environment, 0, 0, out var transaction), "begin");
        Put(transaction, key, value);
        Check(Commit(transaction), "commit");
    }

    [SkipLocalsInit]
    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        Check(Renew(_reading), "renew");
        fixed (byte* keyStart = encoded)
        {
            var keyItem = new Item { Bytes = (nuint)encoded.Length, Start = keyStart };
            var result = Get(_reading, _database, &keyItem, out var item);
            written = 0;
            if (result != NotFound)
            {
                Check(result, "get");
                written = (int)item.Bytes;
                new ReadOnlySpan<byte>(item.Start, written).CopyTo(destination);
            }

            ResetReading(_reading);
            return result != NotFound;
        }
    }

    internal override void Load(ReadOnlySpan<string> keys, ReadOnlySpan<byte> value)
    {
        Check(Begin(_environment, 0, 0, out var transaction), "begin");
        foreach (var key in keys)
            Put(transaction, key, value);
        Check(Commit(transaction), "commit");
    }

    internal override bool IsOrdered => true;

    internal override long Scan()
    {
        Check(Renew(_reading), "renew");
        Check(OpenCursor(_reading, _database, out var cursor), "cursor");
        long bytes = 0;
        var result = MoveCursor(cursor, out _, out var value, First);
        while (result != NotFound)
        {
            Check(result, "scan");
            bytes += (long)value.Bytes;
            result = MoveCursor(cursor, out _, out value, Next);
        }

        CloseCursor(cursor);
        ResetReading(_reading);
        return bytes;
    }

    public override void Dispose()
    {
        Abort(_reading);
        Close(_environment);
    }

    private void Put(nint transaction, string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        fixed (byte* keyStart = encoded)
        fixed (byte* valueStart = value)
        {
            var keyItem = new Item { Bytes = (nuint)encoded.Length, Start = keyStart };
            var valueItem = new Item { Bytes = (nuint)value.Length, Start = valueStart };
            Check(Put(transaction, _database, &keyItem, &valueItem, 0), "put");
        }
    }

    private static void Check(int result, string what)
    {
        if (result != 0)
            throw new PeerException($"LMDB: {what}: error {result}");
    }

    /// <summary><c>MDB_val</c>.</summary>
    private struct Item
    {
        internal nuint Bytes;
        internal byte* Start;
    }

    [LibraryImport(Library, EntryPoint = "mdb_version")]
    private static partial nint Version(out int major, out int minor, out int patch);

    [LibraryImport(Library, EntryPoint = "mdb_env_create")]
    private static partial int CreateEnvironment(out nint environment);

    [LibraryImport(Library, EntryPoint = "mdb_env_set_mapsize")]
    private static partial int SetMapSize(nint environment, nuint bytes);

    [LibraryImport(Library, EntryPoint = "mdb_env_open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(nint environment, string directory, uint flags, int mode);

    [LibraryImport(Library, EntryPoint = "mdb_env_close")]
    private static partial void Close(nint environment);

    [LibraryImport(Library, EntryPoint = "mdb_txn_begin")]
    private static partial int Begin(nint environment, nint parent, uint flags, out nint transaction);

    [LibraryImport(Library, EntryPoint = "mdb_txn_commit")]
    private static partial int Commit(nint transaction);

    [LibraryImport(Library, EntryPoint = "mdb_txn_abort")]
    private static partial void Abort(nint transaction);

    [LibraryImport(Library, EntryPoint = "mdb_txn_reset")]
    private static partial void ResetReading(nint transaction);

    [LibraryImport(Library, EntryPoint = "mdb_txn_renew")]
    private static partial int Renew(nint transaction);

    [LibraryImport(Library, EntryPoint = "mdb_dbi_open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenDatabase(nint transaction, string? name, uint flags, out uint database);

    [LibraryImport(Library, EntryPoint = "mdb_put")]
    private static partial int Put(nint transaction, uint database, Item* key, Item* value, uint flags);

    [LibraryImport(Library, EntryPoint = "mdb_get")]
    private static partial int Get(nint transaction, uint database, Item* key, out Item value);

    [LibraryImport(Library, EntryPoint = "mdb_cursor_open")]
    private static partial int OpenCursor(nint transaction, uint database, out nint cursor);

    [LibraryImport(Library, EntryPoint = "mdb_cursor_get")]
    private static partial int MoveCursor(nint cursor, out Item key, out Item value, int operation);

    [LibraryImport(Library, EntryPoint = "mdb_cursor_close")]
    private static partial void CloseCursor(nint cursor);
}
