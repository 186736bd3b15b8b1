using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Transactions;

public sealed class StampedClockTests
{
    [Fact]
    public void Between_two_anchors_wall_time_follows_the_time_stamps()
    {
        var clock = new FakeClock();
        var stamps = new StampedClock(clock, isAnchored: true);
        var began = stamps.Microseconds(clock.GetTimestamp());
        Assert.Equal(clock.Microseconds, began);

        clock.Advance(TimeSpan.FromMilliseconds(3));
        Assert.Equal(began + 3_000, stamps.Microseconds(clock.GetTimestamp()));
    }

    [Fact]
    public void TIM_2_A_jump_of_the_wall_clock_is_seen_when_the_anchor_is_renewed()
    {
        var clock = new FakeClock();
        var stamps = new StampedClock(clock, isAnchored: true);
        var began = stamps.Microseconds(clock.GetTimestamp());

        clock.Microseconds -= 3_600_000_000;                     // set back: no time has passed
        Assert.Equal(began, stamps.Microseconds(clock.GetTimestamp()));
        clock.Advance(StampedClock.AnchorLife * 2);
        Assert.Equal(clock.Microseconds, stamps.Microseconds(clock.GetTimestamp()));
    }

    [Fact]
    public void A_clock_that_is_not_the_systems_is_asked_each_time()
    {
        var clock = new FakeClock();
        var stamps = new StampedClock(clock);
        stamps.Microseconds(clock.GetTimestamp());

        clock.Microseconds -= 86_400_000_000;
        Assert.Equal(clock.Microseconds, stamps.Microseconds(clock.GetTimestamp()));
    }

    [Fact]
    public void A_commits_latency_is_what_the_time_stamps_say()
    {
        var clock = new FakeClock();
        var stamps = new StampedClock(clock);
        var began = clock.GetTimestamp();
        clock.Advance(TimeSpan.FromMicroseconds(1_234));
        Assert.Equal(1_234_000, stamps.NanosecondsSince(began));
    }
}
