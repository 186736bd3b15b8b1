using System.Text;
using Cairn.Primitives;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Text;

/// <summary>Segments of random things, beside comparing every thing with the query.</summary>
public class TextSegmentTests
{
    private static readonly SearchedThings Kind = SearchedThings.OfRuns[0];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(3_000)]
    [Trait("Kind", "Random")]
    public void The_best_are_those_of_comparing_everything(int count)
    {
        var random = new Random((int)Seeds.Begin($"segment of {count}"));
        var texts = new List<ThingText>();
        var builder = new TextSegmentBuilder(TextAnalyzer.Default);
        for (var i = 0; i < count; i++)
        {
            var thing = RandomThing(random, i);
            texts.Add(thing);
            builder.Add(thing);
        }

        var segment = builder.Build();
        Assert.Equal(count, segment.Things);
        for (var i = 0; i < count; i++)
        {
            Assert.True(segment.KeyOf(i).SequenceEqual(texts[i].Key));
            Assert.Equal(i, segment.Find(texts[i].Key));
        }

        Assert.Equal(-1, segment.Find("none"u8));
        for (var term = 1; term < segment.Terms.Count; term++)
        {
            Assert.True(segment.Terms[term - 1].SequenceCompareTo(segment.Terms[term]) < 0);
            Assert.Equal(term, segment.Terms.Find(segment.Terms[term]));
            Assert.Equal(term, segment.Terms.FirstAtOrAfter(segment.Terms[term]));
        }

        var rounds = Seeds.Scaled(60);
        for (var round = 0; round < rounds; round++)
            Compare(random, texts, segment, RandomQuery(random));
    }

    private static void Compare(Random random, List<ThingText> texts, TextSegment segment, string text)
    {
        var query = TextQuery.Parse(text, isLiteral: false, TextAnalyzer.Default, new Limits());
        var clauses = query.Clauses.Length;
        var matcher = new TextMatcher(TextAnalyzer.Default, query);
        var holders = new long[clauses];
        var total = 0L;
        var matches = new List<(int Thing, int[] Tenths)>();
        foreach (var (thing, number) in texts.Select((thing, number) => (thing, number)))
        {
            matcher.Look(thing, () => true);
            Assert.Equal(matcher.Length, segment.Lengths[number]);
            total += matcher.Length;
            for (var i = 0; i < clauses; i++)
                holders[i] += matcher.Tenths[i] > 0 ? 1 : 0;
            if (matcher.IsMatch)
                matches.Add((number, (int[])matcher.Tenths.Clone()));
        }

        Assert.Equal(total, segment.TotalLength);
        var bm25 = new Bm25(texts.Count, total);
        var weights = new double[clauses];
        for (var i = 0; i < clauses; i++)
            weights[i] = Bm25.Idf(texts.Count, holders[i]) * query.Clauses[i].Times;
        var lives = random.Next(2) == 0 ? 1.0 : random.NextDouble();
        var isLiving = texts.Select(_ => random.NextDouble() <= lives).ToArray();
        var expected = matches.Where(match => isLiving[match.Thing]).Select(match => (match.Thing, Score: Score(match))).ToList();
        expected.Sort((left, right) => left.Score != right.Score ? right.Score.CompareTo(left.Score) : left.Thing - right.Thing);

        var wanted = new List<PostingCursor>();
        var excluded = new List<PostingCursor>();
        var required = new bool[clauses];
        var misses = false;
        for (var i = 0; i < clauses; i++)
        {
            required[i] = query.Clauses[i].Role == ClauseRole.Required;
            var cursor = Open(segment, query.Clauses[i], i);
            Assert.Equal(holders[i], cursor?.Holders ?? 0);
            misses |= required[i] && cursor is null;
            if (cursor is null)
                continue;
            int[] some = [.. Enumerable.Range(0, texts.Count).Where(_ => random.Next(random.Next(2) == 0 ? 3 : 40) == 0)];
            matcher = new TextMatcher(TextAnalyzer.Default, query);
            Assert.Equal(
                some.Count(thing =>
                {
                    matcher.Look(texts[thing], () => true);
                    return matcher.Tenths[i] > 0;
                }),
                cursor.CountOf(some));
            cursor.Start(weights[i], bm25);
            (query.Clauses[i].Role == ClauseRole.Excluded ? excluded : wanted).Add(cursor);
        }

        var most = random.Next(1, 25);
        var top = new TopThings(most, clauses);
        var isFirst = random.Next(2) == 0;
        if (!misses && wanted.Count > 0)
            top.Run(Kind, segment, wanted, required, excluded, bm25, isFirst, (_, thing, _) => isLiving[thing], () => true);
        Assert.Equal(
            expected.Take(most).Select(one => (one.Thing, BitConverter.DoubleToInt64Bits(one.Score))),
            top.Take().Select(one => (one.Thing, BitConverter.DoubleToInt64Bits(one.Score))));

        double Score((int Thing, int[] Tenths) match)
        {
            var score = 0.0;
            for (var i = 0; i < clauses; i++)
            {
                if (match.Tenths[i] > 0 && query.Clauses[i].Role != ClauseRole.Excluded)
                    score += Bm25.Score(weights[i], match.Tenths[i], bm25.Norm(segment.Lengths[match.Thing]));
            }

            return score;
        }
    }

    private static PostingCursor? Open(TextSegment segment, QueryClause clause, int number)
    {
        var cursor = PostingCursor.Rent();
        if (clause.Kind == ClauseKind.Prefix)
        {
            var made = MadePostings.OfPrefix(segment, clause.Terms[0]);
            cursor.Open(segment, number, made);
            return made.Things.Length == 0 ? null : cursor;
        }

        var terms = Array.ConvertAll(clause.Terms, term => segment.Terms.Find(term));
        if (Array.Exists(terms, term => term < 0))
            return null;
        if (clause.Kind == ClauseKind.Term)
        {
            cursor.Open(segment, number, terms[0]);
            return cursor;
        }

        var phrase = MadePostings.OfPhrase(segment, terms, clause.Offsets);
        cursor.Open(segment, number, phrase);
        return phrase.Things.Length == 0 ? null : cursor;
    }

    // Common words and rare ones, long things and short ones; some in keys.
    private static ThingText RandomThing(Random random, int number)
    {
        var thing = new ThingText();
        var key = Encoding.UTF8.GetBytes($"{number:0000000} {Word(random)}");
        thing.Begin(Kind, key, 1, 1, 0);
        thing.Add(TextField.Key, key);
        for (var texts = random.Next(3); texts >= 0; texts--)
        {
            var length = random.Next(20) == 0 ? random.Next(400) : random.Next(12);
            thing.Add(TextField.Value, string.Join(' ', Enumerable.Range(0, length).Select(_ => Word(random))));
        }

        return thing;
    }

    private static string Word(Random random) => $"w{(int)Math.Pow(random.NextDouble() * 8, 3) % 500}x{random.Next(2)}";

    private static string RandomQuery(Random random)
    {
        var parts = new List<string>();
        for (var i = random.Next(1, 6); i > 0; i--)
        {
            var sign = parts.Count == 0 ? "" : random.Next(6) switch { 0 => "+", 1 => "-", _ => "" };
            parts.Add(sign + random.Next(8) switch
            {
                0 => $"\"{Word(random)} {Word(random)}\"",
                1 => $"w{random.Next(10)}*",
                _ => Word(random),
            });
        }

        return string.Join(' ', parts);
    }
}
