using System.Runtime.InteropServices;
using static Cairn.Bench.Peers.Sqlite;

namespace Cairn.Bench.Peers;

/// <summary>Documents as text in a table of SQLite in memory, without syncs: changed by <c>json_set</c>, asked by <c>json_extract</c>, each
/// its own transaction, statements prepared.</summary>
internal sealed class SqliteJson : IDisposable
{
    private const nint Transient = -1;                       // SQLite copies what is bound

    private readonly nint _database;
    private readonly nint _insert;
    private readonly nint _set;
    private readonly nint _get;

    /// <param name="path">The one place that is changed and asked, as SQLite spells it.</param>
    internal SqliteJson(string path)
    {
        if (Open(":memory:", out _database, ReadWrite | Create | NoMutex, null) != Ok)
            throw Failure("open");
        if (Execute(_database, "pragma synchronous=OFF; create table d(id integer primary key, doc text)", 0, 0, 0) != Ok)
            throw Failure("create");
        _insert = Prepared("insert into d values(?, ?)");
        _set = Prepared($"update d set doc = json_set(doc, '{path}', ?) where id = ?");
        _get = Prepared($"select json_extract(doc, '{path}') from d where id = ?");
    }

    internal void Insert(long id, string json)
    {
        _ = BindInt64(_insert, 1, id);
        _ = BindText(_insert, 2, json, -1, Transient);
        End(_insert, Done);
    }

    internal void Set(long id, long value)
    {
        _ = BindInt64(_set, 1, value);
        _ = BindInt64(_set, 2, id);
        End(_set, Done);
    }

    internal long Get(long id)
    {
        _ = BindInt64(_get, 1, id);
        if (Step(_get) != Row)
            throw Failure("get");
        var value = ColumnInt64(_get, 0);
        _ = Reset(_get);
        return value;
    }

    public void Dispose()
    {
        foreach (var statement in (nint[])[_insert, _set, _get])
            _ = Sqlite.Finalize(statement);
        _ = Close(_database);
    }

    private void End(nint statement, int expected)
    {
        var result = Step(statement);
        _ = Reset(statement);
        if (result != expected)
            throw Failure("step");
    }

    private nint Prepared(string sql) =>
        Prepare(_database, sql, -1, out var statement, 0) == Ok ? statement : throw Failure(sql);

    private PeerException Failure(string what) =>
        new($"SQLite: {what}: {Marshal.PtrToStringUTF8(ErrorMessage(_database))}");
}
