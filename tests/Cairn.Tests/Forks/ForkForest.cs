using System.Collections.Immutable;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Forks;

/// <summary>What a run holds, by a model that has nothing in common with the engine: a fork is a copy.</summary>
internal sealed record Life
{
    internal ImmutableSortedDictionary<string, (long Value, ulong Version, long Expiry)> Kv { get; init; } =
        ImmutableSortedDictionary.Create<string, (long, ulong, long)>(StringComparer.Ordinal);

    internal ImmutableList<(string Type, long Payload)> Events { get; init; } = [];

    /// <summary>Value is null for a deleted cell, whose counter stays.</summary>
    internal ImmutableSortedDictionary<string, (long? Value, ulong Counter)> Cells { get; init; } =
        ImmutableSortedDictionary.Create<string, (long?, ulong)>(StringComparer.Ordinal);

    internal ImmutableSortedDictionary<string, ulong> Consumers { get; init; } =
        ImmutableSortedDictionary.Create<string, ulong>(StringComparer.Ordinal);

    internal int Traces { get; init; }
}

/// <summary>Random histories over a forest of runs and their forks, beside the model; every fork is compared with it whole.</summary>
/// <param name="keepsAll">Retention lets go of nothing, so every past point can be forked.</param>
internal sealed class ForkForest(TestDatabase test, ulong seed, int keys = 24, bool keepsAll = false)
{
    private readonly Random _random = new(unchecked((int)(seed ^ seed >> 32)));
    private readonly List<(Snapshot Snapshot, RunId Run, Life Life)> _snapshots = [];
    private int _names;

    private readonly Dictionary<RunId, List<(ulong Sequence, Life Life)>> _pasts = new() { [RunId.Default] = [(0, new Life())] };

    internal Dictionary<RunId, Life> Lives { get; private set; } = new() { [RunId.Default] = new Life() };

    internal int Forks { get; private set; }

    internal int PastForks { get; private set; }

    private void Set(RunId id, Life life)
    {
        Lives[id] = life;
        if (!_pasts.TryGetValue(id, out var past))
            _pasts.Add(id, past = []);
        past.Add((test.Sequence, life));
    }

    internal int Deletions { get; private set; }

    private CairnDatabase Db => test.Db;

    private Run Some() => Db.Runs.Get(Lives.Keys.Order().ElementAt(_random.Next(Lives.Count)))!;

    /// <summary>One operation on one run, or on the forest.</summary>
    internal void Step()
    {
        var what = _random.Next(100);
        if (what < 78)
            Write(Some());
        else if (what < 88)
            Fork();
        else if (what < 93)
            Delete();
        else if (what < 96)
            Transact();
        else if (what < 98)
            TakeSnapshot();
        else
            test.Clock.Advance(TimeSpan.FromSeconds(_random.Next(1, 40)));
    }

    private string Key() => $"k{_random.Next(keys):00}";

    private void Write(Run run)
    {
        var life = Alive(Lives[run.Id]);
        var key = Key();
        var value = _random.Next(1000);
        switch (_random.Next(12))
        {
            case 0 or 1 or 2:
                run.Kv.Put(key, value);
                life = life with { Kv = life.Kv.SetItem(key, (value, test.Sequence, 0)) };
                break;
            case 3:
                run.Kv.Put(key, value, ttl: TimeSpan.FromSeconds(30));
                life = life with { Kv = life.Kv.SetItem(key, (value, test.Sequence, Now + 30_000_000)) };
                break;
            case 4 or 5:
                Assert.Equal(life.Kv.ContainsKey(key), run.Kv.Delete(key));
                life = life with { Kv = life.Kv.Remove(key) };
                break;
            case 6:
                var sum = run.Kv.Increment(key, value);
                var before = life.Kv.GetValueOrDefault(key);
                Assert.Equal(before.Value + value, sum);
                life = life with { Kv = life.Kv.SetItem(key, (sum, test.Sequence, before.Expiry)) };
                break;
            case 7 or 8:
                var type = value % 2 == 0 ? "even" : "odd";
                var receipt = run.Events.Append(type, Value.Object(("n", value), ("text", new string('x', value % 7 == 0 ? 200 : 3))));
                Assert.Equal((ulong)life.Events.Count, receipt.Number.Value);
                life = life with { Events = life.Events.Add((type, value)) };
                break;
            case 9:
                var cell = life.Cells.GetValueOrDefault(key);
                if (value % 3 == 0 && cell.Value is not null)
                {
                    Assert.True(run.State.Delete(key));
                    life = life with { Cells = life.Cells.SetItem(key, (null, cell.Counter + 1)) };
                }
                else
                {
                    Assert.Equal(cell.Counter + 1, run.State.Set(key, value).Counter.Value);
                    life = life with { Cells = life.Cells.SetItem(key, (value, cell.Counter + 1)) };
                }

                break;
            case 10 when life.Events.Count > 0:
                var position = (ulong)_random.Next(life.Events.Count + 1);
                run.Events.Consumers.Reset("reader", new EventNumber(position));
                life = life with { Consumers = life.Consumers.SetItem("reader", position) };
                break;
            default:
                run.Traces.Record(new ThoughtStep($"thought {value}"));
                life = life with { Traces = life.Traces + 1 };
                break;
        }

        Set(run.Id, life);
    }

    // Two runs at once, one of which has been read through to its base.
    private void Transact()
    {
        var (one, other) = (Some(), Some());
        if (one.Id == other.Id)
            return;
        var key = Key();
        var (life, second) = (Alive(Lives[one.Id]), Alive(Lives[other.Id]));
        var sum = life.Kv.GetValueOrDefault(key).Value + second.Kv.GetValueOrDefault(key).Value;
        Db.Transact([one, other], tx =>
        {
            var (left, right) = (tx.On(one), tx.On(other));
            Assert.Equal(life.Kv.Count, left.Kv.Count());
            left.Kv.Put(key, (left.Kv.Number(key) ?? 0) + (right.Kv.Number(key) ?? 0));
            right.Kv.Delete(key);
        });
        Set(one.Id, life with { Kv = life.Kv.SetItem(key, (sum, test.Sequence, 0)) });
        Set(other.Id, second with { Kv = second.Kv.Remove(key) });
    }

    private void Fork()
    {
        if (Lives.Count >= 24)
            return;
        var parent = Some();
        if (Depth(parent.Id) >= 12)
            return;
        if (_random.Next(2) == 0)
        {
            ForkPast(parent, _random.NextInt64((long)_pasts[parent.Id][0].Sequence, (long)test.Sequence + 1));
            return;
        }

        var info = parent.Info;
        var fork = Db.Runs.Fork(parent.Id, name: $"fork-{_names++}");
        Assert.Equal((parent.Id, info.LastSequence), (fork.Info.Parent, fork.Info.ForkSequence));
        Set(fork.Id, Lives[parent.Id]);
        Forks++;
    }

    private Run? ForkPast(Run parent, long at)
    {
        var (last, newest) = (parent.Info.LastSequence.Value, test.Sequence);
        try
        {
            var fork = Db.Runs.Fork(parent.Id, new Sequence((ulong)at), name: $"past-{_names++}");
            Assert.Equal((parent.Id, (ulong)at), (fork.Info.Parent!.Value, fork.Info.ForkSequence!.Value.Value));
            Set(fork.Id, _pasts[parent.Id].FindLast(moment => moment.Sequence <= (ulong)at).Life);
            PastForks += (ulong)at < last ? 1 : 0;
            return fork;
        }
        catch (HistoryTrimmedException trimmed) when (!keepsAll && (ulong)at < last)
        {
            Assert.Equal((newest, last), (test.Sequence, trimmed.Earliest.Value));
            return null;
        }
    }

    /// <summary>A fork at each moment of some run is what the run was then.</summary>
    internal void ForkEverywhere(int most)
    {
        var parent = Some();
        foreach (var (sequence, _) in _pasts[parent.Id].TakeLast(most).ToList())
        {
            if (ForkPast(parent, (long)sequence) is not { } fork)
                return;
            Check(fork, Lives[fork.Id]);
            Db.Runs.Delete(fork.Id);
            Lives.Remove(fork.Id);
            _pasts.Remove(fork.Id);
        }
    }

    private int Depth(RunId id)
    {
        var depth = 0;
        for (var below = Db.Engine.Find(id).Store.Base; below is not null; below = below.Owner.Store.Base)
            depth++;
        return depth;
    }

    private void Delete()
    {
        var run = Some();
        if (run.Id == RunId.Default || _snapshots.Exists(held => held.Run == run.Id))
            return;
        Db.Runs.Delete(run.Id);
        Lives.Remove(run.Id);
        _pasts.Remove(run.Id);
        Deletions++;
        Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => run.Kv.Get("k00")).Code);
    }

    private void TakeSnapshot()
    {
        if (_snapshots.Count == 4)
        {
            Check(_snapshots[0].Snapshot, _snapshots[0].Life, _snapshots[0].Snapshot.Time);
            _snapshots[0].Snapshot.Dispose();
            _snapshots.RemoveAt(0);
        }

        var run = Some();
        _snapshots.Add((run.Snapshot(), run.Id, Lives[run.Id]));
    }

    internal void DropSnapshots()
    {
        _snapshots.ForEach(held => held.Snapshot.Dispose());
        _snapshots.Clear();
    }

    private long Now => CommitClock.Microseconds(Db.Engine.Clock.GetUtcNow());

    private Life Alive(Life life) => life with
    {
        Kv = life.Kv.RemoveRange(life.Kv.Where(pair => pair.Value.Expiry is > 0 and var at && at <= Now).Select(pair => pair.Key)),
    };

    /// <summary>Every run there is, and every snapshot that is held, is what the model says; and there is no other run.</summary>
    internal void Check()
    {
        Assert.Equal(
            Lives.Keys.Where(id => id != RunId.Default).Order(), Db.Runs.List(new RunFilter { Limit = 1000 }).Select(info => info.Id));
        foreach (var (id, life) in Lives)
            Check(Db.Runs.Get(id)!, life);
        foreach (var (snapshot, _, life) in _snapshots)
            Check(snapshot, life, snapshot.Time);
    }

    private void Check(Run run, Life life)
    {
        using var snapshot = run.Snapshot();
        Check(snapshot, life, snapshot.Time);
        foreach (var index in Enumerable.Range(0, keys))
        {
            var key = $"k{index:00}";
            Assert.Equal(Alive(life).Kv.TryGetValue(key, out var entry) ? entry.Value : null, run.Kv.Number(key));
        }

        var verified = run.Events.Verify();
        Assert.True(verified.IsValid, verified.Error);
        Assert.Equal(life.Events.Count, run.Info.EventCount);
    }

    private void Check(Snapshot snapshot, Life life, DateTimeOffset time)
    {
        var now = CommitClock.Microseconds(time);
        var alive = life.Kv.Where(pair => pair.Value.Expiry == 0 || pair.Value.Expiry > now).ToList();
        var forward = snapshot.Kv.Scan(new ScanOptions { Limit = 1000 });
        Assert.Equal(
            alive.Select(pair => (pair.Key, pair.Value.Value, pair.Value.Version)),
            forward.Select(pair => (pair.Key, pair.Value.Value.AsInt64(), pair.Value.Version.Value)));
        var backward = snapshot.Kv.List(new ScanOptions { Limit = 1000, Reverse = true });
        Assert.Equal(alive.Select(pair => pair.Key).Reverse(), backward);
        Assert.Equal(alive.Count, snapshot.Kv.Count());
        foreach (var (key, entry) in alive)
            Assert.Equal((key, entry.Version), (key, snapshot.Kv.GetVersioned(key)?.Version.Value ?? 0));
        var cells = life.Cells.Where(pair => pair.Value.Value is not null).ToList();
        Assert.Equal(
            cells.Select(pair => (pair.Key, pair.Value.Value!.Value, pair.Value.Counter)),
            snapshot.State.Scan(new ScanOptions { Limit = 1000 })
                .Select(pair => (pair.Key, pair.Value.Value.AsInt64(), pair.Value.Counter.Value)));
        Assert.Equal(cells.Count, snapshot.State.Count());
        Assert.Equal(life.Events.Count, snapshot.Events.Count());
        var events = snapshot.Events.Since(default, new EventScanOptions { Limit = 1000 });
        Assert.Equal(life.Events, events.Select(one => (one.Type, one.Payload!.Value["n"].AsInt64())));
        Assert.Equal(life.Events.Count(one => one.Type == "odd"), snapshot.Events.CountByType("odd"));
        Assert.Equal(life.Consumers.GetValueOrDefault("reader"), snapshot.Events.Consumers.Position("reader").Value);
        Assert.Equal(life.Traces, snapshot.Traces.Count());
    }
}
