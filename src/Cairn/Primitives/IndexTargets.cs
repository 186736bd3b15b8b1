using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>A kind of things that indexes can be over and queries can be about: where they stand in a run's store, and what paths and
/// filters see of them.</summary>
internal abstract class IndexedThings
{
    /// <summary>First byte of their store keys; the rest is the key of the thing.</summary>
    internal abstract byte Family { get; }

    /// <summary>What paths lead into.</summary>
    internal abstract Value Document(ReadOnlySpan<byte> thing, scoped in VersionView version);

    /// <summary>Things there are, for estimates.</summary>
    internal virtual long Count(scoped in StoreReader reader, ulong sequence) => reader.Count(Family, sequence);
}

/// <summary>The kinds.</summary>
internal static class IndexTargets
{
    private static readonly IndexedThings Traces = new IndexedTraces();

    internal static IndexedThings Of(IndexTarget target)
    {
        Invariant.Check(target == IndexTarget.Traces, "each target has things");
        return Traces;
    }

    private sealed class IndexedTraces : IndexedThings
    {
        internal override byte Family => StoreKeys.Trace;

        internal override Value Document(ReadOnlySpan<byte> thing, scoped in VersionView version)
        {
            Invariant.Check(Fields.TryRead(version.Value, out var fields), "a stored trace reads back");
            return TraceContent.Document(fields, TraceId.Read(thing));
        }
    }
}
