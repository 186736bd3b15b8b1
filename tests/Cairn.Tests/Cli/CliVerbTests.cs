using Xunit;

namespace Cairn.Tests.Cli;

public class CliVerbTests
{
    [Fact]
    public void Run_diff_in_every_form()
    {
        using var bed = new CliBed();
        foreach (var run in (string[])["a", "b"])
        {
            bed.Good("run", "begin", run);
            bed.Good("--run", run, "events", "append", "call", $$"""{"tool":"grep","ms":{{run.Length + run[0]}}}""");
            bed.Good("--run", run, "kv", "put", "same", "1");
        }

        bed.Good("--run", "b", "kv", "put", "new\nline", "x");
        bed.Good("--run", "b", "events", "append", "call", """{"tool":"sed"}""");
        var text = bed.Good("run", "diff", "a", "b", "--ignore", "ms");
        Assert.Contains("no common ancestor", text, StringComparison.Ordinal);
        Assert.Contains("they part at commit", text, StringComparison.Ordinal);
        Assert.Contains("kv: 1 added, 0 removed, 0 modified\n  + \"new\\nline\"  \"x\"", text, StringComparison.Ordinal);
        Assert.Contains("events: 1 in common, 1 added, 0 removed, 0 modified\n  + #1 call", text, StringComparison.Ordinal);
        Assert.EndsWith("nothing differs", bed.Good("run", "diff", "a", "a"), StringComparison.Ordinal);
        Assert.Contains("... and 1 more", bed.Good("run", "diff", "a", "b", "--ignore", "ms", "--limit", "1"), StringComparison.Ordinal);
        var json = Value.FromJson(bed.Good("--json", "run", "diff", "a", "b"));
        Assert.Equal(0, json["commonEvents"]);
        Assert.Equal("b", json["b"]["name"].AsString());
        Assert.Equal(["kv/new\nline", "events/#0", "events/#1"], json["items"].AsArray().Select(item => item["address"].AsString()));
        Assert.Equal("event.append", json["divergence"]["operationA"]["name"].AsString());
        Assert.Contains("| ~ | #0 call |", bed.Good("run", "diff", "a", "b", "--markdown"), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("run", "diff", "a", "nobody").Exit);
    }

    [Fact]
    public void Kv_every_verb()
    {
        using var bed = new CliBed();
        Assert.Equal("@1", bed.Good("kv", "put", "customer", "Ada"));
        Assert.Equal("Ada", bed.Good("kv", "get", "customer"));
        var absent = bed.Run("kv", "get", "nobody");
        Assert.Equal((1, "", ""), (absent.Exit, absent.Out, absent.Error));
        Assert.Equal("true", bed.Good("kv", "exists", "customer"));
        Assert.Equal(1, bed.Run("kv", "exists", "nobody").Exit);
        Assert.Equal(1, bed.Run("kv", "add", "customer", "Eve").Exit);
        Assert.Equal("added", bed.Good("kv", "add", "owner", "w1", "--ttl", "1h"));
        Assert.Equal(4, bed.Run("kv", "cas", "customer", "Eve", "--version-is", "9").Exit);
        Assert.Equal("@3", bed.Good("kv", "cas", "customer", "Eve", "--version-is", "1"));
        Assert.Equal("set", bed.Good("kv", "cas", "customer", "Ada", "--value-is", "Eve"));
        Assert.Equal(1, bed.Run("kv", "cas", "customer", "Eve", "--value-is", "Eve").Exit);
        Assert.Equal(1, bed.Run("kv", "cas", "customer", "Eve", "--absent").Exit);
        Assert.Equal("1", bed.Good("kv", "incr", "n"));
        Assert.Equal("-9", bed.Good("kv", "incr", "n", "-10"));
        Assert.Equal(3, bed.Run("kv", "incr", "customer").Exit);
        bed.Good("kv", "put-many", "a=1", "b=x=y");
        Assert.Equal("a\nb\ncustomer\nn\nowner", bed.Good("kv", "list"));
        Assert.Equal("owner\nn", bed.Good("kv", "list", "--reverse", "--limit", "2"));
        Assert.Equal("b\ncustomer", bed.Good("kv", "list", "--from", "b", "--to", "n"));
        Assert.Equal("b\t@7\tx=y", bed.Good("kv", "scan", "--prefix", "b"));
        Assert.Equal("5", bed.Good("kv", "count"));
        Assert.Equal("1", bed.Good("kv", "count", "--prefix", "cu"));
        bed.Good("kv", "expire", "a", "30d");
        Assert.NotEqual(Value.Null, bed.Json("kv", "get", "a")[0]["expiry_us"]);
        bed.Good("kv", "persist", "a");
        Assert.Equal(Value.Null, bed.Json("kv", "get", "a")[0]["expiry_us"]);
        Assert.Equal(1, bed.Run("kv", "persist", "nobody").Exit);
        var many = bed.Run("kv", "get-many", "b", "nobody");
        Assert.Equal((1, "b\tyes\tx=y\nnobody\tno\t\n"), (many.Exit, many.Out));
        Assert.Equal("2", bed.Good("kv", "delete", "a", "b", "nobody"));
        Assert.Equal(1, bed.Run("kv", "delete", "a").Exit);
    }

    [Theory]
    [InlineData("string", "{}", "\"{}\"")]
    [InlineData("json", "{\"b\":1.0,\"a\":[null]}", "{\"a\":[null],\"b\":1.0}")]
    [InlineData("int", "-7", "-7")]
    [InlineData("float", "2", "2.0")]
    [InlineData("float", "NaN", "{\"$f64\":\"NaN\"}")]
    [InlineData("bool", "true", "true")]
    [InlineData("bytes", "AAEC", "{\"$bytes\":\"AAEC\"}")]
    public void The_type_says_how_a_value_is_read(string type, string text, string json)
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", text, "--type", type);
        Assert.Equal(json, bed.Json("kv", "get", "k")[0]["value"].ToJson());
        Assert.Equal(0, bed.RunWith(text, "kv", "put", "k", "-", "--type", type).Exit);
        Assert.Equal(json, bed.Json("kv", "get", "k")[0]["value"].ToJson());
    }

    [Fact]
    public void Null_is_a_value_and_standard_input_is_kept_as_it_is()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "--type", "null");
        Assert.Equal("null", bed.Good("kv", "get", "k"));
        Assert.Equal(0, bed.RunWith("two\nlines\n", "kv", "put", "k", "-").Exit);
        Assert.Equal("two\nlines\n", bed.Json("kv", "get", "k")[0]["value"].AsString());
        Assert.Equal(0, bed.RunWith("{\"x\":{\"$bytes\":\"AA==\"},\"y\":2}", "kv", "put-many", "-").Exit);
        Assert.Equal(ValueKind.Bytes, bed.Json("kv", "get", "x")[0]["value"].Kind);
    }

    [Fact]
    public void Json_answers_have_a_stable_shape()
    {
        using var bed = new CliBed();
        Assert.Equal("""{"sequence":1}""", bed.Good("kv", "put", "k", "v", "--json"));
        var got = bed.Json("kv", "get", "k")[0];
        Assert.Equal(["created", "expiry_us", "found", "key", "time_us", "value", "version"], got.AsObject().Keys);
        Assert.Equal("""{"found":false,"key":"x"}""", bed.Run("kv", "get", "x", "--json").Out.TrimEnd());
        Assert.Equal("""{"count":1}""", bed.Good("kv", "count", "--json"));
        Assert.Equal("""{"key":"k"}""", bed.Good("kv", "list", "--json"));
    }

    [Fact]
    public void State_every_verb()
    {
        using var bed = new CliBed();
        Assert.StartsWith("counter 1 ", bed.Good("state", "init", "budget", "100", "--type", "int"), StringComparison.Ordinal);
        Assert.Equal(4, bed.Run("state", "init", "budget", "1", "--type", "int").Exit);
        Assert.Equal("100", bed.Good("state", "get", "budget"));
        Assert.Equal("100", bed.Good("state", "get-or-init", "budget", "7", "--type", "int"));
        Assert.Equal("7", bed.Good("state", "get-or-init", "seven", "7", "--type", "int"));
        bed.Good("state", "delete", "seven");
        Assert.Equal(1, bed.Run("state", "get", "nothing").Exit);
        Assert.Equal("90 (counter 2)", bed.Good("state", "transition", "budget", "--add", "-10"));
        Assert.Equal(1, bed.Run("state", "transition", "missing", "--add", "1").Exit);
        Assert.Equal("6 (counter 1)", bed.Good("state", "transition", "fresh", "--add", "1", "--init", "5"));
        bed.Good("state", "set", "phase", "planning");
        Assert.Equal("acting (counter 2)", bed.Good("state", "transition", "phase", "--set", "acting", "--when", "planning"));
        Assert.Equal(1, bed.Run("state", "transition", "phase", "--set", "x", "--when", "planning").Exit);
        Assert.Equal(3, bed.Run("state", "transition", "phase", "--add", "1").Exit);
        Assert.Equal(4, bed.Run("state", "cas", "phase", "x", "--counter-is", "1").Exit);
        bed.Good("state", "cas", "phase", "done", "--counter-is", "2");
        Assert.Equal("true", bed.Good("state", "exists", "phase"));
        bed.Good("state", "expire", "phase", "1d");
        bed.Good("state", "persist", "phase");
        Assert.Equal("budget\nfresh\nphase", bed.Good("state", "list"));
        Assert.Equal("phase\t3\tdone", bed.Good("state", "scan", "--prefix", "p"));
        Assert.Equal("3", bed.Good("state", "count"));
        Assert.Equal(3, bed.Json("state", "get", "phase")[0]["counter"].AsInt64());
        bed.Good("state", "delete", "phase");
        Assert.Equal(1, bed.Run("state", "delete", "phase").Exit);
    }

    [Fact]
    public void VER_6_The_past_of_keys_and_cells_is_there_by_sequence_and_by_time()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "one");
        var first = DateTimeOffset.UnixEpoch.AddMicroseconds(bed.Json("kv", "get", "k")[0]["time_us"].AsInt64());
        bed.Good("kv", "put", "k", "2", "--type", "int", "--ttl", "1h");
        bed.Good("kv", "delete", "k");
        Assert.Equal(1, bed.Run("kv", "get", "k").Exit);
        Assert.Equal("one", bed.Good("kv", "get", "k", "--at", "1"));
        Assert.Equal("2", bed.Good("kv", "get", "k", "--at", "@2"));
        Assert.Equal(1, bed.Run("kv", "get", "k", "--at", "3").Exit);
        Assert.Equal("one", bed.Good("kv", "get", "k", "--at", first.ToString("O", System.Globalization.CultureInfo.InvariantCulture)));
        Assert.Equal("""{"found":false,"key":"k"}""", bed.Run("kv", "get", "k", "--at", "2001-01-31", "--json").Out.TrimEnd());
        var future = bed.Run("kv", "get", "k", "--at", "4", "--json");
        Assert.Equal((3, "InvalidArgument"), (future.Exit, future.ErrorJson["code"].AsString()));
        var versions = bed.Json("kv", "history", "k");
        Assert.Equal([3, 2, 1], versions.Select(item => item["version"].AsInt64()));
        Assert.Equal(["deleted", "expiry_us", "key", "time_us", "version"], versions[0].AsObject().Keys);
        Assert.Equal([true, false, false], versions.Select(item => item["deleted"].AsBool()));
        Assert.Equal("one", versions[2]["value"].AsString());
        Assert.Equal(2, Assert.Single(bed.Json("kv", "history", "k", "--limit", "1", "--before", "3"))["version"].AsInt64());
        Assert.EndsWith("\t(deleted)", bed.Good("kv", "history", "k", "--limit", "1"), StringComparison.Ordinal);

        bed.Good("state", "set", "c", "x");
        bed.Good("state", "delete", "c");
        bed.Good("state", "set", "c", "y");
        Assert.Equal([3, 2, 1], bed.Json("state", "history", "c").Select(item => item["counter"].AsInt64()));
        Assert.Equal("x", bed.Good("state", "get", "c", "--at", "4"));
        Assert.Equal(1, bed.Json("state", "get", "c", "--at", "4")[0]["counter"].AsInt64());
        Assert.Equal(1, bed.Run("state", "get", "c", "--at", "5").Exit);
        for (var i = 0; i < 30; i++)
            bed.Good("kv", "incr", "n");
        Assert.Equal(30, bed.Json("kv", "history", "n").Count);
    }

    [Fact]
    public void State_leases()
    {
        using var bed = new CliBed();
        var token = bed.Json("state", "lease", "acquire", "writer", "w1",
            "1h")[0]["token"].AsInt64().ToString(System.Globalization.CultureInfo.InvariantCulture);
        var refused = bed.Run("state", "lease", "acquire", "writer", "w2", "1h", "--json");
        Assert.Equal(1, refused.Exit);
        Assert.Equal("w1", Value.FromJson(refused.Out)["holder"].AsString());
        bed.Good("state", "lease", "renew", "writer", token, "2h");
        Assert.Equal(1, bed.Run("state", "lease", "renew", "writer", "99", "2h").Exit);
        Assert.Equal("released", bed.Good("state", "lease", "release", "writer", token));
        Assert.Equal(1, bed.Run("state", "lease", "release", "writer", token).Exit);
        bed.Good("state", "lease", "acquire", "writer", "w2", "1h");
    }

    [Fact]
    public void Events_every_verb()
    {
        using var bed = new CliBed();
        Assert.Equal("#0 @1", bed.Good("events", "append", "call", "{\"tool\":\"crm\"}"));
        bed.Good("events", "append", "result", "{\"ok\":true}", "--cause", "0");
        bed.Good("events", "append", "call");
        Assert.Equal(0, bed.RunWith("{\"type\":\"note\",\"payload\":{\"t\":1}}\n{\"type\":\"note\"}\n", "events", "append-many").Exit);
        Assert.Equal(3, bed.RunWith("{\"type\":\"note\",\"text\":1}\n", "events", "append-many").Exit);
        Assert.Equal("5", bed.Good("events", "count"));
        const string Caused = "{\"type\":\"why\",\"causes\":[0]}\n";
        Assert.Equal(3, bed.RunWith(Caused, "events", "append-many", "--run", "other").Exit);
        Assert.Equal(0, bed.RunWith("{\"type\":\"x\"}\n" + Caused, "events", "append-many", "--run", "other").Exit);
        Assert.Equal("[0]", bed.Json("events", "get", "1", "--run", "other")[0]["causes"].ToJson());
        Assert.Equal("2", bed.Good("events", "count", "--type", "call"));
        var one = bed.Json("events", "get", "1")[0];
        Assert.Equal(0, one["causes"][0].AsInt64());
        Assert.Equal(bed.Json("events", "get", "0")[0]["hash"], one["previous_hash"]);
        Assert.Equal(1, bed.Run("events", "get", "9").Exit);
        Assert.Equal([1, 2], bed.Json("events", "range", "--from", "1", "--to", "3").Select(e => e["number"].AsInt64()));
        Assert.Equal([4, 3], bed.Json("events", "range", "--reverse", "--limit", "2").Select(e => e["number"].AsInt64()));
        Assert.Equal([0, 2], bed.Json("events", "by-type", "call").Select(e => e["number"].AsInt64()));
        Assert.Equal(["call", "note", "result"], bed.Json("events", "types").Select(e => e["type"].AsString()));
        Assert.Equal(bed.Json("events", "get", "4")[0]["hash"], bed.Json("events", "head")[0]["hash"]);
        Assert.Equal("valid: 5 events", bed.Good("events", "verify"));
        Assert.Equal(2, bed.Json("events", "by-time", "2001-01-31", "2201-01-31", "--type", "call").Count);
        Assert.Empty(bed.Json("events", "by-time", "2001-01-31T00:00:00Z", "2001-02-01T00:00:00Z"));
        Assert.Equal(3, bed.Json("events", "follow", "--from", "2").Count);
        bed.Good("events", "redact", "0", "personal");
        Assert.True(bed.Json("events", "get", "0")[0]["redacted"].AsBool());
        Assert.Equal(1, bed.Run("events", "redact", "0", "again").Exit);
        Assert.Equal("valid: 6 events", bed.Good("events", "verify"));
    }

    [Fact]
    public void Events_consumers()
    {
        using var bed = new CliBed();
        bed.Good("events", "append", "a");
        bed.Good("events", "append", "a");
        Assert.Equal("#0", bed.Good("events", "consumers", "position", "billing"));
        bed.Good("events", "consumers", "commit", "billing", "2");
        Assert.NotEqual(0, bed.Run("events", "consumers", "commit", "billing", "1").Exit);
        bed.Good("events", "consumers", "reset", "billing", "1");
        Assert.Equal(1, bed.Json("events", "consumers", "list")[0]["position"].AsInt64());
    }

    [Fact]
    public void Following_ends_when_the_run_is_closed()
    {
        using var bed = new CliBed();
        bed.Good("events", "append", "a", "--run", "r");
        bed.Good("run", "complete", "r");
        Assert.Single(bed.Json("events", "follow", "--run", "r", "--every", "10ms"));
    }

    [Fact]
    public void Run_every_verb()
    {
        using var bed = new CliBed();
        var id = bed.Good("run", "begin", "refund", "--tag", "a", "--tag", "b", "--meta", "{\"tier\":\"gold\"}");
        Assert.Equal(36, id.Length);
        Assert.Equal(4, bed.Run("run", "begin", "refund").Exit);
        bed.Good("run", "begin", "child", "--parent", "refund");
        Assert.Equal("child", bed.Json("run", "children", "refund")[0]["name"].AsString());
        Assert.Equal("refund", bed.Json("run", "ancestors", "child")[0]["name"].AsString());
        Assert.Equal(2, bed.Json("run", "list").Count);
        Assert.Single(bed.Json("run", "list", "--parent", "refund"));
        Assert.Equal(2, bed.Json("run", "list", "--from", "2001-01-31", "--to", "2201-01-31").Count);
        Assert.Equal("0", bed.Good("run", "count", "--to", "2001-01-31"));
        Assert.Equal("true", bed.Good("run", "exists", "refund"));
        Assert.Equal(1, bed.Run("run", "exists", "nobody").Exit);
        Assert.Single(bed.Json("run", "list", "--tag", "a", "--status", "active"));
        Assert.Equal("2", bed.Good("run", "count"));
        bed.Good("run", "tag", "refund", "urgent");
        bed.Good("run", "untag", "refund", "a");
        bed.Good("run", "meta", "refund", "{\"tier\":null,\"x\":1}");
        var info = bed.Json("run", "show", id)[0];
        Assert.Equal("""["b","urgent"]""", info["tags"].ToJson());
        Assert.Equal("""{"x":1}""", info["metadata"].ToJson());
        bed.Good("run", "pause", "refund");
        Assert.Equal(4, bed.Run("kv", "put", "k", "v", "--run", "refund").Exit);
        bed.Good("run", "resume", "refund");
        bed.Good("kv", "put", "k", "v", "--run", id);
        bed.Good("run", "complete", "refund", "--result", "42", "--type", "int");
        Assert.Equal(42, bed.Json("run", "show", "refund")[0]["result"].AsInt64());
        var closed = bed.Run("kv", "put", "k", "v", "--run", "refund", "--json");
        Assert.Equal(4, closed.Exit);
        Assert.Equal("Completed", closed.ErrorJson["details"]["status"].AsString());
        Assert.Equal(4, bed.Run("run", "fail", "refund", "no").Exit);
        bed.Good("run", "archive", "refund");
        bed.Good("run", "fail", "child", "broke");
        const string Chosen = "01a1fdcf-dd6b-7000-b7d5-0d56ac49fc7d";
        Assert.Equal(Chosen, bed.Good("run", "begin", "c2", "--id", Chosen));
        Assert.Equal(4, bed.Run("run", "begin", "--id", Chosen).Exit);
        Assert.Equal(2, bed.Run("run", "begin", "--id", "seven").Exit);
        bed.Good("run", "cancel", "c2", "why");
        bed.Good("run", "begin", "c3");
        Assert.Equal(4, bed.Run("run", "adopt", "c3").Exit);
        bed.Good("run", "abort", "c3", "gone");
        Assert.Equal("Failed", bed.Json("run", "show", "c3")[0]["status"].AsString());
        Assert.Contains("1 kv", bed.Good("run", "delete", "refund"), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("run", "show", "refund").Exit);
        Assert.Equal(1, bed.Run("kv", "get", "k", "--run", "refund").Exit);
        Assert.Equal(3, bed.Run("run", "delete", "default").Exit);
    }

    [Fact]
    public void Writing_begins_a_run_that_is_missing_and_reading_does_not()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v", "--run", "mine");
        Assert.Equal("v", bed.Good("--run", "mine", "kv", "get", "k"));
        var missing = bed.Run("kv", "get", "k", "--run", "other");
        Assert.Equal(1, missing.Exit);
        Assert.Contains("'other'", missing.Error, StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("kv", "put", "k", "v", "--run", "01a1fdcf-dd6b-7000-b7d5-0d56ac49fc7d").Exit);
        Assert.Single(bed.Json("run", "list"));
    }

    [Fact]
    public void A_crash_leaves_orphans_that_can_be_adopted()
    {
        using var bed = new CliBed();
        using (var database = CairnDatabase.Open(bed.Path))
        {
            database.Runs.Begin("left-behind").Kv.Put("k", "v");
            Damage.CopyWhileOpen(database, bed.Path, bed["crashed"]);
        }

        var recovered = CliBed.RunBare("", "run", "orphaned", "--db", bed["crashed"]);
        Assert.Equal(0, recovered.Exit);
        Assert.StartsWith("left-behind\tOrphaned", recovered.Out, StringComparison.Ordinal);
        Assert.StartsWith("cairn: recovered after a crash: 2 transactions", recovered.Error, StringComparison.Ordinal);
        var again = CliBed.RunBare("", "run", "orphaned", "--db", bed["crashed"]);
        Assert.Equal(recovered.Out, again.Out);
        Assert.Equal("", again.Error);
        Assert.Equal(0, CliBed.RunBare("", "run", "adopt", "left-behind", "--db", bed["crashed"]).Exit);
        Assert.Equal("", CliBed.RunBare("", "run", "orphaned", "--db", bed["crashed"]).Out);
    }

    [Fact]
    public void Stat_metrics_sync_and_doctor()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        var stat = bed.Json("stat")[0];
        Assert.Equal(1, stat["sequence"].AsInt64());
        Assert.True(stat["log_bytes"].AsInt64() > 0);
        Assert.Equal(0, stat["recovery"]["transactions"].AsInt64());
        Assert.Equal(1, stat["recovery"]["checkpoint_used"].AsInt64());
        Assert.True(stat["recovery"]["closed_cleanly"].AsBool());
        Assert.Equal(0, bed.Json("metrics")[0]["commits"].AsInt64());
        Assert.True(bed.Json("metrics")[0]["operations"].TryGetMember("kv.put", out _));
        Assert.Equal(1, bed.Json("sync")[0]["sequence"].AsInt64());
        Assert.Equal("there is nothing to write", bed.Good("checkpoint"));
        var plan = bed.Json("compact", "--dry-run")[0];
        Assert.True(plan["plan"].AsBool());
        Assert.NotEqual("there is no checkpoint", plan["held_by"].Kind == ValueKind.String ? plan["held_by"].AsString() : "");
        Assert.Equal(0L, bed.Json("compact")[0]["segments_dropped"].AsInt64());
        var doctor = bed.Json("doctor");
        Assert.DoesNotContain(doctor, line => line["result"].AsString() == "fail");
        Assert.Contains(doctor, line => line["check"].AsString() == "sync");
        string TextOf(string check) => doctor.Single(line => line["check"].AsString() == check)["text"].AsString();
        Assert.Contains("% used", TextOf("limits"), StringComparison.Ordinal);
        Assert.StartsWith("the older checkpoint", TextOf("past"), StringComparison.Ordinal);
        Assert.Equal(1, CliBed.RunBare("", "doctor", "--db", bed["nowhere"]).Exit);
        Assert.False(Directory.Exists(bed["nowhere"]));
    }

    [Fact]
    public void Doctor_leaves_nothing_behind()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        var before = Directory.GetFiles(bed.Path, "*", SearchOption.AllDirectories).Order().ToList();
        bed.Good("doctor");
        Assert.Equal(before, Directory.GetFiles(bed.Path, "*", SearchOption.AllDirectories).Order());
        Directory.CreateDirectory(bed["empty"]);
        CliBed.RunBare("", "doctor", "--db", bed["empty"]);
        Assert.Empty(Directory.GetFileSystemEntries(bed["empty"]));
    }

    [Fact]
    public void The_log_is_shown_without_values_unless_asked()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "secret-key", "secret-value");
        bed.Good("kv", "incr", "n");
        Assert.DoesNotContain("secret", bed.Good("log", "dump"), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", bed.Good("log", "dump", "--json"), StringComparison.Ordinal);
        Assert.Contains("kv.put secret-key \"secret-value\"", bed.Good("log", "dump", "--values"), StringComparison.Ordinal);
        var records = bed.Json("log", "dump", "--values", "--from", "1", "--to",
            "2").Where(record => record["type"].AsString() == "transaction").ToList();
        Assert.Equal("secret-value", Assert.Single(records)["operations"][0]["value"].AsString());
        bed.Good("state", "set", "c", "cell-value");
        bed.Good("events", "append", "t", "{\"m\":1}");
        bed.Good("run", "begin", "named");
        bed.Good("trace", "record", "thought", "{\"content\":\"hm\"}");
        var all = bed.Good("log", "dump", "--values");
        string[] bodies = ["state.set c \"cell-value\"", "event.append t {\"m\":1}", "{\"name\":\"named\"}", "\"content\":\"hm\""];
        foreach (var shown in bodies)
            Assert.Contains(shown, all, StringComparison.Ordinal);
        Assert.Contains("kv.increment", bed.Good("log", "dump", "--values", "--from", "2"), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "SEC-16")]
    public void SEC_16_Who_wrote_is_given_with_a_write_and_shown_by_log_and_blame()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "customer", "Ada", "--actor", "ada", "--tool", "crm.lookup", "--run", "refund");
        bed.Good("kv", "put", "customer", "Eve", "--run", "refund");
        bed.Good("kv", "incr", "paid", "5", "--run", "refund", "--actor", "bob", "--once", "payment-4711");
        var commits = bed.Json("log", "list", "--run", "refund");
        Assert.Equal(["bob", "", "ada", "ada"],
            commits.Select(commit => commit["attributes"]["actor"] is { IsNull: false } actor ? actor.AsString() : ""));
        Assert.Equal("payment-4711", commits[0]["once"].AsString());
        Assert.Equal("kv/customer", commits[1]["operations"][0]["address"].AsString());
        Assert.Equal(2, bed.Json("log", "list", "--run", "refund", "--limit", "2").Count);
        Assert.Equal(3, bed.Json("log", "list", "--run", "refund", "--before", "4").Count);
        Assert.Contains("crm.lookup\tkv.put kv/customer", bed.Good("log", "list", "--run", "refund"), StringComparison.Ordinal);
        var shown = bed.Good("log", "show", "2");
        foreach (var part in new[] { "actor\tada", "tool\tcrm.lookup", "kv.put\tkv/customer \"Ada\"" })
            Assert.Contains(part, shown, StringComparison.Ordinal);
        Assert.Equal(commits[2], bed.Json("log", "show", "@2")[0]);
        Assert.Equal(commits[1], bed.Json("blame", "kv/customer", "--run", "refund")[0]);
        Assert.Equal(1, bed.Run("blame", "kv/nobody", "--run", "refund").Exit);
        Assert.Equal(2, bed.Run("blame", "customer").Exit);
        Assert.Equal((3, "InvalidArgument"), Refused(bed, "log", "show", "99"));
        Assert.Equal((3, "InvalidName"), Refused(bed, "kv", "put", "k", "v", "--actor", ""));
        Assert.Equal(2, bed.Run("kv", "get", "customer", "--actor", "ada").Exit);
        Assert.Equal(2, bed.Run("run", "list", "--tool", "x").Exit);
    }

    [Fact]
    [Trait("Requirement", "RPL-6")]
    public void RPL_6_RPL_8_The_past_of_a_run_is_shown_by_timeline_at_and_replay()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "customer", "Ada", "--run", "refund", "--actor", "ada");
        bed.Good("kv", "put", "customer", "Eve", "--run", "refund");
        bed.Good("events", "append", "note", "{\"text\":\"hello\"}", "--run", "refund");
        bed.Good("state", "set", "budget", "90", "--type", "int", "--run", "refund");
        bed.Good("kv", "put", "other", "x");
        var steps = bed.Json("run", "timeline", "refund");
        Assert.Equal([1, 2, 3, 4, 5], steps.Select(step => step["step"].AsInt64()));
        Assert.Equal(("Ada", "Eve"), (steps[2]["changes"][0]["before"].AsString(), steps[2]["changes"][0]["after"].AsString()));
        Assert.Equal([5, 4], bed.Json("run", "timeline", "refund", "--reverse", "--limit", "2").Select(step => step["step"].AsInt64()));
        Assert.Equal([3], bed.Json("run", "timeline", "refund", "--from", "3", "--limit", "1").Select(step => step["step"].AsInt64()));
        Assert.Contains("~kv/customer", bed.Good("run", "timeline", "refund"), StringComparison.Ordinal);

        var then = bed.Json("run", "at", "refund", "2", "--values")[0];
        Assert.Equal((2, 1, 0), (then["sequence"].AsInt64(), then["keys"].AsInt64(), then["events"].AsInt64()));
        Assert.Equal("Ada", then["values"][0]["value"].AsString());
        Assert.Equal(then["state_hash"], bed.Json("run", "at", "refund", "--step", "2")[0]["state_hash"]);
        Assert.Equal(1, bed.Json("run", "at", "refund", "--event", "0")[0]["events"].AsInt64());
        Assert.Equal(1, bed.Json("run", "at", "refund", "2100-01-01")[0]["cells"].AsInt64());
        Assert.Contains("kv/customer\tAda", bed.Good("run", "at", "refund", "2", "--values"), StringComparison.Ordinal);
        Assert.Equal((3, "InvalidArgument"), Refused(bed, "run", "at", "refund", "99"));
        Assert.Equal((3, "InvalidArgument"), Refused(bed, "run", "timeline", "refund", "--from", "6"));
        Assert.Equal((3, "InvalidArgument"), Refused(bed, "run", "at", "refund", "--step", "6"));
        Assert.Equal("NotFound", Refused(bed, "run", "at", "refund", "--event", "1").Item2);
        Assert.Equal("NotFound", Refused(bed, "run", "replay", "nobody").Item2);
        Assert.Equal(2, bed.Run("run", "at", "refund").Exit);
        Assert.Equal(2, bed.Run("run", "replay").Exit);

        var proofs = bed.Json("run", "replay", "--all");
        Assert.Equal(2, proofs.Count);
        Assert.All(proofs, proof => Assert.True(proof["equal"].AsBool()));
        Assert.Equal("log", bed.Json("run", "replay", "refund", "--until", "3")[0]["against"].AsString());
        Assert.Contains("is the run", bed.Good("run", "replay", "refund"), StringComparison.Ordinal);
    }

    private static (int, string) Refused(CliBed bed, params string[] line)
    {
        var result = bed.Run([.. line, "--json"]);
        return (result.Exit, result.ErrorJson["code"].AsString());
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Verify_names_the_damaged_place()
    {
        using var bed = new CliBed();
        bed.Good("events", "append", "a");
        bed.Good("kv", "put", "k", new string('v', 500));
        var report = bed.Json("verify")[0];
        Assert.True(report["valid"].AsBool());
        Assert.Equal(2, report["transactions"].AsInt64());
        Assert.Equal(1, report["chains"][0]["length"].AsInt64());

        Damage.Flip(bed.Path, 4096 + 150);
        var damaged = bed.Run("verify", "--json");
        Assert.Equal(6, damaged.Exit);
        var place = Value.FromJson(damaged.Out)["damage"];
        Assert.EndsWith(".segment", place["file"].AsString(), StringComparison.Ordinal);
        Assert.InRange(place["offset"].AsInt64(), 4096, 4096 + 150);

        // Before the checkpoint nothing is lost by it; behind it no verb gets in.
        Assert.Equal(0, bed.Run("kv", "get", "k").Exit);
        foreach (var table in Directory.GetFiles(System.IO.Path.Combine(bed.Path, "tables")))
            File.Delete(table);
        var refused = bed.Run("kv", "get", "k", "--json");
        Assert.Equal(6, refused.Exit);
        Assert.Equal("Corruption", refused.ErrorJson["code"].AsString());
    }
}
