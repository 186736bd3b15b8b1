using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Cairn.Codec;

/// <summary>What a key and a name may be (NAM-1..NAM-4): the one place where user text becomes the bytes that are stored and
/// compared. Keys: 1 to <see cref="Limits.KeyBytesMax"/> bytes of UTF-8 without NUL. Names: 1 to <see cref="Limits.NameBytesMax"/>
/// bytes of UTF-8 without control characters and without <c>/</c>. The prefix <c>$</c> is the engine's: refused when users write,
/// allowed when they read. Stored as given: case-sensitive, not normalised, ordered as bytes. Nothing here allocates.</summary>
internal static class KeyRules
{
    /// <summary>First character of what belongs to the engine (NAM-3).</summary>
    internal const char Reserved = '$';

    private const string NulText = "A key may not hold NUL (U+0000). Choose another separator.";
    private const string ControlText = "A name may not hold control characters or '/'. Choose another separator.";

    // Unicode category Cc, and the separator of the address form cairn://run/primitive/collection/key.
    private static readonly SearchValues<char> NotInNames = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Concat(Enumerable.Range(0x7F, 0x21)).Select(code => (char)code), '/']);

    private static readonly SearchValues<byte> NotInNamesAscii = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(code => (byte)code), 0x7F, (byte)'/']);

    /// <summary>Encodes a key that a user writes.</summary>
    /// <param name="target">At least <see cref="Limits.KeyBytesMax"/> bytes.</param>
    /// <param name="written">Bytes of the key.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL, lone surrogate or reserved.</exception>
    /// <exception cref="LimitException">Longer than <see cref="Limits.KeyBytesMax"/>.</exception>
    internal static void EncodeKey(string key, Span<byte> target, out int written)
    {
        EncodeKeyForRead(key, target, out written);
        if (key[0] == Reserved)
            throw new CairnException(ErrorCode.InvalidKey, ReservedText("key"));
    }

    /// <summary>Encodes a key that is only read: the engine's own are allowed.</summary>
    /// <inheritdoc cref="EncodeKey"/>
    internal static void EncodeKeyForRead(string key, Span<byte> target, out int written)
    {
        ArgumentNullException.ThrowIfNull(key);
        written = Encode(key, target, nameof(Limits.KeyBytesMax), Limits.KeyBytesMax, ErrorCode.InvalidKey, "key");
        if (target[..written].Contains((byte)0))
            throw new CairnException(ErrorCode.InvalidKey, NulText);
    }

    /// <summary>Encodes a key behind a byte that leads it, as stores keep keys: the lead, then the key.</summary>
    /// <param name="isWrite">Whether a user writes it; then the engine's own keys are refused.</param>
    /// <param name="target">At least 1 + <see cref="Limits.KeyBytesMax"/> bytes.</param>
    /// <returns>The part of <paramref name="target"/> that was written.</returns>
    /// <inheritdoc cref="EncodeKey" path="/exception"/>
    internal static ReadOnlySpan<byte> EncodeBehind(byte lead, string key, bool isWrite, Span<byte> target)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (!TryNarrow(lead, key, target))
        {
            EncodeKeyForRead(key, target[1..], out var length);
            target[0] = lead;
            target = target[..(1 + length)];
        }
        else
        {
            target = target[..(1 + key.Length)];
        }

        if (isWrite && key[0] == Reserved)
            throw new CairnException(ErrorCode.InvalidKey, ReservedText("key"));
        return target;
    }

    // Most keys are ASCII and of some length: checked and narrowed 16 at a time. What follows hashes the bytes in words of eight, right
    // away, and a load that spans two stores waits until both are in the cache (a tenth of a read): so the stores are as wide as
    // they can be, and the word that holds the lead is written last, as one.
    private static bool TryNarrow(byte lead, string key, Span<byte> target)
    {
        var text = MemoryMarshal.Cast<char, ushort>(key.AsSpan());
        if (!Vector128.IsHardwareAccelerated || text.Length is < 16 or > Limits.KeyBytesMax)
            return false;
        var behind = target.Slice(1, text.Length);
        var bits = Vector128<ushort>.Zero;
        var zeros = Vector128<ushort>.Zero;
        for (var at = 0; ; at = Math.Min(at + 16, text.Length - 16))
        {
            var low = Vector128.Create<ushort>(text[at..]);
            var high = Vector128.Create<ushort>(text[(at + 8)..]);
            bits |= low | high;
            zeros |= Vector128.Equals(low, Vector128<ushort>.Zero) | Vector128.Equals(high, Vector128<ushort>.Zero);
            var narrow = Vector128.Narrow(low, high);
            narrow.CopyTo(behind[at..]);
            if (at == 0)
                BinaryPrimitives.WriteUInt64LittleEndian(target, lead | narrow.AsUInt64().ToScalar() << 8);
            if (at == text.Length - 16)
                break;
        }

        return (bits & Vector128.Create<ushort>(0xFF80)) == Vector128<ushort>.Zero && zeros == Vector128<ushort>.Zero;
    }

    /// <summary>Checks a key that came as bytes and is to be written.</summary>
    /// <inheritdoc cref="EncodeKey"/>
    internal static void CheckKey(ReadOnlySpan<byte> key)
    {
        CheckKeyForRead(key);
        if (key[0] == (byte)Reserved)
            throw new CairnException(ErrorCode.InvalidKey, ReservedText("key"));
    }

    /// <summary>Checks a key that came as bytes and is only read.</summary>
    /// <inheritdoc cref="EncodeKey"/>
    internal static void CheckKeyForRead(ReadOnlySpan<byte> key)
    {
        Check(key, nameof(Limits.KeyBytesMax), Limits.KeyBytesMax, ErrorCode.InvalidKey, "key");
        if (key.Contains((byte)0))
            throw new CairnException(ErrorCode.InvalidKey, NulText);
    }

    /// <summary>Encodes a name that a user writes: of a run, event type, tag, collection, consumer.</summary>
    /// <param name="target">At least <see cref="Limits.NameBytesMax"/> bytes.</param>
    /// <param name="written">Bytes of the name.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: empty, control character, <c>/</c>, lone surrogate or
    /// reserved.</exception>
    /// <exception cref="LimitException">Longer than <see cref="Limits.NameBytesMax"/>.</exception>
    internal static void EncodeName(string name, Span<byte> target, out int written)
    {
        EncodeNameForRead(name, target, out written);
        if (name[0] == Reserved)
            throw new CairnException(ErrorCode.InvalidName, ReservedText("name"));
    }

    /// <summary>Encodes a name that is only read: the engine's own are allowed.</summary>
    /// <inheritdoc cref="EncodeName"/>
    internal static void EncodeNameForRead(string name, Span<byte> target, out int written)
    {
        ArgumentNullException.ThrowIfNull(name);
        written = Encode(name, target, nameof(Limits.NameBytesMax), Limits.NameBytesMax, ErrorCode.InvalidName, "name");
        if (name.AsSpan().ContainsAny(NotInNames))
            throw new CairnException(ErrorCode.InvalidName, ControlText);
    }

    /// <summary>Checks a name that came as bytes and is to be written.</summary>
    /// <inheritdoc cref="EncodeName"/>
    internal static void CheckName(ReadOnlySpan<byte> name)
    {
        CheckNameForRead(name);
        if (name[0] == (byte)Reserved)
            throw new CairnException(ErrorCode.InvalidName, ReservedText("name"));
    }

    /// <summary>Checks a name that came as bytes and is only read.</summary>
    /// <inheritdoc cref="EncodeName"/>
    internal static void CheckNameForRead(ReadOnlySpan<byte> name)
    {
        Check(name, nameof(Limits.NameBytesMax), Limits.NameBytesMax, ErrorCode.InvalidName, "name");
        if (name.ContainsAny(NotInNamesAscii) || HasUpperControl(name))
            throw new CairnException(ErrorCode.InvalidName, ControlText);
    }

    private static string ReservedText(string what) =>
        $"A {what} that begins with '$' belongs to the engine: it can be read, not written. Choose another first character.";

    private static int Encode(string text, Span<byte> target, string limit, int bytesMax, ErrorCode code, string what)
    {
        if (text.Length == 0)
            throw new CairnException(code, $"A {what} may not be empty.");
        Invariant.Check(target.Length >= bytesMax, "the target of a key or name holds the longest one");
        var status = Utf8.TryGetBytes(text, target[..bytesMax], out var written);
        if (status == OperationStatus.Done)
            return written;
        if (status == OperationStatus.DestinationTooSmall && TryCount(text, out var actual))
            throw new LimitException(limit, bytesMax, actual, "bytes");
        throw new CairnException(code, $"A {what} holds half of a surrogate pair and has no UTF-8 form.");
    }

    private static bool TryCount(string text, out int bytes)
    {
        try
        {
            bytes = Utf8.GetByteCount(text);
            return true;
        }
        catch (CairnException)
        {
            bytes = 0;
            return false;
        }
    }

    private static void Check(ReadOnlySpan<byte> text, string limit, int bytesMax, ErrorCode code, string what)
    {
        if (text.IsEmpty)
            throw new CairnException(code, $"A {what} may not be empty.");
        if (text.Length > bytesMax)
            throw new LimitException(limit, bytesMax, text.Length, "bytes");
        if (!Utf8.IsValid(text))
            throw new CairnException(code, $"A {what} must be valid UTF-8.");
    }

    // U+0080 to U+009F are C2 80 to C2 9F, and C2 is never a second byte.
    private static bool HasUpperControl(ReadOnlySpan<byte> name)
    {
        for (var at = name.IndexOf((byte)0xC2); at >= 0 && at + 1 < name.Length;)
        {
            if (name[at + 1] < 0xA0)
                return true;
            var next = name[(at + 2)..].IndexOf((byte)0xC2);
            at = next < 0 ? -1 : at + 2 + next;
        }

        return false;
    }
}
