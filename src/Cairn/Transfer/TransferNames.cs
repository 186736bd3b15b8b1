using Cairn.Log;

namespace Cairn.Transfer;

/// <summary>The files of a database, by its manifest. No path is ever taken from what a backup says of itself.</summary>
internal static class TransferNames
{
    /// <summary>Where they lie.</summary>
    internal static readonly string[] Directories = [LogNames.LogDirectory, LogNames.TableDirectory, LogNames.ArchiveDirectory];

    /// <summary>A segment that ended.</summary>
    internal static NamedFile Of(in ManifestSegment segment) =>
        new(LogNames.SegmentPath(segment.Number), segment.FileBytes, segment.Digest, segment.FirstSequence);

    /// <summary>All files, the open segment among them.</summary>
    internal static IEnumerable<NamedFile> Of(Manifest manifest) =>
        [.. NamedFile.Of(manifest), .. manifest.Segments.Select(segment => Of(segment))];
}
