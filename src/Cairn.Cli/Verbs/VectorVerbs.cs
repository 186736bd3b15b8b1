using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn vector ...</c>: the vectors of a run, in collections, found by likeness.</summary>
internal static class VectorVerbs
{
    internal static Group Group() => new(
        "vector",
        "Vectors of a run: embeddings with metadata in named collections, found by likeness.",
        Create(), Drop(), Collections(), Upsert(), Update(), Get(), Delete(), List(), Count(), Search(), History());

    private static Verb Create()
    {
        var name = Name();
        var dimension = new Argument<int>("dimension") { Description = "Elements of each vector." };
        var metric = OneOf<VectorMetric>("--metric", "How scores are computed");
        var element = OneOf<VectorElement>("--element", "What is stored of each element");
        var index = OneOf<VectorIndexKind>("--index", "How the collection is searched");
        var model = Model("The embedding model of the vectors; others are refused then.");
        return new Verb(
            "create", "Makes a collection. The same once more changes nothing; another one under the name: exit code 3.",
            "cairn vector create notes 384\ncairn vector create images 512 --metric dot --element f16 --model clip-1", Needs.WriteRun,
            call =>
            {
                var made = call.Vectors.CreateCollection(call.Get(name), new VectorDefinition
                {
                    Dimension = call.Get(dimension),
                    Metric = Chosen<VectorMetric>(call, metric),
                    Element = Chosen<VectorElement>(call, element),
                    Index = Chosen<VectorIndexKind>(call, index),
                    Model = call.Get(model),
                });
                return made == Sequence.None && call.Once is null ? call.Answer("was there", ("created", false)) : call.Wrote(made);
            },
            name, dimension, metric, element, index, model);
    }

    private static Verb Drop()
    {
        var name = Name();
        return new Verb(
            "drop", "Deletes a collection with all it holds; no such collection: exit code 1.", "cairn vector drop notes", Needs.WriteRun,
            call => Done(call, call.Vectors.DeleteCollection(call.Get(name)), "deleted"),
            name);
    }

    private static Verb Collections()
    {
        var (range, at) = (new ScanRange("name", "collections"), PastTime.Option());
        return new Verb(
            "collections", "Lists the collections of a run: what each is, and how much it holds.", "cairn vector collections",
            Needs.ReadRun,
            call => Read(call, at, vectors => call.List(
                call.Pages(call.Get(range.Limit), (limit, cursor) => vectors.ListCollections(range.Options(call, limit, cursor))),
                info =>
                [
                    ("name", info.Name), ("dimension", info.Definition.Dimension), ("metric", Word(info.Definition.Metric)),
                    ("element", Word(info.Definition.Element)), ("index", Word(info.Definition.Index)),
                    ("model", info.Definition.Model is { } model ? model : Value.Null), ("count", info.Count), ("bytes", info.Bytes),
                    ("version", Failures.Number(info.Version)),
                ],
                new Column<VectorCollectionInfo>("name", info => info.Name),
                new Column<VectorCollectionInfo>("dimension", info => Show.Plain(info.Definition.Dimension), Justify.Right),
                new Column<VectorCollectionInfo>("metric", info => Word(info.Definition.Metric)),
                new Column<VectorCollectionInfo>("element", info => Word(info.Definition.Element)),
                new Column<VectorCollectionInfo>("model", info => info.Definition.Model ?? "-"),
                new Column<VectorCollectionInfo>("vectors", info => Show.Plain(info.Count), Justify.Right),
                new Column<VectorCollectionInfo>("bytes", info => Show.Plain(info.Bytes), Justify.Right))),
            [.. range.All, at]);
    }

    private static Verb Upsert()
    {
        var (name, key, embedding, ttl) = (Name(), Parts.Key(), Embedding(), Parts.Ttl());
        var metadata = new Option<string?>("--meta") { Description = "Metadata: a JSON object.", HelpName = "JSON" };
        var model = Model("The model that the embedding comes from; another one than the collection's is refused.");
        return new Verb(
            "upsert", "Writes a vector, whatever was there. A collection that is not there is made: this dimension, cosine.",
            "cairn vector upsert notes n1 '[0.1,0.7,0.2]' --meta '{\"topic\":\"refund\"}'\ncairn vector upsert notes n2 - < embedding.json",
            Needs.WriteRun,
            call =>
            {
                var given = call.Get(metadata) is { } text ? Value.FromJson(text) : default(Value?);
                var receipt = call.Vectors[call.Get(name)].Upsert(
                    call.Get(key), Read(call, call.Get(embedding)).Span, given, call.Get(ttl), call.Get(model));
                return call.Wrote(receipt.IsCommitted ? receipt.Version : Sequence.None);
            },
            name, key, embedding, metadata, ttl, model);
    }

    private static Verb Update()
    {
        var (name, key) = (Name(), Parts.Key());
        var patch = new Argument<string>("patch") { Description = "A Merge Patch of the metadata, as JSON; - reads standard input." };
        return new Verb(
            "update", "Changes the metadata of a vector: members of the patch replace, null removes; no such vector: exit code 1.",
            "cairn vector update notes n1 '{\"topic\":null,\"cost\":4}'", Needs.WriteRun,
            call => Done(
                call, call.Vectors[call.Get(name)].UpdateMetadata(
                    call.Get(key), Value.FromJson(call.Get(patch) is "-" ? call.Input : call.Get(patch))), "changed"),
            name, key, patch);
    }

    private static Verb Get()
    {
        var (name, key, at) = (Name(), Parts.Key(), PastTime.Option());
        return new Verb(
            "get", "Prints a vector: its embedding, and with --json id, metadata, versions, times and expiry; absent: exit code 1.",
            "cairn vector get notes n1\ncairn vector get notes n1 --at 12 --json", Needs.ReadRun,
            call => Read(call, at, vectors => vectors[call.Get(name)].Get(call.Get(key)) is { } found
                ? call.Answer(Array(found.Embedding).ToJson(), [("collection", call.Get(name)), .. Members(found)])
                : call.Absent("key", call.Get(key))),
            name, key, at);
    }

    private static Verb Delete()
    {
        var name = Name();
        var keys = new Argument<string[]>("key") { Description = "One or more keys.", Arity = ArgumentArity.OneOrMore };
        return new Verb(
            "delete", "Removes vectors in one transaction, and prints how many there were; none: exit code 1.",
            "cairn vector delete notes n1 n2", Needs.WriteRun,
            call =>
            {
                var deleted = call.Vectors[call.Get(name)].DeleteMany(call.Get(keys));
                return call.Answer(deleted > 0, Show.Plain(deleted), ("deleted", deleted));
            },
            name, keys);
    }

    private static Verb List()
    {
        var (name, range, at) = (Name(), new ScanRange("key", "keys"), PastTime.Option());
        return new Verb(
            "list", "Prints the keys of a collection in order of their bytes.", "cairn vector list notes --prefix n", Needs.ReadRun,
            call => Read(call, at, vectors => call.List(
                call.Pages(
                    call.Get(range.Limit), (limit, cursor) => vectors[call.Get(name)].Keys(range.Options(call, limit, cursor))),
                key => [("key", key)],
                new Column<string>("key", key => key))),
            [name, .. range.All, at]);
    }

    private static Verb Count()
    {
        var (name, at) = (Name(), PastTime.Option());
        return new Verb(
            "count", "Prints the number of vectors in a collection.", "cairn vector count notes", Needs.ReadRun,
            call => Read(call, at, vectors =>
            {
                var count = vectors[call.Get(name)].Count();
                return call.Answer(Show.Plain(count), ("count", count));
            }),
            name, at);
    }

    private static Verb Search()
    {
        var (name, at) = (Name(), PastTime.Option());
        var queries = new Argument<string[]>("query")
        {
            Description = "One or more embeddings, as JSON arrays; - alone reads one from standard input.", Arity = ArgumentArity.OneOrMore,
        };
        var most = new Option<int>("--k")
        {
            Description = "How many matches.", HelpName = "N", DefaultValueFactory = _ => VectorCollectionView.MatchesDefault,
        };
        var filter = new Option<string?>("--filter")
        {
            Description = "Only vectors that it holds for: of their metadata, $key, $version and $time.", HelpName = "FILTER",
        };
        var least = new Option<double?>("--min-score") { Description = "Only this score or a higher one.", HelpName = "SCORE" };
        var aggregate = OneOf<VectorAggregate>("--aggregate", "What several queries make of a vector");
        var budget = new Option<long?>("--budget")
        {
            Description = "At most so many vectors are scored; the answer says if that was not enough.", HelpName = "N",
        };
        var model = Model("The model that the queries come from; another one than the collection's is refused.");
        var metadata = new Option<bool>("--meta") { Description = "With metadata." };
        return new Verb(
            "search", "Prints the vectors that are most like a query: key and score, the best first.",
            "cairn vector search notes '[0.1,0.6,0.1]' --k 5 --filter \"topic = 'refund'\" --meta\n"
                + "cairn vector search notes '[1,0,0]' '[0,1,0]' --aggregate min --min-score 0.5 --json",
            Needs.ReadRun,
            call => Read(call, at, vectors =>
            {
                var result = vectors[call.Get(name)].Search(
                    call.Get(queries).Select(query => Read(call, query)).ToList(), call.Get(most), new VectorSearchOptions
                    {
                        Filter = call.Get(filter) is { } text ? Filter.Parse(text) : null,
                        MinScore = call.Get(least),
                        Aggregate = Chosen<VectorAggregate>(call, aggregate),
                        Budget = call.Get(budget) is { } candidates ? new SearchBudget { Candidates = candidates } : null,
                        Include = call.Get(metadata) || call.IsJson ? VectorParts.Metadata : VectorParts.None,
                        Model = call.Get(model),
                    });
                return Print(call, result, call.Get(metadata));
            }),
            name, queries, most, filter, least, aggregate, budget, model, metadata, at);
    }

    // What is not about one match comes last: a line of its own with --json, and otherwise to standard error.
    private static int Print(Call call, VectorSearchResult result, bool withMetadata)
    {
        Column<VectorMatch>[] columns =
        [
            new("key", match => match.Key),
            new("score", match => match.Score.ToString("R", CultureInfo.InvariantCulture), Justify.Right),
        ];
        if (withMetadata)
            columns = [.. columns, new("metadata", match => match.Metadata?.ToJson() ?? "")];
        call.List(
            result.Matches,
            match =>
            [
                ("key", match.Key), ("score", match.Score), ("id", Id(match.Id)),
                ("metadata", match.Metadata ?? Value.Null),
            ],
            columns);
        if (call.IsJson)
        {
            return call.Answer(
                "", ("complete", result.IsComplete), ("candidates", result.Candidates), ("index", Word(result.Index)),
                ("sequence", Failures.Number(result.Sequence)), ("more", result.Cursor is not null));
        }

        if (!result.IsComplete)
            call.Streams.Error.WriteLine($"cairn: the budget was used up: {result.Candidates} vectors were scored, and others were not");
        return ExitCodes.Ok;
    }

    private static Verb History()
    {
        var (name, key, limit, before) = (Name(), Parts.Key(), PastTime.Limit(), PastTime.Before());
        return new Verb(
            "history", "Prints the versions of a vector, newest first, deletions included.", "cairn vector history notes n1", Needs.ReadRun,
            call => call.List(
                PastTime.Versions(
                    call, limit, before, (count, end) => call.Run.Vectors[call.Get(name)].History(call.Get(key), count, end),
                    item => item.Version),
                item =>
                [
                    ("version", Failures.Number(item.Version)), ("deleted", item.IsDeletion), ("time_us", Show.Microseconds(item.Time)),
                    ("id", item.IsDeletion ? Value.Null : Id(item.Value.Id)),
                    ("embedding", item.IsDeletion ? Value.Null : Array(item.Value.Embedding)),
                    ("metadata", item.IsDeletion ? Value.Null : item.Value.Metadata ?? Value.Null),
                    ("expiry_us", Show.Microseconds(item.Expiry)),
                ],
                new Column<HistoryItem<VectorRecord>>("version", item => item.Version.ToString()),
                Column<HistoryItem<VectorRecord>>.OfTime("time", item => item.Time),
                new Column<HistoryItem<VectorRecord>>(
                    "embedding", item => item.IsDeletion ? "deleted" : Array(item.Value.Embedding).ToJson()),
                new Column<HistoryItem<VectorRecord>>("metadata", item => item.IsDeletion ? "" : item.Value.Metadata?.ToJson() ?? "")),
            name, key, limit, before);
    }

    // ---- parts ------------------------------------------------------------------------------------------------------------------

    private static Argument<string> Name() => new("collection") { Description = "The collection's name." };

    private static Argument<string> Embedding() =>
        new("embedding") { Description = "A JSON array of numbers; - reads standard input." };

    private static Option<string?> Model(string text) => new("--model") { Description = text, HelpName = "NAME" };

    private static Option<string?> OneOf<T>(string name, string text)
        where T : struct, Enum
    {
        var words = Enum.GetValues<T>().Select(Word).ToArray();
        var option = new Option<string?>(name)
        {
            Description = $"{text}: {string.Join(", ", words)}. Default: {words[0]}.", HelpName = "NAME",
        };
        option.AcceptOnlyFromAmong(words);
        return option;
    }

    private static T Chosen<T>(Call call, Option<string?> option)
        where T : struct, Enum => call.Get(option) is { } word ? Enum.Parse<T>(word, ignoreCase: true) : default;

    private static string Word<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();

    private static ReadOnlyMemory<float> Read(Call call, string text)
    {
        var given = Value.FromJson(text is "-" ? call.Input : text);
        if (given.Kind != ValueKind.Array)
            throw new RefusedException(ErrorCode.WrongType, $"An embedding is a JSON array of numbers, and this is {given.Kind}.");
        var vector = new float[given.Count];
        for (var i = 0; i < vector.Length; i++)
        {
            vector[i] = given[i] switch
            {
                { Kind: ValueKind.Float64 } number => (float)number.AsFloat64(),
                { Kind: ValueKind.Int64 } number => number.AsInt64(),
                var other => throw new RefusedException(
                    ErrorCode.WrongType, $"Element {i} of the embedding is {other.Kind}, and no number."),
            };
        }

        return vector;
    }

    private static Value Array(ReadOnlyMemory<float> embedding)
    {
        var numbers = new Value[embedding.Length];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = (double)embedding.Span[i];
        return Value.Array(numbers);
    }

    private static Value Id(VectorId? id) => id is { } known ? (long)known.Value : Value.Null;

    private static (string Name, Value Value)[] Members(VectorRecord found) =>
    [
        ("key", found.Key), ("found", true), ("id", Id(found.Id)), ("embedding", Array(found.Embedding)),
        ("metadata", found.Metadata ?? Value.Null), ("version", Failures.Number(found.Version)),
        ("created", Failures.Number(found.Created)), ("time_us", Show.Microseconds(found.Time)),
        ("expiry_us", Show.Microseconds(found.Expiry)),
    ];

    private static int Done(Call call, bool found, string text) =>
        call.Answer(found, found ? text : "was not there", ("found", found));

    private static int Read(Call call, Option<PastTime?> at, Func<VectorCollectionsView, int> read)
    {
        if (call.Get(at) is not { } moment)
            return read(call.Run.Vectors);
        using var view = moment.Read(call.Run.At, call.Run.At);
        return read(view.Vectors);
    }
}
