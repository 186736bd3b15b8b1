using System.Buffers;
using System.Buffers.Binary;
using Cairn.Log;

namespace Cairn.Content;

/// <summary>Reads records, and stretches, out of an archive, one at a time. Each record is proven by its own checks.</summary>
internal sealed class ArchivedRecordBuffer : IDisposable
{
    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(1 << 20);

    /// <summary>Of the record that was read last.</summary>
    internal RecordHeader Header { get; private set; }

    internal ReadOnlySpan<byte> Payload => _bytes.AsSpan(RecordHeader.Size, (int)Header.Length);

    /// <summary>Reads the record at a position.</summary>
    /// <exception cref="CorruptionException">It is not there, or not right.</exception>
    internal ReadOnlyMemory<byte> Read(Archive archive, ulong position)
    {
        if (archive.Read(position, _bytes.AsSpan(0, RecordHeader.Size)) < RecordHeader.Size
            || !archive.TrySourceAt(position, out var source)
            || !RecordHeader.TryRead(_bytes, out var header) || header.Length > RecordFrame.PayloadBytesMax)
            throw Damaged(archive.Path, archive.OffsetOf(position), 0, "a record header");
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, source.Salt);
        var salted = RecordFrame.Salted(salt);
        if (!RecordFrame.IsHeaderRight(salted, position, _bytes))
            throw Damaged(archive.Path, archive.OffsetOf(position), 0, "a record header that belongs here");
        Header = header;
        var record = Read(archive, position, (int)header.RecordLength);
        if (record.Length < (int)header.RecordLength || RecordFrame.PayloadCheck(salted, Payload) != header.PayloadCheck)
            throw Damaged(archive.Path, archive.OffsetOf(position), header.Sequence - 1, "the payload that its check was taken of");
        return record;
    }

    /// <summary>Reads so many bytes, or as many as were kept in one piece.</summary>
    internal ReadOnlyMemory<byte> Read(Archive archive, ulong position, int bytes)
    {
        if (_bytes.Length < bytes)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = ArrayPool<byte>.Shared.Rent(bytes);
        }

        return _bytes.AsMemory(0, archive.Read(position, _bytes.AsSpan(0, bytes)));
    }

    private static CorruptionException Damaged(string path, long offset, ulong sequence, string expected) =>
        new(path, offset, new Sequence(sequence), expected);

    public void Dispose() => ArrayPool<byte>.Shared.Return(_bytes);
}
