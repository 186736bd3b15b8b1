namespace Cairn.Bench.Harness;

/// <summary>Managed bytes that an operation allocates on its own thread.</summary>
internal static class Allocations
{
    private const int Chunks = 10;
    private const int Operations = 1000;

    /// <param name="operation">Gets 0, 1, ... 9,999.</param>
    /// <returns>The median of ten chunks of a thousand operations: what the runtime allocates once, when it loads a type or
    /// replaces a method by a better one, falls on one chunk; what every operation allocates falls on all.</returns>
    internal static double PerOperation(Action<int> operation)
    {
        var chunks = new double[Chunks];
        var number = 0;
        for (var chunk = 0; chunk < Chunks; chunk++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < Operations; i++)
                operation(number++);
            chunks[chunk] = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Operations;
        }

        return Statistics.Median(chunks);
    }
}
