using System.Globalization;

// What came back after a crash must be the state after the first n commits, for one n that the promise allows: G1, G2, G4, G6.
//
//   trace       c1 acked   c2 acked   c3 acked   c4 unacked   c5 unacked
//   legal       n = 3, 4 or 5 in mode Strict           (acked: all of them; the rest may have reached the device or not)
//   lost        n = 2                                   an acknowledged commit is missing
//   hole        c1 c2 c4 without c3                     "contains what it should" is not enough: exact prefix
//   torn        half of c3                              transactions are whole
//   alien       x = 9, which no commit ever wrote       nothing that was never issued
//
// O1  State is plain dictionaries: address (any text, such as "run/kv/key") to value (any text). An absent address has no entry.
// O2  Order is by sequence. Sequences are dense, so a sequence that no acknowledged commit has belongs to an unacknowledged one:
//     the search tries each for it, and each order of the rest at the end. A commit cannot be placed before one that had returned
//     when it was issued.
// O3  Required n: Strict: the largest acknowledged sequence. Buffered: the same after a process kill, the largest synced one after
//     a power cut. InMemory: nothing may come back.
// O4  A refused or never issued commit is listed as such, so that its values are known to be alien.
//
// What it does not do: read the engine. The driver renders what it finds after recovery, through the public door, as a dictionary.
namespace Cairn.Tests.Checkers;

public enum CommitStatus
{
    /// <summary>The call returned; its sequence is known.</summary>
    Acknowledged,

    /// <summary>Issued, and no answer before the crash.</summary>
    Unacknowledged,

    /// <summary>Rolled back, refused, or never sent: must have no effect.</summary>
    NeverIssued,
}

/// <param name="Address">O1.</param>
/// <param name="Value">Null = delete.</param>
public readonly record struct CrashWrite(string Address, string? Value)
{
    public override string ToString() => $"{Address}={Value ?? "deleted"}";
}

/// <param name="Id">Unique, for the report.</param>
/// <param name="Writes">In order; all or none of them may come back.</param>
/// <param name="Status">What its client knew at the crash.</param>
/// <param name="Sequence">Its sequence, 0 when nobody was told.</param>
/// <param name="Begin">Index at which it was issued (H1 of History.cs).</param>
/// <param name="End">Index at which it returned; <see cref="long.MaxValue"/> when it did not.</param>
public sealed record IssuedCommit(int Id, IReadOnlyList<CrashWrite> Writes, CommitStatus Status, ulong Sequence = 0, long Begin = 0, long End = long.MaxValue)
{
    public override string ToString() => $"c{Id} {Status}{(Sequence == 0 ? "" : $" @{Sequence}")}: {string.Join(", ", Writes)}";
}

public enum CrashKind
{
    /// <summary>kill -9: the system still has what it was handed.</summary>
    ProcessKill,

    /// <summary>Only what was synced is sure.</summary>
    PowerCut,
}

public enum CrashVerdict
{
    ExactPrefix,
    LostAcknowledged,
    Hole,
    Torn,
    Alien,

    /// <summary>No prefix, and none of the other names fits, such as a value of an older commit.</summary>
    NoPrefix,

    /// <summary>The step bound was reached: neither a pass nor a failure.</summary>
    Undecided,
}

/// <param name="Verdict">What it is.</param>
/// <param name="Sequence">The n of the prefix; without one, the last sequence of which there is a trace.</param>
/// <param name="Explanation">Which commit, which address.</param>
public sealed record CrashReport(CrashVerdict Verdict, ulong Sequence, string Explanation)
{
    public override string ToString() => $"{Verdict} n={Sequence} {Explanation}";
}

public static class CrashOracle
{
    public const long StepsMaxDefault = 2_000_000;

    /// <summary>O3.</summary>
    public static ulong Required(IEnumerable<IssuedCommit> trace, Durability mode, CrashKind kind, ulong synced = 0)
    {
        var acknowledged = trace.Where(c => c.Status == CommitStatus.Acknowledged).Select(c => c.Sequence).DefaultIfEmpty().Max();
        return mode switch
        {
            Durability.InMemory => 0,
            Durability.Strict => acknowledged,
            _ => kind == CrashKind.ProcessKill ? acknowledged : synced,
        };
    }

    /// <summary>Judges one recovered state.</summary>
    /// <param name="trace">All commits; those with a sequence in any order.</param>
    /// <param name="recovered">O1.</param>
    /// <param name="required">The smallest legal n (<see cref="Required"/>).</param>
    /// <param name="recoveredSequence">The last sequence that the recovered database claims; then n must be exactly that.</param>
    /// <param name="base">State and sequence from which the trace starts; empty and 0 when left out.</param>
    public static CrashReport Judge(
        IReadOnlyList<IssuedCommit> trace, IReadOnlyDictionary<string, string> recovered, ulong required,
        ulong? recoveredSequence = null, (IReadOnlyDictionary<string, string> State, ulong Sequence)? @base = null, long stepsMax = StepsMaxDefault)
    {
        var search = new Search(trace, recovered, required, recoveredSequence, @base?.State, @base?.Sequence ?? 0, stepsMax);
        return search.Run();
    }

    private sealed class Search
    {
        private readonly Dictionary<ulong, IssuedCommit> _placed;      // by sequence
        private readonly List<IssuedCommit> _open;                     // sequence not known
        private readonly IReadOnlyList<IssuedCommit> _trace;
        private readonly IReadOnlyDictionary<string, string> _recovered;
        private readonly Dictionary<string, string> _state;
        private readonly HashSet<string> _differs;
        private readonly ulong _required;
        private readonly ulong? _claimed;
        private readonly ulong _first;
        private readonly ulong _last;                                  // last sequence that is known
        private readonly long _stepsMax;
        private readonly bool[] _isUsed;
        private readonly Dictionary<string, string> _start;
        private long _steps;
        private ulong _bestShort;                                      // largest matching prefix that is too short
        private bool _hasShort;
        private bool _hasClaimMismatch;

        internal Search(
            IReadOnlyList<IssuedCommit> trace, IReadOnlyDictionary<string, string> recovered, ulong required, ulong? claimed,
            IReadOnlyDictionary<string, string>? start, ulong first, long stepsMax)
        {
            _trace = trace;
            _recovered = recovered;
            _required = required;
            _claimed = claimed;
            _first = first;
            _stepsMax = stepsMax;
            var issued = trace.Where(c => c.Status != CommitStatus.NeverIssued).ToList();
            if (issued.Find(c => c.Status == CommitStatus.Acknowledged && c.Sequence == 0) is { } untold)
                throw new ArgumentException($"an acknowledged commit needs its sequence: {untold}");
            _placed = issued.Where(c => c.Sequence != 0).ToDictionary(c => c.Sequence);
            _open = [.. issued.Where(c => c.Sequence == 0)];
            _isUsed = new bool[_open.Count];
            _last = _placed.Count == 0 ? first : _placed.Keys.Max();
            _start = new Dictionary<string, string>(start ?? new Dictionary<string, string>());
            _state = new Dictionary<string, string>(_start);
            _differs = [.. _recovered.Keys.Union(_state.Keys).Where(a => _state.GetValueOrDefault(a) != _recovered.GetValueOrDefault(a))];
        }

        internal CrashReport Run()
        {
            if (Extend(_first) is { } prefix)
                return new CrashReport(CrashVerdict.ExactPrefix, prefix, "");
            if (_steps > _stepsMax)
                return new CrashReport(CrashVerdict.Undecided, 0, $"after {_stepsMax} steps");
            return Diagnose();
        }

        /// <summary>The state holds everything up to <paramref name="sequence"/>; goes on from there. Returns the n that fits.</summary>
        private ulong? Extend(ulong sequence)
        {
            // Known sequences are walked, not recursed into: recursion is as deep as there are unacknowledged commits.
            var undo = new Stack<(string Address, string? Before)>();
            ulong? result = null;
            var at = sequence;
            while (true)
            {
                if (Fits(at))
                {
                    result = at;
                    break;
                }

                if (++_steps > _stepsMax || at == _claimed)
                    break;
                at++;
                if (_placed.TryGetValue(at, out var commit))
                {
                    Apply(commit, undo);
                    continue;
                }

                result = TryOpen(at);
                break;
            }

            if (result is null)
                Undo(undo);
            return result;
        }

        private ulong? TryOpen(ulong at)
        {
            for (var i = 0; i < _open.Count; i++)
            {
                if (_isUsed[i] || !MayStandAt(_open[i], at))
                    continue;
                var undo = new Stack<(string, string?)>();
                _isUsed[i] = true;
                Apply(_open[i], undo);
                var result = Extend(at);
                _isUsed[i] = false;
                if (result is not null)
                    return result;
                Undo(undo);
                if (_steps > _stepsMax)
                    return null;
            }

            return null;
        }

        /// <summary>O2: everything that had returned before it was issued has a smaller sequence.</summary>
        private bool MayStandAt(IssuedCommit commit, ulong at) =>
            at > _last || !_placed.Values.Any(p => p.Sequence > at && p.End < commit.Begin);

        private bool Fits(ulong at)
        {
            if (_differs.Count != 0)
                return false;
            if (_claimed is { } claimed && claimed != at)
            {
                _hasClaimMismatch = true;
                return false;
            }

            if (at >= _required)
                return true;
            _bestShort = Math.Max(_bestShort, at);
            _hasShort = true;
            return false;
        }

        private void Apply(IssuedCommit commit, Stack<(string, string?)> undo)
        {
            foreach (var write in commit.Writes)
            {
                undo.Push((write.Address, _state.GetValueOrDefault(write.Address)));
                Set(write.Address, write.Value);
            }
        }

        private void Undo(Stack<(string Address, string? Before)> undo)
        {
            while (undo.TryPop(out var write))
                Set(write.Address, write.Before);
        }

        private void Set(string address, string? value)
        {
            if (value is null)
                _state.Remove(address);
            else
                _state[address] = value;
            if (value == _recovered.GetValueOrDefault(address))
                _differs.Remove(address);
            else
                _differs.Add(address);
        }

        // --- no legal prefix: say what it is instead -------------------------------------------------------------------

        private CrashReport Diagnose()
        {
            if (_hasShort)
            {
                var lost = _placed.Values.Where(c => c.Status == CommitStatus.Acknowledged && c.Sequence > _bestShort).MinBy(c => c.Sequence);
                return new CrashReport(CrashVerdict.LostAcknowledged, _bestShort, $"required n={_required}; the first that is missing: {lost}");
            }

            var issued = _placed.Values.OrderBy(c => c.Sequence).Concat(_open).ToList();
            var everWritten = issued.SelectMany(c => c.Writes).ToHashSet();
            foreach (var (address, value) in _recovered.OrderBy(a => a.Key, StringComparer.Ordinal))
            {
                if (everWritten.Contains(new CrashWrite(address, value)) || _start.GetValueOrDefault(address) == value)
                    continue;
                var by = _trace.FirstOrDefault(c => c.Writes.Contains(new CrashWrite(address, value)));
                return new CrashReport(CrashVerdict.Alien, 0, by is null ? $"{address}={value} was written by nobody" : $"{address}={value} comes from {by}");
            }

            // The last commit of which there is a trace that nobody else could have left.
            var writers = issued.SelectMany(c => c.Writes.Distinct().Select(w => (Write: w, Commit: c))).ToLookup(p => p.Write, p => p.Commit);
            bool Shows(IssuedCommit commit) => commit.Writes.Any(w => w.Value is not null && _recovered.GetValueOrDefault(w.Address) == w.Value && writers[w].Count() == 1);
            var last = issued.FindLastIndex(Shows);
            if (last < 0)
                return new CrashReport(CrashVerdict.NoPrefix, 0, $"{_recovered.Count} addresses came back, and no commit can be told from them");

            var upTo = issued[last].Sequence;
            var lastWriter = new Dictionary<string, (IssuedCommit Commit, string? Value)>();
            foreach (var commit in issued.Take(last + 1).Where(c => c.Sequence != 0 || c == issued[last] || Shows(c)))
            {
                foreach (var write in commit.Writes)
                    lastWriter[write.Address] = (commit, write.Value);
            }

            var wrong = lastWriter.Where(w => _recovered.GetValueOrDefault(w.Key) != w.Value.Value).OrderBy(w => w.Value.Commit.Sequence).ToList();
            foreach (var (address, writer) in wrong)
            {
                var rest = lastWriter.Where(w => w.Value.Commit == writer.Commit && w.Key != address && _recovered.GetValueOrDefault(w.Key) == w.Value.Value && w.Value.Value is not null).ToList();
                if (rest.Count > 0)
                    return new CrashReport(CrashVerdict.Torn, upTo, $"{writer.Commit} came back with {rest[0].Key} and without {address}");
            }

            if (wrong.Count > 0)
                return new CrashReport(CrashVerdict.Hole, upTo, $"{wrong[0].Value.Commit} is missing at {wrong[0].Key}, and {issued[last]} is there");
            if (_hasClaimMismatch)
                return new CrashReport(CrashVerdict.NoPrefix, upTo, $"the state is a prefix, but not that of the claimed sequence {_claimed?.ToString(CultureInfo.InvariantCulture)}");
            return new CrashReport(CrashVerdict.NoPrefix, upTo, $"differs at {string.Join(", ", _recovered.Keys.Union(lastWriter.Keys).Where(a => _recovered.GetValueOrDefault(a) != (lastWriter.TryGetValue(a, out var w) ? w.Value : _start.GetValueOrDefault(a))).Take(5))}");
        }
    }
}
