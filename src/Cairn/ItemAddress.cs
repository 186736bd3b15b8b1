using System.Diagnostics.CodeAnalysis;

namespace Cairn;

/// <summary>Names one thing in a run: a primitive and what that calls it. The text form is <c>primitive/key</c>: <c>kv/customer</c>,
/// <c>state/budget</c>, <c>json/plan</c>, <c>vectors/notes/n1</c>, <c>events/#12</c>, <c>traces/ID</c>, <c>graph/ada</c>,
/// <c>runs/ID</c>.</summary>
/// <param name="Primitive"><c>kv</c>, <c>state</c>, <c>json</c>, <c>vectors</c>, <c>events</c>, <c>traces</c>, <c>graph</c>,
/// <c>associations</c>, <c>runs</c> or <c>idempotency</c>.</param>
/// <param name="Key">A key, the name of a state cell, the id of a document, a collection of vectors or one and, behind a <c>/</c>, the
/// key of a vector in it, <c>#</c> and the number of an event, the id of a trace, of a concept or of a run; of an association its ends
/// and its type as an array of texts in JSON, such as <c>["ada","knows","$kv/bob"]</c>: an end is the id of a concept, or another
/// address behind a <c>$</c>.</param>
public readonly record struct ItemAddress(string Primitive, string Key)
{
    internal const string GraphPrimitive = "graph", AssociationsPrimitive = "associations";

    /// <summary>A key-value.</summary>
    public static ItemAddress OfKey(string key) => new("kv", key);

    /// <summary>A document.</summary>
    public static ItemAddress OfDocument(string id) => new("json", id);

    /// <summary>A collection of vectors.</summary>
    public static ItemAddress OfCollection(string name) => new("vectors", name);

    /// <summary>A vector in a collection. Names of collections have no <c>/</c>.</summary>
    public static ItemAddress OfVector(string collection, string key) => new("vectors", $"{collection}/{key}");

    /// <summary>A state cell.</summary>
    public static ItemAddress OfCell(string name) => new("state", name);

    /// <summary>An event.</summary>
    public static ItemAddress OfEvent(EventNumber number) => new("events", number.ToString());

    /// <summary>A step of an agent.</summary>
    public static ItemAddress OfTrace(TraceId id) => new("traces", id.ToString());

    /// <summary>A concept.</summary>
    public static ItemAddress OfConcept(string id) => new(GraphPrimitive, id);

    /// <summary>An association between two things of a run. Nothing is looked at.</summary>
    public static ItemAddress OfAssociation(ItemAddress source, string type, ItemAddress target) =>
        new(AssociationsPrimitive, Value.Array(End(source), type, End(target)).ToJson());

    private static Value End(ItemAddress end) => end.Primitive == GraphPrimitive ? end.Key : "$" + end;

    /// <summary>The record of a run: name, status, tags, metadata.</summary>
    public static ItemAddress OfRun(RunId id) => new("runs", id.ToString());

    /// <summary>Parses the text form.</summary>
    /// <returns>False when <paramref name="text"/> is not one; that is an answer, not an error. The key is not looked at.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out ItemAddress address)
    {
        address = default;
        if (text?.IndexOf('/', StringComparison.Ordinal) is not (> 0 and var slash)
            || text[..slash] is not ("kv" or "state" or "json" or "vectors" or "events" or "traces" or GraphPrimitive
                or AssociationsPrimitive or "runs"
                or "idempotency"))
        {
            return false;
        }

        address = new ItemAddress(text[..slash], text[(slash + 1)..]);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Primitive}/{Key}";
}
