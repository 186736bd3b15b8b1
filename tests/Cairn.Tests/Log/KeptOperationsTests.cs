using Cairn.Diagnostics;
using Cairn.Log;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>RET-5: of a record that two passes have sieved, what both keep is kept.</summary>
[Trait("Requirement", "RET-5")]
public sealed class KeptOperationsTests
{
    [Fact]
    public void What_both_keep_is_kept()
    {
        var odd = new KeptOperations([0b1010_1010, 0b0000_0010], 10);
        var low = new KeptOperations([0b0000_1111, 0], 10);
        var both = odd.And(low);
        Assert.Equal([1, 3], Enumerable.Range(0, 10).Where(both.Has));
        Assert.Equal([1, 3], Enumerable.Range(0, 10).Where(low.And(odd).Has));
        Assert.False(both.IsNone);
        Assert.True(low.And(new KeptOperations([0b1111_0000, 0b0000_0011], 10)).IsNone);
    }

    [Fact]
    public void All_leaves_the_other_as_it_is()
    {
        var some = new KeptOperations([0b0000_0101], 3);
        Assert.Equal(some, some.And(KeptOperations.All));
        Assert.Equal(some, KeptOperations.All.And(some));
        Assert.True(KeptOperations.All.And(KeptOperations.All).IsAll);
        Assert.True(KeptOperations.All.Has(1_000) && !KeptOperations.All.IsNone);
    }

    [Theory]
    [InlineData(new byte[] { 0b0000_0111 }, 3, true)]
    [InlineData(new byte[] { 0b0000_0011 }, 3, false)]
    [InlineData(new byte[] { 0xFF, 0b0000_0001 }, 9, true)]
    [InlineData(new byte[] { 0xFF, 0 }, 9, false)]
    public void Marks_of_every_operation_are_all(byte[] marks, int count, bool isAll) =>
        Assert.Equal(isAll, KeptOperations.Of(marks, count).IsAll);

    [Fact]
    public void Marks_of_different_parts_are_never_put_together() => Assert.Throws<InvariantException>(
        () => new KeptOperations([1], 3).And(new KeptOperations([1], 4)));
}
