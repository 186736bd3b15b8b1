using Cairn.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Hooks;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>TIER-3: the log's own thread exists while somebody needs it, and whoever needs it is served.</summary>
[Trait("Requirement", "TIER-3")]
public sealed class ServingThreadTests
{
    private const int Schedules = 100;
    private const int WakesPerTask = 4;

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Test", "S1")]
    public void TIER_3_S1_No_order_of_waking_and_ending_loses_work()
    {
        var seed = Seeds.Begin(nameof(ServingThreadTests));
        using var schedule = new Schedule();
        using var plan = Failpoint.Use(schedule);
        var ends = 0;
        var count = Seeds.Scaled(Schedules);
        for (var i = 0; i < count; i++)
        {
            schedule.Begin(seed + (ulong)i);
            ends += Run(schedule);
        }

        Assert.True(ends > count, $"the thread has ended {ends} times only: the schedules try nothing");
    }

    // Two tasks ask and one is the thread, which ends as soon as it may: each body that it is given is one life of it.
    private static int Run(Schedule schedule)
    {
        var asked = 0;
        var done = 0;
        var lives = 0;
        var left = 2;
        Action? body = null;
        using var thread = new ServingThread(
            "served", () => done = Volatile.Read(ref asked), TimeSpan.Zero, life => Volatile.Write(ref body, life));
        void Ask()
        {
            for (var i = 0; i < WakesPerTask; i++)
            {
                Interlocked.Increment(ref asked);
                thread.Wake();
            }

            Interlocked.Decrement(ref left);
        }

        void Live()
        {
            while (true)
            {
                var isLast = Volatile.Read(ref left) == 0;
                if (Interlocked.Exchange(ref body, null) is { } life)
                {
                    lives++;
                    life();
                }
                else if (isLast)
                {
                    return;
                }
                else
                {
                    Failpoint.Wait("test.no-thread");
                    Thread.Yield();
                }
            }
        }

        schedule.Run(Ask, Ask, Live);
        Assert.Equal((2 * WakesPerTask, 2 * WakesPerTask), (asked, done));
        Assert.False(thread.Exists);
        return lives;
    }

    [Fact]
    public void TIER_3_An_opened_database_has_no_thread_of_the_log_and_commits_that_block_need_none()
    {
        using var db = CairnDatabase.Open(new MemoryStorage(), new CairnOptions { Durability = Durability.Strict }, EngineHooks.None);
        db.Default.Kv.Put("a", 1);
        Assert.False(db.Engine.Path.Log.HasThread);
    }

    [Fact]
    public async Task TIER_3_Whoever_awaits_is_served_by_a_thread_that_ends_and_by_the_next_one()
    {
        var served = 0;
        using var thread = new ServingThread("served", () => Interlocked.Increment(ref served), TimeSpan.FromMilliseconds(1));
        for (var i = 1; i <= 20; i++)
        {
            var before = Volatile.Read(ref served);
            thread.Wake();
            SpinWait.SpinUntil(() => Volatile.Read(ref served) > before);
            if (i % 2 == 0)
                SpinWait.SpinUntil(() => !thread.Exists);
        }

        await using var db = CairnDatabase.Open(new MemoryStorage(), new CairnOptions { Durability = Durability.Strict }, EngineHooks.None);
        await db.Default.Kv.PutAsync("a", 1, cancellationToken: TestContext.Current.CancellationToken);
        await db.SyncAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, db.Default.Kv.Get("a")!.Value.AsInt64());
    }
}
