using System.Numerics;
using System.Runtime.CompilerServices;
using FASTER.core;

namespace Cairn.Bench.Peers;

/// <summary>FASTER's hash table over its in-memory log, without a device: updates in place, no garbage, no order. One session,
/// hence one thread.</summary>
internal sealed unsafe class FasterPeer : Peer
{
    internal const string PeerName = "FASTER";

    /// <summary>As pinned in <c>Directory.Packages.props</c>; the assembly calls itself 1.0.0.</summary>
    private const string Version = "2.6.5";

    private const int PageBits = 20;

    /// <summary>More than a record takes, so that all of them stay in the part of the log that is updated in place.</summary>
    private const int LogBytesPerKey = 256;

    private readonly NullDevice _device = new();
    private readonly int _logBits;
    private readonly FasterKV<SpanByte, SpanByte> _store;
    private readonly ClientSession<SpanByte, SpanByte, SpanByte, SpanByteAndMemory, Empty, SpanByteFunctions<Empty>> _session;

    internal FasterPeer(int capacity)
    {
        _logBits = BitOperations.Log2((uint)capacity * LogBytesPerKey) + 1;
        _store = new FasterKV<SpanByte, SpanByte>(
            BitOperations.RoundUpToPowerOf2((uint)capacity),
            new LogSettings { LogDevice = _device, MemorySizeBits = _logBits, PageSizeBits = PageBits });
        _session = _store.For(new SpanByteFunctions<Empty>()).NewSession<SpanByteFunctions<Empty>>();
    }

    internal override string Name => PeerName;

    internal override string Configuration =>
        $"{Version}, SpanByte, in-memory log of {1L << (_logBits - 20)} MiB, no device";

    [SkipLocalsInit]
    internal override void Put(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        fixed (byte* keyStart = encoded)
        fixed (byte* valueStart = value)
        {
            var keySpan = SpanByte.FromPointer(keyStart, encoded.Length);
            var valueSpan = SpanByte.FromPointer(valueStart, value.Length);
            _session.Upsert(ref keySpan, ref valueSpan);
        }
    }

    [SkipLocalsInit]
    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        fixed (byte* keyStart = encoded)
        fixed (byte* target = destination)
        {
            var keySpan = SpanByte.FromPointer(keyStart, encoded.Length);
            var output = new SpanByteAndMemory(SpanByte.FromPointer(target, destination.Length));
            var isFound = _session.Read(ref keySpan, ref output).Found;
            written = isFound ? output.Length : 0;
            return isFound;
        }
    }

    public override void Dispose()
    {
        _session.Dispose();
        _store.Dispose();
        _device.Dispose();
    }
}
