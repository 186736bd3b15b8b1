using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// Differences of what has one value per key: key-values, state cells, associations, and documents and concepts, which are compared place
/// by place. With what both sides have touched since a common point those keys are looked up; otherwise both stores are read in key
/// order, side by side. A piece at a time, so that no reader stays in the epoch while the caller looks at what was found.
/// </summary>
internal static class KeyedDifferences
{
    private const int KeysPerPiece = 512;

    internal static IEnumerable<DiffItem> Of(DiffEnd a, DiffEnd b, byte family, CommonPoint? common, ChangedKeys? touched)
    {
        var differences = new Piece(a, b, family, common?.Sequence ?? 0);
        if (touched is not null)
        {
            var named = family == StoreKeys.Association ? GraphDifferences.WithMirrors(touched.Of(family)) : touched.Of(family);
            foreach (var keys in named.Chunk(KeysPerPiece))
            {
                foreach (var item in differences.LookUp(keys))
                    yield return item;
            }

            yield break;
        }

        for (byte[]? from = [family]; from is not null;)
        {
            foreach (var item in differences.Scan(ref from))
                yield return item;
        }
    }

    private sealed class Piece(DiffEnd a, DiffEnd b, byte family, ulong common)
    {
        internal List<DiffItem> LookUp(byte[][] keys)
        {
            var items = new List<DiffItem>();
            using var readA = a.Run.Store.Read();
            using var readB = b.Run.Store.Read();
            foreach (var key in keys)
            {
                var isInA = readA.TryGet(key, a.Sequence, out var inA) && inA.IsLiveAt(a.Time);
                var isInB = readB.TryGet(key, b.Sequence, out var inB) && inB.IsLiveAt(b.Time);
                Compare(items, key, isInA, inA, isInB, inB);
            }

            return items;
        }

        /// <param name="from">Where the next piece begins; null: this was the last.</param>
        internal List<DiffItem> Scan(ref byte[]? from)
        {
            var items = new List<DiffItem>();
            byte[] to = [(byte)(family + 1)];
            using var readA = a.Run.Store.Read();
            using var readB = b.Run.Store.Read();
            var scanA = readA.Scan(from, to, a.Sequence);
            var scanB = readB.Scan(from, to, b.Sequence);
            var (hasA, hasB) = (scanA.MoveNext(), scanB.MoveNext());
            for (var keys = 0; hasA || hasB; keys++)
            {
                var order = !hasA ? 1 : !hasB ? -1 : scanA.Key.SequenceCompareTo(scanB.Key);
                if (keys == KeysPerPiece)
                {
                    from = (order <= 0 ? scanA.Key : scanB.Key).ToArray();
                    return items;
                }

                Compare(
                    items, order <= 0 ? scanA.Key : scanB.Key, order <= 0 && scanA.Version.IsLiveAt(a.Time), scanA.Version,
                    order >= 0 && scanB.Version.IsLiveAt(b.Time), scanB.Version);
                hasA = order <= 0 ? scanA.MoveNext() : hasA;
                hasB = order >= 0 ? scanB.MoveNext() : hasB;
            }

            from = null;
            return items;
        }

        private void Compare(
            List<DiffItem> items, ReadOnlySpan<byte> key, bool isInA, scoped in VersionView inA, bool isInB, scoped in VersionView inB)
        {
            switch (family)
            {
                case StoreKeys.Json:
                    DocumentDifferences.Add(items, a, b, key, common);
                    return;
                case StoreKeys.Concept:
                    GraphDifferences.AddConcept(items, a, b, key);
                    return;
                case StoreKeys.Association:
                    GraphDifferences.AddAssociation(items, key, isInA, inA, isInB, inB);
                    return;
            }

            if (!isInA && !isInB)
                return;
            if (isInA && isInB && IsSame(inA, inB))
                return;
            var before = isInA ? Version(inA) : null;
            var after = isInB ? Version(inB) : null;
            items.Add(new DiffItem(
                new ItemAddress(family == StoreKeys.Kv ? "kv" : "state", Utf8.GetTrustedString(key[1..])),
                before is null ? DiffKind.Added : after is null ? DiffKind.Removed : DiffKind.Modified)
            {
                Before = before,
                After = after,
            });
        }

        // What was written up to the common point is one version, and so is what stands at one place in the log.
        private bool IsSame(scoped in VersionView inA, scoped in VersionView inB)
        {
            if (inA.Sequence == inB.Sequence && inA.Sequence <= common)
                return true;
            if (inA.ValueLength != inB.ValueLength)
                return false;
            if (inA.IsContent && inB.IsContent && family == StoreKeys.Kv)
            {
                if (inA.Reference.Position == inB.Reference.Position)
                    return true;
                if (inA.Reference.Check != inB.Reference.Check)
                    return false;
            }

            return inA.Value[ValueOffset..].SequenceEqual(inB.Value[ValueOffset..]);
        }

        private int ValueOffset => family == StoreKeys.State ? StateOperations.CounterBytes : 0;

        private DiffVersion Version(scoped in VersionView version)
        {
            var stored = version.Value;
            return new DiffVersion(
                Value.Decode(stored[ValueOffset..]), new Sequence(version.Sequence), CommitClock.Time(version.Time))
            {
                Counter = family == StoreKeys.State ? new Counter(BinaryPrimitives.ReadUInt64LittleEndian(stored)) : null,
                Expiry = version.Expiry == 0 ? null : CommitClock.Time(version.Expiry),
            };
        }
    }
}
