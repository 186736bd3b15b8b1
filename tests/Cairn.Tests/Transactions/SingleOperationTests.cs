using System.Globalization;
using Cairn.Tests.Checkers;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>L1: single operations of eight threads, as the callers saw them, have an order that explains every answer.</summary>
[Trait("Promise", "G8")]
[Trait("Test", "L1")]
[Trait("Kind", "Random")]
public sealed class SingleOperationTests
{
    private const int Threads = 8;
    private const int Operations = 200;

    /// <summary>At a merge; a nightly run has more, and a key more in each: keys of two digits once went to the runs of one digit.</summary>
    private const int Rounds = 7;

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_Operations_on_a_key_of_Kv_are_linearizable(Durability mode) =>
        Judge(mode, ObjectKind.Kv, nameof(TX39_Operations_on_a_key_of_Kv_are_linearizable), database => OnKv(database.Kv));

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_ST2_Operations_on_a_state_cell_are_linearizable(Durability mode) =>
        Judge(mode, ObjectKind.Cell, nameof(TX39_ST2_Operations_on_a_state_cell_are_linearizable), database => OnState(database.Run.State));

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX16_EV2_Appends_to_the_events_are_linearizable(Durability mode) =>
        Judge(mode, ObjectKind.Log, nameof(TX16_EV2_Appends_to_the_events_are_linearizable), database => OnEvents(database));

    private static void Judge(Durability mode, ObjectKind kind, string test, Func<TestDatabase, OperationExecutor> executor)
    {
        var seed = unchecked((int)Seeds.Begin(test));
        var clock = System.Diagnostics.Stopwatch.StartNew();
        for (var round = 0; round < Seeds.Scaled(Rounds); round++)
        {
            using var database = new TestDatabase(mode);
            var work = new SingleOperationWorkload(kind, Threads, Operations, keys: 1 + round, seed + round);

            work.RunThreads(executor(database));

            var report = work.Judge();
            Assert.True(report.Verdict == Verdict.Ok, $"round {round}: {report}");
        }

        Ledger.Add("L1", $"linearizable histories, {kind}", (ulong)seed, Seeds.Scaled(Rounds), clock.Elapsed);
    }

    private static OperationExecutor OnKv(Kv kv) => (operation, key, arguments) => EngineStore.Ask(() =>
    {
        switch (operation)
        {
            case "put":
                return ("", kv.Put(key, Number(arguments[0])).Value);
            case "get":
                return (kv.GetVersioned(key) is { } found ? $"{found.Value.AsInt64()}@{found.Version.Value}" : "absent", 0UL);
            case "cas":
                try
                {
                    return ("", kv.CompareAndSet(key, new Sequence((ulong)Number(arguments[0])), Number(arguments[1])).Value);
                }
                catch (VersionMismatchException)
                {
                    return ("VersionMismatch", 0UL);
                }

            case "tryAdd":
                return (Text(kv.TryAdd(key, Number(arguments[0]))), 0UL);
            case "increment":
                return (kv.Increment(key, Number(arguments[0])).ToString(CultureInfo.InvariantCulture), 0UL);
            case "delete":
                return (Text(kv.Delete(key)), 0UL);
            default:
                throw new ArgumentException($"Kv has no '{operation}'");
        }
    });

    private static OperationExecutor OnState(State state) => (operation, key, arguments) => EngineStore.Ask(() =>
    {
        try
        {
            return (Answer(), 0UL);
        }
        catch (VersionMismatchException mismatch)
        {
            return ($"VersionMismatch {mismatch.Actual}", 0UL);
        }
        catch (CairnException refused) when (refused.Code is ErrorCode.AlreadyExists or ErrorCode.NotFound)
        {
            return (refused.Code.ToString(), 0UL);
        }

        string Answer()
        {
            switch (operation)
            {
                case "init":
                    return Text((long)state.Init(key, Number(arguments[0])).Counter.Value);
                case "set":
                    return Text((long)state.Set(key, Number(arguments[0])).Counter.Value);
                case "cas":
                    return Text((long)state.CompareAndSet(key, (ulong)Number(arguments[0]), Number(arguments[1])).Counter.Value);
                case "get":
                    return state.Get(key) is { } cell ? $"{cell.Value.AsInt64()}@{cell.Counter.Value}" : "absent";
                case "add":
                    var added = state.Transition(key, value => value.AsInt64() + Number(arguments[0]));
                    return $"{added.Value.AsInt64()}@{added.Counter.Value}";
                case "delete":
                    return Text(state.Delete(key));
                default:
                    throw new ArgumentException($"a state cell has no '{operation}'");
            }
        }
    });

    // The log of a run is one; keys are runs.
    private static OperationExecutor OnEvents(TestDatabase database)
    {
        foreach (var number in Enumerable.Range(0, 1 + Seeds.Scaled(Rounds)))
            database.OtherRun(number);
        return (operation, key, arguments) => EngineStore.Ask(() =>
        {
            var events = database.OtherRun((int)Number(key[1..])).Events;
            return (operation switch
            {
                "append" => $"{events.Append("value", Value.Object(("v", arguments[0]))).Number.Value}",
                "count" => Text(events.Count()),
                _ => string.Join(',', events.Range((ulong)Number(arguments[0]), (ulong)Number(arguments[1]), new EventScanOptions { Limit = 1_000 }).Select(e => e.Payload!.Value["v"].AsString())),
            }, 0UL);
        });
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    private static string Text(bool answer) => answer ? "true" : "false";
}
