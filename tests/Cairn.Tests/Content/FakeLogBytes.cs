using Cairn.Codec;
using Cairn.Content;
using Cairn.Log;

namespace Cairn.Tests.Content;

/// <summary>A log as contents see it: bytes by position, a written position, and a count of reads.</summary>
internal sealed class FakeLogBytes : ILogBytes
{
    private readonly List<byte> _bytes = [];
    private int _reads;

    internal int Reads => Volatile.Read(ref _reads);

    /// <summary>Called before each read, with its number from 1.</summary>
    internal Action<int>? BeforeRead { get; set; }

    public ulong FirstPosition { get; set; }

    public ulong WrittenPosition { get; set; } = ulong.MaxValue;

    internal ContentReference Append(ReadOnlySpan<byte> content)
    {
        lock (_bytes)
        {
            var reference = new ContentReference((ulong)_bytes.Count, content.Length, Crc32C.Of(content));
            _bytes.AddRange(content);
            return reference;
        }
    }

    internal void Flip(ulong position)
    {
        lock (_bytes)
            _bytes[(int)position] ^= 1;
    }

    internal void Cut(int length) => _bytes.RemoveRange(length, _bytes.Count - length);

    public int Read(ulong position, Span<byte> buffer)
    {
        var number = Interlocked.Increment(ref _reads);
        BeforeRead?.Invoke(number);
        lock (_bytes)
        {
            var count = Math.Clamp(_bytes.Count - (int)position, 0, buffer.Length);
            for (var i = 0; i < count; i++)
                buffer[i] = _bytes[(int)position + i];
            return count;
        }
    }

    public LogPlace PlaceOf(ulong position) => new("log/fake", (long)position, 1);
}
