namespace Cairn.Replay;

/// <summary>How far a merge has come, told to whoever asked, and whether it is still wanted. One thread.</summary>
internal sealed class MergeProgress(IProgress<TransferProgress>? told, CancellationToken cancellationToken)
{
    /// <summary>Chosen: at some microseconds for a thing a few hundred reports a second at most.</summary>
    internal const int ThingsPerReport = 1_024;

    private string _step = "";
    private long _done;
    private long _total;

    internal CancellationToken Token => cancellationToken;

    /// <summary>A step that counts from nothing.</summary>
    /// <param name="total">Things in it and in those that go on from it; 0 = nobody knows yet.</param>
    internal void Begin(string step, long total)
    {
        (_done, _total) = (0, total);
        GoOn(step);
    }

    /// <summary>A step that counts on from the one before.</summary>
    internal void GoOn(string step)
    {
        _step = step;
        Report();
    }

    /// <summary>The last step: all has been looked at, and it waits for what cannot be cancelled.</summary>
    internal void End(string step)
    {
        _done = _total;
        GoOn(step);
    }

    /// <exception cref="OperationCanceledException">Nobody wants it any more.</exception>
    internal void Advance()
    {
        Check();
        if (++_done % ThingsPerReport == 0)
            Report();
    }

    /// <inheritdoc cref="Advance"/>
    internal void Check() => cancellationToken.ThrowIfCancellationRequested();

    private void Report()
    {
        Check();
        told?.Report(new TransferProgress(_step, _done, _total));
    }
}
