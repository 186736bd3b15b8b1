// Who holds a directory. One owner, or any number of readers, never both; across processes by flock, within one by a table.
//
//   1. The table of this process, by device and inode: a symbolic link or a bind mount leads to the same entry.
//   2. flock on the directory itself. Its inode cannot be deleted under a live owner, as a LOCK file can. A network file system
//      that cannot lock a directory says EBADF: then step 3 stands alone.
//   3. flock on LOCK, then a look whether the name still means the file that was locked; if not, once more from the open.
//   4. Only now the owner's text is written into LOCK, for people and for attaching. Old text in it proves nothing: neither that
//      its writer lives nor that it may be robbed.
//
// An owner takes both locks exclusively, a reader shares them (LOCK only if it is there: a reader creates nothing, so a medium
// that cannot be written will do). LOCK is never unlinked. The table keeps the handles, so that no finalizer can let go of a
// lock that nobody released.
//
//      owner                          reader                         what stops the other
//      directory LOCK_EX              directory LOCK_SH              this line, whatever happens to LOCK
//      LOCK      LOCK_EX, text        LOCK      LOCK_SH if present   this line, where the one above is refused
//
// It does not fence: where flock lies, the epoch in the manifest does that (durability rule 10.3 of the design).

using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Cairn.Storage;

/// <summary>The lock on an open directory, released by disposing it.</summary>
internal sealed class DirectoryLock : IDisposable
{
    internal const string FileName = "LOCK";
    private const string Operation = "lock";
    private const int Mode = 0b110_000_000;
    private const int TextBytesMax = 4096;      // chosen: one page, read and written in one call
    private const int TriesMax = 100;           // chosen: someone who replaces LOCK a hundred times does it on purpose

    private static readonly Lock Gate = new();
    private static readonly Dictionary<(ulong Device, ulong Inode), List<DirectoryLock>> Held = [];
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private static readonly UTF8Encoding Lenient = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: false);

    private readonly (ulong Device, ulong Inode) key;
    private readonly bool shared;
    private readonly string ownerText;
    private SafeFileHandle? directory;
    private SafeFileHandle? file;
    private bool released;

    private DirectoryLock((ulong Device, ulong Inode) key, bool shared, string ownerText)
    {
        this.key = key;
        this.shared = shared;
        this.ownerText = ownerText;
    }

    /// <param name="root">An open handle of the directory; it is not kept.</param>
    /// <param name="ownerText">Of the new owner; a reader leaves none.</param>
    /// <param name="shared">For a reader.</param>
    internal static DirectoryLock Take(SafeFileHandle root, string ownerText, bool shared)
    {
        Succeeded(LinuxCalls.Status(root, out var status));
        var taken = new DirectoryLock((status.Device, status.Inode), shared, ownerText);
        lock (Gate)
        {
            var holders = Held.GetValueOrDefault(taken.key, []);
            foreach (var holder in holders)
            {
                if (!shared || !holder.shared)
                    throw Refusal(holder.shared ? "open for reading in this process" : holder.ownerText);
            }

            try
            {
                taken.LockDirectory(root);
                taken.LockFile(root);
            }
            catch
            {
                taken.Release();
                throw;
            }

            holders.Add(taken);
            Held[taken.key] = holders;
        }

        return taken;
    }

    public void Dispose()
    {
        lock (Gate)
        {
            if (released)
                return;
            released = true;
            Release();
            var holders = Held[key];
            holders.Remove(this);
            if (holders.Count == 0)
                Held.Remove(key);
        }
    }

    private int Kind => shared ? LinuxCalls.LockShared : LinuxCalls.LockExclusive;

    private void LockDirectory(SafeFileHandle root)
    {
        Succeeded(LinuxCalls.Open(root, ".", LinuxCalls.ForReading | LinuxCalls.OnlyDirectory, 0, out directory));
        var outcome = LinuxCalls.TryLock(directory!, Kind);
        if (outcome == -Errno.WouldBlock)
            throw Refusal(HolderText(root, directory!));
        if (outcome != -Errno.BadDescriptor)
            Succeeded(outcome);
    }

    private void LockFile(SafeFileHandle root)
    {
        var flags = shared ? LinuxCalls.ForReading : LinuxCalls.ForWriting | LinuxCalls.Create;
        for (var tries = 0; tries < TriesMax; tries++)
        {
            var outcome = LinuxCalls.Open(root, FileName, flags | LinuxCalls.NoFollow, Mode, out file);
            if (shared && outcome == -Errno.NoEntry)
                return;
            Succeeded(outcome);
            outcome = LinuxCalls.TryLock(file!, Kind);
            if (outcome == -Errno.WouldBlock)
                throw Refusal(HolderText(root, file!));
            Succeeded(outcome);
            Succeeded(LinuxCalls.Status(file!, out var locked));
            if (LinuxCalls.Status(root, FileName, out var named) >= 0 && named.Inode == locked.Inode && named.Device == locked.Device)
            {
                if (!shared)
                    WriteText(file!);
                return;
            }

            file!.Dispose();
        }

        throw new StorageException(StorageError.Io, Operation, FileName, 0, "the name LOCK keeps changing its file");
    }

    /// <summary>In place and ended by a NUL until the length follows, so that it needs no new space on a full disk and a reader in
    /// between sees the new text alone.</summary>
    private void WriteText(SafeFileHandle lockFile)
    {
        var bytes = Strict.GetBytes(ownerText + '\0');
        Invariant.Check(bytes.Length <= TextBytesMax, "the owner's text fits into a page");
        var written = LinuxCalls.Write(lockFile, bytes, 0);
        Succeeded(written);
        if (written < bytes.Length)
            throw new StorageException(StorageError.Io, Operation, FileName, 0, "the owner's text was written in part");
        Succeeded(LinuxCalls.SetLength(lockFile, bytes.Length - 1));
    }

    private void Release()
    {
        // Unlocked by name as well: a child that was forked a moment ago may hold a copy of the handle until it starts its program.
        if (file is { IsClosed: false })
            _ = LinuxCalls.Unlock(file);
        if (directory is { IsClosed: false })
            _ = LinuxCalls.Unlock(directory);
        file?.Dispose();
        directory?.Dispose();
    }

    /// <summary>The present owner's text; or that readers hold it, which is so if we could share it with them.</summary>
    private static string HolderText(SafeFileHandle root, SafeFileHandle contended)
    {
        if (LinuxCalls.TryLock(contended, LinuxCalls.LockShared) >= 0)
        {
            _ = LinuxCalls.Unlock(contended);
            return "open for reading in another process";
        }

        if (LinuxCalls.Open(root, FileName, LinuxCalls.ForReading | LinuxCalls.NoFollow, 0, out var handle) < 0)
            return "";
        using (handle)
        {
            var buffer = new byte[TextBytesMax];
            var read = (int)Math.Max(0, LinuxCalls.Read(handle!, buffer, 0));
            var text = buffer.AsSpan(0, read);
            var end = text.IndexOf((byte)0);
            return Lenient.GetString(end < 0 ? text : text[..end]);
        }
    }

    private static void Succeeded(long outcome)
    {
        if (outcome < 0)
            throw Errno.Failure(Operation, FileName, (int)-outcome);
    }

    private static StorageException Refusal(string holder) =>
        new(StorageError.Locked, Operation, FileName, Errno.WouldBlock, holder);
}
