using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>The goals of <c>./bench replay</c>.</summary>
internal static class ReplayGates
{
    // Times: a view right after the last commit but one, against one read of the file's bytes from front to back.
    internal static readonly Gate ViewToRead = Gate.AtMost("view-of-1000-events/sequential-read", 20);

    // Rates: commits of one run replayed, against the same commits recovered by an opening.
    internal static readonly Gate ReplayToRecovery = Gate.AtLeast("replay-rate/recovery-rate", 0.8);

    // Times: the run's records among those of others, against the same run alone.
    internal static readonly Gate AmongOthersToAlone = Gate.AtMost("replay-among-10M-commits/alone", 2);

    // Times: forks with a hundred keys of difference, of a run of a million keys, against those of one of a thousand.
    internal static readonly Gate DiffLargeToSmall = Gate.AtMost("diff-of-forks-of-1M-keys/of-1K-keys", 3);

    // Times: making a fork of a run of a million keys, against one of a thousand; at the newest sequence and at a past point.
    internal static readonly Gate ForkLargeToSmall = Gate.AtMost("fork-of-1M-keys/of-1K-keys", 1.5);

    internal static readonly Gate PastForkLargeToSmall = Gate.AtMost("past-fork-of-1M-keys/of-1K-keys", 1.5);

    // Times: reads of keys through five forks, each with a hundredth of them, against reads of the run itself.
    internal static readonly Gate NestedToPlain = Gate.AtMost("read-through-five-forks/plain-read", 2);

    // Times: merging a fork that has changed a hundred keys into a run of a million keys, against one of a thousand; once, and once more.
    internal static readonly Gate MergeLargeToSmall = Gate.AtMost("merge-into-1M-keys/into-1K-keys", 3);

    internal static readonly Gate MergeAgainLargeToSmall = Gate.AtMost("merge-again-into-1M-keys/into-1K-keys", 3);

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(ReplayGates));
}
