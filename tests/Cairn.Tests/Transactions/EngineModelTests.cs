using Cairn.Tests.Checkers;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>M1: random programs on the engine and on the model, side by side, with restarts and kills; a difference is shrunk.</summary>
[Trait("Promise", "G4")]
[Trait("Promise", "G3")]
[Trait("Test", "M1")]
[Trait("Model", "Kv")]
public sealed class EngineModelTests(ITestOutputHelper output)
{
    private const int Operations = 7_000;

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Kind", "Random")]
    public void M1_The_engine_answers_every_program_as_the_model_does(Durability mode)
    {
        var seed = unchecked((int)Seeds.Begin(nameof(M1_The_engine_answers_every_program_as_the_model_does)));
        var program = OnlyKv(new Generator(seed, new GeneratorOptions { WithRuns = false }), Seeds.Scaled(Operations));
        if (ModelRun.FirstDifference(program, () => new EngineSubject(mode)) is not { } difference)
            return;

        var shrunk = ModelRun.Shrink(difference, () => new EngineSubject(mode), runsMax: 1_000);
        output.WriteLine($"{difference.Index + 1} operations became {shrunk.Program.Count}");
        Assert.Fail(shrunk.ToString());
    }

    private static List<Operation> OnlyKv(Generator generator, int count)
    {
        var program = new List<Operation>();
        while (program.Count < count)
        {
            var operation = generator.Next();
            if (operation is TransactionOperation transaction)
                program.Add(transaction with { Body = [.. transaction.Body.Where(IsKv)] });
            else if (operation is not RunOperation || IsKv(operation))
                program.Add(operation);
        }

        return program;
    }

    private static bool IsKv(Operation operation) => operation.GetType().Name.StartsWith("Kv", StringComparison.Ordinal);
}
