using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>RFC 7396.</summary>
[Trait("Requirement", "JS-13")]
public class MergePatchTests
{
    // Appendix A: original, patch, result.
    [Theory]
    [InlineData("""{"a":"b"}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"b":"c"}""", """{"a":"b","b":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"a":null}""", "{}")]
    [InlineData("""{"a":"b","b":"c"}""", """{"a":null}""", """{"b":"c"}""")]
    [InlineData("""{"a":["b"]}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"c"}""", """{"a":["b"]}""", """{"a":["b"]}""")]
    [InlineData("""{"a":{"b":"c"}}""", """{"a":{"b":"d","c":null}}""", """{"a":{"b":"d"}}""")]
    [InlineData("""{"a":[{"b":"c"}]}""", """{"a":[1]}""", """{"a":[1]}""")]
    [InlineData("""["a","b"]""", """["c","d"]""", """["c","d"]""")]
    [InlineData("""{"a":"b"}""", """["c"]""", """["c"]""")]
    [InlineData("""{"a":"foo"}""", "null", "null")]
    [InlineData("""{"a":"foo"}""", "\"bar\"", "\"bar\"")]
    [InlineData("""{"e":null}""", """{"a":1}""", """{"a":1,"e":null}""")]
    [InlineData("""[1,2]""", """{"a":"b","c":null}""", """{"a":"b"}""")]
    [InlineData("{}", """{"a":{"bb":{"ccc":null}}}""", """{"a":{"bb":{}}}""")]
    public void The_table_of_the_RFC(string original, string patch, string result)
    {
        var target = Value.FromJson(original);
        Assert.Equal(result, MergePatch.Apply(target, Value.FromJson(patch)).ToJson());
        Assert.Equal(original, target.ToJson());
    }

    // Section 3.
    [Fact]
    public void The_example_of_the_RFC()
    {
        var target = Value.FromJson("""
            {"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],
             "content":"This will be unchanged"}
            """);
        var patch = Value.FromJson("""
            {"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}
            """);
        Assert.Equal(
            Value.FromJson("""
                {"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged",
                 "phoneNumber":"+01-123-456-7890"}
                """),
            MergePatch.Apply(target, patch));
    }

    [Fact]
    [Trait("Requirement", "JS-19")]
    public void A_result_that_passes_a_limit_is_refused()
    {
        var limits = new Limits { ValueBytesMax = 20 };
        var patch = Value.Object(("b", "12345678"));
        Assert.Equal(15, MergePatch.Apply(Value.Object(("a", 1)), patch, limits).EncodedLength);
        var refused = Assert.Throws<LimitException>(() => MergePatch.Apply(Value.Object(("a", "1234567")), patch, limits));
        Assert.Equal((nameof(Limits.ValueBytesMax), 22), (refused.Limit, refused.Actual));
        Assert.Equal(
            ErrorCode.InvalidArgument,
            Assert.Throws<CairnException>(() => MergePatch.Apply(Value.Object(("a", double.NaN)), Value.Object())).Code);
    }
}
