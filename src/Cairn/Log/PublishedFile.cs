using Cairn.Storage;

namespace Cairn.Log;

/// <summary>How a file becomes part of the database, always in this order (durability rule 2.4): write it aside under a name
/// ending in <c>.part</c>, sync it, rename it without replacing, sync the directory. Only then may a manifest name it.</summary>
internal static class PublishedFile
{
    /// <summary>Writes and publishes a whole small file.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Exists"/>: someone else published under this name.</exception>
    internal static void Write(IStorage storage, string path, ReadOnlySpan<byte> content)
    {
        using (var file = storage.CreateNew(path + LogNames.Part))
        {
            file.WriteAt(content, 0);
            Failpoint.Hit("file.written-before-sync");
            Sync(file);
        }

        Failpoint.Hit("file.synced-before-named");
        Rename(storage, path + LogNames.Part, path);
    }

    internal static void Sync(IFile file)
    {
        if (!Mutant.Is("no-sync-before-rename"))
            file.Sync();
    }

    /// <summary>Gives a synced file its final name, durably.</summary>
    internal static void Rename(IStorage storage, string oldPath, string newPath)
    {
        storage.Rename(oldPath, newPath);
        Failpoint.Hit("file.named-before-directory-sync");
        SyncDirectory(storage, DirectoryOf(newPath));
    }

    internal static void SyncDirectory(IStorage storage, string directory)
    {
        if (!Mutant.Is("no-directory-sync"))
            storage.SyncDirectory(directory);
    }

    internal static string DirectoryOf(string path) => path.LastIndexOf('/') is var slash and >= 0 ? path[..slash] : LogNames.Root;
}
