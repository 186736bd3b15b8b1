using System.Globalization;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn.Search;

/// <summary>What is asked, checked whole before anything is looked at: an invalid request raises an error, whatever is stored
/// (SRCH-7).</summary>
internal sealed class SearchRequest
{
    private readonly byte[] _keyPrefix;

    private SearchRequest(string text, SearchOptions options, byte[] keyPrefix)
    {
        Text = text;
        Options = options;
        _keyPrefix = keyPrefix;
    }

    internal string Text { get; }

    internal SearchOptions Options { get; }

    internal required IReadOnlyList<SearchedThings> Kinds { get; init; }

    internal required TextAnalyzer Analyzer { get; init; }

    internal required TextQuery Query { get; init; }

    internal required int Limit { get; init; }

    internal required TimeSpan Time { get; init; }

    internal required int Candidates { get; init; }

    internal required int CandidatesPerPrimitive { get; init; }

    /// <summary>Commit time, microseconds since 1970, from this one on.</summary>
    internal required long From { get; init; }

    /// <summary>Exclusive.</summary>
    internal required long To { get; init; }

    /// <param name="kinds">All that there are where the search looks.</param>
    /// <param name="analysis">Of the database.</param>
    internal static SearchRequest Of(
        string text, SearchOptions options, IReadOnlyList<SearchedThings> kinds, TextAnalysis analysis, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(options.Budget);
        var analyzer = TextAnalyzer.Of(options.Analysis ?? analysis);
        if (!double.IsFinite(options.MinScore) || options.MinScore < 0)
            throw Refused($"MinScore is {options.MinScore.ToString(CultureInfo.InvariantCulture)}; it is 0 or more, and finite.");
        if (options.From is { } from && options.To is { } to && from >= to)
            throw Refused("A search from a time on ends before it: From must be before To.");
        options.Filter?.Check(limits);
        return new SearchRequest(text, options, PrefixOf(options.KeyPrefix))
        {
            Kinds = Chosen(options, kinds),
            Analyzer = analyzer,
            Query = TextQuery.Parse(text, options.IsLiteral, analyzer, limits),
            Limit = LimitOf(options.Limit, limits),
            Time = TimeOf(options.Budget.Time, limits),
            Candidates = CountOf(nameof(SearchBudget.Candidates), options.Budget.Candidates, limits.SearchCandidates),
            CandidatesPerPrimitive = CountOf(
                nameof(SearchBudget.CandidatesPerPrimitive), options.Budget.CandidatesPerPrimitive, limits.SearchCandidatesPerPrimitive),
            From = options.From is { } first ? CommitClock.Microseconds(first) : long.MinValue,
            To = options.To is { } end ? CommitClock.Microseconds(end) : long.MaxValue,
        };
    }

    /// <summary>A thing that has the words may be a hit.</summary>
    internal bool Passes(Scope scope, SearchedThings kind, ReadOnlySpan<byte> key, long time)
    {
        if (time < From || (time >= To && To != long.MaxValue))
            return false;
        if (Options.KeyPrefix is not null && (!kind.HasKeys || !kind.KeyOf(key).StartsWith(_keyPrefix)))
            return false;
        return Options.Filter is not { } filter || kind.Holds(scope, key.ToArray(), filter);
    }

    /// <summary>Of all that chooses and ranks: a cursor is good with the same alone.</summary>
    internal uint Hash()
    {
        var text = string.Join(
            '\n', Options.IsLiteral ? "literal" : "query", string.Join(',', Kinds.Select(kind => kind.Name)), Analyzer.Settings.Hash,
            From, To, BitConverter.DoubleToInt64Bits(Options.MinScore), Options.Filter, Candidates, CandidatesPerPrimitive);
        var state = Crc32C.Append(Crc32C.Start, Utf8.GetBytes(text));
        return Crc32C.Finish(Crc32C.Append(Crc32C.Append(state, _keyPrefix), Utf8.GetBytes("\n" + Text)));
    }

    private static IReadOnlyList<SearchedThings> Chosen(SearchOptions options, IReadOnlyList<SearchedThings> kinds)
    {
        if (options.Primitives is not { } names)
            return kinds;
        foreach (var name in names)
        {
            if (!kinds.Any(kind => kind.Name == name))
            {
                var known = string.Join(", ", kinds.Select(kind => kind.Name));
                throw Refused($"There is no primitive '{Short(name)}' to search here. There are {known}.");
            }
        }

        return [.. kinds.Where(kind => names.Contains(kind.Name))];
    }

    private static string Short(string? name) => name is { Length: > 64 } ? name[..64] + "..." : name ?? "";

    private static byte[] PrefixOf(string? prefix)
    {
        if (prefix is null)
            return [];
        if (Utf8.GetByteCount(prefix) is var bytes && bytes > Limits.KeyBytesMax)
            throw new LimitException(nameof(Limits.KeyBytesMax), Limits.KeyBytesMax, bytes, "bytes");
        return Utf8.GetBytes(prefix);
    }

    private static int LimitOf(int limit, Limits limits)
    {
        if (limit < 0)
            throw Refused($"A limit of {limit} hits makes no sense. Ask for 1 to {limits.SearchHitsMax}, or 0 for the default.");
        if (limit > limits.SearchHitsMax)
            throw new LimitException(nameof(limits.SearchHitsMax), limits.SearchHitsMax, limit, "hits");
        return limit == 0 ? limits.SearchHits : limit;
    }

    private static TimeSpan TimeOf(TimeSpan? asked, Limits limits)
    {
        if (asked is not { } time)
            return limits.SearchTime;
        if (time <= TimeSpan.Zero)
            throw Refused("A budget of no time makes no sense. Give it more than 0.");
        if (time > OptionRules.SearchTimeMost)
        {
            throw new LimitException(
                nameof(SearchBudget.Time), (long)OptionRules.SearchTimeMost.TotalMilliseconds, (long)Math.Ceiling(time.TotalMilliseconds),
                "ms");
        }

        return time;
    }

    private static int CountOf(string name, long? asked, int usual)
    {
        if (asked is not { } count)
            return usual;
        if (count < 1)
            throw Refused($"A budget of {count} candidates makes no sense. Give it 1 or more.");
        if (count > OptionRules.SearchCandidatesMost)
            throw new LimitException(name, OptionRules.SearchCandidatesMost, count, "candidates");
        return (int)count;
    }

    private static CairnException Refused(string message) => new(ErrorCode.InvalidArgument, message);
}
