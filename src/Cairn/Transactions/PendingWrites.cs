using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// What a transaction has written to one run and not committed: at most one write per key, in the order the keys were first
/// written, so that a later write of a key replaces or joins the earlier one; and appends, which have no key. Reads of the
/// transaction look here first (TX-5).
/// </summary>
internal sealed class PendingWrites
{
    private readonly Dictionary<byte[], PendingWrite> _byKey = new(ByteArrayComparer.Instance);
    private SortedSet<byte[]>? _order;

    /// <summary>In the order in which they are encoded.</summary>
    internal List<PendingWrite> InOrder { get; } = [];

    /// <summary>The events appended so far: the first is number "committed count" as the transaction sees it, and so on.</summary>
    internal List<PendingWrite> Appends { get; } = [];

    internal int Count => InOrder.Count;

    internal PendingWrite? Find(ReadOnlySpan<byte> storeKey) =>
        _byKey.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(storeKey, out var write) ? write : null;

    /// <summary>Adds a write; one for the same key must not be there yet.</summary>
    internal void Add(PendingWrite write)
    {
        InOrder.Add(write);
        if (write.Code == OperationCode.EventAppend)
            Appends.Add(write);
        if (write.StoreKey.Length == 0)
            return;
        _byKey.Add(write.StoreKey, write);
        _order?.Add(write.StoreKey);
    }

    /// <summary>Pending writes with a key in [from, to), in key order or reversed. An empty <paramref name="to"/> has no upper bound.</summary>
    internal IEnumerable<PendingWrite> Range(byte[] from, byte[] to, bool reverse)
    {
        if (_byKey.Count == 0)
            return [];
        _order ??= new SortedSet<byte[]>(_byKey.Keys, ByteArrayComparer.Instance);
        var last = to.Length == 0 ? _order.Max! : to;
        if (from.AsSpan().SequenceCompareTo(last) > 0)
            return [];
        var view = _order.GetViewBetween(from, last);
        var keys = reverse ? view.Reverse() : view;
        return keys.Where(key => to.Length == 0 || key.AsSpan().SequenceCompareTo(to) < 0).Select(key => _byKey[key]);
    }
}

/// <summary>One pending write. What the fields mean is the primitive's affair, but for those that reads need.</summary>
internal sealed class PendingWrite
{
    /// <summary>Empty for what has no key of its own (event appends, run operations).</summary>
    internal required byte[] StoreKey { get; init; }

    /// <summary>The operation that is logged; 0 = nothing is, the write follows from another operation (an order of traces).</summary>
    internal required OperationCode Code { get; set; }

    /// <summary>Key inside the operation.</summary>
    internal required byte[] OperationKey { get; init; }

    /// <summary>The bytes a read of the key gives; also the operation's payload.</summary>
    internal byte[] Value { get; set; } = [];

    internal bool IsDelete { get; set; }

    /// <summary>Absolute expiry; 0 = never. Inside the transaction nothing expires (TTL-7).</summary>
    internal long Expiry { get; set; }

    /// <summary>A time to live that becomes absolute at commit: commit time + this, in microseconds; 0 = none.</summary>
    internal long TimeToLive { get; set; }

    /// <summary>Kv: the value is what was committed plus <see cref="Delta"/>. State: the counter is what was committed plus <see cref="Steps"/>.</summary>
    internal bool IsRelative { get; set; }

    internal long Delta { get; set; }

    internal uint Steps { get; set; }

    /// <summary>Told when the commit has a place.</summary>
    internal Receipt? Receipt { get; set; }
}

/// <summary>What a caller keeps of an operation whose numbers come with the commit.</summary>
internal abstract class Receipt
{
    /// <summary>Called once, with the operation as it was logged: its holes are filled.</summary>
    internal abstract void Committed(in Operation operation, ulong sequence, long time);
}
