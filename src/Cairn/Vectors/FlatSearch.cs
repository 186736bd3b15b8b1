// Flat search: every vector of a collection that the scope shows is scored, and the best are kept. Exact at any sequence, in snapshots,
// forks, views and transactions, because rows are keys like all others (G12, VEC-25).
//
//      no filter     the rows, in the order of their ids: a scan forwards through memory
//      a filter      the heads, which hold what it asks about, give the ids that it holds for; then only their rows are read: one by
//                    one when they are few, by a scan that passes over the others when they are many. So whatever part of the
//                    collection it leaves, all of that is scored (VEC-12)
//      own writes    in a transaction rows of keys that it has written are passed over, and what it has written is scored by itself
//
//      rows of notes      1: a   2: b   3: c   4: d       own: b deleted, c written, x new
//      scored                a             -   d   + c, x
//
// In a transaction the search has read all rows, because any new one could have come in (IDX-8), and with a filter all heads. A change of
// metadata writes heads alone, so it is in the way of no search without a filter.
//
// A page goes on behind the last match of the one before: scores and keys are compared with that again. A reader of the epoch is let go
// every few hundred rows.

using Cairn.Codec;
using Cairn.Documents;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Vectors;

/// <summary>See the essay above. One search; use it once.</summary>
/// <param name="scope">Not a live one: it stays at its sequence.</param>
/// <param name="name">Of a collection that is there.</param>
/// <param name="embeddingBytes">Of each of its vectors.</param>
/// <param name="queries">At least one.</param>
/// <param name="most">How many matches; at least 1.</param>
/// <param name="after">Only what is worse than this; null = all.</param>
internal sealed class FlatSearch(
    Scope scope, SnapshotRegistry pins, byte[] name, int embeddingBytes, Scoring[] queries, int most, VectorSearchOptions options,
    (double Score, byte[] Key)? after)
{
    private const int RowsPerReader = 512;
    private const int RowsPerLook = 1_024;

    /// <summary>At least one row in so many is wanted: then a scan that passes over the rest is quicker than looking each up.</summary>
    private const int ScanFrom = 4;

    private readonly TopMatches _best = new(most + 1);
    private readonly long _began = scope.Path.Clock.GetTimestamp();
    private HashSet<byte[]>? _own;
    private long _looks;

    /// <summary>Vectors scored.</summary>
    internal long Candidates { get; private set; }

    /// <summary>The budget was not used up.</summary>
    internal bool IsComplete { get; private set; } = true;

    /// <summary>The best, in order; one more than was asked for when there are more.</summary>
    internal ReadOnlySpan<MatchSlot> Run()
    {
        var isFresh = NoteOwn();
        Note(StoreKeys.VectorRow);
        if (options.Filter is not null)
            Note(StoreKeys.VectorHead);
        if (isFresh)
            return ScoreOwn();
        if (options.Filter is { } filter && !Mutant.Is("vector-filter-behind-the-search"))
        {
            var ids = Named(filter, out var heads);
            if (ids.Count * (long)ScanFrom >= heads)
                ScanRows(ids);
            else
                LookUp(ids);
        }
        else
        {
            ScanRows(null);
        }

        return ScoreOwn();
    }

    private void Note(byte family)
    {
        if (!Mutant.Is("vector-search-unread"))
            scope.NoteRange(VectorKeys.Begin(family, name), VectorKeys.End(family, name));
    }

    // ---- rows -------------------------------------------------------------------------------------------------------------------

    // Of all, or of these ids, which ascend.
    private void ScanRows(List<ulong>? ids)
    {
        var next = 0;
        var to = VectorKeys.End(StoreKeys.VectorRow, name);
        for (var from = VectorKeys.Begin(StoreKeys.VectorRow, name); from.Length > 0 && IsComplete;)
        {
            using var reader = scope.Run.Store.Read();
            var scan = reader.Scan(from, to, scope.Sequence);
            from = [];
            for (var rows = 0; scan.MoveNext(); rows++)
            {
                if (rows == RowsPerReader)
                {
                    from = scan.Key.ToArray();
                    break;
                }

                var id = VectorKeys.IdIn(scan.Key);
                if (ids is not null)
                {
                    while (next < ids.Count && ids[next] < id)
                        next++;
                    if (next == ids.Count)
                        return;
                    if (ids[next] != id)
                        continue;
                }

                if (!Take(scan.Version, id))
                    break;
            }
        }
    }

    private void LookUp(List<ulong> ids)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        for (var next = 0; next < ids.Count && IsComplete;)
        {
            using var reader = scope.Run.Store.Read();
            for (var rows = 0; rows < RowsPerReader && next < ids.Count; rows++, next++)
            {
                var isThere = reader.TryGet(VectorKeys.Row(buffer, name, ids[next]), scope.Sequence, out var version);
                Invariant.Check(isThere && !version.IsTombstone, "a head has its row");
                if (!Take(version, ids[next]))
                    break;
            }
        }
    }

    // False: the budget is used up.
    private bool Take(scoped in VersionView version, ulong id)
    {
        if (!version.IsLiveAt(scope.Time))
            return true;
        var row = version.Value;
        var key = row[embeddingBytes..];
        if (_own is not null && _own.GetAlternateLookup<ReadOnlySpan<byte>>().Contains(key))
            return true;
        return Score(row[..embeddingBytes], key, id);
    }

    private bool Score(ReadOnlySpan<byte> embedding, ReadOnlySpan<byte> key, ulong id)
    {
        if (!MayGoOn() || Candidates == options.Budget?.Candidates)
        {
            IsComplete = false;
            return false;
        }

        Candidates++;
        var score = queries.Length == 1 ? queries[0].Of(embedding) : Aggregate(embedding);
        if (score < options.MinScore || (after is { } last && TopMatches.Compare(score, key, last.Score, last.Key) >= 0))
            return true;
        _best.Offer(score, key, id);
        return true;
    }

    private double Aggregate(ReadOnlySpan<byte> embedding)
    {
        var result = queries[0].Of(embedding);
        for (var i = 1; i < queries.Length; i++)
        {
            var score = queries[i].Of(embedding);
            result = options.Aggregate switch
            {
                VectorAggregate.Max => Math.Max(result, score),
                VectorAggregate.Min => Math.Min(result, score),
                _ => result + score,
            };
        }

        return options.Aggregate == VectorAggregate.Mean ? result / queries.Length : result;
    }

    private bool MayGoOn() => options.Budget?.Time is not { } time || _looks++ % RowsPerLook != 0
        || scope.Path.Clock.GetElapsedTime(_began) < time;

    // ---- filters ----------------------------------------------------------------------------------------------------------------

    // The ids of what the filter holds for, ascending, without what the transaction has written.
    private List<ulong> Named(Filter filter, out long heads)
    {
        var ids = new List<ulong>();
        heads = 0;
        var to = VectorKeys.End(StoreKeys.VectorHead, name);
        var begin = VectorKeys.Begin(StoreKeys.VectorHead, name);
        for (var from = begin; from.Length > 0 && IsComplete;)
        {
            using var reader = scope.Run.Store.Read();
            var scan = reader.Scan(from, to, scope.Sequence);
            from = [];
            for (var rows = 0; scan.MoveNext(); rows++)
            {
                if (rows == RowsPerReader)
                {
                    from = scan.Key.ToArray();
                    break;
                }

                heads++;
                if (!MayGoOn())
                {
                    IsComplete = false;
                    break;
                }

                var version = scan.Version;
                var key = scan.Key[begin.Length..];
                if (!version.IsLiveAt(scope.Time) || (_own is not null && _own.GetAlternateLookup<ReadOnlySpan<byte>>().Contains(key)))
                    continue;
                var subject = new VectorSubject(key, VectorOperations.MetadataOf(version.Value), version.Sequence, version.Time);
                if (new FilterEvaluation<VectorSubject>(subject, scope.Path.Limits).Holds(filter))
                    ids.Add(VectorOperations.IdOf(version.Value));
            }
        }

        ids.Sort();
        return ids;
    }

    // ---- own writes -------------------------------------------------------------------------------------------------------------

    // True: all there is of the collection is the transaction's own.
    private bool NoteOwn()
    {
        if (scope.Writes is not { Count: > 0 } || Mutant.Is("vector-own-writes-unseen"))
            return false;
        using var look = new VectorLook(pins, scope);
        foreach (var write in look.PendingIn(name))
            (_own ??= new(ByteArrayComparer.Instance)).Add(VectorKeys.KeyIn(write.StoreKey).ToArray());
        return look.HidesStore(name);
    }

    private ReadOnlySpan<MatchSlot> ScoreOwn()
    {
        if (_own is null)
            return _best.Sorted();
        using var look = new VectorLook(pins, scope);
        look.TryFind(name, out var configuration, out _);
        foreach (var key in _own)
        {
            if (!look.TryGet(name, configuration, key, out var vector))
                continue;
            var subject = new VectorSubject(key, vector.Metadata, vector.Sequence, vector.Time);
            if (options.Filter is { } filter && !new FilterEvaluation<VectorSubject>(subject, scope.Path.Limits).Holds(filter))
                continue;
            if (!Score(vector.Embedding, key, vector.Id))
                break;
        }

        return _best.Sorted();
    }
}

/// <summary>What a filter asks about: a vector's metadata, which is decoded when it is first asked for, its key and its version. Version
/// and time of what a transaction has written itself are those beneath it, and are not there when there is nothing.</summary>
internal ref struct VectorSubject(ReadOnlySpan<byte> key, ReadOnlySpan<byte> metadata, ulong sequence, long time) : IFilterSubject
{
    private readonly ReadOnlySpan<byte> _key = key;
    private readonly ReadOnlySpan<byte> _metadata = metadata;
    private Value? _decoded;

    public bool TryGet(DocumentPath path, out Value value)
    {
        _decoded ??= _metadata.IsEmpty ? Value.Object() : Value.Decode(_metadata);
        return path.TryGet(_decoded.Value, out value);
    }

    public readonly bool TryGet(FilterField field, out Value value)
    {
        value = field switch
        {
            FilterField.Key => Utf8.GetTrustedString(_key),
            FilterField.Version when sequence != 0 => (long)sequence,
            FilterField.Time when sequence != 0 => time,
            _ => default,
        };
        return !value.IsNull;
    }
}
