using Cairn.Diagnostics;
using Cairn.Log;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>TX-I6 over several runs in memory, where each run has a visible word of its own. Found by reading: the words moved one after
/// another, so a read of one run could see a commit and a later read of another run not.</summary>
[Trait("Promise", "G8")]
public sealed class VisibleTogetherTests
{
    private const int Runs = 4;

    [Fact]
    public void TXI6_TX35_Between_any_two_steps_of_a_commit_over_several_runs_all_of_them_show_it_or_none()
    {
        using var db = CairnDatabase.OpenInMemory();
        var runs = Enumerable.Range(0, Runs).Select(i => db.Runs.Begin($"run-{i}")).ToArray();
        var looks = new List<long>();
        using var plan = Failpoint.Use(new WhilePublishing(() =>
        {
            var seen = runs.Select(run => run.Kv.Number("n") ?? 0).ToList();
            Assert.Single(seen.Distinct());
            looks.Add(seen[0]);
        }));
        for (var n = 1; n <= 3; n++)
        {
            var number = n;
            looks.Clear();
            db.Transact(runs, tx =>
            {
                foreach (var run in runs)
                    tx.On(run).Kv.Put("n", number);
            });
            Assert.Equal(2 * Runs + 1, looks.Count);
            Assert.Equal(looks.Order(), looks);
            Assert.Equal([n - 1, n], looks.Distinct());
        }
    }

    [Fact]
    public void TXI6_A_run_that_is_begun_is_in_the_index_when_it_can_be_read_and_not_before()
    {
        using var db = CairnDatabase.OpenInMemory();
        var looks = new List<bool>();
        using var plan = Failpoint.Use(new WhilePublishing(() =>
        {
            looks.Add(db.Runs.Exists("new"));
            Assert.Equal(looks[^1], db.Runs.Get("new") is { } run && run.Status == RunStatus.Active);
        }));
        db.Runs.Begin("new");
        Assert.Equal([false, false, true, true, true], looks);
    }

    private sealed class WhilePublishing(Action look) : FailpointPlan
    {
        internal override void Hit(string name)
        {
            if (name is "commit.run-bound" or "commit.runs-published" or "commit.run-published")
                look();
        }
    }

    [Fact]
    public void TXI6_Words_that_are_bound_move_with_their_flag_and_not_before()
    {
        VisibleSequence a = new(), b = new();
        a.Publish(7);
        b.Publish(5);
        var shared = new SharedSequence(9);
        a.Bind(shared);
        b.Bind(shared);
        Assert.Equal((7UL, 5UL), (a.Value, b.Value));
        shared.Publish();
        Assert.Equal((9UL, 9UL), (a.Value, b.Value));
        a.Unbind();
        Assert.Equal((9UL, 9UL), (a.Value, b.Value));
        b.Unbind();
        a.Publish(10);
        Assert.Equal((10UL, 9UL), (a.Value, b.Value));
    }

    [Fact]
    [Trait("Kind", "Random")]
    public void TXI6_Readers_of_one_run_after_another_never_see_a_commit_and_then_not()
    {
        using var db = CairnDatabase.OpenInMemory();
        var runs = Enumerable.Range(0, 2).Select(i => db.Runs.Begin($"run-{i}")).ToArray();
        var done = false;
        var torn = 0L;
        var readers = Enumerable.Range(0, 2).Select(first => new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                var one = runs[first].Kv.Number("n") ?? 0;
                var other = runs[1 - first].Kv.Number("n") ?? 0;
                if (other < one)
                    Interlocked.Increment(ref torn);
            }
        })).ToList();
        readers.ForEach(reader => reader.Start());
        for (var n = 1; n <= Seeds.Scaled(4_000); n++)
        {
            var number = n;
            db.Transact(runs, tx =>
            {
                tx.On(runs[0]).Kv.Put("n", number);
                tx.On(runs[1]).Kv.Put("n", number);
            });
        }

        Volatile.Write(ref done, true);
        readers.ForEach(reader => reader.Join());
        Assert.Equal(0, torn);
    }
}
