// Merging the graph. Concepts are merged field by field by the rules of keys (MergePlan.cs), and what was recorded of their use is added:
//
//      base               source              target              becomes
//      type a, used 2     type b, used 5      type a, used 3      type b, used 6
//      type a             type b              type c              a conflict of the type alone
//      there              deleted             as it was           deleted, with the associations that the target has given it
//      there              deleted             changed             a conflict
//
// Associations are merged by the pair of their ends, because a symmetric one stands for both directions: where neither side has one, each
// direction is merged for itself, and otherwise the pair as a whole. An association that comes brings its ends, where the source has them
// as concepts and the target has not.

using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. The graph of one try of a merge.</summary>
internal sealed class MergeGraph(MergePlan plan)
{
    // ---- concepts --------------------------------------------------------------------------------------------------------------

    /// <param name="keys">Store keys of concepts.</param>
    internal void Concepts(IEnumerable<byte[]> keys)
    {
        foreach (var key in keys)
        {
            plan.Progress.Advance();
            var id = key[1..];
            var its = StoredConcept.Read(plan.Source.Run.Store, plan.Source.Sequence, id);
            var was = StoredConcept.Read(plan.Values.Store, plan.Values.Sequence, id);
            if (its?.Whole != was?.Whole)
                Concept(id, was, its, OursOf(id));
        }
    }

    private StoredConcept? OursOf(byte[] id)
    {
        foreach (var family in (byte[])[StoreKeys.Concept, StoreKeys.ConceptContent, StoreKeys.ConceptAttributes])
            plan.Target.NotePoint([family, .. id]);
        return StoredConcept.Read(plan.Target.Run.Store, plan.Target.Sequence, id);
    }

    private void Concept(byte[] id, StoredConcept? was, StoredConcept? its, StoredConcept? ours)
    {
        if (its?.Fields == ours?.Fields && (its is null || its.Value.Use == (was?.Use ?? default)))
            plan.CountSame(ItemAddress.GraphPrimitive);
        else if (its is null)
            Deleted(id, was, ours);
        else if (ours is null && was is { } before)
            DeletedHere(id, before, its.Value);
        else if (was is { } old && its.Value.Made != old.Made && ours == was && !Mutant.Is("merge-takes-all-for-conflicts"))
            PutAnew(id, its.Value);
        else
            Fields(id, was, its.Value, ours);
    }

    // Deleted and made again: what was recorded of the use of the old one goes with it, and its associations are merged for themselves.
    private void PutAnew(byte[] id, in StoredConcept its)
    {
        plan.Take(ItemAddress.GraphPrimitive);
        Write(OperationCode.GraphDelete, id, []);
        Put(id, its.Fields, its.Created, default, its.Use);
    }

    private void Deleted(byte[] id, StoredConcept? was, StoredConcept? ours)
    {
        var isOurs = was?.Fields == ours?.Fields && !Mutant.Is("merge-takes-all-for-conflicts");
        if (isOurs)
            plan.Take(ItemAddress.GraphPrimitive);
        if (isOurs || Ask(id, null, was?.ToVersion(), null, ours?.ToVersion()) == MergeOutcome.Source)
            Delete(id);
    }

    // Use alone brings nothing back.
    private void DeletedHere(byte[] id, in StoredConcept was, in StoredConcept its)
    {
        if (its.Fields != was.Fields && Ask(id, null, was.ToVersion(), its.ToVersion(), null) == MergeOutcome.Source)
            Put(id, its.Fields, its.Created, default, its.Use);
    }

    private void Fields(byte[] id, StoredConcept? was, in StoredConcept its, StoredConcept? ours)
    {
        var taken = new Dictionary<string, Value>(StringComparer.Ordinal);
        var conflicts = plan.ConflictCount(ItemAddress.GraphPrimitive);
        var names = its.Fields.AsObject().Keys.Union(was?.Fields.AsObject().Keys ?? [], StringComparer.Ordinal);
        foreach (var name in names.Order(StringComparer.Ordinal))
        {
            var (old, mine, yours) = (Member(was?.Fields, name), Member(its.Fields, name), Member(ours?.Fields, name));
            if (mine == old || mine == yours)
                continue;
            if ((yours == old && !Mutant.Is("merge-takes-all-for-conflicts"))
                || Ask(
                    id, DocumentPath.Root.Member(name), old is { } before ? was!.Value.Of(before) : null,
                    mine is { } source ? its.Of(source) : null, yours is { } target ? ours!.Value.Of(target) : null) == MergeOutcome.Source)
            {
                taken[name] = mine ?? Value.Null;
            }
        }

        var isUsed = its.Use != (was?.Use ?? default);
        if (ours is null || taken.Count > 0 || isUsed || plan.ConflictCount(ItemAddress.GraphPrimitive) == conflicts)
            plan.Take(ItemAddress.GraphPrimitive);
        if (ours is null || taken.Count > 0)
            Put(id, Value.Object(taken), its.Created, was?.Use ?? default, its.Use);
        else if (isUsed)
            Touch(id, was?.Use ?? default, its.Use);
    }

    private static Value? Member(Value? holder, string name) =>
        holder is { } value && value.TryGetMember(name, out var member) ? member : default(Value?);

    private MergeOutcome Ask(byte[] id, DocumentPath? part, DiffVersion? was, DiffVersion? its, DiffVersion? ours) =>
        Ask(ItemAddress.OfConcept(Utf8.GetTrustedString(id)), part, was, its, ours);

    private MergeOutcome Ask(ItemAddress address, DocumentPath? part, DiffVersion? was, DiffVersion? its, DiffVersion? ours) =>
        plan.Decide(new MergeConflict(address) { Part = part, Base = was, Source = its, Target = ours }).Outcome;

    private void Put(byte[] id, in Value fields, long created, in Use before, in Use use)
    {
        Write(OperationCode.GraphPut, id, ConceptRecord.Write(ConceptRecord.Given(fields), created));
        Touch(id, before, use);
    }

    // Deltas add (GR-36).
    private void Touch(byte[] id, in Use before, in Use use)
    {
        var accesses = use.Accesses - Math.Min(before.Accesses, use.Accesses);
        foreach (var touch in ConceptRecord.Touches(accesses, use.Feedback - before.Feedback, use.LastAccess))
            Write(OperationCode.GraphTouch, id, touch);
    }

    private void Delete(byte[] id)
    {
        Span<byte> prefix = stackalloc byte[GraphKeys.LengthMax];
        foreach (var family in (byte[])[StoreKeys.Association, StoreKeys.AssociationByTarget])
        {
            var from = GraphKeys.Prefix(prefix, family, id).ToArray();
            plan.Target.NoteRange(from, [.. from.AsSpan(0, from.Length - 1), 1]);
        }

        using (var reader = plan.Target.Run.Store.Read())
        {
            foreach (var association in AssociationOperations.NamesOf(reader, id, plan.Target.Sequence))
                Write(OperationCode.GraphDissociate, association, []);
        }

        Write(OperationCode.GraphDelete, id, []);
    }

    private void Write(OperationCode code, byte[] key, byte[] body) =>
        plan.Write(new PendingWrite { StoreKey = [], Code = code, OperationKey = key, Value = body });

    // ---- associations ----------------------------------------------------------------------------------------------------------

    /// <summary>What the two ends have of one type.</summary>
    /// <param name="Forward">From the smaller end to the larger, or the symmetric one; null: there is none.</param>
    /// <param name="Backward">From the larger end to the smaller.</param>
    private readonly record struct Pair(StoredAssociation? Forward, StoredAssociation? Backward)
    {
        internal bool IsSymmetric => Forward is { IsSymmetric: true };

        internal bool IsSame(in Pair other) => Forward?.Row == other.Forward?.Row && Backward?.Row == other.Backward?.Row;

        internal DiffVersion? ToVersion() => (Forward, Backward) switch
        {
            (null, null) => null,
            (null, { } back) => back.ToVersion(),
            ({ } there, null) => there.ToVersion(),
            ({ } there, { } back) => there.ToVersion() with
            {
                Value = Value.Object(("there", there.ToVersion().Value), ("back", back.ToVersion().Value)),
            },
        };
    }

    /// <param name="Row">As it is stored.</param>
    private readonly record struct StoredAssociation(Value Row, ulong Sequence, long Time)
    {
        internal bool IsSymmetric => (Row.AsBytes().Span[0] & AssociationRow.Symmetric) != 0;

        internal DiffVersion ToVersion()
        {
            AssociationRow.TryRead(Row.AsBytes().Span, out var row);
            return new DiffVersion(row.ToValue(), new Sequence(Sequence), CommitClock.Time(Time));
        }
    }

    /// <param name="keys">Store keys of associations.</param>
    internal void Associations(IEnumerable<byte[]> keys)
    {
        var names = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        var buffer = new byte[GraphKeys.AssociationBytesMax];
        foreach (var key in keys)
        {
            GraphKeys.TrySplit(key.AsSpan(1), out var source, out _, out var target);
            names.Add(source.SequenceCompareTo(target) <= 0 ? key[1..] : GraphKeys.Reversed(buffer, key.AsSpan(1)).ToArray());
        }

        foreach (var name in names)
        {
            plan.Progress.Advance();
            var mirror = GraphKeys.Reversed(buffer, name).ToArray();
            var its = PairIn(plan.Source.Run.Store, plan.Source.Sequence, name, mirror);
            var was = PairIn(plan.Values.Store, plan.Values.Sequence, name, mirror);
            if (its.IsSame(was))
                continue;
            plan.Target.NotePoint([StoreKeys.Association, .. name]);
            plan.Target.NotePoint([StoreKeys.Association, .. mirror]);
            Merge(name, mirror, was, its, PairIn(plan.Target.Run.Store, plan.Target.Sequence, name, mirror));
        }
    }

    private void Merge(byte[] name, byte[] mirror, in Pair was, in Pair its, in Pair ours)
    {
        if (its.IsSame(ours))
        {
            plan.CountSame(ItemAddress.AssociationsPrimitive);
            return;
        }

        if (!was.IsSymmetric && !its.IsSymmetric && !ours.IsSymmetric)
        {
            Merge(name, was.Forward, its.Forward, ours.Forward);
            Merge(mirror, was.Backward, its.Backward, ours.Backward);
            return;
        }

        if (!ours.IsSame(was) || Mutant.Is("merge-takes-all-for-conflicts"))
        {
            if (Ask(name, was.ToVersion(), its.ToVersion(), ours.ToVersion()) != MergeOutcome.Source)
                return;
        }
        else
        {
            plan.Take(ItemAddress.AssociationsPrimitive);
        }

        if (ours.IsSymmetric && !its.IsSymmetric)
            Write(OperationCode.GraphDissociate, name, []);
        Write(name, its.Forward, hadOne: ours.Forward is not null && !ours.IsSymmetric);
        if (!its.IsSymmetric)
            Write(mirror, its.Backward, hadOne: ours.Backward is not null);
    }

    private void Merge(byte[] name, StoredAssociation? was, StoredAssociation? its, StoredAssociation? ours)
    {
        if (its?.Row == was?.Row)
            return;
        if (its?.Row == ours?.Row)
        {
            plan.CountSame(ItemAddress.AssociationsPrimitive);
            return;
        }

        if (ours?.Row == was?.Row && !Mutant.Is("merge-takes-all-for-conflicts"))
            plan.Take(ItemAddress.AssociationsPrimitive);
        else if (Ask(name, was?.ToVersion(), its?.ToVersion(), ours?.ToVersion()) != MergeOutcome.Source)
            return;
        Write(name, its, hadOne: ours is not null);
    }

    private MergeOutcome Ask(byte[] name, DiffVersion? was, DiffVersion? its, DiffVersion? ours) =>
        Ask(GraphDifferences.AddressOf([StoreKeys.Association, .. name]), null, was, its, ours);

    private void Write(byte[] name, StoredAssociation? association, bool hadOne)
    {
        if (association is not { } found)
        {
            if (hadOne)
                Write(OperationCode.GraphDissociate, name, []);
            return;
        }

        GraphKeys.TrySplit(name, out var source, out _, out var target);
        EnsureAsTheSource(source);
        EnsureAsTheSource(target);
        Write(OperationCode.GraphAssociate, name, found.Row.AsBytes().ToArray());
    }

    private void EnsureAsTheSource(ReadOnlySpan<byte> end)
    {
        if (!GraphKeys.IsConcept(end))
            return;
        byte[] key = [StoreKeys.Concept, .. end];
        using var reader = plan.Source.Run.Store.Read();
        if (reader.TryGet(key, plan.Source.Sequence, out var version) && !version.IsTombstone)
            Write(OperationCode.GraphEnsure, key[1..], []);
    }

    private static Pair PairIn(RunStore store, ulong sequence, byte[] name, byte[] mirror)
    {
        using var reader = store.Read();
        return new Pair(Find(reader, sequence, name), Find(reader, sequence, mirror));
    }

    private static StoredAssociation? Find(scoped in StoreReader reader, ulong sequence, byte[] name)
    {
        if (!reader.TryGet((byte[])[StoreKeys.Association, .. name], sequence, out var version) || version.IsTombstone
            || (version.Value[0] & AssociationRow.Mirror) != 0)
        {
            return null;
        }

        return new StoredAssociation(Value.Bytes(version.Value), version.Sequence, version.Time);
    }
}
