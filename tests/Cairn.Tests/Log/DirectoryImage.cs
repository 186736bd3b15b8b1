using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tests.Log;

/// <summary>The files of a database as plain bytes, to be damaged and opened.</summary>
internal sealed class DirectoryImage
{
    internal static IReadOnlyList<string> Directories { get; } =
        ["", LogNames.LogDirectory, LogNames.TableDirectory, LogNames.ArchiveDirectory, LogNames.QuarantineDirectory];

    internal SortedDictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    internal static DirectoryImage Of(IStorage storage)
    {
        var image = new DirectoryImage();
        foreach (var directory in Directories)
        {
            foreach (var name in storage.List(directory))
            {
                var path = directory.Length == 0 ? name : directory + "/" + name;
                if (path == LogNames.Reserve)
                    continue;
                using var file = storage.Open(path, writable: false);
                var bytes = new byte[file.Length];
                file.ReadAt(bytes, 0);
                image.Files.Add(path, bytes);
            }
        }

        return image;
    }

    internal MemoryStorage ToStorage(long capacityBytes = long.MaxValue)
    {
        var storage = new MemoryStorage(capacityBytes);
        foreach (var directory in Directories.Skip(1))
            storage.CreateDirectory(directory);
        foreach (var (path, bytes) in Files)
        {
            using var file = storage.CreateNew(path);
            file.WriteAt(bytes, 0);
        }

        return storage;
    }

    internal bool Equals(DirectoryImage other) =>
        Files.Count == other.Files.Count
        && Files.All(file => other.Files.TryGetValue(file.Key, out var bytes) && file.Value.AsSpan().SequenceEqual(bytes));
}
