using Cairn.Codec;
using Cairn.Documents;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>Differences of documents, place by place: those that a patch from the one to the other would name. A document that only one
/// side has is one difference. Documents that no side has changed since the common point are not read; the others are read whole.</summary>
internal static class DocumentDifferences
{
    /// <param name="key">The store key of the root.</param>
    /// <param name="common">Up to here a version of one sequence is one version on both sides.</param>
    internal static void Add(List<DiffItem> items, DiffEnd a, DiffEnd b, ReadOnlySpan<byte> key, ulong common)
    {
        var id = key[1..];
        if (IsUntouched(a, b, id, common))
            return;
        var address = ItemAddress.OfDocument(Utf8.GetTrustedString(id));
        var inA = StoredDocument.Read(a.Run.Store, a.Sequence, a.Time, id);
        var inB = StoredDocument.Read(b.Run.Store, b.Sequence, b.Time, id);
        if (inA is not { } before)
        {
            if (inB is { } added)
                items.Add(new DiffItem(address, DiffKind.Added) { After = added.ToVersion() });
        }
        else if (inB is not { } after)
        {
            items.Add(new DiffItem(address, DiffKind.Removed) { Before = before.ToVersion() });
        }
        else if (before.Value != after.Value)
        {
            AddPlaces(items, address, before, after, a.Scope.Path.Limits);
        }
    }

    private static bool IsUntouched(DiffEnd a, DiffEnd b, ReadOnlySpan<byte> id, ulong common)
    {
        byte[] header = [StoreKeys.JsonHeader, .. id];
        using var readA = a.Run.Store.Read();
        using var readB = b.Run.Store.Read();
        return readA.TryGet(header, a.Sequence, out var inA) && readB.TryGet(header, b.Sequence, out var inB)
            && inA.Sequence == inB.Sequence && inA.Sequence <= common && inA.IsLiveAt(a.Time) && inB.IsLiveAt(b.Time);
    }

    // Each operation of a patch finds what those before it have made, and so do the paths here.
    private static void AddPlaces(
        List<DiffItem> items, ItemAddress address, in StoredDocument before, in StoredDocument after, Limits limits)
    {
        var document = before.Value;
        foreach (var operation in PatchDiff.Between(before.Value, after.Value, limits))
        {
            var isThere = operation.Path.TryGet(document, out var old);
            var kind = operation.Kind switch
            {
                JsonPatchKind.Add when !IsReplacing(document, operation.Path) => DiffKind.Added,
                JsonPatchKind.Remove => DiffKind.Removed,
                _ => DiffKind.Modified,
            };
            items.Add(new DiffItem(address, kind)
            {
                Part = operation.Path,
                Before = isThere && kind != DiffKind.Added ? before.Of(old) : null,
                After = kind != DiffKind.Removed ? after.Of(operation.Value) : null,
            });
            document = PatchText.Apply([operation], document, Limits.Hard);
        }
    }

    // An element is put in before what stands there; a member takes its place.
    private static bool IsReplacing(in Value document, DocumentPath path)
    {
        if (path.Count == 0)
            return true;
        return path.TryGet(document, out _) && new DocumentPath(path.Segments[..^1].ToArray()).TryGet(document, out var holder)
            && holder.Kind == ValueKind.Object;
    }
}
