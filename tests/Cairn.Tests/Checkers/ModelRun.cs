using System.Globalization;
using System.Text;

namespace Cairn.Tests.Checkers;

/// <summary>What the model is compared with: the engine behind an adapter.</summary>
internal interface IModelSubject : IDisposable
{
    /// <summary>Runs one operation. The model went first: <paramref name="expected"/> holds what a compare-and-set has to expect
    /// (<see cref="Result.Expectation"/>), also inside a transaction. After appends the subject may call <see cref="Model.Seal"/> and
    /// compare hashes; a difference beyond the result is an exception.</summary>
    Result Execute(Operation operation, Result expected, Model model);
}

/// <param name="Index">Of the operation that answered differently.</param>
/// <param name="Program">What was run.</param>
internal sealed record ModelDifference(int Index, IReadOnlyList<Operation> Program, Result Expected, Result? Actual, string Cause)
{
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"operation {Index} answered {Actual?.ToString() ?? Cause}, the model says {Expected}; program:\n");
        for (var i = 0; i < Program.Count; i++)
            text.Append(CultureInfo.InvariantCulture, $"  {i}: {Program[i]}\n");
        return text.ToString();
    }
}

/// <summary>Runs one list of operations on the model and on a subject, side by side (M1).</summary>
internal static class ModelRun
{
    /// <summary>The first difference, null when there is none. The subject is fresh and disposed afterwards.</summary>
    internal static ModelDifference? FirstDifference(IReadOnlyList<Operation> program, Func<IModelSubject> open, ModelRules? rules = null)
    {
        var model = new Model(rules);
        using var subject = open();
        for (var i = 0; i < program.Count; i++)
        {
            var expected = model.Execute(program[i]);
            if (expected.IsSkipped)
                continue;
            Result actual;
            try
            {
                actual = subject.Execute(program[i], expected, model);
            }
            catch (Exception e)
            {
                return new ModelDifference(i, [.. program.Take(i + 1)], expected, null, e.ToString());
            }

            if (!expected.Agrees(actual))
                return new ModelDifference(i, [.. program.Take(i + 1)], expected, actual, "");
        }

        return null;
    }

    /// <summary>The same difference from as few operations as can be found: another answer of the same kind of operation.</summary>
    internal static ModelDifference Shrink(ModelDifference difference, Func<IModelSubject> open, ModelRules? rules = null, int runsMax = 3_000)
    {
        var kind = difference.Program[difference.Index].GetType();
        var program = Shrinker.Shrink(
            difference.Program,
            candidate => FirstDifference(candidate, open, rules) is { } again && again.Program[again.Index].GetType() == kind,
            Shrinker.Simpler, runsMax);
        return FirstDifference(program, open, rules) ?? difference;
    }
}
