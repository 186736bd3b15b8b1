namespace Cairn.Storage;

/// <summary>Kinds of calls of a storage and its files, for counting and for choosing.</summary>
[Flags]
internal enum StorageCall
{
    None = 0,
    CreateNew = 1 << 0,
    Open = 1 << 1,
    Exists = 1 << 2,
    CreateDirectory = 1 << 3,
    List = 1 << 4,
    Rename = 1 << 5,
    Link = 1 << 6,
    Unlink = 1 << 7,
    SyncDirectory = 1 << 8,
    FreeSpace = 1 << 9,
    Lock = 1 << 10,
    Length = 1 << 11,
    Read = 1 << 12,
    Write = 1 << 13,
    SetLength = 1 << 14,
    Preallocate = 1 << 15,
    DataSync = 1 << 16,
    Sync = 1 << 17,

    Syncs = DataSync | Sync | SyncDirectory,
    Names = CreateNew | CreateDirectory | Rename | Link | Unlink,
    Allocations = Write | SetLength | Preallocate | CreateNew | CreateDirectory | Rename | Link,
    Changes = Names | Write | SetLength | Preallocate | Syncs,
    All = (1 << 18) - 1,
}

/// <summary>A form that stands on another and passes every call on. What it adds, it adds in the overridden calls; files come
/// through the same ones. Disposing it disposes the storage below.</summary>
internal abstract class StorageLayer(IStorage inner) : IStorage
{
    public string Description => inner.Description;

    public bool SyncErrorsAreReported => inner.SyncErrorsAreReported;

    public virtual bool IsReadOnly => inner.IsReadOnly;

    protected IStorage Inner => inner;

    public virtual IFile CreateNew(string path)
    {
        Before(StorageCall.CreateNew, path);
        return new LayerFile(this, inner.CreateNew(path));
    }

    public virtual IFile Open(string path, bool writable)
    {
        Before(StorageCall.Open, path);
        return new LayerFile(this, inner.Open(path, writable));
    }

    public virtual bool Exists(string path)
    {
        Before(StorageCall.Exists, path);
        return inner.Exists(path);
    }

    public virtual void CreateDirectory(string path)
    {
        Before(StorageCall.CreateDirectory, path);
        inner.CreateDirectory(path);
    }

    public virtual IReadOnlyList<string> List(string directory)
    {
        Before(StorageCall.List, directory);
        return inner.List(directory);
    }

    public virtual void Rename(string oldPath, string newPath)
    {
        Before(StorageCall.Rename, oldPath);
        inner.Rename(oldPath, newPath);
    }

    public virtual void Link(string existingPath, string newPath)
    {
        Before(StorageCall.Link, existingPath);
        inner.Link(existingPath, newPath);
    }

    public virtual void Unlink(string path)
    {
        Before(StorageCall.Unlink, path);
        inner.Unlink(path);
    }

    public virtual void SyncDirectory(string directory)
    {
        Before(StorageCall.SyncDirectory, directory);
        inner.SyncDirectory(directory);
    }

    public virtual long FreeSpace()
    {
        Before(StorageCall.FreeSpace, "");
        return inner.FreeSpace();
    }

    public virtual IDisposable Lock(string ownerText)
    {
        Before(StorageCall.Lock, DirectoryLock.FileName);
        return inner.Lock(ownerText);
    }

    public virtual void Dispose() => inner.Dispose();

    /// <summary>Comes before every call; may throw in its place.</summary>
    protected virtual void Before(StorageCall call, string path)
    {
    }

    protected virtual long Length(IFile file)
    {
        Before(StorageCall.Length, file.Path);
        return file.Length;
    }

    protected virtual int Read(IFile file, Span<byte> buffer, long offset)
    {
        Before(StorageCall.Read, file.Path);
        return file.ReadAt(buffer, offset);
    }

    protected virtual void Write(IFile file, ReadOnlySpan<byte> bytes, long offset)
    {
        Before(StorageCall.Write, file.Path);
        file.WriteAt(bytes, offset);
    }

    protected virtual void Write(IFile file, IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
    {
        Before(StorageCall.Write, file.Path);
        file.WriteAt(buffers, offset);
    }

    protected virtual void SetLength(IFile file, long length)
    {
        Before(StorageCall.SetLength, file.Path);
        file.SetLength(length);
    }

    protected virtual void Preallocate(IFile file, long length)
    {
        Before(StorageCall.Preallocate, file.Path);
        file.Preallocate(length);
    }

    protected virtual void DataSync(IFile file)
    {
        Before(StorageCall.DataSync, file.Path);
        file.DataSync();
    }

    protected virtual void Sync(IFile file)
    {
        Before(StorageCall.Sync, file.Path);
        file.Sync();
    }

    private sealed class LayerFile(StorageLayer layer, IFile inner) : IFile
    {
        public string Path => inner.Path;

        public long Length => layer.Length(inner);

        public int ReadAt(Span<byte> buffer, long offset) => layer.Read(inner, buffer, offset);

        public void WriteAt(ReadOnlySpan<byte> bytes, long offset) => layer.Write(inner, bytes, offset);

        public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset) => layer.Write(inner, buffers, offset);

        public void SetLength(long length) => layer.SetLength(inner, length);

        public void Preallocate(long length) => layer.Preallocate(inner, length);

        public bool HasBlocks => inner.HasBlocks;

        public void BeginWriteback(long offset, long bytes) => inner.BeginWriteback(offset, bytes);

        public void DataSync() => layer.DataSync(inner);

        public void Sync() => layer.Sync(inner);

        public void Dispose() => inner.Dispose();
    }
}
