using System.Globalization;
using Cairn.Diagnostics;
using Cairn.Log;
using Cairn.Maintenance;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Maintenance;

/// <summary>C14: whatever happens to a step in the background, nothing stops in silence and no acknowledgement becomes untrue.</summary>
[Trait("Promise", "G7")]
[Trait("Test", "C14")]
public sealed class BackgroundTests
{
    public static TheoryData<string> Failures =>
        [nameof(IOException), nameof(InsufficientMemoryException), nameof(InvalidOperationException)];

    [Theory]
    [MemberData(nameof(Failures))]
    public void C14_A_step_that_fails_is_told_tried_again_later_each_time_and_forgotten_when_it_succeeds(string failure)
    {
        var clock = new FakeClock();
        var state = new EngineState();
        var job = new ScriptedJob { Failure = Make(failure) };
        var other = new ScriptedJob();
        using var maintainer = Make(state, clock, job, other);
        var tries = new List<int>();
        for (var i = 0; i < 100; i++)
        {
            maintainer.Step();
            tries.Add(job.Calls);
            clock.Advance(TimeSpan.FromMilliseconds(10));
        }

        Assert.False(state.HasFailed);
        Assert.Equal(100, other.Calls);
        Assert.InRange(tries[^1], 5, 8);                     // 20, 40, 80, ... ms between them
        Assert.Equal((job.Failure, job.Calls), (job.LastError, job.Failures));
        job.Failure = null;
        clock.Advance(TimeSpan.FromSeconds(10));
        maintainer.Step();
        Assert.Equal((null, 0), (job.LastError, job.Failures));
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public void C14_A_step_of_a_durability_job_that_fails_or_a_broken_invariant_fails_the_database(string failure)
    {
        foreach (var (job, cause) in new[]
        {
            (new ScriptedJob { IsDurability = true }, Make(failure)),
            (new ScriptedJob(), new InvariantException("the test broke it")),
        })
        {
            var state = new EngineState();
            job.Failure = cause;
            using var maintainer = Make(state, new FakeClock(), job);
            maintainer.Step();
            Assert.True(state.HasFailed);
            Assert.Same(cause, state.Cause);
            Assert.Same(cause, Assert.Throws<DatabaseFailedException>(() => state.ThrowIfNotWritable()).InnerException);
            maintainer.Step();
            Assert.Equal(1, job.Calls);
        }
    }

    [Fact]
    public async Task C14_An_exception_that_reaches_the_maintainers_thread_fails_the_database_and_closing_still_ends()
    {
        var state = new EngineState();
        using var failed = new ManualResetEventSlim(false);
        state.OnFailed = _ => failed.Set();
        var breaking = new ScriptedJob { BreaksOutsideItsStep = true };
        var maintainer = new Maintainer(state, TimeProvider.System, new MaintenanceOptions(), ownThreads: true, () => 0, [breaking]);
        failed.Wait(TestContext.Current.CancellationToken);
        Assert.True(state.HasFailed);
        var closed = false;
        await maintainer.EndAsync(() => closed = true);
        Assert.True(closed);
        maintainer.Dispose();
    }

    [Fact]
    public void C14_A_step_without_progress_for_thirty_seconds_is_told_while_it_lasts()
    {
        var clock = new FakeClock();
        using var reached = new ManualResetEventSlim(false);
        using var go = new ManualResetEventSlim(false);
        var job = new ScriptedJob
        {
            InStep = () =>
            {
                reached.Set();
                go.Wait();
            },
        };
        using var maintainer = new Maintainer(new EngineState(), clock, new MaintenanceOptions(), ownThreads: true, () => 0, [job]);
        reached.Wait(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromSeconds(30));
        var before = maintainer.StalledFor(job);
        clock.Advance(TimeSpan.FromMilliseconds(1));
        var then = maintainer.StalledFor(job);
        job.InStep = null;
        go.Set();
        SpinWait.SpinUntil(() => job.Steps > 0);
        Assert.Null(before);
        Assert.Equal(TimeSpan.FromMilliseconds(30_001), then);
        Assert.Null(maintainer.StalledFor(job));
    }

    // The device takes a minute for one sync, in the background or under a commit that the background waits behind; or for one write.
    [Theory]
    [InlineData(Durability.Buffered, nameof(StorageCall.DataSync), "sync")]
    [InlineData(Durability.Strict, nameof(StorageCall.DataSync), "sync")]
    [InlineData(Durability.Strict, nameof(StorageCall.Write), "watch")]
    public async Task C14_A_device_that_stalls_for_a_minute_is_told_in_health_and_metrics_and_every_answer_stays_true(
        Durability mode, string name, string part)
    {
        var memory = new MemoryStorage();
        var clock = new FakeClock();
        var stalling = Enum.Parse<StorageCall>(name);
        using var reached = new ManualResetEventSlim(false);
        using var go = new ManualResetEventSlim(true);
        var options = new CairnOptions { Durability = mode, TimeProvider = clock, SegmentBytesMin = 64 << 10 };
        var db = CairnDatabase.Open(
            new LatencyStorage(memory, (call, _) =>
            {
                if (call != stalling || go.IsSet)
                    return;
                reached.Set();
                go.Wait();
            }),
            options,
            new EngineHooks { IsMaintenanceManual = true });
        var maintainer = db.Engine.Maintainer!;
        db.Default.Kv.Put("before", 1);
        go.Reset();
        var commit = Task.Run(() => db.Default.Kv.Put("during", 1), TestContext.Current.CancellationToken);
        if (mode == Durability.Buffered)
            await commit;
        else
            reached.Wait(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromSeconds(1));
        var step = Task.CompletedTask;
        if (part == "sync")
        {
            step = Task.Run(maintainer.Step, TestContext.Current.CancellationToken);
            SpinWait.SpinUntil(() => maintainer.Jobs.Single(job => job.Name == part).Began != 0);
        }
        else
        {
            maintainer.Step();
        }

        reached.Wait(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromSeconds(60));
        if (part == "watch")
            maintainer.Step();
        var told = Assert.Single(db.Health.Parts, other => other.Status != HealthStatus.Healthy);
        Assert.Equal((part, HealthStatus.Degraded), (told.Name, told.Status));
        Assert.Contains("no progress for 60 s", told.Reason, StringComparison.Ordinal);
        Assert.Equal(1, db.Metrics.StalledJobs);
        Assert.Equal(mode == Durability.Buffered, commit.IsCompleted);
        Assert.Equal(mode == Durability.Buffered ? 1 : null, db.Default.Kv.Number("during"));
        go.Set();
        await commit;
        await step;
        maintainer.Step();
        Assert.Equal(HealthStatus.Healthy, db.Health.Status);
        db.Dispose();
        using var next = CairnDatabase.Open(memory, options, EngineHooks.None);
        Assert.Equal(["before", "during"], next.Default.Kv.List());
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public void C14_What_fails_in_the_background_where_durability_rests_on_it_is_told_at_the_next_call_and_loses_nothing(
        string failure)
    {
        foreach (var (call, path) in new[] { (StorageCall.DataSync, null), (StorageCall.Preallocate, "log/prepared.part") })
        {
            var memory = new MemoryStorage();
            var isOn = false;
            using var database = new TestDatabase(Durability.Buffered, storage: new LatencyStorage(memory, (at, where) =>
            {
                if (isOn && at == call && (path is null || path == where))
                    throw Make(failure);
            }));
            for (var i = 0; i < 9; i++)
                database.Kv.Put($"k{i}", new byte[2_000].AsSpan());
            isOn = true;
            database.Clock.Advance(TimeSpan.FromSeconds(1));
            database.Maintain();
            Assert.Equal(ErrorCode.DatabaseFailed, Refused(() => database.Kv.Put("a", 1)));
            Assert.Equal(HealthStatus.Failed, database.Db.Health.Status);
            Assert.Equal(9, database.Kv.Count());
            isOn = false;
            database.Reopen();
            Assert.Equal(9, database.Kv.Count());
        }
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public void C14_Whichever_job_fails_before_its_step_it_is_told_and_every_answer_stays_true(string failure)
    {
        var count = JobsOf(Durability.Buffered);
        for (var index = 0; index < count; index++)
        {
            using var database = new TestDatabase(Durability.Buffered, options => options with { SystemEvents = true });
            database.Maintain();
            database.Kv.Put("a", 1);
            var job = database.Db.Engine.Maintainer!.Jobs[index];
            database.Clock.Advance(TimeSpan.FromSeconds(1));
            using (Failpoint.Use(new FailsAt("maintainer.step", index, Make(failure))))
                database.Maintain();
            var part = database.Db.Health.Parts.Single(part => part.Name == (job.IsFatal ? "log" : job.Name));
            Assert.True(part.Status != HealthStatus.Healthy, $"{job.Name} failed and nobody was told");
            Assert.Equal(1, database.Kv.Number("a"));
            if (job.IsFatal)
            {
                Assert.Equal(ErrorCode.DatabaseFailed, Refused(() => database.Kv.Put("b", 1)));
                database.Reopen();
            }
            else
            {
                Assert.Equal(1, database.Db.Maintenance.Single(other => other.Name == job.Name).Failures);
                database.Kv.Put("b", 1);
                for (var turn = 0; turn < 2; turn++)
                {
                    database.Clock.Advance(TimeSpan.FromSeconds(1));
                    database.Maintain();
                }

                Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
                if (job.Name != "events")
                {
                    Assert.Contains(
                        database.Db.Runs.Get("$sys")!.Events.Since(default),
                        told => told.Type == "health_change" && told.Payload!.Value["part"].AsString() == job.Name);
                }

                database.Reopen(isKilled: true);
                Assert.Equal(1, database.Kv.Number("b"));
            }

            Assert.Equal(1, database.Kv.Number("a"));
        }
    }

    private static int JobsOf(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { SystemEvents = true });
        return database.Db.Engine.Maintainer!.Jobs.Count;
    }

    private sealed class FailsAt(string place, int index, Exception failure) : FailpointPlan
    {
        private int _hits;

        internal override void Hit(string name)
        {
            if (name == place && _hits++ == index)
                throw failure;
        }
    }

    [Fact]
    public void C14_What_fails_in_the_background_where_nothing_rests_on_it_is_told_and_done_later()
    {
        var isOn = false;
        using var database = new TestDatabase(Durability.Buffered, storage: new LatencyStorage(new MemoryStorage(), (call, _) =>
        {
            if (isOn && call == StorageCall.Read)
                throw new InsufficientMemoryException();
        }));
        database.Kv.Put("a", 1);
        isOn = true;
        database.Maintain();
        var told = Assert.Single(database.Db.Health.Parts, part => part.Status != HealthStatus.Healthy);
        Assert.Equal("digest", told.Name);
        Assert.Equal(1, database.Db.Metrics.FailingJobs);
        database.Kv.Put("a", 2);
        isOn = false;
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        database.Maintain();
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
        database.NowAndAfterReopening(() => Assert.Equal(2, database.Kv.Number("a")));
    }

    [Fact]
    [Trait("Gate", "Merge")]
    public void C14_With_a_thread_pool_of_blocked_work_commits_background_and_closing_go_on()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-starved-").FullName;
        try
        {
            using var process = Crasher.Start("starved", directory);
            var (exitCode, output) = process.RunToEnd();
            Assert.Equal(0, exitCode);
            Assert.Equal(
                ["strict", "synced in the background", "health Healthy", "closed", "reopened clean True, 60 keys", "awaited"],
                output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    // As a laptop that sleeps, a debugger, or a machine without memory does it to a process: it stands still for longer than every time-out
    // it has set, then goes on.
    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Gate", "Merge")]
    [Trait("Requirement", "TIM-5")]
    public void C14_A_process_that_stood_still_for_longer_than_every_time_out_goes_on_and_loses_nothing(Durability mode)
    {
        Crasher.SkipWithout("kill");
        var directory = Directory.CreateTempSubdirectory("cairn-patient-").FullName;
        try
        {
            using var process = Crasher.Start("patient", directory, mode.ToString());
            var acknowledged = new long[4];
            var (refused, health, seen) = (new List<string>(), "", 0L);
            void ReadUntil(Func<bool> isEnough)
            {
                while (!isEnough())
                {
                    var words = (process.ReadLine() ?? throw new InvalidOperationException("the crasher has ended")).Split(' ', 2);
                    if (words[0] == "refused")
                        refused.Add(words[1]);
                    else if (words[0] == "health")
                        health = words[1];
                    else if (words[0] == "seen")
                        seen = long.Parse(words[1], CultureInfo.InvariantCulture);
                    else
                        acknowledged[words[0][0] - '0'] = long.Parse(words[1], CultureInfo.InvariantCulture);
                }
            }

            ReadUntil(() => acknowledged.All(n => n > 50) && seen > 0);
            Assert.Empty(refused);
            for (var pause = 0; pause < 2; pause++)
            {
                process.Signal("STOP");
                Thread.Sleep(TimeSpan.FromSeconds(2.5));
                process.Signal("CONT");
                var (before, followed) = ((long[])acknowledged.Clone(), seen);
                health = "";
                ReadUntil(() => seen > followed + 200 && Enumerable.Range(0, 4).All(i => acknowledged[i] > before[i] + 200)
                    && health.StartsWith("Healthy", StringComparison.Ordinal));
            }

            // A transaction that was open meanwhile has lived too long, or has waited too long: it wrote nothing and was told so.
            Assert.All(refused, code => Assert.True(code is nameof(ErrorCode.Timeout) or nameof(ErrorCode.Busy), code));
            Assert.InRange(refused.Count, 0, 8);
            process.Kill();
            using var db = CairnDatabase.Open(directory, new CairnOptions { Durability = mode });
            for (var i = 0; i < 4; i++)
            {
                var run = db.Runs.Get($"thread-{i}")!;
                var n = run.Kv.Number("n");
                Assert.InRange(n!.Value, acknowledged[i], long.MaxValue);
                Assert.Equal((n.Value, n.Value), (run.State.Get("n")!.Value.Value.AsInt64(), (long)run.Events.Count()));
                Assert.True(run.Events.Verify().IsValid);
            }

            Assert.Empty(db.VerifyDeep().Findings);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static Maintainer Make(EngineState state, TimeProvider clock, params MaintenanceJob[] jobs) =>
        new(state, clock, new MaintenanceOptions(), ownThreads: false, () => 0, jobs);

    private static Exception Make(string failure) => failure switch
    {
        nameof(IOException) => new StorageException(StorageError.Io, "test", "path", 5),
        nameof(InsufficientMemoryException) => new InsufficientMemoryException("as the test wants it"),
        _ => new InvalidOperationException("as the test wants it"),
    };

    private sealed class ScriptedJob() : MaintenanceJob("scripted")
    {
        internal Exception? Failure { get; set; }

        internal Action? InStep { get; set; }

        internal bool IsDurability { get; init; }

        internal bool BreaksOutsideItsStep { get; init; }

        internal int Calls { get; private set; }

        internal override bool IsFatal => IsDurability;

        internal override bool HasWorkInSight => BreaksOutsideItsStep ? throw new InvalidOperationException("outside") : false;

        internal override bool Step()
        {
            Calls++;
            InStep?.Invoke();
            return Failure is null ? false : throw Failure;
        }
    }
}
