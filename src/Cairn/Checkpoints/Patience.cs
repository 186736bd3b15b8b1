using Cairn.Store.Native;

namespace Cairn.Checkpoints;

/// <summary>How long somebody who asked for something waits for readers to leave. What waits in the background begins again
/// later.</summary>
internal sealed class Patience(TimeProvider clock, TimeSpan most)
{
    private long _began = clock.GetTimestamp();

    internal bool IsOver => clock.GetElapsedTime(_began) > most;

    /// <summary>The waiting begins now.</summary>
    internal void Begin() => _began = clock.GetTimestamp();

    /// <param name="line">In the epoch, that somebody has not passed.</param>
    internal BusyException Told(long line)
    {
        var holder = Epoch.HolderOf(line) is { Length: > 0 } known ? known : "A reader";
        return new BusyException(
            ErrorCode.Busy,
            $"{char.ToUpperInvariant(holder[0])}{holder[1..]} has been inside the database for more than {most.TotalSeconds:0.###} s, in a "
            + "callback of a scan perhaps, and nothing moves beneath a reader. End it, or call again later.",
            most);
    }
}
