using Cairn.Content;
using Cairn.Log;

namespace Cairn.Replay;

/// <summary>Finds the commit of a sequence without knowing its run: in the log by reading its segment up to there, below the log among the
/// records that archives have kept. One thread.</summary>
internal sealed class CommitSearch(SegmentedLog log) : IDisposable
{
    private readonly LogReader _reader = new(log);

    /// <summary>First sequence that the log itself still has.</summary>
    internal ulong EarliestInLog { get; private set; }

    /// <summary>Records of archives that were looked at.</summary>
    internal int ArchiveRecordsRead { get; private set; }

    /// <param name="payload">Good until the next call.</param>
    /// <exception cref="CorruptionException">A record on the way is damaged.</exception>
    internal bool TryFind(ulong sequence, out RecordHeader header, out ReadOnlySpan<byte> payload, out ulong position)
    {
        while (true)
        {
            var first = log.FirstPosition;
            EarliestInLog = log.SegmentAt(first).FirstSequence;
            var found = sequence < EarliestInLog
                ? TryFindArchived(sequence, out header, out payload, out position)
                : TryScan(sequence, out header, out payload, out position);
            if (found || first == log.FirstPosition)
                return found;                                // otherwise the log gave something up meanwhile: look again
        }
    }

    private bool TryScan(ulong sequence, out RecordHeader header, out ReadOnlySpan<byte> payload, out ulong position)
    {
        var scan = _reader.Scan(log.PositionBefore(sequence));
        while (scan.MoveNext())
        {
            header = scan.Header;
            if (header.Type != RecordType.Transaction || header.Sequence < sequence)
                continue;
            payload = scan.Payload;
            position = scan.Position;
            return header.Sequence == sequence;
        }

        header = default;
        payload = default;
        position = 0;
        return false;
    }

    // An archive lists its records by run. In the order of their positions they are in that of their sequences too, so looking at a few
    // finds the one, whoever's it is.
    private bool TryFindArchived(ulong sequence, out RecordHeader header, out ReadOnlySpan<byte> payload, out ulong position)
    {
        foreach (var archive in (log.Archive as ArchiveSet)?.Archives ?? [])
        {
            if (!archive.TryPin())
                continue;
            try
            {
                ulong[] positions = [.. archive.Records().Select(record => record.Position).Order()];
                for (int low = 0, high = positions.Length; low < high;)
                {
                    var middle = low + (high - low) / 2;
                    position = positions[middle];
                    ArchiveRecordsRead++;
                    if (!_reader.TryRead(position, out header, out payload))
                        break;                               // given up meanwhile
                    if (header.Sequence == sequence)
                        return true;
                    (low, high) = header.Sequence < sequence ? (middle + 1, high) : (low, middle);
                }
            }
            finally
            {
                archive.Unpin();
            }
        }

        header = default;
        payload = default;
        position = 0;
        return false;
    }

    public void Dispose() => _reader.Dispose();
}
