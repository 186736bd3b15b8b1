using Microsoft.Win32.SafeHandles;

namespace Cairn.Storage;

/// <summary>
/// A directory on other systems than 64-bit Linux, by the base library and the platform's full flush (F_FULLFSYNC on macOS,
/// FlushFileBuffers on Windows). It keeps the contract as far as that library tells the truth: errors of a directory sync
/// are not told everywhere, hence <see cref="SyncErrorsAreReported"/> is false and health says so. Renaming looks before it
/// leaps where the platform has nothing better, which the owner's lock makes safe.
/// </summary>
internal sealed class PortableStorage : IStorage
{
    private readonly string root;

    private PortableStorage(string root, bool readOnly)
    {
        this.root = root;
        IsReadOnly = readOnly;
    }

    public string Description => root;

    public bool SyncErrorsAreReported => false;

    public bool IsReadOnly { get; }

    internal static IStorage OpenOrCreate(string path, bool createIfMissing, bool readOnly)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        Guarded("open", full, () =>
        {
            if (createIfMissing && !readOnly)
            {
                if (OperatingSystem.IsWindows())
                    Directory.CreateDirectory(full);
                else
                    Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                if (Path.GetDirectoryName(full) is { } parent)
                    PlatformCalls.Directory(parent);
            }

            return Directory.Exists(full)
                ? true
                : throw Errno.Failure("open", full, File.Exists(full) ? Errno.NotADirectory : Errno.NoEntry);
        });
        return new PortableStorage(full, readOnly);
    }

    public IFile CreateNew(string path) => Open("create", path, FileMode.CreateNew, writable: true);

    public IFile Open(string path, bool writable) => Open("open", path, FileMode.Open, writable);

    public bool Exists(string path)
    {
        StoragePath.CheckDirectory(path);
        return Path.Exists(Full(path));
    }

    public void CreateDirectory(string path) => Change("create directory", path, full =>
    {
        if (File.Exists(full))
            throw Errno.Failure("create directory", path, Errno.NotADirectory);
        RequireParent("create directory", path);
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(full);
        else
            Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    });

    public IReadOnlyList<string> List(string directory)
    {
        StoragePath.CheckDirectory(directory);
        var full = Full(directory);
        return Guarded<IReadOnlyList<string>>("list", directory, () =>
        {
            if (!Directory.Exists(full))
                return File.Exists(full) ? throw Errno.Failure("list", directory, Errno.NotADirectory) : [];
            var names = Directory.GetFiles(full).Select(file => Path.GetFileName(file)!).ToList();
            names.Sort(StringComparer.Ordinal);
            return names;
        });
    }

    public void Rename(string oldPath, string newPath)
    {
        StoragePath.Check(newPath);
        Change("rename", oldPath, full =>
        {
            RequireFile("rename", oldPath);
            RefuseIfTaken("rename", newPath);
            File.Move(full, Full(newPath), overwrite: false);
        });
    }

    public void Link(string existingPath, string newPath)
    {
        StoragePath.Check(newPath);
        Change("link", existingPath, full =>
        {
            RequireFile("link", existingPath);
            RefuseIfTaken("link", newPath);
            PlatformCalls.Link(full, Full(newPath));
        });
    }

    public void Unlink(string path) => Change("unlink", path, full =>
    {
        RequireFile("unlink", path);
        File.Delete(full);
    });

    public void SyncDirectory(string directory)
    {
        StoragePath.CheckDirectory(directory);
        RefuseIfReadOnly("sync directory", directory);
        Guarded("sync directory", directory, () =>
        {
            if (!Directory.Exists(Full(directory)))
                throw Errno.Failure("sync directory", directory, Errno.NoEntry);
            PlatformCalls.Directory(Full(directory));
            return true;
        });
    }

    public long FreeSpace() => Guarded("free space", "", () => new DriveInfo(root).AvailableFreeSpace);

    /// <summary>Held by the open file. An owner excludes writers and readers; on Windows its text stays readable.</summary>
    public IDisposable Lock(string ownerText)
    {
        const int windowsSharingViolation = 32, macWouldBlock = 35;
        var path = Full(DirectoryLock.FileName);
        if (IsReadOnly && !File.Exists(path))
            return new MemoryStream();
        try
        {
            // FileShare.Read is a shared lock on Unix even for writers, and FileShare.None hides the text on Windows.
            var share = IsReadOnly ? FileShare.Read : OperatingSystem.IsWindows() ? FileShare.Read : FileShare.None;
            var stream = IsReadOnly
                ? new FileStream(path, FileMode.Open, FileAccess.Read, share)
                : new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, share);
            if (!IsReadOnly)
            {
                var text = System.Text.Encoding.UTF8.GetBytes(ownerText);
                stream.SetLength(0);
                stream.Write(text);
                stream.Flush();
            }

            return stream;
        }
        catch (IOException failure) when ((failure.HResult & 0xffff) is windowsSharingViolation or Errno.WouldBlock or macWouldBlock)
        {
            throw new StorageException(
                StorageError.Locked, "lock", DirectoryLock.FileName, Errno.WouldBlock, PlatformCalls.ReadText(path));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return Guarded<IDisposable>("lock", DirectoryLock.FileName, () => throw failure);
        }
    }

    public void Dispose()
    {
    }

    /// <summary>Every exception of the base library, which has several for one cause, becomes a storage failure.</summary>
    private static T Guarded<T>(string operation, string path, Func<T> call)
    {
        const int errnoMask = 0xffff, windowsDiskFull = 0x70, windowsExists = 0x50, windowsAlreadyExists = 0xb7;
        try
        {
            return call();
        }
        catch (Exception failure) when (
            failure is not (StorageException or InvariantException or ObjectDisposedException or OutOfMemoryException))
        {
            var number = failure.HResult & errnoMask;
            var errno = failure switch
            {
                FileNotFoundException or DirectoryNotFoundException or DriveNotFoundException => Errno.NoEntry,
                UnauthorizedAccessException => Errno.AccessDenied,
                ArgumentOutOfRangeException => Errno.FileTooLarge,
                _ when OperatingSystem.IsWindows() && number == windowsDiskFull => Errno.NoSpace,
                _ when OperatingSystem.IsWindows() && number is windowsExists or windowsAlreadyExists => Errno.Exists,
                _ when OperatingSystem.IsLinux() => number,
                _ when number is Errno.NoSpace or Errno.Exists or Errno.FileTooLarge => number,     // one number on every Unix
                _ => Errno.InputOutput,
            };
            throw new StorageException(Errno.ToStorageError(errno), operation, path, errno, failure.Message);
        }
    }

    private PortableFile Open(string operation, string path, FileMode mode, bool writable)
    {
        StoragePath.Check(path);
        if (writable)
            RefuseIfReadOnly(operation, path);
        var full = Full(path);
        return Guarded(operation, path, () =>
        {
            RequireParent(operation, path);
            if (mode == FileMode.CreateNew)
                RefuseIfTaken(operation, path);
            else
                RequireFile(operation, path);
            var access = writable ? FileAccess.ReadWrite : FileAccess.Read;
            var handle = File.OpenHandle(full, mode, access, FileShare.ReadWrite | FileShare.Delete);
            if (mode == FileMode.CreateNew && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(handle, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return new PortableFile(path, handle, writable);
        });
    }

    private void Change(string operation, string path, Action<string> call)
    {
        StoragePath.Check(path);
        RefuseIfReadOnly(operation, path);
        var full = Full(path);
        Guarded(operation, path, () =>
        {
            call(full);
            return true;
        });
    }

    private string Full(string path) => path.Length == 0 ? root : Path.Combine(root, path);

    private void RequireParent(string operation, string path)
    {
        for (var parent = StoragePath.Parent(path); parent.Length > 0; parent = StoragePath.Parent(parent))
        {
            if (File.Exists(Full(parent)))
                throw Errno.Failure(operation, path, Errno.NotADirectory);
        }

        if (!Directory.Exists(Full(StoragePath.Parent(path))))
            throw Errno.Failure(operation, path, Errno.NoEntry);
    }

    private void RequireFile(string operation, string path)
    {
        RequireParent(operation, path);
        if (Directory.Exists(Full(path)))
            throw new StorageException(StorageError.Io, operation, path, Errno.IsADirectory, "not a file");
        if (!File.Exists(Full(path)))
            throw Errno.Failure(operation, path, Errno.NoEntry);
    }

    private void RefuseIfTaken(string operation, string path)
    {
        if (Path.Exists(Full(path)))
            throw Errno.Failure(operation, path, Errno.Exists);
    }

    private void RefuseIfReadOnly(string operation, string path)
    {
        if (IsReadOnly)
            throw Errno.RefusedAsReadOnly(operation, path);
    }

    private sealed class PortableFile(string path, SafeFileHandle handle, bool writable) : IFile
    {
        public string Path => path;

        public long Length => Guarded("length", path, () => RandomAccess.GetLength(handle));

        public int ReadAt(Span<byte> buffer, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            var done = 0;
            try
            {
                while (done < buffer.Length)
                {
                    var read = RandomAccess.Read(handle, buffer[done..], offset + done);
                    if (read == 0)
                        break;
                    done += read;
                }
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                return Guarded<int>("read", path, () => throw failure);
            }

            return done;
        }

        public void WriteAt(ReadOnlySpan<byte> bytes, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            RefuseIfNotWritable("write");
            try
            {
                RandomAccess.Write(handle, bytes, offset);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
            {
                Guarded<bool>("write", path, () => throw failure);
            }
        }

        public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            Change("write", () => RandomAccess.Write(handle, buffers, offset));
        }

        public void SetLength(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            Change("set length", () => RandomAccess.SetLength(handle, length));
        }

        public void Preallocate(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            Change("preallocate", () =>
            {
                if (RandomAccess.GetLength(handle) < length)
                    RandomAccess.SetLength(handle, length);
            });
        }

        public void DataSync() => Change("datasync", () => PlatformCalls.File(handle, path));

        public void Sync() => Change("sync", () => PlatformCalls.File(handle, path));

        public void Dispose() => handle.Dispose();

        private void Change(string operation, Action call)
        {
            RefuseIfNotWritable(operation);
            Guarded(operation, path, () =>
            {
                call();
                return true;
            });
        }

        private void RefuseIfNotWritable(string operation)
        {
            if (!writable)
                throw Errno.RefusedAsReadOnly(operation, path);
        }
    }
}
