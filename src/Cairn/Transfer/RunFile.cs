// A run in one file: lines of an export (docs/export.md) of exactly one run, cut into blocks with checks. Little-endian.
//
//      header   64 bytes   magic, version, run, sequence and time of the cut; CRC-32C over the 60 before it
//      block    length u32 (1 .. BlockBytesMax), crc u32, so many bytes of the lines
//      ...
//      end      length 0 u32, crc u32, lines u64, bytes of the lines u64, content hash of the run
//      digest   SHA-256 of everything before it; nothing follows
//
//      crc of a block or the end: CRC-32C over its ordinal u64, its length and its bytes
//
// The checks of the blocks find damage where it is; the digest finds what is cut, put in or exchanged. A reader trusts nothing before its
// check was right, holds one block, and says of a file that it is foreign (no magic), newer (version), or damaged (with the offset).

using System.Buffers.Binary;
using System.Security.Cryptography;
using Cairn.Codec;

namespace Cairn.Transfer;

/// <summary>What a run file says of itself.</summary>
/// <param name="Run">The run's id where it comes from.</param>
/// <param name="Sequence">It is as it was right after this commit.</param>
/// <param name="Time">Time of that, microseconds since 1970.</param>
internal readonly record struct RunFileHeader(RunId Run, ulong Sequence, long Time);

/// <summary>What the end of a run file says.</summary>
/// <param name="Lines">Lines in it.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="Content">Hash over what the run holds (<see cref="Run.ContentHash"/>).</param>
internal readonly record struct RunFileEnd(long Lines, long Bytes, Hash256 Content);

/// <summary>See the essay above.</summary>
internal static class RunFile
{
    internal const ushort Version = 1;
    internal const int HeaderBytes = 64;
    internal const int BlockHeadBytes = 8;
    internal const int EndBytes = 16 + Hash256.Size;

    /// <summary>Chosen: bounds what a reader holds.</summary>
    internal const int BlockBytesMax = 1 << 20;

    /// <summary>What a writer cuts the lines into: chosen, so that a check covers little and costs nothing.</summary>
    internal const int BlockBytes = 64 << 10;

    /// <summary>In errors: a stream has no name.</summary>
    internal const string Name = "run file";

    internal static ReadOnlySpan<byte> Magic => "CAIRNRUN"u8;

    internal static void WriteHeader(Span<byte> target, in RunFileHeader header)
    {
        target.Clear();
        Magic.CopyTo(target);
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], Version);
        header.Run.Write(target[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], header.Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], header.Time);
        BinaryPrimitives.WriteUInt32LittleEndian(target[60..], Crc32C.Of(target[..60]));
    }

    /// <exception cref="CairnException">Foreign, newer or damaged.</exception>
    internal static RunFileHeader ReadHeader(ReadOnlySpan<byte> source)
    {
        if (source.Length < Magic.Length || !source[..Magic.Length].SequenceEqual(Magic))
            throw new CairnException(ErrorCode.InvalidArgument, "This is no run file: it does not begin like one. Give what an export of a "
                + "run has written.");
        if (source.Length < HeaderBytes)
            throw Damaged(source.Length, "a header of 64 bytes; the file is cut");
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[60..]) != Crc32C.Of(source[..60]))
            throw Damaged(0, "a header with a right check");
        var (major, minor) = (BinaryPrimitives.ReadUInt16LittleEndian(source[8..]), BinaryPrimitives.ReadUInt16LittleEndian(source[10..]));
        if (major != Version || minor != 0)
            throw new FormatVersionException(Name, $"version {major}.{minor}", $"version {Version}.0");
        var header = new RunFileHeader(
            RunId.Read(source[16..]), BinaryPrimitives.ReadUInt64LittleEndian(source[32..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[40..]));
        return source[12..16].ContainsAnyExcept((byte)0) || source[48..60].ContainsAnyExcept((byte)0)
            ? throw Damaged(12, "zeros where version 1.0 has nothing")
            : header;
    }

    internal static uint CheckOf(ulong ordinal, ReadOnlySpan<byte> length, ReadOnlySpan<byte> bytes)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, ordinal);
        return Crc32C.Finish(Crc32C.Append(Crc32C.Append(Crc32C.Append(Crc32C.Start, number), length), bytes));
    }

    internal static CorruptionException Damaged(long offset, string expected) => new(Name, offset, Sequence.None, expected);
}

/// <summary>Takes the lines and writes the file. Not thread-safe.</summary>
internal sealed class RunFileWriter : Stream
{
#pragma warning disable CA2213 // stays the caller's
    private readonly Stream _target;
#pragma warning restore CA2213
    private readonly IncrementalHash _digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] _block = new byte[RunFile.BlockHeadBytes + RunFile.BlockBytes];
    private int _filled;
    private ulong _ordinal;
    private long _bytes;

    internal RunFileWriter(Stream target, in RunFileHeader header)
    {
        _target = target;
        Span<byte> head = stackalloc byte[RunFile.HeaderBytes];
        RunFile.WriteHeader(head, header);
        Emit(head);
    }

    /// <summary>Bytes of the file so far.</summary>
    internal long FileBytes { get; private set; }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var part = buffer[..Math.Min(buffer.Length, RunFile.BlockBytes - _filled)];
            part.CopyTo(_block.AsSpan(RunFile.BlockHeadBytes + _filled));
            _filled += part.Length;
            buffer = buffer[part.Length..];
            if (_filled == RunFile.BlockBytes)
                EmitBlock(_filled);
        }
    }

    public override void Flush()
    {
    }

    /// <summary>Writes what makes the file whole.</summary>
    internal void End(long lines, Hash256 content)
    {
        if (_filled > 0)
            EmitBlock(_filled);
        var end = _block.AsSpan(RunFile.BlockHeadBytes, RunFile.EndBytes);
        BinaryPrimitives.WriteInt64LittleEndian(end, lines);
        BinaryPrimitives.WriteInt64LittleEndian(end[8..], _bytes);
        content.CopyTo(end[16..]);
        EmitBlock(0, RunFile.EndBytes);
        Span<byte> digest = stackalloc byte[Hash256.Size];
        _digest.GetHashAndReset(digest);
        _target.Write(digest);
        FileBytes += digest.Length;
        _target.Flush();
    }

    private void EmitBlock(int length) => EmitBlock(length, length);

    private void EmitBlock(int length, int bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_block, (uint)length);
        BinaryPrimitives.WriteUInt32LittleEndian(
            _block.AsSpan(4), RunFile.CheckOf(_ordinal++, _block.AsSpan(0, 4), _block.AsSpan(RunFile.BlockHeadBytes, bytes)));
        Emit(_block.AsSpan(0, RunFile.BlockHeadBytes + bytes));
        _bytes += length;
        _filled = 0;
    }

    private void Emit(ReadOnlySpan<byte> bytes)
    {
        _digest.AppendData(bytes);
        _target.Write(bytes);
        FileBytes += bytes.Length;
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _digest.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>Gives the lines of a file, each block behind its check; at the end the file was whole. Not thread-safe.</summary>
internal sealed class RunFileReader : Stream
{
#pragma warning disable CA2213 // stays the caller's
    private readonly Stream _source;
#pragma warning restore CA2213
    private readonly long _length;
    private readonly IncrementalHash _digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private byte[] _block = new byte[RunFile.BlockHeadBytes + RunFile.BlockBytes];
    private int _filled;
    private int _given;
    private ulong _ordinal;
    private long _bytes;
    private long _offset;

    /// <param name="source">At the file's first byte; can seek, and ends with the file.</param>
    /// <exception cref="CairnException">Foreign, newer or damaged.</exception>
    internal RunFileReader(Stream source)
    {
        _source = source;
        _length = source.Length - source.Position;
        Span<byte> head = stackalloc byte[RunFile.HeaderBytes];
        var read = source.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        Header = RunFile.ReadHeader(head[..read]);
        _digest.AppendData(head);
        _offset = head.Length;
    }

    internal RunFileHeader Header { get; }

    /// <summary>What the end says; null before it was reached.</summary>
    internal RunFileEnd? End { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    /// <summary>Of the file: for progress.</summary>
    public override long Length => _length;

    public override long Position
    {
        get => _offset;
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <exception cref="CorruptionException">The file is damaged or cut.</exception>
    public override int Read(Span<byte> buffer)
    {
        if (_given == _filled && (End is not null || !NextBlock()))
            return 0;
        var part = _block.AsSpan(RunFile.BlockHeadBytes + _given, Math.Min(buffer.Length, _filled - _given));
        part.CopyTo(buffer);
        _given += part.Length;
        return part.Length;
    }

    // False: that was the end, and the file was whole.
    private bool NextBlock()
    {
        var begin = _offset;
        Fill(0, RunFile.BlockHeadBytes);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(_block);
        if (length > RunFile.BlockBytesMax)
            throw RunFile.Damaged(begin, $"a block of at most {RunFile.BlockBytesMax} bytes");
        var bytes = length == 0 ? RunFile.EndBytes : (int)length;
        if (_length - _offset < bytes + Hash256.Size)
            throw RunFile.Damaged(begin, "a block, an end and a digest; the file is cut");
        if (_block.Length < RunFile.BlockHeadBytes + bytes)
            Array.Resize(ref _block, RunFile.BlockHeadBytes + bytes);
        Fill(RunFile.BlockHeadBytes, bytes);
        var body = _block.AsSpan(RunFile.BlockHeadBytes, bytes);
        var check = RunFile.CheckOf(_ordinal++, _block.AsSpan(0, 4), body);
        if (BinaryPrimitives.ReadUInt32LittleEndian(_block.AsSpan(4)) != check && !Mutant.Is("run-file-block-unchecked"))
            throw RunFile.Damaged(begin, "a block with a right check");
        _digest.AppendData(_block.AsSpan(0, RunFile.BlockHeadBytes + bytes));
        (_given, _filled) = (0, (int)length);
        _bytes += length;
        if (length > 0)
            return true;
        Finish(body);
        return false;
    }

    private void Finish(ReadOnlySpan<byte> end)
    {
        var (lines, bytes) = (BinaryPrimitives.ReadInt64LittleEndian(end), BinaryPrimitives.ReadInt64LittleEndian(end[8..]));
        Span<byte> made = stackalloc byte[Hash256.Size];
        Span<byte> kept = stackalloc byte[Hash256.Size];
        _digest.GetHashAndReset(made);
        if (_source.ReadAtLeast(kept, kept.Length, throwOnEndOfStream: false) != kept.Length)
            throw RunFile.Damaged(_offset, "a digest; the file is cut");
        if (!made.SequenceEqual(kept) && !Mutant.Is("run-file-digest-unchecked"))
            throw RunFile.Damaged(_offset, "the digest of all bytes before it");
        _offset += kept.Length;
        if (bytes != _bytes || lines < 0)
            throw RunFile.Damaged(_offset, $"{bytes} bytes of lines");
        if (_offset != _length)
            throw RunFile.Damaged(_offset, "nothing behind the digest");
        End = new RunFileEnd(lines, bytes, new Hash256(end[16..]));
    }

    private void Fill(int at, int count)
    {
        if (_source.ReadAtLeast(_block.AsSpan(at, count), count, throwOnEndOfStream: false) != count)
            throw RunFile.Damaged(_offset, $"{count} more bytes; the file is cut");
        _offset += count;
    }

    public override void Flush()
    {
    }

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _digest.Dispose();
        base.Dispose(disposing);
    }
}
