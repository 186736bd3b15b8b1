using Xunit;

namespace Cairn.Tests.Codec;

/// <summary>Random values, all kinds, biased to the edges where encodings change form. The seed repeats them.</summary>
internal sealed class RandomValues(int seed)
{
    private static readonly long[] Edges =
        [0, 31, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, int.MaxValue, uint.MaxValue, long.MaxValue];
    private static readonly int[] Lengths = [0, 1, 15, 16, 31, 32, 255, 256];
    private static readonly string[] Pieces = ["a", "Z", "\0", "é", "€", "\U0001F5FF", "～", "$", "\"", "\\", "\n", "~"];

    private readonly Random _random = new(seed);

    internal Random Random => _random;

    internal Value Next(int depth = 5) => _random.Next(depth > 0 ? 8 : 6) switch
    {
        0 => Value.Null,
        1 => _random.Next(2) == 0,
        2 => Integer(),
        3 => Float(),
        4 => Text(),
        5 => Bytes(),
        6 => Value.Array(Enumerable.Range(0, Count()).Select(_ => Next(depth - 1))),
        _ => Object(depth),
    };

    internal long Integer()
    {
        if (_random.Next(3) == 0)
            return _random.NextInt64(long.MinValue, long.MaxValue);
        var edge = Edges[_random.Next(Edges.Length)];
        var near = unchecked(edge + _random.Next(-2, 3));
        return _random.Next(2) == 0 ? near : -near;
    }

    internal double Float() => _random.Next(8) switch
    {
        0 => double.NaN,
        1 => double.PositiveInfinity,
        2 => double.NegativeInfinity,
        3 => -0.0,
        4 => _random.Next(-10, 10),
        5 => _random.NextDouble(),
        _ => BitConverter.Int64BitsToDouble(_random.NextInt64()),
    };

    internal string Text()
    {
        var length = _random.Next(20) == 0 ? Lengths[_random.Next(Lengths.Length)] : _random.Next(6);
        return string.Concat(Enumerable.Range(0, length).Select(_ => Pieces[_random.Next(Pieces.Length)]));
    }

    internal byte[] Bytes()
    {
        var bytes = new byte[_random.Next(20) == 0 ? Lengths[_random.Next(Lengths.Length)] : _random.Next(6)];
        _random.NextBytes(bytes);
        for (var at = 0; at < bytes.Length; at++)
        {
            if (_random.Next(3) == 0)
                bytes[at] = (byte)(_random.Next(2) * 0xFF);
        }

        return bytes;
    }

    private int Count() => _random.Next(40) == 0 ? _random.Next(20) : _random.Next(4);

    private Value Object(int depth)
    {
        var members = new Dictionary<string, Value>();
        for (var left = Count(); left > 0; left--)
            members[_random.Next(6) == 0 ? new[] { "$bytes", "$f64", "$object" }[_random.Next(3)] : Text()] = Next(depth - 1);
        return Value.Object(members);
    }

    /// <summary>A seed of this run, printed so that a failure can be repeated: <c>./test sim SEED</c>.</summary>
    internal static int PrintSeed() => unchecked((int)Seeds.Begin(TestContext.Current.TestMethod?.MethodName ?? nameof(RandomValues)));

    internal static string Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes);
}
