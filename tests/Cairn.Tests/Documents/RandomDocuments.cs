namespace Cairn.Tests.Documents;

/// <summary>Random documents: few names and small numbers, so that paths meet, and with what has to be escaped.</summary>
internal sealed class RandomDocuments(int seed)
{
    private static readonly string[] Names =
        ["a", "b", "c", "0", "1", "-", "", "a/b", "m~n", "'", "\"", "\\", "é", "\U0001F5FF", "～", "\n", " "];

    internal Random Random { get; } = new(seed);

    internal string Name() => Names[Random.Next(Random.Next(2) == 0 ? 3 : Names.Length)];

    internal Value Next(int depth) => Random.Next(depth > 0 ? 10 : 6) switch
    {
        0 => Value.Null,
        1 => Random.Next(2) == 0,
        2 => Random.Next(-2, 5),
        3 => Random.Next(3) == 0 ? 1e300 * Random.NextDouble() : Random.Next(-2, 5) / 2.0,
        4 => Random.Next(4) == 0 ? long.MaxValue - Random.Next(3) : Random.NextInt64(),
        5 => Name(),
        < 8 => Value.Array(Enumerable.Range(0, Random.Next(6)).Select(_ => Next(depth - 1))),
        _ => Object(depth),
    };

    /// <summary>A document with some places changed.</summary>
    internal Value Near(Value value)
    {
        if (Random.Next(8) == 0)
            return Next(2);
        switch (value.Kind)
        {
            case ValueKind.Array:
                var items = value.AsArray().Select(item => Random.Next(3) == 0 ? Near(item) : item).ToList();
                if (Random.Next(3) == 0)
                    items.Insert(Random.Next(items.Count + 1), Next(2));
                if (items.Count > 0 && Random.Next(3) == 0)
                    items.RemoveAt(Random.Next(items.Count));
                return Value.Array(items);
            case ValueKind.Object:
                var members = value.AsObject().Where(_ => Random.Next(5) > 0)
                    .ToDictionary(member => member.Key, member => Random.Next(3) == 0 ? Near(member.Value) : member.Value);
                if (Random.Next(3) == 0)
                    members[Name()] = Next(2);
                return Value.Object(members);
            default:
                return value;
        }
    }

    private Value Object(int depth)
    {
        var members = new Dictionary<string, Value>();
        for (var left = Random.Next(5); left > 0; left--)
            members[Name()] = Next(depth - 1);
        return Value.Object(members);
    }
}
