using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Traces as things that indexes are over, with the orders that they are stored in.</summary>
internal sealed class IndexedTraces : IndexedThings
{
    private static readonly DocumentPath Type = DocumentPath.Root.Member("type");
    private static readonly DocumentPath Tags = DocumentPath.Root.Member("tags");
    private static readonly DocumentPath Parent = DocumentPath.Root.Member("parent");
    private static readonly DocumentPath Time = DocumentPath.Root.Member("time");

    internal override byte Family => StoreKeys.Trace;

    internal override bool TellsOfVersions => true;

    internal override bool TryAsk(Scope scope, byte[] thing, scoped in VersionView version, QueryAsk ask, out AskedThing asked)
    {
        var document = Document(thing, version);
        if (ask.SeesVersion)
        {
            document = Value.Object(document.AsObject()
                .Append(new("$version", (long)version.Sequence)).Append(new("$time", version.Time)));
        }

        var order = new byte[]?[ask.Order.Count];
        for (var i = 0; i < order.Length; i++)
            order[i] = ask.Order[i].Path.TryGet(document, out var value) ? QueryAsk.OrderOf(value) : null;
        asked = new(ask.Holds(document, thing, version.Sequence, version.Time), order, document);
        return true;
    }

    internal override Value Read(Scope scope, byte[] thing, in AskedThing asked, SelectedPlaces? places) =>
        places is null ? asked.Document : places.In(asked.Document);

    internal override void WriteItems(
        RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence,
        ItemBuffer items) => IndexItems.Write(index, thing, new ValuePlaces(Document(thing, version)), items);

    private static Value Document(ReadOnlySpan<byte> thing, scoped in VersionView version)
    {
        Invariant.Check(Fields.TryRead(version.Value, out var fields), "a stored trace reads back");
        return TraceContent.Document(fields, TraceId.Read(thing));
    }

    // ---- built-in orders --------------------------------------------------------------------------------------------------------

    internal override List<IndexLeaf> BuiltIn(List<Filter> conditions)
    {
        var time = TimeBounds.Of(conditions, Time);
        var leaves = new List<IndexLeaf>();
        if (TextConditions.EqualTo(conditions, Type) is { } types)
            leaves.Add(Of("$type", [.. types.Select(PrefixOfType).OfType<byte[]>()], time));
        foreach (var tag in TextConditions.ContainedIn(conditions, Tags))
            leaves.Add(Of("$tags", tag is not null && TextConditions.IsName(tag) ? [PrefixOfTag(tag)] : [], time));
        if (TextConditions.EqualTo(conditions, Parent) is { } parents)
            leaves.Add(Of("$parent", [.. parents.Select(PrefixOfParent).OfType<byte[]>()], time));
        if (!time.IsAll)
            leaves.Add(Of("$time", [[StoreKeys.TraceTime]], time));
        return leaves;
    }

    // The narrowest order that is by time: what there are less of comes first.
    internal override IndexLeaf? OrderBy(DocumentPath path, List<Filter> conditions)
    {
        if (path != Time)
            return null;
        var time = TimeBounds.Of(conditions, Time);
        if (TextConditions.EqualTo(conditions, Parent) is [var parent] && PrefixOfParent(parent) is { } children)
            return Of("$parent", [children], time);
        if (TextConditions.ContainedIn(conditions, Tags).FirstOrDefault(TextConditions.IsName) is { } tag)
            return Of("$tags", [PrefixOfTag(tag)], time);
        if (TextConditions.EqualTo(conditions, Type) is [var type] && PrefixOfType(type) is { } typed)
            return Of("$type", [typed], time);
        return Of("$time", [[StoreKeys.TraceTime]], time);
    }

    private static IndexLeaf Of(string name, List<byte[]> prefixes, TimeBounds time) => new(
        new BuiltInSource(name, prefixes.Count == 1 ? prefixes[0] : [], prefixes.Count == 1 ? "time" : null, TraceId.Size),
        KeyInterval.Union(prefixes.Select(prefix => BuiltInSource.Between(prefix, time))));

    private static byte[]? PrefixOfType(string word)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        foreach (var type in Enum.GetValues<TraceType>())
        {
            if (TraceContent.WordOf(type) == word)
                return TraceKeys.TypePrefix(key, type).ToArray();
        }

        return null;
    }

    private static byte[] PrefixOfTag(string tag) => TraceKeys.TagPrefix(stackalloc byte[TraceKeys.LengthMax], tag).ToArray();

    private static byte[]? PrefixOfParent(string id) => TraceId.TryParse(id, out var parent) && parent != default
        ? TraceKeys.ParentPrefix(stackalloc byte[TraceKeys.LengthMax], parent).ToArray()
        : null;
}
