using Cairn.Tests.Primitives;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Search;

/// <summary>When there is an index of words, what it has seen, and what it costs.</summary>
public class TextIndexTests
{
    [Fact]
    [Trait("Requirement", "SRCH-29")]
    public void A_search_that_had_to_look_at_much_asks_for_an_index()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Run;
        for (var i = 0; i < TextIndexes.ThingsToAsk; i++)
            run.Kv.Put($"k{i:000}", $"refund {i}");
        run.State.Set("s", "refund");
        var budget = new SearchOptions { Budget = new() { CandidatesPerPrimitive = 10_000 } };
        Assert.False(world.Db.Engine.Texts.HasWork);
        Assert.Equal(SearchSource.Scan, run.Search("refund", budget).Statistics.Legs[0].Source);
        Assert.True(world.Db.Engine.Texts.HasWork);
        while (world.Db.Engine.Texts.Step())
        {
        }

        var status = Assert.Single(run.TextIndex.Status());
        Assert.Equal(("kv", (long)TextIndexes.ThingsToAsk), (status.Primitive, status.Things));
        Assert.Equal(run.Search("refund", budget).Sequence, status.Watermark);
        Assert.InRange(status.Bytes, 1_000, 1 << 20);
        run.Kv.Put("k000", "payout");
        run.Kv.Delete("k001");
        var leg = run.Search("refund", budget).Statistics.Legs[0];
        Assert.Equal((SearchSource.Index, TextIndexes.ThingsToAsk - 1L, 1L), (leg.Source, leg.Things, leg.ThingsRead));
        Assert.Equal(status.Watermark, leg.Watermark);
        Assert.Single(run.Search("payout", budget).Hits);
        Assert.Equal(SearchSource.Tail, run.Search("payout", new() { IsExplained = true }).Hits[0].Reason!.Keyword.Source);

        // Another analysis is another index, and there is none.
        var other = run.Search("refund", new() { Analysis = TextAnalysis.None });
        Assert.Equal(SearchSource.Scan, other.Statistics.Legs[0].Source);

        run.TextIndex.Drop();
        Assert.Empty(run.TextIndex.Status());
        Assert.Null(run.RunState.Changes);
        Assert.Equal(SearchSource.Scan, run.Search("refund", budget).Statistics.Legs[0].Source);
    }

    [Fact]
    [Trait("Requirement", "SRCH-29")]
    public void Nothing_is_noted_as_long_as_nobody_asks()
    {
        using var world = new ModeDatabase(Durability.InMemory, new() { TextIndexing = TextIndexing.OnRequest });
        var run = world.Run;
        for (var i = 0; i < 2 * TextIndexes.ThingsToAsk; i++)
            run.Kv.Put($"k{i:000}", "refund");
        run.Search("refund");
        Assert.False(world.Db.Engine.Texts.HasWork);
        Assert.Null(run.RunState.Changes);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => run.TextIndex.Build("nowhere")).Code);
        run.TextIndex.Build("kv");
        Assert.True(world.Db.Engine.Texts.Step());
        Assert.NotNull(run.RunState.Changes);
    }

    [Fact]
    [Trait("Requirement", "SRCH-28")]
    public void Searches_of_the_near_past_use_the_view_of_that_time()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Run;
        run.Kv.Put("k", "refund");
        run.TextIndex.Build("kv");
        while (world.Db.Engine.Texts.Step())
        {
        }

        using var before = run.Snapshot();
        run.Kv.Put("k", "payout");
        run.TextIndex.Build("kv");
        while (world.Db.Engine.Texts.Step())
        {
        }

        Assert.Single(before.Kv.Search("refund").Hits);
        Assert.Equal(SearchSource.Index, before.Kv.Search("refund").Statistics.Legs[0].Source);
        Assert.Empty(before.Kv.Search("payout").Hits);
        Assert.Single(run.Kv.Search("payout").Hits);
        Assert.Empty(run.Kv.Search("refund").Hits);
    }

    [Fact]
    [Trait("Requirement", "SRCH-28")]
    public void An_index_that_is_too_far_behind_begins_again()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Run;
        for (var i = 0; i < 3; i++)
            run.Events.Append("refund", Value.Object());
        run.TextIndex.Build("events");
        while (world.Db.Engine.Texts.Step())
        {
        }

        Assert.Equal(SearchSource.Index, run.Events.Search("refund").Statistics.Legs[0].Source);
        world.Db.Engine.Catalogue.Default.Changes!.BeginAgain(world.Db.Sequence.Value + 1);
        run.Events.Append("refund", Value.Object());
        Assert.Equal(4, run.Events.Search("refund").Hits.Count);
        run.TextIndex.Build("events");
        while (world.Db.Engine.Texts.Step())
        {
        }

        Assert.Equal(4, run.Events.Search("refund").Hits.Count);
        Assert.Equal(SearchSource.Index, run.Events.Search("refund").Statistics.Legs[0].Source);
    }

    [Fact]
    public void A_run_that_is_deleted_takes_its_indexes_with_it()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Db.Runs.Begin("run");
        for (var i = 0; i < 2 * TextIndex.ThingsPerStep; i++)
            run.Kv.Put($"k{i:0000}", "refund");
        run.TextIndex.Build();
        Assert.True(world.Db.Engine.Texts.Step());
        world.Db.Runs.Delete(run.Id);
        Assert.False(world.Db.Engine.Texts.Step());
        Assert.Equal(0, world.Db.Engine.Pins.Count(out _));
        Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => run.TextIndex.Build()).Code);
    }

    // Two writers, a builder and a searcher at once: whatever the searcher sees is the number of things in its snapshot.
    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Buffered)]
    [Trait("Promise", "G12")]
    [Trait("Requirement", "SRCH-28")]
    public void Writers_a_builder_and_a_searcher_at_once(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Run;
        for (var i = 0; i < 300; i++)
            run.Kv.Put($"k{i:000}", "refund");
        run.TextIndex.Build("kv");
        using var stop = new CancellationTokenSource();
        var searches = 0;
        ModeDatabase.OnThreads(4, index =>
        {
            switch (index)
            {
                case 0 or 1:
                    for (var i = 0; i < 600; i++)
                        run.Kv.Put($"k{((i * 7) + index) % 300:000}", i % 3 == 0 ? "refund payout" : "refund");
                    if (index == 0)
                        stop.Cancel();
                    break;
                case 2:
                    while (!stop.IsCancellationRequested)
                    {
                        run.TextIndex.Build("kv");
                        world.Db.Engine.Texts.Step();
                    }

                    break;
                default:
                    do
                    {
                        using var snapshot = run.Snapshot();
                        var options = new SearchOptions
                        {
                            Limit = 1_000, IsExplained = true, Budget = new() { Time = TimeSpan.FromSeconds(60) },
                        };
                        var found = snapshot.Kv.Search("refund", options);
                        Assert.Equal(300, found.Hits.Count);
                        Assert.All(found.Hits, hit => Assert.Equal(300, hit.Reason!.Keyword.Things));
                        var payouts = snapshot.Kv.Search("payout", options).Hits.Select(hit => hit.Item.Key).Order(StringComparer.Ordinal);
                        var keys = Enumerable.Range(0, 300).Select(i => $"k{i:000}");
                        var stored = keys.Where(key => snapshot.Kv.Get(key) == "refund payout");
                        Assert.Equal(stored, payouts);
                        searches++;
                    }
                    while (!stop.IsCancellationRequested);
                    break;
            }
        });

        Assert.True(searches > 0);
    }
}
