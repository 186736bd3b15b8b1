using System.Diagnostics;
using Cairn.Diagnostics;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>S1: two to four tasks of the engine under controlled schedules. What must hold, holds in every order; nobody waits for
/// ever; and the database recovers to the state it had.</summary>
[Trait("Promise", "G4")]
[Trait("Promise", "G8")]
[Trait("Test", "S1")]
public sealed class ScheduleTests
{
    private const int SchedulesInAll = 500;
    private const int SchedulesInAllAtAMerge = 20_000;
    private const int CutsAtAMerge = 2_000;

    public static TheoryData<string> Names() => [.. Scenarios.All.Keys.Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Names))]
    [Trait("Kind", "Random")]
    public void S1_Tasks_in_any_order_keep_what_must_hold(string scenario) =>
        Run(scenario, SchedulesInAll / Scenarios.All.Count);

    [Theory]
    [MemberData(nameof(Names))]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void S1_Tasks_in_thousands_of_orders_keep_what_must_hold(string scenario) =>
        Run(scenario, Seeds.Scaled(SchedulesInAllAtAMerge / Scenarios.All.Count));

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Requirement", "TX-35")]
    public void S1_TX35_No_order_shows_half_of_a_commit_over_two_runs() =>
        Run("commit over two runs and a cut", Seeds.Scaled(CutsAtAMerge));

    private static void Run(string name, int count)
    {
        var seed = Seeds.Begin($"{nameof(ScheduleTests)} {name}");
        var clock = Stopwatch.StartNew();
        var scenario = Scenarios.All[name];
        using var schedule = new Schedule();
        using var plan = Failpoint.Use(schedule);
        for (var i = 0; i < count; i++)
            Run(schedule, scenario, seed + (ulong)i);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{count} schedules, {count / clock.Elapsed.TotalSeconds:f0} per second");
        Ledger.Add("S1", name, seed, count, clock.Elapsed);
    }

    // Everything is drawn from the one seed, the mode too, so that one schedule can be run again alone.
    private static void Run(Schedule schedule, Func<ScheduleWorld, (Action[] Tasks, Action Check)> scenario, ulong seed)
    {
        schedule.Begin(seed);
        var world = new ScheduleWorld(seed);
        try
        {
            var (tasks, check) = scenario(world);
            schedule.Run(tasks);
            check();
            world.CheckRecovery(seed);
        }
        finally
        {
            if (!schedule.IsStuck)
                world.Dispose();
        }
    }
}
