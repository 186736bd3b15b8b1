namespace Cairn.Tests.Snippets;

/// <summary>The quick start of README.md.</summary>
internal static class QuickStart
{
    internal static void Run()
    {
        using var db = CairnDatabase.Open("./memory");           // creates, or recovers after a crash
        var run = db.Runs.Begin("refund-4711", tags: ["refund"]);

        run.Kv.Put("customer", "Ada");                           // durable when it returns (Strict is the default)
        run.Events.Append("tool_call", Value.FromJson("""{"tool":"crm.lookup","id":4711}"""));

        run.Transact(tx =>                                       // all or nothing over all primitives; tried again on conflict
        {
            tx.State.TransitionOrInit("budget", 100, budget => budget.AsInt64() - 10);
            var thought = tx.Traces.Record(new ThoughtStep("store credit is enough"));
            tx.Traces.Record(new ToolCallStep("refund", Value.Object(("id", 4711))), new TraceOptions { Parent = thought });
            tx.Kv.Put("tier", "gold");
        });

        Console.WriteLine(run.Events.Head());                    // number and hash: stands for the whole history
        Console.WriteLine(run.Events.Verify().IsValid);          // every hash recomputed

        foreach (var left in db.Runs.Orphaned())                 // runs that a crash left behind: adopt them or close them
            db.Runs.Abort(left.Id, "worker died");

        TimeTravel.Run(db, run);
    }
}
