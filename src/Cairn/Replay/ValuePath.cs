using System.Globalization;
using System.Text;

namespace Cairn.Replay;

/// <summary>Where two values begin to differ, in the notation of RFC 9535 for one place: <c>$.arguments[0]['two words']</c>.</summary>
internal static class ValuePath
{
    /// <summary>The first place, in the order of members' names and elements; <c>$</c> when the values differ as a whole.</summary>
    internal static string FirstDifference(Value a, Value b)
    {
        var path = new StringBuilder("$");
        while (true)
        {
            if (a.Kind == ValueKind.Array && b.Kind == ValueKind.Array)
            {
                var at = 0;
                while (at < a.Count && at < b.Count && a[at] == b[at])
                    at++;
                path.Append(CultureInfo.InvariantCulture, $"[{at}]");
                if (at == a.Count || at == b.Count)
                    return path.ToString();
                (a, b) = (a[at], b[at]);
                continue;
            }

            if (a.Kind != ValueKind.Object || b.Kind != ValueKind.Object)
                return path.ToString();
            var (membersA, membersB) = (a, b);
            var name = a.AsObject().Keys.Union(b.AsObject().Keys).Order(StringComparer.Ordinal).FirstOrDefault(name =>
                !membersA.TryGetMember(name, out var left) || !membersB.TryGetMember(name, out var right) || left != right);
            if (name is null)
                return path.ToString();
            Append(path, name);
            if (!a.TryGetMember(name, out var inA) || !b.TryGetMember(name, out var inB))
                return path.ToString();
            (a, b) = (inA, inB);
        }
    }

    private static void Append(StringBuilder path, string name)
    {
        if (name.Length > 0 && !char.IsAsciiDigit(name[0]) && name.All(static c => char.IsAsciiLetterOrDigit(c) || c == '_'))
        {
            path.Append('.').Append(name);
            return;
        }

        path.Append("['").Append(name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal))
            .Append("']");
    }
}
