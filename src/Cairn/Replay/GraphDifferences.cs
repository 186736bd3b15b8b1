using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>Differences of concepts, field by field, and of associations. A symmetric association is compared under the name it is known
/// by, never under its mirror.</summary>
internal static class GraphDifferences
{
    /// <param name="key">The store key of a concept.</param>
    internal static void AddConcept(List<DiffItem> items, DiffEnd a, DiffEnd b, ReadOnlySpan<byte> key)
    {
        var id = key[1..];
        var address = ItemAddress.OfConcept(Utf8.GetTrustedString(id));
        var inA = StoredConcept.Read(a.Run.Store, a.Sequence, id);
        var inB = StoredConcept.Read(b.Run.Store, b.Sequence, id);
        if (inA is not { } before)
        {
            if (inB is { } added)
                items.Add(new DiffItem(address, DiffKind.Added) { After = added.ToVersion() });
        }
        else if (inB is not { } after)
        {
            items.Add(new DiffItem(address, DiffKind.Removed) { Before = before.ToVersion() });
        }
        else
        {
            AddFields(items, address, before, after);
        }
    }

    private static void AddFields(List<DiffItem> items, ItemAddress address, in StoredConcept before, in StoredConcept after)
    {
        var (inA, inB) = (before.Whole, after.Whole);
        foreach (var name in inA.AsObject().Keys.Union(inB.AsObject().Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            var isInA = inA.TryGetMember(name, out var old);
            var isInB = inB.TryGetMember(name, out var now);
            if (isInA == isInB && old == now)
                continue;
            items.Add(new DiffItem(address, !isInA ? DiffKind.Added : !isInB ? DiffKind.Removed : DiffKind.Modified)
            {
                Part = DocumentPath.Root.Member(name),
                Before = isInA ? before.Of(old) : null,
                After = isInB ? after.Of(now) : null,
            });
        }
    }

    /// <summary>Those keys, and the other names of what they name: a symmetric association that takes the place of a directed one is told
    /// under one name and changes two.</summary>
    internal static IEnumerable<byte[]> WithMirrors(IEnumerable<byte[]> keys)
    {
        var all = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        var reversed = new byte[GraphKeys.AssociationBytesMax];
        foreach (var key in keys)
        {
            all.Add(key);
            all.Add([StoreKeys.Association, .. GraphKeys.Reversed(reversed, key.AsSpan(1))]);
        }

        return all;
    }

    internal static void AddAssociation(
        List<DiffItem> items, ReadOnlySpan<byte> key, bool isInA, scoped in VersionView inA, bool isInB, scoped in VersionView inB)
    {
        var before = isInA ? ToVersion(inA) : null;
        var after = isInB ? ToVersion(inB) : null;
        if (before?.Value == after?.Value)
            return;
        items.Add(new DiffItem(
            AddressOf(key), before is null ? DiffKind.Added : after is null ? DiffKind.Removed : DiffKind.Modified)
        {
            Before = before,
            After = after,
        });
    }

    internal static ItemAddress AddressOf(ReadOnlySpan<byte> storeKey) =>
        new(ItemAddress.AssociationsPrimitive, GraphKeys.Text(storeKey[1..], isByTarget: false));

    // Null of a mirror.
    private static DiffVersion? ToVersion(scoped in VersionView version)
    {
        Invariant.Check(AssociationRow.TryRead(version.Value, out var row), "a stored association reads back");
        return row.IsMirror ? null : new DiffVersion(row.ToValue(), new Sequence(version.Sequence), CommitClock.Time(version.Time));
    }
}
