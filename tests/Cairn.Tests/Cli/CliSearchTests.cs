using Xunit;

namespace Cairn.Tests.Cli;

/// <summary><c>cairn search</c>.</summary>
public class CliSearchTests
{
    [Fact]
    [Trait("Requirement", "SRCH-1")]
    public void What_a_run_holds_is_found_by_words()
    {
        using var bed = Filled();
        Assert.Equal("1\t0.288\tkv/note\tvalue: a refund, as store credit", bed.Good("search", "\"store credit\"", "--in", "kv"));
        Assert.Equal(["kv/note", "json/task"], bed.Json("search", "refund").Select(Address));
        Assert.Equal(["json/task"], bed.Json("search", "refund -store").Select(Address));
        Assert.Equal(["json/task"], bed.Json("search", "refund", "--filter", "owner eq 'ada'").Select(Address));
        Assert.Equal(["kv/note"], bed.Json("search", "refund", "--prefix", "no").Select(Address));
        Assert.Equal("kv/note", Address(Value.FromJson(bed.RunWith("store", "search", "-", "--json").Out.TrimEnd('\n'))));
        Assert.Equal(3, bed.Run("search", "\"open").Exit);
        Assert.Equal(2, bed.Json("search", "\"refund", "--literal").Count);
        var none = bed.Run("search", "nothing");
        Assert.Equal((0, "", "cairn: nothing has the words\n"), (none.Exit, none.Out, none.Error));
        Assert.Equal("cairn: the best is below --min-score\n", bed.Run("search", "refund", "--min-score", "9").Error);
    }

    [Fact]
    [Trait("Requirement", "SRCH-24")]
    public void A_hit_says_why()
    {
        using var bed = Filled();
        var hit = bed.Json("search", "refund store", "--explain", "--values", "--limit", "1")[0];
        Assert.Equal("a refund, as store credit", hit["value"].AsString());
        Assert.Equal(hit["score"].AsFloat64(), hit["reason"]["terms"].AsArray().Sum(term => term["score"].AsFloat64()));
        Assert.Equal(["refund", "store"], hit["reason"]["terms"].AsArray().Select(term => term["term"].AsString()));
        Assert.Contains("refund 0.", bed.Good("search", "refund store", "--explain"), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "SRCH-25")]
    public void Pages_are_of_one_moment()
    {
        using var bed = Filled();
        var first = bed.Run("search", "refund", "--limit", "1");
        var more = first.Error.Trim().Split(' ');
        Assert.Equal("--at", more[^4]);
        bed.Good("kv", "put", "later", "refund refund refund");
        var second = bed.Json("search", "refund", "--limit", "1", "--at", more[^3], "--cursor", more[^1]);
        Assert.Equal(["json/task"], second.Select(Address));
        Assert.Equal(2, bed.Run("search", "refund", "--cursor", more[^1]).Exit);
        Assert.Equal(["kv/note", "json/task"], bed.Json("search", "refund", "--at", more[^3]).Select(Address));
    }

    [Fact]
    [Trait("Requirement", "RUN-14")]
    public void Runs_are_found_by_their_records()
    {
        using var bed = Filled();
        bed.Good("run", "begin", "refund-4711", "--tag", "urgent");
        Assert.Equal("refund-4711", bed.Json("search", "urgent", "--runs", "--values").Single()["value"]["name"].AsString());
        Assert.Equal(2, bed.Run("search", "urgent", "--runs", "--in", "kv").Exit);
    }

    private static CliBed Filled()
    {
        var bed = new CliBed();
        bed.Good("kv", "put", "note", "a refund, as store credit");
        bed.Good("json", "put", "task", """{"owner":"ada","title":"the refund of last week, and other things that take long"}""");
        return bed;
    }

    private static string Address(Value hit) => $"{hit["primitive"].AsString()}/{hit["key"].AsString()}";
}
