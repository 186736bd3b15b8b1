using Cairn.Storage;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;

namespace Cairn.Tests.Crash;

/// <summary>The scripts of C4: short lives of a whole database, each about one thing that a crash may break. Small enough that
/// every moment of them can be tried with every fate of what was not synced.</summary>
internal static class CrashPrograms
{
    private const long Second = 1_000_000;

    private static readonly Plain Large = new string('x', 9_000);

    internal static IReadOnlyDictionary<string, (Durability Mode, IReadOnlyList<Operation> Operations)> All { get; } =
        new SortedDictionary<string, (Durability, IReadOnlyList<Operation>)>(StringComparer.Ordinal)
        {
            ["one of each primitive"] = (Durability.Strict,
            [
                new KvPut(0, "a", 1L), new EventsAppend(0, "note", Fields(1)), new StateInit(0, "cell", 1L), Thought(0, null, 1),
                new RunsBegin(1, "alpha", null, ["red"], Fields(2)), new KvPut(1, "a", 2L),
            ]),
            ["buffered commits between two syncs"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new KvPut(0, "b", 2L), new Sync(), new KvPut(0, "a", 3L), new EventsAppend(0, "note", Fields(1)),
                new StateSet(0, "cell", 4L), new KvDelete(0, "b"), new Sync(), new KvPut(0, "c", 5L),
            ]),
            ["documents"] = (Durability.Strict,
            [
                new DocumentPut(0, "d", Plain.Map(("a", Plain.Map(("x", 1L))), ("b", Large))),
                new DocumentSet(0, "d", "a", Plain.Array(1L, 2L)),
                Together(
                    new DocumentIncrement(0, "d", 2), new DocumentSet(0, "e", "b", 1L), new DocumentDrop(0, "d", "b"),
                    new KvPut(0, "a", 1L)),
                new Checkpoint(), new DocumentIncrement(0, "d", 3), new DocumentDelete(0, "e"), new DocumentSet(0, "e", "a", 5L),
            ]),
            ["vectors"] = (Durability.Strict,
            [
                new VectorPut(0, "a", 1, 0), new VectorPut(0, "b", 2, 0),
                Together(new VectorDelete(0, "a"), new VectorPut(0, "c", 3, 1), new VectorTag(0, "b", 2), new KvPut(0, "k", 1L)),
                new VectorSearch(0, 1, 3, null), new Checkpoint(), new VectorPut(0, "b", 4, 0), new VectorsDrop(0),
                new VectorPut(0, "b", 5, 1),
            ]),
            ["transactions over two runs"] = (Durability.Strict,
            [
                new RunsBegin(1, "alpha", null, [], Plain.Map()),
                Together(
                    new KvPut(0, "a", 1L), new KvPut(1, "a", 1L), new EventsAppend(1, "note", Fields(1)), new StateInit(0, "cell", 1L)),
                Together(
                    new KvPut(1, "a", 2L), new StateTransition(0, "cell", 1), Thought(1, null, 1), new EventsAppend(0, "note", Fields(2))),
                Together(new KvDelete(0, "a"), new KvIncrement(1, "sum", 2), new StateSet(1, "cell", 3L)),
            ]),
            ["the life of a run"] = (Durability.Strict,
            [
                new RunsBegin(1, "alpha", null, ["red"], Fields(1)), new RunsBegin(2, "beta", 1, [], Plain.Map()), new KvPut(2, "a", 1L),
                new RunsAddTags(2, ["blue"]), new RunsUpdateMetadata(1, Plain.Map(("b", 1L))), new RunsEnd(2, RunAction.Complete),
                new RunsEnd(1, RunAction.Pause), new RunsEnd(1, RunAction.Cancel), new RunsDelete(2),
            ]),
            ["events, redacted and consumed"] = (Durability.Buffered,
            [
                new EventsAppendMany(0, [("note", Fields(1)), ("call", Fields(2)), ("note", Fields(3))]), new Sync(),
                new EventsConsumerCommit(0, "ada", 2, false), new EventsRedact(0, 1, "asked for"), new EventsAppend(0, "call", Fields(4)),
                new EventsConsumerCommit(0, "ada", 1, true), new Sync(), new EventsAppend(0, "note", Fields(5)),
            ]),
            ["events that are trimmed"] = (Durability.Buffered,
            [
                new EventsAppendMany(0, [("note", Fields(1)), ("call", Fields(2)), ("note", Fields(3)), ("call", Fields(4))]),
                new EventsTrim(0, 2), new Sync(), new EventsAppend(0, "note", Fields(5)), new Checkpoint(), new EventsTrim(0, 1),
                new EventsConsumerCommit(0, "ada", 4, false), new Checkpoint(), new EventsAppend(0, "call", Fields(6)),
                new Restart(Crash: true), new EventsTrim(0, 1), new EventsAppend(0, "note", Fields(7)),
            ]),
            ["segments that fill"] = (Durability.Strict,
            [
                new KvPut(0, "a", Large), new KvPut(0, "b", Large), new Maintain(), new KvPut(0, "c", Large),
                new EventsAppend(0, "note", Plain.Map(("text", Large))), new Maintain(), new KvPut(0, "a", 1L),
            ]),
            ["what expires"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L, Second), new KvPut(0, "b", 2L), new StateSet(0, "cell", 1L, Second), new Sync(),
                new Advance(2 * Second), new Maintain(), new KvPut(0, "c", 3L, Second), new Advance(-Second),
                new KvExpire(0, "b", 5 * Second),
                new Maintain(), new Sync(),
            ]),
            ["closed and opened twice"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new Restart(Crash: false), new EventsAppend(0, "note", Fields(1)), new Restart(Crash: false),
                new KvPut(0, "a", 2L),
            ]),
            ["killed and opened twice"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new StateInit(0, "cell", 1L), new Restart(Crash: true), new KvPut(0, "a", 2L),
                new EventsAppend(0, "note", Fields(1)), new Restart(Crash: true), new KvPut(0, "b", 3L),
            ]),
            ["checkpoints between commits"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new EventsAppend(0, "note", Fields(1)), new Checkpoint(), new KvPut(0, "a", 2L),
                new KvPut(0, "b", 3L),
                new RunsBegin(1, "alpha", null, ["red"], Plain.Map()), new KvPut(1, "a", 4L), new Checkpoint(), new KvDelete(0, "b"),
                new RunsDelete(1), new EventsAppend(0, "note", Fields(2)), new Checkpoint(), new KvPut(0, "c", 5L),
            ]),
            ["checkpointed and killed"] = (Durability.Strict,
            [
                new KvPut(0, "a", 1L), new Checkpoint(), new StateInit(0, "cell", 1L), new Restart(Crash: true), new KvPut(0, "a", 2L),
                new Checkpoint(), new Restart(Crash: true), new KvPut(0, "b", 3L), new Restart(Crash: false), new KvDelete(0, "a"),
            ]),
            ["a compaction among commits"] = (Durability.Buffered,
            [
                new KvPut(0, "a", Large), new KvPut(0, "b", Large), new KvPut(0, "c", Large), new Checkpoint(), new KvPut(0, "b", 1L),
                new EventsAppend(0, "note", Plain.Map(("text", Large))), new Checkpoint(), new KvPut(0, "d", 2L), new Compact(),
                new KvPut(0, "e", 3L), new Restart(Crash: true), new KvPut(0, "f", 4L),
            ]),
            ["archives that become smaller"] = (Durability.Strict,
            [
                new KvPut(0, "a", Large), new KvPut(0, "b", Large), new Checkpoint(), new KvPut(0, "c", Large), new Checkpoint(),
                new Compact(), new KvDelete(0, "a"), new Checkpoint(), new KvPut(0, "d", 1L), new Checkpoint(), new Compact(),
                new KvDelete(0, "b"), new BackUp(), new Restart(Crash: false), new KvPut(0, "e", 2L), new Compact(),
            ]),
            ["forks, of now and of the past"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new EventsAppend(0, "note", Fields(1)), new KvPut(0, "a", 2L), new RunsFork(1, 0, 0, "alpha"),
                new KvPut(0, "a", 3L), new RunsFork(2, 0, 2, null), new KvPut(2, "b", 4L), new EventsAppend(2, "note", Fields(2)),
                new Checkpoint(), new KvDelete(1, "a"), new RunsFork(3, 2, 1, "beta"), new KvIncrement(3, "b", 5), new RunsDelete(2),
                new Checkpoint(), new Restart(Crash: true), new KvPut(3, "a", 6L), new RunsDelete(3), new KvPut(0, "a", 7L),
            ]),
            ["a merge, and another one of the same fork"] = (Durability.Strict,
            [
                new KvPut(0, "a", 1L), new KvPut(0, "b", 1L), new StateInit(0, "cell", 1L), new RunsFork(1, 0, 0, "alpha"),
                Together(
                    new KvPut(1, "a", 2L), new KvDelete(1, "b"), new KvPut(1, "c", Large), new StateSet(1, "cell", 2L),
                    new EventsAppend(1, "note", Fields(1)), Thought(1, null, 1)),
                new KvPut(0, "a", 3L), new RunsMerge(1), new KvPut(1, "a", 4L), new EventsAppend(1, "note", Fields(2)), new RunsMerge(1),
                new KvPut(0, "d", 5L),
            ]),
            ["merges, buffered, checkpointed and killed"] = (Durability.Buffered,
            [
                new KvPut(0, "a", 1L), new RunsFork(1, 0, 0, null), new EventsAppendMany(1, [("note", Fields(1)), ("call", Fields(2))]),
                new KvPut(1, "a", 2L), new Sync(), new RunsMerge(1), new Checkpoint(), new KvPut(1, "b", 3L), new RunsMerge(1), new Sync(),
                new Restart(Crash: true), new RunsFork(2, 0, 0, null), new KvPut(2, "b", 4L), new RunsMerge(2), new RunsDelete(2),
                new KvDelete(1, "a"), new RunsMerge(1),
            ]),
            ["leases and transitions"] = (Durability.Strict,
            [
                new StateAcquire(0, "lease-0", "ada", Second), new StateRenew(0, "lease-0", "ada", 3 * Second),
                new StateInit(0, "cell", 1L),
                new StateTransition(0, "cell", 2), new StateCompareAndSet(0, "cell", Expect.Current, 5L),
                new StateRelease(0, "lease-0", "ada"), new StateAcquire(0, "lease-0", "eve", Second), new StateDelete(0, "cell"),
                new StateTransitionOrInit(0, "cell", 100, 1),
            ]),
            ["a tree of traces"] = (Durability.Buffered,
            [
                Thought(0, null, 1), Thought(0, 0, 2), new Sync(), Together(Thought(0, 0, 3), Thought(0, 1, 4), new KvPut(0, "step", 4L)),
                new TracesRecord(0, 2, TraceKind.ToolCall, 5, ["red"], Plain.Map(("tool", "search"), ("arguments", Fields(1)))), new Sync(),
                Thought(0, null, 6),
            ]),
            ["a bit of everything"] = (Durability.Buffered,
                [.. EngineSubject.Playable(new Generator(
                    20_261, new GeneratorOptions(RestartEvery: 40, MaintainEvery: 17, SyncEvery: 11, CheckpointEvery: 31)).Take(90))]),
            ["forks among a bit of everything"] = (Durability.Strict,
                [.. EngineSubject.Playable(new Generator(
                    29_611, new GeneratorOptions(
                        RestartEvery: 40, SyncEvery: 11, CheckpointEvery: 13, TrimEvery: 0, ForkEvery: 7, ForksPast: true,
                        MergeEvery: 5)).Take(90))]),
        };

    /// <summary>A life that compacts keeps no history, so that there is something to give up.</summary>
    internal static EngineLife LifeOf(string script, CrashStorage storage) =>
        new(All[script].Mode, storage, forgets: All[script].Operations.Any(operation => operation is Compact));

    private static Plain Fields(long number) => Plain.Map(("n", number));

    private static TracesRecord Thought(int run, long? parent, long time) =>
        new(run, parent, TraceKind.Thought, 1_600_000_000_000_000 + time, [], Plain.Map(("content", "why"), ("confidence", Plain.Of(0.5))));

    private static TransactionOperation Together(params RunOperation[] body) => new(body, Commit: true);
}
