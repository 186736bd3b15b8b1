using System.CommandLine;
using System.Diagnostics;
using Cairn.Cli;
using Xunit;

namespace Cairn.Tests.Cli;

public class CliFrameTests
{
    internal static Streams NoStreams => new(TextWriter.Null, TextWriter.Null, TextReader.Null);

    [Fact]
    public void Every_error_code_has_an_exit_code()
    {
        foreach (var code in Enum.GetValues<ErrorCode>())
        {
            Assert.True(ExitCodes.Table.ContainsKey(code), $"{code} has no exit code");
            Assert.Contains(ExitCodes.Meanings, meaning => meaning.Code == ExitCodes.Of(code));
        }

        Assert.Equal(Enum.GetValues<ErrorCode>().Length, ExitCodes.Table.Count);
    }

    [Fact]
    public void Every_verb_has_help_with_an_example_that_parses()
    {
        var verbs = Verbs(CairnCli.Root(NoStreams)).ToList();
        Assert.True(verbs.Count > 60, $"only {verbs.Count} verbs");
        foreach (var verb in verbs)
        {
            var result = CliBed.RunBare("", [.. Help.PathOf(verb).Split(' ').Skip(1), "--help"]);
            Assert.Equal(0, result.Exit);
            Assert.StartsWith($"{Help.PathOf(verb)}: {verb.Description}", result.Out, StringComparison.Ordinal);
            Assert.Contains("example:", result.Out, StringComparison.Ordinal);
            Assert.All(result.Out.Split('\n').Where(line => !line.StartsWith("cairn ", StringComparison.Ordinal) && !line.StartsWith("  ",
                StringComparison.Ordinal)), line => Assert.True(line.Length <= 100, line));
            foreach (var option in verb.Options.Where(option => !option.Recursive && option.Name != "--help"))
                Assert.False(string.IsNullOrEmpty(option.Description), $"{Help.PathOf(verb)} {option.Name} says nothing");
        }
    }

    [Fact]
    public void Help_of_the_tool_shows_exit_codes_and_hides_what_is_not_for_people()
    {
        var result = CliBed.RunBare("");
        Assert.Equal(0, result.Exit);
        Assert.Contains("exit codes:", result.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("demo-agents", result.Out, StringComparison.Ordinal);
        Assert.Equal(result.Out, CliBed.RunBare("", "--help").Out);
        Assert.StartsWith("cairn ", CliBed.RunBare("", "--version").Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kv put")]
    [InlineData("nonsense")]
    [InlineData("kv incr n many")]
    [InlineData("kv get k --limit 3")]
    [InlineData("kv list --limit 0")]
    [InlineData("kv put k v --ttl soon")]
    [InlineData("kv put k v --type number")]
    [InlineData("kv put k")]
    [InlineData("kv cas k v")]
    [InlineData("kv put-many novalue")]
    [InlineData("stat --run r")]
    [InlineData("stat --durability strict")]
    [InlineData("kv get k --durability strict")]
    [InlineData("kv put k v --durability 1")]
    [InlineData("kv put k v --durability maybe")]
    [InlineData("completion bash --db x")]
    [InlineData("completion tcsh")]
    [InlineData("log dump --from -1")]
    [InlineData("state transition c --add 1 --set x")]
    [InlineData("events get -1")]
    [InlineData("kv get k --at yesterday")]
    [InlineData("kv get k --at -3")]
    [InlineData("kv history k --before 2026-01-31")]
    [InlineData("state history k --limit 0")]
    [InlineData("events append-many")]
    public void A_wrong_command_line_is_one_line_and_exit_code_2(string line)
    {
        using var bed = new CliBed();
        if (!line.StartsWith("completion", StringComparison.Ordinal))
            bed.Good("kv", "put", "k0", "v0");
        var result = line.StartsWith("completion", StringComparison.Ordinal) ? CliBed.RunBare("",
            line.Split(' ')) : bed.Run(line.Split(' '));
        Assert.Equal(2, result.Exit);
        Assert.Equal("", result.Out);
        Assert.StartsWith("cairn: ", result.Error, StringComparison.Ordinal);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
    }

    [Fact]
    public void A_group_alone_shows_its_verbs_and_a_wrong_word_is_told_the_nearest_one()
    {
        Assert.Contains("get-many", CliBed.RunBare("", "kv").Out, StringComparison.Ordinal);
        Assert.Equal(0, CliBed.RunBare("", "events", "consumers").Exit);
        Assert.Equal("cairn: 'cairn' has no verb 'statt'. Did you mean 'stat'? See 'cairn --help'.\n", CliBed.RunBare("", "statt").Error);
        Assert.Equal(
            "cairn: 'cairn kv' has no verb 'lst'. Did you mean 'list'? See 'cairn kv --help'.\n", CliBed.RunBare("", "kv", "lst").Error);
        Assert.Equal("cairn: 'cairn kv' has no verb 'nonsense'. See 'cairn kv --help'.\n", CliBed.RunBare("", "kv", "nonsense").Error);
        Assert.Equal(
            "cairn: 'cairn kv list' has no option '--limt'. Did you mean '--limit'? See 'cairn kv list --help'.\n",
            CliBed.RunBare("", "kv", "list", "--limt", "3").Error);
    }

    [Fact]
    public void Failures_are_json_when_asked()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        var mismatch = bed.Run("kv", "cas", "k", "w", "--version-is", "7", "--json");
        Assert.Equal(4, mismatch.Exit);
        Assert.Equal("VersionMismatch", mismatch.ErrorJson["code"].AsString());
        Assert.Equal((long)ErrorCode.VersionMismatch, mismatch.ErrorJson["number"].AsInt64());
        Assert.Equal(7, mismatch.ErrorJson["details"]["expected"].AsInt64());
        Assert.Equal(1, mismatch.ErrorJson["details"]["actual"].AsInt64());
        var usage = bed.Run("kv", "put", "--json");
        Assert.Equal(2, usage.Exit);
        Assert.Equal("Usage", usage.ErrorJson["code"].AsString());
    }

    [Fact]
    [Trait("Promise", "G13")]
    public void Oversized_keys_names_and_values_are_refused_at_this_door()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", new string('k', 1024), "v");
        var key = bed.Run("kv", "put", new string('k', 1025), "v", "--json");
        Assert.Equal(3, key.Exit);
        Assert.Equal(nameof(Limits.KeyBytesMax), key.ErrorJson["details"]["limit"].AsString());
        Assert.Equal(3, bed.Run("kv", "get", new string('k', 1025)).Exit);
        Assert.Equal(3, bed.Run("run", "begin", new string('n', 257)).Exit);
        Assert.Equal(3, bed.RunWith(new string('v', (16 << 20) + 1), "kv", "put", "k", "-").Exit);
        Assert.Equal(0, bed.RunWith(new string('v', 5000), "kv", "put", "k", "-").Exit);
    }

    [Fact]
    public void Bad_names_keys_and_values_are_refused()
    {
        using var bed = new CliBed();
        Assert.Equal(3, bed.Run("kv", "put", "$mine", "v").Exit);
        Assert.Equal(3, bed.Run("run", "begin", "a/b").Exit);
        Assert.Equal(3, bed.Run("kv", "put", "k", "v", "--run", "a/b").Exit);
        Assert.Equal(3, bed.Run("kv", "put", "k", "{", "--type", "json").Exit);
        Assert.Equal(3, bed.Run("kv", "put", "k", "1.5", "--type", "int").Exit);
        Assert.Equal(3, bed.Run("kv", "put", "k", "?", "--type", "bytes").Exit);
        Assert.Equal(3, bed.Run("kv", "put", "k", "v", "--ttl", "0ms").Exit);
        Assert.Equal(3, bed.Run("events", "append", "t", "[1]").Exit);
        Assert.Equal(3, bed.Run("--durability", "inmemory", "kv", "put", "k", "v").Exit);
    }

    [Fact]
    public void Where_no_database_is_reading_refuses_and_writing_creates()
    {
        using var bed = new CliBed();
        Assert.Equal(6, bed.Run("kv", "get", "k").Exit);
        Assert.False(Directory.Exists(bed.Path));
        Assert.Equal(0, bed.Run("kv", "put", "k", "v").Exit);

        var other = bed["other"];
        Directory.CreateDirectory(other);
        File.WriteAllText(System.IO.Path.Combine(other, "letter.txt"), "not a database");
        var refused = CliBed.RunBare("", "kv", "put", "k", "v", "--db", other, "--json");
        Assert.Equal(6, refused.Exit);
        Assert.Equal("NotADatabase", refused.ErrorJson["code"].AsString());
        Assert.Equal(6, CliBed.RunBare("", "kv", "put", "k", "v", "--db", System.IO.Path.Combine(other, "letter.txt")).Exit);
    }

    [Fact]
    public void A_newer_format_is_refused_by_name()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        Damage.MakeNewer(bed.Path);
        var result = bed.Run("kv", "get", "k", "--json");
        Assert.Equal(6, result.Exit);
        Assert.Equal("FormatVersion", result.ErrorJson["code"].AsString());
        Assert.Contains("2.0", result.ErrorJson["details"]["found"].AsString(), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("doctor").Exit);
    }

    [Fact]
    [Trait("Promise", "G9")]
    public void A_second_opener_is_told_who_has_it()
    {
        using var bed = new CliBed();
        using (CairnDatabase.Open(bed.Path))
        {
            var result = bed.Run("kv", "get", "k", "--json");
            Assert.Equal(5, result.Exit);
            Assert.Equal("Locked", result.ErrorJson["code"].AsString());
            Assert.Contains(Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture),
                result.ErrorJson["message"].AsString(), StringComparison.Ordinal);
            Assert.Equal(5, bed.Run("kv", "put", "k", "v").Exit);
            Assert.Contains("owner", bed.Good("doctor"), StringComparison.Ordinal);
        }

        Assert.Equal(0, bed.Run("kv", "put", "k", "v").Exit);
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_an_io_error()
    {
        // Root may write everywhere but into the kernel's own tree.
        var result = CliBed.RunBare("", "kv", "put", "k", "v", "--db", "/sys/cairn-test");
        Assert.Equal(7, result.Exit);
        Assert.StartsWith("cairn: ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_database_that_was_closed_cleanly_is_read_without_writing()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "v");
        var before = Directory.GetFiles(bed.Path, "*", SearchOption.AllDirectories).ToDictionary(file => file, File.GetLastWriteTimeUtc);
        bed.Good("kv", "get", "k");
        Assert.True(bed.Json("stat")[0]["read_only"].AsBool());
        Assert.Equal(before, Directory.GetFiles(bed.Path, "*", SearchOption.AllDirectories).ToDictionary(file => file,
            File.GetLastWriteTimeUtc));
    }

    [Fact]
    public void Arguments_are_taken_as_they_are()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "@not-a-file", "@neither");
        Assert.Equal("@neither", bed.Good("kv", "get", "@not-a-file"));
        bed.Good("kv", "put", "--", "--key", "--json");
        Assert.Equal("--json", bed.Good("kv", "get", "--", "--key"));
        Assert.Equal("a\\tb\t@3\tx\\ny\\\\", LastLine(bed, "a\tb", "x\ny\\"));
    }

    private static string LastLine(CliBed bed, string key, string value)
    {
        bed.Good("kv", "put", key, value);
        return bed.Good("kv", "scan", "--prefix", key);
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void Completion_scripts_ask_the_tool(string shell)
    {
        var result = CliBed.RunBare("", "completion", shell);
        Assert.Equal(0, result.Exit);
        Assert.Contains("[suggest:", result.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Suggestions_complete_verbs()
    {
        var result = CliBed.RunBare("", "[suggest:5]", "kv pu");
        Assert.Contains("put-many", result.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("get-many", result.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void The_bash_script_completes_in_a_real_shell()
    {
        var script = CliBed.RunBare("", "completion", "bash").Out;
        var dll = System.IO.Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll");
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"cairn() {{ dotnet '{dll}' \"$@\"; }}\n{script}\nCOMP_LINE='cairn kv pu'; COMP_POINT=11; "
            + "COMP_WORDS=(cairn kv pu); COMP_CWORD=2; _cairn; echo \"${COMPREPLY[@]}\"");
        using var bash = Process.Start(start)!;
        var output = bash.StandardOutput.ReadToEnd();
        bash.WaitForExit();
        Assert.Equal("put put-many", string.Join(' ', output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Order()));
    }

    internal static IEnumerable<Verb> Verbs(Command command) =>
        command.Subcommands.SelectMany(Verbs).Concat(command is Verb { Hidden: false } verb ? [verb] : []);
}
