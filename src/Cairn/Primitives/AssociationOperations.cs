using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Associations of the graph: the essay of ConceptOperations.cs. Stateless.</summary>
internal sealed class AssociationOperations : OperationSet
{
    /// <summary>Bytes of how many associations an end has: out, in, symmetric.</summary>
    internal const int DegreeBytes = 24;

    /// <summary>Four keys, two numbers, the count.</summary>
    private const int Writes = 7;

    internal override byte Family => 0x80;

    internal override bool Takes(OperationCode code) => code is OperationCode.GraphAssociate or OperationCode.GraphDissociate;

    internal override string Name => ItemAddress.AssociationsPrimitive;

    internal override bool Owns(byte storeFamily) =>
        storeFamily is StoreKeys.Association or StoreKeys.AssociationByTarget or StoreKeys.Degree;

    internal override bool IsDerived(byte storeFamily) => storeFamily != StoreKeys.Association;

    internal override string Describe(in Operation operation, RunId run) =>
        GraphKeys.TryRead(operation, stackalloc byte[GraphKeys.AssociationBytesMax], out var association, out _)
            ? GraphKeys.Text(association, isByTarget: false)
            : Convert.ToHexStringLower(operation.Key);

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey.Length == 1 ? "all"
        : GraphKeys.Text(storeKey[1..], storeKey[0] == StoreKeys.AssociationByTarget);

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        storeKey[0] == StoreKeys.Association && AssociationRow.TryRead(version.Value, out var row) ? row.ToValue() : default(Value?);

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        GraphKeys.TryRead(operation, stackalloc byte[GraphKeys.AssociationBytesMax], out var association, out _)
            ? GraphKeys.Of(buffer, StoreKeys.Association, association)
            : default;

    /// <summary>Associations, each once: what is counted under the first byte of their keys.</summary>
    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => reader.Count(StoreKeys.Association, sequence);

    // ---- before the sequence ---------------------------------------------------------------------------------------------------

    // GR-11, Reject: the ends are there as the commit finds them. A transaction that made them itself does not ask.
    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if ((OperationCode)operation.Code != OperationCode.GraphAssociate)
            return null;
        Span<byte> buffer = stackalloc byte[GraphKeys.AssociationBytesMax];
        var isRead = GraphKeys.TryRead(operation, buffer, out var association, out var row);
        Invariant.Check(isRead, "an operation on an association is written as it is read");
        if ((row[0] & AssociationRow.Needs) == 0)
            return null;
        GraphKeys.TrySplit(association, out var source, out _, out var target);
        using var reader = run.Store.Read();
        if ((row[0] & AssociationRow.NeedsSource) != 0 && !IsThere(reader, source))
            return new MissingConceptException(Utf8.GetTrustedString(source));
        return (row[0] & AssociationRow.NeedsTarget) != 0 && !IsThere(reader, target)
            ? new MissingConceptException(Utf8.GetTrustedString(target))
            : null;
    }

    private static bool IsThere(scoped in StoreReader reader, ReadOnlySpan<byte> id)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        return reader.TryGetNewest(GraphKeys.Of(key, StoreKeys.Concept, id), out var version) && !version.IsTombstone;
    }

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        Span<byte> buffer = stackalloc byte[GraphKeys.AssociationBytesMax];
        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        if (!GraphKeys.TryRead(operation, buffer, out var association, out _))
            return;
        var mirror = GraphKeys.Reversed(reversed, association);
        foreach (var family in (ReadOnlySpan<byte>)[StoreKeys.Association, StoreKeys.AssociationByTarget])
        {
            visit(run.Store, GraphKeys.Of(key, family, association));
            visit(run.Store, GraphKeys.Of(key, family, mirror));
        }

        GraphKeys.TrySplit(association, out var source, out _, out var target);
        visit(run.Store, GraphKeys.Of(key, StoreKeys.Degree, source));
        visit(run.Store, GraphKeys.Of(key, StoreKeys.Degree, target));
        foreach (var end in (ReadOnlySpan<int>)[0, 1])
        {
            var concept = end == 0 ? source : target;
            if (GraphKeys.IsConcept(concept))
                visit(run.Store, GraphKeys.Of(key, StoreKeys.Concept, concept));
        }
    }

    // ---- behind it -------------------------------------------------------------------------------------------------------------

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[GraphKeys.AssociationBytesMax];
        if (!GraphKeys.TryRead(operation, buffer, out var association, out var row))
            return false;
        GraphKeys.TrySplit(association, out var source, out var type, out var target);
        if (source.SequenceEqual(target))
            return false;
        return (OperationCode)operation.Code == OperationCode.GraphDissociate
            ? row.IsEmpty && ApplyDissociate(association, source, type, target, context)
            : ApplyAssociate(association, row, source, type, target, context);
    }

    private static bool ApplyAssociate(
        ReadOnlySpan<byte> association, ReadOnlySpan<byte> given, ReadOnlySpan<byte> source, ReadOnlySpan<byte> type,
        ReadOnlySpan<byte> target, in ApplyContext context)
    {
        if (!AssociationRow.TryReadOperation(given, out var row)
            || (row.IsSymmetric && source.SequenceCompareTo(target) > 0))
        {
            return false;
        }

        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        var mirror = GraphKeys.Association(reversed, target, type, source);
        var before = FlagsOf(association, context);
        var (wasDirected, wasSymmetric) = Was(before);
        var otherWas = row.IsSymmetric && !wasSymmetric && FlagsOf(mirror, context) is not null;
        if (wasSymmetric && !row.IsSymmetric)
            DeleteRow(mirror, association, context);

        Span<byte> bytes = given.Length <= 512 ? stackalloc byte[given.Length] : new byte[given.Length];
        given.CopyTo(bytes);
        bytes[0] &= unchecked((byte)~AssociationRow.Needs);
        WriteRow(association, mirror, bytes, context);
        if (row.IsSymmetric)
        {
            bytes[0] |= AssociationRow.Mirror;
            WriteRow(mirror, association, bytes, context);
        }

        var directed = (row.IsSymmetric ? 0 : 1) - (wasDirected ? 1 : 0);
        var symmetric = (row.IsSymmetric ? 1 : 0) - (wasSymmetric ? 1 : 0);
        var other = otherWas ? 1 : 0;
        AddDegree(source, directed, -other, symmetric, context);
        AddDegree(target, -other, directed, symmetric, context);
        AddCount(directed + symmetric - other, context);
        return true;
    }

    private static bool ApplyDissociate(
        ReadOnlySpan<byte> association, ReadOnlySpan<byte> source, ReadOnlySpan<byte> type, ReadOnlySpan<byte> target,
        in ApplyContext context)
    {
        if (FlagsOf(association, context) is not { } before)
            return true;
        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        var mirror = GraphKeys.Association(reversed, target, type, source);
        var (wasDirected, wasSymmetric) = Was(before);
        DeleteRow(association, mirror, context);
        if (wasSymmetric)
            DeleteRow(mirror, association, context);
        AddDegree(source, wasDirected ? -1 : 0, 0, wasSymmetric ? -1 : 0, context);
        AddDegree(target, 0, wasDirected ? -1 : 0, wasSymmetric ? -1 : 0, context);
        AddCount(-1, context);
        return true;
    }

    private static (bool Directed, bool Symmetric) Was(byte? flags) => flags is not { } found ? default
        : (found & AssociationRow.Symmetric) != 0 ? (false, true) : (true, false);

    // What has the name now; null: nothing.
    private static byte? FlagsOf(ReadOnlySpan<byte> association, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        using var reader = context.Read();
        return reader.TryGetForApply(GraphKeys.Of(key, StoreKeys.Association, association), out var version) && !version.IsTombstone
            ? version.Value[0]
            : null;
    }

    // GR1. The key by the target is led by the other name.
    private static void WriteRow(ReadOnlySpan<byte> association, ReadOnlySpan<byte> mirror, ReadOnlySpan<byte> row, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        context.Put(GraphKeys.Of(key, StoreKeys.Association, association), row);
        if (!Mutant.Is("graph-one-way"))
            context.Put(GraphKeys.Of(key, StoreKeys.AssociationByTarget, mirror), row[..AssociationRow.FixedBytes(row[0])]);
    }

    private static void DeleteRow(ReadOnlySpan<byte> association, ReadOnlySpan<byte> mirror, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        context.Delete(GraphKeys.Of(key, StoreKeys.Association, association));
        if (!Mutant.Is("graph-target-keeps"))
            context.Delete(GraphKeys.Of(key, StoreKeys.AssociationByTarget, mirror));
    }

    private static void AddCount(int delta, in ApplyContext context)
    {
        if (delta != 0)
            context.AddCount(StoreKeys.Association, delta);
    }

    private static void AddDegree(ReadOnlySpan<byte> end, int outgoing, int incoming, int symmetric, in ApplyContext context)
    {
        if ((outgoing | incoming | symmetric) == 0 || Mutant.Is("graph-degree-forgotten"))
            return;
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        Span<byte> bytes = stackalloc byte[DegreeBytes];
        var degreeKey = GraphKeys.Of(key, StoreKeys.Degree, end);
        bytes.Clear();
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(degreeKey, out var version) && !version.IsTombstone)
                version.Value.CopyTo(bytes);
        }

        var total = Add(bytes, 0, outgoing) + Add(bytes, 1, incoming) + Add(bytes, 2, symmetric);
        if (total == 0)
            context.Delete(degreeKey);
        else
            context.Put(degreeKey, bytes);
    }

    private static long Add(Span<byte> degrees, int which, int delta)
    {
        var place = degrees.Slice(which * sizeof(long), sizeof(long));
        var number = BinaryPrimitives.ReadInt64LittleEndian(place) + delta;
        Invariant.Check(number >= 0, "GR2: the numbers of an end's associations are those of its keys");
        BinaryPrimitives.WriteInt64LittleEndian(place, number);
        return number;
    }

    // ---- names -----------------------------------------------------------------------------------------------------------------

    /// <summary>What the associations of an end are known by, each once.</summary>
    internal static List<byte[]> NamesOf(scoped in StoreReader reader, ReadOnlySpan<byte> end, ulong sequence)
    {
        var names = new List<byte[]>();
        Span<byte> from = stackalloc byte[GraphKeys.LengthMax];
        Span<byte> to = stackalloc byte[GraphKeys.LengthMax];
        Span<byte> name = stackalloc byte[GraphKeys.AssociationBytesMax];
        foreach (var family in (ReadOnlySpan<byte>)[StoreKeys.Association, StoreKeys.AssociationByTarget])
        {
            var start = GraphKeys.Prefix(from, family, end);
            start.CopyTo(to);
            to[start.Length - 1] = 1;
            var scan = reader.Scan(start, to[..start.Length], sequence);
            while (scan.MoveNext())
            {
                if (NameOf(scan.Key, scan.Version.Value[0], name) is { IsEmpty: false } found)
                    names.Add(found.ToArray());
            }
        }

        return names;
    }

    /// <summary>What an association is known by, from one of its keys; empty from the key by the target of a symmetric one, which has
    /// another.</summary>
    internal static ReadOnlySpan<byte> NameOf(ReadOnlySpan<byte> storeKey, byte flags, Span<byte> buffer)
    {
        if ((flags & AssociationRow.Symmetric) != 0 && storeKey[0] == StoreKeys.AssociationByTarget)
            return default;
        var isReversed = storeKey[0] == StoreKeys.AssociationByTarget || (flags & AssociationRow.Mirror) != 0;
        return isReversed ? GraphKeys.Reversed(buffer, storeKey[1..]) : storeKey[1..];
    }

    // ---- writing operations ----------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write) =>
        write.Value.CopyTo(
            Add(batch, write.Code, write.OperationKey, write.Value.Length, write.Value is [var flags, ..] ? flags : (byte)0));

    /// <summary>Adds an operation.</summary>
    /// <param name="flags">Of an association that is written.</param>
    /// <returns>The row to fill.</returns>
    internal static Span<byte> Add(Batch batch, OperationCode code, ReadOnlySpan<byte> association, int rowBytes, byte flags = 0)
    {
        batch.NeedsResolve |= (flags & AssociationRow.Needs) != 0;
        var body = batch.Add(
            code, 0, GraphKeys.Source(association), GraphKeys.BodyBytes(association, rowBytes), Writes,
            4L * (association.Length + rowBytes) + 2 * (Limits.KeyBytesMax + DegreeBytes));
        return GraphKeys.WriteBody(body, association);
    }
}
