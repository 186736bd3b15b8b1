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

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_Operations_on_a_key_of_Kv_are_linearizable(Durability mode) =>
        Judge(mode, ObjectKind.Kv, nameof(TX39_Operations_on_a_key_of_Kv_are_linearizable), database => OnKv(database.Kv));

    private static void Judge(Durability mode, ObjectKind kind, string test, Func<TestDatabase, OperationExecutor> executor)
    {
        var seed = unchecked((int)Seeds.Begin(test));
        for (var round = 0; round < Seeds.Scaled(7); round++)
        {
            using var database = new TestDatabase(mode);
            var work = new SingleOperationWorkload(kind, Threads, Operations, keys: 1 + round, seed + round);

            work.RunThreads(executor(database));

            var report = work.Judge();
            Assert.True(report.Verdict == Verdict.Ok, $"round {round}: {report}");
        }
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

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    private static string Text(bool answer) => answer ? "true" : "false";
}
