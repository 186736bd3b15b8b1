namespace Cairn.Tests.Vectors;

/// <summary>A collection as a dictionary, and searching it by looking at everything: what the engine must answer, bit for bit. Written a
/// second time, from the rules (VEC-4, VEC-5, VEC-11), with plain loops.</summary>
internal sealed class VectorReference(VectorMetric metric, VectorElement element)
{
    private const int Lanes = 16;

    internal SortedDictionary<string, (float[] Embedding, Value? Metadata)> Vectors { get; init; } = new(Utf8Keys.Instance);

    internal VectorReference Copy() => new(metric, element) { Vectors = new(Vectors, Utf8Keys.Instance) };

    internal List<(string Key, double Score)> Search(
        IReadOnlyList<float[]> queries, int k, Func<string, Value?, bool>? holds = null, double? least = null,
        VectorAggregate aggregate = VectorAggregate.Max) => [.. Vectors
            .Where(pair => holds?.Invoke(pair.Key, pair.Value.Metadata) ?? true)
            .Select(pair => (pair.Key, Score: Aggregate([.. queries.Select(query => Score(query, pair.Value.Embedding))], aggregate)))
            .Where(pair => least is null || pair.Score >= least)
            .OrderByDescending(pair => pair.Score).ThenBy(pair => pair.Key, Utf8Keys.Instance).Take(k)];

    private static double Aggregate(double[] scores, VectorAggregate aggregate) => aggregate switch
    {
        VectorAggregate.Max => scores.Max(),
        VectorAggregate.Min => scores.Min(),
        _ => scores.Aggregate((sum, score) => sum + score) / scores.Length,
    };

    internal double Score(float[] query, float[] given)
    {
        var (stored, scale) = Store(given);
        switch (metric)
        {
            case VectorMetric.Cosine:
                var dot = Sum(query.Length, i => query[i] * stored[i]);
                return Math.Clamp(dot / (Math.Sqrt(Sum(query.Length, i => query[i] * (double)query[i]))
                    * Math.Sqrt(Sum(query.Length, i => stored[i] * stored[i]))), -1, 1);
            case VectorMetric.Euclidean:
                return 1 / (1 + Math.Sqrt(Sum(query.Length, i => (query[i] - stored[i] * scale) * (query[i] - stored[i] * scale))));
            default:
                return Sum(query.Length, i => query[i] * stored[i]) * scale;
        }
    }

    /// <summary>What a read gives back.</summary>
    internal float[] Given(float[] given)
    {
        var (stored, scale) = Store(given);
        return [.. stored.Select(number => element == VectorElement.I8 ? (float)scale * (float)number : (float)number)];
    }

    private (double[] Stored, double Scale) Store(float[] given)
    {
        if (element != VectorElement.I8)
            return ([.. given.Select(number => element == VectorElement.F16 ? (double)(Half)number : number)], 1);
        var scale = given.Max(Math.Abs) / 127f;
        return ([.. given.Select(number => scale == 0 ? 0 : Math.Round(number / (double)scale, MidpointRounding.ToEven))], scale);
    }

    // Lane j adds the elements j, j + 16, ...; the lanes are added in a tree.
    private static double Sum(int count, Func<int, double> term)
    {
        var lanes = new double[Lanes];
        for (var i = 0; i < count; i++)
            lanes[i % Lanes] += term(i);
        for (var width = Lanes / 2; width > 0; width /= 2)
        {
            for (var lane = 0; lane < width; lane++)
                lanes[lane] += lanes[lane + width];
        }

        return lanes[0];
    }

    internal sealed class Utf8Keys : IComparer<string>
    {
        internal static Utf8Keys Instance { get; } = new();

        public int Compare(string? left, string? right) =>
            System.Text.Encoding.UTF8.GetBytes(left!).AsSpan().SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(right!));
    }
}
