using Spectre.Console;

namespace Cairn.Cli.Demonstration;

/// <summary>The storage demo for people. On a terminal a bar shows how far loading is; otherwise every tenth has a line.</summary>
internal sealed class StorageDemoPage(IAnsiConsole page) : NumberedPage(page)
{
    private const int Tenths = 10;

    internal void Title() => Title("memory that opens at once, however it ended");

    internal void Begin(StorageDemo demo)
    {
        Part($"{Show.Number(demo.Memories.Count)} memories, in a process of their own");
        Line("Strict, KeepLast(1): each thousand is one commit, on the device before it is acknowledged.");
        Line("Half of them are then revised, and the database is compacted.");
        Line($"It may hold {Show.Bytes(StorageDemo.MemoryBudget)} in memory (MemoryBudgetBytes).");
    }

    /// <summary>Shows how far the loading is while it runs.</summary>
    internal KeeperResult Watch(StorageDemo demo, Func<Action<KeeperLine>, KeeperResult> work)
    {
        var most = demo.Memories.BatchesToLoad + demo.Memories.BatchesOfRevision;
        if (!Page.Profile.Capabilities.Interactive)
        {
            var told = 0L;
            return work(line =>
            {
                if (line.Batches * Tenths / most == told)
                    return;
                told = line.Batches * Tenths / most;
                Line(Progress(line));
            });
        }

        return Page.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .Start(progress =>
            {
                var bar = progress.AddTask("   loading", maxValue: most);
                return work(line =>
                {
                    bar.Value = line.Batches;
                    bar.Description = Markup.Escape($"   {Progress(line)}");
                });
            });
    }

    /// <summary>Shows how far the comparing is while it runs.</summary>
    internal Compared Watch(StorageDemo demo, Func<Action<long>, Compared> work)
    {
        if (!Page.Profile.Capabilities.Interactive)
            return work(_ => { });
        return Page.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .Start(progress =>
            {
                var bar = progress.AddTask("   comparing every memory", maxValue: demo.Memories.Count);
                return work(number => bar.Value = number);
            });
    }

    internal void Killed(KeeperResult keeper)
    {
        Result(true, $"{Show.Number(keeper.Batches * Memories.BatchSize)} memories and revisions acknowledged", keeper.Time);
        Memory(keeper.MemoryPeak, keeper.ResidentPeak);
        Result(true, $"SIGKILL to process {keeper.Pid}, by itself, while it was compacting (exit code {keeper.ExitCode})");
    }

    internal void Reopened(Reopened found)
    {
        Part("Open the directory again");
        Line($"{Show.Bytes(found.BytesOnDisk)} on disk, as the kill left them");
        foreach (var line in found.Recovery.Warnings)
            Line(line);
        Line($"read {Show.Bytes(found.Recovery.Bytes)} of log behind the newest checkpoint: {found.Recovery.Transactions} transactions");
        Result(true, "open", found.Opening);
        Result(found.IsRead, found.IsRead ? "the first memory is read" : "the first memory is NOT there", found.FirstRead);
    }

    internal void Compared(Compared found)
    {
        Part("Compare every memory with what was acknowledged");
        Result(found.Difference is null,
            found.Difference ?? $"{Show.Number(found.Memories)} memories, each in its newest revision", found.Time);
        Memory(found.MemoryPeak, found.ResidentPeak);
    }

    internal void Compacted(Compacted found, Reopened before)
    {
        Part("Finish what was killed, and verify");
        Result(true, $"compacted: {Show.Bytes(before.BytesOnDisk)} before, {Show.Bytes(found.BytesOnDisk)} now", found.Time);
        Result(
            found.Log.IsValid, found.Log.Damage?.Message ?? $"{found.Log.Records} records of log, every checksum is right",
            found.VerifyTime);
    }

    internal void End(bool isGood, TimeSpan time, string? kept)
    {
        Page.WriteLine();
        Result(isGood, isGood ? "Nothing that was acknowledged was lost." : "The demo FAILED: please report what you see above.", time);
        Line(kept is not null
            ? $"kept: cairn stat --db {kept}"
            : "Look around in it: cairn demo storage --keep. Smaller: --memories 100000");
        Page.WriteLine();
    }

    private void Memory(long memory, long resident) =>
        Result(
            StorageDemo.IsInBudget(memory),
            $"memory took at most {Show.Bytes(memory)} of a budget of {Show.Bytes(StorageDemo.MemoryBudget)}; "
                + $"the process had {Show.Bytes(resident)}");

    private static string Progress(KeeperLine line) =>
        $"{Show.Number(line.Batches * Memories.BatchSize),11}   memory {Show.Bytes(line.MemoryBytes),9}, "
            + $"process {Show.Bytes(line.ResidentBytes)}";
}
