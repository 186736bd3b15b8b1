namespace Cairn.Tests.Checkers;

/// <summary>Makes a failing list short: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
/// 2002), then single items, then smaller forms of the items that are left, until nothing gets smaller any more.</summary>
/// <remarks>It can only be as good as the list is honest: an effect that hangs on the <em>number</em> of items before it (work at every
/// n-th call, a random draw per item) moves when an item goes, and then hardly any item can go. Make such an effect an item.</remarks>
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
        var search = new Search<T>(items, fails, runsMax);
        // Long chunks first: most of a random list has nothing to do with the failure. Again after each success, because what one
        // item needed may be gone with it.
        do
        {
            search.HasShrunk = false;
            for (var chunk = Math.Max(1, search.Best.Count / 2); chunk >= 1; chunk /= 2)
                search.LeaveOut(chunk);
            if (simpler is not null)
                search.Simplify(simpler);
        }
        while (search.HasShrunk && !search.IsSpent);
        return search.Best;
    }

    private sealed class Search<T>(IReadOnlyList<T> items, Func<IReadOnlyList<T>, bool> fails, int runsMax)
    {
        private int _runs;

        internal List<T> Best { get; private set; } = [.. items];

        internal bool HasShrunk { get; set; }

        internal bool IsSpent => _runs >= runsMax;

        /// <summary>Tries the list without each chunk in turn, from its end: what comes late needs what comes early, hardly ever the
        /// other way round.</summary>
        internal void LeaveOut(int chunk)
        {
            for (var end = Best.Count; end > 0 && !IsSpent; end = Math.Min(end - chunk, Best.Count))
            {
                var from = Math.Max(0, end - chunk);
                if (end - from < Best.Count)
                    Try([.. Best.Take(from), .. Best.Skip(end)]);
            }
        }

        internal void Simplify(Func<T, IEnumerable<T>> simpler)
        {
            for (var i = 0; i < Best.Count && !IsSpent; i++)
            {
                // A form that fails has forms of its own.
                while (simpler(Best[i]).Any(form => Try([.. Best.Take(i), form, .. Best.Skip(i + 1)])))
                {
                }
            }
        }

        private bool Try(List<T> candidate)
        {
            if (IsSpent)
                return false;
            _runs++;
            if (!fails(candidate))
                return false;
            Best = candidate;
            HasShrunk = true;
            return true;
        }
    }

    /// <summary>Smaller forms of an operation: a transaction with fewer operations inside, or one of them by itself; a write of fewer
    /// things, or of the plainest value. Each is smaller by some measure, so that taking them again and again comes to an end.</summary>
    public static IEnumerable<Operation> Simpler(Operation operation) => operation switch
    {
        TransactionOperation o => Simpler(o),
        KvPut o => [
            .. Without(o.TtlMicroseconds is not null, o with { TtlMicroseconds = null }),
            .. Plainer(o.Value, value => o with { Value = value })],
        KvTryAdd o => Plainer(o.Value, value => o with { Value = value }),
        KvCompareAndSet o => Plainer(o.Value, value => o with { Value = value }),
        KvCompareAndSetValue o => Plainer(o.Value, value => o with { Value = value }),
        KvPutMany o => Fewer(o.Pairs, pairs => o with { Pairs = pairs }),
        KvGetMany o => Fewer(o.Keys, keys => o with { Keys = keys }),
        KvDeleteMany o => Fewer(o.Keys, keys => o with { Keys = keys }),
        EventsAppend o => Without(o.Payload.Members is { Count: > 0 }, o with { Payload = Plain.Map() }),
        EventsAppendMany o => Fewer(o.Items, items => o with { Items = items }),
        StateInit o => Plainer(o.Value, value => o with { Value = value }),
        StateSet o => [
            .. Without(o.TtlMicroseconds is not null, o with { TtlMicroseconds = null }),
            .. Plainer(o.Value, value => o with { Value = value })],
        StateCompareAndSet o => Plainer(o.Value, value => o with { Value = value }),
        StateGetOrInit o => Plainer(o.Value, value => o with { Value = value }),
        TracesRecord o => [
            .. Without(o.Tags.Count > 0, o with { Tags = [] }),
            .. Without(o.Parent is not null, o with { Parent = null })],
        RunsBegin o => [
            .. Without(o.Tags.Count > 0, o with { Tags = [] }),
            .. Without(o.Parent is not null, o with { Parent = null }),
            .. Without(o.Name is not null, o with { Name = null }),
            .. Without(o.Metadata.Members is { Count: > 0 }, o with { Metadata = Plain.Map() })],
        RunsFork o => [
            .. Without(o.Name is not null, o with { Name = null }),
            .. Without(o.Back > 0, o with { Back = 0 })],
        Restart { Crash: true } o => [o with { Crash = false }],
        _ => [],
    };

    private static IEnumerable<Operation> Simpler(TransactionOperation transaction)
    {
        if (transaction.Commit)
        {
            foreach (var inner in transaction.Body)
                yield return inner;
        }

        for (var half = transaction.Body.Count / 2; half > 1; half /= 2)
            yield return transaction with { Body = [.. transaction.Body.Take(half)] };
        for (var i = 0; i < transaction.Body.Count && transaction.Body.Count > 1; i++)
            yield return transaction with { Body = [.. transaction.Body.Where((_, at) => at != i)] };
        for (var i = 0; i < transaction.Body.Count; i++)
        {
            foreach (var form in Simpler(transaction.Body[i]).OfType<RunOperation>())
                yield return transaction with { Body = [.. transaction.Body.Take(i), form, .. transaction.Body.Skip(i + 1)] };
        }
    }

    private static IEnumerable<Operation> Without(bool isThere, Operation form) => isThere ? [form] : [];

    private static IEnumerable<Operation> Plainer(Plain value, Func<Plain, Operation> with) => Without(!value.Equals(0L), with(0L));

    private static IEnumerable<Operation> Fewer<T>(IReadOnlyList<T> items, Func<IReadOnlyList<T>, Operation> with) => items.Count < 2
        ? [] : Enumerable.Range(0, items.Count).Select(left => with([.. items.Where((_, at) => at != left)]));
}
