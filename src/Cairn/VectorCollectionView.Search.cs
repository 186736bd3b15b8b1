using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn;

// Searching a collection: what may be asked, the page, and what matches bring along. The search itself is in Vectors/.
public partial class VectorCollectionView
{
    /// <summary>Matches of a search that names no number.</summary>
    public const int MatchesDefault = 10;

    private const byte ListingMatches = 0x72;

    /// <summary>The vectors that are most like a query: exactly those, at one sequence, whatever the filter leaves of the collection.
    /// Inside a transaction its own writes are among them, and it has read the collection.</summary>
    /// <param name="query">As many elements as the collection's vectors have; all finite.</param>
    /// <param name="k">How many; from 1 to <see cref="Limits.VectorMatchesMax"/>.</param>
    /// <param name="options">Null = all vectors, whatever the score.</param>
    /// <returns>At most <paramref name="k"/>; fewer only when no more match. Of a collection that is not there: none.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.DimensionMismatch"/>; <see cref="ErrorCode.ModelMismatch"/>;
    /// <see cref="ErrorCode.InvalidArgument"/>: the query is not finite, an option makes no sense, or the cursor is of another search;
    /// <see cref="ErrorCode.ConstraintViolation"/>: the query has no length, and the metric is
    /// <see cref="VectorMetric.Cosine"/>; <see cref="ErrorCode.CursorExpired"/>.</exception>
    /// <exception cref="LimitException"><paramref name="k"/> or the filter is too large.</exception>
    public VectorSearchResult Search(ReadOnlySpan<float> query, int k = MatchesDefault, VectorSearchOptions? options = null) =>
        Search([query.ToArray()], k, options);

    /// <summary>The vectors that are most like several queries together (<see cref="VectorSearchOptions.Aggregate"/>).</summary>
    /// <param name="queries">1 to <see cref="Limits.ManyItemsMax"/>, each as in
    /// <see cref="Search(ReadOnlySpan{float}, int, VectorSearchOptions?)"/>.</param>
    /// <param name="k">As there.</param>
    /// <param name="options">As there.</param>
    /// <inheritdoc cref="Search(ReadOnlySpan{float}, int, VectorSearchOptions?)"/>
    public VectorSearchResult Search(
        IReadOnlyList<ReadOnlyMemory<float>> queries, int k = MatchesDefault, VectorSearchOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(queries);
        options ??= VectorSearchOptions.Default;
        Check(queries, k, options);
        Scope.ThrowIfNotReadable();
        using var timing = Scope.Path.BeginTiming(OperationClass.Scan);
        var request = options.Cursor is null && !Scope.IsLive ? 0 : RequestOf(queries, options);
        (double, byte[])? after = null;
        var at = Scope;
        SnapshotPin pin = default;
        if (options.Cursor is { } cursor)
        {
            Cursors.Parse(cursor, ListingMatches, request, out var sequence, out var time, out var last);
            after = (BinaryPrimitives.ReadDoubleBigEndian(last), last[sizeof(double)..]);
            if (Scope.IsLive)
            {
                pin = Engine.Cursors.Resume(Scope.Run, sequence);
                at = Scope.Snapshot(Scope.Path, Scope.Run, sequence, time);
            }
            else if (sequence != Scope.Sequence)
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a search where it was begun.");
            }
        }
        else if (Scope.IsLive)
        {
            pin = Engine.Pins.Take(Scope.Run.Visible, Scope.Run.Store.RunTag);
            at = Scope.Snapshot(Scope.Path, Scope.Run, pin.Sequence, Scope.Path.ReadTime());
        }

        try
        {
            using var use = at.Use();
            return Search(at, queries, k, options, after);
        }
        finally
        {
            if (Scope.IsLive)
                Engine.Pins.Release(pin);
        }
    }

    private void Check(IReadOnlyList<ReadOnlyMemory<float>> queries, int k, VectorSearchOptions options)
    {
        if (k < 1)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"A search for {k} matches makes no sense. Ask for 1 to {Engine.Limits.VectorMatchesMax}.");
        }

        if (k > Engine.Limits.VectorMatchesMax)
            throw new LimitException(nameof(Limits.VectorMatchesMax), Engine.Limits.VectorMatchesMax, k, "matches");
        if (queries.Count == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "A search has at least one query.");
        Many.CheckCount(queries.Count, Engine.Limits);
        options.Filter?.Check(Engine.Limits);
        if (options.MinScore is { } least && double.IsNaN(least))
            throw new CairnException(ErrorCode.InvalidArgument, "A lowest score that is not a number makes no sense.");
        if (!Enum.IsDefined(options.Aggregate))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no aggregate {(int)options.Aggregate}.");
        if ((options.Include & ~(VectorParts.Metadata | VectorParts.Embedding)) != 0)
            throw new CairnException(ErrorCode.InvalidArgument, $"There are no parts {(int)options.Include}.");
        if (options.Budget is { Candidates: < 1 })
            throw new CairnException(ErrorCode.InvalidArgument, "A budget of no candidates makes no sense. Give at least 1.");
        if (options.Budget is { CandidatesPerPrimitive: not null })
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "A search of one collection has one primitive: bound its Candidates, not those per primitive.");
        }

        if (options.Budget?.Time is { } time && time <= TimeSpan.Zero)
            throw new CairnException(ErrorCode.InvalidArgument, "A budget of no time makes no sense.");
    }

    private VectorSearchResult Search(
        Scope at, IReadOnlyList<ReadOnlyMemory<float>> queries, int k, VectorSearchOptions options, (double, byte[])? after)
    {
        using var look = new VectorLook(Engine.Pins, at);
        if (!look.TryFind(EncodedName, out var configuration, out _))
            return Answer(at, [], isComplete: true, 0, null);
        CheckModel(configuration, options.Model);
        var scorings = new Scoring[queries.Count];
        for (var i = 0; i < scorings.Length; i++)
        {
            CheckDimension(configuration, queries[i].Length);
            scorings[i] = new Scoring(configuration.Metric, configuration.Element, queries[i].Span);
        }

        var search = new FlatSearch(at, Engine.Pins, EncodedName, configuration.EmbeddingBytes, scorings, k, options, after);
        var found = search.Run();
        var matches = new List<VectorMatch>(Math.Min(k, found.Length));
        foreach (ref readonly var slot in found[..Math.Min(k, found.Length)])
            matches.Add(ToMatch(look, configuration, slot, options.Include));
        string? cursor = null;
        if (found.Length > k && search.IsComplete)
        {
            var request = RequestOf(queries, options);
            byte[] last = [.. new byte[sizeof(double)], .. found[k - 1].Key];
            BinaryPrimitives.WriteDoubleBigEndian(last, found[k - 1].Score);
            cursor = Scope.IsLive
                ? Engine.Cursors.Keep(ListingMatches, Scope.Run, at.Sequence, at.Time, last, request)
                : Cursors.Format(ListingMatches, at.Sequence, at.Time, last, request);
        }

        return Answer(at, matches, search.IsComplete, search.Candidates, cursor);
    }

    private static VectorSearchResult Answer(
        Scope at, IReadOnlyList<VectorMatch> matches, bool isComplete, long candidates, string? cursor) => new()
    {
        Matches = matches,
        IsComplete = isComplete,
        Candidates = candidates,
        Index = VectorIndexKind.Flat,
        Sequence = new Sequence(at.Sequence),
        Cursor = cursor,
    };

    private VectorMatch ToMatch(
        scoped in VectorLook look, scoped in VectorConfiguration configuration, scoped in MatchSlot slot, VectorParts include)
    {
        var match = new VectorMatch
        {
            Key = Utf8.GetTrustedString(slot.Key), Score = slot.Score, Id = slot.Id == 0 ? null : new VectorId(slot.Id),
        };
        if (include == VectorParts.None)
            return match;
        var isThere = look.TryGet(EncodedName, configuration, slot.Key, out var found);
        Invariant.Check(isThere, "a row has its head (V1)");
        var record = Read(match.Key, configuration, found);
        return match with
        {
            Metadata = (include & VectorParts.Metadata) == 0 ? null : record.Metadata,
            Embedding = (include & VectorParts.Embedding) == 0 ? default : record.Embedding,
        };
    }

    private protected static void CheckDimension(scoped in VectorConfiguration configuration, int dimension)
    {
        if (dimension != configuration.Dimension)
        {
            throw new CairnException(
                ErrorCode.DimensionMismatch,
                $"The vector has {dimension} elements, and those of the collection have {configuration.Dimension}.");
        }
    }

    // VEC-21. A collection that says nothing of its model was not made by the one that is named.
    private protected static void CheckModel(scoped in VectorConfiguration configuration, string? model)
    {
        if (model is null || Utf8.GetBytes(model).AsSpan().SequenceEqual(configuration.Model))
            return;
        throw new CairnException(
            ErrorCode.ModelMismatch,
            configuration.Model.IsEmpty
                ? $"The collection names no model, and '{model}' was given. Make one that does."
                : $"The collection's vectors come from the model '{Utf8.GetTrustedString(configuration.Model)}', and not from '{model}'.");
    }

    private uint RequestOf(IReadOnlyList<ReadOnlyMemory<float>> queries, VectorSearchOptions options)
    {
        var check = Crc32C.Append(Crc32C.Start, EncodedName);
        Span<byte> element = stackalloc byte[sizeof(double)];
        foreach (var query in queries)
        {
            foreach (var number in query.Span)
            {
                BinaryPrimitives.WriteSingleLittleEndian(element, number);
                check = Crc32C.Append(check, element[..sizeof(float)]);
            }
        }

        BinaryPrimitives.WriteDoubleLittleEndian(element, options.MinScore ?? double.NegativeInfinity);
        check = Crc32C.Append(Crc32C.Append(check, element), [(byte)options.Aggregate]);
        return Crc32C.Finish(Crc32C.Append(check, Utf8.GetBytes(options.Filter?.ToString() ?? "")));
    }
}
