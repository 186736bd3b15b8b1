using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>
/// What a policy of retention would let go of in one run (RET-6): walks the run's records from the newest back, so that the successor of
/// each version is met before it. A version was valid until its successor came; a policy by time keeps it while that moment lies within the
/// duration, one by number counts successors. Events go from the front, up to the first one that is kept.
/// </summary>
internal static class RetentionForecast
{
    internal static RetentionPreview Of(SnapshotRegistry pins, Scope scope, Retention policy, long now)
    {
        scope.ThrowIfNotReadable();
        var (events, firstEvent) = EventsOf(pins, scope, policy, now);
        ulong position, newest;
        lock (scope.Run.CommitLock)
        {
            position = scope.Run.LastPosition;
            newest = scope.Run.LastSequence;
        }

        if (scope.Path.Log.Device is not SegmentedLog log)
        {
            // Newest and pinned versions alone: there is nothing that any policy could let go of.
            return new RetentionPreview
            {
                Policy = policy, Versions = 0, Events = events, FirstEvent = firstEvent, Bytes = 0, VersionsNow = 0,
                EarliestKept = new Sequence(newest),
            };
        }

        scope.Path.Log.WaitVisible(newest);
        var floor = policy.Duration is { } duration ? now - duration.Ticks / TimeSpan.TicksPerMicrosecond : long.MaxValue;
        var walk = new Walk(policy, firstEvent, floor);
        using var reader = new LogReader(log);
        while (position != RunState.NoPosition)
        {
            if (!History.TryRead(log, reader, scope.Run.Id, position, out var kept, out var header, out var payload))
            {
                position = log.Archive?.Across(scope.Run.Id, position)?.Next ?? RunState.NoPosition;
                continue;
            }

            var transaction = new TransactionPayload(payload);
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != scope.Run.Id)
                    continue;
                position = part.Previous;
                walk.Meet(ref part, header.Sequence, transaction.CommitTime, kept);
            }
        }

        return new RetentionPreview
        {
            Policy = policy,
            Versions = walk.Versions,
            Events = events,
            FirstEvent = firstEvent,
            Bytes = walk.Bytes,
            VersionsNow = walk.VersionsNow,
            EarliestKept = new Sequence(walk.EarliestKept),
        };
    }

    private static (long Events, ulong First) EventsOf(SnapshotRegistry pins, Scope scope, Retention policy, long now)
    {
        using var pinned = new PinnedScope(pins, scope);
        using var reader = scope.Run.Store.Read();
        var events = new EventReader(pinned.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        var floor = events.Floor().Number;
        var first = Math.Max(floor, EventTrim.KeptFrom(policy, events, now));
        return ((long)(first - floor), first);
    }

    /// <param name="firstEvent">Events below go.</param>
    /// <param name="floor">What was valid at or after this time is kept by time.</param>
    private sealed class Walk(Retention policy, ulong firstEvent, long floor)
    {
        private readonly Dictionary<byte[], Later> _later = new(ByteArrayComparer.Instance);
        private bool _isBelowFloor;

        internal long Versions { get; private set; }

        internal long Bytes { get; private set; }

        internal long VersionsNow { get; private set; }

        internal ulong EarliestKept { get; private set; }

        internal void Meet(ref RunPart part, ulong sequence, long time, KeptOperations kept)
        {
            // The state of the run at the floor is the one after its last commit at or before it.
            if (policy.KeepsAllVersions || EarliestKept == 0 || (policy.Duration is not null && !_isBelowFloor))
                EarliestKept = sequence;
            _isBelowFloor |= time <= floor;

            // Several operations on one key in one record are one version, the last of them.
            for (var index = 0; part.MoveNext(out var operation); index++)
            {
                if (!kept.Has(index))
                    continue;
                if (VersionedKeys.TryKeyOf(operation, out var key))
                    Meet(key, operation.Bytes.Length, sequence, time);
                else if (operation.Code == (byte)OperationCode.EventAppend
                    && BinaryPrimitives.ReadUInt64LittleEndian(operation.Body) < firstEvent)
                    Bytes += operation.Bytes.Length;
            }
        }

        private void Meet(byte[] key, int bytes, ulong sequence, long time)
        {
            if (!_later.TryGetValue(key, out var later))
            {
                _later.Add(key, new Later(sequence, time, 1, false));
                VersionsNow++;
                return;
            }

            if (later.Sequence == sequence)
            {
                if (later.Goes)
                    Bytes += bytes;
                return;
            }

            var goes = !policy.KeepsAllVersions && (policy.Duration is null || later.Time <= floor)
                && (policy.Versions is not { } versions || later.Count >= versions);
            VersionsNow++;
            if (goes)
            {
                Versions++;
                Bytes += bytes;
            }

            _later[key] = new Later(sequence, time, later.Count + 1, goes);
        }

        private readonly record struct Later(ulong Sequence, long Time, int Count, bool Goes);
    }
}
