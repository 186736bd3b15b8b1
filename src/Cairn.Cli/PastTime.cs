using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Cairn.Cli;

/// <summary>A point of the past as a user names it: a sequence, <c>12</c> or <c>@12</c>, or a time, <c>2026-01-31T12:00:00Z</c>.</summary>
internal sealed record PastTime(Sequence Sequence, DateTimeOffset? Time)
{
    private const int PageVersions = 1_000;

    internal T Read<T>(Func<Sequence, T> bySequence, Func<DateTimeOffset, T> byTime) =>
        Time is { } time ? byTime(time) : bySequence(Sequence);

    internal static Option<PastTime?> Option() => new("--at")
    {
        Description = "As it was right after a commit (12), or at a time (2026-01-31T12:00:00Z; without a zone: UTC).",
        HelpName = "SEQUENCE|TIME",
        CustomParser = Parse,
    };

    internal static Option<int?> Limit() => Parts.Limit("versions");

    internal static Option<PastTime?> Before() => new("--before")
    {
        Description = "Only versions before this sequence.",
        HelpName = "SEQUENCE",
        CustomParser = ParseSequence,
    };

    internal static Option<PastTime?> BeforeCommit() => new("--before")
    {
        Description = "Only commits before this sequence.",
        HelpName = "SEQUENCE",
        CustomParser = ParseSequence,
    };

    /// <summary>All versions of a thing, a call's worth at a time.</summary>
    internal static IEnumerable<T> Versions<T>(
        Call call, Option<int?> limit, Option<PastTime?> before, Func<int, Sequence?, IReadOnlyList<T>> read, Func<T, Sequence> versionOf)
    {
        var end = call.Get(before)?.Sequence;
        var left = call.Get(limit) ?? int.MaxValue;
        while (left > 0)
        {
            var count = Math.Min(left, Math.Min(PageVersions, call.Database.Limits.HistoryVersionsMax));
            var page = read(count, end);
            foreach (var item in page)
                yield return item;
            if (page.Count < count)
                yield break;
            left -= count;
            end = versionOf(page[^1]);
        }
    }

    internal static (string Name, Value Value)[] Members(
        Sequence version, bool isDeletion, Value value, DateTimeOffset time, DateTimeOffset? expiry) =>
    [
        ("version", Failures.Number(version)),
        ("deleted", isDeletion),
        .. isDeletion ? (ReadOnlySpan<(string, Value)>)[] : [("value", value)],
        ("time_us", Show.Microseconds(time)),
        ("expiry_us", Show.Microseconds(expiry)),
    ];

    internal static PastTime? Parse(ArgumentResult result)
    {
        var text = result.Tokens[^1].Value;
        if (TryParseSequence(text, out var sequence))
            return new PastTime(sequence, null);
        if (Parts.TryParseTime(text, out var time))
            return new PastTime(Sequence.None, time);
        result.AddError($"'{text}' is neither a sequence (12) nor a time (2026-01-31T12:00:00Z).");
        return null;
    }

    internal static PastTime? ParseSequence(ArgumentResult result)
    {
        var text = result.Tokens[^1].Value;
        if (TryParseSequence(text, out var sequence))
            return new PastTime(sequence, null);
        result.AddError($"'{text}' is no sequence. Write 12 or @12.");
        return null;
    }

    internal static bool TryParseSequence(string text, out Sequence sequence)
    {
        var digits = text.StartsWith('@') ? text.AsSpan(1) : text;
        var isNumber = ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
        sequence = new Sequence(number);
        return isNumber;
    }
}
