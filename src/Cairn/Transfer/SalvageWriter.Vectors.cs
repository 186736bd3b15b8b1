using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Vectors;

namespace Cairn.Transfer;

// Vectors. An operation has all that it writes, and the id that it was given; what it rests on is that its collection is there, and of
// metadata that the vector is. An id that is another's by now is left to the commit (VectorBody.WishesIdFlag).
internal sealed partial class SalvageWriter
{
    private readonly Dictionary<string, byte[]> _heads = new(StringComparer.Ordinal);       // metadata by row, of the tables' run at hand

    private bool TryChangeVectors(PartOf target, in Operation operation)
    {
        if (!VectorBody.TryRead(operation, out var body))
            return false;
        var isMade = target.Has(StoreKeys.VectorCollection, body.Name);
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.VectorCreate:
                if (!target.IsNoted(StoreKeys.VectorNumbers, body.Name) && ConfigurationOf(target, body.Name) is { } there
                    && !body.Configuration.SequenceEqual(there))
                {
                    Lose(target.Id, $"the deletion of the collection '{Utf8.GetTrustedString(body.Name)}', which is made anew");
                    VectorOperations.Add(target.Open(), OperationCode.VectorDrop, body.Name, 0, 0);
                }

                Carry(target, operation);
                target.Note(StoreKeys.VectorCollection, body.Name);
                return true;
            case OperationCode.VectorDrop:
                if (isMade)
                    Carry(target, operation);
                target.Note(StoreKeys.VectorNumbers, body.Name);     // it has gone, in this part
                return true;
            case OperationCode.VectorUpsert:
                return TryUpsert(target, operation, body, isMade);
            default:
                var head = VectorKeys.Head(new byte[VectorKeys.BytesMax], body.Name, operation.Key)[1..];
                if (!isMade || !target.Has(StoreKeys.VectorHead, head))
                    return operation.Code == (byte)OperationCode.VectorDelete;      // it was made in what was lost
                Carry(target, operation);
                return true;
        }
    }

    private bool TryUpsert(PartOf target, in Operation operation, VectorBody body, bool isMade)
    {
        if (!isMade)
        {
            Lose(
                target.Id,
                $"the beginning of the collection '{Utf8.GetTrustedString(body.Name)}': it is taken to be one by cosine, without a model");
            Make(target, body.Name, VectorConfiguration.Of(
                new VectorDefinition { Dimension = body.Dimension, Element = body.Element }, Limits.Hard));
        }
        else if (ConfigurationOf(target, body.Name) is { } bytes && VectorConfiguration.Read(bytes) is var there
            && (there.Element != body.Element || there.Dimension != body.Dimension)
            && !target.IsNoted(StoreKeys.VectorCollection, body.Name))
        {
            return false;
        }

        var lead = operation.FullBody.Length - operation.Body.Length;
        var whole = VectorOperations.Add(target.Open(), operation);
        VectorBody.WishForId(whole[lead..], Mutant.Is("vector-salvage-forgets-ids") ? 0 : body.Id);
        target.Note(StoreKeys.VectorHead, VectorKeys.Head(new byte[VectorKeys.BytesMax], body.Name, operation.Key)[1..]);
        return true;
    }

    private static byte[]? ConfigurationOf(PartOf target, ReadOnlySpan<byte> name) =>
        new Replay.StoredVectors(target.Run!.Store, ulong.MaxValue, long.MinValue).Configuration(name, out _);

    private static void Make(PartOf target, ReadOnlySpan<byte> name, byte[] configuration)
    {
        var made = VectorBody.Create(configuration);
        made.CopyTo(VectorOperations.Add(target.Open(), OperationCode.VectorCreate, name, made.Length, 0));
        target.Note(StoreKeys.VectorCollection, name);
    }

    private static void Carry(PartOf target, in Operation operation) => VectorOperations.Add(target.Open(), operation);

    // ---- from tables ------------------------------------------------------------------------------------------------------------

    // Heads come before rows: their metadata waits for the embeddings.
    private bool TryCarryVector(PartOf target, ReadOnlySpan<byte> storeKey, long expiry, ReadOnlySpan<byte> value)
    {
        switch (storeKey[0])
        {
            case StoreKeys.VectorCollection:
                if (!VectorConfiguration.TryRead(value, out _))
                    return false;
                Make(target, storeKey[1..], value.ToArray());
                Flush();
                return true;
            case StoreKeys.VectorHead:
                if (value.Length < VectorKeys.IdBytes)
                    return false;
                _heads[RowName(VectorKeys.NameIn(storeKey), VectorOperations.IdOf(value))] =
                    VectorOperations.MetadataOf(value).ToArray();
                return true;
            default:
                return TryCarryRow(target, storeKey, expiry, value);
        }
    }

    private bool TryCarryRow(PartOf target, ReadOnlySpan<byte> storeKey, long expiry, ReadOnlySpan<byte> value)
    {
        var name = VectorKeys.NameIn(storeKey);
        if (storeKey.Length != 2 + name.Length + VectorKeys.IdBytes || ConfigurationOf(target, name) is not { } bytes)
            return false;
        var configuration = VectorConfiguration.Read(bytes);
        var id = VectorKeys.IdIn(storeKey);
        if (value.Length <= configuration.EmbeddingBytes
            || !StoredForm.IsFinite(configuration.Element, value[..configuration.EmbeddingBytes]))
            return false;
        if (!_heads.Remove(RowName(name, id), out var metadata))
        {
            Lose(target.Id, $"the metadata of vectors in '{Utf8.GetTrustedString(name)}'");
            metadata = [];
        }

        var key = value[configuration.EmbeddingBytes..];
        var body = VectorOperations.Add(
            target.Open(), OperationCode.VectorUpsert, key,
            VectorBody.UpsertBytes(name.Length, configuration.EmbeddingBytes, metadata.Length), expiry);
        var rest = VectorBody.WriteUpsert(body, name, configuration.Element, configuration.Dimension, id);
        value[..configuration.EmbeddingBytes].CopyTo(rest);
        metadata.CopyTo(rest[configuration.EmbeddingBytes..]);
        return true;
    }

    private static string RowName(ReadOnlySpan<byte> name, ulong id) => $"{Utf8.GetTrustedString(name)}/{id}";
}
