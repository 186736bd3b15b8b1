// Paths as texts
// --------------
// A path leads to one place of a document. It has two spellings, and both are read into the same segments:
//
//   $.plan.steps[0]['due date']     a singular query of RFC 9535, with [-1] for the last element and [-] for one past it
//   /plan/steps/0/due date          a pointer of RFC 6901: ~0 is ~, ~1 is /, and - is one past the last element
//
// P1  The text of a path is the normalized path of RFC 9535, section 2.7: $['plan']['steps'][0]['due date'].
// P2  A pointer does not say whether 0 is an index or a name: what it meets decides (RFC 6901, section 4). A path with such a segment
//     has no normalized form before it meets a document, and its text is the pointer.
// P3  Reading the text of a path gives the same path.
// P4  Nothing is allocated for a text that is too long or has too many segments (LIM-9).
using System.Globalization;
using System.Text;

namespace Cairn.Documents;

/// <summary>Reads and writes the two spellings of a path: P1 to P4 at the top of this file.</summary>
internal static class PathText
{
    private const string PathNoun = "path";

    /// <summary>Reads a path that begins with <c>$</c>, a pointer otherwise.</summary>
    internal static PathSegment[] Parse(string text, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.StartsWith('$') ? ParseSingular(text, limits) : ParsePointer(text, limits);
    }

    /// <summary>Reads a pointer.</summary>
    internal static PathSegment[] ParsePointer(string text, Limits limits)
    {
        PathScanner.CheckText(text, nameof(Limits.StringBytesMax), limits.StringBytesMax);
        if (text.Length == 0)
            return [];
        var scanner = new PathScanner(text, PathNoun);
        if (text[0] != '/')
            throw scanner.Fail("A path begins with '$', a pointer with '/' or is empty.");
        var count = text.AsSpan().Count('/');
        CheckCount(count, limits);
        var segments = new PathSegment[count];
        for (var n = 0; n < count; n++)
            segments[n] = PathSegment.OfToken(ReadToken(scanner));
        return segments;
    }

    private static string ReadToken(PathScanner scanner)
    {
        var from = ++scanner.At;
        StringBuilder? built = null;
        while (!scanner.IsAtEnd && scanner.Peek != '/')
        {
            if (scanner.Peek != '~')
            {
                scanner.At++;
                continue;
            }

            var unescaped = scanner.PeekBehind switch
            {
                '0' => '~',
                '1' => Mutant.Is("doc-pointer-escape") ? '~' : '/',
                _ => throw scanner.Fail("'~' is followed by 0 (for ~) or 1 (for /)."),
            };
            built ??= new StringBuilder();
            built.Append(scanner.Text, from, scanner.At - from).Append(unescaped);
            scanner.At += 2;
            from = scanner.At;
        }

        var rest = scanner.Text[from..scanner.At];
        return built is null ? rest : built.Append(rest).ToString();
    }

    private static PathSegment[] ParseSingular(string text, Limits limits)
    {
        PathScanner.CheckText(text, nameof(Limits.StringBytesMax), limits.StringBytesMax);
        var scanner = new PathScanner(text, PathNoun) { At = 1 };
        var segments = ReadSingular(scanner, limits);
        return scanner.IsAtEnd ? segments : throw scanner.Fail("A path goes on with '.name' or '[', and ends without blanks.");
    }

    /// <summary>Reads the segments behind <c>$</c>, and stands behind the last one.</summary>
    internal static PathSegment[] ReadSingular(PathScanner scanner, Limits limits)
    {
        var segments = new List<PathSegment>();
        while (true)
        {
            var behind = scanner.At;
            scanner.SkipBlanks();
            if (scanner.IsAtEnd || scanner.Peek is not ('.' or '['))
            {
                scanner.At = behind;
                return [.. segments];
            }

            CheckCount(segments.Count + 1, limits);
            segments.Add(scanner.Peek == '.' ? ReadDotted(scanner) : ReadBracketed(scanner));
        }
    }

    private static PathSegment ReadDotted(PathScanner scanner)
    {
        scanner.At++;
        if (scanner.Peek is '.' or '*')
            throw scanner.Fail("A path leads to one place: '..' and '*' are for queries.");
        return PathSegment.OfName(scanner.ReadShorthand());
    }

    private static PathSegment ReadBracketed(PathScanner scanner)
    {
        scanner.At++;
        scanner.SkipBlanks();
        PathSegment segment;
        switch (scanner.Peek)
        {
            case '\'' or '"':
                segment = PathSegment.OfName(scanner.ReadQuoted());
                break;
            case '-' when !char.IsAsciiDigit(scanner.PeekBehind):
                scanner.At++;
                segment = PathSegment.End;
                break;
            case '-' or (>= '0' and <= '9'):
                segment = PathSegment.OfIndex(scanner.ReadInteger());
                break;
            default:
                throw scanner.Fail("In brackets stands a quoted name, an index or '-', in a path.");
        }

        scanner.SkipBlanks();
        scanner.Expect(']', "A segment in brackets ends with ']', in a path.");
        return segment;
    }

    private static void CheckCount(int count, Limits limits)
    {
        if (count > limits.PathSegmentsMax)
            throw new LimitException(nameof(Limits.PathSegmentsMax), limits.PathSegmentsMax, count, "segments");
    }

    /// <summary>The text of a path (P1, P2).</summary>
    internal static string Write(ReadOnlySpan<PathSegment> segments)
    {
        foreach (var segment in segments)
        {
            if (segment.Kind == SegmentKind.Token && TryWritePointer(segments, out var pointer))
                return pointer;
        }

        var text = new StringBuilder("$");
        foreach (var segment in segments)
            Append(text, segment);
        return text.ToString();
    }

    /// <summary>Writes a segment of a normalized path.</summary>
    internal static void Append(StringBuilder text, PathSegment segment)
    {
        text.Append('[');
        if (segment.Kind == SegmentKind.Name)
            AppendQuoted(text, segment.Name!);
        else if (segment.Kind == SegmentKind.Index || segment is { Kind: SegmentKind.Token, Index: >= 0 })
            text.Append(segment.Index.ToString(CultureInfo.InvariantCulture));
        else
            text.Append('-');
        text.Append(']');
    }

    /// <summary>The pointer of a path.</summary>
    /// <returns>False when it has none: a pointer cannot count from the end, and a name of digits is no name in an array.</returns>
    internal static bool TryWritePointer(ReadOnlySpan<PathSegment> segments, out string pointer)
    {
        var text = new StringBuilder();
        foreach (var segment in segments)
        {
            if (segment is { Kind: SegmentKind.Index, Index: < 0 })
            {
                pointer = "";
                return false;
            }

            text.Append('/');
            if (segment.Name is { } name)
                text.Append(name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal));
            else if (segment.Kind == SegmentKind.End)
                text.Append('-');
            else
                text.Append(segment.Index.ToString(CultureInfo.InvariantCulture));
        }

        pointer = text.ToString();
        return true;
    }

    // RFC 9535, section 2.7.
    private static void AppendQuoted(StringBuilder text, string name)
    {
        text.Append('\'');
        foreach (var unit in name)
        {
            text.Append(unit switch
            {
                '\b' => "\\b",
                '\t' => "\\t",
                '\n' => "\\n",
                '\f' => "\\f",
                '\r' => "\\r",
                '\'' => "\\'",
                '\\' => "\\\\",
                < ' ' => $"\\u{(int)unit:x4}",
                _ => null,
            });
            if (unit is >= ' ' and not ('\'' or '\\'))
                text.Append(unit);
        }

        text.Append('\'');
    }
}
