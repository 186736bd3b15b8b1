using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of the key-value primitive: keys of 1 to 1,024 bytes of UTF-8, values of any kind. Thread-safe, except inside a
/// transaction. Reads never wait and never change anything.</summary>
public class KvView
{
    private const byte ListingKeys = 1;

    internal KvView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Reads a value.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <returns>The value, owned; null when there is no such key (the value Null is another answer:
    /// <see cref="ValueKind.Null"/>).</returns>
    /// <exception cref="LimitException">The key is too long.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL or not valid UTF-8.</exception>
    public Value? Get(string key) => TryGet(key, out var value) ? value : default(Value?);

    /// <summary>Reads a value.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="value">Owned: copied inside the epoch, valid for ever. Without allocation: the overload with a destination
    /// span.</param>
    /// <returns>False when there is no such key; that is an answer, not an error.</returns>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string key, out Value value)
    {
        using var timing = Scope.BeginRead();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = StoreKey(key, buffer);
        using var reader = new StoreReader(Scope.Run.Store);
        if (!Scope.TryGet(reader, storeKey, out var version))
        {
            value = default;
            return false;
        }

        value = Value.Decode(version.Value);
        return true;
    }

    /// <summary>Copies the content of a Bytes value, or the UTF-8 of a String value, without allocating.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="destination">Must be large enough; <paramref name="written"/> says how much was needed if it was not.</param>
    /// <param name="written">Bytes copied; with a too small destination, bytes needed and nothing copied.</param>
    /// <returns>False when there is no such key (then <paramref name="written"/> is 0) or the destination is too small.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: the value is neither Bytes nor String.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string key, Span<byte> destination, out int written)
    {
        using var timing = Scope.BeginRead();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = StoreKey(key, buffer);
        using var reader = new StoreReader(Scope.Run.Store);
        if (!Scope.TryGet(reader, storeKey, out var version))
        {
            written = 0;
            return false;
        }

        if (!ValueCodec.TryReadBytesOrString(version.Value, out var content, out var kind))
            throw new CairnException(
                ErrorCode.WrongType, $"The value is {kind}; copying needs Bytes or String. Use TryGet(key, out Value).");
        written = content.Length;
        return content.TryCopyTo(destination);
    }

    /// <summary>Reads a value with its version, times and expiry; null when there is no such key.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public Versioned<Value>? GetVersioned(string key)
    {
        Scope.ThrowIfNotReadable();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = StoreKey(key, buffer);
        using var reader = new StoreReader(Scope.Run.Store);
        return Scope.TryGet(reader, storeKey, out var version) ? Versions.ToVersioned(version, Value.Decode(version.Value)) : null;
    }

    /// <summary>Whether there is such a key.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool Exists(string key)
    {
        Scope.ThrowIfNotReadable();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = StoreKey(key, buffer);
        using var reader = new StoreReader(Scope.Run.Store);
        return Scope.TryGet(reader, storeKey, out _);
    }

    /// <summary>Reads several values at one snapshot, in the order asked; null where there is no such key.</summary>
    /// <param name="keys">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a key twice.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<Value?> GetMany(IReadOnlyCollection<string> keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        Many.CheckKeys(keys, Engine.Limits, isWrite: false);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var values = new List<Value?>(keys.Count);
        var view = pinned.Scope == Scope ? this : new KvView(Engine, pinned.Scope);
        foreach (var key in keys)
            values.Add(view.Get(key));
        return values;
    }

    /// <summary>Keys in order of their UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<string> List(ScanOptions? options = null)
    {
        var rows = Begin(options);
        try
        {
            var keys = new List<string>();
            while (rows.MoveNext())
                keys.Add(Utf8.GetTrustedString(rows.Key[1..]));
            return new Page<string>(keys, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Keys with their values in order of the keys' UTF-8 bytes, a page at a time.</summary>
    /// <inheritdoc cref="List"/>
    public Page<KeyValuePair<string, Versioned<Value>>> Scan(ScanOptions? options = null)
    {
        var rows = Begin(options);
        try
        {
            var pairs = new List<KeyValuePair<string, Versioned<Value>>>();
            byte[] buffer = [];
            while (rows.MoveNext())
            {
                var version = rows.Version;
                var value = Value.Decode(version.ValueOnce(ref buffer));
                pairs.Add(new(Utf8.GetTrustedString(rows.Key[1..]), Versions.ToVersioned(version, value)));
            }

            return new Page<KeyValuePair<string, Versioned<Value>>>(pairs, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Finds key-values by the words in them, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, "kv");

    /// <summary>Number of keys, exactly. Without a prefix at a cost that does not grow with it.</summary>
    /// <param name="prefix">Counts only keys that begin with this; null or empty = all.</param>
    public long Count(string? prefix = null)
    {
        if (!string.IsNullOrEmpty(prefix))
            return CountRange(prefix);
        Scope.ThrowIfNotReadable();
        return Counting.Count(Engine.Pins, Scope, StoreKeys.Kv);
    }

    /// <summary>Versions of a key, newest first, deletions included; what was committed, not what a transaction itself has written. Reads
    /// the log: the cost follows what the run wrote since.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="limit">Most versions; 0 = <see cref="Limits.HistoryVersionsMax"/>, which it may not exceed.</param>
    /// <param name="before">Only versions before this one; null = from the newest.</param>
    /// <exception cref="HistoryTrimmedException">Versions that were asked for are no longer kept: an InMemory database keeps the
    /// newest only.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<HistoryItem<Value>> History(string key, int limit = 0, Sequence? before = null) =>
        Primitives.History.Read(Scope, StoreKey(key), limit, before, Engine.Limits).ConvertAll(version => new HistoryItem<Value>(
            version.IsDeletion ? default : Value.Decode(version.Stored), version.IsDeletion, new Sequence(version.Sequence),
            CommitClock.Time(version.Time), Versions.ToExpiry(version.Expiry)));

    /// <summary>The value that was valid right after a commit; null when the key was absent then: not written, deleted, or expired by the
    /// time of that commit.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="sequence">A commit of the database, up to the present one (a snapshot's or transaction's own).</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the sequence is not there yet;
    /// <see cref="ErrorCode.InvalidKey"/>.</exception>
    public Value? GetAt(string key, Sequence sequence) =>
        Primitives.History.At(Scope, StoreKey(key), sequence) is { } version ? Value.Decode(version.Stored) : default(Value?);

    /// <summary>The value that was valid at a time: after the last commit of the run whose commit time is at or before it, and not
    /// expired then; null when the key was absent.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="time">Compared with commit times, to the microsecond.</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public Value? GetAt(string key, DateTimeOffset time) =>
        Primitives.History.At(Scope, StoreKey(key), CommitClock.Microseconds(time)) is { } version
            ? Value.Decode(version.Stored)
            : default(Value?);

    private long CountRange(string prefix)
    {
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var view = new KvView(Engine, pinned.Scope);
        var count = 0L;
        string? cursor = null;
        do
        {
            var page = view.List(new ScanOptions { Prefix = prefix, Limit = Engine.Limits.PageSizeMax, Cursor = cursor });
            count += page.Count;
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return count;
    }

    private Listing Begin(ScanOptions? options)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Kv, Engine.Limits);
        return new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingKeys, range.From, range.To, range.Limit, options?.Cursor, options?.Reverse ?? false);
    }

    private static byte[] StoreKey(string key) => StoreKey(key, stackalloc byte[1 + Limits.KeyBytesMax]).ToArray();

    internal static ReadOnlySpan<byte> StoreKey(string key, Span<byte> buffer) =>
        KeyRules.EncodeBehind(StoreKeys.Kv, key, isWrite: false, buffer);
}

