// Queries: JSONPath (RFC 9535)
// ----------------------------
// A query is read once into the tree below and may be evaluated often, by several threads. Reading checks all that the RFC calls
// well-formed and valid (section 2.1), types of functions too (section 2.4.3); so evaluating cannot fail but for its bounds.
//
//   $.steps[?@.cost > 10 && match(@.tool, 'crm.*')]['name', 'cost']
//
//   segment  child: name 'steps'
//   segment  child: filter  And( Compare(>, singular @.cost, literal 10), Function(match, singular @.tool, literal) )
//   segment  child: name 'name', name 'cost'
//
// Q1  Results are in document order: elements by index, members by the UTF-8 bytes of their names; selector after selector.
// Q2  Work is bounded, whatever the query and the document: each value that is looked at, each character that is compared or matched,
//     is a step, and steps have a limit, as have the nodes of every list on the way and the depth of the query.
// Q3  No recursion follows the document; that over the tree is as deep as the query may be.
using System.Buffers;
using System.Text.RegularExpressions;

namespace Cairn.Documents;

/// <summary>A query from the root of the document (<c>$</c>) or from the value that a filter looks at (<c>@</c>).</summary>
internal sealed record PathQuery(bool IsAbsolute, QuerySegment[] Segments)
{
    /// <summary>RFC 9535, section 2.3.5.1: it finds one value at most.</summary>
    internal bool IsSingular { get; } = Segments.All(
        segment => segment is { IsDescendant: false, Selectors: [{ Kind: SelectorKind.Name or SelectorKind.Index }] });
}

/// <summary>Selectors, applied to each value found so far; or to that and all below it.</summary>
internal sealed record QuerySegment(bool IsDescendant, Selector[] Selectors);

internal enum SelectorKind
{
    Name,
    Index,
    Wildcard,
    Slice,
    Filter,
}

/// <summary>What is taken from a value (RFC 9535, section 2.3).</summary>
internal sealed record Selector(SelectorKind Kind)
{
    internal string Name { get; init; } = "";

    internal long Index { get; init; }

    internal long? From { get; init; }

    internal long? To { get; init; }

    internal long Step { get; init; } = 1;

    internal Test? Filter { get; init; }
}

internal enum TestKind
{
    And,
    Or,
    Not,
    Compare,

    /// <summary>A query finds something.</summary>
    Exists,

    /// <summary>A function says so.</summary>
    Function,
}

internal enum CompareKind
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// <summary>What a filter tests (RFC 9535, section 2.3.5).</summary>
internal sealed record Test(TestKind Kind)
{
    internal Test[] Parts { get; init; } = [];

    internal CompareKind Compare { get; init; }

    internal Operand Left { get; init; }

    internal Operand Right { get; init; }
}

internal enum OperandKind
{
    Literal,
    Query,
    Function,
}

/// <summary>What is compared, tested or given to a function.</summary>
internal readonly record struct Operand(OperandKind Kind)
{
    internal Value Literal { get; init; }

    internal PathQuery? Query { get; init; }

    internal FunctionCall? Function { get; init; }
}

internal enum FunctionKind
{
    Length,
    Count,
    Match,
    Search,
    Value,
}

/// <summary>A call of a function (RFC 9535, section 2.4).</summary>
internal sealed record FunctionCall(FunctionKind Kind, Operand[] Arguments)
{
    /// <summary>The regular expression of a match or search, when it stands in the query; null when it is none, or comes from the
    /// document.</summary>
    internal RegularExpression? Expression { get; init; }

    /// <summary>It gives true or false, and not a value.</summary>
    internal bool IsLogical => Kind is FunctionKind.Match or FunctionKind.Search;
}

/// <summary>A regular expression that is ready to run, in time that is linear in the text.</summary>
/// <param name="Regex">The expression over the numbers of the classes.</param>
/// <param name="Classes">The classes of characters.</param>
/// <param name="Positions">Its size with counted repetitions written out.</param>
internal sealed record RegularExpression(Regex Regex, CharacterClasses Classes, int Positions)
{
    internal bool IsMatch(string text)
    {
        var numbers = ArrayPool<char>.Shared.Rent(text.Length);
        var isMatch = Regex.IsMatch(numbers.AsSpan(0, Classes.Translate(text, numbers)));
        ArrayPool<char>.Shared.Return(numbers);
        return isMatch;
    }
}
