namespace Cairn.Tests.Checkers;

/// <summary>Makes a failing list short: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
/// 2002), then single items, then smaller forms of the items that are left.</summary>
public static class Shrinker
{
    /// <summary>The shortest list found on which <paramref name="fails"/> still answers true. It must be true for the whole list.
    /// A predicate should run on fresh state each time and ask for the same failure, not for any.</summary>
    /// <param name="items">What failed.</param>
    /// <param name="fails">Runs a list.</param>
    /// <param name="simpler">Smaller forms of one item, best first.</param>
    /// <param name="runsMax">Bound on calls of the predicate.</param>
    public static List<T> Shrink<T>(
        IReadOnlyList<T> items, Func<IReadOnlyList<T>, bool> fails, Func<T, IEnumerable<T>>? simpler = null, int runsMax = 5_000)
    {
        var best = items.ToList();
        var runs = 0;
        bool Fails(List<T> candidate) => runs++ < runsMax && fails(candidate);

        bool isSmaller;
        do
        {
            isSmaller = false;
            for (var chunk = Math.Max(1, best.Count / 2); chunk >= 1 && runs < runsMax; chunk /= 2)
            {
                for (var at = best.Count - chunk; at > -chunk && runs < runsMax; at -= chunk)
                {
                    var from = Math.Max(0, at);
                    var length = Math.Min(chunk, best.Count - from);
                    if (length <= 0 || (at < 0 && at + chunk <= 0))
                        continue;
                    var candidate = best.ToList();
                    candidate.RemoveRange(from, length);
                    if (candidate.Count < best.Count && Fails(candidate))
                    {
                        best = candidate;
                        isSmaller = true;
                    }
                }
            }

            for (var i = 0; simpler is not null && i < best.Count && runs < runsMax; i++)
            {
                foreach (var form in simpler(best[i]))
                {
                    var candidate = best.ToList();
                    candidate[i] = form;
                    if (Fails(candidate))
                    {
                        best = candidate;
                        isSmaller = true;
                        i--;
                        break;
                    }
                }
            }
        }
        while (isSmaller && runs < runsMax);
        return best;
    }

    /// <summary>Smaller forms of an operation: a transaction with fewer operations inside, or one of them by itself.</summary>
    public static IEnumerable<Operation> Simpler(Operation operation)
    {
        if (operation is not TransactionOperation transaction)
            yield break;
        if (transaction.Commit)
        {
            foreach (var inner in transaction.Body)
                yield return inner;
        }

        for (var i = 0; i < transaction.Body.Count && transaction.Body.Count > 1; i++)
            yield return transaction with { Body = [.. transaction.Body.Where((_, at) => at != i)] };
        for (var half = transaction.Body.Count / 2; half > 1; half /= 2)
            yield return transaction with { Body = [.. transaction.Body.Take(half)] };
    }
}
