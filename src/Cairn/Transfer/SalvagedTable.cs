using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>An entry of a table that was read past its index.</summary>
/// <param name="Block">The data block, which was proven by its check.</param>
/// <param name="At">Where in it the entry begins.</param>
/// <param name="Key">Run and store key.</param>
internal readonly record struct SalvagedEntry(byte[] Block, int At, byte[] Key)
{
    internal RunId Run => RunId.Read(Key);

    internal ReadOnlySpan<byte> StoreKey => Key.AsSpan(RunId.Size);

    internal VersionView Version => DataBlock.View(Block, At);

    internal ulong Sequence => DataBlock.Sequence(Block, At);
}

/// <summary>A table of a damaged database. It is read from front to back, block after block: each is proven by its own check, so neither
/// the root nor an index nor the footer is needed, and behind a damaged block the next right one is sought. Without its header, where the
/// salt of the checks is, nothing of it can be proven.</summary>
internal sealed class SalvagedTable
{
    private const int WindowBytes = 1 << 20;
    private const int LevelsMax = TableFormat.LevelsMax;

    private readonly IStorage _source;
    private readonly List<SalvageLoss> _losses = [];
    private readonly List<(byte[] Before, byte[]? Behind)> _gaps = [];  // keys that can be read on both sides of what cannot
    private SealedFileHeader _header;

    private SalvagedTable(IStorage source, uint number, string path)
    {
        _source = source;
        Number = number;
        Path = path;
    }

    internal uint Number { get; }

    internal string Path { get; }

    /// <summary>What of it cannot be read. What is not data, an index or a footer, is no loss when all entries are there.</summary>
    internal IReadOnlyList<SalvageLoss> Losses => _losses;

    /// <summary>Entries are missing, as far as that can be known.</summary>
    internal bool HasLost { get; private set; }

    /// <summary>A key at or above the first and below the second may be one that cannot be read.</summary>
    internal bool MayLack(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        if (!HasLost)
            return false;
        foreach (var (before, behind) in _gaps)
        {
            if (to.SequenceCompareTo(before) > 0 && (behind is null || from.SequenceCompareTo(behind) < 0))
                return true;
        }

        return false;
    }

    /// <summary>Bytes that cannot be read.</summary>
    internal long LostBytes => _losses.Sum(loss => loss.Bytes);

    /// <summary>The highest of an entry; 0 = none can be read.</summary>
    internal ulong LastSequence { get; private set; }

    /// <summary>Commit time of the latest entry.</summary>
    internal long LastTime { get; private set; }

    /// <summary>Reads all of it once, to know what is there.</summary>
    /// <param name="source">The damaged database.</param>
    /// <param name="number">Of the table.</param>
    /// <param name="named">What a manifest says of it; null when none does.</param>
    /// <param name="databaseId">Zero when that is not known.</param>
    /// <param name="cancellationToken">Ends it.</param>
    internal static SalvagedTable Survey(
        IStorage source, uint number, TableInfo? named, UInt128 databaseId, CancellationToken cancellationToken)
    {
        var table = new SalvagedTable(source, number, LogNames.TablePath(number));
        try
        {
            table.Survey(named, databaseId, cancellationToken);
        }
        catch (Exception unreadable) when (unreadable is CairnException or StorageException)
        {
            table.Lose(0, named?.FileBytes ?? 0, unreadable.Message);
        }

        return table;
    }

    private void Survey(TableInfo? named, UInt128 databaseId, CancellationToken cancellationToken)
    {
        var bytes = new byte[SealedFileHeader.Size];
        using (var file = _source.Open(Path, writable: false))
        {
            if (file.ReadAt(bytes, 0) < bytes.Length || !SealedFileHeader.TryRead(TableFormat.Magic, bytes, out _header)
                || _header.Number != Number)
            {
                Lose(0, file.Length, "the header is damaged, and without it no block in the file can be proven");
                return;
            }

            if (databaseId != default && _header.DatabaseId != databaseId)
            {
                Lose(0, file.Length, "it belongs to another database");
                return;
            }

            _header.Format.Check(Path, forWriting: false);
        }

        var entries = 0L;
        foreach (var entry in Read(_losses, cancellationToken))
        {
            entries++;
            LastSequence = Math.Max(LastSequence, entry.Sequence);
            LastTime = Math.Max(LastTime, entry.Version.Time);
        }

        // Only the count tells an index that is damaged from entries that are.
        HasLost = (named?.Entries ?? FooterOf()?.Entries) is { } all ? entries < all : _losses.Count > 0;
        if (HasLost && _losses.Count == 0)
            Lose(0, 0, "entries are missing");
    }

    /// <summary>The entries that can be read, in order. What cannot was told by the survey.</summary>
    internal IEnumerable<SalvagedEntry> Entries(CancellationToken cancellationToken) =>
        _header.Number == Number ? Read(null, cancellationToken) : [];

    private IEnumerable<SalvagedEntry> Read(List<SalvageLoss>? losses, CancellationToken cancellationToken)
    {
        using var file = _source.Open(Path, writable: false);
        var salted = TableFormat.Salted(_header.Salt);
        var hasFooter = FooterOf() is not null;
        var end = hasFooter ? file.Length - TableFooter.Size : file.Length;
        var last = Array.Empty<byte>();
        SalvageLoss? open = null;                            // until the entry behind it is known
        for (long offset = SealedFileHeader.Size; offset < end;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (TryReadBlock(file, offset, end, salted) is not { } block)
            {
                var next = FindBlock(file, offset + 1, end, salted, cancellationToken);
                if (losses is not null && !(next == end && !hasFooter && end - offset <= TableFooter.Size))
                {
                    Close(losses, ref open, last, null);
                    open = new SalvageLoss(Path, offset, next - offset, Sequence.None, Sequence.None, "damaged");
                }

                offset = next;
                continue;
            }

            if (Block.Kind(block) == BlockKind.Data)
            {
                var prefix = DataBlock.Prefix(block).ToArray();
                for (var i = 0; i < Block.Count(block); i++)
                {
                    var at = DataBlock.OffsetOf(block, i);
                    byte[] key = [.. prefix, .. DataBlock.Suffix(block, at)];
                    if (key.Length <= RunId.Size)
                        continue;
                    Close(losses, ref open, last, key);
                    last = key;
                    yield return new SalvagedEntry(block, at, key);
                }
            }

            offset += block.Length;
        }

        Close(losses, ref open, last, null);
        if (!hasFooter)
        {
            losses?.Add(new SalvageLoss(
                Path, Math.Max(0, file.Length - TableFooter.Size), TableFooter.Size, Sequence.None, Sequence.None,
                "the footer is damaged"));
        }
    }

    private void Close(List<SalvageLoss>? losses, ref SalvageLoss? open, byte[] before, byte[]? behind)
    {
        if (open is null)
            return;
        losses!.Add(open with { Reason = $"damaged, between {NameOf(before, "its beginning")} and {NameOf(behind, "its end")}" });
        open = null;
        _gaps.Add((before, behind));
    }

    private static byte[]? TryReadBlock(IFile file, long offset, long end, uint salted)
    {
        var head = new byte[Block.HeaderBytes];
        if (end - offset < head.Length || file.ReadAt(head, offset) < head.Length || !MayBegin(head, end - offset))
            return null;
        var block = new byte[BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(12))];
        return file.ReadAt(block, offset) == block.Length
            && Block.FindFault(block, Block.Kind(head), Block.Level(head), salted, offset) is null ? block : null;
    }

    private static bool MayBegin(ReadOnlySpan<byte> head, long room)
    {
        var bytes = BinaryPrimitives.ReadInt32LittleEndian(head[12..]);
        return Block.Kind(head) is >= BlockKind.Data and <= BlockKind.Content && Block.Level(head) <= LevelsMax
            && (Block.Level(head) == 0 || Block.Kind(head) is BlockKind.Index or BlockKind.Content)
            && bytes >= Block.HeaderBytes && bytes <= Math.Min(room, TableFormat.BlockBytesMax);
    }

    /// <summary>The next offset at which a right block begins; the end when there is none.</summary>
    private static long FindBlock(IFile file, long from, long end, uint salted, CancellationToken cancellationToken)
    {
        var window = new byte[WindowBytes + Block.HeaderBytes];
        for (; from < end; from += WindowBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var read = file.ReadAt(window.AsSpan(0, (int)Math.Min(window.Length, end - from)), from);
            for (var i = 0; i < WindowBytes && i + Block.HeaderBytes <= read; i++)
            {
                if (MayBegin(window.AsSpan(i), end - from - i) && TryReadBlock(file, from + i, end, salted) is not null)
                    return from + i;
            }
        }

        return end;
    }

    private TableFooter? FooterOf()
    {
        using var file = _source.Open(Path, writable: false);
        Span<byte> bytes = stackalloc byte[TableFooter.Size];
        var offset = file.Length - TableFooter.Size;
        return offset >= SealedFileHeader.Size && file.ReadAt(bytes, offset) == bytes.Length
            && TableFooter.IsRight(TableFormat.Salted(_header.Salt), offset, bytes) ? TableFooter.Read(bytes) : null;
    }

    private void Lose(long offset, long bytes, string reason)
    {
        HasLost = true;
        _gaps.Add(([], null));
        _losses.Add(new SalvageLoss(Path, offset, bytes, Sequence.None, Sequence.None, reason));
    }

    private static string NameOf(byte[]? key, string otherwise) =>
        key is { Length: > RunId.Size } ? SalvageImage.NameOf(RunId.Read(key), key.AsSpan(RunId.Size)) : otherwise;
}
