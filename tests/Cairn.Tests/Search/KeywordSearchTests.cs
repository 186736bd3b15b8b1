using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Search;

/// <summary>What a search by words finds, what it leaves out, and what it says of it.</summary>
public class KeywordSearchTests
{
    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "SRCH-6")]
    [Trait("Requirement", "SRCH-11")]
    [Trait("Requirement", "KV-11")]
    [Trait("Requirement", "JS-31")]
    [Trait("Requirement", "EV-16")]
    [Trait("Requirement", "ST-12")]
    [Trait("Requirement", "TR-8")]
    public void Every_primitive_is_found_by_what_it_says(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = Fill(world.Run);
        world.Reopen();
        run = world.Run;

        Assert.Equal("kv/customer", Found(run, "customer"));
        Assert.Equal("kv/customer", Found(run, "lovelace"));                 // deep in the value
        Assert.Equal("kv/customer", Found(run, new string('x', 100) + "marker"));
        Assert.Equal("", Found(run, "nested"));                              // names of members are no text of a value
        Assert.Equal("json/plan", Found(run, "steps"));                      // in a document they are: "steps.title: search the web"
        Assert.Equal("json/plan", Found(run, "\"title search the web\""));
        Assert.Equal("json/plan", Found(run, "\"count 42\""));
        Assert.Equal("events/#0", Found(run, "tool_call"));
        Assert.Equal("events/#0", Found(run, "lookup"));
        Assert.Equal("state/budget", Found(run, "budget"));
        Assert.Equal("state/budget", Found(run, "euros"));
        Assert.Single(run.Traces.Search("ponder").Hits);
        Assert.Single(run.Traces.Search("gossip").Hits);                    // in the metadata
        Assert.Equal("", Found(run, "nowhere"));
    }

    [Fact]
    [Trait("Requirement", "SRCH-1")]
    public void The_door_of_a_primitive_finds_only_its_things()
    {
        using var db = CairnDatabase.OpenInMemory();
        db.Default.Kv.Put("refund", 1);
        db.Default.State.Set("refund", 1);
        db.Default.Json.Put("doc", Value.Object(("about", "refund")));
        db.Default.Events.Append("refund", Value.Object());
        Assert.Equal(
            ["kv/refund", "json/doc", "events/#0", "state/refund"], db.Default.Search("refund").Hits.OrderBy(Order).Select(Address));
        Assert.Equal(["kv/refund"], db.Default.Kv.Search("refund").Hits.Select(Address));
        Assert.Equal(["json/doc"], db.Default.Json.Search("refund").Hits.Select(Address));
        Assert.Equal(["state/refund"], db.Default.State.Search("refund").Hits.Select(Address));
        Assert.Equal(["events/#0"], db.Default.Events.Search("refund").Hits.Select(Address));
        Assert.Equal(
            ["json/doc", "state/refund"],
            db.Default.Search("refund", new SearchOptions { Primitives = ["state", "json"] }).Hits.OrderBy(Order).Select(Address));
        using var snapshot = db.Default.Snapshot();
        Assert.Equal(["kv/refund"], snapshot.Kv.Search("refund").Hits.Select(Address));

        static int Order(SearchHit hit) => Array.IndexOf(["kv", "json", "events", "state"], hit.Item.Primitive);
    }

    [Fact]
    [Trait("Requirement", "RUN-14")]
    public void Runs_are_found_by_their_records()
    {
        using var db = CairnDatabase.OpenInMemory();
        var refund = db.Runs.Begin("refund-4711", tags: ["urgent"], metadata: Value.Object(("customer", "Ada")));
        var other = db.Runs.Begin("payout-4712");
        other.Fail("the bank was closed");
        Assert.Equal([refund.Id], db.Runs.Search("refund").Hits.Select(hit => hit.Run));
        Assert.Equal([refund.Id], db.Runs.Search("urgent").Hits.Select(hit => hit.Run));
        Assert.Equal([refund.Id], db.Runs.Search("ada").Hits.Select(hit => hit.Run));
        Assert.Equal([other.Id], db.Runs.Search("bank").Hits.Select(hit => hit.Run));
        Assert.Equal([other.Id], db.Runs.Search("failed").Hits.Select(hit => hit.Run));
        Assert.Equal([other.Id], db.Runs.Search(other.Id.ToString(), new() { IsLiteral = true, Limit = 1 }).Hits.Select(hit => hit.Run));
        var active = new SearchOptions { Filter = Filter.Parse("status eq 'active'") };
        Assert.Equal([refund.Id], db.Runs.Search("4711 4712", active).Hits.Select(hit => hit.Run));
        db.Runs.Delete(refund.Id);
        Assert.Empty(db.Runs.Search("refund").Hits);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(
            () => db.Default.Search("x", new SearchOptions { Primitives = ["runs"] })).Code);
    }

    [Fact]
    [Trait("Requirement", "SRCH-16")]
    public void Phrases_prefixes_required_and_excluded_parts()
    {
        using var db = CairnDatabase.OpenInMemory();
        var kv = db.Default.Kv;
        kv.Put("k1", "store credit for the refund");
        kv.Put("k2", "credit in store");
        kv.Put("k3", Value.Array("store", "credit"));                        // two texts: no phrase reaches over
        kv.Put("k4", "proof of the concept");
        kv.Put("k5", "proof concept");
        Assert.Equal("kv/k1", Found(db.Default, "\"store credit\""));
        Assert.Equal("kv/k4", Found(db.Default, "\"proof of a concept\""));   // as many words between
        Assert.Equal("kv/k5", Found(db.Default, "\"proof concept\""));
        Assert.Equal("kv/k2 kv/k3", Sorted(db.Default, "store -refund"));
        Assert.Equal("kv/k1", Found(db.Default, "store +refund"));
        Assert.Equal("kv/k1 kv/k2 kv/k3", Sorted(db.Default, "+store +credit concept"));
        Assert.Equal("kv/k4 kv/k5", Sorted(db.Default, "con*"));
        Assert.Equal("kv/k1", Found(db.Default, "refund -con*"));
        Assert.Equal("", Found(db.Default, "\"credit refund\""));
    }

    [Fact]
    [Trait("Requirement", "SRCH-15")]
    public void More_of_a_rarer_word_in_a_shorter_thing_is_better()
    {
        using var db = CairnDatabase.OpenInMemory();
        var kv = db.Default.Kv;
        kv.Put("k1", "common rare");
        kv.Put("k2", "common common");
        kv.Put("k3", "common rare and very many other words that make it longer");
        kv.Put("k4", "common");
        Assert.Equal("kv/k1 kv/k3", Found(db.Default, "rare"));
        Assert.Equal(["kv/k1", "kv/k3"], db.Default.Search("common rare").Hits.Take(2).Select(Address));
        kv.Put("rare", "a word in the key weighs more");
        kv.Put("other", "a rare word in value weighs more");
        Assert.Equal("kv/rare", Address(db.Default.Search("rare weighs").Hits[0]));
    }

    [Fact]
    [Trait("Requirement", "SRCH-24")]
    [Trait("Requirement", "SRCH-4")]
    public void A_reason_adds_up_to_the_score()
    {
        using var db = CairnDatabase.OpenInMemory();
        Fill(db.Default);
        for (var i = 0; i < 30; i++)
            db.Default.Kv.Put($"note {i}", $"the search of note {i % 7} and {i % 3} for search and title");
        var options = new SearchOptions { IsExplained = true, Limit = 40, HasValues = true };
        var response = db.Default.Search("note search search \"title search\" tit* -euros", options);
        Assert.NotEmpty(response.Hits);
        foreach (var (hit, rank) in response.Hits.Select((hit, index) => (hit, index + 1)))
        {
            var keyword = hit.Reason!.Keyword;
            var sum = 0.0;
            foreach (var term in keyword.Terms)
            {
                sum += term.Score;
                var idf = Math.Log(1 + ((keyword.Things - term.Things + 0.5) / (term.Things + 0.5)));
                Assert.Equal(idf, term.Idf, 12);
                var share = term.Frequency * 2.2 / (term.Frequency + (1.2 * (0.25 + (0.75 * keyword.Length / keyword.AverageLength))));
                Assert.Equal(idf * term.Times * share, term.Score, 10);
            }

            Assert.Equal(BitConverter.DoubleToInt64Bits(hit.Score), BitConverter.DoubleToInt64Bits(sum));
            Assert.Equal(hit.Score, keyword.Score);
            Assert.Equal(rank, hit.Rank);
            Assert.NotNull(hit.Value);
            Assert.NotEqual(Sequence.None, hit.Version);
        }

        Assert.Contains(response.Hits, hit => hit.Reason!.Keyword.Terms.Any(term => term is { Text: "search", Times: 2 }));
        Assert.Contains(response.Hits, hit => hit.Reason!.Keyword.Terms.Any(term => term.Text == "\"titl search\""));
        Assert.Contains(response.Hits, hit => hit.Reason!.Keyword.Terms.Any(term => term.Text == "tit*"));
    }

    [Fact]
    [Trait("Requirement", "SRCH-4")]
    public void A_snippet_is_around_the_best_place_and_marks_it()
    {
        using var db = CairnDatabase.OpenInMemory();
        var filler = string.Concat(Enumerable.Repeat("Straße über alles und noch mehr. ", 40));
        db.Default.Kv.Put("k", filler + "One refund here. " + filler + "Refunds of the credit in stores, € 5. " + filler);
        var snippet = db.Default.Search("refund credit").Hits[0].Snippet!;
        Assert.Equal("value", snippet.Field);
        Assert.InRange(snippet.Text.Length, 40, SearchSnippet.LengthMax);
        Assert.Equal(["Refunds", "credit"], snippet.Highlights.Select(mark => snippet.Text.Substring(mark.Start, mark.Length)));

        db.Default.Kv.Put("cjk", string.Concat(Enumerable.Repeat("北海道札幌市", 50)) + "東京都" + string.Concat(Enumerable.Repeat("大阪", 50)));
        snippet = db.Default.Search("\"東京都\"").Hits[0].Snippet!;
        Assert.Equal(["東京", "京都"], snippet.Highlights.Select(mark => snippet.Text.Substring(mark.Start, mark.Length)));
        Assert.Null(db.Default.Search("refund", new() { HasSnippets = false }).Hits[0].Snippet);
    }

    [Fact]
    [Trait("Requirement", "SRCH-23")]
    public void Filter_prefix_and_times_choose_and_change_no_score()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Run;
        for (var i = 0; i < 20; i++)
        {
            world.Clock.Microseconds += 1_000_000;
            run.Kv.Put($"{(i % 2 == 0 ? "even" : "odd")}/{i}", Value.Object(("n", i), ("text", "a refund" + new string('!', i))));
            run.Json.Put($"doc{i}", Value.Object(("n", i), ("text", "refund")));
            run.Events.Append("refund", Value.Object(("n", i)));
        }

        var all = new SearchOptions { Limit = 100 };
        var scores = run.Search("refund", all).Hits.ToDictionary(hit => hit.Item, hit => hit.Score);
        Assert.Equal(60, scores.Count);
        Check(new() { Limit = 100, Filter = Filter.Parse("n lt 5") }, 10);       // events have their payload below payload
        Check(new() { Limit = 100, Filter = Filter.Parse("payload.n lt 5") }, 5);
        Check(new() { Limit = 100, Filter = Filter.Parse("$key eq 'doc3'") }, 1);
        Check(new() { Limit = 100, KeyPrefix = "even/" }, 10);
        Check(new() { Limit = 100, KeyPrefix = "doc1" }, 11);
        var start = CommitClock.Time(FakeClock.Start);
        Check(new() { Limit = 100, From = start.AddSeconds(18) }, 9);
        Check(new() { Limit = 100, To = start.AddSeconds(3) }, 6);
        Check(new() { Limit = 100, From = start.AddSeconds(5), To = start.AddSeconds(6) }, 3);

        void Check(SearchOptions options, int count)
        {
            var response = run.Search("refund", options);
            Assert.Equal(count, response.Hits.Count);
            Assert.All(response.Hits, hit => Assert.Equal(scores[hit.Item], hit.Score));
        }
    }

    [Fact]
    [Trait("Requirement", "SRCH-7")]
    public void What_came_of_it_is_told_apart()
    {
        using var db = CairnDatabase.OpenInMemory();
        db.Default.Kv.Put("k", "refund");
        Assert.Equal(SearchOutcome.Found, db.Default.Search("refund").Outcome);
        Assert.Equal(SearchOutcome.NothingFound, db.Default.Search("other").Outcome);
        Assert.Equal(SearchOutcome.NothingFound, db.Default.Search("the").Outcome);
        Assert.Equal(0, db.Default.Search("the").Statistics.Terms);
        Assert.Equal(SearchOutcome.FilteredOut, db.Default.Search("refund", new() { KeyPrefix = "x" }).Outcome);
        Assert.Equal(SearchOutcome.BelowMinScore, db.Default.Search("refund", new() { MinScore = 1_000 }).Outcome);
        foreach (var options in new SearchOptions[]
                 {
                     new() { Limit = -1 }, new() { MinScore = -1 }, new() { MinScore = double.NaN }, new() { Primitives = ["nowhere"] },
                     new() { Budget = new() { Candidates = 0 } }, new() { Budget = new() { CandidatesPerPrimitive = 0 } },
                     new() { Budget = new() { Time = TimeSpan.Zero } }, new() { Cursor = "none" },
                     new() { From = DateTimeOffset.UnixEpoch, To = DateTimeOffset.UnixEpoch },
                 })
        {
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => db.Default.Search("refund", options)).Code);
        }

        Assert.Equal("Time", Assert.Throws<LimitException>(
            () => db.Default.Search("x", new() { Budget = new() { Time = TimeSpan.FromSeconds(61) } })).Limit);
        Assert.Equal("Candidates", Assert.Throws<LimitException>(
            () => db.Default.Search("x", new() { Budget = new() { Candidates = 10_000_001 } })).Limit);
        Assert.Equal("CandidatesPerPrimitive", Assert.Throws<LimitException>(
            () => db.Default.Search("x", new() { Budget = new() { CandidatesPerPrimitive = 10_000_001 } })).Limit);
        Assert.Equal("KeyBytesMax", Assert.Throws<LimitException>(
            () => db.Default.Search("x", new() { KeyPrefix = new string('k', 1_025) })).Limit);
    }

    [Fact]
    [Trait("Requirement", "SRCH-8")]
    public void LIM_22_A_budget_ends_the_looking_and_says_so()
    {
        var clock = new TickingClock();
        using var db = CairnDatabase.OpenInMemory(new() { TimeProvider = clock, Limits = new() { SearchCandidatesPerPrimitive = 150 } });
        for (var i = 0; i < 200; i++)
        {
            db.Default.Kv.Put($"k{i:000}", "refund");
            db.Default.State.Set($"k{i:000}", "refund");
        }

        var spare = new SearchBudget { CandidatesPerPrimitive = 200 };
        var response = db.Default.Search("refund", new() { Budget = spare, Limit = 1 });
        Assert.True(response.IsComplete);
        Assert.Equal([200, 0, 0, 200, 0, 0, 0], response.Statistics.Legs.Select(leg => leg.Candidates));

        response = db.Default.Search("refund", new() { Limit = 1 });
        Assert.Equal(SearchExhaustion.CandidatesPerPrimitive, response.Exhausted);
        Assert.Equal([150, 0, 0, 150, 0, 0, 0], response.Statistics.Legs.Select(leg => leg.Candidates));
        Assert.Equal("kv/k000", Address(response.Hits[0]));

        response = db.Default.Search("refund", new() { Budget = spare with { Candidates = 230 }, Limit = 1 });
        Assert.Equal(SearchExhaustion.Candidates, response.Exhausted);
        Assert.Equal([200, 0, 0, 30], response.Statistics.Legs.Select(leg => leg.Candidates));
        Assert.NotNull(response.Cursor);

        clock.Step = TimeSpan.FromMilliseconds(60);                           // at each look at it
        response = db.Default.Search("refund", new() { Budget = spare, Limit = 1 });
        Assert.Equal(SearchExhaustion.Time, response.Exhausted);
        Assert.Equal(SearchOutcome.Found, response.Outcome);
        Assert.InRange(response.Statistics.Legs[0].Candidates, 63, 199);
        Assert.Null(response.Cursor);
    }

    [Fact]
    [Trait("Requirement", "SRCH-9")]
    public void A_search_that_is_ended_ends()
    {
        using var db = CairnDatabase.OpenInMemory();
        for (var i = 0; i < 200; i++)
            db.Default.Kv.Put($"k{i:000}", "refund");
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => db.Default.Search("refund", cancellationToken: source.Token));

        // In the middle, too: the clock calls it off when it is looked at.
        using var later = new CancellationTokenSource();
        var clock = new TickingClock();
        using var other = CairnDatabase.OpenInMemory(new() { TimeProvider = clock });
        other.Default.Kv.Put("k", string.Concat(Enumerable.Repeat("word ", 20_000)));
        clock.OnLook = later.Cancel;
        Assert.ThrowsAny<OperationCanceledException>(() => other.Default.Search("refund", cancellationToken: later.Token));
    }

    [Fact]
    public void LIM_20_A_page_holds_the_default_the_asked_and_at_most_the_limit()
    {
        using var db = CairnDatabase.OpenInMemory();
        for (var i = 0; i < 30; i++)
            db.Default.Kv.Put($"k{i:000}", "refund");
        Assert.Equal(10, db.Default.Search("refund").Hits.Count);
        Assert.Equal(25, db.Default.Search("refund", new() { Limit = 25 }).Hits.Count);
        Assert.Equal("SearchHitsMax", Assert.Throws<LimitException>(() => db.Default.Search("refund", new() { Limit = 1_001 })).Limit);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "SRCH-25")]
    public void Pages_part_the_ranking_of_one_snapshot(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Run;
        for (var i = 0; i < 60; i++)
        {
            run.Kv.Put($"k{i:00}", string.Concat(Enumerable.Repeat("refund ", 1 + i % 4)) + new string('x', i % 3));
            run.State.Set($"s{i:00}", "refund");
        }

        var all = run.Search("refund", new() { Limit = 200 });
        var paged = new List<SearchHit>();
        var options = new SearchOptions { Limit = 7 };
        while (true)
        {
            var page = run.Search("refund", options);
            paged.AddRange(page.Hits);
            Assert.Equal(all.Sequence, page.Sequence);
            if (page.Cursor is null)
                break;
            run.Kv.Put($"new{paged.Count}", "refund refund refund refund");       // later than the snapshot of the pages
            run.Kv.Delete($"k{paged.Count % 60:00}");
            options = options with { Cursor = page.Cursor };
        }

        Assert.Equal(Brief(all.Hits), Brief(paged));
        var other = Assert.Throws<CairnException>(() => run.Search("refunds x", options));
        Assert.Equal(ErrorCode.InvalidArgument, other.Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(
            () => run.Search("refund", options with { KeyPrefix = "k" })).Code);
        world.Clock.Microseconds += 3_600_000_000;
        world.Db.Engine.Cursors.CloseIdle();
        Assert.Equal(ErrorCode.CursorExpired, Assert.Throws<CairnException>(() => run.Search("refund", options)).Code);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Promise", "G12")]
    [Trait("Requirement", "SRCH-28")]
    [Trait("Requirement", "SRCH-30")]
    public void A_search_sees_its_snapshot(Durability mode)
    {
        using var world = new ModeDatabase(mode, new() { Retention = Retention.KeepAll });
        var run = world.Db.Runs.Begin("run");
        run.Kv.Put("gone", "refund");
        run.Kv.Put("changed", "refund");
        run.Kv.Put("expires", "refund", TimeSpan.FromSeconds(10));
        var before = run.Json.Put("doc", Value.Object(("text", "refund")));
        using var snapshot = run.Snapshot();
        var fork = world.Db.Runs.Fork(run.Id);
        run.Kv.Delete("gone");
        run.Kv.Put("changed", "payout");
        run.Json.Set("doc", "$.text", "payout");
        run.Kv.Put("new", "refund");

        const string Before = "json/doc kv/changed kv/expires kv/gone";
        Assert.Equal("kv/expires kv/new", Sorted(run, "refund"));
        Assert.Equal("json/doc kv/changed", Sorted(run, "payout"));
        Assert.Equal(Before, Sorted(snapshot.Search("refund")));
        Assert.Equal(Before, Sorted(fork, "refund"));
        using (var view = run.At(before))
            Assert.Equal(Before, Sorted(view.Search("refund")));
        fork.Kv.Delete("gone");
        Assert.Equal("json/doc kv/changed kv/expires", Sorted(fork, "refund"));

        world.Clock.Microseconds += 11_000_000;
        Assert.Equal("kv/new", Sorted(run, "refund"));
        Assert.Equal(1, run.Search("refund", new() { IsExplained = true }).Hits[0].Reason!.Keyword.Terms[0].Things);
        Assert.Equal(Before, Sorted(snapshot.Search("refund")));              // expiry is judged at the snapshot's time
    }

    [Fact]
    [Trait("Promise", "G12")]
    [Trait("Requirement", "SRCH-28")]
    public void A_transaction_finds_its_own_writes_and_conflicts_with_those_of_others()
    {
        using var db = CairnDatabase.OpenInMemory();
        var run = Fill(db.Default);
        run.Kv.Put("gone", "refund");
        using (var tx = run.BeginTransaction())
        {
            tx.Kv.Put("own", "refund");
            tx.Kv.Delete("gone");
            tx.State.Set("cell", "refund");
            tx.Json.Put("own", Value.Object(("text", "refund")));
            tx.Json.Set("plan", "$.extra", "a refund");
            tx.Events.Append("note", Value.Object(("text", "refund")));
            tx.Traces.Record(new ThoughtStep("refund"));
            var found = tx.Search("refund", new() { HasValues = true });
            Assert.Equal(["json/own", "json/plan", "kv/own", "state/cell"],
                found.Hits.Where(hit => hit.Item.Primitive is not ("traces" or "events")).Select(Address).Order(StringComparer.Ordinal));
            Assert.Single(tx.Events.Search("refund").Hits);
            Assert.Single(tx.Traces.Search("refund").Hits);
            Assert.Equal(Sequence.None, found.Hits.First(hit => hit.Item.Key == "own").Version);
            Assert.Equal("kv/gone", Found(run, "refund"));
        }

        foreach (var write in new Action[]
                 {
                     () => run.Kv.Put("else", 1), () => run.State.Set("else", 1), () => run.Json.Put("else", 1),
                     () => run.Events.Append("else", Value.Object()), () => run.Traces.Record(new ThoughtStep("else")),
                 })
        {
            using var tx = run.BeginTransaction();
            tx.Search("nothing of this");
            tx.Kv.Put("result", 1);
            write();
            Assert.Throws<ConflictException>(() => tx.Commit());
        }
    }

    [Fact]
    [Trait("Requirement", "SRCH-13")]
    public void The_analysis_is_the_one_of_the_database_or_of_the_request()
    {
        using var db = CairnDatabase.OpenInMemory(new() { TextAnalysis = TextAnalysis.None });
        db.Default.Kv.Put("k", "the refunds");
        Assert.Equal("", Found(db.Default, "refund"));
        Assert.Equal("kv/k", Found(db.Default, "the"));
        Assert.Equal("kv/k", Sorted(db.Default.Search("refund", new() { Analysis = TextAnalysis.English })));
        Assert.Empty(db.Default.Search("the", new() { Analysis = TextAnalysis.English }).Hits);
    }

    [Fact]
    public void A_redacted_event_has_its_type_and_no_more()
    {
        using var db = CairnDatabase.OpenInMemory();
        db.Default.Events.Append("refund", Value.Object(("secret", "password")));
        db.Default.Events.Redact(new EventNumber(0), "asked for");
        Assert.Equal("", Sorted(db.Default, "password"));
        Assert.Equal("events/#0", Sorted(db.Default.Events.Search("refund")));
    }

    internal static Run Fill(Run run)
    {
        run.Kv.Put("customer", Value.Object(
            ("nested", Value.Array(1, Value.Object(("deep", "Ada Lovelace")))), ("x", new string('x', 100) + "marker")));
        run.Json.Put("plan", Value.Object(
            ("steps", Value.Array(Value.Object(("title", "search the web"), ("done", true)))), ("count", 42)));
        run.Events.Append("tool_call", Value.Object(("tool", "crm.lookup"), ("id", 4711)));
        run.State.Set("budget", "100 euros");
        run.Traces.Record(new ThoughtStep("ponder this"), new TraceOptions { Metadata = Value.Object(("source", "gossip")) });
        return run;
    }

    private static IEnumerable<string> Brief(IEnumerable<SearchHit> hits) => hits.Select(hit =>
        $"{hit.Rank} {hit.Item} {BitConverter.DoubleToInt64Bits(hit.Score):x} {hit.Version} {hit.Snippet!.Field} {hit.Snippet.Text}");

    internal static string Address(SearchHit hit) => hit.Item.ToString();

    private static string Found(Run run, string text) => string.Join(' ', run.Search(text).Hits.Select(Address));

    private static string Sorted(Run run, string text) => Sorted(run.Search(text));

    private static string Sorted(SearchResponse response) =>
        string.Join(' ', response.Hits.Select(Address).Order(StringComparer.Ordinal));

    // Time goes on with each look at it.
    private sealed class TickingClock : TimeProvider
    {
        private long _now = 1;

        internal TimeSpan Step { get; set; }

        internal Action? OnLook { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(_now);

        public override long GetTimestamp()
        {
            OnLook?.Invoke();
            return _now += Step.Ticks;
        }
    }
}
