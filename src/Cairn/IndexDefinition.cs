namespace Cairn;

/// <summary>What the things are that an index is over.</summary>
public enum IndexTarget
{
    /// <summary>Traces: type, time, parent, tags, metadata and the step; see <see cref="TracesView.Query"/>.</summary>
    Traces = 0,

    /// <summary>Documents (<see cref="Run.Json"/>): what stands at places of them; see
    /// <see cref="JsonView.Query(Filter, QueryOptions)"/>.</summary>
    Documents = 1,

    /// <summary>Events: number, type, time and what is in the payload; see <see cref="EventsView.Query"/>.</summary>
    Events = 2,
}

/// <summary>What an index is over, and which places in it.</summary>
public sealed record IndexDefinition
{
    /// <summary>Most paths of one index. Fixed: 4 (IDX-4).</summary>
    public const int PathsMax = 4;

    /// <summary>What the things are.</summary>
    public required IndexTarget Target { get; init; }

    /// <summary>The places whose values are kept in order, 1 to <see cref="PathsMax"/>; a thing is found by those from the first on.
    /// Numbers are kept by their exact values, after Bool and before String and Bytes. Of an Array each distinct element is kept too;
    /// what an Object holds is not.</summary>
    public required IReadOnlyList<DocumentPath> Paths { get; init; }

    /// <summary>Of documents alone: no two of a run may have the same values at all the paths, and of an Array there each element counts,
    /// against those of other Arrays. It is checked where a commit ends, under the run's lock; one that would break it is refused with
    /// <see cref="ErrorCode.ConstraintViolation"/>, which names the document that has the value. A document with nothing at one of the
    /// paths, or an Array's Array or an Object, is nobody's rival. Such an index is built by the commit that defines it, which other
    /// writers of the run wait for.</summary>
    public bool IsUnique { get; init; }
}

/// <summary>How far an index is.</summary>
public enum IndexState
{
    /// <summary>Its items are being made, in the background. Queries do without it.</summary>
    Building = 0,

    /// <summary>All things are in it; queries use it.</summary>
    Ready = 1,
}

/// <summary>An index as it is.</summary>
public sealed record IndexInfo
{
    internal IndexInfo()
    {
    }

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>What it is over.</summary>
    public required IndexDefinition Definition { get; init; }

    /// <summary>How far it is.</summary>
    public required IndexState State { get; init; }

    /// <summary>Items in it: one per thing with a value at the first path, and one per distinct element of an Array. They are counted
    /// for the answer, at a cost that grows with them.</summary>
    public required long Items { get; init; }

    /// <summary>Bytes of the items' keys; memory and tables have some 64 bytes more for each.</summary>
    public required long Bytes { get; init; }

    /// <summary>An index that is ready has everything up to this commit, which is the one that was asked at; one that is being built has
    /// nothing that can be relied on, and says <see cref="Sequence.None"/>.</summary>
    public required Sequence Watermark { get; init; }
}
