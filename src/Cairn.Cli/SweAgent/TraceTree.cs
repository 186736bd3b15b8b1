namespace Cairn.Cli.SweAgent;

/// <summary>The trace tree of an import: a root for the trajectory, below it each thought, below each thought its action.</summary>
internal static class TraceTree
{
    internal static string Root(Transaction transaction, Trajectory source) => "";

    internal static void Add(Transaction transaction, string root, TrajectoryStep step)
    {
    }

    internal static int CountOf(TrajectoryStep step) => (step.Thought.Length > 0 ? 1 : 0) + (step.Action.Length > 0 ? 1 : 0);
}
