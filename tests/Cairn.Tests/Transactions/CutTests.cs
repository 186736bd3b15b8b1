using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>All runs at one sequence, whatever becomes of them meanwhile.</summary>
public class CutTests
{
    // Found by reading: a state hash, an export or a verification lost a run that no one had asked for since the opening, when it was
    // deleted meanwhile.
    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Promise", "G4")]
    public void A_run_that_only_the_image_has_stays_in_the_cut_when_it_is_deleted(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var id = test.OtherRun().Id;
        test.OtherRun().Kv.Put("key", "value");
        test.Checkpoint();
        test.Reopen();
        Assert.DoesNotContain(test.Db.Engine.Catalogue.Loaded, run => run.Id == id);
        using (var cut = Cut.Take(test.Db.Engine.Path, test.Db.Engine.Pins))
        {
            test.Db.Runs.Delete(id);
            var found = cut.Find(id);
            Assert.NotNull(found);
            using var reader = found.Store.Read();
            Assert.True(reader.Count(0x10, cut.Sequence) > 0 || found.LastSequence > 0);
        }

        using var after = Cut.Take(test.Db.Engine.Path, test.Db.Engine.Pins);
        Assert.Null(after.Find(id));
    }
}
