namespace Cairn.Checkpoints;

/// <summary>
/// Which tables of a checkpoint become one. Neighbours only: of tables that have one between them, what is newer could come to lie below
/// what is older.
/// <code>
///      newest                                  oldest
///      1    1    2    1  |  9    30   200             4 neighbours, each at most twice the sum of those before it: they become one
///      5                 |  9    30   200             5 9 are two; 30 is more than twice 14: nothing to do
/// </code>
/// So from any table on, within the next three there is one of more than twice its size, and n bytes of tables are O(log n) tables. A byte
/// is written again when it comes to lie in a table that is larger by half at least: O(log n) times, too.
/// </summary>
internal static class MergeChoice
{
    /// <summary>Fewer are not worth it.</summary>
    internal const int TablesMin = 4;

    /// <summary>A smaller table counts as one of this size: opening and asking cost the same.</summary>
    private const long BytesMin = 256 << 10;

    /// <summary>The first such neighbours, from the newest on; a count of 0 when there are none.</summary>
    /// <param name="bytes">Of the tables, newest first.</param>
    internal static (int First, int Count) Of(ReadOnlySpan<long> bytes)
    {
        for (var first = 0; first + TablesMin <= bytes.Length; first++)
        {
            var count = 1;
            for (var sum = SizeOf(bytes[first]); first + count < bytes.Length; count++)
            {
                var next = SizeOf(bytes[first + count]);
                if (next > 2 * sum)
                    break;
                sum += next;
            }

            if (count >= TablesMin)
                return (first, count);
        }

        return default;
    }

    private static long SizeOf(long bytes) => Math.Max(bytes, BytesMin);
}
