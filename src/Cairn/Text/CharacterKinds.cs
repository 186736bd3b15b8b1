using System.Globalization;
using System.Text;

namespace Cairn.Text;

/// <summary>What a character is to the tokenizer.</summary>
internal enum CharacterKind : byte
{
    /// <summary>Ends a word.</summary>
    Break,

    /// <summary>Belongs to a word.</summary>
    Word,

    /// <summary>Belongs to a script that puts no spaces between words.</summary>
    Unspaced,

    /// <summary>Stands on the character before it: an accent, a vowel sign.</summary>
    Mark,

    /// <summary>Has a place in a word and no meaning: a soft hyphen, a joiner, a variation selector.</summary>
    Ignored,
}

/// <summary>Kinds of characters, by the Unicode categories that come with the runtime and the blocks of the scripts without spaces. The
/// same under every culture.</summary>
internal static class CharacterKinds
{
    internal static CharacterKind Of(Rune rune)
    {
        var point = rune.Value;
        if (IsIgnored(point))
            return CharacterKind.Ignored;
        switch (Rune.GetUnicodeCategory(rune))
        {
            case UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark:
                return CharacterKind.Mark;
            case UnicodeCategory.DecimalDigitNumber:
                return CharacterKind.Word;
            case UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter:
                return CharacterKind.Word;
            case UnicodeCategory.OtherLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.LetterNumber:
                return IsUnspaced(point) ? CharacterKind.Unspaced : CharacterKind.Word;
            default:
                return CharacterKind.Break;
        }
    }

    private static bool IsIgnored(int point) => point is 0x00AD or 0x034F or 0x200C or 0x200D or 0x2060 or 0xFEFF
        or (>= 0xFE00 and <= 0xFE0F) or (>= 0xE0100 and <= 0xE01EF);

    // Han, Hiragana, Katakana (their halves too), Thai, Lao, Myanmar, Khmer. Hangul has spaces.
    private static bool IsUnspaced(int point) => point switch
    {
        >= 0x0E00 and <= 0x0EFF => true,
        >= 0x1000 and <= 0x109F => true,
        >= 0x1780 and <= 0x17FF => true,
        >= 0x2E80 and <= 0x2FDF => true,
        0x3005 or 0x3007 or (>= 0x3021 and <= 0x3029) or (>= 0x3031 and <= 0x3035) or (>= 0x3038 and <= 0x303C) => true,
        >= 0x3041 and <= 0x30FF => true,
        >= 0x31F0 and <= 0x31FF => true,
        >= 0x3400 and <= 0x4DBF => true,
        >= 0x4E00 and <= 0x9FFF => true,
        >= 0xAA60 and <= 0xAA7F => true,
        >= 0xF900 and <= 0xFAFF => true,
        >= 0xFF66 and <= 0xFF9F => true,
        >= 0x1AFF0 and <= 0x1B16F => true,
        >= 0x20000 and <= 0x3FFFD => true,
        _ => false,
    };
}
