// Every system call of Cairn, and nothing else. The rules of durability.md (section 1 of the design) that hold for all of them:
//
//   - the base library is not asked to sync: its flush reports success when fsync failed
//   - errno is read in the statement after the call, before anything else can store another one
//   - EINTR is repeated here and nowhere else; every other number goes up as a negative result, as the kernel itself does it
//   - every open carries O_CLOEXEC, so that a child process cannot keep a lock or a file alive
//   - offsets are 64 bits: used on 64-bit Linux only (DiskStorage.OpenOrCreate chooses PortableStorage elsewhere)
//
// Calls are relative to a directory handle, so that a storage stays in its directory when that is renamed or when a symbolic
// link on the way to it is turned elsewhere.
//
// strace knows them as openat, pread64, pwrite64, pwritev, fdatasync, fsync, sync_file_range, ftruncate, fallocate, renameat2,
// linkat, unlinkat, mkdirat, flock, statx, fstatfs (statvfs is made of it) and getdents64.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Cairn.Storage;

/// <summary>System calls. A result of zero or more is the call's own; a negative one is minus the error number.</summary>
internal static unsafe partial class LinuxCalls
{
    internal const int ForReading = 0;                  // O_RDONLY
    internal const int ForWriting = 2;                  // O_RDWR
    internal const int Create = 0x40;                   // O_CREAT
    internal const int Exclusive = 0x80;                // O_EXCL
    internal const int LockShared = 1;
    internal const int LockExclusive = 2;
    private const int LockNonBlocking = 4;
    private const int LockRelease = 8;
    private const int CloseOnExec = 0x80000;
    private const int CurrentDirectory = -100;          // AT_FDCWD
    private const int EmptyPath = 0x1000;               // AT_EMPTY_PATH
    private const int NoFollowStat = 0x100;             // AT_SYMLINK_NOFOLLOW
    private const int RenameNoReplace = 1;
    private const int LargePages = 14;                  // MADV_HUGEPAGE
    private const uint BasicStats = 0x7ff;
    private const int StatxBytes = 256;
    private const int ListBytes = 8 << 10;              // chosen: some two hundred names in one call
    private const int EntryLengthAt = 16;               // struct dirent64: d_reclen

    // The two open flags that differ between architectures: asm-generic (x86-64, RISC-V, s390x, LoongArch), and Arm and POWER.
    private static readonly bool OwnFlags =
        RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm or Architecture.Ppc64le;

    internal static readonly int OnlyDirectory = OwnFlags ? 0x4000 : 0x10000;   // O_DIRECTORY
    internal static readonly int NoFollow = OwnFlags ? 0x8000 : 0x20000;        // O_NOFOLLOW

    /// <summary>What the engine asks about a name: which file it is, of what kind and how long.</summary>
    internal readonly record struct FileStatus(ulong Device, ulong Inode, long Length, bool IsDirectory, bool IsFile);

    /// <summary>One buffer of a vectored write (struct iovec).</summary>
    internal struct Vector
    {
        internal void* Start;
        internal nuint Length;
    }

    internal static long OpenRoot(string path, out SafeFileHandle? handle)
    {
        long outcome;
        while (Interrupted(open(path, ForReading | OnlyDirectory | CloseOnExec, 0), out outcome))
        {
        }

        handle = outcome < 0 ? null : new SafeFileHandle((nint)outcome, ownsHandle: true);
        return outcome;
    }

    internal static long Open(SafeFileHandle directory, string path, int flags, int mode, out SafeFileHandle? handle)
    {
        long outcome;
        while (Interrupted(openat(directory, path, flags | CloseOnExec, mode), out outcome))
        {
        }

        handle = outcome < 0 ? null : new SafeFileHandle((nint)outcome, ownsHandle: true);
        return outcome;
    }

    internal static long Read(SafeFileHandle file, Span<byte> buffer, long offset)
    {
        fixed (byte* start = buffer)
        {
            long outcome;
            while (Interrupted(pread(file, start, (nuint)buffer.Length, offset), out outcome))
            {
            }

            return outcome;
        }
    }

    internal static long Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset)
    {
        fixed (byte* start = bytes)
        {
            long outcome;
            while (Interrupted(pwrite(file, start, (nuint)bytes.Length, offset), out outcome))
            {
            }

            return outcome;
        }
    }

    /// <summary>The buffers must be pinned.</summary>
    internal static long Write(SafeFileHandle file, ReadOnlySpan<Vector> vectors, long offset)
    {
        fixed (Vector* start = vectors)
        {
            long outcome;
            while (Interrupted(pwritev(file, start, vectors.Length, offset), out outcome))
            {
            }

            return outcome;
        }
    }

    /// <summary>A hint: pages of 2 MiB behind memory that is looked into at random. False where the system does not take it.</summary>
    internal static bool AdviseLargePages(void* start, nuint bytes) => madvise(start, bytes, LargePages) == 0;

    internal static long DataSync(SafeFileHandle file)
    {
        long outcome;
        while (Interrupted(fdatasync(file), out outcome))
        {
        }

        return outcome;
    }

    internal static long Sync(SafeFileHandle file)
    {
        long outcome;
        while (Interrupted(fsync(file), out outcome))
        {
        }

        return outcome;
    }

    /// <summary>A hint. With this flag alone the call begins to write and waits for nothing; it makes nothing durable. False where the
    /// system does not take it.</summary>
    internal static bool BeginWriteback(SafeFileHandle file, long offset, long bytes)
    {
        const uint onlyBegin = 2;                       // SYNC_FILE_RANGE_WRITE
        try
        {
            return sync_file_range(file, offset, bytes, onlyBegin) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            return false;
        }
    }

    internal static long SetLength(SafeFileHandle file, long length)
    {
        long outcome;
        while (Interrupted(ftruncate(file, length), out outcome))
        {
        }

        return outcome;
    }

    internal static long Allocate(SafeFileHandle file, long length)
    {
        long outcome;
        while (Interrupted(fallocate(file, 0, 0, length), out outcome))
        {
        }

        return outcome;
    }

    /// <summary>Renames without replacing. Where the kernel, the file system or the C library has no such call, a link and an
    /// unlink do it, which a crash may leave half done: both names, never none.</summary>
    internal static long Rename(SafeFileHandle directory, string oldPath, string newPath)
    {
        long outcome;
        try
        {
            while (Interrupted(renameat2(directory, oldPath, directory, newPath, RenameNoReplace), out outcome))
            {
            }
        }
        catch (EntryPointNotFoundException)             // musl before 1.2.6
        {
            outcome = -Errno.NotImplemented;
        }

        if (outcome is not (-Errno.NotImplemented or -Errno.Invalid or -Errno.NotSupported))
            return outcome;
        outcome = Link(directory, oldPath, newPath);
        return outcome < 0 ? outcome : Unlink(directory, oldPath);
    }

    internal static long Link(SafeFileHandle directory, string existingPath, string newPath)
    {
        long outcome;
        while (Interrupted(linkat(directory, existingPath, directory, newPath, 0), out outcome))
        {
        }

        return outcome;
    }

    internal static long Unlink(SafeFileHandle directory, string path)
    {
        long outcome;
        while (Interrupted(unlinkat(directory, path, 0), out outcome))
        {
        }

        return outcome;
    }

    internal static long CreateDirectory(SafeFileHandle directory, string path, int mode)
    {
        long outcome;
        while (Interrupted(mkdirat(directory, path, mode), out outcome))
        {
        }

        return outcome;
    }

    internal static long CreateRoot(string path, int mode)
    {
        long outcome;
        while (Interrupted(mkdirat(CurrentDirectory, path, mode), out outcome))
        {
        }

        return outcome;
    }

    /// <summary>Takes an advisory lock on the open file without waiting; <see cref="Errno.WouldBlock"/> when another has it.</summary>
    internal static long TryLock(SafeFileHandle file, int kind)
    {
        long outcome;
        while (Interrupted(flock(file, kind | LockNonBlocking), out outcome))
        {
        }

        return outcome;
    }

    internal static long Unlock(SafeFileHandle file)
    {
        long outcome;
        while (Interrupted(flock(file, LockRelease), out outcome))
        {
        }

        return outcome;
    }

    internal static long Status(SafeFileHandle file, out FileStatus status) => Status(file, "", EmptyPath, out status);

    internal static long Status(SafeFileHandle directory, string path, out FileStatus status) =>
        path.Length == 0 ? Status(directory, out status) : Status(directory, path, NoFollowStat, out status);

    /// <summary>Bytes an unprivileged process may still allocate on the file system of the handle.</summary>
    internal static long FreeSpace(SafeFileHandle file)
    {
        const int fragmentBytesAt = 8, availableAt = 32;        // struct statvfs: f_frsize, f_bavail, 64-bit glibc and musl
        var buffer = stackalloc byte[256];
        long outcome;
        while (Interrupted(fstatvfs(file, buffer), out outcome))
        {
        }

        if (outcome < 0)
            return outcome;
        var bytes = (UInt128)(*(ulong*)(buffer + fragmentBytesAt)) * *(ulong*)(buffer + availableAt);
        return bytes > long.MaxValue ? long.MaxValue : (long)bytes;
    }

    /// <summary>Adds the names in an open directory that are not directories themselves. The handle must be the caller's own: the
    /// place of reading belongs to it.</summary>
    internal static long List(SafeFileHandle directory, List<string> names)
    {
        // The stream of the C library costs five calls more than reading the entries, and an opening lists some directories.
        var buffer = stackalloc byte[ListBytes];
        try
        {
            while (true)
            {
                long read;
                while (Interrupted(getdents64(directory, buffer, ListBytes), out read))
                {
                }

                if (read <= 0)
                    return read;
                for (var entry = buffer; entry < buffer + read; entry += *(ushort*)(entry + EntryLengthAt))
                    AddName(directory, entry, names);
            }
        }
        catch (EntryPointNotFoundException)             // glibc before 2.30
        {
            return ListByStream(directory, names);
        }
    }

    private static void AddName(SafeFileHandle directory, byte* entry, List<string> names)
    {
        const int typeAt = 18, nameAt = 19, unknown = 0, isDirectory = 4;       // struct dirent64, which is struct dirent on 64 bits
        var name = Marshal.PtrToStringUTF8((nint)(entry + nameAt))!;
        if (name is "." or ".." || entry[typeAt] == isDirectory)
            return;
        if (entry[typeAt] == unknown && Status(directory, name, out var status) >= 0 && status.IsDirectory)
            return;
        names.Add(name);
    }

    private static long ListByStream(SafeFileHandle directory, List<string> names)
    {
        long copy;
        while (Interrupted(dup(directory), out copy))
        {
        }

        if (copy < 0)
            return copy;
        var stream = fdopendir((int)copy);
        var errno = Marshal.GetLastPInvokeError();
        if (stream == 0)
        {
            new SafeFileHandle((nint)copy, ownsHandle: true).Dispose();
            return -errno;
        }

        try
        {
            while (true)
            {
                var entry = readdir(stream);
                errno = Marshal.GetLastPInvokeError();          // 0 at the end: the import clears it before the call
                if (entry == null)
                    return -errno;
                AddName(directory, entry, names);
            }
        }
        finally
        {
            _ = closedir(stream);
        }
    }

    private static long Status(SafeFileHandle directory, string path, int flags, out FileStatus status)
    {
        const int modeAt = 28, inodeAt = 32, lengthAt = 40, majorAt = 136, minorAt = 140;       // struct statx
        const int kindMask = 0xf000, kindDirectory = 0x4000, kindFile = 0x8000;
        var buffer = stackalloc byte[StatxBytes];
        long outcome;
        while (Interrupted(statx(directory, path, flags, BasicStats, buffer), out outcome))
        {
        }

        status = default;
        if (outcome < 0)
            return outcome;
        var bytes = new ReadOnlySpan<byte>(buffer, StatxBytes);
        var kind = MemoryMarshal.Read<ushort>(bytes[modeAt..]) & kindMask;
        var device = ((ulong)MemoryMarshal.Read<uint>(bytes[majorAt..]) << 32) | MemoryMarshal.Read<uint>(bytes[minorAt..]);
        status = new FileStatus(device, MemoryMarshal.Read<ulong>(bytes[inodeAt..]), MemoryMarshal.Read<long>(bytes[lengthAt..]),
            kind == kindDirectory, kind == kindFile);
        return outcome;
    }

    /// <summary>Reads errno before anything else can overwrite it, and says whether the call is to be repeated.</summary>
    private static bool Interrupted(long result, out long outcome)
    {
        var errno = Marshal.GetLastPInvokeError();
        outcome = result >= 0 ? result : -(errno == 0 ? Errno.InputOutput : errno);
        return outcome == -Errno.Interrupted;
    }

#pragma warning disable SYSLIB1054, IDE1006 // the names are those of the C library
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int openat(SafeFileHandle directory, string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwritev(SafeFileHandle file, Vector* vectors, int count, long offset);

    [LibraryImport("libc")]
    private static partial int madvise(void* start, nuint bytes, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(SafeFileHandle file, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sync_file_range(SafeFileHandle file, long offset, long bytes, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int renameat2(
        SafeFileHandle oldDirectory, string oldPath, SafeFileHandle newDirectory, string newPath, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int linkat(
        SafeFileHandle oldDirectory, string oldPath, SafeFileHandle newDirectory, string newPath, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlinkat(SafeFileHandle directory, string path, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdirat(SafeFileHandle directory, string path, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdirat(int directory, string path, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(SafeFileHandle directory, string path, int flags, uint mask, byte* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstatvfs(SafeFileHandle file, byte* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getdents64(SafeFileHandle directory, byte* buffer, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint fdopendir(int file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial byte* readdir(nint stream);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int closedir(nint stream);
}

/// <summary>The calls of other systems that the base library has not, or has and does not answer for.</summary>
internal static partial class PlatformCalls
{
    private const int FullSync = 51;        // F_FULLFSYNC: through the cache of the drive

    internal static void File(SafeFileHandle handle, string path)
    {
        if (OperatingSystem.IsWindows())
        {
            var done = FlushFileBuffers(handle);
            var error = Marshal.GetLastPInvokeError();
            if (!done)
                throw new StorageException(StorageError.Io, "sync", path, error);
            return;
        }

        var outcome = OperatingSystem.IsMacOS() ? FullSyncOnMac(handle) : LinuxCalls.Sync(handle);
        if (outcome < 0)
            throw new StorageException(StorageError.Io, "sync", path, (int)-outcome);
    }

    /// <summary>Windows keeps names in its own log and has no call for it.</summary>
    internal static void Directory(string path)
    {
        if (OperatingSystem.IsWindows())
            return;
        var descriptor = open(path, LinuxCalls.ForReading);
        var errno = Marshal.GetLastPInvokeError();
        if (descriptor < 0)
            throw new StorageException(StorageError.Io, "sync directory", path, errno);
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        File(handle, path);
    }

    internal static void Link(string existingPath, string newPath)
    {
        var done = OperatingSystem.IsWindows() ? CreateHardLink(newPath, existingPath, 0) : link(existingPath, newPath) == 0;
        var errno = Marshal.GetLastPInvokeError();
        if (!done)
            throw new StorageException(StorageError.Io, "link", existingPath, errno);
    }

    /// <summary>The text of a file that another holds open, without the lock that the base library would ask for.</summary>
    internal static string ReadText(string path)
    {
        var buffer = new byte[4096];
        if (OperatingSystem.IsWindows())
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            var count = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            return System.Text.Encoding.UTF8.GetString(buffer.AsSpan(0, count));
        }

        var descriptor = open(path, LinuxCalls.ForReading);
        if (descriptor < 0)
            return "";
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        var read = LinuxCalls.Read(handle, buffer, 0);
        return System.Text.Encoding.UTF8.GetString(buffer.AsSpan(0, (int)Math.Max(0, read)));
    }

    private static int FullSyncOnMac(SafeFileHandle handle)
    {
        var result = fcntl(handle, FullSync);
        var errno = Marshal.GetLastPInvokeError();
        return result < 0 ? -errno : 0;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(SafeFileHandle file, int command);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string existingPath, string newPath);

    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool FlushFileBuffers(SafeFileHandle file);

    [LibraryImport("kernel32", EntryPoint = "CreateHardLinkW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CreateHardLink(string newPath, string existingPath, nint security);
}
