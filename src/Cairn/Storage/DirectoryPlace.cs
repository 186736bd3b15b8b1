namespace Cairn.Storage;

/// <summary>Where a directory stands, for those who are about to fill it: asked before anything is written.</summary>
internal static class DirectoryPlace
{
    /// <summary>Deeper than any path that the system takes.</summary>
    private const int DepthMax = 4096;

    /// <summary>The first thing in a directory beside a lock file and the empty directories named; null when it is empty or
    /// absent.</summary>
    /// <param name="mayBeEmpty">Names of directories that a try before may have left.</param>
    internal static string? FindContent(string path, params ReadOnlySpan<string> mayBeEmpty)
    {
        var full = Path.GetFullPath(path);
        if (File.Exists(full))
            return full;
        if (!Directory.Exists(full))
            return null;
        try
        {
            foreach (var entry in Directory.EnumerateFileSystemEntries(full))
            {
                var name = Path.GetFileName(entry);
                if (name == DirectoryLock.FileName || (mayBeEmpty.Contains(name) && IsEmptyDirectory(entry)))
                    continue;
                return name;
            }

            return null;
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new StorageException(StorageError.AccessDenied, "list", full, 0, refused.Message);
        }
    }

    /// <summary>True when a directory, there or yet to be made, is another one or lies below it, whatever links lead there.</summary>
    internal static bool IsInside(string path, string directory)
    {
        var existing = Path.GetFullPath(path);
        while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent)
            existing = parent;
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess)
            return IsBelow(existing, Path.GetFullPath(directory));
        if (!TryIdentify(Path.GetFullPath(directory), out var sought))
            return false;

        // The system's "..": the directory that really holds it, not the one that its name tells.
        var before = default((ulong, ulong));
        for (var depth = 0; depth < DepthMax && TryIdentify(existing, out var at) && at != before; depth++)
        {
            if (at == sought)
                return true;
            before = at;
            existing += "/..";
        }

        return false;
    }

    private static bool IsEmptyDirectory(string path) =>
        Directory.Exists(path) && new DirectoryInfo(path).LinkTarget is null && !Directory.EnumerateFileSystemEntries(path).Any();

    private static bool IsBelow(string path, string directory) =>
        (path + Path.DirectorySeparatorChar).StartsWith(directory + Path.DirectorySeparatorChar, StringComparison.OrdinalIgnoreCase);

    private static bool TryIdentify(string path, out (ulong Device, ulong Inode) identity)
    {
        identity = default;
        LinuxCalls.OpenRoot(path, out var handle);
        using (handle)
        {
            if (handle is null || LinuxCalls.Status(handle, out var status) < 0)
                return false;
            identity = (status.Device, status.Inode);
            return true;
        }
    }
}
