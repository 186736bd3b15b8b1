using System.Numerics;

namespace Cairn.Diagnostics;

/// <summary>
/// Durations in log-linear buckets: 64 per power of two, so a value is off by at most 1/64 (1.6 %). Counted in one stripe per
/// processor, so that threads on different processors share no cache line; read without stopping anybody, so a reading may be a few
/// counts behind. (The layout is that of Gil Tene's HdrHistogram, written anew.)
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 6;
    private const int SubBuckets = 1 << SubBits;
    private const int Bits = 42;                             // 73 minutes: what takes longer is counted there, and exact as the maximum
    private const int Buckets = (Bits - SubBits + 1) * SubBuckets;

    private static readonly int StripeMask = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(Environment.ProcessorCount, 1, 64)) - 1;

    private readonly long[]?[] _stripes = new long[StripeMask + 1][];
    private long _max;

    /// <param name="nanoseconds">Negative counts as 0.</param>
    internal void Record(long nanoseconds)
    {
        var value = Math.Max(0, nanoseconds);
        ref var stripe = ref _stripes[Thread.GetCurrentProcessorId() & StripeMask];
        var counts = stripe ?? Interlocked.CompareExchange(ref stripe, new long[Buckets], null) ?? stripe!;
        Interlocked.Increment(ref counts[IndexOf((ulong)Math.Min(value, (1L << Bits) - 1))]);
        var max = Volatile.Read(ref _max);
        while (value > max)
        {
            var seen = Interlocked.CompareExchange(ref _max, value, max);
            if (seen == max)
                break;
            max = seen;
        }
    }

    internal LatencySummary Summarise() => Summarise([this]);

    /// <summary>Of several as if they were one.</summary>
    internal static LatencySummary Summarise(ReadOnlySpan<LatencyHistogram> histograms)
    {
        var counts = new long[Buckets];
        var total = 0L;
        var max = 0L;
        foreach (var histogram in histograms)
        {
            max = Math.Max(max, Volatile.Read(ref histogram._max));
            foreach (var stripe in histogram._stripes)
            {
                if (stripe is null)
                    continue;
                for (var i = 0; i < Buckets; i++)
                {
                    var count = Volatile.Read(ref stripe[i]);
                    counts[i] += count;
                    total += count;
                }
            }
        }

        TimeSpan At(double share)
        {
            var rank = (long)Math.Ceiling(share * total);
            var seen = 0L;
            for (var i = 0; i < Buckets; i++)
            {
                seen += counts[i];
                if (seen >= rank && seen > 0)
                    return FromNanoseconds(Math.Min(max, (long)UpperBoundOf(i)));
            }

            return TimeSpan.Zero;
        }

        return new LatencySummary(total, At(0.5), At(0.95), At(0.99), At(0.999), FromNanoseconds(max));
    }

    internal static int IndexOf(ulong value)
    {
        if (value < SubBuckets)
            return (int)value;
        var shift = 63 - BitOperations.LeadingZeroCount(value) - SubBits;
        return ((shift + 1) << SubBits) + (int)((value >> shift) - SubBuckets);
    }

    internal static ulong UpperBoundOf(int index)
    {
        if (index < SubBuckets)
            return (ulong)index;
        var shift = (index >> SubBits) - 1;
        return (((ulong)(index & (SubBuckets - 1)) + SubBuckets + 1) << shift) - 1;
    }

    private static TimeSpan FromNanoseconds(long nanoseconds) => TimeSpan.FromTicks(nanoseconds / 100);
}
