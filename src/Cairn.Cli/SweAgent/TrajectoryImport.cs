// One trajectory becomes one run:
//
//      Runs.Begin          name of the file, tag swe-agent, metadata with the file's hash
//      transaction 0       event "start", the root of the trace tree, cell "step" = 0
//      transaction 1..n    one per step: events "action" and "observation", a Thought and below it a ToolCall, the environment's
//                          cells, cell "step" = number of steps that are in
//      transaction n + 1   event "end", info as key-values, and the run is completed: one commit with its end
//
// Cell "step" makes an import resumable: whatever a crash took, the run holds exactly the first so many steps, and the import
// goes on with the next one. A run whose file could not be imported is deleted: the file is still there, half a run is of no use.

namespace Cairn.Cli.SweAgent;

/// <summary>An import under way. Each <see cref="MoveNext"/> is one commit.</summary>
internal interface ITrajectoryImport
{
    internal Trajectory Source { get; }

    internal RunId Run { get; }

    /// <summary>Commits of the whole import, the beginning of the run apart.</summary>
    internal int Total { get; }

    /// <summary>How many of them are done.</summary>
    internal int Done { get; }

    /// <summary>Writes the next commit.</summary>
    /// <returns>False when there is nothing more.</returns>
    internal bool MoveNext(out Sequence sequence);
}

/// <summary>See the essay above.</summary>
internal sealed class TrajectoryImport : ITrajectoryImport
{
    internal const string Tag = "swe-agent";
    internal const string StepCell = "step";
    internal const string RootCell = "root_trace";

    private readonly Run _run;
    private int _next;      // 0 = the start, 1..n = a step, n + 1 = the end, n + 2 = nothing more

    private TrajectoryImport(Trajectory source, Run run, int next)
    {
        Source = source;
        _run = run;
        _next = next;
    }

    public Trajectory Source { get; }

    public RunId Run => _run.Id;

    public int Total => Source.Steps.Count + 2;

    public int Done => _next;

    /// <summary>Begins the run.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>: there is a run of this name.</exception>
    internal static TrajectoryImport Begin(CairnDatabase database, Trajectory source)
    {
        return new TrajectoryImport(source, database.Runs.Begin(source.Name, tags: [Tag], metadata: MetadataOf(source)), 0);
    }

    /// <summary>What a run says of the file that it comes from.</summary>
    internal static Value MetadataOf(Trajectory source) =>
        Value.Object(("source", "swe-agent"), ("file", source.File), ("sha256", source.Hash), ("steps", source.Steps.Count));

    /// <summary>Goes on with a run that an earlier import left behind; an orphaned one is adopted.</summary>
    internal static TrajectoryImport Resume(CairnDatabase database, Trajectory source)
    {
        var run = FindToResume(database, source, isRecording: false);
        return new TrajectoryImport(source, run, run.Status == RunStatus.Completed ? source.Steps.Count + 2 : TransactionsIn(run));
    }

    /// <summary>The run that an interrupted import of this file and form has left, adopted if it is orphaned.</summary>
    /// <exception cref="RefusedException">There is none, or it comes from something else.</exception>
    internal static Run FindToResume(CairnDatabase database, Trajectory source, bool isRecording)
    {
        if (!database.Runs.TryGet(source.Name, out var run))
            throw new RefusedException(ErrorCode.NotFound, $"There is no run '{source.Name}' to go on with. Import without --resume.");
        var info = run.Info;
        if (!info.Metadata.TryGetMember("sha256", out var hash) || hash != source.Hash)
            throw new RefusedException(ErrorCode.AlreadyExists,
                $"Run '{source.Name}' was not imported from this file. Rename the file, or delete the run.");
        if (info.Tags.Contains(TrajectoryRecording.Tag) != isRecording)
        {
            throw new RefusedException(
                ErrorCode.AlreadyExists,
                $"Run '{source.Name}' was imported {(isRecording ? "without" : "with")} --as-recording. Go on in the same way.");
        }

        if (info.IsOrphaned || info.Status == RunStatus.Paused)
            database.Runs.Resume(info.Id);
        return run;
    }

    public bool MoveNext(out Sequence sequence)
    {
        sequence = Sequence.None;
        if (_next >= Total)
            return false;
        using var transaction = _run.BeginTransaction();
        if (_next == 0)
            WriteStart(transaction);
        else if (_next <= Source.Steps.Count)
            WriteStep(transaction, Source.Steps[_next - 1], _next);
        else
            WriteEnd(transaction);
        sequence = transaction.Commit();
        _next++;
        return true;
    }

    /// <summary>How many transactions of an import a run holds.</summary>
    internal static int TransactionsIn(Run run) => StepsIn(run) is { } steps ? (int)steps + 1 : 0;

    /// <summary>How many steps a run holds; null when not even the start is there.</summary>
    internal static long? StepsIn(Run run) => run.State.Get(StepCell) is { } cell ? cell.Value.AsInt64() : null;

    private void WriteStart(Transaction transaction)
    {
        transaction.Events.Append("start", Source.Start);
        transaction.State.Set(RootCell, StepTraces.AddRoot(transaction, Source.Start).ToString());
        transaction.State.Set(StepCell, 0);
    }

    private static void WriteStep(Transaction transaction, TrajectoryStep step, int number)
    {
        foreach (var (type, payload) in step.Events)
            transaction.Events.Append(type, payload);
        foreach (var (name, value) in step.Cells)
            transaction.State.Set(name, value);
        StepTraces.Add(transaction, RootOf(transaction), step);
        transaction.State.Set(StepCell, number);
    }

    /// <summary>The trace that the steps of an import hang under.</summary>
    internal static TraceId RootOf(Transaction transaction) =>
        TraceId.TryParse(transaction.State.Get(RootCell)?.Value.AsString(), out var root)
            ? root
            : throw new RefusedException(
                ErrorCode.ConstraintViolation, $"State cell '{RootCell}' of the run is not what the import left there.");

    private void WriteEnd(Transaction transaction)
    {
        transaction.Events.Append("end", Value.Object(("exit_status", Source.ExitStatus ?? Value.Null)));
        foreach (var (key, value) in Source.Info)
            transaction.Kv.Put(key, value);
        transaction.Run.Complete(Value.Object(("exit_status", Source.ExitStatus ?? Value.Null), ("steps", Source.Steps.Count)));
    }

    // ---- comparing --------------------------------------------------------------------------------------------------------------

    /// <summary>Compares a run with the file it comes from: exactly the first steps, with all that belongs to each, and nothing
    /// else.</summary>
    /// <returns>What differs first; null when nothing does.</returns>
    internal static string? FirstDifference(Run run, Trajectory source)
    {
        var steps = StepsIn(run);
        var isOver = run.Status == RunStatus.Completed;
        var expected = new List<(string Type, Value Payload)>();
        if (steps is not null)
            expected.Add(("start", source.Start));
        var whole = source.Steps.Take((int)(steps ?? 0)).ToList();
        expected.AddRange(whole.SelectMany(step => step.Events));
        if (isOver)
            expected.Add(("end", Value.Object(("exit_status", source.ExitStatus ?? Value.Null))));
        if (isOver && steps != source.Steps.Count)
            return $"it is completed with {steps} of {source.Steps.Count} steps";
        if (run.Events.Count() != expected.Count)
            return $"it has {run.Events.Count()} events and should have {expected.Count}";
        for (var i = 0; i < expected.Count; i++)
        {
            var record = run.Events.Get(new EventNumber((ulong)i))!;
            if (record.Type != expected[i].Type || record.Payload != expected[i].Payload)
                return $"event {i} is not what the file says";
        }

        foreach (var (name, value) in whole.SelectMany(step => step.Cells).GroupBy(cell => cell.Name).Select(cell => cell.Last()))
        {
            if (run.State.Get(name)?.Value != value)
                return $"state cell '{name}' is not what the file says";
        }

        var traces = steps is null ? 0 : 1 + whole.Sum(StepTraces.CountOf);
        if (run.Traces.Count() != traces)
            return $"it has {run.Traces.Count()} traces and should have {traces}";
        var pairs = isOver ? source.Info.Count : 0;
        return run.Kv.Count() == pairs ? null : $"it has {run.Kv.Count()} key-values and should have {pairs}";
    }
}
