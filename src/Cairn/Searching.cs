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
        return Searcher.Run(
            scope, new ListingRoom(engine.Cursors, engine.Pins), kinds, engine.Options.TextAnalysis, text, options, cancellationToken);
    }

    /// <summary>Over the catalogue.</summary>
    internal static SearchResponse InRuns(
        Engine engine, Scope index, string text, SearchOptions? options, CancellationToken cancellationToken) => Searcher.Run(
            index, new ListingRoom(engine.Cursors, engine.Pins), [SearchedThings.Runs], engine.Options.TextAnalysis, text, options,
            cancellationToken);
}
