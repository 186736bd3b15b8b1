using Xunit;

namespace Cairn.Tests.Cli;

/// <summary><c>cairn graph ...</c>: concepts and associations in the shell.</summary>
public class CliGraphTests
{
    /// <summary>For <see cref="CliOnceTests"/>: each writing verb, and how its answer begins.</summary>
    public static TheoryData<string, string> Writes => new()
    {
        { "graph put bob --type person", "bob" },
        { "graph put --content news", "" },
        { "graph associate ada prefers cash", "@" },
        { "graph dissociate ada knows eve", "dissociated" },
        { "graph delete ada", "deleted" },
        { "graph touch ada", "@" },
        { "graph feedback --accepted ada=1", "@" },
    };

    [Theory]
    [MemberData(nameof(Writes))]
    public void CON_14_A_repeat_writes_nothing_and_prints_the_first_answer(string line, string answer)
    {
        using var bed = new CliBed();
        bed.Good("graph", "associate", "ada", "knows", "eve");
        var first = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.StartsWith(answer, first.Out, StringComparison.Ordinal);
        Assert.Equal("", first.Error);
        var repeat = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((first.Exit, first.Out), (repeat.Exit, repeat.Out));
        Assert.Equal(2, bed.Json("stat")[0]["sequence"].AsInt64());
    }

    [Fact]
    [Trait("Requirement", "GR-13")]
    public void A_graph_is_written_and_asked()
    {
        using var bed = new CliBed();
        Assert.Equal("ada", bed.Good("graph", "put", "ada", "--type", "person", "--content", "Ada Byron, pays in store credit"));
        Assert.Equal("@2", bed.Good("graph", "associate", "ada", "prefers", "store-credit", "--confidence", "0.9"));
        Assert.Equal("@3", bed.Good("graph", "associate", "$kv/invoice/4711", "names", "ada"));
        Assert.Equal(
            "ada\tprefers\tstore-credit\tno\t1\t0.9\n$kv/invoice/4711\tnames\tada\tno\t1\t1",
            bed.Good("graph", "associations", "ada", "--direction", "both"));
        Assert.Equal("out\t1\nin\t1\nsymmetric\t0\ntotal\t2", bed.Good("graph", "degree", "ada"));
        Assert.Equal("out\t0\nin\t0\nsymmetric\t0\ntotal\t0", bed.Good("graph", "degree", "ada", "--at", "1"));
        Assert.Equal("concepts\t2\nassociations\t2", bed.Good("graph", "count"));
        Assert.Equal("ada", bed.Json("graph", "list", "--type", "person").Single()["id"].AsString());
        Assert.Equal(["ada", "store-credit"], bed.Json("graph", "list").Select(row => row["id"].AsString()));
        Assert.Equal("store-credit", bed.Json("graph", "recent", "--limit", "1").Single()["id"].AsString());
        Assert.Equal("1\tada\tnames\t$kv/invoice/4711\n2\tstore-credit\tprefers\tada", bed.Good("graph", "reach", "$kv/invoice/4711"));
        Assert.Equal("1\tada\tprefers\tstore-credit", bed.Good("graph", "reach", "store-credit", "--direction", "in", "--depth", "1"));
        Assert.Empty(bed.Json("graph", "associations", "ada", "--min-confidence", "0.95"));
        Assert.Empty(bed.Json("graph", "associations", "ada", "--filter", "confidence > 0.95"));
        Assert.Single(bed.Json("graph", "associations", "ada", "--type", "prefers", "--valid-at", "2026-01-31T12:00:00Z"));
        bed.Good("graph", "put", "ada", "--decay", "power:0.5", "--strength", "0.5", "--attributes", "{\"age\":36}");
        bed.Good("graph", "touch", "ada", "nobody");
        bed.Good("graph", "feedback", "--accepted", "ada=1", "--rejected", "store-credit");
        var ada = bed.Json("graph", "get", "ada").Single();
        Assert.Equal(
            ("power:0.5", 0.5, 1L, 0.15, 36L),
            (ada["decay"].AsString(), ada["strength"].AsFloat64(), ada["accesses"].AsInt64(), ada["feedback"].AsFloat64(),
                ada["attributes"]["age"].AsInt64()));
        Assert.True(ada["strength_now"].AsFloat64() is > 0.6 and < 0.7);
        Assert.Contains("content\tAda Byron", bed.Good("graph", "get", "ada"), StringComparison.Ordinal);
        Assert.Equal("true", bed.Good("graph", "exists", "ada"));
        Assert.Equal((1, "false\n"), Told(bed.Run("graph", "exists", "nobody")));
        Assert.Equal((1, ""), Told(bed.Run("graph", "get", "nobody")));
        Assert.Equal("dissociated", bed.Good("graph", "dissociate", "$kv/invoice/4711", "names", "ada"));
        Assert.Equal((1, "was not there\n"), Told(bed.Run("graph", "dissociate", "$kv/invoice/4711", "names", "ada")));
        Assert.Equal("deleted", bed.Good("graph", "delete", "ada"));
        Assert.Equal((1, "was not there\n"), Told(bed.Run("graph", "delete", "ada")));
        Assert.Equal("concepts\t1\nassociations\t0", bed.Good("graph", "count"));
        Assert.Equal("Refunds take 3 days", bed.Json("graph", "get", bed.Good("graph", "put", "--content", "Refunds take 3 days"))
            .Single()["content"].AsString());
        Assert.Contains("graph.ensure", bed.Good("blame", "graph/store-credit"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("put", "a", "--decay", "soon")]
    [InlineData("put", "a", "--decay", "power:x")]
    [InlineData("associations", "a", "--direction", "up")]
    [InlineData("associate", "$nowhere/x", "is", "a")]
    [InlineData("feedback", "--accepted", "ada")]
    [InlineData("associate", "a", "is", "b", "--missing", "maybe")]
    [Trait("Requirement", "GR-7")]
    public void What_cannot_be_read_is_a_usage_error(params string[] arguments)
    {
        using var bed = new CliBed();
        Assert.Equal(Cairn.Cli.ExitCodes.Usage, bed.Run(["graph", .. arguments]).Exit);
    }

    [Fact]
    [Trait("Requirement", "GR-11")]
    public void A_missing_end_is_refused_when_that_is_asked_for()
    {
        using var bed = new CliBed();
        var refused = bed.Run("graph", "associate", "a", "is", "b", "--missing", "reject");
        Assert.Contains("There is no concept 'a'", refused.Error, StringComparison.Ordinal);
        Assert.NotEqual(0, refused.Exit);
        Assert.Equal(3, bed.Run("graph", "associate", "a", "is", "a").Exit);
        Assert.Equal(3, bed.Run("graph", "put", "a", "--strength", "2").Exit);
    }

    private static (int Exit, string Out) Told(CliResult result) => (result.Exit, result.Out);
}
