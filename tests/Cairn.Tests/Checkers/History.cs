using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;

// A history is what clients saw: for each call its beginning, and its end as one of three.
//
//   ok       the call returned; its result is a claim of the database
//   fail     the call certainly had no effect (refused as a conflict, busy, rolled back)
//   unknown  nobody can say: killed, cut off, outcome unknown, or the history ended first. It may take effect at any later
//            time, or never; every judge must keep both doors open
//
// H1  Real-time order is the order of indexes, not of clocks: `a` finished before `b` began iff a.End < b.Begin. Each index is
//     taken from one counter, before the call goes out and after its answer is in, so the order is never stronger than the truth.
// H2  A refusal that tells something about the state (a failed compare-and-set, "already exists") is an ok with that result.
// H3  A process has one call at a time; after an unknown end it goes on under a new number, or not at all.
//
//   index      0        1        2          3         4        5
//   process 0  put x=1  -------- ok
//   process 1           get x    ---------- "1"                          overlaps the put: 1 or absent are both right
//   process 2                                         put x=2  (cut)     unknown: End is long.MaxValue
//
// What it does not do: judge. Linearizability.cs and Serializability.cs do.
namespace Cairn.Tests.Checkers;

public enum Outcome
{
    Ok,
    Fail,
    Unknown,
}

/// <summary>One call of one process with both of its ends.</summary>
/// <param name="Process">Number of the client; calls of one process never overlap.</param>
/// <param name="Operation">Name that the model of the judge knows, such as <c>cas</c>.</param>
/// <param name="Key">What it is about; judges split the history by it.</param>
/// <param name="Arguments">As text, in the order the model says.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Result">The answer as text; empty when there is none.</param>
/// <param name="Sequence">Sequence of the commit it made, 0 when it made none or none is known.</param>
/// <param name="Begin">Index of the invocation (H1).</param>
/// <param name="End">Index of the answer; <see cref="long.MaxValue"/> when unknown.</param>
/// <param name="BeginTicks">Monotonic time of the invocation in <see cref="Stopwatch"/> ticks: for people, not for judges.</param>
/// <param name="EndTicks">Monotonic time of the answer, 0 when unknown.</param>
public sealed record RecordedCall(
    int Process, string Operation, string Key, string[] Arguments, Outcome Outcome, string Result, ulong Sequence,
    long Begin, long End, long BeginTicks = 0, long EndTicks = 0)
{
    public override string ToString() =>
        $"p{Process} {Operation} {Key}({string.Join(", ", Arguments)}) -> {Outcome switch { Outcome.Ok => Result.Length == 0 ? "ok" : Result, Outcome.Fail => $"fail {Result}", _ => "unknown" }}"
        + (Sequence == 0 ? "" : $" @{Sequence}") + $" [{Begin}, {(End == long.MaxValue ? "?" : End)}]";
}

/// <summary>Records calls from many threads. Recording takes two increments and one enqueue a call, no lock.</summary>
public sealed class History
{
    private readonly ConcurrentQueue<Pending> _calls = [];
    private long _index = -1;

    /// <summary>Notes that a call goes out. Give the answer to exactly one of <see cref="Pending.Ok"/>, <see cref="Pending.Fail"/>
    /// and <see cref="Pending.Unknown"/>; a call that is given to none ends as unknown.</summary>
    public Pending Invoke(int process, string operation, string key, params string[] arguments)
    {
        var pending = new Pending(this, process, operation, key, arguments);
        _calls.Enqueue(pending);
        pending.Begin(Next());
        return pending;
    }

    /// <summary>A place in real time, for histories of whole transactions, which carry their own records.</summary>
    public long Next() => Interlocked.Increment(ref _index);

    /// <summary>All calls so far by begin; what has not ended is unknown.</summary>
    public List<RecordedCall> Calls() => [.. _calls.Select(c => c.ToCall()).OrderBy(c => c.Begin)];

    public sealed class Pending
    {
        private readonly History _history;
        private readonly Lock _gate = new();
        private RecordedCall _call;

        internal Pending(History history, int process, string operation, string key, string[] arguments)
        {
            _history = history;
            _call = new RecordedCall(process, operation, key, arguments, Outcome.Unknown, "", 0, long.MaxValue, long.MaxValue);
        }

        public void Ok(string result = "", ulong sequence = 0) => Finish(Outcome.Ok, result, sequence);

        /// <summary>The call certainly had no effect.</summary>
        public void Fail(string reason = "") => Finish(Outcome.Fail, reason, 0);

        public void Unknown(string reason = "")
        {
            lock (_gate)
                _call = _call with { Result = reason };
        }

        internal void Begin(long index)
        {
            lock (_gate)
                _call = _call with { Begin = index, BeginTicks = Stopwatch.GetTimestamp() };
        }

        internal RecordedCall ToCall()
        {
            lock (_gate)
                return _call;
        }

        private void Finish(Outcome outcome, string result, ulong sequence)
        {
            var ticks = Stopwatch.GetTimestamp();
            var index = _history.Next();
            lock (_gate)
                _call = _call with { Outcome = outcome, Result = result, Sequence = sequence, End = index, EndTicks = ticks };
        }
    }
}

/// <summary>Histories as files: one JSON object a line, so that a torn last line costs one call and not the history.</summary>
public static class JsonLines
{
    public static void Write<T>(TextWriter target, IEnumerable<T> items)
    {
        foreach (var item in items)
        {
            target.Write(JsonSerializer.Serialize(item));
            target.Write('\n');
        }
    }

    /// <exception cref="JsonException">A line that is not the last one does not parse.</exception>
    public static List<T> Read<T>(TextReader source)
    {
        var items = new List<T>();
        var line = source.ReadLine();
        while (line is not null)
        {
            var next = source.ReadLine();
            try
            {
                items.Add(JsonSerializer.Deserialize<T>(line)!);
            }
            catch (JsonException) when (next is null)
            {
                break;                               // the writer was killed inside its last line
            }

            line = next;
        }

        return items;
    }
}
