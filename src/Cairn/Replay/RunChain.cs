using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// The records of one run, from the newest back: each run part of a record names the position of the record before it, so this costs what
/// the run wrote and not what the log holds. Ends at the run's beginning, or where retention has given a record up: then
/// <see cref="IsTrimmed"/>. What is not visible yet is not met. One thread.
/// </summary>
internal sealed class RunChain : IDisposable
{
    private readonly ILogRecords _log;
    private readonly LogReader _reader;
    private readonly RunId _run;
    private readonly ulong _born;
    private readonly ulong _visible;
    private ulong _next;

    /// <param name="numbers">Of the run, of now or of an earlier moment.</param>
    /// <param name="visible">Records above it are passed over.</param>
    internal RunChain(ILogRecords log, RunId run, in RunNumbers numbers, ulong visible)
    {
        _log = log;
        _reader = new LogReader(log) { ReadsAlong = true };
        _run = run;
        _born = numbers.Born;
        _visible = visible;
        _next = numbers.LastPosition;
        Newest = numbers.LastSequence;
        Oldest = Newest + 1;
    }

    /// <summary>The run's chain as readers may know it.</summary>
    internal static RunChain Of(SegmentedLog log, LogWriter writer, RunState run)
    {
        // What is visible is written; what is only applied may not be, so the walk begins when that is visible too.
        RunNumbers numbers;
        lock (run.CommitLock)
            numbers = run.Numbers;
        writer.WaitVisible(numbers.LastSequence);
        return new RunChain(log, run.Id, numbers, run.Visible.Value);
    }

    /// <summary>Of the present record; good until the next <see cref="MoveNext"/>.</summary>
    internal RecordHeader Header { get; private set; }

    internal ulong Position { get; private set; }

    internal ILogRecords Log => _log;

    /// <summary>Position of the record that comes next.</summary>
    internal ulong Next => _next;

    /// <summary>Sequence of the run's newest record, visible or not.</summary>
    internal ulong Newest { get; }

    /// <summary>Sequence of the oldest record that was read; one above the newest before the first.</summary>
    internal ulong Oldest { get; private set; }

    /// <summary>How many records were read.</summary>
    internal long RecordsRead { get; private set; }

    /// <summary>How many bytes they had.</summary>
    internal long BytesRead { get; private set; }

    /// <summary>A record below the present one was given up, or some of its operations were.</summary>
    internal bool IsTrimmed { get; private set; }

    /// <summary>Position of what was given up.</summary>
    internal ulong TrimmedAt { get; private set; }

    /// <summary>Goes to the record before.</summary>
    /// <param name="payload">Good until the next call.</param>
    /// <returns>False at the end.</returns>
    /// <exception cref="CorruptionException">A record is damaged, or the chain leads elsewhere.</exception>
    internal bool MoveNext(out ReadOnlySpan<byte> payload)
    {
        while (_next != RunState.NoPosition)
        {
            if (!History.TryRead(_log, _reader, _run, _next, out var kept, out var header, out payload) || !kept.IsAll)
            {
                if (Mutant.Is("replay-crosses-gaps") && _log.Archive?.Across(_run, _next) is { } gap && kept.IsAll)
                {
                    _next = gap.Next;
                    continue;
                }

                IsTrimmed = true;
                TrimmedAt = _next;
                _next = RunState.NoPosition;
                break;
            }

            if (header.Sequence < _born)
                break;                                       // of a run that had this id before, and was deleted
            RecordsRead++;
            BytesRead += header.RecordLength;
            Position = _next;
            Header = header;
            Oldest = header.Sequence;
            _next = PreviousOf(header, payload);
            if (header.Sequence <= _visible)
                return true;
        }

        payload = default;
        return false;
    }

    private ulong PreviousOf(in RecordHeader header, ReadOnlySpan<byte> payload)
    {
        try
        {
            var transaction = new TransactionPayload(payload);
            while (header.Type == RecordType.Transaction && transaction.MoveNext(out var part))
            {
                if (part.Run == _run && (part.Previous == RunPart.NoPrevious || part.Previous < Position))
                    return part.Previous;
            }
        }
        catch (MalformedPayloadException malformed)
        {
            throw Damaged(malformed.Expected);
        }

        throw Damaged($"a commit of run {_run}");
    }

    internal CorruptionException Damaged(string expected)
    {
        var (path, offset, _) = _log.PlaceOf(Position);
        return new CorruptionException(path, offset, new Sequence(Header.Sequence), expected);
    }

    public void Dispose() => _reader.Dispose();
}
