using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/limits.md, the XML docs of <see cref="Limits"/>, its defaults and the check at open say the same.</summary>
[Trait("Promise", "G13")]
public partial class LimitsPageTests
{
    private static IEnumerable<MemberInfo> Members => typeof(Limits)
        .GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .Where(member => member is FieldInfo || (member is PropertyInfo property && property.Name != "EqualityContract"))
        .OrderBy(member => IdOf(member) is "-" ? int.MaxValue : int.Parse(IdOf(member)[4..], CultureInfo.InvariantCulture))
        .ThenBy(member => member.MetadataToken);

    private static IEnumerable<PropertyInfo> Settable => Members.OfType<PropertyInfo>().Where(property => property.CanWrite);

    [Fact]
    public void The_page_holds_the_table_of_the_code()
    {
        var table = new StringBuilder("| id | limit | default | at most | what |\n|---|---|---|---|---|\n");
        foreach (var member in Members)
        {
            table.Append(CultureInfo.InvariantCulture, $"| {IdOf(member)} | `{member.Name}` | {Text(Default(member))} | ");
            table.Append(CultureInfo.InvariantCulture, $"{(IsFixed(member) ? "fixed" : MostText(member))} | {WhatOf(member)} |\n");
        }

        MadePage.ComparePart("docs/limits.md", "limits", table.ToString());
    }

    [Fact]
    public void The_documented_default_is_the_default()
    {
        foreach (var property in Settable)
        {
            var match = DefaultText().Match(Summary(property));
            Assert.True(match.Success, $"{property.Name}: the summary says no default");
            Assert.True(
                Equals(Default(property), Parse(match.Groups[1].Value, property)),
                $"{property.Name}: default {Default(property)}, documented {match.Groups[1].Value}");
        }
    }

    [Fact]
    public void The_documented_maximum_is_accepted_and_one_more_is_refused_by_name()
    {
        foreach (var property in Settable)
        {
            var most = MostOf(property);
            OptionRules.Check(With(property, most));
            var refused = Assert.Throws<CairnException>(() => OptionRules.Check(With(property, More(most))));
            Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
            Assert.StartsWith(property.Name + " ", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_limit_below_its_minimum_is_refused_by_name()
    {
        foreach (var property in Settable)
        {
            object least = property.PropertyType == typeof(int) ? 0 : TimeSpan.Zero;
            var refused = Assert.Throws<CairnException>(() => OptionRules.Check(With(property, least)));
            Assert.StartsWith(property.Name + " ", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Fixed_limits_are_told_as_fixed()
    {
        foreach (var member in Members)
            Assert.True(Limits.IsFixed(member.Name) == IsFixed(member), $"{member.Name}: IsFixed, the summary and the declaration differ");
    }

    // Everything else at its widest, so that limits which depend on each other do not stand in the way.
    private static CairnOptions With(PropertyInfo property, object value)
    {
        var limits = new Limits { TransactionBytesMax = 256 << 20, PageSizeMax = 10_000, SearchHitsMax = 10_000 };
        property.SetValue(limits, value);
        return new CairnOptions { Limits = limits };
    }

    private static object Default(MemberInfo member) => member is FieldInfo field
        ? field.GetRawConstantValue()!
        : ((PropertyInfo)member).GetValue(((PropertyInfo)member).GetMethod!.IsStatic ? null : new Limits())!;

    private static bool IsFixed(MemberInfo member) => Summary(member).Contains("Fixed", StringComparison.Ordinal);

    private static string Summary(MemberInfo member) =>
        XmlDocs.Summary($"{(member is FieldInfo ? 'F' : 'P')}:Cairn.Limits.{member.Name}")
        ?? throw new InvalidOperationException($"{member.Name} has no summary");

    // A limit that the requirements have no id for stands at the end.
    private static string IdOf(MemberInfo member) =>
        IdText().Match(Summary(member)) is { Success: true } match ? match.Groups[1].Value : "-";

    // The sentences behind the id that are neither the default nor "Fixed".
    private static string WhatOf(MemberInfo member)
    {
        var text = IdText().Replace(Summary(member), "");
        var kept = Sentence().Split(text).Where(sentence => !sentence.StartsWith("Default ", StringComparison.Ordinal)
            && !sentence.StartsWith("Fixed", StringComparison.Ordinal)).Select(sentence => sentence.TrimEnd('.'));
        return string.Join(". ", kept) is { Length: > 0 } what ? char.ToUpperInvariant(what[0]) + what[1..] : "";
    }

    private static string MostText(MemberInfo member)
    {
        var text = MostAndMore().Match(Summary(member));
        return text.Success ? text.Groups[1].Value : "`PageSizeMax`";
    }

    private static object MostOf(PropertyInfo property) => property.Name == nameof(Limits.PageSize)
        ? 10_000
        : Parse(MostPlain().Match(Summary(property)).Groups[1].Value, property);

    private static object More(object most) => most is int number ? number + 1 : (TimeSpan)most + TimeSpan.FromTicks(1);

    private static object Parse(string text, PropertyInfo property)
    {
        var parts = text.Split(' ');
        var number = int.Parse(parts[0], NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
        if (property.PropertyType == typeof(int))
            return parts.Length == 1 ? number : checked(number * (parts[1] == "MiB" ? 1 << 20 : 1 << 10));
        return parts[1] switch
        {
            "ms" => TimeSpan.FromMilliseconds(number),
            "s" => TimeSpan.FromSeconds(number),
            "min" => TimeSpan.FromMinutes(number),
            "h" => TimeSpan.FromHours(number),
            _ => (object)TimeSpan.FromDays(number),
        };
    }

    private static string Text(object value) => value switch
    {
        int number when number >= 1 << 20 && number % (1 << 20) == 0 => $"{number >> 20} MiB",
        int number when number >= 1 << 16 && number % (1 << 10) == 0 => $"{number >> 10} KiB",
        int number => number.ToString("N0", CultureInfo.InvariantCulture),
        TimeSpan time when time >= TimeSpan.FromDays(2) => $"{time.TotalDays / 365.25:0} years",
        TimeSpan time when time >= TimeSpan.FromHours(1) => $"{time.TotalHours:0} h",
        TimeSpan time when time >= TimeSpan.FromSeconds(1) => $"{time.TotalSeconds:0} s",
        TimeSpan time => $"{time.TotalMilliseconds:0} ms",
        _ => value.ToString()!,
    };

    [GeneratedRegex("^(LIM-[0-9]+): ")]
    private static partial Regex IdText();

    [GeneratedRegex(@"Default ([0-9][0-9,]*(?: (?:MiB|KiB|ms|s|min|h|days))?)\b")]
    private static partial Regex DefaultText();

    [GeneratedRegex(@"at most ([0-9][0-9,]*(?: (?:MiB|KiB|ms|s|min|h|days))?)\b")]
    private static partial Regex MostPlain();

    [GeneratedRegex(@"Default [^,.]*(?:,[0-9]{3})*(?: \w+)?, at most (.*?)\.(?: |$)")]
    private static partial Regex MostAndMore();

    [GeneratedRegex(@"(?<=\.) (?=[A-Z])")]
    private static partial Regex Sentence();
}
