namespace Cairn.Store;

/// <summary>
/// What a fork reads through to: its parent as it was at one sequence. Nothing there changes any more, so a reader needs no pin of the
/// parent, only the epoch, and what it misses in the fork's own memory and image it may look up here at any later moment of the same stay.
/// Where it is, there are two forms:
/// <code>
///   fork at the parent's newest sequence     in the parent's own store, which keeps what its points hold (ForkPoints)
///   fork at a past point                     in a store of its own, made of the parent's records up to the point when it is first needed,
///                                            once in an opening; retention keeps those records for as long as the fork is there </code>
/// </summary>
internal sealed class ForkBase
{
    private readonly Func<RunId, RunState> _find;
    private readonly PastBase? _past;
    private RunState? _owner;
    private bool _isReady;

    /// <param name="parent">The run that is read, perhaps itself a fork.</param>
    /// <param name="at">Sequence of the commit that made the fork: nothing of the parent lies between its last commit before and
    /// this.</param>
    /// <param name="find">Finds the parent, deleted or not: it may not be in memory yet.</param>
    internal ForkBase(RunId parent, ulong at, Func<RunId, RunState> find)
    {
        Parent = parent;
        At = at;
        _find = find;
    }

    /// <summary>Of a fork at a past point.</summary>
    /// <param name="at">The point.</param>
    /// <param name="position">Of the parent's newest record when the fork was made: from there its records are walked back.</param>
    internal ForkBase(RunId parent, ulong at, ulong position, Func<RunId, RunState> find, PastBuilder build)
        : this(parent, at, find) => _past = new PastBase(position, build);

    internal RunId Parent { get; }

    internal ulong At { get; }

    /// <summary>The parent itself, as it is now.</summary>
    internal RunState Owner => Volatile.Read(ref _owner) ?? Find();

    /// <summary>What is read, at <see cref="At"/>. May have to be made first.</summary>
    /// <exception cref="CorruptionException">Of a past point: a record that it takes is damaged.</exception>
    internal RunState Run => _past is null ? Owner : _past.Run(this);

    /// <summary>Reading makes nothing: neither here nor further down the line.</summary>
    internal bool IsReady
    {
        get
        {
            if (Volatile.Read(ref _isReady))
                return true;
            if (_past is { IsMade: false } || Run.Store.Base is { IsReady: false })
                return false;
            Volatile.Write(ref _isReady, true);
            return true;
        }
    }

    /// <summary>Makes what is not ready, all down the line. Without locks: it reads the log.</summary>
    /// <exception cref="CorruptionException">A record that it takes is damaged.</exception>
    internal void Prepare()
    {
        for (var below = this; below is not null && !below.IsReady; below = below.Run.Store.Base)
        {
        }
    }

    /// <summary>Native memory of what was made for this fork alone.</summary>
    internal long MemoryBytes => _past?.MemoryBytes ?? 0;

    /// <summary>Levels that a read may go through from here on, this one included.</summary>
    internal int Depth
    {
        get
        {
            var depth = 1;
            for (var store = Owner.Store; store.Base is { } below; store = below.Owner.Store)
                depth++;
            return depth;
        }
    }

    private RunState Find()
    {
        var run = _find(Parent);
        Volatile.Write(ref _owner, run);
        return run;
    }

    /// <summary>The newest version at or below a sequence that the fork inherits, tombstones included. Inside an epoch.</summary>
    internal bool TryGet(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        if (!IsInherited(key))
        {
            version = default;
            return false;
        }

        // The floor of the events is never deleted. So that how many a run has can be told without making its past.
        if (_past is { IsMade: false } && key is [StoreKeys.Event])
        {
            using var now = Owner.Store.Read();
            if (!now.TryGetNewest(key, out version))
                return false;
            if (version.Sequence <= Math.Min(sequence, At))
                return true;
        }

        using var reader = Run.Store.Read();
        return reader.TryGet(key, Mutant.Is("fork-sees-later-writes") ? ulong.MaxValue : Math.Min(sequence, At), out version);
    }

    /// <summary>The count of a family that the fork goes on from. Inside an epoch or not.</summary>
    internal long Count(byte family, ulong sequence)
    {
        if (IsOfRunAlone(family))
            return 0;
        using var reader = Run.Store.Read();
        return reader.Count(family, Math.Min(sequence, At));
    }

    /// <summary>What the fork inherits in [from, to).</summary>
    internal RunCursor Scan(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse) =>
        new(Run.Store.Memory, from, to, Math.Min(sequence, At), reverse);

    /// <summary>Gives back what was made for this fork. Nobody reads any more.</summary>
    internal void Dispose() => _past?.Dispose();

    /// <summary>What belongs to the parent alone: its idempotency keys, its subscriptions and its triggers.</summary>
    internal static bool IsOfRunAlone(byte family) =>
        family is StoreKeys.Idempotency or StoreKeys.Subscription or StoreKeys.Trigger or StoreKeys.TriggerCursor
        && !Mutant.Is("fork-inherits-triggers");

    /// <summary>False for what is not read as it is: counts, which a fork counts on from, and what belongs to the parent alone, with its
    /// places in the order of expiry.</summary>
    internal static bool IsInherited(ReadOnlySpan<byte> key) => key[0] switch
    {
        StoreKeys.CountFamily => false,
        var family when IsOfRunAlone(family) => false,
        StoreKeys.ExpiryFamily => key.Length <= StoreKeys.ExpiryPrefixBytes || key[StoreKeys.ExpiryPrefixBytes] != StoreKeys.Idempotency,
        _ => true,
    };

    /// <summary>The run of a past point, made when it is first needed. Thread-safe: who comes meanwhile waits.</summary>
    private sealed class PastBase(ulong position, PastBuilder build)
    {
        private readonly Lock _gate = new();
        private IPastRun? _made;
        private bool _isDisposed;

        internal bool IsMade => Volatile.Read(ref _made) is not null;

        internal long MemoryBytes => Volatile.Read(ref _made)?.Run.Store.MemoryBytes ?? 0;

        internal RunState Run(ForkBase of) => (Volatile.Read(ref _made) ?? Make(of)).Run;

        private IPastRun Make(ForkBase of)
        {
            lock (_gate)
            {
                if (_made is { } made)
                    return made;
                ObjectDisposedException.ThrowIf(_isDisposed, of);
                made = build(new PastPoint(of.Owner, position, of.At));
                Volatile.Write(ref _made, made);
                return made;
            }
        }

        internal void Dispose()
        {
            lock (_gate)
            {
                if (!_isDisposed)
                    _made?.Dispose();
                _isDisposed = true;
            }
        }
    }
}

/// <summary>A past point of a run, and where to begin to look for it.</summary>
/// <param name="Run">As it is now.</param>
/// <param name="Position">Of a record of the run at or behind the point; all ones = it has none.</param>
/// <param name="Sequence">The point.</param>
internal readonly record struct PastPoint(RunState Run, ulong Position, ulong Sequence);

/// <summary>A run as it was, in a store that nobody writes to.</summary>
internal interface IPastRun : IDisposable
{
    RunState Run { get; }
}

/// <summary>Makes a run as it was from its records.</summary>
/// <exception cref="CorruptionException">One of them is damaged, or missing.</exception>
internal delegate IPastRun PastBuilder(PastPoint point);
