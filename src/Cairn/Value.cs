using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Cairn.Codec;

namespace Cairn;

/// <summary>What a database keeps: one of eight kinds (<see cref="ValueKind"/>), immutable. <c>default</c> is
/// <see cref="Null"/>. A value has exactly one canonical encoding (MessagePack: shortest integers and lengths, Float64 always nine
/// bytes, members ordered by the UTF-8 bytes of their names), and two values are equal when their encodings are: NaN equals NaN,
/// -0.0 differs from 0.0, Int64 1 differs from Float64 1.0. Safe to share between threads.</summary>
/// <remarks>Sixteen bytes: numbers and booleans need no object of their own. A value never passes the hard maxima of
/// <see cref="Limits"/> (64 MiB encoded, 512 levels), so working on one is bounded in time and stack.</remarks>
[JsonConverter(typeof(ValueJsonConverter))]
[SuppressMessage("Naming", "CA1720", Justification = "The names of the value model, the same in every client and on the wire.")]
public readonly struct Value : IEquatable<Value>
{
    internal const ulong CanonicalNaN = 0x7FF8_0000_0000_0000;

    private static readonly ScalarKind Booleans = new(ValueKind.Bool);
    private static readonly ScalarKind Integers = new(ValueKind.Int64);
    private static readonly ScalarKind Floats = new(ValueKind.Float64);

    // null: Null. ScalarKind: a scalar, in _bits. string: its length as UTF-8 is in _bits. byte[]: Bytes. ValueElements, ValueMembers.
    private readonly object? _reference;
    private readonly long _bits;

    private Value(object? reference, long bits)
    {
        _reference = reference;
        _bits = bits;
    }

    internal Value(ValueElements elements) => _reference = elements;

    internal Value(ValueMembers members) => _reference = members;

    /// <summary>Null, the value: stored, counted and searched like any other, and distinct from absent.</summary>
    public static Value Null => default;

    /// <summary>Which of the eight kinds it is.</summary>
    public ValueKind Kind => _reference switch
    {
        null => ValueKind.Null,
        ScalarKind scalar => scalar.Kind,
        string => ValueKind.String,
        ValueMembers => ValueKind.Object,
        ValueElements => ValueKind.Array,
        _ => ValueKind.Bytes,
    };

    /// <summary>True for <see cref="Null"/>.</summary>
    public bool IsNull => _reference is null;

    /// <summary>Elements of an Array, members of an Object.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public int Count => _reference switch
    {
        ValueElements elements => elements.Count,
        ValueMembers members => members.Count,
        _ => throw Wrong("Array or Object"),
    };

    /// <summary>Length of the canonical encoding, in bytes. Known without encoding.</summary>
    public int EncodedLength => (int)Measure.Bytes;

    /// <summary>The element at an index, from 0.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Array;
    /// <see cref="ErrorCode.PathNotFound"/>: no such element.</exception>
    public Value this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            var items = Elements.Items;
            if (index < items.Length)
                return items[index];
            throw new CairnException(ErrorCode.PathNotFound, $"The Array has {items.Length} elements; element {index} does not exist.");
        }
    }

    /// <summary>The member of a name. <see cref="TryGetMember"/> asks without an exception.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Object;
    /// <see cref="ErrorCode.PathNotFound"/>: no such member.</exception>
    public Value this[string name] => Members.TryGetValue(name, out var value)
        ? value
        : throw new CairnException(ErrorCode.PathNotFound, $"The Object of {Count} members has none of the asked name.");

    internal ValueMeasure Measure => _reference switch
    {
        null => ValueMeasure.OfScalar(1),
        string => ValueMeasure.OfString((int)_bits),
        ValueMembers members => members.Measure,
        ValueElements elements => elements.Measure,
        ScalarKind { Kind: ValueKind.Bool } => ValueMeasure.OfScalar(1),
        ScalarKind { Kind: ValueKind.Int64 } => ValueMeasure.OfScalar(ValueWriter.Int64Length(_bits)),
        ScalarKind => ValueMeasure.OfScalar(ValueWriter.Float64Length, double.IsFinite(BitConverter.Int64BitsToDouble(_bits))),
        _ => ValueMeasure.OfBytes(ByteArray.Length),
    };

    internal ValueElements Elements => _reference as ValueElements ?? throw Wrong(nameof(ValueKind.Array));

    internal ValueMembers Members => _reference as ValueMembers ?? throw Wrong(nameof(ValueKind.Object));

    /// <summary>Length of a String as UTF-8; only for one.</summary>
    internal int Utf8Length => (int)_bits;

    private byte[] ByteArray => (byte[])_reference!;

    /// <summary>A Bool.</summary>
    public static implicit operator Value(bool value) => new(Booleans, value ? 1 : 0);

    /// <summary>An Int64.</summary>
    public static implicit operator Value(int value) => new(Integers, value);

    /// <summary>An Int64.</summary>
    public static implicit operator Value(long value) => new(Integers, value);

    /// <summary>A Float64. Every NaN becomes the one NaN; -0.0 stays.</summary>
    public static implicit operator Value(double value) =>
        new(Floats, double.IsNaN(value) ? (long)CanonicalNaN : BitConverter.DoubleToInt64Bits(value));

    /// <summary>A String; <see cref="Null"/> for a null reference.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    /// <exception cref="LimitException">Longer than 64 MiB.</exception>
    public static implicit operator Value(string? value)
    {
        if (value is null)
            return Null;
        var length = Utf8.GetByteCount(value);
        ValueMeasure.OfString(length).CheckHard();
        return new Value(value, length);
    }

    /// <summary>Bytes, copied; <see cref="Null"/> for a null reference.</summary>
    /// <exception cref="LimitException">Longer than 64 MiB.</exception>
    public static implicit operator Value(byte[]? value) => value is null ? Null : Bytes(value);

    /// <summary>Equal canonical bytes.</summary>
    public static bool operator ==(Value left, Value right) => left.Equals(right);

    /// <summary>Different canonical bytes.</summary>
    public static bool operator !=(Value left, Value right) => !left.Equals(right);

    /// <summary>Bytes, copied.</summary>
    /// <exception cref="LimitException">Longer than 64 MiB.</exception>
    public static Value Bytes(ReadOnlySpan<byte> value)
    {
        ValueMeasure.OfBytes(value.Length).CheckHard();
        return new Value(value.ToArray(), 0);
    }

    /// <summary>An Array of these elements, in this order.</summary>
    /// <exception cref="LimitException">More than 64 MiB encoded, 512 levels or 16,777,216 elements.</exception>
    public static Value Array(params ReadOnlySpan<Value> elements)
    {
        ValueMeasure.OfScalar(0).InArray(elements.Length).CheckHard();
        return new Value(elements.IsEmpty ? ValueElements.Empty : new ValueElements(elements.ToArray()));
    }

    /// <inheritdoc cref="Array(ReadOnlySpan{Value})"/>
    public static Value Array(IEnumerable<Value> elements)
    {
        ArgumentNullException.ThrowIfNull(elements);
        var items = new List<Value>();
        foreach (var element in elements)
        {
            ValueMeasure.OfScalar(0).InArray(items.Count + 1).CheckHard();
            items.Add(element);
        }

        return new Value(new ValueElements([.. items]));
    }

    /// <summary>An Object of these members, in any order; the names are distinct.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a name twice, or a lone surrogate in one.</exception>
    /// <exception cref="LimitException">More than 64 MiB encoded, 512 levels or 16,777,216 members.</exception>
    public static Value Object(params ReadOnlySpan<(string Name, Value Value)> members)
    {
        ValueMeasure.OfScalar(0).InObject(members.Length).CheckHard();
        var names = new string[members.Length];
        var values = new Value[members.Length];
        for (var member = 0; member < members.Length; member++)
        {
            names[member] = members[member].Name ?? throw NullName();
            values[member] = members[member].Value;
        }

        return new Value(ValueMembers.Order(names, values));
    }

    /// <inheritdoc cref="Object(ReadOnlySpan{ValueTuple{string, Value}})"/>
    public static Value Object(IEnumerable<KeyValuePair<string, Value>> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        var names = new List<string>();
        var values = new List<Value>();
        foreach (var (name, value) in members)
        {
            ValueMeasure.OfScalar(0).InObject(names.Count + 1).CheckHard();
            names.Add(name ?? throw NullName());
            values.Add(value);
        }

        return new Value(ValueMembers.Order([.. names], [.. values]));
    }

    /// <summary>A value from a .NET object: null, bool, the integers up to 64 bits, float, double, string, byte[] and memory of bytes,
    /// <see cref="Value"/>, <see cref="JsonElement"/>, dictionaries with string keys, lists and arrays, and any other object outside
    /// the System namespaces by its public readable properties (anonymous objects, records), by reflection. Nothing else: a date or an
    /// enum has no one right form, so it is refused; say which one is meant, as text or number.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: a type that has no form, named in the message;
    /// <see cref="ErrorCode.Overflow"/>: a UInt64 above Int64; <see cref="ErrorCode.InvalidArgument"/>: a lone surrogate or a name
    /// twice.</exception>
    /// <exception cref="LimitException">More than 512 levels (a cycle ends here), or another hard maximum.</exception>
    [RequiresUnreferencedCode("Reads the public properties of objects by reflection. Trimmed programs use From<T> with a JsonTypeInfo<T>.")]
    public static Value From(object? value) => ObjectConversion.Convert(value);

    /// <summary>A value from a .NET object by its source-generated description: names, order and ignored properties are those of
    /// System.Text.Json; kinds are kept (a double of 1 is Float64 1.0, a byte[] is Bytes). Types with a converter of their own (dates,
    /// enums) get what it writes. Needs no reflection.</summary>
    /// <inheritdoc cref="From(object?)"/>
    public static Value From<T>(T value, JsonTypeInfo<T> typeInfo)
    {
        ArgumentNullException.ThrowIfNull(typeInfo);
        return DescribedConversion.Convert(value, typeInfo);
    }

    /// <summary>A value from JSON text. Integers within Int64 become Int64, others are refused; a fraction or exponent gives Float64.
    /// <c>{"$bytes":"base64"}</c>, <c>{"$f64":"NaN"}</c> (also +Inf, -Inf, -0.0) and <c>{"$object":{...}}</c> are read as
    /// <see cref="ToJson"/> writes them.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not JSON (RFC 8259), a name twice, a lone surrogate,
    /// invalid UTF-8; <see cref="ErrorCode.Overflow"/>: a number outside Int64 or Float64.</exception>
    /// <exception cref="LimitException">More than 512 levels, or another hard maximum.</exception>
    public static Value FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return ValueJson.Parse(Utf8.GetBytes(json));
    }

    /// <inheritdoc cref="FromJson(string)"/>
    public static Value FromJson(ReadOnlySpan<byte> utf8Json)
    {
        if (!Utf8.IsValid(utf8Json))
            throw new CairnException(ErrorCode.InvalidArgument, "JSON text must be valid UTF-8.");
        return ValueJson.Parse(utf8Json);
    }

    /// <summary>A value from JSON text, under limits: elements and members are counted before they are kept. Otherwise as
    /// <see cref="FromJson(string)"/>.</summary>
    /// <param name="json">The text.</param>
    /// <param name="limits">The limits that the value keeps to.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not JSON (RFC 8259), a name twice, a lone surrogate,
    /// invalid UTF-8; <see cref="ErrorCode.Overflow"/>: a number outside Int64 or Float64.</exception>
    /// <exception cref="LimitException">The value passes a limit.</exception>
    public static Value FromJson(string json, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(limits);
        return ValueJson.Parse(Utf8.GetBytes(json), limits);
    }

    /// <inheritdoc cref="FromJson(string, Limits)"/>
    /// <param name="utf8Json">The text.</param>
    /// <param name="limits">The limits that the value keeps to.</param>
    public static Value FromJson(ReadOnlySpan<byte> utf8Json, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        if (!Utf8.IsValid(utf8Json))
            throw new CairnException(ErrorCode.InvalidArgument, "JSON text must be valid UTF-8.");
        return ValueJson.Parse(utf8Json, limits);
    }

    /// <summary>A value from its canonical encoding.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not the canonical encoding of any value; the message
    /// says what is wrong at which byte.</exception>
    public static Value Decode(ReadOnlySpan<byte> canonical) => ValueDecoder.Decode(canonical);

    /// <summary>The canonical encoding, <see cref="EncodedLength"/> bytes.</summary>
    public byte[] Encode()
    {
        var bytes = new byte[EncodedLength];
        ValueCodec.Encode(this, bytes);
        return bytes;
    }

    /// <summary>Writes the canonical encoding. Allocates nothing.</summary>
    /// <param name="target">At least <see cref="EncodedLength"/> bytes.</param>
    /// <returns>The bytes written.</returns>
    /// <exception cref="ArgumentException">The target is too short; nothing was written.</exception>
    public int Encode(Span<byte> target)
    {
        if (target.Length < EncodedLength)
            throw new ArgumentException("The target is shorter than the encoding.", nameof(target));
        return ValueCodec.Encode(this, target);
    }

    /// <summary>The Bool.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public bool AsBool() => ReferenceEquals(_reference, Booleans) ? _bits != 0 : throw Wrong(nameof(ValueKind.Bool));

    /// <summary>The Int64. A Float64 is another kind, whatever its fraction.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public long AsInt64() => ReferenceEquals(_reference, Integers) ? _bits : throw Wrong(nameof(ValueKind.Int64));

    /// <summary>The Float64. An Int64 is another kind.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public double AsFloat64() => ReferenceEquals(_reference, Floats)
        ? BitConverter.Int64BitsToDouble(_bits)
        : throw Wrong(nameof(ValueKind.Float64));

    /// <summary>The String.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public string AsString() => _reference as string ?? throw Wrong(nameof(ValueKind.String));

    /// <summary>The Bytes, not copied: valid for as long as the value.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public ReadOnlyMemory<byte> AsBytes() => _reference is byte[] bytes ? bytes : throw Wrong(nameof(ValueKind.Bytes));

    /// <summary>The elements of the Array, in order.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public IReadOnlyList<Value> AsArray() => Elements;

    /// <summary>The members of the Object, ordered by the UTF-8 bytes of their names.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: another kind.</exception>
    public IReadOnlyDictionary<string, Value> AsObject() => Members;

    /// <summary>Looks up a member of the Object.</summary>
    /// <returns>False when there is none of that name; that is an answer, not an error.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Object.</exception>
    public bool TryGetMember(string name, out Value value) => Members.TryGetValue(name, out value);

    /// <summary>JSON text that reads back as the same value: floats keep their kind (<c>1.0</c>), Bytes become
    /// <c>{"$bytes":"base64"}</c>, what JSON has no number for <c>{"$f64":"NaN"}</c> (also +Inf, -Inf, -0.0), and an Object that looks
    /// like one of these is wrapped as <c>{"$object":{...}}</c>. One line, members ordered by name.</summary>
    public string ToJson() => ValueJson.Write(this);

    /// <summary>Writes the text of <see cref="ToJson"/>.</summary>
    public void WriteJson(Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ValueJson.Write(this, writer);
    }

    /// <summary>The text of <see cref="ToJson"/>.</summary>
    public override string ToString() => ToJson();

    /// <summary>Equal canonical bytes.</summary>
    public bool Equals(Value other)
    {
        if (ReferenceEquals(_reference, other._reference))
            return _bits == other._bits;
        return (_reference, other._reference) switch
        {
            (string left, string right) => _bits == other._bits && string.Equals(left, right, StringComparison.Ordinal),
            (byte[] left, byte[] right) => left.AsSpan().SequenceEqual(right),
            (ValueElements left, ValueElements right) => left.Measure == right.Measure && left.Items.SequenceEqual(right.Items),
            (ValueMembers left, ValueMembers right) => left.Measure == right.Measure
                && left.Names.SequenceEqual(right.Names) && left.Values.SequenceEqual(right.Values),
            _ => false,
        };
    }

    /// <summary>Equal canonical bytes.</summary>
    public override bool Equals([NotNullWhen(true)] object? obj) => obj is Value other && Equals(other);

    /// <summary>A hash of the content, the same in every process.</summary>
    public override int GetHashCode() => (int)ValueCodec.Hash(this, (uint)Kind);

    /// <summary>A String that is known to be valid, of a known length as UTF-8.</summary>
    internal static Value Trusted(string text, int utf8Bytes) => new(text, utf8Bytes);

    private CairnException Wrong(string expected) => new(ErrorCode.WrongType,
        $"The value is of kind {Kind}; {expected} is needed. Ask for Kind first: kinds do not convert by themselves.");

    private static ArgumentException NullName() => new("The name of a member may not be null.");

    private sealed class ScalarKind(ValueKind kind)
    {
        internal ValueKind Kind { get; } = kind;
    }
}
