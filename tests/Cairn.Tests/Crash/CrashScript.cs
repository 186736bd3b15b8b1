using System.Collections.Immutable;
using Cairn.Storage;

namespace Cairn.Tests.Crash;

/// <summary>
/// One life of a small database on a machine that loses power: random commits by one thread, with the maintainer's steps in
/// between, until the power fails or the script ends. Keeps what each sequence must look like and how far the commits were
/// acknowledged. The oracle is a plain dictionary per sequence; nothing of the engine's reading is used for it.
/// </summary>
internal sealed class CrashScript
{
    private readonly Random _random;
    private readonly Durability _mode;
    private readonly List<ImmutableSortedDictionary<string, long>> _states;

    /// <param name="states">State after each sequence of the lives before; index = sequence.</param>
    internal CrashScript(ulong seed, Durability mode, List<ImmutableSortedDictionary<string, long>> states)
    {
        _random = new Random((int)(seed ^ (seed >> 32)));
        _mode = mode;
        _states = states;
    }

    /// <summary>Highest sequence that was acknowledged as durable: returned in Strict mode, or covered by a Sync that returned.</summary>
    internal ulong Acknowledged { get; private set; }

    /// <summary>Highest sequence that may have got a place in the log.</summary>
    internal ulong Issued => (ulong)_states.Count - 1;

    internal static CairnOptions Options(Durability mode) => new()
    {
        Durability = mode,
        SegmentBytesMin = 16 << 10,
        SegmentBytesMax = 32 << 10,
        RandomSeed = 7,
    };

    internal static EngineHooks Hooks { get; } = new() { IsMaintenanceManual = true };

    /// <summary>Opens, commits, steps, perhaps closes. Returns when the power is gone or the script has ended.</summary>
    internal void Run(CrashStorage storage, int commits)
    {
        CairnDatabase? db = null;
        try
        {
            db = CairnDatabase.Open(storage, Options(_mode), Hooks);
            for (var i = 0; i < commits; i++)
                Step(db);
            if (_random.Next(3) == 0)
            {
                db.Dispose();
                if (!storage.PowerLost)
                    Acknowledged = Issued;           // a database that failed meanwhile closes in silence
            }
        }
        catch (Exception failure) when (storage.PowerLost && failure is PowerLossException or CairnException)
        {
        }
        finally
        {
            Abandon(db);
        }
    }

    // The process is gone: threads end, nothing more reaches the disk.
    private static void Abandon(CairnDatabase? db)
    {
        try
        {
            db?.Engine.State.Fail(new PowerLossException(0));
            db?.Dispose();
        }
        catch (Exception failure) when (failure is PowerLossException or CairnException)
        {
        }
    }

    private void Step(CairnDatabase db)
    {
        switch (_random.Next(14))
        {
            case 0:
                db.Engine.Maintainer!.Step();
                return;
            case 1:
                db.Sync();
                Acknowledged = Issued;
                return;
            case 2:
                db.Engine.Path.Log.MarkIfIdle(TimeSpan.Zero);
                return;
            case 3:
                db.Checkpoint();
                Acknowledged = Issued;
                return;
            case 4:
                db.Engine.Checkpointer!.Step();              // some of one, among the commits
                return;
            case 5:
                Merge(db);
                return;
            default:
                Commit(db);
                return;
        }
    }

    private void Commit(CairnDatabase db)
    {
        var writes = Draw(_states[^1], out var next);
        Issue(next);
        Write(db.Default, writes);
        Acknowledge();
    }

    // A fork goes its way, the default run its own, and then all of the fork's way comes back in one commit, or none of it.
    private void Merge(CairnDatabase db)
    {
        var shared = _states[^1];
        Issue(shared);
        var fork = db.Runs.Fork(RunId.Default);
        Acknowledge();
        var theirs = shared;
        for (var i = 1 + _random.Next(3); i > 0; i--)
        {
            var writes = Draw(theirs, out theirs);
            Issue(_states[^1]);
            Write(fork, writes);
            Acknowledge();
            if (_random.Next(2) == 0)
                Commit(db);
        }

        var merged = _states[^1];
        foreach (var key in shared.Keys.Union(theirs.Keys))
        {
            var (was, its) = (shared.GetValueOrDefault(key), theirs.GetValueOrDefault(key));
            if (shared.ContainsKey(key) != theirs.ContainsKey(key) || was != its)
                merged = theirs.ContainsKey(key) ? merged.SetItem(key, its) : merged.Remove(key);
        }

        // What the fork did and undid is no change, and a merge of nothing is no commit.
        if (shared.SequenceEqual(theirs))
            return;
        Issue(merged);
        db.Runs.Merge(fork.Id, RunId.Default, new MergeOptions { Strategy = MergeStrategy.PreferSource });
        Acknowledge();
    }

    private void Issue(ImmutableSortedDictionary<string, long> next) => _states.Add(next);

    private void Acknowledge()
    {
        if (_mode == Durability.Strict)
            Acknowledged = Issued;
    }

    private List<(string Key, long? Value)> Draw(
        ImmutableSortedDictionary<string, long> state, out ImmutableSortedDictionary<string, long> next)
    {
        var writes = new List<(string Key, long? Value)>();
        var count = _random.Next(4) == 0 ? 1 + _random.Next(6) : 1;
        for (var i = 0; i < count; i++)
        {
            var key = $"key-{_random.Next(12)}";
            var delete = state.ContainsKey(key) && _random.Next(4) == 0;
            writes.RemoveAll(write => write.Key == key);
            writes.Add((key, delete ? null : _random.NextInt64()));
        }

        next = state;
        foreach (var (key, value) in writes)
            next = value is { } number ? next.SetItem(key, number) : next.Remove(key);
        return writes;
    }

    private void Write(Run run, List<(string Key, long? Value)> writes)
    {
        // Now and then a value that spans pages, so that rotations and torn writes happen often.
        var padding = new byte[_random.Next(5) == 0 ? _random.Next(6000) : _random.Next(60)];
        run.Transact(tx =>
        {
            foreach (var (key, value) in writes)
            {
                if (value is { } number)
                    tx.Kv.Put(key, Value.Array(number, padding));
                else
                    tx.Kv.Delete(key);
            }
        });
    }

    /// <summary>What the recovered database shows, through the public door.</summary>
    internal static ImmutableSortedDictionary<string, long> Read(CairnDatabase db) => db.Default.Kv
        .Scan(new ScanOptions { Limit = 1000 })
        .ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value.Value[0].AsInt64());
}
