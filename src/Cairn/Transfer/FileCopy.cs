using System.Buffers;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Copies bytes from one storage to another and takes their digest on the way. Two buffers: while one is hashed on a thread of its
/// own, it is written and the next one is filled; and what was written is on its way to the device before somebody syncs it.</summary>
internal sealed class FileCopy(long totalBytes, IProgress<TransferProgress>? progress, CancellationToken cancellationToken) : IDisposable
{
    /// <summary>Chosen: large enough that calls cost nothing beside the bytes; also how often progress is told.</summary>
    private const int BufferBytes = 1 << 20;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private byte[] _other = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private HashThread? _hash;
    private int _filled;
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
        try
        {
            for (var at = 0L; at < bytes;)
            {
                _filled = (int)Math.Min(BufferBytes, bytes - at);
                var read = source.ReadAt(_buffer.AsSpan(0, _filled), offset + at);
                if (read < _filled)
                {
                    throw new CorruptionException(
                        Step.Length > 0 ? Step : source.Path, offset + at + read, Sequence.None, "more bytes of this file");
                }

                at += Pass(target, at, targetBytes, digest);
            }
        }
        finally
        {
            End();
        }
    }

    /// <summary>The same for bytes that somebody else reads, piece by piece.</summary>
    /// <param name="at">Where the first byte that was not passed on yet belongs in the target; moves on.</param>
    internal void Append(ReadOnlySpan<byte> bytes, IFile target, ref long at, RunningDigest digest)
    {
        while (bytes.Length > 0)
        {
            var taken = Math.Min(bytes.Length, BufferBytes - _filled);
            bytes[..taken].CopyTo(_buffer.AsSpan(_filled));
            bytes = bytes[taken..];
            _filled += taken;
            if (_filled == BufferBytes)
                at += Pass(target, at, long.MaxValue, digest);
        }
    }

    /// <summary>Passes on what is left of them.</summary>
    internal void EndAppend(IFile target, ref long at, RunningDigest digest)
    {
        if (_filled > 0)
            at += Pass(target, at, long.MaxValue, digest);
        End();
    }

    /// <summary>Nothing is hashed any more. Whoever appends and fails calls it, before the digest goes.</summary>
    internal void End()
    {
        _filled = 0;
        _hash?.Wait();
    }

    // The buffer under way goes into the digest and to its place.
    private int Pass(IFile? target, long at, long targetBytes, RunningDigest digest)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var bytes = _filled;
        _hash?.Wait();
        if (bytes == BufferBytes)
            (_hash ??= new HashThread()).Begin(digest, _buffer, bytes);
        else
            digest.Append(_buffer.AsSpan(0, bytes));         // the end of a file: nothing comes that could be done meanwhile
        if (target is not null && at < targetBytes)
        {
            var wanted = (int)Math.Min(bytes, targetBytes - at);
            target.WriteAt(_buffer.AsSpan(0, wanted), at);
            target.BeginWriteback(at, wanted);
        }

        (_buffer, _other) = (_other, _buffer);
        _filled = 0;
        _done += bytes;
        progress?.Report(new TransferProgress(Step, _done, totalBytes));
        return bytes;
    }

    public void Dispose()
    {
        _hash?.Dispose();
        if (_buffer.Length == 0)
            return;
        ArrayPool<byte>.Shared.Return(_buffer);
        ArrayPool<byte>.Shared.Return(_other);
        _buffer = _other = [];
    }
}
