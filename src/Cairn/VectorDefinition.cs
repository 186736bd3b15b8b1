namespace Cairn;

/// <summary>How alike two vectors are. Higher is better in each.</summary>
public enum VectorMetric
{
    /// <summary>The cosine of the angle between them, from -1 to 1. A vector without length has none, and is refused.</summary>
    Cosine = 0,

    /// <summary>1 / (1 + distance), with the Euclidean distance: from above 0 to 1, which are equal vectors.</summary>
    Euclidean = 1,

    /// <summary>The sum of the products of their elements, as it is.</summary>
    Dot = 2,
}

/// <summary>What is stored of each element of a vector, and what scores are computed from. Rounded to the nearest, ties to even.</summary>
public enum VectorElement
{
    /// <summary>IEEE 754 binary32: as given. Four bytes.</summary>
    F32 = 0,

    /// <summary>IEEE 754 binary16: eleven bits, up to 65,504. Two bytes.</summary>
    F16 = 1,

    /// <summary>A whole number from -127 to 127, times the largest magnitude of the vector / 127. One byte, and four for each
    /// vector.</summary>
    I8 = 2,
}

/// <summary>How a collection is searched.</summary>
public enum VectorIndexKind
{
    /// <summary>The engine chooses. Today that is <see cref="Flat"/>.</summary>
    Auto = 0,

    /// <summary>Every vector is looked at: exact.</summary>
    Flat = 1,

    /// <summary>A navigable graph (Malkov and Yashunin, 2018). Not built yet: a collection that asks for it is refused.</summary>
    Hnsw = 2,
}

/// <summary>What a collection of vectors is. Nothing of it changes once the collection is made.</summary>
public sealed record VectorDefinition
{
    /// <summary>Elements of each vector: 1 to <see cref="Limits.VectorDimensionMax"/>.</summary>
    public required int Dimension { get; init; }

    /// <summary>How scores are computed. Default <see cref="VectorMetric.Cosine"/>.</summary>
    public VectorMetric Metric { get; init; } = VectorMetric.Cosine;

    /// <summary>What is stored of each element. Default <see cref="VectorElement.F32"/>.</summary>
    public VectorElement Element { get; init; } = VectorElement.F32;

    /// <summary>The embedding model that the vectors come from, by a name of your own; writes and queries that name another one are
    /// refused with <see cref="ErrorCode.ModelMismatch"/>. Null (the default) = none is known. A name as runs have them.</summary>
    public string? Model { get; init; }

    /// <summary>How the collection is searched. Default <see cref="VectorIndexKind.Auto"/>.</summary>
    public VectorIndexKind Index { get; init; } = VectorIndexKind.Auto;
}

/// <summary>Number of a vector in its collection, given when its key is first written; the first is 1. Writing the key again keeps it;
/// after a deletion it is never given again.</summary>
public readonly record struct VectorId(ulong Value)
{
    /// <summary>The number.</summary>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>A collection as a read found it.</summary>
public sealed record VectorCollectionInfo
{
    internal VectorCollectionInfo()
    {
    }

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>What it is.</summary>
    public required VectorDefinition Definition { get; init; }

    /// <summary>Vectors in it.</summary>
    public required long Count { get; init; }

    /// <summary>Bytes that their embeddings take, as they are stored.</summary>
    public required long Bytes { get; init; }

    /// <summary>Sequence of the commit that made it; <see cref="Sequence.None"/> inside the transaction that does.</summary>
    public required Sequence Version { get; init; }
}
