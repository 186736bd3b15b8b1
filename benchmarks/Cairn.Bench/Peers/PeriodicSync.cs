namespace Cairn.Bench.Peers;

/// <summary>Syncs a peer's log at an interval, on a thread of its own: what Buffered means for a peer that has no such mode.</summary>
internal sealed class PeriodicSync : IDisposable
{
    private readonly ManualResetEventSlim _stop = new();
    private readonly Thread _thread;
    private Exception? _failure;

    internal PeriodicSync(TimeSpan interval, Action sync)
    {
        _thread = new Thread(() =>
        {
            try
            {
                while (!_stop.Wait(interval))
                    sync();
            }
            catch (PeerException failure)
            {
                _failure = failure;
            }
        });
        _thread.Start();
    }

    public void Dispose()
    {
        _stop.Set();
        _thread.Join();
        _stop.Dispose();
        if (_failure is not null)
            throw new PeerException($"A periodic sync failed: {_failure.Message}");
    }
}
