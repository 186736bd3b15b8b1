using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>The store keys of what two sides have written since a common point, as their records tell it: nothing else can differ between
/// them. Ascending. Expiry is the exception, which no commit writes: what was there at the common point and expires since is named by
/// nobody, and two sides that are judged at different times may differ in it. So such keys are added from the order of expiry.</summary>
internal sealed class ChangedKeys
{
    /// <summary>Chosen: beyond it, going through all keys of both sides is the cheaper way, and needs no memory.</summary>
    private const int KeysMax = 200_000;

    private readonly List<byte[]> _keys;

    private ChangedKeys(List<byte[]> keys) => _keys = keys;

    internal int Count => _keys.Count;

    /// <summary>Null when it cannot be told (no log, or records are no longer kept) or is too much.</summary>
    internal static ChangedKeys? Since(CommonPoint common, DiffEnd a, DiffEnd b)
    {
        var keys = new HashSet<byte[]>(ByteArrayComparer.Instance);
        if (!TryAdd(keys, common, a) || !TryAdd(keys, common, b) || !TryAddExpired(keys, a, b))
            return null;
        return new ChangedKeys([.. keys.Order(ByteArrayComparer.Instance)]);
    }

    /// <summary>What one side alone has written since a point of its line: nothing else of it is another than it was there, but for what
    /// expired. Null as above.</summary>
    internal static ChangedKeys? Since(CommonPoint point, DiffEnd end, MergeProgress progress)
    {
        var keys = new HashSet<byte[]>(ByteArrayComparer.Instance);
        return TryAdd(keys, point, end, progress) ? new ChangedKeys([.. keys.Order(ByteArrayComparer.Instance)]) : null;
    }

    /// <summary>Those of a family, in order.</summary>
    internal IEnumerable<byte[]> Of(byte family)
    {
        var first = _keys.BinarySearch([family], ByteArrayComparer.Instance);
        for (var i = first < 0 ? ~first : first; i < _keys.Count && _keys[i][0] == family; i++)
            yield return _keys[i];
    }

    private static bool TryAdd(HashSet<byte[]> keys, CommonPoint common, DiffEnd end, MergeProgress? progress = null)
    {
        using var chain = new DiffChain(end, common);
        var seen = keys.GetAlternateLookup<ReadOnlySpan<byte>>();
        Span<byte> buffer = stackalloc byte[OperationSet.ChangedBytesMax];
        while (chain.MoveNext(out var payload))
        {
            progress?.Advance();
            var transaction = new TransactionPayload(payload);
            while (transaction.MoveNext(out var part))
            {
                while (part.Run == chain.Run && part.MoveNext(out var operation))
                {
                    if (end.Operations.Find((OperationCode)operation.Code) is not { } set)
                        continue;
                    var key = set.Changed(operation, buffer);
                    if (key.IsEmpty)
                        continue;
                    seen.Add(key);
                    if (keys.Count > KeysMax)
                        return false;
                }
            }
        }

        return !chain.IsTrimmed;
    }

    private static bool TryAddExpired(HashSet<byte[]> keys, DiffEnd a, DiffEnd b)
    {
        var (from, to) = (Math.Min(a.Time, b.Time), Math.Max(a.Time, b.Time));
        return from == to || Mutant.Is("diff-passes-over-expiry") || (TryAddExpired(keys, a, from, to) && TryAddExpired(keys, b, from, to));
    }

    // What expires in (from, to]: live at the one time and not at the other.
    private static bool TryAddExpired(HashSet<byte[]> keys, DiffEnd end, long from, long to)
    {
        Span<byte> low = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> high = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        using var reader = end.Run.Store.Read();
        var scan = reader.Scan(StoreKeys.Expiry(low, from + 1, default), StoreKeys.Expiry(high, to + 1, default), end.Sequence);
        while (scan.MoveNext())
        {
            keys.Add(scan.Key[StoreKeys.ExpiryPrefixBytes..].ToArray());
            if (keys.Count > KeysMax)
                return false;
        }

        return true;
    }
}
