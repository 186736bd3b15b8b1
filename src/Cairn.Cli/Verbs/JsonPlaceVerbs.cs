using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary>The verbs of <c>cairn json ...</c> that ask or change a place of a document.</summary>
internal static class JsonPlaceVerbs
{
    // ---- questions ------------------------------------------------------------------------------------------------------------

    internal static Verb Exists()
    {
        var (id, path, at) = (JsonVerbs.Id(), JsonVerbs.OptionalPath(), PastTime.Option());
        return new Verb(
            "exists", "Says whether there is such a document, or such a place in it: exit code 0 or 1.",
            "cairn json exists plan /owner && echo taken", Needs.ReadRun,
            call => JsonVerbs.Read(call, at, documents =>
            {
                var place = JsonVerbs.Place(call, path);
                var exists = documents.Exists(call.Get(id), place);
                return call.Answer(
                    exists, exists ? "true" : "false", ("id", call.Get(id)), ("path", place.ToString()), ("found", exists));
            }),
            id, path, at);
    }

    internal static Verb Kind() => Question(
        "kind", "Prints the kind of a document, or of what stands at a place of it.", "cairn json kind plan /steps",
        (documents, id, place) => documents.KindOf(id, place) is { } kind ? kind.ToString() : default(Value?));

    internal static Verb Length() => Question(
        "length", "Prints the length of an array.", "cairn json length plan /steps",
        (documents, id, place) => documents.ArrayLength(id, place) is { } length ? length : default(Value?));

    internal static Verb Keys()
    {
        var (id, path, at) = (JsonVerbs.Id(), JsonVerbs.OptionalPath(), PastTime.Option());
        return new Verb(
            "keys", "Prints the names of an object's members in order of their bytes.", "cairn json keys plan /owner", Needs.ReadRun,
            call => JsonVerbs.Read(call, at, documents =>
            {
                var place = JsonVerbs.Place(call, path);
                return documents.ObjectKeys(call.Get(id), place) is { } names
                    ? call.List(names, name => [("name", name)], new Column<string>("name", name => name))
                    : JsonVerbs.Absent(call, call.Get(id), place);
            }),
            id, path, at);
    }

    private static Verb Question(string name, string what, string example, Func<JsonView, string, DocumentPath, Value?> ask)
    {
        var (id, path, at) = (JsonVerbs.Id(), JsonVerbs.OptionalPath(), PastTime.Option());
        return new Verb(
            name, what, example, Needs.ReadRun,
            call => JsonVerbs.Read(call, at, documents =>
            {
                var place = JsonVerbs.Place(call, path);
                return ask(documents, call.Get(id), place) is { } answer
                    ? call.Answer(
                        Show.Text(answer), ("id", call.Get(id)), ("path", place.ToString()), ("found", true), (name, answer))
                    : JsonVerbs.Absent(call, call.Get(id), place);
            }),
            id, path, at);
    }

    // ---- changes --------------------------------------------------------------------------------------------------------------

    internal static Verb Set()
    {
        var (id, path, value, type) = (JsonVerbs.Id(), JsonVerbs.Path(), JsonVerbs.Value(), JsonVerbs.Type());
        return new Verb(
            "set", "Writes what stands at a place, whatever was there; makes the document and the objects on the way where they are "
                + "missing.",
            "cairn json set plan /owner/name ada --type string\ncairn json set plan '$.steps[0].done' true", Needs.WriteRun,
            call => call.Wrote(call.Json.Set(call.Get(id), call.Get(path), JsonVerbs.Given(call, call.Get(value), type))),
            id, path, value, type);
    }

    internal static Verb SetMany()
    {
        var (id, type) = (JsonVerbs.Id(), JsonVerbs.Type());
        var pairs = new Argument<string[]>("pair")
        {
            Description = "PATH=VALUE, as often as you like, done in order; - alone reads a JSON array of {\"path\",\"value\"} from "
                + "standard input.",
            Arity = ArgumentArity.OneOrMore,
        };
        return new Verb(
            "set-many", "Writes several places of a document in one transaction, in order: all or nothing.",
            "cairn json set-many plan /cost=3 /steps/0/done=true", Needs.WriteRun,
            call =>
            {
                var places = call.Get(pairs) is ["-"]
                    ? Places(call.Input)
                    : call.Get(pairs).Select(pair => JsonVerbs.Given(call, pair, "PATH", type))
                        .Select(pair => KeyValuePair.Create(DocumentPath.Parse(pair.Key), pair.Value)).ToList();
                return call.Wrote(call.Json.SetMany(call.Get(id), places));
            },
            id, pairs, type);
    }

    internal static Verb Delete()
    {
        var (id, path) = (JsonVerbs.Id(), JsonVerbs.OptionalPath());
        return new Verb(
            "delete", "Removes a document, or what stands at a place of it; behind an element the others move up.",
            "cairn json delete draft\ncairn json delete plan /steps/0", Needs.WriteRun,
            call =>
            {
                var found = call.Get(path) is { } place
                    ? call.Json.Delete(call.Get(id), DocumentPath.Parse(place))
                    : call.Json.Delete(call.Get(id));
                return call.Answer(found, found ? "deleted" : "was not there", ("found", found));
            },
            id, path);
    }

    internal static Verb Patch()
    {
        var id = JsonVerbs.Id();
        var patch = new Argument<string>("patch") { Description = "A JSON Patch (RFC 6902); - reads standard input." };
        return new Verb(
            "patch", "Applies a JSON Patch to a document: all operations in order, or none. A test that fails: exit code 4.",
            "cairn json patch plan '[{\"op\":\"test\",\"path\":\"/cost\",\"value\":3},{\"op\":\"remove\",\"path\":\"/cost\"}]'",
            Needs.WriteRun,
            call => call.Wrote(call.Json.Patch(call.Get(id), JsonPatch.FromValue(ValueText.Read(call, call.Get(patch), "json")))),
            id, patch);
    }

    internal static Verb Merge()
    {
        var id = JsonVerbs.Id();
        var patch = new Argument<string>("patch") { Description = "A Merge Patch (RFC 7396); - reads standard input." };
        var path = new Option<string?>("--path")
        {
            Description = "The place that is patched, made where it is missing. Default: the whole document, which must be there.",
            HelpName = "PATH",
        };
        return new Verb(
            "merge", "Applies a Merge Patch: members of it replace, null removes.",
            "cairn json merge plan '{\"owner\":null,\"cost\":4}'\ncairn json merge plan '{\"name\":\"eve\"}' --path /owner", Needs.WriteRun,
            call => call.Wrote(call.Json.Merge(
                call.Get(id), call.Get(path) is { } place ? DocumentPath.Parse(place) : DocumentPath.Root,
                ValueText.Read(call, call.Get(patch), "json"))),
            id, patch, path);
    }

    internal static Verb CompareAndSet()
    {
        var (id, path, value, type) = (JsonVerbs.Id(), JsonVerbs.Path(), JsonVerbs.Value(), JsonVerbs.Type());
        var version = Parts.Number("--version-is",
            "The document must have this version (json get --json shows it); 0 = absent. Another one: exit code 4.");
        var expected = new Option<string?>("--value-is") { Description = "This value must stand at the place, read like the new one. "
            + "Another one: exit code 1.", HelpName = "VALUE" };
        var absent = new Option<bool>("--absent") { Description = "Nothing may stand at the place. Something does: exit code 1." };
        return new Verb(
            "cas", "Compare-and-set: writes a place only if the document, or what stands there, is as expected.",
            "cairn json cas plan /status '\"done\"' --value-is '\"open\"'\ncairn json cas plan /cost 4 --version-is 12", Needs.WriteRun,
            call =>
            {
                if ((call.IsGiven(version) ? 1 : 0) + (call.IsGiven(expected) ? 1 : 0) + (call.Get(absent) ? 1 : 0) != 1)
                    throw new UsageException("Give one of --version-is, --value-is and --absent.");
                var (place, next) = (DocumentPath.Parse(call.Get(path)), JsonVerbs.Given(call, call.Get(value), type));
                if (call.IsGiven(version))
                {
                    var at = call.Get(version) is >= 0 and var number ? (ulong)number
                        : throw new UsageException("--version-is begins at 0.");
                    return call.Wrote(call.Json.CompareAndSet(call.Get(id), new Sequence(at), place, next));
                }

                var old = call.Get(absent) ? default(Value?) : ValueText.Parse(call.Get(expected)!, call.Get(type)!);
                var set = call.Json.CompareAndSetAt(call.Get(id), place, old, next);
                return call.Answer(set, set ? "set" : "something else is there", ("set", set));
            },
            id, path, value, type, version, expected, absent);
    }

    // ---- arrays, numbers, texts -----------------------------------------------------------------------------------------------

    internal static Verb Append()
    {
        var (id, path, values, type) = (JsonVerbs.Id(), JsonVerbs.Path(), Values(), JsonVerbs.Type());
        return new Verb(
            "append", "Puts values behind the last element of an array.", "cairn json append plan /steps '{\"title\":\"search\"}'",
            Needs.WriteRun,
            call => call.Wrote(call.Json.ArrayAppend(
                call.Get(id), call.Get(path), ReadAll(call, call.Get(values), type))),
            id, path, values, type);
    }

    internal static Verb Insert()
    {
        var (id, path, values, type) = (JsonVerbs.Id(), JsonVerbs.Path(), Values(), JsonVerbs.Type());
        var index = new Argument<long>("index") { Description = "Before which element, from 0; negative counts from the end." };
        return new Verb(
            "insert", "Puts values into an array, before an element.", "cairn json insert plan /steps 0 '{\"title\":\"ask\"}'",
            Needs.WriteRun,
            call => call.Wrote(call.Json.ArrayInsert(
                call.Get(id), call.Get(path), call.Get(index), ReadAll(call, call.Get(values), type))),
            id, path, index, values, type);
    }

    internal static Verb Remove()
    {
        var (id, path) = (JsonVerbs.Id(), JsonVerbs.Path());
        var index = new Argument<long>("index") { Description = "The first, from 0; negative counts from the end." };
        var count = new Argument<int>("count") { Description = "How many. Default: 1.", DefaultValueFactory = _ => 1 };
        return new Verb(
            "remove", "Takes elements out of an array; those behind them move up.", "cairn json remove plan /steps 0\n"
                + "cairn json remove plan /steps -2 2", Needs.WriteRun,
            call =>
            {
                if (call.Get(count) < 1)
                    throw new UsageException("A count begins at 1.");
                return call.Wrote(call.Json.ArrayRemove(call.Get(id), call.Get(path), call.Get(index), call.Get(count)));
            },
            id, path, index, count);
    }

    internal static Verb Pop()
    {
        var (id, path) = (JsonVerbs.Id(), JsonVerbs.Path());
        return new Verb(
            "pop", "Takes the last element out of an array and prints it; an empty one: exit code 1.", "cairn json pop plan /queue",
            Needs.WriteRun,
            call => call.Json.ArrayPop(call.Get(id), call.Get(path)) is { } popped
                ? call.Answer(Show.Text(popped), ("id", call.Get(id)), ("found", true), ("value", popped))
                : call.Absent("id", call.Get(id)),
            id, path);
    }

    internal static Verb Increment()
    {
        var (id, path) = (JsonVerbs.Id(), JsonVerbs.Path());
        var delta = new Argument<string>("delta") { Description = "A number as JSON, may be negative. Default: 1.",
            DefaultValueFactory = _ => "1" };
        return new Verb(
            "incr", "Adds to a number and prints the sum: exactly between integers; what is missing counts as 0.",
            "cairn json incr plan /cost\ncairn json incr plan /cost -2.5", Needs.WriteRun,
            call =>
            {
                var sum = call.Json.Increment(call.Get(id), call.Get(path), ValueText.Parse(call.Get(delta), "json"));
                return call.Answer(sum.ToJson(), ("value", sum));
            },
            id, path, delta);
    }

    internal static Verb AppendText()
    {
        var (id, path) = (JsonVerbs.Id(), JsonVerbs.Path());
        var text = new Argument<string>("text") { Description = "What comes behind, exactly as given; - reads standard input." };
        return new Verb(
            "append-text", "Puts a text behind the one that stands at a place; where nothing does, it is written there.",
            "cairn json append-text plan /notes 'asked the customer. '", Needs.WriteRun,
            call => call.Wrote(call.Json.StringAppend(
                call.Get(id), call.Get(path), ValueText.Read(call, call.Get(text), "string").AsString())),
            id, path, text);
    }

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    private static Argument<string[]> Values() => new("value")
    {
        Description = "One or more, each JSON unless --type says otherwise; - alone reads one from standard input.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private static Value[] ReadAll(Call call, string[] texts, Option<string> type) => texts is [] or ["-"]
        ? [JsonVerbs.Given(call, texts is [var only] ? only : null, type)]
        : [.. texts.Select(text => text == "-"
            ? throw new UsageException("- stands alone: standard input is one value.")
            : JsonVerbs.Given(call, text, type))];

    private static List<KeyValuePair<DocumentPath, Value>> Places(string json)
    {
        if (Value.FromJson(json) is not { Kind: ValueKind.Array } array)
            throw NoPlaces();
        return array.AsArray().Select(item =>
            item.Kind == ValueKind.Object && item.Count == 2 && item.TryGetMember("path", out var path) && path.Kind == ValueKind.String
                && item.TryGetMember("value", out var value)
                ? KeyValuePair.Create(DocumentPath.Parse(path.AsString()), value)
                : throw NoPlaces()).ToList();
    }

    private static RefusedException NoPlaces() =>
        new(ErrorCode.WrongType, "Standard input must be a JSON array of objects with the members \"path\" and \"value\".");
}
