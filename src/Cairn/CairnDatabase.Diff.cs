using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

// What differs between two runs.
public sealed partial class CairnDatabase
{
    /// <summary>What differs between two runs as they are now: values, not sequences and times. Nothing is read before the answer is asked
    /// for. The same run twice gives an empty difference.</summary>
    /// <param name="a">The run that differences go from.</param>
    /// <param name="b">The run that they lead to.</param>
    /// <param name="options">What is passed over; null = nothing.</param>
    /// <returns>To be disposed of: both runs' versions are kept until then.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run; <see cref="ErrorCode.InvalidName"/>: a
    /// type of events that cannot be one.</exception>
    /// <exception cref="LimitException">More types of events than <see cref="Limits.ManyItemsMax"/>.</exception>
    public RunDiff Diff(RunId a, RunId b, DiffOptions? options = null)
    {
        _engine.Path.ThrowIfNotReadable();
        options ??= DiffOptions.Default;
        options.Check(_engine.Limits);
        var (runA, runB) = (_engine.Find(a), _engine.Find(b));
        var time = _engine.Path.ReadTime();
        var endA = EndOf(_engine, runA, time);
        try
        {
            return new RunDiff(endA, EndOf(_engine, runB, time), options);
        }
        catch
        {
            endA.Dispose();
            throw;
        }
    }

    /// <summary>What differs between two views: of two runs, or of one at two moments, where only what was written between them is looked
    /// at.</summary>
    /// <param name="a">What differences go from; stays the caller's, and may be disposed of only after the difference.</param>
    /// <param name="b">What they lead to; the same.</param>
    /// <param name="options">What is passed over; null = nothing.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a view of another database;
    /// <see cref="ErrorCode.InvalidName"/>: a type of events that cannot be one.</exception>
    /// <exception cref="LimitException">More types of events than <see cref="Limits.ManyItemsMax"/>.</exception>
    /// <exception cref="ObjectDisposedException">A view was disposed of.</exception>
    public RunDiff Diff(RunView a, RunView b, DiffOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Engine != _engine || b.Engine != _engine)
            throw new CairnException(ErrorCode.InvalidArgument, "A view of another database. Compare views of one.");
        options ??= DiffOptions.Default;
        options.Check(_engine.Limits);
        return new RunDiff(EndOf(a), EndOf(b), options);
    }

    // Its chain is found from the run's newest record: what is newer than the view is passed over.
    private DiffEnd EndOf(RunView view)
    {
        var info = view.Info;
        var live = view.Replay?.Source.Live ?? view.Scope.Run;
        RunNumbers numbers;
        lock (live.CommitLock)
            numbers = live.Numbers;
        return new DiffEnd(view.Scope, info, live, numbers, null);
    }

    // The numbers are taken behind the pin: they name a record at or above what is shown.
    internal static DiffEnd EndOf(Engine engine, RunState run, long time)
    {
        var hold = new PinHold(engine.Pins, engine.Pins.Take(run.Visible, run.Store.RunTag));
        try
        {
            RunNumbers numbers;
            lock (run.CommitLock)
                numbers = run.Numbers;
            var scope = Scope.Snapshot(engine.Path, run, hold.Sequence, time);
            return new DiffEnd(scope, new Lifecycle(engine, scope).Info, run, numbers, hold);
        }
        catch
        {
            hold.Dispose();
            throw;
        }
    }
}
