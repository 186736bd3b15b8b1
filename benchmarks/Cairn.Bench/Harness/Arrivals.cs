using System.Diagnostics;

namespace Cairn.Bench.Harness;

/// <summary>
/// Operations that arrive at a fixed rate, whether the one before is done or not, on the calling thread. Each is timed from the
/// moment it should have begun: an operation that waits because another one stalled has waited, and its wait is counted. (Timing
/// from the real start would leave out just the operations that suffered: coordinated omission, G. Tene, "How NOT to Measure
/// Latency", 2013.)
/// </summary>
internal static class Arrivals
{
    // A contestant that cannot keep up is not waited for without end; what has not begun by then counts with the wait it had so far.
    private const int PatienceInWindows = 2;

    /// <param name="perSecond">Arrivals.</param>
    /// <param name="window">For how long they arrive.</param>
    /// <param name="operation">Gets 0, 1, 2, ...</param>
    internal static LatencyHistogram At(double perSecond, TimeSpan window, Action<int> operation)
    {
        var latency = new LatencyHistogram();
        var nanoseconds = 1e9 / Stopwatch.Frequency;
        var period = Stopwatch.Frequency / perSecond;
        var count = (int)(perSecond * window.TotalSeconds);
        var start = Stopwatch.GetTimestamp();
        var patience = start + (long)(window.TotalSeconds * PatienceInWindows * Stopwatch.Frequency);
        for (var i = 0; i < count; i++)
        {
            var intended = start + (long)(i * period);
            var now = Stopwatch.GetTimestamp();
            while (now < intended)
                now = Stopwatch.GetTimestamp();
            if (now < patience)
            {
                operation(i);
                now = Stopwatch.GetTimestamp();
            }

            latency.Record((long)((now - intended) * nanoseconds));
        }

        return latency;
    }
}
