using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;

namespace Cairn.Transfer;

// Documents. From tables come the values of a tree (DocumentTree.cs), first the roots of all documents of a run, then the nodes of each,
// and a document is written as a whole when its last node was met. It is taken only when it is whole: every container has as many places
// as it says, and no table may have lost one of them. Anything else would be a document that never was. Of a fork the tables have what
// the fork wrote itself: a document that it changed by path alone has no root there.
internal sealed partial class SalvageWriter
{
    private const string PartsText = "of which a table has lost a part";
    private const string ContentText = "of which a text is in no file that can be read";

    // Of the present run: containers whose nodes were not met yet, with their expiry. Without a slot: it is lost, and was told.
    private readonly Dictionary<byte[], (byte[]? Slot, long Expiry)> _roots = new(ByteArrayComparer.Instance);
    private readonly HeldNodes _nodes = new();
    private byte[]? _document;
    private bool _isContentLost;

    private void CarryDocumentKey(in SalvagedEntry entry)
    {
        var key = entry.StoreKey[1..];
        var value = _contents.ValueOf(entry);
        if (entry.StoreKey[0] == StoreKeys.Json)
        {
            CarryRoot(key.ToArray(), value, entry.Version.Expiry);
            return;
        }

        var end = key.IndexOf((byte)0);
        if (end <= 0)
            return;
        if (_document is null || !key[..end].SequenceEqual(_document))
        {
            EndDocument();
            _document = key[..end].ToArray();
        }

        if (value is null)
            _isContentLost = true;
        else
            _nodes.Put(entry.StoreKey, value);
    }

    private void CarryRoot(byte[] id, byte[]? value, long expiry)
    {
        var slot = default(DocumentSlot);
        if ((_known.Documents.MayLack?.Invoke(id) ?? false) && !Mutant.Is("salvage-takes-torn-documents"))
            LoseDocument(id, PartsText);
        else if (value is null)
            LoseDocument(id, ContentText);
        else if (!DocumentSlot.TryRead(value, out slot))
            LoseDocument(id, PartsText);
        else if (!slot.IsContainer)
            AddDocument(id, value, expiry);
        if (slot.Kind == default || slot.IsContainer)
            _roots[id] = (slot.IsContainer ? value : null, expiry);
    }

    // All nodes of a document were met.
    private void EndDocument()
    {
        if (_document is not { } id)
            return;
        if (!_roots.Remove(id, out var root))
            LoseDocument(id, _image!.HasLost ? PartsText : "of which a fork has changed a part, and its run is not there as it was then");
        else if (root.Slot is { } slot && _isContentLost)
            LoseDocument(id, ContentText);
        else if (root.Slot is not null && WholeOf(id, root.Slot) is { } value)
            AddDocument(id, value, root.Expiry);
        else if (root.Slot is not null)
            LoseDocument(id, PartsText);
        _nodes.Clear();
        (_document, _isContentLost) = (null, false);
    }

    private void EndDocuments()
    {
        EndDocument();
        foreach (var (id, root) in _roots)
        {
            if (root.Slot is not null)
                LoseDocument(id, PartsText);                 // even an empty container has a node
        }

        _roots.Clear();
    }

    private void LoseDocument(byte[] id, string why)
    {
        var name = Utf8.GetTrustedString(id);
        _known.Documents.Lose(name);
        Lose(_current, $"the document '{name}', {why}");
    }

    private void AddDocument(byte[] id, ReadOnlySpan<byte> canonical, long expiry)
    {
        var target = Part();
        EnsureBegun(target);
        var body = DocumentOperations.Add(
            target.Open(), OperationCode.JsonPut, id, DocumentBody.Length(OperationCode.JsonPut, 0, canonical.Length), expiry);
        canonical.CopyTo(DocumentBody.Write(body, OperationCode.JsonPut, default));
        _known.Documents.NoteWhole(Utf8.GetTrustedString(id));
        Entries++;
        FlushIfLarge();
    }

    private byte[]? WholeOf(byte[] id, byte[] slot)
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var keys = new DocumentKeys(buffer, id);
        Invariant.Check(DocumentSlot.TryRead(slot, out var root), "a root that was kept is a slot");
        if (!IsWhole(keys, root, Limits.Hard.DepthMax + 1) && !Mutant.Is("salvage-takes-torn-documents"))
            return null;
        _nodes.PutRoot(keys.Root(), slot, 0);
        return DocumentTrees.Open(_nodes, buffer, id, null).ReadWhole().Encode();
    }

    private bool IsWhole(DocumentKeys keys, in DocumentSlot slot, int levels)
    {
        if (levels == 0 || !_nodes.TryGet(keys.Count(slot.Node), Look.Blind, out var version) || version.Value.Length != sizeof(int))
            return false;
        var count = BinaryPrimitives.ReadInt32LittleEndian(version.Value);
        keys.OfNode(slot.Node, out var from, out var to);
        var list = new NodeList();
        _nodes.List(from, to, keys.NodeKeyBytes, withValues: true, Look.Blind, list);
        var met = 0;
        for (var index = 0; index < list.Count; index++)
        {
            var part = list.Part(index);
            if (part is not [DocumentKeys.MemberTag or DocumentKeys.ElementTag, ..])
                continue;
            if (!DocumentSlot.TryRead(list.Stored(index), out var child)
                || (part[0] == DocumentKeys.ElementTag && !keys.Element(slot.Node, met)[keys.NodeKeyBytes..].SequenceEqual(part))
                || (child.IsContainer && !IsWhole(keys, child, levels - 1)))
                return false;
            met++;
        }

        return met == count;
    }

    // The root, the nodes, and that there is a document at all.
    private static bool MayLack(SalvageImage image, RunId run, byte[] id) =>
        image.MayLack(run, [StoreKeys.Json, .. id], [StoreKeys.Json, .. id, 0])
        || image.MayLack(run, [StoreKeys.JsonNode, .. id, 0], [StoreKeys.JsonNode, .. id, 1]);

    // ---- from the log -----------------------------------------------------------------------------------------------------------

    private static bool IsDocument(in Operation operation) => (operation.Code & 0xF0) == StoreKeys.Json;

    // An operation says what to do with the document as it was. So it is done again only where all since the document's last whole write
    // is here, and tried at the commit like a new one, which counts what it writes.
    private bool TryChangeDocument(PartOf target, Source known, in Operation operation)
    {
        var id = Utf8.GetTrustedString(operation.Key);
        if (!DocumentBody.TryRead(operation, out var body))
            return false;
        var code = (OperationCode)operation.Code;
        var isWhole = code is OperationCode.JsonCreate or OperationCode.JsonPut or OperationCode.JsonDestroy;
        var isAsItWas = known.Documents.IsAsItWas(id);
        if (!isWhole && !isAsItWas && !Mutant.Is("salvage-trusts-documents"))
        {
            Lose(target.Id, $"changes of the document '{id}', which is as it was before what was lost");
            Dropped++;
            return true;
        }

        known.Documents.NoteWhole(id);
        if (!isAsItWas && code == OperationCode.JsonDestroy && !target.Has(StoreKeys.Json, operation.Key))
            return true;                                     // it was made in what was lost
        if (!isAsItWas && code == OperationCode.JsonCreate)
            code = OperationCode.JsonPut;                    // what was there is one whose deletion was lost
        var batch = target.Open();
        operation.FullBody.CopyTo(batch.Add(code, operation.Flags, operation.Key, operation.FullBody.Length, 1));
        batch.NeedsResolve = true;
        if (isWhole && code != OperationCode.JsonDestroy)
            target.Note(StoreKeys.Json, operation.Key);
        return true;
    }
}

/// <summary>What is known of the documents of a run in the damaged database.</summary>
internal sealed class SalvagedDocuments
{
    // At which loss each was last written as a whole, or followed without one; -1: it is not here as it was.
    private readonly Dictionary<string, int> _known = new(StringComparer.Ordinal);
    private readonly HashSet<string> _lost = new(StringComparer.Ordinal);

    /// <summary>How often something was lost that may have changed any of them.</summary>
    internal int Gap { get; set; }

    /// <summary>Tables may have lost some of a document, or that it was there at all; null = they have all.</summary>
    internal Func<byte[], bool>? MayLack { get; set; }

    /// <summary>The document is here as it was in the damaged database.</summary>
    internal bool IsAsItWas(string id) => _known.TryGetValue(id, out var gap)
        ? gap == Gap
        : Gap == 0 && !(MayLack?.Invoke(Utf8.GetBytes(id)) ?? false);

    internal void NoteWhole(string id)
    {
        if (Gap > 0 || MayLack is not null || _lost.Count > 0)
            _known[id] = Gap;
    }

    internal void Lose(string id)
    {
        _lost.Add(id);
        _known[id] = -1;
    }

    /// <summary>A fork begins with what its parent has come to.</summary>
    /// <param name="isPast">At a past point: what has been whole since was not whole there.</param>
    internal void Follow(SalvagedDocuments parent, bool isPast)
    {
        (Gap, MayLack) = (parent.Gap, parent.MayLack);
        _lost.UnionWith(parent._lost);
        foreach (var id in parent._lost)
            _known[id] = -1;
        if (isPast)
            return;
        foreach (var (id, gap) in parent._known)
            _known[id] = gap;
    }
}
