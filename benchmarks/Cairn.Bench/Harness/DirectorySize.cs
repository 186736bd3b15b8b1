namespace Cairn.Bench.Harness;

/// <summary>Bytes that the files of a directory take, as long as they are.</summary>
internal static class DirectorySize
{
    internal static long Bytes(string directory) => new DirectoryInfo(directory)
        .EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}
