using System.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Checkpoints;

/// <summary>What an opening and a first read cost: the log since the checkpoint, and nothing that grows with the entries. Counted in
/// calls of the storage, which no load of the machine changes; the time is printed.</summary>
public class OpeningCostTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "RCV-12")]
    public void RCV_12_Opening_and_the_first_read_do_not_depend_on_how_much_there_is(bool inManyRuns)
    {
        var small = Measure(500, inManyRuns);
        var large = Measure(inManyRuns ? 5_000 : 50_000, inManyRuns);

        // One more level of the index is one more block for each of the few keys that are read.
        Assert.InRange(large.Reads, 1, small.Reads + 12);
        Assert.InRange(large.Others, 1, small.Others + 4);
    }

    private static (long Reads, long Others) Measure(int entries, bool inManyRuns)
    {
        var storage = new MemoryStorage();
        var id = default(RunId);
        using (var test = new TestDatabase(Durability.Buffered, Large, storage))
        {
            for (var i = 0; i < entries; i += 500)
            {
                test.Db.Default.Transact(tx =>
                {
                    for (var k = i; k < i + 500 && !inManyRuns; k++)
                        tx.Kv.Put($"key-{k}", k);
                });
                for (var k = i; k < i + 500 && inManyRuns; k++)
                {
                    var run = test.Db.Runs.Begin($"run-{k}");
                    run.Kv.Put("key-7", k);
                    if (k == entries / 2)
                        id = run.Id;
                }
            }
        }

        var counted = new CountingStorage(storage);
        var began = Stopwatch.GetTimestamp();
        using var opened = new TestDatabase(Durability.Buffered, Large, counted);
        Assert.Equal(0, opened.Db.Recovery.Transactions);
        var run2 = inManyRuns ? opened.Db.Runs.Get(id)! : opened.Db.Default;
        Assert.Equal(inManyRuns ? entries / 2 : 7, run2.Kv.Get("key-7")?.AsInt64());
        var time = Stopwatch.GetElapsedTime(began);
        var reads = counted.Count(StorageCall.Read);
        var others = counted.Count(StorageCall.All & ~(StorageCall.Read | StorageCall.Write));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{entries} entries: {reads} reads of {counted.BytesRead} bytes, {others} other calls, {time.TotalMilliseconds:f1} ms");
        return (reads, others);
    }

    private static CairnOptions Large(CairnOptions options) => options with { SegmentBytesMax = 64 << 20 };
}
