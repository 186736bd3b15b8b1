using System.Text;
using Cairn.Text;

namespace Cairn.Tests.Search;

/// <summary>A thing with its texts, as a test wrote it.</summary>
internal sealed record PlainThing(string Address, IReadOnlyList<(double Weight, string Text)> Texts);

/// <summary>A part of a query, as a test wrote it.</summary>
/// <param name="Sign">'+', '-' or ' '.</param>
/// <param name="Kind">'t' a word, 'p' a prefix, '"' a phrase.</param>
internal sealed record PlainPart(char Sign, char Kind, string Words)
{
    public override string ToString() => (Sign == ' ' ? "" : Sign.ToString()) + (Kind switch
    {
        'p' => Words + "*",
        '"' => $"\"{Words}\"",
        _ => Words,
    });
}

/// <summary>Search by words said once more in the slowest way: lists of words, the formula of BM25 as it is on paper, and no step that is
/// saved. What it shares with the engine is how a text becomes terms.</summary>
internal static class PlainSearch
{
    private sealed record Term(string Text, int Position, double Weight);

    internal static List<(string Address, double Score)> Run(
        IReadOnlyCollection<PlainThing> things, IReadOnlyList<PlainPart> parts, TextAnalysis analysis)
    {
        var texts = things.ToDictionary(thing => thing.Address, thing => Terms(thing, analysis));
        var average = texts.Count == 0 ? 0 : texts.Values.Average(terms => (double)terms.Count);
        var queries = parts.Select(part => (Part: part, Terms: QueryTerms(part, analysis))).Where(query => query.Terms.Count > 0).ToList();
        var found = new List<(string Address, double Score)>();
        foreach (var (address, terms) in texts)
        {
            var score = 0.0;
            var isHit = false;
            var isOut = false;
            foreach (var (part, wanted) in queries)
            {
                var frequency = Frequency(terms, part, wanted);
                isOut |= part.Sign == '+' && frequency == 0;
                isOut |= part.Sign == '-' && frequency > 0;
                if (part.Sign == '-' || frequency == 0)
                    continue;
                isHit = true;
                var holders = texts.Values.Count(other => Frequency(other, part, wanted) > 0);
                var idf = Math.Log(1 + ((texts.Count - holders + 0.5) / (holders + 0.5)));
                score += idf * frequency * 2.2 / (frequency + (1.2 * (1 - 0.75 + (0.75 * terms.Count / average))));
            }

            if (isHit && !isOut)
                found.Add((address, score));
        }

        return found;
    }

    private static double Frequency(List<Term> terms, PlainPart part, List<Term> wanted)
    {
        if (part.Kind == 'p')
            return terms.Where(term => term.Text.StartsWith(wanted[0].Text, StringComparison.Ordinal)).Sum(term => term.Weight);
        return terms.Where(first => wanted.TrueForAll(want => terms.Exists(term =>
            term.Text == want.Text && term.Position == first.Position + want.Position - wanted[0].Position))).Sum(first => first.Weight);
    }

    private static List<Term> QueryTerms(PlainPart part, TextAnalysis analysis) => part.Kind == 'p'
        ? [new Term(part.Words, 0, 1)]
        : Terms(new PlainThing("", [(1, part.Words)]), analysis);

    private static List<Term> Terms(PlainThing thing, TextAnalysis analysis)
    {
        var terms = new List<Term>();
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var first = 0;
        foreach (var (weight, text) in thing.Texts)
        {
            var reader = new TextAnalyzer(analysis).Read(Encoding.UTF8.GetBytes(text), buffer);
            while (reader.MoveNext())
                terms.Add(new Term(Encoding.UTF8.GetString(reader.Term), first + reader.Position, weight));
            first += 10_000;
        }

        return terms;
    }
}
