using System.Numerics;
using System.Runtime.InteropServices;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>Searches that look at every vector, by element and metric, with a filter and without, in memory; and the writes and reads of
/// one.</summary>
internal sealed class FlatPart(RecallRun run)
{
    private const int Dimension = 384;
    private const int LargeDimension = 768;
    private const int LargeCount = 10_000;
    private const int Calls = 5;

    private readonly Series _plainSum = Series.For(null);
    private readonly Series _wideSum = Series.For(null);
    private readonly Series _cosine = Series.For(null);
    private readonly Series _dot = Series.For(null);
    private readonly Series _euclidean = Series.For(null);
    private readonly Series _half = Series.For(null);
    private readonly Series _bytes = Series.For(null);
    private readonly Series _rare = Series.For(null);
    private readonly Series _common = Series.For(null);
    private readonly Series _large = Series.For(null);
    private readonly Series _insert = Series.For(null);
    private readonly Series _get = Series.For(null);

    internal void Run()
    {
        var count = run.Vectors;
        var random = new Random(1);
        var data = new float[(long)count * Dimension];
        for (var i = 0; i < data.Length; i++)
            data[i] = (float)random.NextDouble() - 0.5f;
        using var db = CairnDatabase.OpenInMemory();
        var vectors = db.Default.Vectors;
        foreach (var (name, metric, element) in new[]
                 {
                     ("cosine", VectorMetric.Cosine, VectorElement.F32), ("dot", VectorMetric.Dot, VectorElement.F32),
                     ("euclidean", VectorMetric.Euclidean, VectorElement.F32), ("half", VectorMetric.Cosine, VectorElement.F16),
                     ("bytes", VectorMetric.Cosine, VectorElement.I8),
                 })
        {
            vectors.CreateCollection(name, new VectorDefinition { Dimension = Dimension, Metric = metric, Element = element });
            for (var i = 0; i < count; i++)
            {
                vectors[name].Upsert(
                    $"k{i}", data.AsSpan(i * Dimension, Dimension), Value.Object(("rare", i % 1_000 == 0), ("common", i % 2 == 0)));
            }
        }

        var large = new float[LargeDimension];
        for (var i = 0; i < large.Length; i++)
            large[i] = (float)random.NextDouble() - 0.5f;
        vectors.CreateCollection("large", new VectorDefinition { Dimension = LargeDimension });
        for (var i = 0; i < LargeCount; i++)
        {
            large[i % LargeDimension] += 0.01f;
            vectors["large"].Upsert($"k{i}", large);
        }

        var query = data[..Dimension];
        var sum = 0f;
        var rare = new VectorSearchOptions { Filter = Filter.Parse("rare = true") };
        var common = new VectorSearchOptions { Filter = Filter.Parse("common = true") };
        for (var round = -1; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            Add(round, _plainSum, count, () => sum += PlainSum(data));
            Add(round, _wideSum, count, () => sum += WideSum(data));
            Add(round, _cosine, count, () => vectors["cosine"].Search(query));
            Add(round, _dot, count, () => vectors["dot"].Search(query));
            Add(round, _euclidean, count, () => vectors["euclidean"].Search(query));
            Add(round, _half, count, () => vectors["half"].Search(query));
            Add(round, _bytes, count, () => vectors["bytes"].Search(query));
            Add(round, _rare, count, () => vectors["cosine"].Search(query, 10, rare));
            Add(round, _common, count, () => vectors["cosine"].Search(query, 10, common));
            var time = RecallRun.Quickest(Calls, () => vectors["large"].Search(large));
            var insert = RecallRun.Quickest(Calls, () =>
            {
                for (var i = 0; i < 1_000; i++)
                    vectors["large"].Upsert($"k{i}", large);
            });
            var get = RecallRun.Quickest(Calls, () =>
            {
                for (var i = 0; i < 1_000; i++)
                    sum += vectors["large"].Get($"k{i}")!.Embedding.Span[0];
            });
            if (round < 0)
                continue;
            _large.Add(time * 1e3);
            _insert.Add(insert * 1e3);
            _get.Add(get * 1e3);
        }

        var size = $"vectors={count} dimension={Dimension}";
        run.Report.Add("sum plain-loop", _plainSum, "vectors/s", size);
        run.Report.Add("sum wide-registers", _wideSum, "vectors/s", size);
        run.Report.Add("search Cairn-cosine-F32", _cosine, "vectors/s", size);
        run.Report.Add("search Cairn-dot-F32", _dot, "vectors/s", size);
        run.Report.Add("search Cairn-Euclidean-F32", _euclidean, "vectors/s", size);
        run.Report.Add("search Cairn-cosine-F16", _half, "vectors/s", size);
        run.Report.Add("search Cairn-cosine-I8", _bytes, "vectors/s", size);
        run.Report.Add("search Cairn-filter-of-0.1-percent", _rare, "vectors/s", size);
        run.Report.Add("search Cairn-filter-of-50-percent", _common, "vectors/s", size);
        run.Report.Judge(RecallGates.FlatToSum, Series.Ratio(_cosine, _plainSum), size);
        var large768 = $"vectors={LargeCount} dimension={LargeDimension}";
        run.Report.Judge(RecallGates.FlatTime, _large, large768);
        run.Report.Judge(RecallGates.InsertTime, _insert, $"{large768}, without a log");
        run.Report.Judge(RecallGates.GetTime, _get, large768);
        GC.KeepAlive(sum);
    }

    // The first round warms up.
    private static void Add(int round, Series series, int count, Action call)
    {
        var time = RecallRun.Quickest(Calls, call);
        if (round >= 0)
            series.Add(count / time);
    }

    private static float PlainSum(float[] data)
    {
        var sum = 0f;
        foreach (var element in data)
            sum += element;
        return sum;
    }

    // As quick as the memory is.
    private static float WideSum(float[] data)
    {
        var wide = MemoryMarshal.Cast<float, Vector<float>>(data);
        Vector<float> a = default, b = default, c = default, d = default;
        for (var i = 0; i + 3 < wide.Length; i += 4)
        {
            a += wide[i];
            b += wide[i + 1];
            c += wide[i + 2];
            d += wide[i + 3];
        }

        return Vector.Sum(a + b + c + d);
    }
}
