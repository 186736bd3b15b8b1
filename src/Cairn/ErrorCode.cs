namespace Cairn;

/// <summary>The stable number of an error: appended, never reused, the same in the library, on the wire and in the shell.
/// <c>docs/errors.md</c> is the catalogue.</summary>
public enum ErrorCode
{
    /// <summary>No error.</summary>
    None = 0,

    // Absence (ERR-2): 1..
    /// <summary>A run, trace, event or cell that the operation needs does not exist.</summary>
    NotFound = 1,

    /// <summary>A path inside a document does not exist.</summary>
    PathNotFound = 2,

    /// <summary>The asked history is no longer kept.</summary>
    HistoryTrimmed = 3,

    /// <summary>The snapshot behind a cursor is gone.</summary>
    CursorExpired = 4,

    // Input (ERR-3): 20..
    /// <summary>A key breaks the rules for keys.</summary>
    InvalidKey = 20,

    /// <summary>A name breaks the rules for names.</summary>
    InvalidName = 21,

    /// <summary>A document path does not parse.</summary>
    InvalidPath = 22,

    /// <summary>An argument is out of its range or makes no sense here.</summary>
    InvalidArgument = 23,

    /// <summary>A filter does not parse.</summary>
    InvalidFilter = 24,

    /// <summary>The value is of another kind than the operation needs.</summary>
    WrongType = 25,

    /// <summary>A document path meets another kind of value than it needs.</summary>
    TypeMismatch = 26,

    /// <summary>A vector has another dimension than its collection.</summary>
    DimensionMismatch = 27,

    /// <summary>A vector comes from another embedding model than its collection.</summary>
    ModelMismatch = 28,

    /// <summary>A number would leave the range of Int64.</summary>
    Overflow = 29,

    /// <summary>A limit of the limits table is passed.</summary>
    LimitExceeded = 30,

    /// <summary>A rule about the content is broken.</summary>
    ConstraintViolation = 31,

    /// <summary>A cursor of a feed is damaged, or not one of this database as it is.</summary>
    InvalidCursor = 32,

    // State (ERR-4): 40..
    /// <summary>The thing to create is there already.</summary>
    AlreadyExists = 40,

    /// <summary>A run cannot change from its status to the asked one.</summary>
    InvalidTransition = 41,

    /// <summary>The run is closed for writes.</summary>
    RunClosed = 42,

    /// <summary>The database, the view or the run is read-only.</summary>
    ReadOnly = 43,

    /// <summary>The test operation of a patch failed.</summary>
    TestFailed = 44,

    /// <summary>A compare-and-set expected another version.</summary>
    VersionMismatch = 45,

    // Concurrency (ERR-5): 60..
    /// <summary>Something the transaction read has changed since.</summary>
    Conflict = 60,

    /// <summary>The transaction lived longer than it may.</summary>
    Timeout = 61,

    /// <summary>The database cannot take the write for now.</summary>
    Busy = 62,

    /// <summary>The caller cancelled.</summary>
    Cancelled = 63,

    /// <summary>A replayed run asked for something else than was recorded.</summary>
    ReplayDivergence = 64,

    /// <summary>The live call of an input failed, when it was recorded or now.</summary>
    InputFailed = 65,

    // Storage (ERR-6): 80..
    /// <summary>Bytes on disk are not what was written.</summary>
    Corruption = 80,

    /// <summary>The commit may or may not have become durable; reopening tells.</summary>
    OutcomeUnknown = 81,

    /// <summary>An I/O error ended writing; reopening recovers.</summary>
    DatabaseFailed = 82,

    /// <summary>No space is left on the device.</summary>
    DiskFull = 83,

    /// <summary>Another process owns the directory.</summary>
    Locked = 84,

    /// <summary>The directory or file has a format this version does not know.</summary>
    FormatVersion = 85,

    /// <summary>Another owner wrote to this database since it was opened.</summary>
    Fenced = 86,

    /// <summary>The operating system refused or failed a file operation; nothing was changed.</summary>
    Io = 87,

    /// <summary>The directory holds something, and it is not a Cairn database.</summary>
    NotADatabase = 88,

    /// <summary>The directory is not a finished backup.</summary>
    NotABackup = 89,

    // Edge (ERR-7): 100..
    /// <summary>The caller is not known.</summary>
    Unauthenticated = 100,

    /// <summary>The caller may not do this.</summary>
    Forbidden = 101,

    /// <summary>A quota is used up.</summary>
    QuotaExceeded = 102,

    /// <summary>Too many requests for now.</summary>
    RateLimited = 103,

    /// <summary>The protocol version is not known.</summary>
    UnsupportedProtocol = 104,
}
