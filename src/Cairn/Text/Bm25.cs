namespace Cairn.Text;

/// <summary>Okapi BM25 (S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009) with the idf that is
/// never negative. One routine for the scan and for the index, so that both come to the same bits.</summary>
internal readonly struct Bm25
{
    /// <summary>How soon more of a term says no more (SRCH-15).</summary>
    internal const double K1 = 1.2;

    /// <summary>How much length counts (SRCH-15).</summary>
    internal const double B = 0.75;

    // What a division by ten gives, for frequencies that are usual.
    private static readonly double[] Frequencies = [.. Enumerable.Range(0, 256).Select(tenths => tenths / 10.0)];

    private readonly double _ofLength;

    /// <param name="things">N: things there are.</param>
    /// <param name="totalLength">Terms of all of them.</param>
    internal Bm25(long things, long totalLength)
    {
        AverageLength = things == 0 ? 0 : (double)totalLength / things;
        _ofLength = AverageLength == 0 ? 0 : K1 * B / AverageLength;
    }

    internal double AverageLength { get; }

    /// <summary>How rare a term is.</summary>
    internal static double Idf(long things, long frequency) => Math.Log(1 + (things - frequency + 0.5) / (frequency + 0.5));

    /// <summary>What a thing's length adds to each of its frequencies.</summary>
    internal double Norm(int length) => K1 * (1 - B) + _ofLength * length;

    /// <summary>The same as <see cref="Score"/> of a term that is there once, in a field of weight 1.</summary>
    internal static double ScoreOfOne(double weight, double norm) => weight * ((K1 + 1) / (1 + norm));

    /// <summary>Longer things get no more than a score from a term that is there once.</summary>
    internal int LongestAbove(double weight, double score)
    {
        var norm = (weight * (K1 + 1) / score) - 1;
        var length = (norm - (K1 * (1 - B))) / _ofLength;
        return length < int.MaxValue / 2 ? (int)(length * (1 + 1e-9)) + 1 : int.MaxValue;
    }

    /// <summary>Of two pairs of a frequency and a norm the one that scores more is that with the higher quotient.</summary>
    internal static bool IsMore(int tenths, double norm, int otherTenths, double otherNorm) => tenths * otherNorm > otherTenths * norm;

    /// <summary>What a term adds to the score.</summary>
    /// <param name="weight">Idf, times how often the term is asked for.</param>
    /// <param name="tenths">Its occurrences by the weights of their fields, in tenths; at least 1.</param>
    internal static double Score(double weight, int tenths, double norm)
    {
        var frequency = (uint)tenths < (uint)Frequencies.Length ? Frequencies[tenths] : tenths / 10.0;
        return weight * (frequency * (K1 + 1) / (frequency + norm));
    }
}
