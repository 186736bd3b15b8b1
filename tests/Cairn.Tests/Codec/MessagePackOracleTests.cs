using System.Globalization;
using System.Text.Json;
using Xunit;
using static Cairn.Tests.Codec.RandomValues;

namespace Cairn.Tests.Codec;

/// <summary>The second opinion on the canonical encoding: Python's msgpack. Its vectors are committed, so that the check needs no
/// installed package; where it is installed, random values are compared too.</summary>
public sealed class MessagePackOracleTests
{
    private static readonly PythonOracle Oracle = new("msgpack", "msgpack_vectors.py");

    [Fact]
    [Trait("Requirement", "VAL-4")]
    public void Vectors_of_python_msgpack_encode_and_decode_to_the_same()
    {
        var file = Path.Combine(AppContext.BaseDirectory, "Fixtures", "msgpack", "vectors.json");
        using var fixture = JsonDocument.Parse(System.IO.File.ReadAllBytes(file), new JsonDocumentOptions { MaxDepth = 256 });
        var cases = 0;
        foreach (var item in fixture.RootElement.GetProperty("cases").EnumerateArray())
        {
            var value = FromDescription(item.GetProperty("value"));
            var bytes = value.Encode();
            if (item.TryGetProperty("hex", out var hex))
            {
                Assert.Equal(hex.GetString(), Hex(bytes));
                Assert.Equal(value, Value.Decode(Convert.FromHexString(hex.GetString()!)));
            }
            else
            {
                Assert.Equal(item.GetProperty("length").GetInt32(), bytes.Length);
                Assert.Equal(item.GetProperty("head").GetString(), Hex(bytes.AsSpan(0, 64)));
                Assert.Equal(value, Value.Decode(bytes));
            }

            cases++;
        }

        Assert.True(cases > 100, $"{cases} cases");
    }

    [Fact]
    [Trait("Requirement", "VAL-4")]
    public void Random_values_pass_through_python_msgpack_unchanged()
    {
        Oracle.SkipUnlessInstalled();
        var seed = PrintSeed();
        var values = new RandomValues(seed);
        var lines = Enumerable.Range(0, 2_000).Select(_ => Hex(values.Next().Encode())).ToList();
        var answers = Oracle.Run(lines, "check");
        Assert.Equal(lines.Count, answers.Length);
        for (var line = 0; line < lines.Count; line++)
            Assert.True(lines[line] == answers[line], $"sent {lines[line]}, got {answers[line]}, seed={seed}");
    }

    private static Value FromDescription(JsonElement description)
    {
        if (description.ValueKind != JsonValueKind.Object)
            return description.ValueKind == JsonValueKind.Null ? Value.Null : description.GetBoolean();
        var (form, content) = description.EnumerateObject().Select(p => (p.Name, p.Value)).Single();
        return form switch
        {
            "i" => long.Parse(content.GetString()!, CultureInfo.InvariantCulture),
            "f" => BitConverter.UInt64BitsToDouble(ulong.Parse(content.GetString()!, NumberStyles.HexNumber, CultureInfo.InvariantCulture)),
            "s" => content.GetString(),
            "b" => Convert.FromHexString(content.GetString()!),
            "a" => Value.Array(content.EnumerateArray().Select(FromDescription)),
            "o" => Value.Object(content.EnumerateArray().Select(m => KeyValuePair.Create(m[0].GetString()!, FromDescription(m[1])))),
            _ => Repeat(content[0].GetInt32(), FromDescription(content[1])),
        };
    }

    private static Value Repeat(int count, Value one) => one.Kind switch
    {
        ValueKind.String => string.Concat(Enumerable.Repeat(one.AsString(), count)),
        ValueKind.Bytes => Enumerable.Repeat(one.AsBytes().Span[0], count).ToArray(),
        _ => Value.Array(Enumerable.Repeat(one[0], count)),
    };
}
