// Json: documents that are read and changed by path.
//
//   store keys    20 id, 21 id 00 node ..., 22 id: DocumentTree.cs says what they hold
//   operations    20 Create, 21 Set, 22 DeletePath, 23 Destroy, 24 Patch, 25 Merge, 26 ArrayAppend, 27 ArrayInsert, 28 ArrayRemove,
//                 29 Increment, 2A Put, 2B Expire, 2C StringAppend (DocumentBody.cs has the bodies): what was asked, never the document
//   conflicts     by path: the keys of a document are its places, so what a transaction has looked at is points and ranges like any
//                 others (DocumentScope.cs)
//   text          path and value of each scalar, when there is a search
//   diff, merge   by path, of documents that both have
//   replay        each operation is done again on the document as it was
//
// A path operation says what is to be done, and what it comes to depends on the document as it then is. So every one is tried before the
// sequence is taken, under the run's lock, on the newest state: the same algorithms run over nodes that are only looked at
// (TrialNodes), in the order in which the operations of the record will be applied. The trial refuses (no such place, another kind, a limit
// that the result would pass, JS-19), counts what Apply will write, so that the memory for it is there, and fills what Apply does not
// decide for itself:
//
//   D1  whether the document lives: expiry is judged once, at the trial, and Apply takes its word
//   D2  the sum of an increment
//
// In a transaction an operation is done at the call, on the snapshot with the transaction's own writes over it; what it depended on was
// read. If the trial refuses it nevertheless, somebody came between: that is a conflict, unless a limit is passed (JS-25).
//
// A document that is replaced or deleted as a whole costs what it holds, and so does a value within. All else costs the path and what is
// written, but for arrays: putting in and taking out before the end moves the elements behind.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class DocumentOperations : OperationSet
{
    internal override byte Family => 0x20;

    internal override string Name => "json";

    internal override bool ResolvesParts => true;

    internal override bool Owns(byte storeFamily) => storeFamily is StoreKeys.Json or StoreKeys.JsonNode or StoreKeys.JsonHeader;

    internal override string Describe(ReadOnlySpan<byte> storeKey)
    {
        var id = storeKey[1..];
        var end = id.IndexOf((byte)0);
        return Utf8.GetTrustedString(end < 0 ? id : id[..end]);
    }

    /// <summary>Looks through the whole document for the node: for people who ask what was in the way.</summary>
    internal override string Region(ReadOnlySpan<byte> storeKey, RunState run)
    {
        if (storeKey[0] != StoreKeys.JsonNode)
            return storeKey[0] == StoreKeys.Json ? "$" : "";
        return DocumentPlaces.Find(storeKey, run) is { } path ? path.ToString() : "";
    }

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) => null;

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        StoreKeys.Of(buffer, StoreKeys.Json, operation.Key);

    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes) =>
        TellThing(operation, sequence, changes);

    // ---- before the sequence ---------------------------------------------------------------------------------------------------

    internal override CairnException? ResolvePart(
        Span<byte> part, RunState run, Catalogue catalogue, long time, Limits limits, out WriteCount writes)
    {
        using var reader = run.Store.Read();
        var indexes = IndexSet.Of(run);
        var nodes = new TrialNodes(
            reader, run.Store, visit: null, HasSeveral(part), isDecision: true,
            holdsContents: ReadsValues(part) || !indexes.On(IndexTarget.Documents).IsEmpty);
        CairnException? refused = null;
        try
        {
            Try(nodes, indexes, part, part, time, limits);
            nodes.Unique?.Check(reader, time);
        }
        catch (CairnException exception)
        {
            refused = exception;
        }

        writes = nodes.End();
        return refused;
    }

    // Perhaps without the run's lock: of its indexes only what is known already.
    internal override void EachKeyOfPart(Span<byte> part, RunState run, StoreKeyVisitor visit) =>
        CountKeys(part, run, run.Indexes, visit);

    internal override WriteCount CountWrites(ReadOnlySpan<byte> part, RunState run) =>
        HasAny(part) ? CountKeys(part, run, IndexSet.Of(run), visit: null) : default;

    // What they write into indexes is counted with the rest, by the trial.
    internal override bool HasItems => true;

    // The keys of a record that is not decided yet, or was long ago: what has expired is taken to live, which names some more.
    private static WriteCount CountKeys(ReadOnlySpan<byte> part, RunState run, IndexSet? indexes, StoreKeyVisitor? visit)
    {
        if (!HasAny(part))
            return default;
        using var reader = run.Store.Read();
        var nodes = new TrialNodes(reader, run.Store, visit, HasSeveral(part));
        try
        {
            Try(nodes, indexes, part, default, long.MinValue, null);
        }
        catch (Exception torn) when (torn is CairnException or InvariantException)
        {
            // What cannot be done is refused by ResolvePart, which says why. Up to there the keys are named. Without the run's lock, half
            // of another commit may be seen; nodes below have higher numbers than those above them in either, so a walk ends.
        }

        return nodes.End();
    }

    // Apply will look at values, and must not wait for the log then.
    private static bool ReadsValues(ReadOnlySpan<byte> part)
    {
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            if ((OperationCode)operation.Code is OperationCode.JsonStringAppend or OperationCode.JsonPatch)
                return true;
        }

        return false;
    }

    private static bool HasAny(ReadOnlySpan<byte> part)
    {
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            if (Has(operation))
                return true;
        }

        return false;
    }

    private static bool HasSeveral(ReadOnlySpan<byte> part)
    {
        var count = 0;
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            if (!Has(operation))
                continue;
            count += (OperationCode)operation.Code is OperationCode.JsonPatch or OperationCode.JsonMerge ? 2 : 1;
            if (count > 1)
                return true;
        }

        return false;
    }

    private static bool Has(in Operation operation) => (operation.Code & 0xF0) == 0x20;

    /// <param name="holes">The same bytes as the part, to be filled; empty = they are not.</param>
    private static void Try(
        TrialNodes nodes, IndexSet? indexes, ReadOnlySpan<byte> part, Span<byte> holes, long time, Limits? limits)
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        for (var at = 0; at < part.Length;)
        {
            var operation = new Operation(part[at..], out var bytes);
            at += bytes;
            if (!Has(operation))
                continue;
            var fill = holes.IsEmpty ? default : holes[(at - operation.Body.Length)..at];
            Invariant.Check(DocumentBody.TryRead(operation, out var body), "an operation on a document is written as it is read");
            // What has expired is absent, but for the maintainer, who takes it away.
            var keys = new DocumentKeys(buffer, operation.Key);
            var isThere = nodes.TryGet(keys.Root(), Look.Blind, out var root)
                && (root.IsLiveAt(time) || (OperationCode)operation.Code == OperationCode.JsonDestroy);
            if (!fill.IsEmpty)
                DocumentBody.SetThere(fill, isThere);
            // Before it is decided, one with an expiry may turn out to be gone.
            var reached = DocumentItems.Reached(indexes, operation, body, isThere && (root.Expiry == 0 || !holes.IsEmpty));
            if (!isThere || reached is not null)
                nodes.KeepWrites();
            var before = reached is null ? null : DocumentItems.Of(reached, nodes, operation.Key);
            var tree = new DocumentTree<TrialNodes>(nodes, keys, isThere, root, limits);
            if ((OperationCode)operation.Code == OperationCode.JsonIncrement)
            {
                var sum = Sum(ref tree, body.Path, body.By);
                if (!fill.IsEmpty)
                    DocumentBody.SetSum(fill, sum);
                tree.Set(body.Path, sum.Encode());
            }
            else
            {
                Do(ref tree, operation, body);
            }

            tree.End();
            if (reached is null)
                continue;
            var after = DocumentItems.Of(reached, nodes, operation.Key);
            for (var i = 0; i < reached.Count; i++)
                nodes.PutItems(reached[i], operation.Key, before![i], after[i]);
        }
    }

    /// <summary>JS-18: what an increment comes to.</summary>
    internal static Value Sum<TNodes>(
        scoped ref DocumentTree<TNodes> tree, scoped ReadOnlySpan<byte> path, in Value by, Look look = Look.Blind)
        where TNodes : IDocumentNodes, allows ref struct
    {
        var old = tree.TryFind(path, look, out var found) ? tree.Read(found) : (Value)0;
        if (!Comparison.IsNumber(old))
        {
            tree.TryFind(path, Look.Kind, out _);            // what the caller is told was read
            throw new DocumentException(
                ErrorCode.TypeMismatch, PathText.Write(EncodedPath.Read(path)), $"a number is needed, and there is {old.Kind}.");
        }

        if (old.Kind == ValueKind.Int64 && by.Kind == ValueKind.Int64)
        {
            var sum = unchecked(old.AsInt64() + by.AsInt64());
            return ((old.AsInt64() ^ sum) & (by.AsInt64() ^ sum)) >= 0 || Mutant.Is("json-overflow-wraps") ? sum : throw Overflow(path, by);
        }

        var total = ToDouble(old) + ToDouble(by);
        return double.IsFinite(total) ? total : throw Overflow(path, by);
    }

    private static double ToDouble(in Value number) => number.Kind == ValueKind.Int64 ? number.AsInt64() : number.AsFloat64();

    private static DocumentException Overflow(scoped ReadOnlySpan<byte> path, in Value by) => new(
        ErrorCode.Overflow, PathText.Write(EncodedPath.Read(path)), $"adding {by.ToJson()} would leave the range of {by.Kind}.");

    // ---- behind it -------------------------------------------------------------------------------------------------------------

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.KeyBytesMax || !DocumentBody.TryRead(operation, out var body))
            return false;
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        using var reader = context.Read();
        var nodes = new ApplyNodes(context, reader);
        var keys = new DocumentKeys(buffer, operation.Key);
        scoped VersionView root = default;
        if (body.IsThere && !nodes.TryGet(keys.Root(), Look.Blind, out root))
            return false;
        var reached = DocumentItems.Reached(IndexSet.Of(context.Run), operation, body, body.IsThere);
        var before = reached is null ? null : DocumentItems.Of(reached, nodes, operation.Key);
        var tree = new DocumentTree<ApplyNodes>(nodes, keys, body.IsThere, root, limits: null);
        try
        {
            Do(ref tree, operation, body);
        }
        catch (CairnException)
        {
            return false;                                    // a trial has decided otherwise: this is not what it saw
        }

        tree.End();
        if (reached is null)
            return true;
        var after = DocumentItems.Of(reached, nodes, operation.Key);
        for (var i = 0; i < reached.Count; i++)
            IndexMaintenance.Change(context, before![i], after[i]);
        return true;
    }

    /// <summary>The one place that says what an operation does.</summary>
    internal static void Do<TNodes>(scoped ref DocumentTree<TNodes> tree, scoped Operation operation, scoped DocumentBody body)
        where TNodes : IDocumentNodes, allows ref struct
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.JsonCreate:
                if (tree.IsThere)
                    throw Exists(Utf8.GetTrustedString(operation.Key));
                tree.Replace(body.Rest, operation.Expiry);
                break;
            case OperationCode.JsonPut:
                tree.Replace(body.Rest, operation.Expiry);
                break;
            case OperationCode.JsonSet:
                tree.Set(body.Path, body.Rest);
                break;
            case OperationCode.JsonDeletePath:
                tree.TryRemove(body.Path);
                break;
            case OperationCode.JsonDestroy:
                tree.Destroy();
                break;
            case OperationCode.JsonPatch:
                tree.Patch(PatchText.Read(Value.Decode(body.Rest), Limits.Hard));
                break;
            case OperationCode.JsonMerge:
                tree.Merge(body.Path, Value.Decode(body.Rest));
                break;
            case OperationCode.JsonArrayAppend:
                tree.Insert(body.Path, null, body.Rest);
                break;
            case OperationCode.JsonArrayInsert:
                tree.Insert(body.Path, body.Index, body.Inserted);
                break;
            case OperationCode.JsonArrayRemove:
                tree.Remove(body.Path, body.Index, body.Count);
                break;
            case OperationCode.JsonIncrement:
                tree.Set(body.Path, body.Sum.Encode());
                break;
            case OperationCode.JsonStringAppend:
                tree.AppendText(body.Path, body.Rest);
                break;
            default:
                if (tree.IsThere)
                    tree.SetExpiry(operation.Expiry);
                break;
        }
    }

    internal static CairnException Exists(string id) => new(
        ErrorCode.AlreadyExists, $"There is a document '{id}'. Put replaces it, Set and Patch change it.");

    // ---- writing operations ----------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write)
    {
        var expiry = write.TimeToLive != 0 ? -write.TimeToLive : write.Expiry;
        write.Value.CopyTo(Add(batch, write.Code, write.OperationKey, write.Value.Length, expiry));
    }

    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) =>
        Add(batch, OperationCode.JsonDestroy, storeKey[1..], DocumentBody.Length(OperationCode.JsonDestroy, 0, 0), 0)[0] = 0;

    /// <summary>Adds an operation; the trial counts what it will write.</summary>
    /// <param name="expiry">0 = none.</param>
    /// <returns>The body behind the expiry, to fill.</returns>
    internal static Span<byte> Add(Batch batch, OperationCode code, ReadOnlySpan<byte> id, int bodyBytes, long expiry)
    {
        var lead = expiry == 0 ? 0 : sizeof(long);
        var body = batch.Add(code, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, id, lead + bodyBytes, 1);
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
        batch.NeedsResolve = true;
        return body[lead..];
    }
}
