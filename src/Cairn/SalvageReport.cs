namespace Cairn;

/// <summary>Something of a damaged database that could not be read.</summary>
/// <param name="File">Where, as in the database's directory.</param>
/// <param name="Offset">From which byte of the file on.</param>
/// <param name="Bytes">How many; 0 when that is not known or none.</param>
/// <param name="FirstSequence">First commit that was lost there; <see cref="Sequence.None"/> when none was, or that cannot be
/// known.</param>
/// <param name="LastSequence">Last one.</param>
/// <param name="Reason">What is wrong.</param>
public sealed record SalvageLoss(
    string File, long Offset, long Bytes, Sequence FirstSequence, Sequence LastSequence, string Reason)
{
    /// <summary>What stood there came from elsewhere, or is needed for no answer: an index, a checkpoint that was not used.</summary>
    public bool IsMadeGood { get; init; }

    /// <summary>Older versions stood there, and not the state at the end: what history answers is less, what is read now is not.</summary>
    public bool IsHistory { get; init; }

    /// <summary>Of the log, not of a manifest.</summary>
    internal bool IsOfLog => File.EndsWith(".segment", StringComparison.Ordinal);

    /// <summary>Commits or keys were lost there. What an archive loses is told by the keys whose values it held.</summary>
    internal bool IsOfData => !IsMadeGood && (IsHistory || IsOfLog || File.EndsWith(".table", StringComparison.Ordinal));
}

/// <summary>What a run lost.</summary>
/// <param name="Run">Which.</param>
/// <param name="Text">What, in numbers and keys; never values.</param>
public sealed record SalvageRunLoss(RunId Run, string Text);

/// <summary>What was salvaged, and what was not.</summary>
public sealed record SalvageReport
{
    internal SalvageReport()
    {
    }

    /// <summary>Nothing of what the database held was lost.</summary>
    public bool IsComplete => !Losses.Any(loss => loss.IsOfData) && RunLosses.Count == 0 && DroppedOperations == 0;

    /// <summary>The checkpoint whose tables were read, because the log does not begin at its beginning; <see cref="Sequence.None"/>
    /// when all came from the log. What came from tables has new versions and commit times; what archives, and the log below it, have
    /// of the history of keys and cells comes before, at its own commit times.</summary>
    public Sequence Checkpoint { get; init; }

    /// <summary>Keys that came from tables.</summary>
    public long Entries { get; init; }

    /// <summary>Versions of keys and cells, deletions and changes of an expiry too, that came from archives and from the log below the
    /// checkpoint, so that history has them.</summary>
    public long PastVersions { get; init; }

    /// <summary>Transactions of the log that were carried over.</summary>
    public long Transactions { get; init; }

    /// <summary>The last commit that was read, by its sequence in the damaged database.</summary>
    public Sequence LastRead { get; init; }

    /// <summary>The last commit of the new database: the same where nothing was lost.</summary>
    public Sequence LastWritten { get; init; }

    /// <summary>Runs in the new database, beside <c>default</c> and <c>$sys</c>.</summary>
    public int Runs { get; init; }

    /// <summary>Operations that rested on something lost and mean nothing without it.</summary>
    public long DroppedOperations { get; init; }

    /// <summary>Places in files.</summary>
    public IReadOnlyList<SalvageLoss> Losses { get; init; } = [];

    /// <summary>What the runs lost, in order of their ids.</summary>
    public IReadOnlyList<SalvageRunLoss> RunLosses { get; init; } = [];
}
