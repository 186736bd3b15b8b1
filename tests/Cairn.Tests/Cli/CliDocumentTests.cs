using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>The verbs of documents: <c>cairn json ...</c>.</summary>
public class CliDocumentTests
{
    [Fact]
    [Trait("Requirement", "JS-1")]
    [Trait("Requirement", "JS-2")]
    public void Whole_documents()
    {
        using var bed = new CliBed();
        Assert.Equal("@1", bed.Good("json", "create", "plan", """{"steps":[],"cost":0}"""));
        Assert.Equal(4, bed.Run("json", "create", "plan", "{}").Exit);
        Assert.Equal("""{"cost":0,"steps":[]}""", bed.Good("json", "get", "plan"));
        Assert.Equal((1, "", ""), Told(bed.Run("json", "get", "nobody")));
        Assert.Equal("""{"sequence":2}""", bed.Good("json", "put", "plan", "[1]", "--json"));
        Assert.Equal("[1]", bed.Good("json", "get-or-create", "plan", "{}"));
        Assert.Equal("{}", bed.Good("json", "get-or-create", "fresh", "{}"));
        var id = bed.Good("json", "new", "7");
        Assert.Equal(36, id.Length);
        Assert.Equal("7", bed.Good("json", "get", id));
        bed.Good("json", "delete", id);
        Assert.Equal(1, bed.Run("json", "delete", id).Exit);
        bed.Good("json", "put-many", "a={\"n\":1}", "b=\"x=y\"");
        Assert.Equal(0, bed.RunWith("""{"c":{"n":2},"d":null}""", "json", "put-many", "-").Exit);
        Assert.Equal(3, bed.RunWith("[1]", "json", "put-many", "-").Exit);
        Assert.Equal(0, bed.RunWith("\n{\"deep\":{\"$bytes\":\"AAEC\"}}\n", "json", "put", "e", "-").Exit);
        Assert.Equal(ValueKind.Bytes, bed.Json("json", "get", "e", "/deep")[0]["value"].Kind);
        Assert.Equal("a\nb\nc\nd\ne\nfresh\nplan", bed.Good("json", "list"));
        Assert.Equal("plan\nfresh", bed.Good("json", "list", "--reverse", "--limit", "2"));
        Assert.Equal("b\nc", bed.Good("json", "list", "--from", "b", "--to", "d"));
        Assert.Equal("a\t{\"n\":1}\nb\tx=y", bed.Good("json", "scan", "--limit", "2"));
        Assert.Equal("""{"id":"c","value":{"n":2}}""", bed.Good("json", "scan", "--prefix", "c", "--json"));
        Assert.Equal("7", bed.Good("json", "count"));
        Assert.Equal("""{"count":1}""", bed.Good("json", "count", "--prefix", "fr", "--json"));
        var many = bed.Run("json", "get-many", "b", "nobody");
        Assert.Equal((1, "b\tyes\tx=y\nnobody\tno\t\n"), (many.Exit, many.Out));
        bed.Good("json", "expire", "a", "30d");
        Assert.NotEqual(Value.Null, bed.Json("json", "get", "a")[0]["expiry_us"]);
        bed.Good("json", "persist", "a");
        Assert.Equal(Value.Null, bed.Json("json", "get", "a")[0]["expiry_us"]);
        Assert.Equal(1, bed.Run("json", "expire", "nobody", "1h").Exit);
        bed.Good("json", "put", "a", "1", "--ttl", "1h");
        Assert.NotEqual(Value.Null, bed.Json("json", "get", "a")[0]["expiry_us"]);
    }

    [Fact]
    [Trait("Requirement", "JS-4")]
    [Trait("Requirement", "JS-6")]
    [Trait("Requirement", "JS-8")]
    [Trait("Requirement", "JS-17")]
    [Trait("Requirement", "JS-18")]
    public void Places()
    {
        using var bed = new CliBed();
        bed.Good("json", "set", "plan", "/owner/name", "ada", "--type", "string");
        Assert.Equal("ada", bed.Good("json", "get", "plan", "$.owner.name"));
        bed.Good("json", "set-many", "plan", "/steps=[]", "/steps/-=\"search\"", "/done=false");
        Assert.Equal(0, bed.RunWith("""[{"path":"$.steps[-]","value":"read"},{"path":"/steps/0","value":1}]""",
            "json", "set-many", "plan", "-").Exit);
        Assert.Equal(3, bed.RunWith("""[{"path":"/a"}]""", "json", "set-many", "plan", "-").Exit);
        Assert.Equal("[1,\"read\"]", bed.Good("json", "get", "plan", "/steps"));
        bed.Good("json", "append", "plan", "/steps", "3", "[4]");
        bed.Good("json", "insert", "plan", "/steps", "-1", "\"before\"");
        Assert.Equal(0, bed.RunWith(" {\"five\":5}\n", "json", "append", "plan", "/steps", "-").Exit);
        Assert.Equal("""[1,"read",3,"before",[4],{"five":5}]""", bed.Good("json", "get", "plan", "/steps"));
        Assert.Equal("6", bed.Good("json", "length", "plan", "/steps"));
        Assert.Equal("""{"five":5}""", bed.Good("json", "pop", "plan", "/steps"));
        bed.Good("json", "remove", "plan", "/steps", "0");
        bed.Good("json", "remove", "plan", "/steps", "-2", "2");
        Assert.Equal("""["read",3]""", bed.Good("json", "get", "plan", "/steps"));
        bed.Good("json", "delete", "plan", "/steps/0");
        Assert.Equal("[3]", bed.Good("json", "get", "plan", "/steps"));
        Assert.Equal((1, "was not there\n", ""), Told(bed.Run("json", "delete", "plan", "/steps/7")));
        bed.Good("json", "append", "plan", "/steps", "plain", "text", "--type", "string");
        bed.Good("json", "append", "plan", "/steps", "--type", "null");
        Assert.Equal("""[3,"plain","text",null]""", bed.Good("json", "get", "plan", "/steps"));
        Assert.Equal("1", bed.Good("json", "incr", "plan", "/cost"));
        Assert.Equal("-4", bed.Good("json", "incr", "plan", "/cost", "-5"));
        Assert.Equal("""{"value":-1.5}""", bed.Good("json", "incr", "plan", "/cost", "2.5", "--json"));
        bed.Good("json", "append-text", "plan", "/notes", "[asked] ");
        Assert.Equal(0, bed.RunWith("line\n", "json", "append-text", "plan", "/notes", "-").Exit);
        Assert.Equal("[asked] line\n", bed.Json("json", "get", "plan", "/notes")[0]["value"].AsString());
        Assert.Equal("cost\ndone\nnotes\nowner\nsteps", bed.Good("json", "keys", "plan"));
        Assert.Equal("""{"name":"name"}""", bed.Good("json", "keys", "plan", "/owner", "--json"));
        Assert.Equal("Float64", bed.Good("json", "kind", "plan", "/cost"));
        Assert.Equal("""{"found":true,"id":"plan","kind":"Object","path":"$"}""", bed.Good("json", "kind", "plan", "--json"));
        Assert.Equal("true", bed.Good("json", "exists", "plan"));
        Assert.Equal("true", bed.Good("json", "exists", "plan", "/steps/0"));
        Assert.Equal(1, bed.Run("json", "exists", "plan", "/steps/9").Exit);
        Assert.Equal(
            """{"found":false,"id":"plan","path":"$['none']"}""", bed.Run("json", "length", "plan", "/none", "--json").Out.TrimEnd());
        bed.Good("json", "set", "plan", "$", "{\"queue\":[]}");
        Assert.Equal((1, "", ""), Told(bed.Run("json", "pop", "plan", "/queue")));
    }

    [Fact]
    [Trait("Requirement", "JS-9")]
    [Trait("Requirement", "JS-10")]
    [Trait("Requirement", "JS-13")]
    public void Patches_and_compare_and_set()
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", """{"cost":3,"owner":{"name":"ada","mail":"a@b"}}""");
        bed.Good("json", "patch", "plan", """[{"op":"test","path":"/cost","value":3.0},{"op":"replace","path":"/cost","value":4}]""");
        var failed = bed.Run(
            "json", "patch", "plan", """[{"op":"remove","path":"/owner"},{"op":"test","path":"/cost","value":9}]""", "--json");
        Assert.Equal((4, "TestFailed"), (failed.Exit, failed.ErrorJson["code"].AsString()));
        Assert.Equal(1, failed.ErrorJson["details"]["operation"].AsInt64());
        Assert.Equal("$['cost']", failed.ErrorJson["details"]["path"].AsString());
        Assert.Equal(0, bed.RunWith("""[{"op":"move","from":"/cost","path":"/price"}]""", "json", "patch", "plan", "-").Exit);
        Assert.Equal(1, bed.Run("json", "patch", "nobody", "[]").Exit);
        Assert.Equal(3, bed.Run("json", "patch", "plan", "{}").Exit);
        bed.Good("json", "merge", "plan", """{"mail":null,"role":"chair"}""", "--path", "/owner");
        bed.Good("json", "merge", "plan", """{"price":null,"cost":5}""");
        Assert.Equal("""{"cost":5,"owner":{"name":"ada","role":"chair"}}""", bed.Good("json", "get", "plan"));
        Assert.Equal(1, bed.Run("json", "merge", "nobody", "{}").Exit);

        var version = bed.Json("json", "get", "plan", "/cost")[0]["version"].AsInt64();
        Assert.Equal(4, bed.Run("json", "cas", "plan", "/cost", "6", "--version-is", "1").Exit);
        bed.Good("json", "cas", "plan", "/cost", "6", "--version-is", version.ToString(System.Globalization.CultureInfo.InvariantCulture));
        bed.Good("json", "cas", "other", "/cost", "6", "--version-is", "0");
        Assert.Equal("set", bed.Good("json", "cas", "plan", "/cost", "7", "--value-is", "6"));
        Assert.Equal(1, bed.Run("json", "cas", "plan", "/cost", "8", "--value-is", "6").Exit);
        Assert.Equal("set", bed.Good("json", "cas", "plan", "/owner/team", "blue", "--type", "string", "--absent"));
        Assert.Equal(1, bed.Run("json", "cas", "plan", "/owner/team", "red", "--type", "string", "--absent").Exit);
        Assert.Equal("set", bed.Good("json", "cas", "plan", "/owner/team", "red", "--type", "string", "--value-is", "blue"));
        Assert.Equal(2, bed.Run("json", "cas", "plan", "/cost", "1").Exit);
        Assert.Equal(2, bed.Run("json", "cas", "plan", "/cost", "1", "--absent", "--version-is", "1").Exit);
        Assert.Equal(2, bed.Run("json", "cas", "plan", "/cost", "1", "--version-is", "-1").Exit);
    }

    [Fact]
    [Trait("Requirement", "JS-14")]
    [Trait("Requirement", "JS-16")]
    public void Queries()
    {
        using var bed = new CliBed();
        bed.Good("json", "put-many", "book/a={\"author\":\"Ada\",\"price\":8}", "book/b={\"author\":\"Eve\",\"price\":12}",
            "book/c={\"title\":\"none\"}", "plan={\"author\":\"Bob\"}");
        bed.Good("json", "put", "shop", """{"books":[{"price":8,"t":"x"},{"price":12,"t":"y"}]}""");
        Assert.Equal("$['books'][1]['t']\ty", bed.Good("json", "query", "shop", "$.books[?@.price > 9].t"));
        Assert.Equal(
            """{"id":"shop","path":"$['books'][0]","value":{"price":8,"t":"x"}}""",
            bed.Good("json", "query", "shop", "$.books[0]", "--json"));
        Assert.Equal("", bed.Good("json", "query", "shop", "$.none"));
        Assert.Equal((1, "", ""), Told(bed.Run("json", "query", "nobody", "$.none")));
        Assert.Equal(
            "book/a\t$['author']\tAda\nbook/b\t$['author']\tEve", bed.Good("json", "query-many", "$.author", "--prefix", "book/"));
        Assert.Equal("plan\t$['author']\tBob", bed.Good("json", "query-many", "$..author", "--reverse", "--limit", "1"));
        Assert.Equal(2, bed.Json("json", "query-many", "$.author", "--limit", "2").Count);
        var wrong = bed.Run("json", "query", "shop", "$.books[", "--json");
        Assert.Equal((3, "InvalidPath"), (wrong.Exit, wrong.ErrorJson["code"].AsString()));
        Assert.Equal(8, wrong.ErrorJson["details"]["offset"].AsInt64());
    }

    [Fact]
    [Trait("Requirement", "JS-20")]
    [Trait("Requirement", "JS-28")]
    [Trait("Requirement", "JS-29")]
    public void The_past_of_documents()
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", """{"cost":1,"steps":["a"]}""");
        var first = DateTimeOffset.UnixEpoch.AddMicroseconds(bed.Json("json", "get", "plan")[0]["time_us"].AsInt64());
        bed.Good("json", "append", "plan", "/steps", "\"b\"");
        bed.Good("json", "set", "plan", "/cost", "2");
        var place = bed.Json("json", "get", "plan", "/steps")[0];
        Assert.Equal((3, 2, 1), (place["version"].AsInt64(), place["region"].AsInt64(), place["created"].AsInt64()));
        Assert.Equal("""["a"]""", bed.Good("json", "get", "plan", "/steps", "--at", "1"));
        Assert.Equal("1", bed.Good("json", "length", "plan", "/steps", "--at", "@1"));
        Assert.Equal(
            "1", bed.Good("json", "get", "plan", "/cost", "--at", first.ToString("O", System.Globalization.CultureInfo.InvariantCulture)));
        Assert.Equal(1, bed.Run("json", "get", "plan", "--at", "2001-01-31").Exit);
        Assert.Equal("0", bed.Good("json", "count", "--at", "2001-01-31"));
        Assert.Equal("$['steps'][1]\tb", bed.Good("json", "query", "plan", "$.steps[1:]", "--at", "2"));
        var future = bed.Run("json", "get", "plan", "--at", "4", "--json");
        Assert.Equal((3, "InvalidArgument"), (future.Exit, future.ErrorJson["code"].AsString()));

        var patch = bed.Good("json", "diff", "plan", "1");
        Assert.Equal(0, bed.RunWith(bed.Good("json", "get", "plan", "--at", "1"), "json", "put", "copy", "-").Exit);
        Assert.Equal(0, bed.RunWith(patch, "json", "patch", "copy", "-").Exit);
        Assert.Equal(bed.Good("json", "get", "plan"), bed.Good("json", "get", "copy"));
        Assert.Equal("[]", bed.Good("json", "diff", "plan", "3", "4"));
        Assert.Single(bed.Json("json", "diff", "plan", "1", "2")[0]["patch"].AsArray());
        Assert.Equal(1, bed.Run("json", "diff", "copy", "1").Exit);

        bed.Good("json", "delete", "plan");
        var versions = bed.Json("json", "history", "plan");
        Assert.Equal([6, 3, 2, 1], versions.Select(item => item["version"].AsInt64()));
        Assert.Equal(["deleted", "expiry_us", "id", "path", "time_us", "version"], versions[0].AsObject().Keys);
        Assert.Equal([3, 1], bed.Json("json", "history", "plan", "/cost", "--before", "6").Select(item => item["version"].AsInt64()));
        Assert.EndsWith("\t(deleted)", bed.Good("json", "history", "plan", "--limit", "1"), StringComparison.Ordinal);
        Assert.Equal("""{"cost":2,"steps":["a","b"]}""", bed.Good("json", "get", "plan", "--at", "5"));
        var then = bed.Json("run", "at", "default", "3", "--values")[0];
        Assert.Equal((1, "json/plan"), (then["documents"].AsInt64(), then["values"][0]["address"].AsString()));
    }

    [Theory]
    [Trait("Requirement", "CON-9")]
    [InlineData("json get plan /steps", "[\"a\"]\n")]
    [InlineData("json get-many plan", "plan\tyes\t{\"cost\":1,\"steps\":[\"a\"]}\n")]
    [InlineData("json exists plan /cost", "true\n")]
    [InlineData("json kind plan /cost", "Int64\n")]
    [InlineData("json length plan /steps", "1\n")]
    [InlineData("json keys plan", "cost\nsteps\n")]
    [InlineData("json list", "plan\n")]
    [InlineData("json scan", "plan\t{\"cost\":1,\"steps\":[\"a\"]}\n")]
    [InlineData("json count", "1\n")]
    [InlineData("json query plan $.cost", "$['cost']\t1\n")]
    [InlineData("json query-many $.cost", "plan\t$['cost']\t1\n")]
    public void Every_reading_verb_reads_the_past(string line, string then)
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", """{"cost":1,"steps":["a"]}""");
        Assert.Equal((0, then, ""), Told(bed.Run(line.Split(' '))));
        bed.Good("json", "put", "other", "{}");
        bed.Good("json", "put", "plan", "[]");
        Assert.NotEqual((0, then, ""), Told(bed.Run(line.Split(' '))));
        Assert.Equal((0, then, ""), Told(bed.Run([.. line.Split(' '), "--at", "1"])));
    }

    [Theory]
    [Trait("Requirement", "CON-9")]
    [InlineData("json create plan 1 --ttl 1h")]
    [InlineData("json put plan 1 --ttl 1h")]
    [InlineData("json put-many plan=1 --ttl 1h")]
    [InlineData("json get-or-create plan 1 --ttl 1h")]
    public void A_time_to_live_is_kept(string line)
    {
        using var bed = new CliBed();
        bed.Good(line.Split(' '));
        Assert.Equal(ValueKind.Int64, bed.Json("json", "get", "plan")[0]["expiry_us"].Kind);
        Assert.Equal(ValueKind.Int64, bed.Json("json", "get", bed.Good("json", "new", "1", "--ttl", "1h"))[0]["expiry_us"].Kind);
    }

    [Fact]
    [Trait("Requirement", "JS-2")]
    public void More_documents_than_a_page_holds()
    {
        using var bed = new CliBed();
        var many = Value.Object(Enumerable.Range(0, 250).Select(n => KeyValuePair.Create($"d{n:000}", Value.Object(("n", n)))));
        Assert.Equal(0, bed.RunWith(many.ToJson(), "json", "put-many", "-").Exit);
        Assert.Equal(250, bed.Json("json", "scan").Count);
        Assert.Equal("d209", bed.Json("json", "scan", "--limit", "210")[^1]["id"].AsString());
        Assert.Equal(249, bed.Json("json", "query-many", "$[?@ == 249]")[0]["value"].AsInt64());
        Assert.Equal(150, bed.Json("json", "query-many", "$.n", "--limit", "150").Count);
    }

    [Theory]
    [Trait("Requirement", "JS-5")]
    [Trait("Requirement", "JS-7")]
    [InlineData("json get plan steps", 3, "InvalidPath")]
    [InlineData("json delete plan draft", 3, "InvalidPath")]
    [InlineData("json delete plan $", 3, "InvalidPath")]
    [InlineData("json set plan $.* 1", 3, "InvalidPath")]
    [InlineData("json set plan /steps/7 1", 1, "PathNotFound")]
    [InlineData("json set plan /cost/x 1", 3, "TypeMismatch")]
    [InlineData("json append plan /cost 1", 3, "TypeMismatch")]
    [InlineData("json keys plan /steps", 3, "TypeMismatch")]
    [InlineData("json incr plan /steps", 3, "TypeMismatch")]
    [InlineData("json incr plan /cost 9223372036854775807", 3, "Overflow")]
    [InlineData("json incr plan /cost \"1\"", 3, "WrongType")]
    [InlineData("json remove plan /steps 0 9", 1, "PathNotFound")]
    [InlineData("json remove plan /steps 0 0", 2, "Usage")]
    [InlineData("json append plan /steps 1 -", 2, "Usage")]
    [InlineData("json put plan 1 --at 1", 2, "Usage")]
    [InlineData("json set plan /cost 1 --ttl 1h", 2, "Usage")]
    [InlineData("json put $mine 1", 3, "InvalidKey")]
    public void Refusals(string line, int exit, string code)
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", """{"cost":1,"steps":["a"]}""");
        var refused = bed.Run([.. line.Split(' '), "--json"]);
        Assert.Equal((exit, code, ""), (refused.Exit, refused.ErrorJson["code"].AsString(), refused.Out));
        Assert.Equal("""{"cost":1,"steps":["a"]}""", bed.Good("json", "get", "plan"));
        Assert.Equal(1, bed.Json("stat")[0]["sequence"].AsInt64());
    }

    [Fact]
    public void Stat_counts_documents_and_all_else_over_all_runs()
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", "1");
        bed.Good("kv", "put", "a", "1");
        bed.Good("run", "begin", "other");
        bed.Good("json", "put", "plan", "{}", "--run", "other");
        bed.Good("events", "append", "note", "{}", "--run", "other");
        var counts = bed.Json("stat", "--counts")[0]["counts"];
        Assert.Equal("""{"documents":2,"events":1,"keys":1,"state_cells":0,"traces":0}""", counts.ToJson());
        Assert.Equal(Value.Null, bed.Json("stat")[0]["counts"]);
    }

    [Fact]
    public void A_text_without_quotes_is_no_JSON_and_what_to_do_is_said()
    {
        using var bed = new CliBed();
        var refused = bed.Run("json", "set", "plan", "/owner", "ada");
        Assert.Equal(3, refused.Exit);
        Assert.EndsWith("a text as it is: --type string.\n", refused.Error, StringComparison.Ordinal);
        Assert.EndsWith("a text as it is: --type string.\n", bed.Run("json", "put-many", "a=ada").Error, StringComparison.Ordinal);
        Assert.DoesNotContain("--type string", bed.Run("json", "set", "plan", "/owner", "ada", "--type", "int").Error,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_wrote_a_place_is_told_by_blame_and_the_log()
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", "{}", "--actor", "planner");
        bed.Good("json", "set", "plan", "/cost", "1", "--actor", "buyer");
        Assert.Equal("buyer", bed.Json("blame", "json/plan", "--path", "/cost")[0]["attributes"]["actor"].AsString());
        Assert.Contains("$['cost']", bed.Good("log", "show", "2"), StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Writes => new()
    {
        { "json create fresh {}", "@" },
        { "json put plan {}", "@" },
        { "json put-many a=1 b=2", "@" },
        { "json get-or-create fresh {}", "{}" },
        { "json new {}", "0" },
        { "json set plan /a 1", "@" },
        { "json set-many plan /a=1 /b=2", "@" },
        { "json delete plan", "deleted" },
        { "json delete plan /cost", "deleted" },
        { "json patch plan [{\"op\":\"remove\",\"path\":\"/cost\"}]", "@" },
        { "json merge plan {\"cost\":null}", "@" },
        { "json cas plan /cost 2 --version-is 1", "@" },
        { "json cas plan /cost 2 --value-is 1", "set" },
        { "json cas plan /cost 2 --absent", "something else" },
        { "json append plan /steps 1", "@" },
        { "json insert plan /steps 0 1", "@" },
        { "json remove plan /steps 0", "@" },
        { "json pop plan /steps", "a" },
        { "json incr plan /cost 2", "3" },
        { "json append-text plan /notes x", "@" },
        { "json expire plan 1h", "done" },
        { "json persist plan", "done" },
    };

    [Theory]
    [Trait("Requirement", "CON-14")]
    [MemberData(nameof(Writes))]
    public void A_repeat_writes_nothing_and_prints_the_first_answer(string line, string answer)
    {
        using var bed = new CliBed();
        bed.Good("json", "put", "plan", """{"cost":1,"steps":["a"]}""");
        var first = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.StartsWith(answer, first.Out, StringComparison.Ordinal);
        Assert.Equal("", first.Error);
        Assert.Equal(2, bed.Json("stat")[0]["sequence"].AsInt64());
        var after = bed.Good("json", "scan");
        var repeat = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((first.Exit, first.Out), (repeat.Exit, repeat.Out));
        Assert.Equal("cairn: this key was used before, by the commit @2: nothing was written\n", repeat.Error);
        var json = bed.Run([.. line.Split(' '), "--once", "key-1", "--json"]);
        Assert.Equal((first.Exit, ""), (json.Exit, json.Error));
        Assert.True(Value.FromJson(json.Out)["repeat"].AsBool());
        Assert.Equal(after, bed.Good("json", "scan"));
        Assert.Equal(4, bed.Run([.. line.Split(' '), "--require", "cell=7"]).Exit);
    }

    private static (int Exit, string Out, string Error) Told(CliResult result) => (result.Exit, result.Out, result.Error);
}
