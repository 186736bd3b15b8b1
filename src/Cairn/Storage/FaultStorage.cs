namespace Cairn.Storage;

/// <summary>What goes wrong. EINTR is not among them: the disk form repeats it, so no caller of a storage ever sees it.</summary>
internal enum FaultKind
{
    /// <summary>EIO, nothing was done.</summary>
    Io,

    /// <summary>EIO, and yet it was done: the caller must not conclude the opposite.</summary>
    IoAfterwards,

    /// <summary>ENOSPC.</summary>
    NoSpace,

    /// <summary>EDQUOT.</summary>
    Quota,

    /// <summary>EFBIG.</summary>
    TooLarge,

    /// <summary>EACCES.</summary>
    AccessDenied,

    /// <summary>A part of the bytes is written, then EIO.</summary>
    ShortWrite,

    /// <summary>No byte is written however often one tries.</summary>
    ZeroWrite,

    /// <summary>A read ends before the buffer is full, as if the file did.</summary>
    ShortRead,

    /// <summary>One bit of what is read is wrong.</summary>
    FlippedBit,
}

/// <summary>
/// The disk that errs. A fault strikes at the n-th call of its kinds, counted from when it was set, once or from then on; several may
/// be set. To sweep a script, run it for n = 1, 2, … until <see cref="Strikes"/> stays 0. Thread-safe, everything random is drawn
/// from the seed.
/// </summary>
internal sealed class FaultStorage(IStorage inner, ulong seed = 0) : StorageLayer(inner)
{
    private readonly Lock gate = new();
    private readonly Chance chance = new(seed);
    private readonly List<Fault> faults = [];

    /// <summary>Calls on which a fault struck.</summary>
    internal long Strikes { get; private set; }

    /// <summary>When set, what <see cref="FreeSpace"/> answers.</summary>
    internal long? FreeBytes { get; set; }

    /// <summary>A file system where locks lie: <see cref="Lock"/> gives everyone what they ask for.</summary>
    internal bool LocksLie { get; set; }

    /// <summary>Sets a fault.</summary>
    /// <param name="kind">What goes wrong.</param>
    /// <param name="at">The first call to fail, from 1, among <paramref name="calls"/> from now on.</param>
    /// <param name="calls">Where it may strike; those where the kind makes no sense are left out and not counted.</param>
    /// <param name="lasting">Every call from that one on fails, instead of that one.</param>
    /// <param name="path">Only calls on this path.</param>
    internal void Inject(
        FaultKind kind, long at, StorageCall calls = StorageCall.All, bool lasting = false, string? path = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(at, 1);
        lock (gate)
            faults.Add(new Fault { Kind = kind, At = at, Calls = calls & Possible(kind), IsLasting = lasting, Path = path });
    }

    /// <summary>The disk is well again.</summary>
    internal void Clear()
    {
        lock (gate)
            faults.Clear();
    }

    /// <summary>Calls where a fault of that kind makes sense.</summary>
    internal static StorageCall Possible(FaultKind kind) => kind switch
    {
        FaultKind.NoSpace or FaultKind.Quota => StorageCall.Allocations | StorageCall.Syncs,    // a sync may be the one that allocates
        FaultKind.TooLarge => StorageCall.Write | StorageCall.SetLength | StorageCall.Preallocate,
        FaultKind.AccessDenied => StorageCall.Names | StorageCall.Open | StorageCall.List | StorageCall.Lock,
        FaultKind.IoAfterwards => StorageCall.Changes,
        FaultKind.ShortWrite or FaultKind.ZeroWrite => StorageCall.Write,
        FaultKind.ShortRead or FaultKind.FlippedBit => StorageCall.Read,
        _ => StorageCall.All,
    };

    public override IFile CreateNew(string path)
    {
        var file = base.CreateNew(path);
        try
        {
            After(StorageCall.CreateNew, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }

        return file;
    }

    public override void CreateDirectory(string path)
    {
        base.CreateDirectory(path);
        After(StorageCall.CreateDirectory, path);
    }

    public override void Rename(string oldPath, string newPath)
    {
        base.Rename(oldPath, newPath);
        After(StorageCall.Rename, oldPath);
    }

    public override void Link(string existingPath, string newPath)
    {
        base.Link(existingPath, newPath);
        After(StorageCall.Link, existingPath);
    }

    public override void Unlink(string path)
    {
        base.Unlink(path);
        After(StorageCall.Unlink, path);
    }

    public override void SyncDirectory(string directory)
    {
        base.SyncDirectory(directory);
        After(StorageCall.SyncDirectory, directory);
    }

    public override long FreeSpace()
    {
        var free = base.FreeSpace();
        return FreeBytes ?? free;
    }

    public override IDisposable Lock(string ownerText)
    {
        if (!LocksLie)
            return base.Lock(ownerText);
        Before(StorageCall.Lock, DirectoryLock.FileName);
        return new OwnerSlot().Take(ownerText);
    }

    protected override void Before(StorageCall call, string path)
    {
        const StorageCall withBytes = StorageCall.Read | StorageCall.Write;     // theirs strikes with the bytes at hand
        if ((call & withBytes) == 0 && Strike(call, path, afterwards: false) is { } kind)
            throw Failure(kind, call, path);
    }

    protected override int Read(IFile file, Span<byte> buffer, long offset)
    {
        var struck = Strike(StorageCall.Read, file.Path, afterwards: false);
        if (struck is not (null or FaultKind.ShortRead or FaultKind.FlippedBit))
            throw Failure(struck.Value, StorageCall.Read, file.Path);
        var read = file.ReadAt(buffer, offset);
        if (struck is null || read == 0)
            return read;
        lock (gate)
        {
            if (struck == FaultKind.ShortRead)
                return chance.Below(read);
            buffer[chance.Below(read)] ^= (byte)(1 << chance.Below(8));
            return read;
        }
    }

    protected override void Write(IFile file, ReadOnlySpan<byte> bytes, long offset)
    {
        var struck = Strike(StorageCall.Write, file.Path, afterwards: false);
        switch (struck)
        {
            case null:
                file.WriteAt(bytes, offset);
                After(StorageCall.Write, file.Path);
                return;
            case FaultKind.ShortWrite when bytes.Length > 0:
                file.WriteAt(bytes[..Part(bytes.Length)], offset);
                break;
        }

        throw Failure(struck.Value, StorageCall.Write, file.Path);
    }

    protected override void Write(IFile file, IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
    {
        var struck = Strike(StorageCall.Write, file.Path, afterwards: false);
        if (struck is null)
        {
            file.WriteAt(buffers, offset);
            After(StorageCall.Write, file.Path);
            return;
        }

        var bytes = buffers.SelectMany(buffer => buffer.ToArray()).ToArray();
        if (struck == FaultKind.ShortWrite && bytes.Length > 0)
            file.WriteAt(bytes.AsSpan(0, Part(bytes.Length)), offset);
        throw Failure(struck.Value, StorageCall.Write, file.Path);
    }

    protected override void SetLength(IFile file, long length)
    {
        base.SetLength(file, length);
        After(StorageCall.SetLength, file.Path);
    }

    protected override void Preallocate(IFile file, long length)
    {
        base.Preallocate(file, length);
        After(StorageCall.Preallocate, file.Path);
    }

    protected override void DataSync(IFile file)
    {
        base.DataSync(file);
        After(StorageCall.DataSync, file.Path);
    }

    protected override void Sync(IFile file)
    {
        base.Sync(file);
        After(StorageCall.Sync, file.Path);
    }

    private static StorageException Failure(FaultKind kind, StorageCall call, string path) => kind switch
    {
        FaultKind.NoSpace => Errno.Failure(call.ToString(), path, Errno.NoSpace),
        FaultKind.Quota => Errno.Failure(call.ToString(), path, Errno.QuotaExceeded),
        FaultKind.TooLarge => Errno.Failure(call.ToString(), path, Errno.FileTooLarge),
        FaultKind.AccessDenied => Errno.Failure(call.ToString(), path, Errno.AccessDenied),
        FaultKind.ZeroWrite => new StorageException(StorageError.Io, call.ToString(), path, 0, "no byte written in two attempts"),
        _ => Errno.Failure(call.ToString(), path, Errno.InputOutput),
    };

    private void After(StorageCall call, string path)
    {
        if (Strike(call, path, afterwards: true) is { } kind)
            throw Failure(kind, call, path);
    }

    private int Part(int count)
    {
        lock (gate)
            return chance.Below(count);
    }

    /// <summary>Counts the call for each fault that concerns it and says which one strikes; the first that was set wins.</summary>
    private FaultKind? Strike(StorageCall call, string path, bool afterwards)
    {
        lock (gate)
        {
            FaultKind? struck = null;
            foreach (var fault in faults)
            {
                if ((fault.Calls & call) == 0 || (fault.Path is not null && fault.Path != path))
                    continue;
                if (fault.Kind == FaultKind.IoAfterwards != afterwards)
                    continue;
                fault.Seen++;
                if (fault.IsLasting ? fault.Seen >= fault.At : fault.Seen == fault.At)
                    struck ??= fault.Kind;
            }

            if (struck is not null)
                Strikes++;
            return struck;
        }
    }

    private sealed class Fault
    {
        internal required FaultKind Kind { get; init; }

        internal required long At { get; init; }

        internal required StorageCall Calls { get; init; }

        internal required bool IsLasting { get; init; }

        internal required string? Path { get; init; }

        internal long Seen { get; set; }
    }
}
