using Cairn.Log;

namespace Cairn.Tables;

/// <summary>Looks at all of a table, in steps: the digest of the file, then every entry by the way that a point read goes, the order, the
/// counts and the contents. Data blocks do not stay in the cache. Not thread-safe.</summary>
internal sealed class TableVerification(Table table) : IDisposable
{
    private const int PieceBytes = 1 << 20;

    private readonly RunningDigest _digest = new();
    private readonly TableCursor _cursor = new(table, keep: false);
    private byte[]? _piece = new byte[PieceBytes];
    private long _hashed;
    private byte[] _last = [];
    private int _lastBytes;
    private ulong _lastSequence;
    private long _entries, _keys, _tombstones, _contents, _contentBytes;
    private ulong _lowest = ulong.MaxValue, _highest, _contentSum;

    /// <summary>Does a bounded piece.</summary>
    /// <param name="entries">How many entries to look at, once the digest is done.</param>
    /// <returns>True when all is done and right.</returns>
    /// <exception cref="CorruptionException">Something is not.</exception>
    internal bool Step(int entries)
    {
        if (_piece is not null)
        {
            StepDigest(_piece);
            return false;
        }

        for (; entries > 0; entries--)
        {
            if (!(_entries == 0 ? _cursor.MoveToFirst() : _cursor.MoveNext()))
            {
                CheckCounts();
                CheckContents();
                return true;
            }

            CheckEntry();
        }

        return false;
    }

    public void Dispose() => _digest.Dispose();

    private void StepDigest(byte[] piece)
    {
        var bytes = (int)Math.Min(piece.Length, table.Info.FileBytes - _hashed);
        table.ReadRaw(piece.AsSpan(0, bytes), _hashed);
        _digest.Append(piece.AsSpan(0, bytes));
        _hashed += bytes;
        if (_hashed < table.Info.FileBytes)
            return;
        _piece = null;
        if (_digest.Current() != table.Info.Digest)
            throw table.Damaged(0, "the file that the manifest's digest was taken of");
    }

    private void CheckEntry()
    {
        var key = _cursor.Key;
        var version = _cursor.Version;
        var order = _entries == 0 ? 1 : key.SequenceCompareTo(_last.AsSpan(0, _lastBytes));
        if (key.Length < RunId.Size || order < 0 || (order == 0 && version.Sequence >= _lastSequence))
            throw table.Damaged(_cursor.Place.Offset, "entries in order");
        if (_cursor.IsAgain != (order == 0) || version.Sequence == 0 || version.Created > version.Sequence)
            throw table.Damaged(_cursor.Place.Offset, "entries that say rightly what they are");
        var hash = TableHash.Of(key);
        if (!table.TryPlace(key, hash, version.Sequence, out var place) || place != _cursor.Place
            || DataBlock.Find(_cursor.Data, key, hash, version.Sequence) != _cursor.Entry)
            throw table.Damaged(_cursor.Place.Offset, "entries that index, filter and slots lead to");

        if (order > 0)
            _keys++;
        _entries++;
        if (_last.Length < key.Length)
            _last = new byte[2 * key.Length];
        key.CopyTo(_last);
        _lastBytes = key.Length;
        _lastSequence = version.Sequence;
        _lowest = Math.Min(_lowest, version.Sequence);
        _highest = Math.Max(_highest, version.Sequence);
        _tombstones += version.IsTombstone ? 1 : 0;
        if (version.IsContent)
            AddContent(ContentExtent.Of(version.Stored), +1);
    }

    private void CheckCounts()
    {
        var footer = table.Footer;
        if (footer.Entries != _entries || footer.Keys != _keys || footer.Tombstones != _tombstones
            || footer.FirstSequence != (_entries == 0 ? 0 : _lowest) || footer.LastSequence != _highest
            || footer.ContentReferences != _contents || footer.ContentBytes != _contentBytes)
            throw table.Damaged(table.Info.FileBytes - TableFooter.Size, "the counts of its entries");
    }

    // Both sides come in orders of their own: a sum of hashes compares them as bags.
    private void CheckContents()
    {
        var last = default(ContentExtent);
        foreach (var extent in table.ReadContents())
        {
            if (extent.CompareTo(last) < 0)
                throw table.Damaged(table.Footer.ContentRoot.Offset, "contents in the order of their positions");
            last = extent;
            AddContent(extent, -1);
        }

        if (_contents != 0 || _contentBytes != 0 || _contentSum != 0)
            throw table.Damaged(table.Footer.ContentRoot.Offset, "the contents that its entries refer to");
    }

    private void AddContent(ContentExtent extent, int sign)
    {
        Span<byte> bytes = stackalloc byte[ContentBlock.EntryBytes];
        extent.Write(bytes);
        _contents += sign;
        _contentBytes += sign * (long)extent.Length;
        _contentSum += sign > 0 ? TableHash.Of(bytes) : 0 - TableHash.Of(bytes);
    }
}
