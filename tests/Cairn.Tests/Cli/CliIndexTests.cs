using System.Globalization;
using Cairn.Cli;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>Secondary indexes and queries by filter in the shell: <c>cairn index ...</c>, <c>cairn query</c> and
/// <c>cairn explain</c>.</summary>
public class CliIndexTests
{
    [Fact]
    [Trait("Requirement", "IDX-1")]
    [Trait("Requirement", "IDX-2")]
    public void Indexes_are_defined_built_listed_and_dropped()
    {
        using var bed = WithTasks();
        Assert.Equal((0, "", ""), Told(bed.Run("index", "list")));
        Assert.Equal("@2", bed.Good("index", "create", "owner", "/owner", "$.cost", "--on", "documents"));
        Assert.Equal("""{"sequence":4}""", bed.Good("index", "create", "model", "/model", "--on", "traces", "--json"));
        Assert.Equal(4, bed.Run("index", "create", "owner", "/owner", "--on", "documents").Exit);
        var owner = bed.Json("index", "get", "owner")[0];
        Assert.Equal(
            """{"found":true,"name":"owner","on":"documents","paths":["$['owner']","$['cost']"],"state":"ready","unique":false}""",
            Value.Object(owner.AsObject().Where(member => member.Key is not ("items" or "bytes" or "watermark"))).ToJson());
        Assert.Equal(4, owner["items"].AsInt64());
        Assert.True(owner["watermark"].AsInt64() >= 3);
        Assert.Equal(
            $"model\ttraces\tno\tready\t0\t0\t$['model']\n"
                + $"owner\tdocuments\tno\tready\t4\t{owner["bytes"].AsInt64()}\t$['owner'], $['cost']",
            bed.Good("index", "list"));
        Assert.Contains("state\tready\nitems\t4\n", bed.Good("index", "get", "owner"), StringComparison.Ordinal);
        Assert.Equal((1, "", ""), Told(bed.Run("index", "get", "nobody")));
        Assert.Equal("dropped", bed.Good("index", "drop", "owner"));
        Assert.Equal((1, "was not there\n", ""), Told(bed.Run("index", "drop", "owner")));
        Assert.Equal("model", bed.Json("index", "list").Single()["name"].AsString());
        bed.Good("index", "create", "i", "/a", "--on", "documents", "--run", "other");
        Assert.Equal("i", bed.Json("index", "list", "--run", "other").Single()["name"].AsString());
    }

    [Fact]
    [Trait("Requirement", "IDX-2")]
    public void An_index_that_nobody_waited_for_is_waited_for_later()
    {
        using var bed = new CliBed();
        using (var database = CairnDatabase.Open(bed.Path))
        {
            foreach (var some in Enumerable.Range(0, 3_000).Chunk(1_000))
                database.Default.Json.PutMany([.. some.Select(n => KeyValuePair.Create($"d{n:0000}", Value.Object(("n", n))))]);
        }

        bed.Good("index", "create", "n", "/n", "--on", "documents", "--no-wait");
        Assert.Contains(bed.Json("index", "get", "n")[0]["state"].AsString(), (string[])["building", "ready"]);
        Assert.Equal("ready", bed.Good("index", "wait", "n"));
        var ready = bed.Json("index", "wait", "n")[0];
        Assert.Equal((3_000, "ready"), (ready["items"].AsInt64(), ready["state"].AsString()));
        Assert.Equal((1, "", ""), Told(bed.Run("index", "wait", "nobody")));
        Assert.Equal(1, bed.Run("index", "wait", "n", "--of", "nobody").Exit);
        bed.Good("index", "create", "m", "/n", "--on", "documents");
        Assert.Equal("ready", bed.Json("index", "get", "m")[0]["state"].AsString());
        Assert.Equal(3_000, bed.Json("index", "get", "m")[0]["items"].AsInt64());
    }

    [Fact]
    [Trait("Requirement", "IDX-13")]
    public void A_unique_index_refuses_and_names_the_holder()
    {
        using var bed = WithTasks();
        var over = bed.Run("index", "create", "owner", "/owner", "--on", "documents", "--unique", "--json");
        Assert.Equal((3, "ConstraintViolation"), (over.Exit, over.ErrorJson["code"].AsString()));
        Assert.Contains("'a' and 'c'", over.ErrorJson["message"].AsString(), StringComparison.Ordinal);
        bed.Good("index", "create", "cost", "/cost", "--on", "documents", "--unique");
        Assert.True(bed.Json("index", "get", "cost")[0]["unique"].AsBool());
        var taken = bed.Run("json", "put", "z", """{"cost":12}""", "--json");
        Assert.Equal((3, "ConstraintViolation"), (taken.Exit, taken.ErrorJson["code"].AsString()));
        Assert.Contains("'b'", taken.ErrorJson["message"].AsString(), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("json", "exists", "z").Exit);
        Assert.Equal(2, bed.Run("index", "create", "u", "/u", "--on", "documents", "--unique", "--no-wait").Exit);
        Assert.Equal(2, bed.Run("index", "create", "u", "/u", "--on", "documents", "--unique", "--once", "k").Exit);
        Assert.Equal(2, bed.Run("index", "create", "u", "/u", "--on", "documents", "--unique", "--require", "cell=0").Exit);
        Assert.Equal(3, bed.Run("index", "create", "u", "/model", "--on", "traces", "--unique").Exit);
        Assert.Equal(1, bed.Run("index", "get", "u").Exit);
    }

    public static TheoryData<string, string> Writes => new()
    {
        { "index create owner /owner --on documents", "@2" },
        { "index create owner /owner --on documents --no-wait", "@2" },
        { "index drop first", "dropped" },
    };

    [Theory]
    [Trait("Requirement", "CON-14")]
    [MemberData(nameof(Writes))]
    public void A_repeat_writes_nothing_and_prints_the_first_answer(string line, string answer)
    {
        using var bed = new CliBed();
        bed.Good("index", "create", "first", "/cost", "--on", "documents");
        var ready = bed.Json("stat")[0]["sequence"].AsInt64();
        var first = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((0, answer.Replace("@2", $"@{ready + 1}", StringComparison.Ordinal) + "\n", ""), Told(first));
        bed.Run("index", "wait", "owner");
        var after = bed.Good("index", "list");
        var repeat = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((0, first.Out), (repeat.Exit, repeat.Out));
        Assert.Equal($"cairn: this key was used before, by the commit @{ready + 1}: nothing was written\n", repeat.Error);
        Assert.True(bed.Json([.. line.Split(' '), "--once", "key-1"])[0]["repeat"].AsBool());
        Assert.Equal(after, bed.Good("index", "list"));
        Assert.Equal(4, bed.Run([.. line.Split(' '), "--require", "cell=7"]).Exit);
    }

    [Fact]
    [Trait("Requirement", "IDX-10")]
    [Trait("Requirement", "VEC-15")]
    public void Documents_by_a_filter()
    {
        using var bed = WithTasks();
        Assert.Equal(
            "a\t{\"cost\":8,\"owner\":\"ada\",\"tags\":[\"x\"]}",
            bed.Good("query", "owner = 'ada' and cost > 3", "--on", "documents"));
        Assert.Equal("a\nc", Ids(bed.Good("query", "owner eq \"ada\"", "--on", "documents")));
        Assert.Equal("a\nb\nc\nd\ne", Ids(bed.Good("query", "--on", "documents")));
        Assert.Equal("b\na\nc\nd\ne", Ids(bed.Good("query", "--on", "documents", "--order", "/cost:desc", "--order", "/owner")));
        Assert.Equal("d\nc\na\nb\ne", Ids(bed.Good("query", "--on", "documents", "--order", "$.cost:asc")));
        Assert.Equal("b\nd", Ids(bed.Good("query", "$key in [\"b\",\"d\"]", "--on", "documents")));
        Assert.Equal("e", Ids(bed.Good("query", "not cost exists", "--on", "documents")));
        Assert.Equal((0, "a\tada\t8\nc\tada\t2\n", ""), Told(bed.RunWith(
            "owner = 'ada'\n", "query", "-", "--on", "documents", "--select", "/owner", "--select", "$.cost")));
        Assert.Equal("e\t", bed.Good("query", "title exists", "--on", "documents", "--select", "/cost"));
        Assert.Equal(
            """{"id":"a","values":{"$['cost']":8}}""",
            bed.Good("query", "cost = 8", "--on", "documents", "--select", "/cost", "--select", "/none", "--json"));
        Assert.Equal("""{"id":"e","value":{"title":"none"}}""", bed.Good("query", "title exists", "--on", "documents", "--json"));
        Assert.Equal("", bed.Good("query", "owner = 'nobody'", "--on", "documents"));
    }

    [Fact]
    [Trait("Requirement", "IDX-10")]
    public void Traces_by_a_filter()
    {
        using var bed = new CliBed();
        var call = bed.Good("trace", "record", "tool-call", """{"tool":"crm","arguments":{"id":1}}""", "--tag", "crm", "--duration", "3s");
        var thought = bed.Good("trace", "record", "thought", """{"content":"why"}""", "--meta", """{"cost":3}""");
        Assert.Equal(bed.Good("trace", "by-tag", "crm"), bed.Good("query", "tags contains 'crm'", "--on", "traces"));
        Assert.Equal(bed.Good("trace", "list"), bed.Good("query", "--on", "traces"));
        Assert.Equal(bed.Good("trace", "get", thought, "--json").Replace("\"found\":true,", "", StringComparison.Ordinal),
            bed.Good("query", "metadata.cost gte 3", "--on", "traces", "--json"));
        Assert.Equal($"{call}\tcrm\t3000000", bed.Good(
            "query", "type = 'tool_call'", "--on", "traces", "--select", "/step/tool", "--select", "/duration"));
        Assert.Equal($$$"""{"id":"{{{thought}}}","values":{"$['metadata']['cost']":3}}""", bed.Good(
            "query", "type = 'thought'", "--on", "traces", "--select", "/metadata/cost", "--json"));
        Assert.Equal($$$"""{"id":"{{{thought}}}","values":{"$['$key']":"{{{thought}}}"}}""", bed.Good(
            "query", "type = 'thought'", "--on", "traces", "--select", "/$key", "--json"));
        Assert.Equal([thought, call], bed.Json("query", "--on", "traces", "--order", "/$version:desc").Select(row => row["id"].AsString()));
    }

    [Fact]
    [Trait("Requirement", "IDX-1")]
    [Trait("Requirement", "IDX-10")]
    public void Events_by_a_filter()
    {
        using var bed = new CliBed();
        bed.Good("events", "append", "order", """{"total":120,"item":"lamp"}""");
        bed.Good("events", "append", "note", """{"text":"late"}""");
        bed.Good("events", "append", "order", """{"total":80,"item":"chair"}""", "--cause", "1");
        Assert.Equal(bed.Good("events", "by-type", "order"), bed.Good("query", "type = 'order'", "--on", "events"));
        bed.Good("index", "create", "total", "/payload/total", "--on", "events");
        var total = bed.Json("index", "get", "total")[0];
        Assert.Equal((2, "events"), (total["items"].AsInt64(), total["on"].AsString()));
        Assert.Equal(
            bed.Good("events", "get", "0", "--json").Replace("\"found\":true,", "", StringComparison.Ordinal),
            bed.Good("query", "payload.total gte 100", "--on", "events", "--json"));
        Assert.Equal("2\tchair\n0\tlamp", bed.Good(
            "query", "payload exists and type = 'order'", "--on", "events", "--order", "/payload/total", "--select", "/payload/item"));
        Assert.Equal("""{"number":2,"values":{"/causes/0":1}}""", bed.Good(
            "query", "causes exists", "--on", "events", "--select", "/causes/0", "--json"));
        Assert.Equal("1\t1", bed.Good("query", "type = 'note'", "--on", "events", "--select", "/number"));
        Assert.Equal("Scan", bed.Json("explain", "payload.text exists", "--on", "events")[0]["kind"].AsString());
        bed.Good("events", "redact", "0", "a name");
        Assert.Equal("", bed.Good("query", "payload.total gte 100", "--on", "events"));
        Assert.Equal(3, bed.Run("index", "create", "u", "/type", "--on", "events", "--unique").Exit);
    }

    [Fact]
    [Trait("Requirement", "IDX-10")]
    [Trait("Requirement", "IDX-11")]
    public void Runs_by_a_filter()
    {
        using var bed = new CliBed();
        bed.Good("run", "begin", "first", "--tag", "night", "--meta", """{"model":"m1"}""");
        bed.Good("run", "begin", "second", "--tag", "night");
        bed.Good("run", "fail", "second", "no answer");
        Assert.Equal(bed.Good("run", "list", "--tag", "night"), bed.Good("query", "tags contains 'night'", "--on", "runs"));
        Assert.Equal(bed.Json("run", "list", "--status", "failed")[0], bed.Json("query", "status = 'failed'", "--on", "runs")[0]);
        Assert.Equal("no answer", bed.Good("query", "name = 'second'", "--on", "runs", "--select", "/error").Split('\t')[1]);
        Assert.Equal("first", bed.Json("query", "metadata.model prefix 'm'", "--on", "runs")[0]["name"].AsString());
        var plan = bed.Json("explain", "name prefix 'sec'", "--on", "runs")[0];
        Assert.Equal(("Index", "$name"), (plan["kind"].AsString(), plan["indexes"][0].AsString()));
        var some = bed.Run("query", "--on", "runs", "--limit", "1", "--select", "/name");
        Assert.Equal((0, "cairn: there is more\n"), (some.Exit, some.Error));
        Assert.Single(bed.Json("query", "--on", "runs", "--limit", "1"));
        Assert.Equal(2, bed.Run("query", "--on", "runs", "--at", "1").Exit);
        Assert.Equal(2, bed.Run("index", "create", "model", "/metadata/model", "--on", "runs").Exit);
    }

    [Theory]
    [Trait("Requirement", "IDX-10")]
    [InlineData("")]
    [InlineData("--order /cost:desc")]
    [InlineData("--order /none --select /cost")]
    public void A_cursor_goes_on_at_the_same_commit_in_another_process(string options)
    {
        using var bed = WithTasks();
        string[] query = ["query", "$key ne 'b'", "--on", "documents", .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        var all = bed.Json(query);
        var first = bed.Run([.. query, "--limit", "2"]);
        Assert.Equal((0, string.Join('\n', bed.Good(query).Split('\n').Take(2)) + "\n"), (first.Exit, first.Out));
        Assert.StartsWith("cairn: there is more: --cursor 1.", first.Error, StringComparison.Ordinal);
        var rows = bed.Json([.. query, "--limit", "2"]);
        Assert.False(rows[0].TryGetMember("cursor", out _));
        var cursor = rows[1]["cursor"].AsString();
        Assert.Equal(all[2..], bed.Json([.. query, "--cursor", cursor]));
        Assert.Equal(all[2..], bed.Json([.. query, .. first.Error.TrimEnd().Split(' ')[^2..]]));

        // What is written meanwhile, in this run and in another one, is not there.
        bed.Good("json", "put", "c2", """{"cost":5}""");
        bed.Good("json", "delete", "d");
        bed.Good("json", "put", "a", "1", "--run", "other");
        var third = bed.Json([.. query, "--cursor", cursor, "--limit", "1"]);
        Assert.Equal(all[2]["id"], third.Single()["id"]);
        Assert.Equal(all[3..], bed.Json([.. query, "--cursor", third[0]["cursor"].AsString()]));
        Assert.False(bed.Json([.. query, "--cursor", cursor, "--limit", "2"])[^1].TryGetMember("cursor", out _));

        var other = bed.Run("query", "$key ne 'c'", "--on", "documents", "--cursor", cursor, "--json");
        Assert.Equal((3, "InvalidArgument"), (other.Exit, other.ErrorJson["code"].AsString()));
        Assert.Equal(3, bed.Run([.. query, "--cursor", "nonsense"]).Exit);
        Assert.Equal(3, bed.Run([.. query, "--cursor", "1.nonsense"]).Exit);
        Assert.Equal(2, bed.Run([.. query, "--cursor", cursor, "--at", "1"]).Exit);
    }

    [Theory]
    [Trait("Requirement", "IDX-7")]
    [InlineData("query cost>3 --on documents --select /cost", "a\t8\nb\t12\n")]
    [InlineData("query --on documents --order /cost:desc --limit 1 --select /cost", "b\t12\n")]
    public void The_past_is_queried_with_and_without_an_index(string line, string then)
    {
        using var bed = WithTasks();
        Assert.Equal((0, then), Answered(bed.Run(line.Split(' '))));
        bed.Good("index", "create", "cost", "/cost", "--on", "documents");
        var indexed = bed.Json("stat")[0]["sequence"].AsInt64().ToString(CultureInfo.InvariantCulture);
        bed.Good("json", "put", "b", "{}");
        bed.Good("json", "put", "f", """{"cost":99}""");
        Assert.NotEqual((0, then), Answered(bed.Run(line.Split(' '))));
        Assert.Equal((0, then), Answered(bed.Run([.. line.Split(' '), "--at", "1"])));
        Assert.Equal((0, then), Answered(bed.Run([.. line.Split(' '), "--at", indexed])));
        var past = bed.Json("explain", "cost>3", "--on", "documents", "--at", indexed)[0];
        Assert.Equal(("Index", 2), (past["kind"].AsString(), past["rows"].AsInt64()));
        Assert.Equal("Scan", bed.Json("explain", "cost>3", "--on", "documents", "--at", "1")[0]["kind"].AsString());
    }

    [Fact]
    [Trait("Requirement", "IDX-9")]
    [Trait("Requirement", "IDX-5")]
    public void Explain_tells_what_was_expected_and_what_was_read()
    {
        using var bed = new CliBed();
        var many = Value.Object(Enumerable.Range(0, 500).Select(n => KeyValuePair.Create($"d{n:000}", Value.Object(("n", n)))));
        Assert.Equal(0, bed.RunWith(many.ToJson(), "json", "put-many", "-").Exit);
        var scan = bed.Json("explain", "n gte 490", "--on", "documents")[0];
        Assert.Equal(("Scan", 500, 500, 0, 10), Figures(scan));
        Assert.Empty(scan["indexes"].AsArray());
        bed.Good("index", "create", "n", "/n", "--on", "documents");
        var index = bed.Json("explain", "n gte 490", "--on", "documents")[0];
        Assert.Equal(("Index", 500, 10, 10, 10), Figures(index));
        Assert.Equal("n", index["indexes"][0].AsString());
        Assert.Equal((10, 100, false), (index["rows_estimated"].AsInt64(), index["page"].AsInt64(), index["sorted"].AsBool()));
        Assert.Contains("costs: scan", index["reason"].AsString(), StringComparison.Ordinal);
        var ordered = bed.Json("explain", "--on", "documents", "--order", "/n:desc", "--limit", "3")[0];
        Assert.Equal(("OrderedIndex", 3, 3), (ordered["kind"].AsString(), ordered["rows"].AsInt64(), ordered["page"].AsInt64()));
        Assert.InRange(ordered["things_read"].AsInt64(), 3, 4);
        var cursor = bed.Json("query", "n gte 490", "--on", "documents", "--limit", "4")[^1]["cursor"].AsString();
        Assert.Equal(6, bed.Json("explain", "n gte 490", "--on", "documents", "--cursor", cursor)[0]["rows"].AsInt64());
        var text = bed.Good("explain", "n gte 490", "--on", "documents").Split('\n');
        Assert.Equal(
            [
                "plan\tIndex", "indexes\tn", "rows\t10 expected, 10 on a page of 100 at most", "items read\t10",
                "things read\t10 of 500", "sorted\tno",
            ],
            text[..6]);
        Assert.Equal(["plan\tScan", "indexes\tnone"], bed.Good("explain", "--on", "traces").Split('\n')[..2]);
        Assert.Equal(500, bed.Json("query", "n gte 0", "--on", "documents").Count);
        Assert.Equal(499, bed.Json("query", "--on", "documents", "--order", "/n:desc", "--limit", "499").Count);

        static (string, long, long, long, long) Figures(Value plan) => (
            plan["kind"].AsString(), plan["things"].AsInt64(), plan["things_read"].AsInt64(), plan["items_read"].AsInt64(),
            plan["rows"].AsInt64());
    }

    [Theory]
    [Trait("Requirement", "VEC-13")]
    [InlineData("query|owner = |--on|documents", "InvalidFilter", 8)]
    [InlineData("query|owner = 'ada' or|--on|documents", "InvalidFilter", 16)]
    [InlineData("explain|cost >> 3|--on|traces", "InvalidFilter", 6)]
    [InlineData("query|--on|documents|--order|$.a[:desc", "InvalidPath", 4)]
    [InlineData("query|--on|documents|--select|$.*", "InvalidPath", 2)]
    [InlineData("index|create|i|$.a[|--on|documents", "InvalidPath", 4)]
    public void What_cannot_be_read_is_told_with_its_place(string line, string code, int offset)
    {
        using var bed = WithTasks();
        var refused = bed.Run([.. line.Split('|'), "--json"]);
        Assert.Equal((3, code, ""), (refused.Exit, refused.ErrorJson["code"].AsString(), refused.Out));
        Assert.Equal(offset, refused.ErrorJson["details"]["offset"].AsInt64());
    }

    [Theory]
    [InlineData("query x=1", 2)]
    [InlineData("query x=1 --on states", 2)]
    [InlineData("query x=1 --on runs --cursor 1.x", 2)]
    [InlineData("query x=1 --on documents --limit 0", 2)]
    [InlineData("query x=1 --on documents --once k", 2)]
    [InlineData("explain x=1 --on documents --select /a", 2)]
    [InlineData("index create i /a", 2)]
    [InlineData("index create i --on documents", 2)]
    [InlineData("index list --once k", 2)]
    [InlineData("index wait i --run r", 2)]
    [InlineData("index create i /a /b /c /d /e --on documents", 3)]
    [InlineData("index create i /a /a --on documents", 3)]
    [InlineData("index create i $ --on documents", 3)]
    [InlineData("index create a/b /a --on documents", 3)]
    [InlineData("query --on documents --order /a --order /b --order /c --order /d --order /e", 3)]
    [InlineData("query --on documents --at 99", 3)]
    [InlineData("query --on documents --cursor 99.x", 3)]
    public void Refusals(string line, int exit)
    {
        using var bed = WithTasks();
        var refused = bed.Run(line.Split(' '));
        Assert.Equal((exit, ""), (refused.Exit, refused.Out));
        Assert.Single(refused.Error.TrimEnd('\n').Split('\n'));
        Assert.Equal("", bed.Good("index", "list"));
    }

    [Fact]
    public void LIM_28_The_last_index_that_a_run_may_have_and_the_one_behind_it()
    {
        using var bed = new CliBed();
        var most = new Limits().IndexesMax;
        using (var database = CairnDatabase.Open(bed.Path))
        {
            for (var i = 0; i < most - 1; i++)
                database.Default.Indexes.Define($"i{i}", new() { Target = IndexTarget.Documents, Paths = ["$.a"] });
        }

        bed.Good("index", "create", "last", "/a", "--on", "documents");
        foreach (var more in (string[][])[[], ["--unique"], ["--once", "k"]])
        {
            var refused = bed.Run(["index", "create", "more", "/a", "--on", "documents", "--json", .. more]);
            Assert.Equal((ExitCodes.Refused, "LimitExceeded"), (refused.Exit, refused.ErrorJson["code"].AsString()));
            var details = refused.ErrorJson["details"];
            Assert.Equal(
                (nameof(Limits.IndexesMax), most, most + 1),
                (details["limit"].AsString(), details["allowed"].AsInt64(), details["actual"].AsInt64()));
        }

        Assert.Equal(most, bed.Json("index", "list").Count);
    }

    private static CliBed WithTasks()
    {
        var bed = new CliBed();
        bed.Good(
            "json", "put-many", """a={"owner":"ada","cost":8,"tags":["x"]}""", """b={"owner":"eve","cost":12}""",
            """c={"owner":"ada","cost":2}""", """d={"owner":"bob","cost":1.5}""", """e={"title":"none"}""");
        return bed;
    }

    private static string Ids(string rows) => string.Join('\n', rows.Split('\n').Select(row => row.Split('\t')[0]));

    private static (int Exit, string Out, string Error) Told(CliResult result) => (result.Exit, result.Out, result.Error);

    private static (int Exit, string Out) Answered(CliResult result) => (result.Exit, result.Out);
}
