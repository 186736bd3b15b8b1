using Cairn.Tests.Storage;
using Xunit;

namespace Cairn.Tests.Cli;

public class ReadmeTests
{
    /// <summary>The quick start, line by line as it stands in README.md; what is compared is the text between the two marks below.</summary>
    [Fact]
    public void The_quick_start_runs_as_it_is_printed()
    {
        using var directory = new TemporaryDirectory();
        using (var db = CairnDatabase.Open(directory["memory"]))
        {
            // begin
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
            run.Complete(Value.Object(("refunded", 42.5)));

            foreach (var left in db.Runs.Orphaned())                 // runs that a crash left behind: adopt them or close them
                db.Runs.Abort(left.Id, "worker died");
            // end
            Assert.Equal(90, run.State.Get("budget")!.Value.Value.AsInt64());
            Assert.Equal(RunStatus.Completed, run.Status);
        }

        var readme = Lines(File.ReadAllText(Path.Combine(CliFrameTests.Repository(), "README.md")));
        var source = File.ReadAllText(Path.Combine(CliFrameTests.Repository(), "tests", "Cairn.Tests", "Cli", "ReadmeTests.cs"));
        var printed = source[(source.IndexOf("// begin", StringComparison.Ordinal) + 8)..source.IndexOf("            // end", StringComparison.Ordinal)];
        Assert.All(Lines(printed), line => Assert.Contains(line, readme));
    }

    private static List<string> Lines(string text) => text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0).ToList();
}
