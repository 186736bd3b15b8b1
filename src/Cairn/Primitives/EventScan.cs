using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Events in order of their numbers, or in reverse, as a scope at one sequence sees them. Committed ones come from a scan of the
/// ordered index, a leaf at a time, which costs a fraction of looking up each number; behind them lie those that the transaction
/// has appended itself.
/// </summary>
/// <remarks>The caller sees to it that nothing below the floor is asked for.</remarks>
internal ref struct EventScan
{
    /// <summary>Bytes of both bounds.</summary>
    internal const int BoundsBytes = 2 * EventReader.KeyBytes;

    private readonly EventReader _events;
    private readonly bool _reverse;
    private StoreScan _scan;
    private ulong _from;
    private ulong _to;
    private StoredEvent _stored;
    private ReadOnlySpan<byte> _lastType;
    private string? _lastTypeName;

    /// <param name="to">Exclusive; at most the number of events.</param>
    /// <param name="bounds">Room for <see cref="BoundsBytes"/>, untouched for as long as this is used.</param>
    internal EventScan(EventReader events, ulong from, ulong to, bool reverse, Span<byte> bounds)
    {
        _events = events;
        _reverse = reverse;
        _from = from;
        _to = to;
        _scan = events.ScanCommitted(
            StoreKeys.Of(bounds, StoreKeys.Event, from),
            StoreKeys.Of(bounds[EventReader.KeyBytes..], StoreKeys.Event, Math.Min(to, events.Committed)), reverse);
    }

    internal ulong Number { get; private set; }

    internal long Time { get; private set; }

    internal Sequence Sequence { get; private set; }

    internal readonly ReadOnlySpan<byte> Type => _stored.Type;

    internal readonly Hash256 Hash => _stored.Hash;

    /// <summary>Of the operation that it is.</summary>
    internal readonly int Bytes => _stored.Type.Length + _stored.Body.Length;

    internal readonly BorrowedEvent Borrowed => new(_stored, Number, Time, Sequence, IsRedacted);

    private readonly bool IsRedacted => _stored.IsRedacted || _events.IsRedactedHere(Number);

    internal bool MoveNext()
    {
        while (_from < _to)
        {
            var number = _reverse ? _to - 1 : _from;
            if (number >= _events.Committed)
            {
                Pass(number);
                if (!_events.TryGet(number, out _stored, out var ownTime, out var none))
                    continue;
                Time = ownTime;
                Sequence = none;
                return true;
            }

            if (!_scan.MoveNext())
                return false;
            Pass(BinaryPrimitives.ReadUInt64BigEndian(_scan.Key[1..]));
            EventReader.Read(_scan.Version, out _stored, out var time, out var sequence);
            Time = time;
            Sequence = sequence;
            return true;
        }

        return false;
    }

    /// <summary>The present one, owned. Most events have the type of the one before: its name is made once.</summary>
    internal EventRecord ToRecord()
    {
        if (_lastTypeName is null || !_stored.Type.SequenceEqual(_lastType))
        {
            _lastType = _stored.Type;
            _lastTypeName = Utf8.GetTrustedString(_stored.Type);
        }

        return new EventRecord(_stored, _lastTypeName, Number, Time, Sequence, IsRedacted);
    }

    private void Pass(ulong number)
    {
        Number = number;
        if (_reverse)
            _to = number;
        else
            _from = number + 1;
    }
}
