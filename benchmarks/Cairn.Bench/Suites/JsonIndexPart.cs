using System.Diagnostics;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;
using Cairn.Store;

namespace Cairn.Bench.Suites;

/// <summary>Documents found by one field, ten to a value: how long the index takes to be built, how many questions a thread asks a second,
/// beside SQLite's index on a column that holds the field; and what an index costs the writers of other places and of its own.</summary>
internal sealed class JsonIndexPart(JsonRun run)
{
    private const int PerValue = 10;
    private const int Batch = 1_000;

    private readonly Series _query = Series.For(null);
    private readonly Series _select = Series.For(null);
    private readonly Series _scan = Series.For(null);
    private readonly Series _sqliteQuery = Series.For(Sqlite.Missing);
    private readonly Series _build = Series.For(null);
    private readonly Series _sqliteBuild = Series.For(Sqlite.Missing);
    private readonly Series _setElsewhere = Series.For(null);
    private readonly Series _setIndexed = Series.For(null);

    internal void Run()
    {
        var count = run.IndexedDocuments;
        var owners = count / PerValue;
        using var db = CairnDatabase.OpenInMemory();
        var json = db.Default.Json;
        for (var i = 0; i < count; i += Batch)
        {
            json.PutMany([.. Enumerable.Range(i, Batch).Select(
                n => new KeyValuePair<string, Value>($"task-{n}", Document(n, owners)))]);
        }

        using var sqlite = Sqlite.Missing is null ? new SqliteDocuments() : null;
        sqlite?.Fill(Enumerable.Range(0, count).Select(n => (n, Document(n, owners).ToJson(), Owner(n, owners))));
        var definition = new IndexDefinition { Target = IndexTarget.Documents, Paths = ["$.owner"] };
        var rows = 0L;
        for (var round = 0; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            Drop(db);
            if (round == 0)
                _scan.Add(1 / Seconds(() => rows += json.Query(Filter.Eq("$.owner", Owner(7, owners))).Count));
            _build.Add(count / Seconds(() => Build(db, definition)));
            if (sqlite is not null)
            {
                sqlite.DropIndex();
                _sqliteBuild.Add(count / Seconds(sqlite.CreateIndex));
            }

            _query.Add(run.Rate(i => rows += json.Query(Filter.Eq("$.owner", Owner(i * 7919, owners))).Count));
            _select.Add(run.Rate(i => rows += json.Select(["$.title"], Filter.Eq("$.owner", Owner(i * 7919, owners))).Count));
            if (sqlite is not null)
                _sqliteQuery.Add(run.Rate(i => rows += sqlite.Find(Owner(i * 7919, owners))));
            _setElsewhere.Add(run.Rate(i => json.Set($"task-{i * 7919 % count}", "$.priority", i)));
            _setIndexed.Add(run.Rate(i => json.Set($"task-{i * 7919 % count}", "$.owner", Owner(i, owners))));
            for (var i = 0; i < count && round + 1 < run.Rounds; i += Batch)
            {
                using var transaction = db.Default.BeginTransaction();
                for (var n = i; n < i + Batch; n++)
                    transaction.Json.Set($"task-{n}", "$.owner", Owner(n, owners));
                transaction.Commit();
            }
        }

        var size = $"documents={count} per-value={PerValue}";
        run.Report.Add("query Cairn-indexed", _query, "/s", size);
        run.Report.Add("query Cairn-indexed-one-place", _select, "/s", size);
        run.Report.Add("query Cairn-scan", _scan, "/s", size);
        run.Report.Add("query SQLite-index", _sqliteQuery, "/s", size);
        run.Report.Add("build Cairn", _build, "documents/s", size);
        run.Report.Add("build SQLite", _sqliteBuild, "documents/s", size);
        run.Report.Add("set beside-the-index", _setElsewhere, "/s", size);
        run.Report.Add("set of-the-index", _setIndexed, "/s", size);
        run.Report.Judge(JsonGates.QueryToSqlite, Series.Ratio(_query, _sqliteQuery), size);
        run.Report.Judge(JsonGates.BuildToSqlite, Series.Ratio(_build, _sqliteBuild), size);
        GC.KeepAlive(rows);
    }

    private static void Drop(CairnDatabase db)
    {
        db.Default.Indexes.Drop("owner");
        Wait(db);
    }

    private static void Build(CairnDatabase db, IndexDefinition definition)
    {
        db.Default.Indexes.Define("owner", definition);
        Wait(db);
    }

    // Asking the index itself would count its items.
    private static void Wait(CairnDatabase db)
    {
        var run = db.Engine.Find(db.Default.Id);
        while (true)
        {
            lock (run.CommitLock)
            {
                if (!IndexSet.Of(run).HasWork)
                    return;
            }

            Thread.Sleep(1);
        }
    }

    private static double Seconds(Action work)
    {
        var start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static string Owner(int n, int owners) => $"owner-{(uint)n % (uint)owners}";

    private static Value Document(int n, int owners) => Value.Object(
        ("owner", Owner(n, owners)), ("priority", n % 5), ("title", $"Look up the order of customer {n}"));
}
