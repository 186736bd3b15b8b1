using Cairn.Cli;
using Cairn.Tests.Storage;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>The shell tool in this process, over a directory of its own.</summary>
internal sealed class CliBed : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    internal string Path => _directory["db"];

    internal string this[string name] => _directory[name];

    /// <summary>Runs the tool on the bed's database.</summary>
    internal CliResult Run(params string[] args) => RunWith("", args);

    /// <summary>The same with a standard input.</summary>
    internal CliResult RunWith(string input, params string[] args) => RunBare(input, ["--db", Path, .. args]);

    /// <summary>Runs the tool with these arguments alone.</summary>
    internal static CliResult RunBare(string input, params string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        using var reader = new StringReader(input);
        var exit = CairnCli.Run(args, output, error, reader);
        return new CliResult(exit, output.ToString(), error.ToString());
    }

    /// <summary>Runs it and takes exit code 0 for granted.</summary>
    internal string Good(params string[] args)
    {
        var result = Run(args);
        Assert.True(result.Exit == 0, $"{string.Join(' ', args)} gave {result.Exit}: {result.Error}");
        return result.Out.TrimEnd('\n');
    }

    /// <summary>One JSON document per line.</summary>
    internal List<Value> Json(params string[] args) => Good([.. args, "--json"]).Split('\n',
        StringSplitOptions.RemoveEmptyEntries).Select(Value.FromJson).ToList();

    public void Dispose() => _directory.Dispose();
}

internal sealed record CliResult(int Exit, string Out, string Error)
{
    internal Value ErrorJson => Value.FromJson(Error.TrimEnd('\n'));
}
