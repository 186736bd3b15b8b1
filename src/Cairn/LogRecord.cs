namespace Cairn;

/// <summary>One record of the write-ahead log, as <see cref="CairnDatabase.ReadLog"/> gives it.</summary>
public sealed record LogRecord
{
    internal LogRecord()
    {
    }

    /// <summary>Where the record begins in the log.</summary>
    public required long Position { get; init; }

    /// <summary>What it is: <c>transaction</c>, <c>mark</c>, <c>seal</c> or <c>open</c>.</summary>
    public required string Type { get; init; }

    /// <summary>Of a transaction, its own; of another record, that of the last transaction before it.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Bytes of the payload.</summary>
    public required int PayloadBytes { get; init; }

    /// <summary>Every byte of the log below this position was synced when the record was made.</summary>
    public required long DurableUpTo { get; init; }

    /// <summary>Commit time of a transaction, to the microsecond; null for other records.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>What a transaction does, in order; empty for other records.</summary>
    public IReadOnlyList<LogOperation> Operations { get; init; } = [];

    /// <summary>Who and what caused a transaction; <see cref="CommitAttributes.None"/> when that was not told.</summary>
    public CommitAttributes Attributes { get; init; } = CommitAttributes.None;

    /// <summary>All of it in one line, without keys and values: those may be secrets.</summary>
    public required string Line { get; init; }
}

/// <summary>One operation of a transaction in the log.</summary>
/// <param name="Run">The run that it changes.</param>
/// <param name="Name">Primitive and operation, such as <c>kv.put</c>.</param>
/// <param name="Key">The encoded key; of a key-value its UTF-8.</param>
/// <param name="Body">The encoded body (<c>docs/format.md</c>), without an expiry.</param>
/// <param name="Expiry">When what it writes expires; null for never.</param>
public sealed record LogOperation(RunId Run, string Name, ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Body, DateTimeOffset? Expiry)
{
    /// <summary>What it changes.</summary>
    public ItemAddress Address { get; init; }

    /// <summary>Place in the document, of operations that are given one; null for all others.</summary>
    public DocumentPath? Path { get; init; }

    /// <summary>The value in the body: of a key, of an operation on a document what it was given, a state cell, an event's payload, a
    /// trace, a change of a run; null where there is none.</summary>
    public Value? Value { get; init; }
}

/// <summary>What reading the whole log again found.</summary>
public sealed record LogVerification
{
    internal LogVerification()
    {
    }

    /// <summary>Every record has right checks and a payload that the format allows.</summary>
    public bool IsValid => Damage is null;

    /// <summary>Segments that hold records.</summary>
    public int Segments { get; init; }

    /// <summary>Records that were right.</summary>
    public long Records { get; init; }

    /// <summary>Transactions among them.</summary>
    public long Transactions { get; init; }

    /// <summary>Bytes of these records.</summary>
    public long Bytes { get; init; }

    /// <summary>The first thing that was wrong; null when nothing was. Reading ended there.</summary>
    public CorruptionException? Damage { get; init; }
}

/// <summary>What can be said about a directory before it is opened.</summary>
public sealed record DirectoryReport
{
    internal DirectoryReport()
    {
    }

    /// <summary>The directory exists and can be listed.</summary>
    public bool Exists { get; init; }

    /// <summary>A manifest is there.</summary>
    public bool IsDatabase { get; init; }

    /// <summary>Names that do not belong to a database.</summary>
    public IReadOnlyList<string> Foreign { get; init; } = [];

    /// <summary>Who owns it now; null when nobody does.</summary>
    public string? Owner { get; init; }

    /// <summary>The format that the newest manifest carries, such as <c>1.0</c>; null when it was not read.</summary>
    public string? Format { get; init; }

    /// <summary>The last opening ended with a clean close; null when the manifest was not read.</summary>
    public bool? WasClosedCleanly { get; init; }

    /// <summary>Commit time that the newest manifest tells; no later commit is earlier. Null when it was not read.</summary>
    public DateTimeOffset? CommitTime { get; init; }

    /// <summary>Files in <c>quarantine/</c>: what recoveries cut off or set aside.</summary>
    public int QuarantinedFiles { get; init; }

    /// <summary>Files can be made here.</summary>
    public bool IsWritable { get; init; }

    /// <summary>Bytes that this process may still allocate on the device.</summary>
    public long? FreeBytes { get; init; }

    /// <summary>How long one write of 4 KiB with its sync took; null when it was not tried.</summary>
    public TimeSpan? SyncTime { get; init; }

    /// <summary>False where a failed sync may look like success.</summary>
    public bool SyncErrorsAreReported { get; init; }

    /// <summary>What went wrong on the way, first things first.</summary>
    public IReadOnlyList<CairnException> Problems { get; init; } = [];
}
