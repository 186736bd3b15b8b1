// The machine that loses power: a storage in memory that knows what a disk would have kept.
//
// A file is its durable bytes and the operations on it since; a directory its durable names and the changes of names since. Only
// the three syncs move anything from the second to the first. At a crash every operation that is left meets a fate of its own
// (CrashChoice), whatever was issued before or after it, and the result is a new storage: the same machine after the power
// came back, which may lose power again.
//
//      write log/1 @4096 "AA"      unsynced: [write]                       durable: log/1 = 4096 zeros
//      datasync log/1              unsynced: []                            durable: log/1 = zeros, AA
//      write log/1 @4098 "BB"      unsynced: [write]
//      create log/2                unsynced: [write, name log/2]
//      crash, pattern none         log/1 = zeros, AA                       no log/2
//      crash, pattern only 1       log/1 = zeros, AA                       log/2, empty
//      crash, pattern all but 1    log/1 = zeros, AABB                     no log/2
//
// What it may do, beyond losing an operation (each has a test of its own in CrashStorageTests):
//
//   1. A write is torn at 512-byte sectors, in any subset, or cut anywhere into a first or second part, or leaves its length
//      without its bytes, or garbage in one sector. Never outside the bytes of the write itself.
//   2. Writes land in any order, also across files; of two that overlap either may win.
//   3. A length set is undone; preallocated space that was not synced reads as zeros or is not there. A datasync saves lengths only as
//      far as a write needs them: a cut or a preallocation is durable after a sync, not after a datasync.
//   4. A created name is gone, with the file's synced content; an unlinked file comes back; a rename is undone; a renamed file
//      has the new content, the old one, or none. A rename between two directories loses the file never, but leaves
//      both names when only the new directory was synced.
//   5. The lying cache (SyncFailsAt): a sync fails, what it should have saved is lost, and yet reads return it until
//      the crash, and the next sync succeeds. So does Linux, and so do most disks.
//
// The tree of names and bytes is in CrashTree.cs, what was done and not synced in UnsyncedOperation.cs, the fates in CrashPattern.cs,
// and CrashImaging.cs makes an image of the three.
//
// What it does not do: change a synced byte, replace a file by a rename, or fail otherwise (FaultStorage does). A write that
// straddles a page is one operation here; ShortStorage on top makes it several.

using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Cairn.Storage;

/// <summary>The power is gone: this call and every later one on the storage fails. Not an <see cref="IOException"/>, so that no handler
/// of I/O errors takes it for one and goes on.</summary>
internal sealed class PowerLossException(long operation) : Exception($"The power failed at operation {operation}.");

/// <summary>What the disk could have after a crash, and how it came about.</summary>
internal sealed record CrashImage(CrashPattern Pattern, CrashStorage Storage, UInt128 Hash);

/// <summary>A storage in memory that loses unsynced work when asked to. Disposing it gives nothing back. Thread-safe.</summary>
internal sealed class CrashStorage : IStorage
{
    private readonly Lock gate = new();
    private readonly OwnerSlot owner = new();
    private readonly List<UnsyncedOperation> unsynced = [];
    private readonly CrashDirectory root;

    internal CrashStorage()
        : this(new CrashDirectory())
    {
    }

    private CrashStorage(CrashDirectory root) => this.root = root;

    public string Description => "(memory that loses power)";

    public bool SyncErrorsAreReported => true;

    public bool IsReadOnly => false;

    /// <summary>Calls so far that can change what a crash leaves: creations, writes, length changes, names and syncs. Reads do not
    /// count.</summary>
    internal long Operations { get; private set; }

    /// <summary>The operation in whose middle power fails: it is issued, may arrive in part, and throws. 0 for never.</summary>
    internal long PowerFailsAt { get; set; }

    /// <summary>The first sync with this operation number or a later one fails and loses what it should have saved (5). 0 for
    /// none.</summary>
    internal long SyncFailsAt { get; set; }

    /// <summary>With a seed, some of what the failing sync should have saved arrives nevertheless.</summary>
    internal ulong? SyncFailureSeed { get; set; }

    internal bool PowerLost { get; private set; }

    /// <summary>What <see cref="FreeSpace"/> says; nothing is enforced.</summary>
    internal long FreeBytes { get; set; } = 1L << 40;

    /// <summary>Called in the middle of each operation, when it was issued and has not returned: the place to take images while a
    /// script runs on. Runs under the storage's lock.</summary>
    internal Action? AtEachOperation { get; set; }

    internal int UnsyncedCount
    {
        get
        {
            lock (gate)
                return unsynced.Count;
        }
    }

    /// <summary>The operations a crash now would decide on, for messages.</summary>
    internal IReadOnlyList<string> DescribeUnsynced()
    {
        lock (gate)
            return [.. unsynced.Select(operation => operation.ToString())];
    }

    /// <summary>Cuts the power and gives the machine after it came back. May be called again, for another image of the same
    /// crash.</summary>
    internal CrashStorage Crash(CrashPattern pattern)
    {
        lock (gate)
        {
            PowerLost = true;
            return Image(pattern);
        }
    }

    internal CrashStorage Crash(ulong seed) => Crash(CrashPattern.Random(seed));

    /// <summary>What a crash now would leave; this storage goes on.</summary>
    internal CrashStorage Image(CrashPattern pattern)
    {
        lock (gate)
            return new CrashStorage(new CrashImaging(unsynced, pattern).Build(root));
    }

    /// <summary>The images of an exhaustive test at this moment, each different one once.</summary>
    /// <param name="seed">For the random patterns.</param>
    /// <param name="seen">Hashes of images that are not wanted again; the new ones are added.</param>
    /// <param name="randomCount">Of random patterns.</param>
    internal IEnumerable<CrashImage> Images(ulong seed, HashSet<UInt128>? seen = null, int randomCount = 64)
    {
        seen ??= [];
        foreach (var pattern in CrashPattern.Exhaustive(UnsyncedCount, seed, randomCount))
        {
            var image = Image(pattern);
            var hash = image.Hash();
            if (seen.Add(hash))
                yield return new CrashImage(pattern, image, hash);
        }
    }

    /// <summary>Hash of all durable names and bytes.</summary>
    internal UInt128 Hash()
    {
        lock (gate)
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            root.AppendTo(hash);
            return BinaryPrimitives.ReadUInt128LittleEndian(hash.GetHashAndReset());
        }
    }

    public IFile CreateNew(string path)
    {
        lock (gate)
        {
            var directory = DirectoryAround("create", path);
            var name = NewName("create", path, directory);
            var file = new CrashFile();
            Begin(UnsyncedOperation.Named(path, directory, name, file));
            directory.Current.Add(name, file);
            return new Handle(this, path, file, writable: true);
        }
    }

    public IFile Open(string path, bool writable)
    {
        lock (gate)
            return new Handle(this, path, FileAt("open", path), writable);
    }

    public bool Exists(string path)
    {
        StoragePath.CheckDirectory(path);
        lock (gate)
        {
            RefuseWithoutPower();
            return Find(path) is not null;
        }
    }

    public void CreateDirectory(string path)
    {
        lock (gate)
        {
            var directory = DirectoryAround("create directory", path);
            var name = StoragePath.Name(path);
            if (directory.Current.TryGetValue(name, out var node))
            {
                if (node is not CrashDirectory)
                    throw Errno.Failure("create directory", path, Errno.NotADirectory);
                return;
            }

            var made = new CrashDirectory();
            Begin(UnsyncedOperation.Named(path, directory, name, made));
            directory.Current.Add(name, made);
        }
    }

    public IReadOnlyList<string> List(string directory)
    {
        StoragePath.CheckDirectory(directory);
        lock (gate)
        {
            RefuseWithoutPower();
            return Find(directory) switch
            {
                CrashDirectory found => [.. found.Current.Where(entry => entry.Value is CrashFile).Select(entry => entry.Key)],
                CrashFile => throw Errno.Failure("list", directory, Errno.NotADirectory),
                _ => [],
            };
        }
    }

    public void Rename(string oldPath, string newPath)
    {
        lock (gate)
        {
            var file = FileAt("rename", oldPath);
            var source = DirectoryAround("rename", oldPath);
            var target = DirectoryAround("rename", newPath);
            var newName = NewName("rename", newPath, target);
            Begin(UnsyncedOperation.Renamed(oldPath, source, StoragePath.Name(oldPath), target, newName, file));
            source.Current.Remove(StoragePath.Name(oldPath));
            target.Current.Add(newName, file);
        }
    }

    public void Link(string existingPath, string newPath)
    {
        lock (gate)
        {
            var file = FileAt("link", existingPath);
            var target = DirectoryAround("link", newPath);
            var newName = NewName("link", newPath, target);
            Begin(UnsyncedOperation.Named(newPath, target, newName, file));
            target.Current.Add(newName, file);
        }
    }

    public void Unlink(string path)
    {
        lock (gate)
        {
            var file = FileAt("unlink", path);
            var directory = DirectoryAround("unlink", path);
            Begin(UnsyncedOperation.Unnamed(path, directory, StoragePath.Name(path), file));
            directory.Current.Remove(StoragePath.Name(path));
        }
    }

    public void SyncDirectory(string directory)
    {
        StoragePath.CheckDirectory(directory);
        lock (gate)
        {
            RefuseWithoutPower();
            var found = Find(directory) switch
            {
                CrashDirectory it => it,
                CrashFile => throw Errno.Failure("sync directory", directory, Errno.NotADirectory),
                _ => throw Errno.Failure("sync directory", directory, Errno.NoEntry),
            };
            Begin(null);
            Settle("sync directory", directory, operation => operation.Directory == found || operation.Target == found,
                operation => operation.SyncNames(found));
            ForgetNamelessFiles();
        }
    }

    public long FreeSpace()
    {
        RefuseWithoutPower();
        return FreeBytes;
    }

    public IDisposable Lock(string ownerText)
    {
        RefuseWithoutPower();
        return owner.Take(ownerText);
    }

    public void Dispose()
    {
    }

    private void RefuseWithoutPower()
    {
        if (PowerLost)
            throw new PowerLossException(Operations);
    }

    /// <summary>Every operation passes here, after its checks and before its effect: it is numbered, it is now a thing that a crash
    /// decides on, and power may fail in its middle.</summary>
    private void Begin(UnsyncedOperation? change)
    {
        Operations++;
        if (change is not null)
            unsynced.Add(change);
        AtEachOperation?.Invoke();
        if (Operations != PowerFailsAt)
            return;
        PowerLost = true;
        throw new PowerLossException(Operations);
    }

    /// <summary>A sync: what it concerns becomes durable, or is lost where it fails.</summary>
    /// <param name="concerned">The operations that the sync speaks of.</param>
    /// <param name="settle">Makes one durable; false when it stays unsynced.</param>
    private void Settle(string operation, string path, Predicate<UnsyncedOperation> concerned, Predicate<UnsyncedOperation> settle)
    {
        var fails = SyncFailsAt > 0 && Operations >= SyncFailsAt;
        var landing = fails && SyncFailureSeed is { } seed ? new Chance(seed) : null;
        var left = 0;
        for (var i = 0; i < unsynced.Count; i++)
        {
            var change = unsynced[i];
            if (concerned(change) && (fails ? landing is null || landing.OneIn(2) || settle(change) : settle(change)))
                continue;
            unsynced[left++] = change;
        }

        unsynced.RemoveRange(left, unsynced.Count - left);
        if (!fails)
            return;
        SyncFailsAt = 0;
        throw Errno.Failure(operation, path, Errno.InputOutput);
    }

    /// <summary>No crash brings back a file without a name, so there is nothing to decide about its bytes.</summary>
    private void ForgetNamelessFiles()
    {
        var reachable = new HashSet<CrashNode>();
        root.AddReachable(reachable);
        foreach (var operation in unsynced)
            operation.Node?.AddReachable(reachable);
        unsynced.RemoveAll(operation => operation.File is { } file && !reachable.Contains(file));
    }

    private CrashNode? Find(string path)
    {
        CrashNode? node = root;
        if (path.Length == 0)
            return node;
        foreach (var part in path.AsSpan().Split('/'))
            node = node is CrashDirectory directory ? directory.Current.GetValueOrDefault(path[part]) : null;
        return node;
    }

    private CrashDirectory DirectoryAround(string operation, string path)
    {
        StoragePath.Check(path);
        RefuseWithoutPower();
        var parent = StoragePath.Parent(path);
        if (Find(parent) is CrashDirectory found)
            return found;
        for (; parent.Length > 0; parent = StoragePath.Parent(parent))
        {
            if (Find(parent) is CrashFile)
                throw Errno.Failure(operation, path, Errno.NotADirectory);
        }

        throw Errno.Failure(operation, path, Errno.NoEntry);
    }

    private CrashFile FileAt(string operation, string path) =>
        DirectoryAround(operation, path).Current.GetValueOrDefault(StoragePath.Name(path)) switch
        {
            CrashFile file => file,
            CrashDirectory => throw new StorageException(StorageError.Io, operation, path, Errno.IsADirectory, "not a file"),
            _ => throw Errno.Failure(operation, path, Errno.NoEntry),
        };

    private static string NewName(string operation, string path, CrashDirectory directory)
    {
        var name = StoragePath.Name(path);
        return directory.Current.ContainsKey(name) ? throw Errno.Failure(operation, path, Errno.Exists) : name;
    }

    private void SyncFile(string operation, string path, CrashFile file, bool everything)
    {
        Begin(null);

        // A length that a later growing write built upon is needed to read that write; others wait for a full sync (3).
        var needed = everything ? unsynced.Count : unsynced.FindLastIndex(change => change.File == file && change.Grows);
        var last = needed >= 0 && needed < unsynced.Count ? unsynced[needed] : null;
        var reached = false;
        Settle(operation, path, change => change.File == file, change =>
        {
            if (!everything && !change.IsWrite && (last is null || reached))
                return false;
            reached |= change == last;
            change.ApplyTo(file.Durable);
            return true;
        });
    }

    private sealed class Handle(CrashStorage storage, string path, CrashFile file, bool writable) : IFile
    {
        private bool disposed;

        public string Path => path;

        public long Length
        {
            get
            {
                lock (storage.gate)
                {
                    BeginRead();
                    return file.Current.Length;
                }
            }
        }

        public int ReadAt(Span<byte> buffer, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            lock (storage.gate)
            {
                BeginRead();
                return file.Current.Read(buffer, offset);
            }
        }

        public void WriteAt(ReadOnlySpan<byte> bytes, long offset)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            lock (storage.gate)
            {
                BeginChange("write");
                if (bytes.Length == 0)
                    return;
                var grows = offset + bytes.Length > file.Current.Length;
                var write = UnsyncedOperation.Written(path, file, bytes, offset, grows);
                storage.Begin(write);
                file.Current.Write(bytes, offset);
            }
        }

        public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
        {
            if (buffers.Count == 1)
            {
                WriteAt(buffers[0].Span, offset);
                return;
            }

            var all = new byte[buffers.Sum(buffer => buffer.Length)];
            var done = 0;
            foreach (var buffer in buffers)
            {
                buffer.Span.CopyTo(all.AsSpan(done));
                done += buffer.Length;
            }

            WriteAt(all, offset);
        }

        public void SetLength(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            lock (storage.gate)
            {
                BeginChange("set length");
                var change = UnsyncedOperation.LengthSet(path, file, length);
                storage.Begin(change);
                change.ApplyTo(file.Current);
            }
        }

        public bool HasBlocks => true;

        public void Preallocate(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            lock (storage.gate)
            {
                BeginChange("preallocate");
                var change = UnsyncedOperation.Preallocated(path, file, length);
                storage.Begin(change);
                change.ApplyTo(file.Current);
            }
        }

        public void DataSync()
        {
            lock (storage.gate)
            {
                BeginChange("datasync");
                storage.SyncFile("datasync", path, file, everything: false);
            }
        }

        public void Sync()
        {
            lock (storage.gate)
            {
                BeginChange("sync");
                storage.SyncFile("sync", path, file, everything: true);
            }
        }

        public void Dispose() => disposed = true;

        private void BeginRead()
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            storage.RefuseWithoutPower();
        }

        private void BeginChange(string operation)
        {
            BeginRead();
            if (!writable)
                throw Errno.RefusedAsReadOnly(operation, path);
        }
    }
}
