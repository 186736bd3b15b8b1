// The seam to the disk: the only door through which the engine touches files.
//
// What each call promises after a crash (durability.md of the design, section 2.4; the simulating form enforces it):
//   create     the name may be gone after a crash until the directory is synced
//   write      bytes may be lost, torn at 512-byte sectors, or reordered against other writes until DataSync or Sync
//   DataSync   the file's data, and the length needed to read it, are durable; a cut, and length preallocated beyond the last
//              write, are not
//   Sync       all of the file is durable (not its name)
//   SyncDirectory   the names in the directory are durable: creations, renames, links and unlinks before the call
//   rename     atomic among names; if the content was not synced first, the new name may show the new content, the old one, or none
// Nothing else makes anything durable: not closing, not time.
//
// What may fail, and how: every call throws StorageException with the system's error number and the path. Nothing is retried here but EINTR
// and the continuation of a short write with the same bytes; zero bytes written twice in a row is an error. A failed sync
// surfaces always, and the caller must treat it as final: after a failed sync the device's contents are unknown and a second
// attempt would lie.
//
// Forms, which stack:
//   DiskStorage       a directory on Linux, by checked system calls; PortableStorage on other systems
//   MemoryStorage     a tree in memory, of limited size if asked
//   CrashStorage      memory that loses power. Of what was not synced, each operation by seed or by an explicit pattern: kept; lost;
//                     torn at 512-byte sectors in any subset; first or second part only; length kept and bytes zero;
//                     garbage in one sector. Operations land in any order, across files too; of overlapping writes either
//                     wins. Lengths are undone, preallocated space reads as zeros or is gone, unlinked files come back,
//                     created names go, renamed files are new, old or empty. Also the lying cache: a failed sync whose loss
//                     shows only after the crash. Power fails in the middle of any chosen operation, to any depth
//   FaultStorage      errors at a chosen call, once or from then on: EIO (undone, or done nevertheless), ENOSPC, EDQUOT, EFBIG,
//                     EACCES, short write, no byte written, short read, one flipped bit; locks that lie; free space as told
//   ShortStorage      reads and writes in pieces          CountingStorage   counts calls and bytes
//   LatencyStorage    a hook before each call             ReadOnlyStorage   refuses every change
//
// Not simulated: a disk that changes synced bytes by itself (tests flip bits in the files), and one that lies about every flush.
//
// Paths are relative to the root of the storage, '/'-separated, made by the engine alone ("log/0000000017.segment"): no user
// text ever becomes a path. The empty path is the root directory.

namespace Cairn.Storage;

/// <summary>A directory tree in which a database lives. Thread-safe.</summary>
internal interface IStorage : IDisposable
{
    /// <summary>For messages only: the directory, or a made-up name for storage without one.</summary>
    string Description { get; }

    /// <summary>False where the platform cannot report sync errors (reported in health).</summary>
    bool SyncErrorsAreReported { get; }

    /// <summary>True when nothing may be written (opened read-only).</summary>
    bool IsReadOnly { get; }

    /// <summary>Creates a new file, open for reading and writing; fails with <see cref="StorageError.Exists"/> if the name is taken.</summary>
    IFile CreateNew(string path);

    /// <summary>Opens an existing file; fails with <see cref="StorageError.NotFound"/>.</summary>
    IFile Open(string path, bool writable);

    /// <summary>True when a file or directory of that name exists.</summary>
    bool Exists(string path);

    /// <summary>Creates a directory; no error if it exists.</summary>
    void CreateDirectory(string path);

    /// <summary>Names (not paths) of the files in a directory, sorted by ordinal. An absent directory has none.</summary>
    IReadOnlyList<string> List(string directory);

    /// <summary>Renames a file without replacing; fails with <see cref="StorageError.Exists"/> if the new name is taken.</summary>
    void Rename(string oldPath, string newPath);

    /// <summary>Gives an existing file a second name; fails with <see cref="StorageError.Exists"/>.</summary>
    void Link(string existingPath, string newPath);

    /// <summary>Removes a name; fails with <see cref="StorageError.NotFound"/>.</summary>
    void Unlink(string path);

    /// <summary>Makes creations, renames, links and unlinks in the directory durable.</summary>
    void SyncDirectory(string directory);

    /// <summary>Bytes that an unprivileged process may still allocate.</summary>
    long FreeSpace();

    /// <summary>Takes ownership of the whole storage for this process, or says who has it. Released by disposing the result. A storage
    /// opened read-only is shared with other readers instead, and excludes owners as they exclude it.</summary>
    /// <param name="ownerText">What to write into the LOCK file, for people and for attaching.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Locked"/> with the owner's text, or another error.</exception>
    IDisposable Lock(string ownerText);
}

/// <summary>An open file. Reads and writes name their offset; there is no position. Reads may run beside a write; writes,
/// syncs and length changes of one file are the caller's to order. A file opened for reading only refuses writes and syncs
/// with <see cref="StorageError.ReadOnly"/>.</summary>
internal interface IFile : IDisposable
{
    string Path { get; }

    long Length { get; }

    /// <summary>The same for who has just opened it: opening a file looks at it anyway, and this does not ask again.</summary>
    long LengthWhenOpened => Length;

    /// <summary>Reads until the buffer is full or the file ends; returns the bytes read.</summary>
    int ReadAt(Span<byte> buffer, long offset);

    /// <summary>Writes all bytes, growing the file if needed.</summary>
    void WriteAt(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Writes all buffers one after another, as one vectored call where the platform has one.</summary>
    void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset);

    void SetLength(long length);

    /// <summary>Allocates blocks for [0, length) and extends the file to that length; new space reads as zeros. Never shortens it.
    /// After a failure the file may have any length in between.</summary>
    void Preallocate(long length);

    /// <summary>The last <see cref="Preallocate"/> has taken blocks and not only a length: a write into them meets no full disk, whether
    /// they were written before or not.</summary>
    bool HasBlocks => false;

    /// <summary>A hint: bytes that were written may begin their way to the device now, so that a later sync finds less to do. Makes nothing
    /// durable, waits for nothing that a write would not, and never fails.</summary>
    void BeginWriteback(long offset, long bytes)
    {
    }

    void DataSync();

    void Sync();
}

/// <summary>Kinds of storage failure the engine tells apart.</summary>
internal enum StorageError
{
    Io,
    NotFound,
    Exists,
    NoSpace,
    TooLarge,
    ReadOnly,
    AccessDenied,
    Locked,
    NotADirectory,
}

/// <summary>A storage call failed. The message is for people; the kind and number are for the engine.</summary>
internal sealed class StorageException(StorageError error, string operation, string path, int errno, string? detail = null)
    : IOException($"{operation} of '{path}' failed: {detail ?? error.ToString()}{(errno == 0 ? "" : $" (errno {errno})")}")
{
    internal StorageError Error { get; } = error;

    internal string Operation { get; } = operation;

    /// <summary>A sync failed: what it should have made durable is unknown from then on, and trying again would only hide it.</summary>
    internal bool IsOfSync => Operation is "sync" or "datasync" or "sync directory";

    internal string StoragePath { get; } = path;

    internal int Errno { get; } = errno;

    /// <summary>For <see cref="StorageError.Locked"/>: the owner's text.</summary>
    internal string? Detail { get; } = detail;
}
