using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Recovery;

/// <summary>What the vectors of a run have to be to each other (V1 to V3 of Primitives/VectorOperations.cs), read straight from its keys: a
/// configuration that can be read; a head for each row and a row for each head, of one id, one key and one expiry; rows as long as the
/// collection says; ids below the next one; as many as are counted; nothing of a collection that is not there. It names runs, collections
/// and rules, and never keys of vectors or values.</summary>
/// <param name="find">Is told what was found.</param>
internal sealed class VectorRules(RunState run, ulong sequence, Action<string> find, CancellationToken cancellationToken)
{
    internal void Check()
    {
        using var reader = run.Store.Read();
        var held = 0L;
        var collections = reader.Scan([StoreKeys.VectorCollection], [StoreKeys.VectorCollection + 1], sequence);
        var names = new List<byte[]>();
        while (collections.MoveNext())
        {
            var name = collections.Key[1..].ToArray();
            names.Add(name);
            if (Rule(reader, name, collections.Version, ref held) is { } rule)
                find($"the collection '{Utf8.GetTrustedString(name)}' {rule}.");
        }

        CheckStrays(reader, names);
        if (reader.Count(StoreKeys.VectorHead, sequence) is var count && count != held)
            find($"{held} vectors are there, and {count} are counted.");
    }

    private string? Rule(scoped in StoreReader reader, byte[] name, scoped in VersionView version, ref long held)
    {
        if (!VectorConfiguration.TryRead(version.Value, out var configuration))
            return "is none";
        var numbersKey = VectorKeys.Numbers(new byte[VectorKeys.BytesMax], name);
        if (!reader.TryGet(numbersKey, sequence, out var numbers) || numbers.IsTombstone
            || numbers.Value.Length != VectorKeys.NumbersBytes)
            return "has no numbers";
        var (next, count) = VectorOperations.ReadNumbers(numbers.Value);
        var buffer = new byte[VectorKeys.BytesMax];
        var rows = 0UL;
        var scan = reader.Scan(VectorKeys.Begin(StoreKeys.VectorRow, name), VectorKeys.End(StoreKeys.VectorRow, name), sequence);
        while (scan.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            rows++;
            var row = scan.Version;
            if (scan.Key.Length != 2 + name.Length + VectorKeys.IdBytes || row.ValueLength <= configuration.EmbeddingBytes)
                return "has a row of another length";
            var id = VectorKeys.IdIn(scan.Key);
            if (id == 0 || id >= next)
                return $"has the id {id}, and the next one is {next} (V2)";
            var key = VectorKeys.Head(buffer, name, row.Value[configuration.EmbeddingBytes..]);
            if (!reader.TryGet(key, sequence, out var head) || head.IsTombstone || VectorOperations.IdOf(head.Value) != id)
                return "has a row without a head (V1)";
            if (head.Expiry != row.Expiry || row.Sequence > head.Sequence)
                return "has a row that is not of its head's time (V1)";
        }

        var heads = 0UL;
        scan = reader.Scan(VectorKeys.Begin(StoreKeys.VectorHead, name), VectorKeys.End(StoreKeys.VectorHead, name), sequence);
        while (scan.MoveNext())
            heads++;
        held += (long)heads;
        return heads != rows ? "has heads without a row (V1)" : heads != count ? $"has {heads} vectors and counts {count} (V3)" : null;
    }

    private void CheckStrays(scoped in StoreReader reader, List<byte[]> names)
    {
        var known = new HashSet<byte[]>(names, ByteArrayComparer.Instance).GetAlternateLookup<ReadOnlySpan<byte>>();
        var scan = reader.Scan([StoreKeys.VectorHead], [StoreKeys.VectorNumbers + 1], sequence);
        while (scan.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (known.Contains(VectorKeys.NameIn(scan.Key)))
                continue;
            find("it has vectors of a collection that is not there.");
            return;
        }
    }
}
