// A stored document
// -----------------
// A document is a tree of nodes under ordered keys, one key for each value in it:
//
//      {"plan": {"steps": ["a", {"b": 1}]}, "n": 7}          document "d", keys behind its id
//
//      20 d                          object, node 1          the root
//      22 d                          next node 5, 23 bytes   the header
//      21 d 00 1                     2 members               how many node 1 has
//      21 d 00 1 01 "n"              7
//      21 d 00 1 01 "plan"           object, node 2
//      21 d 00 2                     1 member
//      21 d 00 2 01 "steps"          array, node 3
//      21 d 00 3                     2 elements
//      21 d 00 3 02 0                "a"
//      21 d 00 3 02 1                object, node 4
//      21 d 00 4                     1 member
//      21 d 00 4 01 "b"              1
//
// So a path is walked by one lookup for each segment, a change writes the keys it changes and the header, and what changed when is what the
// store knows of each key anyway: snapshots, views of the past, forks, checkpoints and validation need nothing of their own (JS-30, JS-32).
//
// DT1  A container's slot is written when the container is made, and never again: whoever has read it has read that it is there, what kind
//      it is, and that it is the same one. Its members and elements have keys of their own.
// DT2  A node's number is never used twice while the document lives. A value that is replaced takes its nodes with it.
// DT3  Elements of an array are numbered from 0 without gaps. Putting in or taking out renumbers those behind, and writes the order key of
//      the array, which whoever went through it by an index has read (JS-22). Appending does not.
// DT4  The header has the length of the whole document's canonical encoding, kept up to date: limits are checked without reading the
//      document (JS-19). With limits, a change that would pass one throws before anything of the operation is applied to the run: who has
//      limits only tries (DocumentOperations.cs).
// DT5  A document that has expired is absent; what is left of it is removed by whoever makes it anew.
//
// The algorithms are here once, and run over four kinds of nodes (IDocumentNodes): Apply's, a trial's, the past's, a transaction's.

using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Documents;

namespace Cairn.Primitives;

/// <summary>One document, for the length of one operation: DT1 to DT5 at the top of this file.</summary>
internal ref partial struct DocumentTree<TNodes>
    where TNodes : IDocumentNodes, allows ref struct
{
    private const string NeedsArray = "an index needs an Array, and there is an Object.";

    private readonly TNodes _nodes;
    private readonly DocumentKeys _keys;
    private readonly Limits? _limits;
    private DocumentHeader _header;
    private bool _hasHeader;
    private bool _isChanged;
    private ValueKind _rootKind;
    private ulong _rootNode;                                 // 0: the root is none, or was not looked at

    /// <param name="isThere">Whether the document lives; the caller knows the time (DT5).</param>
    /// <param name="root">What was found under the root's key.</param>
    /// <param name="limits">Null: nothing is refused for its size.</param>
    internal DocumentTree(TNodes nodes, DocumentKeys keys, bool isThere, scoped in VersionView root, Limits? limits)
    {
        _nodes = nodes;
        _keys = keys;
        _limits = limits;
        IsThere = isThere;
        _hasHeader = !isThere;
        _header = new DocumentHeader { NextNode = nodes.FirstNode };
        if (isThere && !root.IsContent)
            KeepRoot(root.Value);
    }

    /// <summary>There is a document, by now.</summary>
    internal bool IsThere { get; private set; }

    /// <summary>Of the document; 0 = none.</summary>
    internal long Expiry => Head.Expiry;

    // A key like any other, so it is read when it is first asked for: whoever looks a place up does not ask.
    [UnscopedRef]
    private ref DocumentHeader Head
    {
        get
        {
            if (!_hasHeader)
                ReadHeader();
            return ref _header;
        }
    }

    private void ReadHeader()
    {
        Invariant.Check(_nodes.TryGet(_keys.Header(), Look.Blind, out var version), "a document has a header");
        _header = DocumentHeader.Read(version);
        _header.NextNode = Math.Max(_header.NextNode, _nodes.FirstNode);
        _hasHeader = true;
    }

    /// <summary>The header's version is the document's.</summary>
    internal readonly VersionView Header(Look look)
    {
        _nodes.TryGet(_keys.Header(), look, out var version);
        return version;
    }

    internal readonly ValueKind KindOf(scoped in VersionView found) => SlotOf(found).Kind;

    /// <summary>The node of a container that was found.</summary>
    /// <exception cref="DocumentException">It is another kind.</exception>
    internal readonly ulong NodeOf(scoped in VersionView found, ValueKind kind, DocumentPath? path)
    {
        var slot = SlotOf(found);
        return slot.Kind == kind
            ? slot.Node
            : throw new DocumentException(
                ErrorCode.TypeMismatch, (path ?? DocumentPath.Root).ToString(), $"an {kind} is needed, and there is {slot.Kind}.");
    }

    // ---- changing -------------------------------------------------------------------------------------------------------------

    /// <summary>The document becomes a value, whatever it was.</summary>
    /// <param name="value">Canonical.</param>
    internal void Replace(scoped ReadOnlySpan<byte> value, long expiry)
    {
        Clear();
        Head.Expiry = expiry;
        PutRoot(value);
        Head.Bytes = value.Length;
        Changed();
    }

    /// <summary>JS-6.</summary>
    internal void Set(scoped ReadOnlySpan<byte> path, scoped ReadOnlySpan<byte> value)
    {
        var walk = new EncodedPath(path);
        if (walk.IsAtEnd)
        {
            Replace(value, IsThere ? Head.Expiry : 0);
            return;
        }

        BeginObject();
        var slot = Root(Look.Path);
        while (walk.MoveNext(out var segment))
        {
            if (slot.Kind == ValueKind.Object)
            {
                if (!segment.IsName)
                    throw Failed(path, walk.Depth, slot);
                if (walk.IsAtEnd)
                {
                    SetMember(slot.Node, segment.Name, value);
                    break;
                }

                if (!TryInner(_keys.Member(slot.Node, segment.Name), out var inner))
                {
                    SetChain(path, slot.Node, segment, walk, value);
                    break;
                }

                slot = inner;
                continue;
            }

            var (index, count) = ElementAt(path, walk.Depth, slot, segment);
            if (walk.IsAtEnd && segment.IsEnd)
            {
                Append(slot.Node, count, value);
                break;
            }

            if (index < 0 || index >= count)
                throw NoElement(path, walk.Depth, count);
            if (walk.IsAtEnd)
            {
                SetElement(slot.Node, index, value);
                break;
            }

            slot = Inner(_keys.Element(slot.Node, index));
        }

        Changed();
    }

    /// <summary>JS-8: removes what stands at a place.</summary>
    /// <returns>False when nothing does.</returns>
    internal bool TryRemove(scoped ReadOnlySpan<byte> path)
    {
        var walk = new EncodedPath(path);
        if (walk.IsAtEnd)
            throw new DocumentException(ErrorCode.InvalidPath, "$", "the root is not removed; delete the document, or replace it.");
        if (!IsThere)
            return false;
        var slot = Root(Look.Path);
        while (walk.MoveNext(out var segment))
        {
            ReadOnlySpan<byte> key;
            long index = 0;
            var count = 0;
            if (slot.Kind == ValueKind.Object && segment.IsName)
            {
                key = _keys.Member(slot.Node, segment.Name);
            }
            else if (slot.Kind == ValueKind.Array && segment.IsIndex)
            {
                if (!TryIndex(slot.Node, segment, Look.Read, out index, out count))
                    return false;
                key = _keys.Element(slot.Node, index);
            }
            else
            {
                return false;
            }

            if (!_nodes.TryGet(key, walk.IsAtEnd ? Look.Presence : Look.Path, out var found))
                return false;
            if (!walk.IsAtEnd)
            {
                slot = SlotOf(found);
                continue;
            }

            if (slot.Kind == ValueKind.Object)
                RemoveMember(slot.Node, segment.Name);
            else
                RemoveElements(slot.Node, index, 1);
        }

        Changed();
        return true;
    }

    /// <summary>The document goes, with all its nodes.</summary>
    internal void Destroy()
    {
        if (!IsThere)
            return;
        Clear();
        _nodes.DeleteRoot(_keys.Root());
        _nodes.Delete(_keys.Header());
        _rootNode = 0;
        IsThere = false;
        _isChanged = false;
    }

    /// <summary>JS-17: puts elements into an array, before the one at an index; null = behind the last.</summary>
    /// <param name="values">A canonical array of them.</param>
    internal void Insert(scoped ReadOnlySpan<byte> path, long? index, scoped ReadOnlySpan<byte> values)
    {
        var slot = ArrayAt(path);
        var from = 0;
        var more = (int)Next(values, ref from).Bits;
        if (index is null)
        {
            Insert(slot.Node, CountOf(slot.Node, Look.Blind), null, more, values, from);
        }
        else
        {
            var count = CountOf(slot.Node, Look.Read);
            var at = index.Value < 0 ? count + index.Value : index.Value;
            if (at < 0 || at > count)
                throw NoElement(path, int.MaxValue, count);
            _nodes.TryGet(_keys.Order(slot.Node), Look.Read, out _);
            Insert(slot.Node, count, at, more, values, from);
        }

        Changed();
    }

    /// <summary>JS-17: takes elements out of an array.</summary>
    internal void Remove(scoped ReadOnlySpan<byte> path, long index, long count)
    {
        var slot = ArrayAt(path);
        var length = CountOf(slot.Node, Look.Read);
        var at = index < 0 ? length + index : index;
        if (at < 0 || count < 0 || at + count > length)
            throw NoElement(path, int.MaxValue, length);
        _nodes.TryGet(_keys.Order(slot.Node), Look.Read, out _);
        RemoveElements(slot.Node, at, (int)count);
        Changed();
    }

    /// <summary>JS-18: puts a text behind the one at a place; where nothing is, it is the text.</summary>
    /// <param name="text">Canonical.</param>
    internal void AppendText(scoped ReadOnlySpan<byte> path, scoped ReadOnlySpan<byte> text)
    {
        if (!TryFind(path, Look.Blind, out var found))
        {
            Set(path, text);
            return;
        }

        if (!ValueCodec.TryReadBytesOrString(found.Value, out var old, out var kind) || kind != ValueKind.String)
        {
            TryFind(path, Look.Kind, out _);                 // what the caller is told was read
            throw new DocumentException(
                ErrorCode.TypeMismatch, PathText.Write(EncodedPath.Read(path)), $"a String is needed, and there is {SlotOf(found).Kind}.");
        }

        ValueCodec.TryReadBytesOrString(text, out var more, out _);
        AtMost(nameof(Limits.StringBytesMax), _limits?.StringBytesMax, (long)old.Length + more.Length, "bytes");
        var whole = new byte[old.Length + more.Length];
        old.CopyTo(whole);
        more.CopyTo(whole.AsSpan(old.Length));
        var encoded = new byte[ValueCodec.StringHeaderLength(whole.Length) + whole.Length];
        ValueCodec.EncodeString(whole, encoded);
        Set(path, encoded);
    }

    /// <summary>What is done is written down: the header is the last key of a change, and its version is the document's.</summary>
    internal void End()
    {
        if (!_isChanged)
            return;
        _isChanged = false;
        Span<byte> header = stackalloc byte[DocumentHeader.Size];
        _nodes.PutHeader(_keys.Header(), Head.Write(header), Head.Expiry);
    }

    /// <summary>The document has another expiry; 0 = none.</summary>
    internal void SetExpiry(long expiry)
    {
        Head.Expiry = expiry;
        _nodes.ExpireRoot(_keys.Root(), expiry);
        _isChanged = true;
    }

    // ---- parts of changes -----------------------------------------------------------------------------------------------------

    private void Changed()
    {
        _isChanged = true;
        if (_limits is { } limits && Head.Bytes > limits.ValueBytesMax && !Mutant.Is("json-growth-unchecked"))
            throw new LimitException(nameof(Limits.ValueBytesMax), limits.ValueBytesMax, Head.Bytes, "bytes");
    }

    // A path into a document that is not there makes it, as an object.
    private void BeginObject()
    {
        if (IsThere)
            return;
        _nodes.TryGet(_keys.Root(), Look.Path, out _);
        Clear();
        Head.Expiry = 0;
        PutRoot([0x80]);
        Head.Bytes = 1;
    }

    // Everything but root and header goes; DT5.
    private readonly void Clear()
    {
        if (!IsThere && !_nodes.TryGet(_keys.Root(), Look.Blind, out _))
            return;                                          // not even an expired one
        var list = NodeLists.Rent();
        _keys.OfNodes(out var from, out var to);
        _nodes.List(from, to, 0, withValues: false, Look.Blind, list);
        for (var index = 0; index < list.Count; index++)
            _nodes.Delete(list.Part(index));
        NodeLists.Return(list);
    }

    private void PutRoot(scoped ReadOnlySpan<byte> value)
    {
        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        var at = 0;
        var inner = MakeBelow(value, ref at, out var kind);
        var slot = inner == 0 ? value : DocumentSlot.WriteContainer(container, kind, inner);
        _nodes.PutRoot(_keys.Root(), slot, Head.Expiry);
        KeepRoot(slot);
        IsThere = true;
    }

    private void KeepRoot(scoped ReadOnlySpan<byte> stored)
    {
        var slot = SlotOf(stored);
        (_rootKind, _rootNode) = (slot.Kind, slot.Node);
    }

    private readonly DocumentSlot Root(Look look)
    {
        if (_rootNode != 0 && (look == Look.Blind || !_nodes.NotesLooks))
            return DocumentSlot.Container(_rootKind, _rootNode);
        _nodes.TryGet(_keys.Root(), look, out var root);
        return SlotOf(root);
    }

    private bool TryInner(ReadOnlySpan<byte> key, out DocumentSlot slot)
    {
        if (_nodes.TryGet(key, Look.Path, out var found))
        {
            slot = SlotOf(found);
            return true;
        }

        slot = default;
        return false;
    }

    private readonly DocumentSlot Inner(ReadOnlySpan<byte> key)
    {
        Invariant.Check(_nodes.TryGet(key, Look.Path, out var found), "an array has its elements");
        return SlotOf(found);
    }

    // The member of a segment, and the objects that are missing on the way from it to the end.
    private void SetChain(
        scoped ReadOnlySpan<byte> path, ulong node, scoped EncodedSegment segment, scoped EncodedPath walk, scoped ReadOnlySpan<byte> value)
    {
        var rest = walk;
        while (rest.MoveNext(out var below))
        {
            if (!below.IsName)
            {
                throw new DocumentException(
                    ErrorCode.TypeMismatch, PathText.Write(EncodedPath.Read(path, rest.Depth)), NeedsArray);
            }
        }

        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        while (true)
        {
            if (walk.IsAtEnd)
            {
                SetMember(node, segment.Name, value);
                return;
            }

            var inner = NewNode();
            PutMember(node, segment.Name, DocumentSlot.WriteContainer(container, ValueKind.Object, inner));
            PutCount(inner, 0);
            AddMember(node, segment.Name);
            Head.Bytes += 1;
            node = inner;
            walk.MoveNext(out segment);
        }
    }

    private void SetMember(ulong node, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        var key = _keys.Member(node, name);
        var exists = _nodes.TryGet(key, Look.Blind, out var old);
        if (exists)
            Head.Bytes -= Drop(old);
        else
            AddMember(node, name);
        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        var at = 0;
        var inner = MakeBelow(value, ref at, out var kind);
        var slot = inner == 0 ? value : DocumentSlot.WriteContainer(container, kind, inner);
        PutMember(node, name, slot);
        Head.Bytes += value.Length;
    }

    private void PutMember(ulong node, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> slot)
    {
        if (name.Length <= DocumentKeys.NameBytesMax)
            _nodes.Put(_keys.Member(node, name), slot);
        else
            _nodes.Put(_keys.Member(node, name), DocumentSlot.WithName(name, slot));
    }

    // Of a member that is not there yet: the count, and the bytes of its name.
    private void AddMember(ulong node, scoped ReadOnlySpan<byte> name)
    {
        var count = CountOf(node, Look.Blind);
        AtMost(nameof(Limits.ObjectMembersMax), _limits?.ObjectMembersMax, count + 1, "members");
        PutCount(node, count + 1);
        Head.Bytes += ValueWriter.StringHeaderLength(name.Length) + name.Length
            + ValueWriter.ObjectHeaderLength(count + 1) - ValueWriter.ObjectHeaderLength(count);
    }

    private void RemoveMember(ulong node, scoped ReadOnlySpan<byte> name)
    {
        var count = CountOf(node, Look.Blind);
        _nodes.TryGet(_keys.Member(node, name), Look.Blind, out var old);
        Head.Bytes -= Drop(old) + ValueWriter.StringHeaderLength(name.Length) + name.Length
            + ValueWriter.ObjectHeaderLength(count) - ValueWriter.ObjectHeaderLength(count - 1);
        _nodes.Delete(_keys.Member(node, name));
        PutCount(node, count - 1);
    }

    private void SetElement(ulong node, long index, scoped ReadOnlySpan<byte> value)
    {
        Invariant.Check(_nodes.TryGet(_keys.Element(node, index), Look.Blind, out var old), "an array has its elements");
        Head.Bytes -= Drop(old);
        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        var at = 0;
        var inner = MakeBelow(value, ref at, out var kind);
        var slot = inner == 0 ? value : DocumentSlot.WriteContainer(container, kind, inner);
        _nodes.Put(_keys.Element(node, index), slot);
        Head.Bytes += value.Length;
    }

    private void Append(ulong node, int count, scoped ReadOnlySpan<byte> value) => Insert(node, count, null, 1, value, 0);

    private void Insert(ulong node, int count, long? index, int more, scoped ReadOnlySpan<byte> source, int from)
    {
        AtMost(nameof(Limits.ArrayElementsMax), _limits?.ArrayElementsMax, (long)count + more, "elements");
        var at = index ?? count;
        if (index is not null && more > 0)
        {
            Shift(node, at, count, more);
            WriteOrder(node);
        }

        var first = from;
        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        for (var n = 0; n < more; n++)
        {
            var start = from;
            var inner = MakeBelow(source, ref from, out var kind);
            var slot = inner == 0 ? source[start..from] : DocumentSlot.WriteContainer(container, kind, inner);
            _nodes.Put(_keys.Element(node, at + n), slot);
        }

        Head.Bytes += from - first + ValueWriter.ArrayHeaderLength(count + more) - ValueWriter.ArrayHeaderLength(count);
        PutCount(node, count + more);
    }

    // From the last one on, so that none is written over before it was moved.
    private readonly void Shift(ulong node, long from, long count, int by)
    {
        Span<byte> source = stackalloc byte[_keys.NodeKeyBytes + 5];
        for (var index = count - 1; index >= from; index--)
        {
            _keys.Element(node, index).CopyTo(source);
            _nodes.Copy(source, _keys.Element(node, index + by));
        }
    }

    private void RemoveElements(ulong node, long at, int less)
    {
        var count = CountOf(node, Look.Blind);
        for (var index = at; index < at + less; index++)
        {
            _nodes.TryGet(_keys.Element(node, index), Look.Blind, out var old);
            Head.Bytes -= Drop(old);
        }

        Span<byte> source = stackalloc byte[_keys.NodeKeyBytes + 5];
        for (var index = at + less; index < count && !Mutant.Is("json-array-not-shifted"); index++)
        {
            _keys.Element(node, index).CopyTo(source);
            _nodes.Copy(source, _keys.Element(node, index - less));
        }

        for (var index = count - less; index < count; index++)
            _nodes.Delete(_keys.Element(node, index));
        Head.Bytes += ValueWriter.ArrayHeaderLength(count - less) - ValueWriter.ArrayHeaderLength(count);
        PutCount(node, count - less);
        if (less > 0)
            WriteOrder(node);
    }

    // DT3. What stands there says nothing; that it was written does.
    private readonly void WriteOrder(ulong node)
    {
        if (!Mutant.Is("json-order-unwritten"))
            _nodes.Put(_keys.Order(node), [0xC0]);
    }

    private readonly void PutCount(ulong node, int count)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, count);
        _nodes.Put(_keys.Count(node), bytes);
    }

    private ulong NewNode()
    {
        Invariant.Check(Head.NextNode < DocumentSlot.NodeMax, "a document has numbers left for its nodes");
        return Head.NextNode++;
    }

    // Takes the next value and writes all that is below it. Gives the node that it is, or 0 for a scalar, whose slot is its encoding.
    private ulong MakeBelow(scoped ReadOnlySpan<byte> source, ref int at, out ValueKind kind)
    {
        var item = Next(source, ref at);
        kind = item.Kind;
        if (kind is not (ValueKind.Array or ValueKind.Object))
            return 0;
        var node = NewNode();
        var count = (int)item.Bits;
        PutCount(node, count);
        Span<byte> container = stackalloc byte[DocumentSlot.ContainerBytes];
        for (var index = 0; index < count; index++)
        {
            scoped var name = default(ValueItem);
            if (kind == ValueKind.Object)
                name = Next(source, ref at);
            var start = at;
            var inner = MakeBelow(source, ref at, out var innerKind);
            var slot = inner == 0 ? source[start..at] : DocumentSlot.WriteContainer(container, innerKind, inner);
            if (kind == ValueKind.Object)
                PutMember(node, name.Content, slot);
            else
                _nodes.Put(_keys.Element(node, index), slot);
        }

        return node;
    }

    private static ValueItem Next(ReadOnlySpan<byte> source, ref int at)
    {
        var reader = new ValueReader(source[at..]);
        var fault = reader.Read(out var item);
        Invariant.Check(fault == DecodeFault.None, "a value in an operation is canonical");
        at += reader.Offset;
        return item;
    }

    // What is below a slot goes; the slot itself is the caller's. Gives the length of its canonical encoding.
    private readonly long Drop(scoped in VersionView old)
    {
        if (old.IsContent)
            return old.ValueLength;
        var slot = SlotOf(old.Value);
        return slot.IsContainer ? DropNode(slot.Node, slot.Kind) : slot.Scalar.Length;
    }

    private readonly long DropNode(ulong node, ValueKind kind)
    {
        var bytes = 0L;
        var count = 0;
        var list = NodeLists.Rent();
        ListNode(node, withValues: false, Look.Blind, list);
        for (var index = 0; index < list.Count; index++)
        {
            var part = list.Part(index);
            if (part is [DocumentKeys.MemberTag or DocumentKeys.ElementTag, ..])
            {
                count++;
                bytes += DropChild(list, index, kind);
            }

            _nodes.Delete(_keys.Child(node, part));
        }

        NodeLists.Return(list);
        return bytes + (kind == ValueKind.Array ? ValueWriter.ArrayHeaderLength(count) : ValueWriter.ObjectHeaderLength(count));
    }

    private readonly long DropChild(NodeList list, int index, ValueKind kind)
    {
        long length = list.StoredBytes(index);
        var name = kind == ValueKind.Object ? list.Part(index).Length - 1 : 0;
        if (!list.IsContent(index))
        {
            var stored = list.Stored(index);
            if (stored is [0xC1 or 0xC7, ..])
            {
                var slot = SlotOf(stored);
                if (!slot.Name.IsEmpty)
                {
                    name = slot.Name.Length;
                    length -= DocumentSlot.NameHeaderBytes + name;
                }

                if (slot.IsContainer)
                    length = DropNode(slot.Node, slot.Kind);
            }
        }

        return length + (kind == ValueKind.Object ? ValueWriter.StringHeaderLength(name) + name : 0);
    }

    private readonly void ListNode(ulong node, bool withValues, Look look, NodeList list)
    {
        _keys.OfNode(node, out var from, out var to);
        _nodes.List(from, to, _keys.NodeKeyBytes, withValues, look, list);
    }

    private static int Children(NodeList list)
    {
        var children = 0;
        for (var index = 0; index < list.Count; index++)
            children += list.Part(index) is [DocumentKeys.MemberTag or DocumentKeys.ElementTag, ..] ? 1 : 0;
        return children;
    }

    // ---- places and failures --------------------------------------------------------------------------------------------------

    private DocumentSlot ArrayAt(scoped ReadOnlySpan<byte> path)
    {
        if (!IsThere)
            throw NoDocumentRead();
        var slot = Root(Look.Path);
        var walk = new EncodedPath(path);
        while (walk.MoveNext(out var segment))
        {
            ReadOnlySpan<byte> key;
            if (slot.Kind == ValueKind.Object && segment.IsName)
            {
                key = _keys.Member(slot.Node, segment.Name);
            }
            else
            {
                var (index, count) = ElementAt(path, walk.Depth, slot, segment);
                if (index < 0 || index >= count)
                    throw NoElement(path, walk.Depth, count);
                key = _keys.Element(slot.Node, index);
            }

            if (!_nodes.TryGet(key, Look.Read, out var found))
                throw Failed(path, walk.Depth, slot);
            slot = SlotOf(found);
        }

        if (slot.Kind != ValueKind.Array)
        {
            throw new DocumentException(
                ErrorCode.TypeMismatch, PathText.Write(EncodedPath.Read(path)), $"an Array is needed, and there is {slot.Kind}.");
        }

        return slot;
    }

    // Where a segment leads in what must be an array. What is read of it is its order (DT3), and its length where that decides.
    private readonly (long Index, int Count) ElementAt(
        scoped ReadOnlySpan<byte> path, int depth, scoped in DocumentSlot slot, scoped in EncodedSegment segment)
    {
        if (slot.Kind != ValueKind.Array || !segment.IsIndex)
            throw Failed(path, depth, slot);
        if (!segment.IsEnd)
            _nodes.TryGet(_keys.Order(slot.Node), Look.Read, out _);
        var count = CountOf(slot.Node, segment.CountsFromEnd && !segment.IsEnd ? Look.Read : Look.Blind);
        var index = segment.IndexIn(count);
        if ((index < 0 || index >= count) && !segment.IsEnd)
            CountOf(slot.Node, Look.Read);                   // that it ends before is what is told
        return (index, count);
    }

    private readonly bool TryIndex(ulong node, scoped in EncodedSegment segment, Look look, out long index, out int count)
    {
        _nodes.TryGet(_keys.Order(node), look, out _);
        count = CountOf(node, segment.CountsFromEnd ? look : Look.Blind);
        index = segment.IndexIn(count);
        if (index >= 0 && index < count)
            return true;
        if (index >= count)
            CountOf(node, look);                             // that it ends before is what was learnt
        return false;
    }

    private static DocumentSlot SlotOf(VersionView version) => SlotOf(version.Value);

    private static DocumentSlot SlotOf(ReadOnlySpan<byte> stored)
    {
        Invariant.Check(DocumentSlot.TryRead(stored, out var slot), "a place of a document holds a slot");
        return slot;
    }

    private readonly DocumentException NoDocumentRead()
    {
        _nodes.TryGet(_keys.Root(), Look.Presence, out _);
        return NoDocument();
    }

    private static DocumentException NoDocument() => new(
        ErrorCode.NotFound, "$", "there is no such document. Create it, or set a path of it.");

    private static DocumentException NoElement(scoped ReadOnlySpan<byte> path, int depth, long count) => new(
        ErrorCode.PathNotFound, PathText.Write(EncodedPath.Read(path, depth)), $"the Array has {count} elements and none there.");

    // A segment that leads nowhere in a container or a scalar.
    private static DocumentException Failed(scoped ReadOnlySpan<byte> path, int depth, scoped in DocumentSlot slot)
    {
        var segments = EncodedPath.Read(path, depth);
        var last = segments[^1];
        var (code, reason) = slot.Kind switch
        {
            ValueKind.Object when last.AsName is not null => (ErrorCode.PathNotFound, "the Object has no such member."),
            ValueKind.Object => (ErrorCode.TypeMismatch, NeedsArray),
            ValueKind.Array when last.Kind == SegmentKind.Name =>
                (ErrorCode.TypeMismatch, "a name needs an Object, and there is an Array."),
            ValueKind.Array => (ErrorCode.PathNotFound, "the Array has no such element."),
            _ => (ErrorCode.TypeMismatch, $"an Object or an Array is needed before the last segment, and there is {slot.Kind}."),
        };
        return new DocumentException(code, PathText.Write(segments), reason);
    }

    private static void AtMost(string limit, int? allowed, long actual, string unit)
    {
        if (allowed is { } most && actual > most)
            throw new LimitException(limit, most, actual, unit);
    }
}

/// <summary>Opens documents.</summary>
internal static class DocumentTrees
{
    /// <summary>A document as the nodes have it; they judge expiry.</summary>
    /// <param name="buffer">At least <see cref="DocumentKeys.BufferBytes"/>.</param>
    internal static DocumentTree<TNodes> Open<TNodes>(TNodes nodes, Span<byte> buffer, scoped ReadOnlySpan<byte> id, Limits? limits)
        where TNodes : IDocumentNodes, allows ref struct
    {
        var keys = new DocumentKeys(buffer, id);
        var isThere = nodes.TryGet(keys.Root(), Look.Blind, out var root);
        return new DocumentTree<TNodes>(nodes, keys, isThere, root, limits);
    }
}
