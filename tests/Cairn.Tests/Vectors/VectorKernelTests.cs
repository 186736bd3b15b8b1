using Cairn.Primitives;
using Cairn.Vectors;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Stored forms and scores, without a database.</summary>
public class VectorKernelTests
{
    public static MatrixTheoryData<VectorMetric, VectorElement> Forms =>
        new(Enum.GetValues<VectorMetric>(), Enum.GetValues<VectorElement>());

    [Theory]
    [MemberData(nameof(Forms))]
    [Trait("Requirement", "VEC-4")]
    [Trait("Requirement", "VEC-5")]
    [Trait("Requirement", "VEC-11")]
    public void VEC_11_Scores_are_those_of_plain_loops_bit_for_bit_at_every_dimension(VectorMetric metric, VectorElement element)
    {
        var random = new Random(7);
        var reference = new VectorReference(metric, element);
        foreach (var dimension in Enumerable.Range(1, 70).Concat([127, 128, 384, 768, 1_536, 8_192, 65_536]))
        {
            for (var round = 0; round < (dimension < 1_000 ? 8 : 1); round++)
            {
                var (query, vector) = (Vector(random, dimension), Vector(random, dimension));
                var score = new Scoring(metric, element, query).Of(Stored(element, vector));
                Assert.Equal(
                    BitConverter.DoubleToInt64Bits(reference.Score(query, vector)), BitConverter.DoubleToInt64Bits(score));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    [Trait("Requirement", "VEC-4")]
    public void VEC_4_Scores_stay_in_their_ranges_at_the_ends_of_what_elements_can_be(VectorMetric metric, VectorElement element)
    {
        var most = element == VectorElement.F16 ? 65_504f : float.MaxValue;
        float[][] ends =
        [
            [most, most, most], [-most, most, -most], [float.Epsilon, 0, 0], [1, float.Epsilon, most], [1e-6f, 2e-6f, -3e-6f],
            [6e-5f, 6.2e-5f, 1],
        ];
        foreach (var query in ends)
        {
            foreach (var vector in ends)
            {
                var stored = Stored(element, vector);
                if (metric == VectorMetric.Cosine && StoredForm.IsZero(element, stored))
                    continue;
                var score = new Scoring(metric, element, query).Of(stored);
                Assert.True(double.IsFinite(score), $"{score}");
                if (metric == VectorMetric.Cosine)
                    Assert.InRange(score, -1, 1);
                if (metric == VectorMetric.Euclidean)
                    Assert.InRange(score, double.Epsilon, 1);
            }
        }
    }

    [Fact]
    [Trait("Requirement", "VEC-5")]
    public void VEC_5_Rounding_is_to_the_nearest_and_ties_go_to_even()
    {
        // A unit in the last place of binary16 at 1 is 2^-10.
        const float half = 1f / 2_048;
        Assert.Equal([1f, 1f + 4 * half, 1f + 2 * half], Decoded(VectorElement.F16, [1f + half, 1f + 3 * half, 1f + 2 * half]));
        Assert.Equal([127f, 0f, 2f, -2f, 3f], Decoded(VectorElement.I8, [127f, 0.5f, 1.5f, -2.5f, 3.4f]));
        Assert.Equal([0f, -0f, 0f], Decoded(VectorElement.I8, [0f, 0f, 0f]));
        float[] exact = [float.Epsilon, -0f, float.MaxValue, 0.1f];
        Assert.Equal(
            exact.Select(BitConverter.SingleToInt32Bits), Decoded(VectorElement.F32, exact).Select(BitConverter.SingleToInt32Bits));
    }

    [Theory]
    [InlineData(VectorElement.F32)]
    [InlineData(VectorElement.F16)]
    [InlineData(VectorElement.I8)]
    [Trait("Requirement", "VEC-5")]
    public void VEC_5_What_is_stored_is_stored_again_as_it_is(VectorElement element)
    {
        var random = new Random(11);
        for (var round = 0; round < 200; round++)
        {
            var once = Decoded(element, Vector(random, 37));
            var stored = Stored(element, once);
            Assert.True(StoredForm.IsFinite(element, stored));
            if (element != VectorElement.I8)                 // whose scale is rounded once more
                Assert.Equal(once, Decoded(element, once));
            else
                Assert.All(once.Zip(Decoded(element, once)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f * 127));
        }
    }

    [Fact]
    [Trait("Requirement", "VEC-7")]
    public void VEC_7_What_is_not_finite_when_it_is_stored_is_refused()
    {
        foreach (var (element, number) in new[]
                 {
                     (VectorElement.F32, float.NaN), (VectorElement.F32, float.PositiveInfinity),
                     (VectorElement.I8, float.NegativeInfinity),
                     (VectorElement.F16, float.NaN), (VectorElement.F16, 65_520f), (VectorElement.F16, float.MaxValue),
                 })
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Stored(element, [1, number])).Code);
        Stored(VectorElement.F16, [65_519f]);
        Assert.True(StoredForm.IsZero(VectorElement.F16, Stored(VectorElement.F16, [1e-9f, -1e-9f])));
        Assert.True(StoredForm.IsZero(VectorElement.F32, Stored(VectorElement.F32, [0f, -0f])));
        Assert.True(StoredForm.IsZero(VectorElement.I8, Stored(VectorElement.I8, [0f, -0f])));
        Assert.False(StoredForm.IsZero(VectorElement.I8, Stored(VectorElement.I8, [float.Epsilon * 300, 0f])));
    }

    [Fact]
    [Trait("Requirement", "VEC-11")]
    public void VEC_11_The_best_are_kept_in_order_whatever_the_order_they_come_in()
    {
        var random = new Random(5);
        for (var round = 0; round < 300; round++)
        {
            var shown = Enumerable.Range(0, random.Next(1, 60)).Select(i => (Score: (double)random.Next(6), Key: $"k{i:D2}")).ToArray();
            random.Shuffle(shown);
            var most = random.Next(1, 70);
            var best = new TopMatches(most);
            foreach (var (score, key) in shown)
                best.Offer(score, System.Text.Encoding.UTF8.GetBytes(key), 1);
            var kept = new List<(double, string)>();
            foreach (ref readonly var slot in best.Sorted())
                kept.Add((slot.Score, System.Text.Encoding.UTF8.GetString(slot.Key)));
            Assert.Equal(
                shown.OrderByDescending(one => one.Score).ThenBy(one => one.Key, StringComparer.Ordinal).Take(most)
                    .Select(one => (one.Score, one.Key)),
                kept);
        }
    }

    internal static float[] Vector(Random random, int dimension)
    {
        var vector = new float[dimension];
        for (var i = 0; i < dimension; i++)
            vector[i] = (float)(random.NextDouble() * 2 - 1) * (random.Next(9) == 0 ? 1e-4f : 1);
        if (vector.All(number => number == 0))
            vector[0] = 1;
        return vector;
    }

    private static byte[] Stored(VectorElement element, float[] vector)
    {
        var stored = new byte[VectorConfiguration.EmbeddingBytesOf(element, vector.Length)];
        StoredForm.Encode(element, vector, stored);
        return stored;
    }

    private static float[] Decoded(VectorElement element, float[] vector)
    {
        var decoded = new float[vector.Length];
        StoredForm.Decode(element, Stored(element, vector), decoded);
        return decoded;
    }
}
