using Cairn.Codec;
using Xunit;
using static Cairn.Tests.Codec.RandomValues;

namespace Cairn.Tests.Codec;

public sealed class KeyCodecTests
{
    private delegate void Part(ref KeyWriter writer);

    [Theory]
    [InlineData("", "0001")]
    [InlineData("a", "610001")]
    [InlineData("a\0", "6100ff0001")]
    [InlineData("a\0b", "6100ff620001")]
    [InlineData("a\u0001", "61010001")]
    [InlineData("ab", "61620001")]
    public void K1_The_table_of_the_escape_rule_is_what_is_written(string text, string hex) =>
        Assert.Equal(hex, Hex(Write((ref KeyWriter writer) => writer.Text(text))));

    [Fact]
    public void K1_Keys_order_as_their_parts_do()
    {
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        for (var round = 0; round < 50_000; round++)
        {
            var (a, b) = (Composite(values), Composite(values));
            var expected = Compare(a, b);
            var actual = Math.Sign(Encode(a).AsSpan().SequenceCompareTo(Encode(b)));
            Assert.True(expected == actual, $"{a} and {b}: {expected}, {actual}, seed={seed}, round={round}");
        }

        static (byte[] Bytes, long Number, double Real, string Text) Composite(RandomValues values) =>
            (values.Random.Next(3) == 0 ? [] : values.Bytes(), values.Random.Next(2) == 0 ? 0 : values.Integer(),
                values.Random.Next(2) == 0 ? 0 : values.Float(), values.Text());

        static byte[] Encode((byte[] Bytes, long Number, double Real, string Text) parts) => Write((ref KeyWriter writer) =>
        {
            writer.Bytes(parts.Bytes);
            writer.Int64(parts.Number);
            writer.Float64(parts.Real);
            writer.Text(parts.Text);
        });

        static int Compare((byte[] Bytes, long Number, double Real, string Text) a, (byte[] Bytes, long Number, double Real, string Text) b)
        {
            var order = a.Bytes.AsSpan().SequenceCompareTo(b.Bytes);
            order = order != 0 ? order : a.Number.CompareTo(b.Number);
            order = order != 0 ? order : CompareFloats(a.Real, b.Real);
            order = order != 0 ? order : Utf8.GetBytes(a.Text).AsSpan().SequenceCompareTo(Utf8.GetBytes(b.Text));
            return Math.Sign(order);
        }

        static int CompareFloats(double a, double b)
        {
            if (double.IsNaN(a) || double.IsNaN(b))
                return double.IsNaN(a).CompareTo(double.IsNaN(b));
            return a == b ? double.IsNegative(b).CompareTo(double.IsNegative(a)) : a.CompareTo(b);
        }
    }

    [Fact]
    public void K2_Keys_read_back_part_by_part()
    {
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        Span<byte> target = new byte[4096];
        for (var round = 0; round < 20_000; round++)
        {
            var (bytes, text, number, real) = (values.Bytes(), values.Text(), values.Integer(), values.Float());
            var id = new RunId(Guid.NewGuid());
            var key = Write((ref KeyWriter writer) =>
            {
                writer.Tag(0x41);
                writer.Bytes(bytes);
                writer.UInt32(7);
                writer.Text(text);
                writer.Int64(number);
                writer.Float64(real);
                writer.Id(id);
                writer.UInt64(ulong.MaxValue);
            });
            var reader = new KeyReader(key);
            Assert.False(reader.TryTag(0x42));
            Assert.True(reader.TryTag(0x41));
            Assert.True(reader.TryBytes(target, out var length) && target[..length].SequenceEqual(bytes), $"seed={seed}");
            Assert.True(reader.TryUInt32(out var seven) && seven == 7);
            Assert.True(reader.TryBytes(target, out length) && Utf8.GetString(target[..length]) == text, $"seed={seed}");
            Assert.True(reader.TryInt64(out var readNumber) && readNumber == number);
            Assert.True(reader.TryFloat64(out var readReal) && (Value)readReal == (Value)real, $"{real}, seed={seed}");
            Assert.True(reader.TryId(out var readId) && readId == id);
            Assert.True(reader.TryUInt64(out var most) && most == ulong.MaxValue && reader.IsAtEnd);
        }
    }

    [Fact]
    public void K3_Reading_random_bytes_never_throws_and_never_goes_back()
    {
        var seed = PrintSeed();
        var random = new Random(seed);
        Span<byte> target = new byte[64];
        for (var round = 0; round < 100_000; round++)
        {
            var key = new byte[random.Next(24)];
            random.NextBytes(key);
            for (var at = 0; at < key.Length; at++)
                key[at] = random.Next(3) == 0 ? (byte)0 : random.Next(3) == 0 ? (byte)1 : key[at];
            var reader = new KeyReader(key);
            if (random.Next(2) == 0 ? reader.TryBytes(target, out var length) : reader.TryEscaped(out _))
                Assert.True(reader.Rest.Length <= key.Length - 2, $"seed={seed}");
            else
                Assert.Equal(key.Length, reader.Rest.Length);
            while (reader.TryInt64(out _))
            {
            }

            Assert.False(reader.TryId(out _));
        }
    }

    [Theory]
    [InlineData("61", "62")]
    [InlineData("61ff", "62")]
    [InlineData("00ffff", "01")]
    [InlineData("ff", "")]
    [InlineData("", "")]
    [InlineData("746f6f6c0001", "746f6f6c0002")]
    public void The_successor_is_the_smallest_key_above_all_with_the_prefix(string prefix, string successor)
    {
        Span<byte> target = stackalloc byte[16];
        var length = KeyCodec.Successor(Convert.FromHexString(prefix), target);
        Assert.Equal(successor, Hex(target[..length]));
    }

    [Fact]
    [Trait("Requirement", "IDX-6")]
    public void IDX_6_Scalars_order_by_kind_and_numbers_by_exact_value()
    {
        Value[] ordered =
        [
            Value.Null, false, true, double.NegativeInfinity, long.MinValue, -(1L << 53) - 1, -(double)(1L << 53), -1, -0.5, 0, 0.5, 1,
            1.5, (1L << 53) - 1, 1L << 53, (1L << 53) + 1, (double)((1L << 53) + 2), long.MaxValue - 1, long.MaxValue, Math.Pow(2, 63),
            double.PositiveInfinity, double.NaN, "", "a", "a\0", "b", Array.Empty<byte>(), new byte[] { 0 }, new byte[] { 0xFF },
        ];
        for (var at = 1; at < ordered.Length; at++)
            Assert.True(Scalar(ordered[at - 1]).AsSpan().SequenceCompareTo(Scalar(ordered[at])) < 0, $"{ordered[at - 1]} < {ordered[at]}");
        Assert.Equal(Scalar(1), Scalar(1.0));
        Assert.Equal(Scalar(0.0), Scalar(-0.0));
        Assert.False(new KeyWriter(new byte[64]).TryScalar(Value.Array()));
        Assert.False(new KeyWriter(new byte[64]).TryScalar(Value.Object()));

        static byte[] Scalar(Value value) => Write((ref KeyWriter writer) => Assert.True(writer.TryScalar(value)));
    }

    [Fact]
    [Trait("Requirement", "IDX-6")]
    public void IDX_6_Random_integers_and_floats_order_by_exact_value()
    {
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        for (var round = 0; round < 50_000; round++)
        {
            var integer = values.Integer();
            var real = values.Random.Next(2) == 0 ? (double)integer : Math.BitIncrement((double)integer);
            Int128 exact = (Int128)real;
            var expected = double.IsInteger(real) ? ((Int128)integer).CompareTo(exact) : ((double)integer).CompareTo(real);
            var a = Write((ref KeyWriter writer) => writer.TryScalar(integer));
            var b = Write((ref KeyWriter writer) => writer.TryScalar(real));
            Assert.True(expected == Math.Sign(a.AsSpan().SequenceCompareTo(b)), $"{integer} and {real:R}, seed={seed}");
        }
    }

    private static byte[] Write(Part part)
    {
        var writer = new KeyWriter(new byte[8192]);
        part(ref writer);
        return writer.Key.ToArray();
    }
}
