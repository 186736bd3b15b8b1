using System.Buffers.Binary;
using Cairn.Primitives;

namespace Cairn;

/// <summary>One event of a run, borrowed where it lies: what <see cref="EventsView.Scan{TState}"/> shows. Nothing is copied or decoded
/// until it is asked for. All spans end with the callback that got it, which the compiler checks; <see cref="ToRecord"/> gives what
/// stays. Inside a transaction, an event of that transaction itself has the number it will have, the transaction's time, zero hashes
/// and no sequence.</summary>
public readonly ref struct BorrowedEvent
{
    private readonly StoredEvent _stored;
    private readonly long _time;

    internal BorrowedEvent(scoped in StoredEvent stored, ulong number, long time, Sequence sequence, bool isRedacted)
    {
        _stored = stored;
        _time = time;
        Number = number;
        Sequence = sequence;
        IsRedacted = isRedacted;
    }

    /// <summary>Place in the run, from 0.</summary>
    public EventNumber Number { get; }

    /// <summary>What kind of event: 1 to 256 bytes of UTF-8.</summary>
    public ReadOnlySpan<byte> TypeUtf8 => _stored.Type;

    /// <summary>The payload's canonical encoding, an Object in MessagePack (docs/format.md); empty when it was redacted.
    /// <see cref="Value.Decode"/> makes a value of it.</summary>
    public ReadOnlySpan<byte> Payload => IsRedacted ? default : _stored.Payload;

    /// <summary>Commit time, to the microsecond.</summary>
    public DateTimeOffset Time => CommitClock.Time(_time);

    /// <summary>Hash of the event before; zeros for the first.</summary>
    public Hash256 PreviousHash => Sequence == Sequence.None ? default : _stored.Previous;

    /// <summary>The event's hash, as <see cref="EventRecord.Hash"/>.</summary>
    public Hash256 Hash => Sequence == Sequence.None ? default : _stored.Hash;

    /// <summary>Sequence of the commit that appended it.</summary>
    public Sequence Sequence { get; }

    /// <summary>True when payload and salt were removed for good.</summary>
    public bool IsRedacted { get; }

    /// <summary>How many earlier events it names as its causes.</summary>
    public int CauseCount => _stored.Causes.Length / sizeof(ulong);

    /// <summary>One of its causes.</summary>
    /// <param name="index">From 0, below <see cref="CauseCount"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is none of that index.</exception>
    public EventNumber Cause(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, CauseCount);
        return BinaryPrimitives.ReadUInt64LittleEndian(_stored.Causes[(sizeof(ulong) * index)..]);
    }

    /// <summary>A copy that is valid for ever.</summary>
    public EventRecord ToRecord() => new(_stored, null, Number.Value, _time, Sequence, IsRedacted);
}

/// <summary>What <see cref="EventsView.Scan{TState}"/> calls with each event.</summary>
/// <typeparam name="TState">Type of what the caller hands through.</typeparam>
/// <param name="borrowed">The event; ends with the call.</param>
/// <param name="state">What the caller of the scan handed in.</param>
/// <returns>False ends the scan.</returns>
public delegate bool EventVisitor<TState>(scoped in BorrowedEvent borrowed, ref TState state);
