using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn;

/// <summary>Reads of one collection of vectors, by its name: a collection that is not there has no vectors. Thread-safe, except inside a
/// transaction. Reads never wait and never change anything.</summary>
public partial class VectorCollectionView
{
    private const byte ListingKeys = 0x71;

    internal VectorCollectionView(Engine engine, Scope scope, string name)
    {
        EncodedName = VectorCollectionsView.EncodedName(name);
        Engine = engine;
        Scope = scope;
        Name = name;
    }

    /// <summary>The collection's name.</summary>
    public string Name { get; }

    /// <summary>What the collection is, and how much it holds; null when there is none of that name.</summary>
    public VectorCollectionInfo? Info
    {
        get
        {
            using var look = new VectorLook(Engine.Pins, Scope);
            if (!look.TryFind(EncodedName, out var configuration, out var version))
                return null;
            var count = look.Count(EncodedName);
            return new VectorCollectionInfo
            {
                Name = Name,
                Definition = configuration.ToDefinition(),
                Count = count,
                Bytes = count * configuration.EmbeddingBytes,
                Version = new Sequence(version),
            };
        }
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    internal byte[] EncodedName { get; }

    /// <summary>Reads a vector; null when there is no such key.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <exception cref="LimitException">The key is too long.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL or not valid UTF-8.</exception>
    public VectorRecord? Get(string key) => TryGet(key, out var vector) ? vector : null;

    /// <summary>Reads a vector.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="vector">Owned.</param>
    /// <returns>False when there is no such key; that is an answer, not an error.</returns>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string key, [NotNullWhen(true)] out VectorRecord? vector)
    {
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead(key, buffer, out var length);
        using var look = new VectorLook(Engine.Pins, Scope);
        vector = look.TryFind(EncodedName, out var configuration, out _)
            && look.TryGet(EncodedName, configuration, buffer[..length], out var found) ? Read(key, configuration, found) : null;
        return vector is not null;
    }

    /// <summary>Reads several vectors at one snapshot, in the order asked; null where there is no such key.</summary>
    /// <param name="keys">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a key twice.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<VectorRecord?> GetMany(IReadOnlyCollection<string> keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        Many.CheckKeys(keys, Engine.Limits, isWrite: false);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var view = pinned.Scope == Scope ? this : new VectorCollectionView(Engine, pinned.Scope, Name);
        var found = new List<VectorRecord?>(keys.Count);
        foreach (var key in keys)
            found.Add(view.Get(key));
        return found;
    }

    /// <summary>Whether there is such a key.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool Exists(string key)
    {
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead(key, buffer, out var length);
        using var look = new VectorLook(Engine.Pins, Scope);
        return look.TryFind(EncodedName, out var configuration, out _)
            && look.TryGet(EncodedName, configuration, buffer[..length], out _);
    }

    /// <summary>Number of vectors, exactly, at a cost that does not grow with it.</summary>
    public long Count()
    {
        using var look = new VectorLook(Engine.Pins, Scope);
        return look.TryFind(EncodedName, out _, out _) ? look.Count(EncodedName) : 0;
    }

    /// <summary>Keys in order of their UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<string> Keys(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.VectorHead, Engine.Limits);
        var lead = VectorKeys.Begin(StoreKeys.VectorHead, EncodedName);
        byte[] from = [.. lead, .. range.From.AsSpan(1)];
        byte[] to = range.To[0] == StoreKeys.VectorHead
            ? [.. lead, .. range.To.AsSpan(1)]
            : VectorKeys.End(StoreKeys.VectorHead, EncodedName);
        var isHidden = IsHidden();
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingKeys, from, to, range.Limit, options?.Cursor, options?.Reverse ?? false,
            hidesStore: isHidden);
        try
        {
            var keys = new List<string>();
            while (rows.MoveNext())
                keys.Add(Utf8.GetTrustedString(rows.Key[lead.Length..]));
            return new Page<string>(keys, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Versions of a vector, newest first, deletions included; what was committed, not what a transaction itself has written.
    /// Reads the log: the cost follows what the run wrote since.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="limit">Most versions; 0 = <see cref="Limits.HistoryVersionsMax"/>, which it may not exceed.</param>
    /// <param name="before">Only versions before this one; null = from the newest.</param>
    /// <exception cref="HistoryTrimmedException">Versions that were asked for are no longer kept: an InMemory database keeps the
    /// newest only.</exception>
    /// <exception cref="LimitException">What was written on the way is larger than <see cref="Limits.ViewBytesMax"/>, or the key or the
    /// limit too large.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<HistoryItem<VectorRecord>> History(string key, int limit = 0, Sequence? before = null)
    {
        var most = Primitives.History.MostOf(limit, Engine.Limits);
        Scope.ThrowIfNotReadable();
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead(key, buffer, out var length);
        var encoded = buffer[..length].ToArray();
        Scope.NotePoint(VectorKeys.Head(new byte[VectorKeys.BytesMax], EncodedName, encoded));
        if (before is { Value: 0 })
            return [];
        using var past = PastEnds.Of(Engine, Scope);
        var upTo = Math.Min(before is { } bound ? bound.Value - 1 : ulong.MaxValue, past.Sequence);
        return past.Log is null
            ? NewestAlone(past, key, most, upTo)
            : VectorHistory.Read(past, EncodedName, encoded, most, upTo, Engine.Limits);
    }

    private List<HistoryItem<VectorRecord>> NewestAlone(DiffEnd past, string key, int most, ulong upTo)
    {
        if (new VectorCollectionView(Engine, past.Scope, Name).Get(key) is not { } newest)
            return [];
        if (most > 1 || newest.Version.Value > upTo)
            throw new HistoryTrimmedException(new Sequence(newest.Version.Value - 1), newest.Version);
        return [new HistoryItem<VectorRecord>(newest, false, newest.Version, newest.Time, newest.Expiry)];
    }

    private bool IsHidden()
    {
        if (Scope.Writes is not { Count: > 0 })
            return false;
        using var look = new VectorLook(Engine.Pins, Scope);
        return !look.TryFind(EncodedName, out _, out _) || look.HidesStore(EncodedName);
    }

    internal static VectorRecord Read(string key, scoped in VectorConfiguration configuration, scoped in StoredVector vector)
    {
        var embedding = new float[configuration.Dimension];
        StoredForm.Decode(configuration.Element, vector.Embedding, embedding);
        return new VectorRecord
        {
            Key = key,
            Id = vector.Id == 0 ? null : new VectorId(vector.Id),
            Embedding = embedding,
            Metadata = vector.Metadata.IsEmpty ? default(Value?) : Value.Decode(vector.Metadata),
            Version = new Sequence(vector.Sequence),
            Created = new Sequence(vector.Created),
            Time = CommitClock.Time(vector.Time),
            Expiry = Versions.ToExpiry(vector.Expiry),
        };
    }
}
