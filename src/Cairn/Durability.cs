namespace Cairn;

/// <summary>How much a crash may take. Chosen at open, and per commit upwards (never downwards).</summary>
public enum Durability
{
    /// <summary>No files at all. Everything is gone with the process; otherwise the same behaviour (G3).</summary>
    InMemory = 0,

    /// <summary>A commit returns when its record was handed to the operating system: a killed process loses nothing. A sync
    /// starts no later than <see cref="CairnOptions.SyncInterval"/> or <see cref="CairnOptions.SyncCommits"/> after the oldest
    /// unsynced commit, so an operating-system crash loses at most that, plus what arrives during one sync (G2).</summary>
    Buffered = 1,

    /// <summary>A commit returns when its record is on the device: it survives power loss on a disk that honours flush (G1).
    /// Concurrent commits share one sync. The default.</summary>
    Strict = 2,
}
