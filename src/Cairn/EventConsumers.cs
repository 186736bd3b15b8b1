using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>How far the readers of a run's events have come. A position is the number of the first event that a consumer has not handled,
/// so that <c>Follow(Position(name))</c> goes on where it was. Retention does not wait for consumers: who is told there that events are
/// gone (<see cref="HistoryTrimmedException.EarliestEvent"/>) decides where to go on, and says so with
/// <see cref="EventConsumers.Reset"/>.</summary>
public class EventConsumersView
{
    private const byte ListingConsumers = StoreKeys.Consumer;

    internal EventConsumersView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Where a consumer is; 0 for one that never committed.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public EventNumber Position(string name)
    {
        Scope.ThrowIfNotReadable();
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(name, buffer[1..], out var length);
        buffer[0] = StoreKeys.Consumer;
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, buffer[..(1 + length)], out var version) ? BinaryPrimitives.ReadUInt64LittleEndian(version.Value) : 0;
    }

    /// <summary>All consumers with their positions, in order of the names' UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<ConsumerPosition> List(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Consumer, Engine.Limits);
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingConsumers, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
        try
        {
            var positions = new List<ConsumerPosition>();
            while (rows.MoveNext())
            {
                var version = rows.Version;
                positions.Add(new ConsumerPosition(
                    Utf8.GetTrustedString(rows.Key[1..]), BinaryPrimitives.ReadUInt64LittleEndian(version.Value),
                    new Sequence(version.Sequence), CommitClock.Time(version.Time)));
            }

            return new Page<ConsumerPosition>(positions, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }
}

/// <summary>Positions of the readers of a run's events, with writes. In a transaction a position commits together with what the consumer
/// did, so that no event is handled twice or lost.</summary>
public sealed class EventConsumers : EventConsumersView
{
    internal EventConsumers(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    /// <summary>Says that a consumer has handled every event before a number. Positions only go forward; the same one again is
    /// fine.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>.</param>
    /// <param name="position">Number of the first event that is not handled: the last one handled + 1; at most the number of
    /// events.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>: the consumer is further already (inside a
    /// transaction, at its commit); <see cref="ErrorCode.InvalidArgument"/>: behind the end of the events;
    /// <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public Sequence Commit(string name, EventNumber position) => Write(name, position.Value, isForced: false);

    /// <summary>Moves a consumer to any position, also back, to read events again.</summary>
    /// <param name="name">As in <see cref="Commit"/>.</param>
    /// <param name="position">At most the number of events.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: behind the end of the events;
    /// <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public Sequence Reset(string name, EventNumber position) => Write(name, position.Value, isForced: true);

    private Sequence Write(string name, ulong position, bool isForced)
    {
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer[1..], out var length);
        buffer[0] = StoreKeys.Consumer;
        var key = buffer[..(1 + length)];
        CheckPosition(position);
        if (Scope.Transaction is not null)
        {
            SetPending(key, position, isForced);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        EventOperations.AddConsumerCommit(batch, key[1..], position, isForced);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    // The end only moves forward, so what is right now stays right: not a read to validate.
    private void CheckPosition(ulong position)
    {
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        var count = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]).End;
        if (position > count)
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"Position #{position} lies behind the end: the next event will be #{count}. A position is the last event handled + 1.");
    }

    private void SetPending(ReadOnlySpan<byte> key, ulong position, bool isForced)
    {
        using var use = Scope.Use();
        if (Scope.Writes!.Find(key) is not { } write)
        {
            Scope.Writes.Add(new PendingWrite
            {
                StoreKey = key.ToArray(),
                Code = OperationCode.EventConsumerCommit,
                OperationKey = key[1..].ToArray(),
                Value = EventOperations.Position(position, isForced),
            });
            return;
        }

        if (!isForced && EventOperations.CheckMonotone(BinaryPrimitives.ReadUInt64LittleEndian(write.Value), position) is { } refused)
            throw refused;
        // Once forced, the transaction's last word is.
        write.Value = EventOperations.Position(position, isForced || write.Value[8] != 0);
    }
}
