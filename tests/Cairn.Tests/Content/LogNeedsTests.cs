using Cairn.Content;
using Cairn.Log;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>How far the log may be given up.</summary>
public class LogNeedsTests
{
    private static readonly ManifestCheckpoint Older = new(1, 100, 0, 4_000, 0, []);
    private static readonly ManifestCheckpoint Newer = new(2, 200, 0, 9_000, 0, []);

    [Fact]
    [Trait("Requirement", "CKP-2")]
    public void Two_checkpoints_stay_and_the_log_from_the_older_one_on()
    {
        Assert.Equal(64UL, LogNeeds.Limit([], null, 64, out var none));
        Assert.Contains("no checkpoint", none, StringComparison.Ordinal);
        Assert.Equal(64UL, LogNeeds.Limit([Older], null, 64, out var one));
        Assert.Contains("one checkpoint", one, StringComparison.Ordinal);
        Assert.Equal(4_000UL, LogNeeds.Limit([Older, Newer], null, 64, out var free));
        Assert.Equal("", free);
        Assert.Equal(5_000UL, LogNeeds.Limit([Older, Newer], null, 5_000, out _));
    }

    [Fact]
    [Trait("Requirement", "RET-4")]
    public void A_snapshot_from_before_the_older_checkpoint_holds_all_of_it()
    {
        Assert.Equal(64UL, LogNeeds.Limit([Older, Newer], 99, 64, out var holder));
        Assert.Contains("@99", holder, StringComparison.Ordinal);
        Assert.Equal(4_000UL, LogNeeds.Limit([Older, Newer], 100, 64, out _));
    }
}
