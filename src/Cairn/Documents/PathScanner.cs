using System.Buffers;
using System.Globalization;
using System.Text;
using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Reads the words that paths, queries and filters have in common (RFC 9535): blanks, names, quoted texts, integers. Looks at each
/// character once.</summary>
internal sealed class PathScanner
{
    // RFC 9535, section 2.1: integers of I-JSON (RFC 7493).
    internal const long IntegerMax = (1L << 53) - 1;

    private readonly ErrorCode _code;
    private readonly string _what;

    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal PathScanner(string text, string what, ErrorCode code = ErrorCode.InvalidPath)
    {
        Text = text;
        _what = what;
        _code = code;
    }

    internal string Text { get; }

    /// <summary>The character to read next, counted from 0.</summary>
    internal int At { get; set; }

    internal bool IsAtEnd => At >= Text.Length;

    /// <summary>The character to read next; NUL at the end, which no grammar here begins anything with.</summary>
    internal char Peek => At < Text.Length ? Text[At] : '\0';

    internal char PeekBehind => At + 1 < Text.Length ? Text[At + 1] : '\0';

    internal MalformedTextException Fail(string reason) => Fail(At, reason);

    internal MalformedTextException Fail(int at, string reason) => new(_code, _what, at, reason);

    /// <summary>Reads a text if it stands here.</summary>
    internal bool TryRead(string expected)
    {
        if (!Text.AsSpan(At).StartsWith(expected, StringComparison.Ordinal))
            return false;
        At += expected.Length;
        return true;
    }

    internal void Expect(char expected, string reason)
    {
        if (Peek != expected || IsAtEnd)
            throw Fail(reason);
        At++;
    }

    /// <summary>RFC 9535, section 2.1.1: space, tab, line feed, carriage return.</summary>
    /// <returns>True when there was one at least.</returns>
    internal bool SkipBlanks()
    {
        var from = At;
        while (Peek is ' ' or '\t' or '\n' or '\r' && !IsAtEnd)
            At++;
        return At > from;
    }

    internal static bool IsNameFirst(char unit) => char.IsAsciiLetter(unit) || unit == '_' || unit >= '\u0080';

    internal static bool IsNameChar(char unit) => IsNameFirst(unit) || char.IsAsciiDigit(unit);

    /// <summary>RFC 9535, section 2.5.1: member-name-shorthand. Lone surrogates have been refused with the text.</summary>
    internal string ReadShorthand()
    {
        if (!IsNameFirst(Peek))
            throw Fail("A name begins with a letter, '_' or a character beyond ASCII; any other one is written ['name'].");
        var from = At;
        while (!IsAtEnd && IsNameChar(Peek))
            At++;
        return Text[from..At];
    }

    /// <summary>RFC 9535, section 2.3.3: an integer without leading zeros, not -0, within 53 bits.</summary>
    internal long ReadInteger()
    {
        var from = At;
        if (Peek == '-')
            At++;
        var digits = At;
        while (char.IsAsciiDigit(Peek))
            At++;
        var text = Text.AsSpan(digits, At - digits);
        if (text.IsEmpty)
            throw Fail("An integer is expected here.");
        if (text[0] == '0' && (text.Length > 1 || digits > from))
            throw Fail(from, "An integer has no leading zero and is not -0.");
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > IntegerMax)
            throw Fail(from, "An integer is from -9007199254740991 to 9007199254740991.");
        return digits > from ? -number : number;
    }

    /// <summary>RFC 9535, section 2.3.1: a text in single or double quotes.</summary>
    internal string ReadQuoted()
    {
        var quote = Peek;
        var start = At++;
        var from = At;
        StringBuilder? built = null;
        while (!IsAtEnd && Peek != quote)
        {
            if (Peek < ' ')
                throw Fail("A control character in quotes is written as an escape.");
            if (Peek != '\\')
            {
                At++;
                continue;
            }

            built ??= new StringBuilder();
            built.Append(Text, from, At - from);
            ReadEscape(quote, built);
            from = At;
        }

        if (IsAtEnd)
            throw Fail(start, "The quote that begins here has no end.");
        var rest = Text[from..At];
        At++;
        return built is null ? rest : built.Append(rest).ToString();
    }

    private void ReadEscape(char quote, StringBuilder target)
    {
        var start = At++;
        var unit = Peek;
        At++;
        switch (unit)
        {
            case 'b':
                target.Append('\b');
                return;
            case 'f':
                target.Append('\f');
                return;
            case 'n':
                target.Append('\n');
                return;
            case 'r':
                target.Append('\r');
                return;
            case 't':
                target.Append('\t');
                return;
            case '/' or '\\':
                target.Append(unit);
                return;
            case 'u':
                ReadCodePoint(start, target);
                return;
            default:
                if (unit != quote)
                    throw Fail(start, "There is no such escape: \\b \\f \\n \\r \\t \\/ \\\\ \\uXXXX and the quote itself.");
                target.Append(unit);
                return;
        }
    }

    private void ReadCodePoint(int start, StringBuilder target)
    {
        var first = ReadHex(start);
        if (char.IsLowSurrogate(first))
            throw Fail(start, "A low surrogate stands behind a high one only.");
        target.Append(first);
        if (!char.IsHighSurrogate(first))
            return;
        if (!TryRead("\\u"))
            throw Fail(start, "A high surrogate is followed by a low one, as \\uXXXX too.");
        var second = ReadHex(start);
        if (!char.IsLowSurrogate(second))
            throw Fail(start, "A high surrogate is followed by a low one.");
        target.Append(second);
    }

    private char ReadHex(int start)
    {
        if (At + 4 > Text.Length || Text.AsSpan(At, 4).ContainsAnyExcept(HexDigits))
            throw Fail(start, "\\u is followed by four hexadecimal digits.");
        At += 4;
        return (char)ushort.Parse(Text.AsSpan(At - 4, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdefABCDEF");

    /// <summary>Refuses what is too long before anything is made of it, and lone surrogates.</summary>
    /// <exception cref="LimitException">Longer than allowed.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal static void CheckText(string text, string limit, int allowed)
    {
        ArgumentNullException.ThrowIfNull(text);
        // The length in bytes is at least that in characters; so a huge text is not even counted.
        long bytes = text.Length > allowed ? text.Length : Utf8.GetByteCount(text);
        if (bytes > allowed)
            throw new LimitException(limit, allowed, bytes, "bytes");
    }
}
