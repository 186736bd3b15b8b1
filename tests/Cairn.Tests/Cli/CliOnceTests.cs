using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>Idempotency keys at the shell: <c>--once KEY</c> on every verb that writes into a run.</summary>
public class CliOnceTests
{
    public static TheoryData<string, string> Writes => new()
    {
        { "kv put k v", "@" },
        { "subscription create billing", "@" },
        { "kv delete k", "1" },
        { "kv add fresh v", "added" },
        { "kv add k v", "was there" },
        { "kv cas k w --value-is v", "set" },
        { "kv cas k w --version-is 1", "@" },
        { "kv incr n 5", "5" },
        { "kv expire k 1h", "done" },
        { "kv persist k", "done" },
        { "kv put-many a=1 b=2", "@" },
        { "state init fresh v", "counter 1 @" },
        { "state set c v", "counter 2 @" },
        { "state get-or-init fresh v", "v" },
        { "state cas c v --counter-is 1", "counter 2 @" },
        { "state transition t --add 2 --init 3", "5 (counter 1)" },
        { "state delete c", "deleted" },
        { "state expire c 1h", "done" },
        { "state persist c", "done" },
        { "state lease acquire l owner 1h", "token 1" },
        { "events append note {}", "#1 @" },
        { "events redact 0 why", "#1 @" },
        { "events consumers commit reader 1", "@" },
        { "events consumers reset reader 1", "@" },
        { "trace record thought {\"content\":\"x\"}", "" },
    };

    [Theory]
    [MemberData(nameof(Writes))]
    public void CON_14_A_repeat_writes_nothing_and_prints_the_first_answer(string line, string answer)
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        bed.Good("state", "set", "c", "v");
        bed.Good("events", "append", "first");
        var first = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.StartsWith(answer, first.Out, StringComparison.Ordinal);
        Assert.Equal("", first.Error);
        var sequence = bed.Json("stat")[0]["sequence"].AsInt64();
        Assert.Equal(4, sequence);

        var repeat = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((first.Exit, first.Out), (repeat.Exit, repeat.Out));
        Assert.Equal("cairn: this key was used before, by the commit @4: nothing was written\n", repeat.Error);
        Assert.Equal(sequence, bed.Json("stat")[0]["sequence"].AsInt64());

        var json = bed.Run([.. line.Split(' '), "--once", "key-1", "--json"]);
        Assert.Equal((first.Exit, ""), (json.Exit, json.Error));
        Assert.True(Value.FromJson(json.Out)["repeat"].AsBool());
        if (answer.EndsWith('@'))
            Assert.Equal(4, Value.FromJson(json.Out)["sequence"].AsInt64());
    }

    [Fact]
    public void CON_14_Every_verb_that_writes_into_a_run_is_tried_and_all_others_refuse_the_option()
    {
        var tried = Writes.Concat(CliDocumentTests.Writes).Concat(CliIndexTests.Writes).Concat(CliVectorTests.Writes)
            .Concat(CliGraphTests.Writes)
            .Select(row => string.Join(' ', row.Data.Item1.Split(' ')[..2])).ToHashSet(StringComparer.Ordinal);
        tried.UnionWith(["events append-many", "state lease", "events consumers", "trace redact"]);
        tried.UnionWith(["subscription acknowledge", "subscription delete"]);
        foreach (var verb in CliFrameTests.Verbs(Cairn.Cli.CairnCli.Root(CliFrameTests.NoStreams)))
        {
            var path = Cairn.Cli.Help.PathOf(verb)["cairn ".Length..];
            if (verb.Needs == Cairn.Cli.Needs.WriteRun)
                Assert.Contains(string.Join(' ', path.Split(' ')[..2]), tried);
        }

        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        foreach (var line in new[] { "kv get k", "stat", "run begin r", "run complete default", "sync" })
            Assert.Equal(2, bed.Run([.. line.Split(' '), "--once", "x"]).Exit);
    }

    [Fact]
    public void CON_14_Many_events_come_once_and_standard_input_is_read_once()
    {
        using var bed = new CliBed();
        const string Lines = "{\"type\":\"a\"}\n{\"type\":\"b\"}\n";
        var first = bed.RunWith(Lines, "events", "append-many", "--once", "batch");
        Assert.Equal((0, "#0 @1\n#1 @1\n"), (first.Exit, first.Out));
        Assert.Equal(first.Out, bed.RunWith(Lines, "events", "append-many", "--once", "batch").Out);
        Assert.Equal("2", bed.Good("events", "count"));
        Assert.Equal(0, bed.RunWith("text", "kv", "put", "k", "-", "--once", "put").Exit);
        Assert.Equal("text", bed.Good("kv", "get", "k"));
    }

    [Fact]
    public void CON_14_A_failure_is_no_answer_and_may_be_tried_again()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "text");
        Assert.Equal(3, bed.Run("kv", "incr", "k", "--once", "x").Exit);
        bed.Good("kv", "delete", "k");
        Assert.Equal("1", bed.Good("kv", "incr", "k", "--once", "x"));
        Assert.Equal("1", bed.Good("kv", "incr", "k", "--once", "x"));
        Assert.Equal("1", bed.Good("kv", "get", "k"));
    }
}
