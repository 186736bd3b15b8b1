using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A commit as its record in the log tells it.</summary>
public sealed record CommittedTransaction
{
    internal CommittedTransaction()
    {
    }

    /// <summary>Its place in the order of commits.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Commit time, to the microsecond.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>The runs that it changed, ascending.</summary>
    public required IReadOnlyList<RunId> Runs { get; init; }

    /// <summary>What it did, in order, run by run.</summary>
    public required IReadOnlyList<LogOperation> Operations { get; init; }

    /// <summary>Who and what caused it; <see cref="CommitAttributes.None"/> when that was not told.</summary>
    public required CommitAttributes Attributes { get; init; }

    /// <summary>The key under which it is done once (<see cref="Run.TransactOnce(string, Action{Transaction}, TransactionOptions?)"/>);
    /// null = none.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>Reads the record of a transaction that came through the checks of a reader.</summary>
    /// <exception cref="CorruptionException">Behind right checks there is no transaction of this format.</exception>
    internal static CommittedTransaction Of(
        ILogRecords log, OperationTable table, in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        try
        {
            var transaction = new TransactionPayload(payload);
            if (!CommitAttributes.TryDecode(transaction.Attributes, out var attributes))
                throw new MalformedPayloadException("attributes of a commit");
            var (runs, operations, once) = (new List<RunId>(), new List<LogOperation>(), default(string));
            while (transaction.MoveNext(out var part))
            {
                runs.Add(part.Run);
                while (part.MoveNext(out var operation))
                {
                    var told = OperationOf(table, part.Run, operation);
                    operations.Add(told);
                    if (operation.Code == (byte)OperationCode.Idempotency && operation.HasExpiry)
                        once = told.Address.Key;
                }
            }

            return new CommittedTransaction
            {
                Sequence = new Sequence(header.Sequence),
                Time = CommitClock.Time(transaction.CommitTime),
                Runs = runs,
                Operations = operations,
                Attributes = attributes,
                IdempotencyKey = once,
            };
        }
        catch (MalformedPayloadException malformed)
        {
            var (path, offset, _) = log.PlaceOf(position);
            throw new CorruptionException(path, offset, new Sequence(header.Sequence), malformed.Expected);
        }
    }

    private static LogOperation OperationOf(OperationTable table, RunId run, in Operation operation)
    {
        var code = (OperationCode)operation.Code;
        var set = table.Find(code) ?? throw new MalformedPayloadException($"operation code {operation.Code:X2}", isUnknown: true);
        var body = operation.Body.ToArray();
        return new LogOperation(
            run, Engine.OperationName(code), operation.Key.ToArray(), body,
            operation.Expiry == 0 ? null : CommitClock.Time(operation.Expiry))
        {
            Address = new ItemAddress(set.Name, set.Describe(operation, run)),
            Path = PathIn(operation, out var given),
            Value = given ?? (VectorBody.IsVector(operation.Code) ? Vectors.VectorValues.Said(operation, out _) : ValueIn(code, body)),
        };
    }

    private static DocumentPath? PathIn(in Operation operation, out Value? given)
    {
        var code = (OperationCode)operation.Code;
        given = null;
        if (!Feed.ChangeMatch.IsDocument(code))
            return null;
        if (!DocumentBody.TryRead(operation, out var body))
            throw new MalformedPayloadException("an operation on a document");
        given = body.Given(code);
        return DocumentBody.HasPath(code) ? new DocumentPath(Documents.EncodedPath.Read(body.Path)) : null;
    }

    // Where the canonical value lies in a body, by docs/format.md.
    private static Value? ValueIn(OperationCode code, byte[] body) => code switch
    {
        OperationCode.KvPut => Value.Decode(body),
        OperationCode.KvIncrement => BinaryPrimitives.ReadInt64LittleEndian(body.AsSpan(sizeof(long))),
        OperationCode.StateInit or OperationCode.StateSet or OperationCode.StateTransition or OperationCode.StateLease =>
            Value.Decode(body.AsSpan(sizeof(uint) + sizeof(ulong))),
        OperationCode.EventAppend => Value.Decode(EventOperations.PayloadIn(body)),
        OperationCode.TraceRecord or OperationCode.RunCreate or OperationCode.RunUpdate or OperationCode.RunEnd or OperationCode.RunResume
            or OperationCode.RunArchive or OperationCode.RunFork or OperationCode.RunMerge or OperationCode.Retention => Value.Decode(body),
        OperationCode.GraphPut => ConceptRecord.Asked(body),
        OperationCode.GraphTouch => ConceptRecord.AskedTouch(body),
        OperationCode.GraphAssociate => AssociationRow.Asked(body),
        OperationCode.Idempotency when body.Length > 0 => Value.Decode(body),
        _ => default(Value?),
    };
}
