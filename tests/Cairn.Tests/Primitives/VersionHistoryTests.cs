using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>History and GetAt of key-values and state cells: one code, so one suite over both.</summary>
public class VersionHistoryTests
{
    private static readonly string[] Names = ["a", "b", "c", "d", "e"];

    public static TheoryData<Durability> WithLog => [Durability.Buffered, Durability.Strict];

    private static ErrorCode CodeOf(Action action) => Assert.ThrowsAny<CairnException>(action).Code;

    private static Sequence At(ulong sequence) => new(sequence);

    [Theory]
    [MemberData(nameof(WithLog))]
    public void VER_6_KV_9_Versions_of_a_key_come_newest_first_with_deletions_and_changes_of_expiry(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Kv.Put("k", "one");                                              // 1
        world.Run.Kv.Put("other", "x");                                            // 2
        world.Run.Kv.Put("k", 2, TimeSpan.FromHours(1));                           // 3
        world.Run.Kv.Increment("k", 3);                                            // 4: keeps the expiry
        world.Run.Kv.Persist("k");                                                 // 5
        world.Run.Kv.Delete("k");                                                  // 6
        world.Run.Transact(tx => tx.Kv.Put("k", Value.Null));                      // 7
        for (var opening = 0; opening < 2; opening++)
        {
            var found = world.Run.Kv.History("k");
            Assert.Equal([7UL, 6, 5, 4, 3, 1], found.Select(item => item.Version.Value));
            Assert.Equal([false, true, false, false, false, false], found.Select(item => item.IsDeletion));
            Assert.Equal([Value.Null, Value.Null, 5, 5, 2, "one"], found.Select(item => item.Value));
            Assert.Equal([false, false, false, true, true, false], found.Select(item => item.Expiry is not null));
            Assert.Equal([7UL, 6], world.Run.Kv.History("k", 2).Select(item => item.Version.Value));
            Assert.Equal([3UL, 1], world.Run.Kv.History("k", 2, At(4)).Select(item => item.Version.Value));
            Assert.Empty(world.Run.Kv.History("k", before: At(1)));
            Assert.Empty(world.Run.Kv.History("k", before: Sequence.None));
            Assert.Empty(world.Run.Kv.History("never"));
            world.Reopen();
        }
    }

    [Theory]
    [MemberData(nameof(WithLog))]
    public void VER_6_ST_9_Versions_of_a_cell_have_their_counters_and_deletions_count_too(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Init("c", "one");                                          // 1: counter 1
        world.Run.State.Transition("c", _ => 2);                                   // 2: counter 2
        world.Run.State.Expire("c", TimeSpan.FromHours(1));                        // 3: counter 2
        world.Run.State.Delete("c");                                               // 4: counter 3
        world.Run.Transact(tx =>
        {
            tx.State.Set("c", "x");
            tx.State.Set("c", "y");                                                // 5: counter 5
        });
        world.Run.State.Acquire("lease", "worker", TimeSpan.FromSeconds(1));       // 6
        for (var opening = 0; opening < 2; opening++)
        {
            var found = world.Run.State.History("c");
            Assert.Equal([5UL, 4, 3, 2, 1], found.Select(item => item.Version.Value));
            Assert.Equal([5UL, 3, 2, 2, 1], found.Select(item => item.Counter.Value));
            Assert.Equal(["y", Value.Null, 2, 2, "one"], found.Select(item => item.Value));
            Assert.Equal([false, true, false, false, false], found.Select(item => item.IsDeletion));
            Assert.Equal([false, false, true, false, false], found.Select(item => item.Expiry is not null));
            Assert.Equal([4UL], world.Run.State.History("c", 1, At(5)).Select(item => item.Version.Value));
            Assert.Single(world.Run.State.History("lease"));
            var third = world.Run.State.GetAt("c", At(3))!.Value;
            Assert.Equal((2UL, 2L), (third.Counter.Value, third.Value.AsInt64()));
            Assert.Null(world.Run.State.GetAt("c", At(4)));
            Assert.Equal(5UL, world.Run.State.GetAt("c", world.Clock.GetUtcNow())!.Value.Counter.Value);
            Assert.Null(world.Run.State.GetAt("c", DateTimeOffset.UnixEpoch));
            world.Reopen();
        }
    }

    // Found while writing the tests of history: GetAt at a sequence did not look at the expiry, so a value that had been gone for hours
    // was given as valid there.
    [Theory]
    [MemberData(nameof(WithLog))]
    public void TTL_3_What_had_expired_by_the_time_of_a_commit_is_absent_there(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Kv.Put("k", "short", TimeSpan.FromMinutes(1));                   // 1
        world.Run.State.Set("c", "short", TimeSpan.FromMinutes(1));                // 2
        world.Db.Runs.Begin("other");                                              // 3
        var alive = world.Clock.GetUtcNow();
        world.Clock.Advance(TimeSpan.FromHours(1));
        world.Db.Runs.Get("other")!.Kv.Put("x", 1);                                // 4: another run's, an hour later
        for (var opening = 0; opening < 2; opening++)
        {
            Assert.Equal("short", world.Run.Kv.GetAt("k", At(3))!.Value.AsString());
            Assert.Equal("short", world.Run.State.GetAt("c", At(3))!.Value.Value.AsString());
            Assert.Null(world.Run.Kv.GetAt("k", At(4)));
            Assert.Null(world.Run.State.GetAt("c", At(4)));
            Assert.NotNull(world.Run.Kv.GetAt("k", alive.AddMinutes(1).AddMicroseconds(-1)));
            Assert.Null(world.Run.Kv.GetAt("k", alive.AddMinutes(1)));
            Assert.Single(world.Run.Kv.History("k"));
            world.Reopen();
        }
    }

    [Theory]
    [MemberData(nameof(WithLog))]
    public void VER_6_What_GetAt_tells_of_a_commit_is_what_Get_told_after_it(Durability mode)
    {
        var seed = Seeds.Begin($"history {mode}");
        var random = new Random((int)seed);
        using var world = new ModeDatabase(mode, new CairnOptions { SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10 });
        world.Db.Runs.Begin("other");
        var bySequence = new Dictionary<Sequence, Told>();
        var byTime = new Dictionary<long, Told>();
        for (var step = 0; step < 400; step++)
        {
            if (random.Next(40) == 0)
                world.Reopen();
            world.Clock.Advance(TimeSpan.FromSeconds(random.Next(3)));
            Write(world, random, Names[random.Next(Names.Length)], step);
            var told = new Told([.. Names.Select(name => world.Run.Kv.Get(name))], [.. Names.Select(name => world.Run.State.Get(name))]);
            bySequence.TryAdd(world.Db.Sequence, told);      // a step that found nothing to do wrote nothing
            byTime[world.Clock.Microseconds] = told;
        }

        foreach (var (sequence, told) in bySequence)
        {
            if (sequence == Sequence.None)
                continue;
            Assert.Equal(told.Kv, Names.Select(name => world.Run.Kv.GetAt(name, sequence)));
            Assert.Equal(told.Cells, Names.Select(name => world.Run.State.GetAt(name, sequence)));
        }

        foreach (var (time, told) in byTime)
        {
            Assert.Equal(told.Kv, Names.Select(name => world.Run.Kv.GetAt(name, CommitClock.Time(time))));
            Assert.Equal(told.Cells, Names.Select(name => world.Run.State.GetAt(name, CommitClock.Time(time))));
        }
    }

    private sealed record Told(List<Value?> Kv, List<StateCell?> Cells);

    private static void Write(ModeDatabase world, Random random, string name, int step)
    {
        TimeSpan? ttl = random.Next(3) == 0 ? TimeSpan.FromSeconds(1 + random.Next(6)) : null;
        switch (random.Next(10))
        {
            case 0: world.Run.Kv.Put(name, step, ttl); break;
            case 1: world.Run.Kv.Delete(name); break;
            case 2: world.Run.Kv.Put(name, new string('x', random.Next(200)), ttl); break;
            case 3: world.Run.Kv.Expire(name, TimeSpan.FromSeconds(1 + random.Next(6))); break;
            case 4: world.Run.State.Set(name, step, ttl); break;
            case 5: world.Run.State.Delete(name); break;
            case 6: world.Run.State.TransitionOrInit(name, 0, _ => step); break;
            case 7: world.Run.State.Persist(name); break;
            case 8: world.Db.Runs.Get("other")!.Kv.Put(name, step); break;
            default: world.Db.Engine.Maintainer!.Step(); break;
        }
    }

    [Theory]
    [MemberData(nameof(WithLog))]
    public void VER_6_CON_3_Snapshots_and_transactions_see_history_up_to_themselves(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Kv.Put("k", 1);
        world.Run.State.Set("c", 1);
        using var snapshot = world.Run.Snapshot();
        using var transaction = world.Run.BeginTransaction();
        world.Run.Kv.Put("k", 2);
        world.Run.State.Set("c", 2);
        transaction.Kv.Put("k", "own");
        transaction.State.Set("c", "own");
        foreach (var (kv, state) in new (KvView, StateView)[] { (snapshot.Kv, snapshot.State), (transaction.Kv, transaction.State) })
        {
            Assert.Equal([1L], kv.History("k").Select(item => item.Value.AsInt64()));
            Assert.Equal([1L], state.History("c").Select(item => item.Value.AsInt64()));
            Assert.Equal(1, kv.GetAt("k", DateTimeOffset.MaxValue)!.Value.AsInt64());
            Assert.Equal(1, kv.GetAt("k", At(2))!.Value.AsInt64());
            Assert.Equal(ErrorCode.InvalidArgument, CodeOf(() => kv.GetAt("k", At(3))));
            Assert.Equal(ErrorCode.InvalidArgument, CodeOf(() => state.GetAt("c", At(3))));
        }

        Assert.Throws<ConflictException>(() => transaction.Commit());              // it has read both, and both have changed
        Assert.Equal(ErrorCode.InvalidArgument, CodeOf(() => world.Run.Kv.GetAt("k", At(5))));
        Assert.Null(world.Run.Kv.GetAt("k", Sequence.None));
    }

    [Fact]
    public void VER_7_In_memory_only_the_newest_version_is_kept_and_asking_for_more_is_an_error()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        Assert.Empty(world.Run.Kv.History("k"));                                   // nothing was ever written
        world.Run.Kv.Put("k", 1);                                                  // 1
        var early = world.Clock.GetUtcNow();
        world.Run.Kv.Put("x", 1);                                                  // 2
        world.Clock.Advance(TimeSpan.FromHours(1));
        world.Run.Kv.Put("k", 2);                                                  // 3
        world.Run.State.Set("c", 1);                                               // 4
        world.Run.Kv.Put("x", 2);                                                  // 5
        world.Run.State.Set("c", 2);                                               // 6
        Assert.Equal(2, Assert.Single(world.Run.Kv.History("k", 1)).Value.AsInt64());
        Assert.Equal(2UL, Assert.Single(world.Run.State.History("c", 1)).Counter.Value);
        Assert.Equal(2, world.Run.Kv.GetAt("k", At(3))!.Value.AsInt64());
        Assert.Equal(2, world.Run.Kv.GetAt("k", At(6))!.Value.AsInt64());
        Assert.Equal(2, world.Run.Kv.GetAt("k", DateTimeOffset.MaxValue)!.Value.AsInt64());
        Trimmed(3, () => world.Run.Kv.History("k"));
        Trimmed(3, () => world.Run.Kv.GetAt("k", At(2)));
        Trimmed(3, () => world.Run.Kv.GetAt("k", early));
        Trimmed(6, () => world.Run.State.History("c", 2));
        Trimmed(6, () => world.Run.State.GetAt("c", At(5)));

        // A tombstone is kept for a while and then swept; afterwards a key that was is not told from one that never was.
        world.Run.Kv.Delete("k");                                                  // 7
        for (var i = 0; i < 5; i++)
            world.Db.Engine.Maintainer!.Step();
        Assert.Null(world.Run.Kv.GetAt("k", At(7)));
        Assert.Null(world.Run.Kv.GetAt("k", DateTimeOffset.MaxValue));
        Trimmed(7, () => world.Run.Kv.GetAt("k", At(6)));
        Trimmed(7, () => world.Run.Kv.GetAt("k", early));
    }

    // Memory keeps the pinned and the newest versions and sweeps what lies between, so the newest kept version below a sequence need
    // not be the one that was valid there.
    [Fact]
    [Trait("Promise", "G3")]
    public void VER_7_In_memory_a_version_that_a_snapshot_keeps_does_not_stand_for_those_after_it()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Kv.Put("k", "first");                                            // 1
        using var snapshot = world.Run.Snapshot();
        world.Run.Kv.Put("k", "second");                                           // 2
        world.Run.Kv.Put("x", 1);                                                  // 3
        world.Run.Kv.Put("k", "third");                                            // 4
        for (var i = 0; i < 5; i++)
            world.Db.Engine.Maintainer!.Step();
        Trimmed(4, () => world.Run.Kv.GetAt("k", At(3)));
        Assert.Equal("first", world.Run.Kv.GetAt("k", At(1))!.Value.AsString());
        Assert.Equal("first", snapshot.Kv.GetAt("k", At(1))!.Value.AsString());
        Assert.Equal("third", world.Run.Kv.GetAt("k", At(4))!.Value.AsString());
    }

    [Fact]
    public void TTL_3_VER_7_In_memory_an_expired_version_answers_only_where_it_is_certain()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Kv.Put("k", "short", TimeSpan.FromMinutes(1));                   // 1
        var alive = world.Clock.GetUtcNow();
        world.Run.Kv.Put("x", 1);                                                  // 2
        Assert.NotNull(world.Run.Kv.GetAt("k", At(2)));
        world.Clock.Advance(TimeSpan.FromHours(1));
        world.Run.Kv.Put("x", 2);                                                  // 3
        Assert.NotNull(world.Run.Kv.GetAt("k", At(1)));
        Trimmed(3, () => world.Run.Kv.GetAt("k", At(2)));
        Assert.Null(world.Run.Kv.GetAt("k", At(3)));
        Assert.NotNull(world.Run.Kv.GetAt("k", alive));
        Assert.Null(world.Run.Kv.GetAt("k", alive.AddMinutes(1)));
    }

    private static void Trimmed(ulong earliest, Action ask) =>
        Assert.Equal(earliest, Assert.Throws<HistoryTrimmedException>(ask).Earliest.Value);
}
