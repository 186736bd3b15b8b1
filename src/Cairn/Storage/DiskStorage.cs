using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Cairn.Storage;

/// <summary>A directory on a Linux file system. Files are made with mode 0600, directories with 0700; symbolic links are followed on
/// the way to the directory and never inside it.</summary>
internal sealed class DiskStorage : IStorage
{
    private const int FileMode = 0b110_000_000;
    private const int DirectoryMode = 0b111_000_000;

    private readonly SafeFileHandle root;

    private volatile bool isNamed;              // the name of the directory itself is durable

    private DiskStorage(string path, SafeFileHandle root, bool readOnly, bool isNamed)
    {
        this.isNamed = isNamed;
        Description = path;
        this.root = root;
        IsReadOnly = readOnly;
    }

    public string Description { get; }

    public bool SyncErrorsAreReported => true;

    public bool IsReadOnly { get; }

    /// <summary>Opens a directory as a storage; on other systems than 64-bit Linux as a <see cref="PortableStorage"/>.</summary>
    /// <param name="path">Of the directory, relative to the working directory of the process or absolute.</param>
    /// <param name="createIfMissing">Makes the directory and what is missing above it, each name synced before the next.</param>
    /// <param name="readOnly">Opens every file for reading and refuses the rest with <see cref="StorageError.ReadOnly"/>; a
    /// medium that cannot be written will do.</param>
    /// <exception cref="StorageException">NotFound, NotADirectory, AccessDenied or what else the system says.</exception>
    internal static IStorage OpenOrCreate(string path, bool createIfMissing, bool readOnly)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess)
            return PortableStorage.OpenOrCreate(full, createIfMissing, readOnly);

        var outcome = LinuxCalls.OpenRoot(full, out var root);
        var isNew = outcome == -Errno.NoEntry && createIfMissing && !readOnly;
        if (isNew)
        {
            CreateWithParents(full);
            outcome = LinuxCalls.OpenRoot(full, out root);
        }

        return root is null ? throw Errno.Failure("open", full, (int)-outcome) : new DiskStorage(full, root, readOnly, isNew);
    }

    public IFile CreateNew(string path)
    {
        RefuseIfReadOnly("create", path);
        return Open("create", path, LinuxCalls.ForWriting | LinuxCalls.Create | LinuxCalls.Exclusive, writable: true);
    }

    public IFile Open(string path, bool writable)
    {
        if (writable)
            RefuseIfReadOnly("open", path);
        return Open("open", path, writable ? LinuxCalls.ForWriting : LinuxCalls.ForReading, writable);
    }

    public bool Exists(string path)
    {
        StoragePath.CheckDirectory(path);
        var outcome = LinuxCalls.Status(root, path, out _);
        return outcome is not (-Errno.NoEntry or -Errno.NotADirectory) && Succeeded("look up", path, outcome);
    }

    public void CreateDirectory(string path)
    {
        StoragePath.Check(path);
        RefuseIfReadOnly("create directory", path);
        var outcome = LinuxCalls.CreateDirectory(root, path, DirectoryMode);
        if (outcome != -Errno.Exists)
        {
            Succeeded("create directory", path, outcome);
            return;
        }

        Succeeded("look up", path, LinuxCalls.Status(root, path, out var status));
        if (!status.IsDirectory)
            throw Errno.Failure("create directory", path, Errno.NotADirectory);
    }

    public IReadOnlyList<string> List(string directory)
    {
        StoragePath.CheckDirectory(directory);
        var names = new List<string>();
        var outcome = LinuxCalls.Open(
            root, directory.Length == 0 ? "." : directory, LinuxCalls.ForReading | LinuxCalls.OnlyDirectory, 0, out var handle);
        if (outcome == -Errno.NoEntry)
            return names;
        Succeeded("list", directory, outcome);
        using (handle)
            Succeeded("list", directory, LinuxCalls.List(handle!, names));
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    public void Rename(string oldPath, string newPath)
    {
        StoragePath.Check(oldPath);
        StoragePath.Check(newPath);
        RefuseIfReadOnly("rename", oldPath);
        Succeeded("rename", oldPath, LinuxCalls.Rename(root, oldPath, newPath));
    }

    public void Link(string existingPath, string newPath)
    {
        StoragePath.Check(existingPath);
        StoragePath.Check(newPath);
        RefuseIfReadOnly("link", existingPath);
        Succeeded("link", existingPath, LinuxCalls.Link(root, existingPath, newPath));
    }

    public void Unlink(string path)
    {
        StoragePath.Check(path);
        RefuseIfReadOnly("unlink", path);
        Succeeded("unlink", path, LinuxCalls.Unlink(root, path));
    }

    public void SyncDirectory(string directory)
    {
        StoragePath.CheckDirectory(directory);
        RefuseIfReadOnly("sync directory", directory);
        if (directory.Length == 0)
        {
            if (!isNamed)
                SyncParent();

            // The handle of the root was open before anything failed, so it is told of every failure since.
            Succeeded("sync directory", directory, LinuxCalls.Sync(root));
            return;
        }

        Succeeded("sync directory", directory,
            LinuxCalls.Open(root, directory, LinuxCalls.ForReading | LinuxCalls.OnlyDirectory, 0, out var handle));
        using (handle)
            Succeeded("sync directory", directory, LinuxCalls.Sync(handle!));
    }

    public long FreeSpace()
    {
        var outcome = LinuxCalls.FreeSpace(root);
        Succeeded("free space", "", outcome);
        return outcome;
    }

    public IDisposable Lock(string ownerText) => DirectoryLock.Take(root, ownerText, shared: IsReadOnly);

    public void Dispose() => root.Dispose();

    private static bool Succeeded(string operation, string path, long outcome) =>
        outcome >= 0 ? true : throw Errno.Failure(operation, path, (int)-outcome);

    private static void CreateWithParents(string path)
    {
        var parent = Path.GetDirectoryName(path);
        if (parent is null)
            return;
        var outcome = LinuxCalls.OpenRoot(parent, out var handle);
        if (outcome == -Errno.NoEntry)
        {
            CreateWithParents(parent);
            outcome = LinuxCalls.OpenRoot(parent, out handle);
        }

        Succeeded("open", parent, outcome);
        using (handle)
        {
            outcome = LinuxCalls.CreateRoot(path, DirectoryMode);
            if (outcome != -Errno.Exists)
                Succeeded("create directory", path, outcome);
            Succeeded("sync directory", parent, LinuxCalls.Sync(handle!));
        }
    }

    /// <summary>The process that made the directory may have been killed before it could sync the name; so it is synced before the first
    /// name in it is. A parent that we may not read was not written by us either.</summary>
    private void SyncParent()
    {
        var parent = Path.GetDirectoryName(Description);
        if (parent is not null)
        {
            var outcome = LinuxCalls.OpenRoot(parent, out var handle);
            using (handle)
            {
                if (outcome >= 0)
                    outcome = LinuxCalls.Sync(handle!);
            }

            if (outcome < 0 && Errno.ToStorageError((int)-outcome) is not (StorageError.AccessDenied or StorageError.ReadOnly))
                Succeeded("sync directory", parent, outcome);
        }

        isNamed = true;
    }

    private DiskFile Open(string operation, string path, int flags, bool writable)
    {
        StoragePath.Check(path);
        Succeeded(operation, path, LinuxCalls.Open(root, path, flags | LinuxCalls.NoFollow, FileMode, out var handle));
        try
        {
            Succeeded(operation, path, LinuxCalls.Status(handle!, out var status));
            if (!status.IsFile)
                throw new StorageException(StorageError.Io, operation, path, status.IsDirectory ? Errno.IsADirectory : 0, "not a file");
            return new DiskFile(path, handle!, writable, status.Length);
        }
        catch
        {
            handle!.Dispose();
            throw;
        }
    }

    private void RefuseIfReadOnly(string operation, string path)
    {
        if (IsReadOnly)
            throw Errno.RefusedAsReadOnly(operation, path);
    }

    private sealed class DiskFile(string path, SafeFileHandle handle, bool writable, long lengthWhenOpened) : IFile
    {
        private const int VectorsPerCall = 64;      // chosen: 64 buffers of a group's records; the kernel takes up to 1,024

        public string Path => path;

        public long Length
        {
            get
            {
                Succeeded("length", path, LinuxCalls.Status(handle, out var status));
                return status.Length;
            }
        }

        public long LengthWhenOpened => lengthWhenOpened;

        public int ReadAt(Span<byte> buffer, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            var done = 0;
            while (done < buffer.Length)
            {
                var read = LinuxCalls.Read(handle, buffer[done..], offset + done);
                Succeeded("read", path, read);
                if (read == 0)
                    break;
                done += (int)read;
            }

            return done;
        }

        public void WriteAt(ReadOnlySpan<byte> bytes, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            RefuseIfNotWritable("write");
            var stalled = false;
            while (bytes.Length > 0)
            {
                var written = LinuxCalls.Write(handle, bytes, offset);
                CheckProgress(written, ref stalled);
                bytes = bytes[(int)written..];      // a short write goes on with the same bytes
                offset += written;
            }
        }

        public unsafe void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            RefuseIfNotWritable("write");
            Span<LinuxCalls.Vector> vectors = stackalloc LinuxCalls.Vector[VectorsPerCall];
            var pins = default(Pins);
            var next = 0;                           // buffer and byte in it that are to be written next
            var skip = 0;
            var stalled = false;
            while (true)
            {
                while (next < buffers.Count && buffers[next].Length == skip)
                    (next, skip) = (next + 1, 0);
                if (next == buffers.Count)
                    return;

                var count = 0;
                long written;
                try
                {
                    for (; count < VectorsPerCall && next + count < buffers.Count; count++)
                    {
                        var rest = buffers[next + count][(count == 0 ? skip : 0)..];
                        pins[count] = rest.Pin();
                        vectors[count] = new LinuxCalls.Vector { Start = pins[count].Pointer, Length = (nuint)rest.Length };
                    }

                    written = LinuxCalls.Write(handle, vectors[..count], offset);
                }
                finally
                {
                    while (--count >= 0)
                        pins[count].Dispose();
                }

                CheckProgress(written, ref stalled);
                offset += written;
                while (written > 0)
                {
                    var step = (int)Math.Min(written, buffers[next].Length - skip);
                    written -= step;
                    skip += step;
                    if (skip == buffers[next].Length)
                        (next, skip) = (next + 1, 0);
                }
            }
        }

        public void SetLength(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            RefuseIfNotWritable("set length");
            Succeeded("set length", path, LinuxCalls.SetLength(handle, length));
        }

        public bool HasBlocks { get; private set; }

        public void Preallocate(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            RefuseIfNotWritable("preallocate");
            if (length == 0)
                return;
            var outcome = LinuxCalls.Allocate(handle, length);
            HasBlocks = outcome >= 0;
            if (outcome is -Errno.NotSupported or -Errno.NotImplemented)        // a file system without extents: the length alone
                outcome = Length < length ? LinuxCalls.SetLength(handle, length) : 0;
            Succeeded("preallocate", path, outcome);
        }

        // What it meets is told by the sync that follows: it takes no error away from there.
        public void BeginWriteback(long offset, long bytes)
        {
            if (bytes > 0)
                LinuxCalls.BeginWriteback(handle, offset, bytes);
        }

        public void DataSync()
        {
            RefuseIfNotWritable("datasync");
            var outcome = LinuxCalls.DataSync(handle);
            if (Mutant.Is("bcl-flush"))         // the base library's flush reports success when fsync failed
                return;
            Succeeded("datasync", path, outcome);
        }

        public void Sync()
        {
            RefuseIfNotWritable("sync");
            Succeeded("sync", path, LinuxCalls.Sync(handle));
        }

        public void Dispose() => handle.Dispose();

        /// <summary>Nothing written twice in a row is an error; the base library would try for ever.</summary>
        private void CheckProgress(long written, ref bool stalled)
        {
            Succeeded("write", path, written);
            if (written == 0 && stalled)
                throw new StorageException(StorageError.Io, "write", path, 0, "no byte written in two attempts");
            stalled = written == 0;
        }

        private void RefuseIfNotWritable(string operation)
        {
            if (!writable)
                throw Errno.RefusedAsReadOnly(operation, path);
        }

        [InlineArray(VectorsPerCall)]
        private struct Pins
        {
            private MemoryHandle first;
        }
    }
}
