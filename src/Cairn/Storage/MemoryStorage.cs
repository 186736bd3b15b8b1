namespace Cairn.Storage;

/// <summary>A directory tree in memory, for databases without files and for tests. Its content lives as long as the object: disposing
/// it gives nothing back and it may be opened again.</summary>
/// <param name="capacityBytes">Sum of the lengths of all files, above which writing fails with NoSpace.</param>
internal sealed class MemoryStorage(long capacityBytes = long.MaxValue) : IStorage
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, SortedDictionary<string, Content>> directories = new(StringComparer.Ordinal)
    {
        [""] = NoNames(),
    };

    private readonly OwnerSlot owner = new();
    private long usedBytes;

    /// <summary>Sum of the lengths of all files, above which writing fails; may be changed while it is used, as of a disk
    /// that others use too.</summary>
    internal long CapacityBytes { get; set; } = capacityBytes;

    public string Description => "(memory)";

    public bool SyncErrorsAreReported => true;

    public bool IsReadOnly => false;

    public IFile CreateNew(string path)
    {
        lock (gate)
        {
            var names = NamesAround("create", path);
            RefuseIfTaken("create", path, names);
            var content = new Content { Names = 1 };
            names.Add(StoragePath.Name(path), content);
            return new MemoryFile(this, path, content, writable: true);
        }
    }

    public IFile Open(string path, bool writable)
    {
        lock (gate)
            return new MemoryFile(this, path, Find("open", path), writable);
    }

    public bool Exists(string path)
    {
        StoragePath.CheckDirectory(path);
        lock (gate)
        {
            return directories.ContainsKey(path)
                || (directories.TryGetValue(StoragePath.Parent(path), out var names) && names.ContainsKey(StoragePath.Name(path)));
        }
    }

    public void CreateDirectory(string path)
    {
        lock (gate)
        {
            if (NamesAround("create directory", path).ContainsKey(StoragePath.Name(path)))
                throw Errno.Failure("create directory", path, Errno.NotADirectory);
            directories.TryAdd(path, NoNames());
        }
    }

    public IReadOnlyList<string> List(string directory)
    {
        StoragePath.CheckDirectory(directory);
        lock (gate)
        {
            if (directories.TryGetValue(directory, out var names))
                return [.. names.Keys];
            if (directory.Length > 0 && NamesAround("list", directory, absentIsEmpty: true).ContainsKey(StoragePath.Name(directory)))
                throw Errno.Failure("list", directory, Errno.NotADirectory);
            return [];
        }
    }

    public void Rename(string oldPath, string newPath)
    {
        lock (gate)
        {
            var content = Find("rename", oldPath);
            var target = NamesAround("rename", newPath);
            RefuseIfTaken("rename", newPath, target);
            directories[StoragePath.Parent(oldPath)].Remove(StoragePath.Name(oldPath));
            target.Add(StoragePath.Name(newPath), content);
        }
    }

    public void Link(string existingPath, string newPath)
    {
        lock (gate)
        {
            var content = Find("link", existingPath);
            var target = NamesAround("link", newPath);
            RefuseIfTaken("link", newPath, target);
            target.Add(StoragePath.Name(newPath), content);
            content.Names++;
        }
    }

    public void Unlink(string path)
    {
        lock (gate)
        {
            var content = Find("unlink", path);
            directories[StoragePath.Parent(path)].Remove(StoragePath.Name(path));
            content.Names--;
            FreeIfUnused(content);
        }
    }

    public void SyncDirectory(string directory)
    {
        StoragePath.CheckDirectory(directory);
        lock (gate)
        {
            if (!directories.ContainsKey(directory))
                throw Errno.Failure("sync directory", directory, Errno.NoEntry);
        }
    }

    public long FreeSpace()
    {
        lock (gate)
            return Math.Max(0, CapacityBytes - usedBytes);
    }

    public IDisposable Lock(string ownerText) => owner.Take(ownerText);

    public void Dispose()
    {
    }

    private static SortedDictionary<string, Content> NoNames() => new(StringComparer.Ordinal);

    /// <summary>The names of the directory that a path lies in.</summary>
    private SortedDictionary<string, Content> NamesAround(string operation, string path, bool absentIsEmpty = false)
    {
        StoragePath.Check(path);
        var parent = StoragePath.Parent(path);
        if (directories.TryGetValue(parent, out var names))
            return names;
        for (var above = parent; above.Length > 0; above = StoragePath.Parent(above))
        {
            if (directories.TryGetValue(StoragePath.Parent(above), out var around) && around.ContainsKey(StoragePath.Name(above)))
                throw Errno.Failure(operation, path, Errno.NotADirectory);
        }

        return absentIsEmpty ? NoNames() : throw Errno.Failure(operation, path, Errno.NoEntry);
    }

    private Content Find(string operation, string path)
    {
        if (NamesAround(operation, path).TryGetValue(StoragePath.Name(path), out var content))
            return content;
        throw directories.ContainsKey(path)
            ? new StorageException(StorageError.Io, operation, path, Errno.IsADirectory, "not a file")
            : Errno.Failure(operation, path, Errno.NoEntry);
    }

    private void RefuseIfTaken(string operation, string path, SortedDictionary<string, Content> names)
    {
        if (names.ContainsKey(StoragePath.Name(path)) || directories.ContainsKey(path))
            throw Errno.Failure(operation, path, Errno.Exists);
    }

    private void FreeIfUnused(Content content)
    {
        if (content.Names > 0 || content.Handles > 0)
            return;
        usedBytes -= content.Bytes.Length;
        content.Bytes.SetLength(0);
    }

    /// <summary>A file without its name: bytes that live as long as a name or a handle.</summary>
    private sealed class Content
    {
        internal PagedBytes Bytes { get; } = new();

        internal int Names { get; set; }

        internal int Handles { get; set; }
    }

    private sealed class MemoryFile : IFile
    {
        private readonly MemoryStorage storage;
        private readonly Content content;
        private readonly bool writable;
        private bool disposed;

        internal MemoryFile(MemoryStorage storage, string path, Content content, bool writable)
        {
            this.storage = storage;
            this.content = content;
            this.writable = writable;
            Path = path;
            content.Handles++;
        }

        public string Path { get; }

        public long Length
        {
            get
            {
                lock (storage.gate)
                {
                    ObjectDisposedException.ThrowIf(disposed, this);
                    return content.Bytes.Length;
                }
            }
        }

        public int ReadAt(Span<byte> buffer, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            lock (storage.gate)
            {
                ObjectDisposedException.ThrowIf(disposed, this);
                return content.Bytes.Read(buffer, offset);
            }
        }

        public void WriteAt(ReadOnlySpan<byte> bytes, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            lock (storage.gate)
            {
                BeginChange("write", bytes.Length == 0 ? 0 : offset + bytes.Length);
                if (bytes.Length > 0)
                    content.Bytes.Write(bytes, offset);
            }
        }

        public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            lock (storage.gate)
            {
                for (var i = 0; i < buffers.Count; i++)
                {
                    WriteAt(buffers[i].Span, offset);
                    offset += buffers[i].Length;
                }
            }
        }

        public void SetLength(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            lock (storage.gate)
            {
                BeginChange("set length", length);
                storage.usedBytes -= Math.Max(0, content.Bytes.Length - length);
                content.Bytes.SetLength(length);
            }
        }

        public bool HasBlocks => true;

        public void Preallocate(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            lock (storage.gate)
            {
                BeginChange("preallocate", length);
                if (length > content.Bytes.Length)
                    content.Bytes.SetLength(length);
            }
        }

        public void DataSync() => Sync("datasync");

        public void Sync() => Sync("sync");

        public void Dispose()
        {
            lock (storage.gate)
            {
                if (disposed)
                    return;
                disposed = true;
                content.Handles--;
                storage.FreeIfUnused(content);
            }
        }

        private void Sync(string operation)
        {
            lock (storage.gate)
                BeginChange(operation, 0);
        }

        private void BeginChange(string operation, long lengthNeeded)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (!writable)
                throw Errno.RefusedAsReadOnly(operation, Path);
            var growth = Math.Max(0, lengthNeeded - content.Bytes.Length);
            if (growth > storage.FreeSpace())
                throw Errno.Failure(operation, Path, Errno.NoSpace);
            storage.usedBytes += growth;
        }
    }
}
