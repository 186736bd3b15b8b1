using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Cairn.Tests.Tidy;

/// <summary>Compiled types, and what they name: signatures, bodies, attributes. Inlined constants leave no trace.</summary>
internal static class Assemblies
{
    internal static ModuleDefinition Engine { get; } = Read(typeof(CairnDatabase).Assembly.Location);

    internal static ModuleDefinition Tests { get; } = Read(typeof(Assemblies).Assembly.Location);

    private static ModuleDefinition Read(string path)
    {
        var resolver = new DefaultAssemblyResolver();
        resolver.AddSearchDirectory(Path.GetDirectoryName(path)!);
        resolver.AddSearchDirectory(Path.GetDirectoryName(typeof(object).Assembly.Location)!);
        return ModuleDefinition.ReadModule(path, new ReaderParameters { AssemblyResolver = resolver, InMemory = true });
    }

    /// <summary>The outermost type around a nested one: where it stands in the source.</summary>
    internal static TypeReference Outermost(TypeReference type)
    {
        while (type.DeclaringType is { } outer)
            type = outer;
        return type;
    }

    /// <summary>Types of the namespace Cairn and below that the members of a type name, as their outermost types.</summary>
    internal static HashSet<TypeReference> Named(TypeDefinition type)
    {
        var named = new HashSet<TypeReference>(ByName.Instance);
        void Add(TypeReference? reference) => AddAll(named, reference);

        Add(type.BaseType);
        foreach (var contract in type.Interfaces)
            Add(contract.InterfaceType);
        AddAttributes(type, Add);
        AddConstraints(type, Add);
        foreach (var field in type.Fields)
        {
            Add(field.FieldType);
            AddAttributes(field, Add);
        }

        foreach (var method in type.Methods)
        {
            AddSignature(method, Add);
            AddAttributes(method, Add);
            AddConstraints(method, Add);
            if (method.HasBody)
                AddBody(method.Body, Add);
        }

        foreach (var nested in type.NestedTypes)
            named.UnionWith(Named(nested));
        return named;
    }

    private static void AddBody(MethodBody body, Action<TypeReference?> add)
    {
        foreach (var local in body.Variables)
            add(local.VariableType);
        foreach (var handler in body.ExceptionHandlers)
            add(handler.CatchType);
        foreach (var instruction in body.Instructions)
        {
            switch (instruction.Operand)
            {
                case TypeReference type:
                    add(type);
                    break;
                case MethodReference method:
                    AddSignature(method, add);
                    break;
                case FieldReference field:
                    add(field.DeclaringType);
                    add(field.FieldType);
                    break;
            }
        }
    }

    private static void AddSignature(MethodReference method, Action<TypeReference?> add)
    {
        add(method.DeclaringType);
        add(method.ReturnType);
        foreach (var parameter in method.Parameters)
            add(parameter.ParameterType);
        if (method is GenericInstanceMethod generic)
        {
            foreach (var argument in generic.GenericArguments)
                add(argument);
        }
    }

    private static void AddAttributes(ICustomAttributeProvider provider, Action<TypeReference?> add)
    {
        foreach (var attribute in provider.CustomAttributes)
        {
            add(attribute.AttributeType);
            foreach (var argument in attribute.ConstructorArguments)
                add(argument.Value as TypeReference);
        }
    }

    private static void AddConstraints(IGenericParameterProvider provider, Action<TypeReference?> add)
    {
        foreach (var parameter in provider.GenericParameters)
        {
            foreach (var constraint in parameter.Constraints)
                add(constraint.ConstraintType);
        }
    }

    private static void AddAll(HashSet<TypeReference> named, TypeReference? reference)
    {
        switch (reference)
        {
            case null or GenericParameter:
                return;
            case GenericInstanceType generic:
                AddAll(named, generic.ElementType);
                foreach (var argument in generic.GenericArguments)
                    AddAll(named, argument);
                return;
            case FunctionPointerType pointer:
                AddAll(named, pointer.ReturnType);
                foreach (var parameter in pointer.Parameters)
                    AddAll(named, parameter.ParameterType);
                return;
            case TypeSpecification specification:
                AddAll(named, specification.ElementType);
                return;
        }

        var outer = Outermost(reference);
        if (outer.Namespace == "Cairn" || outer.Namespace.StartsWith("Cairn.", StringComparison.Ordinal))
            named.Add(outer);
    }

    private sealed class ByName : IEqualityComparer<TypeReference>
    {
        internal static readonly ByName Instance = new();

        public bool Equals(TypeReference? left, TypeReference? right) => left?.FullName == right?.FullName;

        public int GetHashCode(TypeReference type) => type.FullName.GetHashCode(StringComparison.Ordinal);
    }
}
