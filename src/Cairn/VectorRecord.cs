using Cairn.Primitives;

namespace Cairn;

/// <summary>A vector as a read found it. Owned, valid for ever.</summary>
public sealed record VectorRecord
{
    internal VectorRecord()
    {
    }

    /// <summary>Its key in the collection.</summary>
    public required string Key { get; init; }

    /// <summary>Its number in the collection; null inside the transaction that makes it.</summary>
    public required VectorId? Id { get; init; }

    /// <summary>Its elements as they are stored: of <see cref="VectorElement.F32"/> as they were given.</summary>
    public required ReadOnlyMemory<float> Embedding { get; init; }

    /// <summary>An Object; null = it has none.</summary>
    public required Value? Metadata { get; init; }

    /// <summary>Sequence of the commit that wrote it. Inside a transaction, for the transaction's own write: the committed version
    /// beneath it, <see cref="Sequence.None"/> when there is none.</summary>
    public required Sequence Version { get; init; }

    /// <summary>Sequence of the commit that made it; <see cref="Sequence.None"/> in a history, which does not look so far back.</summary>
    public required Sequence Created { get; init; }

    /// <summary>Commit time of <see cref="Version"/>, to the microsecond.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>When it expires; null = never.</summary>
    public required DateTimeOffset? Expiry { get; init; }
}

/// <summary>A vector to be written.</summary>
/// <param name="Key">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
/// <param name="Embedding">As many elements as the collection's vectors have; all finite.</param>
/// <param name="Metadata">An Object; null = none.</param>
public readonly record struct VectorItem(string Key, ReadOnlyMemory<float> Embedding, Value? Metadata = null);

/// <summary>What the write of a vector has become. Outside a transaction it can be read at once; inside one, when that has
/// committed.</summary>
public readonly record struct VectorReceipt
{
    private readonly UpsertReceipt? _pending;
    private readonly VectorId _id;
    private readonly Sequence _version;

    internal VectorReceipt(ulong id, ulong version)
    {
        _id = new VectorId(id);
        _version = new Sequence(version);
    }

    internal VectorReceipt(UpsertReceipt pending) => _pending = pending;

    /// <summary>False as long as the transaction has not committed; the other properties throw then.</summary>
    public bool IsCommitted => _pending is null ? _version != Sequence.None : _pending.IsCommitted;

    /// <summary>The vector's number in its collection.</summary>
    /// <exception cref="InvalidOperationException">The transaction has not committed.</exception>
    public VectorId Id => _pending is null ? _id : _pending.Id;

    /// <summary>Its version: sequence of the commit.</summary>
    /// <inheritdoc cref="Id" path="/exception"/>
    public Sequence Version => _pending is null ? _version : _pending.Version;

    /// <summary>Number and version.</summary>
    public override string ToString() => IsCommitted ? $"{Id} {Version}" : "not committed";
}
