using Cairn.Codec;
using Cairn.Feed;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>What a run does by itself when something is committed to it. A trigger fires exactly once for each commit that meets its
/// condition: its effect and its cursor are one commit, also over crashes. The maintainer does it, behind the commits; nobody waits for it.
/// Not in transactions. Thread-safe.</summary>
public sealed class Triggers
{
    private const byte ListingTriggers = StoreKeys.Trigger;

    private readonly Engine _engine;
    private readonly Scope _scope;

    internal Triggers(Engine engine, Scope scope)
    {
        _engine = engine;
        _scope = scope;
    }

    /// <summary>Makes a trigger: active, for what is committed from now on.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>; unique in the
    /// run.</param>
    /// <param name="definition">What it waits for and does.</param>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>; <see cref="ErrorCode.InvalidName"/>,
    /// <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidArgument"/>, <see cref="ErrorCode.WrongType"/>: something in the
    /// definition cannot be, or the database is in memory and has no log; <see cref="ErrorCode.NotFound"/>: there is no such target;
    /// <see cref="ErrorCode.ReadOnly"/>: the target is <c>$sys</c>; <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="LimitException">The run has <see cref="Limits.TriggersMax"/>, or something is too long.</exception>
    public Sequence Create(string name, TriggerDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        _engine.ChangeLog();
        _scope.ThrowIfNotReadable();
        _scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer, out var length);
        var encoded = TriggerForm.Of(definition, _engine.Limits).Encode();
        if (definition.Target == RunId.System)
            throw new CairnException(ErrorCode.ReadOnly, "The run '$sys' is the engine's own. Name another target.");
        if (definition.Target is { } target)
            _engine.Find(target);
        var batch = _scope.BeginSingle();
        TriggerOperations.AddDefine(batch, buffer[..length], encoded);
        TriggerOperations.AddCursor(batch, buffer[..length], Start(definition.When));
        return Changed(_scope.CommitSingle(batch).Sequence);
    }

    // Behind the newest commit that is visible, and whether the threshold is met there.
    private StoredTriggerCursor Start(TriggerCondition when)
    {
        using var pinned = new PinnedScope(_engine.Pins, _scope);
        var at = _engine.NewestChange(new Sequence(pinned.Scope.Sequence));
        var isMet = false;
        if (when.Kind == TriggerCondition.ThresholdKind)
        {
            var family = when.Primitive == "kv" ? StoreKeys.Kv : StoreKeys.State;
            using var reader = _scope.Run.Store.Read();
            isMet = pinned.Scope.TryGet(reader, [family, .. Utf8.GetBytes(when.Key!)], out var version)
                && TriggerWatch.IsMet(when, ValuesBefore.ValueBytes(family, version.Value));
        }

        return new StoredTriggerCursor(TriggerState.Active, isMet, 0, at.Sequence, at.IsProven ? at.Position : 0, at.Check, "");
    }

    /// <summary>Finds a trigger; null when there is none of that name.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public TriggerInfo? Get(string name)
    {
        using var pinned = new PinnedScope(_engine.Pins, _scope);
        var keys = Keys(name);
        using var reader = _scope.Run.Store.Read();
        return pinned.Scope.TryGet(reader, keys.Definition, out var definition)
            ? ToInfo(pinned.Scope.Sequence, reader, keys.Cursor, definition.Value.ToArray())
            : null;
    }

    /// <summary>The triggers of the run, in order of the names' UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<TriggerInfo> List(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Trigger, _engine.Limits);
        var rows = new Listing(
            _scope, _engine.Cursors, _engine.Pins, ListingTriggers, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
        try
        {
            var found = new List<TriggerInfo>();
            while (rows.MoveNext())
            {
                using var reader = _scope.Run.Store.Read();
                found.Add(ToInfo(rows.Sequence, reader, [StoreKeys.TriggerCursor, .. rows.Key[1..]], rows.Version.Value.ToArray()));
            }

            return new Page<TriggerInfo>(found, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Stops a trigger. Resumed, it goes on with what was committed meanwhile.</summary>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>; <see cref="ErrorCode.ConstraintViolation"/>: it is
    /// completed.</exception>
    public Sequence Suspend(string name) => Move(name, stored => stored with { State = TriggerState.Suspended, Error = "" });

    /// <summary>Goes on with a trigger at the commit where it was stopped: one that an error has stopped tries that commit again.</summary>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="HistoryTrimmedException">What it has not looked at is no longer kept: <see cref="ResumeFromNow"/>.</exception>
    /// <inheritdoc cref="Suspend"/>
    public Sequence Resume(string name) => Move(name, stored =>
    {
        _engine.CheckKept(_scope.Run, stored.Sequence, stored.Position);
        return stored with { State = TriggerState.Active, Error = "" };
    });

    /// <summary>Goes on with a trigger, without what was committed meanwhile.</summary>
    /// <returns>Sequence of the commit.</returns>
    /// <inheritdoc cref="Suspend"/>
    public Sequence ResumeFromNow(string name)
    {
        var found = Get(name) ?? throw TriggerOperations.NotFound();
        var start = Start(found.Definition.When);
        return Move(name, stored => start with { Fired = stored.Fired });
    }

    /// <summary>Ends a trigger and forgets it.</summary>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.RunClosed"/>; <see cref="ErrorCode.InvalidName"/>.</exception>
    public bool Delete(string name)
    {
        _scope.ThrowIfNotWritable();
        if (Get(name) is null)
            return false;
        try
        {
            var batch = _scope.BeginSingle();
            TriggerOperations.AddDrop(batch, Keys(name).Cursor.AsSpan(1));
            Changed(_scope.CommitSingle(batch).Sequence);
            return true;
        }
        catch (CairnException gone) when (gone.Code == ErrorCode.NotFound && !_scope.Run.IsGone)
        {
            return false;                                    // somebody else was quicker
        }
    }

    // The trigger itself may move meanwhile; then it is looked at again.
    private Sequence Move(string name, Func<StoredTriggerCursor, StoredTriggerCursor> change)
    {
        var key = Keys(name).Cursor;
        while (true)
        {
            _scope.ThrowIfNotReadable();
            _scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
            StoredTriggerCursor? stored;
            ulong version;
            using (var reader = _scope.Run.Store.Read())
            {
                if (!_scope.TryGet(reader, key, out var found) || !StoredTriggerCursor.TryRead(found.Value, out stored))
                    throw TriggerOperations.NotFound();
                version = found.Sequence;
            }

            if (stored!.State == TriggerState.Completed)
            {
                throw new CairnException(
                    ErrorCode.ConstraintViolation, "The trigger is completed and fires no more. Delete it, and create another one.");
            }

            var batch = _scope.BeginSingle();
            batch.IsAllowedWhenClosed = true;
            batch.IsUpkeep = true;
            TriggerOperations.AddCursor(batch, key.AsSpan(1), change(stored));
            if (_scope.TryCommitSingle(batch, new Expectation(_scope.Run, key, ExpectationKind.Newest, version), out var placed))
                return Changed(placed.Sequence);
        }
    }

    private Sequence Changed(ulong sequence)
    {
        _engine.TriggersChanged(_scope.Run.Id);
        return new Sequence(sequence);
    }

    private static (byte[] Definition, byte[] Cursor) Keys(string name)
    {
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(name, buffer, out var length);
        return ([StoreKeys.Trigger, .. buffer[..length]], [StoreKeys.TriggerCursor, .. buffer[..length]]);
    }

    private static TriggerInfo ToInfo(ulong sequence, scoped in StoreReader reader, byte[] key, byte[] definition)
    {
        Invariant.Check(
            reader.TryGet(key, sequence, out var version) && StoredTriggerCursor.TryRead(version.Value, out _), "a trigger has a cursor");
        StoredTriggerCursor.TryRead(version.Value, out var stored);
        return new TriggerInfo
        {
            Name = Utf8.GetTrustedString(key.AsSpan(1)),
            Definition = TriggerForm.Read(Value.Decode(definition)),
            State = stored!.State,
            Fired = (long)stored.Fired,
            Error = stored.Error,
            Behind = new Sequence(stored.Sequence),
            Moved = CommitClock.Time(version.Time),
        };
    }
}
