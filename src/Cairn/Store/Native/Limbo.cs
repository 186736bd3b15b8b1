using System.Runtime.Intrinsics.X86;

namespace Cairn.Store.Native;

/// <summary>What kind of block waits; the low three bits of its word.</summary>
internal enum LimboKind
{
    Version,

    /// <summary>A version that stood right behind its entry; its word "newer" holds the entry.</summary>
    HomeVersion,
    Entry,
    Segment,
    Directory,
    Node,
    Separator,

    /// <summary>Bytes that were attached to a content.</summary>
    Attached,
}

/// <summary>
/// Memory that new readers cannot reach any more and old ones may still hold. Blocks wait in order; when enough wait, a line is
/// drawn behind the last (<see cref="Epoch.Advance"/>, which costs microseconds), and once the readers of before have left, all
/// before the line is freed, a few with each write.
/// </summary>
internal sealed unsafe class Limbo
{
    private const int LineEvery = 512;                    // chosen: makes the line some 5 ns per block, holds some 100 KiB
    private const long LineEveryBytes = 1 << 20;          // of large values and table segments

    private readonly RunSpace _space;
    private readonly Slab _slab;
    private WordQueue _waiting;
    private long _lineEpoch;                              // 0 = no line drawn
    private long _linePosition;
    private long _passed;                                 // all before it may be freed
    private long _largeBytes;

    internal Limbo(RunSpace space, Slab slab)
    {
        _space = space;
        _slab = slab;
    }

    internal long Count => _waiting.Count;

    internal void Add(LimboKind kind, byte* block)
    {
        if (kind <= LimboKind.HomeVersion)
        {
            var size = Version.Size(block);
            if (size > Slab.SmallMax)
                _largeBytes += size;
        }
        else if (kind == LimboKind.Segment)
        {
            _largeBytes += PointTable.SegmentBytes(block);
        }
        else if (kind == LimboKind.Attached)
        {
            _largeBytes += AttachedBytes.BlockBytes(block);
        }

        _waiting.Add(_slab, (ulong)block | (uint)kind);
    }

    /// <summary>Adds a version that has left its chain; with the entry, if that is known, so that its home can be used again.</summary>
    internal void AddVersion(byte* version, byte* entry)
    {
        if (entry == null || version != Entry.Home(entry))
        {
            Add(LimboKind.Version, version);
            return;
        }

        Version.SetNewer(version, entry);
        Add(LimboKind.HomeVersion, version);
    }

    /// <summary>Frees up to <paramref name="steps"/> blocks.</summary>
    /// <param name="eager">Draws a line for whatever waits, however little.</param>
    internal void Step(int steps, bool eager)
    {
        if (_lineEpoch != 0 && (Epoch.HasPassed(_lineEpoch) || Mutant.Is("store-no-epoch")))
        {
            _passed = _linePosition;
            _lineEpoch = 0;
            _largeBytes = 0;
        }

        while (steps-- > 0 && _waiting.Taken < _passed)
        {
            var ahead = _waiting.PeekAhead(6);
            if (ahead != 0 && Sse.IsSupported)
                Sse.Prefetch0((byte*)(ahead & ~7UL) + 16);
            var word = _waiting.Take(_slab);
            _space.Free((LimboKind)(word & 7), (byte*)(word & ~7UL));
        }

        if (_lineEpoch != 0 || _waiting.Added == _passed)
            return;
        if (eager || _waiting.Added - _passed >= LineEvery || _largeBytes >= LineEveryBytes)
        {
            _linePosition = _waiting.Added;
            _lineEpoch = Epoch.Advance();
        }
    }
}
