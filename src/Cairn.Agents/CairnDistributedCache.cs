using System.Buffers;
using Cairn.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;

namespace Cairn.Agents;

/// <summary>The cache of .NET applications over the key-values of a run. Thread-safe.</summary>
/// <remarks>
/// <para>An entry is one key-value: an Object with <c>data</c> (Bytes), <c>sliding_us</c> and <c>until_us</c>, the last two absent when the
/// entry does not slide or has no end. The key-value's own expiry ends it, so an entry that is over takes no read.</para>
/// <para>Reading an entry that slides moves its end. That is a commit; so it is made at most every 1/64 of the sliding time, and an entry
/// lives up to so much longer than that, and never shorter. Where no write is taken (read-only, a closed run, a full disk, full
/// memory) the end stays.</para>
/// <para>A run keeps the past of its keys as its policy of retention says. For a cache <c>Retention.KeepLast(1)</c> is right.</para>
/// </remarks>
public sealed class CairnDistributedCache : IBufferDistributedCache
{
    private const int SlackParts = 64;
    private const string Data = "data";
    private const string Sliding = "sliding_us";
    private const string Until = "until_us";

    private static readonly TimeSpan LifeMin = TimeSpan.FromMilliseconds(1);

    private static readonly TransactionOptions Once = new() { Retries = 0 };     // a read waits for nobody

    private readonly Run _run;
    private readonly TimeProvider _clock;
    private readonly string _prefix;

    /// <summary>A cache in a run.</summary>
    /// <param name="run">The run.</param>
    /// <param name="clock">The clock of its database (<see cref="CairnOptions.TimeProvider"/>); null = the system's.</param>
    /// <param name="prefix">Begins every key, so that something else may be in the run; empty = nothing.</param>
    public CairnDistributedCache(Run run, TimeProvider? clock = null, string prefix = "")
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(prefix);
        _run = run;
        _clock = clock ?? TimeProvider.System;
        _prefix = prefix;
    }

    // ---- reading ----------------------------------------------------------------------------------------------------------------

    /// <inheritdoc/>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>; <see cref="ErrorCode.NotFound"/>: the run was
    /// deleted.</exception>
    /// <exception cref="LimitException">The key is longer than <see cref="Limits.KeyBytesMax"/>.</exception>
    /// <exception cref="InvalidDataException">Something else than an entry is under this key.</exception>
    public byte[]? Get(string key)
    {
        if (Find(key) is not { } entry)
            return null;
        if (entry.IsDue(_clock.GetUtcNow()))
            Touch(key, entry);
        return entry.Data.ToArray();
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        if (Find(key) is not { } entry)
            return null;
        if (entry.IsDue(_clock.GetUtcNow()))
            await TouchAsync(key, entry, token).ConfigureAwait(false);
        return entry.Data.ToArray();
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string key, IBufferWriter<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        if (Find(key) is not { } entry)
            return false;
        if (entry.IsDue(_clock.GetUtcNow()))
            Touch(key, entry);
        destination.Write(entry.Data.Span);
        return true;
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public async ValueTask<bool> TryGetAsync(string key, IBufferWriter<byte> destination, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        token.ThrowIfCancellationRequested();
        if (Find(key) is not { } entry)
            return false;
        if (entry.IsDue(_clock.GetUtcNow()))
            await TouchAsync(key, entry, token).ConfigureAwait(false);
        destination.Write(entry.Data.Span);
        return true;
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public void Refresh(string key)
    {
        if (Find(key) is { } entry && entry.IsDue(_clock.GetUtcNow()))
            Touch(key, entry);
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public async Task RefreshAsync(string key, CancellationToken token = default)
    {
        token.ThrowIfCancellationRequested();
        if (Find(key) is { } entry && entry.IsDue(_clock.GetUtcNow()))
            await TouchAsync(key, entry, token).ConfigureAwait(false);
    }

    // ---- writing ----------------------------------------------------------------------------------------------------------------

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">An absolute expiration that is over.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>; <see cref="ErrorCode.InvalidArgument"/>: a time of less than a
    /// millisecond or more than 100 years; <see cref="ErrorCode.RunClosed"/>, <see cref="ErrorCode.ReadOnly"/>,
    /// <see cref="ErrorCode.NotFound"/>.</exception>
    /// <exception cref="LimitException">Key or data are too large.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the outcome may be unknown.</exception>
    public void Set(string key, byte[] value, DistributedCacheEntryOptions options)
    {
        ArgumentNullException.ThrowIfNull(value);
        var (entry, life) = EntryOf(value, options);
        _run.Kv.Put(KeyOf(key), entry, life);
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Set(string, byte[], DistributedCacheEntryOptions)" path="/exception"/>
    public async Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(value);
        var (entry, life) = EntryOf(value, options);
        await _run.Kv.PutAsync(KeyOf(key), entry, life, token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Set(string, byte[], DistributedCacheEntryOptions)" path="/exception"/>
    public void Set(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options)
    {
        var (entry, life) = EntryOf(value.ToArray(), options);
        _run.Kv.Put(KeyOf(key), entry, life);
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="Set(string, byte[], DistributedCacheEntryOptions)" path="/exception"/>
    public async ValueTask SetAsync(
        string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        var (entry, life) = EntryOf(value.ToArray(), options);
        await _run.Kv.PutAsync(KeyOf(key), entry, life, token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.RunClosed"/>,
    /// <see cref="ErrorCode.ReadOnly"/>, <see cref="ErrorCode.NotFound"/>.</exception>
    /// <exception cref="LimitException">The key is too long.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the outcome may be unknown.</exception>
    public void Remove(string key) => _run.Kv.Delete(KeyOf(key));

    /// <inheritdoc/>
    /// <inheritdoc cref="Remove" path="/exception"/>
    public async Task RemoveAsync(string key, CancellationToken token = default)
    {
        var stored = KeyOf(key);
        await _run.TransactAsync(
            transaction => ValueTask.FromResult(transaction.Kv.Delete(stored)), cancellationToken: token).ConfigureAwait(false);
    }

    // ---- entries ----------------------------------------------------------------------------------------------------------------

    private string KeyOf(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return _prefix + key;
    }

    private (Value Entry, TimeSpan? Life) EntryOf(byte[] data, DistributedCacheEntryOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var now = _clock.GetUtcNow();
        var until = options.AbsoluteExpirationRelativeToNow is { } after ? now + after : options.AbsoluteExpiration;
        if (until <= now)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), until, "The absolute expiration is over. Give a time that is still to come.");
        }

        List<(string, Value)> members = [(Data, Value.Bytes(data))];
        if (options.SlidingExpiration is { } sliding)
            members.Add((Sliding, sliding.Ticks / TimeSpan.TicksPerMicrosecond));
        if (until is { } end)
            members.Add((Until, (end - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond));
        return (Value.Object([.. members]), Life(options.SlidingExpiration, until, now));
    }

    // From now on: as long as it slides, and a little longer, but never behind its end.
    private static TimeSpan? Life(TimeSpan? sliding, DateTimeOffset? until, DateTimeOffset now)
    {
        var slides = sliding + sliding / SlackParts;
        if (until is not { } end)
            return slides;
        if (slides is not null && Mutant.Is("cache-slides-past-its-end"))
            return slides;
        var left = end - now < LifeMin ? LifeMin : end - now;
        return slides < left ? slides : left;
    }

    private Entry? Find(string key)
    {
        if (_run.Kv.GetVersioned(KeyOf(key)) is not { } found)
            return null;
        if (found.Value.Kind != ValueKind.Object || !found.Value.TryGetMember(Data, out var data) || data.Kind != ValueKind.Bytes
            || !TryRead(found.Value, Sliding, out var sliding) || !TryRead(found.Value, Until, out var until))
        {
            throw new InvalidDataException(
                "Something else than an entry of the cache is under this key. Give the cache a prefix, or a run.");
        }

        return new Entry(
            data.AsBytes(), found.Version, found.Expiry, sliding is { } step ? TimeSpan.FromMicroseconds(step) : null,
            until is { } end ? DateTimeOffset.UnixEpoch + TimeSpan.FromMicroseconds(end) : null);
    }

    private static bool TryRead(in Value entry, string name, out long? number)
    {
        number = null;
        if (!entry.TryGetMember(name, out var value))
            return true;
        if (value.Kind != ValueKind.Int64)
            return false;
        number = value.AsInt64();
        return true;
    }

    private void Touch(string key, Entry entry)
    {
        try
        {
            _run.Transact(transaction => Move(transaction, key, entry), Once);
        }
        catch (CairnException refused) when (MayStay(refused))
        {
        }
    }

    private async ValueTask TouchAsync(string key, Entry entry, CancellationToken cancellationToken)
    {
        try
        {
            await _run.TransactAsync(
                transaction => ValueTask.FromResult(Move(transaction, key, entry)), Once, cancellationToken).ConfigureAwait(false);
        }
        catch (CairnException refused) when (MayStay(refused))
        {
        }
    }

    // No write is taken, or one that was written meanwhile has moved it.
    private static bool MayStay(CairnException refused) =>
        refused.Code is ErrorCode.ReadOnly or ErrorCode.RunClosed or ErrorCode.DiskFull or ErrorCode.Busy or ErrorCode.Conflict;

    // What was written meanwhile has an end of its own.
    private bool Move(Transaction transaction, string key, Entry entry)
    {
        var stored = KeyOf(key);
        return transaction.Kv.GetVersioned(stored) is { } now && now.Version == entry.Version
            && transaction.Kv.Expire(stored, Life(entry.Sliding, entry.Until, _clock.GetUtcNow())!.Value);
    }

    private sealed record Entry(
        ReadOnlyMemory<byte> Data, Sequence Version, DateTimeOffset? Expiry, TimeSpan? Sliding, DateTimeOffset? Until)
    {
        /// <summary>It slides, and would end before its sliding time is over, though it need not.</summary>
        internal bool IsDue(DateTimeOffset now) => Sliding is { } sliding && Expiry is { } expiry && expiry < now + sliding
            && !(Until <= expiry) && !Mutant.Is("cache-end-stays");
    }
}
