namespace Cairn.Documents;

/// <summary>Whether a text stands in another one, in linear time. The search of the platform is quadratic at worst: a megabyte of one
/// letter in two megabytes of it would take minutes. Source: Crochemore and Perrin, Two-Way String-Matching, 1991.</summary>
internal static class TextSearch
{
    // Up to here the search of the platform is as good, and faster. Chosen.
    private const int ShortMax = 32;

    internal static bool Contains(ReadOnlySpan<char> text, ReadOnlySpan<char> part)
    {
        if (part.Length <= ShortMax || part.Length > text.Length)
            return text.Contains(part, StringComparison.Ordinal);
        var least = LastOfLeft(part, isReversed: false, out var period);
        var most = LastOfLeft(part, isReversed: true, out var reversedPeriod);
        var (cut, step) = least > most ? (least, period) : (most, reversedPeriod);
        return part[..(cut + 1)].SequenceEqual(part.Slice(step, cut + 1))
            ? ContainsPeriodic(text, part, cut, step)
            : ContainsOther(text, part, cut, Math.Max(cut + 1, part.Length - cut - 1) + 1);
    }

    // The part repeats itself with this period: what has been compared of it is remembered.
    private static bool ContainsPeriodic(ReadOnlySpan<char> text, ReadOnlySpan<char> part, int cut, int period)
    {
        var known = -1;
        for (var at = 0; at <= text.Length - part.Length;)
        {
            var n = Math.Max(cut, known) + 1;
            while (n < part.Length && part[n] == text[at + n])
                n++;
            if (n < part.Length)
            {
                at += n - cut;
                known = -1;
                continue;
            }

            n = cut;
            while (n > known && part[n] == text[at + n])
                n--;
            if (n <= known)
                return true;
            at += period;
            known = part.Length - period - 1;
        }

        return false;
    }

    private static bool ContainsOther(ReadOnlySpan<char> text, ReadOnlySpan<char> part, int cut, int step)
    {
        for (var at = 0; at <= text.Length - part.Length;)
        {
            var n = cut + 1;
            while (n < part.Length && part[n] == text[at + n])
                n++;
            if (n < part.Length)
            {
                at += n - cut;
                continue;
            }

            n = cut;
            while (n >= 0 && part[n] == text[at + n])
                n--;
            if (n < 0)
                return true;
            at += step;
        }

        return false;
    }

    // The last index before the greatest suffix, in the order of characters or in the reverse of it, and the period of that suffix.
    private static int LastOfLeft(ReadOnlySpan<char> part, bool isReversed, out int period)
    {
        var (before, at, ahead) = (-1, 0, 1);
        period = 1;
        while (at + ahead < part.Length)
        {
            var order = part[at + ahead].CompareTo(part[before + ahead]);
            if (isReversed ? order > 0 : order < 0)
            {
                at += ahead;
                ahead = 1;
                period = at - before;
            }
            else if (order != 0)
            {
                before = at++;
                (ahead, period) = (1, 1);
            }
            else if (ahead != period)
            {
                ahead++;
            }
            else
            {
                at += period;
                ahead = 1;
            }
        }

        return before;
    }
}
