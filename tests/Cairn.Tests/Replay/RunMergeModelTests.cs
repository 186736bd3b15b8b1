#pragma warning disable xUnit1051 // what is merged here is small

using System.Globalization;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>Merges in both directions between a run and its fork, in random histories with restarts, kills, checkpoints, merges of tables
/// and compaction between, beside a model that has nothing in common with the engine: states are values, and the base is the newest state
/// that both histories have gone through.</summary>
public class RunMergeModelTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Requirement", "RPL-29")]
    [Trait("Requirement", "RPL-30")]
    public void In_memory_with_its_past()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
            Play(Durability.InMemory, seed);
    }

    [Fact]
    [Trait("Requirement", "RPL-29")]
    [Trait("Requirement", "RPL-30")]
    [Trait("Requirement", "RPL-31")]
    [Trait("Requirement", "RPL-32")]
    public void With_a_log_checkpoints_and_restarts()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(12), output))
            Play(seed % 2 == 0 ? Durability.Strict : Durability.Buffered, seed);
    }

    private static void Play(Durability mode, int seed)
    {
        using var test = new TestDatabase(mode, options => options with
        {
            Retention = Retention.KeepAll, CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 32 << 10,
        });
        var world = new MergeWorld(test, seed);
        var random = new Random(seed);
        for (var step = 0; step < 220; step++)
        {
            try
            {
                world.Step();
                if (test.HasLog && random.Next(9) == 0)
                    Disturb(test, random);
                if (step % 4 == 0)
                    world.Check();
            }
            catch (Exception failure) when (failure is not InvalidOperationException { InnerException: not null })
            {
                throw new InvalidOperationException($"seed {seed}, {mode}, step {step}: {failure.Message}", failure);
            }
        }

        world.Check();
        Assert.True(world.Merged > 8 && world.Refused > 0, $"seed {seed}: {world.Merged} merged, {world.Refused} refused");
        foreach (var run in (string[])["target", "source"])
        {
            using var view = test.Db.Replay(test.Db.Runs.Get(run)!.Id);
            Assert.Equal(test.Db.Runs.Get(run)!.StateHash(), view.StateHash());
        }

        if (!test.HasLog)
            return;
        var hash = test.Db.StateHash();
        test.Reopen(isKilled: true);
        Assert.Equal(hash, test.Db.StateHash());
        var verified = test.Db.VerifyDeep();
        Assert.True(verified.IsValid, string.Join('\n', verified.Findings));
    }

    private static void Disturb(TestDatabase test, Random random)
    {
        switch (random.Next(6))
        {
            case 0:
                test.Checkpoint();
                break;
            case 1:
                test.CheckpointAndForget();
                break;
            case 2:
                while (test.Db.Engine.Merger!.Step(all: random.Next(2) == 0))
                {
                }

                break;
            case 3:
                test.Db.Compact(null, TestContext.Current.CancellationToken);
                break;
            case 4:
                test.Reopen();
                break;
            default:
                test.Reopen(isKilled: true);
                break;
        }
    }

    // ---- forests --------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "RPL-30")]
    [Trait("Requirement", "RPL-31")]
    public void In_a_forest_of_forks_no_merge_brings_an_event_twice_or_leaves_anything_to_bring(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            using var test = new TestDatabase(mode, options => options with { Retention = Retention.KeepAll });
            var random = new Random(seed);
            var runs = new List<RunId> { test.Db.Runs.Begin("root").Id };
            var (ids, merged) = (0, 0);
            for (var step = 0; step < 160; step++)
            {
                var run = test.Db.Runs.Get(runs[random.Next(runs.Count)])!;
                switch (random.Next(10))
                {
                    case 0 when runs.Count < 7:
                        runs.Add(test.Db.Runs.Fork(run.Id).Id);
                        break;
                    case < 4 when runs.Count > 1:
                        merged += MergeSome(test, random, runs) ? 1 : 0;
                        break;
                    case < 7:
                        run.Events.Append("e", Value.Object(("id", ++ids)));
                        break;
                    default:
                        run.Kv.Put($"k{random.Next(12)}", random.Next(3));
                        break;
                }

                test.Clock.Advance(TimeSpan.FromSeconds(random.Next(3)));
                if (step % 40 == 39)
                    test.Reopen(isKilled: random.Next(2) == 0);
            }

            Assert.True(merged > 8, $"seed {seed}: {merged} merged");
            foreach (var id in runs)
            {
                var run = test.Db.Runs.Get(id)!;
                var events = run.Events.Since(0, new EventScanOptions { Limit = 1_000 });
                Assert.True(run.Events.Verify().IsValid);
                Assert.Equal(events.Count, events.Select(item => item.Payload!.Value["id"].AsInt64()).Distinct().Count());
                Assert.Equal(events.Select(item => item.Time).Order(), events.Select(item => item.Time));
                foreach (var item in events)
                {
                    // Its origin has it, under that number and hash.
                    if (run.Events.Origin(item.Number) is not { } origin)
                        continue;
                    var first = test.Db.Runs.Get(origin.Run)!.Events.Get(origin.Number)!;
                    Assert.Equal((first.Hash, first.Payload), (origin.Hash, item.Payload));
                }
            }
        }
    }

    private static bool MergeSome(TestDatabase test, Random random, List<RunId> runs)
    {
        var (source, target) = (runs[random.Next(runs.Count)], runs[random.Next(runs.Count)]);
        if (source == target)
            return false;
        var options = new MergeOptions
        {
            Strategy = random.Next(4) == 0 ? MergeStrategy.Strict : MergeStrategy.PreferSource,
            Events = random.Next(4) == 0 ? MergeEventRule.Conflict : MergeEventRule.AppendAfter,
        };
        var hash = test.Db.StateHash();
        var result = test.Db.Runs.Merge(source, target, options);
        if (!result.IsClean || result.IsEmpty)
        {
            Assert.Equal(hash, test.Db.StateHash());
            return false;
        }

        // Everything of the source is there.
        Assert.True(test.Db.Runs.Merge(source, target).IsEmpty);
        var (from, into) = (test.Db.Runs.Get(source)!, test.Db.Runs.Get(target)!);
        var has = into.Events.Since(0, new EventScanOptions { Limit = 1_000 }).Select(item => item.Payload!.Value["id"].AsInt64());
        var ought = from.Events.Since(0, new EventScanOptions { Limit = 1_000 }).Select(item => item.Payload!.Value["id"].AsInt64());
        Assert.Empty(ought.Except(has));
        return true;
    }

    // ---- crashes --------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "RPL-27")]
    [Trait("Promise", "G4")]
    public void A_merge_that_the_power_ends_has_happened_whole_or_not_at_all(Durability mode)
    {
        var images = 0;
        for (var at = 0; ; at++)
        {
            var machine = new CrashStorage();
            using var test = new TestDatabase(mode, storage: machine);
            var target = test.Db.Runs.Begin("target");
            target.Events.Append("a", Value.Object(("n", 0)));
            var source = test.Db.Runs.Fork(target.Id, name: "source");
            for (var i = 0; i < 20; i++)
                source.Kv.Put($"k{i}", new string('x', 100 * i));
            source.State.Set("cell", 1);
            source.Events.Append("a", Value.Object(("n", 1)));
            source.Traces.Record(new ThoughtStep("thought"));
            target.Kv.Put("own", 1);
            test.Db.Sync();
            var before = (test.Db.Sequence, test.Db.StateHash());
            machine.PowerFailsAt = machine.Operations + 1 + at;
            try
            {
                test.Db.Runs.Merge(source.Id, target.Id);
                test.Db.Sync();
            }
            catch (Exception end) when (machine.PowerLost && end is PowerLossException or CairnException)
            {
            }

            if (!machine.PowerLost)
            {
                machine.PowerFailsAt = 0;
                Assert.True(at > 1 && images > 7, $"{at} moments, {images} images");
                return;
            }

            for (var seed = 1UL; seed <= 4; seed++)
            {
                images++;
                test.MoveTo(machine.Crash(seed));
                if (test.Db.Sequence == before.Sequence)
                    Assert.Equal(before.Item2, test.Db.StateHash());
                target = test.Db.Runs.Get("target")!;
                var isMerged = test.Db.Runs.Merges(target.Id).Count == 1;
                Assert.Equal(isMerged ? before.Sequence.Value + 1 : before.Sequence.Value, test.Sequence);
                Assert.Equal(
                    isMerged ? (21, 1, 2, 1) : (1, 0, 1, 0),
                    (target.Kv.Count(), target.State.Count(), target.Events.Count(), target.Traces.Count()));
                var again = test.Db.Runs.Merge(test.Db.Runs.Get("source")!.Id, target.Id);
                Assert.Equal(isMerged, again.IsEmpty);
                Assert.Equal(21, target.Kv.Count());
            }
        }
    }

    // ---- others at the same time ------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "RPL-27")]
    public void A_writer_that_comes_between_is_never_lost(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        var source = test.Db.Runs.Fork(target.Id);
        source.Kv.Put("a", 2);
        source.Kv.Put("asked", 2);
        target.Kv.Put("asked", 3);
        source.Events.Append("s", Value.Object(("n", 1)));
        var tries = 0;
        var result = test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions
        {
            Strategy = MergeStrategy.PreferSource,
            Events = MergeEventRule.AppendAfter,
            Resolve = _ =>
            {
                if (tries++ == 0)
                    Elsewhere(() => target.Kv.Put("a", 9));
                return null;
            },
        });
        Assert.Equal((3, 2L), (tries, result.ConflictCount));           // "a" was free in the first try and is in conflict in the second
        Assert.Equal(2, target.Kv.Number("a"));

        // Left to the target, what came between stays.
        var second = test.Db.Runs.Fork(target.Id);
        second.Kv.Put("asked", 4);
        second.Kv.Put("b", 4);
        target.Kv.Put("asked", 5);
        second.Events.Append("s", Value.Object(("n", 2)));
        tries = 0;
        result = test.Db.Runs.Merge(second.Id, target.Id, new MergeOptions
        {
            Strategy = MergeStrategy.PreferTarget,
            Events = MergeEventRule.AppendAfter,
            Resolve = conflict =>
            {
                if (tries++ == 0)
                {
                    Elsewhere(() =>
                    {
                        target.Kv.Put("b", 7);
                        target.Events.Append("t", Value.Object(("n", 9)));
                    });
                }

                return null;
            },
        });
        Assert.Equal((7L, 5L, 3L), (target.Kv.Number("b"), target.Kv.Number("asked"), result.ConflictCount));
        Assert.Equal([1L, 9L, 2L], target.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.True(target.Events.Verify().IsValid);
    }

    [Fact]
    [Trait("Requirement", "RPL-27")]
    public void Writers_and_merges_on_threads_lose_nothing()
    {
        using var test = new TestDatabase(Durability.Buffered);
        var target = test.Db.Runs.Begin("target");
        var sources = Enumerable.Range(0, 3).Select(_ => test.Db.Runs.Fork(target.Id)).ToList();
        var options = new MergeOptions { Strategy = MergeStrategy.PreferTarget, Events = MergeEventRule.AppendAfter };
        Primitives.ModeDatabase.OnThreads(5, index =>
        {
            for (var i = 0; i < 60; i++)
            {
                if (index >= sources.Count)
                {
                    target.Kv.Put($"t{index}-{i}", i);
                    target.Events.Append("t", Value.Object(("n", i)));
                    continue;
                }

                sources[index].Kv.Put($"s{index}-{i}", i);
                sources[index].Events.Append("s", Value.Object(("n", i)));
                if (i % 12 != 11)
                    continue;
                while (true)
                {
                    try
                    {
                        Assert.True(test.Db.Runs.Merge(sources[index].Id, target.Id, options).IsClean);
                        break;
                    }
                    catch (ConflictException)
                    {
                    }
                }
            }
        });
        Assert.Equal(5 * 60, target.Kv.Count());
        Assert.Equal(5 * 60, target.Events.Count());
        Assert.True(target.Events.Verify().IsValid);
        for (var index = 0; index < sources.Count; index++)
        {
            var came = Enumerable.Range(0, 300).Select(n => (target.Events.Origin((ulong)n), target.Events.Get((ulong)n)!))
                .Where(pair => pair.Item1?.Run == sources[index].Id).ToList();
            Assert.Equal(Enumerable.Range(0, 60).Select(n => (long)n), came.Select(pair => pair.Item2.Payload!.Value["n"].AsInt64()));
            Assert.All(came, pair => Assert.Equal(sources[index].Events.Get(pair.Item1!.Value.Number)!.Hash, pair.Item1!.Value.Hash));
        }
    }

    private static void Elsewhere(Action action)
    {
        using (ExecutionContext.SuppressFlow())
        {
            var thread = new Thread(() => action());
            thread.Start();
            thread.Join();
        }
    }
}

/// <summary>A run and its fork, and what they must hold.</summary>
internal sealed class MergeWorld
{
    private readonly TestDatabase _test;
    private readonly Random _random;
    private readonly Dictionary<string, Node> _heads = [];
    private readonly Dictionary<string, Node> _seen = [];    // by "into<from": what of from was merged there last
    private int _ids;
    private int _order;

    internal MergeWorld(TestDatabase test, int seed)
    {
        (_test, _random) = (test, new Random(seed));
        var target = test.Db.Runs.Begin("target");
        _heads["target"] = new Node([], ++_order, new([], [], [], []));
        for (var i = 0; i < 10; i++)
            Write("target");
        test.Db.Runs.Fork(target.Id, name: "source");
        _heads["source"] = new Node([_heads["target"]], ++_order, _heads["target"].Life);
    }

    internal int Merged { get; private set; }

    internal int Refused { get; private set; }

    /// <summary>A state in the history of both runs.</summary>
    private sealed record Node(IReadOnlyList<Node> Parents, int Order, MergeLife Life);

    /// <param name="Kv">Value and expiry.</param>
    /// <param name="Cells">Null: deleted; the counter stays.</param>
    private sealed record MergeLife(
        Dictionary<string, (long Value, long Expiry)> Kv, Dictionary<string, (long? Value, ulong Counter)> Cells, List<int> Events,
        List<int> Traces)
    {
        internal MergeLife Copy() => new(new(Kv), new(Cells), [.. Events], [.. Traces]);
    }

    private Run Run(string name) => _test.Db.Runs.Get(name)!;

    private long Now => CommitClock.Microseconds(_test.Clock.GetUtcNow());

    internal void Step()
    {
        switch (_random.Next(12))
        {
            case 0:
                _test.Clock.Advance(TimeSpan.FromSeconds(_random.Next(1, 20)));
                break;
            case 1 or 2:
                Merge(_random.Next(3) > 0 ? "source" : "target");
                break;
            default:
                Write(_random.Next(2) == 0 ? "source" : "target");
                break;
        }
    }

    private void Write(string name)
    {
        var run = Run(name);
        var life = _heads[name].Life.Copy();
        var key = $"k{_random.Next(8)}";
        var value = _random.Next(3);
        switch (_random.Next(8))
        {
            case 0 or 1:
                run.Kv.Put(key, value);
                life.Kv[key] = (value, 0);
                break;
            case 2:
                run.Kv.Put(key, value, ttl: TimeSpan.FromSeconds(30));
                life.Kv[key] = (value, Now + 30_000_000);
                break;
            case 3:
                run.Kv.Delete(key);
                life.Kv.Remove(key);
                break;
            case 4:
                life.Cells[key] = (value, run.State.Set(key, value).Counter.Value);
                break;
            case 5:
                if (run.State.Delete(key))
                    life.Cells[key] = (null, life.Cells[key].Counter + 1);
                break;
            case 6:
                run.Events.Append("e", Value.Object(("id", ++_ids), ("text", new string('x', _random.Next(3) * 60))));
                life.Events.Add(_ids);
                break;
            default:
                run.Traces.Record(new ThoughtStep($"{++_ids}"));
                life.Traces.Add(_ids);
                break;
        }

        _heads[name] = new Node([_heads[name]], ++_order, life);
    }

    private void Merge(string from)
    {
        var into = from == "source" ? "target" : "source";
        var strategy = (MergeStrategy)_random.Next(3);
        var rule = (MergeEventRule)_random.Next(2);
        var (conflicts, open, life) = Expect(from, into, strategy, rule);
        var before = _test.Sequence;
        var result = _test.Db.Runs.Merge(
            Run(from).Id, Run(into).Id, new MergeOptions { Strategy = strategy, Events = rule, IsDryRun = _random.Next(5) == 0 });
        Assert.Equal((conflicts, open), (result.ConflictCount, result.OpenConflicts));
        if (result.IsDryRun || open > 0 || result.IsEmpty)
        {
            Refused += open > 0 ? 1 : 0;
            Assert.Equal(before, _test.Sequence);
            return;
        }

        Merged++;
        Assert.Equal(before + 1, _test.Sequence);
        _seen[into] = _heads[from];
        _heads[into] = new Node([_heads[into], _heads[from]], ++_order, life);
        Assert.True(_test.Db.Runs.Merge(Run(from).Id, Run(into).Id).IsEmpty);
    }

    // The newest state in both histories.
    private Node BaseOf(string from, string into)
    {
        var (one, other) = (HistoryOf(_heads[from]), HistoryOf(_heads[into]));
        one.IntersectWith(other);
        return one.MaxBy(node => node.Order)!;
    }

    private static HashSet<Node> HistoryOf(Node head)
    {
        var history = new HashSet<Node>(ReferenceEqualityComparer.Instance);
        var waiting = new Stack<Node>([head]);
        while (waiting.TryPop(out var node))
        {
            if (history.Add(node))
            {
                foreach (var parent in node.Parents)
                    waiting.Push(parent);
            }
        }

        return history;
    }

    private (long Conflicts, long Open, MergeLife Life) Expect(string from, string into, MergeStrategy strategy, MergeEventRule rule)
    {
        var (was, its, ours) = (BaseOf(from, into).Life, _heads[from].Life, _heads[into].Life);
        var life = ours.Copy();
        var (conflicts, open) = (0L, 0L);
        foreach (var key in Enumerable.Range(0, 8).Select(i => $"k{i}"))
        {
            var (w, i, o) = (Live(was, key), Live(its, key), Live(ours, key));
            if (w?.Value == i?.Value)
            {
                if (i is { } kept && kept.Expiry != w!.Value.Expiry && o == w)
                    life.Kv[key] = kept;
            }
            else if (i?.Value != o?.Value && (w?.Value == o?.Value || Takes()))
            {
                if (i is { } taken)
                    life.Kv[key] = taken;
                else
                    life.Kv.Remove(key);
            }

            var (wc, ic, oc) = (was.Cells.GetValueOrDefault(key), its.Cells.GetValueOrDefault(key), ours.Cells.GetValueOrDefault(key));
            if (wc.Value != ic.Value && ic.Value != oc.Value && (wc.Value == oc.Value || Takes()))
                life.Cells[key] = (ic.Value, Math.Max(ic.Counter, oc.Counter) + 1);
        }

        var news = its.Events.Except(ours.Events).Except(_seen.GetValueOrDefault(into)?.Life.Events ?? []).ToList();
        var own = ours.Events.Except(its.Events).Except(_seen.GetValueOrDefault(from)?.Life.Events ?? []).ToList();
        if (news.Count > 0 && own.Count > 0)
        {
            conflicts++;
            open += rule == MergeEventRule.Conflict && strategy != MergeStrategy.PreferTarget ? 1 : 0;
        }

        if (own.Count == 0 || rule == MergeEventRule.AppendAfter)
            life.Events.AddRange(news);
        life.Traces.AddRange(its.Traces.Except(ours.Traces).ToList());
        return (conflicts, open, life);

        bool Takes()
        {
            conflicts++;
            open += strategy == MergeStrategy.Strict ? 1 : 0;
            return strategy == MergeStrategy.PreferSource;
        }
    }

    private (long Value, long Expiry)? Live(MergeLife life, string key) =>
        life.Kv.TryGetValue(key, out var entry) && (entry.Expiry == 0 || entry.Expiry > Now) ? entry : null;

    internal void Check()
    {
        foreach (var (name, head) in _heads)
        {
            var (run, life) = (Run(name), head.Life);
            using var snapshot = run.Snapshot();
            Assert.Equal(
                life.Kv.Keys.Where(key => Live(life, key) is not null).Order(StringComparer.Ordinal)
                    .Select(key => (key, life.Kv[key].Value, life.Kv[key].Expiry)),
                snapshot.Kv.Scan(new ScanOptions { Limit = 100 }).Select(pair => (
                    pair.Key, pair.Value.Value.AsInt64(), pair.Value.Expiry is { } expiry ? CommitClock.Microseconds(expiry) : 0)));
            Assert.Equal(
                life.Cells.Where(cell => cell.Value.Value is not null).OrderBy(cell => cell.Key, StringComparer.Ordinal)
                    .Select(cell => (cell.Key, cell.Value.Value!.Value, cell.Value.Counter)),
                snapshot.State.Scan(new ScanOptions { Limit = 100 })
                    .Select(pair => (pair.Key, pair.Value.Value.AsInt64(), pair.Value.Counter.Value)));
            Assert.Equal(
                life.Events.Select(id => (long)id),
                snapshot.Events.Since(0, new EventScanOptions { Limit = 1000 }).Select(item => item.Payload!.Value["id"].AsInt64()));
            Assert.Equal(
                life.Traces.Order(),
                snapshot.Traces.List(new TracePage { Limit = 1000 })
                    .Select(trace => int.Parse(((ThoughtStep)trace.Step!).Content, CultureInfo.InvariantCulture)).Order());
            var verified = run.Events.Verify();
            Assert.True(verified.IsValid, verified.Error);
        }
    }
}
