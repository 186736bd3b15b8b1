using System.Globalization;

namespace Cairn.Documents;

/// <summary>A set of code points without surrogates, as ranges in order that do not touch.</summary>
internal sealed class CodePoints
{
    internal const int Last = 0x10FFFF;
    private const int FirstSurrogate = 0xD800;
    private const int LastSurrogate = 0xDFFF;

    // Unicode's short names; RFC 9485 leaves Cs out.
    private static readonly (string Name, UnicodeCategory Category)[] Names =
    [
        ("Lu", UnicodeCategory.UppercaseLetter), ("Ll", UnicodeCategory.LowercaseLetter),
        ("Lt", UnicodeCategory.TitlecaseLetter), ("Lm", UnicodeCategory.ModifierLetter),
        ("Lo", UnicodeCategory.OtherLetter), ("Mn", UnicodeCategory.NonSpacingMark),
        ("Mc", UnicodeCategory.SpacingCombiningMark), ("Me", UnicodeCategory.EnclosingMark),
        ("Nd", UnicodeCategory.DecimalDigitNumber), ("Nl", UnicodeCategory.LetterNumber),
        ("No", UnicodeCategory.OtherNumber), ("Pc", UnicodeCategory.ConnectorPunctuation),
        ("Pd", UnicodeCategory.DashPunctuation), ("Ps", UnicodeCategory.OpenPunctuation),
        ("Pe", UnicodeCategory.ClosePunctuation), ("Pi", UnicodeCategory.InitialQuotePunctuation),
        ("Pf", UnicodeCategory.FinalQuotePunctuation), ("Po", UnicodeCategory.OtherPunctuation),
        ("Zs", UnicodeCategory.SpaceSeparator), ("Zl", UnicodeCategory.LineSeparator),
        ("Zp", UnicodeCategory.ParagraphSeparator), ("Sm", UnicodeCategory.MathSymbol),
        ("Sc", UnicodeCategory.CurrencySymbol), ("Sk", UnicodeCategory.ModifierSymbol),
        ("So", UnicodeCategory.OtherSymbol), ("Cc", UnicodeCategory.Control),
        ("Cf", UnicodeCategory.Format), ("Co", UnicodeCategory.PrivateUse),
        ("Cn", UnicodeCategory.OtherNotAssigned),
    ];

    private static readonly Lazy<(int From, int To)[][]> ByCategory = new(ReadCategories);

    private readonly List<(int From, int To)> _ranges;

    private CodePoints(List<(int From, int To)> ranges) => _ranges = ranges;

    internal static CodePoints Of(params IEnumerable<(int From, int To)> ranges)
    {
        var ordered = ranges.Where(range => range.From <= range.To).Order().ToList();
        var merged = new List<(int From, int To)>();
        foreach (var range in ordered)
        {
            if (merged.Count > 0 && range.From <= merged[^1].To + 1)
                merged[^1] = (merged[^1].From, Math.Max(merged[^1].To, range.To));
            else
                merged.Add(range);
        }

        return new CodePoints(merged);
    }

    /// <summary>The code points of a general category: one letter for a group, two for one of them. Surrogates are in none.</summary>
    internal static CodePoints OfCategory(string name) => Of(CategoriesOf(name).SelectMany(category => ByCategory.Value[(int)category]));

    internal IReadOnlyList<(int From, int To)> Ranges => _ranges;

    internal CodePoints Complement()
    {
        var rest = new List<(int From, int To)>();
        var next = 0;
        foreach (var (from, to) in _ranges)
        {
            rest.Add((next, from - 1));
            next = to + 1;
        }

        rest.Add((next, Last));
        return Of(rest.SelectMany(WithoutSurrogates));
    }

    private static IEnumerable<(int From, int To)> WithoutSurrogates((int From, int To) range) =>
    [
        (range.From, Math.Min(range.To, FirstSurrogate - 1)),
        (Math.Max(range.From, LastSurrogate + 1), range.To),
    ];

    private static (int From, int To)[][] ReadCategories()
    {
        var ranges = Enum.GetValues<UnicodeCategory>().Select(_ => new List<(int From, int To)>()).ToArray();
        for (var point = 0; point <= Last; point++)
        {
            if (point is >= FirstSurrogate and <= LastSurrogate)
                continue;
            var of = ranges[(int)CharUnicodeInfo.GetUnicodeCategory(point)];
            if (of.Count > 0 && of[^1].To == point - 1)
                of[^1] = (of[^1].From, point);
            else
                of.Add((point, point));
        }

        return [.. ranges.Select(list => list.ToArray())];
    }

    /// <summary>True for the name of a category, or of a group of them.</summary>
    internal static bool IsCategory(string name) => name.Length > 0 && CategoriesOf(name).Any();

    private static IEnumerable<UnicodeCategory> CategoriesOf(string name) =>
        Names.Where(item => item.Name.StartsWith(name, StringComparison.Ordinal)).Select(item => item.Category);
}
