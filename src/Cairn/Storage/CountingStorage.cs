using System.Numerics;

namespace Cairn.Storage;

/// <summary>Counts the calls by kind and the bytes. Thread-safe; a call is counted before it is passed on, so a failed one
/// counts.</summary>
internal sealed class CountingStorage(IStorage inner) : StorageLayer(inner)
{
    private readonly long[] counts = new long[BitOperations.Log2((uint)StorageCall.All) + 1];
    private long bytesWritten;
    private long bytesRead;

    internal long BytesWritten => Interlocked.Read(ref bytesWritten);

    internal long BytesRead => Interlocked.Read(ref bytesRead);

    internal long DataSyncs => Count(StorageCall.DataSync);

    internal long Syncs => Count(StorageCall.Sync);

    internal long DirectorySyncs => Count(StorageCall.SyncDirectory);

    internal long Writes => Count(StorageCall.Write);

    /// <summary>How many calls of any of these kinds there were.</summary>
    internal long Count(StorageCall calls)
    {
        var sum = 0L;
        for (var kind = 0; kind < counts.Length; kind++)
        {
            if (((int)calls & (1 << kind)) != 0)
                sum += Interlocked.Read(ref counts[kind]);
        }

        return sum;
    }

    internal void Reset()
    {
        for (var kind = 0; kind < counts.Length; kind++)
            Interlocked.Exchange(ref counts[kind], 0);
        Interlocked.Exchange(ref bytesWritten, 0);
        Interlocked.Exchange(ref bytesRead, 0);
    }

    protected override void Before(StorageCall call, string path) =>
        Interlocked.Increment(ref counts[BitOperations.Log2((uint)call)]);

    protected override int Read(IFile file, Span<byte> buffer, long offset)
    {
        var read = base.Read(file, buffer, offset);
        Interlocked.Add(ref bytesRead, read);
        return read;
    }

    protected override void Write(IFile file, ReadOnlySpan<byte> bytes, long offset)
    {
        Interlocked.Add(ref bytesWritten, bytes.Length);
        base.Write(file, bytes, offset);
    }

    protected override void Write(IFile file, IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
    {
        for (var i = 0; i < buffers.Count; i++)
            Interlocked.Add(ref bytesWritten, buffers[i].Length);
        base.Write(file, buffers, offset);
    }
}
