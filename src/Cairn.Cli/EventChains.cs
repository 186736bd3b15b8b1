namespace Cairn.Cli;

/// <summary>The event chain of one run, verified.</summary>
internal sealed record EventChain(string Run, EventVerification Found)
{
    internal bool IsValid => Found.IsValid;

    internal string Text => Found.IsValid
        ? $"{Run}: {Show.Number(Found.Length)} events, every hash is right"
        : $"{Run}: WRONG at {Found.FirstInvalid}: {Found.Error}";

    internal Value ToValue() => Value.Object(
        ("run", Run),
        ("valid", Found.IsValid),
        ("length", Found.Length),
        ("first_invalid", Found.FirstInvalid is { } at ? (long)at.Value : Value.Null),
        ("error", Found.Error));
}

internal static class EventChains
{
    /// <summary>Every run with events, <c>default</c> first.</summary>
    internal static IEnumerable<EventChain> Verify(CairnDatabase database)
    {
        if (database.Default.Events.Count() > 0)
            yield return new EventChain("default", database.Default.Events.Verify());
        string? cursor = null;
        do
        {
            var page = database.Runs.List(new RunFilter { Limit = database.Limits.PageSizeMax, Cursor = cursor });
            foreach (var info in page)
            {
                if (info.EventCount > 0 && database.Runs.TryGet(info.Id, out var run))
                    yield return new EventChain(RunNames.Show(info), run.Events.Verify());
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
    }
}
