using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Cairn.Bench.Peers.Sqlite;

namespace Cairn.Bench.Peers;

/// <summary>
/// SQLite in WAL mode, one connection, prepared statements, every put its own transaction. <c>synchronous</c> is OFF for
/// InMemory, NORMAL for Buffered (synced at checkpoints only, which is less than an interval asks), FULL for Strict.
/// </summary>
internal sealed unsafe class SqlitePeer : Peer
{
    internal const string PeerName = "SQLite";

    private readonly string _synchronous;
    private readonly nint _database;
    private readonly nint _put;
    private readonly nint _get;
    private readonly nint _scan;

    internal SqlitePeer(Durability durability, string directory)
    {
        _synchronous = durability switch
        {
            Durability.InMemory => "OFF",
            Durability.Buffered => "NORMAL",
            _ => "FULL",
        };
        if (Sqlite.Open(Path.Combine(directory, "peer.db"), out _database, ReadWrite | Create | NoMutex, null) != Ok)
            throw Failure("open");
        Execute($"pragma journal_mode=wal; pragma synchronous={_synchronous}; pragma cache_size=-262144; "
            + "pragma mmap_size=1073741824; create table kv(k blob primary key, v blob) without rowid");
        _put = Prepare("insert into kv values(?, ?) on conflict(k) do update set v = excluded.v");
        _get = Prepare("select v from kv where k = ?");
        _scan = Prepare("select v from kv order by k");
    }

    internal static string? Missing => Sqlite.Missing;

    internal override string Name => PeerName;

    internal override string Configuration =>
        $"{Marshal.PtrToStringUTF8(Version())}, WAL, synchronous={_synchronous}, 256 MiB cache, 1 GiB mmap, autocommit, prepared";

    [SkipLocalsInit]
    internal override void Put(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        fixed (byte* keyStart = encoded)
        fixed (byte* valueStart = value)
        {
            Bind(_put, 1, keyStart, encoded.Length);
            Bind(_put, 2, valueStart, value.Length);
            var result = Step(_put);
            _ = Reset(_put);
            if (result != Done)
                throw Failure("put");
        }
    }

    [SkipLocalsInit]
    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        fixed (byte* keyStart = encoded)
        {
            Bind(_get, 1, keyStart, encoded.Length);
            var result = Step(_get);
            written = 0;
            if (result == Row)
            {
                var value = ColumnBlob(_get, 0);
                written = ColumnBytes(_get, 0);
                new ReadOnlySpan<byte>(value, written).CopyTo(destination);
            }

            _ = Reset(_get);
            if (result is not (Row or Done))
                throw Failure("get");
            return result == Row;
        }
    }

    internal override void Load(ReadOnlySpan<string> keys, ReadOnlySpan<byte> value)
    {
        Execute("begin");
        base.Load(keys, value);
        Execute("commit");
    }

    internal override bool IsOrdered => true;

    internal override long Scan()
    {
        long bytes = 0;
        int result;
        while ((result = Step(_scan)) == Row)
            bytes += new ReadOnlySpan<byte>(ColumnBlob(_scan, 0), ColumnBytes(_scan, 0)).Length;
        _ = Reset(_scan);
        if (result != Done)
            throw Failure("scan");
        return bytes;
    }

    public override void Dispose()
    {
        _ = Sqlite.Finalize(_put);
        _ = Sqlite.Finalize(_get);
        _ = Sqlite.Finalize(_scan);
        if (Sqlite.Close(_database) != Ok)
            throw Failure("close");
    }

    private void Execute(string sql)
    {
        if (Sqlite.Execute(_database, sql, 0, 0, 0) != Ok)
            throw Failure(sql);
    }

    /// <summary>Destructor 0 (static): the statement is stepped and reset while the bytes are pinned, so SQLite need not copy
    /// them.</summary>
    private void Bind(nint statement, int index, byte* start, int bytes)
    {
        if (BindBlob(statement, index, start, bytes, destructor: 0) != Ok)
            throw Failure("bind");
    }

    private nint Prepare(string sql) =>
        Sqlite.Prepare(_database, sql, -1, out var statement, 0) == Ok ? statement : throw Failure(sql);

    private PeerException Failure(string what) =>
        new($"SQLite: {what}: {Marshal.PtrToStringUTF8(ErrorMessage(_database))}");
}
