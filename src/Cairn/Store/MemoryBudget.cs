using Cairn.Content;

namespace Cairn.Store;

/// <summary>
/// What the memory of one database may be, and what it is: the native memory of all its stores, the contents and blocks that are
/// cached, and a floor of managed memory for each loaded run, with a second one for those that were written to. Exact at every moment,
/// because each chunk that a store takes or gives back is counted where that happens. It decides nothing but whether a writer has to
/// wait; who evicts is the residency job (Maintenance/ResidencyJob.cs). <code>
///   0 % ......... 70 % ......... 85 % ......... 95 % ......... 100 %
///   nothing       contents,      at once, and   writers wait,
///                 idle ranges    a checkpoint   then Busy </code>
/// </summary>
/// <remarks>What may stand above the budget for a moment: the chunks that commits take which were let through at once (at most 1/64 of
/// it and 2 MiB each, or as much as one transaction needs), and memory that readers from before still look at.</remarks>
#pragma warning disable CA1001 // the event has no handle as long as nobody asks for its WaitHandle
internal sealed class MemoryBudget
#pragma warning restore CA1001
{
    /// <summary>Contents leave, and ranges that were idle.</summary>
    internal const int IdlePercent = 70;

    /// <summary>All leaves that may.</summary>
    internal const int UrgentPercent = 85;

    /// <summary>Writers wait.</summary>
    internal const int FullPercent = 95;

    /// <summary>Managed memory of a run that is loaded; one that was written to has <see cref="Native.RunSpace.ManagedBytes"/> more,
    /// whatever it holds. Measured: ResidencyTests.</summary>
    internal const int RunFloorBytes = 1 << 10;

    /// <summary>How long a writer that waits sleeps at most before it looks again.</summary>
    internal static readonly TimeSpan WaitStep = TimeSpan.FromMilliseconds(5);

    [ThreadStatic]
    private static bool _isUpkeep;

    private readonly ContentStore _content;
    private readonly BlockCache _cache;
    private readonly long _blocksMax;
    private readonly ManualResetEventSlim _relieved = new(false, spinCount: 0);
    private long _native;
    private long _runs;
    private long _managed;
    private long _fullAbove;                              // native bytes with which it is full, by the last look at all the rest
    private long _wakeAbove = long.MaxValue;
    private long _waits;
    private long _refusals;

    /// <param name="bytes">The budget.</param>
    internal MemoryBudget(long bytes, ContentStore content, BlockCache cache)
    {
        Bytes = bytes;
        _content = content;
        _cache = cache;
        _blocksMax = cache.BudgetBytes;
        _fullAbove = At(FullPercent);
    }

    /// <summary>This thread does the maintainer's work, which makes the room that others wait for: its own commits wait for none.</summary>
    internal static bool IsUpkeep
    {
        get => _isUpkeep;
        set => _isUpkeep = value;
    }

    internal long Bytes { get; }

    /// <summary>Native memory of the stores, attached contents included.</summary>
    internal long Native => Volatile.Read(ref _native);

    internal long Used => Native + _content.CacheCost + _cache.Bytes + Managed;

    /// <summary>Of the loaded runs, and of what was written to.</summary>
    internal long Managed => Volatile.Read(ref _runs) * RunFloorBytes + Volatile.Read(ref _managed);

    /// <summary>Used, without the contents that memory need not have.</summary>
    internal long UsedBesideContents => Used - _content.CacheCost - _content.Attached.Value;

    internal bool IsFull => Used >= At(FullPercent);

    /// <summary>For the way of every commit: two loads. False: it is not full.</summary>
    internal bool MayBeFull => Volatile.Read(ref _native) >= Volatile.Read(ref _fullAbove) && !Mutant.Is("memory-never-full");

    /// <summary>Commits that had to wait for memory.</summary>
    internal long Waits => Volatile.Read(ref _waits);

    /// <summary>Those of them that were refused.</summary>
    internal long Refusals => Volatile.Read(ref _refusals);

    /// <summary>Called when memory has grown above what <see cref="Watch"/> said; by any thread, perhaps under a run's lock.</summary>
    internal Action? Woken { get; set; }

    /// <summary>Does what the lane of the residency job and the checkpoints would, where steps are driven by hand. True: there is
    /// room.</summary>
    internal Func<bool>? Help { get; set; }

    /// <summary>Largest chunk that a store takes at once: no chunk is much of the budget.</summary>
    internal long ChunkMax(long most) =>
        Math.Clamp((long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)(Bytes / 64)), 16 << 10, most);

    internal long At(int percent) => Bytes / 100 * percent;

    /// <summary>A store took memory from the system, or gave it back.</summary>
    internal void Add(long bytes)
    {
        var native = Interlocked.Add(ref _native, bytes);
        if (bytes > 0 && native > Volatile.Read(ref _wakeAbove))
            Wake();
    }

    /// <summary>A store made the managed part of its memory, or let it go.</summary>
    internal void AddManaged(long bytes) => Interlocked.Add(ref _managed, bytes);

    internal void AddRuns(int runs) => Interlocked.Add(ref _runs, runs);

    /// <summary>By the residency job, after a look at everything.</summary>
    /// <param name="beside">What is used beside native memory.</param>
    /// <param name="wakeAbove">Native bytes above which it wants to be woken, once.</param>
    internal void Watch(long beside, long wakeAbove)
    {
        Volatile.Write(ref _fullAbove, At(FullPercent) - beside);
        Volatile.Write(ref _wakeAbove, wakeAbove);
        if (!IsFull)
            _relieved.Set();
    }

    internal void Wake()
    {
        Volatile.Write(ref _wakeAbove, long.MaxValue);
        Woken?.Invoke();
    }

    /// <summary>Waits until there may be room, a moment at most.</summary>
    internal void WaitForRelief()
    {
        _relieved.Reset();
        Wake();
        if (IsFull)
            _relieved.Wait(WaitStep);
    }

    /// <summary>Blocks may have what all the rest leaves of the budget, and 1/32 of it in any case.</summary>
    internal void LimitBlocks()
    {
        var most = Math.Min(_blocksMax, Math.Max(Bytes / 32, Bytes - (Used - _cache.Bytes)));
        if (most != _cache.BudgetBytes)
            _cache.BudgetBytes = most;
    }

    internal void CountWait() => Interlocked.Increment(ref _waits);

    internal void CountRefusal() => Interlocked.Increment(ref _refusals);
}
