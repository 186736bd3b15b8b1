using System.CommandLine;
using System.Diagnostics;
using Cairn.Cli.Demonstration;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn demo storage</c>, and the hidden verb of its child process.</summary>
internal static class StorageDemoVerbs
{
    private const int MemoriesDefault = 1_000_000;

    internal static Verb Demo()
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps the directory and says where it is." };
        var memories = new Option<int>("--memories")
        {
            Description = $"How many: {Show.Number(Memories.CountMin)} to {Show.Number(Memories.CountMax)}. Default: "
                + $"{Show.Number(MemoriesDefault)}.",
            HelpName = "N",
            DefaultValueFactory = _ => MemoriesDefault,
        };
        return new Verb(
            "storage", "Shows what a database costs that lives long: a million memories, a process that kills itself while compacting, "
                + "opened again at once, and everything that was acknowledged. About a minute.",
            "cairn demo storage --memories 100000", Needs.Nothing,
            call =>
            {
                var count = call.Get(memories);
                if (count is < Memories.CountMin or > Memories.CountMax)
                    throw new UsageException($"--memories is {count}: give {Memories.CountMin} to {Memories.CountMax}.");
                return DemoVerbs.InDirectory(call.Get(keep), (directory, isKept) => Run(call, new Memories(count), directory, isKept));
            },
            memories, keep);
    }

    internal static Verb Child()
    {
        var count = new Argument<int>("count");
        return new Verb(
            MemoryKeeper.VerbName, "What the storage demo kills.", "cairn demo storage", Needs.Directory,
            call =>
            {
                using var database = CairnDatabase.Open(call.Directory, StorageDemo.Options);
                MemoryKeeper.Work(database, new Memories(call.Get(count)), call.Streams.Out);
                return ExitCodes.Ok;
            },
            count)
        {
            Hidden = true,
        };
    }

    private static int Run(Call call, Memories memories, string directory, bool keep)
    {
        var began = Stopwatch.GetTimestamp();
        var page = call.IsJson ? null : new StorageDemoPage(call.Streams.Page);
        var database = Path.Combine(directory, "db");
        var demo = new StorageDemo(database, memories);
        page?.Title();
        page?.Begin(demo);
        call.Streams.Out.Flush();
        var keeper = page is null ? demo.Load(_ => { }) : page.Watch(demo, demo.Load);
        page?.Killed(keeper);
        var reopened = demo.Reopen();
        page?.Reopened(reopened);
        call.Streams.Out.Flush();
        var compared = page is null ? demo.Compare(keeper, _ => { }) : page.Watch(demo, progress => demo.Compare(keeper, progress));
        page?.Compared(compared);
        call.Streams.Out.Flush();
        var compacted = demo.Compact();
        page?.Compacted(compacted, reopened);
        var isGood = reopened.IsRead && compared.Difference is null && compacted.Log.IsValid
            && StorageDemo.IsInBudget(Math.Max(keeper.MemoryPeak, compared.MemoryPeak));
        var time = Stopwatch.GetElapsedTime(began);
        page?.End(isGood, time, keep ? database : null);
        if (page is null)
            call.Answer("", Json(demo, keeper, reopened, compared, compacted, isGood, time, keep ? database : null));
        return isGood ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    private static (string Name, Value Value)[] Json(
        StorageDemo demo, KeeperResult keeper, Reopened reopened, Compared compared, Compacted compacted, bool isGood, TimeSpan time,
        string? kept) =>
    [
        ("ok", isGood),
        ("memories", demo.Memories.Count),
        ("acknowledged_batches", keeper.Batches),
        ("survived_batches", compared.Batches),
        ("killed_exit", keeper.ExitCode),
        ("compactions_before_kill", keeper.Compactions),
        ("memory_peak_bytes", Value.Object(("writing", keeper.MemoryPeak), ("reading", compared.MemoryPeak))),
        ("memory_budget_bytes", StorageDemo.MemoryBudget),
        ("resident_peak_bytes", Value.Object(("writing", keeper.ResidentPeak), ("reading", compared.ResidentPeak))),
        ("recovery", DatabaseVerbs.Json(reopened.Recovery)),
        ("difference", compared.Difference is { } difference ? difference : Value.Null),
        ("disk_bytes", Value.Object(("killed", reopened.BytesOnDisk), ("compacted", compacted.BytesOnDisk))),
        ("verified", compacted.Log.IsValid),
        ("times_ms", Value.Object(
            ("load", Show.Milliseconds(keeper.Time)),
            ("open", Show.Milliseconds(reopened.Opening)),
            ("first_read", Show.Milliseconds(reopened.FirstRead)),
            ("compare", Show.Milliseconds(compared.Time)),
            ("compact", Show.Milliseconds(compacted.Time)),
            ("verify", Show.Milliseconds(compacted.VerifyTime)),
            ("total", Show.Milliseconds(time)))),
        ("kept", kept),
    ];
}
