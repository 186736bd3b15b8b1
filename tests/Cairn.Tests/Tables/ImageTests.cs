using System.Globalization;
using System.Text;
using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>Tables and images against a plain sorted list of all versions.</summary>
public class ImageTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void Random_images_read_like_a_sorted_list()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(40), output))
        {
            var random = new Random(seed);
            using var bed = new TableTestBed();
            var rows = new List<Row>();
            var image = Image.Empty;
            var sequence = 0UL;
            var keys = MakeKeys(random, random.Next(1, 60));
            var runs = Enumerable.Range(1, random.Next(1, 4)).Select(i => new RunId((UInt128)i << random.Next(100))).Distinct().ToArray();
            for (var table = 1u; table <= random.Next(1, 7); table++)
            {
                var added = new List<Row>();
                for (var i = random.Next(0, 300); i > 0; i--)
                    added.Add(MakeRow(random, runs[random.Next(runs.Length)], keys[random.Next(keys.Length)], ++sequence));
                rows.AddRange(added);
                image = image.With(bed.Make(table, added));
            }

            rows.Sort(RowOrder.Instance);
            Compare(image, rows, runs, keys, sequence, random);
        }
    }

    private static void Compare(Image image, List<Row> rows, RunId[] runs, byte[][] keys, ulong last, Random random)
    {
        var versions = image.Versions();
        foreach (var row in rows)
        {
            Assert.True(versions.MoveNext());
            Assert.Equal(row.Run, versions.Run);
            Assert.Equal(row.Key, versions.Key.ToArray());
            Assert.True(row.IsTheSameAs(versions.Version));
        }

        Assert.False(versions.MoveNext());
        for (var i = 0; i < 60; i++)
        {
            var run = runs[random.Next(runs.Length)];
            var key = random.Next(5) == 0 ? MakeKeys(random, 1)[0] : keys[random.Next(keys.Length)];
            var at = random.Next(4) == 0 ? ulong.MaxValue : (ulong)random.NextInt64((long)last + 2);
            var expected = rows.FirstOrDefault(row => row.Run == run && row.Key.AsSpan().SequenceEqual(key) && row.Sequence <= at);
            Assert.Equal(expected is not null, image.TryGet(run, key, at, out var view));
            if (expected is not null)
            {
                Assert.True(expected.IsTheSameAs(view));
                Assert.True(image.MayHave(run, key));
            }

            CompareScan(image, rows, run, keys[random.Next(keys.Length)], random.Next(3) == 0 ? [] : keys[random.Next(keys.Length)], at);
        }

        foreach (var run in runs)
            CompareScan(image, rows, run, [], [], ulong.MaxValue);
    }

    private static void CompareScan(Image image, List<Row> rows, RunId run, byte[] from, byte[] to, ulong at)
    {
        var expected = rows
            .Where(row => row.Run == run && row.Sequence <= at && row.Key.AsSpan().SequenceCompareTo(from) >= 0
                && (to.Length == 0 || row.Key.AsSpan().SequenceCompareTo(to) < 0))
            .GroupBy(row => Convert.ToHexString(row.Key)).Select(group => group.First()).ToList();
        foreach (var reverse in new[] { false, true })
        {
            var scan = image.Scan(run, from, to, at, reverse);
            foreach (var row in reverse ? Enumerable.Reverse(expected) : expected)
            {
                Assert.True(scan.MoveNext());
                Assert.Equal(row.Key, scan.Key.ToArray());
                Assert.True(row.IsTheSameAs(scan.Version));
            }

            Assert.False(scan.MoveNext());
        }
    }

    internal static byte[][] MakeKeys(Random random, int count) => [.. Enumerable.Range(0, count).Select(i => random.Next(4) switch
    {
        0 => Encoding.UTF8.GetBytes("\u0010user/" + random.Next(100).ToString(CultureInfo.InvariantCulture)),
        1 => Random(random, random.Next(0, 5)),
        2 => [0x10, .. Random(random, random.Next(1, 1033))],
        _ => [0x30, 0, 0, 0, 0, 0, 0, 0, (byte)random.Next(256)],
    })];

    internal static Row MakeRow(Random random, RunId run, byte[] key, ulong sequence)
    {
        var isTombstone = random.Next(5) == 0;
        var isContent = !isTombstone && random.Next(5) == 0;
        var value = isContent ? Random(random, 16)
            : isTombstone ? Random(random, random.Next(3) == 0 ? 8 : 0)
            : Random(random, random.Next(20) == 0 ? random.Next(100_000) : random.Next(200));
        return new Row(
            run, key, sequence, value, random.NextInt64(), random.Next(4) == 0 ? random.NextInt64() : 0, isTombstone, isContent,
            random.Next(2) == 0 ? null : (ulong)random.NextInt64((long)sequence + 1));
    }

    private static byte[] Random(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
