using System.Runtime.InteropServices;
using static Cairn.Bench.Peers.Sqlite;

namespace Cairn.Bench.Peers;

/// <summary>Documents as text in a table of SQLite in memory, without syncs, with one field of them in a column of its own that has an
/// index.</summary>
internal sealed class SqliteDocuments : IDisposable
{
    private const nint Transient = -1;                       // SQLite copies what is bound

    private readonly nint _database;
    private nint _find;

    internal SqliteDocuments()
    {
        if (Open(":memory:", out _database, ReadWrite | Create | NoMutex, null) != Ok)
            throw Failure("open");
        Do("pragma synchronous=OFF");
        Do("create table d(id integer primary key, doc text, owner text)");
    }

    internal void Fill(IEnumerable<(int Id, string Json, string Owner)> rows)
    {
        Do("begin");
        var insert = Prepared("insert into d values(?, ?, ?)");
        foreach (var (id, json, owner) in rows)
        {
            _ = BindInt64(insert, 1, id);
            _ = BindText(insert, 2, json, -1, Transient);
            _ = BindText(insert, 3, owner, -1, Transient);
            if (Step(insert) != Done)
                throw Failure("insert");
            _ = Reset(insert);
        }

        _ = Sqlite.Finalize(insert);
        Do("commit");
    }

    internal void DropIndex()
    {
        if (_find != 0)
            _ = Sqlite.Finalize(_find);
        _find = 0;
        Do("drop index if exists d_owner");
    }

    internal void CreateIndex() => Do("create index d_owner on d(owner)");

    /// <summary>Reads the documents of one value.</summary>
    /// <returns>How many there are.</returns>
    internal unsafe int Find(string owner)
    {
        if (_find == 0)
            _find = Prepared("select id, doc from d where owner = ?");
        _ = BindText(_find, 1, owner, -1, Transient);
        var found = 0;
        while (Step(_find) == Row)
        {
            _ = ColumnInt64(_find, 0);
            var text = Marshal.PtrToStringUTF8((nint)ColumnBlob(_find, 1), ColumnBytes(_find, 1));
            found += text.Length > 0 ? 1 : 0;
        }

        _ = Reset(_find);
        return found;
    }

    public void Dispose()
    {
        if (_find != 0)
            _ = Sqlite.Finalize(_find);
        _ = Close(_database);
    }

    private void Do(string sql)
    {
        if (Execute(_database, sql, 0, 0, 0) != Ok)
            throw Failure(sql);
    }

    private nint Prepared(string sql) =>
        Prepare(_database, sql, -1, out var statement, 0) == Ok ? statement : throw Failure(sql);

    private PeerException Failure(string what) =>
        new($"SQLite: {what}: {Marshal.PtrToStringUTF8(ErrorMessage(_database))}");
}
