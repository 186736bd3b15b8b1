// Merging vectors, one by one. The rules are those of keys (MergePlan.cs), for embedding and metadata together:
//
//      a collection that only the source has comes with its definition; where the target has another one under that name, what the
//      source wrote there is a conflict that cannot become the source's
//      a collection that the source has deleted: its vectors are deleted where the target has left them alone, and the collection goes
//      when nothing is left in it
//
// A vector that is taken gets the id that the target gives it, or keeps the one that its key has there.

using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. The vectors of a merge.</summary>
internal sealed class MergeVectors
{
    private readonly MergePlan _plan;
    private readonly StoredVectors _base;
    private readonly StoredVectors _source;
    private readonly StoredVectors _target;

    private MergeVectors(MergePlan plan)
    {
        _plan = plan;
        _base = new StoredVectors(plan.Values.Store, plan.Values.Sequence, plan.Target.Time);
        _source = new StoredVectors(plan.Source.Run.Store, plan.Source.Sequence, plan.Target.Time);
        _target = new StoredVectors(plan.Target.Run.Store, plan.Target.Sequence, plan.Target.Time);
    }

    /// <param name="collections">Store keys of collections that were made or deleted.</param>
    /// <param name="heads">Store keys of heads; all of such collections are among them.</param>
    internal static void Merge(MergePlan plan, IEnumerable<byte[]> collections, IEnumerable<byte[]> heads)
    {
        var byName = new SortedDictionary<byte[], List<byte[]>>(ByteArrayComparer.Instance);
        foreach (var key in collections)
            byName.Add(key[1..], []);
        foreach (var head in heads)
        {
            var name = VectorKeys.NameIn(head).ToArray();
            if (!byName.TryGetValue(name, out var those))
                byName.Add(name, those = []);
            those.Add(head);
        }

        var merge = new MergeVectors(plan);
        foreach (var (name, those) in byName)
            merge.Collection(name, those);
    }

    private void Collection(byte[] name, List<byte[]> heads)
    {
        var was = _base.Configuration(name, out _);
        var its = _source.Configuration(name, out _);
        _plan.Target.NotePoint(VectorKeys.Collection(new byte[VectorKeys.BytesMax], name));
        var ours = _target.Configuration(name, out _);
        var state = new Merged(name, was, its, ours);
        if (its is not null && ours is null && was is null)
            Make(state);
        foreach (var head in heads)
        {
            _plan.Progress.Advance();
            Vector(state, head);
        }

        if (was is not null && its is null && ours is not null && IsEmptied(state))
        {
            _plan.Take("vectors");
            Write(OperationCode.VectorDrop, name, [], 0);
        }
    }

    // What the merge takes away is all that the target has.
    private bool IsEmptied(Merged state)
    {
        var key = VectorKeys.Numbers(new byte[VectorKeys.BytesMax], state.Name);
        _plan.Target.NotePoint(key);
        using var reader = _plan.Target.Run.Store.Read();
        return !reader.TryGet(key, _plan.Target.Sequence, out var numbers) || numbers.IsTombstone
            || VectorOperations.ReadNumbers(numbers.Value).Count == state.Removed;
    }

    private void Make(Merged state)
    {
        _plan.Take("vectors");
        Write(OperationCode.VectorCreate, state.Name, VectorBody.Create(state.Its!), 0);
        state.Ours = state.Its;
    }

    private void Vector(Merged state, byte[] head)
    {
        var was = _base.Read(head, state.Was);
        var its = _source.Read(head, state.Its);
        if (VectorSide.IsSame(was, its) && was?.Expiry == its?.Expiry)
            return;
        _plan.Target.NotePoint(head);
        var ours = _target.Read(head, state.Ours);
        if (VectorSide.IsSame(was, its))
        {
            if (VectorSide.IsSame(was, ours) && was?.Expiry == ours?.Expiry)
                Take(state, head, its, ours);                // G1
            return;
        }

        if (VectorSide.IsSame(its, ours))
        {
            _plan.CountSame("vectors");
            return;
        }

        var canTake = its is null || state.Ours is null || its.HasFormOf(state.Ours);
        if (canTake && (VectorSide.IsSame(was, ours) || Mutant.Is("vector-merge-takes-all")))
        {
            Take(state, head, its, ours);
            return;
        }

        var address = ItemAddress.OfVector(
            Utf8.GetTrustedString(state.Name), Utf8.GetTrustedString(VectorKeys.KeyIn(head)));
        var resolution = _plan.Decide(
            new MergeConflict(address) { Base = was?.ToVersion(), Source = its?.ToVersion(), Target = ours?.ToVersion() }, canTake);
        if (resolution.Outcome == MergeOutcome.Source)
            Set(state, head, its, ours);
    }

    private void Take(Merged state, byte[] head, VectorSide? its, VectorSide? ours)
    {
        _plan.Take("vectors");
        Set(state, head, its, ours);
    }

    private void Set(Merged state, byte[] head, VectorSide? its, VectorSide? ours)
    {
        var key = VectorKeys.KeyIn(head).ToArray();
        if (its is null)
        {
            if (ours is null)
                return;
            state.Removed++;
            var named = new byte[VectorBody.NamedBytes(state.Name.Length, 0)];
            VectorBody.WriteNamed(named, state.Name);
            Write(OperationCode.VectorDelete, key, named, 0);
            return;
        }

        if (state.Ours is null)
            Make(state);
        var body = new byte[VectorBody.UpsertBytes(state.Name.Length, its.Embedding.Length, its.Metadata.Length)];
        var rest = VectorBody.WriteUpsert(body, state.Name, its.Element, its.Dimension);
        its.Embedding.CopyTo(rest);
        its.Metadata.CopyTo(rest[its.Embedding.Length..]);
        Write(OperationCode.VectorUpsert, key, body, Mutant.Is("merge-drops-expiry") ? 0 : its.Expiry);
    }

    private void Write(OperationCode code, byte[] key, byte[] body, long expiry) => _plan.Write(new PendingWrite
    {
        StoreKey = [], Code = code, OperationKey = key, Value = body, Expiry = expiry,
        IsDelete = code is OperationCode.VectorDelete or OperationCode.VectorDrop,
    });

    /// <summary>What a collection is, and what the merge has made of it in the target.</summary>
    private sealed class Merged(byte[] name, byte[]? was, byte[]? its, byte[]? ours)
    {
        internal byte[] Name { get; } = name;

        internal byte[]? Was { get; } = was;

        internal byte[]? Its { get; } = its;

        internal byte[]? Ours { get; set; } = ours;

        internal ulong Removed { get; set; }
    }
}
