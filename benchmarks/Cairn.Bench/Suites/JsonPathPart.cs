using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>Rates of changing and of reading one number three levels down, one thread, document after document.</summary>
internal sealed class JsonPathPart(JsonRun run)
{
    private const int Sections = 1_000;

    private static readonly DocumentPath Score = "$.meta.nested.score";
    private static readonly DocumentPath InLarge = "$.sections.s500.meta.nested.score";

    private readonly Series _set = Series.For(null);
    private readonly Series _setLarge = Series.For(null);
    private readonly Series _get = Series.For(null);
    private readonly Series _getLarge = Series.For(null);
    private readonly Series _rewrite = Series.For(null);
    private readonly Series _seek = Series.For(null);
    private readonly Series _sqliteSet = Series.For(Sqlite.Missing);
    private readonly Series _sqliteGet = Series.For(Sqlite.Missing);

    internal void Run()
    {
        var count = run.Documents;
        var texts = Enumerable.Range(0, count).Select(Text).ToArray();
        var bytes = texts.Select(Encoding.UTF8.GetBytes).ToArray();
        using var db = CairnDatabase.OpenInMemory();
        var json = db.Default.Json;
        var ids = Enumerable.Range(0, count).Select(i => $"doc-{i}").ToArray();
        for (var i = 0; i < count; i++)
            json.Put(ids[i], Value.FromJson(texts[i]));
        json.Put("large", Value.Object(("sections", Value.Object(Enumerable.Range(0, Sections)
            .Select(i => new KeyValuePair<string, Value>($"s{i}", Value.FromJson(Text(i))))))));
        using var sqlite = Sqlite.Missing is null ? new SqliteJson("$.meta.nested.score") : null;
        for (var i = 0; i < count; i++)
            sqlite?.Insert(i, texts[i]);
        var sum = 0L;
        for (var round = -1; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            Add(round, _set, i => json.Set(ids[i % count], Score, i));
            Add(round, _setLarge, i => json.Set("large", InLarge, i));
            Add(round, _rewrite, i => bytes[i % count] = Rewrite(bytes[i % count], i));
            if (sqlite is not null)
                Add(round, _sqliteSet, i => sqlite.Set(i % count, i));
            Add(round, _get, i => sum += json.Get(ids[i % count], Score)!.Value.AsInt64());
            Add(round, _getLarge, i => sum += json.Get("large", InLarge)!.Value.AsInt64());
            Add(round, _seek, i => sum += Seek(bytes[i % count]));
            if (sqlite is not null)
                Add(round, _sqliteGet, i => sum += sqlite.Get(i % count));
        }

        var size = $"documents={count} bytes={bytes[0].Length}";
        run.Report.Add("set Cairn", _set, "/s", size);
        run.Report.Add("set Cairn-1-MB", _setLarge, "/s", $"sections={Sections}");
        run.Report.Add("set parse-set-serialize", _rewrite, "/s", size);
        run.Report.Add("set SQLite-json_set", _sqliteSet, "/s", size);
        run.Report.Add("get Cairn", _get, "/s", size);
        run.Report.Add("get Cairn-1-MB", _getLarge, "/s", $"sections={Sections}");
        run.Report.Add("get Utf8JsonReader-seek", _seek, "/s", size);
        run.Report.Add("get SQLite-json_extract", _sqliteGet, "/s", size);
        run.Report.Judge(JsonGates.SetToRewrite, Series.Ratio(_set, _rewrite), size);
        run.Report.Judge(JsonGates.SetToSqlite, Series.Ratio(_set, _sqliteSet), size);
        run.Report.Judge(JsonGates.GetToSeek, Series.Ratio(_get, _seek), size);
        run.Report.Judge(JsonGates.LargeToSmall, Series.Ratio(_set, _setLarge), size);
        GC.KeepAlive(sum);
    }

    // The first round warms up.
    private void Add(int round, Series series, Action<int> operation)
    {
        var rate = run.Rate(operation);
        if (round >= 0)
            series.Add(rate);
    }

    private static byte[] Rewrite(byte[] text, int score)
    {
        var document = JsonNode.Parse(text)!;
        document["meta"]!["nested"]!["score"] = score;
        return JsonSerializer.SerializeToUtf8Bytes(document);
    }

    private static long Seek(byte[] text)
    {
        var reader = new Utf8JsonReader(text);
        reader.Read();
        foreach (var name in (ReadOnlySpan<string>)["meta", "nested", "score"])
        {
            while (reader.Read() && !reader.ValueTextEquals(name))
                reader.Skip();
            reader.Read();
        }

        return reader.GetInt64();
    }

    // About a kilobyte: what an agent keeps of a step.
    private static string Text(int i) => JsonSerializer.Serialize(new
    {
        id = $"step-{i}",
        title = $"Look up the order of customer {i * 7919 % 100_000}",
        status = i % 3 == 0 ? "done" : "open",
        tags = new[] { "orders", "crm", $"team-{i % 17}" },
        steps = Enumerable.Range(0, 6).Select(step => new
        {
            tool = $"tool-{(i + step) % 11}",
            arguments = new { query = $"select {i} from orders where step = {step}", limit = 10 * step },
            took = step * 1.5 + i % 10,
        }),
        meta = new { created = 1_700_000_000 + i, nested = new { score = i, weight = 0.5, label = "priority" }, source = "agent" },
        notes = new string((char)('a' + i % 26), 120),
    });
}
