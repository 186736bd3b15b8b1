using Cairn.Replay;

namespace Cairn;

/// <summary>What a replay does when the code asks for something else than was recorded.</summary>
public enum ReplayMode
{
    /// <summary>It throws <see cref="ReplayDivergenceException"/>, and again at every later input.</summary>
    Strict = 0,

    /// <summary>It calls live from there on, and marks every later input (<see cref="InputMark.Live"/>).</summary>
    Lenient = 1,
}

/// <summary>Another answer for a recorded input, or a live call in its place.</summary>
public sealed class InputSubstitution
{
    private readonly Func<RecordedInput, bool>? _takes;
    private readonly Func<RecordedInput, Value>? _answer;

    private InputSubstitution(long? ordinal, Func<RecordedInput, bool>? takes, Func<RecordedInput, Value>? answer)
    {
        Ordinal = ordinal;
        _takes = takes;
        _answer = answer;
    }

    /// <summary>The one input that is meant; null = those of a kind, or that a function takes.</summary>
    public long? Ordinal { get; }

    internal bool IsLive => _answer is null;

    /// <summary>Another answer for one input. It need not ask for what was recorded: only the kind has to be the same.</summary>
    /// <param name="ordinal">Its <see cref="RecordedInput.Ordinal"/>.</param>
    /// <param name="answer">The answer. Of a stream an Array of its items.</param>
    public static InputSubstitution At(long ordinal, Value answer) => new(ordinal, null, _ => answer);

    /// <summary>A live call for one input. It need not ask for what was recorded: only the kind has to be the same.</summary>
    /// <inheritdoc cref="At"/>
    public static InputSubstitution LiveAt(long ordinal) => new(ordinal, null, null);

    /// <summary>Other answers for all inputs of a kind.</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="answer">Makes the answer from what was recorded.</param>
    public static InputSubstitution Of(InputKind kind, Func<RecordedInput, Value> answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return new InputSubstitution(null, input => input.Kind == kind, answer);
    }

    /// <summary>Live calls for all inputs of a kind.</summary>
    /// <inheritdoc cref="Of"/>
    public static InputSubstitution LiveOf(InputKind kind) => new(null, input => input.Kind == kind, null);

    /// <summary>Other answers for the inputs that a function takes.</summary>
    /// <param name="takes">Sees what was recorded; must be pure.</param>
    /// <param name="answer">Makes the answer from what was recorded.</param>
    public static InputSubstitution Where(Func<RecordedInput, bool> takes, Func<RecordedInput, Value> answer)
    {
        ArgumentNullException.ThrowIfNull(takes);
        ArgumentNullException.ThrowIfNull(answer);
        return new InputSubstitution(null, takes, answer);
    }

    /// <summary>Live calls for the inputs that a function takes.</summary>
    /// <inheritdoc cref="Where"/>
    public static InputSubstitution LiveWhere(Func<RecordedInput, bool> takes)
    {
        ArgumentNullException.ThrowIfNull(takes);
        return new InputSubstitution(null, takes, null);
    }

    internal bool Takes(RecordedInput recorded) => Ordinal is { } ordinal ? recorded.Ordinal == ordinal : _takes!(recorded);

    internal Value AnswerTo(RecordedInput recorded) => _answer!(recorded);
}

/// <summary>How to replay the inputs of a run.</summary>
public sealed record InputReplayOptions
{
    internal static InputReplayOptions Default { get; } = new();

    /// <summary>Default <see cref="ReplayMode.Strict"/>.</summary>
    public ReplayMode Mode { get; init; }

    /// <summary>What is not answered as it was recorded; the first that takes an input counts.</summary>
    public IReadOnlyList<InputSubstitution> Substitutions { get; init; } = [];

    /// <summary>Where the new run begins: null, the default, with nothing, so that the code runs from its start; or an input's
    /// <see cref="RecordedInput.Ordinal"/>: then it is a fork of the recorded run right before the commit that holds this input, has all
    /// that the run had by then, and is answered from there on. For code that goes on where a run stands.</summary>
    public long? From { get; init; }

    /// <summary>Name of the new run; null = none.</summary>
    public string? Name { get; init; }
}

/// <summary>What a replay has come to.</summary>
public sealed record InputReplayReport
{
    /// <summary>The recorded run.</summary>
    public required RunId Original { get; init; }

    /// <summary>The run that replays it.</summary>
    public required RunId Run { get; init; }

    /// <summary>Inputs that were answered as recorded.</summary>
    public required long Used { get; init; }

    /// <summary>Inputs that were given another answer.</summary>
    public required long Substituted { get; init; }

    /// <summary>Inputs that were called live.</summary>
    public required long Live { get; init; }

    /// <summary>Ordinals of the recorded inputs that nobody has asked for, ascending.</summary>
    public required IReadOnlyList<long> LeftOver { get; init; }

    /// <summary>Where the replay left the recording; null = nowhere.</summary>
    public required ReplayDivergenceException? Divergence { get; init; }

    /// <summary>Every recorded input was asked for, and nothing else.</summary>
    public bool IsWhole => LeftOver.Count == 0 && Divergence is null;
}

/// <summary>A run that asks its inputs and gets what another run was answered (RPL-22). The code that made that run is run again, on
/// <see cref="Run"/>; whatever handle of that run asks, it is answered from the recording until this is disposed of. Thread-safe.</summary>
public sealed class InputReplay : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Recording _recording;
    private readonly EventsView _original;
    private readonly RunId _originalId;
    private readonly InputReplayOptions _options;
    private readonly Store.RunInputs _inputs;
    private ReplayDivergenceException? _divergence;
    private long _used;
    private long _substituted;
    private long _live;

    internal InputReplay(Run original, Run run, Recording recording, InputReplayOptions options)
    {
        _original = original.Events;
        _originalId = original.Id;
        _recording = recording;
        _options = options;
        Run = run;
        _inputs = run.TrackInputs();
        _inputs.Source = this;
    }

    /// <summary>The new run.</summary>
    public Run Run { get; }

    /// <summary>What has come of it so far.</summary>
    public InputReplayReport Report
    {
        get
        {
            lock (_gate)
            {
                return new InputReplayReport
                {
                    Original = _originalId,
                    Run = Run.Id,
                    Used = _used,
                    Substituted = _substituted,
                    Live = _live,
                    LeftOver = [.. _recording.Unused.Select(entry => entry.Ordinal)],
                    Divergence = _divergence,
                };
            }
        }
    }

    /// <summary>Ends the replay: commits the input that waits, if one does. The run stays, and asks live from here on.</summary>
    public void Dispose()
    {
        if (ReferenceEquals(_inputs.Source, this))
            _inputs.Source = null;
        try
        {
            Run.CommitInputs();
        }
        catch (Exception gone) when (gone is CairnException or ObjectDisposedException)
        {
            // The run or the database is gone, and with it what waited.
        }
    }

    /// <summary>The answer to an input.</summary>
    /// <param name="asked">Without an answer; its ordinal is the one in this run.</param>
    /// <param name="answered">With the answer.</param>
    /// <returns>False: it is to be called live.</returns>
    /// <exception cref="ReplayDivergenceException">Strict, and it is not what was recorded.</exception>
    internal bool TryAnswer(RecordedInput asked, out RecordedInput answered)
    {
        lock (_gate)
        {
            answered = asked;
            if (_divergence is not null)
                return _options.Mode == ReplayMode.Lenient ? CallLive() : throw _divergence;
            var isGiven = false;
            var entry = _recording.Find(asked);
            if (entry is null && _recording.Due is { } due && due.Kind == asked.Kind
                && _options.Substitutions.Any(substitution => substitution.Ordinal == due.Ordinal))
                (entry, isGiven) = (due, true);
            if (entry is null)
                return Diverge(asked);
            var recorded = Read(entry);
            var substitution = _options.Substitutions.FirstOrDefault(one => one.Takes(recorded));
            if (recorded.IsRedacted && substitution is null)
                return Diverge(asked);
            _recording.Use(entry);
            Invariant.Check(!isGiven || substitution is not null, "an input that is not as recorded has a substitute");
            if (substitution is { IsLive: true })
                return CallLive();
            if (substitution is not null)
            {
                _substituted++;
                answered = asked with
                {
                    Answer = substitution.AnswerTo(recorded),
                    IsStream = recorded.IsStream,
                    Mark = InputMark.Substituted,
                };
                return true;
            }

            _used++;
            answered = recorded with { Trace = asked.Trace };
            return true;
        }
    }

    private bool CallLive()
    {
        _live++;
        return false;
    }

    private bool Diverge(RecordedInput asked)
    {
        var expected = _recording.Due is { } due ? Read(due) : null;
        _divergence = new ReplayDivergenceException(
            expected, asked with { Ordinal = _recording.End },
            expected is null ? "the recording has no more inputs" : Difference.Of(expected, asked));
        return _options.Mode == ReplayMode.Lenient ? CallLive() : throw _divergence;
    }

    private RecordedInput Read(Recording.Entry entry)
    {
        RecordedInput? input = null;
        Invariant.Check(
            _original.Get(entry.Number) is { } record && Inputs.TryRead(record, out input), "an event that was an input stays one");
        return input!.IsRedacted ? input with { Ordinal = entry.Ordinal, AnsweredBefore = entry.AnsweredBefore } : input;
    }
}
