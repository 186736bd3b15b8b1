using System.Text;

// The direct serialisation graph of Adya, "Weak Consistency" (1999): who must come before whom, and why; and the search for its
// cycles, in the order of their gravity. Real-time edges make the question strict serializability.
//
//   ww  u wrote the version that v replaced        rw   u read the version that v replaced (anti-dependency)
//   wr  v read what u wrote                        rwp  the same, through a range in which v's key was absent
//   rt  u had returned before v began
//
//   cycle of                        is named            Snapshot allows it
//   ww (rt)                         G0                  no
//   ww, wr (rt), at least one wr    G1c                 no
//   exactly one rw or rwp           G-single            no
//   more, none next to another      G-nonadjacent       no   (long fork; two snapshots that no order explains)
//   two next to each other, all rw  G2-item             yes  (write skew)
//   the same with an rwp            G2                  yes  (write skew by phantom)
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
            _ => "rt",
        };
        return Key.Length == 0 ? kind : $"{kind} {Key}";
    }
}

internal sealed class DependencyGraph(int count)
{
    internal const EdgeKind Anti = EdgeKind.ReadWrite | EdgeKind.PredicateReadWrite;

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
        foreach (var component in Components())
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
        const EdgeKind firm = EdgeKind.WriteWrite | EdgeKind.WriteRead;
        var found = new HashSet<Anomaly>();
        foreach (var time in (EdgeKind[])[EdgeKind.None, EdgeKind.RealTime])
        {
            (Anomaly, Func<List<Edge>?>)[] searches =
            [
                (Anomaly.G0, () => Shortest(inside, EdgeKind.WriteWrite, EdgeKind.WriteWrite | time)),
                (Anomaly.G1c, () => Shortest(inside, EdgeKind.WriteRead, firm | time)),
                (Anomaly.GSingle, () => Shortest(inside, Anti, firm | time)),
                (Anomaly.GNonadjacent, () => found.Contains(Anomaly.GSingle) ? null : Shortest(inside, Anti, firm | Anti | time, neverAdjacent: true)),
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

    /// <summary>Shortest way that starts with an edge of <paramref name="first"/> and comes back over edges of <paramref name="rest"/>.</summary>
    /// <param name="neverAdjacent">No two anti-dependencies follow each other, over the seam neither.</param>
    /// <param name="otherAnti">At least one more anti-dependency: otherwise it is a G-single, found before.</param>
    private List<Edge>? Shortest(HashSet<int> inside, EdgeKind first, EdgeKind rest, bool neverAdjacent = false, bool otherAnti = false)
    {
        List<Edge>? best = null;
        var starts = inside.SelectMany(n => _out[n]).Where(e => (e.Kind & first) != 0 && inside.Contains(e.To));
        foreach (var start in starts)
        {
            var cycle = Back(start, inside, rest, neverAdjacent, otherAnti, best?.Count ?? int.MaxValue);
            if (cycle is not null)
                best = cycle;
            if (best?.Count == 2)
                break;
        }

        return best;
    }

    private List<Edge>? Back(Edge start, HashSet<int> inside, EdgeKind rest, bool neverAdjacent, bool otherAnti, int shorterThan)
    {
        // A place of the search is a transaction and one bit: neverAdjacent: was the last edge an anti-dependency;
        // otherAnti: was there one besides the start.
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
                if (neverAdjacent && isAnti && (at.Place.Bit || edge.To == start.From))
                    continue;
                var place = (edge.To, Bit: neverAdjacent ? isAnti : otherAnti && (at.Place.Bit || isAnti));
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

    /// <summary>Strongly connected components of two or more transactions, Tarjan's algorithm without recursion.</summary>
    private List<List<int>> Components()
    {
        var components = new List<List<int>>();
        var number = new int[_out.Length];
        var low = new int[_out.Length];
        var isOpen = new bool[_out.Length];
        var open = new Stack<int>();
        var calls = new Stack<(int Node, int Next)>();
        var last = 0;
        for (var root = 0; root < _out.Length; root++)
        {
            if (number[root] != 0)
                continue;
            calls.Push((root, 0));
            while (calls.TryPop(out var call))
            {
                var (node, next) = call;
                if (next == 0)
                {
                    number[node] = low[node] = ++last;
                    open.Push(node);
                    isOpen[node] = true;
                }
                else
                {
                    low[node] = Math.Min(low[node], low[_out[node][next - 1].To]);   // back from a child, or an open one
                }

                var descended = false;
                for (; next < _out[node].Count; next++)
                {
                    var edge = _out[node][next];
                    if (number[edge.To] == 0)
                    {
                        calls.Push((node, next + 1));
                        calls.Push((edge.To, 0));
                        descended = true;
                        break;
                    }

                    if (isOpen[edge.To])
                        low[node] = Math.Min(low[node], number[edge.To]);
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
