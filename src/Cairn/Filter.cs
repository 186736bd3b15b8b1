using System.Diagnostics.CodeAnalysis;
using System.Linq.Expressions;
using System.Text.Json.Serialization.Metadata;
using Cairn.Documents;

namespace Cairn;

/// <summary>What a filter asks.</summary>
public enum FilterKind
{
    /// <summary>All parts hold.</summary>
    And = 0,

    /// <summary>A part holds.</summary>
    Or = 1,

    /// <summary>The part does not hold.</summary>
    Not = 2,

    /// <summary>Equal: numbers by value, objects without order.</summary>
    Eq = 3,

    /// <summary>There, and not equal.</summary>
    Ne = 4,

    /// <summary>Greater, of the same kind.</summary>
    Gt = 5,

    /// <summary>Greater or equal, of the same kind.</summary>
    Gte = 6,

    /// <summary>Less, of the same kind.</summary>
    Lt = 7,

    /// <summary>Less or equal, of the same kind.</summary>
    Lte = 8,

    /// <summary>Equal to one of several values.</summary>
    In = 9,

    /// <summary>There, and equal to none of several values.</summary>
    NotIn = 10,

    /// <summary>An Array with an element that is equal, or a String with a part that is.</summary>
    Contains = 11,

    /// <summary>A String that begins so.</summary>
    Prefix = 12,

    /// <summary>There, Null included.</summary>
    Exists = 13,
}

/// <summary>A condition on a document, as a tree that is built here, read from text (<see cref="Parse"/>) or from JSON
/// (<see cref="FromValue"/>): the same filter in all three forms. Immutable; safe from any thread.</summary>
/// <remarks>Numbers are compared by their exact values whatever their kind. Values of different kinds are never equal and have no order.
/// Where the path leads to nothing every condition is false, <see cref="FilterKind.Ne"/> and <see cref="FilterKind.NotIn"/> too; a
/// <see cref="Not"/> around it is true. Besides places of the value a condition may look at <c>$key</c>, <c>$version</c> and <c>$time</c>
/// (<see cref="FilterPath"/>).</remarks>
public sealed class Filter : IEquatable<Filter>
{
    private static readonly Filter[] None = [];
    private static readonly Value[] NoValues = [];

    private readonly Filter[] _parts;
    private readonly Value[] _values;
    private readonly int _mostValues;

    // A bit for each field that is asked for, here or below.
    private readonly int _fields;

    private Filter(FilterKind kind, Filter[] parts, FilterPath? path, Value value, Value[] values)
    {
        Kind = kind;
        Path = path?.Place;
        Field = path?.Field ?? FilterField.Value;
        _fields = 1 << (int)Field;
        Value = value;
        _parts = parts;
        _values = values;
        _mostValues = values.Length;
        long nodes = 1;
        var depth = 0;
        foreach (var part in parts)
        {
            nodes += part.Nodes;
            depth = Math.Max(depth, part.Depth);
            _mostValues = Math.Max(_mostValues, part._mostValues);
            _fields |= part._fields;
        }

        AtMost(nameof(Limits.FilterNodesMax), OptionRules.FilterNodesMost, nodes, "nodes");
        AtMost(nameof(Limits.FilterDepthMax), OptionRules.FilterDepthMost, depth + 1, "levels");
        Nodes = (int)nodes;
        Depth = depth + 1;
    }

    /// <summary>What it asks.</summary>
    public FilterKind Kind { get; }

    /// <summary>What And, Or and Not are over; empty for a condition.</summary>
    public IReadOnlyList<Filter> Parts => _parts;

    /// <summary>The place that a condition looks at; null for And, Or and Not, and where <see cref="Field"/> is the key, the version or
    /// the time.</summary>
    public DocumentPath? Path { get; }

    /// <summary>What a condition looks at; <see cref="FilterField.Value"/> for And, Or and Not, too.</summary>
    public FilterField Field { get; }

    /// <summary>What a condition compares with; Null for those without.</summary>
    public Value Value { get; }

    /// <summary>The values of In and NotIn; empty for the others.</summary>
    public IReadOnlyList<Value> Values => _values;

    /// <summary>How many conditions, and what joins or turns them, it consists of.</summary>
    public int Nodes { get; }

    /// <summary>How deep it is; a condition alone has depth one.</summary>
    public int Depth { get; }

    /// <summary>It looks at that, somewhere.</summary>
    internal bool AsksFor(FilterField field) => (_fields >> (int)field & 1) != 0;

    internal ReadOnlySpan<Filter> PartSpan => _parts;

    internal ReadOnlySpan<Value> ValueSpan => _values;

    /// <summary>Both hold; see <see cref="And"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "And is the named form.")]
    public static Filter operator &(Filter left, Filter right) => And(left, right);

    /// <summary>One of both holds; see <see cref="Or"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "Or is the named form.")]
    public static Filter operator |(Filter left, Filter right) => Or(left, right);

    /// <summary>It does not hold; see <see cref="Not"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "Not is the named form.")]
    public static Filter operator !(Filter filter) => Not(filter);

    /// <summary>Equal parts in the same order.</summary>
    public static bool operator ==(Filter? left, Filter? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Something differs.</summary>
    public static bool operator !=(Filter? left, Filter? right) => !(left == right);

    /// <summary>All of them hold. An And among them is taken apart, and one filter alone is itself.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: none at all.</exception>
    /// <exception cref="LimitException">More than 4,096 nodes or 64 levels.</exception>
    public static Filter And(params IEnumerable<Filter> filters) => Join(FilterKind.And, filters);

    /// <summary>One of them holds at least. An Or among them is taken apart, and one filter alone is itself.</summary>
    /// <inheritdoc cref="And"/>
    public static Filter Or(params IEnumerable<Filter> filters) => Join(FilterKind.Or, filters);

    /// <summary>It does not hold.</summary>
    /// <exception cref="LimitException">More than 4,096 nodes or 64 levels.</exception>
    public static Filter Not(Filter filter)
    {
        ArgumentNullException.ThrowIfNull(filter);
        return new Filter(FilterKind.Not, [filter], null, default, NoValues);
    }

    /// <summary>Equal: numbers by value (1 equals 1.0), objects without order.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidFilter"/>: <c>$key</c>, <c>$version</c> or <c>$time</c> with a value
    /// that it cannot be compared with; see <see cref="FilterPath"/>. So all conditions.</exception>
    public static Filter Eq(FilterPath path, Value value) => Compare(FilterKind.Eq, path, value);

    /// <summary>There, and not equal. A value of another kind is not equal.</summary>
    public static Filter Ne(FilterPath path, Value value) => Compare(FilterKind.Ne, path, value);

    /// <summary>Greater: numbers by value, String and Bytes by bytes, Bool with false first.</summary>
    public static Filter Gt(FilterPath path, Value value) => Compare(FilterKind.Gt, path, value);

    /// <summary>Greater or equal, in the order of <see cref="Gt"/>.</summary>
    public static Filter Gte(FilterPath path, Value value) => Compare(FilterKind.Gte, path, value);

    /// <summary>Less, in the order of <see cref="Gt"/>.</summary>
    public static Filter Lt(FilterPath path, Value value) => Compare(FilterKind.Lt, path, value);

    /// <summary>Less or equal, in the order of <see cref="Gt"/>.</summary>
    public static Filter Lte(FilterPath path, Value value) => Compare(FilterKind.Lte, path, value);

    /// <summary>Equal to one of the values.</summary>
    /// <exception cref="LimitException">More than 100,000 values.</exception>
    public static Filter In(FilterPath path, params IEnumerable<Value> values) => Among(FilterKind.In, path, values);

    /// <summary>There, and equal to none of the values.</summary>
    /// <inheritdoc cref="In"/>
    public static Filter NotIn(FilterPath path, params IEnumerable<Value> values) => Among(FilterKind.NotIn, path, values);

    /// <summary>An Array with an element that is equal, or a String that has the String in it.</summary>
    public static Filter Contains(FilterPath path, Value value) => Compare(FilterKind.Contains, path, value);

    /// <summary>A String that begins with this one.</summary>
    public static Filter Prefix(FilterPath path, string prefix)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        return Compare(FilterKind.Prefix, path, prefix);
    }

    /// <summary>There, Null included.</summary>
    public static Filter Exists(FilterPath path) => Compare(FilterKind.Exists, path, default);

    /// <summary>A filter from an expression of C#: <c>Filter.Where&lt;Errand&gt;(x => x.Owner == "ada" &amp;&amp; x.Due &lt; 20261201
    /// &amp;&amp; x.Tags.Contains("urgent"))</c>. The expression is read and never run or compiled; what it captures is read now. Taken
    /// are <c>== != &lt; &lt;= &gt; &gt;= &amp;&amp; || !</c> between a place and a value, Bools alone, <c>HasValue</c>, <c>Equals</c>,
    /// <c>StartsWith</c>, <c>Contains</c> of a String, of an Array, and of values (which is <see cref="In"/>), and
    /// <c>string.CompareOrdinal</c> beside 0. Strings are compared by their bytes.</summary>
    /// <remarks>A place that is not there counts as null: <c>x.A == null</c> and <c>x.A != 5</c> hold for it (the latter is a
    /// <see cref="Not"/> of <see cref="Eq"/>, while <see cref="Ne"/> asks for something to be there), <c>x.A &lt; 5</c> does not. Names
    /// are those that <see cref="Value.From(object?)"/> gives: the properties' own.</remarks>
    /// <param name="predicate">What has to hold, for a document of the form of <typeparamref name="T"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidFilter"/>: something that no filter says; it is named, with what to do
    /// instead. <see cref="ErrorCode.Overflow"/>: a UInt64 above Int64.</exception>
    /// <exception cref="LimitException">More than 4,096 nodes, 64 levels or 100,000 values.</exception>
    public static Filter Where<T>(Expression<Func<T, bool>> predicate)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return FilterExpression.Translate(predicate, null);
    }

    /// <summary>A filter from an expression of C#, with names and forms as System.Text.Json writes them: so for documents from
    /// <see cref="Value.From{T}(T, JsonTypeInfo{T})"/>, with <c>[JsonPropertyName]</c>, naming policy, and enums and dates in the form of
    /// their converters, which can be compared with <c>==</c> and have no order.</summary>
    /// <param name="predicate">As of <see cref="Where{T}(Expression{Func{T, bool}})"/>.</param>
    /// <param name="typeInfo">The description, source-generated or of the options.</param>
    /// <inheritdoc cref="Where{T}(Expression{Func{T, bool}})" path="/remarks"/>
    /// <inheritdoc cref="Where{T}(Expression{Func{T, bool}})" path="/exception"/>
    public static Filter Where<T>(Expression<Func<T, bool>> predicate, JsonTypeInfo<T> typeInfo)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        ArgumentNullException.ThrowIfNull(typeInfo);
        return FilterExpression.Translate(predicate, typeInfo);
    }

    /// <summary>Reads a filter: <c>status eq "open" and (cost gte 3 or tags contains "urgent") and not $.owner exists</c>. The words are
    /// <c>and or not eq ne gt gte lt lte in "not in" contains prefix exists</c>, and <c>= != &gt; &gt;= &lt; &lt;=</c> for six of
    /// them; <c>not</c> binds closest, then <c>and</c>. Values are JSON, or text in single quotes. A path is <c>$.a['b c'][0]</c>, the
    /// same without <c>$.</c>, or a pointer in double quotes; or <c>$key</c>, <c>$version</c>, <c>$time</c>.</summary>
    /// <param name="text">At most <see cref="Limits.StringBytesMax"/> bytes.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="MalformedTextException"><see cref="ErrorCode.InvalidFilter"/>, or <see cref="ErrorCode.InvalidPath"/> in a
    /// pointer: no filter; it says where.</exception>
    /// <exception cref="LimitException">Too many nodes, levels or values (<see cref="Limits.FilterNodesMax"/>,
    /// <see cref="Limits.FilterDepthMax"/>, <see cref="Limits.FilterValuesMax"/>), or a value or a path that is too large.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.Overflow"/>: a number outside Int64 or Float64;
    /// <see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    public static Filter Parse(string text, Limits? limits = null) => FilterText.Parse(text, limits ?? Limits.Defaults);

    /// <summary>A filter from the value of its JSON: an Object with one member, which has the word for its name:
    /// <c>{"and":[{"eq":["$.a",1]},{"not":{"exists":"$.b"}},{"in":["$.c",[1,2]]}]}</c>.</summary>
    /// <param name="form">The value.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="DocumentException"><see cref="ErrorCode.InvalidFilter"/>: no filter; it says where.</exception>
    /// <exception cref="MalformedTextException">A path in it is none.</exception>
    /// <exception cref="LimitException">As of <see cref="Parse"/>.</exception>
    public static Filter FromValue(Value form, Limits? limits = null) => FilterForm.Read(form, limits ?? Limits.Defaults);

    /// <summary>True when the filter holds for a document.</summary>
    /// <param name="document">The document.</param>
    /// <param name="limits">The limits that the filter keeps to; null for the defaults.</param>
    /// <exception cref="LimitException">The filter is larger than the limits allow, or takes more than
    /// <see cref="Limits.QueryStepsMax"/> steps.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidFilter"/>: the filter asks for <c>$key</c>, <c>$version</c> or
    /// <c>$time</c>, and a document by itself has none.</exception>
    public bool Matches(Value document, Limits? limits = null)
    {
        var subject = new BareSubject(document);
        return Matches(ref subject, limits ?? Limits.Defaults);
    }

    /// <summary>True when the filter holds for a value with its key, version and time.</summary>
    /// <param name="item">The value, and what is known about it.</param>
    /// <param name="limits">The limits that the filter keeps to; null for the defaults.</param>
    /// <exception cref="LimitException">The filter is larger than the limits allow, or takes more than
    /// <see cref="Limits.QueryStepsMax"/> steps.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidFilter"/>: the filter asks for one of them that the item does not
    /// have.</exception>
    public bool Matches(FilterItem item, Limits? limits = null)
    {
        var subject = new ItemSubject(item);
        return Matches(ref subject, limits ?? Limits.Defaults);
    }

    /// <summary>True when the filter holds for what answers place by place.</summary>
    internal bool Matches<TSubject>(ref TSubject subject, Limits limits)
        where TSubject : IFilterSubject, allows ref struct
    {
        Check(limits);
        // Before anything is evaluated: what a filter may ask does not depend on the values that it meets.
        for (var field = FilterField.Key; field <= FilterField.Time; field++)
        {
            if (AsksFor(field) && !subject.TryGet(field, out _))
                throw new CairnException(
                    ErrorCode.InvalidFilter,
                    $"The filter asks for {FilterPath.NameOf(field)}, and what it is asked about has none. Give it a FilterItem that "
                    + "has, or leave the condition out.");
        }

        return new FilterEvaluation<TSubject>(subject, limits).Holds(this);
    }

    /// <summary>The value of the filter's JSON; see <see cref="FromValue"/>.</summary>
    public Value ToValue() => FilterForm.Write(this);

    /// <summary>The one text of the filter, which <see cref="Parse"/> reads as the same filter.</summary>
    public override string ToString() => FilterText.Write(this);

    /// <summary>Equal parts in the same order.</summary>
    public bool Equals([NotNullWhen(true)] Filter? other) => other is not null && Kind == other.Kind && Nodes == other.Nodes
        && Field == other.Field && Path == other.Path && Value == other.Value && _values.AsSpan().SequenceEqual(other._values)
        && _parts.AsSpan().SequenceEqual(other._parts);

    /// <summary>Equal parts in the same order.</summary>
    public override bool Equals([NotNullWhen(true)] object? obj) => Equals(obj as Filter);

    /// <summary>A hash of the text, the same in every process.</summary>
    public override int GetHashCode() => ((Value)ToString()).GetHashCode();

    /// <summary>A condition on one value, or on none.</summary>
    internal static Filter Compare(FilterKind kind, FilterPath path, Value value)
    {
        ArgumentNullException.ThrowIfNull(path);
        Understand(kind, path, ref value);
        return new Filter(kind, None, path, value, NoValues);
    }

    /// <summary>In or NotIn.</summary>
    internal static Filter Among(FilterKind kind, FilterPath path, IEnumerable<Value> values)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(values);
        var items = new List<Value>();
        foreach (var value in values)
        {
            AtMost(nameof(Limits.FilterValuesMax), OptionRules.FilterValuesMost, items.Count + 1, "values");
            var understood = value;
            Understand(kind, path, ref understood);
            items.Add(understood);
        }

        return new Filter(kind, None, path, default, [.. items]);
    }

    /// <summary>And or Or.</summary>
    internal static Filter Join(FilterKind kind, IEnumerable<Filter> filters)
    {
        ArgumentNullException.ThrowIfNull(filters);
        var parts = new List<Filter>();
        foreach (var filter in filters)
        {
            ArgumentNullException.ThrowIfNull(filter, nameof(filters));
            if (filter.Kind == kind)
                parts.AddRange(filter._parts);
            else
                parts.Add(filter);
            AtMost(nameof(Limits.FilterNodesMax), OptionRules.FilterNodesMost, parts.Count + 1L, "nodes");
        }

        return parts.Count switch
        {
            0 => throw new CairnException(ErrorCode.InvalidArgument, $"{kind} of no filter has no meaning. Give one at least."),
            1 => parts[0],
            _ => new Filter(kind, [.. parts], null, default, NoValues),
        };
    }

    /// <summary>The filter, when it keeps to the limits; in constant time.</summary>
    internal Filter Check(Limits limits)
    {
        AtMost(nameof(Limits.FilterNodesMax), limits.FilterNodesMax, Nodes, "nodes");
        AtMost(nameof(Limits.FilterDepthMax), limits.FilterDepthMax, Depth, "levels");
        AtMost(nameof(Limits.FilterValuesMax), limits.FilterValuesMax, _mostValues, "values");
        return this;
    }

    private static void Understand(FilterKind kind, FilterPath path, ref Value value)
    {
        if (FilterFields.Refusal(path.Field, kind, ref value) is { } reason)
            throw new CairnException(ErrorCode.InvalidFilter, reason);
    }

    private static void AtMost(string limit, long allowed, long actual, string unit)
    {
        if (actual > allowed)
            throw new LimitException(limit, allowed, actual, unit);
    }
}
