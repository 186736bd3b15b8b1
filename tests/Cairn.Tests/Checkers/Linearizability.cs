using System.Globalization;
using System.Text;

// Is there one order of the calls, in agreement with real time, in which a simple sequential object gives the answers that were
// seen? Source: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the memo of Lowe, "Testing for
// Linearizability" (2017), and the split by key of Horn and Kroening, "Faster Linearizability Checking via P-Compositionality" (2015).
//
//   time     ->
//   put 1    |-------|
//   get            |------------|  1
//   put 2               |--------|          first return = end of put 1: only what began before it may come first,
//   get                     |---|  2        so the search tries put 1 and get, never put 2
//
// L1  A call may be placed next iff it began before the first return among the calls that are not placed yet.
// L2  Done when every call with an answer is placed. Unknown calls may be placed or left out; they are tried last.
// L3  A pair (set of placed calls, state) is entered once. The set is a 128-bit Zobrist sum, so the memo costs 16 bytes and a
//     state; two sets share a sum with a chance below 2^-80 in the longest search that is allowed.
// L4  A failed call had no effect and is left out.
// L5  When the step bound is reached the verdict is "undecided", which is neither a pass nor a failure: the caller counts it.
//
// What it does not do: transactions over several keys (Serializability.cs).
namespace Cairn.Tests.Checkers;

public enum Verdict
{
    Ok,
    Violation,
    Undecided,
}

/// <summary>One step of the sequential object: false when the call cannot have had its answer in <paramref name="state"/>.
/// For an unknown call: what it would do, whatever its answer would have been.</summary>
public delegate bool ModelStep<TState>(TState state, out TState next);

/// <summary>A sequential object. States are compared by value, so they must be small and immutable.</summary>
public abstract class SequentialModel<TState>
    where TState : IEquatable<TState>
{
    public abstract TState Initial { get; }

    /// <summary>Parses a call once; the search then runs the step many times.</summary>
    public abstract ModelStep<TState> Compile(RecordedCall recorded);

    protected static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    protected static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}

/// <param name="Verdict">Ok only if every key is.</param>
/// <param name="Key">The key that was not.</param>
/// <param name="Explanation">The longest order that was found, and the call that fits nowhere behind it.</param>
/// <param name="Steps">Steps of the model in all: the effort.</param>
public sealed record LinearizabilityReport(Verdict Verdict, string Key, string Explanation, long Steps);

public static class Linearizability
{
    public const long StepsMaxDefault = 2_000_000;

    public static LinearizabilityReport Check<TState>(IEnumerable<RecordedCall> calls, SequentialModel<TState> model, long stepsMax = StepsMaxDefault)
        where TState : IEquatable<TState>
    {
        long steps = 0;
        LinearizabilityReport? undecided = null;
        foreach (var part in calls.Where(c => c.Outcome != Outcome.Fail).GroupBy(c => c.Key))
        {
            var search = new Search<TState>([.. part.OrderBy(c => c.Begin)], model, stepsMax);
            var verdict = search.Run();
            steps += search.Steps;
            if (verdict == Verdict.Violation)
                return new LinearizabilityReport(verdict, part.Key, search.Explain(), steps);
            if (verdict == Verdict.Undecided)
                undecided ??= new LinearizabilityReport(verdict, part.Key, $"undecided after {search.Steps} steps", steps);
        }

        return undecided is null ? new LinearizabilityReport(Verdict.Ok, "", "", steps) : undecided with { Steps = steps };
    }

    /// <summary>The search over one key, depth first with an explicit stack.</summary>
    private sealed class Search<TState>
        where TState : IEquatable<TState>
    {
        private readonly List<RecordedCall> _answered;       // by begin
        private readonly List<RecordedCall> _open;           // unknown ones, by begin
        private readonly ModelStep<TState>[] _answeredSteps;
        private readonly ModelStep<TState>[] _openSteps;
        private readonly UInt128[] _marks;           // L3; answered calls first, then open ones
        private readonly bool[] _isPlaced;
        private readonly long _stepsMax;
        private readonly TState _initial;
        private List<RecordedCall> _longest = [];

        internal Search(List<RecordedCall> calls, SequentialModel<TState> model, long stepsMax)
        {
            _answered = [.. calls.Where(c => c.Outcome == Outcome.Ok)];
            _open = [.. calls.Where(c => c.Outcome == Outcome.Unknown)];
            _answeredSteps = [.. _answered.Select(model.Compile)];
            _openSteps = [.. _open.Select(model.Compile)];
            _isPlaced = new bool[calls.Count];
            _initial = model.Initial;
            _stepsMax = stepsMax;
            _marks = new UInt128[calls.Count];
            var random = new Random(20170101);
            for (var i = 0; i < _marks.Length; i++)
                _marks[i] = new UInt128((ulong)random.NextInt64(long.MinValue, long.MaxValue), (ulong)random.NextInt64(long.MinValue, long.MaxValue));
        }

        internal long Steps { get; private set; }

        private readonly record struct Frame(TState State, UInt128 Placed, int Low, int Candidate, int Chosen);

        internal Verdict Run()
        {
            var seen = new HashSet<(UInt128, TState)>();
            var stack = new Stack<Frame>();
            var state = _initial;
            UInt128 placed = 0;
            var low = 0;                             // first answered call that is not placed
            var candidate = 0;                       // next one to try: answered from low on, then open ones
            while (true)
            {
                while (low < _answered.Count && _isPlaced[low])
                    low++;
                if (low == _answered.Count)
                    return Verdict.Ok;               // L2
                candidate = Math.Max(candidate, low);

                var chosen = -1;
                var next = state;
                var firstReturn = FirstReturn(low);
                for (; candidate < _isPlaced.Length; candidate++)
                {
                    if (candidate < _answered.Count && _answered[candidate].Begin > firstReturn)
                        candidate = _answered.Count; // L1: no answered call from here on; open ones follow
                    if (candidate == _isPlaced.Length)
                        break;
                    var isOpen = candidate >= _answered.Count;
                    if (isOpen && _open[candidate - _answered.Count].Begin > firstReturn)
                        break;
                    if (_isPlaced[candidate])
                        continue;
                    if (++Steps > _stepsMax)
                        return Verdict.Undecided;
                    var step = isOpen ? _openSteps[candidate - _answered.Count] : _answeredSteps[candidate];
                    if (!step(state, out next) || (isOpen && next.Equals(state)))
                        continue;
                    if (seen.Add((placed ^ _marks[candidate], next)))
                    {
                        chosen = candidate;
                        break;
                    }
                }

                if (chosen >= 0)
                {
                    stack.Push(new Frame(state, placed, low, candidate, chosen));
                    _isPlaced[chosen] = true;
                    placed ^= _marks[chosen];
                    state = next;
                    candidate = 0;
                    continue;
                }

                if (stack.Count > _longest.Count)
                    _longest = [.. stack.Reverse().Select(f => At(f.Chosen))];
                if (stack.Count == 0)
                    return Verdict.Violation;
                var back = stack.Pop();
                _isPlaced[back.Chosen] = false;
                (state, placed, low, candidate) = (back.State, back.Placed, back.Low, back.Candidate + 1);
            }
        }

        internal string Explain()
        {
            var text = new StringBuilder();
            var stuck = _answered.Except(_longest).MinBy(c => c.End);
            text.Append(CultureInfo.InvariantCulture, $"no order explains {stuck}; the longest order has {_longest.Count} of {_answered.Count} calls and ends with:");
            foreach (var call in _longest.TakeLast(8))
                text.Append("\n  ").Append(call);
            text.Append("\nand these overlap it:");
            foreach (var call in _answered.Concat(_open).Except(_longest).Where(c => c != stuck && c.Begin < stuck!.End).Take(8))
                text.Append("\n  ").Append(call);
            return text.ToString();
        }

        private RecordedCall At(int id) => id < _answered.Count ? _answered[id] : _open[id - _answered.Count];

        private long FirstReturn(int low)
        {
            var first = long.MaxValue;
            for (var i = low; i < _answered.Count && _answered[i].Begin < first; i++)
            {
                if (!_isPlaced[i])
                    first = Math.Min(first, _answered[i].End);
            }

            return first;
        }
    }
}
