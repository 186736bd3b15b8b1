using System.Security.Cryptography;
using Cairn.Codec;
using Cairn.Text;

namespace Cairn;

/// <summary>How words become terms.</summary>
public enum TextStemming
{
    /// <summary>A word is its term.</summary>
    None = 0,

    /// <summary>English words become their stems, by the Porter2 algorithm of Snowball: refunds, refunded and refunding are one term. Words
    /// with other letters than a to z, or with digits, stay as they are.</summary>
    English = 1,
}

/// <summary>How text becomes terms, in what is stored and in what is asked for. Words are runs of Unicode letters and digits with the marks
/// on them, in lower case and of at least two characters; scripts that put no spaces between words (Han, kana, Thai, Lao, Khmer, Myanmar)
/// become overlapping pairs of characters. Then stop words are left out and the others are stemmed. The same under every culture.
/// Two settings are equal when they make the same terms of every text.</summary>
public sealed class TextAnalysis : IEquatable<TextAnalysis>
{
    /// <summary>Most stop words. Fixed: 1,024.</summary>
    public const int StopWordsMax = 1_024;

    // What makes other terms of the same settings has another number.
    private const byte Version = 1;

    private readonly byte[][] _stopWords;

    /// <param name="stemming">How.</param>
    /// <param name="stopWords">Words that are no terms: at most <see cref="StopWordsMax"/>, each one word as it comes out of a text; case
    /// makes no difference. Empty = none; null = <see cref="EnglishStopWords"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a stop word is none or several words, or the stemming is
    /// not one of these.</exception>
    /// <exception cref="LimitException">There are too many, or one is longer than <see cref="Limits.NameBytesMax"/>.</exception>
    public TextAnalysis(TextStemming stemming, IEnumerable<string>? stopWords = null)
    {
        if (!Enum.IsDefined(stemming))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no stemming {(int)stemming}. Ask for None or English.");
        Stemming = stemming;
        var words = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var word in stopWords ?? EnglishStopWords)
        {
            words.Add(Word(word));
            if (words.Count > StopWordsMax)
                throw new LimitException(nameof(StopWordsMax), StopWordsMax, words.Count, "words");
        }

        StopWords = [.. words];
        _stopWords = [.. StopWords.Select(Utf8.GetBytes)];
        Hash = HashOf(stemming, _stopWords);
    }

    /// <summary>The 33 words that are left out unless others are named.</summary>
    public static IReadOnlyList<string> EnglishStopWords { get; } =
    [
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on", "or",
        "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    ];

    /// <summary>English stems, and <see cref="EnglishStopWords"/> left out: what holds where nothing else is named.</summary>
    public static TextAnalysis English { get; } = new(TextStemming.English);

    /// <summary>Every word is its own term.</summary>
    public static TextAnalysis None { get; } = new(TextStemming.None, []);

    /// <summary>How words become terms.</summary>
    public TextStemming Stemming { get; }

    /// <summary>Words that are no terms, in lower case and in order.</summary>
    public IReadOnlyList<string> StopWords { get; }

    /// <summary>Of everything that decides which terms a text has.</summary>
    internal Hash256 Hash { get; }

    internal IReadOnlyList<byte[]> EncodedStopWords => _stopWords;

    /// <inheritdoc/>
    public bool Equals(TextAnalysis? other) => other is not null && Hash == other.Hash;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TextAnalysis);

    /// <inheritdoc/>
    public override int GetHashCode() => Hash.GetHashCode();

    private static string Word(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        if (Utf8.GetByteCount(word) is var bytes && bytes > Limits.NameBytesMax)
            throw new LimitException(nameof(Limits.NameBytesMax), Limits.NameBytesMax, bytes, "bytes");
        if (word.Length == 1 && char.IsAsciiLetterOrDigit(word[0]))
            return word.ToLowerInvariant();                  // never a term, and customary in lists
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var text = Utf8.GetBytes(word);
        var words = new Tokenizer(text, buffer);
        if (!words.MoveNext() || words.Start != 0 || words.End != text.Length)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"A stop word of {bytes} bytes is not one word. Give each word alone, without spaces or marks.");
        }

        return Utf8.GetTrustedString(words.Token);
    }

    private static Hash256 HashOf(TextStemming stemming, byte[][] stopWords)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([Version, (byte)stemming]);
        foreach (var word in stopWords)
        {
            hash.AppendData([(byte)word.Length, 0]);
            hash.AppendData(word);
        }

        return new Hash256(hash.GetHashAndReset());
    }
}
