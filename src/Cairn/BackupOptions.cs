namespace Cairn;

/// <summary>How far something that takes long has come.</summary>
/// <param name="Step">What is being done, such as the file at hand; names files and parts, never keys or values.</param>
/// <param name="Done">Units done, bytes as a rule.</param>
/// <param name="Total">Units there are, as far as it is known.</param>
public readonly record struct TransferProgress(string Step, long Done, long Total);

/// <summary>How a backup is made or verified.</summary>
public sealed record BackupOptions
{
    internal static BackupOptions Default { get; } = new();

    /// <summary>Directory of a finished backup of the same database: only what that one and its parents lack is copied, and all of them
    /// are needed to restore. Null = a full backup.</summary>
    public string? Parent { get; init; }

    /// <summary>Secret of at least 16 bytes under which the backup carries a code (HMAC-SHA-256), so that nobody without it can change
    /// the backup unnoticed. Empty = a plain digest (SHA-256), which finds damage and no forgery. The parent has the same key.</summary>
    public ReadOnlyMemory<byte> Key { get; init; }

    /// <summary>Told about every mebibyte; called on the calling thread, so keep it short. Null = nobody.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>What of a backup is restored.</summary>
public sealed record RestoreOptions
{
    internal static RestoreOptions Default { get; } = new();

    /// <summary>The last commit that is restored; null = the backup's. It must be in the backup.</summary>
    public Sequence? ToSequence { get; init; }

    /// <summary>Commits later than this are left out; null = none is. Not together with <see cref="ToSequence"/>.</summary>
    public DateTimeOffset? ToTime { get; init; }

    /// <inheritdoc cref="BackupOptions.Key"/>
    public ReadOnlyMemory<byte> Key { get; init; }

    /// <inheritdoc cref="BackupOptions.Progress"/>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>A finished backup.</summary>
public sealed record BackupInfo
{
    internal BackupInfo()
    {
    }

    /// <summary>Identity: 32 hexadecimal digits.</summary>
    public required string Id { get; init; }

    /// <summary>Identity of the backup it rests on; null for a full one.</summary>
    public string? Parent { get; init; }

    /// <summary>Identity of the database: 32 hexadecimal digits.</summary>
    public required string Database { get; init; }

    /// <summary>The last commit in it.</summary>
    public Sequence Sequence { get; init; }

    /// <summary>Commit time of <see cref="Sequence"/>.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>When it was made.</summary>
    public DateTimeOffset Created { get; init; }

    /// <summary>Files of the database in it and in its parents.</summary>
    public int Files { get; init; }

    /// <summary>Their bytes.</summary>
    public long Bytes { get; init; }

    /// <summary>Of those, bytes that it holds itself.</summary>
    public long OwnBytes { get; init; }
}

/// <summary>What verifying backups found.</summary>
public sealed record BackupVerification
{
    internal BackupVerification()
    {
    }

    /// <summary>Every byte is as it was, and the chain is complete: it can be restored.</summary>
    public bool IsValid => Findings.Count == 0 && MissingParent is null;

    /// <summary>The backups, the oldest first.</summary>
    public required IReadOnlyList<BackupInfo> Backups { get; init; }

    /// <summary>Identity of the parent of the oldest one, when that is not among those given.</summary>
    public string? MissingParent { get; init; }

    /// <summary>Bytes that were read.</summary>
    public long Bytes { get; init; }

    /// <summary>Files that are missing or changed.</summary>
    public IReadOnlyList<CorruptionException> Findings { get; init; } = [];
}

/// <summary>What was restored.</summary>
/// <param name="Sequence">The last commit in the restored database.</param>
/// <param name="Time">Its commit time.</param>
/// <param name="Files">Files that were written.</param>
/// <param name="Bytes">Their bytes.</param>
public sealed record RestoreReport(Sequence Sequence, DateTimeOffset Time, int Files, long Bytes);
