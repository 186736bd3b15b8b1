using Cairn.Documents;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>The search of a text in a text, beside that of the platform.</summary>
[Trait("Requirement", "VEC-14")]
public class TextSearchTests
{
    [Fact]
    [Trait("Kind", "Random")]
    public void Random_texts_of_few_letters_are_found_where_the_platform_finds_them()
    {
        var random = new Random(Codec.RandomValues.PrintSeed());
        var found = 0;
        var rounds = Seeds.Scaled(20_000);
        for (var n = 0; n < rounds; n++)
        {
            var text = Letters(random, random.Next(200));
            var part = random.Next(2) == 0 && text.Length > 40 ? text[random.Next(3)..^random.Next(3)] : Letters(random, random.Next(60));
            if (random.Next(3) == 0 && part.Length > 1)
                part = part[..^1] + (char)('a' + random.Next(2));
            var holds = text.Contains(part, StringComparison.Ordinal);
            Assert.True(holds == TextSearch.Contains(text, part), $"'{part}' in '{text}'");
            found += holds ? 1 : 0;
        }

        Assert.InRange(found, rounds / 50, rounds - (rounds / 50));
    }

    // Periods are what the search lives on.
    private static string Letters(Random random, int length)
    {
        var period = random.Next(1, 8);
        var letters = Enumerable.Range(0, period).Select(_ => (char)('a' + random.Next(2))).ToArray();
        var text = new char[length];
        for (var n = 0; n < length; n++)
            text[n] = random.Next(40) == 0 ? 'b' : letters[n % period];
        return new string(text);
    }
}
