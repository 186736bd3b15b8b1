// Does one serial order of the transactions explain what they read, and if not, which anomaly of the literature is it? Sources:
// Adya, "Weak Consistency" (1999), for the names; Kingsbury and Alvaro, "Elle" (VLDB 2020), for the inference from values that are
// written once; Fekete et al., "Making Snapshot Isolation Serializable" (2005), for what Snapshot may do.
//
//   T1 append x 1            longest list read of x: [1 2]          version order of x: initial, 1, 2
//   T2 append x 2            T1 -ww-> T2 (1 then 2)                 T3 -rw-> T2 (T3 saw 1 and not yet 2)
//   T3 read x [1]            T1 -wr-> T3                            no cycle: serial order T1 T3 T2
//
// S1  A committed transaction counts; an unknown one from the moment a counted one saw its write, or somebody was told its sequence.
// S2  Version order. Lists: the longest list that was read; then appends with a sequence, by it. Registers: by sequence; a writer
//     whose sequence nobody was told takes it from a read that names the version, else comes directly after the version that its
//     own transaction had read.
// S3  An absent read is of the initial state or of a tombstone. With one candidate, or with the snapshot's sequence, it makes edges;
//     with several it makes none: never a false alarm.
// S4  Every ww, wr and rt edge must go up in sequence; under Serializable every rw edge too (TX-23: serializable in sequence order).
// S5  Within a transaction a read must agree with its earlier reads and writes (internal).
//
// What it does not do: guess. A value that was never written, or written twice, is reported, not repaired.
namespace Cairn.Tests.Checkers;

public enum Anomaly
{
    /// <summary>A value that nobody wrote.</summary>
    Garbage,

    /// <summary>A list holds a value twice.</summary>
    Duplicate,

    /// <summary>Two reads of a list of which neither is a prefix of the other, or not in the order of sequences.</summary>
    IncompatibleOrder,

    /// <summary>A transaction disagrees with itself.</summary>
    Internal,

    /// <summary>Aborted read.</summary>
    G1a,

    /// <summary>Intermediate read.</summary>
    G1b,

    /// <summary>A committed write on top of an aborted one.</summary>
    DirtyUpdate,

    /// <summary>Two transactions read one version and both replaced it.</summary>
    LostUpdate,

    /// <summary>Write cycle.</summary>
    G0,

    /// <summary>Circular information flow.</summary>
    G1c,

    /// <summary>Read skew.</summary>
    GSingle,

    /// <summary>Read skew that only a blind write closes: its writer had read older state and replaced, unseen, what came since.
    /// TX-15 asks for it under Snapshot, although Adya's Snapshot Isolation would refuse the writer.</summary>
    GSingleBlind,

    /// <summary>Long fork and its longer kin.</summary>
    GNonadjacent,

    /// <summary>Write skew.</summary>
    G2Item,

    /// <summary>Write skew by phantom.</summary>
    G2,

    /// <summary>A dependency runs against the sequences.</summary>
    SequenceOrder,

    /// <summary>A committed writer had read what was replaced below its own sequence.</summary>
    StaleValidation,
}

public sealed record Finding(Anomaly Anomaly, string Explanation)
{
    public override string ToString() => $"{Anomaly}: {Explanation}";
}

/// <param name="Findings">At most ten of each anomaly.</param>
/// <param name="Transactions">How many counted (S1).</param>
/// <param name="Edges">How many dependencies were found: a judge that finds none has judged nothing.</param>
public sealed record SerializabilityReport(IReadOnlyList<Finding> Findings, int Transactions, int Edges)
{
    /// <summary>The findings that <paramref name="level"/> does not allow.</summary>
    public IReadOnlyList<Finding> Violations(IsolationLevel level) => [.. Findings.Where(f => !Serializability.Allows(level, f.Anomaly))];

    public bool Has(Anomaly anomaly) => Findings.Any(f => f.Anomaly == anomaly);
}

public static class Serializability
{
    private const int FindingsMax = 10;

    /// <summary>Serializable allows nothing; Snapshot allows write skew, by item and by phantom (TX-24), hence also a writer that
    /// was not validated for what it only read, and the skew of a blind write (TX-15).</summary>
    public static bool Allows(IsolationLevel level, Anomaly anomaly) =>
        level == IsolationLevel.Snapshot && anomaly is Anomaly.G2Item or Anomaly.G2 or Anomaly.StaleValidation or Anomaly.GSingleBlind;

    public static SerializabilityReport Check(IEnumerable<TransactionTrace> history) => new Inference([.. history]).Run();

    /// <summary>One installed version of a key; its writer is a node, or -1 for the initial state.</summary>
    private sealed class Version
    {
        internal required int Writer { get; init; }
        internal required long? Value { get; init; }
        internal ulong Sequence { get; set; }
        internal bool IsTombstone => Value is null;
        internal List<Version> Successors { get; } = [];
    }

    private sealed record Write(int Transaction, bool IsFinal);

    private sealed class Inference(List<TransactionTrace> all)
    {
        private readonly List<Finding> _findings = [];
        private readonly Dictionary<Anomaly, int> _counts = [];
        private readonly Dictionary<(string Key, long Value), Write> _writes = [];
        private readonly Dictionary<int, ulong> _sequences = [];      // index in all -> sequence, told or seen
        private List<TransactionTrace> _nodes = [];
        private readonly Dictionary<int, int> _nodeOf = [];           // index in all -> node
        private DependencyGraph _graph = new(0);

        internal SerializabilityReport Run()
        {
            IndexWrites();
            Count();
            _graph = new DependencyGraph(_nodes.Count);
            CheckLists();
            CheckRegisters();
            AddRealTime();
            CheckSequences();
            foreach (var (anomaly, cycle) in _graph.Cycles())
            {
                if (anomaly == Anomaly.GSingle && cycle.Count == 2 && cycle[0].Key == cycle[1].Key && _counts.ContainsKey(Anomaly.LostUpdate))
                    continue;                                         // the same thing under its own name
                Found(anomaly, DependencyGraph.Describe(cycle, _nodes));
            }

            return new SerializabilityReport(_findings, _nodes.Count, _graph.Edges.Count());
        }

        private void Found(Anomaly anomaly, string explanation)
        {
            var count = _counts.GetValueOrDefault(anomaly);
            _counts[anomaly] = count + 1;
            if (count < FindingsMax)
                _findings.Add(new Finding(anomaly, explanation));
        }

        // --- what was written, and who counts -------------------------------------------------------------------------

        private void IndexWrites()
        {
            for (var i = 0; i < all.Count; i++)
            {
                var last = new Dictionary<string, long?>();
                foreach (var access in all[i].Accesses)
                {
                    if (access is RegisterWrite w)
                        last[w.Key] = w.Value;
                    else if (access is ListAppend a)
                        last[a.Key] = a.Value;
                }

                foreach (var access in all[i].Accesses)
                {
                    var (key, value) = access switch
                    {
                        RegisterWrite w => (w.Key, w.Value),
                        ListAppend a => (a.Key, a.Value),
                        _ => ("", null),
                    };
                    if (value is not null && !_writes.TryAdd((key, value.Value), new Write(i, last[key] == value)))
                        throw new ArgumentException($"the workload wrote {key} = {value} twice; values must be unique per key");
                }

                if (all[i].Sequence != 0)
                    _sequences[i] = all[i].Sequence;
            }
        }

        private void Count()
        {
            var counts = new bool[all.Count];
            var open = new Queue<int>();
            void Take(int i)
            {
                if (!counts[i] && all[i].Status != TransactionEnd.Aborted)
                {
                    counts[i] = true;
                    open.Enqueue(i);
                }
            }

            for (var i = 0; i < all.Count; i++)
            {
                if (all[i].Status == TransactionEnd.Committed || _sequences.ContainsKey(i))
                    Take(i);
            }

            while (open.TryDequeue(out var i))
            {
                foreach (var read in Registers(all[i]))
                {
                    if (read.Value is { } value && _writes.TryGetValue((read.Key, value), out var write) && write.Transaction != i)
                    {
                        if (read.Version != 0)
                            _sequences.TryAdd(write.Transaction, read.Version);
                        Take(write.Transaction);
                    }
                }

                foreach (var read in all[i].Accesses.OfType<ListRead>())
                {
                    foreach (var value in read.Values)
                    {
                        if (_writes.TryGetValue((read.Key, value), out var write))
                            Take(write.Transaction);
                    }
                }
            }

            for (var i = 0; i < all.Count; i++)
            {
                if (counts[i])
                {
                    _nodeOf[i] = _nodes.Count;
                    _nodes.Add(all[i]);
                }
            }
        }

        private static IEnumerable<RegisterRead> Registers(TransactionTrace transaction)
        {
            foreach (var access in transaction.Accesses)
            {
                if (access is RegisterRead read)
                    yield return read;
                else if (access is RangeRead range)
                {
                    foreach (var pair in range.Pairs)
                        yield return pair;
                }
            }
        }

        private ulong SequenceOf(int index) => _sequences.GetValueOrDefault(index);

        // --- lists ----------------------------------------------------------------------------------------------------

        private void CheckLists()
        {
            var reads = new Dictionary<string, List<(int Node, IReadOnlyList<long> Values)>>();   // external part only
            var appends = new Dictionary<string, List<(int Node, long Value)>>();
            for (var node = 0; node < _nodes.Count; node++)
            {
                var own = new Dictionary<string, List<long>>();
                var outside = new Dictionary<string, List<long>>();
                foreach (var access in _nodes[node].Accesses)
                {
                    if (access is ListAppend append)
                    {
                        CollectionOf(own, append.Key).Add(append.Value);
                        CollectionOf(appends, append.Key).Add((node, append.Value));
                    }
                    else if (access is ListRead read)
                    {
                        var mine = CollectionOf(own, read.Key);
                        var external = read.Values.Take(Math.Max(0, read.Values.Count - mine.Count)).ToList();
                        var agrees = read.Values.Skip(external.Count).SequenceEqual(mine)
                            && (!outside.TryGetValue(read.Key, out var before) || before.SequenceEqual(external));
                        if (!agrees)
                        {
                            Found(Anomaly.Internal, $"{read} disagrees with what its own transaction read and appended before: {_nodes[node]}");
                            external = [.. read.Values.Except(mine)];
                        }

                        outside[read.Key] = external;
                        CollectionOf(reads, read.Key).Add((node, external));
                    }
                }
            }

            foreach (var key in reads.Keys.Union(appends.Keys))
                CheckList(key, reads.GetValueOrDefault(key) ?? [], appends.GetValueOrDefault(key) ?? []);
        }

        private void CheckList(string key, List<(int Node, IReadOnlyList<long> Values)> reads, List<(int Node, long Value)> appends)
        {
            var longest = reads.Count == 0 ? [] : reads.MaxBy(r => r.Values.Count).Values;
            foreach (var (node, values) in reads)
            {
                if (!values.SequenceEqual(longest.Take(values.Count)))
                    Found(Anomaly.IncompatibleOrder, $"{key} was read as [{string.Join(' ', values)}] and as [{string.Join(' ', longest)}], first by {_nodes[node]}");
                if (values.Distinct().Count() != values.Count)
                    Found(Anomaly.Duplicate, $"{key} was read as [{string.Join(' ', values)}] by {_nodes[node]}");
                JudgeListRead(key, node, values);
            }

            // S2: the elements in order, each with its writer; then what nobody read.
            var place = new Dictionary<long, int>();
            var order = new List<(int Writer, long Value)>();
            foreach (var value in longest)
            {
                if (_writes.TryGetValue((key, value), out var write) && _nodeOf.TryGetValue(write.Transaction, out var writer) && place.TryAdd(value, order.Count))
                    order.Add((writer, value));
            }

            var unread = appends.Where(a => !place.ContainsKey(a.Value)).ToList();
            var told = unread.Where(a => NodeSequence(a.Node) != 0).OrderBy(a => NodeSequence(a.Node)).ToList();
            var untold = unread.Where(a => NodeSequence(a.Node) == 0).ToList();
            var read = order.Count;
            order.AddRange(told);

            var readers = reads.Select(r => r.Node).ToHashSet();
            EdgeKind Kind(int writer) => readers.Contains(writer) ? EdgeKind.WriteWrite : EdgeKind.BlindWriteWrite;
            for (var i = 1; i < order.Count; i++)
                _graph.Add(order[i - 1].Writer, order[i].Writer, Kind(order[i].Writer), key);
            foreach (var (writer, _) in untold)
            {
                if (read > 0)
                    _graph.Add(order[read - 1].Writer, writer, Kind(writer), key);
            }

            foreach (var (node, values) in reads)
            {
                var known = values.Where(place.ContainsKey).ToList();
                var end = known.Count == 0 ? 0 : place[known[^1]] + 1;
                if (end > 0)
                    _graph.Add(order[end - 1].Writer, node, EdgeKind.WriteRead, key);
                var next = end;
                while (next < order.Count && order[next].Writer == node)
                    next++;                                          // its own appends follow what it read
                if (next < order.Count)
                    _graph.Add(node, order[next].Writer, EdgeKind.ReadWrite, key);
                if (end >= read)
                {
                    foreach (var (writer, _) in untold)
                        _graph.Add(node, writer, EdgeKind.ReadWrite, key);
                }
            }

            var writers = appends.Select(a => a.Node).ToHashSet();
            foreach (var same in reads.DistinctBy(r => r.Node).Where(r => writers.Contains(r.Node)).GroupBy(r => r.Values.Count).Where(g => g.Count() > 1))
                Found(Anomaly.LostUpdate, $"both read {key} as [{string.Join(' ', same.First().Values)}] and appended:\n  {string.Join("\n  ", same.Select(r => _nodes[r.Node]))}");
        }

        private void JudgeListRead(string key, int node, IReadOnlyList<long> values)
        {
            for (var i = 0; i < values.Count; i++)
            {
                if (!_writes.TryGetValue((key, values[i]), out var write))
                {
                    Found(Anomaly.Garbage, $"{key} held {values[i]}, which nobody wrote: {_nodes[node]}");
                    continue;
                }

                var writer = all[write.Transaction];
                if (writer.Status == TransactionEnd.Aborted)
                {
                    Found(Anomaly.G1a, $"{_nodes[node]}\n  saw {values[i]} of {writer}");
                    if (i + 1 < values.Count && _writes.TryGetValue((key, values[i + 1]), out var above) && _nodeOf.ContainsKey(above.Transaction))
                        Found(Anomaly.DirtyUpdate, $"{all[above.Transaction]}\n  appended to {values[i]} of {writer}");
                }
                else if (!write.IsFinal && i == values.Count - 1 && writer != _nodes[node])
                {
                    Found(Anomaly.G1b, $"{_nodes[node]}\n  saw {key} end with {values[i]}, not the last append of {writer}");
                }
            }
        }

        // --- registers and ranges -------------------------------------------------------------------------------------

        private sealed record Observation(int Node, string Key, long? Value, bool IsRange);

        private void CheckRegisters()
        {
            var keys = all.SelectMany(t => t.Accesses).OfType<RegisterWrite>().Select(w => w.Key).ToHashSet();
            var sorted = keys.Order(StringComparer.Ordinal).ToArray();
            var observations = new List<Observation>();
            var readBefore = new Dictionary<(int, string), long?>();             // what a writer had read of its key
            for (var node = 0; node < _nodes.Count; node++)
                Observe(node, sorted, observations, readBefore);

            var versions = VersionOrders(readBefore);
            foreach (var seen in observations)
                AddEdges(seen, versions);

            foreach (var key in versions.Keys)
            {
                var updaters = readBefore.Where(r => r.Key.Item2 == key).Select(r => r.Key.Item1).ToHashSet();
                foreach (var same in observations.Where(o => o.Key == key && updaters.Contains(o.Node) && (o.Value is not null || !HasTombstone(versions[key])))
                    .DistinctBy(o => o.Node).GroupBy(o => o.Value).Where(g => g.Count() > 1))
                {
                    Found(Anomaly.LostUpdate, $"all read {key} as {same.Key?.ToString() ?? "absent"} and replaced it:\n  {string.Join("\n  ", same.Select(o => _nodes[o.Node]))}");
                }
            }
        }

        private static bool HasTombstone(List<Version> order) => order.Any(v => v.IsTombstone && v.Writer >= 0);

        /// <summary>Walks one transaction: internal consistency (S5), and what it saw of others.</summary>
        private void Observe(int node, string[] keys, List<Observation> observations, Dictionary<(int, string), long?> readBefore)
        {
            var own = new Dictionary<string, long?>();
            var outside = new Dictionary<string, long?>();
            void See(string key, long? value, bool isRange, Access by)
            {
                if (own.TryGetValue(key, out var mine))
                {
                    if (mine != value)
                        Found(Anomaly.Internal, $"{by} says {key} = {value?.ToString() ?? "absent"}, its own write says {mine?.ToString() ?? "absent"}: {_nodes[node]}");
                    return;
                }

                if (outside.TryGetValue(key, out var before))
                {
                    if (before == value)
                        return;
                    Found(Anomaly.Internal, $"{by} says {key} = {value?.ToString() ?? "absent"}, an earlier read said {before?.ToString() ?? "absent"}: {_nodes[node]}");
                }

                outside[key] = value;
                observations.Add(new Observation(node, key, value, isRange && value is null));
                JudgeRegisterRead(node, key, value);
            }

            foreach (var access in _nodes[node].Accesses)
            {
                switch (access)
                {
                    case RegisterRead read:
                        See(read.Key, read.Value, false, read);
                        break;
                    case RangeRead range:
                        foreach (var pair in range.Pairs)
                            See(pair.Key, pair.Value, true, range);
                        var present = range.Pairs.Select(p => p.Key).ToHashSet();
                        foreach (var key in keys.Where(k => range.Covers(k) && !present.Contains(k)))
                            See(key, null, true, range);
                        break;
                    case RegisterWrite write:
                        if (outside.TryGetValue(write.Key, out var replaced))
                            readBefore.TryAdd((node, write.Key), replaced);
                        own[write.Key] = write.Value;
                        break;
                }
            }
        }

        private void JudgeRegisterRead(int node, string key, long? value)
        {
            if (value is null)
                return;
            if (!_writes.TryGetValue((key, value.Value), out var write))
            {
                Found(Anomaly.Garbage, $"{key} held {value}, which nobody wrote: {_nodes[node]}");
                return;
            }

            var writer = all[write.Transaction];
            if (writer.Status == TransactionEnd.Aborted)
            {
                Found(Anomaly.G1a, $"{_nodes[node]}\n  saw {key} = {value} of {writer}");
                if (_nodes[node].Accesses.OfType<RegisterWrite>().Any(w => w.Key == key))
                    Found(Anomaly.DirtyUpdate, $"{_nodes[node]}\n  replaced {key} = {value} of {writer}");
            }
            else if (!write.IsFinal)
            {
                Found(Anomaly.G1b, $"{_nodes[node]}\n  saw {key} = {value}, not the last write of {writer}");
            }
        }

        private Dictionary<string, List<Version>> VersionOrders(Dictionary<(int, string), long?> readBefore)
        {
            var orders = new Dictionary<string, List<Version>>();
            for (var node = 0; node < _nodes.Count; node++)
            {
                foreach (var last in _nodes[node].Accesses.OfType<RegisterWrite>().GroupBy(w => w.Key).Select(g => g.Last()))
                {
                    if (!orders.TryGetValue(last.Key, out var order))
                        orders[last.Key] = order = [new Version { Writer = -1, Value = null }];
                    order.Add(new Version { Writer = node, Value = last.Value, Sequence = NodeSequence(node) });
                }
            }

            foreach (var (key, order) in orders)
            {
                var chain = order.Where(v => v.Writer < 0 || v.Sequence != 0).OrderBy(v => v.Sequence).ToList();
                for (var i = 1; i < chain.Count; i++)
                    chain[i - 1].Successors.Add(chain[i]);
                foreach (var untold in order.Except(chain))
                {
                    // S2: after what its own transaction read; a blind one is only known to be after the initial state.
                    var isUpdate = readBefore.TryGetValue((untold.Writer, key), out var replaced);
                    var before = isUpdate && replaced is not null ? order.FirstOrDefault(v => v.Value == replaced)
                        : !isUpdate || !HasTombstone(order) ? order[0] : null;
                    before?.Successors.Add(untold);
                }

                foreach (var version in order.Where(v => v.Writer >= 0))
                {
                    foreach (var next in version.Successors)
                        _graph.Add(version.Writer, next.Writer, readBefore.ContainsKey((next.Writer, key)) ? EdgeKind.WriteWrite : EdgeKind.BlindWriteWrite, key);
                }
            }

            return orders;
        }

        private void AddEdges(Observation seen, Dictionary<string, List<Version>> orders)
        {
            if (!orders.TryGetValue(seen.Key, out var order))
                return;
            var version = seen.Value is null
                ? AbsenceSeen(seen, order)
                : _writes.TryGetValue((seen.Key, seen.Value.Value), out var write) && _nodeOf.TryGetValue(write.Transaction, out var writer)
                    ? order.Find(v => v.Writer == writer)
                    : null;
            if (version is null)
                return;
            if (version.Writer >= 0)
                _graph.Add(version.Writer, seen.Node, EdgeKind.WriteRead, seen.Key);
            foreach (var next in version.Successors)
                _graph.Add(seen.Node, next.Writer, seen.IsRange ? EdgeKind.PredicateReadWrite : EdgeKind.ReadWrite, seen.Key);
        }

        /// <summary>S3: which absence a read of nothing saw; null when several are possible.</summary>
        private Version? AbsenceSeen(Observation seen, List<Version> order)
        {
            var reader = _nodes[seen.Node];
            var absences = order.Where(v => v.IsTombstone && v.Writer != seen.Node).ToList();
            if (reader.ReadAt is { } readAt && order.TrueForAll(v => v.Writer < 0 || v.Sequence != 0))
                return absences.Where(v => v.Sequence <= readAt).MaxBy(v => v.Sequence);
            var possible = absences.Where(v =>
                (v.Writer < 0 || _nodes[v.Writer].Begin < reader.End)
                && !v.Successors.Exists(n => n.Writer != seen.Node && _nodes[n.Writer].End < reader.Begin)).ToList();
            return possible.Count switch
            {
                1 => possible[0],
                0 => absences.MaxBy(v => v.Sequence),               // none is possible: the latest shows the stale read best
                _ => null,
            };
        }

        // --- real time and sequences ----------------------------------------------------------------------------------

        /// <summary>Edges from the last finished transactions to each new one: at most as many as there are processes.</summary>
        private void AddRealTime()
        {
            var moments = new List<(long At, bool IsEnd, int Node)>();
            for (var node = 0; node < _nodes.Count; node++)
            {
                moments.Add((_nodes[node].Begin, false, node));
                if (_nodes[node].End != long.MaxValue)
                    moments.Add((_nodes[node].End, true, node));
            }

            var front = new HashSet<int>();
            var frontAtBegin = new Dictionary<int, int[]>();
            foreach (var (_, isEnd, node) in moments.OrderBy(m => m.At).ThenBy(m => m.IsEnd))
            {
                if (!isEnd)
                {
                    foreach (var finished in front)
                        _graph.Add(finished, node, EdgeKind.RealTime, "");
                    frontAtBegin[node] = [.. front];
                    continue;
                }

                front.ExceptWith(frontAtBegin[node]);
                front.Add(node);
            }
        }

        private void CheckSequences()
        {
            foreach (var edge in _graph.Edges)
            {
                var (from, to) = (NodeSequence(edge.From), NodeSequence(edge.To));
                if (from == 0 || to == 0 || from < to)
                    continue;
                var isAnti = (edge.Kind & DependencyGraph.Anti) != 0;
                Found(isAnti ? Anomaly.StaleValidation : Anomaly.SequenceOrder, $"{edge} goes down in sequence:\n  {_nodes[edge.From]}\n  {_nodes[edge.To]}");
            }
        }

        private readonly Dictionary<TransactionTrace, ulong> _nodeSequences = new(ReferenceEqualityComparer.Instance);

        private ulong NodeSequence(int node)
        {
            if (_nodeSequences.Count == 0)
            {
                foreach (var (index, n) in _nodeOf)
                    _nodeSequences[_nodes[n]] = SequenceOf(index);
            }

            return _nodeSequences[_nodes[node]];
        }

        private static List<T> CollectionOf<T>(Dictionary<string, List<T>> map, string key)
        {
            if (!map.TryGetValue(key, out var list))
                map[key] = list = [];
            return list;
        }
    }
}
