namespace Cairn.Bench.Harness;

/// <summary>Work that a thread of its own repeats until it is stopped. The first pass has begun when the constructor returns. A pass that
/// found nothing to do is not counted, and not repeated at once.</summary>
internal sealed class Repeated : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _stop;
    private Exception? _failure;
    private int _passes;

    /// <param name="work">True: it had something to do.</param>
    internal Repeated(Func<bool> work)
    {
        using var begun = new ManualResetEventSlim();
        _thread = new Thread(() =>
        {
            begun.Set();
            try
            {
                while (!_stop)
                {
                    if (work())
                        _passes++;
                    else
                        Thread.Sleep(1);
                }
            }
            catch (Exception failure)
            {
                _failure = failure;
            }
        });
        _thread.Start();
        begun.Wait();
    }

    /// <summary>Waits for the pass that runs and returns how many there were; throws what the work threw.</summary>
    internal int Stop()
    {
        _stop = true;
        _thread.Join();
        return _failure is null ? _passes : throw new InvalidOperationException("The work in the background failed.", _failure);
    }

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }
}
