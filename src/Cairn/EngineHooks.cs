namespace Cairn;

/// <summary>What tests change in an engine that users cannot.</summary>
internal sealed record EngineHooks
{
    internal static EngineHooks None { get; } = new();

    /// <summary>No maintainer thread: the steps are driven by hand.</summary>
    internal bool IsMaintenanceManual { get; init; }

    /// <summary>A budget that users may not choose: so small that little data fills it.</summary>
    internal long? MemoryBudgetBytes { get; init; }

    /// <summary>How much of the log recovery holds back at a time, so that little of it makes several stretches.</summary>
    internal int? RecoveryHeldBytes { get; init; }

    /// <summary>The opening belongs to the salvage that fills the database, which nobody else may open before it ends.</summary>
    internal bool IsSalvage { get; init; }
}
