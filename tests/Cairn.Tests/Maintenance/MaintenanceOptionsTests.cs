using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>MNT-10: settings are checked when the database is opened; unknown and unreadable ones are refused by name.</summary>
[Trait("Requirement", "MNT-10")]
public sealed class MaintenanceOptionsTests
{
    private static readonly MaintenanceOptions Defaults = new();

    public static TheoryData<string, MaintenanceOptions> OutOfRange => new()
    {
        { "IntervalMin", Defaults with { IntervalMin = TimeSpan.Zero } },
        { "IntervalMin", Defaults with { IntervalMin = TimeSpan.FromMilliseconds(11) } },
        { "Interval", Defaults with { Interval = TimeSpan.FromMilliseconds(101) } },
        { "IntervalMax", Defaults with { IntervalMax = TimeSpan.FromMilliseconds(10_001) } },
        { "IntervalMax", Defaults with { IntervalMax = TimeSpan.FromMilliseconds(-1) } },
        { "Smoothing", Defaults with { Smoothing = 0 } },
        { "Smoothing", Defaults with { Smoothing = 1.01 } },
        { "Smoothing", Defaults with { Smoothing = double.NaN } },
        { "Window", Defaults with { Window = 1 } },
        { "Window", Defaults with { Window = 10_001 } },
        { "BatchMax", Defaults with { BatchMax = 0 } },
        { "BatchMax", Defaults with { BatchMax = 10_001 } },
        { "WarnAt", Defaults with { WarnAt = 0 } },
        { "WarnAt", Defaults with { WarnAt = double.PositiveInfinity } },
        { "WarnAt", Defaults with { WarnAt = double.NaN } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void MNT_10_What_is_out_of_its_range_is_refused_at_open_by_name(string name, MaintenanceOptions options)
    {
        var refused = Assert.Throws<CairnException>(() => CairnDatabase.OpenInMemory(new CairnOptions { Maintenance = options }));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.StartsWith(name + " is ", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void MNT_10_Borders_are_taken()
    {
        var ten = TimeSpan.FromSeconds(10);
        var tick = TimeSpan.FromTicks(1);
        foreach (var options in new[]
        {
            Defaults with { Interval = ten, IntervalMin = ten, IntervalMax = ten, Smoothing = 1, Window = 2, BatchMax = 1, WarnAt = 1 },
            Defaults with { Interval = tick, IntervalMin = tick, IntervalMax = tick, Smoothing = 1e-9, Window = 10_000, WarnAt = 1e-9 },
        })
        {
            OptionRules.Check(new CairnOptions { Maintenance = options });
        }
    }

    [Fact]
    public void MNT_10_Settings_in_text_are_read_whole()
    {
        Assert.Equal(Defaults, MaintenanceOptions.Parse(""));
        Assert.Equal(
            new MaintenanceOptions
            {
                Interval = TimeSpan.FromMilliseconds(20),
                IntervalMin = TimeSpan.FromMilliseconds(2.5),
                IntervalMax = TimeSpan.FromSeconds(0.5),
                Smoothing = 0.5,
                Window = 7,
                BatchMax = 100,
                WarnAt = 0.9,
            },
            MaintenanceOptions.Parse(
                "interval=20ms, interval-min = 2.5ms,interval-max=0.5s,smoothing=0.5,window=7,batch-max=100,warn-at=0.9"));
    }

    [Theory]
    [InlineData("intervall=10ms", "There is no maintenance setting intervall;")]
    [InlineData("Interval=10ms", "There is no maintenance setting Interval;")]
    [InlineData("interval=10", "The maintenance setting interval is \"10\"")]
    [InlineData("interval=", "The maintenance setting interval is \"\"")]
    [InlineData("interval", "The maintenance setting interval is \"\"")]
    [InlineData("interval=-1ms", "The maintenance setting interval is \"-1ms\"")]
    [InlineData("interval=1e9s", "The maintenance setting interval is \"1e9s\"")]
    [InlineData("interval=99999999999999999s", "The maintenance setting interval is")]
    [InlineData("smoothing=NaN", "The maintenance setting smoothing is \"NaN\"")]
    [InlineData("smoothing=0,3", "There is no maintenance setting 3;")]
    [InlineData("window=5.0", "The maintenance setting window is \"5.0\"")]
    [InlineData("batch-max=99999999999", "The maintenance setting batch-max is")]
    [InlineData("window=5,window=5", "The maintenance setting window is given twice")]
    public void MNT_10_Settings_in_text_that_are_unknown_or_unreadable_are_refused_by_name(string text, string begins)
    {
        var refused = Assert.Throws<CairnException>(() => MaintenanceOptions.Parse(text));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.StartsWith(begins, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void MNT_10_What_is_set_is_what_the_jobs_go_by()
    {
        using var db = CairnDatabase.OpenInMemory(
            new CairnOptions { Maintenance = Defaults with { IntervalMax = TimeSpan.FromMilliseconds(40) } },
            new EngineHooks { IsMaintenanceManual = true });
        db.Engine.Maintainer!.Step();
        Assert.All(db.Maintenance, job => Assert.Equal(TimeSpan.FromMilliseconds(40), job.Interval));
    }
}
