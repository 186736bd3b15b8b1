using System.Buffers;
using Cairn.Log;
using Cairn.Primitives;

namespace Cairn.Replay;

/// <summary>The records that make a run what it was at a moment: found by walking its chain back, given out in order. Keeps their bytes up
/// to a bound and reads those beyond it again. Use it once; one thread.</summary>
internal sealed class ReplayWalk(
    ReplaySource source, Manifest manifest, ReplayPoint point, ReplayBase from, int keptBytes, long imageAfterBytes) : IDisposable
{
    private readonly LogReader _reader = new(source.Log) { ReadsAlong = true };
    private readonly List<Found[]> _found = [];              // pages; newest first
    private readonly List<byte[]> _chunks = [];
    private int _used = ChunkBytes;                          // of the last one

    private readonly record struct Found(ulong Position, ulong Sequence, int Length, int Chunk, int Offset);

    private const int NotKept = -1;

    /// <summary>Chosen: below what the collector takes for a large object, and kept by the pool for the next walk.</summary>
    private const int PageFound = 2048;

    /// <summary>Chosen: arrays of this length are kept by the pool for the next walk.</summary>
    private const int ChunkBytes = 1 << 20;

    internal ReplayPoint Point => point;

    /// <summary>The image to begin with; null = none, the records go back to the run's first.</summary>
    internal ManifestCheckpoint? Checkpoint { get; private set; }

    /// <summary>Commit time of the run's first commit behind the moment; null = there is none.</summary>
    internal long? NextTime { get; private set; }

    internal long RecordsRead { get; private set; }

    internal long BytesRead { get; private set; }

    /// <summary>Commits of the run up to the moment, above the image.</summary>
    internal int Count { get; private set; }

    internal ulong LowestPosition => Count == 0 ? source.Log.AppendedPosition : FoundAt(Count - 1).Position;

    /// <exception cref="HistoryTrimmedException">Neither the run's records nor an image reach the moment.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    internal void Run(CancellationToken cancellationToken = default)
    {
        using var chain = RunChain.Of(source.Log, source.Writer, source.Live);
        var image = from == ReplayBase.Beginning ? null : NewestImage();
        var (cost, last) = (0L, chain.Next);
        while (chain.MoveNext(out var payload))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var time = TransactionPayload.ReadCommitTime(payload);
            if (!point.Covers(chain.Header.Sequence, time))
            {
                NextTime = time;
                continue;
            }

            if (image is not null && chain.Header.Sequence <= image.Sequence && (from == ReplayBase.Image || cost >= imageAfterBytes))
            {
                Checkpoint = image;
                break;
            }

            cost += chain.Header.RecordLength + (last - chain.Position > RunReplay.NearBytes ? RunReplay.FarBytes : 0);
            last = chain.Position;
            Keep(chain, payload);
        }

        RecordsRead = chain.RecordsRead;
        BytesRead = chain.BytesRead;
        if (chain.IsTrimmed && !Mutant.Is("replay-crosses-gaps"))
            BeginAbove(image, chain);
        while (Checkpoint is { } used && Count > 0 && FoundAt(Count - 1).Sequence <= used.Sequence
            && !Mutant.Is("replay-applies-below-image"))
        {
            Count--;
        }
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
        var (chunk, offset) = (NotKept, 0);
        if (payload.Length <= ChunkBytes && (_chunks.Count < keptBytes / ChunkBytes || payload.Length <= ChunkBytes - _used))
        {
            if (_chunks.Count == 0 || payload.Length > ChunkBytes - _used)
            {
                _chunks.Add(ArrayPool<byte>.Shared.Rent(ChunkBytes));
                _used = 0;
            }

            (chunk, offset) = (_chunks.Count - 1, _used);
            payload.CopyTo(_chunks[chunk].AsSpan(offset));
            _used += payload.Length;
        }

        if (Count == _found.Count * PageFound)
            _found.Add(ArrayPool<Found>.Shared.Rent(PageFound));
        Count++;
        FoundAt(Count - 1) = new Found(chain.Position, chain.Header.Sequence, payload.Length, chunk, offset);
    }

    // Counted from 0, the newest first.
    private ref Found FoundAt(int index) => ref _found[index / PageFound][index % PageFound];

    /// <param name="index">Counted from 0, the oldest first.</param>
    internal ulong SequenceAt(int index) => FoundAt(Count - 1 - index).Sequence;

    /// <summary>Gives out records in the order of their sequences.</summary>
    /// <param name="first">Counted from 0.</param>
    internal void Forward(int first, int count, RecordVisitor visit)
    {
        for (var i = Count - 1 - first; count > 0; i--, count--)
        {
            ref readonly var found = ref FoundAt(i);
            if (found.Chunk != NotKept)
            {
                visit(HeaderOf(found), _chunks[found.Chunk].AsSpan(found.Offset, found.Length), found.Position);
                continue;
            }

            // The hold keeps whatever lies there; below the log an archive may have to be asked.
            if (!History.TryRead(
                source.Log, _reader, source.Live.Id, found.Position, out var kept, out var header, out var payload) || !kept.IsAll)
                throw new HistoryTrimmedException(new Sequence(found.Sequence), new Sequence(found.Sequence + 1));
            RecordsRead++;
            BytesRead += header.RecordLength;
            visit(header, payload, found.Position);
        }
    }

    // Of a header that is not read again only these two are kept.
    private static RecordHeader HeaderOf(in Found found) => new(
        (uint)found.Length, RecordType.Transaction, RecordHeader.CurrentVersion, default, found.Sequence, 0, 0, 0);

    public void Dispose()
    {
        _reader.Dispose();
        foreach (var chunk in _chunks)
            ArrayPool<byte>.Shared.Return(chunk);
        _chunks.Clear();
        foreach (var page in _found)
            ArrayPool<Found>.Shared.Return(page);
        _found.Clear();
        Count = 0;
    }
}
