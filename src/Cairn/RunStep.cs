using Cairn.Replay;
using Cairn.Store;

namespace Cairn;

/// <summary>One commit of a run, with what it changed.</summary>
public sealed record RunStep
{
    internal RunStep()
    {
    }

    /// <summary>Which of the run's commits, counted from 1.</summary>
    public required int Number { get; init; }

    /// <summary>The commit: when, what it did in all its runs, who and what caused it.</summary>
    public required CommittedTransaction Commit { get; init; }

    /// <summary>What it changed in this run, by address; not what follows from that, such as counts and orders.</summary>
    public required IReadOnlyList<StepChange> Changes { get; init; }

    internal static RunStep Of(in ReplayedStep step, ReadOnlySpan<byte> payload)
    {
        var (replay, source) = (step.Replay, step.Replay.Source);
        var changes = new List<StepChange>();
        AddChanges(changes, step, replay.Run.Store, step.Touched);
        AddChanges(changes, step, replay.Catalogue.State.Store, step.Records);
        return new RunStep
        {
            Number = step.Number,
            Commit = CommittedTransaction.Of(source.Log, source.Operations, step.Header, payload, step.Position),
            Changes = changes,
        };
    }

    private static void AddChanges(List<StepChange> changes, in ReplayedStep step, RunStore store, IReadOnlyCollection<byte[]> keys)
    {
        foreach (var key in keys)
        {
            if (key[0] is StoreKeys.EventHead or StoreKeys.RunResult)
                continue;
            if (step.Replay.Source.Operations.OwnerOf(key) is not { } set || set.IsDerived(key[0]))
                continue;
            var address = new ItemAddress(set.Name, set.Describe(key));
            using var reader = store.Read();
            var before = reader.TryGet(key, step.Before, out var old) && old.IsLiveAt(step.Replay.LastTime)
                ? set.ValueOf(key, old) : default(Value?);
            var after = reader.TryGet(key, step.Header.Sequence, out var now) && now.IsLiveAt(step.Replay.LastTime)
                ? set.ValueOf(key, now) : default(Value?);
            changes.Add(new StepChange(address, before, after));
        }
    }
}

/// <summary>A thing before and after a commit.</summary>
/// <param name="Address">Of a key-value, a state cell, an event, a consumer, a trace, an idempotency key, or the run's own record.</param>
/// <param name="Before">Its value before; null = it was not there, or an event that was redacted by then. Of an event the payload, of a
/// consumer its position, of a trace and of a run's record an Object; a run's result is in <see cref="RunView.Info"/> alone.</param>
/// <param name="After">The same after.</param>
public sealed record StepChange(ItemAddress Address, Value? Before, Value? After);
