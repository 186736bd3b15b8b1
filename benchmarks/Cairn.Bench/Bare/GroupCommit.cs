namespace Cairn.Bench.Bare;

/// <summary>
/// Group commit and nothing else: writers copy their record into the open batch, one thread writes a closed batch, syncs it and
/// completes it as a whole.
/// <code>
/// writers    a b c | d e f g h | ...       while batch 1 is synced, batch 2 fills
/// committer    1: write, sync, complete | 2: write, sync, complete | ...
/// </code>
/// A batch is completed by one object, a task for those who await and an event for those who block; waking waiters one by one
/// costs an order of magnitude.
/// </summary>
internal sealed class GroupCommit : IDisposable
{
    private const int BatchBytesMax = 1 << 20;

    private readonly PrewrittenFile _file;
    private readonly Lock _gate = new();
    private readonly ManualResetEventSlim _work = new(false, spinCount: 0);
    private readonly Thread _committer;
    private readonly bool _blocks;
    private Batch _open;
    private Batch _spare;
    private volatile bool _stop;

    /// <param name="blocks">Whether writers block on a batch or await it.</param>
    internal GroupCommit(PrewrittenFile file, bool blocks)
    {
        _file = file;
        _blocks = blocks;
        _open = new Batch(new byte[BatchBytesMax]);
        _spare = new Batch(new byte[BatchBytesMax]);
        _committer = new Thread(Commit) { IsBackground = true };
        _committer.Start();
    }

    /// <summary>Returns once the record is on the device.</summary>
    internal void Write(ReadOnlySpan<byte> record) => Add(record).Wait();

    /// <summary>Completes once the record is on the device.</summary>
    internal ValueTask WriteAsync(ReadOnlySpan<byte> record) => new(Add(record).Task);

    public void Dispose()
    {
        _stop = true;
        _work.Set();
        _committer.Join();
        _work.Dispose();
    }

    private Completion Add(ReadOnlySpan<byte> record)
    {
        lock (_gate)
        {
            var isFirst = _open.Length == 0;
            record.CopyTo(_open.Bytes.AsSpan(_open.Length));
            _open.Length += record.Length;
            if (isFirst)
                _work.Set();
            return _open.Completion;
        }
    }

    private void Commit()
    {
        while (true)
        {
            _work.Wait();
            Batch batch;
            lock (_gate)
            {
                _work.Reset();
                if (_open.Length == 0 && _stop)
                    return;
                batch = _open;
                _open = _spare;
            }

            var completion = batch.Completion;
            IOException? failure = null;
            try
            {
                _file.Append(batch.Bytes.AsSpan(0, batch.Length));
                _file.Sync();
            }
            catch (IOException caught)
            {
                failure = caught;
            }

            batch.Length = 0;
            batch.Completion = new Completion();
            _spare = batch;
            if (_stop)
                _work.Set();
            completion.Complete(_blocks, failure);
        }
    }

    private sealed class Batch(byte[] bytes)
    {
        internal readonly byte[] Bytes = bytes;
        internal Completion Completion = new();
        internal int Length;
    }

    /// <summary>What the writers of one batch wait for. Those who block wait on this object's own monitor, never on the log's.</summary>
    private sealed class Completion
    {
        private readonly TaskCompletionSource _task = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _isDone;
        private IOException? _failure;

        internal Task Task => _task.Task;

        internal void Wait()
        {
            lock (this)
            {
                while (!_isDone)
                    Monitor.Wait(this);
            }

            if (_failure is not null)
                throw new IOException(_failure.Message, _failure);
        }

        internal void Complete(bool blocks, IOException? failure)
        {
            if (blocks)
            {
                lock (this)
                {
                    _failure = failure;
                    _isDone = true;
                    Monitor.PulseAll(this);
                }
            }
            else if (failure is null)
            {
                _task.SetResult();
            }
            else
            {
                _task.SetException(failure);
            }
        }
    }
}
