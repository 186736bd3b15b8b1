using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Cairn.Bench.Bare;

/// <summary>
/// A private hash table in native memory: open addressing over 16-byte slots <c>(hash, record)</c>, records
/// <c>[key length u32 | value length u32 | key | value]</c> in one block, values of one size overwritten in place. No versions,
/// no order, no sharing, no growth: what two threads on two such tables lose against one is what the machine takes.
/// </summary>
internal sealed unsafe class NativeTable : IDisposable
{
    private const int KeyBytesMax = 64;
    private const int RecordHeaderBytes = 8;

    private readonly Slot* _slots;
    private readonly nuint _mask;
    private readonly byte* _records;
    private readonly nuint _recordBytes;
    private readonly int _capacity;
    private int _count;

    internal NativeTable(int capacity, int keyBytes, int valueBytes)
    {
        _capacity = capacity;
        var slots = System.Numerics.BitOperations.RoundUpToPowerOf2((nuint)capacity * 2);
        _mask = slots - 1;
        _slots = (Slot*)NativeMemory.AllocZeroed(slots, (nuint)sizeof(Slot));
        _recordBytes = (nuint)(RecordHeaderBytes + keyBytes + valueBytes + 7 & ~7);
        _records = (byte*)NativeMemory.Alloc((nuint)capacity, _recordBytes);
    }

    [SkipLocalsInit]
    internal void Put(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = buffer[..Encoding.UTF8.GetBytes(key, buffer)];
        var hash = Hash(encoded);
        var slot = Find(encoded, hash);
        if (slot->Record is null)
        {
            if (_count == _capacity || (nuint)(RecordHeaderBytes + encoded.Length + value.Length) > _recordBytes)
                throw new InvalidOperationException("The table has no room for this record.");
            var record = _records + (nuint)_count++ * _recordBytes;
            *(int*)record = encoded.Length;
            encoded.CopyTo(new Span<byte>(record + RecordHeaderBytes, encoded.Length));
            *slot = new Slot { Hash = hash, Record = record };
        }

        *(int*)(slot->Record + 4) = value.Length;
        value.CopyTo(new Span<byte>(slot->Record + RecordHeaderBytes + encoded.Length, value.Length));
    }

    public void Dispose()
    {
        NativeMemory.Free(_slots);
        NativeMemory.Free(_records);
    }

    private Slot* Find(ReadOnlySpan<byte> key, ulong hash)
    {
        for (var at = (nuint)hash & _mask; ; at = (at + 1) & _mask)
        {
            var slot = _slots + at;
            if (slot->Record is null)
                return slot;
            if (slot->Hash == hash && key.SequenceEqual(new ReadOnlySpan<byte>(slot->Record + RecordHeaderBytes, *(int*)slot->Record)))
                return slot;
        }
    }

    /// <summary>Multiply and fold, eight bytes a step.</summary>
    private static ulong Hash(ReadOnlySpan<byte> key)
    {
        const ulong Factor = 0x9E3779B97F4A7C15;
        var hash = (ulong)key.Length;
        for (; key.Length >= sizeof(ulong); key = key[sizeof(ulong)..])
            hash = Fold(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(key), Factor);
        ulong tail = 0;
        foreach (var b in key)
            tail = tail << 8 | b;
        return Fold(hash ^ tail, Factor);
    }

    private static ulong Fold(ulong value, ulong factor)
    {
        var high = Math.BigMul(value, factor, out var low);
        return high ^ low;
    }

    private struct Slot
    {
        internal ulong Hash;
        internal byte* Record;
    }
}
