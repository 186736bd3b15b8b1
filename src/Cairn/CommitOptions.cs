namespace Cairn;

/// <summary>What a commit asks for beyond the database's defaults.</summary>
public sealed record CommitOptions
{
    /// <summary>The database's defaults.</summary>
    public static CommitOptions Default { get; } = new();

    /// <summary>More than the database's durability (Strict in a Buffered database); null = the database's. Less is refused with
    /// <see cref="ErrorCode.InvalidArgument"/>, and so is anything but InMemory in an InMemory database.</summary>
    public Durability? Durability { get; init; }

    /// <summary>Who and what causes the commit; null = not told, which costs nothing.</summary>
    public CommitAttributes? Attributes { get; init; }

    /// <summary>A transaction also records what it had read (<see cref="CommitAttributes.Reads"/>). A write outside a transaction reads
    /// nothing. Default false.</summary>
    public bool RecordReads { get; init; }
}
