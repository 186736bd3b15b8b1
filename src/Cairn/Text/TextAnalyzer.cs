// Text: what is searched for by words
// -----------------------------------
// docs/search.md is the page; this is the beginning of the way. A text becomes terms in three steps, each of which can be left out:
//
//   text      "The refunds, Ada's preferences"
//   words     the    refunds  ada   preferences          runs of letters and digits, lower case, at least two characters (Tokenizer.cs)
//   position  0      1        2     4                    "s" is passed over, and its place is kept
//   no stops         refunds  ada   preferences          the 33 words, or others, or none
//   stems            refund   ada   prefer               English (EnglishStemmer.cs), or none
//
// Invariants
// ----------
// TA1  Terms are a function of the text and of these settings: of no culture, no machine, no version of anything that is not ours.
// TA2  What is stored and what is asked for goes through the same analyzer. Settings have a hash; what was made under another hash is not
//      used (SRCH-14).
// TA3  Offsets are bytes of the text as it was given, so that what was found can be shown where it stands.
// TA4  Nothing is allocated per word, and no text is so long that a part of it is left out.

using Cairn.Store;

namespace Cairn.Text;

/// <summary>Settings, ready for use: see the essay above. Immutable; safe from any thread.</summary>
internal sealed class TextAnalyzer
{
    private readonly Dictionary<byte[], bool>.AlternateLookup<ReadOnlySpan<byte>> _stops;
    private readonly int _longestStop;
    private readonly bool _stems;

    internal TextAnalyzer(TextAnalysis settings)
    {
        Settings = settings;
        var stops = new Dictionary<byte[], bool>(ByteArrayComparer.Instance);
        foreach (var word in settings.EncodedStopWords)
        {
            stops[word] = true;
            _longestStop = Math.Max(_longestStop, word.Length);
        }

        _stops = stops.GetAlternateLookup<ReadOnlySpan<byte>>();
        _stems = settings.Stemming == TextStemming.English;
    }

    internal static TextAnalyzer Default { get; } = new(TextAnalysis.English);

    internal TextAnalysis Settings { get; }

    internal static TextAnalyzer Of(TextAnalysis settings) => settings.Equals(TextAnalysis.English) ? Default : new TextAnalyzer(settings);

    /// <param name="buffer"><see cref="Tokenizer.BufferBytes"/>, untouched for as long as the reader is used.</param>
    internal TermReader Read(ReadOnlySpan<byte> text, Span<byte> buffer) => new(this, text, buffer);

    /// <summary>The term of a word in lower case, made in place; 0 = it is a stop word.</summary>
    internal int Term(Span<byte> word, bool isAsciiLetters)
    {
        if (word.Length <= _longestStop && _stops.ContainsKey(word))
            return 0;
        return _stems && isAsciiLetters ? EnglishStemmer.Stem(word) : word.Length;
    }
}

/// <summary>The terms of a text, one by one.</summary>
internal ref struct TermReader
{
    private readonly TextAnalyzer _analyzer;
    private Tokenizer _words;
    private int _length;

    internal TermReader(TextAnalyzer analyzer, ReadOnlySpan<byte> text, Span<byte> buffer)
    {
        _analyzer = analyzer;
        _words = new Tokenizer(text, buffer);
    }

    /// <summary>Borrowed until the next one.</summary>
    internal readonly ReadOnlySpan<byte> Term => _words.Token[.._length];

    /// <summary>Where its word begins in the text, in bytes.</summary>
    internal readonly int Start => _words.Start;

    /// <summary>Where its word ends.</summary>
    internal readonly int End => _words.End;

    /// <summary>Its place among the words, stop words and those that were passed over counted.</summary>
    internal readonly int Position => _words.Position;

    /// <summary>Positions there were, when the text has ended.</summary>
    internal readonly int Positions => _words.Positions;

    internal bool MoveNext()
    {
        while (_words.MoveNext())
        {
            _length = _analyzer.Term(_words.Token, _words.IsAsciiLetters);
            if (_length > 0)
                return true;
        }

        return false;
    }
}
