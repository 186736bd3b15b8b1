using System.Collections.Concurrent;
using System.Diagnostics;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Diagnostics;

public class ActivityTests
{
    [Fact]
    [Trait("Requirement", "MET-1")]
    public void MET1_Opening_and_transactions_are_activities_of_the_source_Cairn()
    {
        var seen = new ConcurrentBag<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "Cairn",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity => seen.Add(activity.OperationName),
        };
        ActivitySource.AddActivityListener(listener);
        using var db = CairnDatabase.Open(new MemoryStorage(), new CairnOptions(), EngineHooks.None);
        db.Default.Transact(tx => tx.Kv.Put("key", 1));
        Assert.Contains("cairn.open", seen);
        Assert.Contains("cairn.transact", seen);
    }
}
