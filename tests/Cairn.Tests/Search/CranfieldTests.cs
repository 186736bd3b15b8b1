using System.Diagnostics;
using System.Globalization;
using System.Text;
using Cairn.Tests.Tidy;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Search;

/// <summary>Quality of the ranking on the Cranfield collection (1,400 abstracts, 225 questions, 1,837 judgements), beside that of Lucene
/// over the same terms. The collection has no stated licence and is no part of the repository: CAIRN_CRANFIELD names its folder, or it lies
/// beside the clone in shared/data/cranfield. Grades 1 to 4 count as relevant; the rows graded -1, which its readme does not explain, do
/// not. For nDCG a grade g gains 5 - g.</summary>
[Trait("Requirement", "SRCH-17")]
public class CranfieldTests
{
    private const double DifferenceMax = 0.01;
    private const string Page = "docs/benchmarks/cranfield.md";

    private static readonly string Folder =
        Environment.GetEnvironmentVariable("CAIRN_CRANFIELD") ?? Repository.Full("../shared/data/cranfield");

    [Fact]
    public void Ours_ranks_as_well_as_Lucene_over_the_same_terms()
    {
        Assert.SkipUnless(
            File.Exists(Path.Combine(Folder, "cranqrel")), "the Cranfield collection is not there (CAIRN_CRANFIELD names its folder)");
        var documents = Records("cran.all.1400").Select(record => Field(record, "T") + " " + Field(record, "W")).ToList();
        var questions = Records("cran.qry").Select(record => Field(record, "W")).ToList();
        var grades = Grades(questions.Count);
        Assert.Equal((1_400, 225), (documents.Count, questions.Count));

        var ours = Measure(Ours(documents, questions), grades);
        if (Environment.GetEnvironmentVariable("CAIRN_UPDATE_DOCS") != "1")
            Assert.True(ours.Map >= Stored("MAP") - 0.0001 && ours.Ndcg >= Stored("nDCG@10") - 0.0001, $"{ours} is less than {Page} has");
        var oracle = new LuceneOracle();
        oracle.SkipUnlessInstalled();
        var theirs = Measure(oracle.Rank(documents.ConvertAll(Terms), questions.ConvertAll(Terms), documents.Count), grades);
        Assert.InRange(Math.Abs(ours.Map - theirs.Map), 0, DifferenceMax);
        Assert.InRange(Math.Abs(ours.Ndcg - theirs.Ndcg), 0, DifferenceMax);
        MadePage.Compare(Page, PageOf(ours, theirs));
    }

    private readonly record struct Quality(double Map, double Ndcg);

    private static string PageOf(Quality ours, Quality theirs)
    {
        var text = new StringBuilder();
        text.Append("""
            # Cranfield

            Made by `CAIRN_UPDATE_DOCS=1 ./test only '*CranfieldTests*'`; the test compares, and fails when a figure of ours falls.
            1,400 abstracts (title and text), 225 questions, 1,837 judgements: grades 1 to 4 are relevant, rows graded -1 are not; for nDCG
            a grade g gains 5 - g. Both sides have the same terms: English stems, the 33 stop words left out. Lucene 8.7, BM25 with k1 1.2
            and b 0.75, keeps lengths in one byte, so it is a little different.

            | | MAP | nDCG@10 |
            |---|---|---|

            """);
        text.Append(CultureInfo.InvariantCulture, $"| Cairn | {ours.Map:F4} | {ours.Ndcg:F4} |\n");
        text.Append(CultureInfo.InvariantCulture, $"| Lucene | {theirs.Map:F4} | {theirs.Ndcg:F4} |\n");
        text.Append(CultureInfo.InvariantCulture, $"| difference | {ours.Map - theirs.Map:+0.0000;-0.0000} | ");
        text.Append(CultureInfo.InvariantCulture, $"{ours.Ndcg - theirs.Ndcg:+0.0000;-0.0000} |\n");
        return text.ToString();
    }

    private static double Stored(string column)
    {
        var rows = Repository.Lines(Page).Select(line => line.Split('|', StringSplitOptions.TrimEntries)).ToList();
        var at = Array.IndexOf(rows.First(row => row.Contains(column)), column);
        return double.Parse(rows.First(row => row.Contains("Cairn"))[at], CultureInfo.InvariantCulture);
    }

    private static List<int[]> Ours(List<string> documents, List<string> questions)
    {
        using var db = CairnDatabase.OpenInMemory(new() { Limits = new() { SearchHitsMax = 10_000 } });
        var run = db.Default;
        foreach (var (text, number) in documents.Select((text, index) => (text, index)))
            run.Events.Append("x", Value.Object(("text", text)));
        var options = new SearchOptions
        {
            Limit = documents.Count,
            IsLiteral = true,
            HasSnippets = false,
            Budget = new() { Time = TimeSpan.FromSeconds(60), CandidatesPerPrimitive = 10_000 },
        };
        return questions.ConvertAll(question => run.Search(question, options).Hits
            .Select(hit => int.Parse(hit.Item.Key[1..], CultureInfo.InvariantCulture)).ToArray());
    }

    private static Quality Measure(List<int[]> rankings, List<Dictionary<int, int>> grades)
    {
        double map = 0, ndcg = 0;
        foreach (var (ranking, relevant) in rankings.Zip(grades))
        {
            double found = 0, precision = 0, gain = 0;
            for (var i = 0; i < ranking.Length; i++)
            {
                if (!relevant.TryGetValue(ranking[i], out var grade))
                    continue;
                precision += ++found / (i + 1);
                gain += i < 10 ? (5 - grade) / Math.Log2(i + 2) : 0;
            }

            map += precision / relevant.Count;
            ndcg += gain / relevant.Values.Order().Take(10).Select((grade, i) => (5 - grade) / Math.Log2(i + 2)).Sum();
        }

        return new Quality(map / rankings.Count, ndcg / rankings.Count);
    }

    // Judgements name questions by their place.
    private static List<Dictionary<int, int>> Grades(int questions)
    {
        var grades = Enumerable.Range(0, questions).Select(_ => new Dictionary<int, int>()).ToList();
        foreach (var line in File.ReadLines(Path.Combine(Folder, "cranqrel")))
        {
            var cells = line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            if (cells.Length < 3)
                continue;
            var grade = Number(cells[2]);
            if (grade >= 1)
                grades[Number(cells[0]) - 1][Number(cells[1]) - 1] = grade;
        }

        Assert.All(grades, one => Assert.NotEmpty(one));
        return grades;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static IEnumerable<string> Records(string file) => ("\n" + File.ReadAllText(Path.Combine(Folder, file))
        .Replace("\r", "", StringComparison.Ordinal)).Split("\n.I ").Skip(1);

    private static string Field(string record, string name)
    {
        var parts = ("\n" + record).Split("\n.");
        return string.Join(' ', parts.Where(part => part.StartsWith(name + "\n", StringComparison.Ordinal)).Select(part => part[2..]))
            .Replace('\n', ' ');
    }

    private static string Terms(string text)
    {
        var terms = new List<string>();
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var reader = TextAnalyzer.Default.Read(Encoding.UTF8.GetBytes(text), buffer);
        while (reader.MoveNext())
            terms.Add(Encoding.UTF8.GetString(reader.Term));
        return string.Join(' ', terms);
    }
}

/// <summary>Rankings by Lucene over given terms: see tests/oracles/LuceneSearch.java.</summary>
internal sealed class LuceneOracle
{
    private const string Jars = "/usr/share/java";

    internal void SkipUnlessInstalled() => Assert.SkipUnless(
        File.Exists("/usr/bin/java") && Directory.Exists(Jars) && Directory.EnumerateFiles(Jars, "lucene-core-*.jar").Any(),
        "java with Lucene is not installed (apt-get install openjdk-17-jdk-headless liblucene8-java)");

    /// <param name="documents">Terms with spaces between.</param>
    internal List<int[]> Rank(List<string> documents, List<string> queries, int most)
    {
        var start = new ProcessStartInfo("/usr/bin/java") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var argument in new[] { "-cp", Jars + "/*", Repository.Full("tests/oracles/LuceneSearch.java") })
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        foreach (var document in documents)
            process.StandardInput.WriteLine($"D {document}");
        process.StandardInput.WriteLine("C");
        foreach (var query in queries)
            process.StandardInput.WriteLine($"Q {most} {query}");
        process.StandardInput.Close();
        process.WaitForExit();
        return [.. output.GetAwaiter().GetResult().Split('\n').Skip(1).Take(queries.Count)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Select(number => int.Parse(number, CultureInfo.InvariantCulture)).ToArray())];
    }
}
