using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/api.txt and docs/api-agents.txt are the public surface, one line per member: a change of it is seen in review.</summary>
public class PublicSurfaceTests
{
    private static readonly NullabilityInfoContext Nullability = new();

    private static readonly Dictionary<Type, string> Keywords = new()
    {
        [typeof(void)] = "void",
        [typeof(bool)] = "bool",
        [typeof(byte)] = "byte",
        [typeof(int)] = "int",
        [typeof(uint)] = "uint",
        [typeof(long)] = "long",
        [typeof(ulong)] = "ulong",
        [typeof(double)] = "double",
        [typeof(char)] = "char",
        [typeof(string)] = "string",
        [typeof(object)] = "object",
    };

    [Theory]
    [InlineData(typeof(CairnDatabase), "docs/api.txt")]
    [InlineData(typeof(Cairn.Agents.RecordedAgents), "docs/api-agents.txt")]
    public void The_public_surface_is_as_written_down(Type within, string file)
    {
        var page = new StringBuilder("# The public surface, made by a test (CONTRIBUTING.md says how). Everything else is internal.\n");
        foreach (var type in within.Assembly.GetExportedTypes().OrderBy(type => type.Name, StringComparer.Ordinal))
            Write(page, type);
        MadePage.Compare(file, page.ToString());
    }

    private static void Write(StringBuilder page, Type type)
    {
        page.Append(CultureInfo.InvariantCulture, $"\n{Head(type)}\n");
        var lines = new List<string>();
        if (type.IsEnum)
        {
            foreach (var name in Enum.GetNames(type))
            {
                var number = Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture);
                page.Append(CultureInfo.InvariantCulture, $"  {name} = {number}\n");
            }

            return;
        }

        const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var field in type.GetFields(Declared))
            lines.Add(field.IsLiteral
                ? $"const {Name(field.FieldType)} {field.Name} = {Literal(field.GetRawConstantValue())}"
                : $"{Static(field.IsStatic)}{Name(Nullability.Create(field))} {field.Name}");
        foreach (var constructor in type.GetConstructors(Declared).Where(IsWritten))
            lines.Add($"{type.Name.Split('`')[0]}({Parameters(constructor)})");
        foreach (var property in type.GetProperties(Declared).Where(property => property.Name != "EqualityContract"))
            lines.Add(Line(property));
        foreach (var method in type.GetMethods(Declared).Where(IsWritten).Where(method => !IsAccessor(method)))
        {
            var result = Static(method.IsStatic) + Name(Nullability.Create(method.ReturnParameter));
            lines.Add($"{result} {method.Name}{Generics(method)}({Parameters(method)})");
        }

        foreach (var line in lines.Order(StringComparer.Ordinal))
            page.Append(CultureInfo.InvariantCulture, $"  {line}\n");
    }

    private static string Head(Type type)
    {
        var kind = type switch
        {
            { IsEnum: true } => "enum",
            { IsInterface: true } => "interface",
            { IsValueType: true } => IsRecord(type) ? "record struct" : "struct",
            { IsAbstract: true, IsSealed: true } => "static class",
            _ => (type.IsSealed ? "sealed " : "") + (IsRecord(type) ? "record" : "class"),
        };
        var bases = new List<string>();
        if (type is { IsClass: true, BaseType: { } parent } && parent != typeof(object))
            bases.Add(Name(parent));
        if (!type.IsEnum)
        {
            var inherited = type.BaseType?.GetInterfaces() ?? [];
            bases.AddRange(type.GetInterfaces()
                .Where(contract => contract.IsPublic && !inherited.Contains(contract))
                .Where(contract => !contract.IsGenericType || contract.GetGenericTypeDefinition() != typeof(IEquatable<>))
                .Select(Name).Order(StringComparer.Ordinal));
        }

        return $"{kind} {Name(type)}{(bases.Count == 0 ? "" : " : " + string.Join(", ", bases))}";
    }

    private static string Line(PropertyInfo property)
    {
        var accessors = property.GetMethod is { IsPublic: true } ? "get;" : "";
        if (property.SetMethod is { IsPublic: true } setter)
            accessors += setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) ? " init;" : " set;";
        var name = property.GetIndexParameters().Length == 0
            ? property.Name
            : $"this[{string.Join(", ", property.GetIndexParameters().Select(parameter => Name(parameter.ParameterType)))}]";
        var isStatic = (property.GetMethod ?? property.SetMethod)!.IsStatic;
        return $"{Static(isStatic)}{Name(Nullability.Create(property))} {name} {{ {accessors} }}";
    }

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(parameter =>
        (parameter.IsOut ? "out " : parameter.ParameterType.IsByRef ? (parameter.IsIn ? "in " : "ref ") : "")
        + (parameter.GetCustomAttribute<ParamArrayAttribute>() is null ? "" : "params ")
        + Name(Nullability.Create(parameter)) + " " + parameter.Name
        + (parameter.HasDefaultValue ? " = " + Literal(parameter.DefaultValue) : "")));

    private static string Generics(MethodInfo method) => method.IsGenericMethodDefinition
        ? $"<{string.Join(", ", method.GetGenericArguments().Select(argument => argument.Name))}>"
        : "";

    private static bool IsWritten(MethodBase method) => method.GetCustomAttribute<CompilerGeneratedAttribute>() is null;

    private static bool IsAccessor(MethodInfo method) => method.IsSpecialName && !method.Name.StartsWith("op_", StringComparison.Ordinal);

    private static bool IsRecord(Type type) =>
        type.GetMethod("PrintMembers", BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly) is not null;

    private static string Static(bool isStatic) => isStatic ? "static " : "";

    private static string Literal(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        bool flag => flag ? "true" : "false",
        Enum name => $"{name.GetType().Name}.{name}",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    private static string Name(NullabilityInfo info)
    {
        var type = info.Type;
        if (type.IsByRef)
            type = type.GetElementType()!;
        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return Name(underlying) + "?";
        var name = type switch
        {
            { IsArray: true } => (info.ElementType is { } element ? Name(element) : Name(type.GetElementType()!)) + "[]",
            { IsGenericType: true } when info.GenericTypeArguments.Length == type.GetGenericArguments().Length
                => $"{type.Name.Split('`')[0]}<{string.Join(", ", info.GenericTypeArguments.Select(Name))}>",
            _ => Name(type),
        };
        return !type.IsValueType && info.ReadState == NullabilityState.Nullable && !type.IsGenericParameter ? name + "?" : name;
    }

    private static string Name(Type type)
    {
        if (type.IsByRef)
            return Name(type.GetElementType()!);
        if (Keywords.TryGetValue(type, out var keyword))
            return keyword;
        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return Name(underlying) + "?";
        if (type.IsArray)
            return Name(type.GetElementType()!) + "[]";
        return type.IsGenericType
            ? $"{type.Name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
            : type.Name;
    }
}
