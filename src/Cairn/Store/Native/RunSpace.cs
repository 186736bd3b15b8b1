using System.Runtime.CompilerServices;
using Cairn.Content;

namespace Cairn.Store.Native;

/// <summary>
/// The native memory of a run and what is built in it: all of <see cref="RunMemory"/> that a run needs only once something was written to
/// it, in one object that is made then. The writer's, under the run's lock; readers look into the two indexes alone, inside an
/// <see cref="Epoch"/>.
/// </summary>
internal sealed unsafe class RunSpace : IDisposable
{
    /// <summary>Managed memory of one, with all that it makes at once. Measured: ResidencyTests.</summary>
    internal const int ManagedBytes = 3 << 10;

    // A few steps with each write, in handfuls: one look at the pins serves 16 writes, or as many as there are pins.
    private const int SweepEvery = 16, SweepEveryMax = 1024, StepsPerWrite = 3;
    private const int ForgottenPerCommit = 8;
    private const int WideWrites = 16, FewWrites = 4, FewBytes = 1024;

    private readonly bool _debug;
    private readonly Slab _orderSlab;
    private readonly Slab _tableSlab;
    private readonly ContentStore? _content;
    private readonly MemoryBudget? _budget;
    private AttachedBytes? _attached;                     // made with the first content
    private RangeClock _clock;
    private int _untilSweep = SweepEvery;
    private bool _isWide;                                 // more was reserved than a small commit needs

    /// <param name="memory">Whose it is.</param>
    /// <param name="keepsDirty">Checkpoints are made of it.</param>
    /// <param name="since">The last cut.</param>
    internal RunSpace(RunMemory memory, bool debug, ContentStore? content, MemoryBudget? budget, bool keepsDirty, ulong since)
    {
        _debug = debug;
        _content = content;
        _budget = budget;
        Slab = new Slab(debug, budget: budget, beside: ManagedBytes);
        _orderSlab = new Slab(debug, inLargePages: true, budget: budget);
        _tableSlab = new Slab(debug, inLargePages: true, budget: budget);
        Limbo = new Limbo(this, Slab);
        Table = new PointTable(_tableSlab, Limbo);
        Order = new OrderedIndex(_orderSlab, Limbo);
        Sweep = new VersionSweep(memory, Slab, Limbo);
        Dirty = keepsDirty ? new DirtyKeys(Slab, since) : null;
    }

    /// <summary>Of entries and versions, and of the queues.</summary>
    internal Slab Slab { get; }

    internal Limbo Limbo { get; }

    internal PointTable Table { get; }

    internal OrderedIndex Order { get; }

    /// <summary>Held while the order is built after a load; who takes keys out waits for that.</summary>
    internal Lock OrderGate { get; } = new();

    internal VersionSweep Sweep { get; }

    internal DirtyKeys? Dirty { get; }

    internal AbsentKeys Absent { get; } = new();

    internal AttachedBytes Attached => _attached ??= new AttachedBytes(_content!, Limbo, _debug, _budget);

    /// <summary>The hand that goes through the keys when some have to leave.</summary>
    internal ref RangeClock Clock => ref _clock;

    /// <summary>A bit for each family of keys: its last write was a new key.</summary>
    internal ulong InsertsExpected { get; set; }

    /// <summary>Bytes taken from the system.</summary>
    internal long Taken => Slab.Taken + _orderSlab.Taken + _tableSlab.Taken + (_attached?.Taken ?? 0);

    internal long Live => Slab.Live + _orderSlab.Live + _tableSlab.Live + AttachedLive;

    internal long AttachedLive => _attached?.Live ?? 0;

    internal (long Records, long Order, long OrderTaken) Parts => (Slab.Live, _orderSlab.Live, _orderSlab.Taken);

    internal bool HasRoomFor(int writes, long bytes, bool isToTheEnd) =>
        bytes <= Slab.SmallMax && (Slab.HasAbout(SmallBytes(writes, bytes)) || (Slab.IsRoomy && !isToTheEnd));

    /// <summary>For all but the order, see <see cref="RunStore.Reserve"/>.</summary>
    internal void Reserve(int writes, long bytes)
    {
        _isWide |= writes > WideWrites || bytes > Slab.SmallMax;
        Slab.Ensure(SmallBytes(writes, bytes));
        Table.Ensure(writes);
        Slab.EnsureLarge(bytes);
        if (_content is not null && bytes > _content.Threshold)
            ReserveContent(writes, bytes);
    }

    /// <summary>See <see cref="RunStore.EndReserve"/>.</summary>
    internal void EndReserve()
    {
        if (_isWide)
            Trim();
    }

    // What a small commit would only take again stays.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Trim()
    {
        _isWide = false;
        Slab.Trim(SmallBytes(FewWrites, FewBytes));
        Table.Trim(FewWrites);
        Order.Trim(FewWrites);
        _attached?.Trim();
    }

    private long SmallBytes(int writes, long bytes)
    {
        const long RecordBytes = Version.HeaderBytes + 16 + Entry.KeyOffset + 16;
        var small = Math.Min(bytes, (long)writes * (Slab.SmallMax + Entry.KeyBytesMax)) + writes * RecordBytes;
        return small + VersionSweep.BytesFor(writes) + (Dirty is null ? 0 : DirtyKeys.BytesFor(writes));
    }

    // What the commits before have written makes room for what this one brings. Here, and not with each write: nothing that a commit has
    // made sure of goes before it is applied.
    private void ReserveContent(int writes, long bytes)
    {
        Slab.Ensure(writes * (long)Version.ContentBytes);
        Attached.Ensure(bytes, writes);
        if (!_content!.HasTooMuchAttached)
            return;
        Attached.Forget(ForgottenPerCommit + 2 * writes, onlyAbove: true);
        _content.TrimCache();
    }

    internal long ForgetContent(int steps) => _attached?.Forget(steps, onlyAbove: false) ?? 0;

    internal void BeginLoad(long expectedKeys)
    {
        Table.IsLoading = true;
        if (Table.Count == 0)
            Table.Presize(expectedKeys);
    }

    internal void EndLoad() => Table.IsLoading = false;

    internal void AfterWrite()
    {
        if (--_untilSweep > 0 && !Failpoint.Rarely("store.sweep-now", 0.2))
            return;
        _untilSweep = Math.Clamp(Sweep.Pins, SweepEvery, SweepEveryMax);
        Sweep.Step(_untilSweep * StepsPerWrite, eager: false);
    }

    /// <summary>Frees a block that nobody can hold.</summary>
    internal void Free(LimboKind kind, byte* block)
    {
        if (kind <= LimboKind.HomeVersion && Version.IsContent(block))
            _attached?.Release(block);
        switch (kind)
        {
            case LimboKind.Version:
                Slab.Free(block, Version.Size(block));
                break;
            case LimboKind.HomeVersion:
                if (!TryMoveHome(block))
                    Slab.Free(block, Version.Size(block));
                break;
            case LimboKind.Entry:
                Slab.Free(block, Entry.Size(block));
                break;
            case LimboKind.Segment:
                Table.FreeSegment(block);
                break;
            case LimboKind.Directory:
                Table.FreeDirectory(block);
                break;
            case LimboKind.Attached:
                _attached!.Free(block);
                break;
            case LimboKind.Node:
                Order.FreeNode(block);
                break;
            default:
                Order.FreeSeparator(block);
                break;
        }
    }

    // A key's only version moves to the place behind its entry, when that has become free and fits: reading it is then one miss
    // and not two, and so is updating it. Readers that stand on the old place find the same there. The entry is still there:
    // it would enter limbo behind this block.
    private bool TryMoveHome(byte* home)
    {
        var entry = Version.Newer(home);
        if (Entry.IsQueued(entry))
            return false;
        var version = Entry.Newest(entry);
        var size = Version.Size(version);
        if (Version.Older(version) != null || size != Version.Size(home) || Version.IsContent(version))
            return false;                                 // attached bytes name their version
        Buffer.MemoryCopy(version, home, size, size);
        Entry.SetNewest(entry, home);
        Limbo.Add(LimboKind.Version, version);
        return true;
    }

    /// <summary>Gives the memory back. Nobody is inside.</summary>
    public void Dispose()
    {
        Slab.Dispose();
        _orderSlab.Dispose();
        _tableSlab.Dispose();
        _attached?.Dispose();
    }
}
