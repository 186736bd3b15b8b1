using System.Globalization;

// The sequential objects that L1 compares with. Arguments and results are text; "absent" is the answer for no value, and a
// result that the recorder did not note (empty) is not judged. Refusals are results (H2), named like the error code.
//
//   cell   init v | set v                -> counter, init: AlreadyExists
//          cas expected v                -> counter, VersionMismatch
//          get                           -> v@counter, absent
//          add delta                     -> v@counter, NotFound          (a transition)
//          delete                        -> true, false
//   kv     put v                         -> nothing; the call's sequence becomes the version
//          get                           -> v, v@version, absent
//          cas expectedVersion v         -> nothing, VersionMismatch
//          casValue expected v           -> true, false                  (expected may be absent)
//          tryAdd v                      -> true, false
//          increment delta               -> number, WrongType, Overflow
//          delete                        -> true, false
//   log    append v                      -> number
//          read from to                  -> v,v,v  over [from, to)
//          count                         -> number
//
// A version that nobody was told (the writer's end is unknown) matches every expectation: lenient, never a false alarm.
namespace Cairn.Tests.Checkers;

/// <param name="Value">Null when absent.</param>
/// <param name="Counter">Of the last write, kept after a delete (ST-3).</param>
public readonly record struct CellState(string? Value, long Counter);

/// <summary>A state cell (ST-1..9).</summary>
/// <param name="deleteCounts">True when a delete is a write that moves the counter.</param>
public sealed class StateCellModel(bool deleteCounts = true) : SequentialModel<CellState>
{
    public override CellState Initial => new(null, 0);

    public override ModelStep<CellState> Compile(RecordedCall recorded)
    {
        var isOpen = recorded.Outcome == Outcome.Unknown;
        var result = recorded.Result;
        bool Says(string answer) => isOpen || result.Length == 0 || result == answer;
        bool SaysRefused(string code) => isOpen || result == code || result.StartsWith(code + " ", StringComparison.Ordinal);
        bool SaysCounter(CellState s) => Says(Text(s.Counter));
        switch (recorded.Operation)
        {
            case "init":
            {
                var value = recorded.Arguments[0];
                return (CellState s, out CellState next) =>
                {
                    next = s.Value is null ? new CellState(value, s.Counter + 1) : s;
                    return s.Value is null ? SaysCounter(next) : SaysRefused("AlreadyExists");
                };
            }

            case "set":
            {
                var value = recorded.Arguments[0];
                return (CellState s, out CellState next) =>
                {
                    next = new CellState(value, s.Counter + 1);
                    return SaysCounter(next);
                };
            }

            case "cas":
            {
                var expected = Number(recorded.Arguments[0]);
                var value = recorded.Arguments[1];
                return (CellState s, out CellState next) =>
                {
                    var live = s.Value is null ? 0 : s.Counter;
                    next = live == expected ? new CellState(value, s.Counter + 1) : s;
                    return live == expected ? SaysCounter(next) : result == $"VersionMismatch {live}" || isOpen || result == "VersionMismatch";
                };
            }

            case "add":
            {
                var delta = Number(recorded.Arguments[0]);
                return (CellState s, out CellState next) =>
                {
                    next = s.Value is null ? s : new CellState(Text(Number(s.Value) + delta), s.Counter + 1);
                    return s.Value is null ? SaysRefused("NotFound") : Says($"{next.Value}@{next.Counter}");
                };
            }

            case "get":
                return (CellState s, out CellState next) =>
                {
                    next = s;
                    return Says(s.Value is null ? "absent" : $"{s.Value}@{s.Counter}");
                };
            case "delete":
                return (CellState s, out CellState next) =>
                {
                    next = s.Value is null ? s : new CellState(null, deleteCounts ? s.Counter + 1 : s.Counter);
                    return Says(s.Value is null ? "false" : "true");
                };
            default:
                throw new ArgumentException($"a state cell has no operation '{recorded.Operation}'");
        }
    }
}

/// <param name="Value">Null when absent.</param>
/// <param name="Version">0 when absent, -1 when nobody was told.</param>
/// <param name="Last">Largest known sequence that wrote the key: later writes must have larger ones.</param>
public readonly record struct KvState(string? Value, long Version, long Last);

/// <summary>A key of Kv (KV-1..9, versions by VER-1).</summary>
public sealed class KvModel : SequentialModel<KvState>
{
    public override KvState Initial => new(null, 0, 0);

    public override ModelStep<KvState> Compile(RecordedCall recorded)
    {
        var isOpen = recorded.Outcome == Outcome.Unknown;
        var result = recorded.Result;
        var sequence = (long)recorded.Sequence;
        bool Says(string answer) => isOpen || result.Length == 0 || result == answer;
        bool Write(KvState s, string? value, out KvState next)
        {
            next = new KvState(value, value is null ? 0 : sequence == 0 ? -1 : sequence, Math.Max(s.Last, sequence));
            return sequence == 0 || sequence > s.Last;
        }

        switch (recorded.Operation)
        {
            case "put":
            {
                var value = recorded.Arguments[0];
                return (KvState s, out KvState next) => Write(s, value, out next);
            }

            case "get":
            {
                var at = result.LastIndexOf('@');
                var value = at < 0 ? result : result[..at];
                var version = at < 0 ? -1 : Number(result[(at + 1)..]);
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    if (isOpen)
                        return true;
                    if (s.Value is null)
                        return result == "absent";
                    if (s.Value != value || (version >= 0 && s.Version >= 0 && version != s.Version))
                        return false;
                    if (version >= 0 && s.Version < 0)
                        next = new KvState(value, version, Math.Max(s.Last, version));     // now somebody was told
                    return version < 0 || s.Version >= 0 || version > s.Last;
                };
            }

            case "delete":
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    return s.Value is null ? Says("false") : Says("true") && Write(s, null, out next);
                };
            case "cas":
            {
                var expected = Number(recorded.Arguments[0]);
                var value = recorded.Arguments[1];
                var isRefused = result.StartsWith("VersionMismatch", StringComparison.Ordinal);
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    var mayMatch = s.Version == expected || (s.Version < 0 && expected > s.Last);
                    var mayDiffer = s.Version != expected;
                    if (isOpen)
                        return !mayMatch || Write(s, value, out next);
                    return isRefused ? mayDiffer : mayMatch && Write(s, value, out next);
                };
            }

            case "casValue":
            {
                var expected = recorded.Arguments[0] == "absent" ? null : recorded.Arguments[0];
                var value = recorded.Arguments[1];
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    return s.Value == expected ? Says("true") && Write(s, value, out next) : Says("false");
                };
            }

            case "tryAdd":
            {
                var value = recorded.Arguments[0];
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    return s.Value is null ? Says("true") && Write(s, value, out next) : Says("false");
                };
            }

            case "increment":
            {
                var delta = Number(recorded.Arguments[0]);
                return (KvState s, out KvState next) =>
                {
                    next = s;
                    long before = 0;
                    if (s.Value is not null && !long.TryParse(s.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out before))
                        return isOpen || result == "WrongType";
                    var after = unchecked(before + delta);
                    if (((before ^ after) & (delta ^ after)) < 0)
                        return isOpen || result == "Overflow";
                    return Says(Text(after)) && Write(s, Text(after), out next);
                };
            }

            default:
                throw new ArgumentException($"Kv has no operation '{recorded.Operation}'");
        }
    }
}

/// <summary>The end of an append-only log: a node per value, each knowing the one before it. Equal when the values are.</summary>
public sealed class LogState(LogState? before, string value) : IEquatable<LogState>
{
    public static readonly LogState Empty = new(null, "");

    public int Count { get; } = before is null ? 0 : before.Count + 1;

    private readonly int _hash = before is null ? 0 : HashCode.Combine(before._hash, value);
    private readonly LogState? _before = before;
    private readonly string _value = value;

    /// <summary>Values of [from, to), joined by commas; a range past the end is cut.</summary>
    public string Read(long from, long to)
    {
        var last = (int)Math.Min(to, Count);
        if (from >= last)
            return "";
        var values = new string[last - (int)from];
        for (var node = this; node.Count > from; node = node._before!)
        {
            if (node.Count <= last)
                values[node.Count - 1 - (int)from] = node._value;
        }

        return string.Join(',', values);
    }

    public bool Equals(LogState? other)
    {
        if (other is null || Count != other.Count || _hash != other._hash)
            return false;
        LogState left = this, right = other;
        while (!ReferenceEquals(left, right))
        {
            if (left._value != right._value)
                return false;
            (left, right) = (left._before ?? Empty, right._before ?? Empty);
        }

        return true;
    }

    public override bool Equals(object? obj) => Equals(obj as LogState);

    public override int GetHashCode() => _hash;
}

/// <summary>An append-only log with dense numbers from 0 (EV-2, EV-5).</summary>
public sealed class LogModel : SequentialModel<LogState>
{
    public override LogState Initial => LogState.Empty;

    public override ModelStep<LogState> Compile(RecordedCall recorded)
    {
        var isOpen = recorded.Outcome == Outcome.Unknown;
        var result = recorded.Result;
        switch (recorded.Operation)
        {
            case "append":
            {
                var value = recorded.Arguments[0];
                var number = isOpen || result.Length == 0 ? -1 : Number(result);
                return (LogState s, out LogState next) =>
                {
                    next = s;
                    if (number >= 0 && number != s.Count)
                        return false;
                    next = new LogState(s, value);
                    return true;
                };
            }

            case "read":
            {
                var from = Number(recorded.Arguments[0]);
                var to = Number(recorded.Arguments[1]);
                return (LogState s, out LogState next) =>
                {
                    next = s;
                    return isOpen || s.Read(from, to) == result;
                };
            }

            case "count":
                return (LogState s, out LogState next) =>
                {
                    next = s;
                    return isOpen || Text(s.Count) == result;
                };
            default:
                throw new ArgumentException($"a log has no operation '{recorded.Operation}'");
        }
    }
}
