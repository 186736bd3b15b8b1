namespace Cairn.Log;

/// <summary>
/// A lock for a few instructions that never wait: taking it is one interlocked operation and leaving it a plain store, half of
/// what <see cref="Lock"/> costs when nobody else is there. Not re-entrant. A field of this type may not be read-only, and nothing
/// that blocks may stand between the two calls.
/// </summary>
internal struct SpinGate
{
    private int _taken;

    internal void Enter()
    {
        if (Interlocked.CompareExchange(ref _taken, 1, 0) != 0)
            EnterSlowly();
    }

    internal void Exit() => Volatile.Write(ref _taken, 0);

    // The holder may have lost its processor: give it ours, and never sleep longer than that takes.
    private void EnterSlowly()
    {
        var spinner = default(SpinWait);
        do
            spinner.SpinOnce(sleep1Threshold: -1);
        while (Volatile.Read(ref _taken) != 0 || Interlocked.CompareExchange(ref _taken, 1, 0) != 0);
    }
}
