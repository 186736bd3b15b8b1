using System.Globalization;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary><c>cairn vector</c>: each verb, its answers and exit codes.</summary>
public class CliVectorTests
{
    /// <summary>For <see cref="CliOnceTests"/>: each writing verb, and how its answer begins.</summary>
    public static TheoryData<string, string> Writes => new()
    {
        { "vector create made 2", "@" },
        { "vector upsert v a [1,2]", "@" },
        { "vector upsert fresh a [1,2,3]", "@" },
        { "vector update v k {\"n\":1}", "changed" },
        { "vector delete v k", "1" },
        { "vector drop v", "deleted" },
    };

    [Theory]
    [MemberData(nameof(Writes))]
    public void CON_14_A_repeat_writes_nothing_and_prints_the_first_answer(string line, string answer)
    {
        using var bed = new CliBed();
        bed.Good("vector", "upsert", "v", "k", "[1,0]");
        var first = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.StartsWith(answer, first.Out, StringComparison.Ordinal);
        Assert.Equal("", first.Error);
        var repeat = bed.Run([.. line.Split(' '), "--once", "key-1"]);
        Assert.Equal((first.Exit, first.Out), (repeat.Exit, repeat.Out));
        Assert.Equal(2, bed.Json("stat")[0]["sequence"].AsInt64());
    }

    [Fact]
    [Trait("Requirement", "VEC-10")]
    public void VEC_10_Vectors_are_written_read_searched_and_removed_at_the_shell()
    {
        using var bed = new CliBed();
        Assert.Equal("@1", bed.Good("vector", "create", "notes", "2", "--metric", "euclidean", "--element", "f16", "--model", "m"));
        Assert.Equal("was there", bed.Good("vector", "create", "notes", "2", "--metric", "euclidean", "--element", "f16", "--model", "m"));
        Assert.Equal("@2", bed.Good("vector", "upsert", "notes", "a", "[1,0]", "--meta", "{\"n\":1}", "--ttl", "7d"));
        Assert.Equal("@3", bed.Good("vector", "upsert", "notes", "b", "[0.5,1]", "--model", "m"));
        Assert.Equal("changed", bed.Good("vector", "update", "notes", "b", "{\"n\":2}"));
        Assert.Equal("[0.5,1.0]", bed.Good("vector", "get", "notes", "b"));
        var got = bed.Json("vector", "get", "notes", "a")[0];
        Assert.Equal((1, "{\"n\":1}", 2), (got["id"].AsInt64(), got["metadata"].ToJson(), got["version"].AsInt64()));
        Assert.Equal(1, bed.Run("vector", "get", "notes", "none").Exit);
        Assert.Equal("a\nb", bed.Good("vector", "list", "notes"));
        Assert.Equal("2", bed.Good("vector", "count", "notes"));
        Assert.Equal("1", bed.Good("vector", "count", "notes", "--at", "2"));
        var found = bed.Json("vector", "search", "notes", "[1,0]", "--k", "1");
        Assert.Equal(("a", 1.0), (found[0]["key"].AsString(), found[0]["score"].AsFloat64()));
        Assert.Equal((true, 2, true), (found[1]["complete"].AsBool(), found[1]["candidates"].AsInt64(), found[1]["more"].AsBool()));
        Assert.False(bed.Json("vector", "search", "notes", "[1,0]", "--k", "2")[2]["more"].AsBool());
        Assert.StartsWith("b", bed.Good("vector", "search", "notes", "[1,0]", "--filter", "n = 2"), StringComparison.Ordinal);
        Assert.Contains("budget", bed.Run("vector", "search", "notes", "[1,0]", "--budget", "1").Error, StringComparison.Ordinal);
        var named = bed.Json("vector", "collections")[0];
        Assert.Equal(("notes", "f16", 2, 8), (
            named["name"].AsString(), named["element"].AsString(), named["count"].AsInt64(), named["bytes"].AsInt64()));
        Assert.Equal("1", bed.Good("vector", "delete", "notes", "a", "none"));
        Assert.Equal(1, bed.Run("vector", "delete", "notes", "a").Exit);
        Assert.Equal([true, false], bed.Json("vector", "history", "notes", "a").Select(row => row["deleted"].AsBool()));
        Assert.Equal("deleted", bed.Good("vector", "drop", "notes"));
        Assert.Equal(1, bed.Run("vector", "drop", "notes").Exit);
    }

    [Theory]
    [InlineData("InvalidName", "vector", "create", "a/b", "2")]
    [InlineData("InvalidArgument", "vector", "create", "notes", "0")]
    [InlineData("InvalidArgument", "vector", "create", "notes", "2", "--index", "hnsw")]
    [InlineData("LimitExceeded", "vector", "create", "notes", "8193")]
    [InlineData("ConstraintViolation", "vector", "create", "v", "3")]
    [InlineData("DimensionMismatch", "vector", "upsert", "v", "k", "[1]")]
    [InlineData("ConstraintViolation", "vector", "upsert", "v", "k", "[0,0]")]
    [InlineData("WrongType", "vector", "upsert", "v", "k", "{}")]
    [InlineData("WrongType", "vector", "upsert", "v", "k", "[1,\"x\"]")]
    [InlineData("WrongType", "vector", "upsert", "v", "k", "[1,2]", "--meta", "1")]
    [InlineData("ModelMismatch", "vector", "upsert", "v", "k", "[1,2]", "--model", "other")]
    [InlineData("InvalidKey", "vector", "upsert", "v", "$k", "[1,2]")]
    [InlineData("LimitExceeded", "vector", "search", "v", "[1,2]", "--k", "1001")]
    [InlineData("DimensionMismatch", "vector", "search", "v", "[1,2,3]")]
    [InlineData("InvalidFilter", "vector", "search", "v", "[1,2]", "--filter", "n =")]
    public void ERR_3_Bad_input_is_exit_code_3_and_writes_nothing(string code, params string[] line)
    {
        using var bed = new CliBed();
        bed.Good("vector", "upsert", "v", "k", "[1,0]");
        var result = bed.Run([.. line, "--json"]);
        Assert.Equal((3, code), (result.Exit, result.ErrorJson["code"].AsString()));
        Assert.Equal(1, bed.Json("stat")[0]["sequence"].AsInt64());
    }

    // VEC-11: the processor's wide registers, those of half the width, and none.
    [Fact]
    [Trait("Requirement", "VEC-11")]
    [Trait("Promise", "G10")]
    public void VEC_11_Scores_are_the_same_bits_with_every_register_width()
    {
        using var bed = new CliBed();
        var random = new Random(3);
        foreach (var element in new[] { "f32", "f16", "i8" })
        {
            foreach (var metric in new[] { "cosine", "euclidean", "dot" })
            {
                bed.Good("vector", "create", $"{metric}-{element}", "37", "--metric", metric, "--element", element);
                for (var i = 0; i < 6; i++)
                    bed.Good("vector", "upsert", $"{metric}-{element}", $"k{i}", Text(random));
            }
        }

        var query = Text(random);
        var dll = Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll");
        foreach (var collection in bed.Json("vector", "collections").Select(row => row["name"].AsString()))
        {
            var here = bed.Good("vector", "search", collection, query, "--json");
            foreach (var setting in new[] { "DOTNET_EnableAVX2=0", "DOTNET_EnableFMA=0", "DOTNET_EnableHWIntrinsic=0" })
            {
                var parts = setting.Split('=');
                var start = new System.Diagnostics.ProcessStartInfo("dotnet") { RedirectStandardOutput = true };
                foreach (var argument in new[] { dll, "vector", "search", collection, query, "--json", "--db", bed.Path })
                    start.ArgumentList.Add(argument);
                start.Environment[parts[0]] = parts[1];
                using var process = System.Diagnostics.Process.Start(start)!;
                Assert.Equal(here, process.StandardOutput.ReadToEnd().TrimEnd('\n'));
                process.WaitForExit();
            }
        }
    }

    private static string Text(Random random) => Value.Array(
        [.. Enumerable.Range(0, 37).Select(_ => (Value)double.Parse(
            ((float)random.NextDouble() - 0.5f).ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture))]).ToJson();
}
