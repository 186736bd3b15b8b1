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

    private bool TryFindArchived(ulong sequence, out RecordHeader header, out ReadOnlySpan<byte> payload, out ulong position)
    {
        foreach (var archive in (log.Archive as ArchiveSet)?.Archives ?? [])
        {
            if (!archive.TryPin())
                continue;
            try
            {
                foreach (var record in archive.Records())
                {
                    position = record.Position;
                    if (_reader.TryRead(position, out header, out payload) && header.Sequence == sequence)
                        return true;
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
