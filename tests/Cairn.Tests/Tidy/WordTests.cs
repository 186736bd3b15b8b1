using System.Text.RegularExpressions;
using Mono.Cecil;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>One concept, one word: the words that stand for another one here are refused as part of any name.</summary>
public partial class WordTests
{
    // Word, and what to say instead.
    private static readonly Dictionary<string, string> Refused = new(StringComparer.OrdinalIgnoreCase)
    {
        ["manager"] = "the name of what it does, as maintainer, registry, catalogue",
        ["service"] = "the name of what it does",
        ["helper"] = "the concept",
        ["util"] = "the concept",
        ["utils"] = "the concept",
        ["utility"] = "the concept",
        ["utilities"] = "the concept",
        ["impl"] = "the form, as DiskStorage",
        ["lsn"] = "sequence or position",
        ["journal"] = "log",
        ["revision"] = "version",
        ["poison"] = "failed",
        ["poisoned"] = "failed",
        ["poisoning"] = "failed",
    };

    // Of interfaces that are not ours (Microsoft.Extensions.AI).
    private static readonly HashSet<string> Theirs = new(StringComparer.Ordinal) { "GetService", "serviceType", "serviceKey" };

    [Fact]
    public void No_name_in_the_code_uses_a_refused_word()
    {
        var findings = new List<string>();
        foreach (var type in Types(Assemblies.Engine).Concat(Types(Assemblies.Tests)))
        {
            // Filling freed memory with a pattern is called poisoning everywhere.
            var isSlab = type.FullName.StartsWith("Cairn.Store.Native", StringComparison.Ordinal);
            foreach (var name in NamesOf(type).Except(Theirs))
            {
                foreach (var word in Parts(name).Where(part => Refused.ContainsKey(part)))
                {
                    if (!isSlab || !word.StartsWith("poison", StringComparison.OrdinalIgnoreCase))
                        findings.Add($"{type.FullName}: {name}; say {Refused[word]}");
                }
            }
        }

        Repository.Refuse(findings.Distinct(), "Refused words (docs: CONTRIBUTING.md):");
    }

    [Fact]
    public void No_file_name_uses_a_refused_word()
    {
        var findings =
            from path in Repository.Texts
            from word in path.Split('/', '.', '-', '_').SelectMany(Parts)
            where Refused.ContainsKey(word)
            select $"{path}; say {Refused[word]}";
        Repository.Refuse(findings, "Refused words in file names:");
    }

    [Fact]
    public void Names_are_ascii()
    {
        var findings =
            from type in Types(Assemblies.Engine).Concat(Types(Assemblies.Tests))
            from name in NamesOf(type)
            where !name.All(char.IsAscii)
            select $"{type.FullName}: {name}";
        Repository.Refuse(findings.Concat(Repository.Files.Where(path => !path.All(char.IsAscii))), "Names are ASCII:");
    }

    private static IEnumerable<TypeDefinition> Types(ModuleDefinition module) => 
        module.GetTypes().Where(type => Assemblies.Outermost(type).Namespace.StartsWith("Cairn", StringComparison.Ordinal));

    private static IEnumerable<string> NamesOf(TypeDefinition type)
    {
        yield return type.Name;
        foreach (var field in type.Fields)
            yield return field.Name;
        foreach (var property in type.Properties)
            yield return property.Name;
        foreach (var method in type.Methods)
        {
            yield return method.Name;
            foreach (var parameter in method.Parameters)
                yield return parameter.Name;
        }
    }

    // PascalCase, camelCase and sentences_with_underscores, in words.
    private static IEnumerable<string> Parts(string name) => Word().Matches(name).Select(match => match.Value);

    [GeneratedRegex("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")]
    private static partial Regex Word();
}
