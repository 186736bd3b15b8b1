namespace Cairn.Cli.SweAgent;

/// <summary>The traces of an import: a root for the trajectory, below it each thought, below each thought what was done.</summary>
internal static class StepTraces
{
    internal static TraceId AddRoot(Transaction transaction, Value start) =>
        transaction.Traces.Record(new CustomStep("trajectory", start), new TraceOptions { Tags = [TrajectoryImport.Tag] });

    internal static void Add(Transaction transaction, TraceId root, TrajectoryStep step)
    {
        var parent = root;
        if (step.Thought.Length > 0)
            parent = transaction.Traces.Record(new ThoughtStep(step.Thought), new TraceOptions { Parent = root });
        if (step.Action.Length > 0)
        {
            var result = step.Observation is { } observation ? (Value)observation : default(Value?);
            transaction.Traces.Record(
                new ToolCallStep(step.Tool, Value.Object(("command", step.Action)), result, step.Duration),
                    new TraceOptions { Parent = parent, Tags = Tags(step.Tool) });
        }
    }

    internal static int CountOf(TrajectoryStep step) => (step.Thought.Length > 0 ? 1 : 0) + (step.Action.Length > 0 ? 1 : 0);

    /// <summary>The tool of an action, if its first word is a name that can be one.</summary>
    internal static string? NameOf(string action) => Tags(TrajectoryStep.ToolOf(action)).FirstOrDefault();

    // A tool whose name is no tag is found by its type instead.
    private static string[] Tags(string tool) =>
        tool.Length is > 0 and <= 64 && tool.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') ? [tool] : [];
}
