using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn graph ...</c>: concepts of a run, and associations between them and anything else of it.</summary>
internal static class GraphVerbs
{
    private static readonly (string Name, AssociationDirection Direction)[] Directions =
        [("out", AssociationDirection.Out), ("in", AssociationDirection.In), ("both", AssociationDirection.Both)];

    internal static Group Group() => new(
        "graph",
        "Concepts of a run, and associations between them and anything else of it.",
        Put(), Get(), Exists(), Delete(), List(), Recent(), Count(),
        Associate(), Dissociate(), Associations(), Degree(), Reach(), Touch(), Feedback());

    // ---- concepts ----------------------------------------------------------------------------------------------------------

    private static Verb Put()
    {
        var id = new Argument<string?>("id")
        {
            Description = "1 to 1,024 bytes of UTF-8, not beginning with $. Without one the content gives it.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var content = new Option<string?>("--content")
        {
            Description = "What is known, as text; - reads standard input.", HelpName = "TEXT",
        };
        var type = new Option<string?>("--type")
        {
            Description = "What kind of thing it is.", HelpName = "NAME",
        };
        var noType = new Option<bool>("--no-type") { Description = "Takes the type away." };
        var attributes = new Option<string?>("--attributes")
        {
            Description = "A JSON object in place of all attributes; {} takes them away.", HelpName = "JSON",
        };
        var (strength, confidence) = (Share("--strength", "Base strength, 0 to 1."), Share("--confidence", "Confidence, 0 to 1."));
        var decay = new Option<ConceptDecay?>("--decay")
        {
            Description = "How the strength fades: none, exponential[:HOURS], power[:EXPONENT], two-stage.",
            HelpName = "HOW",
            CustomParser = ParseDecay,
        };
        return new Verb(
            "put", "Makes a concept, or changes what is given of one, and prints its id.",
            "cairn graph put ada --type person --content 'Ada Byron, pays in store credit'\n"
                + "cairn graph put --content 'Refunds take 3 days'",
            Needs.WriteRun,
            call =>
            {
                var fields = new ConceptFields
                {
                    Content = call.Get(content) is "-" ? call.Input : call.Get(content),
                    Type = call.Get(type),
                    ClearsType = call.Get(noType),
                    Attributes = call.Get(attributes) is { } json ? Value.FromJson(json) : default(Value?),
                    Strength = call.Get(strength),
                    Confidence = call.Get(confidence),
                    Decay = call.Get(decay),
                };
                var name = call.Get(id);
                if (name is null)
                    name = call.Graph.PutConcept(fields);
                else
                    call.Graph.PutConcept(name, fields);
                return call.Answer(name, ("id", name));
            },
            id, content, type, noType, attributes, strength, confidence, decay);
    }

    private static Verb Get()
    {
        var (id, at) = (Id(), PastTime.Option());
        return new Verb(
            "get", "Prints a concept, with its strength as it is now.", "cairn graph get ada\ncairn graph get ada --at 12", Needs.ReadRun,
            call => Read(call, at, (graph, now) =>
            {
                if (graph.GetConcept(call.Get(id)) is not { } concept)
                    return call.Absent("id", call.Get(id));
                (string Name, Value Value)[] members = [.. Members(concept), ("strength_now", Math.Round(concept.StrengthAt(now), 6))];
                return call.Figures(
                    Value.Object([.. members, ("found", true)]), members.Select(member => (member.Name, Show.Text(member.Value))));
            }),
            id, at);
    }

    private static Verb Exists()
    {
        var (id, at) = (Id(), PastTime.Option());
        return new Verb(
            "exists", "Says whether there is such a concept: exit code 0 or 1.", "cairn graph exists ada", Needs.ReadRun,
            call => Read(call, at, (graph, _) =>
            {
                var exists = graph.Exists(call.Get(id));
                return call.Answer(exists, exists ? "true" : "false", ("id", call.Get(id)), ("found", exists));
            }),
            id, at);
    }

    private static Verb Delete()
    {
        var id = Id();
        return new Verb(
            "delete", "Takes a concept away, with all its associations; exit code 1 when there is none.", "cairn graph delete ada",
            Needs.WriteRun,
            call =>
            {
                var wasThere = call.Graph.DeleteConcept(call.Get(id));
                return call.Answer(wasThere, wasThere ? "deleted" : "was not there", ("id", call.Get(id)), ("found", wasThere));
            },
            id);
    }

    private static Verb List()
    {
        var (range, at) = (new ScanRange("id", "ids"), PastTime.Option());
        var type = new Option<string?>("--type") { Description = "Only concepts of this type.", HelpName = "NAME" };
        return new Verb(
            "list", "Lists concepts in order of their ids.", "cairn graph list --type person --limit 20", Needs.ReadRun,
            call => Read(call, at, (graph, _) => Concepts(call, call.Get(range.Limit), (limit, cursor) => call.Get(type) is { } kind
                ? graph.ListConcepts(kind, range.Options(call, limit, cursor))
                : graph.ListConcepts(range.Options(call, limit, cursor)))),
            [.. range.All, type, at]);
    }

    private static Verb Recent()
    {
        var (limit, at) = (Parts.Limit("concepts"), PastTime.Option());
        return new Verb(
            "recent", "Lists concepts by when they were made, the newest first.", "cairn graph recent --limit 10", Needs.ReadRun,
            call => Read(call, at, (graph, _) => Concepts(call, call.Get(limit), graph.Recent)),
            limit, at);
    }

    private static int Concepts(Call call, int? limit, Func<int, string?, Page<Concept>> read) => call.List(
        call.Pages(limit, read), Members,
        new Column<Concept>("id", concept => concept.Id),
        new Column<Concept>("type", concept => concept.Type ?? "-"),
        new Column<Concept>("strength", concept => Number(concept.Strength), Justify.Right),
        new Column<Concept>("content", concept => concept.Content ?? ""));

    private static Verb Count()
    {
        var at = PastTime.Option();
        return new Verb(
            "count", "Prints the numbers of concepts and of associations.", "cairn graph count", Needs.ReadRun,
            call => Read(call, at, (graph, _) =>
            {
                var (concepts, associations) = (graph.Count(), graph.CountAssociations());
                return call.Figures(
                    Value.Object(("concepts", concepts), ("associations", associations)),
                    [("concepts", Show.Plain(concepts)), ("associations", Show.Plain(associations))]);
            }),
            at);
    }

    // ---- associations ------------------------------------------------------------------------------------------------------

    private static Verb Associate()
    {
        var (source, type, target) = Ends();
        var (weight, confidence) = (
            new Option<double?>("--weight") { Description = "0 or more. Default: 1.", HelpName = "N" },
            Share("--confidence", "0 to 1. Default: 1."));
        var (from, to) = (Parts.Time("--valid-from", "From when on it holds."), Parts.Time("--valid-to", "Until when, exclusive."));
        var attributes = new Option<string?>("--attributes") { Description = "A JSON object.", HelpName = "JSON" };
        var symmetric = new Option<bool>("--symmetric") { Description = "It leads both ways." };
        var missing = new Option<MissingEnd>("--missing")
        {
            Description = "A concept at an end that is not there: stub makes it, reject refuses, allow writes all the same.",
            HelpName = "HOW",
        };
        return new Verb(
            "associate", "Writes an association from one end to another, over one of the same ends and type.",
            "cairn graph associate ada prefers store-credit --confidence 0.9\ncairn graph associate '$kv/invoice/4711' names ada",
            Needs.WriteRun,
            call => call.Wrote(call.Graph.Associate(
                End(call.Get(source)), call.Get(type), End(call.Get(target)),
                new AssociationOptions
                {
                    Weight = call.Get(weight) ?? 1,
                    Confidence = call.Get(confidence) ?? 1,
                    ValidFrom = call.Get(from),
                    ValidTo = call.Get(to),
                    Attributes = call.Get(attributes) is { } json ? Value.FromJson(json) : default(Value?),
                    IsSymmetric = call.Get(symmetric),
                    MissingEnd = call.Get(missing),
                })),
            source, type, target, weight, confidence, from, to, attributes, symmetric, missing);
    }

    private static Verb Dissociate()
    {
        var (source, type, target) = Ends();
        return new Verb(
            "dissociate", "Takes an association away; exit code 1 when there is none.", "cairn graph dissociate ada prefers store-credit",
            Needs.WriteRun,
            call =>
            {
                var wasThere = call.Graph.Dissociate(End(call.Get(source)), call.Get(type), End(call.Get(target)));
                return call.Answer(wasThere, wasThere ? "dissociated" : "was not there", ("found", wasThere));
            },
            source, type, target);
    }

    private static Verb Associations()
    {
        var (end, at) = (EndArgument("end"), PastTime.Option());
        var direction = Direction();
        var types = new Option<string[]>("--type") { Description = "Of this type; may be given often.", HelpName = "NAME" };
        var confidence = Share("--min-confidence", "With at least this confidence, 0 to 1.");
        var valid = Parts.Time("--valid-at", "That hold at this time.");
        var filter = new Option<string?>("--filter") { Description = "A filter, such as \"weight > 2\".", HelpName = "FILTER" };
        var limit = Parts.Limit("associations");
        return new Verb(
            "associations", "Lists the associations of an end, in order of type and other end.",
            "cairn graph associations ada --direction both --min-confidence 0.5", Needs.ReadRun,
            call => Read(call, at, (graph, _) => call.List(
                call.Pages(call.Get(limit), (size, cursor) => graph.Associations(End(call.Get(end)), new AssociationQuery
                {
                    Direction = call.Get(direction),
                    Types = call.Get(types) is { Length: > 0 } names ? names : null,
                    MinConfidence = call.Get(confidence) ?? 0,
                    ValidAt = call.Get(valid),
                    Filter = call.Get(filter) is { } text ? Filter.Parse(text, call.Database.Limits) : null,
                    Limit = size,
                    Cursor = cursor,
                })),
                Members,
                new Column<Association>("source", found => Text(found.Source)),
                new Column<Association>("type", found => found.Type),
                new Column<Association>("target", found => Text(found.Target)),
                new Column<Association>("both ways", found => found.IsSymmetric ? "yes" : "no"),
                new Column<Association>("weight", found => Number(found.Weight), Justify.Right),
                new Column<Association>("confidence", found => Number(found.Confidence), Justify.Right))),
            end, direction, types, confidence, valid, filter, limit, at);
    }

    private static Verb Degree()
    {
        var (end, at) = (EndArgument("end"), PastTime.Option());
        return new Verb(
            "degree", "Prints how many associations an end has.", "cairn graph degree ada", Needs.ReadRun,
            call => Read(call, at, (graph, _) =>
            {
                var degree = graph.Degree(End(call.Get(end)));
                (string Name, long Number)[] numbers =
                    [("out", degree.Out), ("in", degree.In), ("symmetric", degree.Symmetric), ("total", degree.Total)];
                return call.Figures(
                    Value.Object([.. numbers.Select(number => (number.Name, (Value)number.Number))]),
                    numbers.Select(number => (number.Name, Show.Plain(number.Number))));
            }),
            end, at);
    }

    private static Verb Reach()
    {
        var (start, at) = (EndArgument("start"), PastTime.Option());
        var depth = new Option<int>("--depth")
        {
            Description = "Most steps. Default: 2.", HelpName = "N", DefaultValueFactory = _ => new ReachOptions().Depth,
        };
        var direction = Direction();
        var types = new Option<string[]>("--type") { Description = "Over this type; may be given often.", HelpName = "NAME" };
        var confidence = Share("--min-confidence", "Over those with at least this confidence, 0 to 1.");
        var valid = Parts.Time("--valid-at", "Over those that hold at this time.");
        var limit = Parts.Limit("things");
        return new Verb(
            "reach", "Lists what associations lead to, nearest first; exit code 1 when the budget ran out before that was all.",
            "cairn graph reach ada --depth 3 --direction both", Needs.ReadRun,
            call => Read(call, at, (graph, _) =>
            {
                var reached = graph.Reachable(End(call.Get(start)), new ReachOptions
                {
                    Depth = call.Get(depth),
                    Direction = call.Get(direction),
                    Types = call.Get(types) is { Length: > 0 } names ? names : null,
                    MinConfidence = call.Get(confidence) ?? 0,
                    ValidAt = call.Get(valid),
                    ThingsMax = call.Get(limit) ?? 0,
                });
                call.List(
                    reached.Things,
                    found =>
                    [
                        ("thing", Text(found.Thing)), ("depth", found.Depth), ("through", Text(found.Through)), ("type", found.Type),
                    ],
                    new Column<ReachedThing>("depth", found => Show.Plain(found.Depth), Justify.Right),
                    new Column<ReachedThing>("thing", found => Text(found.Thing)),
                    new Column<ReachedThing>("type", found => found.Type),
                    new Column<ReachedThing>("through", found => Text(found.Through)));
                var isAsked = call.Get(limit) is not null && reached.Outcome == GraphOutcome.ThingsExhausted;
                if (isAsked || reached.Outcome == GraphOutcome.Complete)
                    return ExitCodes.Ok;
                call.Streams.Error.WriteLine($"cairn: there is more: {Exhausted(reached)} ran out");
                return ExitCodes.Negative;
            }),
            start, depth, direction, types, confidence, valid, limit, at);
    }

    private static string Exhausted(Reached reached) => reached.Outcome switch
    {
        GraphOutcome.ThingsExhausted => $"the number of things ({nameof(Limits.GraphThingsMax)})",
        GraphOutcome.AssociationsExhausted => $"the number of associations read ({nameof(Limits.GraphAssociationsMax)})",
        _ => $"the time ({nameof(Limits.GraphTimeMax)})",
    };

    // ---- use ---------------------------------------------------------------------------------------------------------------

    private static Verb Touch()
    {
        var ids = new Argument<string[]>("id") { Description = "One or more concepts.", Arity = ArgumentArity.OneOrMore };
        return new Verb(
            "touch", "Records that concepts were used; those that are not there are passed over.", "cairn graph touch ada store-credit",
            Needs.WriteRun, call => call.Wrote(call.Graph.Touch(call.Get(ids))), ids);
    }

    private static Verb Feedback()
    {
        var accepted = new Option<string[]>("--accepted")
        {
            Description = "One that was of use, and its rank in the answer; may be given often.", HelpName = "ID=RANK",
        };
        var rejected = new Option<string[]>("--rejected") { Description = "One that was of none; may be given often.", HelpName = "ID" };
        return new Verb(
            "feedback", "Records which concepts of an answer were of use.", "cairn graph feedback --accepted ada=1 --rejected eve",
            Needs.WriteRun,
            call => call.Wrote(call.Graph.Feedback(
                [.. (call.Get(accepted) ?? []).Select(Ranked)], call.Get(rejected) ?? [])),
            accepted, rejected);
    }

    private static KeyValuePair<string, int> Ranked(string text)
    {
        var mark = text.LastIndexOf('=');
        return mark > 0 && int.TryParse(text.AsSpan(mark + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var rank)
            ? new(text[..mark], rank)
            : throw new UsageException($"'{text}' is no ID=RANK, such as ada=1.");
    }

    // ---- parts -------------------------------------------------------------------------------------------------------------

    // The past is a view of the run, which takes memory until everything that was asked of it is printed.
    private static int Read(Call call, Option<PastTime?> at, Func<ConceptGraphView, DateTimeOffset, int> read)
    {
        if (call.Get(at) is not { } past)
        {
            using var snapshot = call.Run.Snapshot();
            return read(snapshot.Graph, snapshot.Time);
        }

        using var view = past.Read(call.Run.At, call.Run.At);
        return read(view.Graph, view.Time);
    }

    private static Argument<string> Id() => new("id") { Description = "1 to 1,024 bytes of UTF-8, not beginning with $." };

    private static (Argument<string> Source, Argument<string> Type, Argument<string> Target) Ends() =>
        (EndArgument("source"), new Argument<string>("type") { Description = "What it says: a name." }, EndArgument("target"));

    private static Argument<string> EndArgument(string name) => new(name)
    {
        Description = "The id of a concept, or the address of something else behind a $: '$kv/invoice/4711', '$events/#12'.",
    };

    private static ItemAddress End(string text) => !text.StartsWith('$') ? ItemAddress.OfConcept(text)
        : ItemAddress.TryParse(text[1..], out var address) ? address
        : throw new UsageException(
            $"'{text}' is no address. Write '$kv/KEY', '$json/ID', '$state/NAME', '$events/#NUMBER' or '$traces/ID'.");

    private static string Text(ItemAddress end) => end.Primitive == "graph" ? end.Key : "$" + end;

    private static Option<double?> Share(string name, string what) => new(name) { Description = what, HelpName = "N" };

    private static Option<AssociationDirection> Direction() => new("--direction")
    {
        Description = "Seen from the end: out (default), in or both; symmetric ones are in each.",
        HelpName = "WAY",
        CustomParser = ParseDirection,
    };

    private static AssociationDirection ParseDirection(ArgumentResult result)
    {
        foreach (var (name, direction) in Directions)
        {
            if (result.Tokens[^1].Value == name)
                return direction;
        }

        result.AddError($"'{result.Tokens[^1].Value}' is no direction. Write out, in or both.");
        return default;
    }

    private static ConceptDecay? ParseDecay(ArgumentResult result)
    {
        var text = result.Tokens[^1].Value;
        var mark = text.IndexOf(':', StringComparison.Ordinal);
        var (name, parameter) = mark < 0 ? (text, null) : (text[..mark], text[(mark + 1)..]);
        var number = 0.0;
        if (parameter is null || (name is "exponential" or "power" && TryNumber(parameter, out number)))
        {
            switch (name)
            {
                case "none":
                    return ConceptDecay.None;
                case "two-stage":
                    return ConceptDecay.TwoStage;
                case "exponential":
                    return parameter is null ? ConceptDecay.Exponential() : ConceptDecay.Exponential(number);
                case "power":
                    return parameter is null ? ConceptDecay.Power() : ConceptDecay.Power(number);
            }
        }

        result.AddError($"'{text}' is no decay. Write none, exponential, exponential:2.5, power, power:0.2 or two-stage.");
        return null;
    }

    private static bool TryNumber(string text, out double number) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out number) && double.IsFinite(number) && number > 0;

    private static string Number(double number) => number.ToString("0.######", CultureInfo.InvariantCulture);

    private static (string Name, Value Value)[] Members(Concept concept) =>
    [
        ("id", concept.Id),
        ("type", concept.Type is { } type ? type : Value.Null),
        ("content", concept.Content is { } content ? content : Value.Null),
        ("attributes", concept.Attributes),
        ("strength", concept.Strength),
        ("confidence", concept.Confidence),
        ("decay", concept.Decay.ToString()),
        ("accesses", concept.Accesses),
        ("last_access_us", Show.Microseconds(concept.LastAccess)),
        ("feedback", concept.Feedback),
        ("created_us", Show.Microseconds(concept.Created)),
        ("version", Failures.Number(concept.Version)),
    ];

    private static (string Name, Value Value)[] Members(Association found) =>
    [
        ("source", Text(found.Source)),
        ("type", found.Type),
        ("target", Text(found.Target)),
        ("weight", found.Weight),
        ("confidence", found.Confidence),
        ("symmetric", found.IsSymmetric),
        ("valid_from_us", Show.Microseconds(found.ValidFrom)),
        ("valid_to_us", Show.Microseconds(found.ValidTo)),
        ("attributes", found.Attributes),
        ("version", Failures.Number(found.Version)),
    ];
}
