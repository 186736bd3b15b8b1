// One trajectory becomes one run that can be replayed with nothing live: what the model and the environment said are recorded inputs.
//
//      Runs.Begin          name of the file, tags swe-agent and recording, metadata with the file's hash
//      commit 0            input user "trajectory" (the task), event "start", the root of the trace tree, cell "step" = 0
//      commit 2n + 1       input model: asked with what was seen last, answers thought and action; event "action"
//      commit 2n + 2       input tool: asked with the action, answers what came of it; event "observation", a Thought and below it a
//                          ToolCall, the environment's cells, cell "step" = n + 1
//      last commit         input tool "environment": how it ended; event "end", info as key-values, and the run is completed
//
// A file without steps gives a commit per message: an input of the one who said it, and event "message".
//
// What a model answers depends on all that it was told. Its request holds the last of that whole and a hash over everything before, so
// that it grows with the step and not with the run, and another observation is told at the next question by its path.
//
// The same code writes the run from the file and replays it from the recording: it takes nothing from the file but answers. How many
// steps there are is part of the task.

using System.Security.Cryptography;

namespace Cairn.Cli.SweAgent;

/// <summary>See the essay above. Each <see cref="MoveNext"/> is one commit.</summary>
internal sealed class TrajectoryRecording : ITrajectoryImport
{
    internal const string Tag = "recording";

    private const string TaskName = "trajectory";
    private const string EnvironmentName = "environment";

    private readonly Trajectory? _source;
    private readonly Run _run;
    private TraceId? _root;
    private Value _task = Value.Null;
    private Hash256 _history;
    private Value _said = Value.Null;        // the last answer of the model: behind it comes what is done
    private Value _seen = Value.Null;        // the last answer of the environment
    private readonly List<Value> _known = [];
    private int _next;

    // What the run was answered already is not asked again: what a fork or an interrupted import has, and an answer that was committed
    // without what it causes, when the database was closed between them.
    private TrajectoryRecording(Trajectory? source, Run run)
    {
        _source = source;
        _run = run;
        string? cursor = null;
        do
        {
            var page = run.ListInputs(cursor: cursor);
            _known.AddRange(page.Select(input => input.Answer ?? Value.Null));
            cursor = page.Cursor;
        }
        while (cursor is not null);

        if (_known.Count == 0)
            return;
        _task = _known[0];
        for (var done = CommitsIn(run); _next < done;)
            Remember(_known[_next]);
    }

    public Trajectory Source => _source ?? throw new InvalidOperationException("A replay has no file.");

    public RunId Run => _run.Id;

    public int Done => _next;

    public int Total => TotalOf(Source);

    /// <summary>Commits of a recording, the beginning of the run apart.</summary>
    internal static int TotalOf(Trajectory source) => 2 + source.Steps.Count * (source.IsMessages ? 1 : 2);

    /// <summary>Begins the run.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>: there is a run of this name.</exception>
    internal static TrajectoryRecording Begin(CairnDatabase database, Trajectory source)
    {
        var run = database.Runs.Begin(source.Name, tags: [TrajectoryImport.Tag, Tag], metadata: TrajectoryImport.MetadataOf(source));
        return new TrajectoryRecording(source, run);
    }

    /// <summary>Goes on with a run that an earlier import left behind; an orphaned one is adopted.</summary>
    internal static TrajectoryRecording Resume(CairnDatabase database, Trajectory source)
    {
        var run = TrajectoryImport.FindToResume(database, source, isRecording: true);
        return new TrajectoryRecording(source, run);
    }

    /// <summary>Writes a run from its recording, with nothing live.</summary>
    /// <param name="run">A run whose inputs are replayed; of a fork it writes what follows.</param>
    /// <returns>Commits.</returns>
    /// <exception cref="ReplayDivergenceException">An answer is another one than was recorded.</exception>
    internal static int Replay(Run run)
    {
        var replay = new TrajectoryRecording(null, run);
        while (replay.MoveNext(out _))
        {
        }

        return replay._next;
    }

    /// <summary>Writes the next commit.</summary>
    /// <returns>False when there is nothing more.</returns>
    public bool MoveNext(out Sequence sequence)
    {
        sequence = Sequence.None;
        if (_next > 0 && _next > LastCommit)
            return false;
        var answer = Ask();
        using (var transaction = _run.BeginTransaction())
        {
            Write(transaction, answer);
            sequence = transaction.Commit();
        }

        Remember(answer);
        return true;
    }

    private bool IsMessages => _task.TryGetMember("roles", out _);

    private int Steps => (int)_task["steps"].AsInt64();

    private int LastCommit => 1 + Steps * (IsMessages ? 1 : 2);

    // Of commits 1 .. LastCommit - 1: which step, and whether it is what was done and not what was thought.
    private int Step => IsMessages ? _next - 1 : (_next - 1) / 2;

    private bool IsObservation => !IsMessages && _next % 2 == 0;

    // ---- asking -----------------------------------------------------------------------------------------------------------------

    /// <summary>The answer to the next question; written by the next <see cref="MoveNext"/>.</summary>
    internal Value Ask()
    {
        if (_next < _known.Count)
            return _known[_next];
        if (_next == 0)
        {
            return _task = _run.Input(
                InputKind.User, "What is there to do?", () => TaskOf(Source), new InputOptions { Name = TaskName });
        }

        var (kind, name, request) = Question();
        return _run.Input(kind, request, () => AnswerOf(Source), new InputOptions { Name = name });
    }

    private (InputKind Kind, string? Name, Value Request) Question()
    {
        if (_next == LastCommit)
            return (InputKind.Tool, EnvironmentName, Value.Object(("ask", "how it ended"), ("history", _history.ToString())));
        if (IsMessages)
        {
            var request = Value.Object(("message", Step), ("history", _history.ToString()), ("seen", _seen));
            return (KindOf(_task["roles"][Step].AsString()), null, request);
        }

        if (!IsObservation)
            return (InputKind.Model, null, Value.Object(("step", Step), ("history", _history.ToString()), ("seen", _seen)));
        var action = _said["action"];
        return (InputKind.Tool, StepTraces.NameOf(action.AsString()), Value.Object(("step", Step), ("action", action)));
    }

    private static InputKind KindOf(string role) => role switch
    {
        "assistant" => InputKind.Model,
        "tool" => InputKind.Tool,
        _ => InputKind.User,
    };

    private static Value TaskOf(Trajectory source)
    {
        var task = source.Start.AsObject().ToList();
        if (source.IsMessages)
            task.Add(new("roles", Value.Array(source.Steps.Select(step => (Value)Trajectory.Text(step.Events[0].Payload, "role")))));
        return Value.Object(task);
    }

    // What the file says to the present question.
    private Value AnswerOf(Trajectory source)
    {
        if (_next == LastCommit)
        {
            return Value.Object(
                ("exit_status", source.ExitStatus ?? Value.Null),
                ("info", Value.Object(source.Info.Select(pair => KeyValuePair.Create(pair.Key, pair.Value)))));
        }

        var step = source.Steps[Step];
        if (IsMessages)
            return step.Events[0].Payload;
        if (!IsObservation)
            return Value.Object(("thought", step.Thought), ("action", step.Action));
        List<(string, Value)> observed =
        [
            ("observation", step.Observation ?? ""),
            ("state", Value.Object(step.Cells.Select(cell => KeyValuePair.Create(cell.Name, cell.Value)))),
        ];
        if (step.Duration is { } duration)
            observed.Add(("seconds", duration.TotalSeconds));
        return Value.Object([.. observed]);
    }

    // ---- writing ----------------------------------------------------------------------------------------------------------------

    private void Write(Transaction transaction, Value answer)
    {
        if (_next == 0)
        {
            transaction.Events.Append("start", answer);
            StepTraces.AddRoot(transaction, answer);
            transaction.State.Set(TrajectoryImport.StepCell, 0);
        }
        else if (_next == LastCommit)
        {
            transaction.Events.Append("end", Value.Object(("exit_status", answer["exit_status"])));
            foreach (var (key, value) in answer["info"].AsObject())
                transaction.Kv.Put(key, value);
            transaction.Run.Complete(Value.Object(("exit_status", answer["exit_status"]), ("steps", Steps)));
        }
        else if (IsMessages)
        {
            transaction.Events.Append("message", answer);
            var (thought, action) = (Trajectory.Text(answer, "thought").Trim(), Trajectory.Text(answer, "action").Trim());
            Trace(transaction, new TrajectoryStep([], [], thought, action, null, null));
        }
        else if (!IsObservation)
        {
            transaction.Events.Append(
                "action", Value.Object(("step", Step), ("thought", answer["thought"]), ("action", answer["action"])));
        }
        else
        {
            WriteObservation(transaction, answer);
        }
    }

    private void WriteObservation(Transaction transaction, Value answer)
    {
        var isTimed = answer.TryGetMember("seconds", out var seconds);
        List<(string, Value)> payload = [("step", Step), ("observation", answer["observation"])];
        if (isTimed)
            payload.Add(("seconds", seconds));
        transaction.Events.Append("observation", Value.Object([.. payload]));
        foreach (var (name, value) in answer["state"].AsObject())
            transaction.State.Set(name, value);
        Trace(transaction, new TrajectoryStep(
            [], [], _said["thought"].AsString(), _said["action"].AsString(), answer["observation"].AsString(),
            isTimed ? TimeSpan.FromSeconds(seconds.AsFloat64()) : null));
    }

    private void Trace(Transaction transaction, TrajectoryStep step)
    {
        _root ??= _run.Traces.Roots(new TracePage { Limit = 1 })[0].Id;      // no cell holds it: another run has another one
        StepTraces.Add(transaction, _root.Value, step);
        transaction.State.Set(TrajectoryImport.StepCell, Step + 1);
    }

    // ---- what was seen ----------------------------------------------------------------------------------------------------------

    // The history covers all but the last answer, which the next question holds whole.
    private void Remember(Value answer)
    {
        if (_next is > 0 && _next < LastCommit)
        {
            if (IsMessages || !IsObservation)
                _history = Hash(_history, _seen);
            if (!IsMessages && !IsObservation)
                _history = Hash(_history, _said = answer);
        }

        if (IsMessages || _next % 2 == 0)
            _seen = answer;
        _next++;
    }

    private static Hash256 Hash(Hash256 before, Value answer) => new(SHA256.HashData([.. before.ToArray(), .. answer.Encode()]));

    private static int CommitsIn(Run run)
    {
        string[] types = ["start", "message", "action", "observation", "end"];
        return (int)types.Sum(run.Events.CountByType);
    }
}
