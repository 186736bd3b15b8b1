namespace Cairn.Content;

/// <summary>
/// Contents that were read from the log, by position: as many bytes as the budget leaves. In shards, each with a lock that is held for a
/// look or an insertion and never while a file is read. Evicts by CLOCK (Corbató 1968): a hand passes over what was asked for again
/// since it came by, so a scan over everything drives out what scans brought in and not what is in use.
/// </summary>
internal sealed class ContentCache
{
    private const int ShardBits = 4;
    private const int Shards = 1 << ShardBits;            // chosen: more than threads that read contents at a time
    private const int EvictedAtOnce = 8;

    private readonly ContentStore _store;
    private readonly Shard[] _shards = new Shard[Shards];
    private long _bytes;
    private long _hits;
    private long _misses;
    private int _nextShard;

    internal ContentCache(ContentStore store)
    {
        _store = store;
        for (var i = 0; i < Shards; i++)
            _shards[i] = new Shard();
    }

    internal long Bytes => Volatile.Read(ref _bytes);

    internal long Hits => Volatile.Read(ref _hits);

    internal long Misses => Volatile.Read(ref _misses);

    /// <summary>C4.</summary>
    internal byte[] Get(in ContentReference reference, ulong sequence)
    {
        var shard = ShardOf(reference.Position);
        while (true)
        {
            var isMine = false;
            Item? item;
            lock (shard.Gate)
            {
                if (!shard.Items.TryGetValue(reference.Position, out item))
                {
                    shard.Items.Add(reference.Position, item = new Item(reference));
                    isMine = true;
                }

                item.IsTouched |= !isMine;
            }

            if (isMine)
                return Load(shard, item, sequence);
            if (item.Reference != reference)
            {
                // One of the two references is damaged: the log says which.
                Interlocked.Increment(ref _misses);
                return _store.ReadLog(reference, sequence);
            }

            if (item.Wait() is not { } bytes)
                continue;                                 // who read has failed: look again
            Interlocked.Increment(ref _hits);
            return bytes;
        }
    }

    /// <summary>What is kept. For who reads much once: it leaves no mark, keeps nothing, and waits for nobody.</summary>
    internal byte[]? TryGet(in ContentReference reference)
    {
        var shard = ShardOf(reference.Position);
        byte[]? bytes = null;
        lock (shard.Gate)
        {
            if (shard.Items.TryGetValue(reference.Position, out var item) && item.Reference == reference)
                bytes = item.Bytes;
        }

        Interlocked.Increment(ref bytes is null ? ref _misses : ref _hits);
        return bytes;
    }

    private byte[] Load(Shard shard, Item item, ulong sequence)
    {
        byte[]? bytes = null;
        try
        {
            Interlocked.Increment(ref _misses);
            Failpoint.Hit("content.marked-before-read");
            var read = _store.ReadLog(item.Reference, sequence);
            Failpoint.Hit("content.checked-before-kept");
            bytes = read;
            return read;
        }
        finally
        {
            // Whatever happened, nobody is left waiting. Nothing here allocates but the ring, whose failure costs the place in it.
            Settle(shard, item, bytes);
        }
    }

    private void Settle(Shard shard, Item item, byte[]? bytes)
    {
        var isKept = false;
        lock (shard.Gate)
        {
            if (bytes is not null && bytes.Length <= _store.CacheBudget && shard.TryKeep(item))
            {
                isKept = true;
                Interlocked.Add(ref _bytes, bytes.Length);
            }
            else
            {
                shard.Items.Remove(item.Reference.Position);
            }

            item.Settle(bytes);
        }

        if (isKept)
            Trim();
    }

    /// <summary>Evicts until the budget is kept: a few from each shard in turn, so that none pays for all.</summary>
    internal void Trim()
    {
        for (var idle = 0; idle < Shards && Bytes > _store.CacheBudget;)
        {
            var shard = _shards[(Interlocked.Increment(ref _nextShard) & int.MaxValue) % Shards];
            idle++;
            lock (shard.Gate)
            {
                for (var i = 0; i < EvictedAtOnce && Bytes > _store.CacheBudget && shard.EvictOne() is > 0 and var freed; i++)
                {
                    Interlocked.Add(ref _bytes, -freed);
                    idle = 0;
                }
            }
        }
    }

    // Positions of contents are far apart and often a multiple of something: mix before taking bits (Fibonacci hashing).
    private Shard ShardOf(ulong position) => _shards[(int)((position * 0x9E37_79B9_7F4A_7C15) >> (64 - ShardBits))];

    private sealed class Shard
    {
        internal Lock Gate { get; } = new();

        internal Dictionary<ulong, Item> Items { get; } = [];

        internal List<Item> Ring { get; } = [];

        private int _hand;

        internal bool TryKeep(Item item)
        {
            try
            {
                Ring.Add(item);
                return true;
            }
            catch (OutOfMemoryException)
            {
                return false;
            }
        }

        /// <summary>Bytes that went; 0 = there is nothing.</summary>
        internal int EvictOne()
        {
            while (Ring.Count > 0)
            {
                if (_hand >= Ring.Count)
                    _hand = 0;
                var item = Ring[_hand];
                if (item.IsTouched)
                {
                    item.IsTouched = false;
                    _hand++;
                    continue;
                }

                Ring[_hand] = Ring[^1];
                Ring.RemoveAt(Ring.Count - 1);
                Items.Remove(item.Reference.Position);
                return item.Bytes!.Length;
            }

            return 0;
        }
    }

    /// <summary>One content: a mark while somebody reads it, then its bytes.</summary>
    private sealed class Item(ContentReference reference)
    {
        private volatile bool _isSettled;

        internal ContentReference Reference { get; } = reference;

        /// <summary>Null before it is settled, and when reading has failed.</summary>
        internal byte[]? Bytes { get; private set; }

        /// <summary>Asked for since the hand came by. Under the shard's lock.</summary>
        internal bool IsTouched { get; set; }

        /// <param name="bytes">Null = reading has failed.</param>
        internal void Settle(byte[]? bytes)
        {
            lock (this)
            {
                Bytes = bytes;
                _isSettled = true;
                Monitor.PulseAll(this);
            }
        }

        /// <summary>The bytes, once they are there; null = whoever read has failed.</summary>
        internal byte[]? Wait()
        {
            if (_isSettled)
                return Bytes;
            Failpoint.Wait("content.wait-for-read");
            lock (this)
            {
                while (!_isSettled)
                    Monitor.Wait(this);
                return Bytes;
            }
        }
    }
}
