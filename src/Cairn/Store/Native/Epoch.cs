using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Cairn.Store.Native;

/// <summary>
/// Epoch-based reclamation (Fraser 2004, section 5.2.3), one clock for the process. A reader writes the clock's value into the
/// line of its thread before it follows a pointer and clears it afterwards. Whoever took memory out of reach of new readers
/// calls <see cref="Advance"/> and may reuse that memory once <see cref="HasPassed"/>.
/// <para>The fence is asymmetric: a reader makes a plain store, <see cref="Advance"/> makes every running thread fence. A reader
/// whose store was not yet seen by then follows its pointers after the fence, so it finds the memory already out of reach.</para>
/// </summary>
internal static unsafe class Epoch
{
    /// <summary>A line that every reader has passed.</summary>
    internal const long Passed = 0;

    private const int LineBytes = 128;       // two cache lines: the hardware fetches them in pairs
    private const int ThreadsMax = 16_384;   // chosen: 2 MiB of address space; only lines in use become real memory

    // Line 0 holds the clock; line i the i-th thread: epoch it reads in (0 = outside), and how deep it is nested.
    private static readonly byte* Lines = TakeLines();
    private static readonly Lock Gate = new();
    private static Thread?[] _owners = new Thread?[32];
    private static int _used;

    private static long* Clock => (long*)Lines;

    /// <summary>Enters; calls nest. Give the result to <see cref="Exit(nint)"/> on the same thread.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nint Enter()
    {
        var line = (long*)ThreadLine.Mine;
        if (line == null)
            line = Register();
        if (line[1]++ == 0)
            Volatile.Write(ref line[0], Volatile.Read(ref *Clock));
        return (nint)line;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Exit(nint entered)
    {
        var line = (long*)entered;
        if (--line[1] == 0)
            Volatile.Write(ref line[0], 0);
    }

    /// <summary>Exits on the thread that entered.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Exit() => Exit(ThreadLine.Mine);

    /// <summary>Draws a line: readers that enter from now on cannot reach what was unlinked before the call.</summary>
    /// <returns>What to ask <see cref="HasPassed"/> for.</returns>
    internal static long Advance()
    {
        var epoch = Interlocked.Increment(ref *Clock);
        Interlocked.MemoryBarrierProcessWide();
        return epoch;
    }

    /// <summary>True when every reader that was inside at <see cref="Advance"/> has left.</summary>
    internal static bool HasPassed(long epoch)
    {
        var used = Volatile.Read(ref _used);
        for (var i = 1; i <= used; i++)
        {
            var line = (long*)(Lines + (nint)i * LineBytes);
            var inside = Volatile.Read(ref line[0]);
            if (inside != 0 && inside < epoch && !ClearDead(i))
                return false;
        }

        return true;
    }

    /// <summary>Who has not passed a line, for people; empty when everybody has.</summary>
    internal static string HolderOf(long epoch)
    {
        var used = Volatile.Read(ref _used);
        for (var i = 1; i <= used; i++)
        {
            var inside = Volatile.Read(ref ((long*)(Lines + (nint)i * LineBytes))[0]);
            if (inside == 0 || inside >= epoch)
                continue;
            lock (Gate)
            {
                if (_owners[i] is { } owner)
                    return $"a reader on thread {owner.ManagedThreadId}{(owner.Name is { } name ? $" ({name})" : "")}";
            }
        }

        return "";
    }

    // A thread that ended inside (its reader was never disposed) must not hold memory for ever.
    private static bool ClearDead(int index)
    {
        lock (Gate)
        {
            if (_owners[index] is { IsAlive: true })
                return false;
            var line = (long*)(Lines + (nint)index * LineBytes);
            line[1] = 0;
            Volatile.Write(ref line[0], 0);
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long* Register()
    {
        lock (Gate)
        {
            var index = 1;
            while (index <= _used && _owners[index] is { IsAlive: true })
                index++;
            Invariant.Check(index < ThreadsMax, "at most 16,383 threads read at once");
            if (index >= _owners.Length)
                Array.Resize(ref _owners, 2 * _owners.Length);
            _owners[index] = Thread.CurrentThread;
            var line = (long*)(Lines + (nint)index * LineBytes);
            line[1] = 0;
            Volatile.Write(ref line[0], 0);
            if (index > _used)
                Volatile.Write(ref _used, index);
            ThreadLine.Mine = (nint)line;
            return line;
        }
    }

    private static byte* TakeLines()
    {
        var memory = (byte*)NativeMemory.AllocZeroed((ThreadsMax + 1) * LineBytes);
        var lines = (byte*)(((nuint)memory + LineBytes - 1) & ~(nuint)(LineBytes - 1));
        *(long*)lines = 1;
        return lines;
    }

    /// <summary>Apart, so that reaching the thread's line runs no initialiser of the outer type.</summary>
    private static class ThreadLine
    {
        [ThreadStatic]
        internal static nint Mine;
    }
}
