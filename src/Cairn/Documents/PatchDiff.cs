using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Makes the patch that leads from one document to another. Objects are compared by name; arrays by <see cref="ElementAlignment"/>
/// of what lies between their common beginning and end.</summary>
internal sealed class PatchDiff
{
    // What an operation takes beside its value: its word, a short path, and what JSON needs around them.
    private const int BytesOfOperation = 30;

    private readonly List<JsonPatchOperation> _operations = [];
    private readonly List<PathSegment> _path = [];
    private readonly Limits _limits;

    private PatchDiff(Limits limits) => _limits = limits;

    private bool IsTooLong => _operations.Count > _limits.PatchOperationsMax;

    internal static IEnumerable<JsonPatchOperation> Between(in Value from, in Value to, Limits limits)
    {
        var diff = new PatchDiff(limits);
        diff.Compare(from, to);
        return diff.IsTooLong ? [JsonPatchOperation.Replace(DocumentPath.Root, to)] : diff._operations;
    }

    private void Compare(in Value from, in Value to)
    {
        if (IsTooLong || from.Equals(to))
            return;
        var canGoOn = _path.Count < _limits.PathSegmentsMax;
        if (canGoOn && from.Kind == ValueKind.Object && to.Kind == ValueKind.Object)
            CompareMembers(from.Members, to.Members);
        else if (canGoOn && from.Kind == ValueKind.Array && to.Kind == ValueKind.Array)
            CompareElements(from.Elements.Items, to.Elements.Items);
        else
            _operations.Add(JsonPatchOperation.Replace(Here(), to));
    }

    private void CompareMembers(ValueMembers from, ValueMembers to)
    {
        for (var member = 0; member < from.Count && !IsTooLong; member++)
        {
            if (!to.ContainsKey(from.Names[member]))
                _operations.Add(JsonPatchOperation.Remove(Here(PathSegment.OfName(from.Names[member]))));
        }

        for (var member = 0; member < to.Count && !IsTooLong; member++)
        {
            var segment = PathSegment.OfName(to.Names[member]);
            if (from.TryGetValue(to.Names[member], out var before))
                Into(segment, before, to.Values[member]);
            else
                Add(segment, to.Values[member]);
        }
    }

    private void CompareElements(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to)
    {
        var head = from.CommonPrefixLength(to);
        from = from[head..];
        to = to[head..];
        var tail = 0;
        while (tail < from.Length && tail < to.Length && from[^(tail + 1)] == to[^(tail + 1)])
            tail++;
        from = from[..^tail];
        to = to[..^tail];
        if (IsSmall(from.Length, to.Length))
            Align(from, to, head);
        else if (ElementAlignment.TryCommon(from, to) is { } partners)
            BetweenCommon(from, to, partners, head);
        else
            Pair(from, to, head);
    }

    private static bool IsSmall(int from, int to) => (long)(from + 1) * (to + 1) <= ElementAlignment.CellsMax;

    // What lies between the elements that stay is small, as a rule, however long the arrays are.
    private void BetweenCommon(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to, int[] partners, int head)
    {
        var (left, right) = (0, 0);
        for (var next = 0; next <= from.Length && !IsTooLong; next++)
        {
            if (next < from.Length && partners[next] < 0)
                continue;
            var gap = from[left..next];
            var other = to[right..(next < from.Length ? partners[next] : to.Length)];
            if (IsSmall(gap.Length, other.Length))
                Align(gap, other, head + right);
            else
                Pair(gap, other, head + right);
            (left, right) = (next + 1, right + other.Length + 1);
        }
    }

    private void Align(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to, int head)
    {
        if (from.IsEmpty || to.IsEmpty)
        {
            Pair(from, to, head);
            return;
        }

        var (left, right) = (0, 0);
        foreach (var step in ElementAlignment.Between(from, to))
        {
            if (IsTooLong)
                return;
            var segment = PathSegment.OfIndex(head + right);
            switch (step)
            {
                case AlignmentStep.Keep:
                    left++;
                    right++;
                    break;
                case AlignmentStep.Change:
                    Into(segment, from[left++], to[right++]);
                    break;
                case AlignmentStep.Remove:
                    _operations.Add(JsonPatchOperation.Remove(Here(segment)));
                    left++;
                    break;
                default:
                    Add(segment, to[right++]);
                    break;
            }
        }
    }

    // Element against element; what one side has more is removed from its end, or put in there.
    private void Pair(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to, int head)
    {
        var both = Math.Min(from.Length, to.Length);
        for (var n = 0; n < both; n++)
            Into(PathSegment.OfIndex(head + n), from[n], to[n]);
        for (var n = from.Length - 1; n >= both && !IsTooLong; n--)
            _operations.Add(JsonPatchOperation.Remove(Here(PathSegment.OfIndex(head + n))));
        for (var n = both; n < to.Length && !IsTooLong; n++)
            Add(PathSegment.OfIndex(head + n), to[n]);
    }

    private void Add(PathSegment segment, in Value value)
    {
        if (!Mutant.Is("doc-diff-drops-an-element"))
            _operations.Add(JsonPatchOperation.Add(Here(segment), value));
    }

    // Two containers that have little in common are not followed into, where one operation says it shorter.
    private void Into(PathSegment segment, in Value from, in Value to)
    {
        var before = _operations.Count;
        _path.Add(segment);
        Compare(from, to);
        if (_operations.Count > before + 1 && !IsTooLong && !ElementAlignment.AreAlike(from, to) && Bytes(before) > to.Measure.Bytes)
        {
            _operations.RemoveRange(before, _operations.Count - before);
            _operations.Add(JsonPatchOperation.Replace(Here(), to));
        }

        _path.RemoveAt(_path.Count - 1);
    }

    private long Bytes(int first)
    {
        long bytes = 0;
        for (var n = first; n < _operations.Count; n++)
            bytes += BytesOfOperation + _operations[n].Value.Measure.Bytes;
        return bytes - BytesOfOperation;
    }

    private DocumentPath Here(PathSegment segment) => new([.. _path, segment]);

    private DocumentPath Here() => _path.Count == 0 ? DocumentPath.Root : new DocumentPath([.. _path]);
}
