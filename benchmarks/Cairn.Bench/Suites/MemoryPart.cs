using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>A run that holds four times what memory may, written and then read at random.</summary>
internal sealed class MemoryPart(StorageRun run)
{
    internal void Run() => run.Report.Judge(StorageGates.MemoryToBudget, Series.For(DirectorySubject.BudgetMissing), run.Size);
}
