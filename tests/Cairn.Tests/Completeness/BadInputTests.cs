using System.Text;
using Cairn.Cli;
using Cairn.Tests.Cli;
using Xunit;

namespace Cairn.Tests.Completeness;

/// <summary>Input that cannot be taken, at every door of the library and of the shell: a typed error, and nothing written.</summary>
[Trait("Promise", "G13")]
public class BadInputTests
{
    private static readonly string[] BadKeys = ["", "a\0b", "\0", "\ud800", "a\udfff", "\ude00\ud83d"];
    private static readonly string[] BadNames = [.. BadKeys, "a/b", "/", "line\n", "tab\t", "\u007f", "\u0085"];

    // Ranges begin and end where they like; they only have to be text.
    private static readonly string[] Ranges = ["kv.List prefix", "kv.Scan from", "kv.Scan to", "kv.Count", "state.List", "json.List prefix",
        "json.Scan from", "json.Count", "vectors.Keys prefix", "graph.ListConcepts prefix"];

    private static readonly string[] Reads =
    [
        "kv.Get", "kv.TryGet", "kv.GetVersioned", "kv.Exists", "kv.GetMany", "kv.History", "kv.GetAt", "state.Get", "state.TryGet",
        "state.Exists",
        "state.Require", "state.History", "state.GetAt", "events.CountByType", "events.StreamInfo", "events.ByType", "consumers.Position",
        "traces.ByTag", "state.Acquire owner", "json.Get", "json.GetVersioned", "json.Exists", "json.KindOf", "json.ArrayLength",
        "json.ObjectKeys", "json.GetMany", "json.Query", "json.History", "json.GetAt",
        "vectors.Get", "vectors.GetMany", "vectors.Exists",
        "vectors.GetCollection", "vectors.Search collection",
        "graph.GetConcept", "graph.Exists", "graph.ListConcepts type", "graph.Associations type",
    ];

    public static TheoryData<string> Keyed => [.. LimitDoors.KeyCalls.Keys];

    public static TheoryData<string> Named => [.. LimitDoors.NameCalls.Keys];

    [Theory]
    [MemberData(nameof(Keyed))]
    public void NAM_1_BUG_16_A_key_that_is_none_is_refused_on_a_run_and_in_a_transaction(string name)
    {
        foreach (var key in Ranges.Contains(name) ? BadKeys.Where(HasLoneSurrogate) : BadKeys)
            Refused(Ranges.Contains(name) ? null : ErrorCode.InvalidKey, name, key, LimitDoors.KeyCalls[name]);
        if (!Reads.Contains(name) && !Ranges.Contains(name))
            Refused(ErrorCode.InvalidKey, name, "$mine", LimitDoors.KeyCalls[name]);
    }

    [Theory]
    [MemberData(nameof(Named))]
    public void NAM_2_BUG_16_A_name_that_is_none_is_refused_on_a_run_and_in_a_transaction(string name)
    {
        foreach (var bad in BadNames)
            Refused(ErrorCode.InvalidName, name, bad, LimitDoors.NameCalls[name]);
        if (!Reads.Contains(name))
            Refused(ErrorCode.InvalidName, name, "$mine", LimitDoors.NameCalls[name]);
    }

    [Fact]
    public void NAM_3_Reading_what_is_reserved_is_allowed()
    {
        using var db = CairnDatabase.OpenInMemory();
        foreach (var name in Reads.Except(["kv.History", "state.History", "json.History"]))
        {
            var call = LimitDoors.KeyCalls.TryGetValue(name, out var keyed) ? keyed : LimitDoors.NameCalls[name];
            call(Faces.Of(db.Default), "$engine");
        }
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void VAL_5_Numbers_that_are_not_finite_are_kept_by_keys_and_cells_and_by_nothing_else(double number)
    {
        var kept = new Action<Faces, string>[]
        {
            (at, _) => at.Kv.Put("k", Value.Array(number)),
            (at, _) => at.State.Set("c", Value.Array(number)),
        };
        foreach (var call in kept)
        {
            using var db = CairnDatabase.OpenInMemory();
            call(Faces.Of(db.Default), "");
            db.Default.Transact(tx => call(Faces.Of(tx), ""));
        }

        Refused(ErrorCode.InvalidArgument, "events", "", (at, _) => at.Events.Append("t", Value.Object(("deep", Value.Array(number)))));
        Refused(ErrorCode.InvalidArgument, "events", "", (at, _) => at.Events.AppendMany([new NewEvent("t", Value.Object(("n", number)))]));
        Refused(ErrorCode.InvalidArgument, "traces", "", (at, _) => at.Traces.Record(new CustomStep("x", number)));
        Refused(null, "traces", "", (at, _) => at.Traces.Record(new ThoughtStep("x", number)));
    }

    [Fact]
    public void VAL_3_Text_without_a_form_in_UTF8_is_no_value()
    {
        foreach (var text in BadKeys.Where(HasLoneSurrogate))
        {
            Assert.ThrowsAny<CairnException>(() => (Value)text);
            Assert.ThrowsAny<CairnException>(() => Value.Object((text, 1)));
            Assert.ThrowsAny<CairnException>(() => Value.FromJson("{\"a\":\"\\ud800\"}"));
        }
    }

    private static bool HasLoneSurrogate(string text) => text.Any(char.IsSurrogate);

    // In a transaction too, and what is refused leaves nothing behind there: the transaction has nothing to commit.
    private static void Refused(ErrorCode? code, string name, string bad, Action<Faces, string> call)
    {
        using var db = CairnDatabase.OpenInMemory();
        var alone = Assert.ThrowsAny<CairnException>(() => call(Faces.Of(db.Default), bad));
        Assert.True(code is null || alone.Code == code, $"{name}: {alone.Code} {alone.Message}");
        db.Default.Transact(tx =>
        {
            var inside = Assert.ThrowsAny<CairnException>(() => call(Faces.Of(tx), bad));
            Assert.True(inside.Code == alone.Code, $"{name} in a transaction: {inside.Code} {inside.Message}");
        });
        Assert.Equal(Sequence.None, db.Sequence);
    }

    // ---- the shell --------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("InvalidKey", "kv", "put", "", "v")]
    [InlineData("InvalidKey", "kv", "put", "a\0b", "v")]
    [InlineData("InvalidKey", "kv", "put", "$mine", "v")]
    [InlineData("InvalidKey", "kv", "incr", "")]
    [InlineData("InvalidKey", "kv", "put", "k", "v", "--once", "")]
    [InlineData("InvalidKey", "state", "set", "", "v")]
    [InlineData("InvalidKey", "state", "lease", "acquire", "$mine", "me", "1h")]
    [InlineData("InvalidName", "run", "begin", "")]
    [InlineData("InvalidName", "run", "begin", "a/b")]
    [InlineData("InvalidName", "run", "begin", "line\n")]
    [InlineData("InvalidName", "run", "begin", "$mine")]
    [InlineData("InvalidName", "run", "begin", "--tag", "a/b")]
    [InlineData("InvalidName", "kv", "put", "k", "v", "--run", "$mine")]
    [InlineData("InvalidName", "events", "append", "$mine")]
    [InlineData("InvalidName", "events", "append", "a\tb")]
    [InlineData("InvalidName", "events", "consumers", "commit", "a/b", "0")]
    [InlineData("InvalidName", "trace", "record", "thought", "{\"content\":\"x\"}", "--tag", "$mine")]
    [InlineData("WrongType", "events", "append", "t", "[1]")]
    [InlineData("InvalidArgument", "events", "append", "t", "{\"n\":{\"$f64\":\"NaN\"}}")]
    [InlineData("Overflow", "events", "append", "t", "{\"n\":1e999}")]
    [InlineData("InvalidArgument", "events", "append", "t", "{}", "--cause", "7")]
    [InlineData("InvalidArgument", "kv", "put", "k", "{\"a\":1,\"a\":2}", "--type", "json")]
    [InlineData("InvalidArgument", "kv", "put", "k", "9223372036854775808", "--type", "int")]
    [InlineData("InvalidArgument", "kv", "put-many", "a=1", "a=2")]
    [InlineData("ConstraintViolation", "trace", "record", "thought", "{\"content\":\"x\",\"confidence\":2}")]
    [InlineData("LimitExceeded", "kv", "put", "k", "v", "--ttl", "40000d")]
    public void ERR_3_Bad_input_at_the_shell_is_exit_code_3_and_writes_nothing(string code, params string[] line)
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "first", "v");
        var result = bed.Run([.. line, "--json"]);
        Assert.Equal((3, code, ""), (result.Exit, result.ErrorJson["code"].AsString(), result.Out));
        Assert.Equal(1, bed.Json("stat")[0]["sequence"].AsInt64());
        var plain = bed.Run(line);
        Assert.Equal(3, plain.Exit);
        Assert.Single(plain.Error.TrimEnd('\n').Split('\n'));
    }

    [Fact]
    public void LIM_5_VAL_8_Nesting_beyond_any_limit_is_refused_without_recursion()
    {
        using var bed = new CliBed();
        foreach (var levels in new[] { 513, 200_000 })
        {
            var result = bed.RunWith(new string('[', levels) + new string(']', levels), "kv", "put", "k", "-", "--type", "json", "--json");
            Assert.Equal((3, nameof(Limits.DepthMax)), (result.Exit, result.ErrorJson["details"]["limit"].AsString()));
        }
    }

    [Fact]
    public void VAL_3_Standard_input_that_is_not_UTF8_is_refused()
    {
        using var bed = new CliBed();
        using var input = new StreamReader(new MemoryStream([0x61, 0xFF, 0x62]), new UTF8Encoding(false, throwOnInvalidBytes: true));
        using var output = new StringWriter();
        using var error = new StringWriter();
        Assert.Equal(3, CairnCli.Run(["kv", "put", "k", "-", "--db", bed.Path], output, error, input));
        Assert.Contains("UTF-8", error.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("kv", "exists", "k").Exit);
    }

    // The runtime turns bytes of the command line that are not UTF-8 into U+FFFD: the key of one file name would have become that of
    // another.
    [Fact]
    public void ERR_8_Arguments_that_are_not_UTF8_are_refused_and_not_replaced()
    {
        Assert.True(RawArguments.AreText("cairn\0kv\0get\0\u00e4\ufffd\0"u8, ["kv", "get", "\u00e4\ufffd"]));
        Assert.False(RawArguments.AreText([0x6B, 0xFF, 0], ["k\ufffd"]));
        if (!OperatingSystem.IsLinux())
            return;
        using var bed = new CliBed();
        var dll = System.IO.Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll");
        var start = new System.Diagnostics.ProcessStartInfo("bash") { RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"dotnet '{dll}' kv put $'a\\xffb' v --db '{bed.Path}' --json");
        using var bash = System.Diagnostics.Process.Start(start)!;
        var error = bash.StandardError.ReadToEnd();
        bash.WaitForExit();
        Assert.Equal((3, nameof(ErrorCode.InvalidArgument)), (bash.ExitCode, Value.FromJson(error.TrimEnd('\n'))["code"].AsString()));
        Assert.False(Directory.Exists(bed.Path));
    }
}
