namespace Cairn.Diagnostics;

/// <summary>How long each class of operations took. Commits are counted once, by class and by whether they waited for a sync; all other
/// views of them are sums that are made when somebody reads. A class that never happened takes no memory but its head.</summary>
internal sealed class Latencies
{
    private static readonly OperationClass[] Commits =
    [
        OperationClass.Put, OperationClass.Append, OperationClass.Transition, OperationClass.Trace, OperationClass.Run,
        OperationClass.Document, OperationClass.Graph, OperationClass.Transaction,
    ];

    private readonly LatencyHistogram[] _quick = Make();     // what did not wait for a sync
    private readonly LatencyHistogram[] _synced = Make();

    /// <summary>Of a class without modes.</summary>
    internal LatencyHistogram Of(OperationClass operation) => _quick[(int)operation];

    internal LatencyHistogram OfCommit(OperationClass operation, bool isSynced) => (isSynced ? _synced : _quick)[(int)operation];

    /// <summary>How the commits of each class ended, by name.</summary>
    internal IReadOnlyDictionary<string, OperationOutcomes> OutcomesOf(Outcomes outcomes) => Commits.ToDictionary(
        operation => operation.ToString().ToLowerInvariant(),
        operation => outcomes.Of(
            operation, LatencyHistogram.Summarise([_quick[(int)operation], _synced[(int)operation]]).Count));

    /// <summary>Every commit.</summary>
    internal LatencySummary OfCommits() => LatencyHistogram.Summarise(
        [.. Commits.Select(operation => _quick[(int)operation]), .. Commits.Select(operation => _synced[(int)operation])]);

    /// <summary>By name, all classes and the commits by mode; the same names whether they happened or not.</summary>
    /// <param name="isUnlogged">The database is in memory.</param>
    internal IReadOnlyDictionary<string, LatencySummary> Summarise(bool isUnlogged)
    {
        var summaries = new SortedDictionary<string, LatencySummary>(StringComparer.Ordinal);
        foreach (var operation in Enum.GetValues<OperationClass>())
        {
            summaries.Add(
                operation.ToString().ToLowerInvariant(), LatencyHistogram.Summarise([_quick[(int)operation], _synced[(int)operation]]));
        }

        var quick = LatencyHistogram.Summarise([.. Commits.Select(operation => _quick[(int)operation])]);
        summaries.Add("commit.in_memory", isUnlogged ? quick : default);
        summaries.Add("commit.buffered", isUnlogged ? default : quick);
        summaries.Add("commit.strict", LatencyHistogram.Summarise([.. Commits.Select(operation => _synced[(int)operation])]));
        return summaries;
    }

    private static LatencyHistogram[] Make() => [.. Enum.GetValues<OperationClass>().Select(_ => new LatencyHistogram())];
}
