namespace Cairn.Tests.Snippets;

/// <summary>The second piece of code in README.md.</summary>
internal static class TimeTravel
{
    internal static void Run(CairnDatabase db, Run run)
    {
        using (var then = run.AtStep(2))                         // the run right after its second commit, every primitive of it
            Console.WriteLine(then.Kv.Get("customer"));
        using (var now = db.Replay(run.Id))                      // made from its records alone, and proven to be the same
            Console.WriteLine(now.Verify().IsEqual);

        var retry = db.Runs.ForkAtStep(run.Id, 2, "refund-4711-retry");    // what the run was then, and from there on its own
        retry.Kv.Put("tier", "silver");
        using (var diff = db.Diff(run.Id, retry.Id))             // where they part, then key by key
            Console.WriteLine(string.Join('\n', diff.ToLines()));
        var merged = db.Runs.Merge(retry.Id, run.Id);            // three-way, in one commit; conflicts are data
        Console.WriteLine(merged.IsClean ? "merged" : string.Join('\n', merged.ToLines()));
        run.Complete(Value.Object(("refunded", 42.5)));
    }
}
