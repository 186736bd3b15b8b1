using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Cairn.Codec;

/// <summary>Strict UTF-8 (RFC 3629): what is not valid is refused, never replaced. <c>Encoding.UTF8</c> writes U+FFFD for what it
/// does not understand, so that two different inputs become one key; it is banned in the engine. Nothing here allocates except
/// what answers a new string or array.</summary>
internal static class Utf8
{
    /// <summary>Most bytes of UTF-8 for one UTF-16 code unit; a surrogate pair (two units) takes four.</summary>
    internal const int BytesPerCharMax = 3;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>True when the bytes are valid UTF-8 from the first to the last.</summary>
    internal static bool IsValid(ReadOnlySpan<byte> utf8) => System.Text.Unicode.Utf8.IsValid(utf8);

    /// <summary>How many bytes the text takes as UTF-8.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal static int GetByteCount(ReadOnlySpan<char> text)
    {
        try
        {
            return Strict.GetByteCount(text);
        }
        catch (EncoderFallbackException)
        {
            throw LoneSurrogate();
        }
    }

    /// <summary>Writes the text as UTF-8.</summary>
    /// <param name="target">At least as long as <see cref="GetByteCount"/> says.</param>
    /// <returns>The bytes written.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal static int GetBytes(ReadOnlySpan<char> text, Span<byte> target)
    {
        var status = TryGetBytes(text, target, out var written);
        if (status == OperationStatus.Done)
            return written;
        throw status == OperationStatus.InvalidData ? LoneSurrogate() : TooShort();
    }

    /// <summary>The text as UTF-8 in an array of its own.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal static byte[] GetBytes(string text)
    {
        var bytes = new byte[GetByteCount(text)];
        GetBytes(text, bytes);
        return bytes;
    }

    /// <summary>Writes the text as UTF-8 and says why not, without throwing.</summary>
    /// <returns><see cref="OperationStatus.Done"/>; <see cref="OperationStatus.InvalidData"/> for a lone surrogate;
    /// <see cref="OperationStatus.DestinationTooSmall"/> when <paramref name="target"/> ended first.</returns>
    internal static OperationStatus TryGetBytes(ReadOnlySpan<char> text, Span<byte> target, out int written)
    {
        // Most keys are ASCII, and narrowing costs a fraction of transcoding.
        if (Ascii.FromUtf16(text, target, out written) == OperationStatus.Done)
            return OperationStatus.Done;
        return System.Text.Unicode.Utf8.FromUtf16(
            text, target, out _, out written, replaceInvalidSequences: false, isFinalBlock: true);
    }

    /// <summary>The text of valid UTF-8.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the bytes are not UTF-8.</exception>
    internal static string GetString(ReadOnlySpan<byte> utf8) => TryGetString(utf8, out var text) ? text : throw NotUtf8();

    /// <summary>The text of valid UTF-8; false when the bytes are something else.</summary>
    internal static bool TryGetString(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out string? text)
    {
        text = IsValid(utf8) ? GetTrustedString(utf8) : null;
        return text is not null;
    }

    /// <summary>The text of UTF-8 that has been checked already.</summary>
    internal static string GetTrustedString(ReadOnlySpan<byte> utf8) => Strict.GetString(utf8);

    /// <summary>Compares two texts as their UTF-8 bytes compare (NAM-4), without making the bytes. UTF-16 orders differently:
    /// surrogates (D800-DFFF) stand for code points above U+FFFF, yet are below E000-FFFF as numbers.</summary>
    /// <returns>Negative, zero or positive.</returns>
    internal static int Compare(ReadOnlySpan<char> left, ReadOnlySpan<char> right)
    {
        var same = left.CommonPrefixLength(right);
        if (same == left.Length || same == right.Length)
            return left.Length - right.Length;
        return InUtf8Order(left[same]) - InUtf8Order(right[same]);
    }

    // E000-FFFF moves down below the surrogates, the surrogates above them; all else stays.
    private static int InUtf8Order(char unit) => unit switch
    {
        >= '\uE000' => unit - 0x800,
        >= '\uD800' => unit + 0x2000,
        _ => unit,
    };

    private static CairnException LoneSurrogate() => new(ErrorCode.InvalidArgument,
        "A text holds half of a surrogate pair and has no UTF-8 form. Repair it at its source; it is not replaced here.");

    private static CairnException NotUtf8() => new(ErrorCode.InvalidArgument,
        "The bytes of a text are not valid UTF-8. Send UTF-8, or store them as Bytes.");

    private static ArgumentException TooShort() => new("The target is too short for the text as UTF-8.");
}
