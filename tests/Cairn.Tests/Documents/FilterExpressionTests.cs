#pragma warning disable CA1862, CA1865, CA1866 // expressions as people write them
using System.Linq.Expressions;
using System.Text.Json.Serialization;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Filters from expressions of C#: the same filter as the builder's, the same answer as the expression itself, and what is
/// refused.</summary>
[Trait("Requirement", "VEC-13")]
public sealed partial class FilterExpressionTests
{
    internal enum Level
    {
        Low,
        High,
    }

    internal sealed record Owner(string? Name, int Age);

    internal sealed class Work
    {
        public string? Title { get; init; }
        public long Due { get; init; }
        public short Small { get; init; }
        public double Cost { get; init; }
        public int? Rank { get; init; }
        public bool Done { get; init; }
        public string[] Tags { get; init; } = [];
        public List<int> Numbers { get; init; } = [];
        public Dictionary<string, int> Points { get; init; } = [];
        public Owner? Owner { get; init; }
        public Owner[] Others { get; init; } = [];

        public string Field = "";
    }

    internal sealed class Named
    {
        [JsonPropertyName("the-name")]
        public string? Name { get; init; }
        public int DueDate { get; init; }
        public Level Level { get; init; }
        public Level? Other { get; init; }
        public DateTimeOffset At { get; init; }
        public Level[] All { get; init; } = [];
        public Named? Inner { get; init; }

        [JsonIgnore]
        public int Hidden { get; init; }
    }

    [JsonSourceGenerationOptions(
        PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true,
        GenerationMode = JsonSourceGenerationMode.Metadata)]
    [JsonSerializable(typeof(Named))]
    internal sealed partial class FilterDescriptions : JsonSerializerContext;

    private static readonly string[] Names = ["ada", "bob"];

    private static int Fixed => 7;

    [Fact]
    public void An_expression_is_the_filter_that_the_builder_makes()
    {
        var owner = "ada";
        var due = 20261201;
        int? rank = 3;
        List<long> dues = [1, 2];
        var none = default(string);
        var at = 1;
        Is("$.Title eq 'ada' and $.Due lt 20261201 and $.Tags contains 'urgent'",
            x => x.Title == owner && x.Due < due && x.Tags.Contains("urgent"));
        Is("$.Due gt 5 or $.Due gte 6 or $.Due lte 7", x => 5 < x.Due || x.Due >= 6 || 7 >= x.Due);
        Is("not ($.Due eq 5)", x => x.Due != 5);
        Is("not ($.Due eq 5)", x => !(x.Due == 5));
        Is("$.Small eq 5 and $.Cost gt 1.5", x => x.Small == 5 && x.Cost > 1.5);
        Is("$.Rank eq 3 and $.Rank ne null and $.Rank lt 3", x => x.Rank == rank && x.Rank.HasValue && x.Rank!.Value < rank);
        Is("not ($.Rank ne null)", x => x.Rank == null);
        Is("not ($.Rank ne null)", x => !x.Rank.HasValue);
        Is("not ($.Title ne null)", x => x.Title == none);
        Is("$.Title ne null", x => x.Title != null);
        Is("$.Done eq true and not ($.Done eq true)", x => x.Done && !x.Done);
        Is("$.Done eq false", x => x.Done == false);
        Is("$.Title prefix 'a' and $.Title contains 'b'", x => x.Title!.StartsWith("a") && x.Title.Contains('b'));
        Is("$.Title prefix 'a'", x => x.Title!.StartsWith("a", StringComparison.Ordinal));
        Is("$.Title in [\"ada\",\"bob\"] and $.Due in [1, 2]", x => Names.Contains(x.Title) && dues.Contains(x.Due));
        Is("$.Due in [1, 2]", x => new HashSet<long> { 1, 2 }.Contains(x.Due));
        Is("$.Title in [\"a\",null] or not ($.Title exists)", x => new[] { "a", null }.Contains(x.Title));
        Is("$.Numbers contains 7 and $.Numbers[1] eq 3", x => x.Numbers.Contains(Fixed) && x.Numbers[at] == 3);
        Is("$.Tags[0] eq 'x' and $.Points.a gt 1", x => x.Tags[0] == "x" && x.Points["a"] > 1);
        Is("$.Owner.Name eq 'ada' and $.Owner.Age gte 18 and $.Others[2].Name eq 'b'",
            x => x.Owner!.Name == owner && x.Owner.Age >= 18 && x.Others[2].Name == "b");
        Is("not ($.Owner ne null)", x => x.Owner == null);
        Is("$.Title eq 'ADA' and $.Title eq 'ada'", x => x.Title == owner.ToUpperInvariant() && x.Title!.Equals(owner));
        Is("$.Title eq 'ada' and $.Title eq 'ada'",
            x => string.Equals(x.Title, owner) && string.Equals(owner, x.Title, StringComparison.Ordinal));
        Is("$.Title lt 'm' and $.Title gte 'b'",
            x => string.CompareOrdinal(x.Title, "m") < 0 && string.CompareOrdinal(x.Title, "b") >= 0);
        Assert.Equal(Filter.Eq(DocumentPath.Root, "a"), Filter.Where<string>(x => x == "a"));
    }

    // L4.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_does_not_look_at_the_value_is_decided(bool all)
    {
        Is("$.Due gt 3", x => !all && all || x.Due > 3);
        Is("$.Due gt 3", x => (all || !all) && x.Due > 3);
        Is(all ? "$.Due gt 1" : "$.Due gt 3", x => (all && x.Due > 1) || (!all && x.Due > 3));
        Refused("does not look at the value", x => all || x.Due > 3 || !all);
    }

    [Fact]
    public void Names_and_forms_are_those_of_the_description()
    {
        var high = Level.High;
        var time = new DateTimeOffset(2026, 11, 30, 8, 0, 0, TimeSpan.Zero);
        Described("$['the-name'] eq 'a' and $.dueDate lt 5", x => x.Name == "a" && x.DueDate < 5);
        Described("$.level eq 'High' and not ($.level eq 'Low')", x => x.Level == high && x.Level != Level.Low);
        Described("$.other eq 'High' and not ($.other ne null)", x => x.Other == Level.High && x.Other == null);
        Described("$.inner['the-name'] eq 'b'", x => x.Inner!.Name == "b");
        Described("$.at eq '2026-11-30T08:00:00+00:00'", x => x.At == time);
        Described("$.level in [\"Low\",\"High\"] and $.all contains 'High'",
            x => new[] { Level.Low, high }.Contains(x.Level) && x.All.Contains(Level.High));
        var value = Value.From(new Named { Name = "a", DueDate = 4, Level = Level.High }, FilterDescriptions.Default.Named);
        Assert.True(Filter.Where(x => x.Name == "a" && x.Level == Level.High, FilterDescriptions.Default.Named).Matches(value));
        var order = Assert.Throws<CairnException>(() => Filter.Where(x => x.At < time, FilterDescriptions.Default.Named));
        Assert.Contains("an order of DateTimeOffset", order.Message, StringComparison.Ordinal);
        var hidden = Assert.Throws<CairnException>(() => Filter.Where(x => x.Hidden == 1, FilterDescriptions.Default.Named));
        Assert.Contains("'Hidden'", hidden.Message, StringComparison.Ordinal);
        var bare = Assert.Throws<CairnException>(() => Filter.Where<Named>(x => x.Level == Level.High));
        Assert.Equal(ErrorCode.InvalidFilter, bare.Code);
        Assert.Contains("JsonTypeInfo", bare.Message, StringComparison.Ordinal);

        static void Described(string text, Expression<Func<Named, bool>> predicate) =>
            Assert.Equal(Filter.Parse(text), Filter.Where(predicate, FilterDescriptions.Default.Named));
    }

    // L3.
    [Fact]
    public void What_no_filter_says_is_refused_by_name()
    {
        int? nothing = null;
        Refused("two places", x => x.Title == x.Tags[0]);
        Refused("ToUpper", x => x.Title!.ToUpper() == "A");
        Refused("StartsWith", x => x.Title!.StartsWith("a", StringComparison.OrdinalIgnoreCase));
        Refused("EndsWith", x => x.Title!.EndsWith('a'));
        Refused("kind Add", x => x.Due + 1 > 5);
        Refused("kind Convert", x => (int)x.Due > 5);
        Refused("kind ArrayLength", x => x.Tags.Length > 1);
        Refused("'Length' of a String", x => x.Title!.Length > 1);
        Refused("'Count' of a List", x => x.Numbers.Count > 1);
        Refused("'Field'", x => x.Field == "a");
        Refused("Any", x => x.Tags.Any(tag => tag == "a"));
        Refused("an order against null", x => x.Rank < nothing);
        Refused("IsNullOrEmpty", x => string.IsNullOrEmpty(x.Title));
        Refused("kind Conditional", x => x.Done ? x.Due > 1 : x.Due > 2);
        Refused("kind TypeIs", x => (object?)x.Owner is Owner);
        Assert.Throws<ArgumentNullException>(() => Filter.Where<Work>(null!));
        var many = new short[100_001];
        Assert.Throws<LimitException>(() => Filter.Where<Work>(x => many.Contains(x.Small)));
    }

    // The oracle: what the expression says of the objects themselves, compiled.
    [Fact]
    public void An_expression_holds_for_what_it_holds_for_in_CSharp()
    {
        var work = new List<Work>();
        foreach (var title in new[] { null, "", "ada", "adb", "b" })
        {
            foreach (var n in new[] { -1, 0, 3 })
            {
                work.Add(new Work
                {
                    Title = title, Due = n, Small = (short)n, Cost = n / 2.0, Rank = n == 0 ? null : n, Done = n > 0,
                    Tags = title is null ? [] : [title, "x"], Numbers = [n, 1], Owner = n == 3 ? null : new Owner(title, n),
                });
            }
        }

        Expression<Func<Work, bool>>[] predicates =
        [
            x => x.Title == "ada" || x.Due >= 3,
            x => x.Title != "ada",
            x => x.Title == null,
            x => x.Title != null && x.Title.StartsWith("ad", StringComparison.Ordinal),
            x => x.Rank == 3,
            x => x.Rank != 3,
            x => !(x.Rank > 0),
            x => x.Rank == null || x.Rank < 0,
            x => x.Tags.Contains("ada") && !x.Done,
            x => x.Numbers.Contains(3) == true,
            x => Names.Contains(x.Title),
            x => !Names.Contains(x.Title),
            x => x.Cost > 1 && x.Cost <= 1.5f,
            x => x.Owner != null && x.Owner.Age < 0,
            x => string.CompareOrdinal(x.Title ?? "", "ada") > 0,
        ];
        foreach (var predicate in predicates[..^1])
        {
            Filter filter;
            try
            {
                filter = Filter.Where(predicate);
            }
            catch (CairnException refused) when (refused.Code == ErrorCode.InvalidFilter)
            {
                Assert.Fail($"{predicate}: {refused.Message}");
                throw;
            }

            var compiled = predicate.Compile();
            foreach (var item in work)
                Assert.True(filter.Matches(Value.From(item)) == compiled(item), $"{predicate} of {Value.From(item).ToJson()}");
        }

        Assert.Equal(ErrorCode.InvalidFilter, Assert.Throws<CairnException>(() => Filter.Where(predicates[^1])).Code);
    }

    private static void Is(string text, Expression<Func<Work, bool>> predicate)
    {
        Assert.Equal(Filter.Parse(text).ToString(), Filter.Where(predicate).ToString());
    }

    private static void Refused(string part, Expression<Func<Work, bool>> predicate)
    {
        var refused = Assert.Throws<CairnException>(() => Filter.Where(predicate));
        Assert.Equal(ErrorCode.InvalidFilter, refused.Code);
        Assert.Contains(part, refused.Message, StringComparison.Ordinal);
    }
}
