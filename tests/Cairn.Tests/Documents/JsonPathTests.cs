using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>RFC 9535: the compliance suite, the order of results, and work that is bounded.</summary>
[Trait("Requirement", "JS-14")]
public class JsonPathTests
{
    private static readonly Lazy<JsonDocument> Suite = new(() =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "jsonpath", "cts.json"))));

    public static TheoryData<int, string> Cases
    {
        get
        {
            var cases = new TheoryData<int, string>();
            foreach (var test in Suite.Value.RootElement.GetProperty("tests").EnumerateArray())
                cases.Add(cases.Count, test.GetProperty("name").GetString()!.Replace("\0", "NUL", StringComparison.Ordinal));
            return cases;
        }
    }

    [Fact]
    [Trait("Requirement", "JS-15")]
    public void The_suite_is_whole()
    {
        var tests = Suite.Value.RootElement.GetProperty("tests").EnumerateArray().ToList();
        Assert.Equal((703, 247), (tests.Count, tests.Count(test => test.TryGetProperty("invalid_selector", out _))));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    [Trait("Requirement", "JS-15")]
    [Trait("Requirement", "JS-16")]
    public void Every_case_of_the_suite(int number, string name)
    {
        var test = Suite.Value.RootElement.GetProperty("tests")[number];
        var selector = test.GetProperty("selector").GetString()!;
        if (test.TryGetProperty("invalid_selector", out _))
        {
            var refused = Assert.Throws<MalformedTextException>(() => JsonPath.Parse(selector));
            Assert.Equal(ErrorCode.InvalidPath, refused.Code);
            Assert.InRange(refused.Offset, 0, selector.Length);
            return;
        }

        var document = Value.FromJson(test.GetProperty("document").GetRawText());
        var matches = JsonPath.Parse(selector).Evaluate(document);
        var found = (Value.Array(matches.Select(match => match.Value)), Value.Array(matches.Select(match => (Value)match.ToString())));
        var expected = test.TryGetProperty("results", out var results)
            ? results.EnumerateArray().Zip(test.GetProperty("results_paths").EnumerateArray(), Of).ToList()
            : [Of(test.GetProperty("result"), test.GetProperty("result_paths"))];
        Assert.True(expected.Contains(found), $"{name}: {selector}\n{found.Item1.ToJson()}\n{found.Item2.ToJson()}");
        foreach (var match in matches)
            Assert.Equal(match.Value, DocumentPath.Parse(match.ToString()).Get(document));

        static (Value, Value) Of(JsonElement values, JsonElement paths) =>
            (Value.FromJson(values.GetRawText()), Value.FromJson(paths.GetRawText()));
    }

    [Theory]
    [InlineData("$.b", "1")]
    [InlineData("$.*", "2 1 [3,{\"x\":4}]")]
    [InlineData("$..*", "2 1 [3,{\"x\":4}] 3 {\"x\":4} 4")]
    [InlineData("$['c','b']", "[3,{\"x\":4}] 1")]
    [InlineData("$[?@ == 1 || @ == 2]", "2 1")]
    [InlineData("$.c[?@.x == 4.0]", "{\"x\":4}")]
    [InlineData("$.c[-1:]..x", "4")]
    [Trait("Requirement", "JS-16")]
    public void Results_come_in_the_order_of_the_document_and_members_in_that_of_their_bytes(string query, string expected)
    {
        var document = Value.FromJson("""{"c":[3,{"x":4}],"b":1,"a":2}""");
        Assert.Equal(expected, string.Join(' ', JsonPath.Parse(query).Evaluate(document).Select(match => match.Value.ToJson())));
    }

    [Theory]
    [InlineData("$.a[0]['b']", true)]
    [InlineData("$", true)]
    [InlineData("$.a[*]", false)]
    [InlineData("$..a", false)]
    [InlineData("$[0,1]", false)]
    [InlineData("$[0:1]", false)]
    public void A_singular_query_is_known_as_one(string query, bool isSingular) =>
        Assert.Equal(isSingular, JsonPath.Parse(query).IsSingular);

    [Theory]
    [InlineData("$.a[", 4)]
    [InlineData("$[?@.a == ]", 10)]
    [InlineData("$[?length(@.*) > 1]", 10)]
    [InlineData("$[?foo(@)]", 3)]
    [InlineData("$[?@.a == 01]", 10)]
    [InlineData("$[?1]", 3)]
    [InlineData("$[?count(@.a)]", 3)]
    [InlineData("$[?match(@.a, 'x') == true]", 3)]
    [InlineData("$[?@.a == 1e999]", 10)]
    public void What_is_no_query_is_refused_with_its_place(string query, int offset) =>
        Assert.Equal(offset, Assert.Throws<MalformedTextException>(() => JsonPath.Parse(query)).Offset);

    // Each is short, and was or would be too much: exponential in the stars, quadratic in the document, deep, or a large automaton.
    [Theory]
    [InlineData("$..*..*..*..*..*", nameof(Limits.QueryNodesMax))]
    [InlineData("$[?count($..*) > 0][?count($..*) > 0]", nameof(Limits.QueryStepsMax))]
    [InlineData("$..[?@..[?@..[?@..[?@..[?@ == 'none']]]]]", nameof(Limits.QueryStepsMax))]
    [InlineData("$[?$ == $]", nameof(Limits.QueryStepsMax))]
    [InlineData("$[*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*]", nameof(Limits.QueryNodesMax))]
    [InlineData("$[?search($.text, '(a*)*b')]", nameof(Limits.QueryStepsMax))]
    [InlineData("$[?match(@, '((((a{100}){100}){100}){100})')]", nameof(Limits.RegexPositionsMax))]
    [InlineData("$[?match(@, 'a{99999999999999999999}')]", nameof(Limits.RegexPositionsMax))]
    [Trait("Requirement", "LIM-11")]
    public void A_hostile_query_ends_at_a_limit_in_bounded_time(string query, string limit)
    {
        var tree = (Value)1;
        for (var level = 0; level < 11; level++)
            tree = Value.Array(tree, tree, 2);
        var wide = Value.Array(Enumerable.Range(0, 3_000).Select(n => (Value)n));
        var document = Value.Object(
        [
            .. Enumerable.Range(0, 3_000).Select(n => KeyValuePair.Create($"k{n}", (Value)n)),
            new("tree", tree), new("wide", wide), new("nest", Value.Array(wide, wide)), new("text", new string('a', 100_000)),
        ]);
        var began = Stopwatch.GetTimestamp();
        Assert.Equal(limit, Assert.Throws<LimitException>(() => JsonPath.Parse(query).Evaluate(document)).Limit);
        Assert.InRange(Stopwatch.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(30));
    }

    [Theory]
    [InlineData("(", ")")]
    [InlineData("@[?", "]")]
    [InlineData("!(", ")")]
    [InlineData("length(value(@.a)) == 1 || (", ")")]
    [Trait("Requirement", "LIM-11")]
    public void A_query_that_is_too_deep_is_refused_and_one_that_is_not_is_evaluated(string open, string close)
    {
        string Of(int depth) => $"$[?{Repeated(open, depth)}@{Repeated(close, depth)}]";
        JsonPath.Parse(Of(97)).Evaluate(Value.FromJson(new string('[', 90) + new string(']', 90)));
        Assert.Equal(nameof(Limits.QueryDepthMax), Assert.Throws<LimitException>(() => JsonPath.Parse(Of(100))).Limit);
    }

    // How deep values may be has nothing to do with it, and a remedy that does not help is none.
    [Theory]
    [InlineData(2)]
    [InlineData(512)]
    [Trait("Requirement", "LIM-11")]
    [Trait("Requirement", "LIM-41")]
    public void The_depth_of_a_query_is_fixed_whatever_the_depth_of_values(int depthMax)
    {
        var limits = new Limits { DepthMax = depthMax };
        string Of(int depth) => $"$[?{Repeated("(", depth)}@{Repeated(")", depth)}]";
        JsonPath.Parse(Of(99), limits).Evaluate(Value.Array("a"), limits);
        var refused = Assert.Throws<LimitException>(() => JsonPath.Parse(Of(100), limits));
        Assert.Equal((nameof(Limits.QueryDepthMax), 100, 101), (refused.Limit, refused.Allowed, refused.Actual));
        Assert.Contains("fixed", refused.Message, StringComparison.Ordinal);
        var groups = Assert.Throws<LimitException>(
            () => JsonPath.Parse($"$[?match(@, '{Repeated("(", 200)}a{Repeated(")", 200)}')]", limits));
        Assert.Equal(nameof(Limits.QueryDepthMax), groups.Limit);
    }

    private static string Repeated(string text, int count) => string.Concat(Enumerable.Repeat(text, count));

    // Recursion along the document would need the stack of the process for each filter inside.
    [Fact]
    public void The_deepest_value_is_searched()
    {
        var deep = (Value)1;
        for (var level = 0; level < 512; level++)
            deep = Value.Array(deep);
        var limits = new Limits { QueryStepsMax = 1_000_000_000 };
        Assert.Equal(512, JsonPath.Parse("$..*").Evaluate(deep, limits).Count);
        Assert.Equal(512, JsonPath.Parse("$..[?@..[0] || @ == 1]").Evaluate(deep, limits).Count);
        Assert.Equal(512, JsonPath.Parse("$..*").Evaluate(deep)[^1].Path.Count);
    }
}
