using Cairn.Text;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Makes indexes of words that were asked for, and lets them catch up, in steps of some hundred things (Text/TextIndex.cs).
/// Searches look at the rest themselves, so nothing waits for it.</summary>
internal sealed class TextIndexJob(TextIndexes indexes, CommitPath path) : MaintenanceJob("text")
{
    private static readonly TimeSpan LongTurn = TimeSpan.FromMilliseconds(20);

    /// <summary>Steps are done one behind the other for so long, and not much longer. Zero: one.</summary>
    internal TimeSpan Turn { get; set; } = LongTurn;

    // How much is left is no reason to worry: nobody waits, and it ends.
    internal override long Backlog => indexes.HasWork ? 25 : 0;

    internal override long Capacity => 100;

    internal override bool HasWorkInSight => indexes.HasWork;

    internal override bool Step()
    {
        var began = path.Clock.GetTimestamp();
        while (indexes.HasWork && !Stopping.IsCancellationRequested)
        {
            var more = indexes.Step();
            Did(1);
            if (!more || path.Clock.GetElapsedTime(began) >= Turn)
                return more;
        }

        return false;
    }
}
