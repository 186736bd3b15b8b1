using System.Runtime.CompilerServices;
using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>
/// A running scan; borrowed memory as in <see cref="StoreReader"/>. Above an image it merges two streams in key order: the entries of
/// memory, leaf by leaf, and the image as it was at the scan's beginning. A key that memory has is memory's alone to answer for, also
/// when that says that it is not there (S8); what memory forgets before its leaf is read stands in the scan's image
/// (<see cref="Residency"/>).
/// </summary>
internal ref struct StoreScan
{
    private const int KeptKeysBytes = 4096;

    private readonly RunMemory _memory;
    private readonly ReadOnlySpan<byte> _from;
    private readonly ReadOnlySpan<byte> _to;
    private readonly ulong _sequence;
    private readonly bool _reverse;
    private readonly bool _withTombstones;
    private EntryBatch _batch;                            // entries of one leaf, read and checked together
    private int _next;
    private int _end;
    private nint _fence;                                  // bounds the part that is done
    private readonly Residency? _residency;
    private readonly ImageCursor? _below;                 // null: nothing but memory
    private int _mergedNext;
    private int _mergedEnd;
    private bool _isBelowDone;
    private bool _isGiven;                                // the caller has what the cursor stands on
    private Memory<byte> _keys;                           // room for keys of the image that are given out
    private readonly RunCursor? _forks;                   // does it all, where forks are involved

    internal StoreScan(RunMemory memory, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse, bool withTombstones)
    {
        Unsafe.SkipInit(out this);
        while (memory.Successor is { } successor)
            memory = successor;
        _memory = memory;
        _from = from;
        _to = to;
        _sequence = sequence;
        _reverse = reverse;
        _withTombstones = withTombstones;
        Key = default;
        Version = default;
        _next = 0;
        _end = 0;
        _fence = 0;
        _residency = memory.Below;
        _below = null;
        _mergedNext = 0;
        _mergedEnd = 0;
        _isBelowDone = false;
        _isGiven = false;
        _keys = default;
        _forks = null;
        if (to.Length != 0 && from.SequenceCompareTo(to) >= 0)
            return;
        if (_residency is { Base: not null } || (memory.Forks is { } forks && forks.FirstAtOrAfter(sequence) != ulong.MaxValue))
        {
            _forks = new RunCursor(memory, from, to, sequence, reverse);
            return;
        }

        if (_residency is { IsWhole: false })
        {
            _below = _residency.Scan(from, to, sequence, reverse);
            StepBelow();
        }

        Read(from, to);
    }

    internal ReadOnlySpan<byte> Key { get; private set; }

    internal VersionView Version { get; private set; }

    internal bool MoveNext()
    {
        while (true)
        {
            while (_next < _end)
            {
                var entry = _batch[_reverse ? --_end : _next++];
                if (!_memory.TryRead(entry, _sequence, out var version) || (version.IsTombstone && !_withTombstones))
                    continue;
                Key = RunMemory.KeyOf(entry);
                Version = version;
                return true;
            }

            if (_below is not null)
                return MoveNextMerged();
            if (_fence == 0)
                return _forks is not null && MoveNextFork();
            ReadOn();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool MoveNextFork()
    {
        while (_forks!.MoveNext())
        {
            var version = _forks.Version;
            if (version.IsTombstone && !_withTombstones)
                continue;
            Key = _forks.IsKeyKept ? _forks.Key : Keep(_forks.Key);
            Version = version;
            return true;
        }

        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool MoveNextMerged()
    {
        while (true)
        {
            while (_mergedNext == _mergedEnd && _fence != 0)
                ReadOn();
            if (_isGiven)
                StepBelow();
            var entry = _mergedNext == _mergedEnd ? 0 : _batch[_reverse ? _mergedEnd - 1 : _mergedNext];
            if (entry == 0 && _isBelowDone)
                return false;
            var order = entry == 0 ? 1 : _isBelowDone ? -1 : Order(RunMemory.KeyOf(entry), _below!.Key);
            if (order > 0)
            {
                Key = Keep(_below!.Key);
                Version = _residency!.Readable(_below.Version);
                _isGiven = true;                          // the cursor goes on with the next call
                return true;
            }

            if (_reverse)
                _mergedEnd--;
            else
                _mergedNext++;
            if (order == 0)
                StepBelow();
            if (!_memory.TryRead(entry, _sequence, out var version) || (version.IsTombstone && !_withTombstones))
                continue;
            Key = RunMemory.KeyOf(entry);
            Version = version;
            return true;
        }
    }

    // The cursor's key is gone when it moves on, and what a scan gives stays as long as its reader: a key goes into a block of keys, which
    // lives while a span into it does.
    private ReadOnlySpan<byte> Keep(ReadOnlySpan<byte> key)
    {
        if (_keys.Length < key.Length)
            _keys = new byte[Math.Max(KeptKeysBytes, key.Length)];
        key.CopyTo(_keys.Span);
        var kept = _keys.Span[..key.Length];
        _keys = _keys[key.Length..];
        return kept;
    }

    private readonly int Order(ReadOnlySpan<byte> key, ReadOnlySpan<byte> other) =>
        _reverse ? other.SequenceCompareTo(key) : key.SequenceCompareTo(other);

    // To the image's next key of this run that has something to say.
    private void StepBelow()
    {
        _isGiven = false;
        do
            _isBelowDone = !_below!.MoveNext();
        while (!_isBelowDone && (!_residency!.IsOfThisRun(_below.Version) || (_below.Version.IsTombstone && !_withTombstones)));
    }

    private void ReadOn()
    {
        if (_reverse)
            Read(_from, RunMemory.KeyOf(_fence));
        else
            Read(RunMemory.KeyOf(_fence), _to);
    }

    private void Read(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        _next = 0;
        _end = _reverse ? _memory.ReadBackward(from, to, _batch, out _fence) : _memory.ReadForward(from, to, _batch, out _fence);
        if (_below is null)
            return;
        (_mergedNext, _mergedEnd) = (0, _end);            // out of sight of the short way, which then asks nothing at each key
        _end = 0;
    }
}

/// <summary>Addresses of the entries of one leaf.</summary>
[InlineArray(OrderedIndex.BatchMax)]
internal struct EntryBatch
{
    private nint _first;
}
