using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>The inputs that a transaction's function has asked, over all its tries: a further try gets the same answers again. For the
/// thread that runs the function.</summary>
internal sealed class AskedInputs
{
    private readonly List<AskedInput> _inputs = [];

    internal void Add(AskedInput input) => _inputs.Add(input);

    /// <summary>The function runs again.</summary>
    internal void BeginTry()
    {
        foreach (var input in _inputs)
            input.IsUsed = false;
    }

    /// <summary>The first answer to a request that this try has not had yet.</summary>
    internal RecordedInput? Take(RunState run, InputKind kind, Hash256 requestHash)
    {
        foreach (var input in _inputs)
        {
            if (input.IsUsed || input.Run != run || input.Input.Kind != kind || input.Input.RequestHash != requestHash)
                continue;
            input.IsUsed = true;
            return input.Input;
        }

        return null;
    }

    /// <summary>The try will commit: what it has not asked for again is of no effect, and its event says so, if it is in no commit
    /// yet.</summary>
    internal void AbandonRest()
    {
        foreach (var input in _inputs)
        {
            if (input.IsUsed || Mutant.Is("abandoned-input-kept"))
                continue;
            var abandoned = input.Abandon();
            lock (input.Run.CommitLock)
                input.Run.Inputs!.Replace(input.Pending, abandoned);
        }
    }
}

/// <summary>An input that the function of a transaction asked.</summary>
/// <param name="run">Of this run.</param>
/// <param name="input">With its answer.</param>
/// <param name="pending">Its event.</param>
/// <param name="abandon">Makes the event that says that nothing rests on it.</param>
internal sealed class AskedInput(RunState run, RecordedInput input, PendingInput pending, Func<PendingInput> abandon)
{
    internal RunState Run { get; } = run;

    internal RecordedInput Input { get; } = input;

    internal PendingInput Pending { get; } = pending;

    internal Func<PendingInput> Abandon { get; } = abandon;

    /// <summary>The try that runs has had it.</summary>
    internal bool IsUsed { get; set; } = true;
}
