// Triggers: what a run does by itself when something is committed to it.
//
//   store keys    92 name     the definition, a canonical object (Feed/TriggerForm.cs)
//                 94 name     where it stands: the value below
//                 68 id       (catalogue) runs that have triggers, so that they are found without looking at all runs
//                 01 92       how many
//   operations    92 Define, 93 Drop, 94 Cursor (docs/format.md has the bodies)
//   conflicts     a definition is decided under the run's lock; whoever moves a trigger's cursor expects the version that he saw
//   text          none; diff, merge: none, a cursor is of one log
//   replay        Define and Cursor replace the newest version, Drop leaves tombstones
//   fork          not inherited: what a fork is to do by itself is said to the fork
//
//   cursor   0  u8   state       0 active, 1 suspended, 2 completed
//            1  u8   flags       bit 0: its threshold was met at the cursor
//            2  u64  fired       how often
//           10  u64  sequence    of the commit that it is behind
//           18  u64  position    of that commit's record; all ones = not known
//           26  u32  check       CRC-32C of its payload, when the position is known
//           30  ..   error       why it is suspended or completed: UTF-8, at most 1,024 bytes

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class TriggerOperations : OperationSet
{
    /// <summary>Definition, cursor, count, mark, and the tombstones of these.</summary>
    private const int Writes = 6;

    internal override byte Family => 0x90;

    internal override bool Takes(OperationCode code) =>
        code is OperationCode.TriggerDefine or OperationCode.TriggerDrop or OperationCode.TriggerCursor;

    internal override string Name => "triggers";

    internal override bool Owns(byte storeFamily) =>
        storeFamily is StoreKeys.Trigger or StoreKeys.TriggerCursor or StoreKeys.RunTriggers;

    internal override bool IsDerived(byte storeFamily) => storeFamily == StoreKeys.RunTriggers;

    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => reader.Count(StoreKeys.Trigger, sequence);

    internal override string Describe(ReadOnlySpan<byte> storeKey) =>
        storeKey[0] == StoreKeys.RunTriggers ? RunId.Read(storeKey[1..]).ToString() : Utf8.GetTrustedString(storeKey[1..]);

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.TriggerCursor, operation.Key));
        if (operation.Code == (byte)OperationCode.TriggerCursor)
            return;
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.Trigger, operation.Key));
        visit(catalogue.State.Store, RunKeys.Triggers(buffer, run.Id));
    }

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if (operation.Code == (byte)OperationCode.TriggerCursor)
            return null;                                     // who moves it names the version that he saw
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = run.Store.Read();
        var isThere = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Trigger, operation.Key), out var version) && !version.IsTombstone;
        if (operation.Code == (byte)OperationCode.TriggerDrop)
            return isThere ? null : NotFound();
        if (isThere)
            return new CairnException(ErrorCode.AlreadyExists, "A trigger of this name is there. Take another name, or delete it.");
        var most = catalogue.Limits.TriggersMax;
        var kept = reader.Count(StoreKeys.Trigger, ulong.MaxValue);
        return kept < most ? null : new LimitException(nameof(Limits.TriggersMax), most, kept + 1, "triggers");
    }

    internal static CairnException NotFound() =>
        new(ErrorCode.NotFound, "There is no trigger of this name in the run. Create it first, or list those that are there.");

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.NameBytesMax || operation.HasExpiry)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.TriggerDefine:
                if (!Fields.TryRead(operation.Body, out _))
                    return false;
                if (!context.Put(StoreKeys.Of(buffer, StoreKeys.Trigger, operation.Key), operation.Body).IsCounted)
                    context.AddCount(StoreKeys.Trigger, 1);
                context.On(context.Catalogue.State).Put(RunKeys.Triggers(buffer, context.Run.Id), default);
                return true;
            case OperationCode.TriggerDrop:
                context.Delete(StoreKeys.Of(buffer, StoreKeys.TriggerCursor, operation.Key));
                if (context.Delete(StoreKeys.Of(buffer, StoreKeys.Trigger, operation.Key)).IsCounted)
                    context.AddCount(StoreKeys.Trigger, -1);
                if (CountNow(context) == 0)
                    context.On(context.Catalogue.State).Delete(RunKeys.Triggers(buffer, context.Run.Id));
                return operation.Body.IsEmpty;
            default:
                if (!StoredTriggerCursor.TryRead(operation.Body, out _))
                    return false;
                context.Put(StoreKeys.Of(buffer, StoreKeys.TriggerCursor, operation.Key), operation.Body);
                return true;
        }
    }

    private static long CountNow(in ApplyContext context)
    {
        using var reader = context.Read();
        return reader.Count(StoreKeys.Trigger, ulong.MaxValue);
    }

    internal override void Encode(Batch batch, PendingWrite write) => Invariant.Broken("triggers are written outside transactions");

    internal static void AddDefine(Batch batch, ReadOnlySpan<byte> name, ReadOnlySpan<byte> definition)
    {
        definition.CopyTo(batch.AddIndexed(OperationCode.TriggerDefine, name, definition.Length, Writes));
        batch.NeedsResolve = true;
    }

    internal static void AddDrop(Batch batch, ReadOnlySpan<byte> name)
    {
        batch.AddIndexed(OperationCode.TriggerDrop, name, 0, Writes);
        batch.NeedsResolve = true;
    }

    internal static void AddCursor(Batch batch, ReadOnlySpan<byte> name, StoredTriggerCursor cursor)
    {
        var bytes = cursor.ToBytes();
        bytes.CopyTo(batch.Add(OperationCode.TriggerCursor, 0, name, bytes.Length, 1));
    }
}

/// <summary>Where a trigger stands; the layout is in the essay above.</summary>
internal sealed record StoredTriggerCursor(
    TriggerState State, bool WasMet, ulong Fired, ulong Sequence, ulong Position, uint Check, string Error)
{
    internal const int ErrorBytesMax = 1024;

    private const int ErrorOffset = 30;

    /// <summary>False when the bytes are none.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> source, out StoredTriggerCursor? cursor)
    {
        cursor = null;
        if (source.Length is < ErrorOffset or > ErrorOffset + ErrorBytesMax || source[0] > (byte)TriggerState.Completed || source[1] > 1
            || !Utf8.TryGetString(source[ErrorOffset..], out var error))
        {
            return false;
        }

        cursor = new StoredTriggerCursor(
            (TriggerState)source[0], source[1] == 1, BinaryPrimitives.ReadUInt64LittleEndian(source[2..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[10..]), BinaryPrimitives.ReadUInt64LittleEndian(source[18..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[26..]), error);
        return true;
    }

    internal byte[] ToBytes()
    {
        var error = Utf8.GetBytes(Error);
        if (error.Length > ErrorBytesMax)
            error = Utf8.GetBytes(Error[..(ErrorBytesMax / Utf8.BytesPerCharMax)].TrimEnd(HighSurrogates));
        var bytes = new byte[ErrorOffset + error.Length];
        bytes[0] = (byte)State;
        bytes[1] = WasMet ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(2), Fired);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(10), Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(18), Position);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(26), Check);
        error.CopyTo(bytes, ErrorOffset);
        return bytes;
    }

    // A cut between the halves of a pair leaves no half.
    private static readonly char[] HighSurrogates = [.. Enumerable.Range(0xD800, 0x400).Select(code => (char)code)];
}
