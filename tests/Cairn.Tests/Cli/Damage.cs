using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tests.Cli;

/// <summary>What can happen to files while nobody looks.</summary>
internal static class Damage
{
    /// <summary>The newest manifest says format 2.0, with right checks.</summary>
    internal static void MakeNewer(string directory)
    {
        using var storage = DiskStorage.OpenOrCreate(directory, createIfMissing: false, readOnly: true);
        var number = storage.List("").Where(name => LogNames.TryParseManifest(name, out _)).Select(name => LogNames.TryParseManifest(name,
            out var n) ? n : 0).Max();
        var manifest = Manifest.Load(storage, number, forWriting: false, out _);
        var newer = manifest with { Format = new FormatFeatures(2, 0, 0, 0, 0) };
        File.WriteAllBytes(Path.Combine(directory, newer.Name), newer.Encode());
    }

    /// <summary>Turns one byte of the first segment around.</summary>
    internal static void Flip(string directory, long offset)
    {
        var segment = Directory.GetFiles(Path.Combine(directory, "log"), "*.segment").Order(StringComparer.Ordinal).First();
        using var file = new FileStream(segment, FileMode.Open);
        file.Position = offset;
        var old = file.ReadByte();
        file.Position = offset;
        file.WriteByte((byte)(old ^ 0xFF));
    }

    /// <summary>What a killed owner leaves: a copy of the directory while it is open.</summary>
    internal static string CopyWhileOpen(CairnDatabase database, string directory, string copy)
    {
        database.Sync();
        Directory.CreateDirectory(Path.Combine(copy, "log"));
        foreach (var file in Directory.GetFiles(directory, "*",
            SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != "LOCK"))
            File.Copy(file, Path.Combine(copy, Path.GetRelativePath(directory, file)));
        return copy;
    }
}
