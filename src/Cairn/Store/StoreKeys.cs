using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// Families of keys inside a run's store: the first byte. No user key can imitate another family, because it is written behind
/// its own. Keys are never on disk by themselves; they follow from the operations.
/// <code>
///  01 family             versioned count of a family
///  0E expiry i64 key     expiry order of the keys that have one
///  10 key                Kv
///  20 id                 documents; 21 id 00 node ...: their nodes (DocumentKeys.cs); 22 id: their headers
///  30 number u64         events; 30 alone: their floor; 31 type: stream of a type; 32: head; 33 consumer: its position
///  40 name               state cells
///  50 id                 traces; 51 time id; 52 type 0 time id; 53 tag 0 time id; 54 parent time id: their orders
///  60 id                 runs (catalogue); 61 name; 62 parent id; 63 tag 0 id; 64 status id; 65 id: its result;
///     66 id: its policy of retention; 67 base id: forks by the run that they read through to
///  70 name               collections of vectors; 71 name 00 key: heads; 72 name 00 id: rows; 73 name: numbers (VectorKeys.cs)
///  92 name               triggers; 94 name: where each stands; 68 id (catalogue): runs that have some
///  69 id                 where a run was merged from, by the source; 6A number: events that came with a merge
///  6B id                 (catalogue) runs with indexes that are being built or cleared
///  80 id                 concepts; 81 source 00 type 00 target: associations; 82: the same, from their targets; 83 end: how many it has;
///     84 id: content of a concept; 85 type 00 id, 86 time id: their orders; 87 id: how it was used; 88 id: its attributes
///  90 name               indexes; 91 number ...: their items; 93 number: how far each is; 96 is counted only: the numbers given
///  97 key                idempotency keys
///  98 name               subscriptions </code>
/// Numbers are big-endian, because order is their meaning.
/// </summary>
internal static class StoreKeys
{
    internal const byte CountFamily = RunStore.CountFamily;
    internal const byte ExpiryFamily = 0x0E;
    internal const byte Kv = 0x10;
    internal const byte Json = 0x20;
    internal const byte JsonNode = 0x21;
    internal const byte JsonHeader = 0x22;
    internal const byte Event = 0x30;
    internal const byte EventStream = 0x31;
    internal const byte EventHead = 0x32;
    internal const byte Consumer = 0x33;
    internal const byte State = 0x40;
    internal const byte Trace = 0x50;
    internal const byte TraceTime = 0x51;
    internal const byte TraceType = 0x52;
    internal const byte TraceTag = 0x53;
    internal const byte TraceParent = 0x54;
    internal const byte Run = 0x60;
    internal const byte RunName = 0x61;
    internal const byte RunParent = 0x62;
    internal const byte RunTag = 0x63;
    internal const byte RunStatusOrder = 0x64;
    internal const byte RunResult = 0x65;
    internal const byte RunRetention = 0x66;
    internal const byte RunFork = 0x67;
    internal const byte RunTriggers = 0x68;
    internal const byte Merged = 0x69;
    internal const byte MergedEvents = 0x6A;
    internal const byte RunIndexes = 0x6B;
    internal const byte VectorCollection = 0x70;
    internal const byte VectorHead = 0x71;
    internal const byte VectorRow = 0x72;
    internal const byte VectorNumbers = 0x73;
    internal const byte Concept = 0x80;
    internal const byte Association = 0x81;
    internal const byte AssociationByTarget = 0x82;
    internal const byte Degree = 0x83;
    internal const byte ConceptContent = 0x84;
    internal const byte ConceptType = 0x85;
    internal const byte ConceptTime = 0x86;
    internal const byte ConceptUse = 0x87;
    internal const byte ConceptAttributes = 0x88;
    internal const byte Index = 0x90;
    internal const byte IndexItem = 0x91;
    internal const byte Trigger = 0x92;
    internal const byte IndexState = 0x93;
    internal const byte TriggerCursor = 0x94;
    internal const byte IndexNumbers = 0x96;
    internal const byte Idempotency = 0x97;
    internal const byte Subscription = 0x98;

    internal const int ExpiryPrefixBytes = 9;

    /// <summary>Family byte, then the rest as it is.</summary>
    internal static ReadOnlySpan<byte> Of(Span<byte> target, byte family, scoped ReadOnlySpan<byte> rest)
    {
        rest.CopyTo(target[1..]);
        if (rest.Length >= sizeof(ulong))                    // one store for the first word, because it is hashed as one right away
            BinaryPrimitives.WriteUInt64LittleEndian(target, family | BinaryPrimitives.ReadUInt64LittleEndian(rest) << 8);
        else
            target[0] = family;
        return target[..(1 + rest.Length)];
    }

    internal static ReadOnlySpan<byte> Of(Span<byte> target, byte family, ulong number)
    {
        target[0] = family;
        BinaryPrimitives.WriteUInt64BigEndian(target[1..], number);
        return target[..9];
    }

    internal static ReadOnlySpan<byte> Expiry(Span<byte> target, long expiry, ReadOnlySpan<byte> storeKey)
    {
        target[0] = ExpiryFamily;
        BinaryPrimitives.WriteInt64BigEndian(target[1..], expiry);
        storeKey.CopyTo(target[ExpiryPrefixBytes..]);
        return target[..(ExpiryPrefixBytes + storeKey.Length)];
    }

    /// <summary>The expiry in a key of the expiry order.</summary>
    internal static long ExpiryTime(ReadOnlySpan<byte> orderKey) => BinaryPrimitives.ReadInt64BigEndian(orderKey[1..]);
}
