using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Cairn.Agents;

/// <summary>Chance that can be replayed: its seed is one input of a run (<see cref="InputKind.Random"/>), asked when it is made; the
/// numbers follow from it by xoshiro256** (Blackman and Vigna, 2018), the same on every machine and in every version. Not for secrets. Not
/// thread-safe, unlike <see cref="Random.Shared"/>.</summary>
public sealed class RecordedRandom : Random
{
    private readonly ulong[] _state = new ulong[4];

    /// <summary>Asks the run for a seed.</summary>
    /// <param name="run">The run that asks.</param>
    /// <param name="name">Tells several apart in the recording; null = nothing.</param>
    public RecordedRandom(Run run, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(run);
        var seed = run.Input(
            InputKind.Random, "seed", () => Value.Bytes(RandomNumberGenerator.GetBytes(32)), new InputOptions { Name = name });
        for (var i = 0; i < _state.Length; i++)
            _state[i] = BinaryPrimitives.ReadUInt64LittleEndian(seed.AsBytes().Span[(8 * i)..]);
        _state[0] |= 1;                                      // the one state that yields only zeros is not reached
    }

    /// <inheritdoc/>
    public override int Next() => (int)NextInt64(int.MaxValue);

    /// <inheritdoc/>
    public override int Next(int maxValue) => (int)NextInt64(maxValue);

    /// <inheritdoc/>
    public override int Next(int minValue, int maxValue) => (int)NextInt64(minValue, maxValue);

    /// <inheritdoc/>
    public override long NextInt64() => NextInt64(long.MaxValue);

    /// <inheritdoc/>
    public override long NextInt64(long maxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxValue);
        return NextInt64(0, maxValue);
    }

    /// <inheritdoc/>
    public override long NextInt64(long minValue, long maxValue)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minValue, maxValue);
        var range = unchecked((ulong)(maxValue - minValue));
        if (range <= 1)
            return minValue;

        // The lowest so many words would come once too often (Lemire 2019, without the multiplication).
        var surplus = unchecked(0 - range) % range;
        ulong word;
        do
            word = NextWord();
        while (word < surplus);
        return unchecked(minValue + (long)(word % range));
    }

    /// <inheritdoc/>
    public override double NextDouble() => (NextWord() >> 11) * (1.0 / (1UL << 53));

    /// <inheritdoc/>
    public override float NextSingle() => (NextWord() >> 40) * (1.0f / (1U << 24));

    /// <inheritdoc/>
    public override void NextBytes(byte[] buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        NextBytes(buffer.AsSpan());
    }

    /// <inheritdoc/>
    public override void NextBytes(Span<byte> buffer)
    {
        Span<byte> word = stackalloc byte[8];
        while (buffer.Length > 0)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, NextWord());
            var bytes = Math.Min(8, buffer.Length);
            word[..bytes].CopyTo(buffer);
            buffer = buffer[bytes..];
        }
    }

    /// <inheritdoc/>
    protected override double Sample() => NextDouble();

    private ulong NextWord()
    {
        var result = BitOperations.RotateLeft(_state[1] * 5, 7) * 9;
        var shifted = _state[1] << 17;
        _state[2] ^= _state[0];
        _state[3] ^= _state[1];
        _state[1] ^= _state[2];
        _state[0] ^= _state[3];
        _state[2] ^= shifted;
        _state[3] = BitOperations.RotateLeft(_state[3], 45);
        return result;
    }
}
