using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// What a transaction has written to one run and not committed: at most one write per key, in the order the keys were first
/// written, so that a later write of a key replaces or joins the earlier one; and appends, which have no key. Reads of the
/// transaction look here first (TX-5).
/// </summary>
internal sealed class PendingWrites(PendingSize size)
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

    /// <summary>Before a write of a key takes memory: whether the transaction may hold it, instead of what it has for that key.</summary>
    /// <exception cref="LimitException">LIM-16, LIM-17. Nothing has changed.</exception>
    internal void CheckRoom(ReadOnlySpan<byte> storeKey, int valueBytes)
    {
        if (Find(storeKey) is { } write)
            size.Check(0, (long)valueBytes - write.Value.Length);
        else
            size.Check(1, storeKey.Length + (long)valueBytes);
    }

    /// <summary>The same for several operations that come together.</summary>
    internal void CheckRoom(int operations, long bytes) => size.Check(operations, bytes);

    /// <summary>Adds a write; one for the same key must not be there yet.</summary>
    /// <exception cref="LimitException">LIM-16, LIM-17. Nothing has changed.</exception>
    internal void Add(PendingWrite write)
    {
        if (write.Code != 0)
        {
            var bytes = write.OperationKey.Length + (long)write.Value.Length;
            size.Check(1, bytes);
            size.Operations++;
            size.Bytes += bytes;
        }

        write.Size = size;
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

/// <summary>
/// How much a transaction has pending, over all its runs. Looked at before anything is kept, so that what could never be committed takes no
/// memory (LIM-41). Keys and values alone: the record is a little larger, and the commit measures that.
/// </summary>
internal sealed class PendingSize(Limits limits)
{
    internal int Operations { get; set; }

    internal long Bytes { get; set; }

    internal void Check(int moreOperations, long moreBytes)
    {
        if (Operations + moreOperations > limits.TransactionOperationsMax)
        {
            throw new LimitException(
                nameof(Limits.TransactionOperationsMax), limits.TransactionOperationsMax, Operations + moreOperations, "operations");
        }

        if (Bytes + moreBytes > limits.TransactionBytesMax)
            throw new LimitException(nameof(Limits.TransactionBytesMax), limits.TransactionBytesMax, Bytes + moreBytes, "bytes");
    }
}

/// <summary>One pending write. What the fields mean is the primitive's affair, but for those that reads need.</summary>
internal sealed class PendingWrite
{
    private byte[] _value = [];

    /// <summary>Empty for what has no key of its own (event appends, run operations).</summary>
    internal required byte[] StoreKey { get; init; }

    /// <summary>The operation that is logged; 0 = nothing is, the write follows from another operation (an order of traces).</summary>
    internal required OperationCode Code { get; set; }

    /// <summary>Key inside the operation.</summary>
    internal required byte[] OperationKey { get; init; }

    /// <summary>The bytes a read of the key gives; also the operation's payload.</summary>
    internal byte[] Value
    {
        get => _value;
        set
        {
            if (Size is { } size && Code != 0)
                size.Bytes += value.Length - _value.Length;
            _value = value;
        }
    }

    /// <summary>Of the transaction that holds this; null as long as none does.</summary>
    internal PendingSize? Size { get; set; }

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
