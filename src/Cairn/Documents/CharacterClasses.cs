using System.Globalization;
using System.Text;

namespace Cairn.Documents;

/// <summary>The code points in classes that a number of sets cannot tell apart. An engine that knows 16 bits then works on the numbers of
/// the classes: a code point is one number, beyond FFFF too, and a set is a few numbers, however many ranges it has.</summary>
internal sealed class CharacterClasses
{
    // Class _numbers[n] holds from _starts[n] to before _starts[n + 1].
    private List<int> _starts = [0];
    private List<int> _numbers = [0];
    private int _count = 1;

    /// <summary>How many classes there are.</summary>
    internal int Count => _count;

    /// <summary>How many ranges were looked at to make the classes.</summary>
    internal long Work { get; private set; }

    /// <summary>Parts the classes so that each lies in the set or outside.</summary>
    internal void Part(CodePoints points)
    {
        var (starts, numbers) = (new List<int>(_starts.Count), new List<int>(_starts.Count));
        var parts = new Dictionary<(int Number, bool IsIn), int>();
        foreach (var (from, number, isIn) in Pieces(points))
        {
            if (!parts.TryGetValue((number, isIn), out var part))
                parts.Add((number, isIn), part = parts.Count);
            if (numbers.Count > 0 && numbers[^1] == part)
                continue;
            starts.Add(from);
            numbers.Add(part);
        }

        (_starts, _numbers, _count) = (starts, numbers, parts.Count);
    }

    /// <summary>The set as a class of an expression over the numbers. It has been parted by.</summary>
    internal string Write(CodePoints points)
    {
        var isIn = new bool[_count];
        foreach (var piece in Pieces(points))
            isIn[piece.Number] |= piece.IsIn;
        var text = new StringBuilder("[");
        for (var number = 0; number < _count; number++)
        {
            if (!isIn[number])
                continue;
            var first = number;
            while (number + 1 < _count && isIn[number + 1])
                number++;
            text.Append(CultureInfo.InvariantCulture, $"\\u{first:X4}");
            if (number > first)
                text.Append(CultureInfo.InvariantCulture, $"-\\u{number:X4}");
        }

        return text.Length == 1 ? "[^\\u0000-\\uFFFF]" : text.Append(']').ToString();
    }

    /// <summary>Writes the number of each code point of a text.</summary>
    /// <param name="text">Without lone surrogates.</param>
    /// <param name="target">At least as long.</param>
    /// <returns>How many there are.</returns>
    internal int Translate(string text, Span<char> target)
    {
        var count = 0;
        for (var at = 0; at < text.Length; at++)
        {
            int point = text[at];
            if (char.IsHighSurrogate(text[at]))
                point = char.ConvertToUtf32(text[at], text[++at]);
            var place = _starts.BinarySearch(point);
            target[count++] = (char)_numbers[place >= 0 ? place : ~place - 1];
        }

        return count;
    }

    // The ranges of the classes, cut where the set begins or ends.
    private IEnumerable<(int From, int Number, bool IsIn)> Pieces(CodePoints points)
    {
        var ranges = points.Ranges;
        var at = 0;
        for (var n = 0; n < _starts.Count; n++)
        {
            var from = _starts[n];
            var to = n + 1 < _starts.Count ? _starts[n + 1] - 1 : CodePoints.Last;
            while (from <= to)
            {
                Work++;
                while (at < ranges.Count && ranges[at].To < from)
                    at++;
                var isIn = at < ranges.Count && ranges[at].From <= from;
                yield return (from, _numbers[n], isIn);
                from = at == ranges.Count ? to + 1 : isIn ? ranges[at].To + 1 : ranges[at].From;
            }
        }
    }
}
