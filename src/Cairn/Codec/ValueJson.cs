using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Cairn.Codec;

/// <summary>Values as JSON text (RFC 8259), without loss in either direction (VAL-10, VAL-11).</summary>
/// <remarks>
/// JSON has one kind of number and no bytes. So a Float64 is written with a fraction or an exponent (<c>1.0</c>, <c>1E+17</c>) and read
/// as one if it has either; and what JSON cannot say is an object with a single member, a tag:<code>
///  {"$bytes":"AAEC"}          Bytes, as base64 (RFC 4648, section 4)
///  {"$f64":"NaN"}             also "+Inf", "-Inf", "-0.0"
///  {"$object":{...}}          the object inside, as it stands: the escape for an object that looks like a tag </code>
/// Only an object with exactly one member can be a tag; one that has a tag's name and not its content is refused. The escape undoes one
/// layer: {"$object":{"$object":{"a":1}}} is the object {"$object":{"a":1}}.
/// </remarks>
internal static class ValueJson
{
    private const string BytesTag = "$bytes";
    private const string FloatTag = "$f64";
    private const string ObjectTag = "$object";

    private const string NaN = "NaN";
    private const string PositiveInfinity = "+Inf";
    private const string NegativeInfinity = "-Inf";
    private const string NegativeZero = "-0.0";

    // Each level of a value may be wrapped in an escape, and the innermost in a tag.
    private const int JsonDepthMax = 2 * ValueMeasure.DepthHardMax + 2;

    // "-1.7976931348623157E+308" and ".0".
    private const int FloatCharsMax = 32;

    // Escapes what JSON asks for and keeps other scripts readable; the text is not meant to stand inside HTML.
    private static readonly JsonWriterOptions WriterOptions = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = JsonDepthMax,
        SkipValidation = true,
    };

    /// <summary>Reads a text that is valid UTF-8, under limits: elements and members are counted as they come, and what is much too deep is
    /// not followed; the rest is judged by the measure of the whole.</summary>
    /// <exception cref="CairnException">See <see cref="Value.FromJson(string, Limits)"/>.</exception>
    internal static Value Parse(ReadOnlySpan<byte> utf8, Limits limits)
    {
        var value = Parse(utf8, limits, Math.Min(JsonDepthMax, (2 * limits.DepthMax) + 2));
        value.Measure.Check(limits);
        return value;
    }

    /// <summary>Reads a text that is valid UTF-8.</summary>
    /// <exception cref="CairnException">See <see cref="Value.FromJson(string)"/>.</exception>
    internal static Value Parse(ReadOnlySpan<byte> utf8) => Parse(utf8, null, JsonDepthMax);

    private static Value Parse(ReadOnlySpan<byte> utf8, Limits? limits, int depthMax)
    {
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = depthMax });
        try
        {
            reader.Read();
            var value = Read(ref reader, limits);
            reader.Read();
            return value;
        }
        catch (JsonException cause)
        {
            // Behind the token that opened the last level, the depth is told without it.
            if (reader.CurrentDepth >= depthMax - 1 && OpensAnotherLevel(utf8[(int)reader.BytesConsumed..]))
            {
                var allowed = limits?.DepthMax ?? ValueMeasure.DepthHardMax;
                throw new LimitException(nameof(Limits.DepthMax), allowed, allowed + 1L, "levels");
            }

            // The message of the cause quotes the text; that of ours does not.
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"The text is not valid JSON at line {cause.LineNumber + 1}, byte {cause.BytePositionInLine + 1}.");
        }
    }

    private static bool OpensAnotherLevel(ReadOnlySpan<byte> rest) =>
        rest.TrimStart(" \t\r\n,:"u8) is [(byte)'[' or (byte)'{', ..];

    /// <summary>Reads the value at the reader, which stands on its first token and ends on its last.</summary>
    /// <exception cref="CairnException">See <see cref="Value.FromJson(string)"/>.</exception>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    internal static Value Read(ref Utf8JsonReader reader, Limits? limits = null) => reader.TokenType switch
    {
        JsonTokenType.Null => Value.Null,
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Number => ReadNumber(ref reader),
        JsonTokenType.String => ReadText(ref reader),
        JsonTokenType.StartArray => ReadArray(ref reader, limits),
        JsonTokenType.StartObject => Understand(ReadMembers(ref reader, limits)),
        _ => throw new JsonException(),
    };

    /// <summary>The text of a value.</summary>
    internal static string Write(in Value value)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, WriterOptions))
            Write(value, writer);
        return Utf8.GetTrustedString(buffer.WrittenSpan);
    }

    /// <summary>Writes the text of a value.</summary>
    internal static void Write(in Value value, Utf8JsonWriter writer)
    {
        switch (value.Kind)
        {
            case ValueKind.Null:
                writer.WriteNullValue();
                break;
            case ValueKind.Bool:
                writer.WriteBooleanValue(value.AsBool());
                break;
            case ValueKind.Int64:
                writer.WriteNumberValue(value.AsInt64());
                break;
            case ValueKind.Float64:
                WriteFloat(value.AsFloat64(), writer);
                break;
            case ValueKind.String:
                writer.WriteStringValue(value.AsString());
                break;
            case ValueKind.Bytes:
                writer.WriteStartObject();
                writer.WriteBase64String(BytesTag, value.AsBytes().Span);
                writer.WriteEndObject();
                break;
            case ValueKind.Array:
                writer.WriteStartArray();
                foreach (ref readonly var element in value.Elements.Items)
                    Write(element, writer);
                writer.WriteEndArray();
                break;
            case ValueKind.Object:
                WriteObject(value.Members, writer);
                break;
        }
    }

    private static void WriteFloat(double value, Utf8JsonWriter writer)
    {
        if (!double.IsFinite(value) || (value == 0 && double.IsNegative(value)))
        {
            writer.WriteStartObject();
            writer.WriteString(FloatTag, value switch
            {
                double.PositiveInfinity => PositiveInfinity,
                double.NegativeInfinity => NegativeInfinity,
                0 => NegativeZero,
                _ => NaN,
            });
            writer.WriteEndObject();
            return;
        }

        Span<byte> text = stackalloc byte[FloatCharsMax];
        value.TryFormat(text, out var length, "R", CultureInfo.InvariantCulture);
        if (!text[..length].ContainsAny((byte)'.', (byte)'E'))
        {
            ".0"u8.CopyTo(text[length..]);
            length += 2;
        }

        writer.WriteRawValue(text[..length], skipInputValidation: true);
    }

    private static void WriteObject(ValueMembers members, Utf8JsonWriter writer)
    {
        var isLikeTag = members.Count == 1 && members.Names[0] is (BytesTag or FloatTag or ObjectTag);
        if (isLikeTag)
        {
            writer.WriteStartObject();
            writer.WritePropertyName(ObjectTag);
        }

        writer.WriteStartObject();
        for (var member = 0; member < members.Count; member++)
        {
            writer.WritePropertyName(members.Names[member]);
            Write(members.Values[member], writer);
        }

        writer.WriteEndObject();
        if (isLikeTag)
            writer.WriteEndObject();
    }

    private static Value ReadNumber(ref Utf8JsonReader reader)
    {
        var text = reader.HasValueSequence ? reader.ValueSequence.ToArray() : reader.ValueSpan;
        if (text.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0)
        {
            return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer)
                ? integer
                : throw new CairnException(ErrorCode.Overflow,
                    "An integer in the JSON text is outside Int64. Send it as a String, or with a fraction to make it a Float64.");
        }

        var number = double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsFinite(number)
            ? number
            : throw new CairnException(ErrorCode.Overflow,
                "A number in the JSON text is outside Float64 and would become infinite. Send it as a String.");
    }

    private static string ReadText(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new CairnException(ErrorCode.InvalidArgument,
                "A text in the JSON holds half of a surrogate pair or bytes that are not UTF-8. Repair it at its source.");
        }
    }

    private static Value ReadArray(ref Utf8JsonReader reader, Limits? limits)
    {
        var items = new List<Value>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (items.Count == limits?.ArrayElementsMax)
                throw new LimitException(nameof(Limits.ArrayElementsMax), items.Count, items.Count + 1L, "elements");
            items.Add(Read(ref reader, limits));
        }

        return items.Count == 0 ? new Value(ValueElements.Empty) : new Value(new ValueElements([.. items]));
    }

    /// <summary>An object as it stands in the text, its tags not understood yet. What the escape means depends on whether another
    /// member follows, so the object behind it is kept as text until that is known; no part of the text is read twice.</summary>
    private sealed class ObjectText
    {
        internal readonly List<string> Names = [];
        internal readonly List<Value> Values = [];

        /// <summary>The object behind the name <c>$object</c> while that is the only member; its value is not in Values yet.</summary>
        internal ObjectText? Inner;
    }

    private static ObjectText ReadMembers(ref Utf8JsonReader reader, Limits? limits)
    {
        var text = new ObjectText();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            if (text.Names.Count == limits?.ObjectMembersMax)
                throw new LimitException(nameof(Limits.ObjectMembersMax), text.Names.Count, text.Names.Count + 1L, "members");
            if (text.Inner is not null)
                Settle(text);
            var name = ReadText(ref reader);
            text.Names.Add(name);
            reader.Read();
            if (name == ObjectTag && text.Names.Count == 1 && reader.TokenType == JsonTokenType.StartObject)
                text.Inner = ReadMembers(ref reader, limits);
            else
                text.Values.Add(Read(ref reader, limits));
        }

        return text;
    }

    // The member turned out to be an ordinary one, whose value happens to be an object.
    private static void Settle(ObjectText text)
    {
        text.Values.Add(Understand(text.Inner!));
        text.Inner = null;
    }

    private static Value Literally(ObjectText text)
    {
        if (text.Inner is not null)
            Settle(text);
        return new Value(ValueMembers.Order([.. text.Names], [.. text.Values]));
    }

    private static Value Understand(ObjectText text)
    {
        if (text.Names.Count != 1)
            return Literally(text);
        return text.Names[0] switch
        {
            ObjectTag => Literally(text.Inner ?? throw BadTag(ObjectTag, "an object")),
            BytesTag => ToBytes(text.Values[0]),
            FloatTag => ToFloat(text.Values[0]),
            _ => Literally(text),
        };
    }

    private static Value ToBytes(in Value content)
    {
        if (content.Kind == ValueKind.String)
        {
            var text = content.AsString();
            var bytes = new byte[text.Length / 4 * 3 + 3];
            if (Convert.TryFromBase64String(text, bytes, out var length))
                return Value.Bytes(bytes.AsSpan(0, length));
        }

        throw BadTag(BytesTag, "a string of base64");
    }

    private static Value ToFloat(in Value content) => (content.Kind == ValueKind.String ? content.AsString() : "") switch
    {
        NaN => double.NaN,
        PositiveInfinity => double.PositiveInfinity,
        NegativeInfinity => double.NegativeInfinity,
        NegativeZero => -0.0,
        _ => throw BadTag(FloatTag, $"one of \"{NaN}\", \"{PositiveInfinity}\", \"{NegativeInfinity}\", \"{NegativeZero}\""),
    };

    private static CairnException BadTag(string tag, string content) => new(ErrorCode.InvalidArgument,
        $"An object in the JSON text has the single member \"{tag}\", whose value must be {content}. "
        + $"To store such an object as it stands, wrap it: {{\"{ObjectTag}\":{{...}}}}.");
}
