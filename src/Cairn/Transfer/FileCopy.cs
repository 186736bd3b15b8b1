using System.Buffers;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Copies bytes from one storage to another through one buffer, and takes their digest on the way.</summary>
internal sealed class FileCopy(long totalBytes, IProgress<TransferProgress>? progress, CancellationToken cancellationToken) : IDisposable
{
    /// <summary>Chosen: large enough that calls cost nothing beside the bytes; also how often progress is told.</summary>
    private const int BufferBytes = 1 << 20;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private long _done;

    /// <summary>What is being done, for whoever watches.</summary>
    internal string Step { get; set; } = "";

    /// <summary>Reads a range, and writes as much of it as is wanted.</summary>
    /// <param name="target">Null = read and hash only.</param>
    /// <param name="targetBytes">What is written: the first bytes of the range, at offset 0 of the target.</param>
    /// <returns>The digest of the whole range.</returns>
    /// <exception cref="CorruptionException">The source ends before.</exception>
    internal Digest Copy(IFile source, long offset, long bytes, IFile? target, long targetBytes)
    {
        using var digest = new RunningDigest();
        Copy(source, offset, bytes, target, targetBytes, digest);
        return digest.Current();
    }

    /// <summary>The same with a digest that goes on.</summary>
    internal void Copy(IFile source, long offset, long bytes, IFile? target, long targetBytes, RunningDigest digest)
    {
        for (var at = 0L; at < bytes;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var piece = _buffer.AsSpan(0, (int)Math.Min(BufferBytes, bytes - at));
            var read = source.ReadAt(piece, offset + at);
            if (read < piece.Length)
                throw new CorruptionException(Step.Length > 0 ? Step : source.Path, offset + at + read, Sequence.None, "more bytes of "
                    + "this file");
            digest.Append(piece);
            if (target is not null && at < targetBytes)
                target.WriteAt(piece[..(int)Math.Min(piece.Length, targetBytes - at)], at);
            at += piece.Length;
            _done += piece.Length;
            progress?.Report(new TransferProgress(Step, _done, totalBytes));
        }
    }

    public void Dispose()
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }
}
