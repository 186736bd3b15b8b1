namespace Cairn;

/// <summary>What is exported.</summary>
public sealed record ExportOptions
{
    internal static ExportOptions Default { get; } = new();

    /// <summary>Ids of the runs; null = all, <c>default</c> among them. <c>$sys</c> is never exported.</summary>
    public IReadOnlyCollection<RunId>? Runs { get; init; }

    /// <summary>Told about every mebibyte with the lines written so far; called on the calling thread. Null = nobody.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>What was exported.</summary>
/// <param name="Sequence">Everything as it was right after this commit.</param>
/// <param name="Runs">Runs.</param>
/// <param name="Lines">Lines, the first and the last one included.</param>
/// <param name="Bytes">Their bytes.</param>
public sealed record ExportReport(Sequence Sequence, int Runs, long Lines, long Bytes);

/// <summary>What was imported.</summary>
/// <param name="Runs">Runs that were begun.</param>
/// <param name="Lines">Lines that were read.</param>
/// <param name="Written">Of those, lines whose content was written.</param>
/// <param name="Present">Of those, lines whose content was there already.</param>
public sealed record ImportReport(int Runs, long Lines, long Written, long Present);
