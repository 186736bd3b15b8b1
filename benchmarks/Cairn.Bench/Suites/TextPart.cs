using System.Diagnostics;
using System.Text;
using System.Xml.Linq;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;
using Cairn.Primitives;
using Cairn.Text;

namespace Cairn.Bench.Suites;

/// <summary>Passages of the reference documentation that comes with the SDK, found by two words each: the index alone beside a plain loop
/// over arrays and beside Lucene, all over the same terms; and the whole call, with its snapshot, plan and hits.</summary>
internal sealed class TextPart(RecallRun run)
{
    private const int Queries = 1_000;
    private const int RoundsOfQueries = 3;

    private readonly Series _index = Series.For(null);
    private readonly Series _call = Series.For(null);
    private readonly Series _plain = Series.For(null);
    private readonly Series _lucene = Series.For(LuceneTerms.Missing);
    private readonly Series _build = Series.For(null);
    private readonly Series _plainBuild = Series.For(null);
    private readonly Series _luceneBuild = Series.For(LuceneTerms.Missing);

    internal void Run()
    {
        var passages = Passages(run.Passages);
        if (passages.Count < 1_000)
        {
            run.Report.Skip("text", "the SDK has no reference documentation here");
            return;
        }

        var terms = passages.ConvertAll(Terms);
        var queries = Questions(terms);
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { TextIndexing = TextIndexing.OnRequest });
        foreach (var chunk in passages.Select((text, number) => new KeyValuePair<string, Value>($"p{number:0000000}", text)).Chunk(1_000))
            db.Default.Kv.PutMany(chunk);
        db.Default.TextIndex.Build("kv");
        while (db.Engine.Texts.Step())
        {
        }

        using var lucene = LuceneTerms.Missing is null ? new LuceneTerms() : null;
        if (lucene is not null)
        {
            _luceneBuild.Add(lucene.Index(terms.Select(words => string.Join(' ', words))));
            lucene.Ask(queries.Select(query => string.Join(' ', query)));
            lucene.Time();
        }

        var found = 0L;
        for (var round = 0; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            TextSegment? segment = null;
            PlainTerms? plain = null;
            _build.Add(passages.Count / Seconds(() => segment = Build(passages)));
            SuiteRun.Settle();
            _plainBuild.Add(passages.Count / Seconds(() => plain = BuildPlain(passages)));
            if (round == 0)
                Compare(plain!, segment!, queries);
            SuiteRun.Settle();
            foreach (var query in queries)
                found += plain!.Find(query).Length + Find(segment!, query);
            _plain.Add(Rate(() => queries.ForEach(query => found += plain!.Find(query).Length)));
            _index.Add(Rate(() => queries.ForEach(query => found += Find(segment!, query))));
            _plain.Add(Rate(() => queries.ForEach(query => found += plain!.Find(query).Length)));
            _index.Add(Rate(() => queries.ForEach(query => found += Find(segment!, query))));
            var options = new SearchOptions { IsLiteral = true, HasSnippets = false, Analysis = null };
            var texts = queries.ConvertAll(query => string.Join(' ', query));
            _call.Add(Rate(() => texts.ForEach(text => found += db.Default.Kv.Search(text, options).Hits.Count)));
            if (lucene is not null)
            {
                _lucene.Add(lucene.Time());
                _lucene.Add(lucene.Time());
                if (round > 0)
                    _luceneBuild.Add(_luceneBuild.Rounds[0]);
            }
        }

        var size = $"passages={passages.Count} words-per-query=2";
        run.Report.Add("text-or-top10 Cairn-index", _index, "/s", size);
        run.Report.Add("text-or-top10 Cairn-call", _call, "/s", size);
        run.Report.Add("text-or-top10 plain", _plain, "/s", size);
        run.Report.Add("text-or-top10 Lucene", _lucene, "/s", size);
        run.Report.Add("text-build Cairn", _build, "passages/s", size);
        run.Report.Add("text-build plain", _plainBuild, "passages/s", size);
        run.Report.Add("text-build Lucene", _luceneBuild, "passages/s", size);
        run.JudgeAtFullSize(RecallGates.TextToPlain, Series.Ratio(_index, _plain), size);
        run.JudgeAtFullSize(RecallGates.TextToLucene, Series.Ratio(_index, _lucene), size);
        run.JudgeAtFullSize(RecallGates.TextBuildToPlain, Series.Ratio(_build, _plainBuild), size);
        GC.KeepAlive(found);
    }

    // The ten best are the same, as far as rounding lets them.
    private static void Compare(PlainTerms plain, TextSegment segment, List<string[]> queries)
    {
        foreach (var query in queries)
        {
            var one = plain.Find(query).ToArray();
            var other = Best(segment, query);
            for (var i = 0; i < Math.Max(one.Length, other.Count); i++)
            {
                if (Math.Abs(one[i].Score - other[i].Score) > 1e-9)
                    throw new InvalidOperationException($"'{string.Join(' ', query)}' is ranked differently by the two sides");
            }
        }
    }

    private static int Find(TextSegment segment, string[] query) => Best(segment, query).Count;

    private static List<TopThing> Best(TextSegment segment, string[] query)
    {
        var bm25 = new Bm25(segment.Things, segment.TotalLength);
        var wanted = new List<PostingCursor>(query.Length);
        for (var i = 0; i < query.Length; i++)
        {
            var term = segment.Terms.Find(Encoding.UTF8.GetBytes(query[i]));
            if (term < 0)
                continue;
            var cursor = PostingCursor.Rent();
            cursor.Open(segment, i, term);
            cursor.Start(Bm25.Idf(segment.Things, cursor.Holders), bm25);
            wanted.Add(cursor);
        }

        var top = new TopThings(10, query.Length);
        top.Run(
            SearchedThings.OfRuns[0], segment, wanted, new bool[query.Length], [], bm25, isFirst: true, static (_, _, _) => true,
            static () => true);
        wanted.ForEach(PostingCursor.Return);
        return top.Take();
    }

    private static TextSegment Build(List<string> passages)
    {
        var builder = new TextSegmentBuilder(TextAnalyzer.Default);
        var thing = new ThingText();
        for (var i = 0; i < passages.Count; i++)
        {
            thing.Begin(SearchedThings.OfRuns[0], Encoding.UTF8.GetBytes($"p{i:0000000}"), 1, 1, 0);
            thing.Add(TextField.Value, passages[i]);
            builder.Add(thing);
        }

        return builder.Build();
    }

    private static PlainTerms BuildPlain(List<string> passages)
    {
        var plain = new PlainTerms();
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        Span<char> characters = stackalloc char[Tokenizer.BufferBytes];
        foreach (var passage in passages)
        {
            plain.BeginThing();
            var reader = TextAnalyzer.Default.Read(Encoding.UTF8.GetBytes(passage), buffer);
            while (reader.MoveNext())
                plain.Add(characters[..Encoding.UTF8.GetChars(reader.Term, characters)]);
        }

        plain.End();
        return plain;
    }

    private static string[] Terms(string text)
    {
        var terms = new List<string>();
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var reader = TextAnalyzer.Default.Read(Encoding.UTF8.GetBytes(text), buffer);
        while (reader.MoveNext())
            terms.Add(Encoding.UTF8.GetString(reader.Term));
        return [.. terms];
    }

    // Two words of one passage: what somebody who looks for it may ask.
    private static List<string[]> Questions(List<string[]> terms)
    {
        var random = new Random(7);
        var queries = new List<string[]>();
        while (queries.Count < Queries)
        {
            var words = terms[random.Next(terms.Count)].Distinct().ToArray();
            if (words.Length >= 2)
                queries.Add([.. random.GetItems(words, 2).Distinct()]);
        }

        return queries;
    }

    private static double Rate(Action all)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < RoundsOfQueries; i++)
            all();
        return RoundsOfQueries * Queries / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Seconds(Action work)
    {
        var start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    // Summaries, remarks, parameters and returns of each member, in the order of the files.
    private static List<string> Passages(int most)
    {
        var sdk = Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", "..", "packs");
        if (!Directory.Exists(sdk))
            return [];
        var passages = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(sdk, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            foreach (var member in XDocument.Load(file).Descendants("member").Elements())
            {
                var text = string.Join(' ', member.Value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
                if (text.Length > 20)
                    passages.Add(text);
                if (passages.Count == most)
                    return [.. passages];
            }
        }

        return [.. passages];
    }
}
