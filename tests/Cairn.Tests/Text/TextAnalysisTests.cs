using System.Text;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Text;

public class TextAnalysisTests
{
    [Fact]
    [Trait("Requirement", "SRCH-13")]
    public void English_leaves_33_words_out_and_stems_the_others()
    {
        Assert.Equal(33, TextAnalysis.EnglishStopWords.Count);
        Assert.Equal("refund ada prefer", Terms(TextAnalysis.English, "The refunds and ADA's preferences are there"));
    }

    [Fact]
    [Trait("Requirement", "SRCH-13")]
    public void Stemming_and_stop_words_can_each_be_none()
    {
        const string Text = "The Refunds of ada2s";
        Assert.Equal("the refunds of ada2s", Terms(TextAnalysis.None, Text));
        Assert.Equal("the refund of ada2s", Terms(new TextAnalysis(TextStemming.English, []), Text));
        Assert.Equal("refunds ada2s", Terms(new TextAnalysis(TextStemming.None), Text));
        Assert.Equal("the of ada2s", Terms(new TextAnalysis(TextStemming.English, ["REFUNDS"]), Text));
        Assert.Equal("ärgern", Terms(new TextAnalysis(TextStemming.English, ["Straße"]), "STRAßE ärgern"));
    }

    [Fact]
    [Trait("Requirement", "SRCH-14")]
    public void Settings_are_equal_when_they_make_the_same_terms()
    {
        Assert.Equal(TextAnalysis.English, new TextAnalysis(TextStemming.English, TextAnalysis.EnglishStopWords.Reverse()));
        Assert.NotEqual(TextAnalysis.English, new TextAnalysis(TextStemming.None));
        Assert.NotEqual(TextAnalysis.English, new TextAnalysis(TextStemming.English, ["the"]));
        Assert.NotEqual(new TextAnalysis(TextStemming.None, ["ab", "cd"]), new TextAnalysis(TextStemming.None, ["abcd"]));

        // A change of what an analysis makes is a change of what was stored with it: this number changes with it, on purpose.
        Assert.Equal("dfcc", TextAnalysis.English.Hash.ToString()[..4]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("it's")]
    [InlineData(" the")]
    [InlineData("東京都")]
    public void A_stop_word_is_one_word(string word)
    {
        var refused = Assert.Throws<CairnException>(() => new TextAnalysis(TextStemming.None, [word]));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
    }

    [Fact]
    public void Stop_words_have_limits()
    {
        var words = Enumerable.Range(0, TextAnalysis.StopWordsMax + 1).Select(number => $"word{number}").ToList();
        Assert.Equal(TextAnalysis.StopWordsMax, new TextAnalysis(TextStemming.None, words.Skip(1)).StopWords.Count);
        Assert.Equal("StopWordsMax", Assert.Throws<LimitException>(() => new TextAnalysis(TextStemming.None, words)).Limit);
        var tooLong = Assert.Throws<LimitException>(() => new TextAnalysis(TextStemming.None, [new string('a', 257)]));
        Assert.Equal("NameBytesMax", tooLong.Limit);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => new TextAnalysis((TextStemming)7)).Code);
    }

    internal static string Terms(TextAnalysis analysis, string text)
    {
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var reader = new TextAnalyzer(analysis).Read(Encoding.UTF8.GetBytes(text), buffer);
        var terms = new List<string>();
        while (reader.MoveNext())
            terms.Add(Encoding.UTF8.GetString(reader.Term));
        return string.Join(' ', terms);
    }
}
