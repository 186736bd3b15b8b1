using System.Buffers.Binary;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>What an expectation compares.</summary>
internal enum ExpectationKind
{
    /// <summary>The sequence that wrote the live version; 0 = no live version.</summary>
    Version,

    /// <summary>The counter of a live state cell (the first 8 bytes of its version); 0 = no live value.</summary>
    Counter,

    /// <summary>The canonical bytes of the live value; null = no live value.</summary>
    Value,

    /// <summary>There is a live version.</summary>
    Present,

    /// <summary>The sequence of the newest version, live or not: how the maintainer removes exactly what it saw expire.</summary>
    Newest,

    /// <summary>Nothing of the kind: the run is locked, because the commit rests on what it is or changes what it is kept for.</summary>
    Locked,
}

/// <summary>A condition on newest committed state that a commit names; it is not a read (TX-13). Checked under the run's lock.</summary>
/// <param name="Key">Store key.</param>
/// <param name="IsGuard">A guard's failure is a version mismatch, not a conflict (ST-11).</param>
/// <param name="TellsFound">The refusal tells what was found instead, so that the caller need not look again.</param>
internal readonly record struct Expectation(
    RunState Run, byte[] Key, ExpectationKind Kind, ulong Expected, byte[]? Value = null, bool IsGuard = false, bool TellsFound = false)
{
    /// <summary>It may look at the value, not only at what is known of it.</summary>
    internal bool ReadsValue => TellsFound || Kind is ExpectationKind.Counter or ExpectationKind.Value;

    /// <summary>Checks one version against the expectation.</summary>
    /// <param name="exists">False: the key has no version at all.</param>
    /// <param name="actual">The version or counter found, 0 = absent.</param>
    internal bool Holds(bool exists, in VersionView version, long time, out ulong actual)
    {
        var live = exists && version.IsLiveAt(time);
        switch (Kind)
        {
            case ExpectationKind.Version:
                actual = live ? version.Sequence : 0;
                return actual == Expected;
            case ExpectationKind.Counter:
                actual = live ? BinaryPrimitives.ReadUInt64LittleEndian(version.Value) : 0;
                return actual == Expected;
            case ExpectationKind.Value:
                actual = live ? version.Sequence : 0;
                return Value is null ? !live : live && version.HasValue(Value);
            case ExpectationKind.Locked:
                actual = 0;
                return true;
            case ExpectationKind.Newest:
                actual = exists ? version.Sequence : 0;
                return actual == Expected;
            default:
                actual = live ? version.Sequence : 0;
                return live;
        }
    }
}
