namespace Cairn.Store;

/// <summary>
/// What a fork reads through to: its parent as it was at one sequence. Nothing there changes any more, because the parent keeps what its
/// points hold (<see cref="ForkPoints"/>); so a reader needs no pin of the parent, only the epoch, and what it misses in the fork's own
/// memory and image it may look up here at any later moment of the same stay.
/// </summary>
/// <param name="parent">The run that is read, perhaps itself a fork.</param>
/// <param name="at">Sequence of the commit that made the fork: nothing of the parent lies between its last commit before and this.</param>
/// <param name="find">Finds the parent, deleted or not: it may not be in memory yet.</param>
internal sealed class ForkBase(RunId parent, ulong at, Func<RunId, RunState> find)
{
    private RunState? _run;

    internal RunId Parent => parent;

    internal ulong At => at;

    internal RunState Run => Volatile.Read(ref _run) ?? Find();

    /// <summary>Levels that a read may go through from here on, this one included.</summary>
    internal int Depth
    {
        get
        {
            var depth = 1;
            for (var store = Run.Store; store.Base is { } below; store = below.Run.Store)
                depth++;
            return depth;
        }
    }

    private RunState Find()
    {
        var run = find(parent);
        Volatile.Write(ref _run, run);
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

        using var reader = Run.Store.Read();
        return reader.TryGet(key, Mutant.Is("fork-sees-later-writes") ? ulong.MaxValue : Math.Min(sequence, at), out version);
    }

    /// <summary>The count of a family that the fork goes on from. Inside an epoch or not.</summary>
    internal long Count(byte family, ulong sequence)
    {
        if (IsOfRunAlone(family))
            return 0;
        using var reader = Run.Store.Read();
        return reader.Count(family, Math.Min(sequence, at));
    }

    /// <summary>What the fork inherits in [from, to).</summary>
    internal RunCursor Scan(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse) =>
        new(Run.Store.Memory, from, to, Math.Min(sequence, at), reverse);

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
}
