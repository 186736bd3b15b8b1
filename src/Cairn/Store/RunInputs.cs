using Cairn.Log;

namespace Cairn.Store;

/// <summary>
/// The inputs of a run that have their answers and are in no commit yet (RPL-21): each is an event that goes with the run's next commit.
/// Changed under the run's lock, so that a commit either carries an input or was there before it.
/// </summary>
/// <param name="next">Ordinal of the next input.</param>
internal sealed class RunInputs(long next)
{
    private static readonly AsyncLocal<InputCall?> Current = new();

    private readonly List<PendingInput> _pending = [];
    private int _count;
    private int _calls;

    /// <summary>Held while an answer gets its ordinal and its bytes; before the run's lock.</summary>
    internal Lock Answering { get; } = new();

    /// <summary>Ordinal of the input that is answered next.</summary>
    internal long Next { get; private set; } = next;

    /// <summary>Whoever answers instead of the live call; null = nobody does.</summary>
    internal object? Source { get; set; }

    internal bool HasPending => Volatile.Read(ref _count) > 0;

    /// <summary>In order of their ordinals.</summary>
    internal IReadOnlyList<PendingInput> Pending => _pending;

    internal void Add(PendingInput input)
    {
        _pending.Add(input);
        Next++;
        Volatile.Write(ref _count, _pending.Count);
    }

    /// <summary>A merge has brought inputs: what is answered next comes behind them. Under <see cref="Answering"/> and the run's
    /// lock.</summary>
    internal void GoOnFrom(long next) => Next = Math.Max(Next, next);

    /// <summary>A commit has taken the first ones.</summary>
    internal void Taken(int count)
    {
        _pending.RemoveRange(0, count);
        Volatile.Write(ref _count, _pending.Count);
    }

    /// <summary>Gives an input that no commit has taken another body; does nothing when one has.</summary>
    internal void Replace(PendingInput input, PendingInput by)
    {
        if (_pending.IndexOf(input) is >= 0 and var index)
            _pending[index] = by;
    }

    // ---- live calls -----------------------------------------------------------------------------------------------------------

    /// <summary>From here to <see cref="Leave"/> this flow of control is inside the live call of an input.</summary>
    internal InputCall Enter()
    {
        Interlocked.Increment(ref _calls);
        return Current.Value = new InputCall(this, Current.Value);
    }

    internal static void Leave(InputCall call)
    {
        call.IsOver = true;
        Interlocked.Decrement(ref call.Run._calls);
        Current.Value = call.Outer;
    }

    /// <summary>Goes on inside a live call that was left for a while.</summary>
    internal static void Continue(InputCall call) => Current.Value = call;

    /// <summary>This flow of control is inside the live call of an input of this run.</summary>
    internal bool IsInside()
    {
        if (Volatile.Read(ref _calls) == 0)
            return false;
        for (var call = Current.Value; call is not null; call = call.Outer)
        {
            if (call.Run == this && !call.IsOver)
                return true;
        }

        return false;
    }
}

/// <summary>A live call that is running.</summary>
internal sealed class InputCall(RunInputs run, InputCall? outer)
{
    internal RunInputs Run { get; } = run;

    internal InputCall? Outer { get; } = outer;

    /// <summary>What the call left running is not inside it any more.</summary>
    internal bool IsOver { get; set; }
}

/// <summary>An input's event before it is in a commit: its type, and the body of the operation that appends it.</summary>
/// <param name="Cause">What the commit that carries it tells of its cause, as far as that tells nothing itself (RPL-20).</param>
internal sealed record PendingInput(byte[] Type, byte[] Body, CommitAttributes Cause)
{
    internal int OperationBytes => Operation.Length(Type.Length, Body.Length);
}
