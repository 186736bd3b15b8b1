using Cairn.Codec;
using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>The large values that tables refer to, from whichever file of a damaged database holds them. A reference has a check of its
/// own: so segments give them whose headers are damaged, if a manifest says where they lie. An archive names its pieces itself, and
/// without its header or footer none of it can be found.</summary>
internal sealed class SalvageContents : IDisposable
{
    private readonly IStorage _source;
    private readonly List<SalvageLoss> _losses;
    private readonly List<(ulong Base, uint Number)> _segments = [];
    private readonly List<Archive> _archives = [];
    private readonly Dictionary<uint, IFile> _files = [];

    /// <param name="source">The damaged database.</param>
    /// <param name="manifest">Null when none can be read.</param>
    /// <param name="segments">Headers that can be read.</param>
    /// <param name="archives">Numbers of the archive files that are there.</param>
    /// <param name="databaseId">Of the database.</param>
    /// <param name="losses">Gets what of the archives cannot be read, when it is needed.</param>
    internal SalvageContents(
        IStorage source, Manifest? manifest, IReadOnlyList<SegmentHeader> segments, IReadOnlyList<uint> archives, UInt128 databaseId,
        List<SalvageLoss> losses)
    {
        _source = source;
        _losses = losses;
        var bases = new SortedDictionary<ulong, uint>();
        foreach (var named in manifest?.Segments ?? [])
            bases[named.BasePosition] = named.Number;
        foreach (var header in segments)
            bases[header.BasePosition] = header.Number;
        _segments.AddRange(bases.Select(pair => (pair.Key, pair.Value)));
        foreach (var number in archives)
        {
            var named = manifest?.Archives.FirstOrDefault(archive => archive.Number == number) ?? default;
            if (named.Number == number || (manifest is null && TryName(number, out named)))
                _archives.Add(new Archive(source, named, databaseId));
        }

        foreach (var missing in manifest?.Archives.Where(archive => !archives.Contains(archive.Number)) ?? [])
            Lose(LogNames.ArchivePath(missing.Number), 0, missing.FileBytes, "the file is missing", isHistory: true);
    }

    /// <summary>Those that can be found, in the order of the log.</summary>
    internal IEnumerable<Archive> Archives => _archives.OrderBy(archive => archive.FirstPosition);

    /// <summary>The value of a version, wherever it stands.</summary>
    /// <returns>Null when its content is lost.</returns>
    internal byte[]? ValueOf(in SalvagedEntry entry)
    {
        var version = entry.Version;
        if (!version.IsContent)
            return version.Value.ToArray();
        var reference = version.Reference;
        if (reference.Length is <= 0 or > RecordFrame.PayloadBytesMax)
            return null;
        var bytes = new byte[reference.Length];
        return (TryReadSegment(reference, bytes) || TryReadArchive(reference, bytes)) ? bytes : null;
    }

    private bool TryReadSegment(in ContentReference reference, byte[] bytes)
    {
        var position = reference.Position;
        var at = _segments.FindLastIndex(segment => segment.Base <= position);
        if (at < 0)
            return false;
        try
        {
            if (!_files.TryGetValue(_segments[at].Number, out var file))
            {
                file = _source.Open(LogNames.SegmentPath(_segments[at].Number), writable: false);
                _files.Add(_segments[at].Number, file);
            }

            return file.ReadAt(bytes, SegmentHeader.Size + (long)(position - _segments[at].Base)) == bytes.Length
                && Crc32C.Of(bytes) == reference.Check;
        }
        catch (StorageException)
        {
            return false;                                    // the reading of the log tells it
        }
    }

    private bool TryReadArchive(in ContentReference reference, byte[] bytes)
    {
        foreach (var archive in _archives)
        {
            if (reference.Position < archive.FirstPosition || reference.Position >= archive.EndPosition)
                continue;
            try
            {
                if (archive.Read(reference.Position, bytes) == bytes.Length && Crc32C.Of(bytes) == reference.Check)
                    return true;
            }
            catch (CorruptionException damage)
            {
                Lose(archive.Path, damage.Offset, 0, $"damaged: there should be {damage.Expected}");
            }
            catch (Exception unreadable) when (unreadable is CairnException or StorageException)
            {
                Lose(archive.Path, 0, 0, unreadable.Message);
            }
        }

        return false;
    }

    private bool TryName(uint number, out ManifestArchive named)
    {
        named = default;
        var path = LogNames.ArchivePath(number);
        try
        {
            using var file = _source.Open(path, writable: false);
            Span<byte> bytes = stackalloc byte[SealedFileHeader.Size];
            if (file.ReadAt(bytes, 0) == bytes.Length && SealedFileHeader.TryRead(ArchiveFormat.Magic, bytes, out var header))
            {
                var offset = file.Length - ArchiveFooter.Size;
                bytes = bytes[..ArchiveFooter.Size];
                if (offset > SealedFileHeader.Size && file.ReadAt(bytes, offset) == bytes.Length
                    && ArchiveFooter.TryRead(SealedFileHeader.Salted(header.Salt), offset, bytes, out var footer))
                {
                    named = new ManifestArchive(number, file.Length, footer.FirstPosition, footer.EndPosition, default);
                    return true;
                }
            }

            Lose(path, 0, file.Length, "the header or the footer is damaged, and without them nothing in the file can be found",
                isHistory: true);
        }
        catch (StorageException unreadable)
        {
            Lose(path, 0, 0, unreadable.Message);
        }

        return false;
    }

    /// <summary>Tells it once for each place.</summary>
    internal void Lose(string path, long offset, long bytes, string reason, bool isHistory = false)
    {
        if (!_losses.Exists(loss => loss.File == path && loss.Offset == offset))
            _losses.Add(new SalvageLoss(path, offset, bytes, Sequence.None, Sequence.None, reason) { IsHistory = isHistory });
    }

    public void Dispose()
    {
        foreach (var archive in _archives)
            archive.Dispose();
        foreach (var file in _files.Values)
            file.Dispose();
    }
}
