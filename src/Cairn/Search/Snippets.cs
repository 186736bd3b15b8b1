using System.Text;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Text;

namespace Cairn.Search;

/// <summary>Chooses the piece of a thing's texts that shows best what was found: the one with the most weight of distinct parts of the
/// query, the first of equal ones.</summary>
internal sealed class Snippets(TextAnalyzer analyzer, TextMatcher matcher, double[] weights)
{
    // A text of which more is found shows enough in its beginning.
    private const int FindsMax = 4_096;

    private readonly List<(int Start, int End, int Clause)> _finds = [];
    private readonly int[] _inside = new int[weights.Length];

    internal SearchSnippet? Of(ThingText thing)
    {
        var best = (Field: -1, From: 0, To: 0, Weight: 0.0);
        (int Start, int End)[] marks = [];
        for (var i = 0; i < thing.Count; i++)
        {
            Find(thing[i]);
            if (_finds.Count == 0)
                continue;
            var (from, to, weight) = Window();
            if (weight <= best.Weight)
                continue;
            best = (i, from, to, weight);
            marks = [.. _finds.Select(find => (find.Start, find.End))];
        }

        return best.Field < 0 ? null : Cut(thing, best.Field, best.From, best.To, marks);
    }

    private void Find(ReadOnlySpan<byte> text)
    {
        _finds.Clear();
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var terms = analyzer.Read(text, buffer);
        while (_finds.Count < FindsMax && terms.MoveNext())
        {
            if (matcher.ClauseOf(terms.Term) is >= 0 and var clause)
                _finds.Add((terms.Start, terms.End, clause));
        }
    }

    // Two places that move to the right over what was found. A byte is at most one character, so what fits in bytes fits.
    private (int From, int To, double Weight) Window()
    {
        Array.Clear(_inside);
        var best = (From: _finds[0].Start, To: _finds[0].End, Weight: 0.0);
        var weight = 0.0;
        var left = 0;
        foreach (var (_, end, clause) in _finds)
        {
            weight += _inside[clause]++ == 0 ? weights[clause] : 0;
            while (end - _finds[left].Start > SearchSnippet.LengthMax && _finds[left].End < end)
            {
                var gone = _finds[left++].Clause;
                weight -= --_inside[gone] == 0 ? weights[gone] : 0;
            }

            if (weight > best.Weight * (1 + 1e-9))
                best = (_finds[left].Start, end, weight);
        }

        return best;
    }

    // As much before as behind, to whole words where there are spaces.
    private static SearchSnippet Cut(ThingText thing, int field, int from, int to, (int Start, int End)[] marks)
    {
        var text = thing[field];
        var more = Math.Max(0, SearchSnippet.LengthMax - (to - from));
        var start = Math.Max(0, from - more / 2);
        var end = Math.Min(text.Length, to + (more - (from - start)));
        start = Math.Max(0, Math.Min(start, from - (more - (end - to))));
        while (start < from && IsInside(text, start))
            start++;
        while (end > to && end < text.Length && IsInside(text, end))
            end--;
        if (start > 0 && text[start..from].IndexOf((byte)' ') is >= 0 and var space)
            start += space + 1;
        if (end < text.Length && text[to..end].LastIndexOf((byte)' ') is >= 0 and var last)
            end = to + last;

        var highlights = new List<SearchHighlight>();
        foreach (var (markStart, markEnd) in marks)
        {
            if (markStart < start || markEnd > end)
                continue;
            var at = CharsOf(text[start..markStart]);
            highlights.Add(new SearchHighlight(at, CharsOf(text[markStart..markEnd])));
        }

        return new SearchSnippet(TextFields.NameOf(thing.FieldAt(field)), Utf8.GetTrustedString(text[start..end]), highlights);
    }

    // A byte that goes on with a character.
    private static bool IsInside(ReadOnlySpan<byte> text, int at) => (text[at] & 0xC0) == 0x80;

    private static int CharsOf(ReadOnlySpan<byte> text)
    {
        var chars = 0;
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf8(text, out var rune, out var bytes);
            chars += rune.Utf16SequenceLength;
            text = text[bytes..];
        }

        return chars;
    }
}
