using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>I-Regexp (RFC 9485), as match and search use it.</summary>
[Trait("Requirement", "JS-16")]
public class RegularExpressionTests
{
    [Theory]
    [InlineData("a|b", "b", true)]
    [InlineData("a|b", "ab", false)]
    [InlineData("", "", true)]
    [InlineData("a||b", "", true)]
    [InlineData("(ab){2}", "abab", true)]
    [InlineData("(ab){2,}", "ababab", true)]
    [InlineData("a{2,3}", "aaaa", false)]
    [InlineData("a{0}", "", true)]
    [InlineData("[a-c]+", "abc", true)]
    [InlineData("[^a-c]", "d", true)]
    [InlineData("[^a-c]", "\U0001F5FF", true)]
    [InlineData("[-a]", "-", true)]
    [InlineData("[a-]", "-", true)]
    [InlineData("[$]", "$", true)]
    [InlineData("\\(\\)\\*\\+\\-\\.\\?\\[\\\\\\]\\^\\{\\|\\}\\n\\r\\t", "()*+-.?[\\]^{|}\n\r\t", true)]
    [InlineData("\\p{Lu}\\P{Lu}", "Aa", true)]
    [InlineData("\\p{L}", "\U00010400", true)]
    [InlineData("\\p{Lu}", "\U00010400", true)]
    [InlineData("\\p{Ll}", "\U00010400", false)]
    [InlineData("[\\p{Nd}x]*", "0\u0663x", true)]
    [InlineData(".", "\U0001F5FF", true)]
    [InlineData("..", "\U0001F5FF", false)]
    [InlineData(".", "\n", false)]
    [InlineData(".", "\u2028", true)]
    [InlineData("\U0001F5FE+", "\U0001F5FE\U0001F5FE", true)]
    [InlineData("[\U0001F5FE-\U0001F5FF]", "\U0001F5FF", true)]
    [InlineData("[\U0001F5FE-\U0001F5FF]", "\U0001F5FD", false)]
    [InlineData("[\uFFFD-\U00010001]", "\U00010000", true)]
    [InlineData("&#x27;<>=!:%@/~`_,;\"", "&#x27;<>=!:%@/~`_,;\"", true)]
    [InlineData("a\nb #c", "a\nb #c", true)]
    public void An_expression_matches_a_whole_text_or_not(string expression, string text, bool matches) =>
        Assert.Equal(matches, Matches("match", expression, text));

    // What .NET would take and the RFC does not know.
    [Theory]
    [InlineData("a*?")]
    [InlineData("a++")]
    [InlineData("(?:a)")]
    [InlineData("(?=a)")]
    [InlineData("(a")]
    [InlineData("a)")]
    [InlineData("*a")]
    [InlineData("\\d")]
    [InlineData("\\w+")]
    [InlineData("\\1")]
    [InlineData("\\u0061")]
    [InlineData("\\p{Cs}")]
    [InlineData("\\p{IsBasicLatin}")]
    [InlineData("\\p{}")]
    [InlineData("\\pL")]
    [InlineData("[]")]
    [InlineData("[]a]")]
    [InlineData("[c-a]")]
    [InlineData("[a-\\p{L}]")]
    [InlineData("[[a]]")]
    [InlineData("[a-z-[aeiou]]")]
    [InlineData("[a")]
    [InlineData("a{")]
    [InlineData("a{,2}")]
    [InlineData("a{2,1}")]
    [InlineData("a{1}{1}")]
    [InlineData("}")]
    [InlineData("\\")]
    public void What_is_no_expression_matches_nothing(string expression)
    {
        foreach (var text in new[] { "", "a", "aa", "1", "\\", "a{", expression })
            Assert.False(Matches("match", expression, text) || Matches("search", expression, text));
    }

    [Theory]
    [InlineData("b+", "abbc", true)]
    [InlineData("^b", "ab", false)]
    [InlineData("b$", "ab", true)]
    [InlineData("", "x", true)]
    [InlineData("\\P{L}", "\U00010400", false)]
    public void A_search_finds_a_part_of_a_text(string expression, string text, bool finds) =>
        Assert.Equal(finds, Matches("search", expression, text));

    // Three hundred different characters took the engine more than half a second, and a query could have it do so again and again.
    [Fact]
    [Trait("Requirement", "LIM-11")]
    public void Characters_that_an_expression_tells_apart_are_counted()
    {
        string Of(int count, int n) => string.Concat(Enumerable.Range(0, count).Select(k => (char)(0x4E00 + (7 * k) + n)));
        var query = JsonPath.Parse("$[?search('x', @)]");
        Assert.Empty(query.Evaluate(Value.Array(Of(130, 0))));
        Assert.Equal(nameof(Limits.RegexPositionsMax), Assert.Throws<LimitException>(() => query.Evaluate(Value.Array(Of(140, 0)))).Limit);
        var many = Value.Array(Enumerable.Range(0, 1_000).Select(n => (Value)Of(130, n)));
        Assert.Equal(nameof(Limits.QueryStepsMax), Assert.Throws<LimitException>(() => query.Evaluate(many)).Limit);
    }

    // The engine without backtracking refuses what is too large for it with an exception of its own: the limit has to come first.
    [Theory]
    [InlineData("a")]
    [InlineData("(a*b)")]
    [InlineData("(a|bc|\U0001F5FF)")]
    [InlineData(".")]
    [InlineData("()")]
    [InlineData("(a?b?)")]
    [InlineData("[^a]")]
    [InlineData("\\p{L}")]
    [InlineData("\\P{C}")]
    [InlineData("\\p{Sm}")]
    [Trait("Requirement", "LIM-11")]
    public void The_largest_expression_that_is_allowed_runs(string part)
    {
        var (most, refused) = (0, false);
        for (var count = 1; !refused && count < 2_000; count += count < 100 ? 1 : 50)
        {
            try
            {
                JsonPath.Parse($"$[?search(@, '({Quoted(part)}){{{count}}}')]").Evaluate(Value.Array(new string('a', 50)));
                most = count;
            }
            catch (LimitException limit)
            {
                Assert.Equal(nameof(Limits.RegexPositionsMax), limit.Limit);
                refused = true;
            }
        }

        Assert.True(refused && most >= 450, $"{most}");

        static string Quoted(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal);
    }

    // The expression stands in the query, and in the document.
    private static bool Matches(string function, string expression, string text)
    {
        var quoted = System.Text.Json.JsonSerializer.Serialize(expression);
        var document = Value.Object(("e", expression), ("t", Value.Array(text)));
        var ofQuery = JsonPath.Parse($"$.t[?{function}(@, {quoted})]").Evaluate(document).Count;
        Assert.Equal(ofQuery, JsonPath.Parse($"$.t[?{function}(@, $.e)]").Evaluate(document).Count);
        return ofQuery == 1;
    }
}
