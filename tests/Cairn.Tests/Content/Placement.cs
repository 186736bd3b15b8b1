using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>The log and its archives as the newest manifest on a disk names them: whether all of it is there, and what lies
/// where.</summary>
internal static class Placement
{
    /// <summary>Reads the known bytes of the log by their positions.</summary>
    /// <returns>Segments and archives that are named.</returns>
    internal static (int Segments, int Archives) Check(IStorage storage, IReadOnlyCollection<(ulong Position, byte[] Bytes)> known)
    {
        var number = storage.List(LogNames.Root).Max(name => LogNames.TryParseManifest(name, out var found) ? found : 0);
        var manifest = Manifest.Load(storage, number, forWriting: false, out _);
        using var archives = new ArchiveSet(storage, manifest.DatabaseId, manifest.Archives);
        foreach (var archive in archives.Archives)
            archive.Verify();
        foreach (var (position, bytes) in known)
        {
            var found = new byte[bytes.Length];
            var read = manifest.Segments[0].BasePosition <= position
                ? ReadSegment(storage, manifest.Segments.Last(segment => segment.BasePosition <= position), position, found)
                : archives.Read(position, found);
            Assert.Equal(bytes.Length, read);
            Assert.True(bytes.AsSpan().SequenceEqual(found), $"the bytes at {position} are others");
        }

        return (manifest.Segments.Count, manifest.Archives.Count);
    }

    private static int ReadSegment(IStorage storage, in ManifestSegment named, ulong position, byte[] target)
    {
        using var file = storage.Open(LogNames.SegmentPath(named.Number), writable: false);
        return file.ReadAt(target, SegmentHeader.Size + (long)(position - named.BasePosition));
    }
}
