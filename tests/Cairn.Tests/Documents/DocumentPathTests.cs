using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>The two spellings of a path, and what they lead to.</summary>
public class DocumentPathTests
{
    // RFC 6901, section 5.
    private static readonly Value Example = Value.FromJson(
        """{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}""");

    [Theory]
    [InlineData("", null)]
    [InlineData("/foo", """["bar","baz"]""")]
    [InlineData("/foo/0", "\"bar\"")]
    [InlineData("/", "0")]
    [InlineData("/a~1b", "1")]
    [InlineData("/c%d", "2")]
    [InlineData("/e^f", "3")]
    [InlineData("/g|h", "4")]
    [InlineData("/i\\j", "5")]
    [InlineData("/k\"l", "6")]
    [InlineData("/ ", "7")]
    [InlineData("/m~0n", "8")]
    [Trait("Requirement", "JS-12")]
    public void The_examples_of_RFC_6901_lead_where_it_says(string text, string? expected)
    {
        Assert.Equal(expected is null ? Example : Value.FromJson(expected), DocumentPath.Parse(text).Get(Example));
        Assert.Equal(text, DocumentPath.Parse(text).ToPointer());
    }

    [Theory]
    [InlineData("/a/b c", "$['a']['b c']")]
    [InlineData("$.a[\"b c\"]", "$['a']['b c']")]
    [InlineData("$ .a [ 'b' ]", "$['a']['b']")]
    [InlineData("", "$")]
    [InlineData("$", "$")]
    [InlineData("$.a[0]", "$['a'][0]")]
    [InlineData("$['0']", "$['0']")]
    [InlineData("/a/0", "/a/0")]
    [InlineData("/a/-", "/a/-")]
    [InlineData("/a/00", "$['a']['00']")]
    [InlineData("/~01", "$['~1']")]
    [InlineData("$[-1]", "$[-1]")]
    [InlineData("$.a[-]", "$['a'][-]")]
    [InlineData("$['\\u0041\\n\\'']", "$['A\\n\\'']")]
    [InlineData("/\u000b\u20ac", "$['\\u000b\u20ac']")]
    [Trait("Requirement", "JS-4")]
    [Trait("Requirement", "JS-5")]
    public void A_path_has_one_text_in_whichever_spelling_it_came(string text, string canonical)
    {
        var path = DocumentPath.Parse(text);
        Assert.Equal(canonical, path.ToString());
        Assert.Equal(path, DocumentPath.Parse(path.ToString()));
        Assert.Equal(path.GetHashCode(), DocumentPath.Parse(path.ToString()).GetHashCode());
    }

    [Theory]
    [InlineData("a", 0)]
    [InlineData("#/a", 0)]
    [InlineData("/a~2", 2)]
    [InlineData("/a~", 2)]
    [InlineData("$.", 2)]
    [InlineData("$a", 1)]
    [InlineData("$.1", 2)]
    [InlineData("$.a ", 3)]
    [InlineData("$..a", 2)]
    [InlineData("$.*", 2)]
    [InlineData("$[*]", 2)]
    [InlineData("$[]", 2)]
    [InlineData("$[0,1]", 3)]
    [InlineData("$[0:1]", 3)]
    [InlineData("$[01]", 2)]
    [InlineData("$[-0]", 2)]
    [InlineData("$[9007199254740992]", 2)]
    [InlineData("$[?@.a]", 2)]
    [InlineData("$['a", 2)]
    [InlineData("$['\\x']", 3)]
    [InlineData("$['\\ud800']", 3)]
    [InlineData("$['\\udc00']", 3)]
    [InlineData("$['\\u12']", 3)]
    [InlineData("$['\n']", 3)]
    [InlineData("$[0", 3)]
    [Trait("Requirement", "JS-5")]
    public void What_is_no_path_is_refused_with_its_place(string text, int offset)
    {
        var refused = Assert.Throws<MalformedTextException>(() => DocumentPath.Parse(text));
        Assert.Equal((ErrorCode.InvalidPath, offset), (refused.Code, refused.Offset));
        Assert.NotEmpty(refused.Reason);
    }

    [Fact]
    [Trait("Requirement", "JS-5")]
    public void A_lone_surrogate_is_refused()
    {
        foreach (var text in new[] { "/\ud800", "$['\udc00']", "$.\ud800" })
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => DocumentPath.Parse(text)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => DocumentPath.Root.Member("\ud800")).Code);
    }

    [Theory]
    [InlineData("$.a[0].b", ErrorCode.PathNotFound, "$['a'][0]['b']")]
    [InlineData("$.a[2]", ErrorCode.PathNotFound, "$['a'][2]")]
    [InlineData("$.a[-3]", ErrorCode.PathNotFound, "$['a'][-3]")]
    [InlineData("$.a[-]", ErrorCode.PathNotFound, "$['a'][-]")]
    [InlineData("/a/-", ErrorCode.PathNotFound, "/a/-")]
    [InlineData("/a/18446744073709551616", ErrorCode.PathNotFound, "/a/18446744073709551616")]
    [InlineData("$.a['0']", ErrorCode.TypeMismatch, "$['a']['0']")]
    [InlineData("$[0]", ErrorCode.TypeMismatch, "$[0]")]
    [InlineData("$.s.deep.er", ErrorCode.TypeMismatch, "$['s']['deep']")]
    [InlineData("$.none.deeper", ErrorCode.PathNotFound, "$['none']")]
    [Trait("Requirement", "JS-7")]
    public void A_place_that_is_not_there_is_told_as_far_as_the_path_led(string text, ErrorCode code, string at)
    {
        var document = Value.FromJson("""{"a":[{"x":1},2],"s":null}""");
        var path = DocumentPath.Parse(text);
        Assert.False(path.TryGet(document, out _));
        var missing = Assert.Throws<DocumentException>(() => path.Get(document));
        Assert.Equal((code, at), (missing.Code, missing.Path));
    }

    [Fact]
    [Trait("Requirement", "JS-7")]
    public void A_message_shows_the_beginning_of_a_path_and_the_error_has_all_of_it()
    {
        var path = DocumentPath.Root.Member(new string('n', 195) + string.Concat(Enumerable.Repeat("\U0001F5FF", 1_000_000)));
        var missing = Assert.Throws<DocumentException>(() => path.Get(Value.Object()));
        Assert.Equal(path.ToString(), missing.Path);
        Assert.InRange(missing.Message.Length, 200, 300);
        Assert.NotEqual("", Value.FromJson(((Value)missing.Message).ToJson()).AsString());
    }

    [Theory]
    [InlineData("{}", "$.a.b.c", """{"a":{"b":{"c":9}}}""")]
    [InlineData("""{"a":[1,2]}""", "$.a[1]", """{"a":[1,9]}""")]
    [InlineData("""{"a":[1,2]}""", "$.a[-1]", """{"a":[1,9]}""")]
    [InlineData("""{"a":[1,2]}""", "$.a[-]", """{"a":[1,2,9]}""")]
    [InlineData("""{"a":[1,2]}""", "/a/-", """{"a":[1,2,9]}""")]
    [InlineData("""{"a":[{}]}""", "/a/0/b", """{"a":[{"b":9}]}""")]
    [InlineData("[]", "$", "9")]
    [InlineData("""{"0":1}""", "/0", """{"0":9}""")]
    [Trait("Requirement", "JS-6")]
    public void A_value_is_set_and_missing_objects_are_made(string before, string path, string after)
    {
        var document = Value.FromJson(before);
        Assert.Equal(after, DocumentPath.Parse(path).Set(document, 9).ToJson());
        Assert.Equal(before, document.ToJson());
    }

    [Theory]
    [InlineData("""{"a":[]}""", "$.a[0]", ErrorCode.PathNotFound)]
    [InlineData("""{"a":[]}""", "$.a[0].b", ErrorCode.PathNotFound)]
    [InlineData("""{"a":[]}""", "$.a[-].b", ErrorCode.PathNotFound)]
    [InlineData("""{"a":[]}""", "$.a.b", ErrorCode.TypeMismatch)]
    [InlineData("""{"a":null}""", "$.a.b", ErrorCode.TypeMismatch)]
    [InlineData("{}", "$.a[0]", ErrorCode.TypeMismatch)]
    [InlineData("{}", "$.a[-]", ErrorCode.TypeMismatch)]
    [InlineData("1", "$.a", ErrorCode.TypeMismatch)]
    [Trait("Requirement", "JS-6")]
    [Trait("Requirement", "JS-7")]
    public void An_array_is_neither_made_nor_padded(string before, string path, ErrorCode code) =>
        Assert.Equal(code, Assert.Throws<DocumentException>(() => DocumentPath.Parse(path).Set(Value.FromJson(before), 9)).Code);

    [Fact]
    [Trait("Requirement", "JS-3")]
    [Trait("Requirement", "JS-8")]
    public void A_place_is_deleted_and_the_elements_behind_move_up()
    {
        var document = Value.FromJson("""{"a":[1,2,3],"b":0}""");
        Assert.True(DocumentPath.Parse("$.a[0]").TryDelete(document, out var shorter));
        Assert.Equal("""{"a":[2,3],"b":0}""", shorter.ToJson());
        Assert.True(DocumentPath.Parse("/b").TryDelete(shorter, out var without));
        Assert.Equal("""{"a":[2,3]}""", without.ToJson());
        Assert.False(DocumentPath.Parse("$.c.d").TryDelete(document, out var same));
        Assert.Equal(document, same);
        Assert.Equal(ErrorCode.InvalidPath, Assert.Throws<DocumentException>(() => DocumentPath.Root.TryDelete(document, out _)).Code);
    }

    [Fact]
    [Trait("Requirement", "JS-5")]
    public void A_path_is_built_from_names_and_indexes()
    {
        var path = DocumentPath.Root.Member("a b").Element(0).Member("0").Element(-1);
        Assert.Equal("$['a b'][0]['0'][-1]", path.ToString());
        Assert.Equal(4, path.Count);
        Assert.Equal(path, DocumentPath.Parse("$['a b'][0]['0'][-1]"));
        Assert.Equal(ErrorCode.InvalidPath, Assert.Throws<CairnException>(path.ToPointer).Code);
        Assert.Equal(ErrorCode.InvalidPath, Assert.Throws<CairnException>(() => DocumentPath.Parse("/0").Member("a")).Code);
        Assert.Equal(ErrorCode.InvalidPath, Assert.Throws<CairnException>(() => DocumentPath.Root.Element(1L << 53)).Code);
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-5")]
    public void Every_place_of_a_random_document_is_found_by_both_spellings_of_its_path()
    {
        var values = new Codec.RandomValues(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(300); n++)
        {
            var document = values.Next(4);
            foreach (var (path, value) in Places(DocumentPath.Root, document))
            {
                Assert.Equal(value, path.Get(document));
                Assert.Equal(path, DocumentPath.Parse(path.ToString()));
                Assert.Equal(value, DocumentPath.Parse(path.ToPointer()).Get(document));
            }
        }
    }

    private static IEnumerable<(DocumentPath Path, Value Value)> Places(DocumentPath path, Value value)
    {
        yield return (path, value);
        var inner = value.Kind switch
        {
            ValueKind.Object => value.AsObject().SelectMany(member => Places(path.Member(member.Key), member.Value)),
            ValueKind.Array => value.AsArray().SelectMany((item, index) => Places(path.Element(index), item)),
            _ => [],
        };
        foreach (var place in inner)
            yield return place;
    }
}
