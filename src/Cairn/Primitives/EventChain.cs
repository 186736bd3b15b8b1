using Cairn.Codec;
using Cairn.Log;

namespace Cairn.Primitives;

/// <summary>Checks the hash chain of a run (EV-10): the one routine behind <c>Events.Verify</c>, deep verification and scrubbing.</summary>
internal static class EventChain
{
    /// <param name="events">The run at one sequence.</param>
    /// <param name="from">Not below the floor.</param>
    /// <param name="end">Exclusive; at most the number of committed events.</param>
    internal static EventVerification Verify(EventReader events, ulong from, ulong end)
    {
        if (from >= end)
            return new EventVerification(true, 0, null, null);
        var previous = default(Hash256);
        var floor = events.Floor();
        if (from == floor.Number && !Mutant.Is("chain-begins-anew"))
            previous = floor.Before;                         // M1
        else if (from > 0 && events.TryGet(from - 1, out var before, out _, out _))
            previous = before.Hash;
        for (var number = from; number < end; number++)
        {
            if (Check(events, number, ref previous) is { } error)
                return new EventVerification(false, (long)(number - from), number, error);
        }

        if (end == events.Committed && previous != events.HeadHash)
            return new EventVerification(false, (long)(end - 1 - from), end - 1, "It is the newest event, and its hash is not the run's head.");
        return new EventVerification(true, (long)(end - from), null, null);
    }

    private static string? Check(EventReader events, ulong number, ref Hash256 previous)
    {
        StoredEvent stored;
        long time;
        try
        {
            if (!events.TryGet(number, out stored, out time, out _))
                return "It is missing.";
        }
        catch (Exception broken) when (broken is MalformedPayloadException or InvariantException)
        {
            return "Its bytes are not those of an event.";
        }

        if (stored.Number != number)
            return $"It says that it is event #{stored.Number}.";
        if (stored.Previous != previous)
            return "It does not follow the event before: the previous hash is another one.";
        Span<byte> bytes = stackalloc byte[2 * Hash256.Size];
        stored.PayloadHash.CopyTo(bytes);
        previous.CopyTo(bytes[Hash256.Size..]);
        EventHash.OfEvent(number, stored.Type, time, bytes[..Hash256.Size], bytes[Hash256.Size..], bytes[..Hash256.Size]);
        previous = new Hash256(bytes[..Hash256.Size]);
        return stored.Hash == previous ? null : "Its hash is not the hash of its content.";
    }
}
