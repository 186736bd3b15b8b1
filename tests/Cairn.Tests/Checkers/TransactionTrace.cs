using System.Text.Json.Serialization;

namespace Cairn.Tests.Checkers;

public enum TransactionEnd
{
    Committed,
    Aborted,
    Unknown,
}

public enum IsolationLevel
{
    Serializable,
    Snapshot,
}

/// <summary>One transaction as its client saw it; a line of a history file (<see cref="JsonLines"/>).</summary>
/// <param name="Id">Unique in the history.</param>
/// <param name="Process">Number of the client.</param>
/// <param name="Begin">Index before begin was called (H1).</param>
/// <param name="End">Index after the commit had answered; <see cref="long.MaxValue"/> when it never did.</param>
/// <param name="Status">Unknown counts as committed as soon as somebody saw one of its writes.</param>
/// <param name="Sequence">Sequence of its commit, 0 for a read-only one or when nobody was told.</param>
/// <param name="Accesses">In the order of the program.</param>
/// <param name="ReadAt">Sequence of its snapshot when known; only used to tell which absence an absent read saw.</param>
public sealed record TransactionTrace(
    int Id, int Process, long Begin, long End, TransactionEnd Status, ulong Sequence, IReadOnlyList<Access> Accesses, ulong? ReadAt = null)
{
    public override string ToString() =>
        $"T{Id} {Status}{(Sequence == 0 ? "" : $" @{Sequence}")} [{Begin}, {(End == long.MaxValue ? "?" : End)}]: {string.Join("; ", Accesses)}";
}

/// <summary>What a transaction read or wrote. Values are numbers that are written at most once per key in a history: that is what
/// lets a judge say whose write a read saw.</summary>
[JsonDerivedType(typeof(ListRead), "list-read")]
[JsonDerivedType(typeof(ListAppend), "list-append")]
[JsonDerivedType(typeof(RegisterRead), "read")]
[JsonDerivedType(typeof(RegisterWrite), "write")]
[JsonDerivedType(typeof(RangeRead), "range")]
public abstract record Access;

/// <summary>The whole list under a key, oldest first; absent = empty.</summary>
public sealed record ListRead(string Key, IReadOnlyList<long> Values) : Access
{
    public override string ToString() => $"read {Key} [{string.Join(' ', Values)}]";
}

public sealed record ListAppend(string Key, long Value) : Access
{
    public override string ToString() => $"append {Key} {Value}";
}

/// <param name="Key">Which key.</param>
/// <param name="Value">Null when absent.</param>
/// <param name="Version">Sequence of the commit that wrote it, 0 when not asked for.</param>
public sealed record RegisterRead(string Key, long? Value, ulong Version = 0) : Access
{
    public override string ToString() => $"read {Key} {Value?.ToString() ?? "absent"}";
}

/// <param name="Key">Which key.</param>
/// <param name="Value">Null = delete.</param>
public sealed record RegisterWrite(string Key, long? Value) : Access
{
    public override string ToString() => Value is null ? $"delete {Key}" : $"write {Key} {Value}";
}

/// <summary>All registers with From ≤ key &lt; To by ordinal order, as one predicate read: a key of the range that somebody writes
/// and that is not among the pairs was read as absent.</summary>
public sealed record RangeRead(string From, string To, IReadOnlyList<RegisterRead> Pairs) : Access
{
    public bool Covers(string key) => string.CompareOrdinal(From, key) <= 0 && string.CompareOrdinal(key, To) < 0;

    public override string ToString() => $"range [{From}, {To}) {{{string.Join(", ", Pairs.Select(p => $"{p.Key} {p.Value}"))}}}";
}
