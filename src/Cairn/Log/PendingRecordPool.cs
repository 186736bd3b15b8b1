using System.Collections.Concurrent;

namespace Cairn.Log;

/// <summary>Records for commits that nobody blocks on: the log's writer gives them back when they are written.</summary>
internal static class PendingRecordPool
{
    private const int KeptMax = 1024;

    private static readonly ConcurrentQueue<PendingRecord> Free = new();
    private static int _kept;

    internal static PendingRecord Rent()
    {
        if (Free.TryDequeue(out var record))
        {
            Interlocked.Decrement(ref _kept);
            record.Reset();
        }
        else
        {
            record = new PendingRecord();
        }

        record.IsPooled = true;
        return record;
    }

    internal static void Return(PendingRecord record)
    {
        if (Volatile.Read(ref _kept) >= KeptMax)
            return;
        Interlocked.Increment(ref _kept);
        Free.Enqueue(record);
    }
}
