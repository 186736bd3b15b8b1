using System.Runtime.CompilerServices;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Feed;

/// <summary>What a stream of changes is of.</summary>
/// <param name="Run">Only this run, by its own records; null = the database.</param>
internal sealed record ChangeRequest(
    SegmentedLog Log, RunState? Run, ChangeCursor? From, ChangeMatch Match, ChangeOptions Options, bool IsReadOnly);

/// <summary>A feed that may be begun, each time as a stream of its own.</summary>
internal sealed class OpenableChanges(ChangeFeed feed, CommitPath path, ChangeRequest request, CancellationToken cancellationToken)
    : IAsyncEnumerable<CommittedChanges>
{
    public IAsyncEnumerator<CommittedChanges> GetAsyncEnumerator(CancellationToken token = default) =>
        new ChangeStream(feed, path, request).ReadAsync(cancellationToken).GetAsyncEnumerator(token);
}

/// <summary>One open stream of changes: reads a piece of the log, gives it, and waits when there is no more. Belongs to its
/// consumer.</summary>
internal sealed class ChangeStream(ChangeFeed feed, CommitPath path, ChangeRequest request)
{
    /// <summary>What is read before it is given: so many commits, or bytes of records, or records passed over. Chosen: a consumer that
    /// takes one commit and goes has not made much read for nothing.</summary>
    private const int PieceCommits = 128;
    private const long PieceBytes = 1 << 20;
    private const int PieceRecords = 4096;

    private readonly ChangeDecoder _decoder = new(path.Operations, request.Options);
    private readonly List<CommittedChanges> _piece = [];
    private ulong _looked;
    private ulong _given;

    /// <summary>Everything up to this sequence was looked at.</summary>
    internal ulong Looked => Volatile.Read(ref _looked);

    internal async IAsyncEnumerable<CommittedChanges> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        feed.Join(this);
        ChangeSource? source = null;
        ValuesBefore? before = null;
        try
        {
            source = Open();
            before = request.Options.Values == ChangeValues.BeforeAndAfter
                ? new ValuesBefore(path, request.Log, request.Options.ValueBytesMax)
                : null;
            var until = request.IsReadOnly || request.Options.End == ChangeEnd.Now ? Newest() : ulong.MaxValue;
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var visible = feed.Visible;
                var more = Read(source, before, visible, until);
                foreach (var commit in _piece)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    yield return commit;
                }

                if (more)
                    continue;
                if (visible >= until || request.Run is { IsGone: true })
                    yield break;
                path.State.ThrowIfFailed();
                Failpoint.Wait("feed.wait");
                await feed.WhenMoreAsync(visible).WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            before?.Dispose();
            source?.Dispose();
            feed.Leave(this);
        }
    }

    private ChangeSource Open()
    {
        feed.Enter();
        try
        {
            ChangeSource source = request.Run is { } run
                ? new RunSource(request.Log, run, request.From, feed.Visible)
                : new LogSource(request.Log, request.From, feed.Visible);
            Volatile.Write(ref _looked, source.Cursor.Sequence);
            _given = source.Cursor.Sequence;
            return source;
        }
        finally
        {
            feed.Leave();
        }
    }

    // What there is when the stream begins. Of a run, what is on its way belongs to it: it is waited for.
    private ulong Newest()
    {
        if (request.Run is not { } run || request.IsReadOnly)
            return feed.Visible;
        lock (run.CommitLock)
            return run.LastSequence;
    }

    // Fills the piece. False: there is no more at or below the visible sequence.
    private bool Read(ChangeSource source, ValuesBefore? before, ulong visible, ulong until)
    {
        _piece.Clear();
        var bytes = 0L;
        feed.Enter();
        try
        {
            for (var records = 0; records < PieceRecords && _piece.Count < PieceCommits && bytes < PieceBytes; records++)
            {
                if (!source.TryNext(Math.Min(visible, until), out var header, out var payload))
                {
                    Volatile.Write(ref _looked, Math.Max(Looked, visible));
                    TellProgress(source);
                    return false;
                }

                bytes += header.RecordLength;
                Volatile.Write(ref _looked, header.Sequence);
                if (Decode(source, before, header, payload) is { } commit)
                    _piece.Add(commit);
                Failpoint.Hit("feed.record-read");
            }

            return true;
        }
        finally
        {
            feed.Leave();
        }
    }

    private CommittedChanges? Decode(ChangeSource source, ValuesBefore? before, in RecordHeader header, ReadOnlySpan<byte> payload)
    {
        try
        {
            List<Change>? changes = null;
            var transaction = new TransactionPayload(payload);
            while (transaction.MoveNext(out var part))
            {
                if (request.Run is { } run ? part.Run != run.Id : !request.Match.Takes(part.Run))
                    continue;
                while (part.MoveNext(out var operation))
                {
                    var set = _decoder.SetOf(operation);
                    if (!request.Match.Takes(set, operation))
                        continue;
                    changes ??= [];
                    changes.Add(_decoder.Decode(
                        set, part.Run, operation, header.Sequence, before, part.Previous, transaction.CommitTime));
                }
            }

            if (changes is null)
                return null;
            if (!CommitAttributes.TryDecode(transaction.Attributes, out var attributes))
                throw new MalformedPayloadException("attributes of a commit");
            return Give(source.Cursor, header.Sequence, transaction.CommitTime, attributes, changes);
        }
        catch (MalformedPayloadException malformed)
        {
            var (file, offset, _) = request.Log.PlaceOf(source.Cursor.Position);
            throw new CorruptionException(file, offset, new Sequence(header.Sequence), malformed.Expected);
        }
    }

    private CommittedChanges Give(
        in ChangeCursor cursor, ulong sequence, long time, CommitAttributes attributes, IReadOnlyList<Change> changes)
    {
        _given = sequence;
        return new CommittedChanges
        {
            Sequence = new Sequence(sequence),
            Time = CommitClock.Time(time),
            Attributes = attributes,
            Changes = changes,
            Cursor = cursor.ToString(),
        };
    }

    // The commit that was looked at last, with nothing in it.
    private void TellProgress(ChangeSource source)
    {
        if (request.Options.TellsProgress && source.Cursor.Sequence > _given)
            _piece.Add(Give(source.Cursor, source.Cursor.Sequence, source.Time, CommitAttributes.None, []));
    }
}
