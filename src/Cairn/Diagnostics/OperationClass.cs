namespace Cairn.Diagnostics;

/// <summary>What is timed by itself. The names are those of the metrics (docs/metrics.md): appended, never changed.</summary>
internal enum OperationClass
{
    /// <summary>A point read; one in 64 is timed.</summary>
    Get,

    /// <summary>A page of a listing.</summary>
    Scan,

    // Commits of a single call, by its primitive; of several operations, by the first.
    Put,
    Append,
    Transition,
    Trace,
    Run,
    Document,
    Graph,

    /// <summary>The commit of a transaction.</summary>
    Transaction,

    /// <summary>A function run as a transaction, with all its tries.</summary>
    Transact,

    /// <summary>A sync of the log.</summary>
    Sync,

    /// <summary>A checkpoint, from its mark to its manifest.</summary>
    Checkpoint,

    /// <summary>Opening, recovery included.</summary>
    Open,
}
