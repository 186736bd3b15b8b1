using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn events ...</c>: the append-only, hash-chained events of a run.</summary>
internal static class EventVerbs
{
    internal static Group Group() => new(
        "events",
        "Events of a run: append-only, in one order, chained by hashes.",
        Append(), AppendMany(), Get(), Range(), ByType(), ByTime(), Types(), Head(), Floor(), Count(), Verify(), Follow(), Redact(),
        new Group("consumers", "How far readers of the events have come.", Consumers(), Position(), Commit(), Reset()));

    private static Verb Append()
    {
        var type = new Argument<string>("type") { Description = "What kind of event; no '/', not beginning with $." };
        var payload = new Argument<string?>("payload") { Description = "A JSON object; - reads standard input. Default: {}.",
            Arity = ArgumentArity.ZeroOrOne };
        var causes = new Option<long[]>("--cause") { Description = "Number of an earlier event that caused this one; may be given often.",
            HelpName = "N" };
        return new Verb(
            "append", "Appends an event and prints its number.", "cairn events append tool_call '{\"tool\":\"crm.lookup\",\"id\":4711}'",
                Needs.WriteRun,
            call => Appended(call, call.Events.Append(
                call.Get(type), ValueText.Read(call, call.Get(payload) ?? "{}", "json"), [.. (call.Get(causes) ?? []).Select(Number)])),
            type, payload, causes);
    }

    private static Verb AppendMany() => new(
        "append-many",
        "Appends events in one transaction, in the order of standard input: "
            + "one JSON object {\"type\",\"payload\",\"causes\"} per line.",
        "echo '{\"type\":\"note\",\"payload\":{\"text\":\"hi\"}}' | cairn events append-many", Needs.WriteRun,
        call =>
        {
            var events = new List<NewEvent>();
            using var lines = new StringReader(call.Input);
            while (events.Count <= call.Database.Limits.ManyItemsMax && lines.ReadLine() is { } line)
            {
                if (line.Length > 0)
                    events.Add(Parse(line, events.Count + 1));
            }

            if (events.Count == 0)
                throw new UsageException("Standard input holds no event.");
            var receipts = call.Events.AppendMany(events);
            if (call.Once is not null)
            {
                // In a transaction the numbers are known by what is there, and nobody else appends before it commits.
                var first = End(call.Events) - (ulong)events.Count;
                return call.List(
                    Enumerable.Range(0, events.Count).Select(index => new EventNumber(first + (ulong)index)), NumberMembers,
                    new Column<EventNumber>("number", number => number.ToString()));
            }

            return call.List(
                receipts, Members, new Column<EventReceipt>("number", receipt => receipt.Number.ToString()),
                    new Column<EventReceipt>("sequence", receipt => receipt.Sequence.ToString()));
        });

    private static Verb Get()
    {
        var number = new Argument<long>("number") { Description = "Of the event, from 0." };
        return new Verb(
            "get", "Prints an event with its hashes.", "cairn events get 0", Needs.ReadRun,
            call =>
            {
                if (!call.Run.Events.TryGet(Number(call.Get(number)), out var record))
                    return call.Absent("number", call.Get(number));
                return call.Figures(Value.Object([.. Members(record), ("found", true)]), Lines(record));
            },
            number);
    }

    private static Verb Range()
    {
        var from = Parts.Number("--from", "First number, inclusive. Default: the first that is kept.");
        var to = Parts.Number("--to", "End, exclusive. Default: the end.");
        var types = new Option<string[]>("--type") { Description = "Only events of this type; may be given often.", HelpName = "TYPE" };
        var (limit, reverse) = (Parts.Limit("events"), new Option<bool>("--reverse") { Description = "Newest first." });
        return new Verb(
            "range", "Prints events in order of their numbers.",
                "cairn events range --from 10 --to 20\ncairn events range --reverse --limit 5", Needs.ReadRun,
            call => Table(call, call.Pages(call.Get(limit), (count, cursor) => call.Run.Events.Range(
                call.IsGiven(from) ? Number(call.Get(from)!.Value) : call.Run.Events.Floor().Number,
                call.IsGiven(to) ? Number(call.Get(to)!.Value) : new EventNumber(ulong.MaxValue),
                new EventScanOptions { Types = Given(call.Get(types)), Limit = count, Cursor = cursor, Reverse = call.Get(reverse) }))),
            from, to, types, limit, reverse);
    }

    private static Verb ByType()
    {
        var types = new Argument<string[]>("type") { Description = "One or more types.", Arity = ArgumentArity.OneOrMore };
        var (limit, reverse) = (Parts.Limit("events"), new Option<bool>("--reverse") { Description = "Newest first." });
        return new Verb(
            "by-type", "Prints the events of some types, in the run's one order.", "cairn events by-type tool_call tool_result",
                Needs.ReadRun,
            call => Table(call, call.Pages(call.Get(limit), (count, cursor) => call.Run.Events.ByType(
                new EventScanOptions { Types = call.Get(types), Limit = count, Cursor = cursor, Reverse = call.Get(reverse) }))),
            types, limit, reverse);
    }

    private static Verb ByTime()
    {
        var (from, to) = (Parts.TimeArgument("from", "Inclusive"), Parts.TimeArgument("to", "Exclusive"));
        var types = new Option<string[]>("--type") { Description = "Only events of this type; may be given often.", HelpName = "TYPE" };
        var (limit, reverse) = (Parts.Limit("events"), new Option<bool>("--reverse") { Description = "Newest first." });
        return new Verb(
            "by-time", "Prints the events of a time.", "cairn events by-time 2026-01-31T12:00:00Z 2026-01-31T13:00:00Z", Needs.ReadRun,
            call => Table(call, call.Pages(call.Get(limit), (count, cursor) => call.Run.Events.RangeByTime(
                call.Get(from)!.Value,
                call.Get(to)!.Value,
                new EventScanOptions { Types = Given(call.Get(types)), Limit = count, Cursor = cursor, Reverse = call.Get(reverse) }))),
            from, to, types, limit, reverse);
    }

    private static Verb Types() => new(
        "types", "Lists the types of events with how many, first and last.", "cairn events types", Needs.ReadRun,
        call => call.List(
            call.Pages(null, (limit, cursor) => call.Run.Events.Types(new ScanOptions { Limit = limit, Cursor = cursor }))
                .Select(type => call.Run.Events.StreamInfo(type)).OfType<EventStreamInfo>(),
            info =>
            [
                ("type", info.Type), ("count", info.Count), ("first", (long)info.FirstNumber.Value),
                    ("first_us", Show.Microseconds(info.FirstTime)),
                ("last", (long)info.LastNumber.Value), ("last_us", Show.Microseconds(info.LastTime)),
            ],
            new Column<EventStreamInfo>("type", info => info.Type),
            new Column<EventStreamInfo>("count", info => Show.Plain(info.Count), Justify.Right),
            new Column<EventStreamInfo>("first", info => info.FirstNumber.ToString(), Justify.Right),
            new Column<EventStreamInfo>("last", info => info.LastNumber.ToString(), Justify.Right),
            Column<EventStreamInfo>.OfTime("last at", info => info.LastTime)));

    private static Verb Head() => new(
        "head", "Prints the number and hash of the newest event; the hash stands for the whole history.", "cairn events head",
            Needs.ReadRun,
        call => call.Run.Events.Head() is { } head
            ? call.Answer($"{head.Number} {head.Hash}", ("number", (long)head.Number.Value), ("hash", head.Hash.ToString()),
                ("found", true))
            : call.IsJson ? call.Answer(false, "", ("found", false)) : ExitCodes.Negative);

    private static Verb Floor() => new(
        "floor", "Prints the number of the first event that retention has left, and the hash of the one before it.", "cairn events floor",
            Needs.ReadRun,
        call =>
        {
            var floor = call.Run.Events.Floor();
            return call.Answer(
                $"{floor.Number} {floor.HashBefore}", ("number", (long)floor.Number.Value), ("hash_before", floor.HashBefore.ToString()),
                ("time_before_us", floor.TimeBefore is { } time ? Show.Microseconds(time) : Value.Null));
        });

    // The number that the next event gets.
    private static ulong End(EventsView events) => events.Head() is { } head ? head.Number.Value + 1 : 0;

    private static Verb Count()
    {
        var type = new Option<string?>("--type") { Description = "Counts only events of this type.", HelpName = "TYPE" };
        return new Verb(
            "count", "Prints the number of events.", "cairn events count --type tool_call", Needs.ReadRun,
            call =>
            {
                var count = call.Get(type) is { } one ? call.Run.Events.CountByType(one) : call.Run.Events.Count();
                return call.Answer(Show.Plain(count), ("count", count));
            },
            type);
    }

    private static Verb Verify()
    {
        var from = Parts.Number("--from", "First number. Default: the first that is kept.");
        var to = Parts.Number("--to", "End, exclusive. Default: the end.");
        return new Verb(
            "verify", "Recomputes every hash of the run's chain. A wrong one: exit code 6.", "cairn events verify", Needs.ReadRun,
            call =>
            {
                var found = call.Run.Events.Verify(
                    call.Get(from) is { } first ? Number(first) : default(EventNumber?),
                        call.Get(to) is { } end ? Number(end) : default(EventNumber?));
                call.Answer(
                    found.IsValid ? $"valid: {Show.Number(found.Length)} events" : $"INVALID at {found.FirstInvalid}: {found.Error}",
                    ("valid", found.IsValid), ("length", found.Length),
                    ("first_invalid", found.FirstInvalid is { } at ? (long)at.Value : Value.Null), ("error", found.Error));
                return found.IsValid ? ExitCodes.Ok : ExitCodes.Damaged;
            },
            from, to);
    }

    private static Verb Follow()
    {
        var from = Parts.Number("--from", "First number. Default: the first that is kept.");
        var types = new Option<string[]>("--type") { Description = "Only events of this type; may be given often.", HelpName = "TYPE" };
        var every = new Option<TimeSpan?>("--every")
        {
            Description = "Looks again so often until the run is closed. The directory is free in between; while another process has "
                + "it, this one waits.",
            HelpName = "TIME",
            CustomParser = Parts.ParseDuration,
        };
        return new Verb(
            "follow", "Prints events from a number on, as they come. Without --every: what is there.",
                "cairn events follow --run refund-4711 --every 1s", Needs.ReadRun,
            call =>
            {
                var next = call.IsGiven(from) ? Number(call.Get(from)!.Value) : call.Run.Events.Floor().Number;
                while (!FollowOnce(call, ref next, Given(call.Get(types))) && call.Get(every) is { } pause)
                {
                    call.Close();
                    call.Streams.Out.Flush();
                    Thread.Sleep(pause);
                }

                return ExitCodes.Ok;
            },
            from, types, every);
    }

    // True when nothing more can come.
    private static bool FollowOnce(Call call, ref EventNumber next, IReadOnlyCollection<string>? types)
    {
        try
        {
            var run = call.Run;
            var isOver = run.Status is not (RunStatus.Active or RunStatus.Paused);
            var start = next;
            var end = new EventNumber(End(run.Events));
            Table(call, call.Pages(null,
                (limit, cursor) => run.Events.Range(start, end, new EventScanOptions { Types = types, Limit = limit, Cursor = cursor })));
            next = end > next ? end : next;
            return isOver;
        }
        catch (CairnException busy) when (busy.Code == ErrorCode.Locked)
        {
            return false;
        }
    }

    private static Verb Redact()
    {
        var number = new Argument<long>("number") { Description = "Of the event." };
        var reason = new Argument<string>("reason") { Description = "Why. It is kept, so it must not repeat what is removed." };
        return new Verb(
            "redact", "Removes the payload of an event for good; its hash stays, so the chain still verifies.",
                "cairn events redact 3 'personal data'", Needs.WriteRun,
            call => call.Events.Redact(Number(call.Get(number)), call.Get(reason)) is { } receipt
                ? Appended(call, receipt)
                : call.Answer(false, "was redacted already", ("redacted", false)),
            number, reason);
    }

    // ---- consumers ------------------------------------------------------------------------------------------------------------

    private static Verb Consumers() => new(
        "list", "Lists consumers with the number of the first event that each has not handled.", "cairn events consumers list",
            Needs.ReadRun,
        call => call.List(
            call.Pages(null, (limit, cursor) => call.Run.Events.Consumers.List(new ScanOptions { Limit = limit, Cursor = cursor })),
            consumer =>
            [
                ("name", consumer.Name), ("position", (long)consumer.Position.Value), ("version", Failures.Number(consumer.Version)),
                ("updated_us", Show.Microseconds(consumer.UpdatedAt)),
            ],
            new Column<ConsumerPosition>("consumer", consumer => consumer.Name),
            new Column<ConsumerPosition>("position", consumer => consumer.Position.ToString(), Justify.Right),
            Column<ConsumerPosition>.OfTime("updated", consumer => consumer.UpdatedAt)));

    private static Verb Position()
    {
        var name = Name();
        return new Verb(
            "position", "Prints where a consumer is; #0 for one that never committed.", "cairn events consumers position billing",
                Needs.ReadRun,
            call =>
            {
                var position = call.Run.Events.Consumers.Position(call.Get(name));
                return call.Answer(position.ToString(), ("name", call.Get(name)), ("position", (long)position.Value));
            },
            name);
    }

    private static Verb Commit()
    {
        var (name, position) = (Name(), Place());
        return new Verb(
            "commit", "Says that a consumer has handled every event before a number. Only forward.",
                "cairn events consumers commit billing 12", Needs.WriteRun,
            call => call.Wrote(call.Events.Consumers.Commit(call.Get(name), Number(call.Get(position)))),
            name, position);
    }

    private static Verb Reset()
    {
        var (name, position) = (Name(), Place());
        return new Verb(
            "reset", "Moves a consumer to any position, also back.", "cairn events consumers reset billing 0", Needs.WriteRun,
            call => call.Wrote(call.Events.Consumers.Reset(call.Get(name), Number(call.Get(position)))),
            name, position);
    }

    private static Argument<string> Name() => new("name") { Description = "The consumer." };

    private static Argument<long> Place() => new("position") { Description = "Number of the first event that is not handled." };

    // ---- how events look ------------------------------------------------------------------------------------------------------

    internal static EventNumber Number(long number) => number >= 0 ? new EventNumber((ulong)number)
        : throw new UsageException("Event numbers begin at 0.");

    private static string[]? Given(string[]? types) => types is { Length: > 0 } ? types : null;

    private static NewEvent Parse(string line, int place)
    {
        var item = Value.FromJson(line);
        if (item.Kind != ValueKind.Object || !item.TryGetMember("type", out var type) || type.Kind != ValueKind.String)
            throw new RefusedException(ErrorCode.InvalidArgument, $"Event {place} of standard input is not an object with a 'type'.");
        if (item.AsObject().Keys.FirstOrDefault(name => name is not ("type" or "payload" or "causes")) is { } unknown)
            throw new RefusedException(ErrorCode.InvalidArgument,
                $"Event {place} of standard input has a member '{unknown}'; it may have 'type', 'payload' and 'causes'.");
        return new NewEvent(type.AsString(), item.TryGetMember("payload", out var payload) ? payload : Value.Object())
        {
            Causes = item.TryGetMember("causes", out var causes) ? [.. causes.AsArray().Select(cause => Number(cause.AsInt64()))] : null,
        };
    }

    private static int Appended(Call call, EventReceipt receipt)
    {
        if (receipt.IsCommitted)
            return call.Answer($"{receipt.Number} {receipt.Sequence}", Members(receipt));
        var number = new EventNumber(End(call.Events) - 1);
        return call.Answer(call.Text(number.ToString(), Sequence.None), NumberMembers(number));
    }

    private static (string Name, Value Value)[] NumberMembers(EventNumber number) => [("number", (long)number.Value), ("sequence", 0)];

    private static (string Name, Value Value)[] Members(EventReceipt receipt) =>
        [("number", (long)receipt.Number.Value), ("hash", receipt.Hash.ToString()), ("sequence", Failures.Number(receipt.Sequence))];

    internal static (string Name, Value Value)[] Members(EventRecord record) =>
    [
        ("number", (long)record.Number.Value),
        ("type", record.Type),
        ("payload", record.Payload ?? Value.Null),
        ("redacted", record.IsRedacted),
        ("time_us", Show.Microseconds(record.Time)),
        ("sequence", Failures.Number(record.Sequence)),
        ("causes", Value.Array(record.Causes.Select(cause => (Value)(long)cause.Value))),
        ("payload_hash", record.PayloadHash.ToString()),
        ("previous_hash", record.PreviousHash.ToString()),
        ("hash", record.Hash.ToString()),
    ];

    private static IEnumerable<(string Name, string Text)> Lines(EventRecord record)
    {
        yield return ("number", record.Number.ToString());
        yield return ("type", record.Type);
        yield return ("payload", record.Payload is { } payload ? payload.ToJson() : "(redacted)");
        yield return ("time", Show.Time(record.Time));
        yield return ("sequence", record.Sequence.ToString());
        if (record.Causes.Count > 0)
            yield return ("causes", string.Join(' ', record.Causes));
        yield return ("previous", record.PreviousHash.ToString());
        yield return ("hash", record.Hash.ToString());
    }

    private static int Table(Call call, IEnumerable<EventRecord> events) => call.List(events, Members, Columns);

    internal static Column<EventRecord>[] Columns =>
    [
        new("number", record => record.Number.ToString(), Justify.Right),
        Column<EventRecord>.OfTime("time", record => record.Time),
        new("type", record => record.Type),
        new("payload", record => record.Payload is { } payload ? payload.ToJson() : "(redacted)"),
    ];
}
