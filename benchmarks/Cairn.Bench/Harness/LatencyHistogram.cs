using System.Diagnostics;
using System.Numerics;

namespace Cairn.Bench.Harness;

/// <summary>
/// Counts of durations in log-linear buckets: 64 equal steps to each doubling, so a percentile is within 1/128 (0.8 %) of the
/// true one; below 64 ns it is exact. Recording allocates nothing. One thread records; merge to combine.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;

    private readonly long[] _counts = new long[(64 - StepBits + 1) * Steps];

    internal long Count { get; private set; }

    internal void Record(long nanoseconds)
    {
        _counts[Bucket((ulong)Math.Max(0, nanoseconds))]++;
        Count++;
    }

    /// <summary>Records the time since a timestamp and returns the present one, the start of the next operation.</summary>
    internal long RecordSince(long timestamp)
    {
        var now = Stopwatch.GetTimestamp();
        Record((long)((now - timestamp) * (1e9 / Stopwatch.Frequency)));
        return now;
    }

    internal void Merge(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        Count += other.Count;
    }

    /// <summary>The latency, in microseconds, that a share of the operations (0 to 1) did not exceed.</summary>
    internal double Microseconds(double share)
    {
        var wanted = Math.Max(1, (long)Math.Ceiling(Count * share));
        long seen = 0;
        for (var bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= wanted)
                return Middle(bucket) / 1000;
        }

        return 0;
    }

    private static int Bucket(ulong value)
    {
        if (value < Steps)
            return (int)value;
        var shift = BitOperations.Log2(value) - StepBits;
        return (shift << StepBits) + (int)(value >> shift);
    }

    private static double Middle(int bucket)
    {
        if (bucket < 2 * Steps)
            return bucket;
        var shift = (bucket >> StepBits) - 1;
        var low = (double)(Steps + (bucket & (Steps - 1))) * (1L << shift);
        return low + (1L << shift) / 2.0;
    }
}
