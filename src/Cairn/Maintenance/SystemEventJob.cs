using System.Text;
using Cairn.Primitives;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Writes what the engine has to tell into the run <c>$sys</c> (SYS-1), by ordinary commits, and looks at the health of the parts
/// to tell its changes. Its own commits are not timed and raise nothing, so nothing feeds itself (SYS-2).</summary>
internal sealed class SystemEventJob(SystemEvents events, CommitPath path, RandomSource random, Func<Health> health)
    : MaintenanceJob("events")
{
    private const int EventsPerCommit = 100;

    private readonly Dictionary<string, HealthStatus> _told = new(StringComparer.Ordinal);

    internal override long Backlog => events.Waiting;

    internal override long Capacity => SystemEvents.QueuedMax;

    internal override bool HasWorkInSight => events.Waiting > 0 && !path.State.IsDiskFull;

    internal override bool Step()
    {
        TellHealth();
        if (path.State.IsDiskFull || path.Memory is { IsFull: true }
            || events.Peek(Math.Min(EventsPerCommit, BatchMax)) is not { Count: > 0 } waiting)
            return false;
        var batch = Batch.RentOwned();
        batch.BeginPart(path.Catalogue.System);
        var index = 0UL;
        foreach (var (type, payload) in waiting)
        {
            var length = EventOperations.PayloadLength(payload, path.Limits);
            EventOperations.AddAppend(batch, Encoding.ASCII.GetBytes(type), index++, default, payload, length, random);
        }

        batch.EndPart();
        path.PlaceOwn(batch, null, null, path.Clock.GetTimestamp());
        path.Log.Drive(mayLeave: true);
        events.Written(waiting.Count);
        Did(waiting.Count);
        return events.Waiting > 0;
    }

    private void TellHealth()
    {
        foreach (var part in health().Parts)
        {
            // A part that was never told is healthy until it says otherwise. This job does not tell of itself.
            var before = _told.GetValueOrDefault(part.Name);
            if (part.Status == before || part.Name == Name)
                continue;
            _told[part.Name] = part.Status;
            events.Raise(
                SystemEvents.HealthChange,
                ("part", part.Name), ("from", before.ToString()), ("to", part.Status.ToString()), ("reason", part.Reason));
        }
    }
}
