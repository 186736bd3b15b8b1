using Cairn.Log;
using Cairn.Maintenance;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>The threads behind the jobs: which there are, what wakes them, what they wait for.</summary>
[Trait("Requirement", "MNT-2")]
public sealed class LaneTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public void A_long_step_does_not_hold_up_the_jobs_with_a_promise_in_time()
    {
        using var reached = new ManualResetEventSlim(false);
        using var go = new ManualResetEventSlim(false);
        using var stepped = new CountdownEvent(3);
        var slow = new ScriptedJob("slow", LaneKind.Long, () =>
        {
            reached.Set();
            go.Wait();
            return false;
        });
        var prompt = new ScriptedJob("prompt", LaneKind.Prompt, () =>
        {
            reached.Wait();
            if (!stepped.IsSet)
                stepped.Signal();
            return !stepped.IsSet;
        });
        using var maintainer = Make(slow, prompt);
        stepped.Wait(Cancelled);                             // hangs if the two were on one thread
        Assert.NotEqual(0, slow.Began);
        go.Set();
    }

    [Fact]
    [Trait("Requirement", "TIER-3")]
    public void TIER_3_Without_work_the_threads_end_and_whoever_has_some_starts_them_again()
    {
        var steps = 0;
        var prompt = new ScriptedJob("prompt", LaneKind.Prompt, () =>
        {
            Interlocked.Increment(ref steps);
            return false;
        });
        var commits = 0UL;
        using var maintainer = Make(() => Volatile.Read(ref commits), prompt, new ScriptedJob("long", LaneKind.Long, () => false));
        for (var i = 0; i < 4; i++)
        {
            SpinWait.SpinUntil(() => maintainer.Threads == 0);
            var before = Volatile.Read(ref steps);
            if (i % 2 == 0)
                maintainer.Wake(prompt);
            else
                Interlocked.Increment(ref commits);          // seen by the watch over those that rest
            SpinWait.SpinUntil(() => Volatile.Read(ref steps) > before);
        }
    }

    [Fact]
    [Trait("Requirement", "TIER-3")]
    public void TIER_3_A_job_that_is_due_by_time_alone_is_stepped_though_nobody_wakes_its_lane()
    {
        var isDue = 0;
        using var stepped = new ManualResetEventSlim(false);
        var job = new ScriptedJob("due", LaneKind.Long, () =>
        {
            if (Volatile.Read(ref isDue) != 0)
                stepped.Set();
            return false;
        })
        {
            Due = () => Volatile.Read(ref isDue) == 0 ? TimeSpan.FromDays(1) : stepped.IsSet ? null : TimeSpan.Zero,
        };
        using var maintainer = Make(job);
        SpinWait.SpinUntil(() => maintainer.Threads == 0);
        Volatile.Write(ref isDue, 1);
        stepped.Wait(Cancelled);
    }

    [Fact]
    [Trait("Requirement", "TIER-3")]
    public void TIER_3_A_maintainer_that_rests_first_has_no_thread_until_a_job_is_due()
    {
        var isDue = 0;
        using var stepped = new ManualResetEventSlim(false);
        var job = new ScriptedJob("due", LaneKind.Prompt, () =>
        {
            stepped.Set();
            return false;
        })
        {
            Due = () => Volatile.Read(ref isDue) == 0 || stepped.IsSet ? null : TimeSpan.Zero,
        };
        using var maintainer = new Maintainer(
            new EngineState(), TimeProvider.System, new MaintenanceOptions(), ownThreads: true, () => 0, [job], restsFirst: true);
        Assert.Equal(0, maintainer.Threads);
        Assert.False(stepped.IsSet);
        Volatile.Write(ref isDue, 1);
        stepped.Wait(Cancelled);
    }

    [Fact]
    [Trait("Requirement", "TIER-3")]
    [Trait("Gate", "Merge")]
    public void TIER_3_A_hundred_databases_at_rest_have_no_thread_of_a_maintainer_and_one_commit_is_still_synced()
    {
        var storages = Enumerable.Range(0, 100).Select(_ => new MemoryStorage()).ToList();
        var options = new CairnOptions { Durability = Durability.Buffered, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10 };
        var databases = storages.ConvertAll(storage => CairnDatabase.Open(storage, options, EngineHooks.None));
        try
        {
            SpinWait.SpinUntil(() => databases.TrueForAll(db => db.Engine.Maintainer!.Threads == 0));
            databases[42].Default.Kv.Put("a", 1);
            SpinWait.SpinUntil(() => databases[42].Metrics.UnsyncedCommits == 0);
            Assert.Equal(0, databases[41].Engine.Maintainer!.Threads);
        }
        finally
        {
            databases.ForEach(db => db.Dispose());
        }
    }

    [Fact]
    [Trait("Requirement", "MNT-9")]
    public async Task MNT_9_Closing_ends_a_step_that_looks_whether_it_should_stop()
    {
        using var reached = new ManualResetEventSlim(false);
        var job = new StoppableJob(reached);
        var maintainer = Make(job);
        reached.Wait(Cancelled);
        await maintainer.EndAsync(maintainer.Dispose);
        Assert.Null(job.LastError);
    }

    private static Maintainer Make(params MaintenanceJob[] jobs) => Make(() => 0, jobs);

    private static Maintainer Make(Func<ulong> lastCommit, params MaintenanceJob[] jobs) => new(
        new EngineState(), TimeProvider.System, new MaintenanceOptions(), ownThreads: true, lastCommit, jobs,
        retireAfter: TimeSpan.FromMilliseconds(5));

    private sealed class ScriptedJob(string name, LaneKind lane, Func<bool> step) : MaintenanceJob(name, lane)
    {
        internal Func<TimeSpan?> Due { get; init; } = () => null;

        internal override TimeSpan? DueIn => Due();

        internal override bool Step() => step();
    }

    private sealed class StoppableJob(ManualResetEventSlim reached) : MaintenanceJob("stoppable")
    {
        internal override bool Step()
        {
            reached.Set();
            Stopping.WaitHandle.WaitOne();
            Stopping.ThrowIfCancellationRequested();
            return false;
        }
    }
}
