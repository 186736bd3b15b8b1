using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run timeline|at|replay</c>: the past of runs.</summary>
internal static class ReplayVerbs
{
    internal static Verb Timeline()
    {
        var run = RunVerbs.RunArgument();
        var limit = Parts.Limit("commits");
        var from = new Option<int?>("--from")
        {
            Description = "The first step to show, counted from 1.", HelpName = "STEP", CustomParser = Parts.ParseCount,
        };
        var reverse = new Option<bool>("--reverse") { Description = "From the newest commit back." };
        return new Verb(
            "timeline", "Lists the commits of a run one by one, each with what it changed; with --json the values before and after too.",
            "cairn run timeline refund-4711\ncairn run timeline refund-4711 --from 10 --limit 5 --json", Needs.ReadDatabase,
            call => call.List(
                Steps(call, RunNames.Find(call.Database, call.Get(run)), call.Get(from), call.Get(limit), call.Get(reverse)),
                Json,
                new Column<RunStep>("step", step => Show.Plain(step.Number), Justify.Right),
                new Column<RunStep>("commit", step => step.Commit.Sequence.ToString(), Justify.Right),
                Column<RunStep>.OfTime("time", step => step.Commit.Time),
                new Column<RunStep>("actor", step => step.Commit.Attributes.Actor ?? "-"),
                new Column<RunStep>("tool", step => step.Commit.Attributes.Tool ?? "-"),
                new Column<RunStep>("changes", Told)),
            run, from, limit, reverse);
    }

    private static IEnumerable<RunStep> Steps(Call call, Run run, int? from, int? limit, bool isReverse)
    {
        var page = Math.Min(100, call.Database.Limits.PageSizeMax);
        using var view = call.Database.Replay(run.Id);
        var count = view.StepCount;
        if (from > count)
            throw new RefusedException(ErrorCode.InvalidArgument, $"Step {from} makes no sense: the run has the steps 1 to {count}.");
        var (next, left) = (from ?? (isReverse ? count : 1), limit ?? int.MaxValue);
        while (left > 0 && next >= 1 && next <= count)
        {
            var to = isReverse ? Math.Max(1, next - (Math.Min(left, page) - 1)) : Math.Min(count, next + (Math.Min(left, page) - 1));
            foreach (var step in view.Steps(next, to))
                yield return step;
            left -= Math.Abs(to - next) + 1;
            next = isReverse ? to - 1 : to + 1;
        }
    }

    private static string Told(RunStep step)
    {
        const int shown = 4;
        var first = step.Changes.Take(shown).Select(change =>
            $"{(change.Before is null ? '+' : change.After is null ? '-' : '~')}{change.Address}");
        return string.Join(' ', first) + (step.Changes.Count > shown ? $" and {Show.Plain(step.Changes.Count - shown)} more" : "");
    }

    private static (string Name, Value Value)[] Json(RunStep step) =>
    [
        ("step", step.Number),
        .. LogVerbs.Json(step.Commit),
        ("changes", Value.Array(step.Changes.Select(change => Value.Object(
            ("address", change.Address.ToString()),
            ("before", change.Before ?? Value.Null),
            ("after", change.After ?? Value.Null),
            ("was_there", change.Before is not null),
            ("is_there", change.After is not null))))),
    ];

    internal static Verb At()
    {
        var run = RunVerbs.RunArgument();
        var at = new Argument<PastTime?>("moment")
        {
            Description = "A sequence (12), or a time (2026-01-31T12:00:00Z; without a zone: UTC).", CustomParser = PastTime.Parse,
            Arity = ArgumentArity.ZeroOrOne,
        };
        var step = new Option<int?>("--step")
        {
            Description = "Instead of the moment: right after the run's n-th commit.", HelpName = "N", CustomParser = Parts.ParseCount,
        };
        var number = Parts.Number("--event", "Instead of the moment: right after the commit that appended this event.");
        var values = new Option<bool>("--values") { Description = "Prints the keys, documents and state cells with their values too." };
        return new Verb(
            "at", "Says what a run was at a moment of the past: its record, how much it held, its state hash.",
            "cairn run at refund-4711 12\ncairn run at refund-4711 2026-01-31T12:00:00Z --values", Needs.ReadDatabase,
            call =>
            {
                var given = (call.Get(at) is null ? 0 : 1) + (call.IsGiven(step) ? 1 : 0) + (call.IsGiven(number) ? 1 : 0);
                if (given != 1)
                    throw new UsageException("Give one of a moment, --step and --event.");
                if (call.Get(number) < 0)
                    throw new UsageException("Events are counted from 0.");
                var found = RunNames.Find(call.Database, call.Get(run));
                using var view = call.Get(at) is { } moment ? moment.Read(found.At, found.At)
                    : call.Get(step) is { } n ? found.AtStep(n)
                    : found.AtEvent(new EventNumber((ulong)call.Get(number)!.Value));
                return Tell(call, view, call.Get(values));
            },
            run, at, step, number, values);
    }

    private static int Tell(Call call, RunView view, bool withValues)
    {
        var info = view.Info;
        var (keys, documents, cells, hash) = (view.Kv.Count(), view.Json.Count(), view.State.Count(), view.StateHash());
        (string, Value)[] items = withValues ? [.. Items(call, view)] : [];
        List<(string, Value)> members =
        [
            ("sequence", Failures.Number(view.Sequence)),
            ("time_us", Show.Microseconds(view.Time)),
            ("state_hash", hash.ToString()),
            ("keys", keys),
            ("documents", documents),
            ("cells", cells),
            ("events", view.Events.Count()),
            ("run", Value.Object(RunVerbs.Json(info))),
        ];
        if (withValues)
            members.Add(("values", Value.Array(items.Select(item => Value.Object(("address", item.Item1), ("value", item.Item2))))));
        return call.Figures(
            Value.Object([.. members]),
            [
                ("run", RunNames.Show(info)),
                ("sequence", view.Sequence.ToString()),
                ("time", Show.Time(view.Time)),
                ("status", info.Status.ToString()),
                ("keys", Show.Number(keys)),
                ("documents", Show.Number(documents)),
                ("state cells", Show.Number(cells)),
                ("events", Show.Number(view.Events.Count())),
                ("state hash", hash.ToString()),
                .. items.Select(item => (item.Item1, Show.Text(item.Item2))),
            ]);
    }

    private static IEnumerable<(string, Value)> Items(Call call, RunView view)
    {
        foreach (var key in call.Pages(null, (limit, cursor) => view.Kv.List(new ScanOptions { Limit = limit, Cursor = cursor })))
            yield return (ItemAddress.OfKey(key).ToString(), view.Kv.Get(key) ?? Value.Null);
        foreach (var id in call.Pages(null, (limit, cursor) => view.Json.List(new ScanOptions { Limit = limit, Cursor = cursor })))
            yield return (ItemAddress.OfDocument(id).ToString(), view.Json.Get(id) ?? Value.Null);
        foreach (var name in call.Pages(null, (limit, cursor) => view.State.List(new ScanOptions { Limit = limit, Cursor = cursor })))
            yield return (ItemAddress.OfCell(name).ToString(), view.State.Get(name)?.Value ?? Value.Null);
    }

    internal static Verb Replay()
    {
        var runs = new Argument<string[]>("run") { Description = "Names or ids.", Arity = ArgumentArity.ZeroOrMore };
        var all = new Option<bool>("--all") { Description = "Every run of the database, and 'default'." };
        var until = new Option<PastTime?>("--until")
        {
            Description = "Only up to this commit.", HelpName = "SEQUENCE", CustomParser = PastTime.ParseSequence,
        };
        return new Verb(
            "replay", "Makes runs anew from their records and proves that they are what they were: state hash against state hash. A "
                + "difference: exit code 6.",
            "cairn run replay refund-4711\ncairn run replay --all --json", Needs.ReadDatabase,
            call =>
            {
                var names = call.Get(runs) ?? [];
                if (call.Get(all) ? names.Length > 0 : names.Length == 0)
                    throw new UsageException("Name runs, or give --all.");
                var ids = call.Get(all) ? AllRuns(call) : names.Select(name => RunNames.Find(call.Database, name).Id);
                var isRight = true;
                var exit = call.List(
                    ids.Select(id => Prove(call, id, call.Get(until)?.Sequence)).Select(proof =>
                    {
                        isRight &= proof.Proof.IsEqual;
                        return proof;
                    }),
                    proof =>
                    [
                        ("run", proof.Run), ("sequence", Failures.Number(proof.Sequence)), ("time_us", Show.Microseconds(proof.Time)),
                        ("state_hash", proof.Proof.StateHash.ToString()), ("expected", proof.Proof.Expected.ToString()),
                        ("against", proof.Proof.Against == ReplayProofSource.Run ? "run" : "log"), ("equal", proof.Proof.IsEqual),
                    ],
                    new Column<Proven>("run", proof => proof.Name),
                    new Column<Proven>("at", proof => proof.Sequence.ToString(), Justify.Right),
                    new Column<Proven>(
                        "state hash", proof => proof.Proof.StateHash.ToString(), Short: proof => proof.Proof.StateHash.ToString()[..16]),
                    new Column<Proven>("proof", proof => !proof.Proof.IsEqual ? $"DIFFERS: {proof.Proof.Expected}"
                        : proof.Proof.Against == ReplayProofSource.Run ? "is the run" : "is what a second replay gives"));
                return isRight ? exit : ExitCodes.Damaged;
            },
            runs, all, until);
    }

    internal static IEnumerable<RunId> AllRuns(Call call) => call
        .Pages(null, (limit, cursor) => call.Database.Runs.List(new RunFilter { Limit = limit, Cursor = cursor }))
        .Select(info => info.Id).Prepend(RunId.Default);

    private static Proven Prove(Call call, RunId id, Sequence? until)
    {
        using var view = until is { } sequence ? call.Database.Replay(id, sequence) : call.Database.Replay(id);
        return new Proven(id.ToString(), RunNames.Show(view.Info), view.Sequence, view.Time, view.Verify());
    }

    private sealed record Proven(string Run, string Name, Sequence Sequence, DateTimeOffset Time, ReplayProof Proof);
}
