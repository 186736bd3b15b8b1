using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;

namespace Cairn.Text;

/// <summary>Cuts UTF-8 into words: runs of letters and digits with the marks on them, in lower case. Scripts that put no spaces between
/// words come as overlapping pairs of characters. A function of the bytes alone; allocates nothing.</summary>
/// <remarks>
/// <list type="bullet">
/// <item>A word of one character is passed over, and so is a character of a script without spaces that stands alone. It has a position all
/// the same, so that a phrase knows of the gap.</item>
/// <item>A word of more than <see cref="TokenBytesMax"/> bytes is several, one behind the other: nothing is cut off.</item>
/// <item>Marks belong to the character before them, wherever it is; composed and decomposed forms are not made one, and accents are kept.
/// Joiners and soft hyphens in a word are left out of it.</item>
/// <item>Bytes that are not UTF-8 end a word.</item>
/// </list>
/// </remarks>
internal ref struct Tokenizer
{
    /// <summary>Most bytes of a word, as it is given.</summary>
    internal const int TokenBytesMax = 128;

    /// <summary>Bytes that a buffer needs: a word, or two characters with their marks.</summary>
    internal const int BufferBytes = 2 * TokenBytesMax;

    // For ASCII the lower-case letter or the digit; 0 for what ends a word.
    private static ReadOnlySpan<byte> Words =>
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        (byte)'0', (byte)'1', (byte)'2', (byte)'3', (byte)'4', (byte)'5', (byte)'6', (byte)'7', (byte)'8', (byte)'9', 0, 0, 0, 0, 0, 0,
        0, (byte)'a', (byte)'b', (byte)'c', (byte)'d', (byte)'e', (byte)'f', (byte)'g', (byte)'h', (byte)'i', (byte)'j', (byte)'k',
        (byte)'l', (byte)'m', (byte)'n', (byte)'o', (byte)'p', (byte)'q', (byte)'r', (byte)'s', (byte)'t', (byte)'u', (byte)'v',
        (byte)'w', (byte)'x', (byte)'y', (byte)'z', 0, 0, 0, 0, 0,
        0, (byte)'a', (byte)'b', (byte)'c', (byte)'d', (byte)'e', (byte)'f', (byte)'g', (byte)'h', (byte)'i', (byte)'j', (byte)'k',
        (byte)'l', (byte)'m', (byte)'n', (byte)'o', (byte)'p', (byte)'q', (byte)'r', (byte)'s', (byte)'t', (byte)'u', (byte)'v',
        (byte)'w', (byte)'x', (byte)'y', (byte)'z', 0, 0, 0, 0, 0,
    ];

    private readonly ReadOnlySpan<byte> _text;
    private readonly Span<byte> _buffer;
    private int _at;
    private int _length;
    private int _nextPosition;
    private int _unitStart;                                  // of the character of a script without spaces that waits for its pair
    private int _unitEnd;
    private int _unitBytes;                                  // it stands at the beginning of the buffer; 0 = none waits
    private bool _isPaired;                                  // it was the second of a pair already
    private bool _dropsUnit;                                 // what the buffer begins with was given with the last pair

    /// <param name="text">UTF-8.</param>
    /// <param name="buffer"><see cref="BufferBytes"/>, untouched for as long as this is used.</param>
    internal Tokenizer(ReadOnlySpan<byte> text, Span<byte> buffer)
    {
        _text = text;
        _buffer = buffer[..BufferBytes];
    }

    /// <summary>The word in lower case; borrowed until the next one.</summary>
    internal readonly Span<byte> Token => _buffer[.._length];

    /// <summary>Where it begins in the text, in bytes.</summary>
    internal int Start { get; private set; }

    /// <summary>Where it ends.</summary>
    internal int End { get; private set; }

    /// <summary>Its place among the words, from 0; those that are passed over count.</summary>
    internal int Position { get; private set; }

    /// <summary>Positions there were, when the text has ended.</summary>
    internal readonly int Positions => _nextPosition;

    /// <summary>The word has letters of ASCII and nothing else.</summary>
    internal bool IsAsciiLetters { get; private set; }

    /// <summary>The word that a text ends with, in lower case, be it as short as it may: what a prefix is compared with. Of a script
    /// without spaces the last pair, or a character that stands alone.</summary>
    /// <param name="start">Where it begins.</param>
    /// <returns>Borrowed from the buffer; empty when the text does not end with a word.</returns>
    internal static ReadOnlySpan<byte> LastWord(ReadOnlySpan<byte> text, Span<byte> buffer, out int start)
    {
        var words = new Tokenizer(text, buffer);
        while (words.MoveNext())
        {
            start = words.Start;
            if (words.End == text.Length)
                return words.Token;
        }

        // One character and what stands on it.
        start = text.Length;
        var length = 0;
        for (var at = 0; at < text.Length;)
        {
            var kind = Rune.DecodeFromUtf8(text[at..], out var rune, out var bytes) == OperationStatus.Done
                ? CharacterKinds.Of(rune)
                : CharacterKind.Break;
            if (kind is CharacterKind.Word or CharacterKind.Unspaced)
                (start, length) = (at, Rune.ToLowerInvariant(rune).EncodeToUtf8(buffer));
            else if (kind == CharacterKind.Break)
                length = 0;
            else if (kind == CharacterKind.Mark && length > 0 && length + rune.Utf8SequenceLength <= TokenBytesMax)
                length += rune.EncodeToUtf8(buffer[length..]);
            at += bytes;
        }

        if (length == 0)
            start = text.Length;
        return buffer[..length];
    }

    internal bool MoveNext()
    {
        if (_dropsUnit)
            KeepSecondUnit();
        while (_at < _text.Length)
        {
            var first = _text[_at];
            if (first < 0x80)
            {
                if (Words[first] == 0)
                {
                    EndUnit();
                    _at++;
                    continue;
                }

                EndUnit();
                if (ReadWord())
                    return true;
                continue;
            }

            switch (Peek(out _, out var bytes))
            {
                case CharacterKind.Word:
                    EndUnit();
                    if (ReadWord())
                        return true;
                    break;
                case CharacterKind.Unspaced:
                    if (ReadUnit())
                        return true;
                    break;
                case CharacterKind.Break:
                    EndUnit();
                    _at += bytes;
                    break;
                default:
                    _at += bytes;                            // a mark that stands on nothing
                    break;
            }
        }

        EndUnit();
        return false;
    }

    // From a letter or digit to what ends the word. False when it is too short.
    private bool ReadWord()
    {
        Start = _at;
        var length = 0;
        var characters = 0;
        var isAscii = true;
        while (_at < _text.Length)
        {
            var lower = _text[_at] < 0x80 ? Words[_text[_at]] : (byte)0;
            if (lower != 0)
            {
                if (length == TokenBytesMax)
                    break;
                isAscii &= lower >= (byte)'a';
                _buffer[length++] = lower;
                characters++;
                _at++;
                continue;
            }

            if (_text[_at] < 0x80 || !ReadOn(ref length, ref characters))
                break;
            isAscii = false;
        }

        End = _at;
        Position = _nextPosition++;
        _length = length;
        IsAsciiLetters = isAscii;
        return characters > 1;
    }

    // A character beyond ASCII inside a word. False: it does not belong there, or has no room.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ReadOn(ref int length, ref int characters)
    {
        var kind = Peek(out var rune, out var bytes);
        if (kind is CharacterKind.Break or CharacterKind.Unspaced)
            return false;
        if (kind != CharacterKind.Ignored)
        {
            var lower = Rune.ToLowerInvariant(rune);
            if (length + lower.Utf8SequenceLength > TokenBytesMax)
                return false;
            length += lower.EncodeToUtf8(_buffer[length..]);
            characters += kind == CharacterKind.Word ? 1 : 0;
        }

        _at += bytes;
        return true;
    }

    // A character of a script without spaces and its marks. True: it is the second of a pair.
    private bool ReadUnit()
    {
        var start = _at;
        var length = _unitBytes;
        Peek(out var rune, out var bytes);
        length += Rune.ToLowerInvariant(rune).EncodeToUtf8(_buffer[length..]);
        _at += bytes;
        while (_at < _text.Length && _text[_at] >= 0x80)
        {
            var kind = Peek(out rune, out bytes);
            if (kind is not (CharacterKind.Mark or CharacterKind.Ignored)
                || length - _unitBytes + rune.Utf8SequenceLength > TokenBytesMax)
            {
                break;
            }

            if (kind == CharacterKind.Mark)
                length += rune.EncodeToUtf8(_buffer[length..]);
            _at += bytes;
        }

        if (_unitBytes == 0)
        {
            (_unitStart, _unitEnd, _unitBytes, _isPaired) = (start, _at, length, false);
            return false;
        }

        Start = _unitStart;
        End = _at;
        Position = _nextPosition++;
        IsAsciiLetters = false;
        _length = length;
        (_unitStart, _unitEnd) = (start, _at);
        _dropsUnit = true;
        return true;
    }

    // The second of the pair that was given is the first of the next.
    private void KeepSecondUnit()
    {
        _dropsUnit = false;
        var second = _buffer[_unitBytes.._length];
        second.CopyTo(_buffer);
        _unitBytes = second.Length;
        _isPaired = true;
    }

    private void EndUnit()
    {
        if (_unitBytes == 0)
            return;
        if (!_isPaired && !Mutant.Is("text-forgets-places"))
            _nextPosition++;
        _unitBytes = 0;
    }

    private readonly CharacterKind Peek(out Rune rune, out int bytes) =>
        Rune.DecodeFromUtf8(_text[_at..], out rune, out bytes) == OperationStatus.Done ? CharacterKinds.Of(rune) : CharacterKind.Break;
}
