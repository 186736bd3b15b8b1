using System.Numerics;
using Cairn.Log;

namespace Cairn.Tables;

/// <summary>
/// Blocks that were read and found right, by table and offset, up to a budget. A block is a managed array that nobody changes: who has
/// one keeps it, evicted or not. Thread-safe; a hit takes no lock.
/// <code>
/// shard    chains of nodes by hash    a node is never changed but for its link and its count of uses, so readers walk without a lock;
///                                     one that comes while the chains are made anew may miss what is there, and reads the disk
///          two queues and a memory    S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, SOSP 2023): what is new waits in the small queue, a tenth;
///                                     what was asked for again meanwhile, or went out lately, goes to the main queue, which gives
///                                     another round for each use up to three. A scan passes through the small one only </code>
/// </summary>
internal sealed class BlockCache
{
    /// <summary>What a node, its array's header and its share of the chains take beside the block's bytes. Estimated.</summary>
    private const int NodeBytes = 128;

    private readonly Shard[] _shards;
    private readonly int _shift;
    private long _budget;

    /// <param name="budgetBytes">How many bytes of blocks it may keep; 0 = none.</param>
    internal BlockCache(long budgetBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(budgetBytes);
        var count = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(Environment.ProcessorCount, 2, 32));
        _shift = 32 - BitOperations.Log2((uint)count);
        _shards = new Shard[count];
        for (var i = 0; i < count; i++)
            _shards[i] = new Shard();
        BudgetBytes = budgetBytes;
    }

    /// <summary>Told of every block that a table of this cache has and that is not right. Must not wait or fail.</summary>
    internal Action<TableInfo, CorruptionException>? Damaged { get; set; }

    /// <summary>May be changed at any time; what is too much goes at once.</summary>
    internal long BudgetBytes
    {
        get => Interlocked.Read(ref _budget);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            Interlocked.Exchange(ref _budget, value);
            foreach (var shard in _shards)
                shard.SetBudget(value / _shards.Length);
        }
    }

    /// <summary>What is kept now, each block with what it takes beside its bytes.</summary>
    internal long Bytes => _shards.Sum(shard => shard.Bytes);

    /// <summary>How many blocks are kept.</summary>
    internal long Blocks => _shards.Sum(shard => shard.Blocks);

    /// <summary>Looks that found their block. Counted without a lock: about right.</summary>
    internal long Hits => _shards.Sum(shard => shard.Hits);

    /// <summary>Looks that did not, each a read.</summary>
    internal long Misses => _shards.Sum(shard => shard.Misses);

    /// <summary>Blocks that had to go for others.</summary>
    internal long Evictions => _shards.Sum(shard => shard.Evictions);

    internal byte[]? Find(uint table, long offset)
    {
        var hash = Hash(table, offset);
        return ShardOf(hash).Find(table, offset, hash);
    }

    /// <summary>Keeps a block, if it is not too large for the budget.</summary>
    internal void Add(uint table, long offset, byte[] block)
    {
        var hash = Hash(table, offset);
        ShardOf(hash).Add(new Node(table, offset, hash, block));
    }

    /// <summary>Drops the blocks of a table that is gone.</summary>
    internal void Forget(uint table)
    {
        foreach (var shard in _shards)
            shard.Forget(table);
    }

    private Shard ShardOf(uint hash) => _shards[hash >> _shift];

    private static uint Hash(uint table, long offset) =>
        (uint)(((ulong)offset + ((ulong)table << 40)) * 0x9E3779B97F4A7C15 >> 32);

    private sealed class Node(uint table, long offset, uint hash, byte[] block)
    {
        internal readonly uint Table = table;
        internal readonly uint Hash = hash;
        internal readonly long Offset = offset;
        internal readonly byte[] Block = block;
        internal volatile Node? Next;      // in its chain
        internal int Uses;                 // lately, 0 to 3; raced over, which loses a use at worst
        internal bool IsGone;              // under the lock: taken out of its chain, still in a queue

        internal long Bytes => Block.Length + NodeBytes;
    }

    private sealed class Shard
    {
        private readonly Lock _gate = new();
        private readonly Queue<Node> _small = new();
        private readonly Queue<Node> _main = new();
        private volatile Node?[] _chains = new Node?[64];
        private uint[] _lately = new uint[64];      // hashes of what left the small queue unused; newer ones overwrite
        private long _smallBytes, _mainBytes, _budget, _count;
        private long _hits, _misses, _evictions;

        internal long Bytes => Interlocked.Read(ref _smallBytes) + Interlocked.Read(ref _mainBytes);

        internal long Blocks => Interlocked.Read(ref _count);

        internal long Hits => Volatile.Read(ref _hits);

        internal long Misses => Volatile.Read(ref _misses);

        internal long Evictions => Volatile.Read(ref _evictions);

        internal byte[]? Find(uint table, long offset, uint hash)
        {
            var node = FindNode(table, offset, hash);
            if (node is null)
            {
                Interlocked.Increment(ref _misses);
                return null;
            }

            if (node.Uses < 3)
                node.Uses++;
            _hits++;
            return node.Block;
        }

        internal void Add(Node node)
        {
            lock (_gate)
            {
                if (node.Bytes > _budget / 2 || FindNode(node.Table, node.Offset, node.Hash) is not null)
                    return;
                if (_count >= _chains.Length)
                    MakeChainsAnew();
                ref var chain = ref _chains[node.Hash & (_chains.Length - 1)];
                node.Next = chain;
                Volatile.Write(ref chain, node);
                _count++;
                ref var lately = ref _lately[node.Hash & (_lately.Length - 1)];
                if (lately == node.Hash && lately != 0)
                {
                    lately = 0;
                    _main.Enqueue(node);
                    _mainBytes += node.Bytes;
                }
                else
                {
                    _small.Enqueue(node);
                    _smallBytes += node.Bytes;
                }

                Evict();
            }
        }

        internal void SetBudget(long budget)
        {
            lock (_gate)
            {
                _budget = budget;
                Evict();
            }
        }

        internal void Forget(uint table)
        {
            lock (_gate)
            {
                foreach (var queue in new[] { _small, _main })
                {
                    for (var left = queue.Count; left > 0; left--)
                    {
                        var node = queue.Dequeue();
                        if (node.Table != table)
                        {
                            queue.Enqueue(node);
                            continue;
                        }

                        (queue == _small ? ref _smallBytes : ref _mainBytes) -= node.Bytes;
                        Unlink(node);
                    }
                }
            }
        }

        private Node? FindNode(uint table, long offset, uint hash)
        {
            var chains = _chains;
            var node = Volatile.Read(ref chains[hash & (chains.Length - 1)]);
            while (node is not null && (node.Offset != offset || node.Table != table))
                node = node.Next;
            return node;
        }

        private void Evict()
        {
            while (_smallBytes + _mainBytes > _budget)
            {
                if (_small.Count > 0 && (_smallBytes > _budget / 10 || _main.Count == 0))
                {
                    var node = _small.Dequeue();
                    _smallBytes -= node.Bytes;
                    if (node.Uses > 1)
                    {
                        node.Uses = 0;
                        _main.Enqueue(node);
                        _mainBytes += node.Bytes;
                        continue;
                    }

                    _lately[node.Hash & (_lately.Length - 1)] = node.Hash;
                    Unlink(node);
                    _evictions++;
                    continue;
                }

                var old = _main.Dequeue();
                if (old.Uses > 0)
                {
                    old.Uses--;
                    _main.Enqueue(old);
                    continue;
                }

                _mainBytes -= old.Bytes;
                Unlink(old);
                _evictions++;
            }
        }

        // Who stands on the node goes on through its link.
        private void Unlink(Node node)
        {
            ref var chain = ref _chains[node.Hash & (_chains.Length - 1)];
            if (chain == node)
            {
                Volatile.Write(ref chain, node.Next);
            }
            else
            {
                var before = chain!;
                while (before.Next != node)
                    before = before.Next!;
                before.Next = node.Next;
            }

            _count--;
        }

        private void MakeChainsAnew()
        {
            var old = _chains;
            var chains = new Node?[2 * old.Length];
            foreach (var first in old)
            {
                for (var node = first; node is not null;)
                {
                    var next = node.Next;
                    ref var chain = ref chains[node.Hash & (chains.Length - 1)];
                    node.Next = chain;
                    chain = node;
                    node = next;
                }
            }

            _chains = chains;
            _lately = new uint[chains.Length];
        }
    }
}
