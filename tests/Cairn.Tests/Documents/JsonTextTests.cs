using System.Text;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>JSON text under limits, as documents, patches and filters read it.</summary>
[Trait("Requirement", "JS-19")]
public class JsonTextTests
{
    private static readonly Limits Low =
        new() { DepthMax = 4, ArrayElementsMax = 5, ObjectMembersMax = 3, StringBytesMax = 10, ValueBytesMax = 60 };

    [Theory]
    [InlineData("[[[[1]]]]", null)]
    [InlineData("[[[[[]]]]]", nameof(Limits.DepthMax))]
    [InlineData("[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", nameof(Limits.DepthMax))]
    [InlineData("{\"$object\":{\"$object\":{\"a\":[[1]]}}}", null)]
    [InlineData("[1,2,3,4,5]", null)]
    [InlineData("[1,2,3,4,5,6]", nameof(Limits.ArrayElementsMax))]
    [InlineData("{\"a\":1,\"b\":2,\"c\":3}", null)]
    [InlineData("{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", nameof(Limits.ObjectMembersMax))]
    [InlineData("\"0123456789\"", null)]
    [InlineData("\"0123456789a\"", nameof(Limits.StringBytesMax))]
    [InlineData("{\"0123456789a\":1}", nameof(Limits.StringBytesMax))]
    [InlineData("{\"$bytes\":\"AAAAAAAAAAAAAAAA\"}", nameof(Limits.StringBytesMax))]
    [InlineData("[\"0123456789\",\"0123456789\",\"0123456789\",\"0123456789\",\"0123456789\"]", null)]
    [InlineData("[[\"0123456789\",\"0123456789\",\"0123456789\",\"0123456789\",\"0123456789\"],\"0123\"]", nameof(Limits.ValueBytesMax))]
    public void A_text_keeps_to_the_limits_or_is_refused_by_name(string json, string? limit)
    {
        foreach (var read in new Func<Value>[] { () => Value.FromJson(json, Low), () => Value.FromJson(Encoding.UTF8.GetBytes(json), Low) })
        {
            if (limit is null)
                Assert.Equal(Value.FromJson(json), read());
            else
                Assert.Equal(limit, Assert.Throws<LimitException>(() => read()).Limit);
        }
    }

    // The whole list was made first, and measured then.
    [Theory]
    [InlineData("[", "1,", "1]", nameof(Limits.ArrayElementsMax))]
    [InlineData("[{\"b\":0},[", "1,", "1]]", nameof(Limits.ArrayElementsMax))]
    [Trait("Requirement", "LIM-41")]
    public void Elements_are_counted_before_they_are_kept(string open, string each, string close, string limit)
    {
        var json = Encoding.UTF8.GetBytes(open + string.Concat(Enumerable.Repeat(each, 2_000_000)) + close);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(limit, Assert.Throws<LimitException>(() => Value.FromJson(json, Low)).Limit);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 16);
    }

    [Fact]
    public void A_patch_and_a_filter_read_their_values_so()
    {
        var patch = """[{"op":"add","path":"/a","value":[1,2,3,4,5,6]}]""";
        Assert.Equal(nameof(Limits.ArrayElementsMax), Assert.Throws<LimitException>(
            () => JsonPatch.Parse(patch, Low with { ValueBytesMax = 1_000 })).Limit);
        Assert.Equal(nameof(Limits.ArrayElementsMax), Assert.Throws<LimitException>(
            () => Filter.Parse("a eq [1,2,3,4,5,6]", Low with { StringBytesMax = 100 })).Limit);
    }

    [Fact]
    public void What_is_no_JSON_is_refused_as_without_limits()
    {
        foreach (var json in new[] { "", "[1,]", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "01", "[", "nul" })
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Value.FromJson(json, Low)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Value.FromJson([0x22, 0xFF, 0x22], Low)).Code);
        foreach (var json in new[] { "9223372036854775808", "1e999" })
            Assert.Equal(ErrorCode.Overflow, Assert.Throws<CairnException>(() => Value.FromJson(json, Low)).Code);
    }
}
