// The state hash: SHA-256 of everything that a later operation could observe, at one sequence. Two databases with the same hash answer
// every question in the same way; the same log gives the same hash, whoever applied it, where and however often (G5, RCV-R1).
//
//   in     keys, value bytes, sequences (of the version and of the key's creation), commit times, expiries; events with their chain
//          and its head, consumers, idempotency keys; counters of state cells, of deleted and expired ones too; records and results
//          of runs
//   out    $sys; what follows from the rest (counts, orders, streams of types); versions that were swept, deleted or have expired;
//          where things lie in memory or in the log
//
//   item   kind u8, key length u32, key, ...                               integers little-endian, keys in ascending order
//            1 live    sequence u64, created u64, time i64, expiry i64, length u32, value
//            2 ended   length u32, what outlasts the value: a state cell's counter. Deleted and expired are the same here, because
//                      removing what has expired is no write (S3 of StateOperations)
//   run    SHA-256 of "cairn run state 1", then its items
//   whole  SHA-256 of "cairn state 1", then for every run in order of ids: id, hash of the run, SHA-256 of the items of its record
//
// Expiry is judged at a time that is part of the question: the commit time of the sequence, or the time of a snapshot. No clock is read.
// What follows from the rest has a hash of its own (Everything below), for deep verification: it must be the same as what the log
// gives, but it is no part of the state, so that an order can be added without a new hash.
//
// Costs a read of all keys and values: O(state), about the speed of SHA-256. Holds no lock; a pin keeps the versions, and readers
// of the epoch are let go every few hundred keys.

using System.Buffers.Binary;
using System.Security.Cryptography;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. The caller pins the sequence. One thread.</summary>
internal sealed class StateHash : IDisposable
{
    private const byte Live = 1;
    private const byte Ended = 2;
    private const int KeysPerReader = 512;

    private readonly OperationTable _operations;
    private readonly ulong _sequence;
    private readonly long _time;
    private readonly IncrementalHash _run = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] _item = new byte[1 + 4 + 4 * 8 + 4];
    private readonly bool[] _isDerived = new bool[256];
    private readonly int[] _remains = new int[256];

    /// <param name="time">At which expiry is judged.</param>
    internal StateHash(OperationTable operations, ulong sequence, long time)
    {
        (_operations, _sequence, _time) = (operations, sequence, time);
        _isDerived[StoreKeys.CountFamily] = _isDerived[StoreKeys.ExpiryFamily] = true;
        foreach (var set in _operations.Sets)
        {
            for (var family = 0; family < 256; family++)
            {
                if (!set.Owns((byte)family))
                    continue;
                _isDerived[family] = set.IsDerived((byte)family);
                _remains[family] = set.RemainsBytes;
            }
        }
    }

    /// <summary>Hash of what a run holds; its record is not in it.</summary>
    internal Hash256 OfRun(RunState run)
    {
        _run.AppendData("cairn run state 1"u8);
        AppendItems(run.Store, [], [], isWhole: false);
        return Finish(_run);
    }

    /// <summary>Hash of all runs.</summary>
    /// <param name="find">The state of a run that the catalogue has at the sequence.</param>
    internal Hash256 OfAll(Catalogue catalogue, Func<RunId, RunState> find)
    {
        using var whole = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        whole.AppendData("cairn state 1"u8);
        Span<byte> bytes = stackalloc byte[Math.Max(Hash256.Size, RunId.Size)];
        foreach (var id in RunsOf(catalogue))
        {
            id.Write(bytes);
            whole.AppendData(bytes[..RunId.Size]);
            OfRun(find(id)).CopyTo(bytes);
            whole.AppendData(bytes[..Hash256.Size]);
            OfRecord(catalogue, id).CopyTo(bytes);
            whole.AppendData(bytes[..Hash256.Size]);
        }

        return Finish(whole);
    }

    /// <summary>Hash of every key of a store, with what follows from the rest and what has expired; deleted keys are left out unless
    /// something remains of them.</summary>
    internal Hash256 Everything(RunStore store)
    {
        AppendItems(store, [], [], isWhole: true);
        return Finish(_run);
    }

    /// <summary>The runs there are at the sequence, in order, without <c>$sys</c>.</summary>
    internal SortedSet<RunId> RunsOf(Catalogue catalogue)
    {
        var ids = new SortedSet<RunId> { RunId.Default };
        byte[] from = [StoreKeys.Run];
        byte[] to = [StoreKeys.Run + 1];
        using var reader = catalogue.State.Store.Read();
        var scan = reader.Scan(from, to, _sequence);
        while (scan.MoveNext())
            ids.Add(RunId.Read(scan.Key[1..]));
        ids.Remove(RunId.System);
        return ids;
    }

    private Hash256 OfRecord(Catalogue catalogue, RunId id)
    {
        Span<byte> bytes = stackalloc byte[RunId.Size];
        id.Write(bytes);
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        using var reader = catalogue.State.Store.Read();
        foreach (var family in (ReadOnlySpan<byte>)[StoreKeys.Run, StoreKeys.RunResult])
        {
            StoreKeys.Of(key, family, bytes);
            if (reader.TryGet(key, _sequence, out var version))
                Append(key, version, isWhole: false);
        }

        return Finish(_run);
    }

    private void AppendItems(RunStore store, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, bool isWhole)
    {
        byte[]? last = null;
        do
        {
            using var reader = store.Read();
            var scan = reader.Scan(last ?? from, to, _sequence, withTombstones: true);
            last = null;
            for (var keys = 0; scan.MoveNext(); keys++)
            {
                if (keys == KeysPerReader)
                {
                    last = scan.Key.ToArray();
                    break;
                }

                if (isWhole || !_isDerived[scan.Key[0]])
                    Append(scan.Key, scan.Version, isWhole);
            }
        }
        while (last is not null);
    }

    private void Append(ReadOnlySpan<byte> key, in VersionView version, bool isWhole)
    {
        var isLive = isWhole ? !version.IsTombstone : version.IsLiveAt(_time);
        var remains = version.IsTombstone ? version.Value : version.Value[..Math.Min(_remains[key[0]], version.Value.Length)];
        if (!isLive && remains.IsEmpty)
            return;
        var item = _item.AsSpan();
        item[0] = isLive ? Live : Ended;
        BinaryPrimitives.WriteInt32LittleEndian(item[1..], key.Length);
        _run.AppendData(item[..5]);
        _run.AppendData(key);
        var at = 0;
        if (isLive)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(item, version.Sequence);
            BinaryPrimitives.WriteUInt64LittleEndian(item[8..], version.Created);
            BinaryPrimitives.WriteInt64LittleEndian(item[16..], version.Time);
            BinaryPrimitives.WriteInt64LittleEndian(item[24..], version.Expiry);
            at = 32;
        }

        var value = isLive ? version.Value : remains;
        BinaryPrimitives.WriteInt32LittleEndian(item[at..], value.Length);
        _run.AppendData(item[..(at + 4)]);
        _run.AppendData(value);
    }

    private static Hash256 Finish(IncrementalHash hash)
    {
        Span<byte> bytes = stackalloc byte[Hash256.Size];
        hash.GetHashAndReset(bytes);
        return new Hash256(bytes);
    }

    public void Dispose() => _run.Dispose();
}
