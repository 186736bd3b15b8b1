namespace Cairn.Bench.Peers;

/// <summary>A peer that may be opened, if it is there.</summary>
/// <param name="Missing">Why it cannot be opened on this machine; null when it can.</param>
/// <param name="Open">Opens it empty: how durable, in which empty directory, for how many keys.</param>
internal sealed record PeerEntry(string Name, string? Missing, Func<Durability, string, int, Peer> Open);

/// <summary>The peers Cairn is compared with, each with its reason when it is not here.</summary>
internal static class PeerCatalogue
{
    internal static readonly PeerEntry ConcurrentDictionary = new(
        ConcurrentDictionaryPeer.PeerName, null, (_, _, keys) => new ConcurrentDictionaryPeer(keys));

    internal static readonly PeerEntry Faster = new(
        FasterPeer.PeerName, null, (_, _, keys) => new FasterPeer(keys));

    internal static readonly PeerEntry Lmdb = new(
        LmdbPeer.PeerName, LmdbPeer.Missing, (durability, directory, _) => new LmdbPeer(durability, directory));

    internal static readonly PeerEntry RocksDb = new(
        RocksDbPeer.PeerName, RocksDbPeer.Missing, (durability, directory, _) => new RocksDbPeer(durability, directory));

    internal static readonly PeerEntry Sqlite = new(
        SqlitePeer.PeerName, SqlitePeer.Missing, (durability, directory, _) => new SqlitePeer(durability, directory));

    internal static readonly IReadOnlyList<PeerEntry> All = [ConcurrentDictionary, Faster, Lmdb, RocksDb, Sqlite];
}
