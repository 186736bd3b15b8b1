// The index of words: what it is
// ------------------------------
// Of one primitive of one run: for each term the things that have it, with frequencies and places, so that a search looks at those and at
// no others. It is made of what the store holds, is in memory alone, and may be thrown away at any moment: a search then looks at
// everything, and its answer is the same to the last bit.
//
//   TextIndex ── TextView @120 ─┬─ TextPart ── TextSegment     things in order of keys; terms; blocks of things (TextSegment.cs)
//             └─ TextView @100  ├─ TextPart ── TextSegment     smaller and younger
//                               └─ dead: written again since   one bit per thing, copied when it changes
//
//   search @125:   the view @120, without what commits 121 to 125 wrote (ThingChanges tells); that is read from the store and compared
//                  with the query as a scan would. Words of both are counted together, then both are ranked together.
//   search @110:   the view @100, and commits 101 to 110 in the same way.
//   search  @90:   there is no view: everything is looked at.
//
// Invariants
// ----------
// TI1  A view is true for its watermark: it has the living things as they were there, and no others. It is never changed.
// TI2  A search at a sequence uses the newest view at or below it, and asks the store about each thing that was written behind the view up
//      to the sequence. So lag costs time and nothing else (G12).
// TI3  What has expired at the time of the search is left out, by the expiry that the index keeps with the thing; its removal is a
//      commit like others.
// TI4  N, df and lengths are counted exactly, dead and left-out things taken away term by term.
// TI5  As long as no index was asked for, nothing is kept, noted or done (SRCH-29).
//
// Catching up makes a segment of the things that were written since, and takes in with it every segment that is not much larger than it: so
// there are as many segments as the number of things has powers of two, at most, and a thing is read again that often.
//
// Parameters: a block has 128 things, a step of building 512, a segment no more than 4 Mi words; eight views are kept for searches of the
// near past. Blocks carry bounds of BM25 (TopThings.cs).
//
// What it does not do: it is not kept in files; after opening it is made again when it is asked for. It has one analysis, that of the
// database: a search with another looks at everything.

using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Text;

/// <summary>See the essay above. Thread-safe; one thread at a time builds.</summary>
internal sealed class TextIndex(RunState run, SearchedThings kind, TextAnalyzer analyzer)
{
    /// <summary>Things read by a step.</summary>
    internal const int ThingsPerStep = 512;

    private const int WordsPerSegment = 4 << 20;
    private const int ViewsKept = 8;

    private readonly ThingText _text = new();
    private volatile TextView[] _views = [];                 // by watermark, newest last
    private TextSegmentBuilder? _builder;                    // the first build goes on from step to step
    private List<TextPart> _parts = [];
    private byte[]? _after;

    internal RunState Run { get; } = run;

    internal SearchedThings Kind { get; } = kind;

    internal TextAnalyzer Analyzer { get; } = analyzer;

    internal TextView? Newest => _views is [.., var newest] ? newest : null;

    /// <summary>The newest view at or below a sequence (TI2).</summary>
    internal TextView? At(ulong sequence)
    {
        var views = _views;
        for (var i = views.Length - 1; i >= 0; i--)
        {
            if (views[i].Watermark <= sequence)
                return views[i];
        }

        return null;
    }

    /// <summary>The oldest commit that views still need the changes behind.</summary>
    internal ulong NeedsBehind => _views is [var oldest, ..] ? oldest.Watermark : ulong.MaxValue;

    /// <summary>Throws away what there is.</summary>
    internal void Clear()
    {
        _views = [];
        _builder = null;
        _parts = [];
        _after = null;
    }

    /// <summary>Reads on for the first view, at a sequence that stays pinned until it is there.</summary>
    /// <returns>True when it is there.</returns>
    internal bool Build(Scope at, ListingRoom room)
    {
        _builder ??= new TextSegmentBuilder(Analyzer);
        var left = ThingsPerStep;
        var isEnd = Kind.Scan(at, room, _after, _text, thing =>
        {
            _builder.Add(thing);
            return --left > 0;
        });
        if (!isEnd)
            _after = _text.Key.ToArray();
        if (_builder.Things > 0 && (isEnd || _builder.Words > WordsPerSegment))
        {
            _parts.Add(new TextPart(_builder.Build()));
            _builder = null;
        }

        if (!isEnd)
            return false;
        _views = [new TextView(at.Sequence, [.. _parts])];
        _builder = null;
        _parts = [];
        _after = null;
        return true;
    }

    /// <summary>A view at a newer sequence.</summary>
    /// <param name="changed">What commits behind the newest view up to there have written, in the order of keys.</param>
    internal void CatchUp(Scope at, List<byte[]> changed)
    {
        var newest = Newest!;
        var parts = newest.Parts.ToList();
        if (changed.Count > 0)
        {
            for (var i = 0; i < parts.Count; i++)
                parts[i] = parts[i].Without(Living(parts[i], changed));
            parts.RemoveAll(part => part.Living == 0);
            var keys = TakeSmall(parts, changed);
            var builder = new TextSegmentBuilder(Analyzer);
            foreach (var key in keys)
            {
                if (Kind.TryRead(at, key, _text))
                    builder.Add(_text);
            }

            if (builder.Things > 0)
                parts.Add(new TextPart(builder.Build()));
        }

        TextView[] views = [.. _views, new TextView(at.Sequence, [.. parts])];
        _views = views.Length > ViewsKept ? views[^ViewsKept..] : views;
    }

    internal static List<int> Living(TextPart part, List<byte[]> keys)
    {
        var things = new List<int>();
        foreach (var key in keys)
        {
            if (part.Find(key) is >= 0 and var thing)
                things.Add(thing);
        }

        things.Sort();
        return things;
    }

    // Parts that are not much larger than what comes are read again with it.
    private static SortedSet<byte[]> TakeSmall(List<TextPart> parts, List<byte[]> changed)
    {
        var keys = new SortedSet<byte[]>(changed, ByteArrayComparer.Instance);
        while (parts.Count > 0 && parts.MinBy(part => part.Living)! is var least
            && least.Living <= 2 * keys.Count && (least.Segment.TotalLength <= WordsPerSegment / 2))
        {
            parts.Remove(least);
            for (var thing = 0; thing < least.Segment.Things; thing++)
            {
                if (!least.IsDead(thing))
                    keys.Add(least.Segment.KeyOf(thing).ToArray());
            }
        }

        return keys;
    }
}
