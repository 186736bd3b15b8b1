// Merging documents, place by place. The rules are those of keys (MergePlan.cs), and go down into what all three have:
//
//      base           source          target          becomes
//      {a:1, b:2}     {a:5, b:2}      {a:1, b:7}      {a:5, b:7}     members one by one
//      [1, 2]         [1, 9]          [8, 2]          [8, 9]         arrays of one length, element by element
//      [1, 2]         [1, 2, 3]       [0, 1, 2]       a conflict     what is put in or taken out moves the rest: which is which is lost
//
// A conflict is one place: nobody is asked about the rest. The document's own being there is a place, too, the root. What comes of it is
// written as a patch from what the target has, so that of a large document only the places are logged; a document that the target has not
// is put with the source's expiry. An expiry alone yields as that of a key does (G1).

using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. One document of a merge.</summary>
internal sealed class MergeDocuments
{
    private readonly MergePlan _plan;
    private readonly ItemAddress _address;
    private readonly byte[] _id;
    private readonly StoredDocument? _was;
    private readonly StoredDocument? _its;
    private readonly StoredDocument? _ours;
    private bool _takes;

    private MergeDocuments(MergePlan plan, byte[] id, StoredDocument? was, StoredDocument? its)
    {
        _plan = plan;
        _id = id;
        _address = ItemAddress.OfDocument(Utf8.GetTrustedString(id));
        (_was, _its) = (was, its);
        _ours = StoredDocument.Read(plan.Target, id);
    }

    /// <param name="keys">Store keys of roots.</param>
    internal static void Merge(MergePlan plan, IEnumerable<byte[]> keys)
    {
        foreach (var key in keys)
        {
            plan.Progress.Advance();
            var id = key[1..];
            var its = StoredDocument.Read(plan.Source.Run.Store, plan.Source.Sequence, plan.Target.Time, id);
            var was = StoredDocument.Read(plan.Values.Store, plan.Values.Sequence, plan.Target.Time, id);
            if (its?.Value != was?.Value || its?.Expiry != was?.Expiry)
                new MergeDocuments(plan, id, was, its).Merge();
        }
    }

    private void Merge()
    {
        if (_its?.Value == _was?.Value)
        {
            // G1
            if (_its is { } kept && _ours?.Value == _was?.Value && _ours?.Expiry == _was?.Expiry)
            {
                _plan.Take("json");
                WriteExpiry(kept.Expiry);
            }

            return;
        }

        if (_its?.Value == _ours?.Value)
        {
            _plan.CountSame("json");
            return;
        }

        var conflicts = _plan.ConflictCount("json");
        var made = Merge(DocumentPath.Root, _was?.Value, _its?.Value, _ours?.Value);
        if (_takes || _plan.ConflictCount("json") == conflicts)
            _plan.Take("json");
        if (made != _ours?.Value)
            Write(made);
    }

    // Recursion is bounded by the depth of values.
    private Value? Merge(DocumentPath path, Value? was, Value? its, Value? ours)
    {
        if (its == was)
            return ours;
        if (ours == was && !Mutant.Is("merge-takes-all-for-conflicts"))
        {
            _takes = true;
            return its;
        }

        if (its == ours)
            return ours;
        if (its is { Kind: ValueKind.Object } left && ours is { Kind: ValueKind.Object } right && was is null or { Kind: ValueKind.Object })
            return MergeMembers(path, was, left, right);
        if (was is { Kind: ValueKind.Array } old && its is { Kind: ValueKind.Array } mine && ours is { Kind: ValueKind.Array } yours
            && old.Count == mine.Count && mine.Count == yours.Count)
        {
            return MergeElements(path, old, mine, yours);
        }

        var resolution = _plan.Decide(new MergeConflict(_address)
        {
            Part = path,
            Base = was is { } before ? _was!.Value.Of(before) : null,
            Source = its is { } source ? _its!.Value.Of(source) : null,
            Target = ours is { } target ? _ours!.Value.Of(target) : null,
        });
        return resolution.Outcome switch
        {
            MergeOutcome.Source => its,
            MergeOutcome.Other => resolution.Chosen,
            _ => ours,
        };
    }

    private Value MergeMembers(DocumentPath path, Value? was, in Value its, in Value ours)
    {
        var members = new List<KeyValuePair<string, Value>>();
        var names = its.AsObject().Keys.Union(ours.AsObject().Keys, StringComparer.Ordinal);
        if (was is { } old)
            names = names.Union(old.AsObject().Keys, StringComparer.Ordinal);
        foreach (var name in names)
        {
            if (Merge(path.Member(name), Member(was, name), Member(its, name), Member(ours, name)) is { } made)
                members.Add(new(name, made));
        }

        return Value.Object(members);
    }

    private Value MergeElements(DocumentPath path, in Value was, in Value its, in Value ours)
    {
        var elements = new List<Value>(was.Count);
        for (var index = 0; index < was.Count; index++)
        {
            // One that a resolver takes away is no element any more; the others keep their order.
            if (Merge(path.Element(index), was[index], its[index], ours[index]) is { } made)
                elements.Add(made);
        }

        return Value.Array(elements);
    }

    private static Value? Member(Value? holder, string name) =>
        holder is { } value && value.TryGetMember(name, out var member) ? member : default(Value?);

    private void Write(Value? made)
    {
        if (made is not { } value)
        {
            Write(OperationCode.JsonDestroy, [], 0);
            return;
        }

        value.Measure.Check(_plan.Limits, FloatRule.Finite);   // a resolver may have made it
        if (_ours is not { } ours)
        {
            Write(OperationCode.JsonPut, value.Encode(), Mutant.Is("merge-drops-expiry") ? 0 : _its?.Expiry ?? 0);
            return;
        }

        Write(OperationCode.JsonPatch, JsonPatch.Diff(ours.Value, value, _plan.Limits).ToValue().Encode(), 0);
        if (_its is { } its && ours.Expiry == _was?.Expiry && its.Expiry != ours.Expiry)
            WriteExpiry(its.Expiry);
    }

    private void WriteExpiry(long expiry) => Write(OperationCode.JsonExpire, [], expiry);

    private void Write(OperationCode code, byte[] rest, long expiry)
    {
        var body = new byte[DocumentBody.Length(code, 0, rest.Length)];
        rest.CopyTo(DocumentBody.Write(body, code, default));
        _plan.Write(new PendingWrite
        {
            StoreKey = [], Code = code, OperationKey = _id, Value = body, Expiry = expiry, IsDelete = code == OperationCode.JsonDestroy,
        });
    }
}
