using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>One version of a key, taken from the log or from memory.</summary>
/// <param name="Stored">As the store holds it; of a tombstone what it carries (the counter of a deleted state cell).</param>
internal readonly record struct PastVersion(byte[] Stored, bool IsDeletion, long Expiry, ulong Sequence, long Time)
{
    internal static PastVersion Of(in VersionView version) =>
        new(version.Value.ToArray(), version.IsTombstone, version.Expiry, version.Sequence, version.Time);

    /// <summary>TTL-3.</summary>
    internal bool IsLiveAt(long time) => !IsDeletion && (Expiry == 0 || Expiry > time);
}

/// <summary>
/// Older versions of a key: what was committed, never a transaction's own writes. Memory keeps the newest and the pinned ones; the log
/// keeps the rest, and each run part of a record names the record before it, so walking back costs what the run wrote since, not what
/// the database holds. Without a log only the newest version is kept (DUR-2): what that does not answer for certain is answered with
/// <see cref="HistoryTrimmedException"/>, never with less (VER-7).
/// </summary>
internal static class History
{
    /// <summary>Versions of a key, newest first, tombstones included.</summary>
    /// <param name="scope">Sees nothing newer than itself; a transaction remembers the key as read.</param>
    /// <param name="storeKey">The key.</param>
    /// <param name="limit">Most versions; 0 = the most that may be asked for.</param>
    /// <param name="before">Only versions before this one; null = from the newest.</param>
    internal static List<PastVersion> Read(Scope scope, byte[] storeKey, int limit, Sequence? before, Limits limits)
    {
        if (limit < 0)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"A limit of {limit} makes no sense. Ask for 1 to {limits.HistoryVersionsMax}, or 0 for the most.");
        }

        if (limit > limits.HistoryVersionsMax)
            throw new LimitException(nameof(Limits.HistoryVersionsMax), limits.HistoryVersionsMax, limit, "versions");
        Enter(scope, storeKey);
        if (before is { Value: 0 })
            return [];
        var upTo = before is { } bound ? bound.Value - 1 : ulong.MaxValue;
        var most = limit == 0 ? limits.HistoryVersionsMax : limit;
        if (LogOf(scope) is { } log)
            return Walk(scope, log, storeKey, Math.Min(upTo, scope.Sequence), long.MaxValue, most);
        if (Newest(scope, storeKey, upTo) is not { } newest)
            return [];
        if (most > 1)
            throw new HistoryTrimmedException(new Sequence(newest.Sequence - 1), new Sequence(newest.Sequence));
        return [newest];
    }

    /// <summary>The version that was valid right after a commit; null when there was none, or a deletion, or it had expired by the time of
    /// that commit.</summary>
    internal static PastVersion? At(Scope scope, byte[] storeKey, Sequence sequence)
    {
        Enter(scope, storeKey);
        var last = scope.IsLive ? scope.Path.Log.LastSequence : scope.Sequence;
        if (sequence.Value > last)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {sequence} is not there yet: the last one that can be asked for is @{last}.");
        }

        if (sequence == Sequence.None)
            return null;
        PastVersion version;
        if (LogOf(scope) is { } log)
        {
            if (Walk(scope, log, storeKey, Math.Min(sequence.Value, scope.Sequence), long.MaxValue, 1) is not [var found])
                return null;
            version = found;
            if (version.IsDeletion)
                return null;
            return version.Expiry == 0 || version.Expiry > TimeOf(log, sequence.Value) ? version : null;
        }

        var kept = sequence.Value == last ? Current(scope, storeKey) : Newest(scope, storeKey, sequence.Value);
        if (kept is not { IsDeletion: false } newest)
            return null;
        version = newest;
        // Commit times of others are not kept. Not expired by the last of them is not expired by that one.
        if (version.IsLiveAt(scope.Path.Log.LastTime) || sequence.Value == version.Sequence)
            return version;
        return sequence.Value == last ? null : throw new HistoryTrimmedException(sequence, new Sequence(last));
    }

    /// <summary>The version that was valid at a time, microseconds since 1970; null when there was none, or a deletion, or it had expired
    /// then.</summary>
    internal static PastVersion? At(Scope scope, byte[] storeKey, long time)
    {
        Enter(scope, storeKey);
        PastVersion? found;
        if (LogOf(scope) is { } log)
        {
            found = Walk(scope, log, storeKey, scope.Sequence, time, 1) is [var past] ? past : null;
        }
        else
        {
            found = time >= scope.Path.Log.LastTime ? Current(scope, storeKey) : Newest(scope, storeKey, ulong.MaxValue);
            if (found is { } newest && newest.Time > time)
                throw new HistoryTrimmedException(new Sequence(newest.Sequence - 1), new Sequence(newest.Sequence));
        }

        return found is { } version && version.IsLiveAt(time) ? version : null;
    }

    private static void Enter(Scope scope, byte[] storeKey)
    {
        scope.ThrowIfNotReadable();
        scope.NotePoint(storeKey);
    }

    private static SegmentedLog? LogOf(Scope scope) => scope.Path.Log.Device as SegmentedLog;

    // ---- without a log --------------------------------------------------------------------------------------------------------

    // The version at or below a sequence, if memory can tell. A version between two that are kept may have been swept, and so may a
    // tombstone: only the newest version, or one of exactly that sequence, is an answer.
    private static PastVersion? Newest(Scope scope, byte[] storeKey, ulong upTo)
    {
        if (Current(scope, storeKey) is { } newest)
        {
            if (newest.Sequence <= upTo)
                return newest;
            using var reader = scope.Run.Store.Read();
            if (reader.TryGet(storeKey, upTo, out var older) && (older.Sequence == upTo || Mutant.Is("history-guesses-the-past")))
                return PastVersion.Of(older);
            throw new HistoryTrimmedException(new Sequence(upTo), new Sequence(newest.Sequence));
        }

        var last = scope.IsLive ? scope.Path.Log.LastSequence : scope.Sequence;
        if (last == 0)
            return null;
        throw new HistoryTrimmedException(new Sequence(Math.Min(upTo, last)), new Sequence(last));
    }

    // What the scope sees, without the transaction's own writes; null also where a tombstone was swept.
    private static PastVersion? Current(Scope scope, byte[] storeKey)
    {
        using var reader = scope.Run.Store.Read();
        return scope.TryGetCommitted(reader, storeKey, out var version) ? PastVersion.Of(version) : null;
    }

    // ---- from the log ---------------------------------------------------------------------------------------------------------

    private static List<PastVersion> Walk(Scope scope, SegmentedLog log, byte[] storeKey, ulong upTo, long untilTime, int limit)
    {
        // What is visible is written; what is only applied may not be, so the walk begins when that is visible too.
        ulong position, newest;
        lock (scope.Run.CommitLock)
        {
            position = scope.Run.LastPosition;
            newest = scope.Run.LastSequence;
        }

        scope.Path.Log.WaitVisible(newest);
        var walk = new Backwards(scope.Path.Operations.Sets.First(set => set.Owns(storeKey[0])), storeKey, upTo, untilTime);
        using var reader = new LogReader(log);
        while (position != RunState.NoPosition && walk.Versions.Count < limit)
        {
            var header = reader.Read(position, out var payload);
            var transaction = new TransactionPayload(payload);
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != scope.Run.Id)
                    continue;
                position = part.Previous;
                walk.Collect(ref part, header.Sequence, transaction.CommitTime);
            }
        }

        if (walk.Versions.Count > limit)
            walk.Versions.RemoveRange(limit, walk.Versions.Count - limit);
        return walk.Versions;
    }

    // The commit may be another run's, so no walk of this one meets it: the segment that holds it is read up to there.
    private static long TimeOf(SegmentedLog log, ulong sequence)
    {
        using var reader = new LogReader(log);
        var scan = reader.Scan(log.PositionBefore(sequence));
        while (scan.MoveNext())
        {
            if (scan.Header.Type == RecordType.Transaction && scan.Header.Sequence == sequence)
                return new TransactionPayload(scan.Payload).CommitTime;
        }

        throw new HistoryTrimmedException(new Sequence(sequence), new Sequence(log.SegmentAt(log.FirstPosition).FirstSequence));
    }

    /// <summary>Versions of one key, as records are met from the newest back.</summary>
    private sealed class Backwards(OperationSet set, byte[] storeKey, ulong upTo, long untilTime)
    {
        private readonly List<PastVersion> _expiryOnly = [];     // wait for the value that they kept

        internal List<PastVersion> Versions { get; } = [];

        internal void Collect(ref RunPart part, ulong sequence, long time)
        {
            PastVersion? found = null;
            var kind = Projected.Nothing;
            while (part.MoveNext(out var operation))
            {
                var projected = set.Project(operation, storeKey, out var stored, out var expiry);
                if (projected == Projected.Nothing)
                    continue;
                kind = projected;
                found = new PastVersion(stored ?? [], projected == Projected.Deletion, expiry, sequence, time);
            }

            if (found is not { } version)
                return;
            if (kind == Projected.ExpiryOnly)
            {
                _expiryOnly.Add(version);
                return;
            }

            foreach (var later in _expiryOnly)
                Add(later with { Stored = version.Stored });
            _expiryOnly.Clear();
            Add(version);
        }

        private void Add(in PastVersion version)
        {
            if (version.Sequence <= upTo && version.Time <= untilTime)
                Versions.Add(version);
        }
    }
}
