using System.Diagnostics;
using Xunit;

namespace Cairn.Tests.Checkers;

[Trait("Promise", "G8")]
public sealed class LinearizabilityTests(ITestOutputHelper output)
{
    private long _at;

    // A call that ends before the next one begins, unless moments are given.
    private RecordedCall Call(string operation, string[] arguments, string result, ulong sequence = 0, Outcome outcome = Outcome.Ok, string key = "x", long begin = -1, long end = -1)
    {
        begin = begin < 0 ? _at++ : begin;
        end = end < 0 ? outcome == Outcome.Unknown ? long.MaxValue : _at++ : end;
        return new RecordedCall(0, operation, key, arguments, outcome, result, sequence, begin, end);
    }

    private static Verdict Cell(params RecordedCall[] calls) => Linearizability.Check(calls, new StateCellModel()).Verdict;

    private static Verdict Kv(params RecordedCall[] calls) => Linearizability.Check(calls, new KvModel()).Verdict;

    private static Verdict Log(params RecordedCall[] calls) => Linearizability.Check(calls, new LogModel()).Verdict;

    [Fact]
    public void A_cell_used_by_one_client_is_linearizable() =>
        Assert.Equal(Verdict.Ok, Cell(
            Call("get", [], "absent"), Call("init", ["1"], "1"), Call("init", ["2"], "AlreadyExists"), Call("cas", ["1", "5"], "2"),
            Call("cas", ["1", "6"], "VersionMismatch 2"), Call("add", ["3"], "8@3"), Call("delete", [], "true"), Call("delete", [], "false"),
            Call("get", [], "absent"), Call("add", ["1"], "NotFound"), Call("cas", ["0", "7"], "5"), Call("get", [], "7@5")));

    [Fact]
    public void Overlapping_calls_may_take_effect_in_any_order() =>
        Assert.Equal(Verdict.Ok, Kv(
            Call("put", ["1"], "", 1, begin: 0, end: 10), Call("put", ["2"], "", 2, begin: 1, end: 9),
            Call("get", [], "1", begin: 2, end: 3), Call("get", [], "2", begin: 4, end: 5)));

    [Fact]
    public void A_read_that_goes_back_in_time_is_caught() =>
        Assert.Equal(Verdict.Violation, Kv(
            Call("put", ["1"], "", 1, begin: 0, end: 10), Call("put", ["2"], "", 2, begin: 1, end: 9),
            Call("get", [], "2", begin: 2, end: 3), Call("get", [], "1", begin: 4, end: 5), Call("get", [], "2", begin: 6, end: 7)));

    [Fact]
    public void A_read_of_an_old_value_is_caught_and_named()
    {
        var report = Linearizability.Check([Call("put", ["1"], "", 1), Call("put", ["2"], "", 2), Call("get", [], "1")], new KvModel());

        Assert.Equal(Verdict.Violation, report.Verdict);
        Assert.Contains("get x() -> 1", report.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_winners_of_one_compare_and_set_are_caught() =>
        Assert.Equal(Verdict.Violation, Cell(
            Call("init", ["1"], "1"), Call("cas", ["1", "2"], "2", begin: 10, end: 20), Call("cas", ["1", "3"], "2", begin: 11, end: 19)));

    [Fact]
    public void A_counter_that_starts_anew_after_a_delete_is_caught() =>
        Assert.Equal(Verdict.Violation, Cell(Call("init", ["1"], "1"), Call("delete", [], "true"), Call("init", ["2"], "1")));

    [Fact]
    public void A_version_that_goes_back_is_caught() =>
        Assert.Equal(Verdict.Violation, Kv(Call("put", ["1"], "", 5), Call("put", ["2"], "", 4)));

    [Fact]
    public void An_event_number_given_twice_is_caught() =>
        Assert.Equal(Verdict.Violation, Log(
            Call("append", ["a"], "0"), Call("append", ["b"], "1", begin: 10, end: 20), Call("append", ["c"], "1", begin: 11, end: 21)));

    [Fact]
    public void A_hole_in_the_log_is_caught() =>
        Assert.Equal(Verdict.Violation, Log(Call("append", ["a"], "0"), Call("append", ["b"], "2")));

    [Fact]
    public void A_read_of_a_log_that_misses_an_append_is_caught() =>
        Assert.Equal(Verdict.Violation, Log(Call("append", ["a"], "0"), Call("append", ["b"], "1"), Call("read", ["0", "9"], "a")));

    [Fact]
    public void An_unknown_write_may_take_effect_later_or_never()
    {
        var lost = Call("put", ["2"], "", outcome: Outcome.Unknown, begin: 2);

        Assert.Equal(Verdict.Ok, Kv(Call("put", ["1"], "", 1, begin: 0, end: 1), lost, Call("get", [], "1", begin: 3, end: 4), Call("get", [], "2", begin: 5, end: 6)));
        Assert.Equal(Verdict.Ok, Kv(Call("put", ["1"], "", 1, begin: 0, end: 1), lost, Call("get", [], "1", begin: 3, end: 4), Call("get", [], "1", begin: 5, end: 6)));
    }

    [Fact]
    public void An_unknown_write_takes_effect_once_and_not_before_it_was_sent()
    {
        var lost = Call("put", ["2"], "", outcome: Outcome.Unknown, begin: 4);

        Assert.Equal(Verdict.Violation, Kv(Call("put", ["1"], "", 1, begin: 0, end: 1), Call("get", [], "2", begin: 2, end: 3), lost));
        Assert.Equal(Verdict.Violation, Kv(lost, Call("get", [], "2", begin: 5, end: 6), Call("put", ["3"], "", 9, begin: 7, end: 8), Call("get", [], "2", begin: 9, end: 10)));
    }

    [Fact]
    public void A_failed_write_that_is_seen_is_caught() =>
        Assert.Equal(Verdict.Violation, Kv(Call("put", ["1"], "Busy", outcome: Outcome.Fail), Call("get", [], "1")));

    [Fact]
    public void Keys_are_judged_apart() =>
        Assert.Equal(Verdict.Violation, Kv(Call("put", ["1"], "", 1, key: "y"), Call("get", [], "1", key: "y"), Call("get", [], "1")));

    [Fact]
    public void Too_many_open_possibilities_are_undecided_and_not_ok()
    {
        var calls = Enumerable.Range(0, 24).Select(i => Call("increment", [$"{1 << i}"], "", outcome: Outcome.Unknown, begin: i)).ToList();
        calls.Add(Call("get", [], "-1", begin: 100, end: 101));

        var report = Linearizability.Check(calls, new KvModel(), stepsMax: 100_000);

        Assert.Equal(Verdict.Undecided, report.Verdict);
    }

    [Theory]
    [InlineData("Cell")]
    [InlineData("Kv")]
    [InlineData("Log")]
    public void Random_histories_of_a_correct_object_pass(string kind)
    {
        foreach (var seed in Seeds.Take(20, output))
        {
            var work = new SingleOperationWorkload(Enum.Parse<ObjectKind>(kind), processes: 8, operations: 60, keys: 3, seed);
            work.RunInterleaved(new ToyObjects().Starter(Enum.Parse<ObjectKind>(kind)));
            var report = work.Judge();
            Assert.True(report.Verdict == Verdict.Ok, $"seed={seed} {report}");
        }
    }

    [Theory]
    [InlineData("Cell", 1, true)]
    [InlineData("Kv", 1, true)]
    [InlineData("Log", 1, true)]
    [InlineData("Cell", 5, true)]
    [InlineData("Cell", 1, false)]
    [InlineData("Kv", 1, false)]
    [InlineData("Log", 1, false)]
    [InlineData("Kv", 5, false)]
    public void Eight_processes_of_two_hundred_calls_are_judged_at_once(string kind, int keys, bool withThreads)
    {
        var work = new SingleOperationWorkload(Enum.Parse<ObjectKind>(kind), processes: 8, operations: 200, keys, seed: 1);
        if (withThreads)
            work.RunThreads(new ToyObjects().Executor(Enum.Parse<ObjectKind>(kind)));
        else
            work.RunInterleaved(new ToyObjects().Starter(Enum.Parse<ObjectKind>(kind)));      // all eight overlap all the time
        work.Judge();
        var watch = Stopwatch.StartNew();

        var report = work.Judge();

        output.WriteLine($"{kind}, {keys} keys, {work.History.Calls().Count} calls: {watch.ElapsedMilliseconds} ms, {report.Steps} steps");
        Assert.True(report.Verdict == Verdict.Ok, report.ToString());
        Assert.True(report.Steps < 200_000);
    }

    [Theory]
    [InlineData("Cell", "CasCheckRemoved")]
    [InlineData("Cell", "CasCheckedEarly")]
    [InlineData("Cell", "LostUpdate")]
    [InlineData("Cell", "CounterRestarts")]
    [InlineData("Kv", "CasCheckRemoved")]
    [InlineData("Kv", "CasCheckedEarly")]
    [InlineData("Kv", "LostUpdate")]
    [InlineData("Kv", "StaleRead")]
    [InlineData("Log", "NumberDuplicated")]
    [InlineData("Log", "AppendDropped")]
    public void A_broken_object_is_caught(string kind, string fault)
    {
        var watch = Stopwatch.StartNew();
        foreach (var seed in Seeds.Take(20, output))
        {
            var work = new SingleOperationWorkload(Enum.Parse<ObjectKind>(kind), processes: 5, operations: 40, keys: 2, seed);
            work.RunInterleaved(new ToyObjects(Enum.Parse<ToyObjectFault>(fault)).Starter(Enum.Parse<ObjectKind>(kind)));
            var report = work.Judge();
            if (report.Verdict == Verdict.Violation)
            {
                output.WriteLine($"caught after {watch.ElapsedMilliseconds} ms: {report.Explanation}");
                return;
            }
        }

        Assert.Fail($"{fault} of {kind} was not caught");
    }
}
