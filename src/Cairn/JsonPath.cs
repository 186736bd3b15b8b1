using Cairn.Documents;

namespace Cairn;

/// <summary>A JSONPath query (RFC 9535), complete: name, wildcard, index, slice and filter selectors, descendants, and the functions
/// <c>length</c>, <c>count</c>, <c>match</c>, <c>search</c> and <c>value</c>. Read once, evaluated often; immutable, safe from any
/// thread.</summary>
/// <remarks>The regular expressions of <c>match</c> and <c>search</c> are I-Regexp (RFC 9485), run without backtracking.</remarks>
public sealed class JsonPath
{
    private readonly string _text;
    private readonly PathQuery _query;

    private JsonPath(string text, PathQuery query)
    {
        _text = text;
        _query = query;
    }

    /// <summary>True when it finds one value at most: names and indexes only (RFC 9535, section 2.3.5.1).</summary>
    public bool IsSingular => _query.IsSingular;

    /// <summary>Reads a query (RFC 9535, section 2.1).</summary>
    /// <param name="text">At most <see cref="Limits.QueryBytesMax"/> bytes with <see cref="Limits.PathSegmentsMax"/> segments, those in
    /// filters included, and <see cref="Limits.QueryDepthMax"/> levels of filters, parentheses and functions.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="MalformedTextException">No query; it says where.</exception>
    /// <exception cref="LimitException">Too long, too deep, too many segments, or a regular expression that is too large.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    public static JsonPath Parse(string text, Limits? limits = null) => new(text, QueryParser.Parse(text, limits ?? Limits.Defaults));

    /// <summary>What the query finds in a document, in document order: elements by index, members by the UTF-8 bytes of their
    /// names. A value that is found in two ways stands there twice.</summary>
    /// <param name="document">The document.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="LimitException">More than <see cref="Limits.QueryNodesMax"/> nodes in the result or on the way to it, or more than
    /// <see cref="Limits.QueryStepsMax"/> steps; or a regular expression in the document is too large.</exception>
    public IReadOnlyList<JsonPathMatch> Evaluate(Value document, Limits? limits = null)
    {
        var nodes = QueryEvaluation.Evaluate(_query, document, limits ?? Limits.Defaults);
        var matches = new JsonPathMatch[nodes.Count];
        for (var n = 0; n < matches.Length; n++)
            matches[n] = new JsonPathMatch(nodes[n]);
        return matches;
    }

    /// <summary>The text as it was given.</summary>
    public override string ToString() => _text;
}

/// <summary>A value that a query has found.</summary>
public sealed class JsonPathMatch
{
    private readonly QueryPlace? _place;

    internal JsonPathMatch(in QueryNode node)
    {
        Value = node.Value;
        _place = node.Place;
    }

    /// <summary>The value.</summary>
    public Value Value { get; }

    /// <summary>Where it stands; its text is the normalized path (RFC 9535, section 2.7). Made when it is asked for.</summary>
    public DocumentPath Path => new(QueryPlace.SegmentsOf(_place));

    /// <summary>The normalized path.</summary>
    public override string ToString() => Path.ToString();
}
