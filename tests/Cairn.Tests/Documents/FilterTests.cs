using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>The filter language: what holds, its three forms, and what is refused.</summary>
[Trait("Requirement", "VEC-13")]
public class FilterTests
{
    private static readonly Value Document = Value.FromJson("""
        {"n":5,"f":2.5,"big":9007199254740993,"s":"crm.lookup","b":true,"null":null,"tags":["urgent",1,{"x":1}],"o":{"x":1,"y":[2]},
         "a":[{"id":7},{"id":8}],"bytes":{"$bytes":"AQID"},"":0,"not":1}
        """);

    [Theory]
    [InlineData("n eq 5", true)]
    [InlineData("n eq 5.0", true)]
    [InlineData("n eq 5.5", false)]
    [InlineData("n eq \"5\"", false)]
    [InlineData("big eq 9007199254740992.0", false)]
    [InlineData("big gt 9007199254740992.0", true)]
    [InlineData("o eq {\"y\":[2.0],\"x\":1}", true)]
    [InlineData("bytes eq {\"$bytes\":\"AQID\"}", true)]
    [InlineData("null eq null", true)]
    [InlineData("n ne 6", true)]
    [InlineData("n ne 5.0", false)]
    [InlineData("n ne \"5\"", true)]
    [InlineData("n ne null", true)]
    [InlineData("null ne null", false)]
    [InlineData("n gt 4.5", true)]
    [InlineData("n gt 5", false)]
    [InlineData("n gte 5", true)]
    [InlineData("n lt 5.5", true)]
    [InlineData("n lte 5.0", true)]
    [InlineData("n gt \"4\"", false)]
    [InlineData("n lt \"4\"", false)]
    [InlineData("s gt \"crm\"", true)]
    [InlineData("s lt \"d\"", true)]
    [InlineData("s gt 1", false)]
    [InlineData("b gt false", true)]
    [InlineData("b gte true", true)]
    [InlineData("null gte null", true)]
    [InlineData("null lt 1", false)]
    [InlineData("o gte {\"x\":1,\"y\":[2]}", false)]
    [InlineData("n in [1,5.0]", true)]
    [InlineData("n in []", false)]
    [InlineData("n in [\"5\"]", false)]
    [InlineData("n not in [1,2]", true)]
    [InlineData("n not in [1,5]", false)]
    [InlineData("n not in []", true)]
    [InlineData("tags contains \"urgent\"", true)]
    [InlineData("tags contains 1.0", true)]
    [InlineData("tags contains {\"x\":1}", true)]
    [InlineData("tags contains \"urg\"", false)]
    [InlineData("s contains 'lookup'", true)]
    [InlineData("s contains ''", true)]
    [InlineData("n contains 5", false)]
    [InlineData("o contains \"x\"", false)]
    [InlineData("s prefix \"crm.\"", true)]
    [InlineData("s prefix \"lookup\"", false)]
    [InlineData("tags prefix \"u\"", false)]
    [InlineData("null exists", true)]
    [InlineData("a[1].id eq 8", true)]
    [InlineData("a[-1].id eq 8", true)]
    [InlineData("\"/a/0/id\" eq 7", true)]
    [InlineData("\"/\" eq 0", true)]
    [InlineData("$.not eq 1", true)]
    [InlineData("$ contains 1", false)]
    [InlineData("$ exists", true)]
    [Trait("Requirement", "VEC-14")]
    [Trait("Requirement", "IDX-6")]
    public void A_condition_holds_or_not(string text, bool holds)
    {
        Assert.Equal(holds, Filter.Parse(text).Matches(Document));
        Assert.Equal(!holds, Filter.Parse($"not ({text})").Matches(Document));
    }

    // VEC-14: what is not there fulfils nothing, and a 'not' around it does.
    [Theory]
    [InlineData("eq 1")]
    [InlineData("ne 1")]
    [InlineData("ne null")]
    [InlineData("gt 1")]
    [InlineData("gte null")]
    [InlineData("lt 1")]
    [InlineData("lte null")]
    [InlineData("in [null]")]
    [InlineData("not in [1]")]
    [InlineData("not in []")]
    [InlineData("contains 1")]
    [InlineData("prefix ''")]
    [InlineData("exists")]
    [Trait("Requirement", "VEC-14")]
    public void A_path_that_leads_to_nothing_fulfils_no_condition_but_a_not(string condition)
    {
        foreach (var path in new[] { "none", "$.n.deeper", "$.a[2]", "$.tags['0']", "$[0]", "\"/a/-\"" })
        {
            Assert.False(Filter.Parse($"{path} {condition}").Matches(Document));
            Assert.True(Filter.Parse($"not {path} {condition}").Matches(Document));
        }
    }

    [Theory]
    [InlineData("status = 'open' and (cost>=3 or tags contains \"x\") and not owner.name exists",
        "$.status eq \"open\" and ($.cost gte 3 or $.tags contains \"x\") and not $.owner.name exists")]
    [InlineData("a == 1 or b != 2 and c < 3 or d <= 4", "$.a eq 1 or $.b ne 2 and $.c lt 3 or $.d lte 4")]
    [InlineData("(a eq 1 and b eq 2) and c eq 3", "$.a eq 1 and $.b eq 2 and $.c eq 3")]
    [InlineData("((a exists))", "$.a exists")]
    [InlineData("not not a exists", "not not $.a exists")]
    [InlineData("not (a exists or b exists)", "not ($.a exists or $.b exists)")]
    [InlineData("\"/a/0\" not  in [ 1 , \"x y\" ]", "\"/a/0\" not in [1,\"x y\"]")]
    [InlineData("\"/a/b\" exists", "$.a.b exists")]
    [InlineData("  $['a b'] [0].c\t>\n1.50  ", "$['a b'][0].c gt 1.5")]
    [InlineData("notes exists and order in [1]", "$.notes exists and $.order in [1]")]
    [InlineData("a eq \"or (b exists)\"", "$.a eq \"or (b exists)\"")]
    [InlineData("a eq '\\u0041\\''", "$.a eq \"A'\"")]
    [Trait("Requirement", "VEC-15")]
    public void A_filter_has_one_text(string text, string canonical)
    {
        Assert.Equal(canonical, Filter.Parse(text).ToString());
        Assert.Equal(Filter.Parse(text), Filter.Parse(canonical));
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("a", 1)]
    [InlineData("a exists b exists", 9)]
    [InlineData("a exists and", 12)]
    [InlineData("a is 1", 2)]
    [InlineData("a eq", 4)]
    [InlineData("a eq open", 5)]
    [InlineData("a eq \"open", 5)]
    [InlineData("a eq [1", 5)]
    [InlineData("a eq 01", 5)]
    [InlineData("a eq {\"x\":1,\"x\":2}", 5)]
    [InlineData("a in 1", 5)]
    [InlineData("a not 1", 6)]
    [InlineData("a prefix 1", 9)]
    [InlineData("(a exists", 9)]
    [InlineData("a exists)", 8)]
    [InlineData("and exists", 0)]
    [InlineData("not", 3)]
    [InlineData("$keys eq 1", 1)]
    [InlineData("$key eq 1", 8)]
    [InlineData("$key.a eq 'x'", 4)]
    [InlineData("$key in [\"a\",1]", 8)]
    [InlineData("$version prefix 'a'", 16)]
    [InlineData("$version eq 'a'", 12)]
    [InlineData("$time eq 'today'", 9)]
    [InlineData("$time contains 1", 15)]
    [InlineData("$..a exists", 2)]
    [InlineData("$.* exists", 2)]
    [InlineData("1 eq 1", 0)]
    [InlineData("a existsb", 2)]
    [Trait("Requirement", "VEC-15")]
    public void What_is_no_filter_is_refused_with_its_place(string text, int offset)
    {
        var refused = Assert.Throws<MalformedTextException>(() => Filter.Parse(text));
        Assert.Equal((ErrorCode.InvalidFilter, offset), (refused.Code, refused.Offset));
    }

    [Theory]
    [InlineData("1", "$")]
    [InlineData("{}", "$")]
    [InlineData("""{"eq":["$.a",1],"ne":["$.a",1]}""", "$")]
    [InlineData("""{"is":["$.a",1]}""", "$['is']")]
    [InlineData("""{"and":[]}""", "$['and']")]
    [InlineData("""{"and":[{"eq":["$.a"]}]}""", "$['and'][0]['eq']")]
    [InlineData("""{"not":{"exists":1}}""", "$['not']['exists']")]
    [InlineData("""{"in":["$.a",1]}""", "$['in'][1]")]
    [InlineData("""{"prefix":["$.a",1]}""", "$['prefix'][1]")]
    [InlineData("""{"eq":["$key",1]}""", "$['eq'][1]")]
    [InlineData("""{"in":["$version",[1,"x"]]}""", "$['in'][1][1]")]
    [Trait("Requirement", "VEC-15")]
    public void A_JSON_form_that_is_none_is_refused_with_its_place(string json, string path)
    {
        var refused = Assert.Throws<DocumentException>(() => Filter.FromValue(Value.FromJson(json)));
        Assert.Equal((ErrorCode.InvalidFilter, path), (refused.Code, refused.Path));
    }

    [Fact]
    [Trait("Requirement", "VEC-15")]
    public void Text_builder_and_JSON_are_the_same_filter()
    {
        var built = Filter.Eq("$.status", "open") & (Filter.Gte("$.cost", 3) | Filter.Contains("$.tags", "x")) & !Filter.Exists("/owner");
        var text = Filter.Parse("status eq \"open\" and (cost gte 3 or tags contains \"x\") and not owner exists");
        var json = Filter.FromValue(Value.FromJson(
            """
            {"and":[{"eq":["/status","open"]},{"or":[{"gte":["$.cost",3]},{"contains":["$.tags","x"]}]},{"not":{"exists":"$.owner"}}]}
            """));
        Assert.Equal(built, text);
        Assert.Equal(built, json);
        Assert.Equal(built.GetHashCode(), json.GetHashCode());
        Assert.Equal((7, 3), (built.Nodes, built.Depth));
        Assert.NotEqual(built, Filter.Parse("status eq \"open\""));
        Assert.Equal(Filter.Exists("$.a"), Filter.And(Filter.Exists("$.a")));
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Filter.Or()).Code);
    }

    [Theory]
    [InlineData("$key eq 'plan/7'", true)]
    [InlineData("$key prefix 'plan/'", true)]
    [InlineData("$key contains '/'", true)]
    [InlineData("$key gt 'plan/6'", true)]
    [InlineData("$key in [\"a\",\"plan/7\"]", true)]
    [InlineData("$key ne 'plan/7'", false)]
    [InlineData("$key exists", true)]
    [InlineData("$version eq 12", true)]
    [InlineData("$version gte 12.5", false)]
    [InlineData("$version not in [1,12]", false)]
    [InlineData("$time eq '2026-11-30T08:00:00.000001Z'", true)]
    [InlineData("$time gt '2026-11-30'", true)]
    [InlineData("$time lt '2026-11-30T10:00:01+02:00'", true)]
    [InlineData("$time lt '2026-11-30T08:00:00'", false)]
    [InlineData("$['$key'] eq 1", true)]
    [InlineData("\"/$key\" eq 1", true)]
    [InlineData("key exists", false)]
    public void Key_version_and_time_are_asked_beside_the_value(string text, bool holds)
    {
        var time = new DateTimeOffset(2026, 11, 30, 8, 0, 0, TimeSpan.Zero).AddMicroseconds(1);
        var item = new FilterItem(Value.Object(("$key", 1)), "plan/7", new Sequence(12), time);
        var filter = Filter.Parse(text);
        Assert.Equal(holds, filter.Matches(item));
        Assert.Equal(!holds, (!filter).Matches(item));
        Assert.Equal(filter, Filter.Parse(filter.ToString()));
        Assert.Equal(filter, Filter.FromValue(filter.ToValue()));
        var found = new Versioned<Value>(item.Value, new Sequence(12), new Sequence(1), time, null);
        Assert.Equal(holds, filter.Matches(FilterItem.Of("plan/7", found)));
    }

    [Fact]
    [Trait("Requirement", "VEC-15")]
    public void Key_version_and_time_are_the_same_in_builder_text_and_JSON()
    {
        var microseconds = new DateTimeOffset(2026, 11, 30, 8, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds() * 1_000;
        var built = Filter.Prefix("$key", "plan/") & Filter.Gt(FilterPath.Version, 3) & !Filter.Lt("$time", "2026-11-30T08:00:00Z");
        Assert.Equal(built, Filter.Parse("$key prefix 'plan/' and $version > 3 and not $time < '2026-11-30T08:00:00Z'"));
        Assert.Equal(built, Filter.FromValue(Value.FromJson(
            $$$"""{"and":[{"prefix":["$key","plan/"]},{"gt":["$version",3]},{"not":{"lt":["$time",{{{microseconds}}}]}}]}""")));
        Assert.Equal($"$key prefix \"plan/\" and $version gt 3 and not $time lt {microseconds}", built.ToString());
        Assert.Equal((FilterField.Key, null), (built.Parts[0].Field, built.Parts[0].Path));
        Assert.NotEqual(Filter.Exists("$key"), Filter.Exists("$version"));
        Assert.Equal(ErrorCode.InvalidFilter, Assert.Throws<CairnException>(() => Filter.Eq("$key", 1)).Code);
        Assert.Equal(ErrorCode.InvalidFilter, Assert.Throws<CairnException>(() => Filter.In(FilterPath.Time, "soon")).Code);
        Assert.Equal((FilterPath.Key, "$key"), (FilterPath.Parse("$key"), FilterPath.Key.ToString()));
        Assert.Equal(FilterPath.Of("$.a"), FilterPath.Parse("/a"));
        Assert.NotEqual(FilterPath.Parse("$['$key']"), FilterPath.Key);
    }

    // Whatever the value: a filter that asks for what is not there is a mistake of the caller, not an answer.
    [Theory]
    [InlineData("$key exists")]
    [InlineData("a exists or not ($version eq 1 and a exists)")]
    [InlineData("not $time gt 0")]
    public void Where_there_is_no_key_version_or_time_a_filter_that_asks_for_it_is_refused(string text)
    {
        var filter = Filter.Parse(text);
        foreach (var value in new[] { Value.Null, Value.Object(("a", 1)) })
        {
            var refused = Assert.Throws<CairnException>(() => filter.Matches(value));
            Assert.Equal(ErrorCode.InvalidFilter, refused.Code);
            Assert.Contains("has none", refused.Message, StringComparison.Ordinal);
            Assert.Throws<CairnException>(() => filter.Matches(new FilterItem(value, null, null, null)));
        }
    }

    // Whoever stores documents answers for the places that are asked, and for no others.
    [Fact]
    public void A_filter_asks_for_the_places_that_it_names_until_the_answer_is_known()
    {
        var subject = new AskedSubject(Document);
        Assert.True(Filter.Parse("n eq 5 and (s eq 'x' or b eq true) and not f gt 3").Matches(ref subject, Limits.Defaults));
        Assert.Equal(["$['n']", "$['s']", "$['b']", "$['f']"], subject.Asked);
        subject.Asked.Clear();
        Assert.False(Filter.Parse("n eq 6 and s exists").Matches(ref subject, Limits.Defaults));
        Assert.Equal(["$['n']"], subject.Asked);
    }

    private sealed class AskedSubject(Value document) : Cairn.Documents.IFilterSubject
    {
        internal List<string> Asked { get; } = [];

        public bool TryGet(DocumentPath path, out Value value)
        {
            Asked.Add(path.ToString());
            return path.TryGet(document, out value);
        }

        public bool TryGet(FilterField field, out Value value)
        {
            value = default;
            return false;
        }
    }

    // Each was as much work as the filter times the document; the first one for minutes.
    [Fact]
    [Trait("Requirement", "LIM-25")]
    public void A_hostile_filter_ends_at_a_limit()
    {
        var repeated = new string('a', 8 << 20);
        var document = Value.Object(("text", repeated), ("array", Value.Array(new Value[1_000_000])));
        Assert.False(Filter.Contains("$.text", new string('a', 4 << 20) + "b").Matches(document));
        Assert.True(Filter.Contains("$.text", new string('a', 4 << 20)).Matches(document));
        var many = Enumerable.Range(0, 200);
        Filter[] hostile =
        [
            Filter.Or(many.Select(n => Filter.Contains("$.array", n))),
            Filter.Or(many.Select(n => Filter.Contains("$.text", $"b{n}"))),
            Filter.Or(many.Select(_ => Filter.Eq("$.text", repeated[..^1] + "b"))),
            Filter.In("$.text", Enumerable.Repeat((Value)(repeated[..^1] + "b"), 100)),
        ];
        foreach (var filter in hostile)
            Assert.Equal(nameof(Limits.QueryStepsMax), Assert.Throws<LimitException>(() => filter.Matches(document)).Limit);
    }

    [Fact]
    [Trait("Requirement", "LIM-25")]
    public void No_filter_in_memory_passes_the_hard_maxima()
    {
        var filter = Filter.Exists("$.a");
        var doubled = Assert.Throws<LimitException>(() =>
        {
            for (var n = 0; n < 64; n++)
                filter = Filter.Or(filter, Filter.And(filter, filter));
        });
        Assert.Equal(nameof(Limits.FilterNodesMax), doubled.Limit);
        var deep = Filter.Exists("$.a");
        for (var n = 1; n < 64; n++)
            deep = !deep;
        Assert.Equal(nameof(Limits.FilterDepthMax), Assert.Throws<LimitException>(() => !deep).Limit);
        Assert.Equal(nameof(Limits.FilterValuesMax), Assert.Throws<LimitException>(() => Filter.In("$.a", new Value[100_001])).Limit);
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "VEC-15")]
    public void Random_filters_are_the_same_in_all_forms_and_obey_the_laws_of_logic()
    {
        var documents = new RandomDocuments(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(2_000); n++)
        {
            var (filter, other) = (Next(documents, 3), Next(documents, 2));
            Assert.Equal(filter, Filter.Parse(filter.ToString()));
            Assert.Equal(filter, Filter.FromValue(filter.ToValue()));
            var document = documents.Next(3);
            var (one, two) = (filter.Matches(document), other.Matches(document));
            Assert.Equal(one && two, (filter & other).Matches(document));
            Assert.Equal(one || two, (filter | other).Matches(document));
            Assert.Equal(one && two, (!(!filter | !other)).Matches(document));
        }
    }

    // JSONPath has the same comparisons, apart from what is absent.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "VEC-14")]
    public void Random_conditions_agree_with_JSONPath()
    {
        var documents = new RandomDocuments(Codec.RandomValues.PrintSeed());
        FilterKind[] kinds = [FilterKind.Eq, FilterKind.Ne, FilterKind.Gt, FilterKind.Gte, FilterKind.Lt, FilterKind.Lte];
        string[] signs = ["==", "!=", ">", ">=", "<", "<="];
        var (held, rounds) = (0, Seeds.Scaled(5_000));
        for (var n = 0; n < rounds; n++)
        {
            var document = Value.Object(new[] { "a", "b", "c", "'" }.Select(name => KeyValuePair.Create(name, documents.Next(1))));
            Value value = documents.Random.Next(3) == 0 ? documents.Name() : documents.Random.Next(-2, 5) / 2.0;
            if (documents.Random.Next(3) == 0)
                value = documents.Random.Next(-2, 5);
            var kind = documents.Random.Next(kinds.Length);
            var path = DocumentPath.Root.Member(documents.Name());
            var filter = Filter.Parse($"{path} {FilterTextOf(kinds[kind])} {value.ToJson()}");
            var inner = path.ToString()[1..];
            var query = JsonPath.Parse($"$[?@{inner} && @{inner} {signs[kind]} {value.ToJson()}]");
            var holds = filter.Matches(document);
            Assert.True(holds == (query.Evaluate(Value.Array(document)).Count == 1), $"{filter} and {query} on {document.ToJson()}");
            held += holds ? 1 : 0;
        }

        Assert.True(held > rounds / 50, $"{held}");
    }

    private static string FilterTextOf(FilterKind kind) => kind.ToString().ToLowerInvariant();

    private static Filter Next(RandomDocuments documents, int depth)
    {
        var path = documents.Random.Next(3) switch
        {
            0 => DocumentPath.Root.Member(documents.Name()),
            1 => DocumentPath.Root.Member(documents.Name()).Element(documents.Random.Next(-2, 3)),
            _ => DocumentPath.Parse(DocumentPath.Root.Member(documents.Name()).Member(documents.Name()).ToPointer()),
        };
        var value = documents.Next(2);
        var inner = Enumerable.Range(0, documents.Random.Next(1, 4)).Select(_ => Next(documents, depth - 1));
        return documents.Random.Next(depth > 0 ? 16 : 11) switch
        {
            0 => Filter.Eq(path, value),
            1 => Filter.Ne(path, value),
            2 => Filter.Gt(path, value),
            3 => Filter.Gte(path, value),
            4 => Filter.Lt(path, value),
            5 => Filter.Lte(path, value),
            6 => Filter.In(path, value, documents.Next(1)),
            7 => Filter.NotIn(path, value, documents.Next(1)),
            8 => Filter.Contains(path, value),
            9 => Filter.Prefix(path, documents.Name()),
            10 => Filter.Exists(path),
            < 13 => Filter.And(inner),
            < 15 => Filter.Or(inner),
            _ => Filter.Not(Next(documents, depth - 1)),
        };
    }
}
