using System.Globalization;
using Cairn.Primitives;
using Cairn.Search;
using Cairn.Tests.Primitives;
using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Search;

/// <summary>Random histories, and searches that have to give what a search in plain lists gives: live, in snapshots, in transactions, in
/// forks, in the past and after opening again.</summary>
[Trait("Promise", "G12")]
[Trait("Requirement", "SRCH-28")]
[Trait("Requirement", "SRCH-10")]
public class KeywordSearchModelTests
{
    private static readonly string[] Words =
    [
        "refund", "refunds", "store", "credit", "the", "of", "ada", "Preferences", "prefer", "東京都", "long-term", "x", "4711", "été",
        "storage",
    ];

    [Theory]
    [MemberData(nameof(ModeDatabase.Modes), MemberType = typeof(ModeDatabase))]
    [Trait("Kind", "Random")]
    public void Searches_equal_those_in_plain_lists(Durability mode)
    {
        var random = new Random((int)Seeds.Begin(nameof(Searches_equal_those_in_plain_lists)));
        var rounds = Seeds.Scaled(6);
        for (var round = 0; round < rounds; round++)
        {
            using var world = new ModeDatabase(mode, new() { Retention = Retention.KeepAll });
            Live(world, random, isIndexed: false);
        }
    }

    // The index is asked for, steps, lags, is dropped and begins again, at random moments; each answer has the bits of a scan.
    [Theory]
    [MemberData(nameof(ModeDatabase.Modes), MemberType = typeof(ModeDatabase))]
    [Trait("Requirement", "SRCH-29")]
    [Trait("Requirement", "SRCH-30")]
    [Trait("Kind", "Random")]
    public void An_index_changes_no_bit_of_an_answer(Durability mode)
    {
        var random = new Random((int)Seeds.Begin(nameof(An_index_changes_no_bit_of_an_answer)));
        var rounds = Seeds.Scaled(6);
        var byIndex = 0;
        for (var round = 0; round < rounds; round++)
        {
            using var world = new ModeDatabase(mode, new() { Retention = Retention.KeepAll });
            byIndex += Live(world, random, isIndexed: true);
        }

        Assert.True(byIndex > rounds, "hardly any search used an index");
    }

    // How many searches used an index.
    private static int Live(ModeDatabase world, Random random, bool isIndexed)
    {
        var byIndex = 0;
        var id = world.Db.Runs.Begin("run").Id;
        var model = new PlainRun();
        var past = new List<(Sequence At, PlainRun Model)>();
        for (var step = 0; step < 60; step++)
        {
            var run = world.Db.Runs.Get(id)!;
            world.Clock.Microseconds += random.Next(3_000_000);
            if (random.Next(4) == 0)
            {
                // A transaction finds what it has written, and what it wrote is found when it is committed.
                using var tx = run.BeginTransaction();
                var mine = model.Copy();
                for (var i = random.Next(1, 4); i > 0; i--)
                    mine.Write(random, world.Clock.Microseconds, tx.Kv, tx.State, tx.Json, tx.Events);
                Check(random, mine, world.Clock.Microseconds, (text, options) => tx.Search(text, options));
                if (random.Next(3) > 0)
                {
                    tx.Commit();
                    model = mine;
                }
            }
            else
            {
                model.Write(random, world.Clock.Microseconds, run.Kv, run.State, run.Json, run.Events);
            }

            if (isIndexed && random.Next(5) == 0)
            {
                if (random.Next(12) == 0)
                    run.TextIndex.Drop();
                else
                    run.TextIndex.Build(random.Next(2) == 0 ? [] : ["kv", "events"]);
                for (var steps = random.Next(4); steps > 0; steps--)
                    world.Db.Engine.Texts.Step();
            }

            if (random.Next(3) == 0)
            {
                Check(random, model, world.Clock.Microseconds, (text, options) =>
                {
                    var response = run.Search(text, options);
                    byIndex += response.Statistics.Legs.Any(leg => leg.Source == SearchSource.Index) ? 1 : 0;
                    if (isIndexed)
                        CompareWithScan(random, world, run, text, options, response);
                    return response;
                });
            }

            if (random.Next(12) == 0)
                past.Add((world.Db.Sequence, model.Copy()));
            if (random.Next(15) == 0)
                world.Reopen();
        }

        var now = world.Db.Runs.Get(id)!;
        using (var snapshot = now.Snapshot())
            Check(random, model, world.Clock.Microseconds, (text, options) => snapshot.Search(text, options));
        var fork = world.Db.Runs.Fork(id);
        Check(random, model, world.Clock.Microseconds, (text, options) => fork.Search(text, options));
        foreach (var (at, was) in past)
        {
            using var view = now.At(at);
            Check(random, was, CommitClock.Microseconds(view.Time), (text, options) => view.Search(text, options));
        }

        return byIndex;
    }

    // The whole answer, and its pages.
    private static void CompareWithScan(
        Random random, ModeDatabase world, Run run, string text, SearchOptions options, SearchResponse response)
    {
        var engine = world.Db.Engine;
        options = options with { IsExplained = true, KeyPrefix = random.Next(4) == 0 ? "re" : null };
        if (random.Next(4) == 0)
            options = options with { Filter = Filter.Parse("$key prefix 's' or n eq 4711") };
        if (random.Next(4) == 0)
            options = options with { MinScore = random.NextDouble() * 2 };
        var scanned = Searcher.Run(
            Scope.Live(engine.Path, run.RunState, CommitOptions.Default), engine.SearchRoom with { Texts = null }, SearchedThings.OfRuns,
            text, options, CancellationToken.None);
        var indexed = run.Search(text, options);
        Assert.Equal(Told(scanned), Told(indexed));
        Assert.Equal(scanned.Sequence, response.Sequence);

        var paged = new List<string>();
        for (var page = options with { Limit = random.Next(1, 4) }; ;)
        {
            var next = run.Search(text, page);
            paged.AddRange(next.Hits.Select(Told));
            if (next.Cursor is null)
                break;
            page = page with { Cursor = next.Cursor };
            if (random.Next(3) == 0)
                world.Db.Engine.Texts.Step();
        }

        Assert.Equal(scanned.Hits.Select(Told), paged);
    }

    private static string Told(SearchResponse response) =>
        $"{response.Outcome} {response.Exhausted} {response.EstimatedTotal}\n{string.Join('\n', response.Hits.Select(Told))}";

    private static string Told(SearchHit hit)
    {
        var reason = hit.Reason!.Keyword;
        return $"{hit.Rank} {hit.Item} {BitConverter.DoubleToInt64Bits(hit.Score):x} {hit.Version} {hit.Time:O} {hit.Snippet?.Text} "
            + $"{reason.Length} {reason.AverageLength:R} {reason.Things} {string.Join(' ', reason.Terms)}";
    }

    private static void Check(Random random, PlainRun model, long time, Func<string, SearchOptions, SearchResponse> search)
    {
        for (var i = 0; i < 3; i++)
        {
            var parts = RandomQuery(random);
            var text = string.Join(' ', parts);
            var analysis = random.Next(2) == 0 ? TextAnalysis.English : TextAnalysis.None;
            var options = new SearchOptions { Limit = 1_000, Analysis = analysis, HasSnippets = random.Next(2) == 0 };
            var response = search(text, options);
            var expected = PlainSearch.Run(model.Things(time), parts, analysis).ToDictionary(hit => hit.Address, hit => hit.Score);
            Assert.True(response.IsComplete);
            Assert.Equal(
                expected.Keys.Order(StringComparer.Ordinal),
                response.Hits.Select(KeywordSearchTests.Address).Order(StringComparer.Ordinal));
            for (var rank = 0; rank < response.Hits.Count; rank++)
            {
                var hit = response.Hits[rank];
                Assert.Equal(expected[KeywordSearchTests.Address(hit)], hit.Score, 9);
                if (rank > 0)
                    Assert.True(IsBefore(response.Hits[rank - 1], hit), $"{text}: ranks {rank} and {rank + 1}");
            }
        }
    }

    private static bool IsBefore(SearchHit first, SearchHit second)
    {
        if (first.Score != second.Score)
            return first.Score > second.Score;
        string[] order = ["kv", "json", "events", "state"];
        var by = Array.IndexOf(order, first.Item.Primitive) - Array.IndexOf(order, second.Item.Primitive);
        if (by == 0 && first.Item.Primitive == "events")
            return Number(first) < Number(second);
        return by != 0 ? by < 0 : string.CompareOrdinal(first.Item.Key, second.Item.Key) < 0;
    }

    private static int Number(SearchHit hit) => int.Parse(hit.Item.Key[1..], CultureInfo.InvariantCulture);

    // Each part once, and one at least that is not excluded.
    private static List<PlainPart> RandomQuery(Random random)
    {
        var parts = new List<PlainPart>();
        var count = random.Next(1, 5);
        for (var i = 0; i < count; i++)
        {
            var sign = i == 0 ? " +"[random.Next(2)] : "  +-"[random.Next(4)];
            var part = random.Next(4) switch
            {
                0 => new PlainPart(sign, '"', $"{Word(random)} {Word(random)}{(random.Next(3) == 0 ? " " + Word(random) : "")}"),
                1 => new PlainPart(sign, 'p', new[] { "ref", "stor", "pref", "4", "東" }[random.Next(5)]),
                _ => new PlainPart(sign, 't', new[] { "refund", "store", "credit", "ada", "preferences", "été" }[random.Next(6)]),
            };
            if (parts.TrueForAll(other => other.Kind != part.Kind || other.Words != part.Words))
                parts.Add(part);
        }

        return parts;
    }

    private static string Word(Random random) => Words[random.Next(Words.Length)];

    /// <summary>What a run holds, in lists.</summary>
    private sealed class PlainRun
    {
        private readonly Dictionary<string, (PlainThing Thing, long Expiry)> _things = [];
        private int _events;

        internal PlainRun Copy()
        {
            var copy = new PlainRun { _events = _events };
            foreach (var (address, thing) in _things)
                copy._things.Add(address, thing);
            return copy;
        }

        internal List<PlainThing> Things(long time) =>
            [.. _things.Values.Where(thing => thing.Expiry == 0 || thing.Expiry > time).Select(thing => thing.Thing)];

        internal void Write(Random random, long now, Kv kv, State state, Json json, Events events)
        {
            var key = $"{Word(random)} {random.Next(4)}";
            var texts = Enumerable.Range(0, random.Next(0, 4)).Select(_ => Sentence(random)).ToArray();
            switch (random.Next(9))
            {
                case 0 or 1:
                    var ttl = random.Next(4) == 0 ? TimeSpan.FromSeconds(random.Next(1, 20)) : (TimeSpan?)null;
                    kv.Put(key, Value.Array(texts.Select(text => (Value)text)), ttl);
                    Set($"kv/{key}", ttl is { } life ? now + (long)life.TotalMicroseconds : 0, [(1.2, key), .. Plain(texts)]);
                    break;
                case 2:
                    // What has expired is not there to be deleted: nothing is committed, and a view of the last commit still shows it
                    // (seed 82591560852123, where this list forgot it).
                    if (kv.Delete(key))
                        _things.Remove($"kv/{key}");
                    break;
                case 3 or 4:
                    state.Set(key, Value.Object(texts.Select((text, index) => new KeyValuePair<string, Value>($"member{index}", text))));
                    Set($"state/{key}", 0, [(1.2, key), .. Plain(texts)]);
                    break;
                case 5:
                    state.Delete(key);
                    _things.Remove($"state/{key}");
                    break;
                case 6:
                    json.Put(key, Value.Object(("store", Value.Array(texts.Select(text => (Value)text))), ("n", 4711), ("yes", true)));
                    Set($"json/{key}", 0, [.. texts.Select(text => (1.0, $"store: {text}")), (1, "n: 4711"), (1, "yes: true")]);
                    break;
                case 7:
                    json.Delete(key);
                    _things.Remove($"json/{key}");
                    break;
                default:
                    events.Append("refund", Value.Object(("texts", Value.Array(texts.Select(text => (Value)text)))));
                    Set($"events/#{_events++}", 0, [(1, "refund"), .. Plain(texts)]);
                    break;
            }
        }

        private static IEnumerable<(double, string)> Plain(string[] texts) => texts.Select(text => (1.0, text));

        private static string Sentence(Random random) => string.Join(' ', Enumerable.Range(0, random.Next(1, 7)).Select(_ => Word(random)));

        private void Set(string address, long expiry, (double, string)[] texts) =>
            _things[address] = (new PlainThing(address, texts), expiry);
    }
}
