using Cairn.Transactions;

namespace Cairn;

/// <content>Search.</content>
public sealed partial class Run
{
    /// <summary>Finds what the run holds by the words in it, best first: BM25 over the texts of its things, at one snapshot, the newest.
    /// <c>"two words"</c> stand side by side, <c>prefix*</c> begins so, <c>+word</c> is required, <c>-word</c> excluded.</summary>
    /// <param name="text">At most <see cref="Limits.SearchTextBytesMax"/> bytes of UTF-8 and <see cref="Limits.SearchTermsMax"/> distinct
    /// terms. A text without terms (of stop words alone) finds nothing.</param>
    /// <param name="options">Which things, how many, how they are shown, how much work it may be; null = the ten best of all.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the query cannot be read, or options make no sense; the
    /// message says where and why. <see cref="ErrorCode.CursorExpired"/>. <see cref="ErrorCode.NotFound"/>: the run was
    /// deleted.</exception>
    /// <exception cref="LimitException">The text, the limit, the budget or the filter is too large.</exception>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(_engine, Scope.Live(_engine.Path, _state, _options), text, options, cancellationToken);
}
