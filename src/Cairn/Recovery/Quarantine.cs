using System.Globalization;
using System.Text;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Recovery;

/// <summary>Where recovery keeps what it cut off or set aside; never emptied by the engine (7.5). Each item is durable before a
/// manifest says that it is no longer part of the database. Doing it again after a crash changes nothing.</summary>
internal sealed class Quarantine(IStorage storage, RecoveryFindings findings)
{
    private const string Report = ".report";

    /// <summary>Keeps a copy of bytes that are cut off.</summary>
    internal void Keep(string name, IFile source, long offset, long bytes, string report)
    {
        EnsureDirectory();
        var path = PathOf(name);
        if (!storage.Exists(path))
        {
            var content = new byte[bytes];
            var read = source.ReadAt(content, offset);
            PublishedFile.Write(storage, path, content.AsSpan(0, read));
        }

        KeepReport(path, report);
        findings.Quarantine(path);
    }

    /// <summary>Sets a whole file aside.</summary>
    internal void Move(string path, string report)
    {
        EnsureDirectory();
        var name = path.Replace('/', '-');
        var target = PathOf(name);
        for (var n = 2; storage.Exists(target); n++)
            target = PathOf(string.Create(CultureInfo.InvariantCulture, $"{name}-{n}"));
        KeepReport(target, report);
        PublishedFile.Rename(storage, path, target);
        PublishedFile.SyncDirectory(storage, PublishedFile.DirectoryOf(path));
        findings.Quarantine(target);
    }

    private static string PathOf(string name) => LogNames.QuarantineDirectory + "/" + name;

    private void EnsureDirectory()
    {
        storage.CreateDirectory(LogNames.QuarantineDirectory);
        PublishedFile.SyncDirectory(storage, LogNames.Root);
    }

    private void KeepReport(string path, string report)
    {
        if (!storage.Exists(path + Report))
            PublishedFile.Write(storage, path + Report, Encoding.ASCII.GetBytes(report));
    }
}
