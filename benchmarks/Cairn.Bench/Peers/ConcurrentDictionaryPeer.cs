using System.Collections.Concurrent;

namespace Cairn.Bench.Peers;

/// <summary>What one would write without a database: the limit of the managed world, without order, versions or transactions.
/// Presized; a value is an array of its own, because the caller keeps his. Any number of threads.</summary>
internal sealed class ConcurrentDictionaryPeer(int capacity) : Peer
{
    internal const string PeerName = "ConcurrentDictionary";

    private readonly ConcurrentDictionary<string, byte[]> _values = new(Environment.ProcessorCount, capacity);

    internal override string Name => PeerName;

    internal override string Configuration => "<string, byte[]>, presized, a new array per put";

    internal override void Put(string key, ReadOnlySpan<byte> value) => _values[key] = value.ToArray();

    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        if (!_values.TryGetValue(key, out var value))
        {
            written = 0;
            return false;
        }

        value.CopyTo(destination);
        written = value.Length;
        return true;
    }

    public override void Dispose() => _values.Clear();
}
