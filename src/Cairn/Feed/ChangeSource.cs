// The change feed: committed operations, commit by commit, in the order of sequences, from a cursor on and then live
// ------------------------------------------------------------------------------------------------------------------
// The log is the feed. A consumer reads records with a reader of its own, on its own thread, and gives each commit with a cursor behind
// it. Nothing of it is on the way of a commit: no queue, no buffer that grows. A consumer that has read everything waits for the next round
// of the log's writer, as one who awaits a commit does, and then reads again.
//
//      log        | @1 | @2 | mark | @3 | seal || open | @4 | @5 | @6
//                                    ^ cursor behind @3             ^ visible = @5: @6 is written and not yet as firm as its mode asks
//      gives                                            @4   @5     then waits
//
//  F1  Only what is visible is given: in Strict synced, in Buffered handed to the system. A crash of the system may take back what a
//      Buffered database has shown, and so what its feed has given.
//  F2  No gap and no duplicate for a cursor. What lies behind it and is no longer kept is HistoryTrimmed, with the earliest cursor that
//      there is; it is never passed over.
//  F3  A cursor proves its commit by the check of its payload. When a crash, or a restored backup, took that commit and another one has its
//      sequence now, the cursor is refused (CursorFault.Lost) and not taken for that one.
//  F4  Nobody waits for a consumer: neither commits, nor retention, nor closing (but for the piece that it is reading).
//
// Two ways to read. Of the database: the records one after another, as far as the log has its segments. Of one run: the run's own
// records, each of which names the one before, so that a run is read at the cost of what it wrote, and as far back as archives have kept
// its records whole. The links lead back, so a stretch is walked back first and then given forward.
//
// Not here: what of a commit is given (ChangeMatch.cs), values before (ValuesBefore.cs), waiting and closing (ChangeFeed.cs).

using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Feed;

/// <summary>See the essay above. Gives records of commits one after another. Not thread-safe.</summary>
internal abstract class ChangeSource(SegmentedLog log) : IDisposable
{
    protected SegmentedLog Log { get; } = log;

    protected LogReader Reader { get; } = new(log);

    /// <summary>Behind the commit that was given last.</summary>
    internal ChangeCursor Cursor { get; private protected set; }

    /// <summary>Commit time of what was given last; 0 before that.</summary>
    internal long Time { get; private set; }

    /// <summary>The next commit at or below a sequence that is visible.</summary>
    /// <param name="payload">Good until the next call.</param>
    /// <returns>False: there is none yet.</returns>
    /// <exception cref="HistoryTrimmedException">It was given up.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    internal abstract bool TryNext(ulong visible, out RecordHeader header, out ReadOnlySpan<byte> payload);

    public void Dispose() => Reader.Dispose();

    protected void Gave(in RecordHeader header, ulong position, ReadOnlySpan<byte> payload)
    {
        Cursor = new ChangeCursor(Log.DatabaseId, header.Sequence, position, Crc32C.Of(payload));
        Time = payload.Length < TransactionPayload.FixedBytes ? 0 : TransactionPayload.ReadCommitTime(payload);
    }

    /// <summary>Of the first commit that the log's segments have.</summary>
    protected ulong FirstSequence => Log.SegmentAt(Log.FirstPosition).FirstSequence;

    protected HistoryTrimmedException Trimmed(ulong requested, ulong earliest) => new(new Sequence(requested), new Sequence(earliest))
    {
        EarliestCursor = ChangeCursor.Behind(Log.DatabaseId, earliest - 1).ToString(),
    };

    /// <summary>F3. The record that a cursor names is the one that it was made of.</summary>
    /// <returns>The cursor, proven if the record is there still.</returns>
    /// <exception cref="CursorException">From the future, or of a commit that was lost.</exception>
    protected static ChangeCursor Prove(SegmentedLog log, LogReader reader, in ChangeCursor cursor, ulong visible)
    {
        if (cursor.Sequence > visible)
            throw new CursorException(CursorFault.Future, new Sequence(cursor.Sequence), new Sequence(visible));
        if (!cursor.IsProven || !TryLocate(log, reader, cursor, out var found, out var isThere))
            return cursor;
        if ((!isThere || found.Check != cursor.Check) && !Mutant.Is("lost-cursor-goes-on"))
            throw new CursorException(CursorFault.Lost, new Sequence(cursor.Sequence), new Sequence(visible));
        return found;
    }

    // False: what the cursor names lies below the segments.
    private static bool TryLocate(SegmentedLog log, LogReader reader, in ChangeCursor cursor, out ChangeCursor found, out bool isThere)
    {
        found = cursor;
        isThere = false;
        if (log.SegmentAt(log.FirstPosition).FirstSequence > cursor.Sequence)
            return false;
        if (IsAt(log, reader, cursor, out var payload))
        {
            isThere = true;
            found = cursor with { Check = Crc32C.Of(payload) };
            return true;
        }

        return TryScan(log, reader, cursor.Sequence, log.PositionBefore(cursor.Sequence), out found, out isThere);
    }

    /// <summary>The cursor behind a visible commit, proven as far as it is still there.</summary>
    internal static ChangeCursor Locate(SegmentedLog log, Catalogue catalogue, ulong sequence)
    {
        // The newest commit of some run is seldom far; the beginning of the segment may be.
        var from = log.PositionBefore(sequence);
        foreach (var run in catalogue.Loaded)
        {
            lock (run.CommitLock)
            {
                if (run.LastSequence <= sequence && run.LastPosition != RunState.NoPosition)
                    from = Math.Max(from, run.LastPosition);
            }
        }

        using var reader = new LogReader(log);
        return sequence > 0 && TryScan(log, reader, sequence, from, out var found, out var isThere) && isThere
            ? found
            : ChangeCursor.Behind(log.DatabaseId, sequence);
    }

    // Looks for a commit from a position on. False: it was given up.
    private static bool TryScan(
        SegmentedLog log, LogReader reader, ulong sequence, ulong from, out ChangeCursor found, out bool isThere)
    {
        found = ChangeCursor.Behind(log.DatabaseId, sequence);
        isThere = false;
        for (var position = from; position < log.AppendedPosition;)
        {
            if (position < log.FirstPosition || !reader.TryRead(position, out var header, out var payload))
                return false;
            if (header.Type == RecordType.Transaction && header.Sequence >= sequence)
            {
                isThere = header.Sequence == sequence;
                if (isThere)
                    found = new ChangeCursor(log.DatabaseId, sequence, position, Crc32C.Of(payload));
                return true;
            }

            position += (ulong)header.RecordLength;
        }

        return true;
    }

    // The position is a hint: after a crash, no record or another one may begin there.
    private static bool IsAt(SegmentedLog log, LogReader reader, in ChangeCursor cursor, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        Span<byte> bytes = stackalloc byte[RecordHeader.Size];
        return cursor.Position >= log.FirstPosition && cursor.Position < log.AppendedPosition
            && log.TrySaltAt(cursor.Position, salt) && log.Read(cursor.Position, bytes) == bytes.Length
            && RecordFrame.IsHeaderRight(RecordFrame.Salted(salt), cursor.Position, bytes)
            && RecordHeader.TryRead(bytes, out var header)
            && header.Type == RecordType.Transaction && header.Sequence == cursor.Sequence
            && reader.TryRead(cursor.Position, out _, out payload);
    }
}

/// <summary>All commits of the database.</summary>
internal sealed class LogSource : ChangeSource
{
    private ulong _next;                                     // position of the next record to read

    /// <param name="from">Behind it; null = from the first commit.</param>
    internal LogSource(SegmentedLog log, ChangeCursor? from, ulong visible)
        : base(log)
    {
        Cursor = from is { } cursor ? Prove(log, Reader, cursor, visible) : ChangeCursor.Behind(log.DatabaseId, 0);
        _next = Cursor.IsProven ? Cursor.Position : Start();
    }

    private ulong Start()
    {
        var first = Log.SegmentAt(Log.FirstPosition);
        if (first.FirstSequence > Cursor.Sequence + 1 && !Mutant.Is("feed-begins-where-the-log-does"))
            throw Trimmed(Cursor.Sequence + 1, first.FirstSequence);
        return Cursor.Sequence < first.FirstSequence ? first.BasePosition : Log.PositionBefore(Cursor.Sequence);
    }

    internal override bool TryNext(ulong visible, out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        while (true)
        {
            header = default;
            payload = default;
            if (_next >= Log.AppendedPosition)
                return false;
            if (_next < Log.FirstPosition || !Reader.TryRead(_next, out header, out payload))
            {
                // The segment was given up. If nothing of it was still to be given, the next one goes on.
                _next = Start();
                continue;
            }

            if (header.Type == RecordType.Transaction && header.Sequence > Cursor.Sequence)
            {
                if (header.Sequence > visible && !Mutant.Is("feed-ahead-of-visible"))
                    return false;
                Gave(header, _next, payload);
                _next += (ulong)header.RecordLength;
                return true;
            }

            _next += (ulong)header.RecordLength;
        }
    }
}

/// <summary>The commits of one run.</summary>
internal sealed class RunSource : ChangeSource
{
    /// <summary>Positions that are kept of a stretch that is walked back: 512 KiB. Chosen: a longer one is walked again.</summary>
    internal const int StretchMax = 64 << 10;

    private readonly RunState _run;
    private readonly int _stretchMax;
    private readonly bool _endsAtGaps;
    private readonly Stack<ulong> _stretch = new();          // positions of what comes next, the oldest on top
    private ulong _newest;                                   // sequence of the run's newest record when it was looked at last
    private ulong _newestAt;

    /// <param name="from">Behind it; null = from the run's first commit.</param>
    internal RunSource(SegmentedLog log, RunState run, ChangeCursor? from, ulong visible, int stretchMax = StretchMax)
        : base(log)
    {
        _run = run;
        _stretchMax = stretchMax;
        Cursor = from is { } cursor ? Prove(log, Reader, cursor, visible) : ChangeCursor.Behind(log.DatabaseId, 0);
    }

    /// <param name="from">Of this log as it is: kept in it, and so not proven.</param>
    /// <param name="endsAtGaps">What is no longer kept is none of the reader's business.</param>
    internal RunSource(SegmentedLog log, RunState run, in ChangeCursor from, bool endsAtGaps)
        : base(log)
    {
        _run = run;
        _stretchMax = StretchMax;
        _endsAtGaps = endsAtGaps;
        Cursor = from;
    }

    internal override bool TryNext(ulong visible, out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        if (_stretch.Count == 0 && !TryWalkBack(_run.Visible.Value))
            return false;
        var position = _stretch.Peek();
        if (!TryRead(position, out header, out payload))
            throw TrimmedAt(position, _newest + 1);
        if (header.Sequence > visible)
            return false;
        _stretch.Pop();
        Gave(header, position, payload);
        return true;
    }

    // What is only applied may not be written yet, so the walk begins at a record that is visible: the newest one as it was looked at
    // before, for in a busy run there is always a newer one.
    private bool TryWalkBack(ulong written)
    {
        if (_newest <= Cursor.Sequence)
        {
            lock (_run.CommitLock)
            {
                _newestAt = _run.LastPosition;
                _newest = _run.LastSequence;
            }
        }

        if (_newest > written || _newest <= Cursor.Sequence)
            return false;
        var stretch = new Queue<ulong>();
        var position = _newestAt;
        var above = _newest + 1;                             // sequence of the record that the next one comes before
        while (position != RunState.NoPosition && above > Cursor.Sequence + 1 && !(Cursor.IsProven && position <= Cursor.Position))
        {
            if (!TryRead(position, out var header, out var payload))
            {
                // It lies below the segments. So does its sequence, and what is asked for may begin there.
                if (_endsAtGaps || Cursor.Sequence + 1 >= FirstSequence)
                    break;
                throw TrimmedAt(position, above);
            }

            if (header.Sequence <= Cursor.Sequence || header.Sequence < _run.Born)
                break;
            above = header.Sequence;
            stretch.Enqueue(position);
            if (stretch.Count > _stretchMax)
                stretch.Dequeue();                           // the newest: it is come by again
            position = PreviousIn(payload);
        }

        foreach (var at in stretch)
            _stretch.Push(at);
        if (_endsAtGaps && stretch.Count == 0)
            Cursor = Cursor with { Sequence = _newest, Position = _newestAt };   // nothing lies between that it would be given
        return _stretch.Count > 0;
    }

    // The cursor names the place of what is gone: by that it is known again when the run is walked back to it.
    private HistoryTrimmedException TrimmedAt(ulong position, ulong above) => above >= FirstSequence
        ? Trimmed(Cursor.Sequence + 1, above)
        : new HistoryTrimmedException(new Sequence(Cursor.Sequence + 1), new Sequence(above))
        {
            EarliestCursor = new ChangeCursor(Log.DatabaseId, above - 1, position, 0).ToString(),
        };

    private bool TryRead(ulong position, out RecordHeader header, out ReadOnlySpan<byte> payload) =>
        History.TryRead(Log, Reader, _run.Id, position, out var kept, out header, out payload)
        && (kept.IsAll || Mutant.Is("feed-gives-parts-of-commits"));

    private ulong PreviousIn(ReadOnlySpan<byte> payload)
    {
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            if (part.Run == _run.Id)
                return part.Previous;
        }

        throw new InvariantException("the records of a run have a part of it");
    }
}
