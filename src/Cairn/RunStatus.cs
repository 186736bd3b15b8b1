namespace Cairn;

/// <summary>Where a run stands. Active may become any other; Paused may become Active, Cancelled or Archived; Completed, Failed
/// and Cancelled may only be Archived; Archived is final (RUN-4). A closed run is continued by forking it.</summary>
public enum RunStatus
{
    /// <summary>Takes writes.</summary>
    Active = 0,

    /// <summary>Stopped for now; can be resumed.</summary>
    Paused = 1,

    /// <summary>Ended well.</summary>
    Completed = 2,

    /// <summary>Ended with an error.</summary>
    Failed = 3,

    /// <summary>Given up.</summary>
    Cancelled = 4,

    /// <summary>Put away for good.</summary>
    Archived = 5,
}
