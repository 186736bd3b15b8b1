using System.Text;

// The direct serialisation graph of Adya, "Weak Consistency" (1999): who must come before whom, and why; and the search for its
// cycles, in the order of their gravity. Real-time edges make the question strict serializability.
//
//   ww  u wrote the version that v replaced        rw   u read the version that v replaced (anti-dependency)
//   wr  v read what u wrote                        rwp  the same, through a range in which v's key was absent
//   rt  u had returned before v began             wwb  ww, and v replaced the version without having read it (a blind write)
//
//   cycle of                        is named            Snapshot allows it
//   ww (rt)                         G0                  no
//   ww, wr (rt), at least one wr    G1c                 no
//   exactly one rw or rwp           G-single            no
//   the same behind a wwb           G-single blind      yes  (blind writes never conflict, TX-15)
//   more, none next to another      G-nonadjacent       no   (long fork; two snapshots that no order explains)
//   two next to each other, all rw  G2-item             yes  (write skew)
//   the same with an rwp            G2                  yes  (write skew by phantom)
//
// Why these: with s the start and c the commit of a transaction, ww, wr and rt say c(u) < s(v), rw says s(u) < c(v), and wwb only
// c(u) < c(v). Snapshot is what can be ordered so; a cycle is harmless to it iff somewhere an rw leaves a transaction that was
// entered at its commit: by an rw or by a wwb.
//
// Cycles lie within strongly connected components (Tarjan 1972), so a good history costs one pass over the edges.
namespace Cairn.Tests.Checkers;

[Flags]
public enum EdgeKind
{
    None = 0,
    WriteWrite = 1,
    WriteRead = 2,
    ReadWrite = 4,
    PredicateReadWrite = 8,
    RealTime = 16,
    BlindWriteWrite = 32,
}

public readonly record struct Edge(int From, int To, EdgeKind Kind, string Key)
{
    public override string ToString()
    {
        var kind = Kind switch
        {
            EdgeKind.WriteWrite => "ww",
            EdgeKind.WriteRead => "wr",
            EdgeKind.ReadWrite => "rw",
            EdgeKind.PredicateReadWrite => "rwp",
            EdgeKind.BlindWriteWrite => "wwb",
            _ => "rt",
        };
        return Key.Length == 0 ? kind : $"{kind} {Key}";
    }
}

internal sealed class DependencyGraph(int count)
{
    internal const EdgeKind Anti = EdgeKind.ReadWrite | EdgeKind.PredicateReadWrite;
    private const EdgeKind Writes = EdgeKind.WriteWrite | EdgeKind.BlindWriteWrite;

    private readonly List<Edge>[] _out = [.. Enumerable.Range(0, count).Select(_ => new List<Edge>())];
    private readonly HashSet<Edge> _edges = [];

    internal IEnumerable<Edge> Edges => _edges;

    internal void Add(int from, int to, EdgeKind kind, string key)
    {
        var edge = new Edge(from, to, kind, key);
        if (from != to && _edges.Add(edge))
            _out[from].Add(edge);
    }

    /// <summary>The worst cycles: for each anomaly the shortest one of each component that has it, first without real time.</summary>
    internal IEnumerable<(Anomaly Anomaly, List<Edge> Cycle)> Cycles()
    {
        foreach (var component in Components([.. _out.Select(edges => edges.Select(e => e.To).ToList())]))
        {
            foreach (var cycle in CyclesOf([.. component]))
                yield return cycle;
        }
    }

    internal static string Describe(IReadOnlyList<Edge> cycle, IReadOnlyList<TransactionTrace> nodes)
    {
        var text = new StringBuilder($"T{nodes[cycle[0].From].Id}");
        foreach (var edge in cycle)
            text.Append($" -{edge}-> T{nodes[edge.To].Id}");
        foreach (var edge in cycle)
            text.Append("\n  ").Append(nodes[edge.From]);
        return text.ToString();
    }

    private IEnumerable<(Anomaly, List<Edge>)> CyclesOf(HashSet<int> inside)
    {
        const EdgeKind firm = Writes | EdgeKind.WriteRead;
        var found = new HashSet<Anomaly>();
        foreach (var time in (EdgeKind[])[EdgeKind.None, EdgeKind.RealTime])
        {
            // One pass over the edges says whether a search is worth its while; most are not.
            var hasFirm = HasCycle(inside, firm | time);
            var isNoSnapshot = HasCycleOfMoments(inside, firm | Anti | time);
            var blind = inside.SelectMany(n => _out[n]).Where(e => e.Kind == EdgeKind.BlindWriteWrite).Select(e => e.To).ToHashSet();
            (Anomaly, Func<List<Edge>?>)[] searches =
            [
                (Anomaly.G0, () => hasFirm ? Shortest(inside, Writes, Writes | time) : null),
                (Anomaly.G1c, () => hasFirm ? Shortest(inside, EdgeKind.WriteRead, firm | time) : null),
                (Anomaly.GSingle, () => isNoSnapshot ? Shortest(inside, Anti, firm | time, neverAdjacent: true) : null),
                (Anomaly.GSingleBlind, () => found.Contains(Anomaly.GSingle) ? null : Shortest(inside, Anti, firm | time, sources: blind)),
                (Anomaly.GNonadjacent, () => isNoSnapshot && !found.Contains(Anomaly.GSingle) ? Shortest(inside, Anti, firm | Anti | time, neverAdjacent: true) : null),
                (Anomaly.G2Item, () => Shortest(inside, EdgeKind.ReadWrite, firm | EdgeKind.ReadWrite | time, otherAnti: true)),
                (Anomaly.G2, () => Shortest(inside, EdgeKind.PredicateReadWrite, firm | Anti | time, otherAnti: true)),
            ];
            foreach (var (anomaly, search) in searches)
            {
                if (!found.Contains(anomaly) && search() is { } cycle)
                {
                    found.Add(anomaly);
                    yield return (anomaly, cycle);
                }
            }
        }
    }

    private bool HasCycle(HashSet<int> inside, EdgeKind kinds)
    {
        var next = new List<int>[_out.Length];
        foreach (var node in inside)
            next[node] = [.. _out[node].Where(e => (e.Kind & kinds) != 0 && inside.Contains(e.To)).Select(e => e.To)];
        return Components(next).Count > 0;
    }

    /// <summary>The graph of starts (even) and commits (odd) of the essay: Snapshot is what has no cycle in it.</summary>
    private bool HasCycleOfMoments(HashSet<int> inside, EdgeKind kinds)
    {
        var next = new List<int>[_out.Length * 2];
        foreach (var node in inside)
        {
            next[node * 2] = [(node * 2) + 1];
            next[(node * 2) + 1] = [];
            foreach (var edge in _out[node].Where(e => (e.Kind & kinds) != 0 && inside.Contains(e.To)))
            {
                var isAnti = (edge.Kind & Anti) != 0;
                next[(node * 2) + (isAnti ? 0 : 1)].Add((edge.To * 2) + (isAnti || edge.Kind == EdgeKind.BlindWriteWrite ? 1 : 0));
            }
        }

        return Components(next).Count > 0;
    }

    /// <summary>Shortest way that starts with an edge of <paramref name="first"/> and comes back over edges of <paramref name="rest"/>.</summary>
    /// <param name="neverAdjacent">No anti-dependency follows another or a blind write, over the seam neither.</param>
    /// <param name="otherAnti">At least one more anti-dependency: otherwise it is a G-single, found before.</param>
    /// <param name="sources">The start leaves one of these.</param>
    private List<Edge>? Shortest(
        HashSet<int> inside, EdgeKind first, EdgeKind rest, bool neverAdjacent = false, bool otherAnti = false, HashSet<int>? sources = null)
    {
        List<Edge>? best = null;
        var starts = (sources ?? inside).SelectMany(n => _out[n]).Where(e => (e.Kind & first) != 0 && inside.Contains(e.To));
        foreach (var start in starts)
        {
            var cycle = Back(start, inside, rest, neverAdjacent, otherAnti, best?.Count ?? int.MaxValue);
            if (cycle is not null)
                best = cycle;
            if (best?.Count <= 3)
                break;
        }

        return best;
    }

    private List<Edge>? Back(Edge start, HashSet<int> inside, EdgeKind rest, bool neverAdjacent, bool otherAnti, int shorterThan)
    {
        // A place of the search is a transaction and one bit: neverAdjacent: was it entered at its commit; otherAnti: was there
        // an anti-dependency besides the start.
        var origin = (Node: start.To, Bit: neverAdjacent);
        var cameBy = new Dictionary<(int, bool), (Edge Edge, (int, bool) Place)>();
        var queue = new Queue<((int Node, bool Bit) Place, int Length)>();
        queue.Enqueue((origin, 1));
        var seen = new HashSet<(int, bool)> { origin };
        while (queue.TryDequeue(out var at))
        {
            if (at.Length + 1 >= shorterThan)
                return null;
            foreach (var edge in _out[at.Place.Node])
            {
                if ((edge.Kind & rest) == 0 || !inside.Contains(edge.To))
                    continue;
                var isAnti = (edge.Kind & Anti) != 0;
                var entersAtCommit = isAnti || edge.Kind == EdgeKind.BlindWriteWrite;
                if (neverAdjacent && ((isAnti && at.Place.Bit) || (entersAtCommit && edge.To == start.From)))
                    continue;
                var place = (edge.To, Bit: neverAdjacent ? entersAtCommit : otherAnti && (at.Place.Bit || isAnti));
                if (edge.To == start.From && (!otherAnti || place.Bit))
                {
                    List<Edge> cycle = [edge];
                    for (var back = at.Place; back != origin; back = cameBy[back].Place)
                        cycle.Add(cameBy[back].Edge);
                    cycle.Add(start);
                    cycle.Reverse();
                    return cycle;
                }

                if (edge.To != start.From && seen.Add(place))
                {
                    cameBy[place] = (edge, at.Place);
                    queue.Enqueue((place, at.Length + 1));
                }
            }
        }

        return null;
    }

    /// <summary>Strongly connected components of two or more, Tarjan's algorithm without recursion; null = not in the graph.</summary>
    private static List<List<int>> Components(List<int>?[] next)
    {
        var components = new List<List<int>>();
        var number = new int[next.Length];
        var low = new int[next.Length];
        var isOpen = new bool[next.Length];
        var open = new Stack<int>();
        var calls = new Stack<(int Node, int Edge)>();
        var last = 0;
        for (var root = 0; root < next.Length; root++)
        {
            if (next[root] is null || number[root] != 0)
                continue;
            calls.Push((root, 0));
            while (calls.TryPop(out var call))
            {
                var (node, edge) = call;
                if (edge == 0)
                {
                    number[node] = low[node] = ++last;
                    open.Push(node);
                    isOpen[node] = true;
                }
                else
                {
                    low[node] = Math.Min(low[node], low[next[node]![edge - 1]]);     // back from a child
                }

                var descended = false;
                for (; edge < next[node]!.Count; edge++)
                {
                    var target = next[node]![edge];
                    if (number[target] == 0)
                    {
                        calls.Push((node, edge + 1));
                        calls.Push((target, 0));
                        descended = true;
                        break;
                    }

                    if (isOpen[target])
                        low[node] = Math.Min(low[node], number[target]);
                }

                if (descended || low[node] != number[node])
                    continue;
                var component = new List<int>();
                int member;
                do
                {
                    member = open.Pop();
                    isOpen[member] = false;
                    component.Add(member);
                }
                while (member != node);
                if (component.Count > 1)
                    components.Add(component);
            }
        }

        return components;
    }
}
