using Cairn.Codec;
using Xunit;

namespace Cairn.Tests.Codec;

public sealed class Crc32CTests
{
    [Fact]
    public void The_vectors_of_RFC_3720_B_4_hold()
    {
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32]));
        Assert.Equal(0x62A8AB43u, Crc32C.Of(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Of(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray()));
        Assert.Equal(0x113FDB5Cu, Crc32C.Of(Enumerable.Range(0, 32).Select(i => (byte)(31 - i)).ToArray()));
        Assert.Equal(0xD9963A56u, Crc32C.Of(Convert.FromHexString(
            "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000" + "0000")));
        Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));
        Assert.Equal(0u, Crc32C.Of([]));
    }

    [Fact]
    public void Every_length_agrees_with_the_definition_bit_by_bit()
    {
        var seed = RandomValues.PrintSeed();
        var random = new Random(seed);
        var bytes = new byte[20_000];
        random.NextBytes(bytes);
        foreach (var length in Enumerable.Range(0, 1200).Concat([6143, 6144, 6145, 7000, 12_288, 20_000]))
        {
            var expected = BitByBit(bytes.AsSpan(0, length));
            Assert.True(expected == Crc32C.Of(bytes.AsSpan(0, length)), $"length {length}, seed={seed}");
        }
    }

    [Fact]
    public void Spans_compose_wherever_they_are_cut()
    {
        var seed = RandomValues.PrintSeed();
        var random = new Random(seed);
        var bytes = new byte[15_000];
        random.NextBytes(bytes);
        var whole = Crc32C.Of(bytes);
        for (var round = 0; round < 200; round++)
        {
            var state = Crc32C.Start;
            for (var at = 0; at < bytes.Length;)
            {
                var length = Math.Min(random.Next(1, 8000), bytes.Length - at);
                state = Crc32C.Append(state, bytes.AsSpan(at, length));
                at += length;
            }

            Assert.True(whole == Crc32C.Finish(state), $"seed={seed}");
        }
    }

    private static uint BitByBit(ReadOnlySpan<byte> bytes)
    {
        const uint Reflected = 0x82F63B78;
        var crc = 0xFFFF_FFFF;
        foreach (var next in bytes)
        {
            crc ^= next;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ Reflected : crc >> 1;
        }

        return ~crc;
    }
}
