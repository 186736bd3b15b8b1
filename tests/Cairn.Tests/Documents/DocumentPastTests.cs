#pragma warning disable xUnit1051 // what is written here is small
using Cairn.Tests.Content;
using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>What a document was at a moment: what was told right after that commit is told ever after, or refused where retention has let
/// the records go, and never anything else.</summary>
[Trait("Kind", "Random")]
public sealed class DocumentPastTests(ITestOutputHelper output)
{
    private static readonly string[] Ids = ["plan", "notes", "a"];
    private static readonly DocumentPath?[] Places = [null, "$.n", "$.list[0]", "$.deep.er"];

    public static TheoryData<Durability> WithLog => [Durability.Buffered, Durability.Strict];

    [Theory]
    [MemberData(nameof(WithLog))]
    [Trait("Requirement", "VER-6")]
    [Trait("Requirement", "JS-27")]
    [Trait("Requirement", "JS-28")]
    [Trait("Requirement", "TTL-3")]
    public void VER_6_What_GetAt_tells_of_a_document_is_what_Get_told_then(Durability mode)
    {
        var random = new Random((int)Seeds.Begin($"past documents {mode}"));
        using var world = new ModeDatabase(mode, new CairnOptions { SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10 });
        world.Db.Runs.Begin("other");
        var told = new Told();
        for (var step = 0; step < 300; step++)
        {
            if (random.Next(40) == 0)
                world.Reopen();
            world.Clock.Advance(TimeSpan.FromSeconds(random.Next(3)));
            switch (random.Next(12))
            {
                case 0: world.Db.Runs.Get("other")!.Kv.Put("k", step); break;
                case 1: world.Db.Engine.Maintainer!.Step(); break;
                default: Write(world.Run, random, step); break;
            }

            told.Remember(world.Db, world.Run, world.Clock.Microseconds);
        }

        Assert.Equal(0, told.Check(world.Run));
    }

    // The log below the older checkpoint is let go: from there on everything is told, below it what was not changed since, and the rest is
    // refused. With the mutant the operations above the gap are done on a document that is not known.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "VER-7")]
    [Trait("Requirement", "RET-3")]
    public void VER_7_Behind_a_gap_a_document_is_what_it_was_or_is_refused(bool isFork)
    {
        var refused = 0;
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            var random = new Random(seed);
            using var world = new CompactionWorld();
            var run = world.Run("run", seed % 2 == 0 ? Retention.KeepFor(TimeSpan.FromHours(1)) : Retention.KeepLast(2));
            var told = new Told();
            Write(60);
            if (isFork)
            {
                run = world.Db.Runs.Fork(run.Id, name: "fork");
                run.Retention.Apply(Retention.KeepLast(1));
                told = new Told();
            }

            Write(40);
            world.Db.Checkpoint();
            var from = world.Db.Sequence.Value;
            Write(40);
            world.Db.Checkpoint();
            Write(20);
            var manifest = world.Log.Manifest;
            world.Compact(manifest.Segments.Count(segment => segment.BasePosition <= manifest.Checkpoints[0].MarkPosition) - 1);
            refused += told.Check(run, promisedFrom: from);

            void Write(int steps)
            {
                for (; steps > 0; steps--)
                {
                    world.Clock.Advance(TimeSpan.FromMinutes(random.Next(4)));
                    DocumentPastTests.Write(run, random, steps);
                    if (random.Next(4) == 0)
                        world.FillSegments(1);
                    told.Remember(world.Db, run, world.Clock.Microseconds);
                }
            }
        }

        Assert.True(refused > 0, "nothing was let go");
    }

    [Fact]
    [Trait("Requirement", "VER-7")]
    public void VER_7_The_records_of_a_parent_may_go_and_the_fork_knows_what_it_began_with()
    {
        using var world = new CompactionWorld();
        var parent = world.Run("parent", Retention.KeepLast(1));
        parent.Json.Put("plan", Value.Object(("n", 1)));
        parent.Json.Set("plan", "$.n", 2);
        var fork = world.Db.Runs.Fork(parent.Id, name: "fork");
        fork.Retention.Apply(Retention.KeepAll);
        var begun = world.Db.Sequence;
        fork.Json.Set("plan", "$.m", 3);
        var then = world.Db.Sequence;
        fork.Json.Set("plan", "$.n", 4);
        fork.Json.Set("other", "$.n", 5);
        parent.Json.Set("plan", "$.n", 6);
        world.FillSegments(2);
        world.Compact();
        Assert.Equal(Value.Object(("n", 2)), fork.Json.GetAt("plan", begun));
        Assert.Equal(Value.Object(("n", 2), ("m", 3)), fork.Json.GetAt("plan", then));
        Assert.Equal(2, fork.Json.GetAt("plan", then, "$.n"));
        Assert.Null(fork.Json.GetAt("other", then));
        Assert.Throws<HistoryTrimmedException>(() => fork.Json.GetAt("plan", new Sequence(1)));
        Assert.Equal(3, fork.Json.History("plan", limit: 3).Count);
    }

    [Fact]
    [Trait("Requirement", "VER-7")]
    [Trait("Requirement", "DUR-2")]
    public void VER_7_In_memory_only_the_newest_version_is_told()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Json.Put("plan", Value.Object(("n", 1)));
        world.Run.Kv.Put("k", 1);
        Assert.Equal(1, world.Run.Json.GetAt("plan", new Sequence(1), "$.n"));
        Assert.Equal(1, world.Run.Json.GetAt("plan", new Sequence(2), "$.n"));
        Assert.Null(world.Run.Json.GetAt("none", new Sequence(2)));
        world.Run.Json.Set("plan", "$.n", 2);
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => world.Run.Json.GetAt("plan", new Sequence(2)));
        Assert.Equal(3UL, trimmed.Earliest.Value);
        Assert.Equal(2, world.Run.Json.GetAt("plan", DateTimeOffset.MaxValue, "$.n"));
        world.Run.Json.Delete("plan");
        Assert.Null(world.Run.Json.GetAt("plan", world.Db.Sequence));
        Assert.Throws<HistoryTrimmedException>(() => world.Run.Json.GetAt("plan", new Sequence(3)));
    }

    [Theory]
    [MemberData(nameof(WithLog))]
    [Trait("Requirement", "VER-6")]
    public void VER_6_Snapshots_transactions_and_views_see_the_past_up_to_themselves(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Json.Set("plan", "$.n", 1);
        world.Run.Json.Set("plan", "$.n", 2);
        using var snapshot = world.Run.Snapshot();
        using var transaction = world.Run.BeginTransaction();
        using var view = world.Run.At(new Sequence(2));
        world.Run.Json.Set("plan", "$.n", 3);
        transaction.Json.Set("plan", "$.n", 4);
        foreach (var json in new[] { snapshot.Json, transaction.Json, view.Json })
        {
            Assert.Equal(1, json.GetAt("plan", new Sequence(1), "$.n"));
            Assert.Equal(2, json.GetAt("plan", DateTimeOffset.MaxValue, "$.n"));
            var late = Assert.Throws<CairnException>(() => json.GetAt("plan", new Sequence(3)));
            Assert.Equal(ErrorCode.InvalidArgument, late.Code);
        }

        Assert.Null(world.Run.Json.GetAt("plan", Sequence.None));
        Assert.Throws<ConflictException>(() => transaction.Commit());        // it has read what has changed
    }

    private static void Write(Run run, Random random, int step)
    {
        var id = Ids[random.Next(Ids.Length)];
        TimeSpan? ttl = random.Next(3) == 0 ? TimeSpan.FromMinutes(1 + random.Next(6)) : null;
        switch (random.Next(12))
        {
            case 0: run.Json.Put(id, Value.Object(("n", step), ("list", Value.Array(step))), ttl); break;
            case 1: run.Json.Delete(id); break;
            case 2: run.Json.Expire(id, TimeSpan.FromSeconds(1 + random.Next(6))); break;
            case 3: run.Json.Persist(id); break;
            case 4 when run.Json.KindOf(id) == ValueKind.Object:
                run.Json.Merge(id, "$", Value.Object(("deep", Value.Object(("er", step)))));
                break;
            case 5: run.Json.Set(id, "$.deep.er", new string('x', random.Next(200))); break;
            case 6: run.Json.Delete(id, "$.n"); break;
            case 7 when run.Json.KindOf(id, "$.list") == ValueKind.Array:
                run.Json.ArrayInsert(id, "$.list", 0, step);
                break;
            case 8 when run.Json.KindOf(id, "$.n") == ValueKind.Int64:
                run.Json.Increment(id, "$.n", 1);
                break;
            default: run.Json.Set(id, "$.n", step); break;
        }
    }

    /// <summary>What was told right after each commit.</summary>
    private sealed class Told
    {
        private readonly SortedDictionary<ulong, Value?[]> _bySequence = [];
        private readonly SortedDictionary<long, (ulong Sequence, Value?[] Documents)> _byTime = [];

        internal void Remember(CairnDatabase db, Run run, long now)
        {
            Value?[] documents = [.. Ids.Select(id => run.Json.Get(id))];
            if (db.Sequence == Sequence.None)
                return;
            _bySequence.TryAdd(db.Sequence.Value, documents);   // a step that found nothing to do wrote nothing
            _byTime[now] = (db.Sequence.Value, documents);
        }

        /// <returns>How many questions were refused.</returns>
        internal int Check(Run run, ulong promisedFrom = 0)
        {
            var refused = 0;
            foreach (var (sequence, documents) in _bySequence)
                refused += Check(documents, (id, place) => run.Json.GetAt(id, new Sequence(sequence), place), sequence, promisedFrom);
            foreach (var (time, (sequence, documents)) in _byTime)
                refused += Check(documents, (id, place) => run.Json.GetAt(id, CommitClock.Time(time), place), sequence, promisedFrom);
            return refused;
        }

        private static int Check(Value?[] documents, Func<string, DocumentPath?, Value?> ask, ulong sequence, ulong promisedFrom)
        {
            var refused = 0;
            for (var i = 0; i < Ids.Length; i++)
            {
                foreach (var place in Places)
                {
                    var expected = documents[i] is { } document
                        ? place is null ? document : place.TryGet(document, out var found) ? found : default(Value?)
                        : null;
                    try
                    {
                        Assert.Equal(expected, ask(Ids[i], place));
                    }
                    catch (HistoryTrimmedException trimmed)
                    {
                        Assert.True(sequence < promisedFrom, $"{Ids[i]} at @{sequence} was refused: {trimmed.Message}");
                        refused++;
                    }
                }
            }

            return refused;
        }
    }
}
