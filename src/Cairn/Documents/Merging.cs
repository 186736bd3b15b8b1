namespace Cairn.Documents;

/// <summary>JSON Merge Patch (RFC 7396) over values: an Object is a patch of the members it names, Null removes a member, anything
/// else replaces what was there.</summary>
internal static class Merging
{
    /// <summary>The target with the patch applied; both stay as they are. Recursion is bounded: no value is deeper than 512.</summary>
    internal static Value Apply(in Value target, in Value patch)
    {
        if (patch.Kind != ValueKind.Object)
            return patch;
        var members = new Dictionary<string, Value>(StringComparer.Ordinal);
        if (target.Kind == ValueKind.Object)
        {
            foreach (var (name, value) in target.AsObject())
                members.Add(name, value);
        }

        foreach (var (name, change) in patch.AsObject())
        {
            if (change.IsNull && !Mutant.Is("doc-merge-keeps-null"))
                members.Remove(name);
            else
                members[name] = Apply(members.GetValueOrDefault(name), change);
        }

        return Value.Object(members);
    }
}
