using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn.Feed;

/// <summary>A filter that was checked, and what it makes of the operations of a record. Immutable.</summary>
internal sealed class ChangeMatch
{
    private static readonly string[] Known =
    [
        "kv", "json", "vectors", "events", "state", "traces", "graph", "associations", "runs", "merges", "idempotency", "subscriptions",
        "triggers",
    ];

    /// <summary>What consumers leave behind themselves: unasked, a consumer would be given its own acknowledgements for ever.</summary>
    private static readonly string[] OnlyNamed = ["subscriptions", "triggers"];

    private readonly HashSet<RunId>? _runs;
    private readonly HashSet<string>? _primitives;
    private readonly byte[]? _prefix;
    private readonly TypeFilter? _types;
    private readonly HashSet<string>? _tags;
    private readonly HashSet<string>? _collections;

    private ChangeMatch(ChangeFilter filter, Limits limits)
    {
        if (filter.Collections is { } collections)
        {
            _collections = new HashSet<string>(Counted(collections, nameof(filter.Collections), limits), StringComparer.Ordinal);
            Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
            foreach (var name in _collections)
                KeyRules.EncodeNameForRead(name, buffer, out _);
        }

        if (filter.Runs is { } runs)
            _runs = [.. Counted(runs, nameof(filter.Runs), limits)];
        if (filter.Primitives is { } primitives)
            _primitives = new HashSet<string>(Counted(primitives, nameof(filter.Primitives), limits), StringComparer.Ordinal);
        if (_primitives?.FirstOrDefault(name => !Known.Contains(name, StringComparer.Ordinal)) is not null)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"A filter names a primitive that there is not. There are {string.Join(", ", Known)}.");
        }

        if (filter.KeyPrefix is { } prefix)
            _prefix = EncodePrefix(prefix);
        if (filter.Types is { } types)
            _types = TypeFilter.Of(Counted(types, nameof(filter.Types), limits), limits);
        if (filter.Tags is { } tags)
            _tags = new HashSet<string>(RunRules.CheckTags(Counted(tags, nameof(filter.Tags), limits), limits), StringComparer.Ordinal);
    }

    /// <exception cref="CairnException">A condition is none.</exception>
    /// <exception cref="LimitException">One is too long.</exception>
    internal static ChangeMatch Of(ChangeFilter? filter, Limits limits) => new(filter ?? ChangeFilter.All, limits);

    private static IReadOnlyCollection<T> Counted<T>(IReadOnlyCollection<T> items, string condition, Limits limits)
    {
        if (items.Count == 0)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"The condition {condition} is empty, so nothing would pass. Null is no condition.");
        }

        Many.CheckCount(items.Count, limits);
        return items;
    }

    private static byte[] EncodePrefix(string prefix)
    {
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead(prefix, buffer, out var length);
        return buffer[..length].ToArray();
    }

    /// <summary>Whether a part of a record can pass.</summary>
    internal bool Takes(RunId run) => _runs?.Contains(run) ?? run != RunId.System;

    internal bool Takes(OperationSet set, in Operation operation)
    {
        if (_primitives is null ? OnlyNamed.Contains(set.Name, StringComparer.Ordinal) : !_primitives.Contains(set.Name))
            return false;
        if (_prefix is not null && !(HasKey((OperationCode)operation.Code) && operation.Key.StartsWith(_prefix)))
            return false;
        if (_collections is not null && !TakesCollection(operation))
            return false;
        if (_types is null && _tags is null)
            return true;
        return (OperationCode)operation.Code switch
        {
            OperationCode.EventAppend or OperationCode.EventRedact => _tags is null && _types!.Takes(operation.Key),
            OperationCode.TraceRecord => TakesTrace(operation),
            _ => false,
        };
    }

    private bool TakesCollection(in Operation operation) => VectorBody.IsVector(operation.Code)
        && VectorBody.TryRead(operation, out var body) && _collections!.Contains(Utf8.GetTrustedString(body.Name));

    private bool TakesTrace(in Operation operation)
    {
        var order = OrderOf(operation);
        return (_types is null || _types.Takes(Utf8.GetBytes(TraceContent.WordOf(order.Type))))
            && (_tags is null || order.Tags.Any(_tags.Contains));
    }

    /// <summary>The key of the operation is that of a key-value, a state cell or a vector, or the id of a document or a concept,
    /// or the end that an association leads from.</summary>
    internal static bool HasKey(OperationCode code) => HasWhole(code) || IsDocument(code) || IsOfGraph(code)
        || code is OperationCode.VectorUpsert or OperationCode.VectorSetMetadata or OperationCode.VectorDelete;

    /// <summary>The operation says by itself what the thing of its key came to.</summary>
    internal static bool HasWhole(OperationCode code) => ((byte)code & 0xF0) is StoreKeys.Kv or StoreKeys.State;

    internal static bool IsDocument(OperationCode code) => ((byte)code & 0xF0) == StoreKeys.Json;

    /// <summary>On a concept, or on an association, whose key begins with the end that it leads from.</summary>
    internal static bool IsOfGraph(OperationCode code) => ((byte)code & 0xF0) == StoreKeys.Concept;

    internal static TraceOrder OrderOf(in Operation operation) =>
        Fields.TryRead(operation.Body, out var fields) && TraceContent.TryReadOrder(fields, out var order)
            ? order
            : throw new MalformedPayloadException("a trace");
}

/// <summary>Makes changes of operations. Total over what <see cref="TransactionPayload"/> lets through: what is not an operation of this
/// version is a <see cref="MalformedPayloadException"/>.</summary>
internal readonly struct ChangeDecoder(OperationTable operations, ChangeOptions options)
{
    internal OperationSet SetOf(in Operation operation) => operations.Find((OperationCode)operation.Code)
        ?? throw new MalformedPayloadException($"operation code {operation.Code:X2}", isUnknown: true);

    /// <param name="before">Null = not asked for.</param>
    /// <param name="previous">Position of the run's record before this one.</param>
    internal Change Decode(
        OperationSet set, RunId run, in Operation operation, ulong sequence, ValuesBefore? before, ulong previous, long time)
    {
        var code = (OperationCode)operation.Code;
        var change = new Change
        {
            Run = run,
            Primitive = set.Name,
            Operation = OperationCodes.NameOf(code),
            Key = set.Describe(operation, run),
            Version = new Sequence(sequence),
            Expiry = operation.Expiry == 0 ? null : CommitClock.Time(operation.Expiry),
        };
        switch (code)
        {
            case OperationCode.EventAppend:
                change = change with { Number = NumberOf(operation), Type = Utf8.GetTrustedString(operation.Key), Expiry = null };
                break;
            case OperationCode.EventRedact:
                change = change with
                {
                    Number = NumberOf(operation),
                    Type = operation.Key.IsEmpty ? null : Utf8.GetTrustedString(operation.Key),
                };
                break;
            case OperationCode.TraceRecord:
                var order = ChangeMatch.OrderOf(operation);
                change = change with { Type = TraceContent.WordOf(order.Type), Tags = order.Tags };
                break;
            case OperationCode.KvIncrement:
                var kept = BinaryPrimitives.ReadInt64LittleEndian(operation.Body[16..]);
                change = change with { Expiry = kept == 0 ? null : CommitClock.Time(kept) };
                break;
            case var any when ChangeMatch.IsDocument(any):
                return OfDocument(change, operation);
            case var any when VectorBody.IsVector((byte)any):
                return OfVectors(change, operation);
            case var any when ChangeMatch.IsOfGraph(any):
                return OfGraph(change, operation);
            case not OperationCode.StateExpire when ((byte)code & 0xF0) == StoreKeys.State:
                change = change with { Counter = new Counter(BinaryPrimitives.ReadUInt64LittleEndian(operation.Body[sizeof(uint)..])) };
                break;
        }

        if (options.Values == ChangeValues.None)
            return change;
        change = change with { After = After(set, operation) };
        return before is null || !ChangeMatch.HasWhole(code)
            ? change
            : change with { Before = before.Of(set, run, operation, sequence, previous, time) };
    }

    // What was asked, and what that says of the place; the document itself is in no record (DocumentOperations.cs).
    private Change OfDocument(Change change, in Operation operation)
    {
        var code = (OperationCode)operation.Code;
        if (!DocumentBody.TryRead(operation, out var body))
            throw new MalformedPayloadException("an operation on a document");
        if (DocumentBody.HasPath(code))
            change = change with { Path = new DocumentPath(EncodedPath.Read(body.Path)) };
        if (options.Values == ChangeValues.None)
            return change;
        var given = operation.Body.Length > options.ValueBytesMax ? ChangedValue.Only(ChangedValueState.NotRead)
            : body.Given(code) is { } value ? ChangedValue.Of(value) : default;
        return change with
        {
            Given = given,
            After = code switch
            {
                OperationCode.JsonCreate or OperationCode.JsonPut or OperationCode.JsonSet => given,
                OperationCode.JsonIncrement => ChangedValue.Of(body.Sum),
                OperationCode.JsonDeletePath or OperationCode.JsonDestroy => ChangedValue.Only(ChangedValueState.Absent),
                OperationCode.JsonExpire => ChangedValue.Only(ChangedValueState.Unchanged),
                _ => default,
            },
        };
    }

    // Of a deleted collection nothing is told of what it held.
    private Change OfVectors(Change change, in Operation operation)
    {
        var code = (OperationCode)operation.Code;
        var isLarge = operation.Body.Length > options.ValueBytesMax;
        string collection;
        Value? said = null;
        if (isLarge || options.Values == ChangeValues.None)
        {
            if (!VectorBody.TryRead(operation, out var body))
                throw new MalformedPayloadException("an operation on vectors");
            collection = Utf8.GetTrustedString(body.Name);
        }
        else
        {
            said = VectorValues.Said(operation, out collection);
        }

        change = change with
        {
            Collection = collection,
            Key = code is OperationCode.VectorCreate or OperationCode.VectorDrop ? "" : Utf8.GetTrustedString(operation.Key),
        };
        if (options.Values == ChangeValues.None)
            return change;
        return change with
        {
            After = code is OperationCode.VectorDelete or OperationCode.VectorDrop ? ChangedValue.Only(ChangedValueState.Absent)
                : said is { } value ? ChangedValue.Of(value) : ChangedValue.Only(ChangedValueState.NotRead),
        };
    }

    // A Put and a Touch say what they add; an association is said whole.
    private Change OfGraph(Change change, in Operation operation)
    {
        if (options.Values == ChangeValues.None)
            return change;
        var code = (OperationCode)operation.Code;
        var given = operation.Body.Length > options.ValueBytesMax ? ChangedValue.Only(ChangedValueState.NotRead)
            : code switch
            {
                OperationCode.GraphPut => Given(ConceptRecord.Asked(operation.Body)),
                OperationCode.GraphTouch => Given(ConceptRecord.AskedTouch(operation.Body)),
                OperationCode.GraphAssociate => Given(AssociationRow.Asked(operation.Body)),
                _ => default,
            };
        return change with
        {
            Given = given,
            After = code switch
            {
                OperationCode.GraphAssociate => given,
                OperationCode.GraphDelete or OperationCode.GraphDissociate => ChangedValue.Only(ChangedValueState.Absent),
                _ => default,
            },
        };
    }

    private static ChangedValue Given(Value? value) =>
        value is { } found ? ChangedValue.Of(found) : throw new MalformedPayloadException("an operation on the graph");

    private ChangedValue After(OperationSet set, in Operation operation)
    {
        var code = (OperationCode)operation.Code;
        if (ChangeMatch.HasWhole(code))
        {
            byte[] key = [(byte)((byte)code & 0xF0), .. operation.Key];
            return set.Project(operation, key, out var stored, out _) switch
            {
                Projected.Value => ValueIn(ValuesBefore.ValueBytes(key[0], stored!)),
                Projected.ExpiryOnly => ChangedValue.Only(ChangedValueState.Unchanged),
                _ => ChangedValue.Only(ChangedValueState.Absent),
            };
        }

        return code switch
        {
            OperationCode.EventAppend => ValueIn(EventOperations.PayloadIn(operation.Body)),
            OperationCode.EventConsumerCommit => ChangedValue.Of((long)BinaryPrimitives.ReadUInt64LittleEndian(operation.Body)),
            OperationCode.TraceRecord or OperationCode.RunCreate or OperationCode.RunUpdate or OperationCode.RunEnd
                or OperationCode.RunResume or OperationCode.RunArchive or OperationCode.Retention => ValueIn(operation.Body),
            OperationCode.EventRedact or OperationCode.TraceRedact or OperationCode.RunDelete =>
                ChangedValue.Only(ChangedValueState.Absent),
            _ => default,
        };
    }

    private ChangedValue ValueIn(ReadOnlySpan<byte> canonical)
    {
        if (canonical.Length > options.ValueBytesMax)
            return ChangedValue.Only(ChangedValueState.NotRead);
        return ValueDecoder.TryDecode(canonical, out var value, out _)
            ? ChangedValue.Of(value)
            : throw new MalformedPayloadException("a canonical value");
    }

    private static EventNumber NumberOf(in Operation operation) => operation.Body.Length >= sizeof(ulong)
        ? new EventNumber(BinaryPrimitives.ReadUInt64LittleEndian(operation.Body))
        : throw new MalformedPayloadException("the number of an event");
}
