using System.Runtime.CompilerServices;
using System.Text;

namespace Cairn.Bench.Peers;

/// <summary>
/// A store that the same work is given to: an open key-value map of one directory or of memory. One thread at a time unless the
/// class says otherwise. Keys come as .NET strings, values as spans, and a get copies into the caller's buffer: each contestant
/// pays for its own encoding and copying.
/// </summary>
internal abstract class Peer : IDisposable
{
    /// <summary>Enough for any key of the benchmarks in UTF-8.</summary>
    protected const int KeyBytesMax = 64;

    internal abstract string Name { get; }

    /// <summary>Version and settings, to be printed with every figure.</summary>
    internal abstract string Configuration { get; }

    /// <summary>Sets the value of a key, in a transaction of its own, as durable as the peer was opened.</summary>
    internal abstract void Put(string key, ReadOnlySpan<byte> value);

    /// <summary>Copies the value of a key.</summary>
    internal abstract bool TryGet(string key, Span<byte> destination, out int written);

    /// <summary>Fills the peer before a measurement, by whatever way is quickest.</summary>
    internal virtual void Load(ReadOnlySpan<string> keys, ReadOnlySpan<byte> value)
    {
        foreach (var key in keys)
            Put(key, value);
    }

    /// <summary>True when <see cref="Scan"/> is possible.</summary>
    internal virtual bool IsOrdered => false;

    /// <summary>Visits every value in key order and returns how many bytes they have together.</summary>
    internal virtual long Scan() => throw new NotSupportedException($"{Name} has no order.");

    public abstract void Dispose();

    /// <summary>UTF-8 of a key in a buffer of <see cref="KeyBytesMax"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static ReadOnlySpan<byte> Encode(string key, Span<byte> buffer) =>
        buffer[..Encoding.UTF8.GetBytes(key, buffer)];
}
