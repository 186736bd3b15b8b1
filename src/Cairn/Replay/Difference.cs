using System.Globalization;

namespace Cairn.Replay;

/// <summary>Where two requests differ first, in words: the path and what kind of difference, without the values themselves.</summary>
internal static class Difference
{
    internal static string Of(RecordedInput expected, RecordedInput actual)
    {
        if (expected.IsRedacted)
            return "the recorded input was redacted";
        if (expected.Kind != actual.Kind)
            return "another kind";
        if (expected.Name != actual.Name)
            return "another name";
        return Of("$", expected.Request!.Value, actual.Request!.Value) ?? "the same request, in another place of the order";
    }

    // Objects and arrays hold at most 512 levels, so this ends.
    private static string? Of(string path, in Value expected, in Value actual)
    {
        if (expected == actual)
            return null;
        if (expected.Kind != actual.Kind)
            return $"{path} was {expected.Kind} and is {actual.Kind}";
        return expected.Kind switch
        {
            ValueKind.Object => OfObjects(path, expected, actual),
            ValueKind.Array => OfArrays(path, expected, actual),
            ValueKind.String => $"{path} differs from character {CommonLength(expected.AsString(), actual.AsString())} on",
            _ => $"{path} has another value",
        };
    }

    private static string OfObjects(string path, in Value expected, in Value actual)
    {
        foreach (var (name, value) in expected.AsObject())
        {
            if (!actual.TryGetMember(name, out var other))
                return $"{path}.{name} is missing";
            if (Of($"{path}.{name}", value, other) is { } found)
                return found;
        }

        return $"{path}.{actual.AsObject().Keys.Except(expected.AsObject().Keys, StringComparer.Ordinal).First()} is new";
    }

    private static string OfArrays(string path, in Value expected, in Value actual)
    {
        var (left, right) = (expected.AsArray(), actual.AsArray());
        for (var i = 0; i < Math.Min(left.Count, right.Count); i++)
        {
            if (Of(string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]"), left[i], right[i]) is { } found)
                return found;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{path} had {left.Count} elements and has {right.Count}");
    }

    private static int CommonLength(string left, string right) => left.AsSpan().CommonPrefixLength(right);
}
