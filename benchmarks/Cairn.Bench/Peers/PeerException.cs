namespace Cairn.Bench.Peers;

/// <summary>A peer's call failed: the measurement is worthless and ends.</summary>
internal sealed class PeerException(string message) : Exception(message);
