namespace Cairn.Checkpoints;

/// <summary>Whose turn it is to write tables: checkpoints and merges take one step at a time each, and change the image and what manifests
/// say of tables only inside. No commit and no reader ever waits for it.</summary>
/// <param name="next">Number of the next table file; a number is never used twice.</param>
internal sealed class TableTurn(uint next)
{
    internal Lock Gate { get; } = new();

    internal uint TakeNumber() => next++;
}
