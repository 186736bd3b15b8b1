using System.Text;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Text;

[Trait("Requirement", "SRCH-16")]
public class TextQueryTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("  \t\n ", "")]
    [InlineData("the of", "")]                                   // stop words alone
    [InlineData("Refunds preference", "refund prefer")]
    [InlineData("refund refunds REFUNDED other", "refund^3 other")]
    [InlineData("\"store credits\"", "\"store credit\"")]
    [InlineData("\"proof of concept\"", "\"proof concept\"@0,2")]  // the gap of the stop word counts
    [InlineData("\"word\"", "word")]
    [InlineData("the -word", "-word")]                           // asks for what is nowhere, which is no mistake
    [InlineData("\"the\" x \"\"", "")]
    [InlineData("+ada -draft refund", "+ada -draft refund")]
    [InlineData("+\"store credit\" -\"long term\" x1", "+\"store credit\" -\"long term\" x1")]
    [InlineData("long-term +long-term", "long term +\"long term\"")]
    [InlineData("refund - preference + x1", "refund prefer x1")]   // a dash between words
    [InlineData("pre* +fo* -ba*", "pre* +fo* -ba*")]
    [InlineData("running* Kebab-Cas*", "running* kebab cas*")]     // a prefix is not stemmed
    [InlineData("a* 猫* 東京*", "a* 猫* 東京*")]
    [InlineData("word +word", "+word^2")]
    [InlineData("word -word", "word -word")]
    [InlineData("東京都", "東京 京都")]
    [InlineData("+東京都", "+\"東京 京都\"")]
    [InlineData("word\"two three\"more", "word \"two three\" more")]
    [InlineData("--word x1", "-word x1")]
    public void A_query_has_its_parts(string text, string expected) => Assert.Equal(expected, Parts(text, isLiteral: false));

    [Theory]
    [InlineData("\"store credit", "character 0", "does not end")]
    [InlineData("a b \"", "character 4", "does not end")]
    [InlineData("*", "character 0", "no letter")]
    [InlineData("word *", "character 5", "no letter")]
    [InlineData("-!*", "character 2", "no letter")]
    [InlineData("wo*rd", "character 2", "inside")]
    [InlineData("word**", "character 4", "inside")]
    [InlineData("\"two words\"*", "character 11", "behind a phrase")]
    [InlineData("-word -other", "character 0", "excluded")]
    public void What_makes_no_sense_is_refused_with_its_place(string text, string place, string why)
    {
        var refused = Assert.Throws<CairnException>(() => Parts(text, isLiteral: false));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains(place, refused.Message, StringComparison.Ordinal);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Parts(text, isLiteral: true);
    }

    [Fact]
    [Trait("Requirement", "BUG-54")]
    public void Literal_text_has_no_operators() =>
        Assert.Equal("ignor previous -draft* store credit".Replace("-draft*", "draft", StringComparison.Ordinal),
            Parts("+ignore \"previous -draft* store\" -credit", isLiteral: true));

    // Whatever it is, it is a query or an error of the documented kinds, and soon.
    [Fact]
    [Trait("Kind", "Random")]
    public void Any_text_is_a_query_or_is_refused()
    {
        var random = new Random((int)Seeds.Begin(nameof(Any_text_is_a_query_or_is_refused)));
        string[] parts = ["\"", "*", "+", "-", " ", "word", "the", "東京", "猫", "é", "\u0301", "\t", "x", "--", "**", "a-b", "\u200D"];
        var limits = new Limits { SearchTermsMax = 20, SearchTextBytesMax = 200 };
        var rounds = Seeds.Scaled(20_000);
        for (var round = 0; round < rounds; round++)
        {
            var text = new StringBuilder();
            for (var i = random.Next(0, 40); i > 0; i--)
                text.Append(random.Next(8) == 0 ? RandomTexts.Text(random, 3) : parts[random.Next(parts.Length)]);
            try
            {
                TextQuery.Parse(text.ToString(), random.Next(3) == 0, TextAnalyzer.Default, limits);
            }
            catch (CairnException refused) when (refused is LimitException || refused.Code == ErrorCode.InvalidArgument)
            {
            }
        }
    }

    private static string Parts(string text, bool isLiteral)
    {
        var query = TextQuery.Parse(text, isLiteral, TextAnalyzer.Default, new Limits());
        return string.Join(' ', query.Clauses.Select(clause =>
            (clause.Role switch { ClauseRole.Required => "+", ClauseRole.Excluded => "-", _ => "" })
            + clause.Text
            + (clause.Offsets.SequenceEqual(Enumerable.Range(0, clause.Offsets.Length)) ? "" : "@" + string.Join(',', clause.Offsets))
            + (clause.Times > 1 ? $"^{clause.Times}" : "")));
    }
}
