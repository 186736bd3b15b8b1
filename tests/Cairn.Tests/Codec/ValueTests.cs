using System.Text.Json.Serialization;
using System.Text.Json;
using Xunit;

namespace Cairn.Tests.Codec;

public sealed partial class ValueTests
{
    [Fact]
    public void VAL_1_Kinds_do_not_convert_into_each_other()
    {
        Value integer = 1, real = 1.0, text = "1", bytes = new byte[] { 0x31 };
        Assert.NotEqual(integer, real);
        Assert.NotEqual(text, bytes);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => integer.AsFloat64()).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => real.AsInt64()).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => text.AsBytes()).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => bytes.AsString()).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => integer.AsBool()).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => integer["name"]).Code);
        Assert.Equal(ErrorCode.WrongType, Assert.Throws<CairnException>(() => Value.Object()[0]).Code);
    }

    [Fact]
    public void VAL_2_The_default_value_is_Null()
    {
        Assert.Equal(ValueKind.Null, default(Value).Kind);
        Assert.True(default(Value).IsNull);
        Assert.Equal(Value.Null, (Value)(string?)null);
    }

    // Not as theory data: attributes are stored as UTF-8 and would replace them.
    [Fact]
    public void VAL_3_A_lone_surrogate_is_refused_in_strings_and_names()
    {
        foreach (var text in (string[])["\uD800", "a\uDC00b", "\uDC00\uD800"])
        {
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => (Value)text).Code);
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Value.Object((text, 1))).Code);
        }
    }

    [Fact]
    public void VAL_3_Strings_are_kept_as_given()
    {
        const string Decomposed = " e\u0301\0 ";
        Assert.Equal(Decomposed, Value.Decode(((Value)Decomposed).Encode()).AsString());
        Assert.NotEqual((Value)"\u00e9", (Value)"e\u0301");
    }

    [Fact]
    public void VAL_6_Equality_is_equality_of_canonical_bytes()
    {
        var seed = RandomValues.PrintSeed();
        var values = new RandomValues(seed);
        var pool = Enumerable.Range(0, 300).Select(_ => values.Next(3)).Append(double.NaN).Append(-0.0).Append(0.0).ToList();
        foreach (var left in pool)
        {
            foreach (var right in pool)
            {
                var sameBytes = left.Encode().AsSpan().SequenceEqual(right.Encode());
                Assert.True(sameBytes == (left == right), $"{left} and {right}, seed={seed}");
                Assert.True(!sameBytes || left.GetHashCode() == right.GetHashCode(), $"hash of {left}, seed={seed}");
            }
        }
    }

    [Fact]
    public void VAL_6_NaN_equals_NaN_and_the_zeros_differ()
    {
        Assert.Equal((Value)double.NaN, (Value)BitConverter.Int64BitsToDouble(unchecked((long)0xFFF8_0000_0000_1234)));
        Assert.NotEqual((Value)0.0, (Value)(-0.0));
    }

    [Fact]
    public void VAL_7_A_name_twice_is_refused()
    {
        var error = Assert.Throws<CairnException>(() => Value.Object(("a", 1), ("b", 2), ("a", 3)));
        Assert.Equal(ErrorCode.InvalidArgument, error.Code);
        Assert.Contains("'a'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void VAL_4_Members_are_ordered_by_UTF_8_where_UTF_16_orders_differently()
    {
        var value = Value.Object(("\U0001F5FF", 1), ("\uFF5E", 2), ("é", 3), ("", 4));
        Assert.Equal(["", "é", "\uFF5E", "\U0001F5FF"], value.AsObject().Keys);
        Assert.Equal(2, value["\uFF5E"].AsInt64());
    }

    [Fact]
    public void Members_and_elements_are_found_and_absence_is_an_answer()
    {
        var value = Value.Object(("list", Value.Array(1, "two", 3.0)), ("none", Value.Null));
        Assert.Equal("two", value["list"][1].AsString());
        Assert.Equal(3, value["list"].Count);
        Assert.True(value.TryGetMember("none", out var none) && none.IsNull);
        Assert.False(value.TryGetMember("nothing", out _));
        Assert.Equal(ErrorCode.PathNotFound, Assert.Throws<CairnException>(() => value["nothing"]).Code);
        Assert.Equal(ErrorCode.PathNotFound, Assert.Throws<CairnException>(() => value["list"][3]).Code);
        Assert.Throws<ArgumentOutOfRangeException>(() => value["list"][-1]);
    }

    [Fact]
    public void Bytes_do_not_follow_the_array_they_came_from()
    {
        byte[] source = [1, 2];
        Value value = source;
        source[0] = 9;
        Assert.Equal(new byte[] { 1, 2 }, value.AsBytes().ToArray());
    }

    [Fact]
    public void LIM_5_No_value_is_deeper_than_512_levels()
    {
        Value value = 1;
        for (var level = 0; level < 512; level++)
            value = Value.Array(value);
        Assert.Equal(value, Value.Decode(value.Encode()));
        Assert.Equal(value, Value.FromJson(value.ToJson()));
        Assert.Equal(nameof(Limits.DepthMax), Assert.Throws<LimitException>(() => Value.Array(value)).Limit);
        Assert.Equal(nameof(Limits.DepthMax), Assert.Throws<LimitException>(() => Value.Object(("a", value))).Limit);
        Assert.Equal(nameof(Limits.DepthMax), Assert.Throws<LimitException>(() => Value.FromJson("[" + value.ToJson() + "]")).Limit);
    }

    [Fact]
    public void LIM_3_A_small_graph_that_shares_its_parts_cannot_stand_for_an_endless_encoding()
    {
        Value value = "x";
        var error = Assert.Throws<LimitException>(() =>
        {
            for (var level = 0; level < 60; level++)
                value = Value.Array(value, value);
        });
        Assert.Equal(nameof(Limits.ValueBytesMax), error.Limit);
    }

    [Fact]
    public void VAL_13_DotNet_objects_become_values()
    {
        using var json = JsonDocument.Parse("""{"n":1,"f":1.0}""");
        Assert.Equal(Value.Null, Value.From(null));
        Assert.Equal(5, Value.From((byte)5));
        Assert.Equal(-5, Value.From((sbyte)-5));
        Assert.Equal(uint.MaxValue, Value.From(uint.MaxValue));
        Assert.Equal(long.MaxValue, Value.From((ulong)long.MaxValue));
        Assert.Equal(0.5, Value.From(0.5f));
        Assert.Equal(new byte[] { 1 }, Value.From(new byte[] { 1 }));
        Assert.Equal(Value.Array(1, 2), Value.From(new[] { 1, 2 }));
        Assert.Equal(Value.Array(1, "x", Value.Null), Value.From(new List<object?> { 1, "x", null }));
        Assert.Equal(Value.Object(("a", 1)), Value.From(new Dictionary<string, int> { ["a"] = 1 }));
        Assert.Equal(Value.Object(("a", Value.Null)), Value.From(new Dictionary<string, object?> { ["a"] = null }));
        Assert.Equal(Value.Object(("n", 1), ("f", 1.0)), Value.From(json.RootElement));
        Assert.Equal(Value.Object(("tool", "crm.lookup"), ("id", 4711)), Value.From(new { tool = "crm.lookup", id = 4711 }));
        Assert.Equal(
            Value.Object(("Name", "Ada"), ("Score", 1.0), ("Tags", Value.Array("x"))), Value.From(new Person("Ada", 1, ["x"])));
        Assert.Equal(
            Value.Object(("inner", Value.Object(("v", true)))), Value.From(new { inner = (object)(Value)Value.Object(("v", true)) }));
    }

    [Theory]
    [MemberData(nameof(Unconvertible))]
    public void VAL_13_What_has_no_one_right_form_is_refused_by_name(object source, string typeName)
    {
        var error = Assert.Throws<CairnException>(() => Value.From(new { inner = source }));
        Assert.Equal(ErrorCode.WrongType, error.Code);
        Assert.Contains(typeName, error.Message, StringComparison.Ordinal);
    }

    public static TheoryData<object, string> Unconvertible => new()
    {
        { new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), "System.DateTimeOffset" },
        { DayOfWeek.Monday, "System.DayOfWeek" },
        { 1.5m, "System.Decimal" },
        { 'c', "System.Char" },
        { Guid.Empty, "System.Guid" },
        { (1, 2), "System.ValueTuple" },
        { new Dictionary<int, int> { [1] = 1 }, "System.Collections.Generic.Dictionary" },
        { new HashSet<int> { 1 }, "System.Collections.Generic.HashSet" },
        { new object(), "System.Object" },
        { (Action)(() => { }), "System.Action" },
    };

    [Fact]
    public void VAL_13_A_UInt64_above_Int64_is_refused()
    {
        Assert.Equal(ErrorCode.Overflow, Assert.Throws<CairnException>(() => Value.From(ulong.MaxValue)).Code);
    }

    [Fact]
    public void VAL_13_A_cycle_ends_at_the_depth_limit()
    {
        var cycle = new List<object>();
        cycle.Add(cycle);
        Assert.Equal(nameof(Limits.DepthMax), Assert.Throws<LimitException>(() => Value.From(cycle)).Limit);
    }

    [Fact]
    public void VAL_13_A_source_generated_description_keeps_kinds_and_names()
    {
        var source = new Described
        {
            Name = "Ada", Score = 1, Data = [1, 2], Day = DayOfWeek.Friday, Next = new Described { Name = "Eve" },
            Map = new() { ["k"] = 1 },
        };
        var value = Value.From(source, Descriptions.Default.Described);
        Assert.Equal("Ada", value["name"].AsString());
        Assert.Equal(1.0, value["score"].AsFloat64());
        Assert.Equal(new byte[] { 1, 2 }, value["data"].AsBytes().ToArray());
        Assert.Equal(5, value["day"].AsInt64());
        Assert.Equal("Eve", value["next"]["name"].AsString());
        Assert.True(value["next"]["next"].IsNull);
        Assert.Equal(1, value["map"]["k"].AsInt64());
        Assert.False(value.TryGetMember("hidden", out _));
    }

    [Fact]
    public void A_value_travels_inside_other_types_through_System_Text_Json()
    {
        var value = Value.Object(("a", new byte[] { 1 }), ("f", 1.0), ("none", Value.Null));
        var text = JsonSerializer.Serialize(new Dictionary<string, Value> { ["v"] = value, ["n"] = Value.Null });
        Assert.Equal("""{"v":{"a":{"$bytes":"AQ=="},"f":1.0,"none":null},"n":null}""", text);
        Assert.Equal(value, JsonSerializer.Deserialize<Dictionary<string, Value>>(text)!["v"]);
    }

    public sealed record Person(string Name, double Score, IReadOnlyList<string> Tags);

    public sealed class Described
    {
        public string? Name { get; init; }

        public double Score { get; init; }

        public byte[]? Data { get; init; }

        public DayOfWeek Day { get; init; }

        public Described? Next { get; init; }

        public Dictionary<string, int>? Map { get; init; }

        [JsonIgnore]
        public int Hidden { get; init; }
    }

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
    [JsonSerializable(typeof(Described))]
    internal sealed partial class Descriptions : JsonSerializerContext;
}
