using Cairn.Tests.Transactions;

namespace Cairn.Tests.Feed;

/// <summary>What tests of feeds share.</summary>
internal static class FeedBed
{
    internal static ChangeOptions Now { get; } = new() { End = ChangeEnd.Now };

    /// <summary>The modes, the one in memory with its log.</summary>
    internal static TestDatabase Open(Durability mode, Func<CairnOptions, CairnOptions>? change = null) => new(
        mode,
        options =>
        {
            options = mode == Durability.InMemory ? options with { Retention = Retention.KeepAll } : options;
            return change is null ? options : change(options);
        });

    internal static async Task<List<CommittedChanges>> AllAsync(this IAsyncEnumerable<CommittedChanges> feed)
    {
        var all = new List<CommittedChanges>();
        await foreach (var commit in feed)
            all.Add(commit);
        return all;
    }

    internal static async Task<List<CommittedChanges>> TakeAsync(this IAsyncEnumerable<CommittedChanges> feed, int count)
    {
        var some = new List<CommittedChanges>();
        if (count == 0)
            return some;
        await foreach (var commit in feed)
        {
            some.Add(commit);
            if (some.Count == count)
                break;
        }

        return some;
    }

    /// <summary>A line per commit: what of it a feed must not change.</summary>
    internal static string Line(this CommittedChanges commit) => $"{commit.Sequence} {commit.Time:O} {commit.Text()}";

    internal static string Text(this CommittedChanges commit) =>
        string.Join(";", commit.Changes.Select(change => $"{change.Operation} {change.Run} {change.Key}"));

    /// <summary>The key of each change.</summary>
    internal static async Task<List<string>> KeysAsync(this IAsyncEnumerable<CommittedChanges> feed) =>
        [.. (await feed.AllAsync()).SelectMany(commit => commit.Changes).Select(change => change.Key)];

    internal static List<string> Lines(this IEnumerable<CommittedChanges> commits) => [.. commits.Select(Line)];
}
