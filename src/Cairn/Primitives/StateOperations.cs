// State: named cells that are read and changed together.
//
//   store key     40 name
//   store value   counter u64 (little-endian), then the canonical value; of a deleted cell the tombstone keeps the counter
//   operations    40 Init, 41 Set, 42 Transition, 43 Delete, 44 Lease, 45 Expire (docs/format.md has the bodies)
//   conflicts     point per cell; listings and counts read their range; Set is blind; CompareAndSet, Init and leases are
//                 expectations, no reads; Transition is a read and a write
//   text          the name, and every string in the value (ST-12)
//   diff, merge   per cell; changed on both sides is a conflict
//   replay        an operation carries the counter that it led to; a Delete is a tombstone with it
//
// S1  The counter grows by one per write, deletions included, whether the value changed or not; several writes in one transaction are
//     that many steps. It is resolved under the run's lock from the newest version, a tombstone or an expired one too.
// S2  A tombstone of a cell stays for ever: that is what makes a counter a token that never fits a later life (ST-3).
// S3  Expiring is no write: the maintainer's removal takes zero steps, so it makes no difference when it comes. Changing the expiry is
//     none either: the holder of a lease keeps its token when it renews.
// S4  A lease is a cell with a time to live whose value is {"$lease": owner}. Its token is the counter; whoever guards a transaction
//     with a token that is no longer the live counter fails (ST-10, ST-11).
//
//   budget    Init 100   Set 90    Delete    Init 100    CompareAndSet(expected 1) at the end: counter is 4, refused,
//   counter   1          2         3         4           although the value is the 100 that was read at 1

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class StateOperations : OperationSet
{
    /// <summary>Bytes of the counter before the value in the store.</summary>
    internal const int CounterBytes = 8;

    /// <summary>Name of the one member of a lease's value.</summary>
    internal const string LeaseMember = "$lease";

    private const int StepsBytes = 4;

    /// <summary>Bytes of the body of a write before the value: the steps, and the counter they led to.</summary>
    internal const int FixedBytes = StepsBytes + CounterBytes;

    internal override byte Family => 0x40;

    internal override string Name => "state";

    internal override bool Owns(byte storeFamily) => storeFamily == StoreKeys.State;

    internal override int RemainsBytes => CounterBytes;

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        Value.Decode(version.Value[CounterBytes..]);

    internal override string Describe(ReadOnlySpan<byte> storeKey) => Utf8.GetTrustedString(storeKey[1..]);

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if (operation.Code == (byte)OperationCode.StateExpire)
            return null;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = run.Store.Read();
        var counter = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.State, operation.Key), out var version) ? CounterOf(version) : 0;
        BinaryPrimitives.WriteUInt64LittleEndian(holes[StepsBytes..], counter + BinaryPrimitives.ReadUInt32LittleEndian(holes));
        return null;
    }

    internal override ReadOnlySpan<byte> ValueRead(in Operation operation, Span<byte> buffer) =>
        operation.Code == (byte)OperationCode.StateExpire ? default : StoreKeys.Of(buffer, StoreKeys.State, operation.Key);

    internal static ulong CounterOf(in VersionView version) => BinaryPrimitives.ReadUInt64LittleEndian(version.Value);

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.State, operation.Key));
    }

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        StoreKeys.Of(buffer, StoreKeys.State, operation.Key);

    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes) =>
        TellThing(operation, sequence, changes);

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.KeyBytesMax)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.State, operation.Key);
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.StateInit:
            case OperationCode.StateSet:
            case OperationCode.StateTransition:
            case OperationCode.StateLease:
                if (operation.Body.Length <= FixedBytes)
                    return false;
                if (!context.Put(key, operation.Body[StepsBytes..], operation.Expiry).IsCounted)
                    context.AddCount(StoreKeys.State, 1);
                return true;
            case OperationCode.StateDelete:
                if (operation.FullBody.Length != FixedBytes || operation.HasExpiry)
                    return false;
                if (context.Delete(key, operation.FullBody[StepsBytes..]).IsCounted)
                    context.AddCount(StoreKeys.State, -1);
                return true;
            case OperationCode.StateExpire:
                return operation.Body.IsEmpty && context.PutExpiry(key, operation.Expiry);
            default:
                return false;
        }
    }

    internal override Projected Project(in Operation operation, ReadOnlySpan<byte> storeKey, out byte[]? stored, out long expiry)
    {
        stored = null;
        expiry = operation.Expiry;
        if (operation.Code >> 4 != Family >> 4 || !operation.Key.SequenceEqual(storeKey[1..]))
            return Projected.Nothing;
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.StateExpire:
                return Projected.ExpiryOnly;
            case OperationCode.StateDelete:
                stored = operation.FullBody[StepsBytes..].ToArray();
                return Projected.Deletion;
            default:
                stored = operation.Body[StepsBytes..].ToArray();
                return Projected.Value;
        }
    }

    internal override void Encode(Batch batch, PendingWrite write)
    {
        var expiry = write.TimeToLive != 0 ? -write.TimeToLive : write.Expiry;
        switch (write.Code)
        {
            case OperationCode.StateDelete:
                AddDelete(batch, write.OperationKey, write.Steps);
                break;
            case OperationCode.StateExpire:
                AddExpire(batch, write.OperationKey, expiry);
                break;
            default:
                AddWrite(batch, write.Code, write.OperationKey, write.Steps, write.Value.Length, expiry, out var value);
                write.Value.CopyTo(value);
                break;
        }
    }

    /// <summary>The cell as the transaction sees its own write: what was committed gives the counter to count on from.</summary>
    internal override byte[] Overlay(PendingWrite write, bool exists, bool live, in VersionView committed)
    {
        var cell = new byte[CounterBytes + write.Value.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(cell, (exists ? CounterOf(committed) : 0) + write.Steps);
        write.Value.CopyTo(cell, CounterBytes);
        return cell;
    }

    // S3.
    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) => AddDelete(batch, storeKey[1..], steps: 0);

    // Writes: the version, the count, a place in the expiry order, the removal of the old place.
    internal static void AddWrite(
        Batch batch, OperationCode code, ReadOnlySpan<byte> name, uint steps, int valueBytes, long expiry, out Span<byte> value)
    {
        var lead = expiry == 0 ? 0 : 8;
        var body = batch.Add(code, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, name, lead + FixedBytes + valueBytes, 4);
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
        BinaryPrimitives.WriteUInt32LittleEndian(body[lead..], steps);
        body.Slice(lead + StepsBytes, CounterBytes).Clear();
        value = body[(lead + FixedBytes)..];
        batch.NeedsResolve = true;
    }

    internal static void AddDelete(Batch batch, ReadOnlySpan<byte> name, uint steps)
    {
        var body = batch.Add(OperationCode.StateDelete, 0, name, FixedBytes, 3);
        BinaryPrimitives.WriteUInt32LittleEndian(body, steps);
        body[StepsBytes..].Clear();
        batch.NeedsResolve = true;
    }

    internal static void AddExpire(Batch batch, ReadOnlySpan<byte> name, long expiry)
    {
        var body = batch.Add(
            OperationCode.StateExpire, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, name, expiry == 0 ? 0 : 8, 3);
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
    }

    /// <summary>What the one operation of a committed batch has become.</summary>
    internal static StateReceipt ReadReceipt(Batch batch, Placed placed)
    {
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        Operation.TryTake(ref rest, out var operation, out _);
        return new StateReceipt(ReadCounter(operation), placed.Sequence);
    }

    /// <summary>The counter that an operation led to.</summary>
    internal static ulong ReadCounter(in Operation operation) => BinaryPrimitives.ReadUInt64LittleEndian(operation.Body[StepsBytes..]);

    internal static StateCell ToCell(in VersionView version) => new(
        Value.Decode(version.Value[CounterBytes..]), CounterOf(version), new Sequence(version.Sequence), CommitClock.Time(version.Time),
        Versions.ToExpiry(version.Expiry));

    internal static StateCell ToCell(PastVersion version) => new(
        Value.Decode(version.Stored.AsSpan(CounterBytes)), CounterOf(version), new Sequence(version.Sequence), CommitClock.Time(version.Time),
        Versions.ToExpiry(version.Expiry));

    internal static StateHistoryItem ToHistory(PastVersion version) => new(
        version.IsDeletion ? default : Value.Decode(version.Stored.AsSpan(CounterBytes)), CounterOf(version), version.IsDeletion,
        new Sequence(version.Sequence), CommitClock.Time(version.Time), Versions.ToExpiry(version.Expiry));

    private static ulong CounterOf(in PastVersion version) => BinaryPrimitives.ReadUInt64LittleEndian(version.Stored);

    /// <summary>The owner of a lease; false when the value is none.</summary>
    internal static bool TryReadOwner(in Value value, out string owner)
    {
        owner = "";
        if (value.Kind != ValueKind.Object || value.Count != 1 || !value.TryGetMember(LeaseMember, out var member) || member.Kind != ValueKind.String)
            return false;
        owner = member.AsString();
        return true;
    }
}

/// <summary>What the writes of one cell in one transaction tell after the commit.</summary>
internal sealed class CellReceipt : Receipt
{
    private ulong _before;
    private ulong _sequence;

    internal bool IsCommitted => _sequence != 0;

    internal Sequence Sequence => new(Checked());

    /// <param name="step">Which of the writes, from 1.</param>
    internal ulong CounterAfter(uint step)
    {
        Checked();
        return _before + step;
    }

    private ulong Checked() => _sequence != 0
        ? _sequence
        : throw new InvalidOperationException("A write in a transaction has its counter and sequence once the transaction has committed.");

    internal override void Committed(in Operation operation, ulong sequence, long time)
    {
        _before = operation.Code == (byte)OperationCode.StateExpire
            ? 0
            : StateOperations.ReadCounter(operation) - BinaryPrimitives.ReadUInt32LittleEndian(operation.Body);
        _sequence = sequence;
    }
}
