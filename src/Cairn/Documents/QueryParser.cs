using System.Globalization;

namespace Cairn.Documents;

/// <summary>Reads JSONPath (RFC 9535) by recursive descent, one character ahead. The grammar of a rule stands above its method.</summary>
internal sealed class QueryParser
{
    private readonly PathScanner _scanner;
    private readonly Limits _limits;
    private int _depth;
    private int _segments;

    private QueryParser(string text, Limits limits)
    {
        _scanner = new PathScanner(text, "query");
        _limits = limits;
    }

    // jsonpath-query = root-identifier segments
    internal static PathQuery Parse(string text, Limits limits)
    {
        PathScanner.CheckText(text, nameof(Limits.QueryBytesMax), limits.QueryBytesMax);
        var parser = new QueryParser(text, limits);
        parser._scanner.Expect('$', "A query begins with '$'.");
        var query = new PathQuery(true, parser.ReadSegments());
        return parser._scanner.IsAtEnd
            ? query
            : throw parser._scanner.Fail("A query goes on with '.', '..' or '[', and ends without blanks.");
    }

    // segments = *(S segment)
    private QuerySegment[] ReadSegments()
    {
        var segments = new List<QuerySegment>();
        while (true)
        {
            var behind = _scanner.At;
            _scanner.SkipBlanks();
            if (_scanner.IsAtEnd || _scanner.Peek is not ('.' or '['))
            {
                _scanner.At = behind;
                return [.. segments];
            }

            if (++_segments > _limits.PathSegmentsMax)
                throw new LimitException(nameof(Limits.PathSegmentsMax), _limits.PathSegmentsMax, _segments, "segments");
            segments.Add(ReadSegment());
        }
    }

    // child-segment      = bracketed-selection / ("." (wildcard-selector / member-name-shorthand))
    // descendant-segment = ".." (bracketed-selection / wildcard-selector / member-name-shorthand)
    private QuerySegment ReadSegment()
    {
        if (_scanner.Peek == '[')
            return new QuerySegment(false, ReadBrackets());
        var isDescendant = _scanner.TryRead("..");
        if (!isDescendant)
            _scanner.At++;
        if (isDescendant && _scanner.Peek == '[')
            return new QuerySegment(true, ReadBrackets());
        if (_scanner.TryRead("*"))
            return new QuerySegment(isDescendant, [new Selector(SelectorKind.Wildcard)]);
        return new QuerySegment(isDescendant, [new Selector(SelectorKind.Name) { Name = _scanner.ReadShorthand() }]);
    }

    // bracketed-selection = "[" S selector *(S "," S selector) S "]"
    private Selector[] ReadBrackets()
    {
        _scanner.At++;
        var selectors = new List<Selector>();
        do
        {
            _scanner.SkipBlanks();
            selectors.Add(ReadSelector());
            _scanner.SkipBlanks();
        }
        while (_scanner.TryRead(","));
        _scanner.Expect(']', "Selectors are parted by ',' and end with ']'.");
        return [.. selectors];
    }

    // selector = name-selector / wildcard-selector / slice-selector / index-selector / filter-selector
    private Selector ReadSelector()
    {
        switch (_scanner.Peek)
        {
            case '\'' or '"':
                return new Selector(SelectorKind.Name) { Name = _scanner.ReadQuoted() };
            case '*':
                _scanner.At++;
                return new Selector(SelectorKind.Wildcard);
            case '?':
                _scanner.At++;
                _scanner.SkipBlanks();
                return new Selector(SelectorKind.Filter) { Filter = ReadOr() };
            case ':' or '-' or (>= '0' and <= '9'):
                return ReadIndexOrSlice();
            default:
                throw _scanner.Fail("A selector is a quoted name, '*', an index, a slice, or a filter that begins with '?'.");
        }
    }

    // slice-selector = [start S] ":" S [end S] [":" [S step]]
    private Selector ReadIndexOrSlice()
    {
        long? from = _scanner.Peek == ':' ? null : _scanner.ReadInteger();
        var behind = _scanner.At;
        _scanner.SkipBlanks();
        if (!_scanner.TryRead(":"))
        {
            _scanner.At = behind;
            return new Selector(SelectorKind.Index) { Index = from!.Value };
        }

        _scanner.SkipBlanks();
        var to = ReadOptionalInteger();
        behind = _scanner.At;
        _scanner.SkipBlanks();
        if (!_scanner.TryRead(":"))
        {
            _scanner.At = behind;
            return new Selector(SelectorKind.Slice) { From = from, To = to };
        }

        _scanner.SkipBlanks();
        return new Selector(SelectorKind.Slice) { From = from, To = to, Step = ReadOptionalInteger() ?? 1 };
    }

    private long? ReadOptionalInteger() => _scanner.Peek is '-' or (>= '0' and <= '9') ? _scanner.ReadInteger() : null;

    // logical-or-expr = logical-and-expr *(S "||" S logical-and-expr)
    private Test ReadOr()
    {
        CheckDepth();
        var test = ReadSeveral(TestKind.Or, "||", ReadAnd);
        _depth--;
        return test;
    }

    // Not a matter of how deep values may be: the limit is far above what anybody writes, and far below what a stack holds.
    private void CheckDepth()
    {
        if (++_depth > (Mutant.Is("doc-query-depth-off") ? int.MaxValue : Limits.QueryDepthMax))
            throw new LimitException(nameof(Limits.QueryDepthMax), Limits.QueryDepthMax, _depth, "levels");
    }

    // logical-and-expr = basic-expr *(S "&&" S basic-expr)
    private Test ReadAnd() => ReadSeveral(TestKind.And, "&&", ReadBasic);

    private Test ReadSeveral(TestKind kind, string sign, Func<Test> read)
    {
        var first = read();
        List<Test>? parts = null;
        while (true)
        {
            var behind = _scanner.At;
            _scanner.SkipBlanks();
            if (!_scanner.TryRead(sign))
            {
                _scanner.At = behind;
                return parts is null ? first : new Test(kind) { Parts = [.. parts] };
            }

            _scanner.SkipBlanks();
            parts ??= [first];
            parts.Add(read());
        }
    }

    // basic-expr = paren-expr / comparison-expr / test-expr
    // paren-expr = [logical-not-op S] "(" S logical-expr S ")"
    // test-expr  = [logical-not-op S] (filter-query / function-expr)
    private Test ReadBasic()
    {
        var isNot = _scanner.Peek == '!';
        if (isNot)
        {
            _scanner.At++;
            _scanner.SkipBlanks();
        }

        var test = _scanner.Peek == '(' ? ReadParentheses() : ReadComparisonOrTest(mayCompare: !isNot);
        return isNot ? new Test(TestKind.Not) { Parts = [test] } : test;
    }

    private Test ReadParentheses()
    {
        _scanner.At++;
        _scanner.SkipBlanks();
        var test = ReadOr();
        _scanner.SkipBlanks();
        _scanner.Expect(')', "A parenthesis is closed by ')'.");
        return test;
    }

    // comparison-expr = comparable S comparison-op S comparable
    private Test ReadComparisonOrTest(bool mayCompare)
    {
        var start = _scanner.At;
        var left = ReadOperand();
        var behind = _scanner.At;
        _scanner.SkipBlanks();
        if (mayCompare && TryReadCompare(out var compare))
        {
            CheckComparable(left, start);
            _scanner.SkipBlanks();
            start = _scanner.At;
            var right = ReadOperand();
            CheckComparable(right, start);
            return new Test(TestKind.Compare) { Compare = compare, Left = left, Right = right };
        }

        _scanner.At = behind;
        return left switch
        {
            { Kind: OperandKind.Query } => new Test(TestKind.Exists) { Left = left },
            { Kind: OperandKind.Function, Function.IsLogical: true } => new Test(TestKind.Function) { Left = left },
            { Kind: OperandKind.Function } => throw _scanner.Fail(start, "The result of this function is compared with something."),
            _ => throw _scanner.Fail(start, "A literal is compared with something."),
        };
    }

    private bool TryReadCompare(out CompareKind compare)
    {
        // The longer signs first.
        (string Sign, CompareKind Kind)[] signs =
        [
            ("==", CompareKind.Equal), ("!=", CompareKind.NotEqual), ("<=", CompareKind.LessOrEqual),
            (">=", CompareKind.GreaterOrEqual), ("<", CompareKind.Less), (">", CompareKind.Greater),
        ];
        foreach (var (sign, kind) in signs)
        {
            compare = kind;
            if (_scanner.TryRead(sign))
                return true;
        }

        compare = default;
        return false;
    }

    private void CheckComparable(in Operand operand, int start)
    {
        if (operand is { Kind: OperandKind.Query, Query.IsSingular: false })
            throw _scanner.Fail(start, "A query that is compared finds one value at most: names and indexes only.");
        if (operand is { Kind: OperandKind.Function, Function.IsLogical: true })
            throw _scanner.Fail(start, "The result of match and search is not compared.");
    }

    private Operand ReadOperand()
    {
        switch (_scanner.Peek)
        {
            case '@' or '$':
                var isAbsolute = _scanner.Peek == '$';
                _scanner.At++;
                return new Operand(OperandKind.Query) { Query = new PathQuery(isAbsolute, ReadSegments()) };
            case '\'' or '"':
                return new Operand(OperandKind.Literal) { Literal = _scanner.ReadQuoted() };
            case '-' or (>= '0' and <= '9'):
                return new Operand(OperandKind.Literal) { Literal = ReadNumber() };
            case >= 'a' and <= 'z':
                return ReadWord();
            default:
                throw _scanner.Fail("Here stands a query that begins with '@' or '$', a literal, a function or a parenthesis.");
        }
    }

    // number = (int / "-0") [ frac ] [ exp ]
    private Value ReadNumber()
    {
        var from = _scanner.At;
        if (_scanner.Peek == '-')
            _scanner.At++;
        var whole = ReadDigits();
        if (whole.Length > 1 && whole[0] == '0')
            throw _scanner.Fail(from, "A number has no leading zero.");
        var isFloat = false;
        if (_scanner.Peek == '.')
        {
            _scanner.At++;
            ReadDigits();
            isFloat = true;
        }

        if (_scanner.Peek is 'e' or 'E')
        {
            _scanner.At++;
            if (_scanner.Peek is '+' or '-')
                _scanner.At++;
            ReadDigits();
            isFloat = true;
        }

        var text = _scanner.Text.AsSpan(from, _scanner.At - from);
        if (!isFloat && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
            return integer;
        var number = double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsFinite(number) ? number : throw _scanner.Fail(from, "The number is outside Float64.");
    }

    private ReadOnlySpan<char> ReadDigits()
    {
        var from = _scanner.At;
        while (char.IsAsciiDigit(_scanner.Peek))
            _scanner.At++;
        return _scanner.At > from ? _scanner.Text.AsSpan(from, _scanner.At - from) : throw _scanner.Fail("Digits are expected here.");
    }

    // function-expr = function-name "(" S [function-argument *(S "," S function-argument)] S ")"
    private Operand ReadWord()
    {
        var start = _scanner.At;
        while (_scanner.Peek is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '_')
            _scanner.At++;
        var word = _scanner.Text[start.._scanner.At];
        if (_scanner.Peek == '(')
            return new Operand(OperandKind.Function) { Function = ReadCall(word, start) };
        return word switch
        {
            "true" => new Operand(OperandKind.Literal) { Literal = true },
            "false" => new Operand(OperandKind.Literal) { Literal = false },
            "null" => new Operand(OperandKind.Literal),
            _ => throw _scanner.Fail(start, "Words are true, false, null, and functions with '(' right behind the name."),
        };
    }

    private FunctionCall ReadCall(string name, int start)
    {
        var kind = name switch
        {
            "length" => FunctionKind.Length,
            "count" => FunctionKind.Count,
            "match" => FunctionKind.Match,
            "search" => FunctionKind.Search,
            "value" => FunctionKind.Value,
            _ => throw _scanner.Fail(start, "Functions are length, count, match, search and value."),
        };
        CheckDepth();
        var arguments = ReadArguments(kind);
        _depth--;
        var needed = kind is FunctionKind.Match or FunctionKind.Search ? 2 : 1;
        if (arguments.Length != needed)
            throw _scanner.Fail(start, $"The function {name} takes {needed} argument(s).");
        return new FunctionCall(kind, arguments) { Expression = needed == 2 ? ExpressionOf(kind, arguments[1]) : null };
    }

    private Operand[] ReadArguments(FunctionKind kind)
    {
        _scanner.At++;
        _scanner.SkipBlanks();
        var arguments = new List<Operand>();
        if (_scanner.TryRead(")"))
            return [];
        do
        {
            _scanner.SkipBlanks();
            var start = _scanner.At;
            arguments.Add(ReadOperand());
            CheckArgument(kind, arguments[^1], start);
            _scanner.SkipBlanks();
        }
        while (_scanner.TryRead(","));
        _scanner.Expect(')', "Arguments are parted by ',' and end with ')'.");
        return [.. arguments];
    }

    // RFC 9535, section 2.4.3: count and value take nodes, the others values.
    private void CheckArgument(FunctionKind kind, in Operand argument, int start)
    {
        if (kind is FunctionKind.Count or FunctionKind.Value)
        {
            if (argument.Kind != OperandKind.Query)
                throw _scanner.Fail(start, "The argument of count and value is a query.");
        }
        else
        {
            CheckComparable(argument, start);
        }
    }

    private RegularExpression? ExpressionOf(FunctionKind kind, in Operand argument) =>
        argument is { Kind: OperandKind.Literal, Literal.Kind: ValueKind.String }
            ? ExpressionText.Read(argument.Literal.AsString(), isWhole: kind == FunctionKind.Match, _limits)
            : null;
}
