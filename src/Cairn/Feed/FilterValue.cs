using Cairn.Primitives;

namespace Cairn.Feed;

/// <summary>A filter as subscriptions keep it: a canonical object of the conditions that are set, with the names that they have in
/// <see cref="ChangeFilter"/>; Null for none.</summary>
internal static class FilterValue
{
    internal static Value Of(ChangeFilter? filter)
    {
        if (filter is null || filter == ChangeFilter.All)
            return Value.Null;
        return Fields.Write(
            ("runs", filter.Runs is { } runs ? Value.Array(runs.Select(run => Fields.Of(run.Bits)!.Value)) : default(Value?)),
            ("primitives", Texts(filter.Primitives)),
            ("collections", Texts(filter.Collections)),
            ("keyPrefix", Fields.Of(filter.KeyPrefix)),
            ("types", Texts(filter.Types)),
            ("tags", Texts(filter.Tags)));
    }

    private static Value? Texts(IReadOnlyCollection<string>? texts) => texts is null ? default(Value?) : Fields.Of(texts);

    /// <summary>Reads what <see cref="Of"/> wrote; null for none.</summary>
    internal static ChangeFilter? Read(in Value value)
    {
        if (!Fields.TryRead(value, out var fields) || !fields.TryTexts("primitives", out var primitives)
            || !fields.TryText("keyPrefix", out var prefix) || !fields.TryTexts("types", out var types)
            || !fields.TryTexts("tags", out var tags) || !fields.TryTexts("collections", out var collections))
        {
            return null;
        }

        return new ChangeFilter
        {
            Runs = fields.Any("runs") is { Kind: ValueKind.Array } runs
                ? [.. runs.AsArray().Select(run => RunId.Read(run.AsBytes().Span))]
                : null,
            Primitives = primitives.Length == 0 ? null : primitives,
            Collections = collections.Length == 0 ? null : collections,
            KeyPrefix = prefix,
            Types = types.Length == 0 ? null : types,
            Tags = tags.Length == 0 ? null : tags,
        };
    }
}
