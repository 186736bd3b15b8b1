using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>A concept as one side of a comparison has it.</summary>
/// <param name="Fields">An object of what a Put can say: <c>type</c>, <c>strength</c>, <c>confidence</c>, <c>decay</c>, <c>content</c>,
/// <c>attributes</c>; what there is not is absent.</param>
/// <param name="Use">How it was used.</param>
/// <param name="Created">When it was first put; microseconds.</param>
/// <param name="Made">Sequence of that commit: another one, another concept.</param>
/// <param name="Sequence">Of its last Put.</param>
/// <param name="Time">Of that commit.</param>
internal readonly record struct StoredConcept(Value Fields, Use Use, long Created, ulong Made, ulong Sequence, long Time)
{
    /// <summary>All that is compared: the fields, and how often it was used to what effect; not when.</summary>
    internal Value Whole => Use.Accesses == 0 && Use.Feedback == 0
        ? Fields
        : Value.Object(Fields.AsObject().Append(new("accesses", (long)Use.Accesses))
            .Append(new("feedback", Use.Feedback / (double)Use.FeedbackUnit)));

    internal DiffVersion ToVersion() => Of(Whole);

    internal DiffVersion Of(in Value part) => new(part, new Sequence(Sequence), CommitClock.Time(Time));

    /// <summary>Null: there is none.</summary>
    /// <param name="sequence">Pinned by the caller.</param>
    internal static StoredConcept? Read(RunStore store, ulong sequence, ReadOnlySpan<byte> id)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = store.Read();
        if (!reader.TryGet(GraphKeys.Of(buffer, StoreKeys.Concept, id), sequence, out var version) || version.IsTombstone)
            return null;
        var (made, sequenceOf, timeOf) = (version.Created, version.Sequence, version.Time);
        var record = Value.Decode(version.Value);
        var content = ValueAt(reader, GraphKeys.Of(buffer, StoreKeys.ConceptContent, id), sequence);
        var attributes = ValueAt(reader, GraphKeys.Of(buffer, StoreKeys.ConceptAttributes, id), sequence);
        var use = reader.TryGet(GraphKeys.Of(buffer, StoreKeys.ConceptUse, id), sequence, out var used) && !used.IsTombstone
            ? Use.Read(used.Value) : default;
        return new StoredConcept(
            ConceptRecord.Fields(record, content, attributes), use, ConceptRecord.Places(record).Created, made, sequenceOf, timeOf);
    }

    private static Value? ValueAt(scoped in StoreReader reader, ReadOnlySpan<byte> key, ulong sequence) =>
        reader.TryGet(key, sequence, out var version) && !version.IsTombstone ? Value.Decode(version.Value) : default(Value?);
}
