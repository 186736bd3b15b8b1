using System.Runtime.InteropServices;

namespace Cairn.Bench.Peers;

/// <summary>Looks for a peer's shared library when the benchmark runs; nothing of a peer is needed to build it.</summary>
internal static class SharedLibrary
{
    /// <summary>Null when the library loads, otherwise the reason to print.</summary>
    internal static string? Missing(string library) =>
        NativeLibrary.TryLoad(library, typeof(SharedLibrary).Assembly, null, out _) ? null : $"{library} is not installed";
}
