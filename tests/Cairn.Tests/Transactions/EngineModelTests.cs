using Cairn.Tests.Checkers;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>M1: random programs on the engine and on the model, side by side, with restarts and kills; a difference is shrunk.</summary>
[Trait("Promise", "G4")]
[Trait("Promise", "G3")]
[Trait("Test", "M1")]
[Trait("Model", "Kv")]
[Trait("Model", "Events")]
[Trait("Model", "State")]
[Trait("Model", "Traces")]
[Trait("Model", "Runs")]
public sealed class EngineModelTests(ITestOutputHelper output)
{
    private const int Operations = 7_000;

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Kind", "Random")]
    public void M1_The_engine_answers_every_program_as_the_model_does(Durability mode)
    {
        var seed = unchecked((int)Seeds.Begin(nameof(M1_The_engine_answers_every_program_as_the_model_does)));
        var program = Program(seed, Seeds.Scaled(Operations));
        var clock = System.Diagnostics.Stopwatch.StartNew();
        if (ModelRun.FirstDifference(program, () => new EngineSubject(mode)) is not { } difference)
        {
            Ledger.Add("M1", $"operations as the model, {mode}", (ulong)seed, program.Count, clock.Elapsed);
            return;
        }

        var shrunk = ModelRun.Shrink(difference, () => new EngineSubject(mode), runsMax: 1_000);
        output.WriteLine($"{difference.Index + 1} operations became {shrunk.Program.Count}");
        Assert.Fail(shrunk.ToString());
    }

    // A consumer that goes back inside a transaction is told at the commit; the model tells it at the call.
    private static List<Operation> Program(int seed, int count) => new Generator(seed).Take(count)
        .Select(operation => operation is TransactionOperation transaction
            ? transaction with { Body = [.. transaction.Body.Where(inner => inner is not EventsConsumerCommit { Forced: false })] }
            : operation)
        .ToList();
}
