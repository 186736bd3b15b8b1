using System.CommandLine;
using System.Diagnostics;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn index ...</c>: the secondary indexes of a run.</summary>
internal static class IndexVerbs
{
    // Chosen: a small index is there at the first or second look.
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(20);

    // A look counts the items of the index. Looking takes at most a fifth of the time, however many there are.
    private const int RestPerLook = 4;

    // Chosen: with the pauses of the maintainer between them, some seconds.
    private const int FailuresMost = 8;

    internal static Group Group() => new(
        "index",
        "Secondary indexes of a run: they make 'cairn query' quicker and change no answer.",
        Create(), Drop(), List(), Get(), WaitFor());

    private static Verb Create()
    {
        var (name, target) = (Name(), Target());
        var paths = new Argument<string[]>("path")
        {
            Description = "The places whose values are kept, 1 to 4: pointers (/owner) or singular queries ('$.owner'). A query uses the "
                + "index from its first place on.",
            Arity = ArgumentArity.OneOrMore,
        };
        var unique = new Option<bool>("--unique")
        {
            Description = "No two documents may have the same values there. It is built by the commit that defines it.",
        };
        var noWait = new Option<bool>("--no-wait")
        {
            Description = "Does not wait until it is built: whoever has the database open for writing next goes on with that.",
        };
        return new Verb(
            "create", "Defines an index and waits until it is built.",
            "cairn index create owner /owner /due --on documents\ncairn index create mail /mail --on documents --unique\n"
                + "cairn index create total /payload/total --on events",
            Needs.WriteRun,
            call =>
            {
                if (call.Get(unique) && call.Get(noWait))
                    throw new UsageException("--no-wait has no meaning with --unique: the commit that defines such an index builds it.");
                if (call.Get(unique) && call.Once is not null)
                {
                    throw new UsageException(
                        "A unique index is built by the commit that defines it, and that does nothing else: no --once and no --require. "
                        + "A name is taken only once, so a second call is refused by itself.");
                }

                return call.Wrote(call.Indexes.Define(call.Get(name), new IndexDefinition
                {
                    Target = TargetOf(call, target),
                    Paths = [.. call.Get(paths).Select(path => DocumentPath.Parse(path))],
                    IsUnique = call.Get(unique),
                }));
            },
            name, paths, target, unique, noWait)
        {
            // A repeat under --once waits as well: the call that it repeats may have died before the index was ready.
            Afterwards = call =>
            {
                if (!call.Get(noWait))
                    Wait(call, call.Run, call.Get(name));
            },
        };
    }

    private static Verb Drop()
    {
        var name = Name();
        return new Verb(
            "drop", "Drops an index. What it held is cleared away in the background; no such index: exit code 1.",
            "cairn index drop owner", Needs.WriteRun,
            call =>
            {
                var found = call.Indexes.Drop(call.Get(name));
                return call.Answer(found, found ? "dropped" : "was not there", ("found", found));
            },
            name);
    }

    private static Verb List() => new(
        "list", "Lists the indexes of a run: over what, how far each is, and how large.", "cairn index list", Needs.ReadRun,
        call => call.List(
            call.Run.Indexes.List(),
            Members,
            new Column<IndexInfo>("name", index => index.Name),
            new Column<IndexInfo>("on", index => NameOf(index.Definition.Target)),
            new Column<IndexInfo>("unique", index => index.Definition.IsUnique ? "yes" : "no"),
            new Column<IndexInfo>("state", StateOf),
            new Column<IndexInfo>("items", index => Show.Plain(index.Items), Justify.Right),
            new Column<IndexInfo>("bytes", index => Show.Plain(index.Bytes), Justify.Right),
            new Column<IndexInfo>("paths", Paths)));

    private static Verb Get()
    {
        var name = Name();
        return new Verb(
            "get", "Prints an index: over what, how far it is, and how large; no such index: exit code 1.", "cairn index get owner",
            Needs.ReadRun,
            call =>
            {
                if (call.Run.Indexes.Get(call.Get(name)) is not { } index)
                    return call.Absent("name", call.Get(name));
                return call.Figures(
                    Value.Object([.. Members(index), ("found", true)]),
                    [
                        ("name", index.Name), ("on", NameOf(index.Definition.Target)), ("paths", Paths(index)),
                        ("unique", index.Definition.IsUnique ? "yes" : "no"), ("state", StateOf(index)),
                        ("items", Show.Plain(index.Items)), ("bytes", Show.Plain(index.Bytes)),
                        ("watermark", index.State == IndexState.Ready ? index.Watermark.ToString() : "-"),
                    ]);
            },
            name);
    }

    private static Verb WaitFor()
    {
        var name = Name();
        var run = new Option<string>("--of")
        {
            Description = "The run that has it, by name or id.", HelpName = "RUN", DefaultValueFactory = _ => "default",
        };
        return new Verb(
            "wait", "Keeps the database open until an index is built, which 'create --no-wait' or a fork may have left; no such index: "
                + "exit code 1.",
            "cairn index wait owner --of refund-4711", Needs.WriteDatabase,
            call =>
            {
                var found = RunNames.Find(call.Database, call.Get(run)!);
                Wait(call, found, call.Get(name));
                return found.Indexes.Get(call.Get(name)) is { } index
                    ? call.Answer(StateOf(index), [.. Members(index), ("found", true)])
                    : call.Absent("name", call.Get(name));
            },
            name, run);
    }

    // ---- waiting --------------------------------------------------------------------------------------------------------------

    // The maintainer of this process builds it; the process only has to stay.
    private static void Wait(Call call, Run run, string name)
    {
        if (run.Indexes.Get(name) is not { State: IndexState.Building } index)
            return;
        call.Streams.Out.Flush();
        call.Watched($"building {name}", (progress, cancellationToken) =>
        {
            var things = progress is null ? 0 : index.Definition.Target switch
            {
                IndexTarget.Documents => run.Json.Count(),
                IndexTarget.Events => run.Events.Count(),
                _ => run.Traces.Count(),
            };
            while (true)
            {
                var began = Stopwatch.GetTimestamp();
                if (run.Indexes.Get(name) is not { State: IndexState.Building } now)
                    return true;

                // Things without a value at the first place have no item: the bar may end early, and never late.
                progress?.Report(new TransferProgress("", now.Items, Math.Max(things, now.Items + 1)));
                ThrowIfStuck(call, run, name);
                var rest = Stopwatch.GetElapsedTime(began) * RestPerLook;
                if (cancellationToken.WaitHandle.WaitOne(rest > LookInterval ? rest : LookInterval))
                {
                    throw new RefusedException(
                        ErrorCode.Cancelled,
                        $"The index '{name}' is defined and not built yet. {GoesOn(run, name)}");
                }
            }
        });
    }

    private static string GoesOn(Run run, string name)
    {
        var of = run.Id == RunId.Default ? "" : $" --of {RunNames.Show(run.Info)}";
        return $"Whoever has the database open for writing next goes on; 'cairn index wait {name}{of}' does nothing else.";
    }

    // What cannot go on is told; waiting for it would have no end.
    private static void ThrowIfStuck(Call call, Run run, string name)
    {
        var health = call.Database.Health;
        if (!health.AcceptsWrites)
        {
            var bad = health.Parts.FirstOrDefault(part => part.Status != HealthStatus.Healthy);
            throw new RefusedException(
                bad?.Name == "disk" ? ErrorCode.DiskFull : ErrorCode.DatabaseFailed,
                $"The index '{name}' is defined and cannot be built: {bad?.Reason} {GoesOn(run, name)}");
        }

        if (call.Database.Maintenance.FirstOrDefault(job => job.Name == "indexes") is { Failures: >= FailuresMost } failing)
        {
            throw new RefusedException(
                ErrorCode.Timeout,
                $"The index '{name}' is defined, and its build failed {failing.Failures} times: {failing.LastError} {GoesOn(run, name)}");
        }
    }

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    /// <summary>What an index or a query is over.</summary>
    /// <param name="more">What only a query is over.</param>
    internal static Option<string> Target(params string[] more)
    {
        string[] kinds = [.. Enum.GetValues<IndexTarget>().Select(NameOf).Concat(more).Order(StringComparer.Ordinal)];
        var target = new Option<string>("--on")
        {
            Description = $"{string.Join(", ", kinds[..^1])} or {kinds[^1]}.", HelpName = "KIND", Required = true,
        };
        target.AcceptOnlyFromAmong(kinds);
        return target;
    }

    internal static IndexTarget TargetOf(Call call, Option<string> target) =>
        Enum.GetValues<IndexTarget>().First(known => NameOf(known) == call.Get(target));

    private static string NameOf(IndexTarget target) => target.ToString().ToLowerInvariant();

    private static Argument<string> Name() => new("name")
    {
        Description = "The index: 1 to 256 bytes of UTF-8, no /, not beginning with $.",
    };

    private static string StateOf(IndexInfo index) => index.State.ToString().ToLowerInvariant();

    private static string Paths(IndexInfo index) => string.Join(", ", index.Definition.Paths.Select(path => path.ToString()));

    private static (string Name, Value Value)[] Members(IndexInfo index) =>
    [
        ("name", index.Name),
        ("on", NameOf(index.Definition.Target)),
        ("paths", Value.Array(index.Definition.Paths.Select(path => (Value)path.ToString()))),
        ("unique", index.Definition.IsUnique),
        ("state", StateOf(index)),
        ("items", index.Items),
        ("bytes", index.Bytes),
        ("watermark", index.State == IndexState.Ready ? Failures.Number(index.Watermark) : Value.Null),
    ];
}
