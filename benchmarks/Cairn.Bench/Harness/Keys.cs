namespace Cairn.Bench.Harness;

/// <summary>
/// The keys of every suite, <c>agent:NNNNNN:item:NNNNN</c>: 23 bytes, a hundred items to an agent, so that they share long
/// prefixes as real ones do. Contestants get them as .NET strings and encode them themselves: that is part of a put.
/// </summary>
internal static class Keys
{
    internal const int Bytes = 23;

    private const string Zero = "agent:000000:item:00000";
    private const int ItemsPerAgent = 100;

    /// <summary>The key with a number from 0 to 99,999,999.</summary>
    internal static string At(int number) => string.Create(Bytes, number, static (text, number) =>
    {
        Zero.CopyTo(text);
        Digits(text[..12], number / ItemsPerAgent);
        Digits(text, number % ItemsPerAgent);
    });

    /// <summary>All keys below <paramref name="count"/> in a random order that the seed fixes. The strings lie in memory in
    /// that order, as just-formatted keys would: walking the array costs no cache misses of its own.</summary>
    internal static string[] Shuffled(int count, int seed)
    {
        var numbers = new int[count];
        for (var i = 0; i < count; i++)
            numbers[i] = i;
        new Random(seed).Shuffle(numbers);
        return Array.ConvertAll(numbers, At);
    }

    /// <summary>Bytes that do not compress, the same for the same seed.</summary>
    internal static byte[] Value(int bytes, int seed = 7)
    {
        var value = new byte[bytes];
        new Random(seed).NextBytes(value);
        return value;
    }

    private static void Digits(Span<char> text, int number)
    {
        for (var at = text.Length - 1; number > 0; at--, number /= 10)
            text[at] = (char)('0' + number % 10);
    }
}
