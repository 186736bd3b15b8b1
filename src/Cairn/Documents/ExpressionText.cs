// Regular expressions: I-Regexp (RFC 9485)
// ----------------------------------------
// An expression is checked against the grammar of the RFC and written anew for .NET, whose engine without backtracking runs in time that is
// linear in the text. What is not in the grammar is no expression, and matches nothing (RFC 9535, section 2.4.6).
//
// The sets of characters in it part all code points into classes, and the expression that .NET runs is over the numbers of the classes:
//
//   é.\p{Lu}{2}      sets {é}, all but CR and LF, upper case      classes 0: CR LF  1: é  2: upper case  3: the rest
//                    [1][1-3][2]{2}                               and a text "éxÀÉ" is 1 3 2 2
//
// E1  Characters are code points: nothing matches half of a surrogate pair. Categories are those of the Unicode tables of .NET.
// E2  Outside of classes ^ and $ are the beginning and the end of the text. The grammar of RFC 9485 takes them for ordinary characters, its
//     section 5 (mapping to other engines) and the compliance suite of JSONPath for anchors. [$] is the character.
using System.Globalization;
using System.Text.RegularExpressions;

namespace Cairn.Documents;

/// <summary>Reads I-Regexp: E1 and E2 at the top of this file.</summary>
internal sealed class ExpressionText
{

    // What .NET does to tell the classes apart grows with their square, to more than half a second for 330 of them. Chosen: 137 at most.
    private const int ClassesSquaredForPosition = 10;

    private readonly string _text;
    private readonly List<(string Text, CodePoints? Points)> _target = [];
    private readonly CharacterClasses _classes = new();
    private readonly HashSet<string> _parted = [];
    private int _at;
    private int _depth;

    private ExpressionText(string text) => _text = text;

    private char Peek => _at < _text.Length ? _text[_at] : '\0';

    private bool IsAtEnd => _at >= _text.Length;

    /// <summary>The expression, ready to run.</summary>
    /// <param name="text">What may be an expression.</param>
    /// <param name="isWhole">It has to match the whole text (match), not a part of it (search).</param>
    /// <param name="limits">The limits in force.</param>
    /// <returns>Null when it is none.</returns>
    /// <exception cref="LimitException">Too long, too deep, or too large with its repetitions written out.</exception>
    internal static RegularExpression? Read(string text, bool isWhole, Limits limits)
    {
        PathScanner.CheckText(text, nameof(Limits.RegexBytesMax), limits.RegexBytesMax);
        var reader = new ExpressionText(text);
        if (!reader.TryBranches(out var positions) || !reader.IsAtEnd)
            return null;
        positions = Checked(positions + ((long)reader._classes.Count * reader._classes.Count / ClassesSquaredForPosition));
        var body = string.Concat(reader._target.Select(part => part.Points is { } points ? reader._classes.Write(points) : part.Text));
        return new RegularExpression(Made(isWhole ? $@"\A(?:{body})\z" : $"(?:{body})"), reader._classes, (int)positions);
    }

    // .NET refuses what could need more than 10,000 nodes, and takes five for a position; the limit of positions is below that.
    private static Regex Made(string expression)
    {
        try
        {
            return new Regex(expression, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (NotSupportedException)
        {
            throw new CairnException(
                ErrorCode.LimitExceeded, "The regular expression is too large to be run without backtracking. Count less, or name less.");
        }
    }

    // i-regexp = branch *( "|" branch )
    private bool TryBranches(out long positions)
    {
        positions = 0;
        if (++_depth > Limits.QueryDepthMax)
            throw new LimitException(nameof(Limits.QueryDepthMax), Limits.QueryDepthMax, _depth, "levels");
        while (true)
        {
            while (!IsAtEnd && Peek is not ('|' or ')'))
            {
                if (!TryPiece(out var piece))
                    return false;
                positions = Checked(positions + piece);
            }

            if (Peek != '|' || IsAtEnd)
                break;
            Add("|");
            _at++;
        }

        _depth--;
        return true;
    }

    // piece = atom [ quantifier ]
    private bool TryPiece(out long positions)
    {
        if (!TryAtom(out positions))
            return false;
        switch (Peek)
        {
            case '*' or '+' or '?' when !IsAtEnd:
                Add(Peek.ToString());
                _at++;
                return true;
            case '{' when !IsAtEnd:
                return TryCount(ref positions);
            default:
                return true;
        }
    }

    // range-quantifier = "{" QuantExact [ "," [ QuantExact ] ] "}"
    private bool TryCount(ref long positions)
    {
        _at++;
        if (!TryDigits(out var least))
            return false;
        long? most = least;
        if (Peek == ',')
        {
            _at++;
            most = null;
            if (char.IsAsciiDigit(Peek))
            {
                TryDigits(out var number);
                most = number;
            }
        }

        if (Peek != '}' || most < least)
            return false;
        _at++;
        positions = Checked(positions * Math.Max(1, most ?? (least + 1)));
        Add(string.Create(CultureInfo.InvariantCulture, $"{{{least}{(most == least ? "" : "," + most)}}}"));
        return true;
    }

    // A number beyond all limits stays beyond them.
    private bool TryDigits(out long number)
    {
        var from = _at;
        number = 0;
        for (; char.IsAsciiDigit(Peek); _at++)
            number = Math.Min((number * 10) + (Peek - '0'), int.MaxValue);
        return _at > from;
    }

    // atom = NormalChar / charClass / ( "(" i-regexp ")" )
    private bool TryAtom(out long positions)
    {
        positions = 1;
        switch (Peek)
        {
            case '(':
                _at++;
                Add("(?:");
                if (!TryBranches(out positions) || Peek != ')')
                    return false;
                _at++;
                Add(")");
                positions = Math.Max(1, positions);
                return true;
            case '.':
                _at++;
                Add(".", CodePoints.Of(('\n', '\n'), ('\r', '\r')).Complement());
                return true;
            case '[':
                _at++;
                return TryClass();
            case '\\':
                var from = _at;
                if (!TryEscape(out var escaped))
                    return false;
                Add(_text[from.._at], escaped);
                return true;
            case '^' or '$':
                Add(Peek == '^' ? @"(?:\A)" : @"(?:\z)");
                _at++;
                return true;
            case '*' or '+' or '?' or '{' or '}' or ']' or ')' or '|':
                return false;
            default:
                var point = ReadPoint();
                Add(char.ConvertFromUtf32(point), CodePoints.Of((point, point)));
                return true;
        }
    }

    // charClassExpr = "[" [ "^" ] ( "-" / CCE1 ) *CCE1 [ "-" ] "]"
    // CCE1          = ( CCchar [ "-" CCchar ] ) / charClassEsc
    private bool TryClass()
    {
        var start = _at - 1;
        var isComplement = Peek == '^';
        if (isComplement)
            _at++;
        var ranges = new List<(int From, int To)>();
        if (Peek == '-')
        {
            _at++;
            ranges.Add(('-', '-'));
        }

        while (!IsAtEnd && Peek is not (']' or '-'))
        {
            if (!TryClassPart(ranges))
                return false;
        }

        if (Peek == '-')
        {
            _at++;
            ranges.Add(('-', '-'));
        }

        if (Peek != ']' || ranges.Count == 0)
            return false;
        _at++;
        var points = CodePoints.Of(ranges);
        Add(_text[start.._at], isComplement ? points.Complement() : points);
        return true;
    }

    private bool TryClassPart(List<(int From, int To)> ranges)
    {
        if (!TryClassChar(out var first, out var several))
            return false;
        if (several is not null)
        {
            ranges.AddRange(several.Ranges);
            return true;
        }

        // A hyphen before the bracket is the last one of the class.
        if (Peek != '-' || (_at + 1 < _text.Length && _text[_at + 1] == ']'))
        {
            ranges.Add((first, first));
            return true;
        }

        _at++;
        if (!TryClassChar(out var last, out several) || several is not null || last < first)
            return false;
        ranges.Add((first, last));
        return true;
    }

    private bool TryClassChar(out int point, out CodePoints? several)
    {
        (point, several) = (0, null);
        if (IsAtEnd || Peek is '[' or ']' or '-')
            return false;
        if (Peek != '\\')
        {
            point = ReadPoint();
            return true;
        }

        var isCategory = _at + 1 < _text.Length && _text[_at + 1] is 'p' or 'P';
        if (!TryEscape(out var escaped))
            return false;
        if (isCategory)
            several = escaped;
        else
            point = escaped.Ranges[0].From;
        return true;
    }

    // SingleCharEsc = "\" ( %x28-2B / "-" / "." / "?" / %x5B-5E / "n" / "r" / "t" / %x7B-7D )
    private bool TryEscape(out CodePoints points)
    {
        points = CodePoints.Of();
        _at++;
        var unit = Peek;
        if (IsAtEnd)
            return false;
        _at++;
        if (unit is 'p' or 'P')
            return TryCategory(unit == 'P', out points);
        var point = unit switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            (>= '(' and <= '+') or '-' or '.' or '?' or (>= '[' and <= '^') or (>= '{' and <= '}') => unit,
            _ => '\0',
        };
        points = CodePoints.Of((point, point));
        return point != '\0';
    }

    private bool TryCategory(bool isComplement, out CodePoints points)
    {
        points = CodePoints.Of();
        var end = _text.IndexOf('}', _at);
        if (Peek != '{' || end < 0 || end - _at > 3 || !CodePoints.IsCategory(_text[(_at + 1)..end]))
            return false;
        points = CodePoints.OfCategory(_text[(_at + 1)..end]);
        if (isComplement)
            points = points.Complement();
        _at = end + 1;
        return true;
    }

    // Lone surrogates are in no text here.
    private int ReadPoint()
    {
        var point = char.ConvertToUtf32(_text, _at);
        _at += char.IsHighSurrogate(_text[_at]) ? 2 : 1;
        return point;
    }

    private void Add(string text) => _target.Add((text, null));

    // A set that stands there twice parts the classes once.
    private void Add(string source, CodePoints points)
    {
        if (_parted.Add(source))
            _classes.Part(points);
        _target.Add((source, points));
    }

    private static long Checked(long positions) => positions <= Limits.RegexPositionsMax
        ? positions
        : throw new LimitException(nameof(Limits.RegexPositionsMax), Limits.RegexPositionsMax, positions, "positions");
}
