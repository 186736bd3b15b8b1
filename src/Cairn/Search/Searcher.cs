// Search: one request, one snapshot, one ranking
// ----------------------------------------------
//   text, options                        "refund +ada -draft", limit 10
//     | SearchRequest                    checked whole; the query as parts
//     v
//   a scope at one sequence              of a live run pinned; of a cursor the one of its first page
//     | for each primitive               words: KeywordScan, until the budget ends (Effort)
//     v
//   figures         N, df, lengths       summed over the primitives that were asked
//   candidates      frequencies          of what has the words and passes filter, prefix and times
//     | Bm25
//     v
//   order           score, then the      the page behind the cursor
//                   order of store keys
//     | each thing on the page once more
//     v
//   hits            snippet, value, reason
//
// Invariants
// ----------
// SE1  Every read is of one sequence and one time (G12): a commit, a deletion or an expiry that the sequence does not have is not there,
//      and one that it has is (SRCH-30).
// SE2  Filters, prefix and times choose candidates before they are ranked, and change no figure: N, df and lengths are of the snapshot and
//      the asked primitives.
// SE3  A score is the sum of its terms in the order of the query, each computed by one routine; frequencies are whole numbers. So a
//      score has the same bits wherever it is made, and the terms of a reason add up to it.
// SE4  Equal scores are in the order of family and key. No order of a dictionary or of threads is anywhere.
// SE5  A budget ends the looking, never the answer; a page behind a search whose time ended is not promised, so it has no cursor.
// SE6  In a transaction a search is a read of everything that it looked through: it sees own writes and is validated at the commit.
//
// A cursor holds the sequence and time, a hash of what chooses and ranks, and the last hit's score, rank, family and key. The next page
// ranks again and goes on behind that: it needs no memory between the pages but the pinned snapshot.
//
// Where an index of words has what the scope sees, KeywordIndexLeg takes the place of the scan, and TopThings that of the ranking of all
// candidates: the figures are the same, and so are the bits of the scores (Text/TextIndex.cs).
//
// What it does not do yet: legs of vectors and graph, and fusion of legs.

using System.Buffers.Binary;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn.Search;

/// <summary>What a search has around it.</summary>
/// <param name="Texts">Indexes of words; null where there are none.</param>
/// <param name="Analysis">Of the database, and so of the indexes.</param>
/// <param name="AsksForIndexes">A search that had to look at much asks for an index.</param>
internal sealed record SearchRoom(ListingRoom Listings, TextIndexes? Texts, TextAnalysis Analysis, bool AsksForIndexes);

/// <summary>One search: see the essay above.</summary>
internal sealed class Searcher
{
    private const byte Listing = 0xF1;
    private const int CursorFixedBytes = sizeof(long) + sizeof(int) + 1;

    private readonly SearchRequest _request;
    private readonly Scope _scope;
    private readonly SearchRoom _room;
    private readonly Effort _effort;
    private readonly Place? _last;
    private readonly double[] _weights;                      // of clauses: idf, times how often each is asked for
    private readonly double[] _idfs;

    private Searcher(SearchRequest request, Scope scope, SearchRoom room, Effort effort, Place? last)
    {
        _request = request;
        _scope = scope;
        _room = room;
        _effort = effort;
        _last = last;
        _weights = new double[request.Query.Clauses.Length];
        _idfs = new double[_weights.Length];
    }

    /// <param name="kinds">What there is to be searched in the scope.</param>
    internal static SearchResponse Run(
        Scope scope, SearchRoom room, IReadOnlyList<SearchedThings> kinds, string text, SearchOptions? options,
        CancellationToken cancellationToken)
    {
        var request = SearchRequest.Of(text, options ?? SearchOptions.None, kinds, room.Analysis, scope.Path.Limits);
        cancellationToken.ThrowIfCancellationRequested();
        scope.ThrowIfNotReadable();
        var effort = new Effort(request, scope.Path.Clock, cancellationToken);
        var at = scope;
        SnapshotPin pin = default;
        Place? last = null;
        if (request.Options.Cursor is { } cursor)
        {
            Cursors.Parse(cursor, Listing, request.Hash(), out var sequence, out var time, out var place);
            last = Place.Read(place);
            if (scope.IsLive)
            {
                pin = room.Listings.Cursors.Resume(scope.Run, sequence);
                at = Scope.Snapshot(scope.Path, scope.Run, sequence, time);
            }
            else if (sequence != scope.Sequence)
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a search where it was begun.");
            }
        }
        else if (scope.IsLive)
        {
            pin = room.Listings.Pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            at = Scope.Snapshot(scope.Path, scope.Run, pin.Sequence, scope.Path.ReadTime());
        }

        try
        {
            using var use = at.Use();
            return new Searcher(request, at, room, effort, last).Answer(scope.IsLive);
        }
        finally
        {
            if (scope.IsLive)
                room.Listings.Pins.Release(pin);
        }
    }

    private SearchResponse Answer(bool keepsCursor)
    {
        var scan = new KeywordScan(_request, _scope, _room.Listings, _effort);
        var figures = new List<KeywordFigures>();
        var legs = new List<KeywordIndexLeg>();
        if (_request.Query.Clauses.Length > 0)
        {
            foreach (var kind in _request.Kinds)
            {
                if (_effort.IsOver)
                    break;
                if (KeywordIndexLeg.TryBegin(_request, _scope, _effort, _room.Texts, kind, scan) is { } leg)
                    legs.Add(leg);
                figures.Add(legs is [.., var last] && last.Figures.Kind == kind ? last.Figures : scan.Run(kind));
            }
        }

        var things = figures.Sum(one => one.Things);
        var bm25 = new Bm25(things, figures.Sum(one => one.TotalLength));
        var holders = new long[_weights.Length];
        for (var i = 0; i < holders.Length; i++)
        {
            foreach (var one in figures)
                holders[i] += one.Holders[i];
            _idfs[i] = Bm25.Idf(things, holders[i]);
            _weights[i] = _request.Query.Clauses[i].Role == ClauseRole.Excluded ? 0 : _idfs[i] * _request.Query.Clauses[i].Times;
        }

        if (legs.Count > 0)
        {
            var top = new TopThings(_request.Limit + 1, _weights.Length);
            foreach (var leg in legs)
            {
                leg.Rank(top, _weights, bm25, IsNew);
                leg.End();
            }

            foreach (var found in top.Take())
                scan.Take(found);
        }

        AskForIndexes(figures);
        var page = Rank(scan, bm25, out var belowMin, out var hasMore);
        var hits = new List<SearchHit>(page.Count);
        foreach (var ranked in page)
            hits.Add(HitOf(ranked, scan, bm25, things, holders));
        return new SearchResponse
        {
            Hits = hits,
            Outcome = OutcomeOf(hits.Count, belowMin, figures),
            Exhausted = _effort.Exhausted,
            EstimatedTotal = Estimate(things, holders),
            Sequence = new Sequence(_scope.Sequence),
            Cursor = hasMore && _effort.Exhausted != SearchExhaustion.Time ? CursorBehind(page[^1], hits[^1].Rank, keepsCursor) : null,
            Statistics = new SearchStatistics
            {
                Elapsed = _effort.Elapsed,
                Terms = _weights.Length,
                Legs = [.. figures.Select(LegOf)],
            },
        };
    }

    private SearchOutcome OutcomeOf(int hits, int belowMin, List<KeywordFigures> figures)
    {
        if (hits > 0)
            return SearchOutcome.Found;
        if (_last is not null)
            return SearchOutcome.NoMore;
        if (belowMin > 0)
            return SearchOutcome.BelowMinScore;
        return figures.Exists(one => one.FilteredOut > 0) ? SearchOutcome.FilteredOut : SearchOutcome.NothingFound;
    }

    // Whoever had to look at much is helped the next time.
    private void AskForIndexes(List<KeywordFigures> figures)
    {
        if (_room.Texts is not { } texts || !_room.AsksForIndexes || !_request.Analyzer.Settings.Equals(_room.Analysis)
            || _scope.Kind == ScopeKind.Transaction || _scope.Path.Catalogue.Find(_scope.Run.Id) != _scope.Run)
        {
            return;
        }

        var slow = figures.FindAll(one => one.ThingsRead >= (one.Watermark is null ? TextIndexes.ThingsToAsk : TextIndexes.ChangesToAsk));
        if (slow.Count > 0)
            texts.Ask(_scope.Run, slow.Select(one => one.Kind));
    }

    private static SearchLeg LegOf(KeywordFigures figures) => new()
    {
        Kind = SearchLegKind.Keyword,
        Primitive = figures.Kind.Name,
        Source = figures.Source,
        Watermark = figures.Watermark is { } watermark ? new Sequence(watermark) : null,
        Things = figures.Things,
        ThingsRead = figures.ThingsRead,
        Candidates = figures.Candidates,
        FilteredOut = figures.FilteredOut,
    };

    // ---- ranking --------------------------------------------------------------------------------------------------------------

    private readonly record struct Ranked(KeywordCandidate Candidate, double Score)
    {
        // Best first.
        internal int CompareTo(in Ranked other) => Place.Compare(
            Score, Candidate.Kind.Family, Candidate.Key, other.Score, other.Candidate.Kind.Family, other.Candidate.Key);
    }

    /// <summary>Where a page ended.</summary>
    private sealed record Place(double Score, int Rank, byte Family, byte[] Key)
    {
        internal static Place Read(byte[] bytes)
        {
            if (bytes.Length < CursorFixedBytes)
                throw new CairnException(ErrorCode.InvalidArgument, "The cursor is not one of a search. Pass SearchResponse.Cursor back.");
            return new Place(
                BinaryPrimitives.ReadDoubleBigEndian(bytes), BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(sizeof(long))),
                bytes[CursorFixedBytes - 1], bytes[CursorFixedBytes..]);
        }

        internal byte[] Write()
        {
            var bytes = new byte[CursorFixedBytes + Key.Length];
            BinaryPrimitives.WriteDoubleBigEndian(bytes, Score);
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(sizeof(long)), Rank);
            bytes[CursorFixedBytes - 1] = Family;
            Key.CopyTo(bytes, CursorFixedBytes);
            return bytes;
        }

        internal static int Compare(
            double score, byte family, ReadOnlySpan<byte> key, double otherScore, byte otherFamily, ReadOnlySpan<byte> otherKey)
        {
            var byScore = otherScore.CompareTo(score);
            if (byScore != 0)
                return byScore;
            return family != otherFamily ? family - otherFamily : key.SequenceCompareTo(otherKey);
        }
    }

    // Behind the page before.
    private bool IsNew(double score, SearchedThings kind, ReadOnlySpan<byte> key) => _last is not { } last
        || Place.Compare(score, kind.Family, key, last.Score, last.Family, last.Key) > (Mutant.Is("text-pages-overlap") ? -1 : 0);

    // No more is kept than a few pages.
    private List<Ranked> Rank(KeywordScan scan, in Bm25 bm25, out int belowMin, out bool hasMore)
    {
        var kept = new List<Ranked>();
        var most = 2 * (_request.Limit + 1) + 64;
        belowMin = 0;
        foreach (var candidate in scan.Candidates)
        {
            var ranked = new Ranked(candidate, ScoreOf(candidate, scan, bm25));
            if (ranked.Score < _request.Options.MinScore)
            {
                belowMin++;
                continue;
            }

            if (!IsNew(ranked.Score, candidate.Kind, candidate.Key))
                continue;

            kept.Add(ranked);
            if (kept.Count >= most)
                Cut(kept, _request.Limit + 1);
        }

        Cut(kept, _request.Limit + 1);
        hasMore = kept.Count > _request.Limit;
        if (hasMore)
            kept.RemoveAt(_request.Limit);
        return kept;
    }

    private static void Cut(List<Ranked> kept, int count)
    {
        kept.Sort((left, right) => left.CompareTo(right));
        if (kept.Count > count)
            kept.RemoveRange(count, kept.Count - count);
    }

    private double ScoreOf(in KeywordCandidate candidate, KeywordScan scan, in Bm25 bm25)
    {
        var norm = bm25.Norm(candidate.Length);
        var score = 0.0;
        for (var i = 0; i < _weights.Length; i++)
        {
            var tenths = scan.Tenths[candidate.Tenths + i];
            if (tenths > 0 && _request.Query.Clauses[i].Role != ClauseRole.Excluded)
                score += Bm25.Score(_weights[i], tenths, norm);
        }

        return score;
    }

    // As if words were scattered by chance: how many things have them. Of required ones not more than the rarest.
    private long Estimate(long things, long[] holders)
    {
        var none = 1.0;
        var rarest = long.MaxValue;
        var commonest = 0L;
        for (var i = 0; i < holders.Length; i++)
        {
            var role = _request.Query.Clauses[i].Role;
            if (role == ClauseRole.Excluded)
                continue;
            none *= things == 0 ? 1 : 1 - ((double)holders[i] / things);
            commonest = Math.Max(commonest, holders[i]);
            if (role == ClauseRole.Required)
                rarest = Math.Min(rarest, holders[i]);
        }

        return Math.Min(rarest, Math.Max(commonest, (long)Math.Round(things * (1 - none))));
    }

    private string CursorBehind(in Ranked last, int rank, bool keeps)
    {
        var place = new Place(last.Score, rank, last.Candidate.Kind.Family, last.Candidate.Key).Write();
        return keeps
            ? _room.Listings.Cursors.Keep(Listing, _scope.Run, _scope.Sequence, _scope.Time, place, _request.Hash())
            : Cursors.Format(Listing, _scope.Sequence, _scope.Time, place, _request.Hash());
    }

    // ---- hits -----------------------------------------------------------------------------------------------------------------

    private readonly ThingText _shown = new();
    private Snippets? _snippets;
    private int _given;

    private SearchHit HitOf(in Ranked ranked, KeywordScan scan, in Bm25 bm25, long things, long[] holders)
    {
        var (kind, key) = (ranked.Candidate.Kind, ranked.Candidate.Key);
        SearchSnippet? snippet = null;
        if (_request.Options.HasSnippets)
        {
            _snippets ??= new Snippets(_request.Analyzer, new TextMatcher(_request.Analyzer, _request.Query), _weights);
            Invariant.Check(kind.TryRead(_scope, key, _shown), "what was found is there");
            snippet = _snippets.Of(_shown);
        }

        return new SearchHit
        {
            Run = kind == SearchedThings.Runs ? RunId.Read(key) : _scope.Run.Id,
            Item = kind.AddressOf(key),
            Score = ranked.Score,
            Rank = (_last?.Rank ?? 0) + ++_given,
            Version = new Sequence(ranked.Candidate.Version),
            Time = CommitClock.Time(ranked.Candidate.Time),
            Value = _request.Options.HasValues ? kind.Show(_scope, key) : default(Value?),
            Snippet = snippet,
            Reason = _request.Options.IsExplained
                ? new SearchReason { Keyword = ReasonOf(ranked, scan, bm25, things, holders) }
                : null,
        };
    }

    private KeywordReason ReasonOf(in Ranked ranked, KeywordScan scan, in Bm25 bm25, long things, long[] holders)
    {
        var norm = bm25.Norm(ranked.Candidate.Length);
        var terms = new List<KeywordTerm>();
        for (var i = 0; i < _weights.Length; i++)
        {
            var clause = _request.Query.Clauses[i];
            var tenths = scan.Tenths[ranked.Candidate.Tenths + i];
            if (tenths == 0 || clause.Role == ClauseRole.Excluded)
                continue;
            terms.Add(new KeywordTerm(
                clause.Text, tenths / 10.0, holders[i], _idfs[i], clause.Times, Bm25.Score(_weights[i], tenths, norm)));
        }

        return new KeywordReason
        {
            Score = ranked.Score,
            Terms = terms,
            Length = ranked.Candidate.Length,
            AverageLength = bm25.AverageLength,
            Things = things,
            Source = ranked.Candidate.Source,
        };
    }
}
