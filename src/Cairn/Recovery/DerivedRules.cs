// What a run's keys have to be to each other
// ------------------------------------------
// That the log applied anew gives the same state says nothing of a mistake that Apply makes each time. So a deep verification also holds
// the state against the rules that it is made by, read straight from its keys and not by the code that keeps them:
//
//   documents   DT1 to DT4 (Primitives/DocumentTree.cs): under each root a tree in which every node is met once and has a number below the
//               header's next one; as many members or elements as the node says, elements from 0 without gaps; scalars that are canonical;
//               nothing newer than the header; the length of the encoding that the header has; no node, and no header, of no document
//   indexes     IX1 (Primitives/IndexOperations.cs): as far as an index has come, its items are those of what is stored, no fewer and no
//               more. What has expired and is not swept yet has its items still (DI2)
//
// It names runs, sequences, indexes and rules, and never keys or values. Costs a walk over both families, and a lookup of each item.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Recovery;

/// <summary>See the essay above. Of one run at a sequence that the caller pins. One thread; use it once.</summary>
/// <param name="find">Is told the part and what was found.</param>
internal sealed class DerivedRules(RunState run, ulong sequence, Action<string, string> find, CancellationToken cancellationToken)
{
    /// <summary>Chosen: more broken documents of one run are counted and not named.</summary>
    private const int NamedMax = 100;

    private readonly HashSet<ulong> _nodes = [];
    private readonly Stack<(ulong Node, ValueKind Kind)> _open = new();
    private long _broken;

    internal void Check()
    {
        CheckDocuments();
        CheckStrays();
        if (_broken > NamedMax)
            Find("documents", $"{_broken - NamedMax} more documents are broken.");
        if (_broken == 0)
            CheckIndexes();                                  // of what can be read
    }

    private void Find(string part, string text) => find(part, $"Run {run.Id}: {text}");

    // ---- documents --------------------------------------------------------------------------------------------------------------

    private void CheckDocuments()
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        using var reader = run.Store.Read();
        var roots = reader.Scan([StoreKeys.Json], [StoreKeys.Json + 1], sequence);
        while (roots.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            var root = roots.Version;
            if (Rule(reader, new DocumentKeys(buffer, roots.Key[1..]), root, out var changed) is not { } rule)
                continue;
            _broken++;
            if (_broken <= NamedMax)
                Find("documents", $"a document that was last changed at @{changed} {rule}.");
        }
    }

    /// <returns>The rule that the document breaks; null = none.</returns>
    private string? Rule(scoped in StoreReader reader, DocumentKeys keys, scoped in VersionView root, out ulong changed)
    {
        changed = root.Sequence;
        if (!reader.TryGet(keys.Header(), sequence, out var version) || version.IsTombstone || version.Value.Length != DocumentHeader.Size)
            return "has no header";
        changed = version.Sequence;
        var header = DocumentHeader.Read(version);
        if (root.Expiry != header.Expiry)
            return "expires at two times";
        _nodes.Clear();
        _open.Clear();
        if (root.Sequence > changed)
            return "has a root that is newer than its header";
        if (Slot(root, header.NextNode, out var slot) is { } rule)
            return rule;
        var (bytes, met) = ((long)slot.Scalar.Length, 0L);
        while (_open.TryPop(out var container))
        {
            if (RuleOf(reader, keys, container, changed, header.NextNode, ref bytes, ref met) is { } broken)
                return broken;
        }

        if (bytes != header.Bytes)
            return $"is {bytes} bytes long, and its header says {header.Bytes} (DT4)";
        keys.OfNodes(out var from, out var to);
        var all = reader.Scan(from, to, sequence);
        while (all.MoveNext())
            met--;
        return met == 0 ? null : "has nodes that no place leads to (DT2)";
    }

    private string? RuleOf(
        scoped in StoreReader reader, DocumentKeys keys, (ulong Node, ValueKind Kind) container, ulong changed, ulong nextNode,
        ref long bytes, ref long met)
    {
        var (children, count) = (0, -1);
        keys.OfNode(container.Node, out var from, out var to);
        var scan = reader.Scan(from, to, sequence);
        while (scan.MoveNext())
        {
            met++;
            var version = scan.Version;
            if (version.Sequence > changed)
                return "has a place that is newer than its header";
            var part = scan.Key[keys.NodeKeyBytes..];
            if (part.IsEmpty)
            {
                if (version.Value.Length == sizeof(int))
                    count = BinaryPrimitives.ReadInt32LittleEndian(version.Value);
                continue;
            }

            if (part is [DocumentKeys.OrderTag] && container.Kind == ValueKind.Array)
                continue;
            if (part[0] != (container.Kind == ValueKind.Object ? DocumentKeys.MemberTag : DocumentKeys.ElementTag))
                return $"has a place of another kind in an {container.Kind}";
            if (Slot(version, nextNode, out var slot) is { } rule)
                return rule;
            if (container.Kind == ValueKind.Object)
            {
                var name = slot.Name.IsEmpty ? part[1..] : slot.Name;
                if (!keys.Member(container.Node, name).SequenceEqual(scan.Key))
                    return "has a member under the key of another";
                bytes += ValueWriter.StringHeaderLength(name.Length) + name.Length;
            }
            else if (part.Length != 1 + sizeof(uint) || BinaryPrimitives.ReadUInt32BigEndian(part[1..]) != children)
            {
                return "has an Array with a gap (DT3)";
            }

            children++;
            bytes += slot.Scalar.Length;
        }

        if (children != count)
            return $"has an {container.Kind} of {children} that says it has {count}";
        bytes += container.Kind == ValueKind.Array ? ValueWriter.ArrayHeaderLength(children) : ValueWriter.ObjectHeaderLength(children);
        return null;
    }

    // A container is looked into later.
    private string? Slot(scoped in VersionView version, ulong nextNode, out DocumentSlot slot)
    {
        var stored = version.Value;
        if (!DocumentSlot.TryRead(stored, out slot))
            return "has a place that holds no slot";
        if (!slot.IsContainer)
            return ValueDecoder.IsCanonical(slot.Scalar) ? null : "has a value that is not canonical";
        if (slot.Node == 0 || slot.Node >= nextNode)
            return "has a node with a number that was not given yet (DT2)";
        if (!_nodes.Add(slot.Node))
            return "has a node at two places (DT1)";
        _open.Push((slot.Node, slot.Kind));
        return null;
    }

    // Nodes and headers of no document.
    private void CheckStrays()
    {
        var (nodes, headers) = (0L, 0L);
        using var reader = run.Store.Read();
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var scan = reader.Scan([StoreKeys.JsonHeader], [StoreKeys.JsonHeader + 1], sequence);
        while (scan.MoveNext())
            headers += IsDocument(reader, StoreKeys.Of(key, StoreKeys.Json, scan.Key[1..])) ? 0 : 1;
        byte[] from = [StoreKeys.JsonNode];
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var next = reader.Scan(from, [StoreKeys.JsonNode + 1], sequence);
            if (!next.MoveNext())
                break;
            var id = next.Key[1..];
            var end = id.IndexOf((byte)0);
            if (end > 0)
                id = id[..end];
            nodes += end > 0 && IsDocument(reader, StoreKeys.Of(key, StoreKeys.Json, id)) ? 0 : 1;
            from = [StoreKeys.JsonNode, .. id, 1];           // behind all of its nodes: ids hold no zero
        }

        if (headers > 0)
            Find("documents", $"{headers} headers are of no document.");
        if (nodes > 0)
            Find("documents", $"nodes of {nodes} documents that are not there (DT2).");
        _broken += headers + nodes;
    }

    private bool IsDocument(scoped in StoreReader reader, ReadOnlySpan<byte> root) =>
        reader.TryGet(root, sequence, out var version) && !version.IsTombstone;

    // ---- indexes ----------------------------------------------------------------------------------------------------------------

    private void CheckIndexes()
    {
        foreach (var index in IndexSet.Read(run, sequence).All)
        {
            if (index.State == StoredIndexState.Clearing)
                continue;
            try
            {
                Check(index);
            }
            catch (InvariantException broken)
            {
                Find("index", $"what the index '{index.Name}' is over cannot be read: {broken.Message}");
            }
        }
    }

    private void Check(StoredIndex index)
    {
        var (expected, missing, found) = (0L, 0L, 0L);
        var things = IndexTargets.Of(index.Target);
        using var reader = run.Store.Read();
        var scan = reader.Scan([things.Family], [(byte)(things.Family + 1)], sequence);
        while (scan.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!things.IsThing(scan.Key) || !index.Has(scan.Key[1..]))
                continue;
            foreach (var item in things.ItemsAt(run, index, scan.Key[1..], scan.Version, sequence))
            {
                expected++;
                missing += reader.TryGet(item, sequence, out var version) && !version.IsTombstone ? 0 : 1;
            }
        }

        byte[] prefix = IndexItems.Prefix(index.Number);
        var items = reader.Scan(prefix, KeyInterval.After(prefix), sequence);
        while (items.MoveNext())
            found++;
        if (missing > 0)
            Find("index", $"the index '{index.Name}' lacks {missing} of the {expected} items of what is stored (IX1).");
        if (found + missing > expected)
            Find("index", $"the index '{index.Name}' has {found + missing - expected} items of nothing that is stored (IX1).");
    }
}
