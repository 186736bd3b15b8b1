using System.Text;

namespace Cairn.Cli;

/// <summary>Bytes of UTF-8 into the tool's text output. Whole lines are written to it, so no character is split.</summary>
internal sealed class TextTarget(TextWriter target) : Stream
{
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

    public override void Write(ReadOnlySpan<byte> buffer) => target.Write(Encoding.UTF8.GetString(buffer));

    public override void Flush() => target.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}

/// <summary>The tool's text input as bytes of UTF-8, a line at a time.</summary>
internal sealed class TextSource(TextReader source) : Stream
{
    private const int CharsAtOnce = 16 << 10;

    private readonly char[] _chars = new char[CharsAtOnce];
    private readonly Encoder _encoder = new UTF8Encoding(false, throwOnInvalidBytes: true).GetEncoder();
    private readonly byte[] _bytes = new byte[4 * CharsAtOnce];
    private int _begin;
    private int _end;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        while (_begin == _end)
        {
            var read = source.Read(_chars, 0, _chars.Length);
            (_begin, _end) = (0, _encoder.GetBytes(_chars.AsSpan(0, read), _bytes, flush: read == 0));
            if (read == 0)
                break;
        }

        var count = Math.Min(buffer.Length, _end - _begin);
        _bytes.AsSpan(_begin, count).CopyTo(buffer);
        _begin += count;
        return count;
    }

    public override void Flush()
    {
    }

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
