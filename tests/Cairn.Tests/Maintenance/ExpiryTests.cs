using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>TTL-5 above an image: what has expired is removed from runs that nobody asked for, and the others are left where they are.
/// </summary>
[Trait("Requirement", "TTL-5")]
[Trait("Requirement", "TIER-2")]
public sealed class ExpiryTests
{
    private const int Runs = 3_000;                          // several pages of the walk
    private const int DueEvery = 100;

    [Fact]
    public void TTL_5_Only_runs_that_are_due_are_loaded_and_their_keys_go()
    {
        using var database = Make();
        var fresh = database.Db.Engine.Catalogue.Loaded.Count - Runs;
        database.Reopen();
        var catalogue = database.Db.Engine.Catalogue;
        Assert.Equal(fresh, catalogue.Loaded.Count);
        var hash = database.Db.StateHash();
        database.Reopen();
        catalogue = database.Db.Engine.Catalogue;

        Settle(database);
        Assert.Equal(fresh, catalogue.Loaded.Count);         // looked at, none of them loaded
        var job = database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "expiry");
        Assert.InRange(job.DueIn!.Value, TimeSpan.FromMinutes(50), TimeSpan.FromHours(1));

        database.Clock.Advance(TimeSpan.FromHours(2));
        Assert.Equal(TimeSpan.Zero, job.DueIn);
        var before = database.Sequence;
        Settle(database);
        Assert.Equal(fresh + Runs / DueEvery, catalogue.Loaded.Count);
        Assert.Equal(before + Runs / DueEvery, database.Sequence);
        Assert.NotEqual(hash, database.Db.StateHash());
        foreach (var number in new[] { 0, DueEvery, Runs - DueEvery })
        {
            var run = database.OtherRun(number);
            Assert.Equal((null, 1L), (run.Kv.Number("short"), run.Kv.Number("kept")));
            Assert.Equal(1, run.Kv.Count());                 // gone, and not only hidden
        }

        Assert.InRange(job.DueIn!.Value, TimeSpan.FromHours(1), TimeSpan.FromDays(10));
    }

    [Fact]
    public void TTL_5_A_run_that_was_written_to_or_deleted_meanwhile_is_as_its_newest_commits_say()
    {
        using var database = Make();
        database.Reopen();
        Settle(database);
        database.OtherRun(0).Kv.Put("short", 5, TimeSpan.FromDays(30));
        database.Db.Runs.Delete(database.OtherRun(DueEvery).Id);
        database.Clock.Advance(TimeSpan.FromHours(2));
        Settle(database);
        Assert.Equal(5, database.OtherRun(0).Kv.Number("short"));
        Assert.Null(database.Db.Runs.Get($"other-{DueEvery}"));
        Assert.Null(database.OtherRun(2 * DueEvery).Kv.Number("short"));
        Assert.True(database.Db.VerifyDeep().IsValid);
    }

    private static TestDatabase Make()
    {
        var database = new TestDatabase(Durability.Strict);
        for (var i = 0; i < Runs; i++)
        {
            var run = database.Db.Runs.Begin($"other-{i}");
            run.Kv.Put("kept", 1);
            if (i % DueEvery == 0)
                run.Kv.Put("short", 1, TimeSpan.FromHours(1));
            else if (i % DueEvery == 1)
                run.Kv.Put("long", 1, TimeSpan.FromDays(10));
        }

        database.Checkpoint();
        return database;
    }

    private static void Settle(TestDatabase database)
    {
        var job = database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "expiry");
        while (job.Step())
        {
        }
    }
}
