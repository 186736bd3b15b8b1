using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>CNT-5: many contents on a disk. At a merge 10,000 of 0 B to 100 KiB; at nightly size 1,000,000 of 0.1 to 10 KB.</summary>
[Trait("Gate", "Merge")]
[Trait("Kind", "Random")]
public sealed class ContentScaleTests : IDisposable
{
    private const long Budget = 16 << 20;
    private const int Many = 100_000;

    private static readonly byte[] Source = MakeSource();

    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-contents-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    [Trait("Requirement", "CNT-5")]
    public void CNT_5_Many_contents_are_stored_read_iterated_and_found_again_within_the_budget()
    {
        var seed = Seeds.Begin(nameof(CNT_5_Many_contents_are_stored_read_iterated_and_found_again_within_the_budget));
        var count = Seeds.Scaled(10_000);
        var options = new CairnOptions { Durability = Durability.Buffered, ContentMemoryBytes = Budget };
        var began = Stopwatch.GetTimestamp();
        using (var db = CairnDatabase.Open(_directory, options))
        {
            for (var number = 0; number < count; number++)
            {
                db.Default.Kv.Put(Key(number), Value.Bytes(Content(seed, number, count)));
                if (number % 1_000 == 0)
                    AssertBounded(db);
            }

            ReadSome(db, seed, count);
            AssertBounded(db);
        }

        using (var db = CairnDatabase.Open(_directory, options with { RandomSeed = 1 }))
        {
            Assert.Equal(0, db.Metrics.ContentAttachedBytes);
            ReadSome(db, seed, count);
            Iterate(db, seed, count);
            AssertBounded(db);
        }

        Ledger.Add("CNT-5", "contents stored, read, iterated and found again", seed, count, Stopwatch.GetElapsedTime(began));
    }

    private static void AssertBounded(CairnDatabase db)
    {
        var metrics = db.Metrics;
        Assert.InRange(metrics.ContentAttachedBytes, 0, Budget + (4 << 20));
        Assert.InRange(metrics.ContentCachedBytes, 0, Budget);
    }

    private static void ReadSome(CairnDatabase db, ulong seed, int count)
    {
        var random = new Random((int)seed);
        for (var i = 0; i < Math.Min(count, 5_000); i++)
        {
            var number = random.Next(count);
            Assert.Equal(Value.Bytes(Content(seed, number, count)), db.Default.Kv.Get(Key(number)));
        }
    }

    private static void Iterate(CairnDatabase db, ulong seed, int count)
    {
        var number = 0;
        string? cursor = null;
        do
        {
            var page = db.Default.Kv.Scan(new ScanOptions { Limit = 200, Cursor = cursor });
            foreach (var (key, found) in page)
            {
                Assert.Equal(Key(number), key);
                Assert.True(found.Value.AsBytes().Span.SequenceEqual(Content(seed, number, count)), key);
                number++;
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
        Assert.Equal(count, number);
    }

    private static string Key(int number) => number.ToString("D8", CultureInfo.InvariantCulture);

    // A piece of the source that seed and number fix; short ones are more frequent than long ones.
    private static ReadOnlySpan<byte> Content(ulong seed, int number, int count)
    {
        var mixed = (seed + (ulong)number + 1) * 0x9E37_79B9_7F4A_7C15;
        var fraction = (mixed >> 40) / (double)(1 << 24);
        var length = count >= Many ? 100 + (int)(fraction * 9_900) : (int)(fraction * fraction * fraction * (100 << 10));
        return Source.AsSpan((int)(mixed % (ulong)(Source.Length - length)), length);
    }

    private static byte[] MakeSource()
    {
        var source = new byte[1 << 20];
        new Random(5).NextBytes(source);
        return source;
    }
}
