using Cairn.Diagnostics;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>Closing beside a commit.</summary>
public sealed class ClosingTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    // Found by the schedule "closing and commit" of seed 76709946153402. A commit looked whether the database was open, then waited for the
    // lock of its run. Meanwhile closing refused new commits, waited for that lock and let it go, and thought that nobody was left. The
    // commit then took a place behind the last seal: nobody wrote it, and it waited for ever.
    [Fact]
    [Trait("Promise", "G7")]
    [Trait("Promise", "G8")]
    public void A_commit_that_gets_its_lock_after_closing_went_by_is_refused()
    {
        using var plan = new LateCommit();
        using (Failpoint.Use(plan))
        {
            var options = new CairnOptions { Durability = Durability.Strict };
            var db = CairnDatabase.Open(new MemoryStorage(), options, new EngineHooks { IsMaintenanceManual = true });
            var gate = db.Default.RunState.CommitLock;
            Exception? refusal = null;
            var commit = new Thread(() => refusal = Record.Exception(() => db.Default.Kv.Put("late", 1))) { IsBackground = true };
            gate.Enter();
            commit.Start();
            Assert.True(plan.WaitsForLock.Wait(Patience, TestContext.Current.CancellationToken), "the commit comes to the lock");
            gate.Exit();
            db.Dispose();
            Assert.True(commit.Join(Patience), "the commit comes back");
            Assert.IsType<ObjectDisposedException>(refusal);
        }
    }

    // Holds the commit before its lock until closing has written its seal.
    private sealed class LateCommit : FailpointPlan, IDisposable
    {
        private readonly ManualResetEventSlim _sealed = new();

        internal ManualResetEventSlim WaitsForLock { get; } = new();

        internal override void Wait(string name)
        {
            if (name != "commit.wait-for-lock")
                return;
            WaitsForLock.Set();
            _sealed.Wait(Patience);
        }

        internal override void Hit(string name)
        {
            if (name == "log.close-seal-written")
                _sealed.Set();
        }

        public void Dispose()
        {
            WaitsForLock.Dispose();
            _sealed.Dispose();
        }
    }
}
