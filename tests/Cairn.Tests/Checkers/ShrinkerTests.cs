using Xunit;

namespace Cairn.Tests.Checkers;

public sealed class ShrinkerTests
{
    [Fact]
    public void Two_items_far_apart_are_all_that_is_left()
    {
        var items = Enumerable.Range(0, 1_000).ToList();

        var shrunk = Shrinker.Shrink(items, list => list.Contains(17) && list.Contains(913));

        Assert.Equal([17, 913], shrunk);
    }

    [Fact]
    public void A_transaction_loses_what_does_not_matter()
    {
        Operation[] program =
        [
            new KvPut(0, "a", 1L), new Restart(false),
            new TransactionOperation([new KvPut(0, "b", 1L), new KvDelete(0, "a"), new EventsCount(0)], Commit: true),
        ];
        static bool Deletes(Operation operation) => operation is KvDelete || (operation is TransactionOperation { Body: var body } && body.Any(o => o is KvDelete));

        var shrunk = Shrinker.Shrink(program, list => list.Any(Deletes), Shrinker.Simpler);

        Assert.Equal([new KvDelete(0, "a")], shrunk);
    }

    [Fact]
    public void The_bound_on_runs_holds()
    {
        var runs = 0;
        Shrinker.Shrink(Enumerable.Range(0, 10_000).ToList(), list => { runs++; return list.Count % 2 == 0; }, runsMax: 50);
        Assert.InRange(runs, 1, 50);
    }
}
