using System.Security.Cryptography;

namespace Cairn.Cli.SweAgent;

/// <summary>What one transaction of an import writes, but for its traces' parents.</summary>
/// <param name="Events">In this order.</param>
/// <param name="Cells">State cells to set.</param>
/// <param name="Thought">What the agent thought; empty = nothing.</param>
/// <param name="Action">What it did; empty = nothing.</param>
/// <param name="Observation">What came of that; null = not known in this step.</param>
/// <param name="Duration">How long the action took; null = not known.</param>
internal sealed record TrajectoryStep(
    IReadOnlyList<(string Type, Value Payload)> Events,
    IReadOnlyList<(string Name, Value Value)> Cells,
    string Thought,
    string Action,
    string? Observation,
    TimeSpan? Duration)
{
    /// <summary>The first word of the action: its tool.</summary>
    internal string Tool => ToolOf(Action);

    internal static string ToolOf(string action) =>
        action.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "";
}

/// <summary>A recorded run of SWE-agent (github.com/SWE-agent/SWE-agent), read from its <c>.traj</c> file: a JSON object with
/// <c>trajectory</c> (steps of thought, action, observation and state of the environment), <c>info</c> and <c>history</c>. A file
/// without steps gives the messages of its history instead. Read and checked as a whole before anything is imported.</summary>
internal sealed class Trajectory
{
    /// <summary>Largest file that is read, in bytes: four times the largest value, because JSON is longer.</summary>
    internal const long FileBytesMax = 256 << 20;

    private const string Extension = ".traj";

    private Trajectory(string path, byte[] content)
    {
        File = Path.GetFileName(path);
        Name = File.EndsWith(Extension, StringComparison.OrdinalIgnoreCase) ? File[..^Extension.Length] : File;
        Hash = Convert.ToHexStringLower(SHA256.HashData(content));
        Info = [];
        Steps = [];
        Start = Value.Object();
    }

    /// <summary>Name of the file, without its directory.</summary>
    internal string File { get; }

    /// <summary>Name of the run: that of the file without <c>.traj</c>.</summary>
    internal string Name { get; }

    /// <summary>SHA-256 of the file.</summary>
    internal string Hash { get; }

    internal IReadOnlyList<TrajectoryStep> Steps { get; private init; }

    /// <summary>The file has no steps: each of <see cref="Steps"/> is a message of its history.</summary>
    internal bool IsMessages { get; private init; }

    /// <summary>Payload of the first event.</summary>
    internal Value Start { get; private init; }

    /// <summary>Key-values of the end.</summary>
    internal IReadOnlyList<(string Key, Value Value)> Info { get; private init; }

    /// <summary>How it ended, as the agent said; null when it did not.</summary>
    internal Value? ExitStatus { get; private init; }

    /// <exception cref="RefusedException">The file is not there, is not JSON, or not a trajectory; the message names it.</exception>
    internal static Trajectory Read(string path)
    {
        byte[] content;
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > FileBytesMax and var bytes })
                throw RefusedException.Limit(nameof(FileBytesMax), FileBytesMax, bytes, $"bytes in a file to import, and {path} is larger");
            content = System.IO.File.ReadAllBytes(path);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RefusedException(ErrorCode.NotFound, $"There is no file '{path}'.");
        }

        Value root;
        try
        {
            root = Value.FromJson(content);
        }
        catch (CairnException failure)
        {
            throw new RefusedException(failure.Code, $"{path} cannot be imported: {failure.Message} Nothing was imported.", failure);
        }

        if (root.Kind != ValueKind.Object)
            throw NotOne(path, "it is not a JSON object");
        var steps = root.TryGetMember("trajectory", out var trajectory) && trajectory is { Kind: ValueKind.Array, Count: > 0 }
            ? trajectory.AsArray().Select((step, index) => StepOf(path, step, index)).ToList()
            : root.TryGetMember("history", out var history) && history is { Kind: ValueKind.Array, Count: > 0 }
                ? history.AsArray().Select((message, index) => MessageOf(path, message, index)).ToList()
                : throw NotOne(path, "it has neither steps in 'trajectory' nor messages in 'history'");
        return new Trajectory(path, content)
        {
            Steps = steps,
            IsMessages = steps[0].Events[0].Type == "message",
            Start = StartOf(path, root, steps.Count),
            Info = InfoOf(root),
            ExitStatus = root.TryGetMember("info", out var info) && info.Kind == ValueKind.Object && info.TryGetMember("exit_status",
                out var status)
                ? status
                : default(Value?),
        };
    }

    private static TrajectoryStep StepOf(string path, Value step, int index)
    {
        if (step.Kind != ValueKind.Object)
            throw NotOne(path, $"step {index} is not an object");
        var (thought, action, observation) = (Text(step, "thought").Trim(), Text(step, "action").Trim(), Text(step, "observation"));
        var seconds = step.TryGetMember("execution_time",
            out var time) && time.Kind == ValueKind.Float64 ? time.AsFloat64() : default(double?);
        List<(string, Value)> result = [("step", index), ("observation", observation)];
        if (seconds is { } known)
            result.Add(("seconds", known));
        return new TrajectoryStep(
            [
                ("action", Value.Object(("step", index), ("thought", thought), ("action", action))),
                ("observation", Value.Object([.. result])),
            ],
            CellsOf(step),
            thought,
            action,
            observation,
            seconds is >= 0 and < 1e9 ? TimeSpan.FromSeconds(seconds.Value) : null);
    }

    private static TrajectoryStep MessageOf(string path, Value message, int index)
    {
        if (message.Kind != ValueKind.Object)
            throw NotOne(path, $"message {index} is not an object");
        return new TrajectoryStep([("message", message)], [], Text(message, "thought").Trim(), Text(message, "action").Trim(), null, null);
    }

    // The environment's state is an object, or the text of one.
    private static List<(string, Value)> CellsOf(Value step)
    {
        if (!step.TryGetMember("state", out var state))
            return [];
        if (state.Kind == ValueKind.String)
        {
            try
            {
                state = Value.FromJson(state.AsString());
            }
            catch (CairnException)
            {
                return [("environment", state)];
            }
        }

        return state.Kind == ValueKind.Object ? [.. state.AsObject().Select(member => (member.Key, member.Value))] : [("environment",
            state)];
    }

    private static Value StartOf(string path, Value root, int steps)
    {
        List<(string, Value)> members = [("source", "swe-agent"), ("file", Path.GetFileName(path)), ("steps", steps)];
        if (root.TryGetMember("environment", out var environment))
            members.Add(("environment", environment));
        return Value.Object([.. members]);
    }

    private static List<(string, Value)> InfoOf(Value root)
    {
        var pairs = new List<(string, Value)>();
        if (root.TryGetMember("info", out var info) && info.Kind == ValueKind.Object)
            pairs.AddRange(info.AsObject().Select(member => ("info/" + member.Key, member.Value)));
        if (root.TryGetMember("replay_config", out var config))
            pairs.Add(("replay_config", config));
        return pairs;
    }

    /// <summary>A text member; empty when there is none.</summary>
    internal static string Text(Value item, string name) =>
        item.Kind == ValueKind.Object && item.TryGetMember(name, out var value) && value.Kind == ValueKind.String ? value.AsString() : "";

    private static RefusedException NotOne(string path, string why) =>
        new(ErrorCode.InvalidArgument, $"{path} is not a trajectory of SWE-agent: {why}. Nothing was imported.");
}
