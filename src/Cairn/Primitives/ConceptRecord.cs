using System.Buffers.Binary;
using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>
/// A concept as it is stored, and as a Put changes it. The record is a small canonical object: type?, strength?, confidence?, decay? where
/// they are not what they are by default, and created (microseconds). Content and attributes are keys of their own, so that a Put that
/// leaves them alone writes nothing of them.
/// <code>
///  body of a Put, little-endian
///   0  u32  F      bytes of the fields
///   4  u32  A      bytes of the attributes; 0 = they stay
///   8  F    fields a canonical object of the record's members; Null = as by default; created counts where there is no concept yet
///      A    attributes: a canonical object, empty = none
///      ...  content: a canonical String; nothing = it stays </code>
/// </summary>
internal static class ConceptRecord
{
    /// <summary>Longest record: the names, the longest type, three numbers, a decay.</summary>
    internal const int BytesMax = 128 + Limits.NameBytesMax;

    internal const int BodyBytesMin = 8;

    /// <summary>Bytes of <see cref="Use"/>.</summary>
    internal const int UseBytes = 24;

    /// <summary>Body of a Touch: accesses u32, feedback i64 in millionths, time i64.</summary>
    internal const int TouchBytes = 20;

    /// <summary>In place of the time of an access: that of the commit.</summary>
    internal const long AtCommit = long.MinValue;

    private const string Type = "type", Strength = "strength", Confidence = "confidence", Decay = "decay", Created = "created";

    private static readonly string[] Members = [Type, Strength, Confidence, Decay];

    /// <summary>Body of a Touch.</summary>
    internal static byte[] Touch(uint accesses, long feedback, long time = AtCommit)
    {
        var body = new byte[TouchBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(body, accesses);
        BinaryPrimitives.WriteInt64LittleEndian(body.AsSpan(4), feedback);
        BinaryPrimitives.WriteInt64LittleEndian(body.AsSpan(12), time);
        return body;
    }

    /// <summary>Body of a Put, checked before by <see cref="Check"/>.</summary>
    /// <summary>Bodies of Touches that come to a use: in more than one only beyond 2^32 accesses.</summary>
    internal static IEnumerable<byte[]> Touches(ulong accesses, long feedback, long time)
    {
        for (; accesses > 0 || feedback != 0; feedback = 0)
        {
            var some = (uint)Math.Min(accesses, uint.MaxValue);
            yield return Touch(some, feedback, time);
            accesses -= some;
        }
    }

    /// <param name="created">Of a concept that comes from elsewhere and is not there yet, when it was made; null = with the commit.</param>
    internal static byte[] Write(ConceptFields given, long? created = null)
    {
        var fields = Primitives.Fields.Write(
            (Type, given.ClearsType ? Value.Null : Primitives.Fields.Of(given.Type)),
            (Strength, Given(given.Strength)),
            (Confidence, Given(given.Confidence)),
            (Decay, given.Decay is null ? default(Value?) : given.Decay == ConceptDecay.None ? Value.Null : given.Decay.ToValue()),
            (Created, Primitives.Fields.Of(created)));
        return Body(fields, given.Attributes is { } found ? found.Encode() : [], given.Content is { } text ? ((Value)text).Encode() : []);
    }

    /// <summary>The same of what is stored.</summary>
    internal static byte[] Body(in Value fields, ReadOnlySpan<byte> attributes, ReadOnlySpan<byte> content)
    {
        var body = new byte[BodyBytesMin + fields.EncodedLength + attributes.Length + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(body, fields.EncodedLength);
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(4), attributes.Length);
        ValueCodec.Encode(fields, body.AsSpan(BodyBytesMin, fields.EncodedLength));
        attributes.CopyTo(body.AsSpan(BodyBytesMin + fields.EncodedLength));
        content.CopyTo(body.AsSpan(body.Length - content.Length));
        return body;
    }

    // What is as by default is not kept.
    private static Value? Given(double? number) => number is { } given ? (given == 1 ? Value.Null : (Value)given) : default(Value?);

    internal static void Check(ConceptFields given, Limits limits)
    {
        if (given.Type is { } type)
            KeyRules.EncodeName(type, stackalloc byte[Limits.NameBytesMax], out _);
        if (given is { ClearsType: true, Type: not null })
            throw new CairnException(ErrorCode.InvalidArgument, "A Put gives a type and takes it away. Say one of them.");
        CheckShare("strength", given.Strength);
        CheckShare("confidence", given.Confidence);
        if (given.Attributes is { } attributes)
            RunRules.CheckMetadata(attributes, limits);
        if (given.Content is { } content && Utf8.GetByteCount(content) is var bytes && bytes > limits.ConceptContentBytesMax)
            throw new LimitException(nameof(limits.ConceptContentBytesMax), limits.ConceptContentBytesMax, bytes, "bytes");
    }

    private static void CheckShare(string what, double? number)
    {
        if (number is { } given && given is not (>= 0 and <= 1))
            throw new CairnException(ErrorCode.ConstraintViolation, $"The {what} of a concept is {given}; it is from 0 to 1.");
    }

    /// <summary>The parts of a Put's body; false when it is none.</summary>
    internal static bool TryRead(
        ReadOnlySpan<byte> body, out Value fields, out ReadOnlySpan<byte> attributes, out ReadOnlySpan<byte> content)
    {
        fields = default;
        attributes = content = default;
        if (body.Length < BodyBytesMin)
            return false;
        var fieldBytes = BinaryPrimitives.ReadUInt32LittleEndian(body);
        var attributeBytes = BinaryPrimitives.ReadUInt32LittleEndian(body[4..]);
        if (fieldBytes + (ulong)attributeBytes + BodyBytesMin > (ulong)body.Length)
            return false;
        attributes = body.Slice(BodyBytesMin + (int)fieldBytes, (int)attributeBytes);
        content = body[(BodyBytesMin + (int)fieldBytes + (int)attributeBytes)..];
        return ValueDecoder.TryDecode(body.Slice(BodyBytesMin, (int)fieldBytes), out fields, out _) && AreFields(fields)
            && (attributes.IsEmpty || (ValueDecoder.TryDecode(attributes, out var kept, out _) && kept.Kind == ValueKind.Object))
            && (content.IsEmpty || (ValueDecoder.TryDecode(content, out var text, out _) && text.Kind == ValueKind.String));
    }

    private static bool AreFields(in Value fields) =>
        fields.Kind == ValueKind.Object && fields.AsObject().All(pair => pair.Value.IsNull
            ? Members.Contains(pair.Key, StringComparer.Ordinal)
            : pair.Key switch
            {
                Type => pair.Value.Kind == ValueKind.String && pair.Value.AsString().Length > 0
                    && Utf8.GetByteCount(pair.Value.AsString()) <= Limits.NameBytesMax,
                Strength or Confidence => pair.Value.Kind == ValueKind.Float64 && pair.Value.AsFloat64() is >= 0 and <= 1,
                Decay => ConceptDecay.TryRead(pair.Value, out _),
                Created => pair.Value.Kind == ValueKind.Int64,
                _ => false,
            });

    /// <summary>The record with what a Put gives.</summary>
    /// <param name="before">The record; not an object when there is none.</param>
    internal static Value With(in Value before, in Value fields, long time)
    {
        var members = before.Kind == ValueKind.Object
            ? before.AsObject().ToDictionary(StringComparer.Ordinal)
            : new Dictionary<string, Value>(StringComparer.Ordinal) { [Created] = time };
        foreach (var (name, value) in fields.AsObject())
        {
            if (value.IsNull)
                members.Remove(name);
            else if (name != Created || before.Kind != ValueKind.Object)
                members[name] = value;
        }

        return Value.Object(members);
    }

    /// <summary>What two Puts give one after the other.</summary>
    internal static Value Joined(in Value first, in Value second)
    {
        var members = first.AsObject().ToDictionary(StringComparer.Ordinal);
        foreach (var (name, value) in second.AsObject())
            members[name] = value;
        return Value.Object(members);
    }

    /// <summary>Type and creation, for the orders.</summary>
    internal static (string? Type, long Created) Places(in Value record) => (
        record.TryGetMember(Type, out var type) ? type.AsString() : null,
        record.TryGetMember(Created, out var created) ? created.AsInt64() : 0);

    /// <summary>What a Put can say of the concept, as it is: an object without what there is not.</summary>
    internal static Value Fields(in Value record, Value? content, Value? attributes)
    {
        var (type, _) = Places(record);
        return Primitives.Fields.Write(
            (Type, Primitives.Fields.Of(type)),
            (Strength, record.TryGetMember(Strength, out var strength) ? strength : (Value)1.0),
            (Confidence, record.TryGetMember(Confidence, out var confidence) ? confidence : (Value)1.0),
            (Decay, record.TryGetMember(Decay, out var decay) ? decay : default(Value?)),
            ("content", content),
            ("attributes", attributes));
    }

    /// <summary>What a Put asks for, for people; null when the body is none.</summary>
    internal static Value? Asked(ReadOnlySpan<byte> body) => !TryRead(body, out var fields, out var attributes, out var content)
        ? default(Value?)
        : Value.Object(fields.AsObject()
            .Concat(content.IsEmpty ? [] : [new("content", Value.Decode(content))])
            .Concat(attributes.IsEmpty ? [] : [new("attributes", Value.Decode(attributes))]));

    /// <summary>What a Touch adds, for people; null when the body is none.</summary>
    internal static Value? AskedTouch(ReadOnlySpan<byte> body) => body.Length != TouchBytes ? default(Value?) : Value.Object(
        ("accesses", (long)BinaryPrimitives.ReadUInt32LittleEndian(body)),
        ("feedback", BinaryPrimitives.ReadInt64LittleEndian(body[4..]) / (double)Use.FeedbackUnit));

    /// <summary>A Put of what <see cref="Fields"/> says; Null of a member takes it away, where that can be.</summary>
    internal static ConceptFields Given(in Value fields) => new()
    {
        Type = fields.TryGetMember(Type, out var type) && !type.IsNull ? type.AsString() : null,
        ClearsType = fields.TryGetMember(Type, out type) && type.IsNull,
        Strength = fields.TryGetMember(Strength, out var strength) && !strength.IsNull ? strength.AsFloat64() : null,
        Confidence = fields.TryGetMember(Confidence, out var confidence) && !confidence.IsNull ? confidence.AsFloat64() : null,
        Decay = !fields.TryGetMember(Decay, out var decay) ? null : ConceptDecay.TryRead(decay, out var read) ? read : ConceptDecay.None,
        Content = fields.TryGetMember("content", out var content) && !content.IsNull ? content.AsString() : null,
        Attributes = !fields.TryGetMember("attributes", out var attributes) ? default(Value?)
            : attributes.IsNull ? Value.Object() : attributes,
    };

    /// <summary>What the record says for people.</summary>
    internal static Concept Read(string id, in Value record, Value attributes, string? content, in Use use)
    {
        var (type, created) = Places(record);
        return new Concept
        {
            Id = id,
            Type = type,
            Content = content,
            Attributes = attributes,
            Strength = record.TryGetMember(Strength, out var strength) ? strength.AsFloat64() : 1,
            Confidence = record.TryGetMember(Confidence, out var confidence) ? confidence.AsFloat64() : 1,
            Decay = record.TryGetMember(Decay, out var decay) && ConceptDecay.TryRead(decay, out var read) ? read : ConceptDecay.None,
            Created = CommitClock.Time(created),
            Accesses = (long)use.Accesses,
            LastAccess = use.Accesses == 0 ? null : CommitClock.Time(use.LastAccess),
            Feedback = use.Feedback / (double)Use.FeedbackUnit,
        };
    }
}

/// <summary>How a concept was used (GR-24). Layout, little-endian: accesses u64, last access i64 (microseconds), feedback i64 in
/// millionths, so that sums do not depend on their order.</summary>
internal readonly record struct Use(ulong Accesses, long LastAccess, long Feedback)
{
    internal const long FeedbackUnit = 1_000_000;

    internal static Use Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Accesses);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], LastAccess);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], Feedback);
    }

    /// <summary>With what a Touch adds.</summary>
    internal Use With(uint accesses, long feedback, long time) => new(
        Accesses + accesses, accesses == 0 ? LastAccess : Math.Max(LastAccess, time), Sum(Feedback, feedback));

    private static long Sum(long left, long right) => (long)Int128.Clamp((Int128)left + right, long.MinValue, long.MaxValue);
}
