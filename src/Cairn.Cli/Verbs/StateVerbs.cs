using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn state ...</c>: the state cells of a run, transitions and leases.</summary>
internal static class StateVerbs
{
    internal static Group Group() => new(
        "state",
        "State cells of a run: named values with a counter of their writes; transitions and leases.",
        Init(), Get(), GetOrInit(), Exists(), Set(), CompareAndSet(), Transition(), Delete(), List(),
        Scan(), Count(), Expire(), Persist(), History(),
        new Group("lease", "Leases: a cell that one owner holds for a time.", Acquire(), Renew(), Release()));

    private static Verb Init()
    {
        var (name, value, type, ttl) = (Name(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "init", "Creates a cell; one that is there: exit code 4.", "cairn state init budget 100 --type int", Needs.WriteRun,
            call => Wrote(
                call, call.Get(name),
                call.State.Init(call.Get(name), ValueText.Read(call, call.Get(value), call.Get(type)!), call.Get(ttl))),
            name, value, type, ttl);
    }

    private static Verb Get()
    {
        var (name, at) = (Name(), PastTime.Option());
        return new Verb(
            "get", "Prints the value of a cell; with --json also counter, version and times.",
            "cairn state get budget\ncairn state get budget --at 12", Needs.ReadRun,
            call =>
            {
                var (state, asked) = (call.Run.State, call.Get(name));
                var cell = call.Get(at) is { } past
                    ? past.Read(sequence => state.GetAt(asked, sequence), time => state.GetAt(asked, time))
                    : state.Get(asked);
                return cell is { } found
                    ? call.Answer(Show.Text(found.Value), [.. Members(asked, found), ("found", true)])
                    : call.Absent("name", asked);
            },
            name, at);
    }

    private static Verb GetOrInit()
    {
        var (name, value, type, ttl) = (Name(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "get-or-init", "Prints the value of a cell; one that is absent is created with the value given.",
            "cairn state get-or-init budget 100 --type int", Needs.WriteRun,
            call =>
            {
                var first = ValueText.Read(call, call.Get(value), call.Get(type)!);
                var found = call.State.GetOrInit(call.Get(name), () => first, call.Get(ttl));
                return call.Answer(Show.Text(found), ("name", call.Get(name)), ("value", found));
            },
            name, value, type, ttl);
    }

    private static Verb Exists()
    {
        var name = Name();
        return new Verb(
            "exists", "Says whether there is such a cell: exit code 0 or 1.", "cairn state exists budget", Needs.ReadRun,
            call =>
            {
                var exists = call.Run.State.Exists(call.Get(name));
                return call.Answer(exists, exists ? "true" : "false", ("name", call.Get(name)), ("found", exists));
            },
            name);
    }

    private static Verb Set()
    {
        var (name, value, type, ttl) = (Name(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "set", "Writes a cell, whatever was there, and prints its counter.", "cairn state set phase planning", Needs.WriteRun,
            call => Wrote(
                call, call.Get(name),
                call.State.Set(call.Get(name), ValueText.Read(call, call.Get(value), call.Get(type)!), call.Get(ttl))),
            name, value, type, ttl);
    }

    private static Verb CompareAndSet()
    {
        var (name, value, type, ttl) = (Name(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        var counter = Parts.Number("--counter-is", "The cell must have this counter; 0 = no live value. Another one: exit code 4.");
        counter.Required = true;
        return new Verb(
            "cas", "Compare-and-set: writes a cell only if its counter is the expected one.",
                "cairn state cas phase acting --counter-is 1", Needs.WriteRun,
            call => Wrote(call, call.Get(name), call.State.CompareAndSet(
                call.Get(name), Counter(call.Get(counter)!.Value), ValueText.Read(call, call.Get(value), call.Get(type)!), call.Get(ttl))),
            name, value, type, counter, ttl);
    }

    private static Verb Transition()
    {
        var (name, type) = (Name(), ValueText.TypeOption());
        var add = Parts.Number("--add", "Adds to an Int64. An absent cell needs --init.");
        var set = new Option<string?>("--set") { Description = "The new value, read by --type.", HelpName = "VALUE" };
        var when = new Option<string?>("--when") { Description = "With --set: only if the value is this one, read by --type. Another "
            + "one: exit code 1.", HelpName = "VALUE" };
        var init = new Option<string?>("--init") { Description = "What an absent cell counts as: an integer with --add, else read by "
            + "--type.", HelpName = "VALUE" };
        return new Verb(
            "transition", "Reads a cell, computes and writes it as one transaction.",
            "cairn state transition budget --add -10 --init 100\ncairn state transition phase --set acting --when planning", Needs.WriteRun,
            call =>
            {
                if (call.IsGiven(add) == call.IsGiven(set))
                    throw new UsageException("Give one of --add and --set.");
                if (call.IsGiven(when) && call.IsGiven(add))
                    throw new UsageException("--when goes with --set.");
                var kind = call.IsGiven(add) ? "int" : call.Get(type)!;
                var initial = call.Get(init) is { } text ? ValueText.Parse(text, kind) : default(Value?);
                var change = call.IsGiven(add) ? Adding(call.Get(add)!.Value) : Setting(call, set, when, kind);
                try
                {
                    var result = initial is { } first
                        ? call.State.TransitionOrInit(call.Get(name), first, change)
                        : call.State.Transition(call.Get(name), change);
                    return call.Answer(
                        $"{Show.Text(result.Value)} (counter {result.Counter})", ("value", result.Value),
                            ("counter", (long)result.Counter.Value), ("changed", true));
                }
                catch (UnmetException)
                {
                    return call.Answer(false, "another value is there", ("changed", false));
                }
            },
            name, add, set, when, init, type);
    }

    private static Func<Value, Value> Adding(long delta) => value =>
    {
        try
        {
            return checked(value.AsInt64() + delta);
        }
        catch (OverflowException)
        {
            throw new RefusedException(ErrorCode.Overflow, $"Adding {delta} would leave the range of Int64. Nothing was written.");
        }
    };

    private static Func<Value, Value> Setting(Call call, Option<string?> set, Option<string?> when, string type)
    {
        var next = ValueText.Parse(call.Get(set)!, type);
        if (!call.IsGiven(when))
            return _ => next;
        var expected = ValueText.Parse(call.Get(when)!, type);
        return value => value == expected ? next : throw new UnmetException();
    }

    private sealed class UnmetException : Exception;

    private static Verb Delete()
    {
        var name = Name();
        return new Verb(
            "delete", "Removes a cell; its counter counts on if it is made again.", "cairn state delete phase", Needs.WriteRun,
            call => Found(call, call.State.Delete(call.Get(name)), "deleted"),
            name);
    }

    private static Verb List()
    {
        var (prefix, limit) = (Prefix(), Parts.Limit("cells"));
        return new Verb(
            "list", "Prints the names of cells in order of their bytes.", "cairn state list --prefix agent/", Needs.ReadRun,
            call => call.List(
                call.Pages(call.Get(limit), (count,
                    cursor) => call.Run.State.List(new ScanOptions { Prefix = call.Get(prefix), Limit = count, Cursor = cursor })),
                name => [("name", name)],
                new Column<string>("cell", name => name)),
            prefix, limit);
    }

    private static Verb Scan()
    {
        var (prefix, limit) = (Prefix(), Parts.Limit("cells"));
        return new Verb(
            "scan", "Prints cells with their values and counters.", "cairn state scan", Needs.ReadRun,
            call => call.List(
                call.Pages(call.Get(limit), (count,
                    cursor) => call.Run.State.Scan(new ScanOptions { Prefix = call.Get(prefix), Limit = count, Cursor = cursor })),
                pair => Members(pair.Key, pair.Value),
                new Column<KeyValuePair<string, StateCell>>("cell", pair => pair.Key),
                new Column<KeyValuePair<string, StateCell>>("counter", pair => pair.Value.Counter.ToString(), Justify.Right),
                new Column<KeyValuePair<string, StateCell>>("value", pair => Show.Text(pair.Value.Value))),
            prefix, limit);
    }

    private static Verb Count() => new(
        "count", "Prints the number of cells.", "cairn state count", Needs.ReadRun,
        call =>
        {
            var count = call.Run.State.Count();
            return call.Answer(Show.Plain(count), ("count", count));
        });

    private static Verb Expire()
    {
        var (name, life) = (Name(), Life());
        return new Verb(
            "expire", "Changes when a cell expires, and nothing else.", "cairn state expire draft 30m", Needs.WriteRun,
            call => Found(call, call.State.Expire(call.Get(name), call.Get(life)!.Value), "done"),
            name, life);
    }

    private static Verb Persist()
    {
        var name = Name();
        return new Verb(
            "persist", "Removes the expiry of a cell.", "cairn state persist draft", Needs.WriteRun,
            call => Found(call, call.State.Persist(call.Get(name)), "done"),
            name);
    }

    private static Verb History()
    {
        var (name, limit, before) = (Name(), PastTime.Limit(), PastTime.Before());
        return new Verb(
            "history", "Prints the versions of a cell with their counters, newest first, deletions included.", "cairn state history budget",
            Needs.ReadRun,
            call => call.List(
                PastTime.Versions(
                    call, limit, before, (count, end) => call.Run.State.History(call.Get(name), count, end), item => item.Version),
                item =>
                [
                    ("name", call.Get(name)), ("counter", (long)item.Counter.Value),
                    .. PastTime.Members(item.Version, item.IsDeletion, item.Value, item.Time, item.Expiry),
                ],
                new Column<StateHistoryItem>("version", item => item.Version.ToString(), Justify.Right),
                new Column<StateHistoryItem>("counter", item => item.Counter.ToString(), Justify.Right),
                Column<StateHistoryItem>.OfTime("time", item => item.Time),
                new Column<StateHistoryItem>("value", item => item.IsDeletion ? "(deleted)" : Show.Text(item.Value))),
            name, limit, before);
    }

    // ---- leases ---------------------------------------------------------------------------------------------------------------

    private static Verb Acquire()
    {
        var (name, owner, life) = (Name(), new Argument<string>("owner") { Description = "Who wants it." }, Life());
        return new Verb(
            "acquire", "Takes a lease and prints its token; held by another owner: exit code 1.",
                "cairn state lease acquire writer worker-1 30s", Needs.WriteRun,
            call => Lease(call, call.State.Acquire(call.Get(name), call.Get(owner), call.Get(life)!.Value)),
            name, owner, life);
    }

    private static Verb Renew()
    {
        var (name, token, life) = (Name(), Token(), Life());
        return new Verb(
            "renew", "Makes a held lease last longer; a stale token: exit code 1.", "cairn state lease renew writer 1 30s", Needs.WriteRun,
            call => Lease(call, call.State.Renew(call.Get(name), Counter(call.Get(token)), call.Get(life)!.Value)),
            name, token, life);
    }

    private static Verb Release()
    {
        var (name, token) = (Name(), Token());
        return new Verb(
            "release", "Lets go of a held lease; a stale token: exit code 1.", "cairn state lease release writer 1", Needs.WriteRun,
            call =>
            {
                var released = call.State.Release(call.Get(name), Counter(call.Get(token)));
                return call.Answer(released, released ? "released" : "the token is stale", ("released", released));
            },
            name, token);
    }

    private static int Lease(Call call, LeaseResult lease) => call.Answer(
        lease.IsAcquired,
        lease.IsAcquired ? $"token {lease.Token} until {Show.Time(lease.Expiry)}"
            : lease.Holder is { } holder ? $"held by {holder} until {Show.Time(lease.Expiry)}" : "nobody holds it: acquire it",
        ("acquired", lease.IsAcquired),
        ("token", (long)lease.Token.Value),
        ("holder", lease.Holder),
        ("expiry_us", Show.Microseconds(lease.Expiry)));

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    private static Argument<string> Name() => new("name") { Description = "The cell: 1 to 1,024 bytes of UTF-8, not beginning with $." };

    private static Argument<long> Token() => new("token") { Description = "What acquiring gave." };

    private static Argument<TimeSpan?> Life() => new("time") { Description = "From now on: 500ms, 30s, 10m, 2h, 7d.",
        CustomParser = Parts.ParseDuration };

    private static Option<string?> Prefix() => new("--prefix") { Description = "Only cells whose name begins with this.",
        HelpName = "TEXT" };

    private static Counter Counter(long number) => number >= 0 ? new Counter((ulong)number)
        : throw new UsageException("Counters begin at 0.");

    private static int Found(Call call, bool found, string done) => call.Answer(found, found ? done : "no such cell", ("found", found));

    private static int Wrote(Call call, string name, StateReceipt receipt)
    {
        var counter = receipt.IsCommitted ? receipt.Counter : call.State.Get(name)!.Value.Counter;
        var sequence = receipt.IsCommitted ? receipt.Sequence : Sequence.None;
        return call.Answer(
            call.Text($"counter {counter}", sequence), ("counter", (long)counter.Value), ("sequence", Failures.Number(sequence)));
    }

    internal static (string Name, Value Value)[] Members(string name, StateCell cell) =>
    [
        ("name", name),
        ("value", cell.Value),
        ("counter", (long)cell.Counter.Value),
        ("version", Failures.Number(cell.Version)),
        ("updated_us", Show.Microseconds(cell.UpdatedAt)),
        ("expiry_us", Show.Microseconds(cell.Expiry)),
    ];
}
