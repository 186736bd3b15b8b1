// Subscriptions: named cursors of feeds, kept in a run.
//
//   store key     98 name
//   store value   the body of the operation that wrote it, as below
//   operations    98 Set, 99 Drop (docs/format.md has the bodies)
//   conflicts     point. An acknowledgement only goes forward, decided under the run's lock against the newest state: so of two consumers
//                 that have done the same work in transactions, one is refused with all that it did
//   text          none; diff, merge: none, a cursor is of one log
//   replay        a Set replaces the newest version, a Drop is a tombstone
//   fork          not inherited: a fork has a life of its own, and its parent's readers are not its own
//
// Why in a run, also when the feed is the database's: an acknowledgement commits together with what the consumer did, and that is in runs.
//
//   body   0  u8   kind        0 acknowledgement, 1 creation, 2 reset
//          1  u8   scope       0 changes of the run that holds it, 1 of the database
//          2  u64  sequence    of the commit that it is behind
//         10  u64  position    of that commit's record; all ones = not known
//         18  u32  check       CRC-32C of its payload, when the position is known
//         22  u64  expected    sequence that it has to be at; all ones = any. Looked at before the commit has its place
//         30  ..   filter      a canonical object, or Null for none

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class SubscriptionOperations : OperationSet
{
    internal const byte Acknowledgement = 0;
    internal const byte Creation = 1;
    internal const byte Resetting = 2;

    internal const ulong AnySequence = ulong.MaxValue;

    internal override byte Family => 0x90;

    internal override bool Takes(OperationCode code) => code is OperationCode.SubscriptionSet or OperationCode.SubscriptionDrop;

    internal override string Name => "subscriptions";

    internal override bool Owns(byte storeFamily) => storeFamily == StoreKeys.Subscription;

    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => reader.Count(StoreKeys.Subscription, sequence);

    internal override string Describe(ReadOnlySpan<byte> storeKey) => Utf8.GetTrustedString(storeKey[1..]);

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.Subscription, operation.Key));
    }

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = run.Store.Read();
        var isThere = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Subscription, operation.Key), out var version)
            && !version.IsTombstone;
        if (operation.Code == (byte)OperationCode.SubscriptionDrop)
            return isThere ? null : NotFound();
        Invariant.Check(StoredSubscription.TryRead(operation.Body, out var next), "an operation on a subscription has its form");
        if (next.Kind == Creation)
        {
            var most = catalogue.Limits.SubscriptionsMax;
            var kept = reader.Count(StoreKeys.Subscription, ulong.MaxValue);
            if (isThere)
                return new CairnException(ErrorCode.AlreadyExists, "A subscription of this name is there. Take another name, or drop it.");
            return kept < most ? null : new LimitException(nameof(Limits.SubscriptionsMax), most, kept + 1, "subscriptions");
        }

        if (!isThere)
            return NotFound();
        StoredSubscription.TryRead(version.Value, out var now);
        return next.Kind == Resetting ? null : CheckForward(now.Sequence, next);
    }

    /// <summary>Null, or why an acknowledgement is refused.</summary>
    internal static CairnException? CheckForward(ulong now, in StoredSubscription next)
    {
        if (next.Expected != AnySequence && next.Expected != now && !Mutant.Is("acknowledged-over-another"))
        {
            return new CairnException(
                ErrorCode.ConstraintViolation,
                $"The subscription is behind {new Sequence(now)}, expected was {new Sequence(next.Expected)}: another consumer has "
                + "acknowledged. Go on from where it is.");
        }

        return next.Sequence > now || Mutant.Is("acknowledged-twice") ? null : new CairnException(
            ErrorCode.ConstraintViolation,
            $"The subscription is behind {new Sequence(now)} already; {new Sequence(next.Sequence)} was handled before. "
            + "Use Subscriptions.Reset to read again.");
    }

    internal static CairnException NotFound() =>
        new(ErrorCode.NotFound, "There is no subscription of this name in the run. Create it first, or list those that are there.");

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.NameBytesMax || operation.HasExpiry)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Subscription, operation.Key);
        if (operation.Code == (byte)OperationCode.SubscriptionDrop)
        {
            if (context.Delete(key).IsCounted)
                context.AddCount(StoreKeys.Subscription, -1);
            return operation.Body.IsEmpty;
        }

        if (!StoredSubscription.TryRead(operation.Body, out _))
            return false;
        if (!context.Put(key, operation.Body).IsCounted)
            context.AddCount(StoreKeys.Subscription, 1);
        return true;
    }

    // Writes: the version, the count.
    internal override void Encode(Batch batch, PendingWrite write)
    {
        write.Value.CopyTo(batch.Add(write.Code, 0, write.OperationKey, write.Value.Length, 3));
        batch.NeedsResolve = true;
    }
}

/// <summary>A subscription as operations and the store have it; the layout is in the essay above.</summary>
internal readonly ref struct StoredSubscription
{
    private const int FilterOffset = 30;

    internal byte Kind { get; init; }

    internal bool IsOfDatabase { get; init; }

    internal ulong Sequence { get; init; }

    internal ulong Position { get; init; }

    internal uint Check { get; init; }

    internal ulong Expected { get; init; }

    /// <summary>A canonical value.</summary>
    internal ReadOnlySpan<byte> Filter { get; init; }

    /// <summary>False when the bytes are none.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> source, out StoredSubscription stored)
    {
        stored = default;
        if (source.Length <= FilterOffset || source[0] > SubscriptionOperations.Resetting || source[1] > 1
            || !ValueDecoder.TryDecode(source[FilterOffset..], out var filter, out _)
            || filter.Kind is not (ValueKind.Object or ValueKind.Null))
        {
            return false;
        }

        stored = new StoredSubscription
        {
            Kind = source[0],
            IsOfDatabase = source[1] == 1,
            Sequence = BinaryPrimitives.ReadUInt64LittleEndian(source[2..]),
            Position = BinaryPrimitives.ReadUInt64LittleEndian(source[10..]),
            Check = BinaryPrimitives.ReadUInt32LittleEndian(source[18..]),
            Expected = BinaryPrimitives.ReadUInt64LittleEndian(source[22..]),
            Filter = source[FilterOffset..],
        };
        return true;
    }

    internal byte[] ToBytes()
    {
        var bytes = new byte[FilterOffset + Filter.Length];
        bytes[0] = Kind;
        bytes[1] = IsOfDatabase ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(2), Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(10), Position);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(18), Check);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(22), Expected);
        Filter.CopyTo(bytes.AsSpan(FilterOffset));
        return bytes;
    }
}
