using Cairn.Primitives;
using Cairn.Store;

namespace Cairn;

/// <summary>When indexes of words are made.</summary>
public enum TextIndexing
{
    /// <summary>For a primitive of a run, when a search had to look at 256 of its things or more; in the background.</summary>
    OnSearch = 0,

    /// <summary>Only by <see cref="RunTextIndex.Build"/>.</summary>
    OnRequest = 1,
}

/// <summary>How an index of words is.</summary>
/// <param name="Primitive">What it is over.</param>
/// <param name="Watermark">The commit up to which it has seen everything; null while it is being built.</param>
/// <param name="Things">Things in it.</param>
/// <param name="Segments">Parts that it consists of.</param>
/// <param name="Bytes">Memory that it takes, about.</param>
public sealed record TextIndexStatus(string Primitive, Sequence? Watermark, long Things, int Segments, long Bytes);

/// <summary>Indexes of words of a run, one for each primitive. They are in memory and made in the background; searches find the same
/// without, and with whatever they have seen so far, only slower. As long as there is none, nothing is kept for them.
/// Thread-safe.</summary>
public sealed class RunTextIndex
{
    private readonly Engine _engine;
    private readonly RunState _run;

    internal RunTextIndex(Engine engine, RunState run)
    {
        _engine = engine;
        _run = run;
    }

    /// <summary>Asks for indexes, and for those that there are to catch up with what is visible. Returns at once; the work is done in the
    /// background.</summary>
    /// <param name="primitives">Of these: <c>kv</c>, <c>json</c>, <c>events</c>, <c>state</c>, <c>traces</c>, <c>graph</c>,
    /// <c>vectors</c>; none = of all.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: there is no such primitive;
    /// <see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    public void Build(params IReadOnlyCollection<string> primitives)
    {
        ArgumentNullException.ThrowIfNull(primitives);
        foreach (var name in primitives)
        {
            if (!SearchedThings.OfRuns.Any(kind => kind.Name == name))
            {
                var known = string.Join(", ", SearchedThings.OfRuns.Select(kind => kind.Name));
                throw new CairnException(ErrorCode.InvalidArgument, $"There is no such primitive to index. There are {known}.");
            }
        }

        if (_run.IsGone)
            throw new CairnException(ErrorCode.NotFound, $"Run {_run.Id} was deleted.");
        _engine.Texts.Ask(_run, SearchedThings.OfRuns.Where(kind => primitives.Count == 0 || primitives.Contains(kind.Name)));
    }

    /// <summary>How the indexes are; empty = there are none.</summary>
    public IReadOnlyList<TextIndexStatus> Status()
    {
        var all = new List<TextIndexStatus>();
        foreach (var index in _engine.Texts.Of(_run))
        {
            var view = index.Newest;
            all.Add(new TextIndexStatus(
                index.Kind.Name, view is null ? null : new Sequence(view.Watermark), view?.Things ?? 0, view?.Parts.Length ?? 0,
                view?.Parts.Sum(part => part.Segment.Bytes) ?? 0));
        }

        return all;
    }

    /// <summary>Throws the indexes of the run away. With <see cref="TextIndexing.OnSearch"/> the next search may ask for them
    /// again.</summary>
    public void Drop() => _engine.Texts.Drop(_run);
}
