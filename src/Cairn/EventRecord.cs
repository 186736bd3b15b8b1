using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Primitives;

namespace Cairn;

/// <summary>One event of a run, as it was committed. Immutable and owned: valid for ever. Inside a transaction, an event of that
/// transaction itself is shown with the number it will have, the transaction's time, zero hashes and no sequence.</summary>
public sealed class EventRecord
{
    // The body as it is stored (docs/format.md); of a redacted one what stands before the salt, and then the payload's hash.
    private readonly byte[] _body;
    private ValueMembers? _payload;                       // decoded when first asked for

    /// <param name="type">The type's name, if the caller has it.</param>
    internal EventRecord(scoped in StoredEvent stored, string? type, ulong number, long time, Sequence sequence, bool isRedacted)
    {
        Number = number;
        Type = type ?? Utf8.GetTrustedString(stored.Type);
        Time = CommitClock.Time(time);
        Sequence = sequence;
        IsRedacted = isRedacted;
        Causes = stored.Causes.Length == 0 ? [] : ReadCauses(stored.Causes);
        if (!isRedacted)
        {
            _body = stored.Body.ToArray();
            return;
        }

        var kept = EventOperations.CausesOffset + stored.Causes.Length;
        _body = new byte[kept + Hash256.Size];
        stored.Body[..kept].CopyTo(_body);
        stored.PayloadHash.CopyTo(_body.AsSpan(kept));
    }

    /// <summary>Place in the run, from 0.</summary>
    public EventNumber Number { get; }

    /// <summary>What kind of event; a filter over the run's one order.</summary>
    public string Type { get; }

    /// <summary>The payload, an Object; null when it was redacted. Decoded when it is first asked for.</summary>
    public Value? Payload
    {
        get
        {
            if (IsRedacted)
                return null;
            var members = Volatile.Read(ref _payload);
            if (members is null)
            {
                members = Value.Decode(Rest[EventHash.SaltSize..]).Members;
                Volatile.Write(ref _payload, members);    // whoever decodes it a second time gets an equal one
            }

            return new Value(members);
        }
    }

    /// <summary>Commit time, to the microsecond; of an imported event the time that it had.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>16 random bytes that are hashed before the payload; empty when it was redacted.</summary>
    public ReadOnlyMemory<byte> Salt => IsRedacted ? default : _body.AsMemory(RestOffset, EventHash.SaltSize);

    /// <summary>SHA-256 of salt and canonical payload; what a redaction leaves. Made at each call, unless redacted.</summary>
    public Hash256 PayloadHash
    {
        get
        {
            if (IsRedacted)
                return new Hash256(Rest);
            Span<byte> hash = stackalloc byte[Hash256.Size];
            EventHash.OfPayload(Rest, hash);
            return new Hash256(hash);
        }
    }

    /// <summary>Hash of the event before; zeros for the first.</summary>
    public Hash256 PreviousHash => HashAt(EventOperations.PreviousOffset);

    /// <summary>SHA-256 over number, type, time, <see cref="PayloadHash"/> and <see cref="PreviousHash"/>: the link that the next event
    /// repeats. docs/format.md has the bytes.</summary>
    public Hash256 Hash => HashAt(EventOperations.HashOffset);

    /// <summary>Sequence of the commit that appended it.</summary>
    public Sequence Sequence { get; }

    /// <summary>True when payload and salt were removed for good.</summary>
    [MemberNotNullWhen(false, nameof(Payload))]
    public bool IsRedacted { get; }

    /// <summary>Earlier events of the run that this one was caused by, as its writer said. Not under the hash.</summary>
    public IReadOnlyList<EventNumber> Causes { get; }

    private int RestOffset => EventOperations.CausesOffset + sizeof(ulong) * Causes.Count;

    private ReadOnlySpan<byte> Rest => _body.AsSpan(RestOffset);

    private Hash256 HashAt(int offset) => Sequence == Sequence.None ? default : new Hash256(_body.AsSpan(offset, Hash256.Size));

    private static EventNumber[] ReadCauses(ReadOnlySpan<byte> bytes)
    {
        var causes = new EventNumber[bytes.Length / sizeof(ulong)];
        for (var i = 0; i < causes.Length; i++)
            causes[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(sizeof(ulong) * i)..]);
        return causes;
    }
}

/// <summary>An event to append with others.</summary>
/// <param name="Type">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>.</param>
/// <param name="Payload">An Object; all numbers in it finite.</param>
public readonly record struct NewEvent(string Type, Value Payload)
{
    /// <summary>Earlier events of the run, or of the same call by the number they will have; null = none.</summary>
    public IReadOnlyList<EventNumber>? Causes { get; init; }
}

/// <summary>What an append has become. Outside a transaction it can be read at once; inside one, when that has committed.</summary>
public readonly record struct EventReceipt
{
    private readonly AppendReceipt? _pending;
    private readonly EventNumber _number;
    private readonly Hash256 _hash;
    private readonly Sequence _sequence;

    internal EventReceipt(EventNumber number, Hash256 hash, Sequence sequence)
    {
        _number = number;
        _hash = hash;
        _sequence = sequence;
    }

    internal EventReceipt(AppendReceipt pending) => _pending = pending;

    /// <summary>False as long as the transaction has not committed; the other properties throw then.</summary>
    public bool IsCommitted => _pending is null ? _sequence != Sequence.None : _pending.IsCommitted;

    /// <summary>Place of the event in its run.</summary>
    /// <exception cref="InvalidOperationException">The transaction has not committed.</exception>
    public EventNumber Number => _pending is null ? _number : _pending.Value._number;

    /// <summary>The event's hash; it stands for the whole history up to here.</summary>
    /// <inheritdoc cref="Number" path="/exception"/>
    public Hash256 Hash => _pending is null ? _hash : _pending.Value._hash;

    /// <summary>Sequence of the commit.</summary>
    /// <inheritdoc cref="Number" path="/exception"/>
    public Sequence Sequence => _pending is null ? _sequence : _pending.Value._sequence;

    /// <summary>Number and sequence.</summary>
    public override string ToString() => IsCommitted ? $"{Number} {Sequence}" : "not committed";
}

/// <summary>The newest event of a run.</summary>
/// <param name="Number">Its number; the run has one event more than that.</param>
/// <param name="Hash">Its hash; zeros for an event of the asking transaction itself.</param>
public readonly record struct EventHead(EventNumber Number, Hash256 Hash);

/// <summary>Where a run's events begin, when retention has let go of those before.</summary>
/// <param name="Number">The first event that is kept; the number of the next one when none is.</param>
/// <param name="HashBefore">Hash of the event before it, which the chain goes on from; zeros when there was none.</param>
/// <param name="TimeBefore">Time of that event; null when there was none.</param>
public readonly record struct EventFloor(EventNumber Number, Hash256 HashBefore, DateTimeOffset? TimeBefore);

/// <summary>The events of one type, without looking at them. Numbers within a type have gaps: it is a filter over the one order.</summary>
/// <param name="Type">The type.</param>
/// <param name="Count">How many, at least 1.</param>
/// <param name="FirstNumber">Number of the first.</param>
/// <param name="FirstTime">Commit time of the first.</param>
/// <param name="LastNumber">Number of the last.</param>
/// <param name="LastTime">Commit time of the last.</param>
public sealed record EventStreamInfo(
    string Type, long Count, EventNumber FirstNumber, DateTimeOffset FirstTime, EventNumber LastNumber, DateTimeOffset LastTime);

/// <summary>What recomputing the hash chain gave.</summary>
/// <param name="IsValid">True when every hash is right.</param>
/// <param name="Length">Events that were found right, from the first one looked at.</param>
/// <param name="FirstInvalid">The first event that is not; null when all are.</param>
/// <param name="Error">What is wrong with it; null when nothing is.</param>
public sealed record EventVerification(bool IsValid, long Length, EventNumber? FirstInvalid, string? Error);

/// <summary>Which of the events in a range to list, and how.</summary>
public sealed record EventScanOptions
{
    /// <summary>Only events of these types; null = all.</summary>
    public IReadOnlyCollection<string>? Types { get; init; }

    /// <summary>Most events on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Continues a listing: <see cref="Page{T}.Cursor"/> of the page before, with the same call and options.</summary>
    public string? Cursor { get; init; }

    /// <summary>Newest first.</summary>
    public bool Reverse { get; init; }
}

/// <summary>How far a consumer has come.</summary>
/// <param name="Name">The consumer.</param>
/// <param name="Position">Number of the first event that it has not handled.</param>
/// <param name="Version">Sequence of the commit that brought it there.</param>
/// <param name="UpdatedAt">Commit time of that.</param>
public readonly record struct ConsumerPosition(string Name, EventNumber Position, Sequence Version, DateTimeOffset UpdatedAt);
