using System.Runtime.ExceptionServices;
using Cairn.Log;

namespace Cairn.Transfer;

/// <summary>Hashes one buffer at a time beside its caller, who may fill and write others meanwhile. For one caller.</summary>
internal sealed class HashThread : IDisposable
{
    private readonly SemaphoreSlim _begun = new(0);
    private readonly SemaphoreSlim _ended = new(0);
    private readonly Thread _thread;
    private RunningDigest? _digest;
    private ReadOnlyMemory<byte> _bytes;
    private ExceptionDispatchInfo? _failure;
    private bool _isBusy;

    internal HashThread()
    {
        _thread = new Thread(Run) { IsBackground = true, Name = "cairn-hash" };
        _thread.Start();
    }

    /// <summary>The buffer and the digest belong to this thread until <see cref="Wait"/> has returned.</summary>
    internal void Begin(RunningDigest digest, byte[] buffer, int bytes)
    {
        Invariant.Check(!_isBusy, "one buffer is hashed at a time");
        (_digest, _bytes, _isBusy) = (digest, buffer.AsMemory(0, bytes), true);
        _begun.Release();
    }

    /// <summary>Until what was begun is in its digest.</summary>
    internal void Wait()
    {
        if (!_isBusy)
            return;
        _ended.Wait();
        _isBusy = false;
        var failure = _failure;
        _failure = null;
        failure?.Throw();
    }

    private void Run()
    {
        while (true)
        {
            _begun.Wait();
            if (_digest is not { } digest)
                return;
            try
            {
                digest.Append(_bytes.Span);
            }
            catch (Exception failure)                        // the caller hears of it; this thread goes on
            {
                _failure = ExceptionDispatchInfo.Capture(failure);
            }

            _ended.Release();
        }
    }

    public void Dispose()
    {
        if (_isBusy)
            _ended.Wait();
        _digest = null;
        _begun.Release();
        _thread.Join();
        _begun.Dispose();
        _ended.Dispose();
    }
}
