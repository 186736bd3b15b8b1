namespace Cairn;

/// <summary>What a commit asks for beyond the database's defaults.</summary>
public sealed record CommitOptions
{
    /// <summary>The database's defaults.</summary>
    public static CommitOptions Default { get; } = new();

    /// <summary>More than the database's durability (Strict in a Buffered database); null = the database's. Less is refused with
    /// <see cref="ErrorCode.InvalidArgument"/>, and so is anything but InMemory in an InMemory database.</summary>
    public Durability? Durability { get; init; }
}
