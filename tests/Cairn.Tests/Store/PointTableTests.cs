using System.Runtime.InteropServices;
using Cairn.Store.Native;
using Xunit;

namespace Cairn.Tests.Store;

public class PointTableTests
{
    [Fact]
    public unsafe void The_wide_and_the_plain_search_of_a_bucket_agree()
    {
        var random = new Random(3);
        var slots = (ulong*)NativeMemory.AlignedAlloc(64, 64);
        for (var round = 0; round < 20_000; round++)
        {
            for (var i = 0; i < 8; i++)
            {
                slots[i] = random.Next(4) switch
                {
                    0 => 0,
                    1 => Bucket.Removed,
                    _ => (ulong)random.Next(1, 4) << 48 | (ulong)random.Next(1, 1000) << 3,
                };
            }

            for (var tag = 1ul; tag < 4; tag++)
            {
                var expected = Bucket.MatchScalar(slots, tag, out var hasEmpty);
                Assert.Equal(expected, Bucket.Match128(slots, tag, out var hasEmpty128));
                Assert.Equal(expected, Bucket.Match256(slots, tag, out var hasEmpty256));
                Assert.Equal((hasEmpty, hasEmpty), (hasEmpty128, hasEmpty256));
            }
        }

        NativeMemory.AlignedFree(slots);
    }

    [Fact]
    public unsafe void A_window_compares_like_the_bytes_behind_it()
    {
        var random = new Random(4);
        for (var round = 0; round < 20_000; round++)
        {
            var left = new byte[random.Next(0, 40)];
            var right = new byte[random.Next(0, 40)];
            for (var i = 0; i < left.Length; i++)
                left[i] = (byte)random.Next(3);
            for (var i = 0; i < right.Length; i++)
                right[i] = (byte)random.Next(3);
            var prefix = left.AsSpan().CommonPrefixLength(right);
            prefix = random.Next(prefix + 1);
            TreeNode.Window(left, prefix, out var leftHead, out var leftTail);
            TreeNode.Window(right, prefix, out var rightHead, out var rightTail);
            var windows = leftHead != rightHead ? leftHead.CompareTo(rightHead) : leftTail.CompareTo(rightTail);
            if (windows != 0)
                Assert.Equal(Math.Sign(left.AsSpan().SequenceCompareTo(right)), windows);
        }
    }
}
