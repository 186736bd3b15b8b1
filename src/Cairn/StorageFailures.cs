using Cairn.Storage;

namespace Cairn;

/// <summary>What storage failures are called at the public door.</summary>
internal static class StorageFailures
{
    internal static CairnException ToCairn(this StorageException failure, string database) => failure.Error switch
    {
        StorageError.Locked => new CairnException(
            ErrorCode.Locked, $"{database} is owned by another process ({failure.Detail}). Close that one, or open another directory.",
            failure),
        StorageError.NoSpace => new BusyException(
            ErrorCode.DiskFull, $"No space is left on the device of {database}. Free space and open it again.", TimeSpan.FromSeconds(1),
            failure),
        StorageError.NotFound => new CairnException(
            ErrorCode.NotADatabase, $"There is no database at {database}: {failure.Message}", failure),
        StorageError.NotADirectory => new CairnException(
            ErrorCode.NotADatabase, $"{database} is not a directory: {failure.Message}", failure),
        StorageError.ReadOnly or StorageError.AccessDenied => new CairnException(
            ErrorCode.Io, $"{database} cannot be written: {failure.Message}. Make it writable, or open it with IsReadOnly.", failure),
        _ => new CairnException(ErrorCode.Io, failure.Message, failure),
    };
}
