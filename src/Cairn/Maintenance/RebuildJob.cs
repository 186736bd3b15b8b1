using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>Rebuilds damaged tables, a bounded piece at a time (MNT-11). A table that cannot be rebuilt is an alarm until it can, or is
/// right again.</summary>
/// <param name="step">Of whoever rebuilds; false = nothing to do now.</param>
/// <param name="giveUp">Throws away what is under way.</param>
internal sealed class RebuildJob(DamagedTables damaged, Func<bool> step, Action giveUp, EngineState state)
    : MaintenanceJob("rebuild"), IDisposable
{
    internal override long Backlog => damaged.Count;

    /// <summary>Chosen: one is a nuisance, several are a disk that dies.</summary>
    internal override long Capacity => 4;

    internal override bool HasWorkInSight =>
        !state.HasFailed && !state.IsDiskFull && damaged.Waiting is null && damaged.AnyUnjudged;

    /// <summary>A snapshot may have been released, a table that cannot be rebuilt may have been merged.</summary>
    internal override TimeSpan? DueIn => damaged.Count == 0 ? null : TimeSpan.FromSeconds(1);

    /// <summary>Those that cannot be rebuilt.</summary>
    internal override string? Alarm => Tell(
        table => table.Hindrance is { } hindrance
            ? $"{table.Damage.Message} It cannot be rebuilt: {hindrance} Restore a backup, or salvage what is left."
            : null);

    /// <summary>Those that are being rebuilt.</summary>
    internal override string? Concern => Tell(
        table => table.Hindrance is null ? $"{table.Damage.Message} It is being rebuilt from the log{WhatFor()}" : null);

    private string WhatFor() => damaged.Waiting is { } waiting ? $"; {waiting}" : ".";

    private string? Tell(Func<DamagedTable, string?> tell)
    {
        if (damaged.Count == 0)
            return null;
        var texts = damaged.All.Select(tell).OfType<string>().ToList();
        return texts.Count == 0 ? null : string.Join(' ', texts);
    }

    internal override bool Step()
    {
        if (state.HasFailed || state.IsDiskFull || Mutant.Is("no-rebuild-by-itself"))
            return false;
        var (rebuilt, written) = (damaged.Rebuilt, damaged.BytesWritten);
        var more = step();
        Did(damaged.Rebuilt - rebuilt);
        Wrote(damaged.BytesWritten - written);
        return more;
    }

    /// <summary>Ends what is under way: the table that is being written leaves nothing.</summary>
    public void Dispose() => giveUp();
}
