namespace Cairn.Storage;

/// <summary>Paths inside a storage: relative, '/'-separated, made by the engine alone. The empty path is the root directory.</summary>
internal static class StoragePath
{
    /// <summary>Checks the path of a file or a directory below the root.</summary>
    internal static void Check(string path)
    {
        Invariant.Check(path.Length > 0, "a storage path is not empty");
        CheckDirectory(path);
    }

    /// <summary>Checks the path of a directory, which may be the root.</summary>
    internal static void CheckDirectory(string path)
    {
        if (path.Length == 0)
            return;
        foreach (var part in path.AsSpan().Split('/'))
        {
            var name = path.AsSpan()[part];
            Invariant.Check(
                name.Length > 0 && !name.SequenceEqual(".") && !name.SequenceEqual("..") && name.IndexOfAny('\\', '\0') < 0,
                "a storage path has plain names between single slashes");
        }
    }

    internal static string Parent(string path)
    {
        var slash = path.LastIndexOf('/');
        return slash < 0 ? "" : path[..slash];
    }

    internal static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];
}
