using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A page's range of store keys, from the options of a listing.</summary>
internal readonly record struct KeyRange(byte[] From, byte[] To, int Limit)
{
    /// <param name="family">First byte of the store keys.</param>
    internal static KeyRange Of(ScanOptions options, byte family, Limits limits)
    {
        if (options.Prefix is not null && (options.From is not null || options.To is not null))
            throw new CairnException(ErrorCode.InvalidArgument, "A listing takes a prefix or a range, not both.");
        var limit = PageLimit(options.Limit, limits);
        if (options.Prefix is { } prefix)
        {
            byte[] start = [family, .. Part(prefix)];
            Span<byte> end = stackalloc byte[start.Length];
            var length = KeyCodec.Successor(start, end);
            return new KeyRange(start, end[..length].ToArray(), limit);
        }

        return new KeyRange(
            [family, .. Part(options.From)], options.To is null ? [(byte)(family + 1)] : [family, .. Part(options.To)], limit);
    }

    internal static KeyRange OfFamily(byte family, int limit, Limits limits) => new(
        [family], [(byte)(family + 1)], PageLimit(limit, limits));

    internal static int PageLimit(int limit, Limits limits)
    {
        if (limit < 0)
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"A page limit of {limit} makes no sense. Ask for 1 to {limits.PageSizeMax}, or 0 for the default.");
        if (limit > limits.PageSizeMax)
            throw new LimitException(nameof(limits.PageSizeMax), limits.PageSizeMax, limit, "items");
        return limit == 0 ? limits.PageSize : limit;
    }

    private static byte[] Part(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return [];
        if (Utf8.GetByteCount(text) is var bytes && bytes > Limits.KeyBytesMax)
            throw new LimitException(nameof(Limits.KeyBytesMax), Limits.KeyBytesMax, bytes, "bytes");
        return Utf8.GetBytes(text);
    }
}

/// <summary>A scope that stays at one sequence for several reads: the given one, or a pinned snapshot of a live run.</summary>
internal readonly ref struct PinnedScope
{
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly bool _owns;

    internal PinnedScope(SnapshotRegistry pins, Scope scope)
    {
        scope.ThrowIfNotReadable();
        _pins = pins;
        Scope = scope;
        if (!scope.IsLive)
            return;
        _pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
        _owns = true;
        Scope = Scope.Snapshot(scope.Path, scope.Run, _pin.Sequence, scope.Path.ReadTime());
    }

    internal Scope Scope { get; }

    public void Dispose()
    {
        if (_owns)
            _pins.Release(_pin);
    }
}

/// <summary>Exact counts of a family of keys, at a cost that does not grow with it (TX-40): a versioned counter, minus what has
/// expired and is not swept yet, plus what the transaction has pending.</summary>
internal static class Counting
{
    internal static long Count(SnapshotRegistry pins, Scope scope, byte family)
    {
        using var pinned = new PinnedScope(pins, scope);
        var at = pinned.Scope;
        using var reader = at.Run.Store.Read();
        var count = reader.Count(family, at.Sequence) - CountExpired(reader, at.Sequence, at.Time, family);
        at.NoteRange([family], [(byte)(family + 1)]);
        if (at.Writes is not { Count: > 0 } writes)
            return count;
        using var use = at.Use();
        foreach (var write in writes.InOrder)
        {
            if (write.StoreKey.Length == 0 || write.StoreKey[0] != family)
                continue;
            var was = reader.TryGet(write.StoreKey, at.Sequence, out var version) && version.IsLiveAt(at.Time);
            count += (write.IsDelete ? 0 : 1) - (was ? 1 : 0);
        }

        return count;
    }

    private static long CountExpired(scoped in StoreReader reader, ulong sequence, long time, byte family)
    {
        Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> to = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        var expired = 0L;
        var scan = reader.Scan(StoreKeys.Expiry(from, 0, default), StoreKeys.Expiry(to, time + 1, default), sequence);
        while (scan.MoveNext())
        {
            if (scan.Key.Length > StoreKeys.ExpiryPrefixBytes && scan.Key[StoreKeys.ExpiryPrefixBytes] == family)
                expired++;
        }

        return expired;
    }
}

/// <summary>The rules of <c>...Many</c> calls (CON-12).</summary>
internal static class Many
{
    /// <summary>All keys are keys, and then each is there once: before anything of the call is done.</summary>
    internal static void CheckKeys(IReadOnlyCollection<string> keys, Limits limits, bool isWrite)
    {
        CheckCount(keys.Count, limits);
        CheckKeys(keys, keys.Count, isWrite);
    }

    internal static void CheckKeys(IEnumerable<string> keys, int count, bool isWrite)
    {
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        var seen = new HashSet<string>(count, StringComparer.Ordinal);
        var isTwice = false;
        foreach (var key in keys)
        {
            if (isWrite)
                KeyRules.EncodeKey(key, buffer, out _);
            else
                KeyRules.EncodeKeyForRead(key, buffer, out _);
            isTwice |= !seen.Add(key);
        }

        if (isTwice)
            throw new CairnException(ErrorCode.InvalidArgument, "A key occurs twice in one call. Name each key once.");
    }

    /// <summary>What all items come to, before they are copied into one record; the commit measures the record itself once more.</summary>
    internal static void CheckBytes(long bytes, Limits limits)
    {
        if (bytes > limits.TransactionBytesMax)
            throw new LimitException(nameof(limits.TransactionBytesMax), limits.TransactionBytesMax, bytes, "bytes");
    }

    internal static void CheckCount(int count, Limits limits)
    {
        if (count > limits.ManyItemsMax)
            throw new LimitException(nameof(limits.ManyItemsMax), limits.ManyItemsMax, count, "items");
    }
}

/// <summary>From stored versions to what users get, and times to live.</summary>
internal static class Versions
{
    internal static Versioned<T> ToVersioned<T>(in VersionView version, T value) => new(
        value, new Sequence(version.Sequence), new Sequence(version.Created), CommitClock.Time(version.Time), ToExpiry(version.Expiry));

    internal static DateTimeOffset? ToExpiry(long expiry) => expiry == 0 ? null : CommitClock.Time(expiry);

    /// <summary>Microseconds of a time to live after a check of its limits; 0 for none.</summary>
    internal static long TimeToLive(TimeSpan? ttl)
    {
        if (ttl is not { } span)
            return 0;
        if (span < Limits.TimeToLiveMin)
        {
            throw new LimitException(
                nameof(Limits.TimeToLiveMin), (long)Limits.TimeToLiveMin.TotalMilliseconds, (long)Math.Floor(span.TotalMilliseconds), "ms");
        }

        if (span > Limits.TimeToLiveMax)
        {
            throw new LimitException(
                nameof(Limits.TimeToLiveMax), (long)Limits.TimeToLiveMax.TotalMilliseconds, (long)Math.Ceiling(span.TotalMilliseconds),
                "ms");
        }

        return span.Ticks / TimeSpan.TicksPerMicrosecond;
    }
}
