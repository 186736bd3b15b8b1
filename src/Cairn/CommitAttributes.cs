using Cairn.Codec;
using Cairn.Primitives;

namespace Cairn;

/// <summary>Who and what caused a commit: kept in its record, told by <see cref="CairnDatabase.TransactionAt"/>, <see cref="Run.Commits"/>
/// and <see cref="Run.Blame(ItemAddress)"/>. Given with <see cref="CommitOptions.Attributes"/>, for every write of a handle or for
/// one transaction. They change nothing else: no state, no hash and no conflict rests on them.</summary>
public sealed record CommitAttributes
{
    /// <summary>None.</summary>
    public static CommitAttributes None { get; } = new();

    /// <summary>Who: a principal, an agent, a person. 1 to 256 bytes of UTF-8, no control characters; null = not told.</summary>
    public string? Actor { get; init; }

    /// <summary>The tool whose call led to the commit; as <see cref="Actor"/>.</summary>
    public string? Tool { get; init; }

    /// <summary>The step of the agent that led to it.</summary>
    public TraceId? TraceStep { get; init; }

    /// <summary>Where what is written comes from, such as <c>model</c>, <c>tool</c>, <c>user</c>; as <see cref="Actor"/>.</summary>
    public string? SourceKind { get; init; }

    /// <summary>How far the source is trusted, from 0 to 1; null = not told.</summary>
    public double? Trust { get; init; }

    /// <summary>More, of any form: an Object. All attributes of a commit together have at most <see cref="Limits.MetadataBytesMax"/>
    /// encoded.</summary>
    public Value Entries { get; init; } = Value.Object();

    /// <summary>What the transaction had read, if it was asked to tell (<see cref="CommitOptions.RecordReads"/>). Written by the engine
    /// alone.</summary>
    public CommitReads? Reads { get; internal init; }

    /// <summary>As they stand in a record; empty for none.</summary>
    /// <exception cref="CairnException">Something is no name, no Object or out of its range.</exception>
    /// <exception cref="LimitException">They are too long.</exception>
    internal byte[] Encode(Limits limits)
    {
        CheckName(nameof(Actor), Actor);
        CheckName(nameof(Tool), Tool);
        CheckName(nameof(SourceKind), SourceKind);
        if (Trust is not (null or (>= 0 and <= 1)))
            throw new CairnException(ErrorCode.ConstraintViolation, "Trust is a number from 0 to 1.");
        if (Entries.Kind != ValueKind.Object)
            throw new CairnException(ErrorCode.WrongType, $"Entries of a commit's attributes are an Object; {Entries.Kind} was given.");
        var value = ToValue();
        if (value.Count == 0)
            return [];
        var bytes = ValueCodec.EncodedLength(value, limits);
        if (bytes > limits.MetadataBytesMax)
            throw new LimitException(nameof(limits.MetadataBytesMax), limits.MetadataBytesMax, bytes, "bytes");
        return value.Encode();
    }

    /// <summary>The same with what was read, which is bounded by itself.</summary>
    internal byte[] EncodeWith(CommitReads reads) => (this with { Reads = reads }).ToValue().Encode();

    /// <summary>These attributes as a record has them, completed by what is known of the cause; the addition is bounded by
    /// itself.</summary>
    internal static byte[] Complete(ReadOnlySpan<byte> encoded, CommitAttributes cause)
    {
        Invariant.Check(TryDecode(encoded, out var given), "attributes that are being written are whole");
        return (given with
        {
            Tool = given.Tool ?? cause.Tool,
            TraceStep = given.TraceStep ?? cause.TraceStep,
            SourceKind = given.SourceKind ?? cause.SourceKind,
        }).ToValue().Encode();
    }

    private static void CheckName(string what, string? name)
    {
        if (name is null)
            return;
        if (Utf8.GetByteCount(name) is var bytes && bytes > Limits.NameBytesMax)
            throw new LimitException(nameof(Limits.NameBytesMax), Limits.NameBytesMax, bytes, "bytes");
        if (name.Length == 0 || name.Any(char.IsControl))
            throw new CairnException(ErrorCode.InvalidName, $"{what} of a commit's attributes is empty or holds a control character.");
    }

    private Value ToValue() => Fields.Write(
        ("actor", Fields.Of(Actor)),
        ("tool", Fields.Of(Tool)),
        ("step", Fields.Of(TraceStep?.Bits)),
        ("source", Fields.Of(SourceKind)),
        ("trust", Fields.Of(Trust)),
        ("entries", Entries.Count == 0 ? default(Value?) : Entries),
        ("reads", Reads?.ToValue()));

    /// <summary>As they stand in a line of an export. What was read is not there: it names sequences of another log.</summary>
    internal Value ToLine() => Fields.Write(
        ("actor", Fields.Of(Actor)),
        ("tool", Fields.Of(Tool)),
        ("step", Fields.Of(TraceStep?.ToString())),
        ("source", Fields.Of(SourceKind)),
        ("trust", Fields.Of(Trust)),
        ("entries", Entries.Count == 0 ? default(Value?) : Entries));

    /// <summary>What a line of an export says; members that this version does not know are passed over.</summary>
    /// <returns>False when a member is not what it should be.</returns>
    internal static bool TryReadLine(in Value line, out CommitAttributes attributes)
    {
        attributes = None;
        if (!Fields.TryRead(line, out var fields) || !fields.TryText("actor", out var actor) || !fields.TryText("tool", out var tool)
            || !fields.TryText("step", out var text) || !fields.TryText("source", out var source)
            || !fields.TryFloat("trust", out var trust) || !fields.TryObject("entries", out var entries))
        {
            return false;
        }

        var step = default(TraceId);
        if (text is not null && !TraceId.TryParse(text, out step))
            return false;
        attributes = new CommitAttributes
        {
            Actor = actor,
            Tool = tool,
            TraceStep = text is null ? null : step,
            SourceKind = source,
            Trust = trust,
            Entries = entries,
        };
        return true;
    }

    /// <summary>These, judged as given ones are, with an entry of the engine's, which is bounded by itself.</summary>
    /// <inheritdoc cref="Encode" path="/exception"/>
    internal byte[] EncodeWith(string name, in Value entry, Limits limits)
    {
        Encode(limits);
        return (this with
        {
            Entries = Value.Object(Entries.AsObject().Where(member => member.Key != name).Append(new(name, entry))),
        }).ToValue().Encode();
    }

    /// <summary>What a record says; members that this version does not know are passed over.</summary>
    /// <returns>False when the bytes are no canonical object, or a member is of another kind.</returns>
    internal static bool TryDecode(ReadOnlySpan<byte> encoded, out CommitAttributes attributes)
    {
        attributes = None;
        if (encoded.IsEmpty)
            return true;
        if (!Fields.TryRead(encoded, out var fields) || !fields.TryText("actor", out var actor) || !fields.TryText("tool", out var tool)
            || !fields.TryId("step", out var step) || !fields.TryText("source", out var source) || !fields.TryFloat("trust", out var trust)
            || !fields.TryObject("entries", out var entries) || !CommitReads.TryRead(fields.Any("reads"), out var reads))
        {
            return false;
        }

        attributes = new CommitAttributes
        {
            Actor = actor,
            Tool = tool,
            TraceStep = step is { } bits ? new TraceId(bits) : null,
            SourceKind = source,
            Trust = trust,
            Entries = entries,
            Reads = reads,
        };
        return true;
    }
}

/// <summary>What a transaction had read when it committed.</summary>
public sealed record CommitReads
{
    /// <summary>Chosen: names beyond it are counted, not named.</summary>
    internal const int ItemsMax = 32;

    /// <summary>Chosen: text of the names together.</summary>
    internal const int ItemCharsMax = 2048;

    internal CommitReads()
    {
    }

    /// <summary>The sequence at which it read.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Keys that it looked at.</summary>
    public required long Points { get; init; }

    /// <summary>Ranges that it looked through.</summary>
    public required long Ranges { get; init; }

    /// <summary>Some of the keys, at most 32, as primitive and key: <c>kv/customer</c>.</summary>
    public required IReadOnlyList<string> Items { get; init; }

    internal Value ToValue() => Fields.Write(
        ("at", (long)Sequence.Value), ("points", Points), ("ranges", Ranges), ("items", Fields.Of(Items)));

    internal static bool TryRead(Value? value, out CommitReads? reads)
    {
        reads = null;
        if (value is not { } given)
            return true;
        if (!Fields.TryRead(given, out var fields) || !fields.TryNumber("at", out var at) || !fields.TryNumber("points", out var points)
            || !fields.TryNumber("ranges", out var ranges) || !fields.TryTexts("items", out var items))
        {
            return false;
        }

        reads = new CommitReads { Sequence = new Sequence((ulong)(at ?? 0)), Points = points ?? 0, Ranges = ranges ?? 0, Items = items };
        return true;
    }
}
