using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Cairn.Diagnostics;

/// <summary>What must be true, checked in release builds as well, paired before a write and after a read. A broken one is a bug of the
/// engine: it must fail the database, never give a wrong answer.</summary>
internal static class Invariant
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Check([DoesNotReturnIf(false)] bool condition, string rule)
    {
        if (!condition)
            Broken(rule);
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Broken(string rule) => throw new InvariantException(rule);
}

/// <summary>An invariant of the engine does not hold.</summary>
internal sealed class InvariantException(string rule) : Exception($"Broken invariant: {rule}. This is a bug in Cairn; the database must be reopened.");
