using System.CommandLine;
using System.Globalization;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn trigger ...</c>: what a run does by itself when something is committed to it.</summary>
internal static class TriggerVerbs
{
    private static readonly (string Text, TriggerComparison Comparison)[] Comparisons =
    [
        (">=", TriggerComparison.AtLeast), (">", TriggerComparison.Above), ("<=", TriggerComparison.AtMost), ("<", TriggerComparison.Below),
    ];

    internal static Group Group() => new(
        "trigger", "What a run does by itself when something is committed to it; a process that has the database open does it.",
        Create(), List(), Change("suspend", "Stops a trigger.", (triggers, name) => triggers.Suspend(name)), Resume(), Delete());

    private static Verb Create()
    {
        var (name, run) = (Name(), Run());
        var when = new Option<string>("--when")
        {
            Description = "prefix kv|json|state TEXT; event TYPE; or threshold kv|state KEY >=|>|<=|< NUMBER [edge|level].",
            HelpName = "CONDITION",
            Required = true,
        };
        var act = new Option<string>("--do")
        {
            Description = "append TYPE [JSON]; put KEY JSON; cas KEY EXPECTED JSON, with - for absent; or increment KEY [N].",
            HelpName = "ACTION",
            Required = true,
        };
        var target = new Option<string?>("--target") { Description = "The run that is written to. Default: the same.", HelpName = "RUN" };
        var times = Parts.Number("--times", "How often it fires before it is completed. Default: without end.");
        return new Verb(
            "create", "Makes a trigger for what is committed from now on.",
            "cairn trigger create low --of refund-4711 --when 'threshold state budget < 10' --do 'append low'", Needs.WriteDatabase,
            call => call.Wrote(RunOf(call, run).Triggers.Create(call.Get(name), new TriggerDefinition
            {
                When = ReadCondition(call.Get(when)!),
                Do = ReadAction(call.Get(act)!),
                Target = call.Get(target) is { } other ? RunNames.Find(call.Database, other).Id : null,
                Times = call.Get(times),
            })),
            name, run, when, act, target, times);
    }

    private static Verb List()
    {
        var run = Run();
        return new Verb(
            "list", "Lists the triggers of a run: what each waits for, does, how often it has fired, and why it stands.",
            "cairn trigger list --of refund-4711", Needs.ReadDatabase,
            call => call.List(
                call.Pages(null, (limit, cursor) => RunOf(call, run).Triggers.List(new ScanOptions { Limit = limit, Cursor = cursor })),
                found =>
                [
                    ("name", found.Name), ("state", found.State.ToString()), ("fired", found.Fired),
                    ("when", Text(found.Definition.When)), ("do", Text(found.Definition.Do)),
                    ("target", found.Definition.Target?.ToString()), ("times", found.Definition.Times is { } times ? times : Value.Null),
                    ("behind", Failures.Number(found.Behind)), ("error", found.Error), ("moved_us", Show.Microseconds(found.Moved)),
                ],
                new Column<TriggerInfo>("trigger", found => found.Name),
                new Column<TriggerInfo>("state", found => found.State.ToString()),
                new Column<TriggerInfo>("fired", found => Show.Plain(found.Fired), Spectre.Console.Justify.Right),
                new Column<TriggerInfo>("when", found => Text(found.Definition.When)),
                new Column<TriggerInfo>("do", found => Text(found.Definition.Do)),
                new Column<TriggerInfo>("error", found => found.Error)),
            run);
    }

    private static Verb Resume()
    {
        var (name, run) = (Name(), Run());
        var fromNow = new Option<bool>("--from-now") { Description = "Without what was committed meanwhile." };
        return new Verb(
            "resume", "Goes on with a trigger at the commit where it was stopped.", "cairn trigger resume low --of refund-4711",
            Needs.WriteDatabase,
            call =>
            {
                var triggers = RunOf(call, run).Triggers;
                return call.Wrote(call.Get(fromNow) ? triggers.ResumeFromNow(call.Get(name)) : triggers.Resume(call.Get(name)));
            },
            name, run, fromNow);
    }

    private static Verb Change(string verb, string what, Func<Triggers, string, Sequence> change)
    {
        var (name, run) = (Name(), Run());
        return new Verb(
            verb, what, $"cairn trigger {verb} low --of refund-4711", Needs.WriteDatabase,
            call => call.Wrote(change(RunOf(call, run).Triggers, call.Get(name))), name, run);
    }

    private static Verb Delete()
    {
        var (name, run) = (Name(), Run());
        return new Verb(
            "delete", "Ends a trigger; exit code 1 when there is none.", "cairn trigger delete low --of refund-4711", Needs.WriteDatabase,
            call => RunOf(call, run).Triggers.Delete(call.Get(name))
                ? call.Answer("deleted", ("name", call.Get(name)), ("deleted", true))
                : call.Answer(false, "not there", ("name", call.Get(name)), ("deleted", false)),
            name, run);
    }

    private static Argument<string> Name() => new("name") { Description = "The trigger." };

    private static Option<string> Run() => new("--of")
    {
        Description = "The run that has it, by name or id.",
        HelpName = "RUN",
        DefaultValueFactory = _ => "default",
    };

    private static Run RunOf(Call call, Option<string> run) => RunNames.Find(call.Database, call.Get(run)!);

    // ---- as text --------------------------------------------------------------------------------------------------------------

    private static TriggerCondition ReadCondition(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        switch (words)
        {
            case ["filter" or "search", ..]:
                throw new RefusedException(
                    ErrorCode.InvalidArgument, $"A {words[0]} cannot be a condition yet. Use prefix, event or threshold.");
            case ["prefix", var primitive, var prefix]:
                return TriggerCondition.Prefix(primitive, prefix);
            case ["event", var type]:
                return TriggerCondition.Event(type);
            case ["threshold", var primitive, var key, var compared, var number, .. var rest]
                when Comparisons.FirstOrDefault(known => known.Text == compared) is { Text: not null } comparison
                    && double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var bound)
                    && rest is [] or ["edge" or "level"]:
                return TriggerCondition.Threshold(
                    primitive, key, comparison.Comparison, bound, rest is ["level"] ? TriggerMode.Level : TriggerMode.Edge);
            default:
                throw new UsageException(
                    $"'{text}' is no condition. Write: prefix kv|json|state TEXT; event TYPE; or threshold kv|state KEY >=|>|<=|< "
                    + "NUMBER [edge|level].");
        }
    }

    private static TriggerAction ReadAction(string text)
    {
        var words = text.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries);
        switch (words)
        {
            case ["webhook", ..]:
                throw new RefusedException(
                    ErrorCode.InvalidArgument, "A webhook cannot be an action: nothing is called from here. Append an event and watch it.");
            case ["append", var type]:
                return TriggerAction.AppendEvent(type);
            case ["append", var type, var payload]:
                return TriggerAction.AppendEvent(type, Value.FromJson(payload));
            case ["put", var key, var value]:
                return TriggerAction.Put(key, Value.FromJson(value));
            case ["cas", var key, var both] when both.Split(' ', 2) is [var expected, var value]:
                return TriggerAction.CompareAndSet(
                    key, expected == "-" ? default(Value?) : Value.FromJson(expected), Value.FromJson(value));
            case ["increment", var key]:
                return TriggerAction.Increment(key);
            case ["increment", var key, var delta] when long.TryParse(delta, CultureInfo.InvariantCulture, out var number):
                return TriggerAction.Increment(key, number);
            default:
                throw new UsageException(
                    $"'{text}' is no action. Write: append TYPE [JSON]; put KEY JSON; cas KEY EXPECTED JSON; or increment KEY [N].");
        }
    }

    private static string Text(TriggerCondition when) => when.ToString();

    private static string Text(TriggerAction act) => act.ToString();
}
