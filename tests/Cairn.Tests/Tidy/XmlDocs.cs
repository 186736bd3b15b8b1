using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Cairn.Tests.Tidy;

/// <summary>The documentation that the compiler wrote beside the engine.</summary>
internal static partial class XmlDocs
{
    private static readonly Lazy<Dictionary<string, XElement>> Members = new(() =>
        XDocument.Load(Path.ChangeExtension(typeof(CairnDatabase).Assembly.Location, ".xml"))
            .Descendants("member")
            .ToDictionary(member => member.Attribute("name")!.Value, StringComparer.Ordinal));

    /// <summary>The summary of a member (as <c>P:Cairn.Limits.DepthMax</c>) in one line of plain text; null without one.</summary>
    internal static string? Summary(string id)
    {
        if (!Members.Value.TryGetValue(id, out var member) || member.Element("summary") is not { } summary)
            return null;
        var text = string.Concat(summary.Nodes().Select(node => node switch
        {
            XText plain => plain.Value,
            XElement { Name.LocalName: "see" } see => "`" + see.Attribute("cref")!.Value.Split('.', ':')[^1] + "`",
            XElement { Name.LocalName: "c" } code => "`" + code.Value + "`",
            XElement { Name.LocalName: "paramref" } parameter => "`" + parameter.Attribute("name")!.Value + "`",
            _ => "",
        }));
        return Spaces().Replace(text, " ").Trim();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
