using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn changes</c>, <c>cairn watch</c>: what was committed; <c>cairn subscription ...</c>: named cursors of it.</summary>
internal static class FeedVerbs
{
    // Chosen: a value longer than this is cut in the readable form; --json has all of it.
    private const int ShownChars = 100;

    // Chosen: often enough to look at, seldom enough for the process that owns the directory.
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    internal static Verb Changes()
    {
        var parts = new FeedParts("Default: the first commit.");
        return new Verb(
            "changes", "Prints what was committed, in order: a line per change, with --json one per commit, with its cursor.",
            "cairn changes --from 12 --of refund-4711 --primitive kv --values", Needs.ReadDatabase,
            call =>
            {
                parts.Print(call, parts.Start(call, isNow: false), call.Get(parts.Limit) ?? int.MaxValue);
                return ExitCodes.Ok;
            },
            parts.All);
    }

    internal static Verb Watch()
    {
        var parts = new FeedParts("Default: behind the newest commit, so that only what is new is printed.");
        var every = new Option<TimeSpan?>("--every")
        {
            Description = "How often it looks. The directory is free in between; while another process has it, this one waits. "
                + "Default: 1s.",
            HelpName = "TIME",
            CustomParser = Parts.ParseDuration,
        };
        return new Verb(
            "watch", "Prints what is committed as it comes, until it is interrupted or has printed --limit commits.",
            "cairn watch --type tool_call --json", Needs.ReadDatabase,
            call =>
            {
                using var interruption = new Interruption();
                var left = call.Get(parts.Limit) ?? int.MaxValue;
                string? cursor = null;
                while (left > 0 && !interruption.Token.IsCancellationRequested)
                {
                    Look(call, parts, ref cursor, ref left);
                    call.Close();
                    call.Streams.Out.Flush();
                    if (left > 0)
                        interruption.Token.WaitHandle.WaitOne(call.Get(every) ?? LookAgain);
                }

                return ExitCodes.Ok;
            },
            [.. parts.All, every]);
    }

    private static void Look(Call call, FeedParts parts, ref string? cursor, ref int left)
    {
        try
        {
            cursor = parts.Print(call, cursor ?? parts.Start(call, isNow: true), left, out var printed);
            left -= printed;
        }
        catch (CairnException busy) when (busy.Code == ErrorCode.Locked)
        {
            // Its owner has it; the next look may find it free.
        }
    }

    // ---- subscriptions --------------------------------------------------------------------------------------------------------

    internal static Group Subscriptions() => new(
        "subscription", "Named cursors of feeds of changes, kept in a run.", Create(), List(), Acknowledge(), Delete());

    private static Verb Create()
    {
        var name = Name();
        var parts = new FeedParts("Default: behind the newest commit.");
        var database = new Option<bool>("--database")
        {
            Description = "Of the changes of the whole database, not of the run that holds it alone.",
        };
        return new Verb(
            "create", "Begins a subscription.", "cairn subscription create billing --run refund-4711 --type tool_call", Needs.WriteRun,
            call => call.Wrote(call.Subscriptions.Create(call.Get(name), new SubscriptionOptions
            {
                OfDatabase = call.Get(database),
                Cursor = parts.Start(call, isNow: true),
                Filter = parts.Filter(call),
            })),
            [name, database, .. parts.Conditions]);
    }

    private static Verb List() => new(
        "list", "Lists the subscriptions of a run with the commit that each is behind, and how many came since.",
        "cairn subscription list", Needs.ReadRun,
        call => call.List(
            call.Pages(null, (limit, cursor) => call.Run.Subscriptions.List(new ScanOptions { Limit = limit, Cursor = cursor })),
            found =>
            [
                ("name", found.Name), ("behind", Failures.Number(found.Behind)), ("lag", found.Lag), ("database", found.IsOfDatabase),
                ("cursor", found.Cursor), ("moved_us", Show.Microseconds(found.Moved)),
            ],
            new Column<SubscriptionInfo>("subscription", found => found.Name),
            new Column<SubscriptionInfo>("behind", found => found.Behind.ToString(), Spectre.Console.Justify.Right),
            new Column<SubscriptionInfo>("lag", found => Show.Plain(found.Lag), Spectre.Console.Justify.Right),
            new Column<SubscriptionInfo>("of", found => found.IsOfDatabase ? "database" : "run"),
            Column<SubscriptionInfo>.OfTime("moved", found => found.Moved)));

    private static Verb Acknowledge()
    {
        var name = Name();
        var cursor = new Argument<string>("cursor")
        {
            Description = "Behind the last commit that was handled; 'cairn changes --json' has it.",
        };
        return new Verb(
            "acknowledge", "Says that everything up to a cursor was handled. Only forward.",
            "cairn subscription acknowledge billing CURSOR", Needs.WriteRun,
            call => call.Wrote(call.Subscriptions.Acknowledge(call.Get(name), call.Get(cursor))),
            name, cursor);
    }

    private static Verb Delete()
    {
        var name = Name();
        return new Verb(
            "delete", "Ends a subscription; exit code 1 when there is none.", "cairn subscription delete billing", Needs.WriteRun,
            call => call.Subscriptions.Delete(call.Get(name))
                ? call.Answer("deleted", ("name", call.Get(name)), ("deleted", true))
                : call.Answer(false, "not there", ("name", call.Get(name)), ("deleted", false)),
            name);
    }

    private static Argument<string> Name() => new("name") { Description = "The subscription." };

    /// <summary>The options of a feed, and printing it.</summary>
    private sealed class FeedParts
    {
        private const string Beginning = "start";
        private const string Newest = "now";

        private readonly Option<string?> _from;
        private readonly Option<string[]> _runs = Many("--of", "RUN", "Only changes of this run, by name or id");
        private readonly Option<string[]> _primitives = Many("--primitive", "NAME", "Only of kv, json, events, state, traces, runs");
        private readonly Option<string?> _prefix = new("--prefix")
        {
            Description = "Only key-values, state cells and documents whose key or id begins so.",
            HelpName = "TEXT",
        };
        private readonly Option<string[]> _types = Many("--type", "TYPE", "Only events of this type, or traces of this kind");
        private readonly Option<string[]> _collections = Many("--collection", "NAME", "Only vectors of this collection");
        private readonly Option<string[]> _tags = Many("--tag", "TAG", "Only traces with this tag");
        private readonly Option<bool> _values = new("--values")
        {
            Description = "Prints values before and after too. They may be secrets.",
        };

        internal FeedParts(string otherwise)
        {
            _from = new Option<string?>("--from")
            {
                Description = $"The first commit (12), a cursor, {Beginning} or {Newest}. {otherwise}",
                HelpName = "SEQUENCE|CURSOR",
            };
            Limit = Parts.Limit("commits");
        }

        internal Option<int?> Limit { get; }

        internal Option[] Conditions => [_from, _primitives, _collections, _prefix, _types, _tags, _runs];

        internal Symbol[] All => [.. Conditions, _values, Limit];

        private static Option<string[]> Many(string name, string what, string text) =>
            new(name) { Description = text + "; may be given often.", HelpName = what };

        internal string? Start(Call call, bool isNow)
        {
            var text = call.Get(_from) ?? (isNow ? Newest : Beginning);
            if (text == Beginning)
                return call.Database.ChangeCursor(Sequence.None);
            if (text == Newest)
                return call.Database.ChangeCursor();
            return PastTime.TryParseSequence(text, out var sequence)
                ? call.Database.ChangeCursor(new Sequence(Math.Max(1, sequence.Value) - 1))
                : text;
        }

        internal ChangeFilter Filter(Call call) => new()
        {
            Runs = Given(call.Get(_runs))?.Select(name => RunNames.Find(call.Database, name).Id).ToList(),
            Primitives = Given(call.Get(_primitives)),
            Collections = Given(call.Get(_collections)),
            KeyPrefix = call.Get(_prefix),
            Types = Given(call.Get(_types)),
            Tags = Given(call.Get(_tags)),
        };

        private static string[]? Given(string[]? texts) => texts is { Length: > 0 } ? texts : null;

        internal void Print(Call call, string? cursor, int most) => Print(call, cursor, most, out _);

        /// <returns>Behind what was looked at.</returns>
        internal string? Print(Call call, string? cursor, int most, out int printed)
        {
            printed = 0;
            var options = new ChangeOptions
            {
                End = ChangeEnd.Now,
                Values = call.Get(_values) ? ChangeValues.BeforeAndAfter : ChangeValues.None,
                TellsProgress = true,
            };
            foreach (var commit in call.Database.Changes(cursor, Filter(call), options).ToBlockingEnumerable())
            {
                if (commit.Changes.Count > 0)
                {
                    if (printed == most)
                        break;
                    printed++;
                    Print(call, commit);
                }

                cursor = commit.Cursor;
            }

            return cursor;
        }

        private void Print(Call call, CommittedChanges commit)
        {
            if (call.IsJson)
            {
                call.Streams.Out.WriteLine(Json(commit).ToJson());
                return;
            }

            foreach (var change in commit.Changes)
            {
                List<string> columns =
                    [commit.Sequence.ToString(), Show.Time(commit.Time), change.Run.ToString(), change.Operation, change.Key];
                if (change.Path is { } path)
                    columns[^1] += $" {path}";
                if (call.Get(_values))
                {
                    columns.Add(change.Given.State == ChangedValueState.NotAsked
                        ? $"{Short(change.Before)} -> {Short(change.After)}"
                        : Short(change.Given));
                }

                call.Streams.Out.WriteLine(string.Join('\t', columns.Select(Streams.OneLine)));
            }
        }

        private static string Short(ChangedValue value) =>
            value.ToString() is { Length: > ShownChars } text ? text[..ShownChars] + "..." : value.ToString();

        private static Value Json(CommittedChanges commit) => Value.Object(
            ("sequence", Failures.Number(commit.Sequence)),
            ("time_us", Show.Microseconds(commit.Time)),
            ("cursor", commit.Cursor),
            ("actor", commit.Attributes.Actor),
            ("tool", commit.Attributes.Tool),
            ("changes", Value.Array(commit.Changes.Select(Json))));

        private static Value Json(Change change)
        {
            List<(string, Value)> members =
            [
                ("run", change.Run.ToString()), ("primitive", change.Primitive), ("operation", change.Operation), ("key", change.Key),
                ("address", change.Address), ("type", change.Type), ("tags", Value.Array(change.Tags.Select(tag => (Value)tag))),
                ("expiry_us", Show.Microseconds(change.Expiry)),
            ];
            if (change.Path is { } path)
                members.Add(("path", path.ToString()));
            Add(members, "given", change.Given);
            Add(members, "before", change.Before);
            Add(members, "after", change.After);
            return Value.Object([.. members]);
        }

        private static void Add(List<(string, Value)> members, string name, ChangedValue value)
        {
            if (value.State == ChangedValueState.NotAsked)
                return;
            members.Add((name, value.Value));
            members.Add(($"{name}_is", value.State.ToString().ToLowerInvariant()));
        }
    }
}
