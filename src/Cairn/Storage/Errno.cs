namespace Cairn.Storage;

/// <summary>Error numbers of Linux, and the one place that says what kind of storage failure each is. The forms without a disk use
/// the same numbers, so that a test cannot tell them apart.</summary>
internal static class Errno
{
    internal const int NotPermitted = 1;        // EPERM
    internal const int NoEntry = 2;             // ENOENT
    internal const int Interrupted = 4;         // EINTR
    internal const int InputOutput = 5;         // EIO
    internal const int BadDescriptor = 9;       // EBADF
    internal const int WouldBlock = 11;         // EWOULDBLOCK, EAGAIN
    internal const int AccessDenied = 13;       // EACCES
    internal const int Exists = 17;             // EEXIST
    internal const int NotADirectory = 20;      // ENOTDIR
    internal const int IsADirectory = 21;       // EISDIR
    internal const int Invalid = 22;            // EINVAL
    internal const int FileTooLarge = 27;       // EFBIG
    internal const int NoSpace = 28;            // ENOSPC
    internal const int ReadOnly = 30;           // EROFS
    internal const int NotImplemented = 38;     // ENOSYS
    internal const int NotSupported = 95;       // EOPNOTSUPP
    internal const int QuotaExceeded = 122;     // EDQUOT

    internal static StorageError ToStorageError(int errno) => errno switch
    {
        NoEntry => StorageError.NotFound,
        Exists => StorageError.Exists,
        NoSpace or QuotaExceeded => StorageError.NoSpace,
        FileTooLarge => StorageError.TooLarge,
        ReadOnly => StorageError.ReadOnly,
        AccessDenied or NotPermitted => StorageError.AccessDenied,
        NotADirectory => StorageError.NotADirectory,
        _ => StorageError.Io,
    };

    internal static StorageException Failure(string operation, string path, int errno) =>
        new(ToStorageError(errno), operation, path, errno);

    /// <summary>A write to what was opened for reading only.</summary>
    internal static StorageException RefusedAsReadOnly(string operation, string path) =>
        new(StorageError.ReadOnly, operation, path, 0, "opened for reading only");
}
