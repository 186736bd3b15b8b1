using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>The goals of <c>./bench scale</c>.</summary>
internal static class ScaleGates
{
    internal static readonly Gate Pause = Gate.AtMost("scale-collector-pause-ms", 10);
    internal static readonly Gate LateToEarly = Gate.AtMost("scale-late/early", 2);          // PERF-16: nothing grows with size

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(ScaleGates));
}
