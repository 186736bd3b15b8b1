using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Recovery;

/// <summary>The beginning of the segment that an opening appends to, built in memory before anything is written: header, copies
/// of the records in [floor, cut), and the record that names the opening. All of it is below copied-to and synced before the
/// segment gets its name.</summary>
/// <remarks>Why the position space stays contiguous: a copy has the length of its original, so each record keeps its position;
/// what changes is what the place in a file decides: salt, both checks, chain, and durable-up-to (which is the floor: that is what
/// is known to be synced when the copy is made). Marks and older opening records are copied like transactions, so that no hole
/// arises. A seal is not copied: nothing ever follows one in its file, so it is the last record before the cut, and the cut moves
/// to where it began.</remarks>
internal sealed class SegmentStart
{
    private readonly byte[] _content;

    private SegmentStart(SegmentHeader header, byte[] content, ulong records, uint chain)
    {
        Header = header;
        _content = content;
        RecordCount = records;
        Chain = chain;
    }

    internal SegmentHeader Header { get; }

    /// <summary>The file's first bytes.</summary>
    internal ReadOnlySpan<byte> Content => _content;

    internal ulong RecordCount { get; }

    /// <summary>Chain value of the record behind the content.</summary>
    internal uint Chain { get; }

    /// <param name="header">With base and previous digest; copied-to and first sequence are found here.</param>
    /// <param name="source">Positioned at the floor, ending at the cut; null when there is nothing to copy.</param>
    /// <param name="lastSequence">Of the last transaction below the cut.</param>
    internal static SegmentStart Build(in SegmentHeader header, LogScanner? source, long copyBytes, ulong lastSequence, long commitTime)
    {
        var content = new byte[SegmentHeader.Size + copyBytes + Opening.RecordBytes];
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        var floor = header.BasePosition;
        var position = floor;
        var chain = header.PreviousDigest.Chain;
        var firstSequence = lastSequence + 1;
        var records = 0ul;
        Span<byte> Target(ulong at, long length) => content.AsSpan(SegmentHeader.Size + (int)(at - floor), (int)length);

        while (source is not null && source.Read(out var original, out var payload))
        {
            if (records == 0)
                firstSequence = original.Type == RecordType.Transaction ? original.Sequence : original.Sequence + 1;
            var target = Target(position, original.RecordLength);
            payload.CopyTo(target[RecordHeader.Size..]);
            var check = RecordFrame.PayloadCheck(salt, payload);
            RecordFrame.Finish(
                target, payload.Length, salt, position, original.Sequence, floor, chain, check, original.Type, original.Flags, original.Version);
            chain = check;
            position += (ulong)original.RecordLength;
            records++;
        }

        var opening = Target(position, Opening.RecordBytes);
        new Opening(header.Epoch, commitTime).Write(opening[RecordHeader.Size..]);
        chain = RecordFrame.FinishControl(opening, Opening.Size, salt, position, lastSequence, floor, chain, RecordType.Open);
        var complete = header with { CopiedTo = position + Opening.RecordBytes, FirstSequence = firstSequence };
        complete.Write(content);
        return new SegmentStart(complete, content, records + 1, chain);
    }

    /// <summary>Writes, syncs and names the segment.</summary>
    internal OpenSegment Publish(IStorage storage, LogOptions options)
    {
        var part = LogNames.SegmentPath(Header.Number) + LogNames.Part;

        // Copies are one group as a rule; where they are many, they do not eat the room for what follows.
        var recordBytes = _content.Length - SegmentHeader.Size;
        var bytes = options.SegmentBytesMin + (recordBytes > options.SegmentBytesMin / 4 ? recordBytes : 0);
        bytes = Math.Max(bytes, SegmentedLog.FileBytesFor(recordBytes));
        var file = SegmentedLog.CreateAhead(storage, part, bytes, _content, options.ZeroesSegments);
        SegmentedLog.RenameSegment(storage, part, Header.Number);
        var digest = new RunningDigest();
        digest.Append(_content);
        return new OpenSegment(file, bytes, digest, RecordCount, Header.CopiedTo);
    }
}
