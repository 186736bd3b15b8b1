using Cairn.Maintenance;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>The three modes: one suite, the same outcomes (G3).</summary>
public sealed class AllModes : TheoryData<Durability>
{
    public AllModes() => AddRange(Durability.InMemory, Durability.Buffered, Durability.Strict);
}

/// <summary>A database without a disk, in any mode, with a clock that stands still and without a maintainer's thread.</summary>
internal sealed class TestDatabase : IDisposable
{
    private readonly EngineHooks _hooks;
    private readonly CairnOptions _options;

    /// <param name="mode">Which of the three.</param>
    /// <param name="change">Other options than small segments and the fake clock.</param>
    /// <param name="storage">Null = memory without faults. Not used in memory mode.</param>
    /// <param name="budget">Of memory; null = the default, which no test reaches.</param>
    internal TestDatabase(Durability mode, Func<CairnOptions, CairnOptions>? change = null, IStorage? storage = null, long? budget = null)
    {
        _hooks = new EngineHooks { IsMaintenanceManual = true, MemoryBudgetBytes = budget };
        var options = new CairnOptions
        {
            Durability = mode,
            SegmentBytesMin = 32 << 10,
            SegmentBytesMax = 256 << 10,
            RandomSeed = 1,
            // In one of the modes with a log nearly all is large and little of it stays in memory: no test may notice.
            ContentThreshold = mode == Durability.Buffered ? 64 : 4 << 10,
            ContentMemoryBytes = mode == Durability.Buffered ? 2 << 10 : 128 << 20,
            TimeProvider = Clock,
        };
        _options = change is null ? options : change(options);
        Storage = storage ?? new MemoryStorage();
        Db = Open();
    }

    internal FakeClock Clock { get; } = new();

    internal IStorage Storage { get; private set; }

    internal CairnDatabase Db { get; private set; }

    internal Run Run => Db.Default;

    internal Kv Kv => Db.Default.Kv;

    internal ulong Sequence => Db.Sequence.Value;

    internal bool HasLog => _options.Durability != Durability.InMemory;

    /// <summary>Closes, or kills, and opens again. In memory there is nothing to come back to: nothing happens.</summary>
    internal void Reopen(bool isKilled = false)
    {
        if (!HasLog)
            return;
        if (isKilled)
            Kill(Db);
        Db.Dispose();
        Db = Open();
    }

    /// <summary>The process is gone and so is, perhaps, the power: opens what came back.</summary>
    internal void MoveTo(IStorage storage)
    {
        Abandon();
        Storage = storage;
        Db = Open();
    }

    /// <summary>As if the process had ended here, also on a storage that takes nothing any more.</summary>
    internal void Abandon()
    {
        try
        {
            Kill(Db);
            Db.Dispose();
        }
        catch (Exception end) when (end is PowerLossException or CairnException)
        {
        }
    }

    /// <summary>Runs the test's claims, and once more after reopening: what holds must hold then too.</summary>
    internal void NowAndAfterReopening(Action claims)
    {
        claims();
        Reopen();
        claims();
        Reopen(isKilled: true);
        claims();
    }

    internal CheckpointInfo? Checkpoint() => Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);

    /// <summary>A checkpoint, and behind it memory forgets all that it may, and runs are unloaded: what is read next comes from the
    /// image.</summary>
    internal void CheckpointAndForget()
    {
        Checkpoint();
        var catalogue = Db.Engine.Catalogue;
        var expiry = Db.Engine.Maintainer!.Jobs.OfType<ExpiryJob>().Single();
        foreach (var run in catalogue.Loaded.Append(catalogue.State))
        {
            bool isUnloaded;
            lock (run.CommitLock)
                isUnloaded = run.Store.ForgetAll() && catalogue.TryUnload(run);
            if (isUnloaded)
                expiry.Unloaded(run.Id);
        }
    }

    /// <summary>Reads of the image that commits of this opening made behind their sequences, of runs that are loaded.</summary>
    internal long LateReads => Db.Engine.Catalogue.Held.Append(Db.Engine.Catalogue.State).Sum(run => run.Store.LateReads);

    /// <summary>One turn of the maintainer.</summary>
    internal void Maintain() => Db.Engine.Maintainer!.Step();

    /// <summary>Another run than <c>default</c>, by number; begun when it is asked for first.</summary>
    internal Run OtherRun(int number = 1) => Db.Runs.Get($"other-{number}") ?? Db.Runs.Begin($"other-{number}");

    /// <summary>A transaction over <c>default</c> and other runs.</summary>
    internal Transaction BeginOver(int others, TransactionOptions? options = null) =>
        Db.BeginTransaction([Run, .. Enumerable.Range(1, others).Select(OtherRun)], options);

    public void Dispose() => Db.Dispose();

    /// <summary>As if the process had ended here: nothing that is not written gets written.</summary>
    internal static void Kill(CairnDatabase db) => db.Engine.State.Fail(new IOException("killed by the test"));

    private CairnDatabase Open() => HasLog ? CairnDatabase.Open(Storage, _options, _hooks) : CairnDatabase.OpenInMemory(_options, _hooks);
}

/// <summary>Values as tests want them.</summary>
internal static class TestValues
{
    internal static long? Number(this KvView kv, string key) => kv.Get(key)?.AsInt64();

    internal static string? Text(this KvView kv, string key) => kv.Get(key)?.AsString();

    internal static ulong Version(this KvView kv, string key) => kv.GetVersioned(key)?.Version.Value ?? 0;

    /// <summary>The code of the refusal.</summary>
    internal static ErrorCode Refused(Action action) => Assert.ThrowsAny<CairnException>(action).Code;
}
