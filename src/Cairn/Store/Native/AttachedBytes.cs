using Cairn.Content;

namespace Cairn.Store.Native;

/// <summary>
/// The bytes of contents that memory still has, each in a block of its own beside its version, so that they can go while the version
/// stays (<see cref="ContentStore"/>, C2). All of it is the writer's, under the run's lock, but for the address in the version, which
/// readers follow inside an epoch, and the heat, which they set with a plain store. Layout of a block: <code>
///  0  u64  older block     the order of arrival, which is the order of the log; what was read again moves to the end
///  8  u64  younger block
/// 16  u64  version         that it belongs to
/// 24  u32  heat            1 = read since it was looked at
/// 28  u32  held            1 = by the commit under way
/// 32  16   reference
/// 48       bytes </code></summary>
internal sealed unsafe class AttachedBytes(ContentStore store, Limbo limbo, bool debug, MemoryBudget? budget = null) : IDisposable
{
    internal const int ReferenceOffset = 32;
    internal const int HeatOffset = 24;

    private const int HeldOffset = 28;

    private const int HeaderBytes = ReferenceOffset + ContentReference.Size;

    private readonly Slab _slab = new(debug, shared: store.Attached, budget: budget);
    private byte* _oldest;
    private byte* _youngest;

    /// <summary>Blocks that are attached.</summary>
    internal long Count { get; private set; }

    internal long Taken => _slab.Taken;

    internal long Live => _slab.Live;

    internal static int BlockBytes(byte* block) => BlockBytes(Reference(block).Length);

    private static int BlockBytes(int length) => (HeaderBytes + length + 7) & ~7;

    private static ContentReference Reference(byte* block) =>
        ContentReference.Read(new ReadOnlySpan<byte>(block + ReferenceOffset, ContentReference.Size));

    /// <summary>Reference and bytes.</summary>
    internal static ReadOnlySpan<byte> Stored(byte* block) =>
        new(block + ReferenceOffset, ContentReference.Size + Reference(block).Length);

    /// <summary>Makes sure that blocks for this many bytes of values can be had.</summary>
    internal void Ensure(long bytes, int writes) => _slab.EnsureLarge(bytes + writes * (HeaderBytes + 8L), store.Threshold);

    /// <summary>Gives back what they did not need.</summary>
    internal void Trim() => _slab.Trim(0);

    /// <summary>A block for the bytes, as the youngest. It belongs to no version yet.</summary>
    internal byte* Add(in ContentReference reference, ReadOnlySpan<byte> bytes)
    {
        Invariant.Check(bytes.Length == reference.Length, "a reference has the length of its content");
        var block = _slab.AllocApart(BlockBytes(reference.Length));
        *(ulong*)(block + 16) = 0;
        *(ulong*)(block + HeatOffset) = 0;
        reference.Write(new Span<byte>(block + ReferenceOffset, ContentReference.Size));
        bytes.CopyTo(new Span<byte>(block + HeaderBytes, bytes.Length));
        Append(block);
        Count++;
        _slab.Charge(BlockBytes(reference.Length));
        return block;
    }

    internal static void SetVersion(byte* block, byte* version) => *(ulong*)(block + 16) = (ulong)version;

    /// <summary>Keeps a block through the commit under way: what a commit has made sure of stays for its Apply.</summary>
    internal static void Hold(byte* block) => *(uint*)(block + HeldOffset) = 1;

    /// <summary>Frees what is attached to a version that nobody can reach.</summary>
    internal void Release(byte* version)
    {
        var block = Version.Attached(version);
        if (block == null)
            return;
        store.LeftMemory();                               // perhaps the key goes, and comes back from a table
        Take(block);
        Free(block);
    }

    /// <summary>Frees a block that was detached and that nobody can reach.</summary>
    internal void Free(byte* block) => _slab.FreeApart(block, BlockBytes(block));

    /// <summary>Looks at up to so many blocks, oldest first, and detaches those that are cold and in the log.</summary>
    /// <param name="onlyAbove">True: no more than the budget asks for.</param>
    /// <returns>Bytes detached; they are free when the readers of before have left.</returns>
    internal long Forget(int steps, bool onlyAbove)
    {
        var written = store.WrittenPosition;
        var forgotten = 0L;
        for (var left = Math.Min(steps, Count); left > 0 && (!onlyAbove || store.HasTooMuchAttached); left--)
        {
            var block = _oldest;
            if (Reference(block).End > written)
                break;                                    // C2; and what follows is younger, or was read lately
            if ((*(uint*)(block + HeatOffset) | *(uint*)(block + HeldOffset)) != 0)
            {
                // Once around and no further in one call: what is held for a commit outlasts the one call that comes before its Apply.
                *(ulong*)(block + HeatOffset) = 0;
                Unlink(block);
                Append(block);
                continue;
            }

            // Who stands on the version reads the log from now on; who has the address already stays in its epoch.
            Version.SetAttached((byte*)*(ulong*)(block + 16), null);
            Take(block);
            forgotten += BlockBytes(block);
            store.CountDetached();
            limbo.Add(LimboKind.Attached, block);
        }

        return forgotten;
    }

    public void Dispose()
    {
        store.LeftMemory();
        _slab.Dispose();
    }

    private void Take(byte* block)
    {
        Unlink(block);
        Count--;
        _slab.Charge(-BlockBytes(block));
    }

    private void Append(byte* block)
    {
        *(ulong*)block = (ulong)_youngest;
        *(ulong*)(block + 8) = 0;
        if (_youngest == null)
            _oldest = block;
        else
            *(ulong*)(_youngest + 8) = (ulong)block;
        _youngest = block;
    }

    private void Unlink(byte* block)
    {
        var older = (byte*)*(ulong*)block;
        var younger = (byte*)*(ulong*)(block + 8);
        if (older == null)
            _oldest = younger;
        else
            *(ulong*)(older + 8) = (ulong)younger;
        if (younger == null)
            _youngest = older;
        else
            *(ulong*)younger = (ulong)older;
    }
}
