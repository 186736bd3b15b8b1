using System.Buffers.Binary;

namespace Cairn.Codec;

/// <summary>Writes the parts of a key, one after another, into memory of the caller. The caller provides room (see
/// <see cref="KeyCodec.PartLengthMax"/>); too little is a bug and throws. Allocates nothing.</summary>
internal ref struct KeyWriter(Span<byte> target)
{
    private readonly Span<byte> _target = target;
    private int _length;

    /// <summary>Bytes written so far.</summary>
    internal readonly int Length => _length;

    /// <summary>The key so far.</summary>
    internal readonly ReadOnlySpan<byte> Key => _target[.._length];

    /// <summary>A family or other tag: one byte as it is.</summary>
    internal void Tag(byte tag) => _target[_length++] = tag;

    /// <summary>A number without sign, 4 bytes.</summary>
    internal void UInt32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Next(sizeof(uint)), value);

    /// <summary>A number without sign, 8 bytes.</summary>
    internal void UInt64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Next(sizeof(ulong)), value);

    /// <summary>A number with sign, 8 bytes.</summary>
    internal void Int64(long value) => UInt64((ulong)value ^ KeyCodec.SignBit);

    /// <summary>A Float64, 8 bytes; -0.0 before 0.0, NaN last.</summary>
    internal void Float64(double value) => UInt64(KeyCodec.ToOrdered(value));

    /// <summary>An identity of 16 bytes, in network order.</summary>
    internal void Id(RunId id) => id.Write(Next(KeyCodec.IdSize));

    /// <summary>An identity of 16 bytes, as they are.</summary>
    internal void Id(ReadOnlySpan<byte> id)
    {
        Invariant.Check(id.Length == KeyCodec.IdSize, "an identity in a key has 16 bytes");
        id.CopyTo(Next(KeyCodec.IdSize));
    }

    /// <summary>Bytes, or text as UTF-8: escaped and terminated.</summary>
    internal void Bytes(ReadOnlySpan<byte> content)
    {
        for (var zero = content.IndexOf((byte)0); zero >= 0; zero = content.IndexOf((byte)0))
        {
            content[..zero].CopyTo(Next(zero));
            Pair(KeyCodec.EscapedZero);
            content = content[(zero + 1)..];
        }

        content.CopyTo(Next(content.Length));
        Pair(KeyCodec.Terminator);
    }

    /// <summary>Text: escaped and terminated.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal void Text(ReadOnlySpan<char> text)
    {
        if (!text.Contains('\0'))
        {
            _length += Utf8.GetBytes(text, _target[_length..]);
            Pair(KeyCodec.Terminator);
            return;
        }

        // A zero is a character of its own and never a part of another, so text splits there as its UTF-8 does.
        for (var zero = text.IndexOf('\0'); zero >= 0; zero = text.IndexOf('\0'))
        {
            _length += Utf8.GetBytes(text[..zero], _target[_length..]);
            Pair(KeyCodec.EscapedZero);
            text = text[(zero + 1)..];
        }

        _length += Utf8.GetBytes(text, _target[_length..]);
        Pair(KeyCodec.Terminator);
    }

    /// <summary>What has been encoded already: the rest of a key, or a key that stands last and needs no end of its own.</summary>
    internal void Raw(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Next(bytes.Length));

    /// <summary>A value as an index orders it (IDX-6): tagged by kind, numbers by exact value.</summary>
    /// <returns>False, with nothing written, for Arrays and Objects: they have no order.</returns>
    internal bool TryScalar(in Value value)
    {
        switch (value.Kind)
        {
            case ValueKind.Null:
                Tag(KeyCodec.NullTag);
                return true;
            case ValueKind.Bool:
                Tag(value.AsBool() ? KeyCodec.TrueTag : KeyCodec.FalseTag);
                return true;
            case ValueKind.Int64:
                var (floor, missing) = KeyCodec.Split(value.AsInt64());
                Number(floor, missing);
                return true;
            case ValueKind.Float64:
                Number(value.AsFloat64(), 0);
                return true;
            case ValueKind.String:
                Tag(KeyCodec.StringTag);
                Text(value.AsString());
                return true;
            case ValueKind.Bytes:
                Tag(KeyCodec.BytesTag);
                Bytes(value.AsBytes().Span);
                return true;
            default:
                return false;
        }
    }

    private void Number(double floor, ushort missing)
    {
        Tag(KeyCodec.NumberTag);
        Float64(floor == 0 ? 0.0 : floor);
        BinaryPrimitives.WriteUInt16BigEndian(Next(sizeof(ushort)), missing);
    }

    private void Pair(byte second)
    {
        var pair = Next(2);
        pair[1] = second;
        pair[0] = 0;
    }

    private Span<byte> Next(int length)
    {
        var next = _target.Slice(_length, length);
        _length += length;
        return next;
    }
}
