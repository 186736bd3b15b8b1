// Which element of one array becomes which of another
// ---------------------------------------------------
//   from  [a, b, c, {id: 1, n: 2}]         keep a, remove b, keep c, change {id: 1} (its member n), add d
//   to    [a, c, {id: 1, n: 3}, d]
//
// A1  Small arrays: a table of what it costs to make the rest of one of the rest of the other (Wagner and Fischer, The String-to-String
//     Correction Problem, 1974). An element that is put in, taken out or replaced costs one operation; one that becomes another which is
//     alike costs less, so that an object which has changed in one member finds itself again. With equal costs, more elements are kept.
//     Of elements that are not alike the patch has the least number of operations there is.
// A2  Large arrays that differ in few elements: the elements that stay (Myers, An O(ND) Difference Algorithm, 1986); what lies between
//     them is a case of A1 again.
// A3  Both are bounded: CellsMax numbers, DifferencesMax differences and WorkMax comparisons of numbers. Each element is read once, and
//     has a number from then on that equal elements share.
using System.Runtime.InteropServices;

namespace Cairn.Documents;

internal enum AlignmentStep : byte
{
    Keep,
    Change,
    Remove,
    Add,
}

/// <summary>Finds which elements of an array stay, change, go and come: A1 to A3 at the top of this file.</summary>
internal static class ElementAlignment
{
    /// <summary>Most cells of the table. Chosen: a megabyte of costs.</summary>
    internal const int CellsMax = 1 << 18;

    // Their squares are as many numbers as the table has.
    private const int DifferencesMax = 511;
    private const long WorkMax = 1 << 26;

    // A change costs a little more than one operation, so that more elements are kept where the number of operations is the same; fewer
    // than a thousand changes have room in a table.
    private const int CostOfOperation = 1_024;
    private const int CostOfChange = CostOfOperation + 1;
    private const int CostOfAlike = CostOfOperation * 3 / 4;

    private const int MarksMax = 16;

    /// <summary>The steps from the first array to the second, in order. Both have elements, and the table for them is small.</summary>
    internal static List<AlignmentStep> Between(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to)
    {
        var numbers = new Dictionary<Value, int>();
        var (lefts, rights) = (Numbers(from, numbers), Numbers(to, numbers));
        var (leftMarks, rightMarks) = (Marks(from), Marks(to));
        var width = rights.Length + 1;
        var costs = new int[(lefts.Length + 1) * width];
        for (var left = lefts.Length; left >= 0; left--)
        {
            for (var right = rights.Length; right >= 0; right--)
                costs[(left * width) + right] = Cost(left, right);
        }

        var steps = new List<AlignmentStep>();
        for (var (left, right) = (0, 0); left < lefts.Length || right < rights.Length;)
        {
            var step = StepAt(left, right);
            steps.Add(step);
            left += step == AlignmentStep.Add ? 0 : 1;
            right += step == AlignmentStep.Remove ? 0 : 1;
        }

        return steps;

        int Change(int left, int right) => AreAlike(leftMarks[left], rightMarks[right]) ? CostOfAlike : CostOfChange;

        int Cost(int left, int right)
        {
            if (left == lefts.Length || right == rights.Length)
                return (lefts.Length - left + rights.Length - right) * CostOfOperation;
            var here = (left * width) + right;
            if (lefts[left] == rights[right])
                return costs[here + width + 1];
            var oneSided = Math.Min(costs[here + width], costs[here + 1]) + CostOfOperation;
            return Math.Min(oneSided, costs[here + width + 1] + Change(left, right));
        }

        AlignmentStep StepAt(int left, int right)
        {
            if (left == lefts.Length)
                return AlignmentStep.Add;
            if (right == rights.Length)
                return AlignmentStep.Remove;
            var here = (left * width) + right;
            if (lefts[left] == rights[right])
                return AlignmentStep.Keep;
            if (costs[here] == costs[here + width + 1] + Change(left, right))
                return AlignmentStep.Change;
            return costs[here] == costs[here + width] + CostOfOperation ? AlignmentStep.Remove : AlignmentStep.Add;
        }
    }

    /// <summary>For each element of the first array the place in the second one where it stays, -1 for those that do not.</summary>
    /// <returns>Null when they differ in too much.</returns>
    internal static int[]? TryCommon(ReadOnlySpan<Value> from, ReadOnlySpan<Value> to)
    {
        var most = (int)Math.Min(DifferencesMax, WorkMax / (from.Length + (long)to.Length));
        if (Math.Abs(from.Length - to.Length) > most)
            return null;
        var numbers = new Dictionary<Value, int>();
        var (lefts, rights) = (Numbers(from, numbers), Numbers(to, numbers));
        var ways = new List<int[]>();
        var furthest = new int[(2 * most) + 3];
        var middle = most + 1;
        for (var differences = 0; differences <= most; differences++)
        {
            // What the round before has left, from diagonal -differences to differences.
            ways.Add(furthest[(middle - differences)..(middle + differences + 1)]);
            for (var diagonal = -differences; diagonal <= differences; diagonal += 2)
            {
                var left = differences == 0 ? 0
                    : IsFromAbove(furthest, middle, diagonal, differences)
                        ? furthest[middle + diagonal + 1] : furthest[middle + diagonal - 1] + 1;
                var right = left - diagonal;
                while (left < lefts.Length && right < rights.Length && lefts[left] == rights[right])
                {
                    left++;
                    right++;
                }

                furthest[middle + diagonal] = left;
                if (left >= lefts.Length && right >= rights.Length)
                    return Partners(ways, lefts.Length, rights.Length);
            }
        }

        return null;
    }

    // An element of the second array is put in, and none of the first taken out.
    private static bool IsFromAbove(int[] furthest, int middle, int diagonal, int differences) => diagonal == -differences
        || (diagonal != differences && furthest[middle + diagonal - 1] < furthest[middle + diagonal + 1]);

    private static int[] Partners(List<int[]> ways, int left, int right)
    {
        var partners = new int[left];
        Array.Fill(partners, -1);
        for (var differences = ways.Count - 1; differences > 0; differences--)
        {
            var way = ways[differences];
            var diagonal = left - right;
            diagonal += IsFromAbove(way, differences, diagonal, differences) ? 1 : -1;
            var before = way[differences + diagonal];
            Follow(before, before - diagonal);
        }

        Follow(0, 0);
        return partners;

        // Back along the elements that stay, to where the way before ended.
        void Follow(int toLeft, int toRight)
        {
            while (left > toLeft && right > toRight)
                partners[--left] = --right;
            (left, right) = (toLeft, toRight);
        }
    }

    // Equal elements get equal numbers, so that each is read once and not once for each cell of the table.
    private static int[] Numbers(ReadOnlySpan<Value> items, Dictionary<Value, int> numbers)
    {
        var result = new int[items.Length];
        for (var n = 0; n < items.Length; n++)
        {
            ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(numbers, items[n], out var isThere);
            if (!isThere)
                number = numbers.Count;
            result[n] = number;
        }

        return result;
    }

    /// <summary>Two objects that have half of their members in common, or two arrays with an equal first or last element.</summary>
    internal static bool AreAlike(in Value from, in Value to) => AreAlike(MarksOf(from), MarksOf(to));

    private static bool AreAlike(int[] left, int[] right)
    {
        var (l, r, common) = (0, 0, 0);
        while (l < left.Length && r < right.Length)
        {
            var order = left[l].CompareTo(right[r]);
            common += order == 0 ? 1 : 0;
            l += order <= 0 ? 1 : 0;
            r += order >= 0 ? 1 : 0;
        }

        return common > 0 && 2 * common >= Math.Min(left.Length, right.Length);
    }

    private static int[][] Marks(ReadOnlySpan<Value> items)
    {
        var marks = new int[items.Length][];
        for (var n = 0; n < items.Length; n++)
            marks[n] = MarksOf(items[n]);
        return marks;
    }

    // Hashes of some of what is in a container, in order: enough to guess by, and a wrong guess costs an operation.
    private static int[] MarksOf(in Value value)
    {
        if (value.Kind == ValueKind.Array && value.Count > 0)
        {
            var items = value.Elements.Items;
            return Ordered([Mark(items[0], 1), Mark(items[^1], 2)]);
        }

        if (value.Kind != ValueKind.Object)
            return [];
        var members = value.Members;
        var marks = new int[Math.Min(members.Count, MarksMax)];
        for (var n = 0; n < marks.Length; n++)
            marks[n] = Mark(members.Values[n], ((Value)members.Names[n]).GetHashCode());
        return Ordered(marks);
    }

    // The same in every process, so that a patch is.
    private static int Mark(in Value value, int salt) => unchecked((value.GetHashCode() * 31) + salt);

    private static int[] Ordered(int[] marks)
    {
        Array.Sort(marks);
        return marks;
    }
}
