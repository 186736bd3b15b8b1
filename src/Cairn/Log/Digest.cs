using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Cairn.Log;

/// <summary>A SHA-256 digest as a value: 32 bytes, compared whole. The default is "none" (all zero).</summary>
internal readonly record struct Digest
{
    internal const int Size = 32;

    private readonly UInt128 _first;
    private readonly UInt128 _second;

    private Digest(UInt128 first, UInt128 second)
    {
        _first = first;
        _second = second;
    }

    internal static Digest Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt128LittleEndian(source),
        BinaryPrimitives.ReadUInt128LittleEndian(source[16..]));

    internal static Digest Of(ReadOnlySpan<byte> bytes)
    {
        Span<byte> digest = stackalloc byte[Size];
        SHA256.HashData(bytes, digest);
        return Read(digest);
    }

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt128LittleEndian(target, _first);
        BinaryPrimitives.WriteUInt128LittleEndian(target[16..], _second);
    }

    /// <summary>The first 4 bytes: the chain value of the first record behind a segment with this digest.</summary>
    internal uint Chain => (uint)_first;

    public override string ToString()
    {
        Span<byte> digest = stackalloc byte[Size];
        Write(digest);
        return Convert.ToHexStringLower(digest);
    }
}

/// <summary>The running SHA-256 of a file that is written front to back. Small pieces are gathered, because a call into the
/// hash costs as much as hashing some hundred bytes.</summary>
internal sealed class RunningDigest : IDisposable
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] _side = new byte[64 << 10];
    private int _filled;

    /// <summary>The digest of the first bytes of a file.</summary>
    /// <returns>Null when the file ends before.</returns>
    internal static Digest? OfFile(Storage.IFile file, long bytes)
    {
        using var digest = new RunningDigest();
        var buffer = new byte[(int)Math.Min(1 << 20, bytes)];
        for (long offset = 0; offset < bytes;)
        {
            var read = file.ReadAt(buffer.AsSpan(0, (int)Math.Min(buffer.Length, bytes - offset)), offset);
            if (read == 0)
                return null;
            digest.Append(buffer.AsSpan(0, read));
            offset += read;
        }

        return digest.Current();
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _side.Length - _filled)
        {
            _hash.AppendData(_side, 0, _filled);
            _filled = 0;
        }

        if (bytes.Length >= _side.Length)
        {
            _hash.AppendData(bytes);
            return;
        }

        bytes.CopyTo(_side.AsSpan(_filled));
        _filled += bytes.Length;
    }

    /// <summary>The digest of what was appended so far; appending may go on.</summary>
    internal Digest Current()
    {
        _hash.AppendData(_side, 0, _filled);
        _filled = 0;
        Span<byte> digest = stackalloc byte[Digest.Size];
        _hash.GetCurrentHash(digest);
        return Digest.Read(digest);
    }

    public void Dispose() => _hash.Dispose();
}
