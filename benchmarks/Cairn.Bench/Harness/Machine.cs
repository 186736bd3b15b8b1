using System.Runtime.InteropServices;

namespace Cairn.Bench.Harness;

/// <summary>What a figure is worth nothing without: hardware, system, runtime, commit.</summary>
internal sealed record Machine(string Processor, int Cores, string Memory, string Disk, string Kernel, string Runtime, string Commit)
{
    /// <param name="directory">Where the files of the benchmark lie.</param>
    internal static Machine Describe(string directory) => new(
        Field("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30):0} GiB",
        DiskOf(directory),
        RuntimeInformation.OSDescription,
        $"{RuntimeInformation.FrameworkDescription} {RuntimeInformation.RuntimeIdentifier}",
        Environment.GetEnvironmentVariable("CAIRN_BENCH_COMMIT") ?? "unknown");

    private static string DiskOf(string directory)
    {
        var drive = DriveInfo.GetDrives()
            .Where(drive => directory.StartsWith(drive.Name, StringComparison.Ordinal))
            .MaxBy(drive => drive.Name.Length);
        return drive?.DriveFormat ?? "unknown";
    }

    private static string? Field(string file, string name) => File.ReadLines(file)
        .FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?
        .Split(':', 2)[1].Trim();
}
