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
/// Older versions of a key: what was committed, never a transaction's own writes. Memory keeps the newest and the pinned ones; the log and
/// its archives keep the rest, and each run part of a record names the record before it, so walking back costs what the run wrote since,
/// not what the database holds.
///
/// Where retention has let records go, the walk meets a gap:
/// <code>
///      archive of [0, 800)                     log
///      @3 . . @9 . @12 | @20 . . @31 . @44     @50 @51 ...      kept records of the run
///           gap               gap                               the walk goes on at the newest one that was kept below
/// </code>
/// An archive that kept some of a run's records says from which sequence on they answer every question (its floor; HistoryNeeds.cs says
/// which are kept): what is found below the gap is right for questions at the floor or later. And it says how many of the newest versions
/// of each key were kept when it was written. A version that was let go had as many newer ones then, and has at least as many now: so up to
/// that number the versions that a walk meets are all there are, and if it ends before that number, there are no more. A record of which
/// only some operations were kept is such a gap too. Where nothing of the run was kept, the walk ends. In all cases the newest version,
/// which never goes, may be the answer too. What all this does not answer for certain is
/// answered with <see cref="HistoryTrimmedException"/>, never with less (VER-7). Behind the beginning of a fork the walk goes on in the run
/// that it was forked from; at a gap there it ends with the version that the fork began with. Without a log there is only the newest
/// version (DUR-2).
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
        var most = MostOf(limit, limits);
        Enter(scope, storeKey);
        if (before is { Value: 0 })
            return [];
        var upTo = before is { } bound ? bound.Value - 1 : ulong.MaxValue;
        if (LogOf(scope) is { } log)
            return Listed(scope, Walk(scope, log, storeKey, Math.Min(upTo, scope.Sequence), long.MaxValue, most), storeKey, upTo, most);
        if (Newest(scope, storeKey, upTo) is not { } newest)
            return [];
        if (most > 1)
            throw new HistoryTrimmedException(new Sequence(newest.Sequence - 1), new Sequence(newest.Sequence));
        return [newest];
    }

    /// <summary>How many versions a question asks for.</summary>
    /// <param name="limit">0 = the most that may be asked for.</param>
    internal static int MostOf(int limit, Limits limits)
    {
        if (limit < 0)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"A limit of {limit} makes no sense. Ask for 1 to {limits.HistoryVersionsMax}, or 0 for the most.");
        }

        if (limit > limits.HistoryVersionsMax)
            throw new LimitException(nameof(Limits.HistoryVersionsMax), limits.HistoryVersionsMax, limit, "versions");
        return limit == 0 ? limits.HistoryVersionsMax : limit;
    }

    /// <summary>The version that was valid right after a commit; null when there was none, or a deletion, or it had expired by the time of
    /// that commit.</summary>
    internal static PastVersion? At(Scope scope, byte[] storeKey, Sequence sequence)
    {
        Enter(scope, storeKey);
        var last = LastOf(scope, sequence);
        if (sequence == Sequence.None)
            return null;
        PastVersion version;
        if (LogOf(scope) is { } log)
        {
            var past = Walk(scope, log, storeKey, Math.Min(sequence.Value, scope.Sequence), long.MaxValue, 1);
            if (Answer(scope, past, storeKey, sequence.Value, long.MaxValue) is not { IsDeletion: false } found)
                return null;
            return IsLiveAt(log, found.Expiry, (found.Sequence, found.Time), (past.TimeBefore, past.TimeBehind), sequence.Value)
                ? found
                : null;
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
            found = Answer(scope, Walk(scope, log, storeKey, scope.Sequence, time, 1), storeKey, scope.Sequence, time);
        }
        else
        {
            found = time >= scope.Path.Log.LastTime ? Current(scope, storeKey) : Newest(scope, storeKey, ulong.MaxValue);
            if (found is { } newest && newest.Time > time)
                throw new HistoryTrimmedException(new Sequence(newest.Sequence - 1), new Sequence(newest.Sequence));
        }

        return found is { } version && version.IsLiveAt(time) ? version : null;
    }

    /// <summary>The last sequence that a scope can be asked about.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: this one is later.</exception>
    internal static ulong LastOf(Scope scope, Sequence asked)
    {
        var last = scope.IsLive ? scope.Path.Log.LastSequence : scope.Sequence;
        return asked.Value <= last
            ? last
            : throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {asked} is not there yet: the last one that can be asked for is @{last}.");
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

    private static Backwards Walk(Scope scope, SegmentedLog log, byte[] storeKey, ulong upTo, long untilTime, int limit)
    {
        // What is visible is written; what is only applied may not be, so the walk begins when that is visible too.
        ulong position, newest;
        lock (scope.Run.CommitLock)
        {
            position = scope.Run.LastPosition;
            newest = scope.Run.LastSequence;
        }

        scope.Path.Log.WaitVisible(newest);
        var run = scope.Run;
        var born = run.Born;
        ForkBase? below = null;                              // the walk is in a run that the one of the question reads through to
        var walk = new Backwards(scope.Path.Operations.Sets.First(set => set.Owns(storeKey[0])), storeKey, upTo, untilTime);
        var crossedFrom = ulong.MaxValue;                    // what is lost from there on was met already
        using var reader = new LogReader(log);
        while (walk.Versions.Count < limit)
        {
            if (position == RunState.NoPosition)
            {
                // The beginning of a fork: what it has from before stands in its parent's records.
                if (walk.IsEnded || run.Store.Base is not { } next || !ForkBase.IsInherited(storeKey))
                    break;
                below = next;
                position = run.Numbers.BasePosition;
                run = next.Owner;
                born = run.Born;
                continue;
            }

            var isThere = TryRead(log, reader, run.Id, position, out var kept, out var header, out var payload);
            if (below is not null && !(isThere && kept.IsAll))
            {
                walk.EndAt(FoundAt(below, storeKey));
                break;
            }

            if (!isThere)
            {
                var gap = log.Archive?.Across(run.Id, position);
                walk.Cross(gap?.Since);
                (position, crossedFrom) = gap is { } across ? (across.Next, across.From) : (RunState.NoPosition, 0);
                continue;
            }

            if (header.Sequence < born)
                break;                                       // of a run that had this id before, and was deleted
            if (!kept.IsAll && position < crossedFrom && !Mutant.Is("marked-record-loses-nothing"))
            {
                var gap = log.Archive?.Across(scope.Run.Id, position);
                walk.Cross(gap?.Since);
                crossedFrom = gap?.From ?? 0;
            }

            var isBehind = below is not null && header.Sequence > below.At;       // what the fork of a past point does not have
            var transaction = new TransactionPayload(payload);
            position = RunState.NoPosition;
            while (transaction.MoveNext(out var part))
            {
                if (part.Run != run.Id)
                    continue;
                position = part.Previous;
                if (!isBehind)
                    walk.Collect(ref part, header.Sequence, transaction.CommitTime, kept);
            }
        }

        walk.Cut(limit);
        return walk;
    }

    // What was valid where a fork begins: the store knows, whatever has become of the records.
    private static PastVersion? FoundAt(ForkBase below, byte[] storeKey)
    {
        using var reader = below.Run.Store.Read();
        return reader.TryGet(storeKey, below.At, out var version) ? PastVersion.Of(version) : null;
    }

    /// <summary>Reads a record of a run, if it was kept for that run; and says which operations of its part were.</summary>
    /// <param name="payload">Good until the reader's next call.</param>
    internal static bool TryRead(
        ILogRecords log, LogReader reader, RunId run, ulong position, out KeptOperations kept, out RecordHeader header,
        out ReadOnlySpan<byte> payload)
    {
        kept = KeptOperations.All;
        header = default;
        payload = default;
        return (position >= log.SegmentsFrom || (log.Archive?.TryFind(run, position, out kept) ?? false))
            && reader.TryRead(position, out header, out payload);
    }

    // The version that was valid at a moment: the sequence, or if that is earlier the time.
    private static PastVersion? Answer(Scope scope, Backwards past, byte[] storeKey, ulong sequence, long time)
    {
        if (past.Versions is [var found] && (!past.IsBelowGap(found) || past.Answers(sequence, time)))
            return found;
        if (!past.MetGap || (past.Versions.Count == 0 && past.HasAll))
            return null;
        var newest = NewestIn(scope, storeKey);
        if (newest is { } current && current.Sequence <= sequence && current.Time <= time)
            return current;
        if (past.Answers(sequence, time))
            return null;
        var last = scope.IsLive ? scope.Path.Log.LastSequence : scope.Sequence;
        throw new HistoryTrimmedException(
            new Sequence(Math.Min(sequence, last)), new Sequence(past.Earliest ?? past.Oldest ?? newest?.Sequence ?? last));
    }

    private static List<PastVersion> Listed(Scope scope, Backwards past, byte[] storeKey, ulong upTo, int most)
    {
        if (!past.MetGap || past.Versions.Count == most || past.HasAll)
            return past.Versions;
        if (past.Oldest is null && NewestIn(scope, storeKey) is { } newest)
        {
            if (newest.Sequence <= upTo)
                past.Versions.Add(newest);
            if (past.Versions.Count == most)
                return past.Versions;
        }

        var earliest = past.Versions is [.., { Sequence: var oldest }]
            ? oldest
            : past.Earliest ?? past.Oldest ?? (scope.IsLive ? scope.Path.Log.LastSequence : scope.Sequence);
        throw new HistoryTrimmedException(new Sequence(Math.Min(upTo, earliest == 0 ? 0 : earliest - 1)), new Sequence(earliest));
    }

    // What the scope sees, without the transaction's own writes.
    private static PastVersion? NewestIn(Scope scope, byte[] storeKey)
    {
        using var reader = scope.Run.Store.Read();
        return scope.TryGetCommitted(reader, storeKey, out var version) ? PastVersion.Of(version) : null;
    }

    /// <summary>TTL-3, at the time of a commit. That may be another run's, so no walk of this one meets it: the segment that holds it is
    /// read up to there; and if it was given up, the commits of this run before and behind it, or the first one that the log has, may still
    /// tell.</summary>
    /// <exception cref="HistoryTrimmedException">They do not.</exception>
    internal static bool IsLiveAt(
        SegmentedLog log, long expiry, (ulong Sequence, long Time) version, (long Before, long Behind) near, ulong sequence)
    {
        if (expiry == 0 || version.Sequence == sequence)
            return expiry == 0 || expiry > version.Time;
        if (TimeOf(log, sequence) is { } time)
            return expiry > time;
        if (expiry <= Math.Max(version.Time, near.Before))
            return false;
        var first = log.SegmentAt(log.FirstPosition).FirstSequence;
        if (expiry > near.Behind || expiry > TimeOf(log, first))
            return true;
        throw new HistoryTrimmedException(new Sequence(sequence), new Sequence(first));
    }

    private static long? TimeOf(SegmentedLog log, ulong sequence)
    {
        using var reader = new LogReader(log);
        var scan = reader.Scan(log.PositionBefore(sequence));
        while (scan.MoveNext())
        {
            if (scan.Header.Type != RecordType.Transaction)
                continue;
            if (scan.Header.Sequence > sequence)
                return null;
            if (scan.Header.Sequence == sequence)
                return new TransactionPayload(scan.Payload).CommitTime;
        }

        return null;
    }

    /// <summary>Versions of one key, as records are met from the newest back.</summary>
    private sealed class Backwards(OperationSet set, byte[] storeKey, ulong upTo, long untilTime)
    {
        private readonly List<PastVersion> _expiryOnly = [];     // wait for the value that they kept
        private ulong _gapBelow = ulong.MaxValue;                // sequence of the record above the first gap

        internal List<PastVersion> Versions { get; } = [];

        /// <summary>Records were given up where the walk came by.</summary>
        internal bool MetGap { get; private set; }

        /// <summary>Nothing was found behind a gap that ends the walk.</summary>
        internal bool IsEnded { get; private set; }

        /// <summary>From where on what was found below gaps answers everything.</summary>
        internal KeptSince? Floor { get; private set; }

        /// <summary>Sequence of the oldest version of the key that was met, asked for or not.</summary>
        internal ulong? Oldest { get; private set; }

        /// <summary>Commit time of the oldest record that was met above what was asked for.</summary>
        internal long TimeBehind { get; private set; } = long.MaxValue;

        /// <summary>Commit time of the newest record that was met at or below what was asked for.</summary>
        internal long TimeBefore { get; private set; } = long.MinValue;

        private ulong _last = ulong.MaxValue;
        private int _aboveGap;
        private uint _rank;                                      // versions of the key that were met, asked for or not
        private uint _certain = KeptSince.AllVersions;           // so many of the newest ones are all there are
        private ulong _certainFrom = ulong.MaxValue;             // sequence of the oldest version met that is one of them

        /// <summary>A gap may have taken a version between this one and the next newer one that was met.</summary>
        internal bool IsBelowGap(in PastVersion version) => MetGap && version.Sequence < _gapBelow && version.Sequence < _certainFrom;

        /// <summary>The walk came to the end of the run, and no gap can have taken a version of the key.</summary>
        internal bool HasAll => !IsEnded && (_rank < _certain || _certain == KeptSince.AllVersions);

        /// <summary>The earliest sequence at which gaps have left an answer.</summary>
        internal ulong? Earliest => _certainFrom == ulong.MaxValue
            ? Floor?.Sequence
            : Math.Min(_certainFrom, Floor?.Sequence ?? ulong.MaxValue);

        /// <summary>Whether what was found, and that nothing else was, holds at a moment.</summary>
        internal bool Answers(ulong sequence, long time) => Mutant.Is("history-crosses-gaps")
            || (!IsEnded && Floor is { } floor && (sequence >= floor.Sequence && time >= floor.Time));

        /// <summary>A record was given up.</summary>
        /// <param name="floor">Null ends the walk.</param>
        internal void Cross(KeptSince? floor)
        {
            if (!MetGap)
            {
                _gapBelow = _last;
                _aboveGap = Versions.Count;
            }

            MetGap = true;
            IsEnded = floor is null;
            _certain = Math.Min(_certain, floor?.Versions ?? 0);
            if (floor is { } since)
                Floor = Floor?.And(since) ?? since;
        }

        /// <summary>Records of a run below the fork were given up: what they kept of it is right for that run, and not where the fork
        /// begins. All that is known there is one version.</summary>
        internal void EndAt(PastVersion? version)
        {
            var isFirst = !MetGap;
            if (version is { } known && known.Sequence < _last)
                Found(known);
            Cross(null);
            if (isFirst && version is { } met)
                _gapBelow = Math.Min(_gapBelow, met.Sequence);
        }

        /// <summary>Leaves as many as were asked for, and none that a gap could have an older sister of.</summary>
        internal void Cut(int limit)
        {
            if (MetGap && Floor is { } floor && Versions.FindIndex(version => version.Sequence <= floor.Sequence) is >= 0 and var valid)
            {
                var certain = Versions.Count(version => version.Sequence >= _certainFrom);
                limit = Math.Min(limit, Math.Max(Math.Max(valid + 1, _aboveGap), certain));
            }

            if (Versions.Count > limit)
                Versions.RemoveRange(limit, Versions.Count - limit);
        }

        internal void Collect(ref RunPart part, ulong sequence, long time, KeptOperations kept)
        {
            _last = sequence;
            if (sequence > upTo)
                TimeBehind = time;
            else
                TimeBefore = Math.Max(TimeBefore, time);
            PastVersion? found = null;
            var kind = Projected.Nothing;
            for (var index = 0; part.MoveNext(out var operation); index++)
            {
                if (!kept.Has(index))
                    continue;
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

            Found(version);
        }

        private void Found(in PastVersion version)
        {
            foreach (var later in _expiryOnly)
                Add(later with { Stored = version.Stored });
            _expiryOnly.Clear();
            Add(version);
        }

        // One that kept its value is certain only if the gaps down to that value leave it so.
        private void Add(in PastVersion version)
        {
            _rank++;
            if (_rank <= _certain && !IsEnded)
                _certainFrom = version.Sequence;
            Oldest = version.Sequence;
            if (version.Sequence <= upTo && version.Time <= untilTime)
                Versions.Add(version);
        }
    }
}
