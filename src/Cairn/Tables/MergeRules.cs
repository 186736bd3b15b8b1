namespace Cairn.Tables;

/// <summary>Which versions of a run's keys a merge keeps beside the newest one and what pins hold.</summary>
/// <param name="Versions">So many of the newest versions of a key; 1 = the newest only.</param>
/// <param name="Since">Every version that was the newest of its key at this sequence or later; <see cref="ulong.MaxValue"/> = no
/// such window.</param>
/// <param name="DeletedAt">The sequence of the run's last deletion, or of its birth when the id was used again: what is older ended
/// there. 0 = never deleted.</param>
internal readonly record struct RunRule(int Versions, ulong Since, ulong DeletedAt)
{
    /// <summary>Sequences at which forks read the run, ascending: as good as pinned, for this run.</summary>
    internal ulong[]? Held { get; init; }

    /// <summary>The run is a fork: a tombstone hides what is elsewhere, so it is never nothing.</summary>
    internal bool KeepsTombstones { get; init; }

    /// <summary>True when a fork reads in [from, to).</summary>
    internal bool IsHeld(ulong from, ulong to)
    {
        if (Held is not { Length: > 0 } held || Mutant.Is("merge-ignores-forks"))
            return false;
        var at = Array.BinarySearch(held, from);
        if (at < 0)
            at = ~at;
        return at < held.Length && held[at] < to;
    }

    internal static RunRule NewestOnly => new(1, ulong.MaxValue, 0);
}

/// <summary>
/// What a merge keeps.
/// <code>
/// M1  The newest version of a key, unless the run was deleted after it; then the deletion is what superseded it.
/// M2  A superseded version if a sequence is pinned, or read by a fork of the run, from its own up to, not including, the one that
///     superseded it: the interval rule of the store's sweep.
/// M3  What the rule of its run asks for.
/// M4  A plain tombstone goes when nothing older of its key is kept here, nothing older can lie below, and its run does not ask for it.
///     One with remains is never plain. In a fork it stays: it may hide what the base has.
/// </code>
/// The result reads like what was merged at every pinned sequence, and from the newest pin or the tables' end on.
/// </summary>
/// <param name="Pins">Pinned sequences, ascending.</param>
/// <param name="RuleOf">The rule of a run; asked once per run and merge.</param>
/// <param name="IsBottom">True: no older table of the image lies below those that are merged.</param>
internal sealed record MergeRules(ulong[] Pins, Func<RunId, RunRule> RuleOf, bool IsBottom)
{
    /// <summary>True when a pin lies in [from, to).</summary>
    internal bool IsPinned(ulong from, ulong to)
    {
        if (Mutant.Is("merge-ignores-pins"))
            return false;
        var at = Array.BinarySearch(Pins, from);
        if (at < 0)
            at = ~at;
        return at < Pins.Length && Pins[at] < to;
    }
}
