using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// One page of an ordered range of store keys, as a scope sees it: the snapshot, a transaction's own writes merged in, expiry at
/// the scope's time, the range remembered for validation, and the cursor for the next page. Every listing of every primitive
/// goes through here.
/// </summary>
internal ref struct Listing : IDisposable
{
    private readonly Scope _scope;
    private readonly Cursors _cursors;
    private readonly byte _listing;
    private readonly uint _request;
    private readonly bool _reverse;
    private readonly bool _ownsPin;
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly Timing _timing;
#pragma warning disable CA2213 // disposed below; the rule does not see ref structs
    private readonly StoreReader _reader;
    private readonly TransactionUse _use;
#pragma warning restore CA2213
    private readonly byte[] _from;
    private readonly byte[] _to;
    private IEnumerator<PendingWrite>? _pending;
    private StoreScan _scan;
    private bool _scanHas;
    private bool _pendingHas;
    private byte[]? _lastGiven;
    private int _remaining;
    private bool _ended;

    /// <param name="listing">Names the kind of listing in the cursor.</param>
    /// <param name="from">First store key, inclusive.</param>
    /// <param name="to">End, exclusive; empty = no upper bound.</param>
    /// <param name="filter">What else the caller looks at: a cursor is good with the same only.</param>
    /// <param name="hidesStore">Of what was committed nothing is left in the transaction.</param>
    internal Listing(Scope scope, Cursors cursors, SnapshotRegistry pins, byte listing, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to,
        int limit, string? cursor, bool reverse, ReadOnlySpan<byte> filter = default, bool hidesStore = false)
    {
        scope.ThrowIfNotReadable();
        _timing = scope.Path.BeginTiming(OperationClass.Scan);
        _scope = scope;
        _cursors = cursors;
        _pins = pins;
        _listing = listing;
        _reverse = reverse;
        _remaining = limit;
        _request = Crc32C.Finish(Crc32C.Append(Crc32C.Append(Crc32C.Append(Crc32C.Append(Crc32C.Start, [reverse ? (byte)1 : (byte)0]), from), to), filter));
        _from = from.ToArray();
        _to = to.ToArray();
        Sequence = scope.Sequence;
        Time = scope.Time;
        if (cursor is not null)
        {
            Cursors.Parse(cursor, listing, _request, out var sequence, out var time, out var lastKey);
            if (scope.IsLive)
            {
                _pin = cursors.Resume(scope.Run, sequence);
                _ownsPin = true;
                Sequence = sequence;
                Time = time;
            }
            else if (sequence != Sequence)
            {
                throw new CairnException(ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a listing where it was begun.");
            }

            if (reverse)
                _to = lastKey;
            else
                _from = [.. lastKey, 0];
        }
        else if (scope.IsLive)
        {
            _pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            _ownsPin = true;
            Sequence = _pin.Sequence;
        }

        _use = scope.Use();
        _reader = scope.Run.Store.Read();
        try
        {
            Begin(hidesStore);
        }
        catch when (!Mutant.Is("listing-stays-inside"))
        {
            Dispose();                                       // whoever is inside holds back everything that waits for readers to leave
            throw;
        }
    }

    private void Begin(bool hidesStore)
    {
        _ended = _to.Length > 0 && _from.AsSpan().SequenceCompareTo(_to) >= 0;
        if (_ended)
            return;
        _scan = _reader.Scan(_from, _to, Sequence, _reverse);
        _scanHas = !hidesStore && _scan.MoveNext();
        if (_scope.Writes is { Count: > 0 } writes)
        {
            _pending = writes.Range(_from, _to, _reverse).GetEnumerator();
            _pendingHas = _pending.MoveNext();
        }
    }

    internal ulong Sequence { get; }

    internal long Time { get; }

    internal ReadOnlySpan<byte> Key { get; private set; }

    internal VersionView Version { get; private set; }

    /// <summary>The next live item. False at the end of the range or of the page.</summary>
    internal bool MoveNext()
    {
        if (_remaining == 0)
            return false;
        while (Next(out var key, out var version))
        {
            if (!version.IsLiveAt(Time))
                continue;
            Key = key;
            Version = version;
            _lastGiven = null;
            _remaining--;
            if (_remaining == 0)
                _lastGiven = key.ToArray();
            return true;
        }

        _ended = true;
        return false;
    }

    private bool Next(out ReadOnlySpan<byte> key, out VersionView version)
    {
        while (_scanHas || _pendingHas)
        {
            var order = !_pendingHas ? -1 : !_scanHas ? 1 : _scan.Key.SequenceCompareTo(_pending!.Current.StoreKey) * (_reverse ? -1 : 1);
            if (order < 0)
            {
                key = _scan.Key;
                version = _scan.Version;
                _scanHas = _scan.MoveNext();
                return true;
            }

            var write = _pending!.Current;
            var exists = order == 0;
            var committed = exists ? _scan.Version : default;
            if (exists)
                _scanHas = _scan.MoveNext();
            _pendingHas = _pending.MoveNext();
            if (!_scope.Overlay(write, exists, committed, out version))
                continue;
            key = write.StoreKey;
            return true;
        }

        key = default;
        version = default;
        return false;
    }

    /// <summary>Ends the page: remembers what was read, and gives the cursor of the next page or null.</summary>
    internal string? End()
    {
        var more = !_ended && _lastGiven is not null && HasMore();
        if (_scope.Transaction is not null && !(_to.Length > 0 && _from.AsSpan().SequenceCompareTo(_to) >= 0))
        {
            if (!more)
                _scope.NoteRange(_from, _to);
            else if (_reverse)
                _scope.NoteRange(_lastGiven, _to);
            else
                _scope.NoteRange(_from, [.. _lastGiven!, 0]);
        }

        if (!more)
            return null;
        return _scope.IsLive
            ? _cursors.Keep(_listing, _scope.Run, Sequence, Time, _lastGiven, _request)
            : Cursors.Format(_listing, Sequence, Time, _lastGiven, _request);
    }

    private bool HasMore()
    {
        while (Next(out _, out var version))
        {
            if (version.IsLiveAt(Time))
                return true;
        }

        return false;
    }

    public readonly void Dispose()
    {
        _timing.Dispose();
        _pending?.Dispose();
        _reader.Dispose();
        _use.Dispose();
        if (_ownsPin)
            _pins.Release(_pin);
    }
}
