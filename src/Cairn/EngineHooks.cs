namespace Cairn;

/// <summary>What tests change in an engine that users cannot.</summary>
internal sealed record EngineHooks
{
    internal static EngineHooks None { get; } = new();

    /// <summary>No maintainer thread: the steps are driven by hand.</summary>
    internal bool IsMaintenanceManual { get; init; }
}
