using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Vectors;

namespace Cairn.Replay;

/// <summary>The versions of a vector, from the run's records: walked back from the newest one until enough are met of which the embedding
/// is known, and told from there on. Costs what the run wrote since then.</summary>
internal static class VectorHistory
{
    /// <summary>Newest first.</summary>
    /// <param name="most">Most versions.</param>
    /// <param name="upTo">Versions above are left out.</param>
    /// <exception cref="HistoryTrimmedException">Records on the way are no longer kept.</exception>
    internal static List<HistoryItem<VectorRecord>> Read(DiffEnd end, byte[] name, byte[] key, int most, ulong upTo, Limits limits)
    {
        var records = Collect(end, name, key, most, upTo, limits, out var oldest, out var isWhole);
        var versions = Replay(records, Codec.Utf8.GetTrustedString(key));
        if (!isWhole && versions.Count < most)
            throw new HistoryTrimmedException(new Sequence(oldest - 1), new Sequence(oldest));
        versions.Reverse();
        return versions.Count > most ? versions.GetRange(0, most) : versions;
    }

    private sealed record Touched(ulong Sequence, long Time, List<byte[]> Operations);

    private static List<Touched> Collect(
        DiffEnd end, byte[] name, byte[] key, int most, ulong upTo, Limits limits, out ulong oldest, out bool isWhole)
    {
        var records = new List<Touched>();
        var bytes = 0L;
        using var chain = new DiffChain(end, null);
        while (chain.MoveNext(out var payload))
        {
            if (chain.Header.Sequence > upTo)
                continue;
            var transaction = new TransactionPayload(payload);
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != chain.Run || Operations(part, name, key, out var begins) is not { Count: > 0 } operations)
                    continue;
                bytes += operations.Sum(operation => (long)operation.Length);
                if (bytes > limits.ViewBytesMax)
                    throw new LimitException(nameof(Limits.ViewBytesMax), limits.ViewBytesMax, bytes, "bytes of all versions together");
                records.Add(new Touched(chain.Header.Sequence, transaction.CommitTime, operations));
                if (!begins || records.Count < most)
                    continue;
                (oldest, isWhole) = (chain.Header.Sequence, true);
                return records;
            }
        }

        (oldest, isWhole) = (chain.Oldest, !chain.IsTrimmed);

        // Below a gap: metadata of an embedding that is not known is of no use.
        while (!isWhole && records.Count > 0 && !Begins(records[^1].Operations[0][0]))
            records.RemoveAt(records.Count - 1);
        return records;
    }

    private static List<byte[]> Operations(RunPart part, byte[] name, byte[] key, out bool begins)
    {
        var operations = new List<byte[]>();
        begins = false;
        while (part.MoveNext(out var operation))
        {
            if (!VectorBody.IsVector(operation.Code) || operation.Code == (byte)OperationCode.VectorCreate
                || !VectorBody.TryRead(operation, out var body) || !body.Name.SequenceEqual(name)
                || (operation.Code != (byte)OperationCode.VectorDrop && !operation.Key.SequenceEqual(key)))
            {
                continue;
            }

            begins |= operations.Count == 0 && Begins(operation.Code);
            operations.Add(operation.Bytes.ToArray());
        }

        return operations;
    }

    // Of a collection that was deleted it is not said whether the vector was in it.
    private static bool Begins(byte code) => (OperationCode)code is OperationCode.VectorUpsert or OperationCode.VectorDelete;

    private static List<HistoryItem<VectorRecord>> Replay(List<Touched> records, string key)
    {
        var versions = new List<HistoryItem<VectorRecord>>();
        VectorRecord? vector = null;
        for (var n = records.Count - 1; n >= 0; n--)
        {
            var record = records[n];
            var before = vector;
            foreach (var encoded in record.Operations)
                vector = Do(vector, new Operation(encoded, out _), key, record);
            if (vector is null && before is null)
                continue;                                    // a collection that it was not in has gone
            versions.Add(new HistoryItem<VectorRecord>(
                vector!, vector is null, new Sequence(record.Sequence), CommitClock.Time(record.Time), vector?.Expiry));
        }

        return versions;
    }

    private static VectorRecord? Do(VectorRecord? vector, Operation operation, string key, Touched record)
    {
        Invariant.Check(VectorBody.TryRead(operation, out var body), "a record that was applied can be read");
        var version = new Sequence(record.Sequence);
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.VectorUpsert:
                var embedding = new float[body.Dimension];
                StoredForm.Decode(body.Element, body.Embedding, embedding);
                return new VectorRecord
                {
                    Key = key,
                    Id = new VectorId(body.Id),
                    Embedding = embedding,
                    Metadata = VectorValues.Metadata(body.Metadata),
                    Version = version,
                    Created = Sequence.None,
                    Time = CommitClock.Time(record.Time),
                    Expiry = Versions.ToExpiry(operation.Expiry),
                };
            case OperationCode.VectorSetMetadata:
                return vector is null ? null : vector with
                {
                    Metadata = VectorValues.Metadata(body.Metadata), Version = version, Time = CommitClock.Time(record.Time),
                };
            default:
                return null;
        }
    }
}
