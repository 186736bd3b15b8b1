using System.CommandLine;

namespace Cairn.Cli;

/// <summary>Options that stand before or behind any verb.</summary>
internal static class GlobalOptions
{
    internal const string JsonName = "--json";
    internal const string DirectoryVariable = "CAIRN_DB";
    internal const string DirectoryDefault = "./cairn-data";

    internal static readonly Option<string> Db = new("--db")
    {
        Description = $"The database's directory. Default: ${DirectoryVariable}, else {DirectoryDefault}.",
        HelpName = "DIR",
        Recursive = true,
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable(DirectoryVariable) is { Length: > 0 } set ? set : DirectoryDefault,
    };

    internal static readonly Option<string> Run = new("--run")
    {
        Description = "The run, by name or id. A writing verb begins a named run that is missing. Default: default.",
        HelpName = "NAME|ID",
        Recursive = true,
        DefaultValueFactory = _ => "default",
    };

    internal static readonly Option<Durability> Durability = new("--durability")
    {
        Description = "buffered or strict: when a writing verb counts as done. Default: strict.",
        HelpName = "MODE",
        Recursive = true,
        DefaultValueFactory = _ => Cairn.Durability.Strict,
        CustomParser = result =>
        {
            if (Enum.TryParse<Durability>(result.Tokens[^1].Value, ignoreCase: true, out var mode) && Enum.IsDefined(mode)
                && !char.IsAsciiDigit(result.Tokens[^1].Value[0]))
                return mode;
            result.AddError($"'{result.Tokens[^1].Value}' is no durability: give buffered or strict.");
            return default;
        },
    };

    internal static readonly Option<string?> Once = new("--once")
    {
        Description = "Idempotency key of a write into a run: done once; a repeat writes nothing and prints the first answer.",
        HelpName = "KEY",
        Recursive = true,
    };

    internal static readonly Option<string[]> Require = new("--require")
    {
        Description = "Guard of a write into a run: only if this state cell has this counter (or lease token); otherwise exit code 4. "
            + "May be given often.",
        HelpName = "CELL=COUNTER",
        Recursive = true,
    };

    internal static readonly Option<string?> Actor = new("--actor")
    {
        Description = "Who writes into a run: kept with the commit, shown by 'log' and 'blame'.",
        HelpName = "NAME",
        Recursive = true,
    };

    internal static readonly Option<string?> Tool = new("--tool")
    {
        Description = "The tool for which something is written into a run: as --actor.",
        HelpName = "NAME",
        Recursive = true,
    };

    internal static readonly Option<bool> Json = new(JsonName)
    {
        Description = "Machine output: one JSON document per answer, one per line in a list; failures too.",
        Recursive = true,
    };

    internal static IReadOnlyList<Option> All => [Db, Run, Durability, Once, Require, Actor, Tool, Json];

    static GlobalOptions() => Durability.CompletionSources.Add("buffered", "strict");
}
