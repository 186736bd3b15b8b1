using Cairn.Storage;

namespace Cairn.Log;

/// <summary>A file that a manifest names and that never changes.</summary>
/// <param name="Sequence">Lowest sequence in it, for messages; 0 when that is not known.</param>
internal readonly record struct NamedFile(string Path, long Bytes, Digest Digest, ulong Sequence)
{
    /// <summary>The tables and archives of a manifest.</summary>
    internal static IEnumerable<NamedFile> Of(Manifest manifest) =>
    [
        .. manifest.Tables.Select(table => new NamedFile(table.Path, table.FileBytes, table.Digest, table.FirstSequence)),
        .. manifest.Archives.Select(archive => new NamedFile(LogNames.ArchivePath(archive.Number), archive.FileBytes, archive.Digest, 0)),
    ];
}

/// <summary>The database as one manifest names it, held for a reader of whole files: what retention or merging gives up meanwhile stays
/// readable until this is disposed. Holds handles and no lock.</summary>
internal sealed class LogCapture : IDisposable
{
    private readonly List<(SegmentFile Segment, IFile File)> _segments = [];
    private readonly List<(NamedFile Named, IFile File)> _files = [];

    private LogCapture(Manifest manifest, ulong position)
    {
        Manifest = manifest;
        Position = position;
    }

    internal Manifest Manifest { get; }

    /// <summary>Who reads, for who asks what keeps files.</summary>
    internal string Holder { get; init; } = "";

    /// <summary>When that began, microseconds since 1970.</summary>
    internal long Began { get; init; }

    /// <summary>Called once, by <see cref="Dispose"/>.</summary>
    internal Action<LogCapture>? Released { get; set; }

    /// <summary>Every byte of the log below was synced; in the last segment of the manifest, or at its base.</summary>
    internal ulong Position { get; }

    /// <summary>Tables and archives.</summary>
    internal IReadOnlyList<(NamedFile Named, IFile File)> Files => _files;

    /// <summary>The file of the manifest's segment at an index.</summary>
    internal IFile SegmentAt(int index) => _segments[index].File;

    /// <summary>Null when something is no longer part of the database: the caller looks again, at a newer manifest.</summary>
    /// <exception cref="StorageException">A file that the manifest names is missing, or the system refused.</exception>
    internal static LogCapture? TryHold(
        IStorage storage, Manifest manifest, ReadOnlySpan<SegmentFile> segments, ulong position, Func<bool> isNewest, string holder,
        long began)
    {
        Invariant.Check(segments.Length == manifest.Segments.Count, "the log has the segments that its manifest names");
        var held = new LogCapture(manifest, position) { Holder = holder, Began = began };
        try
        {
            foreach (var segment in segments)
            {
                if (segment.TryPin() is not { } file)
                {
                    held.Dispose();
                    return null;
                }

                held._segments.Add((segment, file));
            }

            foreach (var named in NamedFile.Of(manifest))
                held._files.Add((named, storage.Open(named.Path, writable: false)));
            return held;
        }
        catch (StorageException gone) when (gone.Error == StorageError.NotFound && !isNewest())
        {
            held.Dispose();
            return null;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Released?.Invoke(this);
        Released = null;
        foreach (var (segment, _) in _segments)
            segment.Unpin();
        foreach (var (_, file) in _files)
            file.Dispose();
        _segments.Clear();
        _files.Clear();
    }
}
