using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Feed;

/// <summary>The value that a key or cell had before a commit, from the run's records before it: walked back from the record's own link, so
/// it does not matter how far behind the consumer is. A key that the commit created is told by the store, without a walk. Not
/// thread-safe.</summary>
internal sealed class ValuesBefore(CommitPath path, SegmentedLog log, int valueBytesMax) : IDisposable
{
    /// <summary>Records that a walk looks at. Chosen: some 20 ms.</summary>
    internal const int RecordsMax = 10_000;

    private readonly LogReader _reader = new(log);

    /// <param name="previous">Position of the run's record before the commit.</param>
    /// <param name="time">Of the commit: what had expired by then was not there.</param>
    internal ChangedValue Of(OperationSet set, RunId run, in Operation operation, ulong sequence, ulong previous, long time)
    {
        byte[] key = [(byte)(operation.Code & 0xF0), .. operation.Key];
        if (WasCreatedBy(run, key, sequence))
            return ChangedValue.Only(ChangedValueState.Absent);
        long? expiry = null;                                 // of a later operation that changed it alone
        var (position, upTo) = (previous, ulong.MaxValue);   // records above that are none of what the fork of a past point has
        for (var records = 0; position != RunState.NoPosition; records++)
        {
            if (records == RecordsMax)
                return ChangedValue.Only(ChangedValueState.NotRead);
            if (!History.TryRead(log, _reader, run, position, out var kept, out var header, out var payload) || !kept.IsAll)
                return ChangedValue.Only(ChangedValueState.Trimmed);
            var transaction = new TransactionPayload(payload);
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != run)
                    continue;
                position = part.Previous;
                if (header.Sequence > upTo)
                    break;
                switch (Last(set, ref part, key, out var stored, out var until))
                {
                    case Projected.Value when (expiry ?? until) is > 0 and var end && end <= time:
                    case Projected.Deletion:
                        return ChangedValue.Only(ChangedValueState.Absent);
                    case Projected.Value:
                        return Decode(ValueBytes(key[0], stored!));
                    case Projected.ExpiryOnly:
                        expiry ??= until;
                        break;
                }

                if (!Begins(payload, run, out var isFork))
                    continue;
                if (!isFork || !path.Catalogue.TryGetNumbers(run, out var numbers))
                    return ChangedValue.Only(ChangedValueState.Absent);
                (run, position, upTo) = (numbers.Base, numbers.BasePosition, numbers.BasePoint); // what the fork had then is its parent's
                break;
            }
        }

        return ChangedValue.Only(ChangedValueState.Absent);
    }

    // Runs that are not in memory are left where they are: the walk answers too.
    private bool WasCreatedBy(RunId run, ReadOnlySpan<byte> key, ulong sequence)
    {
        if (path.Catalogue.FindLoaded(run) is not { } state)
            return false;
        using var reader = state.Store.Read();
        return reader.TryGetNewest(key, out var version) && !version.IsTombstone && version.Created == sequence;
    }

    /// <summary>The canonical value in what the store keeps.</summary>
    internal static ReadOnlySpan<byte> ValueBytes(byte family, ReadOnlySpan<byte> stored) =>
        family == StoreKeys.State ? stored[StateOperations.CounterBytes..] : stored;

    // What the part made of the key in the end. An expiry behind a value in one part counts for it.
    private static Projected Last(OperationSet set, ref RunPart part, byte[] key, out byte[]? stored, out long expiry)
    {
        var last = Projected.Nothing;
        (stored, expiry) = (null, 0);
        while (part.MoveNext(out var operation))
        {
            var made = set.Project(operation, key, out var bytes, out var until);
            if (made == Projected.Nothing)
                continue;
            expiry = until;
            if (made == Projected.ExpiryOnly && last == Projected.Value)
                continue;
            (last, stored) = (made, bytes);
        }

        return last;
    }

    private static bool Begins(ReadOnlySpan<byte> payload, RunId run, out bool isFork)
    {
        isFork = false;
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            if (part.Run != run)
                continue;
            while (part.MoveNext(out var operation))
            {
                isFork = operation.Code == (byte)OperationCode.RunFork;
                if (isFork || operation.Code == (byte)OperationCode.RunCreate)
                    return true;
            }
        }

        return false;
    }

    private ChangedValue Decode(ReadOnlySpan<byte> canonical)
    {
        if (canonical.Length > valueBytesMax)
            return ChangedValue.Only(ChangedValueState.NotRead);
        return ValueDecoder.TryDecode(canonical, out var value, out _)
            ? ChangedValue.Of(value)
            : throw new MalformedPayloadException("a canonical value");
    }

    public void Dispose() => _reader.Dispose();
}
