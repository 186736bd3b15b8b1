// Graph: concepts, and associations between them and anything else of the run.
//
//   store keys    80 id                       the concept: type, strength, confidence, decay, created (ConceptRecord.cs)
//                 81 source 00 type 00 other  the association (AssociationRow.cs)
//                 82 other 00 type 00 source  the same without its attributes, from the other end
//                 83 end                      how many associations an end has: out u64, in u64, symmetric u64
//                 84 id, 88 id                content of the concept, a canonical String; its attributes, a canonical Object
//                 85 type 00 id, 86 time id   concepts by type, and by creation; their values are empty
//                 87 id                       how it was used: accesses, last access, feedback
//                 01 80, 01 81                how many concepts, and associations
//   operations    80 Put, 81 Delete, 82 Associate, 83 Dissociate, 84 Touch, 85 Ensure (docs/format.md has the bodies)
//   conflicts     point per concept, association and number of associations; listings read their range. Put, Associate and Touch are blind
//   text          id, content, type, attributes (GR-36), when there is a search
//   diff, merge   concepts by id and field, associations by source, type and target
//   replay        each operation is done again on what is there
//
// A symmetric association is one thing with two names, since its ends can be told in either order. It stands under both, in 81 and in 82;
// the name with the smaller end first is the one it is known by, the other is its mirror:
//
//   ada  knows     bob   directed     81 ada knows bob              82 bob knows ada
//   ada  is_like   eve   symmetric    81 ada is_like eve            82 eve is_like ada
//                                     81 eve is_like ada (mirror)   82 ada is_like eve (mirror)
//
// Whoever writes one of the names replaces what has it, whole: a directed association from eve to ada takes the place of the symmetric one.
//
//   GR1  a key in 81 has its counterpart in 82, and the other way round, with the same flags, weight, confidence and validity
//   GR2  the numbers in 83 are those of the keys: out and in of directed ones, and symmetric ones once at each of their ends
//   GR3  a symmetric association has four keys, a directed one two; no end is associated with itself
//   GR4  a concept that is there has its places in 85 (if it has a type) and 86; one that is not has nothing in 84 to 88
//
// An operation is about one concept or one association, so that whoever reads the log finds what a commit changed: an association that
// makes its missing ends carries an Ensure for each of them, and a deletion one Dissociate for each association that the concept has, as
// it has them at the commit. Nothing is counted by reading: an association costs the same at an end that has a million.
//
// In a transaction all that follows from an operation is pending too, without operations of its own. A Put is laid over what was
// committed, so that reading the concept afterwards is a read and writing it is none.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class ConceptOperations : OperationSet
{
    /// <summary>Record, content, attributes, two places by type, one by creation, the count.</summary>
    private const int PutWrites = 7;

    /// <summary>Record, place by creation, the count.</summary>
    private const int EnsureWrites = 3;

    /// <summary>Record, content, attributes, how it was used, two places, the count.</summary>
    private const int DeleteWrites = 7;

    internal override byte Family => 0x80;

    internal override bool Takes(OperationCode code) => ((byte)code & 0xF0) == Family
        && code is not (OperationCode.GraphAssociate or OperationCode.GraphDissociate);

    internal override string Name => ItemAddress.GraphPrimitive;

    internal override bool Owns(byte storeFamily) =>
        storeFamily is StoreKeys.Concept or (>= StoreKeys.ConceptContent and <= StoreKeys.ConceptAttributes);

    internal override bool IsDerived(byte storeFamily) => storeFamily is StoreKeys.ConceptType or StoreKeys.ConceptTime;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey[0] switch
    {
        _ when storeKey.Length == 1 => "all",
        StoreKeys.ConceptType =>
            Utf8.GetTrustedString(storeKey[(storeKey.LastIndexOf((byte)0) + 1)..]) is { Length: > 0 } id ? id : "by type",
        StoreKeys.ConceptTime when storeKey.Length > GraphKeys.TimeBytes => Utf8.GetTrustedString(storeKey[GraphKeys.TimeBytes..]),
        StoreKeys.ConceptTime => "by time",
        _ => Utf8.TryGetString(storeKey[1..], out var text) ? text : Convert.ToHexStringLower(storeKey[1..]),
    };

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        storeKey[0] is StoreKeys.Concept or StoreKeys.ConceptContent or StoreKeys.ConceptAttributes
            ? Value.Decode(version.Value) : default(Value?);

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        GraphKeys.Of(buffer, StoreKeys.Concept, operation.Key);

    // Content and attributes are never written without the concept, and its use is no text.
    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes)
    {
        if ((OperationCode)operation.Code != OperationCode.GraphTouch)
            TellThing(operation, sequence, changes);
    }

    // ---- before the sequence ---------------------------------------------------------------------------------------------------

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        visit(run.Store, GraphKeys.Of(key, StoreKeys.Concept, operation.Key));
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.GraphTouch:
                visit(run.Store, GraphKeys.Of(key, StoreKeys.ConceptUse, operation.Key));
                return;
            case OperationCode.GraphEnsure:
                return;
        }

        visit(run.Store, GraphKeys.Of(key, StoreKeys.ConceptContent, operation.Key));
        visit(run.Store, GraphKeys.Of(key, StoreKeys.ConceptAttributes, operation.Key));
        if ((OperationCode)operation.Code == OperationCode.GraphDelete)
            visit(run.Store, GraphKeys.Of(key, StoreKeys.ConceptUse, operation.Key));
        using var reader = run.Store.Read();
        if (!reader.TryGetNewest(GraphKeys.Of(key, StoreKeys.Concept, operation.Key), out var version) || version.IsTombstone)
            return;
        var (type, created) = ConceptRecord.Places(Value.Decode(version.Value));
        if (type is not null)
            visit(run.Store, GraphKeys.Type(key, type, operation.Key));
        if ((OperationCode)operation.Code == OperationCode.GraphDelete)
            visit(run.Store, GraphKeys.Time(key, created, operation.Key));
    }

    // ---- behind it -------------------------------------------------------------------------------------------------------------

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.HasExpiry || operation.Key.Length is 0 or > Limits.KeyBytesMax || operation.Key.Contains((byte)0))
            return false;
        return (OperationCode)operation.Code switch
        {
            OperationCode.GraphPut => ConceptRecord.TryRead(operation.Body, out var fields, out var attributes, out var content)
                && ApplyPut(operation.Key, fields, attributes, content, context),
            OperationCode.GraphDelete => operation.Body.IsEmpty && ApplyDelete(operation.Key, context),
            OperationCode.GraphTouch => operation.Body.Length == ConceptRecord.TouchBytes && ApplyTouch(operation, context),
            OperationCode.GraphEnsure => operation.Body.IsEmpty && ApplyEnsure(operation.Key, context),
            _ => false,
        };
    }

    private static bool TryGetRecord(ReadOnlySpan<byte> id, in ApplyContext context, out Value record)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        record = default;
        using var reader = context.Read();
        if (!reader.TryGetForApply(GraphKeys.Of(key, StoreKeys.Concept, id), out var version) || version.IsTombstone)
            return false;
        record = Value.Decode(version.Value);
        return true;
    }

    private static bool IsConceptThere(ReadOnlySpan<byte> id, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = context.Read();
        return reader.TryGetForApply(GraphKeys.Of(key, StoreKeys.Concept, id), out var version) && !version.IsTombstone;
    }

    private static bool ApplyEnsure(ReadOnlySpan<byte> id, in ApplyContext context) =>
        IsConceptThere(id, context) || ApplyPut(id, Value.Object(), default, default, context);

    private static bool ApplyPut(
        ReadOnlySpan<byte> id, in Value fields, ReadOnlySpan<byte> attributes, ReadOnlySpan<byte> content, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        var isThere = TryGetRecord(id, context, out var before);
        var record = ConceptRecord.With(before, fields, context.Time);
        var (typeBefore, _) = isThere ? ConceptRecord.Places(before) : default;
        var (type, created) = ConceptRecord.Places(record);
        context.Put(GraphKeys.Of(key, StoreKeys.Concept, id), record.Encode());
        if (!isThere)
        {
            context.AddCount(StoreKeys.Concept, 1);
            context.Put(GraphKeys.Time(key, created, id), default);
        }

        if (type != typeBefore)
        {
            if (typeBefore is not null)
                context.Delete(GraphKeys.Type(key, typeBefore, id));
            if (type is not null)
                context.Put(GraphKeys.Type(key, type, id), default);
        }

        if (!content.IsEmpty)
            context.Put(GraphKeys.Of(key, StoreKeys.ConceptContent, id), content);
        if (attributes.IsEmpty)
            return true;
        var attributesKey = GraphKeys.Of(key, StoreKeys.ConceptAttributes, id);
        if (attributes.Length > 1)
            context.Put(attributesKey, attributes);
        else if (isThere)
            context.Delete(attributesKey);                   // an empty object has one byte
        return true;
    }

    // Its associations went before it, each by an operation of its own.
    private static bool ApplyDelete(ReadOnlySpan<byte> id, in ApplyContext context)
    {
        if (!TryGetRecord(id, context, out var record))
            return true;
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        var (type, created) = ConceptRecord.Places(record);
        foreach (var family in (ReadOnlySpan<byte>)[
            StoreKeys.Concept, StoreKeys.ConceptContent, StoreKeys.ConceptAttributes, StoreKeys.ConceptUse])
        {
            context.Delete(GraphKeys.Of(key, family, id));
        }

        if (type is not null)
            context.Delete(GraphKeys.Type(key, type, id));
        context.Delete(GraphKeys.Time(key, created, id));
        context.AddCount(StoreKeys.Concept, -1);
        return true;
    }

    private static bool ApplyTouch(in Operation operation, in ApplyContext context)
    {
        if (!IsConceptThere(operation.Key, context))
            return true;
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var useKey = GraphKeys.Of(key, StoreKeys.ConceptUse, operation.Key);
        var use = default(Use);
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(useKey, out var version) && !version.IsTombstone)
                use = Use.Read(version.Value);
        }

        Span<byte> bytes = stackalloc byte[ConceptRecord.UseBytes];
        ReadTouch(operation.Body, use, context.Time).Write(bytes);
        context.Put(useKey, bytes);
        return true;
    }

    /// <summary>How a concept was used, with what a Touch says.</summary>
    internal static Use ReadTouch(ReadOnlySpan<byte> body, in Use use, long time) => use.With(
        BinaryPrimitives.ReadUInt32LittleEndian(body), BinaryPrimitives.ReadInt64LittleEndian(body[4..]),
        BinaryPrimitives.ReadInt64LittleEndian(body[12..]) is var told && told == ConceptRecord.AtCommit ? time : told);

    // ---- writing operations ----------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write) =>
        write.Value.CopyTo(Add(batch, write.Code, write.OperationKey, write.Value.Length));

    /// <summary>Adds an operation.</summary>
    /// <returns>The body to fill.</returns>
    internal static Span<byte> Add(Batch batch, OperationCode code, ReadOnlySpan<byte> id, int bodyBytes) => code switch
    {
        OperationCode.GraphPut => batch.Add(
            code, 0, id, bodyBytes, PutWrites, ConceptRecord.BytesMax + 2L * Limits.NameBytesMax + 3L * sizeof(long)),
        OperationCode.GraphEnsure => batch.Add(code, 0, id, bodyBytes, EnsureWrites, ConceptRecord.BytesMax + (long)sizeof(long)),
        OperationCode.GraphDelete => batch.Add(code, 0, id, bodyBytes, DeleteWrites, Limits.NameBytesMax + (long)sizeof(long)),
        _ => batch.Add(code, 0, id, bodyBytes, 1, ConceptRecord.UseBytes),
    };

    /// <summary>What is laid over a committed record, or over how a concept was used.</summary>
    internal override byte[] Overlay(PendingWrite write, bool exists, bool live, in VersionView committed)
    {
        if (write.StoreKey[0] == StoreKeys.Concept)
        {
            var before = live ? Value.Decode(committed.Value) : default;
            return ConceptRecord.With(before, Value.Decode(write.Value), write.Delta).Encode();
        }

        var use = live ? Use.Read(committed.Value) : default;
        var bytes = new byte[ConceptRecord.UseBytes];
        use.With(write.Steps, BinaryPrimitives.ReadInt64LittleEndian(write.Value), write.Delta).Write(bytes);
        return bytes;
    }
}
