using System.Buffers;
using Cairn.Log;
using Cairn.Primitives;

namespace Cairn.Replay;

/// <summary>The records that make a run what it was at a moment: found by walking its chain back, given out in order. Keeps their bytes up
/// to a bound and reads those beyond it again. Use it once; one thread.</summary>
internal sealed class ReplayWalk(
    ReplaySource source, Manifest manifest, ReplayPoint point, ReplayBase from, int keptBytes, long imageAfterBytes) : IDisposable
{
    private readonly LogReader _reader = new(source.Log);
    private readonly List<Found> _found = [];                // newest first
    private byte[] _kept = [];
    private int _used;

    private readonly record struct Found(ulong Position, RecordHeader Header, int Offset);

    private const int NotKept = -1;

    internal ReplayPoint Point => point;

    /// <summary>The image to begin with; null = none, the records go back to the run's first.</summary>
    internal ManifestCheckpoint? Checkpoint { get; private set; }

    /// <summary>Commit time of the run's first commit behind the moment; null = there is none.</summary>
    internal long? NextTime { get; private set; }

    internal long RecordsRead { get; private set; }

    internal long BytesRead { get; private set; }

    /// <summary>Commits of the run up to the moment, above the image.</summary>
    internal int Count => _found.Count;

    internal ulong LowestPosition => _found.Count == 0 ? source.Log.AppendedPosition : _found[^1].Position;

    /// <exception cref="HistoryTrimmedException">Neither the run's records nor an image reach the moment.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    internal void Run()
    {
        using var chain = RunChain.Of(source.Log, source.Writer, source.Live);
        var image = from == ReplayBase.Beginning ? null : NewestImage();
        var bytes = 0L;
        while (chain.MoveNext(out var payload))
        {
            var time = TransactionPayload.ReadCommitTime(payload);
            if (!point.Covers(chain.Header.Sequence, time))
            {
                NextTime = time;
                continue;
            }

            if (image is not null && chain.Header.Sequence <= image.Sequence && (from == ReplayBase.Image || bytes >= imageAfterBytes))
            {
                Checkpoint = image;
                break;
            }

            bytes += chain.Header.RecordLength;
            Keep(chain, payload);
        }

        RecordsRead = chain.RecordsRead;
        BytesRead = chain.BytesRead;
        if (chain.IsTrimmed && !Mutant.Is("replay-crosses-gaps"))
            BeginAbove(image, chain);
        if (Checkpoint is { } used)
            _found.RemoveAll(found => found.Header.Sequence <= used.Sequence && !Mutant.Is("replay-applies-below-image"));
    }

    private ManifestCheckpoint? NewestImage() => manifest.Checkpoints.LastOrDefault(
        checkpoint => checkpoint.Sequence >= source.Born && point.Covers(checkpoint.Sequence, checkpoint.CommitTime));

    // T3: above the mark of a kept checkpoint the log is whole, so a gap lies below it, and the image has what was there.
    private void BeginAbove(ManifestCheckpoint? image, RunChain chain)
    {
        if (image is null || chain.TrimmedAt >= image.MarkPosition)
        {
            var earliest = manifest.Checkpoints.FirstOrDefault(checkpoint => checkpoint.Sequence >= source.Born)?.Sequence ?? chain.Oldest;
            throw new HistoryTrimmedException(
                new Sequence(point.IsTime ? Math.Min(earliest, chain.Oldest) - 1 : point.Sequence), new Sequence(earliest));
        }

        Checkpoint = image;
    }

    private void Keep(RunChain chain, ReadOnlySpan<byte> payload)
    {
        var offset = NotKept;
        if (payload.Length <= keptBytes - _used)
        {
            if (_kept.Length - _used < payload.Length)
                Grow(payload.Length);
            payload.CopyTo(_kept.AsSpan(_used));
            offset = _used;
            _used += payload.Length;
        }

        _found.Add(new Found(chain.Position, chain.Header, offset));
    }

    private void Grow(int bytes)
    {
        var more = ArrayPool<byte>.Shared.Rent(Math.Max(_used + bytes, 2 * _used));
        _kept.AsSpan(0, _used).CopyTo(more);
        if (_kept.Length > 0)
            ArrayPool<byte>.Shared.Return(_kept);
        _kept = more;
    }

    /// <param name="index">Counted from 0, the oldest first.</param>
    internal ulong SequenceAt(int index) => _found[^(index + 1)].Header.Sequence;

    /// <summary>Gives out records in the order of their sequences.</summary>
    /// <param name="first">Counted from 0.</param>
    internal void Forward(int first, int count, RecordVisitor visit)
    {
        for (var i = _found.Count - 1 - first; count > 0; i--, count--)
        {
            var found = _found[i];
            if (found.Offset != NotKept)
            {
                visit(found.Header, _kept.AsSpan(found.Offset, (int)found.Header.Length), found.Position);
                continue;
            }

            // The hold keeps whatever lies there; below the log an archive may have to be asked.
            if (!History.TryRead(
                source.Log, _reader, source.Live.Id, found.Position, out var kept, out var header, out var payload) || !kept.IsAll)
                throw new HistoryTrimmedException(new Sequence(found.Header.Sequence), new Sequence(found.Header.Sequence + 1));
            RecordsRead++;
            BytesRead += header.RecordLength;
            visit(header, payload, found.Position);
        }
    }

    public void Dispose()
    {
        _reader.Dispose();
        if (_kept.Length > 0)
            ArrayPool<byte>.Shared.Return(_kept);
        _kept = [];
    }
}
