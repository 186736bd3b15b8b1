namespace Cairn.Cli;

/// <summary>The event chain of one run, verified.</summary>
internal sealed record EventChain(string Run, bool IsValid, long Length, string Text)
{
    internal Value ToValue() => Value.Object(("run", Run), ("valid", IsValid), ("length", Length));
}

internal static class EventChains
{
    internal static IEnumerable<EventChain> Verify(CairnDatabase database) => [];
}
