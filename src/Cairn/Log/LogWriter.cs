// The writer of the log: gives commits their place in the one order, and gets them to the device.
//
// A segment on the device (docs/format.md has the bytes):
//
//   0          4096                                                    end
//   | header   | open | tx | tx | tx | mark | tx | ... | seal | (zeros) |
//              ^ base position             ^ position of that record
//
// A place is taken under a short lock, the only thing that all runs share: sequence, commit time, position, slot. Filling comes
// later and in any order; the writer takes the contiguous filled slots only, so
//
//   W1  order in the log = order of sequences = order of places;
//   W2  a record is written only after it and every record before it is filled, that is: applied to memory;
//   W3  `visible` moves over written records (Buffered), over synced ones when one of the round asked for it (Strict);
//   W4  a failed append, sync or rotation ends writing for good: what reached the device is unknown until recovery;
//   W5  whoever is the writer is alone: one committer, the log's thread, or the maintainer; nobody waits for a lock across a sync
//       but those who asked to be durable, and the rotation.
//
// Who writes: a blocking committer that finds no writer writes for itself and for whoever is filled behind it. A round that
// synced hands what is left to the log's own thread (ServingThread.cs: it exists while it has work), which also serves those who await
// instead of blocking. While one sync runs the next round gathers: one write and one sync for all. There is no artificial delay.
//
// Rotation is planned when a place is taken, not when it is written, because positions must be known by then: a record that does
// not fit behind the seal's room puts a seal into the queue first. A segment must be prepared before a rotation can be planned;
// taking a place answers "no room" otherwise, before any sequence is taken, and the caller prepares outside all locks.
//
// Torn tail against corruption, and what recovery does with the end of the log: Recovery/Recovery.cs.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Cairn.Log;

/// <summary>Why a place could not be taken.</summary>
internal enum TakeResult
{
    Taken,

    /// <summary>As many commits are queued as may be.</summary>
    QueueFull,

    /// <summary>The record needs the next segment and that is not prepared.</summary>
    NoRoom,
}

/// <summary>See the essay above. Thread-safe.</summary>
internal sealed class LogWriter : IDisposable
{
    private const int RoundBytesMin = 64 << 10;

    /// <summary>Most bytes gathered into one write.</summary>
    private const int RoundBytesMax = 4 << 20;

    /// <summary>Rounds without a sync that a committer writes for others before the log's thread takes over.</summary>
    private const int RoundsForOthersMax = 32;

    private const int SealLength = Seal.RecordBytes;

    private readonly LogDevice? _device;
    private readonly VisibleSequence _visible;
    private readonly EngineState _state;
    private readonly bool _publishes;
    private readonly int _queuedMax;
    private readonly ulong _opened;                          // last sequence of what was there
    private PendingRecord?[] _ring = [];                     // made with the first place, and the buffer with the first group
    private SpinGate _gate;
    private readonly Lock _roundGate = new();
    private readonly Lock _syncGate = new();
    private readonly Lock _prepareGate = new();
    private readonly ServingThread? _thread;
    private readonly TimeProvider _clock;
    private readonly Counters _counters;

    private Places _places;
    private Progress _progress;

    private CommitRound _current = new();
    private CommitRound _next = new();
    private ulong _currentEnd;
    private int _isAwaited;
    private byte[] _roundBuffer = [];
    private uint _chain;
    private volatile bool _hasBegun;                         // the device has, and this goes on where it said
    private ulong _askedFor;                                 // base of the segment behind which one was asked for, + 1
    private bool _stopping;
    private CommitRound? _syncAsked;
    private volatile ICommitObserver[] _observers = [];

    /// <param name="device">Null for a database without a log: then the queue serves observers alone.</param>
    /// <param name="visible">The word to move; of the whole database.</param>
    /// <param name="rest">How long the log's thread waits for work before it ends; null = as long as is usual.</param>
    internal LogWriter(
        LogDevice? device,
        VisibleSequence visible,
        EngineState state,
        TimeProvider clock,
        Counters counters,
        int queuedMax,
        LogPosition start,
        TimeSpan? rest = null)
    {
        _device = device;
        _visible = visible;
        _publishes = device is not null;
        _state = state;
        _clock = clock;
        _counters = counters;
        _queuedMax = queuedMax;
        _places.Sequence = _opened = start.Sequence;
        _places.Time = start.Time;
        _places.Position = start.Position;
        _places.SegmentEnd = device?.EndPosition ?? ulong.MaxValue;
        _progress.Written = start.Position;
        _progress.Synced = start.Synced;
        _chain = start.Chain;
        _hasBegun = device?.HasBegun ?? true;
        if (!_hasBegun)
            _progress.Marked = start.Position;               // the close before is the witness
        if (device is not null)
        {
            visible.Publish(start.Sequence);
            _thread = new ServingThread("cairn-log", Serve, rest ?? ServingThread.Rest);
        }
    }

    /// <summary>Sequence of the newest commit that has a place, visible or not.</summary>
    internal ulong LastSequence => Volatile.Read(ref _places.Sequence);

    /// <summary>Calls with the newest commit that has a place, and its time; no other takes one during the call, so keep it short.</summary>
    internal T AtLast<T>(Func<ulong, long, T> take)
    {
        _gate.Enter();
        try
        {
            return take(_places.Sequence, _places.Time);
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Commit time of <see cref="LastSequence"/>.</summary>
    internal long LastTime => Volatile.Read(ref _places.Time);

    /// <summary>Every byte of the log below this position was synced.</summary>
    internal ulong SyncedPosition => Volatile.Read(ref _progress.Synced);

    /// <summary>Every byte of the log below this position was written.</summary>
    internal ulong WrittenPosition => Volatile.Read(ref _progress.Written);

    /// <summary>Commits written and not yet synced, and since when the oldest of them waits (a <see cref="TimeProvider"/> time stamp).</summary>
    internal long UnsyncedCommits(out long since)
    {
        since = Volatile.Read(ref _progress.UnsyncedSince);
        return Volatile.Read(ref _progress.WrittenCommits) - Volatile.Read(ref _progress.SyncedCommits);
    }

    /// <summary>The newest commit that a power cut leaves, with all before it; 0 without a log. What was found at opening is synced.</summary>
    internal ulong DurableSequence => _device is null ? 0 : _opened + (ulong)Volatile.Read(ref _progress.SyncedCommits);

    internal int QueuedCommits => (int)(Volatile.Read(ref _places.NextSlot) - Volatile.Read(ref _progress.WrittenSlot));

    internal LogDevice? Device => _device;

    /// <summary>The log's own thread exists: somebody has awaited lately.</summary>
    internal bool HasThread => _thread is { Exists: true };

    internal Counters Counters => _counters;

    /// <summary>Time since the last sync.</summary>
    internal TimeSpan SinceSync => _clock.GetElapsedTime(Volatile.Read(ref _progress.SyncedAt));

    /// <summary>Watches the room on the disk; null without a device, and where nothing is written.</summary>
    internal DiskSpace? Disk { get; init; }

    /// <summary>Unsynced commits from which on a sync is due at once.</summary>
    internal int SyncCommits { get; init; } = int.MaxValue;

    /// <summary>Called after each round, to wake whoever works in the background; must only signal. True: a sync or a segment is due.</summary>
    internal Action<bool>? Due { get; set; }

    /// <summary>Without a log: blocks until a record was handed to the observers and its buffer is free again.</summary>
    internal void WaitObserved(long slot)
    {
        var spinner = default(SpinWait);
        while (Volatile.Read(ref _progress.WrittenSlot) <= slot)
        {
            Drive(mayLeave: true);
            Failpoint.Wait("log.wait-observed");
            spinner.SpinOnce();
        }
    }

    // ---- places -------------------------------------------------------------------------------------------------------------

    /// <summary>Takes the next sequence and commit time without a slot: for a database without a log or observers.</summary>
    internal void TakeUnlogged(long now, out ulong sequence, out long time)
    {
        _gate.Enter();
        time = _places.Time = Math.Max(now, _places.Time);
        sequence = ++_places.Sequence;
        _gate.Exit();
    }

    /// <summary>Takes a place: a few instructions under the one lock that all runs share.</summary>
    /// <param name="placed">Called with the last sequence and its time before anybody else can take a place; keep it short.</param>
    internal TakeResult TryTake(PendingRecord record, long now, Action<ulong, long>? placed = null)
    {
        var length = (ulong)record.RecordLength;
        _gate.Enter();
        try                                                  // planning a rotation allocates, so it may throw
        {
            // A seal may need a slot too.
            if (_places.NextSlot - Volatile.Read(ref _progress.WrittenSlot) >= _queuedMax - 2 || Failpoint.Rarely("log.queue-full", 0.01))
                return TakeResult.QueueFull;
            if ((_places.Position + length > _places.SegmentEnd || RotatesEarly) && !PlanRotation(length))
                return TakeResult.NoRoom;
            if (record.Type == RecordType.Transaction)
            {
                _places.Time = Math.Max(now, _places.Time);
                _places.Sequence++;
            }

            Place(record, length);
            placed?.Invoke(record.Sequence, record.Time);
            return TakeResult.Taken;
        }
        finally
        {
            _gate.Exit();
        }
    }

    private bool RotatesEarly => Failpoint.Rarely("log.rotate-early", 0.01) && _device is not null;

    private void Place(PendingRecord record, ulong length)
    {
        record.Sequence = _places.Sequence;
        record.Time = _places.Time;
        record.Position = _places.Position;
        record.Slot = _places.NextSlot;
        _places.Position += length;
        if (_ring.Length == 0)
            _ring = new PendingRecord?[_queuedMax];
        _ring[_places.NextSlot & (_ring.Length - 1)] = record;
        Volatile.Write(ref _places.NextSlot, _places.NextSlot + 1);       // who sees it sees the queue too
    }

    private bool PlanRotation(ulong length)
    {
        var room = (ulong)_device!.PreparedBytes;
        if (_places.RotationPlanned || _places.IsPreparing || length > room)
            return false;
        var seal = new PendingRecord { Type = RecordType.Seal };
        seal.Extend(Seal.Size).Clear();
        Place(seal, SealLength);
        seal.IsFilled = true;
        _places.SegmentEnd = _places.Position + room;
        _places.RotationPlanned = true;
        return true;
    }

    /// <summary>Makes room for a record that had none: finishes a planned rotation and prepares the next segment. Outside all
    /// locks that committers hold.</summary>
    /// <exception cref="BusyException">The disk is full; nothing was taken.</exception>
    /// <param name="recordLength">Bytes of the record.</param>
    /// <param name="onlyDeletes">It may use the reserve of a full disk.</param>
    internal void MakeRoom(int recordLength, bool onlyDeletes = false)
    {
        Drive(mayLeave: false);
        Prepare(recordLength, onlyDeletes);
    }

    /// <summary>Prepares the next segment if the current one is half full; called by the maintainer.</summary>
    internal bool NeedsPreparing
    {
        get
        {
            if (_device is null || !_hasBegun || _device.PreparedBytes > 0)
                return false;
            var size = _device.EndPosition - _device.BasePosition;
            return Volatile.Read(ref _places.Position) - _device.BasePosition > size / 2;
        }
    }

    /// <summary>Prepares the next segment, if none is prepared that has so much room. Outside all locks that committers hold.</summary>
    /// <exception cref="BusyException">The disk is full; nothing was taken.</exception>
    internal void Prepare(long recordBytesMin, bool onlyDeletes = false)
    {
        lock (_prepareGate)
        {
            if (!TryBeginPreparing())
                return;
            try
            {
                while (!TryPrepare(recordBytesMin, out var full))
                {
                    if (!Disk!.Enter(full) || !onlyDeletes)
                        throw _state.DiskFull();
                }
            }
            catch (ObjectDisposedException) when (_state.IsClosed)
            {
                _state.ThrowIfNotWritable();
                throw;
            }
            catch (Exception cause) when (cause is not CairnException)
            {
                throw _state.Fail(cause);
            }
            finally
            {
                _gate.Enter();
                _places.IsPreparing = false;
                _gate.Exit();
            }
        }
    }

    // A rotation that is planned waits in the queue behind records that are still being filled, and its positions rest on the room in
    // the segment that was prepared. So that one stays as it is until then, and none is planned while it may be replaced by a larger
    // one: who needs room comes again.
    private bool TryBeginPreparing()
    {
        _gate.Enter();
        var begins = !_places.RotationPlanned || Mutant.Is("prepared-segment-replaced");
        _places.IsPreparing = begins && !Mutant.Is("rotation-planned-too-early");
        _gate.Exit();
        return begins;
    }

    /// <summary>There is room for records, or was. After a clean close there is none until the first one asks.</summary>
    internal bool HasBegun => _hasBegun;

    // Nobody has a place yet, and nobody writes.
    private void Begin()
    {
        LogStart start;
        try
        {
            start = _device!.Begin();
        }
        catch (DatabaseFailedException fenced)
        {
            throw _state.Fail(fenced);
        }

        lock (_syncGate)
        {
            _chain = start.Chain;
            Volatile.Write(ref _progress.Synced, start.Position);
            Volatile.Write(ref _progress.Written, start.Position);
        }

        _gate.Enter();
        _places.Position = start.Position;
        _places.SegmentEnd = _device.EndPosition;
        _hasBegun = true;
        _gate.Exit();
    }

    private bool TryPrepare(long recordBytesMin, [NotNullWhen(false)] out Storage.StorageException? noSpace)
    {
        try
        {
            if (_hasBegun)
                _device!.Prepare(recordBytesMin);
            else
                Begin();
            noSpace = null;
            return true;
        }
        catch (Storage.StorageException full) when (full.Error == Storage.StorageError.NoSpace)
        {
            noSpace = full;
            return false;
        }
    }

    /// <summary>The committer's last touch of the record.</summary>
    internal static void Filled(PendingRecord record) => record.IsFilled = true;

    // ---- waiting ------------------------------------------------------------------------------------------------------------

    /// <summary>Blocks until a sequence is visible, writing and syncing for it if nobody else does.</summary>
    /// <exception cref="DatabaseFailedException">Outcome unknown: an I/O error came first.</exception>
    internal void WaitVisible(ulong sequence)
    {
        if (_visible.Value >= sequence)
            return;
        var spinner = default(SpinWait);
        while (true)
        {
            Drive(mayLeave: true);
            if (_visible.Value >= sequence)
                return;
            _state.ThrowIfOutcomeUnknown();
            if (spinner.Count < 12)
            {
                // A write takes about a microsecond; going to sleep takes longer. A sync is worth sleeping for.
                spinner.SpinOnce(sleep1Threshold: -1);
                continue;
            }

            var round = Join(sequence);
            Failpoint.Wait("log.wait-for-round");
            round?.Wait(Timeout.InfiniteTimeSpan);
            spinner.Reset();
        }
    }

    /// <summary>A task that ends when a sequence is visible. The log's thread does the work.</summary>
    internal ValueTask WhenVisibleAsync(ulong sequence, bool needsSync, CancellationToken cancellationToken)
    {
        if (_visible.Value >= sequence)
            return ValueTask.CompletedTask;
        if (!needsSync)
        {
            Drive(mayLeave: true);
            if (_visible.Value >= sequence)
                return ValueTask.CompletedTask;
        }

        return WaitForRoundsAsync(sequence, cancellationToken);
    }

    private async ValueTask WaitForRoundsAsync(ulong sequence, CancellationToken cancellationToken)
    {
        while (_visible.Value < sequence)
        {
            _state.ThrowIfOutcomeUnknown();
            var round = Join(sequence);
            if (round is null)
                continue;
            if (Volatile.Read(ref _progress.Writing) == 0)
                _thread?.Wake();
            var done = round.WhenCompleteAsync();
            await (cancellationToken.CanBeCanceled ? done.WaitAsync(cancellationToken) : done).ConfigureAwait(false);
        }
    }

    /// <summary>The round that may make a sequence visible which perhaps nobody has taken yet, for one who only watches; null when it is
    /// visible, or the database has failed.</summary>
    internal CommitRound? NextRound(ulong sequence) => Join(sequence);

    // The round that will make the sequence visible; null when that has happened, or when nobody writes although there is work.
    private CommitRound? Join(ulong sequence)
    {
        lock (_roundGate)
        {
            Interlocked.Exchange(ref _isAwaited, 1);         // before the look at the visible word: the writer looks in the other order
            if (_visible.Value >= sequence || _state.HasFailed)
                return null;
            var round = sequence <= _currentEnd ? _current : _next;
            round.HasWaiters = true;
            return round;
        }
    }

    // Who waits for this round, and who for the next. False when nobody waited yet: who comes while the round is written cannot be told
    // apart, so the end of the round wakes both.
    private bool BinWaiters(ulong last)
    {
        if (Volatile.Read(ref _isAwaited) == 0)
            return false;
        lock (_roundGate)
        {
            (_current, _next) = (_next, _current);           // the one before was completed, or nobody waited for it
            _currentEnd = last;
        }

        return true;
    }

    // Most rounds of a single committer have no waiter, and take no lock: the word was published, then this looks; who joins says so,
    // then looks at the word. One of the two sees the other.
    private void WakeWaiters(bool isBinned)
    {
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _isAwaited) == 0)
            return;
        CommitRound? done = null, doneToo = null;
        lock (_roundGate)
        {
            if (_current.HasWaiters)
                (done, _current) = (_current, new CommitRound());
            if (!isBinned && _next.HasWaiters)
                (doneToo, _next) = (_next, new CommitRound());
            _isAwaited = _next.HasWaiters ? 1 : 0;
        }

        done?.Complete();
        doneToo?.Complete();
    }

    // ---- writing ------------------------------------------------------------------------------------------------------------

    /// <summary>Becomes the writer if nobody is, and writes what is filled.</summary>
    /// <param name="mayLeave">True: after a round that synced, or many that did not, the log's thread takes over.
    /// False: stays until nothing filled is left, and waits for the role if somebody has it.</param>
    internal void Drive(bool mayLeave)
    {
        var spinner = default(SpinWait);
        while (HasFilled || !mayLeave)
        {
            if (_state.HasFailed)
                return;
            if (Interlocked.CompareExchange(ref _progress.Writing, 1, 0) != 0)
            {
                if (mayLeave)
                    return;
                Failpoint.Wait("log.wait-for-writer");
                spinner.SpinOnce();
                continue;
            }

            var rounds = 0;
            try
            {
                while (HasFilled && !_state.HasFailed)
                {
                    var synced = WriteRound();
                    if (mayLeave && (synced || ++rounds >= RoundsForOthersMax))
                        break;
                }
            }
            finally
            {
                Volatile.Write(ref _progress.Writing, 0);
            }

            if (!mayLeave && !HasFilled)
                return;
            if (mayLeave && HasFilled && _thread is { IsMine: false })
            {
                _thread.Wake();
                return;
            }
        }
    }

    private bool HasFilled
    {
        get
        {
            var slot = Volatile.Read(ref _progress.WrittenSlot);
            return slot < Volatile.Read(ref _places.NextSlot) && _ring[slot & (_ring.Length - 1)] is { IsFilled: true };
        }
    }

    // One write, and one sync if anybody asked. Only the writer is here. True when it synced.
    private bool WriteRound()
    {
        try
        {
            return WriteRoundOrThrow();
        }
        catch (Exception cause)
        {
            // W4. Whatever it was: what reached the device is unknown.
            _state.Fail(cause);
            CompleteRounds();
            return true;
        }
    }

    private bool WriteRoundOrThrow()
    {
        var first = _progress.WrittenSlot;
        var end = Volatile.Read(ref _places.NextSlot);
        var slot = first;
        var bytes = 0L;
        var needsSync = false;
        var last = 0UL;
        var commits = 0;
        PendingRecord? seal = null;
        var most = Failpoint.Rarely("log.one-record-round", 0.1) ? 1 : RoundBytesMax;
        while (slot < end && bytes < most)
        {
            var record = _ring[slot & (_ring.Length - 1)]!;
            if (!record.IsFilled)
                break;
            if (record.Type == RecordType.Seal && slot > first)
                break;                                       // what is before it is written and counted first
            slot++;
            bytes += record.RecordLength;
            needsSync |= record.NeedsSync;
            last = record.Sequence;
            commits += record.Type == RecordType.Transaction ? 1 : 0;
            if (record.Type == RecordType.Seal)
            {
                seal = record;
                break;
            }
        }

        if (slot == first)
            return false;
        var isBinned = BinWaiters(last);
        Failpoint.Hit("log.gathered-before-write");
        var written = ReadOnlyMemory<byte>.Empty;
        if (_device is not null)
            written = Append(first, slot, (int)bytes, seal);
        else if (_observers.Length > 0)
            written = GatherUnlogged(first, slot, (int)bytes);

        if (commits > 0 && Volatile.Read(ref _progress.UnsyncedSince) == 0)
            Volatile.Write(ref _progress.UnsyncedSince, _clock.GetTimestamp());
        Volatile.Write(ref _progress.Written, _progress.Written + (ulong)bytes);
        Volatile.Write(ref _progress.WrittenCommits, _progress.WrittenCommits + commits);
        Failpoint.Hit("log.written-before-sync");
        if (seal is not null)
            Rotate(last + 1);
        if (needsSync && !Mutant.Is("publish-before-sync"))
            Sync();
        Failpoint.Hit("log.synced-before-visible");
        // Slots before visibility: once a commit is visible, its owner may fill the same record again.
        for (var i = first; i < slot; i++)
        {
            ref var place = ref _ring[i & (_ring.Length - 1)];
            if (place!.Type == RecordType.Transaction)
                _counters.Outcomes.Wrote(place.Class, place.RecordLength);
            if (place.IsPooled)
                PendingRecordPool.Return(place);
            place = null;
        }

        Volatile.Write(ref _progress.WrittenSlot, slot);
        if (_publishes && last > _visible.Value)
            _visible.Publish(last);
        Failpoint.Hit("log.visible-before-wake");
        WakeWaiters(isBinned);
        _counters.Round(commits, bytes);
        Observe(written);
        if (_device is not null)
            Due?.Invoke(IsDue(needsSync));
        return needsSync;
    }

    // A segment is asked for once: whoever prepares it takes its time.
    private bool IsDue(bool synced)
    {
        if (!synced && _progress.WrittenCommits - Volatile.Read(ref _progress.SyncedCommits) >= SyncCommits)
            return true;
        if (!NeedsPreparing || _askedFor == _device!.BasePosition + 1)
            return false;
        _askedFor = _device.BasePosition + 1;
        return true;
    }

    private ReadOnlyMemory<byte> Append(long first, long end, int bytes, PendingRecord? seal)
    {
        var device = _device!;
        var salted = RecordFrame.Salted(device.Salt);
        var start = _ring[first & (_ring.Length - 1)]!.Position;
        Invariant.Check(start == _progress.Written, "records are written where the last write ended");
        var durable = _progress.Synced;
        if (seal is not null)
        {
            Span<byte> digest = stackalloc byte[Digest.Size];
            device.Digest(digest);
            new Seal(device.RecordCount, seal.Sequence, Digest.Read(digest)).Write(seal.Payload);
        }

        if (end == first + 1 && _observers.Length == 0)
        {
            var record = _ring[first & (_ring.Length - 1)]!;
            Finish(record, record.Record, salted, durable);
            device.Append(start, record.Record);
            return default;
        }

        var batch = Gather(first, end, bytes);
        var span = MemoryMarshal.AsMemory(batch).Span;
        var offset = 0;
        for (var i = first; i < end; i++)
        {
            var record = _ring[i & (_ring.Length - 1)]!;
            Finish(record, span.Slice(offset, record.RecordLength), salted, durable);
            offset += record.RecordLength;
        }

        device.Append(start, span);
        return batch;
    }

    // Without a log: what observers are given has the header of a record, though no checks.
    private ReadOnlyMemory<byte> GatherUnlogged(long first, long end, int bytes)
    {
        for (var i = first; i < end; i++)
        {
            var record = _ring[i & (_ring.Length - 1)]!;
            new RecordHeader(
                (uint)record.PayloadLength, record.Type, RecordHeader.CurrentVersion, RecordFlags.None, record.Sequence, 0, 0, 0).Write(record.Record);
        }

        return Gather(first, end, bytes);
    }

    private void Finish(PendingRecord record, Span<byte> bytes, uint salted, ulong durable)
    {
        if (Mutant.Is("durable-up-to-too-high"))
            durable = record.Position;
        var check = RecordFrame.PayloadCheck(salted, record.Payload);
        RecordFrame.Finish(bytes, record.PayloadLength, salted, record.Position, record.Sequence, durable, _chain, check, record.Type);
        _chain = check;
    }

    private ReadOnlyMemory<byte> Gather(long first, long end, int bytes)
    {
        if (_roundBuffer.Length < bytes)
            _roundBuffer = GC.AllocateUninitializedArray<byte>(Math.Max(bytes, RoundBytesMin), pinned: true);
        var offset = 0;
        for (var i = first; i < end; i++)
        {
            var record = _ring[i & (_ring.Length - 1)]!.Record;
            record.CopyTo(_roundBuffer.AsSpan(offset));
            offset += record.Length;
        }

        return _roundBuffer.AsMemory(0, bytes);
    }

    // The seal was appended. D:5.8: sync the seal, then the device begins the prepared segment.
    private void Rotate(ulong firstSequence)
    {
        Sync();
        Failpoint.Hit("log.sealed-before-rotation");
        lock (_syncGate)
        {
            _device!.Rotate(firstSequence, LastTime);
            _chain = _device.FirstChain;
        }

        _gate.Enter();
        _places.RotationPlanned = false;
        var end = _places.SegmentEnd;
        _gate.Exit();
        Invariant.Check(end == _device.EndPosition, "a rotation was planned for the segment that was prepared");
    }

    /// <summary>Makes everything written so far durable. Waits for a running sync first.</summary>
    /// <exception cref="DatabaseFailedException">The sync failed: final.</exception>
    internal void Sync()
    {
        if (_device is null)
            return;
        lock (_syncGate)
        {
            _state.ThrowIfFailed();
            // In this order: a commit written in between starts the clock again, which costs a sync and never loses one.
            Volatile.Write(ref _progress.UnsyncedSince, 0);
            var commits = Volatile.Read(ref _progress.WrittenCommits);
            var position = Volatile.Read(ref _progress.Written);
            if (position == _progress.Synced)
                return;
            try
            {
                Failpoint.Hit("log.before-sync");
                var began = _clock.GetTimestamp();
                if (!Mutant.Is("no-datasync"))
                    _device.Sync();
                var time = _clock.GetElapsedTime(began);
                _counters.Latencies.Of(OperationClass.Sync).Record((long)time.TotalNanoseconds);
                if (time > SystemEvents.SlowAfter)
                    _counters.Events.Raise(SystemEvents.SlowOperation, ("operation", "sync"), ("ms", (long)time.TotalMilliseconds));
            }
            catch (Exception cause)
            {
                _state.Fail(cause);
                CompleteRounds();
                throw _state.Failure();
            }

            _counters.Syncs++;
            Volatile.Write(ref _progress.Synced, position);
            Volatile.Write(ref _progress.SyncedCommits, commits);
            Volatile.Write(ref _progress.SyncedAt, _clock.GetTimestamp());
        }
    }

    /// <summary>A task that ends when everything written before the call is synced, or the sync has failed: the state says which. The
    /// log's thread syncs, once for all who ask meanwhile.</summary>
    internal Task SyncAsync()
    {
        CommitRound round;
        lock (_roundGate)
        {
            if (Volatile.Read(ref _stopping))
                return Task.FromException(new ObjectDisposedException("CairnDatabase", "The database is closed."));
            round = _syncAsked ??= new CommitRound();
        }

        if (_thread is null)
            SyncForThoseWhoAsked();
        else
            _thread.Wake();
        return round.WhenCompleteAsync();
    }

    private void SyncForThoseWhoAsked()
    {
        CommitRound? asked;
        lock (_roundGate)
            (asked, _syncAsked) = (_syncAsked, null);
        if (asked is null)
            return;
        try
        {
            Sync();
        }
        catch (DatabaseFailedException)
        {
            // The state keeps it; whoever asked is woken and told by that.
        }
        finally
        {
            asked.Complete();
        }
    }

    /// <summary>Everything written is synced, and no mark says so yet.</summary>
    internal bool NeedsMark
    {
        get
        {
            var written = WrittenPosition;
            return _device is not null && !_state.HasFailed && written == SyncedPosition
                && written != Volatile.Read(ref _progress.Marked) && Volatile.Read(ref _places.Position) == written;
        }
    }

    /// <summary>After an idle spell that followed a sync: writes and syncs one mark, the witness that the group before it was
    /// synced (D:5.9). True when it did.</summary>
    internal bool MarkIfIdle(TimeSpan idle)
    {
        if (!NeedsMark || _clock.GetElapsedTime(Volatile.Read(ref _progress.SyncedAt)) < idle)
            return false;
        var mark = new PendingRecord { Type = RecordType.DurableMark, NeedsSync = true };
        if (TryTake(mark, 0) != TakeResult.Taken)
            return false;
        mark.IsFilled = true;
        Failpoint.Hit("log.mark-filled");
        Drive(mayLeave: false);
        Volatile.Write(ref _progress.Marked, mark.Position + (ulong)mark.RecordLength);
        return true;
    }

    /// <summary>Blocks until a record that was filled is synced, and with it everything before it.</summary>
    /// <exception cref="DatabaseFailedException">An I/O error came first.</exception>
    internal void SyncThrough(PendingRecord record)
    {
        var spinner = default(SpinWait);
        while (Volatile.Read(ref _progress.WrittenSlot) <= record.Slot)
        {
            _state.ThrowIfFailed();
            Drive(mayLeave: true);
            Failpoint.Wait("log.wait-written");
            spinner.SpinOnce();
        }

        if (!Mutant.Is("checkpoint-log-not-synced"))
            Sync();
    }

    // ---- observers ----------------------------------------------------------------------------------------------------------

    internal bool HasObservers => _observers.Length > 0;

    /// <summary>From the next place on, an observer sees every commit, in sequence order, after it is visible.</summary>
    internal void Add(ICommitObserver observer)
    {
        lock (_roundGate)
            ChangeObservers([.. _observers, observer]);
    }

    internal void Remove(ICommitObserver observer)
    {
        lock (_roundGate)
            ChangeObservers([.. _observers.Where(other => other != observer)]);
    }

    // Under the gate, so that it happens between two places.
    private void ChangeObservers(ICommitObserver[] observers)
    {
        _gate.Enter();
        _observers = observers;
        _gate.Exit();
    }

    private void Observe(ReadOnlyMemory<byte> written)
    {
        var observers = _observers;
        if (observers.Length == 0)
            return;
        var rest = written.Span;
        while (rest.Length > 0)
        {
            Invariant.Check(RecordHeader.TryRead(rest, out var header), "what was written has a header");
            if (header.Type == RecordType.Transaction)
            {
                foreach (var observer in observers)
                    observer.Observe(header.Sequence, rest.Slice(RecordHeader.Size, (int)header.Length));
            }

            rest = rest[(int)header.RecordLength..];
        }
    }

    // ---- life ---------------------------------------------------------------------------------------------------------------

    private void Serve()
    {
        Drive(mayLeave: false);
        SyncForThoseWhoAsked();
    }

    private void CompleteRounds()
    {
        CommitRound current, next;
        lock (_roundGate)
        {
            (current, next) = (_current, _next);
            _current = new CommitRound();
            _next = new CommitRound();
        }

        current.Complete();
        next.Complete();
    }

    /// <summary>Clean close (D:5.10): writes what is filled, syncs, seals, and lets the device cut the tail and name the end.
    /// The caller has made sure that no commit is under way.</summary>
    internal void Close()
    {
        Drive(mayLeave: false);
        StopThread();
        if (_device is null || _state.HasFailed || !_device.HasBegun)
            return;
        if (!_hasBegun)
            Begin();                                         // something else than a record did
        var seal = new PendingRecord { Type = RecordType.Seal };
        seal.Extend(Seal.Size).Clear();
        _gate.Enter();
        Place(seal, SealLength);
        _gate.Exit();
        Sync();
        try
        {
            Append(seal.Slot, seal.Slot + 1, SealLength, seal);
            Volatile.Write(ref _progress.Written, _progress.Written + (ulong)SealLength);
            Failpoint.Hit("log.close-seal-written");
            Sync();
            _device.Close(_progress.Written, _places.Sequence, _places.Time);
        }
        catch (Exception cause) when (cause is not DatabaseFailedException)
        {
            throw _state.Fail(cause);
        }
    }

    public void Dispose()
    {
        StopThread();
        _thread?.Dispose();
        _device?.Dispose();
    }

    private void StopThread()
    {
        Volatile.Write(ref _stopping, true);
        _thread?.Stop();
        SyncForThoseWhoAsked();                              // who asked too late for the thread
    }

    // What committers write under the gate, and what the writer alone writes: apart, on lines of their own.
    [StructLayout(LayoutKind.Explicit, Size = 320)]
    private struct Places
    {
        [FieldOffset(128)]
        internal ulong Sequence;
        [FieldOffset(136)]
        internal long Time;
        [FieldOffset(144)]
        internal ulong Position;
        [FieldOffset(152)]
        internal ulong SegmentEnd;
        [FieldOffset(160)]
        internal long NextSlot;
        [FieldOffset(168)]
        internal bool RotationPlanned;
        [FieldOffset(169)]
        internal bool IsPreparing;      // the segment that is prepared may be replaced
    }

    [StructLayout(LayoutKind.Explicit, Size = 320)]
    private struct Progress
    {
        [FieldOffset(128)]
        internal int Writing;
        [FieldOffset(136)]
        internal long WrittenSlot;
        [FieldOffset(144)]
        internal ulong Written;
        [FieldOffset(152)]
        internal ulong Synced;
        [FieldOffset(160)]
        internal long WrittenCommits;
        [FieldOffset(168)]
        internal long SyncedCommits;
        [FieldOffset(176)]
        internal long UnsyncedSince;
        [FieldOffset(184)]
        internal long SyncedAt;
        [FieldOffset(192)]
        internal ulong Marked;
    }
}

/// <summary>Where a log goes on.</summary>
internal readonly record struct LogPosition(ulong Sequence, long Time, ulong Position, ulong Synced, uint Chain);
