using System.Runtime.InteropServices;
using System.Text.Json;

namespace Cairn.Codec;

/// <summary>Values from .NET scalars: the list that both conversions share (VAL-13). What is not on it has no one right form and is
/// refused by name.</summary>
internal static class ScalarConversion
{
    /// <returns>False when the object is not a scalar of the list.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.Overflow"/>: a UInt64 above Int64.</exception>
    internal static bool TryConvert(object? source, out Value value)
    {
        switch (source)
        {
            case null: value = Value.Null; return true;
            case Value known: value = known; return true;
            case string text: value = text; return true;
            case bool truth: value = truth; return true;
            case int number: value = number; return true;
            case long number: value = number; return true;
            case double number: value = number; return true;
            case float number: value = (double)number; return true;
            case byte number: value = number; return true;
            case sbyte number: value = number; return true;
            case short number: value = number; return true;
            case ushort number: value = number; return true;
            case uint number: value = (long)number; return true;
            case ulong number: value = ToInt64(number); return true;
            case byte[] bytes: value = bytes; return true;
            case ReadOnlyMemory<byte> bytes: value = Value.Bytes(bytes.Span); return true;
            case Memory<byte> bytes: value = Value.Bytes(bytes.Span); return true;
            case JsonElement json: value = ToValue(json); return true;
            default: value = default; return false;
        }
    }

    internal static CairnException Refused(Type type) => new(ErrorCode.WrongType,
        $"{type} has no one right form as a value. Convert it first, for example to a String or an Int64.");

    private static long ToInt64(ulong number) => number <= long.MaxValue
        ? (long)number
        : throw new CairnException(ErrorCode.Overflow, "A UInt64 is above the range of Int64. Store it as a String or as Bytes.");

    private static Value ToValue(JsonElement json) => json.ValueKind == JsonValueKind.Undefined
        ? throw new CairnException(ErrorCode.InvalidArgument, "A JsonElement without a value (Undefined) is not a value.")
        : Value.FromJson(JsonMarshal.GetRawUtf8Value(json));
}
