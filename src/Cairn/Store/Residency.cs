using Cairn.Content;
using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>
/// What a run's store has below its memory: the image, from when on the run may be seen in it, and how far the image has taken over.
/// <code>
/// sequence   1 ......... clean ........ published ........ cut ........ now
///            may leave    in the image;   a checkpoint is    the dirty list:
///            memory       old readers     writing these:     first written
///                         may be inside   the frozen list    above the cut </code>
/// A store is <i>whole</i> while its memory has all keys of the run: nothing asks the image then. It stops being whole before the first key
/// is forgotten, by as much as the readers need who believed it (a scan decides once, at its beginning).
/// </summary>
/// <remarks>
/// Why a reader finds in one of the two what it is entitled to. It looks into memory first. What it misses there has been forgotten,
/// and so is in an image that was published before; the image is looked at after that, inside the same stay in the epoch, and images only
/// gain what is newer. A scan takes one image at its beginning and reads memory leaf by leaf afterwards: what memory forgets meanwhile
/// became clean after all readers from before its publication had left, so this scan began later and has that publication.
/// Written under the run's lock; read by anybody.
/// </remarks>
internal sealed class Residency
{
    private readonly RunId _run;
    private readonly CurrentImage _image;
    private readonly Image _first;                        // for a mutant: an image that was looked up too early
    private ulong _born;
    private readonly ContentStore? _content;
    private bool _isWhole;
    private long _wholeLine;                              // readers from before it may still believe that the store is whole
    private ulong _published;
    private long _publishedLine;                          // 0 = not drawn yet

    /// <param name="born">What the image has of this run below this sequence belongs to an earlier run of the same id.</param>
    /// <param name="cut">All that the image has of the run is at or below it, and no reader knows an older image.</param>
    /// <param name="content">Where the contents are read that the image refers to.</param>
    /// <param name="budget">What the memory above the image counts to.</param>
    internal Residency(
        RunId run, CurrentImage image, bool isWhole, ulong born, ulong cut, ContentStore? content, MemoryBudget? budget = null)
    {
        Budget = budget;
        _content = content;
        _run = run;
        _image = image;
        _first = image.Value;
        _born = born;
        _isWhole = isWhole;
        _published = cut;
        CleanCut = cut;
    }

    internal RunId Run => _run;

    /// <summary>What is below the image; null: nothing. A store above one is never whole.</summary>
    internal ForkBase? Base { get; private set; }

    /// <summary>Before anybody reads.</summary>
    internal void SetBase(ForkBase @base)
    {
        Base = @base;
        _isWhole = false;
    }

    internal MemoryBudget? Budget { get; }

    /// <summary>The run begins at a sequence: what the image has of its id below belongs to an earlier run.</summary>
    internal void BeginAt(ulong born) => _born = born;

    /// <summary>Reads of the image behind the sequence of a commit. None, if every key was named before it.</summary>
    internal long LateReads { get; private set; }

    internal void ReadLate() => LateReads++;

    /// <summary>What is at or below it is in every image a reader may have: it may be forgotten.</summary>
    internal ulong CleanCut { get; private set; }

    /// <summary>Memory has all keys. Ask after memory was looked at, never before: it turns false before the first key leaves.</summary>
    internal bool IsWhole => Volatile.Read(ref _isWhole);

    private Image Current => Mutant.Is("image-read-before-memory") ? _first : _image.Value;

    /// <summary>The newest version at or below a sequence that the image has, tombstones included. Inside an epoch, after memory had
    /// nothing of the key.</summary>
    internal bool TryGet(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        if (Current.TryGet(_run, key, sequence, out version) && IsOfThisRun(version))
        {
            version = Readable(version);
            return true;
        }

        if (Base is not null)
            return Base.TryGet(key, sequence, out version);
        version = default;
        return false;
    }

    /// <summary>False: the image has nothing of the key for certain.</summary>
    internal bool MayHave(ReadOnlySpan<byte> key) => Current.MayHave(_run, key);

    /// <summary>What the image has of the run in [from, to); the keys below the families are the checkpoint's own.</summary>
    internal ImageCursor Scan(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse) =>
        Current.Scan(_run, from.IsEmpty || from[0] < RunStore.CountFamily ? [RunStore.CountFamily] : from, to, sequence, reverse);

    /// <summary>A version of the image as a reader gets it.</summary>
    internal VersionView Readable(VersionView version) => version.IsContent ? version.ReadingFrom(_content) : version;

    internal bool IsOfThisRun(in VersionView version) => version.Sequence >= _born;

    /// <summary>The image with everything up to a cut is the current one.</summary>
    /// <param name="line">Drawn in the epoch since then; 0: drawn here when it is first needed.</param>
    internal void Published(ulong cut, long line)
    {
        Invariant.Check(cut >= _published, "checkpoints are published in order");
        _published = cut;
        _publishedLine = line;
    }

    /// <summary>Looks whether the readers of older images have left.</summary>
    internal void Settle()
    {
        if (_published == CleanCut)
            return;
        if (_publishedLine == 0)
            _publishedLine = Epoch.Advance();
        if (Epoch.HasPassed(_publishedLine) || Mutant.Is("forget-before-line"))
            CleanCut = _published;
    }

    /// <summary>The store is whole no longer. True when no reader is left who believed that it was: then keys may leave.</summary>
    internal bool EndWhole()
    {
        if (_isWhole)
        {
            Volatile.Write(ref _isWhole, false);
            _wholeLine = Epoch.Advance();
        }

        if (_wholeLine != 0 && (Epoch.HasPassed(_wholeLine) || Mutant.Is("forget-before-line")))
            _wholeLine = 0;
        return _wholeLine == 0;
    }
}
