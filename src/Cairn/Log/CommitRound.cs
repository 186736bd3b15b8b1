namespace Cairn.Log;

/// <summary>
/// Everybody who waits for one round of the log's writer. Completed at once: one event for the blocked threads, one task for the
/// awaiting ones; waking waiters one by one costs an order of magnitude at 64 writers (peers.md of the evidence, section 3).
/// </summary>
internal sealed class CommitRound
{
    private readonly Lock _gate = new();
    private ManualResetEventSlim? _event;
    private TaskCompletionSource? _task;
    private bool _done;

    /// <summary>Somebody waits; set when the round is handed out, under the writer's lock.</summary>
    internal bool HasWaiters { get; set; }

    /// <summary>Blocks until the round is complete or the time is up.</summary>
    internal bool Wait(TimeSpan timeout)
    {
        ManualResetEventSlim signal;
        lock (_gate)
        {
            if (_done)
                return true;
            signal = _event ??= new ManualResetEventSlim(false, spinCount: 0);
        }

        return signal.Wait(timeout);
    }

    /// <summary>A task that ends with the round. Continuations never run on the writer's thread.</summary>
    internal Task WhenCompleteAsync()
    {
        lock (_gate)
        {
            if (_done)
                return Task.CompletedTask;
            _task ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _task.Task;
        }
    }

    internal void Complete()
    {
        lock (_gate)
            _done = true;
        _event?.Set();
        _task?.SetResult();
    }
}
