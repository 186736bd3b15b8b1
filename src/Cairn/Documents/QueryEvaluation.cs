using System.Diagnostics.CodeAnalysis;

namespace Cairn.Documents;

/// <summary>Where a value was found: the last segment, and where that began. Shared by all that lies below.</summary>
internal sealed record QueryPlace(QueryPlace? Parent, PathSegment Segment)
{
    internal static PathSegment[] SegmentsOf(QueryPlace? place)
    {
        var segments = new List<PathSegment>();
        for (; place is not null; place = place.Parent)
            segments.Add(place.Segment);
        segments.Reverse();
        return [.. segments];
    }
}

/// <summary>A value that was found, and where; the place is null for the root, and where nobody asks for it.</summary>
internal readonly record struct QueryNode(Value Value, QueryPlace? Place);

/// <summary>Evaluates a query over one document, within bounds: Q1 to Q3 at the top of <c>PathQuery.cs</c>. For one thread.</summary>
internal sealed class QueryEvaluation
{
    // What it costs to make an expression ready, in steps. Chosen: a step is some ten nanoseconds.
    private const int StepsOfExpression = 2_000;
    private const long StepsOfPosition = 500;
    private const int ExpressionsMax = 64;

    private readonly Value _root;
    private readonly Limits _limits;
    private Dictionary<(string Text, bool IsWhole), RegularExpression?>? _expressions;
    private long _steps;

    private QueryEvaluation(in Value root, Limits limits)
    {
        _root = root;
        _limits = limits;
    }

    /// <exception cref="LimitException">Too many steps or nodes.</exception>
    internal static List<QueryNode> Evaluate(PathQuery query, in Value root, Limits limits) =>
        new QueryEvaluation(root, limits).Find(query, root, isTracked: true);

    private List<QueryNode> Find(PathQuery query, in Value at, bool isTracked)
    {
        var nodes = new List<QueryNode> { new(at, null) };
        foreach (var segment in query.Segments)
        {
            var found = new List<QueryNode>();
            foreach (var node in nodes)
            {
                if (segment.IsDescendant)
                    Descend(segment, node, found, isTracked);
                else
                    Select(segment, node, found, isTracked);
            }

            nodes = found;
            if (nodes.Count == 0)
                break;
        }

        return nodes;
    }

    /// <summary>The one value that a singular query finds, without a list.</summary>
    private bool TryFindOne(PathQuery query, in Value current, out Value found)
    {
        found = query.IsAbsolute ? _root : current;
        foreach (var segment in query.Segments)
        {
            Count(1);
            var selector = segment.Selectors[0];
            var step = selector.Kind == SelectorKind.Name ? PathSegment.OfName(selector.Name) : PathSegment.OfIndex(selector.Index);
            if (!step.TryGet(found, out found))
                return false;
        }

        return true;
    }

    // A value before what is in it, its children in order: the stack holds them in reverse.
    private void Descend(QuerySegment segment, in QueryNode from, List<QueryNode> found, bool isTracked)
    {
        var stack = new Stack<QueryNode>();
        var children = new List<QueryNode>();
        stack.Push(from);
        while (stack.TryPop(out var node))
        {
            Select(segment, node, found, isTracked);
            children.Clear();
            AddChildren(node, children, isTracked, isResult: false);
            for (var n = children.Count - 1; n >= 0; n--)
            {
                if (children[n].Value.Kind is ValueKind.Array or ValueKind.Object)
                    stack.Push(children[n]);
            }
        }
    }

    private void Select(QuerySegment segment, in QueryNode node, List<QueryNode> found, bool isTracked)
    {
        Count(1);
        foreach (var selector in segment.Selectors)
        {
            switch (selector.Kind)
            {
                case SelectorKind.Name:
                    AddOne(node, PathSegment.OfName(selector.Name), found, isTracked);
                    break;
                case SelectorKind.Index:
                    AddOne(node, PathSegment.OfIndex(selector.Index), found, isTracked);
                    break;
                case SelectorKind.Wildcard:
                    AddChildren(node, found, isTracked, isResult: true);
                    break;
                case SelectorKind.Slice:
                    AddSlice(selector, node, found, isTracked);
                    break;
                default:
                    AddFiltered(selector.Filter!, node, found, isTracked);
                    break;
            }
        }
    }

    private void AddOne(in QueryNode node, PathSegment segment, List<QueryNode> found, bool isTracked)
    {
        Count(1);
        if (!segment.TryGet(node.Value, out var value))
            return;
        if (segment is { Kind: SegmentKind.Index, Index: < 0 } && !Mutant.Is("doc-query-path-not-normalized"))
            segment = PathSegment.OfIndex(node.Value.Count + segment.Index);
        Add(found, value, node, segment, isTracked);
    }

    private void AddChildren(in QueryNode node, List<QueryNode> found, bool isTracked, bool isResult)
    {
        if (node.Value.Kind is not (ValueKind.Array or ValueKind.Object))
            return;
        var count = node.Value.Count;
        Count(count);
        if (isResult)
            CheckNodes((long)found.Count + count);
        if (node.Value.Kind == ValueKind.Array)
        {
            for (var index = 0; index < count; index++)
                found.Add(Child(node.Value.Elements.Items[index], node, PathSegment.OfIndex(index), isTracked));
            return;
        }

        var members = node.Value.Members;
        for (var member = 0; member < count; member++)
            found.Add(Child(members.Values[member], node, PathSegment.OfName(members.Names[member]), isTracked));
    }

    // RFC 9535, section 2.3.4.2.2.
    private void AddSlice(Selector slice, in QueryNode node, List<QueryNode> found, bool isTracked)
    {
        if (node.Value.Kind != ValueKind.Array || slice.Step == 0)
            return;
        long length = node.Value.Count;
        var step = slice.Step;
        var from = Normalized(slice.From ?? (step > 0 ? 0 : length - 1), length);
        var to = slice.To is { } end ? Normalized(end, length) : step > 0 ? length : -1;
        var (lower, upper) = step > 0
            ? (Math.Clamp(from, 0, length), Math.Clamp(to, 0, length))
            : (Math.Clamp(to, -1, length - 1), Math.Clamp(from, -1, length - 1));
        for (var index = step > 0 ? lower : upper; step > 0 ? index < upper : index > lower; index += step)
        {
            Count(1);
            Add(found, node.Value.Elements.Items[(int)index], node, PathSegment.OfIndex(index), isTracked);
        }
    }

    private static long Normalized(long index, long length) => index >= 0 ? index : length + index;

    private void AddFiltered(Test filter, in QueryNode node, List<QueryNode> found, bool isTracked)
    {
        var children = new List<QueryNode>();
        AddChildren(node, children, isTracked, isResult: false);
        foreach (var child in children)
        {
            if (!Holds(filter, child.Value))
                continue;
            CheckNodes(found.Count + 1);
            found.Add(child);
        }
    }

    private void Add(List<QueryNode> found, in Value value, in QueryNode parent, PathSegment segment, bool isTracked)
    {
        CheckNodes(found.Count + 1);
        found.Add(Child(value, parent, segment, isTracked));
    }

    private static QueryNode Child(in Value value, in QueryNode parent, PathSegment segment, bool isTracked) =>
        new(value, isTracked ? new QueryPlace(parent.Place, segment) : null);

    private bool Holds(Test test, in Value current)
    {
        Count(1);
        switch (test.Kind)
        {
            case TestKind.And:
                foreach (var part in test.Parts)
                {
                    if (!Holds(part, current))
                        return false;
                }

                return true;
            case TestKind.Or:
                foreach (var part in test.Parts)
                {
                    if (Holds(part, current))
                        return true;
                }

                return false;
            case TestKind.Not:
                return !Holds(test.Parts[0], current);
            case TestKind.Exists:
                return Finds(test.Left.Query!, current);
            case TestKind.Function:
                return Matches(test.Left.Function!, current);
            default:
                return Compares(test, current);
        }
    }

    private bool Finds(PathQuery query, in Value current) => query.IsSingular
        ? TryFindOne(query, current, out _)
        : Nodes(query, current).Count > 0;

    private List<QueryNode> Nodes(PathQuery query, in Value current) =>
        Find(query, query.IsAbsolute ? _root : current, isTracked: false);

    // RFC 9535, section 2.3.5.2.2. Absent is equal to absent, and to nothing else.
    private bool Compares(Test test, in Value current)
    {
        var isLeft = TryValue(test.Left, current, out var left);
        var isRight = TryValue(test.Right, current, out var right);
        var kind = test.Compare;
        if (!isLeft || !isRight)
        {
            var areSame = isLeft == isRight;
            return kind switch
            {
                CompareKind.NotEqual => !areSame,
                CompareKind.Equal or CompareKind.LessOrEqual or CompareKind.GreaterOrEqual => areSame,
                _ => false,
            };
        }

        Count(1 + (Math.Min(left.Measure.Bytes, right.Measure.Bytes) / 16));
        return kind switch
        {
            CompareKind.Equal => Comparison.AreEqual(left, right),
            CompareKind.NotEqual => !Comparison.AreEqual(left, right),
            CompareKind.Less => IsLess(left, right),
            CompareKind.Greater => IsLess(right, left),
            CompareKind.LessOrEqual => IsLess(left, right) || Comparison.AreEqual(left, right),
            _ => IsLess(right, left) || Comparison.AreEqual(left, right),
        };
    }

    private static bool IsLess(in Value left, in Value right) =>
        (left.Kind == ValueKind.String || Comparison.IsNumber(left)) && Comparison.Order(left, right) < 0;

    private bool TryValue(in Operand operand, in Value current, out Value value)
    {
        switch (operand.Kind)
        {
            case OperandKind.Literal:
                value = operand.Literal;
                return true;
            case OperandKind.Query:
                return TryFindOne(operand.Query!, current, out value);
            default:
                return TryCall(operand.Function!, current, out value);
        }
    }

    // RFC 9535, sections 2.4.4, 2.4.5 and 2.4.8.
    private bool TryCall(FunctionCall call, in Value current, out Value result)
    {
        result = default;
        switch (call.Kind)
        {
            case FunctionKind.Count:
                result = Nodes(call.Arguments[0].Query!, current).Count;
                return true;
            case FunctionKind.Value:
                var nodes = Nodes(call.Arguments[0].Query!, current);
                if (nodes.Count != 1)
                    return false;
                result = nodes[0].Value;
                return true;
            default:
                return TryValue(call.Arguments[0], current, out var value) && TryLength(value, out result);
        }
    }

    private bool TryLength(in Value value, out Value length)
    {
        length = default;
        switch (value.Kind)
        {
            case ValueKind.String:
                Count(value.Utf8Length / 16);
                var text = value.AsString();
                length = text.Length - text.Count(char.IsLowSurrogate);
                return true;
            case ValueKind.Array or ValueKind.Object:
                length = value.Count;
                return true;
            default:
                return false;
        }
    }

    // RFC 9535, sections 2.4.6 and 2.4.7.
    private bool Matches(FunctionCall call, in Value current)
    {
        if (!TryValue(call.Arguments[0], current, out var value) || value.Kind != ValueKind.String)
            return false;
        var expression = call.Expression;
        if (expression is null && !TryExpression(call, current, out expression))
            return false;
        var text = value.AsString();
        Count(1 + (text.Length * (1L + (expression.Positions / 64))));
        return expression.IsMatch(text);
    }

    private bool TryExpression(FunctionCall call, in Value current, [NotNullWhen(true)] out RegularExpression? expression)
    {
        expression = null;
        if (call.Arguments[1].Kind == OperandKind.Literal
            || !TryValue(call.Arguments[1], current, out var value) || value.Kind != ValueKind.String)
            return false;
        var key = (value.AsString(), call.Kind == FunctionKind.Match);
        _expressions ??= [];
        if (_expressions.TryGetValue(key, out expression))
            return expression is not null;
        Count(StepsOfExpression);
        expression = ExpressionText.Read(key.Item1, key.Item2, _limits);
        Count(expression is null ? 0 : (expression.Positions * StepsOfPosition) + (expression.Classes.Work / 4));
        if (_expressions.Count >= ExpressionsMax)
            _expressions.Clear();
        _expressions.Add(key, expression);
        return expression is not null;
    }

    private void Count(long steps)
    {
        _steps += steps;
        if (_steps > _limits.QueryStepsMax && !Mutant.Is("doc-query-steps-off"))
            throw new LimitException(nameof(Limits.QueryStepsMax), _limits.QueryStepsMax, _steps, "steps");
    }

    private void CheckNodes(long nodes)
    {
        if (nodes > _limits.QueryNodesMax)
            throw new LimitException(nameof(Limits.QueryNodesMax), _limits.QueryNodesMax, nodes, "nodes");
    }
}
