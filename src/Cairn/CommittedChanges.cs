using System.Globalization;

namespace Cairn;

/// <summary>One commit as a feed gives it: of its operations those that pass the filter, in order.</summary>
public sealed record CommittedChanges
{
    internal CommittedChanges()
    {
    }

    /// <summary>Its place in the order of commits.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Commit time, to the microsecond.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>Who and what caused it; <see cref="CommitAttributes.None"/> when that was not told.</summary>
    public required CommitAttributes Attributes { get; init; }

    /// <summary>What was changed. Empty only where <see cref="ChangeOptions.TellsProgress"/> asked for it.</summary>
    public required IReadOnlyList<Change> Changes { get; init; }

    /// <summary>Opaque text: from here on the feed goes on behind this commit. Good for as long as what lies behind it is kept, also after
    /// the database was closed, and for feeds with another filter or of one run too.</summary>
    public required string Cursor { get; init; }
}

/// <summary>One operation of a commit.</summary>
public sealed record Change
{
    internal Change()
    {
    }

    /// <summary>The run that it changed.</summary>
    public required RunId Run { get; init; }

    /// <summary><c>kv</c>, <c>json</c>, <c>vectors</c>, <c>events</c>, <c>state</c>, <c>traces</c>, <c>runs</c>; of the engine's
    /// bookkeeping <c>idempotency</c>, <c>subscriptions</c>, <c>triggers</c>.</summary>
    public required string Primitive { get; init; }

    /// <summary>Primitive and operation, such as <c>kv.put</c> or <c>event.append</c>.</summary>
    public required string Operation { get; init; }

    /// <summary>What the primitive calls the thing: a key, the id of a document, the name of a state cell, <c>#</c> and the number of an
    /// event, the id of a trace or run.</summary>
    public required string Key { get; init; }

    /// <summary>The collection of vectors that the operation is on; null for other primitives. <see cref="Key"/> is the vector's then, and
    /// empty when the collection itself was made or deleted.</summary>
    public string? Collection { get; init; }

    /// <summary>Names the thing in its run.</summary>
    public ItemAddress Item => Collection is null ? new(Primitive, Key)
        : Key.Length == 0 ? ItemAddress.OfCollection(Collection) : ItemAddress.OfVector(Collection, Key);

    /// <summary>The stable address: <c>cairn://run/primitive/collection/key</c>, percent-encoded; vectors alone have collections.</summary>
    public string Address => $"cairn://{Run}/{Primitive}/{Uri.EscapeDataString(Collection ?? "")}/{Uri.EscapeDataString(Key)}";

    /// <summary>The version that it wrote: the sequence of its commit.</summary>
    public required Sequence Version { get; init; }

    /// <summary>Number of an appended event; null otherwise.</summary>
    public EventNumber? Number { get; init; }

    /// <summary>Counter of a state cell after a write; null otherwise.</summary>
    public Counter? Counter { get; init; }

    /// <summary>Place in the document that an operation was given; null for operations on a whole document and its patches, and for all
    /// else.</summary>
    public DocumentPath? Path { get; init; }

    /// <summary>What an operation on a document was given: the value, the patch, the text or the elements to append, what an increment
    /// adds; of an insertion an Object of <c>index</c> and <c>values</c>, of a removal of <c>index</c> and <c>count</c>.</summary>
    public ChangedValue Given { get; init; }

    /// <summary>Type of an event, kind of a trace; null otherwise.</summary>
    public string? Type { get; init; }

    /// <summary>Tags of a recorded trace.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>When what it wrote expires; null for never.</summary>
    public DateTimeOffset? Expiry { get; init; }

    /// <summary>The value after it: of a key, a cell, the payload of an event, a trace, what a run's record was changed by; of a
    /// vector embedding and metadata, or the metadata that was set, of a collection that is made its definition. Of a document, what stands
    /// at <see cref="Path"/> when the operation alone tells it: created, put, set, incremented, deleted.</summary>
    public ChangedValue After { get; init; }

    /// <summary>The value of a key or cell before the commit.</summary>
    public ChangedValue Before { get; init; }
}

/// <summary>What is known of a value.</summary>
public enum ChangedValueState
{
    /// <summary>It was not asked for, or there is no such thing for this operation.</summary>
    NotAsked = 0,

    /// <summary>There was none: never written, deleted, or expired by the time of the commit.</summary>
    Absent = 1,

    /// <summary>It is there.</summary>
    Present = 2,

    /// <summary>The operation left it as it was: it changed the expiry alone.</summary>
    Unchanged = 3,

    /// <summary>It is no longer kept.</summary>
    Trimmed = 4,

    /// <summary>It is longer than <see cref="ChangeOptions.ValueBytesMax"/>, or lies more than 10,000 commits of its run
    /// back.</summary>
    NotRead = 5,
}

/// <summary>A value before or after a change.</summary>
/// <param name="State">Whether there is one.</param>
/// <param name="Value">The value when it is <see cref="ChangedValueState.Present"/>; Null otherwise.</param>
public readonly record struct ChangedValue(ChangedValueState State, Value Value)
{
    internal static ChangedValue Of(in Value value) => new(ChangedValueState.Present, value);

    internal static ChangedValue Only(ChangedValueState state) => new(state, Value.Null);

    /// <inheritdoc/>
    public override string ToString() =>
        State == ChangedValueState.Present ? Value.ToString() : State.ToString().ToLower(CultureInfo.InvariantCulture);
}
