namespace Cairn.Tests.Checkers;

/// <summary>What is broken in a <see cref="ToyStore"/>.</summary>
internal enum ToyFault
{
    None,

    /// <summary>Commit compares nothing that was read.</summary>
    ReadValidationOff,

    /// <summary>Commit does not compare what it also writes.</summary>
    LostUpdate,

    /// <summary>Commit compares points and no ranges.</summary>
    Phantom,

    /// <summary>Absent keys are left out of the read set.</summary>
    DeletedKeysNotTracked,

    /// <summary>Now and then a snapshot is two commits old.</summary>
    StaleRead,

    /// <summary>The first key of a commit is visible a little before the others.</summary>
    TornCommit,

    /// <summary>Reads see the newest state instead of their snapshot, and nothing is compared.</summary>
    NoSnapshot,

    /// <summary>Writes are in place before the commit, and stay after a rollback.</summary>
    WriteThrough,

    /// <summary>Own writes are not seen by own scans.</summary>
    ScanMissesOwnWrites,

    /// <summary>A refused commit takes effect nevertheless.</summary>
    RefusedButDone,
}

/// <summary>The simplest correct transactional store: all versions of all keys under one lock, first committer wins. Correct at both
/// levels while <see cref="Fault"/> is None; each fault breaks one rule, so that a judge can be seen to catch it.</summary>
internal sealed class ToyStore(ToyFault fault = ToyFault.None) : ITransactionalStore
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, List<(ulong Sequence, string? Value)>> _versions = new(StringComparer.Ordinal);
    private readonly Queue<(int Due, string Key, ulong Sequence, string? Value)> _late = [];
    private ulong _last;
    private int _calls;

    internal ToyFault Fault { get; } = fault;

    public ITransactionHandle Begin(IsolationLevel level)
    {
        lock (_gate)
        {
            Tick();
            var at = Fault == ToyFault.StaleRead && _last > 2 && _calls % 3 == 0 ? _last - 2 : _last;
            return new Handle(this, level, at);
        }
    }

    private void Tick()
    {
        _calls++;
        while (_late.TryPeek(out var late) && late.Due <= _calls)
        {
            _late.Dequeue();
            Install(late.Key, late.Sequence, late.Value);
        }
    }

    private void Install(string key, ulong sequence, string? value)
    {
        if (!_versions.TryGetValue(key, out var chain))
            _versions[key] = chain = [];
        chain.Add((sequence, value));
        chain.Sort((a, b) => a.Sequence.CompareTo(b.Sequence));
    }

    private (ulong Sequence, string? Value) At(string key, ulong sequence) =>
        _versions.TryGetValue(key, out var chain) ? chain.FindLast(v => v.Sequence <= sequence) : default;

    private sealed class Handle(ToyStore store, IsolationLevel level, ulong at) : ITransactionHandle
    {
        private readonly HashSet<string> _reads = [];
        private readonly List<(string Low, string High)> _ranges = [];
        private readonly SortedDictionary<string, string?> _writes = new(StringComparer.Ordinal);
        private bool _isOver;

        public ulong? ReadAt => at;

        public string? Get(string key)
        {
            lock (store._gate)
            {
                store.Tick();
                if (_writes.TryGetValue(key, out var own))
                    return own;
                var value = store.At(key, Horizon).Value;
                if (value is not null || store.Fault != ToyFault.DeletedKeysNotTracked)
                    _reads.Add(key);
                return value;
            }
        }

        public void Put(string key, string value) => Write(key, value);

        public void Delete(string key) => Write(key, null);

        public IReadOnlyList<KeyValuePair<string, string>> Scan(string low, string high)
        {
            lock (store._gate)
            {
                store.Tick();
                _ranges.Add((low, high));
                var pairs = new SortedDictionary<string, string>(StringComparer.Ordinal);
                foreach (var key in store._versions.Keys.Where(k => Covers(low, high, k)))
                {
                    if (store.At(key, Horizon).Value is { } value)
                        pairs[key] = value;
                }

                foreach (var (key, value) in _writes.Where(w => Covers(low, high, w.Key) && store.Fault != ToyFault.ScanMissesOwnWrites))
                {
                    if (value is null)
                        pairs.Remove(key);
                    else
                        pairs[key] = value;
                }

                return [.. pairs];
            }
        }

        public ulong Commit()
        {
            lock (store._gate)
            {
                store.Tick();
                _isOver = true;
                if (_writes.Count == 0)
                    return 0;
                var isValid = IsValid();
                if (!isValid && store.Fault != ToyFault.RefusedButDone)
                    throw new RefusedException(ErrorCode.Conflict);
                var sequence = ++store._last;
                var isFirst = true;
                foreach (var (key, value) in _writes)
                {
                    if (store.Fault == ToyFault.TornCommit && !isFirst)
                        store._late.Enqueue((store._calls + 6, key, sequence, value));
                    else
                        store.Install(key, sequence, value);
                    isFirst = false;
                }

                return isValid ? sequence : throw new RefusedException(ErrorCode.Conflict);
            }
        }

        public void Rollback() => _isOver = true;

        public void Dispose() => _isOver = true;

        private ulong Horizon => store.Fault is ToyFault.NoSnapshot or ToyFault.WriteThrough ? ulong.MaxValue : at;

        private void Write(string key, string? value)
        {
            lock (store._gate)
            {
                store.Tick();
                ObjectDisposedException.ThrowIf(_isOver, this);
                _writes[key] = value;
                if (store.Fault == ToyFault.WriteThrough)
                    store.Install(key, store._last, value);
            }
        }

        private bool IsValid()
        {
            if (store.Fault is ToyFault.ReadValidationOff or ToyFault.NoSnapshot or ToyFault.WriteThrough)
                return true;
            bool IsRead(string key) => _reads.Contains(key)
                || (store.Fault != ToyFault.Phantom && _ranges.Exists(r => Covers(r.Low, r.High, key)));
            foreach (var (key, chain) in store._versions)
            {
                if (chain[^1].Sequence <= at || !IsRead(key))
                    continue;
                var isWritten = _writes.ContainsKey(key);
                if (level == IsolationLevel.Snapshot && !isWritten)
                    continue;
                if (store.Fault == ToyFault.LostUpdate && isWritten)
                    continue;
                return false;
            }

            return true;
        }

        private static bool Covers(string low, string high, string key) =>
            string.CompareOrdinal(low, key) <= 0 && string.CompareOrdinal(key, high) < 0;
    }
}
