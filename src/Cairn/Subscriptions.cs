using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Feed;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Named cursors of feeds, kept in a run: a consumer goes on where it was, also after the database was closed. An acknowledgement
/// in a transaction commits together with what the consumer did, so that each commit has its effect exactly once. Thread-safe, except
/// inside a transaction.</summary>
public sealed class Subscriptions
{
    private const byte ListingSubscriptions = StoreKeys.Subscription;

    private readonly Engine _engine;
    private readonly Scope _scope;

    internal Subscriptions(Engine engine, Scope scope)
    {
        _engine = engine;
        _scope = scope;
    }

    /// <summary>Begins a subscription.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>; unique in the
    /// run.</param>
    /// <param name="options">Of what, from where, which changes; null = of this run, what is new, all.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/> (inside a transaction, at its commit);
    /// <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.InvalidArgument"/>: a condition of the filter is none, or the database is
    /// in memory and has no log; <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="CursorException">The cursor is damaged or of another database.</exception>
    /// <exception cref="LimitException">The run has <see cref="Limits.SubscriptionsMax"/>, or the name or filter is too long.</exception>
    public Sequence Create(string name, SubscriptionOptions? options = null)
    {
        options ??= SubscriptionOptions.Default;
        var log = _engine.ChangeLog();
        _scope.ThrowIfNotWritable();
        ChangeMatch.Of(options.Filter, _engine.Limits);
        if (options.Filter?.Runs is not null && !options.OfDatabase)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "The condition Runs is for a subscription of the database; this one is of its run. Leave it out.");
        }

        var from = options.Cursor is { } text ? ChangeCursor.Parse(text, log.DatabaseId) : _engine.NewestChange();
        return Write(name, new StoredSubscription
        {
            Kind = SubscriptionOperations.Creation,
            IsOfDatabase = options.OfDatabase,
            Sequence = from.Sequence,
            Position = from.Position,
            Check = from.Check,
            Expected = SubscriptionOperations.AnySequence,
            Filter = FilterValue.Of(options.Filter).Encode(),
        });
    }

    /// <summary>Finds a subscription; null when there is none of that name.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public SubscriptionInfo? Get(string name)
    {
        _scope.ThrowIfNotReadable();
        using var use = _scope.Use();
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(name, buffer[1..], out var length);
        buffer[0] = StoreKeys.Subscription;
        using var reader = _scope.Run.Store.Read();
        return _scope.TryGet(reader, buffer[..(1 + length)], out var version) ? ToInfo(name, version) : null;
    }

    /// <summary>The subscriptions of the run, in order of the names' UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<SubscriptionInfo> List(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Subscription, _engine.Limits);
        var rows = new Listing(
            _scope, _engine.Cursors, _engine.Pins, ListingSubscriptions, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
        try
        {
            var found = new List<SubscriptionInfo>();
            while (rows.MoveNext())
                found.Add(ToInfo(Utf8.GetTrustedString(rows.Key[1..]), rows.Version));
            return new Page<SubscriptionInfo>(found, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Says that everything up to a commit was handled. Only goes forward. In a transaction, the acknowledgement and what else the
    /// transaction writes are one commit.</summary>
    /// <param name="name">Of the subscription.</param>
    /// <param name="cursor"><see cref="CommittedChanges.Cursor"/> of the last commit that was handled.</param>
    /// <param name="after">The cursor from which the consumer began: refused when the subscription is somewhere else by now. Needed only
    /// where several commits are acknowledged at once and several consumers may work at one subscription; null = no such condition.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>; <see cref="ErrorCode.ConstraintViolation"/>: it was acknowledged
    /// already, or is not at <paramref name="after"/> (inside a transaction, at the call or at its commit);
    /// <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="CursorException">The cursor is damaged or of another database.</exception>
    public Sequence Acknowledge(string name, string cursor, string? after = null)
    {
        ArgumentNullException.ThrowIfNull(cursor);
        var log = _engine.ChangeLog();
        return Move(
            name, ChangeCursor.Parse(cursor, log.DatabaseId), SubscriptionOperations.Acknowledgement,
            after is null ? SubscriptionOperations.AnySequence : ChangeCursor.Parse(after, log.DatabaseId).Sequence);
    }

    /// <summary>Moves a subscription to any cursor, also back, to read changes again.</summary>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <inheritdoc cref="Acknowledge"/>
    public Sequence Reset(string name, string cursor)
    {
        ArgumentNullException.ThrowIfNull(cursor);
        return Move(
            name, ChangeCursor.Parse(cursor, _engine.ChangeLog().DatabaseId), SubscriptionOperations.Resetting,
            SubscriptionOperations.AnySequence);
    }

    /// <summary>Ends a subscription.</summary>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.RunClosed"/>.</exception>
    public bool Delete(string name)
    {
        _scope.ThrowIfNotWritable();
        if (Get(name) is null)
            return false;
        try
        {
            Write(name, OperationCode.SubscriptionDrop, []);
            return true;
        }
        catch (CairnException gone) when (gone.Code == ErrorCode.NotFound && !_scope.Run.IsGone)
        {
            return false;                                    // somebody else was quicker
        }
    }

    /// <summary>The changes behind the cursor of a subscription that pass its filter, and then each commit as it comes: as
    /// <see cref="CairnDatabase.Changes"/>. It moves nothing: what was handled is acknowledged.</summary>
    /// <param name="name">Of the subscription.</param>
    /// <param name="options">Values, end; null = none, never.</param>
    /// <param name="cancellationToken">Ends it with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such subscription.</exception>
    /// <exception cref="InvalidOperationException">Inside a transaction, which has an end.</exception>
    /// <inheritdoc cref="CairnDatabase.Changes" path="/exception"/>
    [SuppressMessage("Style", "VSTHRD200", Justification = "A stream is not something to await; the name is the one of every client.")]
    public IAsyncEnumerable<CommittedChanges> Changes(
        string name, ChangeOptions? options = null, CancellationToken cancellationToken = default)
    {
        if (_scope.Transaction is not null)
            throw new InvalidOperationException("A feed does not belong into a transaction. Read outside, acknowledge inside.");
        var found = Get(name) ?? throw SubscriptionOperations.NotFound();
        return _engine.FollowChangesAsync(
            found.IsOfDatabase ? null : _scope.Run, found.Cursor, found.Filter, options, cancellationToken);
    }

    private Sequence Move(string name, in ChangeCursor cursor, byte kind, ulong expected)
    {
        _scope.ThrowIfNotWritable();
        byte[] value;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer[1..], out var length);
        buffer[0] = StoreKeys.Subscription;
        using (_scope.Use())
        using (var reader = _scope.Run.Store.Read())
        {
            _scope.ThrowIfNotReadable();
            if (!_scope.TryGet(reader, buffer[..(1 + length)], out var version)
                || !StoredSubscription.TryRead(version.Value, out var now))
                throw SubscriptionOperations.NotFound();
            var next = new StoredSubscription
            {
                Kind = kind,
                IsOfDatabase = now.IsOfDatabase,
                Sequence = cursor.Sequence,
                Position = cursor.Position,
                Check = cursor.Check,
                Expected = expected,
                Filter = now.Filter,
            };
            if (_scope.Transaction is not null && kind == SubscriptionOperations.Acknowledgement
                && SubscriptionOperations.CheckForward(now.Sequence, next) is { } refused)
                throw refused;
            value = next.ToBytes();
        }

        return Write(name, OperationCode.SubscriptionSet, value);
    }

    private Sequence Write(string name, in StoredSubscription stored) => Write(name, OperationCode.SubscriptionSet, stored.ToBytes());

    private Sequence Write(string name, OperationCode code, byte[] value)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer[1..], out var length);
        buffer[0] = StoreKeys.Subscription;
        var key = buffer[..(1 + length)].ToArray();
        var write = new PendingWrite
        {
            StoreKey = key,
            Code = code,
            OperationKey = key[1..],
            Value = value,
            IsDelete = code == OperationCode.SubscriptionDrop,
        };
        if (_scope.Transaction is not null)
        {
            SetPending(write);
            return Sequence.None;
        }

        var batch = _scope.BeginSingle();
        _engine.Path.Operations.Find(code)!.Encode(batch, write);
        return new Sequence(_scope.CommitSingle(batch).Sequence);
    }

    // What the transaction said first about where the subscription has to be is what is decided at the commit.
    private void SetPending(PendingWrite write)
    {
        using var use = _scope.Use();
        if (_scope.Writes!.Find(write.StoreKey) is not { } before)
        {
            _scope.Writes.Add(write);
            return;
        }

        if (before.Code != OperationCode.SubscriptionSet || write.Code != OperationCode.SubscriptionSet)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "A transaction that drops a subscription does nothing else with it. Use two transactions.");
        }

        before.Value = Joined(before.Value, write.Value);
    }

    private static byte[] Joined(byte[] before, byte[] value)
    {
        StoredSubscription.TryRead(before, out var first);
        StoredSubscription.TryRead(value, out var last);
        return new StoredSubscription
        {
            Kind = first.Kind,
            IsOfDatabase = first.IsOfDatabase,
            Sequence = last.Sequence,
            Position = last.Position,
            Check = last.Check,
            Expected = first.Expected,
            Filter = first.Filter,
        }.ToBytes();
    }

    private SubscriptionInfo ToInfo(string name, scoped in VersionView version)
    {
        Invariant.Check(StoredSubscription.TryRead(version.Value, out var stored), "a subscription reads back");
        var cursor = new ChangeCursor(_engine.ChangeLog().DatabaseId, stored.Sequence, stored.Position, stored.Check);
        return new SubscriptionInfo
        {
            Name = name,
            IsOfDatabase = stored.IsOfDatabase,
            Cursor = cursor.ToString(),
            Behind = new Sequence(stored.Sequence),
            Lag = _engine.Changes.Behind(stored.Sequence),
            Filter = FilterValue.Read(Value.Decode(stored.Filter)) ?? ChangeFilter.All,
            Moved = CommitClock.Time(version.Time),
        };
    }
}

/// <summary>How a subscription begins.</summary>
public sealed record SubscriptionOptions
{
    /// <summary>Of the run that holds it, what is new, all.</summary>
    public static SubscriptionOptions Default { get; } = new();

    /// <summary>Changes of the whole database, not of the run that holds the subscription alone. Default false.</summary>
    public bool OfDatabase { get; init; }

    /// <summary>Where it begins: <see cref="CommittedChanges.Cursor"/>, or what <see cref="CairnDatabase.ChangeCursor"/> gave; null =
    /// behind the newest commit.</summary>
    public string? Cursor { get; init; }

    /// <summary>Which changes; null = all.</summary>
    public ChangeFilter? Filter { get; init; }
}

/// <summary>A subscription as it is.</summary>
public sealed record SubscriptionInfo
{
    internal SubscriptionInfo()
    {
    }

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Changes of the whole database, not of the run that holds it alone.</summary>
    public required bool IsOfDatabase { get; init; }

    /// <summary>Behind the last commit that was acknowledged.</summary>
    public required string Cursor { get; init; }

    /// <summary>That commit.</summary>
    public required Sequence Behind { get; init; }

    /// <summary>Commits of the database since; not all of them may concern it.</summary>
    public required long Lag { get; init; }

    /// <summary>Which changes.</summary>
    public required ChangeFilter Filter { get; init; }

    /// <summary>Commit time of its creation or last move.</summary>
    public required DateTimeOffset Moved { get; init; }
}
