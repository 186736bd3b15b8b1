using Cairn.Primitives;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn.Search;

/// <summary>What is known of the things of one primitive, as far as a query needs it.</summary>
/// <param name="Holders">By clause: things that have it.</param>
internal sealed record KeywordFigures(SearchedThings Kind, long[] Holders)
{
    internal long Things { get; set; }

    internal long TotalLength { get; set; }

    internal long ThingsRead { get; set; }

    internal int Candidates { get; set; }

    internal SearchSource Source { get; init; }

    /// <summary>Of the index that was used; null = none was.</summary>
    internal ulong? Watermark { get; init; }

    internal long FilteredOut { get; set; }
}

/// <summary>A thing that has the words and passes what else is asked.</summary>
/// <param name="Tenths">Where its frequencies begin, one for each clause.</param>
internal readonly record struct KeywordCandidate(
    SearchedThings Kind, byte[] Key, ulong Version, long Time, int Length, int Tenths, SearchSource Source);

/// <summary>The words, compared with every thing of a primitive. It is what an index has to equal, and what is done where there is none
/// (G12).</summary>
internal sealed class KeywordScan(SearchRequest request, Scope scope, ListingRoom room, Effort effort)
{
    private const int ThingsPerReader = 256;

    private readonly TextMatcher _matcher = new(request.Analyzer, request.Query);
    private readonly ThingText _text = new();

    internal List<KeywordCandidate> Candidates { get; } = [];

    /// <summary>Frequencies of all candidates, in tenths.</summary>
    internal List<int> Tenths { get; } = [];

    internal KeywordFigures Run(SearchedThings kind)
    {
        var figures = new KeywordFigures(kind, new long[request.Query.Clauses.Length]);
        effort.BeginPrimitive();
        kind.NoteAll(scope);
        byte[]? after = null;
        while (!effort.IsOver)
        {
            // Who is inside for long holds back everything that waits for readers to leave.
            var left = ThingsPerReader;
            var goesOn = true;
            var isEnd = kind.Scan(scope, room, after, _text, thing => (goesOn = Visit(thing, figures)) && --left > 0);
            if (isEnd || !goesOn)
                break;
            after = _text.Key.ToArray();
        }

        return figures;
    }

    /// <summary>Looks at some things of a primitive, as far as they are there: those that its index has not seen.</summary>
    internal void Read(SearchedThings kind, List<byte[]> keys, KeywordFigures figures)
    {
        foreach (var key in keys)
        {
            if (kind.TryRead(scope, key, _text) && !Visit(_text, figures))
                break;
        }
    }

    /// <summary>What an index has found.</summary>
    internal void Take(TopThing found)
    {
        var segment = found.Segment;
        Candidates.Add(new KeywordCandidate(
            found.Kind, found.Key.ToArray(), segment.Versions[found.Thing], segment.Times[found.Thing], segment.Lengths[found.Thing],
            Tenths.Count, SearchSource.Index));
        Tenths.AddRange(found.Tenths);
    }

    private bool Visit(ThingText thing, KeywordFigures figures)
    {
        if (!effort.Step() || !_matcher.Look(thing, effort.HasTime))
            return false;
        figures.ThingsRead++;
        figures.Things++;
        figures.TotalLength += _matcher.Length;
        for (var i = 0; i < figures.Holders.Length; i++)
            figures.Holders[i] += _matcher.Tenths[i] > 0 ? 1 : 0;
        if (!_matcher.IsMatch)
            return true;
        if (!request.Passes(scope, thing.Kind, thing.Key, thing.Time))
        {
            figures.FilteredOut++;
            return true;
        }

        if (!effort.TakeCandidate())
            return false;
        figures.Candidates++;
        Candidates.Add(new KeywordCandidate(
            thing.Kind, thing.Key.ToArray(), thing.Sequence, thing.Time, _matcher.Length, Tenths.Count,
            figures.Watermark is null ? SearchSource.Scan : SearchSource.Tail));
        Tenths.AddRange(_matcher.Tenths);
        return true;
    }
}
