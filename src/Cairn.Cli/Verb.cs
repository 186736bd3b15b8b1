using System.CommandLine;

namespace Cairn.Cli;

/// <summary>What a verb needs opened.</summary>
internal enum Needs
{
    /// <summary>Nothing.</summary>
    Nothing,

    /// <summary>The directory's name only.</summary>
    Directory,

    /// <summary>The database, for reading.</summary>
    ReadDatabase,

    /// <summary>The database, for writing.</summary>
    WriteDatabase,

    /// <summary>A run, for reading.</summary>
    ReadRun,

    /// <summary>A run, for writing; a named one that is missing is begun.</summary>
    WriteRun,
}

/// <summary>A group of verbs, such as <c>kv</c>.</summary>
internal sealed class Group : Command
{
    internal Group(string name, string what, params ReadOnlySpan<Command> verbs)
        : base(name, what)
    {
        foreach (var verb in verbs)
            Add(verb);
    }
}

/// <summary>One verb: its name, one sentence of help, an example, what it needs, and what it does.</summary>
internal sealed class Verb : Command
{
    private readonly Func<Call, int> _run;

    internal Verb(string name, string what, string example, Needs needs, Func<Call, int> run, params ReadOnlySpan<Symbol> parts)
        : base(name, what)
    {
        Example = example;
        Needs = needs;
        _run = run;
        foreach (var part in parts)
        {
            if (part is Argument argument)
                Add(argument);
            else
                Add((Option)part);
        }
    }

    internal string Example { get; }

    internal Needs Needs { get; }

    /// <summary>What it does behind its answer and its commit, with the database still open; of a repeat under <c>--once</c>
    /// too.</summary>
    internal Action<Call>? Afterwards { get; init; }

    internal bool Writes => Needs is Needs.WriteDatabase or Needs.WriteRun;

    internal bool UsesRun => Needs is Needs.ReadRun or Needs.WriteRun;

    /// <summary>Gives every verb below a command its action.</summary>
    internal static void Bind(Command command, Streams streams)
    {
        if (command is Verb verb)
            verb.SetAction(parsed => verb.Run(parsed, streams));
        else if (command is Group)
            command.SetAction(parsed => new Help(streams).Invoke(parsed));
        foreach (var child in command.Subcommands)
            Bind(child, streams);
    }

    private int Run(ParseResult parsed, Streams streams)
    {
        RefuseMeaningless(parsed, GlobalOptions.Run, UsesRun, "it does not work on one run");
        RefuseMeaningless(parsed, GlobalOptions.Durability, Writes, "it does not write");
        RefuseMeaningless(parsed, GlobalOptions.Require, Needs == Needs.WriteRun, "it does not write into a run");
        RefuseMeaningless(parsed, GlobalOptions.Once, Needs == Needs.WriteRun, "it does not write into a run");
        RefuseMeaningless(parsed, GlobalOptions.Actor, Needs == Needs.WriteRun, "it does not write into a run");
        RefuseMeaningless(parsed, GlobalOptions.Tool, Needs == Needs.WriteRun, "it does not write into a run");
        RefuseMeaningless(parsed, GlobalOptions.Db, Needs != Needs.Nothing, "it opens no database");
        using var call = new Call(this, parsed, streams);
        var (key, guards) = (parsed.GetValue(GlobalOptions.Once), parsed.GetValue(GlobalOptions.Require) ?? []);
        var exit = key is null && guards.Length == 0 ? _run(call) : OnceAnswer.Run(call, key, guards, _run);
        Afterwards?.Invoke(call);
        return exit;
    }

    // An option that would have no effect is refused, not ignored.
    private void RefuseMeaningless(ParseResult parsed, Option option, bool hasMeaning, string reason)
    {
        if (!hasMeaning && parsed.GetResult(option) is { Implicit: false })
            throw new UsageException($"{option.Name} has no meaning for '{Help.PathOf(this)}': {reason}.");
    }
}
