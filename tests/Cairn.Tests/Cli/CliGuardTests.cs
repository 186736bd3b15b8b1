using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>Guards at the shell: <c>--require CELL=COUNTER</c> on every verb that writes into a run.</summary>
public class CliGuardTests
{
    [Fact]
    public void ST_11_ST_10_A_stale_token_fails_every_guarded_write_and_a_fresh_one_does_not()
    {
        using var bed = new CliBed();
        bed.Good("state", "lease", "acquire", "writer", "w1", "1h");
        bed.Good("state", "lease", "release", "writer", "1");
        Assert.StartsWith("token 3 ", bed.Good("state", "lease", "acquire", "writer", "w2", "1h"), StringComparison.Ordinal);
        var stale = bed.Run("kv", "put", "k", "v", "--require", "writer=1", "--json");
        Assert.Equal((4, "VersionMismatch"), (stale.Exit, stale.ErrorJson["code"].AsString()));
        Assert.Equal(1, bed.Run("kv", "get", "k").Exit);
        Assert.Equal("@4", bed.Good("kv", "put", "k", "v", "--require", "writer=3"));
        Assert.Equal("#0 @5", bed.Good("events", "append", "note", "--require", "writer=3", "--require", "absent=0"));
        Assert.Equal("""{"counter":1,"sequence":6}""", bed.Good("state", "set", "phase", "x", "--require", "writer=3", "--json"));
        Assert.Equal(4, bed.Run("events", "append", "note", "--require", "writer=3", "--require", "phase=0").Exit);
        Assert.Equal("1", bed.Good("events", "count"));
    }

    [Fact]
    public void ST_11_CON_14_A_guard_and_a_key_go_together()
    {
        using var bed = new CliBed();
        bed.Good("state", "set", "phase", "a");
        Assert.Equal("1", bed.Good("kv", "incr", "n", "--require", "phase=1", "--once", "k"));
        bed.Good("state", "set", "phase", "b");
        Assert.Equal("1", bed.Good("kv", "incr", "n", "--require", "phase=1", "--once", "k"));
        Assert.Equal(4, bed.Run("kv", "incr", "n", "--require", "phase=1", "--once", "other").Exit);
        Assert.Equal("1", bed.Good("kv", "get", "n"));
    }

    [Theory]
    [InlineData("kv put k v --require phase")]
    [InlineData("kv put k v --require phase=x")]
    [InlineData("kv put k v --require =1")]
    [InlineData("kv get k --require phase=1")]
    [InlineData("run begin r --require phase=1")]
    public void ST_11_A_guard_that_makes_no_sense_is_a_wrong_command_line(string line)
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k0", "v0");
        Assert.Equal(2, bed.Run(line.Split(' ')).Exit);
    }
}
