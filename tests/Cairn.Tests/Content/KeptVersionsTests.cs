#pragma warning disable xUnit1051 // what is written here is small
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>KeepLast(n): of each key the newest n versions are answered from log and archives, and of what is beyond nothing wrong is
/// said. Beside a plain list of versions.</summary>
[Trait("Requirement", "RET-1")]
[Trait("Requirement", "RET-3")]
public class KeptVersionsTests
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private static readonly string[] Keys = ["a", "b", "c", "d", "hot"];

    private sealed record Version(ulong Sequence, long Time, string? Value);

    /// <summary>A run and all that was ever written to it, the newest first.</summary>
    private sealed class Listed(CompactionWorld world, Run run)
    {
        private readonly Dictionary<string, List<Version>> _versions = [];
        private readonly List<(ulong Sequence, long Time)> _moments = [];

        internal Run Run => run;

        /// <summary>One record with some keys in it; a null deletes, a value that is there may get another expiry.</summary>
        internal void Write(Random random, int number)
        {
            var written = new Dictionary<string, string?>();
            run.Transact(tx =>
            {
                foreach (var key in Keys.Where(key => key == "hot" || random.Next(4) == 0))
                {
                    var now = tx.Kv.Get(key)?.AsString();
                    if (random.Next(6) == 0 && now is not null)
                    {
                        tx.Kv.Delete(key);
                        written.Add(key, null);
                    }
                    else if (random.Next(5) == 0 && now is not null)
                    {
                        tx.Kv.Expire(key, TimeSpan.FromDays(random.Next(100, 200)));
                        written.Add(key, now);
                    }
                    else
                    {
                        written.Add(key, $"{key}{number} {new string('x', random.Next(300))}");
                        tx.Kv.Put(key, written[key]!);
                    }
                }

                if (random.Next(3) == 0)
                    tx.Events.Append("note", Value.Object());
            });
            foreach (var (key, value) in written)
                Of(key).Insert(0, new Version(world.Db.Sequence.Value, world.Db.Engine.Path.Log.LastTime, value));
            if (random.Next(3) == 0)
                _moments.Add((world.Db.Sequence.Value, world.Db.Engine.Path.Log.LastTime));
        }

        private List<Version> Of(string key) => _versions.TryGetValue(key, out var known) ? known : _versions[key] = [];

        /// <param name="promised">So many of each key.</param>
        /// <param name="since">And what was valid at this time or later.</param>
        internal int Check(int promised, long since)
        {
            var refused = 0;
            foreach (var key in Keys)
            {
                var all = Of(key);
                refused += CheckList(key, all, promised, since);
                foreach (var (sequence, time) in _moments)
                {
                    refused += Ask(
                        () => run.Kv.GetAt(key, new Sequence(sequence)), all.FindIndex(version => version.Sequence <= sequence), time);
                    refused += Ask(
                        () => run.Kv.GetAt(key, DateTimeOffset.UnixEpoch.AddMicroseconds(time)),
                        all.FindIndex(version => version.Time <= time), time);
                }

                int Ask(Func<Value?> question, int index, long time)
                {
                    try
                    {
                        Assert.Equal(index < 0 ? null : all[index].Value, question()?.AsString());
                        return 0;
                    }
                    catch (HistoryTrimmedException)
                    {
                        var isPromised = time >= since || (index < 0 ? all.Count < promised : index < promised);
                        Assert.False(isPromised, $"{key}: version {index} of {all.Count} at {time} was refused");
                        return 1;
                    }
                }
            }

            return refused;
        }

        private int CheckList(string key, List<Version> all, int promised, long since)
        {
            var refused = 0;
            for (var count = 0; count <= all.Count + 1; count++)
            {
                try
                {
                    var found = run.Kv.History(key, count);
                    var expected = count == 0 ? all : all.Take(count);
                    Assert.Equal(
                        expected.Select(version => (version.Sequence, version.Value)),
                        found.Select(item => (item.Version.Value, item.IsDeletion ? null : item.Value.AsString())));
                }
                catch (HistoryTrimmedException trimmed)
                {
                    refused++;
                    var isPromised = count == 0 || count > all.Count ? all.Count < promised : count <= promised;
                    Assert.False(isPromised, $"{key}: {count} of {all.Count} versions were refused: {trimmed.Message}");
                }
            }

            return refused;
        }
    }

    [Theory]
    [InlineData(2, false)]
    [InlineData(3, false)]
    [InlineData(5, true)]
    [Trait("Requirement", "RET-5")]
    public void As_many_versions_as_are_promised_are_answered_and_of_the_rest_nothing_wrong_is_said(int versions, bool byTimeToo)
    {
        var seed = Seeds.Begin($"kept versions {versions} {byTimeToo}");
        var random = new Random((int)seed);
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var policy = byTimeToo ? Retention.KeepLast(versions).Or(Retention.KeepFor(Hour)) : Retention.KeepLast(versions);
        var run = new Listed(world, world.Run("run", policy));
        var refused = 0;
        for (var round = 0; round < 8; round++)
        {
            for (var i = 0; i < 60; i++)
            {
                world.Clock.Advance(TimeSpan.FromSeconds(random.Next(1, 90)));
                run.Write(random, 100 * round + i);
                if (random.Next(20) == 0)
                    world.FillSegments(1);
            }

            world.FillSegments(1);
            var hash = world.Db.StateHash();

            // Now and then archives are left as they are although not all of what they keep is needed.
            world.Compact(random.Next(2) == 0 ? null : random.Next(1, 4), random.Next(2) == 0 ? CompactionWorld.Always : new(0.6, 1));
            Assert.Equal(hash, world.Db.StateHash());
            var now = world.Db.Engine.Path.ReadTime();
            refused += run.Check(versions, byTimeToo ? now - (long)Hour.TotalMicroseconds : long.MaxValue);
        }

        Assert.True(refused > 0, "something was let go of");
    }

    // Each compaction keeps by the policy of its time; what has gone does not come back, and nobody is told otherwise.
    [Fact]
    public void A_policy_that_becomes_larger_or_smaller_promises_the_smallest_there_was()
    {
        var seed = Seeds.Begin("policies that change");
        for (var round = 0; round < Seeds.Scaled(3); round++)
        {
            var random = new Random(unchecked((int)seed + round));
            using var world = new CompactionWorld(Retention.KeepLast(1));
            var run = new Listed(world, world.Run("run"));
            var (promised, isWhole) = (int.MaxValue, true);
            for (var life = 0; life < 7; life++)
            {
                var versions = random.Next(6);
                run.Run.Retention.Apply(versions == 0 ? Retention.KeepAll : Retention.KeepLast(versions));
                for (var i = 0; i < 40; i++)
                {
                    world.Clock.Advance(TimeSpan.FromSeconds(random.Next(1, 90)));
                    run.Write(random, 100 * life + i);
                    if (random.Next(15) == 0)
                        world.FillSegments(1);
                }

                world.Compact(random.Next(2) == 0 ? null : random.Next(1, 4), random.Next(2) == 0 ? CompactionWorld.Always : new(0.6, 1));
                if (versions > 0)
                    (promised, isWhole) = (Math.Min(promised, versions), false);
                // Below KeepLast(1) not even the newest is in the log: a deletion that was swept is refused.
                var refused = run.Check(promised == 1 ? 0 : promised, long.MaxValue);
                Assert.True(refused == 0 || !isWhole);
            }
        }
    }

    // Such a record is kept for one key. That it had written another one too, whose successor was enough, was taken for nothing: the
    // question about the time before that successor was answered with "absent". Nothing else of the run is lost, so no gap tells.
    [Theory]
    [InlineData("for 1h")]
    [InlineData("last 2")]
    public void A_record_that_is_kept_for_one_key_says_nothing_of_its_others(string text)
    {
        Assert.True(Retention.TryParse(text, out var policy));
        using var world = new CompactionWorld(policy);
        var run = world.Db.Default;
        run.Transact(tx =>
        {
            tx.Kv.Put("a", "kept");
            tx.Kv.Put("b", "gone");
        });
        var both = world.Db.Sequence;
        run.Kv.Put("b", "then");
        var then = world.Db.Sequence;
        world.Clock.Advance(2 * Hour);
        run.Kv.Put("b", "now");
        world.FillSegments(2);
        world.Compact();
        Assert.Equal("kept", run.Kv.GetAt("a", both)?.AsString());
        Assert.Equal("then", run.Kv.GetAt("b", then)?.AsString());
        Assert.Equal(2, run.Kv.History("b", 2).Count);
        Assert.Throws<HistoryTrimmedException>(() => run.Kv.GetAt("b", both));
        Assert.Throws<HistoryTrimmedException>(() => run.Kv.History("b", 3));
    }

    [Fact]
    [Trait("Requirement", "TTL-6")]
    public void The_value_behind_the_oldest_kept_version_is_kept_with_it()
    {
        using var world = new CompactionWorld();
        var run = world.Run("run", Retention.KeepLast(3));
        run.Kv.Put("k", "lost");
        run.Kv.Put("k", "value");
        world.FillSegments(1);
        for (var hours = 10; hours < 13; hours++)
            run.Kv.Expire("k", hours * Hour);
        world.FillSegments(1);
        world.Compact();
        Assert.Equal(["value", "value", "value"], run.Kv.History("k", 3).Select(item => item.Value.AsString()));
        Assert.Throws<HistoryTrimmedException>(() => run.Kv.History("k", 5));
        run.Kv.Put("k", "newer");
        world.FillSegments(1);
        world.Compact();
        Assert.Equal(["newer", "value", "value"], run.Kv.History("k", 3).Select(item => item.Value.AsString()));
    }

    // Keys that are not counted keep all of theirs.
    [Fact]
    public void With_little_memory_more_is_kept_and_nothing_less()
    {
        var needed = new List<long>();
        foreach (var memory in new[] { 64L << 20, 1_000 })
        {
            using var world = new CompactionWorld { RanksBytesMax = memory };
            var run = world.Run("run", Retention.KeepLast(2));
            for (var i = 0; i < 400; i++)
                world.Put(run, $"k{i % 40}", $"v{i} {new string('x', 200)}");
            world.FillSegments(2);
            needed.Add(world.Compact().BytesNeeded);
            for (var k = 0; k < 40; k++)
                Assert.Equal(2, run.Kv.History($"k{k}", 2).Count);
        }

        Assert.True(needed[1] > 2 * needed[0], string.Join(' ', needed));
    }

    // The whole way: checkpoints, the maintainer's own compactions, openings.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_database_that_keeps_three_versions_stays_as_large_as_they_are(bool isKilled)
    {
        using var world = new TestDatabase(Durability.Buffered, options => options with
        {
            SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, CompactionGarbageMin = 16 << 10, CheckpointOnClose = false,
            Retention = Retention.KeepLast(3),
        });
        var written = new List<string>[8];
        for (var k = 0; k < written.Length; k++)
            written[k] = [];
        for (var round = 0; round < 6; round++)
        {
            for (var i = 0; i < 200; i++)
            {
                var k = i % written.Length;
                written[k].Insert(0, $"{round}.{i} {new string('x', 200)}");
                world.Run.Kv.Put($"k{k}", written[k][0]);
                world.Run.State.Set($"c{k}", written[k][0]);
            }

            world.Checkpoint();
            world.Db.Compact();
            Claims();
            world.Reopen(isKilled);
            Claims();
        }

        Assert.True(world.Db.Metrics.ArchiveBytes < 100_000, $"{world.Db.Metrics.ArchiveBytes} bytes of archives");
        Assert.Throws<HistoryTrimmedException>(() => world.Run.Kv.History("k0", 300));
        Assert.Empty(world.Db.VerifyDeep().Findings);

        void Claims()
        {
            for (var k = 0; k < written.Length; k++)
            {
                Assert.Equal(written[k].Take(3), world.Run.Kv.History($"k{k}", 3).Select(item => item.Value.AsString()));
                Assert.Equal(written[k].Take(3), world.Run.State.History($"c{k}", 3).Select(item => item.Value.AsString()));
            }
        }
    }
}
