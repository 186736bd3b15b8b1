// Filters from expressions of C#
// ------------------------------
//   x => x.Owner == "ada" && x.Due < 20261201 && x.Tags.Contains("urgent")
//   $.Owner eq "ada" and $.Due lt 20261201 and $.Tags contains "urgent"
//
// The tree that the compiler makes of a lambda is read, never run: a chain of members and indexes that begins at the parameter is a path,
// and all that does not look at the parameter is a value, read from constants and captured variables. So nothing is compiled, and it works
// where no code can be made (Native AOT).
//
//   L1  Names are those that Value.From gives with the same description: without one the property's own, with one what System.Text.Json
//       writes ([JsonPropertyName], naming policy).
//   L2  What is not there counts as null, as in an object that was read from the document: x.A == null holds for it, and so do
//       x.A != 5 and !(x.A == 5), which are the same. An order never does: null < 5 is false.
//   L3  Only what has one meaning in both languages is taken. Strings are compared by their bytes; what asks for a culture or for case is
//       refused, as are two places compared with each other, arithmetic on a place, and a conversion that loses something.
//   L4  What does not look at the value at all is decided here: `all || x.N > 3` is true, or the second part. A whole filter that is
//       decided so is refused, because no filter says so.

using System.Collections;
using System.Collections.ObjectModel;
using System.Globalization;
using System.Linq.Expressions;
using System.Reflection;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>See the essay above. Of one lambda.</summary>
/// <param name="parameter">What is asked about.</param>
/// <param name="description">Of its type; null = names and values as by reflection.</param>
internal sealed class FilterExpression(ParameterExpression parameter, JsonTypeInfo? description)
{
    private static readonly Type[] Widths =
        [typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong), typeof(float),
            typeof(double)];

    internal static Filter Translate(LambdaExpression lambda, JsonTypeInfo? description)
    {
        var decided = new FilterExpression(lambda.Parameters[0], description).Condition(lambda.Body);
        return decided.Filter ?? throw Refused(
            "what does not look at the value",
            $"It is {(decided.Truth ? "true" : "false")} for everything: leave the filter out, or ask nothing.");
    }

    /// <summary>A filter, or without one whether it holds (L4).</summary>
    private readonly record struct Decided(Filter? Filter, bool Truth)
    {
        public static implicit operator Decided(Filter filter) => new(filter, false);
    }

    private Decided Condition(Expression node)
    {
        if (!LooksAtValue(node))
            return new Decided(null, (bool)Read(node)!);
        switch (node)
        {
            case UnaryExpression { NodeType: ExpressionType.Not } not when not.Type == typeof(bool):
                return Not(Condition(not.Operand));
            case BinaryExpression { NodeType: ExpressionType.AndAlso or ExpressionType.OrElse } joined:
                return Join(joined.NodeType == ExpressionType.AndAlso, Condition(joined.Left), Condition(joined.Right));
            case BinaryExpression { NodeType: ExpressionType.Equal or ExpressionType.NotEqual or ExpressionType.LessThan
                or ExpressionType.LessThanOrEqual or ExpressionType.GreaterThan or ExpressionType.GreaterThanOrEqual } compared:
                return Compare(compared.NodeType, compared.Left, compared.Right);
            case MethodCallExpression call:
                return Call(call);
            case MemberExpression { Member.Name: nameof(Nullable<>.HasValue), Expression: { } inner } when IsNullable(inner.Type):
                return Filter.Ne(PathOf(inner).Path, Value.Null);
            default:
                return node.Type == typeof(bool)
                    ? Filter.Eq(PathOf(node).Path, true)
                    : throw Refused(Name(node), "A condition is a comparison, a call of Contains, StartsWith or Equals, or a Bool.");
        }
    }

    private static Decided Not(Decided inner) => inner.Filter is { } filter ? Filter.Not(filter) : new Decided(null, !inner.Truth);

    private static Decided Join(bool isAnd, Decided left, Decided right)
    {
        if (left.Filter is not { } first)
            return left.Truth == isAnd ? right : left;
        if (right.Filter is not { } second)
            return right.Truth == isAnd ? left : right;
        return isAnd ? Filter.And(first, second) : Filter.Or(first, second);
    }

    // ---- comparisons ------------------------------------------------------------------------------------------------------------

    private Filter Compare(ExpressionType kind, Expression place, Expression value)
    {
        if (!LooksAtValue(place))
        {
            (place, value) = (value, place);
            kind = kind switch
            {
                ExpressionType.LessThan => ExpressionType.GreaterThan,
                ExpressionType.LessThanOrEqual => ExpressionType.GreaterThanOrEqual,
                ExpressionType.GreaterThan => ExpressionType.LessThan,
                ExpressionType.GreaterThanOrEqual => ExpressionType.LessThanOrEqual,
                _ => kind,
            };
        }

        if (LooksAtValue(value))
            throw Refused("two places that are compared with each other", "Compare each with a value.");
        if (place is MethodCallExpression { Method.Name: nameof(string.CompareOrdinal) } ordinal
            && ordinal.Method.DeclaringType == typeof(string) && ordinal.Arguments.Count == 2 && Read(value) is 0
            && !LooksAtValue(ordinal.Arguments[1]))
            (place, value) = (ordinal.Arguments[0], ordinal.Arguments[1]);
        if (IsCondition(place) && (kind is ExpressionType.Equal or ExpressionType.NotEqual) && Read(value) is bool truth
            && Condition(place).Filter is { } condition)
            return truth == (kind == ExpressionType.Equal) ? condition : Filter.Not(condition);
        var target = PathOf(place);
        var compared = ValueOf(target, value);
        if (kind is ExpressionType.Equal)
            return Equal(target.Path, compared);
        if (kind is ExpressionType.NotEqual)
            return compared.IsNull ? Filter.Ne(target.Path, compared) : Filter.Not(Filter.Eq(target.Path, compared));
        if (target.IsText)
            throw Refused($"an order of {target.Type.Name}, which a converter writes", "Store a number, or compare with == alone.");
        return kind switch
        {
            _ when compared.IsNull => throw Refused("an order against null", "Nothing is less or greater; compare with ==."),
            ExpressionType.LessThan => Filter.Lt(target.Path, compared),
            ExpressionType.LessThanOrEqual => Filter.Lte(target.Path, compared),
            ExpressionType.GreaterThan => Filter.Gt(target.Path, compared),
            _ => Filter.Gte(target.Path, compared),
        };
    }

    private static bool IsCondition(Expression node) => node.Type == typeof(bool) && (node is BinaryExpression
        { NodeType: not ExpressionType.ArrayIndex } or UnaryExpression { NodeType: ExpressionType.Not }
        or MethodCallExpression { Method.Name: not "get_Item" });

    // L2.
    private static Filter Equal(DocumentPath path, in Value value) =>
        value.IsNull ? Filter.Not(Filter.Ne(path, Value.Null)) : Filter.Eq(path, value);

    // ---- calls ------------------------------------------------------------------------------------------------------------------

    private Filter Call(MethodCallExpression call)
    {
        var (name, arguments) = (call.Method.Name, call.Arguments);
        if (name == nameof(Equals))
        {
            if (call.Object is { } left && arguments.Count >= 1 && IsOrdinal(arguments, 1))
                return Compare(ExpressionType.Equal, left, arguments[0]);
            if (call.Object is null && arguments.Count >= 2 && IsOrdinal(arguments, 2))
                return Compare(ExpressionType.Equal, arguments[0], arguments[1]);
        }

        if (name is nameof(string.StartsWith) or nameof(string.Contains) && call.Method.DeclaringType == typeof(string)
            && IsOrdinal(arguments, 1) && !LooksAtValue(arguments[0]) && Read(arguments[0])?.ToString() is { } part)
        {
            var path = PathOf(call.Object!).Path;
            return name == nameof(string.StartsWith) ? Filter.Prefix(path, part) : Filter.Contains(path, part);
        }

        if (name == "Contains")
        {
            var all = call.Object is { } instance ? [instance, .. arguments] : arguments.ToList();
            var isPlain = all.Count == 2 || (all.Count == 3 && !LooksAtValue(all[2]) && Read(all[2]) is null);     // without a comparer
            if (isPlain && Unwrap(all[0]) is var many && typeof(IEnumerable).IsAssignableFrom(many.Type))
                return LooksAtValue(many) ? Contains(many, all[1]) : Among(many, all[1]);
        }

        throw Refused(
            Name(call),
            "Of calls on the value there are Contains, StartsWith, Equals and string.CompareOrdinal(..., ...) beside 0, without a culture "
                + "or a comparer; what does not look at it may call anything.");
    }

    private Filter Contains(Expression many, Expression element)
    {
        if (LooksAtValue(element))
            throw Refused("a place that is looked for in another one", "Look for a value.");
        var target = PathOf(many);
        return Filter.Contains(target.Path, ValueOf(target.Element(), element));
    }

    private Filter Among(Expression many, Expression element)
    {
        var target = PathOf(element);
        var values = new List<Value>();
        foreach (var item in (IEnumerable)(Read(many) ?? throw Refused("a collection that is null", "Give it at least an empty one.")))
            values.Add(ValueOf(target, item));
        var among = Filter.In(target.Path, values);
        return values.Contains(Value.Null) ? Filter.Or(among, Filter.Not(Filter.Exists(target.Path))) : among;
    }

    // Spans and enumerables of an array are the array.
    private static Expression Unwrap(Expression node) => node switch
    {
        UnaryExpression { NodeType: ExpressionType.Convert } convert when !convert.Type.IsPrimitive => Unwrap(convert.Operand),
        MethodCallExpression { Object: null, Arguments: [var inner], Method.Name: "op_Implicit" or "AsSpan" or "AsEnumerable" } =>
            Unwrap(inner),
        _ => node,
    };

    private bool IsOrdinal(ReadOnlyCollection<Expression> arguments, int from) => arguments.Count == from
        || (arguments.Count == from + 1 && !LooksAtValue(arguments[from]) && Read(arguments[from]) is StringComparison.Ordinal);

    // ---- places -----------------------------------------------------------------------------------------------------------------

    /// <summary>A place that an expression leads to.</summary>
    /// <param name="Type">Of what stands there, as C# has it.</param>
    /// <param name="Description">Of that type; null = there is none.</param>
    private readonly record struct Place(DocumentPath Path, Type Type, JsonTypeInfo? Description)
    {
        /// <summary>A converter of its own writes it, as text or whatever it likes.</summary>
        internal bool IsText => Description is { Kind: JsonTypeInfoKind.None } && !IsScalar(Nullable.GetUnderlyingType(Type) ?? Type);

        internal Place Element() => Description is { ElementType: { } element } known
            ? new Place(Path, element, known.Options.GetTypeInfo(element))
            : this with { Description = null, Type = typeof(object) };

        private static bool IsScalar(Type type) => type.IsPrimitive || type == typeof(string) || type == typeof(byte[]);
    }

    private Place PathOf(Expression node)
    {
        switch (node)
        {
            case ParameterExpression when node == parameter:
                return new Place(DocumentPath.Root, node.Type, description);
            case UnaryExpression { NodeType: ExpressionType.Convert or ExpressionType.ConvertChecked } convert
                when LosesNothing(convert.Operand.Type, convert.Type):
                return PathOf(convert.Operand);
            case MemberExpression { Member.Name: nameof(Nullable<>.Value), Expression: { } inner } when IsNullable(inner.Type):
                return PathOf(inner);
            case MemberExpression { Expression: { } inner } member:
                return Member(PathOf(inner), member.Member, node.Type);
            case BinaryExpression { NodeType: ExpressionType.ArrayIndex } index when !LooksAtValue(index.Right):
                return Inside(PathOf(index.Left), Read(index.Right), node);
            case MethodCallExpression { Method.Name: "get_Item", Object: { } inner, Arguments: [var index] } when !LooksAtValue(index):
                return Inside(PathOf(inner), Read(index), node);
            default:
                throw Refused(
                    Name(node), "A place is a chain of members and indexes of the value; compute with what it is compared with instead.");
        }
    }

    private static Place Inside(Place place, object? index, Expression node) => index switch
    {
        int number when number >= 0 => place.Element() with { Path = place.Path.Element(number), Type = node.Type },
        string name => place.Element() with { Path = place.Path.Member(name), Type = node.Type },
        _ => throw Refused(Name(node), "An index is a number from 0 on, or the name of a member."),
    };

    // L1.
    private static Place Member(Place place, MemberInfo member, Type type)
    {
        if (member is not PropertyInfo)
            throw Refused($"'{member.Name}'", "A place is a property; fields are not stored.");
        if (member.DeclaringType?.Namespace is { } space && (space == "System" || space.StartsWith("System.", StringComparison.Ordinal)))
            throw Refused($"'{member.Name}' of a {member.DeclaringType.Name}", "What types of the platform have is not stored.");
        if (place.Description is not { } known)
            return new Place(place.Path.Member(member.Name), type, null);
        foreach (var property in known.Properties)
        {
            if (property.Get is not null
                && (property.AttributeProvider is MemberInfo own ? own.Name == member.Name : property.Name == NameOf(member, known)))
                return new Place(place.Path.Member(property.Name), type, known.Options.GetTypeInfo(property.PropertyType));
        }

        throw Refused($"'{member.Name}'", "The description of its type has no such property: it is ignored, or not described.");
    }

    private static string NameOf(MemberInfo member, JsonTypeInfo known) =>
        member.GetCustomAttribute<JsonPropertyNameAttribute>()?.Name ?? known.Options.PropertyNamingPolicy?.ConvertName(member.Name)
        ?? member.Name;

    // Boxing, a nullable of the same, a number of a wider type, an enum as its number.
    private static bool LosesNothing(Type from, Type to)
    {
        (from, to) = (Nullable.GetUnderlyingType(from) ?? from, Nullable.GetUnderlyingType(to) ?? to);
        if (from == to || to.IsAssignableFrom(from))
            return true;
        if (from.IsEnum)
            from = Enum.GetUnderlyingType(from);
        return from == to || Wider(from, to);
    }

    private static bool Wider(Type from, Type to)
    {
        var (narrow, wide) = (Array.IndexOf(Widths, from), Array.IndexOf(Widths, to));
        return narrow >= 0 && wide > narrow && !(IsSigned(narrow) && !IsSigned(wide));
    }

    private static bool IsSigned(int width) => width >= Array.IndexOf(Widths, typeof(float)) || width % 2 == 0;

    // ---- values -----------------------------------------------------------------------------------------------------------------

    private Value ValueOf(Place target, Expression node) => ValueOf(target, Read(node));

    private static Value ValueOf(Place target, object? value)
    {
        var type = Nullable.GetUnderlyingType(target.Type) ?? target.Type;
        if (type.IsEnum && value is not null && value.GetType() != type && value.GetType().IsPrimitive)
            value = Enum.ToObject(type, value);              // the compiler has made a number of it
        if (ScalarConversion.TryConvert(value, out var converted))
            return converted;
        if (target.Description is { } known && value!.GetType() is var actual && (known.Type == actual || type == actual))
            return DescribedConversion.Convert(value, known);
        throw new CairnException(
            ErrorCode.InvalidFilter,
            $"A {value!.GetType().Name} has no one right form as a value, so nothing is compared with it. Convert it first, or give the "
                + "description of the type that writes it (a JsonTypeInfo).");
    }

    private bool LooksAtValue(Expression? node) => node switch
    {
        null => false,
        ParameterExpression => true,
        UnaryExpression unary => LooksAtValue(unary.Operand),
        BinaryExpression binary => LooksAtValue(binary.Left) || LooksAtValue(binary.Right),
        MemberExpression member => LooksAtValue(member.Expression),
        MethodCallExpression call => LooksAtValue(call.Object) || call.Arguments.Any(LooksAtValue),
        NewArrayExpression array => array.Expressions.Any(LooksAtValue),
        NewExpression made => made.Arguments.Any(LooksAtValue),
        ListInitExpression list => LooksAtValue(list.NewExpression) || list.Initializers.Any(one => one.Arguments.Any(LooksAtValue)),
        ConditionalExpression choice => LooksAtValue(choice.Test) || LooksAtValue(choice.IfTrue) || LooksAtValue(choice.IfFalse),
        ConstantExpression or DefaultExpression => false,
        _ => true,                                           // and is refused as a condition or a place
    };

    // What does not look at the value: constants, captured variables and what they lead to.
    private object? Read(Expression? node)
    {
        switch (node)
        {
            case null:
                return null;
            case ConstantExpression constant:
                return constant.Value;
            case MemberExpression { Member: FieldInfo field } member:
                return field.GetValue(Of(member.Expression, field.IsStatic, field.Name));
            case MemberExpression { Member: PropertyInfo property } member:
                return property.GetValue(
                    Of(member.Expression, property.GetMethod?.IsStatic == true, property.Name), BindingFlags.DoNotWrapExceptions,
                    null, null, null);
            case UnaryExpression { NodeType: ExpressionType.Convert or ExpressionType.ConvertChecked } convert:
                return Converted(convert);
            case UnaryExpression { NodeType: ExpressionType.Not } not when Read(not.Operand) is bool truth:
                return !truth;
            case BinaryExpression { NodeType: ExpressionType.ArrayIndex } index:
                return ((Array)Read(index.Left)!).GetValue(Convert.ToInt64(Read(index.Right), CultureInfo.InvariantCulture));
            case BinaryExpression { NodeType: ExpressionType.AndAlso } both:
                return (bool)Read(both.Left)! && (bool)Read(both.Right)!;
            case BinaryExpression { NodeType: ExpressionType.OrElse } either:
                return (bool)Read(either.Left)! || (bool)Read(either.Right)!;
            case BinaryExpression { NodeType: ExpressionType.Equal } same:
                return Equals(Read(same.Left), Read(same.Right));
            case BinaryExpression { NodeType: ExpressionType.NotEqual } other:
                return !Equals(Read(other.Left), Read(other.Right));
            case ConditionalExpression choice:
                return (bool)Read(choice.Test)! ? Read(choice.IfTrue) : Read(choice.IfFalse);
            case NewArrayExpression { NodeType: ExpressionType.NewArrayInit } array:
                return array.Expressions.Select(Read).ToArray();
            case NewExpression { Constructor: { } constructor } made:
                return constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, [.. made.Arguments.Select(Read)], null);
            case ListInitExpression list:
                var filled = Read(list.NewExpression);
                foreach (var one in list.Initializers)
                    one.AddMethod.Invoke(filled, BindingFlags.DoNotWrapExceptions, null, [.. one.Arguments.Select(Read)], null);
                return filled;
            case MethodCallExpression call when !call.Method.ReturnType.IsByRefLike:
                return call.Method.Invoke(
                    Of(call.Object, call.Method.IsStatic, call.Method.Name), BindingFlags.DoNotWrapExceptions, null,
                    [.. call.Arguments.Select(Read)], null);
            default:
                throw Refused(Name(node), "Compute it before, in a variable, and use that in the filter.");
        }
    }

    private object? Of(Expression? node, bool isStatic, string name)
    {
        var instance = Read(node);
        return instance is null && !isStatic
            ? throw Refused($"'{name}' of null", "What a filter compares with is read when the filter is made.")
            : instance;
    }

    private object? Converted(UnaryExpression node)
    {
        var value = Read(node.Operand);
        if (node.Method is { } method)
            return method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [value], null);
        var type = Nullable.GetUnderlyingType(node.Type) ?? node.Type;
        if (value is null || type.IsInstanceOfType(value))
            return value;
        if (type.IsEnum)
            return Enum.ToObject(type, value);
        return type.IsPrimitive && (value.GetType().IsPrimitive || value is Enum)
            ? Convert.ChangeType(value, type, CultureInfo.InvariantCulture)
            : value;
    }

    // ---- refusals ---------------------------------------------------------------------------------------------------------------

    private static bool IsNullable(Type type) => Nullable.GetUnderlyingType(type) is not null;

    // Never a value: those may be users'.
    private static string Name(Expression node) => node switch
    {
        MethodCallExpression call => $"a call of {call.Method.Name}",
        MemberExpression member => $"'{member.Member.Name}'",
        _ => $"an expression of kind {node.NodeType}",
    };

    private static CairnException Refused(string what, string remedy) => new(
        ErrorCode.InvalidFilter, $"A filter cannot be made of {what}. {remedy}");
}
