using System.Reflection;
using Cairn.Cli;
using Cairn.Tests.Cli;
using Xunit;

namespace Cairn.Tests.Completeness;

/// <summary>Every limit at the doors of the shell, at its default: one below, at, and one above (LIM-40). A refusal is exit code 3 and
/// names limit, allowed and actual.</summary>
[Trait("Promise", "G13")]
[Trait("Gate", "Merge")]
public class LimitShellTests
{
    private static readonly Limits Defaults = new();

    public static TheoryData<string> Verbs => [.. LimitDoors.Rows.Where(row => row.Shell.Count > 0).Select(row => row.Limit)];

    public static TheoryData<string> Imports => [.. LimitDoors.Rows.Where(row => row.Import is not null).Select(row => row.Limit)];

    [Theory]
    [MemberData(nameof(Verbs))]
    public void LIM_40_A_verb_at_n_minus_1_n_and_n_plus_1(string limit)
    {
        var row = LimitDoors.Rows.Single(row => row.Limit == limit);
        var allowed = Allowed(row);
        foreach (var (name, call) in row.Shell)
        {
            Judge(row, allowed, name, measure =>
            {
                using var bed = new CliBed();
                bed.Good("run", "begin", "r");
                bed.Good("events", "append", "first");
                var (input, arguments) = (call(measure).Input, call(measure).Arguments);
                return bed.RunWith(input, [.. arguments, "--json"]);
            });
        }
    }

    [Theory]
    [MemberData(nameof(Imports))]
    public void LIM_40_An_import_at_n_minus_1_n_and_n_plus_1(string limit)
    {
        var row = LimitDoors.Rows.Single(row => row.Limit == limit);
        Judge(row, Allowed(row), "import", measure =>
        {
            using var bed = new CliBed();
            File.WriteAllText(bed["one.traj"], row.Import!(measure));
            var result = bed.Run("import", "swe-agent", bed["one.traj"], "--json");
            if (result.Exit != 0)
                Assert.Equal("0", bed.Good("run", "count"));
            return result;
        });
    }

    private static long Allowed(LimitRow row) => row.ShellAllowed
        ?? (typeof(Limits).GetProperty(row.Limit, BindingFlags.Public | BindingFlags.Instance)?.GetValue(Defaults) is int value
            ? value
            : row.Allowed);

    private static void Judge(LimitRow row, long allowed, string name, Func<long, CliResult> attempt)
    {
        foreach (var measure in new[] { row.IsLeast ? allowed + 1 : allowed - 1, allowed })
        {
            var good = attempt(measure);
            Assert.True(good.Exit is ExitCodes.Ok or ExitCodes.Negative, $"{name} with {measure} gave {good.Exit}: {good.Error}");
        }

        var above = row.IsLeast ? allowed - 1 : allowed + 1;
        var refused = attempt(above);
        Assert.True(refused.Exit == ExitCodes.Refused, $"{name} with {above} gave {refused.Exit}: {refused.Error}");
        Assert.Equal(nameof(ErrorCode.LimitExceeded), refused.ErrorJson["code"].AsString());
        var details = refused.ErrorJson["details"];
        Assert.True(
            (details["limit"].AsString(), details["allowed"].AsInt64(), details["actual"].AsInt64()) == (row.Limit, allowed, above),
            $"{name}: {details.ToJson()}; it should have been {row.Limit}, {allowed}, {above}");
        Assert.Equal("", refused.Out);
    }

    [Fact]
    public void LIM_17_A_step_and_a_call_over_many_that_are_too_large_are_refused()
    {
        using var bed = new CliBed();
        var text = LimitDoors.Text(12 << 20);
        var many = Value.Object(("a", text), ("b", text), ("c", text));
        var refused = bed.RunWith(many.ToJson(), "kv", "put-many", "-", "--json");
        Assert.Equal((3, nameof(Limits.TransactionBytesMax)), (refused.Exit, refused.ErrorJson["details"]["limit"].AsString()));
        File.WriteAllText(bed["one.traj"], LimitDoors.Trajectory(many));
        var step = bed.Run("import", "swe-agent", bed["one.traj"], "--json");
        Assert.Equal((3, nameof(Limits.TransactionBytesMax)), (step.Exit, step.ErrorJson["details"]["limit"].AsString()));
        Assert.Contains("one.traj", step.ErrorJson["message"].AsString(), StringComparison.Ordinal);
        Assert.Equal("0", bed.Good("run", "count"));
    }

    [Fact]
    public void LIM_41_Standard_input_and_files_are_measured_before_they_are_read()
    {
        using var streams = new StringReader(new string('x', 100));
        var small = new Streams(TextWriter.Null, TextWriter.Null, streams);
        var refused = Assert.Throws<RefusedException>(() => small.ReadAll(99));
        Assert.Equal(ErrorCode.LimitExceeded, refused.Code);
        using var bed = new CliBed();
        using (var file = File.Create(bed["huge.traj"]))
            file.SetLength((256L << 20) + 1);                                      // a hole: takes no disk
        var import = bed.Run("import", "swe-agent", bed["huge.traj"], "--json");
        Assert.Equal((3, "FileBytesMax"), (import.Exit, import.ErrorJson["details"]["limit"].AsString()));
        Assert.Equal((256L << 20) + 1, import.ErrorJson["details"]["actual"].AsInt64());
    }
}
