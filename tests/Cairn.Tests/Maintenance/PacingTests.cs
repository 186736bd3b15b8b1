using Cairn.Maintenance;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>MNT-3 to MNT-6: the law of pacing, by a clock that is moved by hand.</summary>
[Trait("Requirement", "MNT-3")]
public sealed class PacingTests
{
    private static readonly MaintenanceOptions Defaults = new();

    private readonly FakeClock _clock = new();

    [Theory]
    [InlineData(0, 100)]
    [InlineData(0.199, 100)]
    [InlineData(0.2, 10)]
    [InlineData(0.7, 10)]
    [InlineData(0.8, 7)]
    [InlineData(0.85, 5.5)]
    [InlineData(1, 1)]
    [InlineData(50, 1)]
    public void MNT_4_The_interval_follows_the_load(double load, double milliseconds) =>
        Assert.Equal(milliseconds, Pacing.IntervalOf(load, Defaults).TotalMilliseconds, 0.01);

    [Fact]
    public void MNT_4_The_interval_stays_while_the_load_moves_by_less_than_the_hysteresis()
    {
        var pacing = new Pacing(Defaults with { Smoothing = 1 }, _clock);
        var intervals = new List<double>();
        foreach (var load in (int[])[180, 210, 190, 220, 231, 210, 190, 180])
            intervals.Add(At(pacing, load, 1000, 10).Interval.TotalMilliseconds);
        Assert.Equal([100, 100, 100, 100, 10, 10, 10, 100], intervals);
        Assert.Equal(2, pacing.IntervalChanges);
    }

    [Fact]
    public void MNT_4_Equal_intervals_are_one_interval_whatever_the_load()
    {
        var same = TimeSpan.FromMilliseconds(5);
        var options = Defaults with { Interval = same, IntervalMin = same, IntervalMax = same };
        foreach (var load in (double[])[0, 0.3, 0.8, 3])
            Assert.Equal(same, Pacing.IntervalOf(load, options));
    }

    // The same wall time gives the same weight, in one look or in a hundred.
    [Fact]
    public void MNT_3_Smoothing_goes_by_wall_time_and_not_by_looks()
    {
        var often = new Pacing(Defaults, _clock);
        var seldom = new Pacing(Defaults, _clock);
        At(often, 0, 100, 0);
        At(seldom, 0, 100, 0);
        for (var i = 0; i < 100; i++)
            At(often, 100, 100, 0.5);
        Assert.Equal(often.Reading.Utilisation, At(seldom, 100, 100, 0).Utilisation, 1e-9);
        Assert.Equal(1 - Math.Pow(0.7, 5), seldom.Reading.Utilisation, 1e-9);
    }

    [Fact]
    public void MNT_3_One_interval_later_a_sample_has_the_weight_that_was_set()
    {
        var pacing = new Pacing(Defaults, _clock);
        Assert.Equal(0.5, At(pacing, 50, 100, 0).Utilisation, 1e-9);
        Assert.Equal(0.5 * 0.7 + 0.3, At(pacing, 100, 100, 10).Utilisation, 1e-9);
    }

    [Fact]
    public void MNT_3_A_sample_at_the_time_of_the_one_before_takes_its_place_and_weighs_nothing()
    {
        var pacing = new Pacing(Defaults, _clock);
        At(pacing, 50, 100, 0);
        var reading = At(pacing, 90, 100, 0);
        Assert.Equal((90L, 0.5), (reading.Backlog, reading.Utilisation));
        Assert.Equal(90, reading.PredictedBacklog);
    }

    [Fact]
    [Trait("Requirement", "MNT-5")]
    public void MNT_5_What_grows_by_a_line_is_predicted_on_that_line_and_warned_of_before_it_is_there()
    {
        var pacing = new Pacing(Defaults, _clock);
        PaceReading reading = default;
        for (var i = 0; i <= 20; i++)
            reading = At(pacing, 10 * i, 1_000, i == 0 ? 0 : 250);   // 40 a second: 200 now, 600 in 10 s
        Assert.Equal(600, reading.PredictedBacklog);
        Assert.False(reading.IsWarned);
        for (var i = 21; i <= 27; i++)
            reading = At(pacing, 10 * i, 1_000, 250);
        Assert.Equal(670, reading.PredictedBacklog);
        Assert.False(reading.IsWarned);
        for (var i = 28; i <= 31; i++)
            reading = At(pacing, 10 * i, 1_000, 250);
        Assert.Equal(710, reading.PredictedBacklog);
        Assert.True(reading is { IsWarned: true, Utilisation: < 0.35 });
    }

    [Fact]
    public void MNT_5_Only_the_window_is_looked_at_and_a_prediction_is_never_below_zero()
    {
        var pacing = new Pacing(Defaults with { Window = 5 }, _clock);
        for (var i = 0; i < 50; i++)
            At(pacing, 100 * i, 1_000, 100);
        PaceReading reading = default;
        for (var i = 0; i < 5; i++)
            reading = At(pacing, 100, 1_000, 100);
        Assert.Equal(100, reading.PredictedBacklog);
        for (var i = 0; i < 5; i++)
            reading = At(pacing, 90 - 20 * i, 1_000, 100);
        Assert.Equal(0, reading.PredictedBacklog);
    }

    [Fact]
    public void MNT_5_A_load_that_is_above_already_is_warned_of_though_it_falls()
    {
        var pacing = new Pacing(Defaults with { Smoothing = 1 }, _clock);
        At(pacing, 990, 1_000, 0);
        Assert.True(At(pacing, 800, 1_000, 100) is { IsWarned: true, PredictedBacklog: 0 });
    }

    [Theory]
    [Trait("Requirement", "MNT-6")]
    [InlineData(0, 1, JobRecommendation.Excellent)]
    [InlineData(0.29, 1, JobRecommendation.Excellent)]
    [InlineData(0.3, 1, JobRecommendation.Excellent)]
    [InlineData(0.45, 0.8125, JobRecommendation.Excellent)]
    [InlineData(0.5, 0.75, JobRecommendation.Good)]
    [InlineData(0.69, 0.5125, JobRecommendation.Good)]
    [InlineData(0.7, 0.5, JobRecommendation.Warning)]
    [InlineData(0.89, 0.215, JobRecommendation.Warning)]
    [InlineData(0.9, 0.2, JobRecommendation.Critical)]
    [InlineData(1, 0, JobRecommendation.Critical)]
    [InlineData(7, 0, JobRecommendation.Critical)]
    public void MNT_6_Health_and_recommendation_follow_the_load(double load, double health, JobRecommendation recommendation)
    {
        Assert.Equal(health, Pacing.HealthOf(load), 1e-9);
        Assert.Equal(recommendation, Pacing.RecommendationOf(Pacing.HealthOf(load)));
    }

    [Fact]
    [Trait("Requirement", "MNT-7")]
    public void MNT_7_Rate_and_lag_are_measured_over_the_window()
    {
        var pacing = new Pacing(Defaults, _clock);
        Assert.Equal((0d, TimeSpan.Zero), (At(pacing, 0, 10, 0).ItemsPerSecond, pacing.Reading.EstimatedLag));
        Assert.Null(At(pacing, 50, 10, 100).EstimatedLag);
        var reading = At(pacing, 50, 10, 100, items: 20);
        Assert.Equal(100, reading.ItemsPerSecond, 1e-9);
        Assert.Equal(TimeSpan.FromMilliseconds(500), reading.EstimatedLag);
    }

    private PaceReading At(Pacing pacing, long backlog, long capacity, double milliseconds, long items = 0)
    {
        _clock.Advance(TimeSpan.FromMilliseconds(milliseconds));
        return pacing.Observe(_clock.GetTimestamp(), backlog, capacity, items);
    }
}
