using System.Globalization;
using System.Text;

namespace Cairn;

/// <summary>How much of the past is kept: a policy of the database (<see cref="CairnOptions.Retention"/>) that a run may replace by one
/// of its own (<see cref="Run.Retention"/>). It governs older versions, never the newest one: what is current stays whatever the policy
/// says. And it governs events, which go from the front: number and hash chain go on from what is left (<see cref="EventsView.Floor"/>).
/// A policy promises the least that is kept; what lies beyond may still be there, and is then told truly. Below what is kept, reads
/// answer <see cref="HistoryTrimmedException"/>. An immutable value.</summary>
/// <remarks><see cref="KeepFor"/> speaks of versions and of events, <see cref="KeepLast"/> of versions, <see cref="KeepEvents"/> of events.
/// Of what no part of a policy speaks, all is kept; what several speak of is kept if any of them says so.</remarks>
public sealed record Retention
{
    /// <summary>Least duration of <see cref="KeepFor"/>.</summary>
    public static readonly TimeSpan DurationMin = TimeSpan.FromSeconds(1);

    /// <summary>Largest duration of <see cref="KeepFor"/>: a hundred years.</summary>
    public static readonly TimeSpan DurationMax = TimeSpan.FromDays(36_500);

    /// <summary>Largest number of <see cref="KeepLast"/>.</summary>
    public const int VersionsMax = 1_000_000;

    /// <summary>Largest number of <see cref="KeepEvents"/>: more than there can be, so it keeps all.</summary>
    public const long EventsMax = 1_000_000_000_000;

    private Retention()
    {
    }

    /// <summary>Keeps everything: each version of each key can be asked for.</summary>
    public static Retention KeepAll { get; } = new();

    /// <summary>Keeps what was valid at any time within the duration before now, and the events of that time.</summary>
    /// <param name="duration">1 second to 36,500 days; a fraction below a microsecond is dropped.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not in that range.</exception>
    public static Retention KeepFor(TimeSpan duration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, DurationMin);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(duration, DurationMax);
        return new Retention { Duration = new TimeSpan(duration.Ticks / TimeSpan.TicksPerMicrosecond * TimeSpan.TicksPerMicrosecond) };
    }

    /// <summary>Keeps the newest versions of each key, and of each state cell. A write, a deletion and a changed expiry are a version each;
    /// what one transaction does to a key is one.</summary>
    /// <param name="versions">How many: 1 to 1,000,000. 1 = the newest alone, and no history: a deletion that is that old may not be told
    /// from a key that never was.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not in that range.</exception>
    public static Retention KeepLast(int versions)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(versions, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(versions, VersionsMax);
        return new Retention { Versions = versions };
    }

    /// <summary>Keeps the newest events of a run; says nothing of versions.</summary>
    /// <param name="events">How many: 1 to <see cref="EventsMax"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not in that range.</exception>
    public static Retention KeepEvents(long events)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(events, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(events, EventsMax);
        return new Retention { Events = events };
    }

    /// <summary>Whether everything is kept.</summary>
    public bool KeepsAll => KeepsAllVersions && KeepsAllEvents;

    /// <summary>Whether every version is kept.</summary>
    public bool KeepsAllVersions => Duration is null && Versions is null;

    /// <summary>Whether every event is kept.</summary>
    public bool KeepsAllEvents => Duration is null && Events is null;

    /// <summary>What was valid, and what happened, within this time before now is kept; null when time says nothing.</summary>
    public TimeSpan? Duration { get; private init; }

    /// <summary>So many of the newest versions of each key are kept; null when their number says nothing.</summary>
    public int? Versions { get; private init; }

    /// <summary>So many of the newest events are kept; null when their number says nothing.</summary>
    public long? Events { get; private init; }

    /// <summary>Both: a version or an event is kept if either of the two says so.</summary>
    public Retention Or(Retention other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (KeepsAll || other.KeepsAll)
            return KeepAll;
        return new Retention
        {
            Duration = Most(Duration, other.Duration), Versions = Most(Versions, other.Versions), Events = Most(Events, other.Events),
        };
    }

    private static T? Most<T>(T? one, T? other)
        where T : struct, IComparable<T> => one is { } a && other is { } b ? (a.CompareTo(b) >= 0 ? one : other) : one ?? other;

    /// <summary>As <see cref="TryParse"/> reads it: <c>all</c>, <c>for 30.00:00:00</c>, <c>last 3</c>, <c>for 1.00:00:00 or last
    /// 3</c>, <c>last 1 or events 1000</c>.</summary>
    public override string ToString()
    {
        if (KeepsAll)
            return "all";
        var text = new StringBuilder();
        if (Duration is { } duration)
            text.Append(CultureInfo.InvariantCulture, $"for {duration:c}");
        if (Versions is { } versions)
            text.Append(text.Length == 0 ? "" : " or ").Append(CultureInfo.InvariantCulture, $"last {versions}");
        if (Events is { } events)
            text.Append(text.Length == 0 ? "" : " or ").Append(CultureInfo.InvariantCulture, $"events {events}");
        return text.ToString();
    }

    /// <summary>Reads a policy from text.</summary>
    /// <param name="text"><c>all</c>, <c>for TIME</c>, <c>last N</c>, <c>events N</c>, or several of them joined by <c>or</c>. A time is a
    /// number with one of the units s, m, h, d (<c>36h</c>), or <c>d.hh:mm:ss</c>.</param>
    /// <param name="policy">What it says.</param>
    /// <returns>False when it says none.</returns>
    public static bool TryParse(string? text, out Retention policy)
    {
        policy = KeepAll;
        var words = (text ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Retention? read = null;
        for (var i = 0; i < words.Length; i++)
        {
            if (i > 0 && words[i++] != "or")
                return false;
            if (i == words.Length)
                return false;
            var more = words[i] switch
            {
                "all" => KeepAll,
                "for" when ++i < words.Length && TryReadTime(words[i], out var time) => KeepFor(time),
                "last" when ++i < words.Length && TryReadCount(words[i], VersionsMax, out var versions) => KeepLast((int)versions),
                "events" when ++i < words.Length && TryReadCount(words[i], EventsMax, out var events) => KeepEvents(events),
                _ => null,
            };
            if (more is null)
                return false;
            read = read is null ? more : read.Or(more);
        }

        policy = read ?? KeepAll;
        return read is not null;
    }

    private static bool TryReadCount(string word, long most, out long count) =>
        long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out count) && count >= 1 && count <= most;

    private static bool TryReadTime(string word, out TimeSpan time)
    {
        time = default;
        var unit = word[^1] switch
        {
            's' => TimeSpan.FromSeconds(1),
            'm' => TimeSpan.FromMinutes(1),
            'h' => TimeSpan.FromHours(1),
            'd' => TimeSpan.FromDays(1),
            _ => default,
        };
        if (unit == default)
        {
            if (!TimeSpan.TryParseExact(word, "c", CultureInfo.InvariantCulture, out time))
                return false;
        }
        else if (!long.TryParse(word.AsSpan(0, word.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            || number > DurationMax / unit)
        {
            return false;
        }
        else
        {
            time = unit * number;
        }

        return time >= DurationMin && time <= DurationMax;
    }
}
