using Xunit;
using static Cairn.Tests.Codec.RandomValues;

namespace Cairn.Tests.Codec;

public sealed class ValueJsonTests
{
    [Theory]
    [InlineData("0", "00")]
    [InlineData("-0", "00")]
    [InlineData("9223372036854775807", "cf7fffffffffffffff")]
    [InlineData("-9223372036854775808", "d38000000000000000")]
    [InlineData("1.0", "cb3ff0000000000000")]
    [InlineData("1e0", "cb3ff0000000000000")]
    [InlineData("1E2", "cb4059000000000000")]
    [InlineData("-0.0", "cb8000000000000000")]
    [InlineData("1e-999", "cb0000000000000000")]
    [InlineData("\"\\u0000\\ud83d\\uddff\"", "a500f09f97bf")]
    [InlineData("""{"b":1,"a":[]}""", "82a16190a16201")]
    public void VAL_10_Text_becomes_the_one_value_it_means(string json, string hex) =>
        Assert.Equal(hex, Hex(Value.FromJson(json).Encode()));

    [Theory]
    [InlineData("9223372036854775808", ErrorCode.Overflow)]
    [InlineData("-9223372036854775809", ErrorCode.Overflow)]
    [InlineData("1e999", ErrorCode.Overflow)]
    [InlineData("-1e999", ErrorCode.Overflow)]
    [InlineData("""{"a":1,"a":2}""", ErrorCode.InvalidArgument)]
    [InlineData("""{"a":1,"\u0061":2}""", ErrorCode.InvalidArgument)]
    [InlineData("\"\\ud800\"", ErrorCode.InvalidArgument)]
    [InlineData("{\"\\udc00\":1}", ErrorCode.InvalidArgument)]
    [InlineData("", ErrorCode.InvalidArgument)]
    [InlineData("[1", ErrorCode.InvalidArgument)]
    [InlineData("[1,]", ErrorCode.InvalidArgument)]
    [InlineData("1 2", ErrorCode.InvalidArgument)]
    [InlineData("// no", ErrorCode.InvalidArgument)]
    [InlineData("NaN", ErrorCode.InvalidArgument)]
    [InlineData("01", ErrorCode.InvalidArgument)]
    [InlineData("\uFEFF1", ErrorCode.InvalidArgument)]
    [InlineData("""{"$bytes":5}""", ErrorCode.InvalidArgument)]
    [InlineData("""{"$bytes":"?"}""", ErrorCode.InvalidArgument)]
    [InlineData("""{"$f64":"inf"}""", ErrorCode.InvalidArgument)]
    [InlineData("""{"$f64":1.5}""", ErrorCode.InvalidArgument)]
    [InlineData("""{"$object":5}""", ErrorCode.InvalidArgument)]
    public void VAL_10_Text_that_means_no_value_is_refused(string json, ErrorCode code) =>
        Assert.Equal(code, Assert.Throws<CairnException>(() => Value.FromJson(json)).Code);

    [Fact]
    public void VAL_10_Bytes_that_are_not_UTF_8_and_half_surrogates_in_the_text_are_refused()
    {
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Value.FromJson([0x22, 0xFF, 0x22])).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Value.FromJson("\"\uD800\"")).Code);
    }

    [Fact]
    public void ERR_9_The_error_says_where_and_does_not_quote_the_text()
    {
        var error = Assert.Throws<CairnException>(() => Value.FromJson("{\n \"password\": secret }"));
        Assert.Contains("line 2, byte 14", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void VAL_11_Values_become_text_that_keeps_their_kind()
    {
        Assert.Equal("1", ((Value)1).ToJson());
        Assert.Equal("1.0", ((Value)1.0).ToJson());
        Assert.Equal("0.1", ((Value)0.1).ToJson());
        Assert.Equal("1E+17", ((Value)1e17).ToJson());
        Assert.Equal("5E-324", ((Value)5e-324).ToJson());
        Assert.Equal("1.7976931348623157E+308", ((Value)double.MaxValue).ToJson());
        Assert.Equal("""{"$f64":"NaN"}""", ((Value)double.NaN).ToJson());
        Assert.Equal("""{"$f64":"+Inf"}""", ((Value)double.PositiveInfinity).ToJson());
        Assert.Equal("""{"$f64":"-Inf"}""", ((Value)double.NegativeInfinity).ToJson());
        Assert.Equal("""{"$f64":"-0.0"}""", ((Value)(-0.0)).ToJson());
        Assert.Equal("""{"$bytes":"AAEC"}""", ((Value)new byte[] { 0, 1, 2 }).ToJson());
        Assert.Equal("""{"a":[true,null,"é"]}""", Value.Object(("a", Value.Array(true, Value.Null, "é"))).ToString());
    }

    [Fact]
    public void VAL_11_Objects_that_look_like_a_tag_are_escaped()
    {
        Assert.Equal("""{"$object":{"$bytes":"AA=="}}""", Value.Object(("$bytes", "AA==")).ToJson());
        Assert.Equal("""{"$object":{"$object":{"a":1}}}""", Value.Object(("$object", Value.Object(("a", 1)))).ToJson());
        Assert.Equal("""{"$bytes":"AA==","x":1}""", Value.Object(("$bytes", "AA=="), ("x", 1)).ToJson());
        Assert.Equal("""{"$ref":"#"}""", Value.Object(("$ref", "#")).ToJson());
    }

    [Fact]
    public void VAL_11_A_tag_name_among_other_members_is_an_ordinary_name()
    {
        Assert.Equal(
            Value.Object(("$object", new byte[] { 0 }), ("x", 1)),
            Value.FromJson("""{"$object":{"$bytes":"AA=="},"x":1}"""));
        Assert.Equal(
            Value.Object(("x", 1), ("$object", new byte[] { 0 })),
            Value.FromJson("""{"x":1,"$object":{"$bytes":"AA=="}}"""));
    }

    [Fact]
    public void VAL_11_A_chain_of_escapes_is_read_in_one_pass()
    {
        // {"$object":{"$object":...}}: two levels of text for one of value.
        var value = Value.Object(("a", 1));
        for (var level = 0; level < 500; level++)
            value = Value.Object(("$object", value));
        Assert.Equal(value, Value.FromJson(value.ToJson()));
    }

    [Fact]
    public void VAL_11_Text_out_and_in_is_the_same_value_for_random_values()
    {
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        for (var round = 0; round < 20_000; round++)
        {
            var value = values.Next();
            var json = value.ToJson();
            Assert.True(Value.FromJson(json) == value, $"{json}, seed={seed}, round={round}");
        }
    }

    [Fact]
    public void VAL_10_Damaged_text_gives_a_typed_error_or_a_value()
    {
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        for (var round = 0; round < 20_000; round++)
        {
            var json = Utf8(values.Next(3).ToJson());
            json[values.Random.Next(json.Length)] = (byte)values.Random.Next(256);
            try
            {
                Value.FromJson(json);
            }
            catch (CairnException)
            {
                // The answer this test wants; any other exception fails it.
            }
        }

        static byte[] Utf8(string text) => Cairn.Codec.Utf8.GetBytes(text);
    }
}
