using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of the state primitive: named cells, each a value with a counter of its writes. Thread-safe, except inside a
/// transaction. Reads never wait and never change anything.</summary>
public class StateView
{
    private const byte ListingCells = StoreKeys.State;

    internal StateView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Reads a cell with its counter; null when there is none (the value Null is another answer).</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <exception cref="LimitException">The name is too long.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL or not valid UTF-8.</exception>
    public StateCell? Get(string name)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKey(name, buffer);
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, key, out var version) ? StateOperations.ToCell(version) : null;
    }

    /// <summary>Reads a cell's value. Inside a transaction, a value that the transaction itself has written is no read of the committed
    /// cell; <see cref="Get"/> is, because of the counter.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="value">Owned, valid for ever.</param>
    /// <returns>False when there is no such cell; that is an answer, not an error.</returns>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string name, out Value value)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKey(name, buffer);
        value = default;
        if (Scope.Writes?.Find(key) is { } write)
        {
            if (!write.IsDelete)
                value = Value.Decode(write.Value);
            return !write.IsDelete;
        }

        using var reader = Scope.Run.Store.Read();
        if (!Scope.TryGet(reader, key, out var version))
            return false;
        value = Value.Decode(version.Value[StateOperations.CounterBytes..]);
        return true;
    }

    /// <summary>Whether there is such a cell.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool Exists(string name)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKey(name, buffer);
        if (Scope.Writes?.Find(key) is { } write)
            return !write.IsDelete;
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, key, out _);
    }

    /// <summary>Names of cells in order of their UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<string> List(ScanOptions? options = null)
    {
        var rows = Begin(options);
        try
        {
            var names = new List<string>();
            while (rows.MoveNext())
                names.Add(Utf8.GetTrustedString(rows.Key[1..]));
            return new Page<string>(names, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Cells with their names in order of the names' UTF-8 bytes, a page at a time.</summary>
    /// <inheritdoc cref="List"/>
    public Page<KeyValuePair<string, StateCell>> Scan(ScanOptions? options = null)
    {
        var rows = Begin(options);
        try
        {
            var cells = new List<KeyValuePair<string, StateCell>>();
            while (rows.MoveNext())
                cells.Add(new(Utf8.GetTrustedString(rows.Key[1..]), ToCell(rows.Key, rows.Version)));
            return new Page<KeyValuePair<string, StateCell>>(cells, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    // A listing passes over tombstones, and so it does not know the counter that an own write of a deleted cell counts on from.
    private StateCell ToCell(ReadOnlySpan<byte> key, in VersionView version)
    {
        if (Scope.Writes?.Find(key) is null)
            return StateOperations.ToCell(version);
        using var reader = Scope.Run.Store.Read();
        Scope.TryGet(reader, key, out var own);
        return StateOperations.ToCell(own);
    }

    /// <summary>Finds state cells by the words in them, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, "state");

    /// <summary>Number of cells, exactly, at a cost that does not grow with it.</summary>
    public long Count()
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        return Counting.Count(Engine.Pins, Scope, StoreKeys.State);
    }

    /// <summary>Versions of a cell, newest first, deletions included; what was committed, not what a transaction itself has written. Reads
    /// the log: the cost follows what the run wrote since.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="limit">Most versions; 0 = <see cref="Limits.HistoryVersionsMax"/>, which it may not exceed.</param>
    /// <param name="before">Only versions before this one; null = from the newest.</param>
    /// <exception cref="HistoryTrimmedException">Versions that were asked for are no longer kept: an InMemory database keeps the newest
    /// only.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<StateHistoryItem> History(string name, int limit = 0, Sequence? before = null) =>
        Primitives.History.Read(Scope, StoreKey(name), limit, before, Engine.Limits).ConvertAll(StateOperations.ToHistory);

    /// <summary>The cell as it was right after a commit; null when it was absent then: not written, deleted, or expired by the time of
    /// that commit.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="sequence">A commit of the database, up to the present one (a snapshot's or transaction's own).</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the sequence is not there yet;
    /// <see cref="ErrorCode.InvalidKey"/>.</exception>
    public StateCell? GetAt(string name, Sequence sequence) =>
        Primitives.History.At(Scope, StoreKey(name), sequence) is { } version ? StateOperations.ToCell(version) : null;

    /// <summary>The cell as it was at a time: after the last commit of the run whose commit time is at or before it, and not expired
    /// then; null when it was absent.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="time">Compared with commit times, to the microsecond.</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public StateCell? GetAt(string name, DateTimeOffset time) =>
        Primitives.History.At(Scope, StoreKey(name), CommitClock.Microseconds(time)) is { } version
            ? StateOperations.ToCell(version)
            : null;

    private Listing Begin(ScanOptions? options)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.State, Engine.Limits);
        return new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingCells, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
    }

    private static byte[] StoreKey(string name) => StoreKey(name, stackalloc byte[1 + Limits.KeyBytesMax]).ToArray();

    internal static ReadOnlySpan<byte> StoreKey(string name, Span<byte> buffer) =>
        KeyRules.EncodeBehind(StoreKeys.State, name, isWrite: false, buffer);
}
