// Runs, as paths and filters see them
// -----------------------------------
//   name, parent     String     while it has one; a parent is an id as text
//   status           String     active, paused, completed, failed, cancelled, archived
//   tags             Array      not there without any
//   metadata         Object     not there when it is empty
//   created          Int64      microseconds since 1970; completed too, once it has ended
//   fork             Int64      of a fork the sequence at which it has what its parent had
//   error, result               what it ended with, as far as it was said
//
// and by their own names, as no parts of the whole, $key (the id as text), $version (sequence of the commit that wrote the record) and
// $time (of that commit). Runs stand in the catalogue; the two that always are there are found by name and not here.

using System.Diagnostics.CodeAnalysis;
using Cairn.Documents;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. One run.</summary>
internal readonly struct RunPlaces(Value document, Value fields) : IFilterSubject
{
    internal Value Document => document;

    internal static RunPlaces Of(RunId id, RunRecord record, Value? result, ulong version, long time) => new(
        Fields.Write(
            ("name", Fields.Of(record.Name)),
            ("parent", Fields.Of(record.Parent?.ToString())),
            ("status", Fields.Of(WordOf(record.Status))),
            ("tags", Fields.Of(record.Tags)),
            ("metadata", record.Metadata.Count == 0 ? default(Value?) : record.Metadata),
            ("created", Fields.Of(record.Created)),
            ("completed", Fields.Of(record.Completed)),
            ("fork", Fields.Of((long?)record.ForkSequence)),
            ("error", Fields.Of(record.Error)),
            ("result", record.Completed is null ? null : result)),
        Value.Object(("$key", id.ToString()), ("$time", time), ("$version", (long)version)));

    /// <summary>A status as text has it.</summary>
    [SuppressMessage("Globalization", "CA1308", Justification = "The word is lower case wherever people meet it.")]
    internal static string WordOf(RunStatus status) => status.ToString().ToLowerInvariant();

    public bool TryGet(DocumentPath path, out Value value) => path.TryGet(document, out value) || path.TryGet(fields, out value);

    public bool TryGet(FilterField field, out Value value)
    {
        value = field switch
        {
            FilterField.Key => fields["$key"],
            FilterField.Version => fields["$version"],
            _ => fields["$time"],
        };
        return true;
    }
}

/// <summary>See the essay above. Runs as things of the catalogue, with the orders that it keeps them in.</summary>
internal sealed class IndexedRuns : IndexedThings
{
    private static readonly DocumentPath Name = DocumentPath.Root.Member("name");
    private static readonly DocumentPath Parent = DocumentPath.Root.Member("parent");
    private static readonly DocumentPath Status = DocumentPath.Root.Member("status");
    private static readonly DocumentPath Tags = DocumentPath.Root.Member("tags");

    internal override byte Family => StoreKeys.Run;

    internal override bool TellsOfVersions => true;

    internal override bool IsThing(ReadOnlySpan<byte> storeKey) =>
        storeKey.Length == 1 + RunId.Size && !RunRecord.IsBuiltIn(RunId.Read(storeKey[1..]));

    internal override bool TryAsk(Scope scope, byte[] thing, scoped in VersionView version, QueryAsk ask, out AskedThing asked)
    {
        var places = Of(scope, RunId.Read(thing), version);
        var order = new byte[]?[ask.Order.Count];
        for (var i = 0; i < order.Length; i++)
            order[i] = places.TryGet(ask.Order[i].Path, out var value) ? QueryAsk.OrderOf(value) : null;
        asked = new AskedThing(ask.Holds(places), order, places.Document);
        return true;
    }

    internal override Value Read(Scope scope, byte[] thing, in AskedThing asked, SelectedPlaces? places)
    {
        if (places is null)
            return asked.Document;
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        using var reader = scope.Run.Store.Read();
        Invariant.Check(scope.TryGet(reader, StoreKeys.Of(key, Family, thing), out var version), "what was found is there");
        var found = Of(scope, RunId.Read(thing), version);
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var (path, name) in places.All)
        {
            if (found.TryGet(path, out var value))
                members.Add(new(name, value));
        }

        return Value.Object(members);
    }

    private static RunPlaces Of(Scope scope, RunId id, scoped in VersionView version)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        using var reader = scope.Run.Store.Read();
        var result = scope.TryGet(reader, RunKeys.Result(key, id), out var found) ? Value.Decode(found.Value) : default(Value?);
        return RunPlaces.Of(id, RunRecord.Read(version.Value), result, version.Sequence, version.Time);
    }

    internal override void WriteItems(
        RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence,
        ItemBuffer items) => throw new InvariantException("there are no indexes over runs");

    // ---- built-in orders --------------------------------------------------------------------------------------------------------

    internal override List<IndexLeaf> BuiltIn(List<Filter> conditions)
    {
        var leaves = new List<IndexLeaf>();
        if (TextConditions.EqualTo(conditions, Status) is { } words)
            leaves.Add(Of("$status", words.Select(PrefixOfStatus)));
        foreach (var tag in TextConditions.ContainedIn(conditions, Tags))
            leaves.Add(Of("$tags", [TextConditions.IsName(tag) ? PrefixOfTag(tag) : null]));
        if (TextConditions.EqualTo(conditions, Parent) is { } parents)
            leaves.Add(Of("$parent", parents.Select(PrefixOfParent)));
        if (NamesOf(conditions) is { } names)
            leaves.Add(new IndexLeaf(new BuiltInSource("$name", [], null, thingBytes: 0), KeyInterval.Union(names)));
        return leaves;
    }

    private static IndexLeaf Of(string name, IEnumerable<byte[]?> prefixes) => new(
        new BuiltInSource(name, [], null, RunId.Size), KeyInterval.Union(prefixes.OfType<byte[]>().Select(KeyInterval.Of)));

    // A name is a whole key, and what it begins with is a prefix of keys.
    private static IEnumerable<KeyInterval>? NamesOf(List<Filter> conditions)
    {
        if (TextConditions.EqualTo(conditions, Name) is { } names)
            return names.FindAll(TextConditions.IsName).Select(KeyOfName).Select(key => new KeyInterval(key, [.. key, 0]));
        if (conditions.Find(condition => condition.Path == Name && condition.Kind == FilterKind.Prefix) is not { } prefix)
            return null;
        var text = prefix.Value.AsString();
        if (text.Length == 0)
            return [KeyInterval.Of([StoreKeys.RunName])];
        return TextConditions.IsName(text) ? [KeyInterval.Of(KeyOfName(text))] : [];
    }

    private static byte[] KeyOfName(string name) => RunKeys.Name(stackalloc byte[RunKeys.LengthMax], name).ToArray();

    private static byte[] PrefixOfTag(string tag) => RunKeys.TagPrefix(stackalloc byte[RunKeys.LengthMax], tag).ToArray();

    private static byte[]? PrefixOfStatus(string word)
    {
        Span<byte> key = stackalloc byte[RunKeys.LengthMax];
        foreach (var status in Enum.GetValues<RunStatus>())
        {
            if (RunPlaces.WordOf(status) == word)
                return RunKeys.Status(key, status, default)[..^RunId.Size].ToArray();
        }

        return null;
    }

    private static byte[]? PrefixOfParent(string id) => RunId.TryParse(id, out var parent)
        ? RunKeys.Parent(stackalloc byte[RunKeys.LengthMax], parent, default)[..^RunId.Size].ToArray()
        : null;
}
