using System.Buffers.Binary;
using System.Globalization;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;

namespace Cairn.Transfer;

/// <summary>The state at a checkpoint, as far as the tables of a damaged database have it: of each key the newest version that can be
/// read. Where the newest one lies in a damaged block and an older table has an older one, that is it.
/// <list type="bullet">
/// <item>With a manifest the image is that of the checkpoint of which least is lost, the newer one of two: the log behind the older one
/// is there too (T3 of docs/storage.md), so damage in the newest table alone costs nothing.</item>
/// <item>Without a manifest nobody says which tables count: all of them, and the newest version of each key. What a merge had dropped
/// and a crash left behind may come back then.</item>
/// </list></summary>
internal sealed class SalvageImage
{
    private readonly IReadOnlyList<SalvagedTable> _tables;

    private SalvageImage(IReadOnlyList<SalvagedTable> tables, ulong sequence, long time, ulong? mark)
    {
        _tables = tables;
        Sequence = sequence;
        Time = time;
        Mark = mark;
    }

    /// <summary>The log goes on behind it.</summary>
    internal ulong Sequence { get; }

    /// <summary>Commit time of that.</summary>
    internal long Time { get; }

    /// <summary>Where in the log it goes on; null when no manifest says so.</summary>
    internal ulong? Mark { get; }

    /// <summary>A key that is not in it may be one that was lost.</summary>
    internal bool HasLost => _tables.Any(table => table.HasLost);

    /// <summary>Some key in [from, to) of a run, or its newest version, may be one that was lost.</summary>
    internal bool MayLack(RunId run, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        Span<byte> keys = stackalloc byte[2 * RunId.Size + from.Length + to.Length];
        var low = keys[..(RunId.Size + from.Length)];
        var high = keys[low.Length..];
        run.Write(low);
        run.Write(high);
        from.CopyTo(low[RunId.Size..]);
        to.CopyTo(high[RunId.Size..]);
        foreach (var table in _tables)
        {
            if (table.MayLack(low, high))
                return true;
        }

        return false;
    }

    /// <param name="source">The damaged database.</param>
    /// <param name="manifest">Null when none can be read.</param>
    /// <param name="numbers">Of the table files that are there.</param>
    /// <param name="databaseId">Zero when that is not known.</param>
    /// <param name="losses">Gets what of the tables cannot be read.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Null when there is no checkpoint.</returns>
    internal static SalvageImage? Find(
        IStorage source, Manifest? manifest, IReadOnlyList<uint> numbers, UInt128 databaseId, List<SalvageLoss> losses,
        CancellationToken cancellationToken)
    {
        var surveyed = new SortedDictionary<uint, SalvagedTable>();
        SalvagedTable Survey(uint number)
        {
            if (!surveyed.TryGetValue(number, out var table))
            {
                var named = manifest?.Tables.FirstOrDefault(table => table.Number == number);
                surveyed.Add(number, table = SalvagedTable.Survey(source, number, named, databaseId, cancellationToken));
            }

            return table;
        }

        SalvageImage? image = null;
        if (manifest is null)
        {
            var tables = numbers.Select(Survey).ToList();
            if (tables.Exists(table => table.LastSequence > 0))
                image = new SalvageImage(tables, tables.Max(table => table.LastSequence), tables.Max(table => table.LastTime), null);
        }
        else
        {
            var least = long.MaxValue;
            foreach (var checkpoint in manifest.Checkpoints.Reverse())
            {
                var tables = checkpoint.Tables.Select(Survey).ToList();
                var lost = tables.Sum(table => table.HasLost ? 1 + table.LostBytes : 0);
                if (lost < least)
                {
                    least = lost;
                    var time = Math.Max(checkpoint.CommitTime, tables.Select(table => table.LastTime).DefaultIfEmpty().Max());
                    image = new SalvageImage(tables, checkpoint.Sequence, time, checkpoint.MarkPosition);
                }

                if (lost == 0 || Mutant.Is("salvage-newest-checkpoint-only"))
                    break;
            }
        }

        foreach (var table in surveyed.Values)
        {
            var isMadeGood = !table.HasLost || image?._tables.Contains(table) != true;
            losses.AddRange(table.Losses.Select(loss => loss with { IsMadeGood = isMadeGood }));
        }

        return image;
    }

    /// <summary>The newest version of each key, by run and key; tombstones too.</summary>
    internal IEnumerable<SalvagedEntry> Entries(CancellationToken cancellationToken)
    {
        var cursors = _tables.Select(table => table.Entries(cancellationToken).GetEnumerator()).ToList();
        try
        {
            cursors.RemoveAll(cursor => !cursor.MoveNext());
            while (cursors.Count > 0)
            {
                var newest = cursors[0].Current;
                for (var i = 1; i < cursors.Count; i++)
                {
                    var other = cursors[i].Current;
                    var order = other.Key.AsSpan().SequenceCompareTo(newest.Key);
                    if (order < 0 || (order == 0 && other.Sequence > newest.Sequence))
                        newest = other;
                }

                yield return newest;
                cursors.RemoveAll(cursor => !PassOver(cursor, newest.Key));
            }
        }
        finally
        {
            foreach (var cursor in cursors)
                cursor.Dispose();
        }
    }

    private static bool PassOver(IEnumerator<SalvagedEntry> cursor, byte[] key)
    {
        while (cursor.Current.Key.AsSpan().SequenceEqual(key))
        {
            if (!cursor.MoveNext())
                return false;
        }

        return true;
    }

    /// <summary>A key in words, for who salvages.</summary>
    internal static string NameOf(RunId run, ReadOnlySpan<byte> storeKey)
    {
        var rest = storeKey[1..];
        var name = storeKey[0] switch
        {
            StoreKeys.Kv => $"kv '{Text(rest)}'",
            StoreKeys.State => $"state '{Text(rest)}'",
            StoreKeys.VectorCollection or StoreKeys.VectorHead or StoreKeys.VectorRow =>
                $"vectors '{Primitives.VectorKeys.Describe(storeKey)}'",
            StoreKeys.Consumer => $"consumer '{Text(rest)}'",
            StoreKeys.Idempotency => "an idempotency key",
            StoreKeys.Event when rest.Length == 8 => string.Create(
                CultureInfo.InvariantCulture, $"event #{BinaryPrimitives.ReadUInt64BigEndian(rest)}"),
            StoreKeys.Event => "where its events begin",
            StoreKeys.Trace when rest.Length == TraceId.Size => $"trace {TraceId.Read(rest)}",
            StoreKeys.Concept or (>= StoreKeys.ConceptContent and <= StoreKeys.ConceptAttributes) => $"concept '{Text(rest)}'",
            StoreKeys.Association => $"association {GraphKeys.Text(rest, isByTarget: false)}",
            >= StoreKeys.Run and <= StoreKeys.RunRetention => "the index of runs",
            var family => string.Create(CultureInfo.InvariantCulture, $"family {family:x2}"),
        };
        return run == default ? name : $"{name} of run {run}";
    }

    private static string Text(ReadOnlySpan<byte> key) => Utf8.IsValid(key) ? Utf8.GetTrustedString(key) : Convert.ToHexStringLower(key);
}
