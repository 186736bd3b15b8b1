using System.Globalization;
using System.Text;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Text;

public class TokenizerTests
{
    [Theory]
    [Trait("Requirement", "SRCH-12")]
    [InlineData("", "")]
    [InlineData("Refund #4711, please!", "refund@0 4711@1 please@2")]
    [InlineData("snake_case and kebab-case", "snake@0 case@1 and@2 kebab@3 case@4")]
    [InlineData("a b cc d ee", "cc@2 ee@4")]                     // one character is too short, and keeps its place
    [InlineData("don't", "don@0")]
    [InlineData("v2 3d 10.5", "v2@0 3d@1 10@2")]
    [InlineData("ÄRGER Straße ΣΟΦΟΣ", "ärger@0 straße@1 σοφοσ@2")]
    [InlineData("café cafe\u0301", "café@0 cafe\u0301@1")]          // marks stay on their letters; forms are not made one
    [InlineData("co\u00ADop zero\u200Dwidth", "coop@0 zerowidth@1")]
    [InlineData("東京都", "東京@0 京都@1")]
    [InlineData("猫", "")]                                        // alone it is under two characters
    [InlineData("猫 犬x東京", "東京@3")]
    [InlineData("カタカナとABC123漢字", "カタ@0 タカ@1 カナ@2 ナと@3 abc123@4 漢字@5")]
    [InlineData("한국어 텍스트", "한국어@0 텍스트@1")]                  // has spaces
    [InlineData("ภาษาไทย", "ภา@0 าษ@1 ษา@2 าไ@3 ไท@4 ทย@5")]
    [InlineData("हिन्दी", "हिन्दी@0")]                                // vowel signs are marks, not breaks
    [InlineData("شَهْر", "شَهْر@0")]
    [InlineData("\u0301ab", "ab@0")]                             // a mark that stands on nothing
    [InlineData("x\U0001F600yy", "yy@1")]
    [InlineData("\U00010400\U00010401", "\U00010428\U00010429@0")] // Deseret has two cases beyond the first plane
    public void Words_of_a_text(string text, string expected)
    {
        Assert.Equal(expected, string.Join(' ', Words(text).Select(word => $"{word.Text}@{word.Position}")));
    }

    [Fact]
    [Trait("Requirement", "SRCH-12")]
    public void A_long_word_is_several_and_nothing_is_lost()
    {
        var text = new string('a', 1_000) + new string('ä', 100);
        var words = Words(text);
        Assert.All(words, word => Assert.InRange(Encoding.UTF8.GetByteCount(word.Text), 1, Tokenizer.TokenBytesMax));
        Assert.Equal(text, string.Concat(words.Select(word => word.Text)));
        Assert.Equal(Enumerable.Range(0, words.Count), words.Select(word => word.Position));
    }

    // Against the same rules, said once more in the slowest way: by code points, without a buffer and without a short way for ASCII.
    [Fact]
    [Trait("Requirement", "SRCH-12")]
    [Trait("Kind", "Random")]
    public void Random_Unicode_is_cut_as_the_rules_say()
    {
        var random = new Random((int)Seeds.Begin(nameof(Random_Unicode_is_cut_as_the_rules_say)));
        var rounds = Seeds.Scaled(4_000);
        for (var round = 0; round < rounds; round++)
        {
            var text = RandomTexts.Text(random, random.Next(0, 60));
            Assert.Equal(PlainWords.Of(text), Words(text));
        }
    }

    [Fact]
    [Trait("Kind", "Random")]
    public void Any_bytes_end()
    {
        var random = new Random((int)Seeds.Begin(nameof(Any_bytes_end)));
        var bytes = new byte[200];
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var rounds = Seeds.Scaled(4_000);
        for (var round = 0; round < rounds; round++)
        {
            var text = bytes.AsSpan(0, random.Next(bytes.Length));
            random.NextBytes(text);
            var words = new Tokenizer(text, buffer);
            var last = 0;
            while (words.MoveNext())
            {
                Assert.InRange(words.Start, 0, words.End - 1);
                Assert.InRange(words.End, last, text.Length);
                last = words.End;
            }
        }
    }

    [Fact]
    [Trait("Requirement", "SRCH-12")]
    public void No_culture_makes_a_difference()
    {
        const string Text = "INDIGO Iıİi TITLE ΑΣ Straße DŽ Ǆ";
        var before = CultureInfo.CurrentCulture;
        try
        {
            var expected = Words(Text);
            CultureInfo.CurrentCulture = new TurkishCulture();
            Assert.Equal("indigo", Words(Text)[0].Text);
            Assert.Equal(expected, Words(Text));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    // Whatever asks the culture for its letters fails.
    private sealed class TurkishCulture() : CultureInfo("")
    {
        public override TextInfo TextInfo => throw new InvalidOperationException("the culture was asked");
    }

    [Fact]
    [Trait("Requirement", "PERF-8")]
    public void Nothing_is_allocated_per_word()
    {
        var text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("The refunds of ADA and Ärger in 東京都, 4711 times. ", 200)));
        Count(text);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var terms = Count(text);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(1_400, terms);

        static int Count(byte[] text)
        {
            Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
            var reader = TextAnalyzer.Default.Read(text, buffer);
            var count = 0;
            while (reader.MoveNext())
                count++;
            return count;
        }
    }

    internal readonly record struct Word(string Text, int Start, int End, int Position);

    private static List<Word> Words(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var words = new Tokenizer(bytes, buffer);
        var found = new List<Word>();
        while (words.MoveNext())
            found.Add(new(Encoding.UTF8.GetString(words.Token), words.Start, words.End, words.Position));
        return found;
    }

    /// <summary>The rules of the tokenizer over whole code points.</summary>
    private static class PlainWords
    {
        internal static List<Word> Of(string text)
        {
            var characters = new List<(string Text, CharacterKind Kind, int Start, int End)>();
            var at = 0;
            foreach (var rune in text.EnumerateRunes())
            {
                characters.Add((Rune.ToLowerInvariant(rune).ToString(), CharacterKinds.Of(rune), at, at + rune.Utf8SequenceLength));
                at += rune.Utf8SequenceLength;
            }

            var words = new List<Word>();
            var position = 0;
            for (var i = 0; i < characters.Count;)
            {
                var kind = characters[i].Kind;
                if (kind is not (CharacterKind.Word or CharacterKind.Unspaced))
                {
                    i++;
                    continue;
                }

                var units = new List<(string Text, int Start, int End)>();
                while (i < characters.Count && characters[i].Kind == kind)
                {
                    var start = characters[i].Start;
                    var unit = characters[i++].Text;
                    while (i < characters.Count && characters[i].Kind is CharacterKind.Mark or CharacterKind.Ignored)
                    {
                        unit += characters[i].Kind == CharacterKind.Mark ? characters[i].Text : "";
                        i++;
                    }

                    units.Add((unit, start, characters[i - 1].End));
                }

                if (units.Count == 1)
                {
                    position++;
                }
                else if (kind == CharacterKind.Word)
                {
                    words.Add(new(string.Concat(units.Select(unit => unit.Text)), units[0].Start, units[^1].End, position++));
                }
                else
                {
                    for (var j = 1; j < units.Count; j++)
                        words.Add(new(units[j - 1].Text + units[j].Text, units[j - 1].Start, units[j].End, position++));
                }
            }

            return words;
        }
    }
}

/// <summary>Texts of every kind of character that the tokenizer knows, and of some it does not.</summary>
internal static class RandomTexts
{
    private static readonly (int From, int To)[] Blocks =
    [
        (0x20, 0x7E), (0x20, 0x7E), ('a', 'z'), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x590, 0x6FF), (0x900, 0x97F),
        (0xE00, 0xE7F), (0x1780, 0x17FF), (0x200B, 0x2064), (0x3000, 0x30FF), (0x4E00, 0x4E20), (0xAC00, 0xAC20), (0xFE00, 0xFE0F),
        (0x1F600, 0x1F610), (0x10400, 0x1044F), (0x20000, 0x20010),
    ];

    internal static string Text(Random random, int length)
    {
        var text = new StringBuilder();
        for (var i = 0; i < length;)
        {
            var (from, to) = Blocks[random.Next(Blocks.Length)];
            for (var j = random.Next(1, 5); j > 0; j--, i++)
                text.Append(new Rune(random.Next(from, to + 1)));
        }

        return text.ToString();
    }
}
