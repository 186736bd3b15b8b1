// Filters as text
// ---------------
//   status eq "open" and (cost gte 3 or tags contains "urgent") and not owner.name exists
//
//   filter    = and *( "or" and )
//   and       = turned *( "and" turned )
//   turned    = "not" turned / "(" filter ")" / condition
//   condition = path ( "exists" / word value / [ "not" ] "in" array )
//   word      = "eq" / "ne" / "gt" / "gte" / "lt" / "lte" / "contains" / "prefix" / "=" / "!=" / ">" / ">=" / "<" / "<="
//   path      = "$" segments / name segments / pointer in double quotes / "$key" / "$version" / "$time"
//   value     = JSON / text in single quotes
//
// F1  Reading the text that is written for a filter gives the same filter.
// F2  A name that is a word here is no beginning of a path: $.not is.
// F3  What is nested deeper than the limit is refused before it is followed.
using System.Buffers;
using System.Text;
using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Reads and writes filters as text: F1 to F3 at the top of this file.</summary>
internal sealed class FilterText
{
    // In the order of FilterKind.
    internal static readonly string[] Words =
        ["and", "or", "not", "eq", "ne", "gt", "gte", "lt", "lte", "in", "not in", "contains", "prefix", "exists"];

    // The longer signs first.
    private static readonly (string Sign, FilterKind Kind)[] Signs =
    [
        ("==", FilterKind.Eq), ("!=", FilterKind.Ne), (">=", FilterKind.Gte), ("<=", FilterKind.Lte), ("=", FilterKind.Eq),
        (">", FilterKind.Gt), ("<", FilterKind.Lt),
    ];

    private static readonly SearchValues<char> EndsOfPlain = SearchValues.Create(" \t\r\n()");

    private readonly PathScanner _scanner;
    private readonly Limits _limits;
    private int _depth;
    private int _nodes;

    private FilterText(string text, Limits limits)
    {
        _scanner = new PathScanner(text, "filter", ErrorCode.InvalidFilter);
        _limits = limits;
    }

    internal static Filter Parse(string text, Limits limits)
    {
        PathScanner.CheckText(text, nameof(Limits.StringBytesMax), limits.StringBytesMax);
        var reader = new FilterText(text, limits);
        var filter = reader.ReadJoined(FilterKind.Or);
        reader._scanner.SkipBlanks();
        if (!reader._scanner.IsAtEnd)
            throw reader._scanner.Fail("A filter goes on with 'and' or 'or', or ends.");
        return filter.Check(limits);
    }

    internal static bool TryKind(string word, out FilterKind kind)
    {
        var index = Array.IndexOf(Words, word);
        kind = (FilterKind)Math.Max(0, index);
        return index >= 0;
    }

    internal static string WordOf(FilterKind kind) => Words[(int)kind];

    private Filter ReadJoined(FilterKind kind)
    {
        List<Filter>? parts = null;
        var first = Next();
        while (TryWord(WordOf(kind)))
        {
            parts ??= [first];
            parts.Add(Next());
        }

        return parts is null ? first : Filter.Join(kind, parts);

        Filter Next() => kind == FilterKind.Or ? ReadJoined(FilterKind.And) : ReadTurned();
    }

    private Filter ReadTurned()
    {
        _scanner.SkipBlanks();
        if (++_nodes > _limits.FilterNodesMax)
            throw new LimitException(nameof(Limits.FilterNodesMax), _limits.FilterNodesMax, _nodes, "nodes");
        if (++_depth > _limits.FilterDepthMax)
            throw new LimitException(nameof(Limits.FilterDepthMax), _limits.FilterDepthMax, _depth, "levels");
        var filter = ReadDeeper();
        _depth--;
        return filter;
    }

    private Filter ReadDeeper()
    {
        if (TryWord(WordOf(FilterKind.Not)))
            return Filter.Not(ReadTurned());
        if (!_scanner.TryRead("("))
            return ReadCondition();

        // What stands in parentheses is counted inside.
        _nodes--;
        var filter = ReadJoined(FilterKind.Or);
        _scanner.SkipBlanks();
        _scanner.Expect(')', "A parenthesis is closed by ')', behind a condition.");
        return filter;
    }

    private Filter ReadCondition()
    {
        var path = ReadPath();
        _scanner.SkipBlanks();
        if (TryWord(WordOf(FilterKind.Exists)))
            return Filter.Exists(path);
        var kind = ReadKind();
        _scanner.SkipBlanks();
        var start = _scanner.At;
        var value = ReadValue();
        if (kind == FilterKind.Prefix && value.Kind != ValueKind.String)
            throw _scanner.Fail(start, "'prefix' has a String.");
        if (kind is not (FilterKind.In or FilterKind.NotIn))
        {
            CheckField(path, kind, value, start);
            return Filter.Compare(kind, path, value);
        }

        if (value.Kind != ValueKind.Array)
            throw _scanner.Fail(start, "'in' and 'not in' have an Array of values.");
        if (value.Count > _limits.FilterValuesMax)
            throw new LimitException(nameof(Limits.FilterValuesMax), _limits.FilterValuesMax, value.Count, "values");
        foreach (var one in value.AsArray())
            CheckField(path, kind, one, start);
        return Filter.Among(kind, path, value.AsArray());
    }

    private void CheckField(FilterPath path, FilterKind kind, Value value, int start)
    {
        if (FilterFields.Refusal(path.Field, kind, ref value) is { } reason)
            throw _scanner.Fail(start, reason);
    }

    private FilterKind ReadKind()
    {
        foreach (var (sign, kind) in Signs)
        {
            if (_scanner.TryRead(sign))
                return kind;
        }

        var start = _scanner.At;
        if (TryWord(WordOf(FilterKind.Not)))
        {
            _scanner.SkipBlanks();
            return TryWord(WordOf(FilterKind.In)) ? FilterKind.NotIn : throw _scanner.Fail("Behind a path 'not' is followed by 'in'.");
        }

        for (var kind = FilterKind.Eq; kind < FilterKind.Exists; kind++)
        {
            if (kind != FilterKind.NotIn && TryWord(WordOf(kind)))
                return kind;
        }

        throw _scanner.Fail(start, "Behind a path stands 'exists', a comparison (eq ne gt gte lt lte contains prefix) or [not] in.");
    }

    private FilterPath ReadPath()
    {
        switch (_scanner.Peek)
        {
            case '$':
                if (TryField() is { } field)
                    return field;
                _scanner.At++;
                if (PathScanner.IsNameFirst(_scanner.Peek))
                    throw _scanner.Fail("'$' is followed by '.name' or '[', or it is $key, $version or $time.");
                return new DocumentPath(PathText.ReadSingular(_scanner, _limits));
            case '"':
                var value = ReadValue();
                return DocumentPath.ParsePointer(value.AsString(), _limits);
            default:
                var start = _scanner.At;
                if (!PathScanner.IsNameFirst(_scanner.Peek))
                    throw _scanner.Fail("A condition begins with a path: $.name, name, or a pointer in double quotes.");
                var name = _scanner.ReadShorthand();
                if (TryKind(name, out _))
                    throw _scanner.Fail(start, "This is a word of filters; the member of that name is $.name.");
                var rest = PathText.ReadSingular(_scanner, _limits);
                if (rest.Length == _limits.PathSegmentsMax)
                    throw new LimitException(nameof(Limits.PathSegmentsMax), _limits.PathSegmentsMax, rest.Length + 1, "segments");
                return new DocumentPath([PathSegment.OfName(name), .. rest]);
        }
    }

    private FilterPath? TryField()
    {
        var end = _scanner.At + 1;
        while (end < _scanner.Text.Length && PathScanner.IsNameChar(_scanner.Text[end]))
            end++;
        var field = FilterPath.OfField(FilterPath.FieldOf(_scanner.Text.AsSpan(_scanner.At..end)));
        if (field is null)
            return null;
        _scanner.At = end;
        return _scanner.Peek is '.' or '[' ? throw _scanner.Fail($"{field} has no members and no elements.") : field;
    }

    // A word ends where no name could go on.
    private bool TryWord(string word)
    {
        var behind = _scanner.At;
        _scanner.SkipBlanks();
        if (_scanner.TryRead(word) && (_scanner.IsAtEnd || !PathScanner.IsNameChar(_scanner.Peek)))
            return true;
        _scanner.At = behind;
        return false;
    }

    private Value ReadValue()
    {
        if (_scanner.Peek == '\'')
            return _scanner.ReadQuoted();
        var start = _scanner.At;
        var text = _scanner.Text.AsSpan(start);
        var end = text.IndexOfAny(EndsOfPlain);
        var length = text is ['"' or '[' or '{', ..] ? LengthOfNested(text) : end >= 0 ? end : text.Length;
        if (length <= 0)
            throw _scanner.Fail("A value is expected here, as JSON or in single quotes, with its end.");
        _scanner.At += length;
        try
        {
            return Value.FromJson(text[..length].ToString(), _limits);
        }
        catch (CairnException refused) when (refused.Code == ErrorCode.InvalidArgument)
        {
            throw _scanner.Fail(start, "The value that begins here is not valid JSON: " + refused.Message);
        }
    }

    // Up to the bracket or quote that closes the first one; the rest is judged by the reader of JSON.
    private static int LengthOfNested(ReadOnlySpan<char> text)
    {
        var (depth, isQuoted) = (0, false);
        for (var at = 0; at < text.Length; at++)
        {
            switch (text[at])
            {
                case '\\' when isQuoted:
                    at++;
                    break;
                case '"':
                    isQuoted = !isQuoted;
                    if (!isQuoted && depth == 0)
                        return at + 1;
                    break;
                case '[' or '{' when !isQuoted:
                    depth++;
                    break;
                case ']' or '}' when !isQuoted:
                    if (--depth == 0)
                        return at + 1;
                    break;
            }
        }

        return -1;
    }

    internal static string Write(Filter filter)
    {
        var text = new StringBuilder();
        Write(text, filter);
        return text.ToString();
    }

    private static void Write(StringBuilder text, Filter filter)
    {
        switch (filter.Kind)
        {
            case FilterKind.And or FilterKind.Or:
                for (var n = 0; n < filter.Parts.Count; n++)
                {
                    if (n > 0)
                        text.Append(' ').Append(WordOf(filter.Kind)).Append(' ');
                    WriteInside(text, filter.Parts[n], needsParentheses: filter.Kind == FilterKind.And);
                }

                break;
            case FilterKind.Not:
                text.Append("not ");
                WriteInside(text, filter.Parts[0], needsParentheses: !Mutant.Is("doc-filter-not-binds-loosely"));
                break;
            default:
                WriteCondition(text, filter);
                break;
        }
    }

    // An And needs none inside an Or; neither stands directly inside its own kind.
    private static void WriteInside(StringBuilder text, Filter part, bool needsParentheses)
    {
        var isWrapped = needsParentheses && part.Kind is FilterKind.And or FilterKind.Or;
        if (isWrapped)
            text.Append('(');
        Write(text, part);
        if (isWrapped)
            text.Append(')');
    }

    private static void WriteCondition(StringBuilder text, Filter filter)
    {
        WritePath(text, filter);
        text.Append(' ').Append(WordOf(filter.Kind));
        if (filter.Kind == FilterKind.Exists)
            return;
        var value = filter.Kind is FilterKind.In or FilterKind.NotIn ? Value.Array(filter.ValueSpan) : filter.Value;
        text.Append(' ').Append(ValueJson.Write(value));
    }

    private static void WritePath(StringBuilder text, Filter filter)
    {
        if (filter.Path is not { } path)
        {
            text.Append(FilterPath.NameOf(filter.Field));
            return;
        }

        var written = path.ToString();
        if (!written.StartsWith('$'))
        {
            text.Append(ValueJson.Write(written));
            return;
        }

        text.Append('$');
        foreach (var segment in path.Segments)
        {
            if (segment.Kind == SegmentKind.Name && IsShorthand(segment.Name!))
                text.Append('.').Append(segment.Name);
            else
                PathText.Append(text, segment);
        }
    }

    private static bool IsShorthand(string name) =>
        name.Length > 0 && PathScanner.IsNameFirst(name[0]) && name.All(PathScanner.IsNameChar);
}
