using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Where the records of a run are walked back from, for a scope.</summary>
internal static class PastEnds
{
    /// <summary>What a scope shows of what was committed: pinned until the result is disposed of.</summary>
    /// <param name="time">At which expiry is judged; the latest of all = the scope's.</param>
    internal static DiffEnd Of(Engine engine, Scope scope, long time = long.MaxValue)
    {
        var live = engine.Catalogue.Find(scope.Run.Id) ?? scope.Run;
        VisibleNumbers(engine, live);                        // what can be asked for is visible, and then pinned
        var pin = scope.IsLive ? new PinHold(engine.Pins, engine.Pins.Take(scope.Run.Visible, scope.Run.Store.RunTag)) : null;
        var numbers = VisibleNumbers(engine, live);
        var now = scope.IsLive ? scope.Path.ReadTime() : scope.Time;
        var past = Scope.Snapshot(scope.Path, scope.Run, pin?.Sequence ?? scope.Sequence, time == long.MaxValue ? now : time);
        return new DiffEnd(past, new Lifecycle(engine, past).Info, live, numbers, pin);
    }

    // What is visible is written: from there records can be walked back.
    private static RunNumbers VisibleNumbers(Engine engine, RunState live)
    {
        RunNumbers numbers;
        lock (live.CommitLock)
            numbers = live.Numbers;
        if (engine.Path.Log.Device is not null)              // in memory, what is applied is shown by who applied it
            engine.Path.Log.WaitVisible(numbers.LastSequence);
        return numbers;
    }
}
