using System.Buffers.Binary;
using System.Buffers.Text;
using Cairn.Codec;

namespace Cairn.Feed;

/// <summary>A place behind a commit, from which a feed goes on. Text is base64url without padding; layout, big-endian: <code>
///  0  u8   version     1
///  1  16   database    its id
/// 17  u64  sequence    of the commit; 0 = before the first
/// 25  u64  position    of its record; all ones = not known
/// 33  u32  check       CRC-32C of its payload, when the position is known
/// 37  u32  CRC-32C of bytes 0-36 </code>
/// The check is what tells a commit from another one that got its sequence after a crash had taken the first.</summary>
internal readonly record struct ChangeCursor(UInt128 Database, ulong Sequence, ulong Position, uint Check)
{
    /// <summary>Bytes of sequence, position and check, as operations carry them.</summary>
    internal const int PlaceBytes = 8 + 8 + 4;

    internal const ulong Unknown = ulong.MaxValue;

    private const byte Version = 1;
    private const int Size = 41;

    /// <summary>Behind a commit of which only the sequence is known.</summary>
    internal static ChangeCursor Behind(UInt128 database, ulong sequence) => new(database, sequence, Unknown, 0);

    internal bool IsProven => Position != Unknown;

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        bytes[0] = Version;
        BinaryPrimitives.WriteUInt128BigEndian(bytes[1..], Database);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[17..], Sequence);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[25..], Position);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[33..], Check);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[37..], Crc32C.Of(bytes[..37]));
        return Base64Url.EncodeToString(bytes);
    }

    /// <exception cref="CursorException">It is none, or of another database.</exception>
    internal static ChangeCursor Parse(string text, UInt128 database)
    {
        Span<byte> bytes = stackalloc byte[Size];
        if (text.Length != Base64Url.GetEncodedLength(Size) || !IsText(text)
            || !Base64Url.TryDecodeFromChars(text, bytes, out var written) || written != Size
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[37..]) != Crc32C.Of(bytes[..37]) || bytes[0] != Version)
        {
            throw new CursorException(CursorFault.Damaged, Cairn.Sequence.None, null);
        }

        var cursor = new ChangeCursor(
            BinaryPrimitives.ReadUInt128BigEndian(bytes[1..]), BinaryPrimitives.ReadUInt64BigEndian(bytes[17..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[25..]), BinaryPrimitives.ReadUInt32BigEndian(bytes[33..]));
        if (cursor.Database != database)
            throw new CursorException(CursorFault.OtherDatabase, new Sequence(cursor.Sequence), null);
        return cursor;
    }

    // The decoder would throw for some, and read over white space in others.
    private static bool IsText(string text)
    {
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_'))
                return false;
        }

        return true;
    }

    /// <summary>Sequence, position and check, little-endian, as operations carry them.</summary>
    internal void WritePlace(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Position);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], Check);
    }

    internal static ChangeCursor ReadPlace(UInt128 database, ReadOnlySpan<byte> source) => new(
        database, BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[16..]));
}
