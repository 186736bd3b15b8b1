using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Makes the patch that leads from one document to another. Objects are compared by name, arrays by a longest common
/// subsequence (Wagner and Fischer 1974) of what lies between their common beginning and end, as long as that table is small.</summary>
internal sealed class PatchDiff
{
    // Above this the table is not made, and elements are compared in pairs. Chosen: a megabyte of counts.
    private const int CellsMax = 1 << 18;

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
                _operations.Add(JsonPatchOperation.Add(Here(segment), to.Values[member]));
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
        if (from.Length == to.Length || (long)(from.Length + 1) * (to.Length + 1) > CellsMax)
            Pair(from, to, head);
        else
            FollowCommon(from, to, head);
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
            _operations.Add(JsonPatchOperation.Add(Here(PathSegment.OfIndex(head + n)), to[n]));
    }

    private void FollowCommon(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to, int head)
    {
        var width = to.Length + 1;
        var numbers = new Dictionary<Value, int>();
        var lefts = Numbers(from, numbers);
        var rights = Numbers(to, numbers);
        var common = CommonLengths(lefts, rights, width);
        var (left, right, index) = (0, 0, head);
        while ((left < from.Length || right < to.Length) && !IsTooLong)
        {
            if (left < from.Length && right < to.Length && lefts[left] == rights[right])
            {
                left++;
                right++;
                index++;
            }
            else if (left < from.Length && right < to.Length && common[left * width + right] == common[(left + 1) * width + right + 1])
            {
                // Neither is part of what both have: one becomes the other.
                Into(PathSegment.OfIndex(index++), from[left++], to[right++]);
            }
            else if (right == to.Length
                || (left < from.Length && common[(left + 1) * width + right] >= common[left * width + right + 1]))
            {
                _operations.Add(JsonPatchOperation.Remove(Here(PathSegment.OfIndex(index))));
                left++;
            }
            else
            {
                _operations.Add(JsonPatchOperation.Add(Here(PathSegment.OfIndex(index++)), to[right++]));
            }
        }
    }

    // Equal elements get equal numbers, so that each is read once and not once for each cell of the table.
    private static int[] Numbers(ReadOnlySpan<Value> items, Dictionary<Value, int> numbers)
    {
        var result = new int[items.Length];
        for (var n = 0; n < items.Length; n++)
        {
            if (!numbers.TryGetValue(items[n], out result[n]))
                numbers.Add(items[n], result[n] = numbers.Count);
        }

        return result;
    }

    // At [l, r]: how many elements lefts[l..] and rights[r..] have in common, in order.
    private static int[] CommonLengths(int[] lefts, int[] rights, int width)
    {
        var common = new int[(lefts.Length + 1) * width];
        for (var left = lefts.Length - 1; left >= 0; left--)
        {
            for (var right = rights.Length - 1; right >= 0; right--)
            {
                common[left * width + right] = lefts[left] == rights[right]
                    ? common[(left + 1) * width + right + 1] + 1
                    : Math.Max(common[(left + 1) * width + right], common[left * width + right + 1]);
            }
        }

        return common;
    }

    private void Into(PathSegment segment, in Value from, in Value to)
    {
        _path.Add(segment);
        Compare(from, to);
        _path.RemoveAt(_path.Count - 1);
    }

    private DocumentPath Here(PathSegment segment) => new([.. _path, segment]);

    private DocumentPath Here() => _path.Count == 0 ? DocumentPath.Root : new DocumentPath([.. _path]);
}
