using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// Differences of traces. A trace that both sides have under one id is the same step; it differs when one side has redacted it. Ids are
/// made and not chosen, so two agents that did the same have other ids for it: the rest is matched by its place in the tree. Siblings are
/// put side by side in the order of their times; those of equal content are matched first, as long a row of them as there is, and between
/// them what stands opposite each other and is of one type is the same step with another content.
/// <code>
///      A   thought "refund?"          B   thought "refund?"            matched by content
///            tool crm 4711                  tool crm 4711              matched by content
///            tool mail "sorry"              tool mail "done"           Modified
///                                           error timeout              Added
/// </code>
/// Time, duration and ids are no content.
/// </summary>
internal static class TraceDifferences
{
    /// <summary>Chosen: longest product of two lists of siblings whose longest common row is looked for. Beyond it they stand opposite each
    /// other by their places alone.</summary>
    private const long MatchedMax = 4_000_000;

    internal static IEnumerable<DiffItem> Of(DiffEnd a, DiffEnd b, ChangedKeys? touched)
    {
        var (inA, inB) = (Read(a, touched), Read(b, touched));
        var items = new List<DiffItem>();
        foreach (var (id, before) in inA)
        {
            if (inB.TryGetValue(id, out var after) && before.Content != after.Content)
                items.Add(Modified(before, after, []));
        }

        var ownA = Grow(inA, inB);
        var ownB = Grow(inB, inA);
        foreach (var parent in ownA.Keys.Union(ownB.Keys).OrderBy(parent => parent.Bits))
            Match(ownA.GetValueOrDefault(parent) ?? [], ownB.GetValueOrDefault(parent) ?? [], items);
        return items;
    }

    /// <summary>A trace without what makes no difference.</summary>
    internal static Value Compared(in Value content)
    {
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var (name, value) in content.AsObject())
        {
            if (name is "time" or "parent" or "duration")
                continue;
            members.Add(new(name, name == "step" && value.TryGetMember("duration", out var _)
                ? Value.Object(value.AsObject().Where(member => member.Key != "duration"))
                : value));
        }

        return Value.Object(members);
    }

    // ---- what each side has ---------------------------------------------------------------------------------------------------

    private static Dictionary<TraceId, Node> Read(DiffEnd end, ChangedKeys? touched)
    {
        var nodes = new Dictionary<TraceId, Node>();
        using var reader = end.Run.Store.Read();
        if (touched is not null)
        {
            foreach (var key in touched.Of(StoreKeys.Trace))
            {
                if (reader.TryGet(key, end.Sequence, out var version) && !version.IsTombstone)
                    Add(nodes, key, version);
            }

            return nodes;
        }

        byte[] from = [StoreKeys.Trace];
        byte[] to = [StoreKeys.Trace + 1];
        var scan = reader.Scan(from, to, end.Sequence);
        while (scan.MoveNext())
            Add(nodes, scan.Key, scan.Version);
        return nodes;
    }

    private static void Add(Dictionary<TraceId, Node> nodes, ReadOnlySpan<byte> key, scoped in Tables.VersionView version)
    {
        if (nodes.Count == DiffOptions.TracesMax)
            throw new LimitException(nameof(DiffOptions.TracesMax), DiffOptions.TracesMax, nodes.Count + 1L, "traces");
        var id = TraceId.Read(key[1..]);
        Invariant.Check(
            Fields.TryRead(version.Value, out var fields) && TraceContent.TryReadOrder(fields, out _), "a stored trace reads back");
        nodes.Add(id, new Node(id, fields, version.Sequence));
    }

    /// <summary>The traces that only this side has, as trees: by the parent that both have, or none.</summary>
    private static Dictionary<TraceId, List<Node>> Grow(Dictionary<TraceId, Node> nodes, Dictionary<TraceId, Node> others)
    {
        var tops = new Dictionary<TraceId, List<Node>>();
        foreach (var node in nodes.Values)
        {
            if (others.ContainsKey(node.Id))
                continue;
            var parent = node.Parent ?? default;
            if (nodes.TryGetValue(parent, out var above) && !others.ContainsKey(parent))
                above.Children.Add(node);
            else
                (tops.TryGetValue(parent, out var siblings) ? siblings : tops[parent] = []).Add(node);
        }

        foreach (var siblings in nodes.Values.Select(node => node.Children).Concat(tops.Values))
            siblings.Sort(static (left, right) => (left.Time, left.Id.Bits).CompareTo((right.Time, right.Id.Bits)));
        return tops;
    }

    // ---- matching -------------------------------------------------------------------------------------------------------------

    // Without recursion: a chain of steps may be as deep as it is long.
    private static void Match(List<Node> topsA, List<Node> topsB, List<DiffItem> items)
    {
        var waiting = new Stack<(Node? A, Node? B, int[] Path)>();
        Push(waiting, topsA, topsB, []);
        while (waiting.TryPop(out var pair))
        {
            var (a, b, path) = pair;
            if (a is null || b is null)
                items.Add(new DiffItem(ItemAddress.OfTrace((a ?? b)!.Id), a is null ? DiffKind.Added : DiffKind.Removed)
                {
                    Before = a?.Version,
                    After = b?.Version,
                    Path = path,
                });
            else if (a.Content != b.Content)
                items.Add(Modified(a, b, path));
            Push(waiting, a?.Children ?? [], b?.Children ?? [], path);
        }
    }

    private static void Push(Stack<(Node? A, Node? B, int[] Path)> waiting, List<Node> a, List<Node> b, int[] path)
    {
        var pairs = Pair(a, b);
        for (var i = pairs.Count - 1; i >= 0; i--)
            waiting.Push((pairs[i].A, pairs[i].B, [.. path, i]));
    }

    private static List<(Node? A, Node? B)> Pair(List<Node> a, List<Node> b)
    {
        var pairs = new List<(Node?, Node?)>();
        var (atA, atB) = (0, 0);
        foreach (var (nextA, nextB) in InBoth(a, b).Append((a.Count, b.Count)))
        {
            Between(a[atA..nextA], b[atB..nextB], pairs);
            if (nextA < a.Count && nextB < b.Count)
                pairs.Add((a[nextA], b[nextB]));
            (atA, atB) = (nextA + 1, nextB + 1);
        }

        return pairs;
    }

    // What is left between two that are the same: opposite each other, as long as the types agree.
    private static void Between(List<Node> a, List<Node> b, List<(Node?, Node?)> pairs)
    {
        for (var i = 0; i < Math.Max(a.Count, b.Count); i++)
        {
            var (inA, inB) = (a.ElementAtOrDefault(i), b.ElementAtOrDefault(i));
            if (inA is null || inB is null || inA.Type == inB.Type)
            {
                pairs.Add((inA, inB));
                continue;
            }

            pairs.Add((inA, null));
            pairs.Add((null, inB));
        }
    }

    // The longest common row of equal contents (Wagner and Fischer, The String-to-String Correction Problem, JACM 1974).
    private static List<(int A, int B)> InBoth(List<Node> a, List<Node> b)
    {
        var same = new List<(int, int)>();
        var (from, endA, endB) = (0, a.Count, b.Count);
        while (from < endA && from < endB && a[from].Content == b[from].Content)
            same.Add((from, from++));
        var tail = new List<(int, int)>();
        while (endA > from && endB > from && a[endA - 1].Content == b[endB - 1].Content)
            tail.Add((--endA, --endB));
        tail.Reverse();
        var (rows, columns) = (endA - from, endB - from);
        if ((long)rows * columns is > 0 and <= MatchedMax)
        {
            var longest = new int[rows + 1, columns + 1];
            for (var i = rows - 1; i >= 0; i--)
            {
                for (var j = columns - 1; j >= 0; j--)
                {
                    longest[i, j] = a[from + i].Content == b[from + j].Content
                        ? longest[i + 1, j + 1] + 1
                        : Math.Max(longest[i + 1, j], longest[i, j + 1]);
                }
            }

            for (var (i, j) = (0, 0); i < rows && j < columns;)
            {
                if (a[from + i].Content == b[from + j].Content)
                    same.Add((from + i++, from + j++));
                else if (longest[i + 1, j] != longest[i, j + 1] ? longest[i + 1, j] > longest[i, j + 1] : IsFirst(a[from + i], b[from + j]))
                    i++;
                else
                    j++;
            }
        }

        same.AddRange(tail);
        return same;
    }

    // Of two rows that are as long the same one is taken whichever side comes first, so that a difference seen from B mirrors that from A.
    private static bool IsFirst(Node a, Node b) => a.Content.GetHashCode() != b.Content.GetHashCode()
        ? a.Content.GetHashCode() < b.Content.GetHashCode()
        : string.CompareOrdinal(a.Content.ToJson(), b.Content.ToJson()) < 0;

    private static DiffItem Modified(Node a, Node b, int[] path) => new(ItemAddress.OfTrace(a.Id), DiffKind.Modified)
    {
        Before = a.Version,
        After = b.Version,
        OtherAddress = a.Id == b.Id ? null : ItemAddress.OfTrace(b.Id),
        Path = path,
    };

    private sealed class Node
    {
        private readonly Value _stored;
        private readonly ulong _sequence;

        internal Node(TraceId id, in Fields fields, ulong sequence)
        {
            TraceContent.TryReadOrder(fields, out var order);
            Id = id;
            (_stored, _sequence) = (fields.Object, sequence);
            (Type, Time, Parent) = (order.Type, order.Time, order.Parent);
            Content = Compared(fields.Object);
        }

        internal TraceId Id { get; }

        internal TraceId? Parent { get; }

        internal TraceType Type { get; }

        internal long Time { get; }

        internal Value Content { get; }

        internal List<Node> Children { get; } = [];

        internal DiffVersion Version
        {
            get
            {
                var isRedacted = !_stored.TryGetMember("step", out _);
                return new DiffVersion(
                    isRedacted ? Value.Null : Value.Object(_stored.AsObject().Where(member => member.Key is not ("time" or "parent"))),
                    new Sequence(_sequence), CommitClock.Time(Time))
                {
                    Type = Type.ToString(),
                    IsRedacted = isRedacted,
                };
            }
        }
    }
}
