using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn kv ...</c>: every operation of the key-value primitive.</summary>
internal static class KvVerbs
{
    internal static Group Group() => new(
        "kv",
        "Key-values of a run: one value of any kind per key.",
        Put(), Get(), Exists(), Delete(), Add(), CompareAndSet(), Increment(), List(), Scan(), Count(), Expire(), Persist(),
        History(), GetMany(), PutMany());

    private static Verb Put()
    {
        var (key, value, type, ttl) = (Parts.Key(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "put", "Writes a value, whatever was there.", "cairn kv put customer Ada\ncairn kv put budget 100 --type int --ttl 7d",
                Needs.WriteRun,
            call => call.Wrote(call.Kv.Put(call.Get(key), ValueText.Read(call, call.Get(value), call.Get(type)!), call.Get(ttl))),
            key, value, type, ttl);
    }

    private static Verb Get()
    {
        var (key, at) = (Parts.Key(), PastTime.Option());
        return new Verb(
            "get", "Prints a value: a String as it is, anything else as JSON; with --json also version, times and expiry.",
            "cairn kv get customer\ncairn kv get customer --at 12\ncairn kv get customer --at 2026-01-31T12:00:00Z", Needs.ReadRun,
            call =>
            {
                var name = call.Get(key);
                if (call.Get(at) is { } past)
                {
                    var value = past.Read(sequence => call.Run.Kv.GetAt(name, sequence), time => call.Run.Kv.GetAt(name, time));
                    return value is { } old
                        ? call.Answer(Show.Text(old), ("key", name), ("found", true), ("value", old))
                        : call.Absent("key", name);
                }

                return call.Run.Kv.GetVersioned(name) is { } found
                    ? call.Answer(Show.Text(found.Value), Show.Members(found, ("key", name), ("found", true)))
                    : call.Absent("key", name);
            },
            key, at);
    }

    private static Verb Exists()
    {
        var key = Parts.Key();
        return new Verb(
            "exists", "Says whether there is such a key: exit code 0 or 1.", "cairn kv exists customer && echo known", Needs.ReadRun,
            call =>
            {
                var exists = call.Run.Kv.Exists(call.Get(key));
                return call.Answer(exists, exists ? "true" : "false", ("key", call.Get(key)), ("found", exists));
            },
            key);
    }

    private static Verb Delete()
    {
        var keys = Keys();
        return new Verb(
            "delete", "Deletes keys, all in one transaction, and prints how many were there.", "cairn kv delete customer draft",
                Needs.WriteRun,
            call =>
            {
                var names = call.Get(keys);
                var count = names.Length == 1 ? (call.Kv.Delete(names[0]) ? 1 : 0) : call.Kv.DeleteMany(names);
                return call.Answer(count > 0, Show.Number(count), ("deleted", count));
            },
            keys);
    }

    private static Verb Add()
    {
        var (key, value, type, ttl) = (Parts.Key(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "add", "Writes a value only if the key is absent; exit code 1 when it was there.", "cairn kv add owner worker-1 --ttl 30s",
                Needs.WriteRun,
            call =>
            {
                var added = call.Kv.TryAdd(call.Get(key), ValueText.Read(call, call.Get(value), call.Get(type)!), call.Get(ttl));
                return call.Answer(added, added ? "added" : "was there", ("added", added));
            },
            key, value, type, ttl);
    }

    private static Verb CompareAndSet()
    {
        var (key, value, type, ttl) = (Parts.Key(), Parts.Value(), ValueText.TypeOption(), Parts.Ttl());
        var version = Parts.Number("--version-is",
            "The key must have this version (kv get --json shows it); 0 = absent. Another one: exit code 4.");
        var expected = new Option<string?>("--value-is") { Description = "The key must have this value, read like the new one. Another "
            + "one: exit code 1.", HelpName = "VALUE" };
        var absent = new Option<bool>("--absent") { Description = "The key must be absent. It is there: exit code 1." };
        return new Verb(
            "cas", "Compare-and-set: writes a value only if the present one is as expected.",
            "cairn kv cas budget 90 --type int --value-is 100\ncairn kv cas customer Eve --version-is 12", Needs.WriteRun,
            call =>
            {
                if ((call.IsGiven(version) ? 1 : 0) + (call.IsGiven(expected) ? 1 : 0) + (call.Get(absent) ? 1 : 0) != 1)
                    throw new UsageException("Give one of --version-is, --value-is and --absent.");
                var next = ValueText.Read(call, call.Get(value), call.Get(type)!);
                if (call.IsGiven(version))
                {
                    var at = call.Get(version) is >= 0 and var number ? (ulong)number
                        : throw new UsageException("--version-is begins at 0.");
                    return call.Wrote(call.Kv.CompareAndSet(call.Get(key), new Sequence(at), next, call.Get(ttl)));
                }

                var old = call.Get(absent) ? default(Value?) : ValueText.Parse(call.Get(expected)!, call.Get(type)!);
                var set = call.Kv.CompareAndSetValue(call.Get(key), old, next, call.Get(ttl));
                return call.Answer(set, set ? "set" : "another value is there", ("set", set));
            },
            key, value, type, version, expected, absent, ttl);
    }

    private static Verb Increment()
    {
        var key = Parts.Key();
        var delta = new Argument<long>("delta") { Description = "May be negative. Default: 1.", DefaultValueFactory = _ => 1 };
        return new Verb(
            "incr", "Adds to an Int64 and prints the sum; an absent key counts as 0.", "cairn kv incr visits\ncairn kv incr budget -10",
                Needs.WriteRun,
            call =>
            {
                var sum = call.Kv.Increment(call.Get(key), call.Get(delta));
                return call.Answer(Show.Plain(sum), ("value", sum));
            },
            key, delta);
    }

    private static Verb List()
    {
        var range = new ScanRange("key", "keys");
        return new Verb(
            "list", "Prints keys in order of their bytes.", "cairn kv list --prefix customer/", Needs.ReadRun,
            call => call.List(
                call.Pages(call.Get(range.Limit), (limit, cursor) => call.Run.Kv.List(range.Options(call, limit, cursor))),
                key => [("key", key)],
                new Column<string>("key", key => key)),
            range.All);
    }

    private static Verb Scan()
    {
        var range = new ScanRange("key", "keys");
        return new Verb(
            "scan", "Prints keys with their values and versions in order of the keys' bytes.", "cairn kv scan --from a --to n --limit 20",
                Needs.ReadRun,
            call => call.List(
                call.Pages(call.Get(range.Limit), (limit, cursor) => call.Run.Kv.Scan(range.Options(call, limit, cursor))),
                pair => Show.Members(pair.Value, ("key", pair.Key)),
                new Column<KeyValuePair<string, Versioned<Value>>>("key", pair => pair.Key),
                new Column<KeyValuePair<string, Versioned<Value>>>("version", pair => pair.Value.Version.ToString(), Justify.Right),
                new Column<KeyValuePair<string, Versioned<Value>>>("value", pair => Show.Text(pair.Value.Value))),
            range.All);
    }

    private static Verb Count()
    {
        var prefix = new Option<string?>("--prefix") { Description = "Counts only keys that begin with this.", HelpName = "TEXT" };
        return new Verb(
            "count", "Prints the number of keys.", "cairn kv count", Needs.ReadRun,
            call =>
            {
                var count = call.Run.Kv.Count(call.Get(prefix));
                return call.Answer(Show.Plain(count), ("count", count));
            },
            prefix);
    }

    private static Verb Expire()
    {
        var key = Parts.Key();
        var life = new Argument<TimeSpan?>("time") { Description = "From now on: 500ms, 30s, 10m, 2h, 7d.",
            CustomParser = Parts.ParseDuration };
        return new Verb(
            "expire", "Changes when a key expires, and nothing else.", "cairn kv expire session 30m", Needs.WriteRun,
            call => Found(call, call.Kv.Expire(call.Get(key), call.Get(life)!.Value)),
            key, life);
    }

    private static Verb Persist()
    {
        var key = Parts.Key();
        return new Verb(
            "persist", "Removes the expiry of a key.", "cairn kv persist session", Needs.WriteRun,
            call => Found(call, call.Kv.Persist(call.Get(key))),
            key);
    }

    private static Verb History()
    {
        var (key, limit, before) = (Parts.Key(), PastTime.Limit(), PastTime.Before());
        return new Verb(
            "history", "Prints the versions of a key, newest first, deletions included.", "cairn kv history customer --limit 5",
            Needs.ReadRun,
            call => call.List(
                PastTime.Versions(
                    call, limit, before, (count, end) => call.Run.Kv.History(call.Get(key), count, end), item => item.Version),
                item =>
                [
                    ("key", call.Get(key)), .. PastTime.Members(item.Version, item.IsDeletion, item.Value, item.Time, item.Expiry),
                ],
                new Column<HistoryItem<Value>>("version", item => item.Version.ToString(), Justify.Right),
                Column<HistoryItem<Value>>.OfTime("time", item => item.Time),
                new Column<HistoryItem<Value>>("value", item => item.IsDeletion ? "(deleted)" : Show.Text(item.Value))),
            key, limit, before);
    }

    private static Verb GetMany()
    {
        var keys = Keys();
        return new Verb(
            "get-many", "Prints several values of one snapshot, in the order asked; exit code 1 when one is absent.",
                "cairn kv get-many customer budget", Needs.ReadRun,
            call =>
            {
                var names = call.Get(keys);
                var pairs = names.Zip(call.Run.Kv.GetMany(names), (key, value) => (Key: key, Value: value)).ToList();
                call.List(
                    pairs,
                    pair => pair.Value is { } value ? [("key", pair.Key), ("found", true), ("value", value)] : [("key", pair.Key),
                        ("found", false)],
                    new Column<(string Key, Value? Value)>("key", pair => pair.Key),
                    new Column<(string Key, Value? Value)>("found", pair => pair.Value is null ? "no" : "yes"),
                    new Column<(string Key, Value? Value)>("value", pair => pair.Value is { } value ? Show.Text(value) : ""));
                return pairs.TrueForAll(pair => pair.Value is not null) ? ExitCodes.Ok : ExitCodes.Negative;
            },
            keys);
    }

    private static Verb PutMany()
    {
        var pairs = new Argument<string[]>("pair")
        {
            Description = "KEY=VALUE, as often as you like; - alone reads a JSON object of keys and values from standard input.",
            Arity = ArgumentArity.OneOrMore,
        };
        var (type, ttl) = (ValueText.TypeOption(), Parts.Ttl());
        return new Verb(
            "put-many", "Writes several values in one transaction: all or nothing.",
            "cairn kv put-many city=Graz country=Austria\necho '{\"a\":1,\"b\":[true]}' | cairn kv put-many -", Needs.WriteRun,
            call =>
            {
                var items = call.Get(pairs) is ["-"]
                    ? [.. ValueText.Members(call.Input, "keys")]
                    : call.Get(pairs).Select(pair => ValueText.Pair(pair, call.Get(type)!, "KEY")).ToList();
                return call.Wrote(call.Kv.PutMany(items, call.Get(ttl)));
            },
            pairs, type, ttl);
    }

    private static Argument<string[]> Keys() => new("key") { Description = "One or more keys.", Arity = ArgumentArity.OneOrMore };

    private static int Found(Call call, bool found) => call.Answer(found, found ? "done" : "no such key", ("found", found));
}
