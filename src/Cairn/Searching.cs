using Cairn.Primitives;
using Cairn.Search;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The doors of the search: all lead to one searcher.</summary>
internal static class Searching
{
    /// <param name="primitive">The door is that of one primitive.</param>
    internal static SearchResponse In(
        Engine engine, Scope scope, string text, SearchOptions? options, CancellationToken cancellationToken, string? primitive = null)
    {
        var kinds = primitive is null ? SearchedThings.OfRuns : [SearchedThings.OfRuns.First(kind => kind.Name == primitive)];
        return Searcher.Run(scope, engine.SearchRoom, kinds, text, options, cancellationToken);
    }

    /// <summary>Over the catalogue, which has no index of words: its records are few and small.</summary>
    internal static SearchResponse InRuns(
        Engine engine, Scope index, string text, SearchOptions? options, CancellationToken cancellationToken) => Searcher.Run(
            index, engine.SearchRoom with { Texts = null }, [SearchedThings.Runs], text, options, cancellationToken);
}
