using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>One version of a key, taken from the log.</summary>
internal readonly record struct PastVersion(byte[]? Stored, long Expiry, ulong Sequence, long Time);

/// <summary>
/// Older versions of a key. Memory keeps the newest and the pinned ones; the log keeps the rest, and each run part of a record
/// names the record before it, so walking back costs what the run wrote since, not what the database holds. Without a log only the
/// newest version is kept (DUR-2): asking for more is answered with <see cref="HistoryTrimmedException"/>, never with less.
/// </summary>
internal static class History
{
    /// <summary>Versions of a key, newest first, tombstones included.</summary>
    /// <param name="upTo">Only versions at or below this sequence.</param>
    internal static List<PastVersion> Read(Scope scope, byte[] storeKey, ulong upTo, int limit)
    {
        scope.ThrowIfNotReadable();
        if (scope.Kind == ScopeKind.Transaction)
            scope.NotePoint(storeKey);
        upTo = Math.Min(upTo, scope.Sequence);
        return scope.Path.Log.Device is SegmentedLog log ? Walk(scope, log, storeKey, upTo, limit) : Newest(scope, storeKey, upTo, limit);
    }

    private static List<PastVersion> Newest(Scope scope, byte[] storeKey, ulong upTo, int limit)
    {
        using var reader = scope.Run.Store.Read();
        if (!reader.TryGet(storeKey, Math.Min(upTo, scope.Sequence), out var version))
        {
            if (reader.TryGetNewest(storeKey, out var newer))
                throw new HistoryTrimmedException(new Sequence(upTo), new Sequence(newer.Sequence));
            return [];
        }

        if (limit > 1)
            throw new HistoryTrimmedException(new Sequence(version.Sequence - 1), new Sequence(version.Sequence));
        return [new PastVersion(version.IsTombstone ? null : version.Value.ToArray(), version.Expiry, version.Sequence, version.Time)];
    }

    private static List<PastVersion> Walk(Scope scope, SegmentedLog log, byte[] storeKey, ulong upTo, int limit)
    {
        // What is visible is written; what is only applied may not be, so the walk begins when that is visible too.
        ulong position, newest;
        lock (scope.Run.CommitLock)
        {
            position = scope.Run.LastPosition;
            newest = scope.Run.LastSequence;
        }

        scope.Path.Log.WaitVisible(newest);
        var versions = new List<PastVersion>();
        var expiryOnly = new List<PastVersion>();            // wait for the value they kept
        using var reader = new LogReader(log);
        var set = scope.Path.Operations.Sets.First(set => set.Owns(storeKey[0]));
        while (position != RunState.NoPosition && versions.Count < limit)
        {
            var header = reader.Read(position, out var payload);
            var transaction = new TransactionPayload(payload);
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != scope.Run.Id)
                    continue;
                position = part.Previous;
                Collect(ref part, set, storeKey, header.Sequence, transaction.CommitTime, versions, expiryOnly, upTo);
            }
        }

        if (versions.Count > limit)
            versions.RemoveRange(limit, versions.Count - limit);
        return versions;
    }

    private static void Collect(
        ref RunPart part, OperationSet set, byte[] storeKey, ulong sequence, long time, List<PastVersion> versions, List<PastVersion> expiryOnly, ulong upTo)
    {
        PastVersion? found = null;
        var kind = Projected.Nothing;
        while (part.MoveNext(out var operation))
        {
            var projected = set.Project(operation, storeKey, out var stored, out var expiry);
            if (projected == Projected.Nothing)
                continue;
            kind = projected;
            found = new PastVersion(stored, expiry, sequence, time);
        }

        if (found is not { } version)
            return;
        if (kind == Projected.ExpiryOnly)
        {
            expiryOnly.Add(version);
            return;
        }

        foreach (var later in expiryOnly)
        {
            if (later.Sequence <= upTo)
                versions.Add(later with { Stored = version.Stored });
        }

        expiryOnly.Clear();
        if (sequence <= upTo)
            versions.Add(version);
    }
}
