using System.Runtime.CompilerServices;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A kind of things that indexes can be over and queries can be about: where they stand in a run's store, and what paths and
/// filters see of them.</summary>
internal abstract class IndexedThings
{
    /// <summary>First byte of their store keys; the rest is the key of the thing.</summary>
    internal abstract byte Family { get; }

    /// <summary>First byte of the store keys that a transaction's writes to a thing have among them; the rest is its key.</summary>
    internal virtual byte WrittenFamily => Family;

    /// <summary>Paths lead to <c>$version</c> and <c>$time</c> too.</summary>
    internal virtual bool TellsOfVersions => false;

    /// <summary>Most things that <see cref="Fetch"/> takes.</summary>
    internal const int FetchMax = 16;

    /// <summary>A hint: some things will be read next. What is looked at first comes into the processor's cache for all at once.</summary>
    internal virtual void Fetch(RunStore store, ReadOnlySpan<byte[]> things)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        Span<ulong> hashes = stackalloc ulong[FetchMax];
        for (var i = 0; i < things.Length; i++)
            hashes[i] = store.PrefetchBucket(StoreKeys.Of(key, Family, things[i]));
        foreach (var hash in hashes[..things.Length])
            store.PrefetchEntry(hash);
    }

    /// <summary>A thing, with what paths lead into; false: it is not there.</summary>
    /// <param name="withVersion">Version and time are asked for.</param>
    internal virtual bool TryRead(Scope scope, byte[] thing, bool withVersion, out StoredThing found)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        found = default;
        return scope.TryGet(reader, StoreKeys.Of(key, Family, thing), out var version)
            && TryRead(scope, thing, version, withVersion, out found);
    }

    /// <inheritdoc cref="TryRead(Scope, byte[], bool, out StoredThing)"/>
    /// <param name="version">Of its key, which was met in a scan.</param>
    internal abstract bool TryRead(Scope scope, byte[] thing, scoped in VersionView version, bool withVersion, out StoredThing found);

    /// <summary>The items of a thing in an index, as the newest state has it.</summary>
    internal abstract List<byte[]> Items(RunState run, StoredIndex index, byte[] thing, scoped in VersionView version);

    /// <summary>Things there are, for estimates.</summary>
    internal virtual long Count(scoped in StoreReader reader, ulong sequence) => reader.Count(Family, sequence);
}

/// <summary>A thing as it is stored.</summary>
/// <param name="Version">Sequence of the commit that wrote it, where that is asked for.</param>
/// <param name="Time">Of that commit, in microseconds.</param>
internal readonly record struct StoredThing(Value Document, ulong Version, long Time);

/// <summary>The kinds.</summary>
internal static class IndexTargets
{
    private static readonly IndexedThings[] Things = [new IndexedTraces(), new IndexedDocuments()];

    internal static IndexedThings Of(IndexTarget target) => Things[(int)target];

    private sealed class IndexedTraces : IndexedThings
    {
        internal override byte Family => StoreKeys.Trace;

        internal override bool TellsOfVersions => true;

        internal override bool TryRead(
            Scope scope, byte[] thing, scoped in VersionView version, bool withVersion, out StoredThing found)
        {
            found = new(Document(thing, version), version.Sequence, version.Time);
            return true;
        }

        internal override List<byte[]> Items(RunState run, StoredIndex index, byte[] thing, scoped in VersionView version) =>
            IndexItems.Of(index, thing, Document(thing, version));

        private static Value Document(ReadOnlySpan<byte> thing, scoped in VersionView version)
        {
            Invariant.Check(Fields.TryRead(version.Value, out var fields), "a stored trace reads back");
            return TraceContent.Document(fields, TraceId.Read(thing));
        }
    }

    private sealed class IndexedDocuments : IndexedThings
    {
        internal override byte Family => StoreKeys.Json;

        // Each change of a document writes its header.
        internal override byte WrittenFamily => StoreKeys.JsonHeader;

        internal override bool TryRead(
            Scope scope, byte[] thing, scoped in VersionView version, bool withVersion, out StoredThing found) =>
            TryRead(scope, thing, withVersion, out found);

        [SkipLocalsInit]
        internal override bool TryRead(Scope scope, byte[] thing, bool withVersion, out StoredThing found)
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            using var reader = scope.Run.Store.Read();
            var tree = DocumentTrees.Open(new ScopeNodes(scope, reader, scope.Sequence, scope.Time), buffer, thing, null);
            found = default;
            if (!tree.TryFind(default, Look.Read, out var root))
                return false;
            scoped VersionView header = default;
            if (withVersion)
                header = tree.Header(Look.Blind);
            found = new(tree.Read(root), header.Sequence, header.Time);
            return true;
        }

        internal override List<byte[]> Items(RunState run, StoredIndex index, byte[] thing, scoped in VersionView version)
        {
            using var reader = run.Store.Read();
            return DocumentItems.Of([index], new PastNodes(reader, ulong.MaxValue, long.MinValue), thing)[0];
        }
    }
}
