using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Cairn;

/// <summary>
/// Where ids, salts and back-off come from. Without a seed, bytes of the system's cryptographic generator; with one, the
/// xoshiro256** generator of Blackman and Vigna (2018), so that a whole database can be made again bit for bit. Thread-safe.
/// </summary>
internal sealed class RandomSource
{
    private const int BufferBytes = 4096;

    private readonly Lock _gate = new();
    private readonly byte[]? _buffer;
    private readonly ulong[] _state = new ulong[4];
    private readonly ulong? _seed;
    private int _used = BufferBytes;
    private long _lastMilliseconds;
    private uint _lastCounter;

    internal RandomSource(ulong? seed)
    {
        _seed = seed;
        if (seed is not { } start)
        {
            _buffer = new byte[BufferBytes];
            return;
        }

        Seed(start);
    }

    /// <summary>With a seed, each opening of a database draws from a row of its own: the same row again, at the same time of day, would
    /// give the ids of things that are there. The first opening's row is the seed's.</summary>
    internal void BeginOpening(ulong epoch)
    {
        if (_seed is not { } seed || epoch <= 1)
            return;
        lock (_gate)
            Seed(unchecked(seed + (epoch - 1) * 0xD1342543DE82EF95));
    }

    private void Seed(ulong start)
    {
        // SplitMix64 spreads the seed over the state, as the authors advise.
        for (var i = 0; i < 4; i++)
        {
            start += 0x9E3779B97F4A7C15;
            var z = (start ^ (start >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            _state[i] = z ^ (z >> 31);
        }
    }

    internal void Fill(Span<byte> target)
    {
        lock (_gate)
            FillLocked(target);
    }

    internal ulong NextUInt64()
    {
        Span<byte> bytes = stackalloc byte[8];
        Fill(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    /// <summary>A UUIDv7 (RFC 9562, section 5.7): milliseconds, then a 12-bit counter that grows within one millisecond (section 6.2,
    /// method 1), then 62 random bits. Ids of one source grow.</summary>
    internal UInt128 NextUuid(long microseconds)
    {
        lock (_gate)
        {
            var milliseconds = Math.Max(microseconds / 1000, _lastMilliseconds);
            if (milliseconds == _lastMilliseconds && ++_lastCounter > 0xFFF)
                milliseconds++;
            if (milliseconds != _lastMilliseconds)
                _lastCounter = 0;
            _lastMilliseconds = milliseconds;
            Span<byte> bytes = stackalloc byte[8];
            FillLocked(bytes);
            var high = ((ulong)milliseconds << 16) | 0x7000u | _lastCounter;
            var low = (BinaryPrimitives.ReadUInt64LittleEndian(bytes) >> 2) | 0x8000_0000_0000_0000;
            return new UInt128(high, low);
        }
    }

    private void FillLocked(Span<byte> target)
    {
        if (_buffer is null)
        {
            Span<byte> word = stackalloc byte[8];
            while (target.Length > 0)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(word, NextWord());
                var bytes = Math.Min(8, target.Length);
                word[..bytes].CopyTo(target);
                target = target[bytes..];
            }

            return;
        }

        if (target.Length > BufferBytes)
        {
            RandomNumberGenerator.Fill(target);
            return;
        }

        if (_used + target.Length > BufferBytes)
        {
            RandomNumberGenerator.Fill(_buffer);
            _used = 0;
        }

        _buffer.AsSpan(_used, target.Length).CopyTo(target);
        _buffer.AsSpan(_used, target.Length).Clear();
        _used += target.Length;
    }

    private ulong NextWord()
    {
        var result = BitOperations.RotateLeft(_state[1] * 5, 7) * 9;
        var t = _state[1] << 17;
        _state[2] ^= _state[0];
        _state[3] ^= _state[1];
        _state[1] ^= _state[2];
        _state[0] ^= _state[3];
        _state[2] ^= t;
        _state[3] = BitOperations.RotateLeft(_state[3], 45);
        return result;
    }
}
