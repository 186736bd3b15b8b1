using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>A small database for one schedule, in a mode that the seed gives.</summary>
internal sealed class ScheduleWorld : IDisposable
{
    private readonly CairnOptions _options;

    internal ScheduleWorld(ulong seed)
    {
        Random = new Random((int)(seed ^ (seed >> 32)) ^ 0x0B5E);
        Mode = (Durability)Random.Next(3);
        _options = new CairnOptions
        {
            Durability = Mode,
            SegmentBytesMin = 8 << 10,
            SegmentBytesMax = 8 << 10,
            ContentMemoryBytes = 0,
            RandomSeed = 3,
            TimeProvider = Clock,
            Limits = new Limits { BusyWaitMax = TimeSpan.FromSeconds(60) },
        };
        Db = Open();
    }

    private MemoryStorage Storage { get; } = new();

    internal Random Random { get; }

    internal Durability Mode { get; }

    internal FakeClock Clock { get; } = new();

    internal CairnDatabase Db { get; private set; }

    internal Run Run => Db.Default;

    internal bool HasLog => Mode != Durability.InMemory;

    /// <summary>What was committed is there after a kill, and the state is the one before it.</summary>
    internal void CheckRecovery(ulong seed)
    {
        if (!HasLog || seed % 4 != 0)
            return;
        if (Db.Engine.State.IsClosed)
        {
            Db.Dispose();
            Db = Open();
        }

        Db.Sync();
        Assert.Empty(Db.VerifyDeep().Findings);
        var hash = Db.StateHash();
        Db.Engine.State.Fail(new IOException("killed by the test"));
        Db.Dispose();
        Db = Open();
        Assert.Equal(hash, Db.StateHash());
    }

    /// <summary>A checkpoint, behind which memory forgets all that it may. Nothing without a log.</summary>
    internal void CheckpointAndForget()
    {
        if (!HasLog)
            return;
        Db.Checkpoint();
        foreach (var run in Db.Engine.Catalogue.Loaded.Append(Db.Engine.Catalogue.State))
        {
            lock (run.CommitLock)
                run.Store.ForgetAll();
        }
    }

    /// <summary>Closes, if it is not, and opens again.</summary>
    internal void Reopen()
    {
        Db.Dispose();
        if (HasLog)
            Db = Open();
    }

    private CairnDatabase Open() => HasLog
        ? CairnDatabase.Open(Storage, _options, new EngineHooks { IsMaintenanceManual = true })
        : CairnDatabase.OpenInMemory(_options, new EngineHooks { IsMaintenanceManual = true });

    public void Dispose() => Db.Dispose();
}
