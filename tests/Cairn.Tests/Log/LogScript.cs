using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Recovery;
using Cairn.Storage;

namespace Cairn.Tests.Log;

/// <summary>The least writer there can be over a log device: one record at a time, synced when told. It keeps the oracle: every
/// transaction ever issued, and how many were acknowledged as durable.</summary>
internal sealed class LogScript : IDisposable
{
    internal const long Hour = 3_600_000_000;

    private readonly IStorage storage;
    private readonly Chance chance;
    private readonly LogOptions options;
    private byte[] batch = new byte[4096];
    private int batched;
    private ulong position;
    private uint chain;
    private long time;

    internal LogScript(IStorage storage, ulong seed, LogOptions? options = null, List<byte[]>? trace = null)
    {
        this.storage = storage;
        chance = new Chance(seed);
        this.options = options ?? Options(seed);
        Trace = trace ?? [];
    }

    internal static LogOptions Options(ulong seed, long min = 6 << 10, long max = 24 << 10)
    {
        var random = new Chance(seed);
        return new LogOptions { SegmentBytesMin = min, SegmentBytesMax = max, Random = random.Fill, Clock = new StillClock() };
    }

    /// <summary>Payloads of all transactions, by sequence - 1.</summary>
    internal List<byte[]> Trace { get; }

    /// <summary>Transactions that may not be lost.</summary>
    internal int Acknowledged { get; set; }

    internal RecoveredLog? Recovered { get; private set; }

    internal SegmentedLog Log => Recovered!.Log;

    internal ulong Position => position;

    /// <summary>Opens, and checks what was recovered against the oracle.</summary>
    internal void Open()
    {
        var seen = new List<byte[]>();
        Recovered = Cairn.Recovery.Recovery.Open(storage, options, Collect(seen));
        CheckPrefix(seen, Recovered);
        Trace.RemoveRange(seen.Count, Trace.Count - seen.Count);
        Acknowledged = seen.Count;
        var start = options.IsReadOnly ? new LogStart(Recovered.NextPosition, Recovered.Chain) : Log.Begin();
        (position, chain) = (start.Position, start.Chain);
        time = Recovered.LastCommitTime;
        batched = 0;
    }

    internal void CheckPrefix(List<byte[]> seen, RecoveredLog recovered)
    {
        if (seen.Count < Acknowledged)
            throw new LostException($"{Acknowledged} acknowledged, {seen.Count} recovered");
        if (seen.Count > Trace.Count)
            throw new LostException($"{Trace.Count} issued, {seen.Count} recovered");
        for (var i = 0; i < seen.Count; i++)
        {
            if (!seen[i].AsSpan().SequenceEqual(Trace[i]))
                throw new LostException($"transaction {i + 1} differs");
        }

        if (recovered.LastSequence != (ulong)seen.Count)
            throw new LostException($"last sequence {recovered.LastSequence}, recovered {seen.Count}");
        if (seen.Count > 0 && recovered.LastCommitTime < TransactionPayload.ReadCommitTime(seen[^1]))
            throw new LostException("the commit clock went back");
    }

    internal static ApplyRecord Collect(List<byte[]> seen) => (in RecordHeader header, ReadOnlySpan<byte> payload, ulong _) =>
    {
        if (header.Type != RecordType.Transaction)
            return;
        if (header.Sequence != (ulong)seen.Count + 1)
            throw new LostException($"sequence {header.Sequence} after {seen.Count}");
        seen.Add(payload.ToArray());
    };

    /// <summary>Adds a transaction to the batch.</summary>
    internal void Commit(int valueBytes)
    {
        time += 1000;
        var value = new byte[valueBytes];
        chance.Fill(value);
        Commit(Payloads.Transaction(time, valueBytes == 0 ? [] : [0x80], Payloads.Part(RunId.Default, RunPart.NoPrevious, Payloads.Operation(0x10, "key"u8, value))));
    }

    internal void Commit(byte[] payload)
    {
        MakeRoom(RecordFrame.LengthOf(payload.Length));
        Trace.Add(payload);
        Add(RecordType.Transaction, payload, (ulong)Trace.Count);
    }

    internal void Mark() => Add(RecordType.DurableMark, [], (ulong)Trace.Count);

    internal void Write()
    {
        if (batched == 0)
            return;
        Log.Append(position - (ulong)batched, batch.AsSpan(0, batched));
        batched = 0;
    }

    internal void Sync()
    {
        Write();
        Log.Sync();
        Acknowledged = Trace.Count;
    }

    internal void Rotate(long recordBytes = 0)
    {
        Sync();
        Log.Prepare(recordBytes);
        Seal();
        Log.Rotate((ulong)Trace.Count + 1, time);
        chain = Log.FirstChain;
    }

    internal void Close()
    {
        Sync();
        Seal();
        Log.Close(position, (ulong)Trace.Count, time);
    }

    /// <summary>One random step of a writer.</summary>
    internal void Step()
    {
        switch (chance.Below(16))
        {
            case < 9:
                Commit(chance.Below(chance.OneIn(8) ? 3000 : 120));
                break;
            case < 11:
                Write();
                break;
            case < 13:
                Sync();
                break;
            case 13:
                Sync();
                Mark();
                Sync();
                break;
            case 14:
                Log.Prepare(0);
                break;
            default:
                Rotate();
                break;
        }
    }

    public void Dispose() => Recovered?.Log.Dispose();

    private void MakeRoom(long recordBytes)
    {
        if (position + (ulong)recordBytes > Log.EndPosition)
            Rotate(recordBytes);
    }

    private void Seal()
    {
        Span<byte> payload = stackalloc byte[Cairn.Log.Seal.Size];
        Span<byte> digest = stackalloc byte[Digest.Size];
        Log.Digest(digest);
        new Seal(Log.RecordCount, (ulong)Trace.Count, Digest.Read(digest)).Write(payload);
        Add(RecordType.Seal, payload, (ulong)Trace.Count);
        Write();
        Log.Sync();
    }

    private void Add(RecordType type, ReadOnlySpan<byte> payload, ulong sequence)
    {
        var length = (int)RecordFrame.LengthOf(payload.Length);
        if (type == RecordType.DurableMark)
            MakeRoom(length);
        if (batched + length > batch.Length)
            Array.Resize(ref batch, Math.Max(batched + length, 2 * batch.Length));
        var record = batch.AsSpan(batched, length);
        payload.CopyTo(record[RecordHeader.Size..]);
        var check = RecordFrame.PayloadCheck(Log.Salt, payload);
        RecordFrame.Finish(record, payload.Length, Log.Salt, position, sequence, Math.Min(Log.SyncedPosition, position), chain, check, type);
        chain = check;
        position += (ulong)length;
        batched += length;
    }
}

/// <summary>The oracle disagrees with what was recovered.</summary>
internal sealed class LostException(string message) : Exception(message);

internal sealed class StillClock : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long GetTimestamp() => 0;
}

/// <summary>Builds transaction payloads byte by byte.</summary>
internal static class Payloads
{
    internal static byte[] Transaction(long commitTime, byte[] attributes, params byte[][] parts)
    {
        var head = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(head, commitTime);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(8), attributes.Length);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(12), parts.Length);
        return [.. head, .. attributes, .. parts.SelectMany(part => part)];
    }

    internal static byte[] Part(RunId run, ulong previous, params byte[][] operations)
    {
        var head = new byte[32];
        run.Write(head);
        BinaryPrimitives.WriteUInt64LittleEndian(head.AsSpan(16), previous);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(24), operations.Length);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(28), operations.Sum(operation => operation.Length));
        return [.. head, .. operations.SelectMany(operation => operation)];
    }

    internal static byte[] Operation(byte code, ReadOnlySpan<byte> key, ReadOnlySpan<byte> body, byte flags = 0)
    {
        var head = new byte[8];
        head[0] = code;
        head[1] = flags;
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(2), (ushort)key.Length);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(4), body.Length);
        return [.. head, .. key, .. body];
    }
}
