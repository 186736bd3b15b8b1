using Cairn.Primitives;
using Cairn.Store;
using Cairn.Vectors;

namespace Cairn.Replay;

/// <summary>A vector as one side of a comparison has it, copied: nobody stays in the epoch while others look at it.</summary>
internal sealed record VectorSide(
    ulong Id, byte[] Configuration, byte[] Embedding, byte[] Metadata, ulong Sequence, long Time, long Expiry)
{
    internal VectorElement Element => VectorConfiguration.Read(Configuration).Element;

    internal int Dimension => VectorConfiguration.Read(Configuration).Dimension;

    /// <summary>The same embedding, in the same form.</summary>
    internal bool HasEmbeddingOf(VectorSide other) => HasFormOf(other.Configuration) && Embedding.AsSpan().SequenceEqual(other.Embedding);

    internal bool HasMetadataOf(VectorSide other) => Metadata.AsSpan().SequenceEqual(other.Metadata);

    internal bool HasFormOf(byte[] configuration) =>
        Element == VectorConfiguration.Read(configuration).Element && Dimension == VectorConfiguration.Read(configuration).Dimension;

    internal static bool IsSame(VectorSide? one, VectorSide? other) =>
        one is null || other is null ? one is null && other is null : one.HasEmbeddingOf(other) && one.HasMetadataOf(other);

    internal DiffVersion ToVersion() => Of(VectorValues.Of(Element, Dimension, Embedding, Metadata));

    /// <summary>A part of it: version and time are the vector's.</summary>
    internal DiffVersion Of(Value part) => new(part, new Sequence(Sequence), CommitClock.Time(Time))
    {
        Expiry = Expiry == 0 ? null : CommitClock.Time(Expiry),
    };
}

/// <summary>Collections and vectors of one side of a comparison, at a sequence that the caller has pinned.</summary>
/// <param name="time">At which expiry is judged.</param>
internal sealed class StoredVectors(RunStore store, ulong sequence, long time)
{
    private const int KeysPerPiece = 512;

    /// <summary>What a collection is; null = there is none.</summary>
    internal byte[]? Configuration(ReadOnlySpan<byte> name, out DiffVersion? version)
    {
        version = null;
        using var reader = store.Read();
        var key = VectorKeys.Collection(new byte[VectorKeys.BytesMax], name);
        if (!reader.TryGet(key, sequence, out var found) || found.IsTombstone)
            return null;
        version = new DiffVersion(
            VectorValues.Of(VectorConfiguration.Read(found.Value)), new Sequence(found.Sequence), CommitClock.Time(found.Time));
        return found.Value.ToArray();
    }

    /// <param name="head">The store key of the vector's head.</param>
    internal VectorSide? Read(byte[] head, byte[]? configuration)
    {
        if (configuration is null)
            return null;
        using var reader = store.Read();
        if (!reader.TryGet(head, sequence, out var found) || !found.IsLiveAt(time))
            return null;
        var row = VectorKeys.Row(new byte[VectorKeys.BytesMax], VectorKeys.NameIn(head), VectorOperations.IdOf(found.Value));
        var isThere = reader.TryGet(row, sequence, out var stored) && !stored.IsTombstone;
        Invariant.Check(isThere, "a head has its row (V1)");
        return new VectorSide(
            VectorOperations.IdOf(found.Value), configuration,
            stored.Value[..VectorConfiguration.Read(configuration).EmbeddingBytes].ToArray(),
            VectorOperations.MetadataOf(found.Value).ToArray(), found.Sequence, found.Time, found.Expiry);
    }

    /// <summary>The id that the next new key of a collection gets.</summary>
    internal ulong NextId(ReadOnlySpan<byte> name)
    {
        using var reader = store.Read();
        var key = VectorKeys.Numbers(new byte[VectorKeys.BytesMax], name);
        var isThere = reader.TryGet(key, sequence, out var numbers) && !numbers.IsTombstone;
        Invariant.Check(isThere, "a collection has its numbers");
        return VectorOperations.ReadNumbers(numbers.Value).Next;
    }

    /// <summary>Sequence of the version that the side has of a key; 0 = none that lives.</summary>
    internal ulong VersionOf(byte[] head)
    {
        using var reader = store.Read();
        return reader.TryGet(head, sequence, out var found) && found.IsLiveAt(time) ? found.Sequence : 0;
    }

    /// <summary>Names of the collections, in order.</summary>
    internal List<byte[]> Names()
    {
        var names = new List<byte[]>();
        using var reader = store.Read();
        var scan = reader.Scan([StoreKeys.VectorCollection], [StoreKeys.VectorCollection + 1], sequence);
        while (scan.MoveNext())
            names.Add(scan.Key[1..].ToArray());
        return names;
    }

    /// <summary>Store keys of the heads of a collection from one on, expired ones too, in order: the next few.</summary>
    /// <param name="from">Where to begin, and then to go on; empty = there are no more.</param>
    internal List<byte[]> Heads(byte[] name, ref byte[] from)
    {
        var heads = new List<byte[]>();
        using var reader = store.Read();
        var scan = reader.Scan(from, VectorKeys.End(StoreKeys.VectorHead, name), sequence);
        from = [];
        while (scan.MoveNext())
        {
            if (heads.Count == KeysPerPiece)
            {
                from = scan.Key.ToArray();
                break;
            }

            heads.Add(scan.Key.ToArray());
        }

        return heads;
    }
}
