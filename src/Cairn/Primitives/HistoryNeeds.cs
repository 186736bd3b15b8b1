// Which records of the log history still needs
// --------------------------------------------
// A version of a key was valid from its commit until its successor came. What a policy keeps of a run, as records:
//
//      KeepAll       every record since the run began; where events are trimmed, not those that held nothing but such events
//      KeepLast(1)   none: the store has the newest version of each key, and no question about others is promised an answer
//      KeepFor(d)    with t = now - d: every record later than t; and of those at or before t the operations that wrote what was valid
//                    at t, whether it has a successor by now or not. Drawn, for one run and three keys:
//
//                                               t
//          record   @1      @2      @3      @4  |   @5      @6
//          a        w               w           |           w        a@3 was valid at t: @3 is needed, @1 is not
//          b                w                   |                    b@2 is valid still. Its successor will come, and then questions
//                                               |                    about the time before that ask for it: @2 is needed
//          c                                w   |   d                c@4 is needed, and its deletion, later than t, anyway
//                                       floor = @4: questions at @4 or later, or at t or later, are answered
//
//      KeepLast(n)   of each key the newest n versions; a version is a record that wrote the key, deleted it or changed its expiry. The
//                    records of the run are walked back from the newest one, and the versions of each key counted; that costs a walk over
//                    all that was kept of the run, and as much memory as RanksBytesMax, whatever the run holds: keys beyond are counted no
//                    more, and all of theirs is kept
//      both          what either says
//
// All of a run's records are needed, too, for as long as a fork of a past point of it is there: the fork is made of them (PastRun.cs).
//
// A deletion at or before t is needed only if something was written over it since, or if something older of the run is still marked in an
// archive that is left as it is (stale): there an older version of the key may stand, and would be taken for what was valid. Where
// nothing is found, nothing was there. An operation that changes an expiry leaves the value where it was, so the operation with the value
// is needed too.
//
// Of a record at or before t the operations that are needed are marked (KeptOperations). The others stand there by chance: their
// successor may be gone, so nobody may take them for what was valid.
//
// The floor is the run's last sequence at or before t, or by number its last one: from there on, what is kept has every answer; and n
// goes with it (History.cs).
//
// How what was valid at t is found. Of keys that were written since t: the run's records are walked back from the newest one, down to
// where each of them has been met; that costs what the run wrote since t and a little more, and a set of those keys. Of keys that were
// not: the store's newest version says by its sequence which record wrote it, or by its bytes which record has the value that a changed
// expiry left alone. All at one sequence, which is pinned.
//
// Policies and deletions are read as visible. The caller syncs the log before it lets anything go, so no power cut gives back a run or a
// policy whose records are gone.
//
// A document is what all operations on it have made, and a question about its past needs all of them since a write of the whole document.
// Kept for themselves, those of a document that is only changed by path would keep the log for ever; so none is kept, and behind a gap the
// past begins with the image of the older checkpoint (DocumentHistory.cs).
//
// It needs nothing of events, traces, consumers, idempotency keys and a run's own record: nobody can ask for older versions of them. The
// store has the events that are kept.

using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Of one moment. Not thread-safe.</summary>
internal sealed class HistoryNeeds : IDisposable
{
    /// <summary>Of all runs together. Chosen: some 600,000 keys of ordinary length.</summary>
    internal const long RanksBytesMax = 64 << 20;

    private readonly CommitPath _path;
    private readonly SnapshotRegistry _pins;
    private readonly SegmentedLog _log;
    private readonly Retention _database;
    private readonly SnapshotPin _pin;
    private readonly long _now;
    private readonly Dictionary<RunId, Need> _needs = [];
    private readonly ulong _since;                           // the older checkpoint: recovery may begin there
    private long _ranksBytesLeft;

    internal HistoryNeeds(
        CommitPath path, SnapshotRegistry pins, SegmentedLog log, Retention database, long ranksBytesMax = RanksBytesMax)
    {
        _ranksBytesLeft = ranksBytesMax;
        _path = path;
        _pins = pins;
        _log = log;
        _database = database;
        _since = log.Manifest.Checkpoints is [var older, ..] ? older.Sequence : 0;
        _now = path.ReadTime();
        _pin = path.Log.AtLast((sequence, _) => pins.TakeAt(sequence, SnapshotRegistry.AllRuns));
        try
        {
            path.Log.WaitVisible(_pin.Sequence);             // what is visible is written
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether a record is needed for the run of this part of it.</summary>
    /// <param name="position">Of the record.</param>
    /// <param name="isStaleBelow">Something older of the run was kept that may be needed no more.</param>
    /// <param name="kept">Which operations of the part.</param>
    internal bool IsNeeded(RunPart part, ulong position, ulong sequence, long time, Func<RunId, bool> isStaleBelow, out KeptOperations kept)
    {
        kept = KeptOperations.All;
        var need = NeedOf(part.Run);
        if ((need.Run is null && !need.IsHeld) || sequence < need.Born || Mutant.Is("compaction-ignores-policy"))
            return false;
        if (need.Policy.KeepsAllVersions)
            return need.FirstEvent == 0 || HoldsMoreThanTrimmed(part, need.FirstEvent);
        if (need.Since is null && need.Versions <= 1)
            return false;
        if (time > need.Since)
            return true;
        var count = (int)part.Operations;
        var marks = new byte[(count + 7) / 8];
        if (need.Since is not null)
            Mark(marks, need, part, position, sequence, isStaleBelow(part.Run) && !Mutant.Is("compaction-drops-deletions"));
        if (need.Versions > 1)
            MarkNewest(marks, RanksOf(need), part, position);
        kept = KeptOperations.Of(marks, count);
        return !kept.IsNone;
    }

    /// <summary>From where on the kept records of a run answer everything, if one of them is left out. Null: nothing is kept of
    /// it.</summary>
    internal KeptSince? FloorOf(RunId run)
    {
        var need = NeedOf(run);
        if (need is { Policy.KeepsAllVersions: true } and ({ Run: not null } or { IsHeld: true }))
            return new KeptSince(0, 0, KeptSince.AllVersions);         // no version is among what is left out
        if (need.Run is null || (need.Since is null && need.Versions <= 1))
            return null;
        var versions = need.Versions > 1 ? (uint)need.Versions : 0;
        return need.Since is { } since
            ? new KeptSince(WalkOf(need).Floor, since, versions)
            : new KeptSince(RanksOf(need).Newest, RanksOf(need).NewestTime, versions);
    }

    // Events that are gone, and the acts of letting them go, are nothing that a question about the past is answered from.
    private static bool HoldsMoreThanTrimmed(RunPart part, ulong firstEvent)
    {
        while (part.MoveNext(out var operation))
        {
            var isTrimmed = (OperationCode)operation.Code switch
            {
                OperationCode.EventTrim => true,
                OperationCode.EventAppend or OperationCode.EventRedact =>
                    BinaryPrimitives.ReadUInt64LittleEndian(operation.Body) < firstEvent,
                _ => false,
            };
            if (!isTrimmed)
                return true;
        }

        return false;
    }

    public void Dispose() => _pins.Release(_pin);

    private static void MarkNewest(byte[] marks, Ranks ranks, RunPart part, ulong position)
    {
        for (var index = 0; part.MoveNext(out var operation); index++)
        {
            if (VersionedKeys.TryAskedFor(operation, out var key) && ranks.IsKept(key, position))
                marks[index / 8] |= (byte)(1 << index % 8);
        }
    }

    private void Mark(byte[] marks, Need need, RunPart part, ulong position, ulong sequence, bool isStaleBelow)
    {
        var walk = WalkOf(need);
        if (walk.Marks.TryGetValue(position, out var marked))
            marked.CopyTo(marks, 0);
        using var reader = need.Run!.Store.Read();
        for (var index = 0; part.MoveNext(out var operation); index++)
        {
            if (VersionedKeys.TryAskedFor(operation, out var key) && !walk.Later.Contains(key)
                && IsNewest(reader, operation, key, sequence, isStaleBelow))
                marks[index / 8] |= (byte)(1 << index % 8);
        }
    }

    private bool IsNewest(scoped in StoreReader reader, in Operation operation, byte[] key, ulong sequence, bool isStaleBelow)
    {
        // The tombstone itself may have been swept: of a key that is gone, every deletion may be the last.
        if (!reader.TryGet(key, _pin.Sequence, out var newest) || newest.IsTombstone)
            return isStaleBelow && VersionedKeys.Deletes((OperationCode)operation.Code);
        if (newest.Sequence < sequence)
            return false;
        if (newest.Sequence == sequence)
            return true;

        // The value of a version whose expiry was changed since. One that was written again with the same bytes is kept too: no harm.
        return _path.Operations.Find((OperationCode)operation.Code)!.Project(operation, key, out var stored, out _) == Projected.Value
            && newest.Value.SequenceEqual(stored);
    }

    private Need NeedOf(RunId id)
    {
        if (_needs.TryGetValue(id, out var need))
            return need;
        need = Read(id);
        _needs.Add(id, need);
        return need;
    }

    private Need Read(RunId id)
    {
        if (_path.Catalogue.HoldsRecords(id, _since))
            return new Need(null, 0, Retention.KeepAll) { IsHeld = true };   // deleted or not
        using var reader = _path.Catalogue.State.Store.Read();
        var exists = reader.TryGet(RunKeys.Record(stackalloc byte[1 + RunId.Size], id), _pin.Sequence, out var version)
            && !version.IsTombstone;
        if (!exists && !RunRecord.IsBuiltIn(id))
            return new Need(null, 0, Retention.KeepLast(1));
        if (_path.Catalogue.Find(id) is not { } run)
            return new Need(null, 0, Retention.KeepLast(1));         // deleted since
        var policy = RunRecord.PolicyOf(id, exists ? RunRecord.Read(version.Value) : null, _database);
        return new Need(run, RunRecord.IsBuiltIn(id) ? 0 : version.Created, policy)
        {
            FirstEvent = policy.KeepsAllEvents ? 0 : FirstEventOf(run),
            Since = policy.Duration is { } duration ? _now - duration.Ticks / TimeSpan.TicksPerMicrosecond : null,
        };
    }

    private ulong FirstEventOf(RunState run)
    {
        using var reader = run.Store.Read();
        return reader.TryGet(TrimFloor.Key, _pin.Sequence, out var floor) ? TrimFloor.Read(floor.Value).Number : 0;
    }

    private Walk WalkOf(Need need)
    {
        if (need.Walk is { } known)
            return known;
        var walk = need.Walk = new Walk(need.Since!.Value);
        Back(need.Run!, need.Born, walk.Meet, () => walk.HasFloor && walk.Open.Count == 0);
        return walk;
    }

    private Ranks RanksOf(Need need)
    {
        if (need.Ranks is { } known)
            return known;
        var ranks = need.Ranks = new Ranks(need.Versions, _ranksBytesLeft);
        Back(need.Run!, need.Born, ranks.Meet, () => false);
        _ranksBytesLeft -= ranks.Bytes;
        return ranks;
    }

    private delegate void Met(ref RunPart part, ulong position, ulong sequence, long time, KeptOperations kept);

    // The run's records that are still there, the newest first.
    private void Back(RunState run, ulong born, Met meet, Func<bool> isDone)
    {
        ulong position, newest;
        lock (run.CommitLock)
        {
            position = run.LastPosition;
            newest = run.LastSequence;
        }

        _path.Log.WaitVisible(newest);
        using var reader = new LogReader(_log);
        while (position != RunState.NoPosition && !isDone())
        {
            if (!History.TryRead(_log, reader, run.Id, position, out var kept, out var header, out var payload))
            {
                position = _log.Archive?.Across(run.Id, position)?.Next ?? RunState.NoPosition;
                continue;
            }

            if (header.Sequence < born)
                break;
            var transaction = new TransactionPayload(payload);
            var at = position;
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != run.Id)
                    continue;
                position = part.Previous;
                meet(ref part, at, header.Sequence, transaction.CommitTime, kept);
            }
        }
    }

    /// <summary>A run, and what its policy asks for.</summary>
    /// <param name="Run">Null: there is no such run any more.</param>
    private sealed record Need(RunState? Run, ulong Born, Retention Policy)
    {
        /// <summary>What was valid at this time or later is needed; null = time says nothing.</summary>
        internal long? Since { get; init; }

        /// <summary>All its records are needed, whatever it is by now.</summary>
        internal bool IsHeld { get; init; }

        /// <summary>Events below are trimmed.</summary>
        internal ulong FirstEvent { get; init; }

        /// <summary>So many of the newest versions of each key.</summary>
        internal int Versions => Policy.Versions ?? 0;

        internal Walk? Walk { get; set; }

        internal Ranks? Ranks { get; set; }
    }

    /// <summary>How far down the newest versions of each key go, by the positions of their records.</summary>
    private sealed class Ranks(int versions, long bytesMax)
    {
        private const int EntryBytes = 100;

        private readonly Dictionary<byte[], Rank> _keys = new(ByteArrayComparer.Instance);
        private bool _isBegun;

        internal long Bytes { get; private set; }

        /// <summary>Sequence of the run's newest record, and its commit time.</summary>
        internal ulong Newest { get; private set; }

        internal long NewestTime { get; private set; }

        internal void Meet(ref RunPart part, ulong position, ulong sequence, long time, KeptOperations kept)
        {
            if (!_isBegun)
                (_isBegun, Newest, NewestTime) = (true, sequence, time);
            for (var index = 0; part.MoveNext(out var operation); index++)
            {
                if (kept.Has(index) && VersionedKeys.TryAskedFor(operation, out var key))
                    Meet(key, position, VersionedKeys.ChangesExpiryAlone((OperationCode)operation.Code));
            }
        }

        private void Meet(byte[] key, ulong position, bool needsValue)
        {
            if (!_keys.TryGetValue(key, out var rank))
            {
                if (Bytes + key.Length + EntryBytes > bytesMax)
                    return;
                Bytes += key.Length + EntryBytes;
            }
            else if (rank.From == position)
            {
                needsValue &= rank.NeedsValue;               // several operations of one record are one version
                _keys[key] = rank with { NeedsValue = needsValue };
                return;
            }

            if (rank.Count < versions)
                _keys[key] = new Rank(rank.Count + 1, position, needsValue);
            else if (rank.NeedsValue)
                _keys[key] = new Rank(rank.Count, position, needsValue);
        }

        internal bool IsKept(byte[] key, ulong position) =>
            !_keys.TryGetValue(key, out var rank) || rank.Count < versions || rank.NeedsValue
            || position >= rank.From + (Mutant.Is("one-version-too-few") ? 1ul : 0);

        /// <param name="From">Position of the oldest record that is needed.</param>
        /// <param name="NeedsValue">It only changed the expiry, and the one with the value was not met yet.</param>
        private readonly record struct Rank(int Count, ulong From, bool NeedsValue);
    }

    private sealed class Walk(long since)
    {
        /// <summary>Keys that were written later than the time.</summary>
        internal HashSet<byte[]> Later { get; } = new(ByteArrayComparer.Instance);

        /// <summary>Those of them whose version at the time was not met yet.</summary>
        internal HashSet<byte[]> Open { get; } = new(ByteArrayComparer.Instance);

        /// <summary>Needed operations on such keys, by the position of their record, which is at or before the time.</summary>
        internal Dictionary<ulong, byte[]> Marks { get; } = [];

        internal ulong Floor { get; private set; }

        internal bool HasFloor { get; private set; }

        internal void Meet(ref RunPart part, ulong position, ulong sequence, long time, KeptOperations kept)
        {
            if (time > since)
                MeetLater(ref part);
            else
                MeetEarlier(ref part, position, sequence, kept);
        }

        private void MeetLater(ref RunPart part)
        {
            while (part.MoveNext(out var operation))
            {
                if (VersionedKeys.TryAskedFor(operation, out var key) && Later.Add(key))
                    Open.Add(key);
            }
        }

        private void MeetEarlier(ref RunPart part, ulong position, ulong sequence, KeptOperations kept)
        {
            if (!HasFloor)
                Floor = sequence;
            HasFloor = true;
            var met = new HashSet<byte[]>(ByteArrayComparer.Instance);
            for (var index = 0; part.MoveNext(out var operation); index++)
            {
                if (!kept.Has(index) || !VersionedKeys.TryAskedFor(operation, out var key) || !Open.Contains(key))
                    continue;
                if (!Marks.TryGetValue(position, out var marks))
                    Marks.Add(position, marks = new byte[((int)part.Operations + 7) / 8]);
                marks[index / 8] |= (byte)(1 << index % 8);
                if (!VersionedKeys.ChangesExpiryAlone((OperationCode)operation.Code))
                    met.Add(key);
            }

            Open.ExceptWith(met);
        }
    }
}

/// <summary>Things that have versions one after another, as operations name them.</summary>
internal static class VersionedKeys
{
    /// <summary>False for what has no older versions that a policy could let go of: events, traces, a run's own record.</summary>
    /// <param name="key">The store key.</param>
    internal static bool TryKeyOf(in Operation operation, out byte[] key)
    {
        var family = FamilyOf((OperationCode)operation.Code);
        key = family == 0 ? [] : [family, .. operation.Key];
        return family != 0;
    }

    /// <summary>Those of them whose history can be asked for.</summary>
    internal static bool TryAskedFor(in Operation operation, out byte[] key) =>
        TryKeyOf(operation, out key) && key[0] is StoreKeys.Kv or StoreKeys.State;

    /// <summary>The value stays the one before.</summary>
    internal static bool ChangesExpiryAlone(OperationCode code) => code is OperationCode.KvExpire or OperationCode.StateExpire;

    internal static bool Deletes(OperationCode code) => code is OperationCode.KvDelete or OperationCode.StateDelete;

    private static byte FamilyOf(OperationCode code) => code switch
    {
        OperationCode.KvPut or OperationCode.KvDelete or OperationCode.KvIncrement or OperationCode.KvExpire => StoreKeys.Kv,
        OperationCode.StateInit or OperationCode.StateSet or OperationCode.StateTransition or OperationCode.StateDelete
            or OperationCode.StateLease or OperationCode.StateExpire => StoreKeys.State,
        OperationCode.EventConsumerCommit => StoreKeys.Consumer,
        OperationCode.Idempotency => StoreKeys.Idempotency,
        _ => 0,
    };
}
