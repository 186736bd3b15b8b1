using System.Globalization;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>What the verb <c>write</c> of the crashers has said so far, and what a database must therefore show.</summary>
internal sealed class WrittenByCrasher(int threads)
{
    private readonly long[] _said = new long[threads];
    private readonly long[] _acknowledged = new long[threads];
    private readonly long[] _synced = new long[threads];

    internal long Acknowledged => _acknowledged.Sum();

    /// <summary>Takes a line. The last one may be cut short by the end of the process; then nothing was acknowledged to us.</summary>
    /// <param name="line">What it said; null = nothing.</param>
    /// <param name="before">What it said later is said of a disk that was gone: it may be there, and need not. A clock as
    /// <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>.</param>
    internal void Note(string? line, long before = long.MaxValue)
    {
        if (line is not [.., '.'] || line[..^1].Split(' ') is not [.. var what, var threadText, var numberText, var timeText])
            return;
        var thread = int.Parse(threadText, CultureInfo.InvariantCulture);
        var n = long.Parse(numberText, CultureInfo.InvariantCulture);
        _said[thread] = n;
        if (long.Parse(timeText, CultureInfo.InvariantCulture) < before)
            (what is ["synced"] ? _synced : _acknowledged)[thread] = n;
    }

    /// <summary>Of each thread a prefix of its commits is there, whole ones, and none that must not be lost is missing.</summary>
    /// <param name="mayLoseUnsynced">Only what was behind a sync must be there.</param>
    internal void Check(CairnDatabase db, bool mayLoseUnsynced)
    {
        for (var thread = 0; thread < threads; thread++)
        {
            var n = db.Default.Kv.Get($"{thread}/a")?.AsInt64() ?? 0;
            var least = mayLoseUnsynced ? _synced[thread] : _acknowledged[thread];
            Assert.True(n >= least, $"thread {thread} shows {n}, {least} must be there");
            Assert.True(n <= _said[thread] + 1, $"thread {thread} shows {n}, beyond what it can have issued");
            Assert.Equal(n, db.Default.Kv.Get($"{thread}/b")?.AsInt64() ?? 0);
            Assert.Equal(n * (n + 1) / 2, db.Default.Kv.Get($"{thread}/sum")?.AsInt64() ?? 0);
            var own = db.Runs.Get($"thread-{thread}");
            Assert.Equal(n, own?.Events.Count() ?? 0);
            Assert.True(own?.Events.Verify().IsValid ?? true);
            Assert.Equal(n, own?.Traces.Count() ?? 0);
            Assert.Equal(n, own?.State.Get("cell")?.Value.AsInt64() ?? 0);
            Assert.Equal((ulong)n, own?.State.Get("cell")?.Counter.Value ?? 0);
            _said[thread] = _acknowledged[thread] = _synced[thread] = n;
        }

        Assert.True(db.VerifyDeep().IsValid);
    }
}
