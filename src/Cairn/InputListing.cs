using Cairn.Replay;

namespace Cairn;

/// <summary>The inputs of a run, read from its events.</summary>
internal static class InputListing
{
    internal static Page<RecordedInput> Page(EventsView events, int limit, string? cursor)
    {
        var page = events.Since(0, new EventScanOptions { Types = Inputs.Types, Limit = limit, Cursor = cursor });
        var inputs = new List<RecordedInput>(page.Count);
        foreach (var record in page)
        {
            if (!Inputs.TryRead(record, out var input))
            {
                throw new CairnException(
                    ErrorCode.FormatVersion,
                    $"Event {record.Number} of type {record.Type} is not an input as this version knows them. Use a newer Cairn.");
            }

            // A redacted one has lost its ordinal; there are no gaps.
            if (input!.IsRedacted)
            {
                var ordinal = inputs.Count > 0 ? inputs[^1].Ordinal + 1 : OrdinalOf(events, record.Number);
                input = input with { Ordinal = ordinal, AnsweredBefore = ordinal };
            }

            inputs.Add(input);
        }

        return new Page<RecordedInput>(inputs, page.Cursor, page.Sequence);
    }

    /// <summary>All of them.</summary>
    internal static IEnumerable<RecordedInput> All(EventsView events, int pageSize)
    {
        string? cursor = null;
        do
        {
            var page = Page(events, pageSize, cursor);
            foreach (var input in page)
                yield return input;
            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    /// <summary>Ordinal of the input that comes next.</summary>
    internal static long NextOrdinal(EventsView events)
    {
        EventNumber? last = null;
        foreach (var type in Inputs.Types)
        {
            if (events.StreamInfo(type) is { } stream && !(last > stream.LastNumber))
                last = stream.LastNumber;
        }

        return last is { } number ? OrdinalOf(events, number) + 1 : 0;
    }

    // Of the event of an input. There are no gaps, so one that was redacted has its ordinal from those before it.
    private static long OrdinalOf(EventsView events, EventNumber number)
    {
        var distance = 0L;
        var to = new EventNumber(number.Value + 1);
        while (true)
        {
            var page = events.Range(0, to, new EventScanOptions { Types = Inputs.Types, Reverse = true, Limit = 1 });
            if (page.Count == 0)
                return distance - 1;
            if (Inputs.TryRead(page[0], out var input) && !input!.IsRedacted)
                return input.Ordinal + distance;
            distance++;
            to = page[0].Number;
        }
    }
}
