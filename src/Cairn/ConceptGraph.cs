using System.Buffers.Binary;
using System.Security.Cryptography;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The graph of a run: concepts, and associations between them and anything else of the run. On <see cref="Run.Graph"/> each call
/// is a transaction of its own and returns when it is as durable as the database's mode asks; on <see cref="Transaction"/> it takes part in
/// that. Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <remarks>Writing reads nothing, so writers do not conflict, not even at an end that has a million associations. What is read of it is
/// validated as anywhere else.</remarks>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidName"/>,
/// <see cref="ErrorCode.RunClosed"/>, <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="LimitException">Every write: an id, a name, the content or the attributes are out of their limits. Nothing was
/// written.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed partial class ConceptGraph : ConceptGraphView
{
    /// <summary>What an accepted hit adds to the feedback of a concept, besides a share of <see cref="AcceptedByRank"/>.</summary>
    internal const double Accepted = 0.10;

    internal const double AcceptedByRank = 0.15;

    internal const double AcceptedMax = 0.15;

    internal const double Rejected = -0.05;

    private const int IdHashBytes = 16;

    internal ConceptGraph(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    // ---- concepts ----------------------------------------------------------------------------------------------------------

    /// <summary>Puts a concept that is known by its content: the id is 16 bytes of SHA-256 of that, in hexadecimal digits, so equal content
    /// is one concept. What there is already changes as with an id.</summary>
    /// <param name="fields">With content.</param>
    /// <returns>The id.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: there is no content;
    /// <see cref="ErrorCode.ConstraintViolation"/>: strength or confidence outside 0 to 1; <see cref="ErrorCode.WrongType"/>: the
    /// attributes are no Object.</exception>
    public string PutConcept(ConceptFields fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        if (fields.Content is not { } content)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "A concept without an id is known by its content, and there is none. Give it one of them.");
        }

        ConceptRecord.Check(fields, Engine.Limits);
        var id = IdOf(content);
        PutConcept(id, fields);
        return id;
    }

    private static string IdOf(string content)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Utf8.GetBytes(content), hash);
        return Convert.ToHexStringLower(hash[..IdHashBytes]);
    }

    /// <summary>Makes a concept, or changes what is given of one that is there; its associations, how it was used and when it was made
    /// stay.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="fields">What to change; null = nothing, so that it is there.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>: strength or confidence outside 0 to 1;
    /// <see cref="ErrorCode.WrongType"/>: the attributes are no Object.</exception>
    public Sequence PutConcept(string id, ConceptFields? fields = null)
    {
        fields ??= ConceptFields.None;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, buffer);
        ConceptRecord.Check(fields, Engine.Limits);
        var body = ConceptRecord.Write(fields);
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            Scope.ThrowIfNotReadable();
            Scope.Writes!.CheckRoom(1, storeKey.Length + (long)body.Length);
            Keep(OperationCode.GraphPut, storeKey[1..], body);
            PutPending(storeKey[1..], body);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        body.CopyTo(ConceptOperations.Add(batch, OperationCode.GraphPut, storeKey[1..], body.Length));
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>Takes a concept away, with all its associations, in one commit. Costs as much as it has associations.</summary>
    /// <param name="id">Which.</param>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="LimitException">It has more associations than a transaction has operations
    /// (<see cref="Limits.TransactionOperationsMax"/>, <see cref="Limits.TransactionBytesMax"/>); dissociate some first.</exception>
    public bool DeleteConcept(string id)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, buffer).ToArray();
        if (Scope.Transaction is not null)
            return DeletePending(storeKey);
        if (!Exists(id))
            return false;
        var wasThere = false;
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        using (var pinned = new PinnedScope(Engine.Pins, Scope))
            AddDeletion(batch, storeKey, pinned.Scope.Sequence);     // so that what it reads is at hand
        batch.Decide = _ =>
        {
            batch.BeginAgain();
            wasThere = AddDeletion(batch, storeKey, ulong.MaxValue);
            batch.EndPart();
            return wasThere;
        };
        Scope.CommitSingle(batch);
        return wasThere;
    }

    // Under the run's lock at the newest state, or before that at a pinned one.
    private bool AddDeletion(Batch batch, byte[] storeKey, ulong sequence)
    {
        using var reader = Scope.Run.Store.Read();
        if (!reader.TryGet(storeKey, sequence, out var version) || version.IsTombstone)
            return false;
        var (operations, bytes) = (1, (long)storeKey.Length);
        foreach (var association in AssociationOperations.NamesOf(reader, storeKey.AsSpan(1), sequence))
        {
            operations++;
            bytes += association.Length;
            if (operations > Engine.Limits.TransactionOperationsMax)
            {
                throw new LimitException(
                    nameof(Limits.TransactionOperationsMax), Engine.Limits.TransactionOperationsMax, operations, "operations");
            }

            if (bytes > Engine.Limits.TransactionBytesMax)
                throw new LimitException(nameof(Limits.TransactionBytesMax), Engine.Limits.TransactionBytesMax, bytes, "bytes");
            AssociationOperations.Add(batch, OperationCode.GraphDissociate, association, 0);
        }

        ConceptOperations.Add(batch, OperationCode.GraphDelete, storeKey.AsSpan(1), 0);
        return true;
    }

    // ---- associations ------------------------------------------------------------------------------------------------------

    /// <summary>Writes an association from one end to another, over one of the same ends and type. It costs the same however many they
    /// have, and never conflicts with other associations.</summary>
    /// <param name="source">A concept, or anything else of the run by its address (<see cref="ItemAddress"/>), which as a text has at most
    /// 1,023 bytes and need not be there.</param>
    /// <param name="type">A name. Often used: <c>semantic</c>, <c>causal</c>, <c>temporal</c>, <c>hierarchical</c>,
    /// <c>compositional</c>.</param>
    /// <param name="target">The other end; not the same.</param>
    /// <param name="options">Weight, confidence, validity and more; null = weight and confidence 1.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>: a weight below 0 or not finite, a confidence outside 0
    /// to 1, a validity that ends before it begins, both ends are one; <see cref="ErrorCode.NotFound"/>: an end is missing and
    /// <see cref="AssociationOptions.MissingEnd"/> is <see cref="MissingEnd.Reject"/>; <see cref="ErrorCode.WrongType"/>: the attributes
    /// are no Object; <see cref="ErrorCode.InvalidArgument"/>: an address of a primitive that there is not.</exception>
    public Sequence Associate(ItemAddress source, string type, ItemAddress target, AssociationOptions? options = null) =>
        Associate([new AssociationItem(source, type, target, options)]);

    /// <summary>Writes an association between two concepts.</summary>
    /// <inheritdoc cref="Associate(ItemAddress, string, ItemAddress, AssociationOptions)"/>
    public Sequence Associate(string source, string type, string target, AssociationOptions? options = null) =>
        Associate(ItemAddress.OfConcept(source), type, ItemAddress.OfConcept(target), options);

    /// <summary>Writes several associations in one transaction: all or nothing.</summary>
    /// <param name="items">At most <see cref="Limits.ManyItemsMax"/>, each association once.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    /// <exception cref="CairnException">As one; also <see cref="ErrorCode.InvalidArgument"/>: an association twice.</exception>
    public Sequence AssociateMany(IReadOnlyCollection<AssociationItem> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        Many.CheckCount(items.Count, Engine.Limits);
        return Associate(items);
    }

    /// <param name="isReserved">The type is one of the engine's own.</param>
    private Sequence Associate(IReadOnlyCollection<AssociationItem> items, bool isReserved = false)
    {
        Scope.ThrowIfNotWritable();
        var operations = new List<(OperationCode Code, byte[] Key, byte[] Body)>(3 * items.Count);
        var named = new HashSet<byte[]>(items.Count, ByteArrayComparer.Instance);
        var ensured = new HashSet<byte[]>(ByteArrayComparer.Instance);
        foreach (var item in items)
            Prepare(item, operations, named, ensured, isReserved);
        Many.CheckBytes(operations.Sum(operation => operation.Key.Length + (long)operation.Body.Length), Engine.Limits);
        if (items.Count == 0)
            return Sequence.None;
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            Scope.ThrowIfNotReadable();
            foreach (var (code, key, body) in operations)
                CheckEnds(code, key, body);
            Scope.Writes!.CheckRoom(operations.Count, operations.Sum(operation => operation.Key.Length + (long)operation.Body.Length));
            foreach (var (code, key, body) in operations)
                AssociatePending(code, key, body);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        foreach (var (code, key, body) in operations)
            body.CopyTo(code == OperationCode.GraphEnsure
                ? ConceptOperations.Add(batch, code, key, 0)
                : AssociationOperations.Add(batch, code, key, body.Length, body[0]));
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    // The association, and before it the ends that it makes if they are missing.
    private void Prepare(
        AssociationItem item, List<(OperationCode Code, byte[] Key, byte[] Body)> operations, HashSet<byte[]> named,
        HashSet<byte[]> ensured, bool isReserved)
    {
        ArgumentNullException.ThrowIfNull(item);
        var options = item.Options ?? AssociationOptions.Default;
        AssociationRow.Check(options, Engine.Limits);
        Span<byte> from = stackalloc byte[Limits.KeyBytesMax];
        Span<byte> to = stackalloc byte[Limits.KeyBytesMax];
        Span<byte> name = stackalloc byte[Limits.NameBytesMax];
        Span<byte> key = stackalloc byte[GraphKeys.AssociationBytesMax];
        var source = GraphKeys.End(from, item.Source);
        var target = GraphKeys.End(to, item.Target);
        int length;
        if (isReserved)
            KeyRules.EncodeNameForRead(item.Type, name, out length);
        else
            KeyRules.EncodeName(item.Type, name, out length);
        if (source.SequenceEqual(target))
        {
            throw new CairnException(
                ErrorCode.ConstraintViolation, $"Both ends of an association are {item.Source}; it leads from one thing to another.");
        }

        byte needs = 0;
        for (var i = 0; i < 2; i++)
        {
            var end = i == 0 ? source : target;
            if (!GraphKeys.IsConcept(end))
                continue;
            if (options.MissingEnd == MissingEnd.Stub && ensured.GetAlternateLookup<ReadOnlySpan<byte>>().Add(end))
                operations.Add((OperationCode.GraphEnsure, end.ToArray(), []));
            else if (options.MissingEnd == MissingEnd.Reject)
                needs |= (i == 0) == (!options.IsSymmetric || source.SequenceCompareTo(target) < 0)
                    ? AssociationRow.NeedsSource : AssociationRow.NeedsTarget;
        }

        var association = (options.IsSymmetric && source.SequenceCompareTo(target) > 0
            ? GraphKeys.Association(key, target, name[..length], source)
            : GraphKeys.Association(key, source, name[..length], target)).ToArray();
        if (!named.Add(association))
            throw new CairnException(ErrorCode.InvalidArgument, "An association occurs twice in one call. Name each once.");
        operations.Add((OperationCode.GraphAssociate, association, AssociationRow.Write(options, needs)));
    }

    /// <summary>Takes an association away.</summary>
    /// <param name="source">Where it leads from; of a symmetric one either end.</param>
    /// <param name="type">What it says.</param>
    /// <param name="target">Where it leads to.</param>
    /// <returns>Whether it was there.</returns>
    public bool Dissociate(ItemAddress source, string type, ItemAddress target)
    {
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[GraphKeys.LengthMax];
        Span<byte> key = stackalloc byte[GraphKeys.AssociationBytesMax];
        var association = Encode(key, source, type, target);
        var storeKey = GraphKeys.Of(buffer, StoreKeys.Association, association).ToArray();
        if (Scope.Transaction is not null)
            return DissociatePending(storeKey);
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        AssociationOperations.Add(batch, OperationCode.GraphDissociate, association, 0);
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey, ExpectationKind.Present, 0), out _);
    }

    /// <summary>Takes an association between two concepts away.</summary>
    /// <inheritdoc cref="Dissociate(ItemAddress, string, ItemAddress)"/>
    public bool Dissociate(string source, string type, string target) =>
        Dissociate(ItemAddress.OfConcept(source), type, ItemAddress.OfConcept(target));

    // ---- use ---------------------------------------------------------------------------------------------------------------

    /// <summary>Records that concepts were used, once each. Adds to what is recorded and reads nothing, so it never conflicts; those that
    /// are not there are passed over.</summary>
    /// <param name="ids">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an id twice.</exception>
    public Sequence Touch(IReadOnlyCollection<string> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return Record(ids.Select(id => new KeyValuePair<string, long>(id, 0)).ToList(), accesses: 1);
    }

    /// <summary>Records which concepts of an answer were of use. An accepted one gets 0.10 and 0.15 divided by its rank, at most 0.15
    /// together, a rejected one loses 0.05; see <see cref="Concept.StrengthAt"/>. Adds to what is recorded, as <see
    /// cref="Touch"/>.</summary>
    /// <param name="accepted">With their ranks in the answer, from 1.</param>
    /// <param name="rejected">Those that were of none.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an id twice, or a rank below 1.</exception>
    public Sequence Feedback(IReadOnlyCollection<KeyValuePair<string, int>> accepted, IReadOnlyCollection<string> rejected)
    {
        ArgumentNullException.ThrowIfNull(accepted);
        ArgumentNullException.ThrowIfNull(rejected);
        var items = new List<KeyValuePair<string, long>>(accepted.Count + rejected.Count);
        foreach (var (id, rank) in accepted)
        {
            if (rank < 1)
                throw new CairnException(ErrorCode.InvalidArgument, $"The rank of a concept in an answer is {rank}; ranks begin at 1.");
            items.Add(new(id, Units(Math.Min(Accepted + (AcceptedByRank / rank), AcceptedMax))));
        }

        items.AddRange(rejected.Select(id => new KeyValuePair<string, long>(id, Units(Rejected))));
        return Record(items, accesses: 0);
    }

    private static long Units(double feedback) => (long)Math.Round(feedback * Use.FeedbackUnit);

    private Sequence Record(List<KeyValuePair<string, long>> items, uint accesses)
    {
        Scope.ThrowIfNotWritable();
        Many.CheckCount(items.Count, Engine.Limits);
        Many.CheckKeys(items.Select(item => item.Key), items.Count, isWrite: true);
        if (items.Count == 0)
            return Sequence.None;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            Scope.ThrowIfNotReadable();
            Scope.Writes!.CheckRoom(items.Count, items.Sum(item => Utf8.GetByteCount(item.Key) + (long)ConceptRecord.TouchBytes));
            foreach (var (id, feedback) in items)
                TouchPending(KeyForWrite(id, buffer)[1..], ConceptRecord.Touch(accesses, feedback));

            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        foreach (var (id, feedback) in items)
        {
            ConceptRecord.Touch(accesses, feedback)
                .CopyTo(ConceptOperations.Add(batch, OperationCode.GraphTouch, KeyForWrite(id, buffer)[1..], ConceptRecord.TouchBytes));
        }

        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    private ReadOnlySpan<byte> KeyForWrite(string id, Span<byte> buffer)
    {
        Scope.ThrowIfNotWritable();
        return KeyRules.EncodeBehind(StoreKeys.Concept, id, isWrite: true, buffer);
    }

    // ---- pending writes of a transaction -----------------------------------------------------------------------------------

    // The operations are a program, in order; what follows from them lies beside them, by key.
    private void Keep(OperationCode code, ReadOnlySpan<byte> key, byte[] body) => Scope.Writes!.Add(
        new PendingWrite { StoreKey = [], Code = code, OperationKey = key.ToArray(), Value = body });

    private PendingWrite Place(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> value, bool isDelete = false, bool isRelative = false)
    {
        if (Scope.Writes!.Find(storeKey) is not { } write)
        {
            write = new PendingWrite { StoreKey = storeKey.ToArray(), Code = 0, OperationKey = [] };
            Scope.Writes.Add(write);
        }

        write.Value = value.ToArray();
        write.IsDelete = isDelete;
        write.IsRelative = isRelative;
        write.Delta = isRelative ? Scope.Time : 0;           // of what is made or used now
        return write;
    }

    // The newest that this transaction knows, which is no read (TX-13).
    private bool TryPeek(ReadOnlySpan<byte> storeKey, out byte[] value)
    {
        value = [];
        using var reader = Scope.Run.Store.Read();
        var exists = reader.TryGet(storeKey, Scope.Sequence, out var committed) && !committed.IsTombstone;
        if (Scope.Writes!.Find(storeKey) is { } write)
        {
            if (!Scope.Overlay(write, exists, committed, out committed))
                return false;
        }
        else if (!exists)
        {
            return false;
        }

        value = committed.Value.ToArray();
        return true;
    }

    private void PutPending(ReadOnlySpan<byte> id, byte[] body)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        Invariant.Check(ConceptRecord.TryRead(body, out var fields, out var attributes, out var content), "a Put is written as it is read");
        var (before, _) = PlacesOf(id);
        PutRecordPending(id, fields);
        var (after, created) = PlacesOf(id);
        if (before != after)
        {
            if (before is not null)
                Place(GraphKeys.Type(key, before, id), default, isDelete: true);
            if (after is not null)
                Place(GraphKeys.Type(key, after, id), default);
        }

        Place(GraphKeys.Time(key, created, id), default);
        if (!content.IsEmpty)
            Place(GraphKeys.Of(key, StoreKeys.ConceptContent, id), content);
        if (!attributes.IsEmpty)
            Place(GraphKeys.Of(key, StoreKeys.ConceptAttributes, id), attributes, isDelete: attributes.Length == 1);
    }

    private (string? Type, long Created) PlacesOf(ReadOnlySpan<byte> id)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        return TryPeek(GraphKeys.Of(key, StoreKeys.Concept, id), out var record) ? ConceptRecord.Places(Value.Decode(record)) : default;
    }

    private void PutRecordPending(ReadOnlySpan<byte> id, in Value fields)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = GraphKeys.Of(buffer, StoreKeys.Concept, id);
        if (Scope.Writes!.Find(key) is not { } write)
            Place(key, fields.Encode(), isRelative: true);
        else if (write.IsDelete)
            Place(key, ConceptRecord.With(default, fields, Scope.Time).Encode());
        else if (write.IsRelative)
            Place(key, ConceptRecord.Joined(Value.Decode(write.Value), fields).Encode(), isRelative: true);
        else
            Place(key, ConceptRecord.With(Value.Decode(write.Value), fields, Scope.Time).Encode());
    }

    private void CheckEnds(OperationCode code, byte[] key, byte[] body)
    {
        if (code != OperationCode.GraphAssociate)
            return;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        GraphKeys.TrySplit(key, out var source, out _, out var target);
        for (var i = 0; i < 2; i++)
        {
            var need = i == 0 ? AssociationRow.NeedsSource : AssociationRow.NeedsTarget;
            if ((body[0] & need) == 0)
                continue;
            var concept = GraphKeys.Of(buffer, StoreKeys.Concept, i == 0 ? source : target);
            if (!TryPeek(concept, out _))
            {
                Scope.NotePoint(concept);                    // the caller is told
                throw new MissingConceptException(Utf8.GetTrustedString(concept[1..]));
            }

            if (Scope.Writes!.Find(concept) is not null)
                body[0] &= (byte)~need;                      // this transaction sees to it
        }
    }

    private void AssociatePending(OperationCode code, byte[] key, byte[] body)
    {
        Keep(code, key, body);
        if (code == OperationCode.GraphEnsure)
        {
            if (!TryPeek(GraphKeys.Of(stackalloc byte[1 + Limits.KeyBytesMax], StoreKeys.Concept, key), out _))
                PutPending(key, ConceptRecord.Write(ConceptFields.None));
            else
                PutRecordPending(key, Value.Object());       // whoever deletes it meanwhile: it is there behind this commit
            return;
        }

        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        var mirror = GraphKeys.Reversed(reversed, key);
        var row = body.ToArray();
        row[0] &= unchecked((byte)~AssociationRow.Needs);
        var isSymmetric = (row[0] & AssociationRow.Symmetric) != 0;
        if (!isSymmetric && FlagsOf(key) is { } before && (before & AssociationRow.Symmetric) != 0)
            DeleteRowPending(mirror, key);
        WriteRowPending(key, mirror, row);
        if (!isSymmetric)
            return;
        row[0] |= AssociationRow.Mirror;
        WriteRowPending(mirror, key, row);
    }

    private byte? FlagsOf(ReadOnlySpan<byte> association)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        return TryPeek(GraphKeys.Of(key, StoreKeys.Association, association), out var row) ? row[0] : null;
    }

    private void WriteRowPending(ReadOnlySpan<byte> association, ReadOnlySpan<byte> mirror, ReadOnlySpan<byte> row)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        Place(GraphKeys.Of(key, StoreKeys.Association, association), row);
        Place(GraphKeys.Of(key, StoreKeys.AssociationByTarget, mirror), row[..AssociationRow.FixedBytes(row[0])]);
    }

    private void DeleteRowPending(ReadOnlySpan<byte> association, ReadOnlySpan<byte> mirror)
    {
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        Place(GraphKeys.Of(key, StoreKeys.Association, association), default, isDelete: true);
        Place(GraphKeys.Of(key, StoreKeys.AssociationByTarget, mirror), default, isDelete: true);
    }

    private bool DissociatePending(byte[] storeKey)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        using (var reader = Scope.Run.Store.Read())
        {
            if (!Scope.TryGet(reader, storeKey, out _))
                return false;
        }

        Scope.Writes!.CheckRoom(1, storeKey.Length);
        RemovePending(storeKey.AsSpan(1));
        return true;
    }

    private void RemovePending(ReadOnlySpan<byte> association)
    {
        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        var mirror = GraphKeys.Reversed(reversed, association);
        var flags = FlagsOf(association);
        Keep(OperationCode.GraphDissociate, association, []);
        DeleteRowPending(association, mirror);
        if (flags is { } found && (found & AssociationRow.Symmetric) != 0)
            DeleteRowPending(mirror, association);
    }

    // What is deleted with it was read: an association that somebody makes meanwhile would be left without its end.
    private bool DeletePending(byte[] storeKey)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        using (var reader = Scope.Run.Store.Read())
        {
            if (!Scope.TryGet(reader, storeKey, out _))
                return false;
        }

        var id = storeKey[1..];
        var names = new List<byte[]>();
        Span<byte> name = stackalloc byte[GraphKeys.AssociationBytesMax];
        Span<byte> prefix = stackalloc byte[GraphKeys.LengthMax];
        foreach (var family in (byte[])[StoreKeys.Association, StoreKeys.AssociationByTarget])
        {
            var from = GraphKeys.Prefix(prefix, family, id).ToArray();
            byte[] to = [.. from.AsSpan(0, from.Length - 1), 1];
            Scope.Transaction!.Rests.AddRange(Scope.Run, from, to);
            var rows = new Listing(Scope, Engine.Cursors, Engine.Pins, family, from, to, int.MaxValue, null, reverse: false);
            try
            {
                while (rows.MoveNext())
                {
                    if (AssociationOperations.NameOf(rows.Key, rows.Version.Value[0], name) is { IsEmpty: false } found)
                        names.Add(found.ToArray());
                }
            }
            finally
            {
                rows.Dispose();
            }
        }

        Scope.Writes!.CheckRoom(1 + names.Count, storeKey.Length + names.Sum(found => (long)found.Length));
        foreach (var found in names)
            RemovePending(found);
        Keep(OperationCode.GraphDelete, id, []);
        var (type, created) = PlacesOf(id);
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        if (type is not null)
            Place(GraphKeys.Type(key, type, id), default, isDelete: true);
        Place(GraphKeys.Time(key, created, id), default, isDelete: true);
        foreach (var family in (ReadOnlySpan<byte>)[
            StoreKeys.Concept, StoreKeys.ConceptContent, StoreKeys.ConceptAttributes, StoreKeys.ConceptUse])
        {
            Place(GraphKeys.Of(key, family, id), default, isDelete: true);
        }

        return true;
    }

    private void TouchPending(ReadOnlySpan<byte> id, byte[] body)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        Keep(OperationCode.GraphTouch, id, body);
        var key = GraphKeys.Of(buffer, StoreKeys.ConceptUse, id);
        if (Scope.Writes!.Find(key) is not { } write)
        {
            if (TryPeek(GraphKeys.Of(stackalloc byte[1 + Limits.KeyBytesMax], StoreKeys.Concept, id), out _))
                Place(key, body.AsSpan(4, sizeof(long)), isRelative: true).Steps = BinaryPrimitives.ReadUInt32LittleEndian(body);
            return;
        }

        if (write.IsRelative)
        {
            var more = BinaryPrimitives.ReadUInt32LittleEndian(body);
            var sum = BinaryPrimitives.ReadInt64LittleEndian(write.Value) + BinaryPrimitives.ReadInt64LittleEndian(body.AsSpan(4));
            var steps = write.Steps + more;
            Span<byte> feedback = stackalloc byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(feedback, sum);
            Place(key, feedback, isRelative: true).Steps = steps;
            return;
        }

        if (!TryPeek(GraphKeys.Of(stackalloc byte[1 + Limits.KeyBytesMax], StoreKeys.Concept, id), out _))
            return;
        var used = write.IsDelete ? default : Use.Read(write.Value);
        Span<byte> bytes = stackalloc byte[ConceptRecord.UseBytes];
        ConceptOperations.ReadTouch(body, used, Scope.Time).Write(bytes);
        Place(key, bytes);
    }
}
