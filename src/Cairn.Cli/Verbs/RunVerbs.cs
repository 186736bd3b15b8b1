using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run ...</c>: the runs of the database and their lives.</summary>
internal static class RunVerbs
{
    internal static Group Group() => new(
        "run",
        "Runs: begin, fork, merge, find, end, pause, adopt after a crash, look at their past, delete.",
        Begin(), Fork(), List(), Show(), Exists(), Count(), Children(), Ancestors(), CommonAncestor(), Complete(), Fail(), Pause(),
        Resume(), Cancel(), Archive(), Abort(), Adopt(), Orphaned(),
        Tag(), Untag(), Meta(), Retain(), ReplayVerbs.Timeline(), ReplayVerbs.At(), ReplayVerbs.Replay(), RunDiffVerb.Diff(),
        RunMergeVerb.Merge(), RunInputVerbs.Inputs(), RunInputVerbs.Substitute(), RunFileVerbs.Export(), RunFileVerbs.Import(), Delete());

    private static Verb Begin()
    {
        var name = new Argument<string?>("name") { Description = "Unique; no '/', not beginning with $. Default: none.",
            Arity = ArgumentArity.ZeroOrOne };
        var parent = new Option<string?>("--parent") { Description = "The run that this one belongs to.", HelpName = "RUN" };
        var tags = new Option<string[]>("--tag") { Description = "A tag; may be given often.", HelpName = "TAG" };
        var meta = new Option<string?>("--meta") { Description = "Metadata: a JSON object.", HelpName = "JSON" };
        var id = new Option<string?>("--id") { Description = "The run's id, a UUID. Default: a new one.", HelpName = "ID" };
        return new Verb(
            "begin", "Begins a run and prints its id.", "cairn run begin refund-4711 --tag refund --meta '{\"customer\":\"Ada\"}'",
                Needs.WriteDatabase,
            call =>
            {
                RunId? above = call.Get(parent) is { } text ? RunNames.Find(call.Database, text).Id : null;
                var metadata = call.Get(meta) is { } json ? Value.FromJson(json) : default(Value?);
                RunId? chosen = call.Get(id) is not { } given ? null : RunId.TryParse(given, out var parsed) ? parsed
                    : throw new UsageException($"'{given}' is no id of a run. Write a UUID.");
                var run = call.Database.Runs.Begin(call.Get(name), above, call.Get(tags) ?? [], metadata, chosen);
                return call.Answer(run.Id.ToString(), ("id", run.Id.ToString()), ("name", (Value)run.Name),
                    ("sequence", Failures.Number(run.Info.FirstSequence)));
            },
            name, parent, tags, meta, id);
    }

    private static Verb Fork()
    {
        var run = RunArgument();
        var at = new Option<PastTime?>("--at")
        {
            Description = "At which sequence (12) or time (2026-01-31T12:00:00Z; without a zone: UTC). Default: its last sequence.",
            HelpName = "MOMENT", CustomParser = PastTime.Parse,
        };
        var step = new Option<int?>("--step")
        {
            Description = "Instead of --at: right after the run's n-th commit.", HelpName = "N", CustomParser = Parts.ParseCount,
        };
        var number = Parts.Number("--event", "Instead of --at: right after the commit that appended this event.");
        var name = new Option<string?>("--name") { Description = "As of begin. Default: none.", HelpName = "NAME" };
        var tags = new Option<string[]>("--tag") { Description = "A tag; may be given often.", HelpName = "TAG" };
        var meta = new Option<string?>("--meta") { Description = "Metadata: a JSON object.", HelpName = "JSON" };
        return new Verb(
            "fork", "Begins a run that has what another one has, and prints its id.", "cairn run fork refund-4711 --name refund-4711-retry",
                Needs.WriteDatabase,
            call =>
            {
                var metadata = call.Get(meta) is { } json ? Value.FromJson(json) : default(Value?);
                if ((call.IsGiven(at) ? 1 : 0) + (call.IsGiven(step) ? 1 : 0) + (call.IsGiven(number) ? 1 : 0) > 1)
                    throw new UsageException("Give one of --at, --step and --event.");
                if (call.Get(number) < 0)
                    throw new UsageException("Events are counted from 0.");
                var parent = RunNames.Find(call.Database, call.Get(run)).Id;
                var (runs, called, tagged) = (call.Database.Runs, call.Get(name), call.Get(tags) ?? []);
                var fork = call.Get(at) is { } moment
                    ? moment.Read(
                        sequence => runs.Fork(parent, sequence, called, tagged, metadata),
                        time => runs.Fork(parent, time, called, tagged, metadata))
                    : call.Get(step) is { } n ? runs.ForkAtStep(parent, n, called, tagged, metadata)
                    : call.Get(number) is { } appended
                        ? runs.ForkAtEvent(parent, new EventNumber((ulong)appended), called, tagged, metadata)
                        : runs.Fork(parent, name: called, tags: tagged, metadata: metadata);
                var info = fork.Info;
                return call.Answer(fork.Id.ToString(), ("id", fork.Id.ToString()), ("name", (Value)info.Name),
                    ("parent", parent.ToString()), ("fork_sequence", Failures.Number(info.ForkSequence!.Value)),
                    ("sequence", Failures.Number(info.FirstSequence)));
            },
            run, at, step, number, name, tags, meta);
    }

    private static Verb CommonAncestor()
    {
        var (one, other) = (RunArgument(), new Argument<string>("other") { Description = "Name or id of another run." });
        return new Verb(
            "common-ancestor", "Says which run two forks come from, and until when they were one: exit code 1 when there is none.",
                "cairn run common-ancestor refund-4711 refund-4711-retry", Needs.ReadDatabase,
            call =>
            {
                var (first, second) = (RunNames.Find(call.Database, call.Get(one)).Id, RunNames.Find(call.Database, call.Get(other)).Id);
                var point = call.Database.Runs.CommonAncestor(first, second);
                return call.Answer(
                    point is not null, point is { } met ? $"{met.Run} at {met.Sequence}" : "none", ("run", point?.Run.ToString()),
                    ("sequence", point is { } at ? Failures.Number(at.Sequence) : Value.Null));
            },
            one, other);
    }

    private static Verb List()
    {
        var filter = new Filter();
        var limit = Parts.Limit("runs");
        return new Verb(
            "list", "Lists runs in the order in which they were begun.", "cairn run list --status active --tag refund", Needs.ReadDatabase,
            call => Table(call, call.Pages(call.Get(limit),
                (count, cursor) => call.Database.Runs.List(filter.Read(call) with { Limit = count, Cursor = cursor }))),
            [.. filter.All, limit]);
    }

    private static Verb Count()
    {
        var filter = new Filter();
        return new Verb(
            "count", "Prints the number of runs.", "cairn run count --status failed", Needs.ReadDatabase,
            call =>
            {
                var count = call.Database.Runs.Count(filter.Read(call));
                return call.Answer(Cli.Show.Plain(count), ("count", count));
            },
            filter.All);
    }

    private static Verb Show()
    {
        var run = RunArgument();
        return new Verb(
            "show", "Says everything about a run.", "cairn run show refund-4711", Needs.ReadDatabase,
            call =>
            {
                var info = RunNames.Find(call.Database, call.Get(run)).Info;
                return call.Figures(Value.Object(Json(info)), Lines(info));
            },
            run);
    }

    private static Verb Exists()
    {
        var run = RunArgument();
        return new Verb(
            "exists", "Says whether there is such a run: exit code 0 or 1.", "cairn run exists refund-4711", Needs.ReadDatabase,
            call =>
            {
                var exists = call.Database.Runs.Exists(call.Get(run));
                return call.Answer(exists, exists ? "true" : "false", ("run", call.Get(run)), ("found", exists));
            },
            run);
    }

    private static Verb Children()
    {
        var run = RunArgument();
        return new Verb(
            "children", "Lists the runs that were begun under a run.", "cairn run children refund-4711", Needs.ReadDatabase,
            call =>
            {
                var id = RunNames.Find(call.Database, call.Get(run)).Id;
                return Table(call, call.Pages(null, (limit, cursor) => call.Database.Runs.Children(id, limit, cursor)));
            },
            run);
    }

    private static Verb Ancestors()
    {
        var run = RunArgument();
        return new Verb(
            "ancestors", "Lists a run's parent, its parent, and so on.", "cairn run ancestors refund-4711-retry", Needs.ReadDatabase,
            call => Table(call, call.Database.Runs.Ancestors(RunNames.Find(call.Database, call.Get(run)).Id)),
            run);
    }

    private static Verb Complete()
    {
        var run = RunArgument();
        var result = new Option<string?>("--result") { Description = "What it came to; a String unless --type says otherwise.",
            HelpName = "VALUE" };
        var type = ValueText.TypeOption();
        return new Verb(
            "complete", "Ends a run well. It takes no more writes.",
                "cairn run complete refund-4711 --result '{\"refunded\":42}' --type json", Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run))
                .Complete(call.Get(result) is { } text ? ValueText.Read(call, text, call.Get(type)!) : default(Value?))),
            run, result, type);
    }

    private static Verb Fail()
    {
        var (run, error) = (RunArgument(), new Argument<string>("error") { Description = "What went wrong." });
        return new Verb(
            "fail", "Ends a run with an error.", "cairn run fail refund-4711 'no such order'", Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run)).Fail(call.Get(error))),
            run, error);
    }

    private static Verb Cancel()
    {
        var run = RunArgument();
        var reason = new Argument<string?>("reason") { Description = "Why.", Arity = ArgumentArity.ZeroOrOne };
        return new Verb(
            "cancel", "Gives a run up.", "cairn run cancel refund-4711 'customer withdrew'", Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run)).Cancel(call.Get(reason))),
            run, reason);
    }

    private static Verb Pause() => Change("pause", "Stops a run for now; it takes no writes until it is resumed.", run => run.Pause());

    private static Verb Resume() => Change("resume", "Goes on with a run that is paused, or was orphaned by a crash.", run => run.Resume());

    private static Verb Archive() => Change("archive", "Puts a run away for good.", run => run.Archive());

    private static Verb Adopt() => Change(
        "adopt", "Takes over a run that a crash left active.",
        run => run.Info.IsOrphaned
            ? run.Resume()
            : throw new RefusedException(ErrorCode.InvalidTransition,
                $"Run {run.Id} is not orphaned: it is {run.Status}. 'cairn run orphaned' lists those that are."));

    private static Verb Abort()
    {
        var (run, reason) = (RunArgument(), new Argument<string>("reason") { Description = "Why." });
        return new Verb(
            "abort", "Ends a run that somebody else gave up, such as an orphaned one, as failed.",
                "cairn run abort refund-4711 'worker died'", Needs.WriteDatabase,
            call => call.Wrote(call.Database.Runs.Abort(RunNames.Find(call.Database, call.Get(run)).Id, call.Get(reason))),
            run, reason);
    }

    private static Verb Orphaned() => new(
        "orphaned", "Lists runs that a crash left active and nobody adopted since.", "cairn run orphaned", Needs.ReadDatabase,
        call => Table(call, call.Database.Runs.Orphaned()));

    private static Verb Tag()
    {
        var (run, tags) = (RunArgument(), Tags());
        return new Verb(
            "tag", "Adds tags to a run.", "cairn run tag refund-4711 urgent vip", Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run)).AddTags(call.Get(tags))),
            run, tags);
    }

    private static Verb Untag()
    {
        var (run, tags) = (RunArgument(), Tags());
        return new Verb(
            "untag", "Removes tags from a run.", "cairn run untag refund-4711 urgent", Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run)).RemoveTags(call.Get(tags))),
            run, tags);
    }

    private static Verb Meta()
    {
        var (run, patch) = (RunArgument(),
            new Argument<string>("patch") { Description = "A JSON object: members replace, null removes (RFC 7396); - reads standard "
                + "input." });
        return new Verb(
            "meta", "Changes the metadata of a run by a merge patch.", "cairn run meta refund-4711 '{\"tier\":\"gold\",\"draft\":null}'",
                Needs.WriteDatabase,
            call => call.Wrote(RunNames.Find(call.Database, call.Get(run)).UpdateMetadata(ValueText.Read(call, call.Get(patch), "json"))),
            run, patch);
    }

    private static Verb Retain()
    {
        var run = RunArgument();
        var policy = new Argument<string[]>("policy")
        {
            Description = "all; for TIME (36h, 30d); last N; events N; several joined by 'or'; or default, the database's. Left out: shows "
                + "it.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var preview = new Option<bool>("--preview") { Description = "Says what the policy would let go of, and changes nothing." };
        return new Verb(
            "retention", "Shows or sets what of a run's past is kept.", "cairn run retention refund-4711 for 30d --preview",
            Needs.WriteDatabase,
            call =>
            {
                var found = RunNames.Find(call.Database, call.Get(run)).Retention;
                var text = string.Join(' ', call.Get(policy) ?? []);
                var asked = text is "" or "default" ? null : Retention.TryParse(text, out var parsed) ? parsed
                    : throw new UsageException(
                        $"'{text}' is no policy. Write: all, for 30d, last 3, events 1000, or several joined by 'or'.");
                if (call.Get(preview))
                    return Preview(call, found.Preview(asked ?? found.Policy));
                if (text.Length > 0)
                {
                    var receipt = found.Apply(asked);
                    return call.Answer(
                        $"{receipt.Policy} {receipt.Sequence}", ("policy", receipt.Policy.ToString()),
                        ("before", receipt.Before.ToString()), ("sequence", Failures.Number(receipt.Sequence)));
                }

                return call.Answer(
                    found.Own is null ? $"{found.Policy}, the database's" : found.Policy.ToString(),
                    ("policy", found.Policy.ToString()), ("own", found.Own is not null));
            },
            run, policy, preview);
    }

    private static int Preview(Call call, RetentionPreview preview) => call.Figures(
        Value.Object(
            ("policy", preview.Policy.ToString()),
            ("versions", preview.Versions),
            ("events", preview.Events),
            ("first_event", (long)preview.FirstEvent.Value),
            ("bytes", preview.Bytes),
            ("versions_now", preview.VersionsNow),
            ("earliest_kept", Failures.Number(preview.EarliestKept))),
        [
            ("policy", preview.Policy.ToString()),
            ("versions", $"{Cli.Show.Number(preview.Versions)} of {Cli.Show.Number(preview.VersionsNow)} would go"),
            ("events", $"{Cli.Show.Number(preview.Events)} would go; the first kept is {preview.FirstEvent}"),
            ("log bytes", Cli.Show.Bytes(preview.Bytes)),
            ("earliest kept", preview.EarliestKept.ToString()),
        ]);

    private static Verb Delete()
    {
        var run = RunArgument();
        return new Verb(
            "delete", "Deletes a run with everything in it. What it wrote stays in the log until compaction.",
                "cairn run delete refund-4711", Needs.WriteDatabase,
            call =>
            {
                var receipt = call.Database.Runs.Delete(RunNames.Find(call.Database, call.Get(run)).Id);
                var counts = string.Join(", ", receipt.Counts.Select(count => $"{Cli.Show.Number(count.Value)} {count.Key}"));
                return call.Answer(
                    $"deleted {receipt.Name ?? receipt.Id.ToString()} {receipt.Sequence}: {counts}",
                    ("id", receipt.Id.ToString()),
                    ("name", receipt.Name),
                    ("sequence", Failures.Number(receipt.Sequence)),
                    ("counts", Value.Object(receipt.Counts.Select(count => KeyValuePair.Create(count.Key, (Value)count.Value)))));
            },
            run);
    }

    private static Verb Change(string name, string what, Func<Run, Sequence> change)
    {
        var run = RunArgument();
        return new Verb(
            name, what, $"cairn run {name} refund-4711", Needs.WriteDatabase,
            call => call.Wrote(change(RunNames.Find(call.Database, call.Get(run)))),
            run);
    }

    internal static Argument<string> RunArgument() => new("run") { Description = "Its name or id." };

    private static Argument<string[]> Tags() => new("tag") { Description = "One or more tags.", Arity = ArgumentArity.OneOrMore };

    private static int Table(Call call, IEnumerable<RunInfo> runs) => call.List(runs, Json, Columns);

    internal static Column<RunInfo>[] Columns =>
    [
        new("run", RunNames.Show),
        new("status", info => info.IsOrphaned ? "Orphaned" : info.Status.ToString()),
        Column<RunInfo>.OfTime("begun", info => info.Created),
        new("events", info => Cli.Show.Plain(info.EventCount), Justify.Right),
        new("last", info => info.LastSequence.ToString(), Justify.Right),
        new("tags", info => string.Join(' ', info.Tags)),
    ];

    internal static (string Name, Value Value)[] Json(RunInfo info) =>
    [
        ("id", info.Id.ToString()),
        ("name", info.Name),
        ("parent", info.Parent?.ToString()),
        ("fork_sequence", info.ForkSequence is { } fork ? Failures.Number(fork) : Value.Null),
        ("status", info.Status.ToString()),
        ("orphaned", info.IsOrphaned),
        ("created_us", Cli.Show.Microseconds(info.Created)),
        ("updated_us", Cli.Show.Microseconds(info.Updated)),
        ("completed_us", Cli.Show.Microseconds(info.Completed)),
        ("tags", Value.Array(info.Tags.Select(tag => (Value)tag))),
        ("metadata", info.Metadata),
        ("error", info.Error),
        .. info.Result is { } result ? (ReadOnlySpan<(string, Value)>)[("result", result)] : [],
        ("retention", info.Retention.ToString()),
        ("version", Failures.Number(info.Version)),
        ("first_sequence", Failures.Number(info.FirstSequence)),
        ("last_sequence", Failures.Number(info.LastSequence)),
        ("events", info.EventCount),
        ("bytes", info.Bytes),
    ];

    private static IEnumerable<(string Name, string Text)> Lines(RunInfo info)
    {
        yield return ("run", RunNames.Show(info));
        yield return ("id", info.Id.ToString());
        if (info.Parent is { } parent)
            yield return ("parent", parent + (info.ForkSequence is { } fork ? $", forked at {fork}" : ""));
        yield return ("status", info.IsOrphaned ? "Active, orphaned by a crash: cairn run adopt" : info.Status.ToString());
        yield return ("begun", Cli.Show.Time(info.Created));
        yield return ("updated", Cli.Show.Time(info.Updated));
        if (info.Completed is { } ended)
            yield return ("ended", Cli.Show.Time(ended));
        yield return ("tags", string.Join(' ', info.Tags));
        yield return ("metadata", info.Metadata.ToJson());
        if (info.Error is { } error)
            yield return ("error", error);
        if (info.Result is { } result)
            yield return ("result", Cli.Show.Text(result));
        yield return ("retention", info.OwnRetention is null ? $"{info.Retention}, the database's" : info.Retention.ToString());
        yield return ("sequences", $"{info.FirstSequence} to {info.LastSequence}");
        yield return ("events", Cli.Show.Number(info.EventCount));
        yield return ("memory", Cli.Show.Bytes(info.Bytes));
    }

    /// <summary>The options that say which runs.</summary>
    private sealed class Filter
    {
        private readonly Option<RunStatus?> _status = new("--status") { Description = "Only runs in this status: active, paused, "
            + "completed, failed, cancelled, archived.", HelpName = "STATUS" };
        private readonly Option<string?> _tag = new("--tag") { Description = "Only runs with this tag.", HelpName = "TAG" };
        private readonly Option<string?> _prefix = new("--name-prefix") { Description = "Only runs whose name begins with this.",
            HelpName = "TEXT" };
        private readonly Option<bool> _reverse = new("--reverse") { Description = "Newest first." };

        private readonly Option<DateTimeOffset?> _from = Parts.Time("--from", "Only runs begun at this time or later.");
        private readonly Option<DateTimeOffset?> _to = Parts.Time("--to", "Only runs begun before this time.");
        private readonly Option<string?> _parent = new("--parent") { Description = "Only runs begun under this one.", HelpName = "RUN" };

        internal Symbol[] All => [_status, _tag, _prefix, _from, _to, _parent, _reverse];

        internal RunFilter Read(Call call) => new()
        {
            Status = call.Get(_status),
            Tag = call.Get(_tag),
            NamePrefix = call.Get(_prefix),
            From = call.Get(_from),
            To = call.Get(_to),
            Parent = call.Get(_parent) is { } above ? RunNames.Find(call.Database, above).Id : null,
            Reverse = call.Get(_reverse),
        };
    }
}
