namespace Cairn;

/// <content>Search.</content>
public sealed partial class Runs
{
    /// <summary>Finds runs by the words in their ids, names, statuses, tags, metadata and errors, best first. Filters see
    /// what queries of runs show them.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.InRuns(_engine, _index, text, options, cancellationToken);
}
