using Cairn.Primitives;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn.Search;

/// <summary>The words of one primitive by its index, and by the store for what was written behind it (TI2). Figures come first, because
/// scores need those of all primitives; then the best are taken.</summary>
internal sealed class KeywordIndexLeg
{
    private readonly SearchRequest _request;
    private readonly Scope _scope;
    private readonly Effort _effort;
    private readonly List<PartSearch> _parts = [];

    private KeywordIndexLeg(SearchRequest request, Scope scope, Effort effort, TextView view, KeywordFigures figures)
    {
        _request = request;
        _scope = scope;
        _effort = effort;
        View = view;
        Figures = figures;
    }

    internal KeywordFigures Figures { get; }

    internal TextView View { get; }

    /// <summary>A segment with what of it is not in the snapshot, and who has the parts of the query in it.</summary>
    /// <param name="Masked">Written behind the view, or expired; in order.</param>
    /// <param name="Cursors">By clause; null = nothing has it.</param>
    private sealed record PartSearch(TextPart Part, int[] Masked, PostingCursor?[] Cursors);

    /// <summary>The leg, if an index has what the scope sees.</summary>
    internal static KeywordIndexLeg? TryBegin(
        SearchRequest request, Scope scope, Effort effort, TextIndexes? indexes, SearchedThings kind, KeywordScan scan)
    {
        // What a transaction has written itself is in no index.
        if (scope.Writes is { Count: > 0 } || indexes?.Find(scope.Run, kind, request.Analyzer) is not { } index
            || index.At(scope.Sequence) is not { } view || scope.Run.Changes is not { } changes
            || !changes.TryRead(view.Watermark, scope.Sequence, kind.Family, out var changed)
            || changed.Count > view.Things + TextIndexes.ThingsToAsk)
        {
            return null;
        }

        kind.NoteAll(scope);
        effort.BeginPrimitive();
        var leg = new KeywordIndexLeg(
            request, scope, effort, view, new KeywordFigures(kind, new long[request.Query.Clauses.Length])
            {
                Source = SearchSource.Index, Watermark = view.Watermark,
            });
        leg.Open(changed);
        if (!Mutant.Is("text-tail-unread"))
            scan.Read(kind, changed, leg.Figures);
        return leg;
    }

    private void Open(List<byte[]> changed)
    {
        Figures.Things = View.Things;
        Figures.TotalLength = View.TotalLength;
        foreach (var part in View.Parts)
        {
            var masked = Mutant.Is("text-finds-overwritten") ? [] : TextIndex.Living(part, changed);
            foreach (var (expiry, thing) in part.Segment.Expiring)
            {
                if (expiry > _scope.Time || Mutant.Is("text-finds-expired"))
                    break;
                if (!part.IsDead(thing))
                    masked.Add(thing);
            }

            int[] hidden = [.. masked.Distinct().Order()];
            Figures.Things -= hidden.Length;
            foreach (var thing in hidden)
                Figures.TotalLength -= part.Segment.Lengths[thing];
            var cursors = new PostingCursor?[_request.Query.Clauses.Length];
            for (var clause = 0; clause < cursors.Length; clause++)
            {
                cursors[clause] = Open(part.Segment, clause);
                if (cursors[clause] is { } cursor)
                    Figures.Holders[clause] += cursor.Holders - cursor.CountOf(hidden)
                        - (Mutant.Is("text-counts-dead") ? 0 : cursor.CountOf(part.DeadThings));
            }

            _parts.Add(new PartSearch(part, hidden, cursors));
        }
    }

    private PostingCursor? Open(TextSegment segment, int clause)
    {
        var asked = _request.Query.Clauses[clause];
        if (asked.Kind == ClauseKind.Prefix)
            return Open(segment, clause, MadePostings.OfPrefix(segment, asked.Terms[0]));
        var terms = Array.ConvertAll(asked.Terms, term => segment.Terms.Find(term));
        if (Array.Exists(terms, term => term < 0))
            return null;
        if (asked.Kind == ClauseKind.Phrase)
            return Open(segment, clause, MadePostings.OfPhrase(segment, terms, asked.Offsets));
        var cursor = PostingCursor.Rent();
        cursor.Open(segment, clause, terms[0]);
        return cursor;
    }

    private static PostingCursor? Open(TextSegment segment, int clause, MadePostings made)
    {
        if (made.Things.Length == 0)
            return null;
        var cursor = PostingCursor.Rent();
        cursor.Open(segment, clause, made);
        return cursor;
    }

    /// <summary>Gives back what it has rented.</summary>
    internal void End()
    {
        foreach (var part in _parts)
        {
            foreach (var cursor in part.Cursors)
            {
                if (cursor is not null)
                    PostingCursor.Return(cursor);
            }
        }

        _parts.Clear();
    }

    /// <summary>Takes the best of the index among the best.</summary>
    /// <param name="weights">By clause.</param>
    /// <param name="isNew">A score and key behind the page before.</param>
    internal void Rank(TopThings top, double[] weights, Bm25 bm25, Func<double, SearchedThings, ReadOnlySpan<byte>, bool> isNew)
    {
        var required = Array.ConvertAll(_request.Query.Clauses, clause => clause.Role == ClauseRole.Required);
        _effort.BeginPrimitive();
        var isOver = false;
        for (var i = 0; i < _parts.Count && !isOver; i++)
        {
            var part = _parts[i];
            var wanted = new List<PostingCursor>();
            var excluded = new List<PostingCursor>();
            var misses = false;
            for (var clause = 0; clause < required.Length; clause++)
            {
                var cursor = part.Cursors[clause];
                misses |= required[clause] && cursor is null;
                if (cursor is null)
                    continue;
                cursor.Start(weights[clause], bm25);
                (_request.Query.Clauses[clause].Role == ClauseRole.Excluded ? excluded : wanted).Add(cursor);
            }

            if (misses || wanted.Count == 0)
                continue;
            top.Run(
                Figures.Kind, part.Part.Segment, wanted, required, excluded, bm25, isFirst: i == 0,
                (segment, thing, score) => Takes(part, thing, score, isNew, ref isOver),
                () => !isOver && _effort.Step());
        }
    }

    private bool Takes(
        PartSearch part, int thing, double score, Func<double, SearchedThings, ReadOnlySpan<byte>, bool> isNew, ref bool isOver)
    {
        if (part.Part.IsDead(thing) || Array.BinarySearch(part.Masked, thing) >= 0)
            return false;
        var segment = part.Part.Segment;
        var key = segment.KeyOf(thing);
        if (!isNew(score, Figures.Kind, key))
            return false;
        if (!_request.Passes(_scope, Figures.Kind, key, segment.Times[thing]))
        {
            Figures.FilteredOut++;
            return false;
        }

        if (!_effort.TakeCandidate())
        {
            isOver = true;
            return false;
        }

        Figures.Candidates++;
        return true;
    }
}
