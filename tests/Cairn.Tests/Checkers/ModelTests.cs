using System.Security.Cryptography;
using Xunit;

namespace Cairn.Tests.Checkers;

public sealed class ModelTests(ITestOutputHelper output)
{
    private readonly Model _model = new();

    private Result Do(Operation operation) => _model.Execute(operation);

    private void Answers(Plain expected, Operation operation)
    {
        var result = Do(operation);
        Assert.True(result.Code == ErrorCode.None && result.Answer.Equals(expected), $"{operation} answered {result}, expected {expected}");
    }

    private void Refuses(ErrorCode code, Operation operation) => Assert.Equal(code, Do(operation).Code);

    [Fact]
    public void A_key_has_the_sequence_that_wrote_it_and_absence_is_not_null()
    {
        Answers(Plain.Absent, new KvGet(0, "x"));
        Assert.Equal(1UL, Do(new KvPut(0, "x", Plain.Null)).Sequence);
        Answers(Plain.Null, new KvGet(0, "x"));
        Answers(Plain.Array(Plain.Null, 1L, Plain.Null), new KvGetVersioned(0, "x"));
        Assert.Equal(0UL, Do(new KvDelete(0, "y")).Sequence);
        Answers(true, new KvDelete(0, "x"));
        Answers(Plain.Absent, new KvGet(0, "x"));
    }

    [Fact]
    public void Compare_and_set_expects_zero_of_a_deleted_key()
    {
        Do(new KvPut(0, "x", 1L));
        Do(new KvDelete(0, "x"));
        var result = Do(new KvCompareAndSet(0, "x", Expect.Absent, 2L));
        Assert.Equal((ErrorCode.None, (Plain)0L), (result.Code, result.Expectation));
        Refuses(ErrorCode.VersionMismatch, new KvCompareAndSet(0, "x", Expect.Stale, 3L));
        Answers(2L, new KvGet(0, "x"));
    }

    [Fact]
    public void Compare_and_set_in_a_transaction_expects_the_committed_version_and_not_the_own_write()
    {
        Do(new KvPut(0, "x", 1L));
        var result = Do(new TransactionOperation([new KvPut(0, "x", 2L), new KvCompareAndSet(0, "x", Expect.Current, 3L)], Commit: true));
        Assert.Equal((Plain)1L, result.Inner![1].Expectation);
        Answers(3L, new KvGet(0, "x"));
    }

    [Fact]
    public void An_increment_keeps_the_expiry_and_a_put_clears_it()
    {
        Do(new KvPut(0, "x", 1L, 1_000_000));
        Answers(3L, new KvIncrement(0, "x", 2));
        Do(new KvPut(0, "y", 1L, 1_000_000));
        Do(new KvPut(0, "y", 2L));
        Do(new Advance(1_000_000));
        Answers(Plain.Absent, new KvGet(0, "x"));
        Answers(2L, new KvGet(0, "y"));
        Answers(5L, new KvIncrement(0, "x", 5));
    }

    [Fact]
    public void An_increment_beyond_Int64_or_of_another_kind_writes_nothing()
    {
        Do(new KvPut(0, "x", long.MaxValue));
        Refuses(ErrorCode.Overflow, new KvIncrement(0, "x", 1));
        Do(new KvPut(0, "y", Plain.Of(1.0)));
        Refuses(ErrorCode.WrongType, new KvIncrement(0, "y", 1));
        Assert.Equal(2UL, _model.World.LastSequence);
    }

    [Fact]
    public void A_clock_that_goes_back_brings_nothing_back()
    {
        Do(new KvPut(0, "x", 1L, 1_000_000));
        Do(new Advance(2_000_000));
        Do(new KvPut(0, "y", 1L));
        Do(new Advance(-3_000_000));
        Answers(Plain.Absent, new KvGet(0, "x"));
    }

    [Fact]
    public void Keys_are_listed_by_their_UTF8_bytes()
    {
        foreach (var key in (string[])["\U0001f5ff", "\uff21", "b", "B"])
            Do(new KvPut(0, key, 1L));
        Answers(Plain.Array("B", "b", "\uff21", "\U0001f5ff"), new KvList(0, "", null, 10, false));
        Answers(Plain.Array("\U0001f5ff", "\uff21"), new KvList(0, "", null, 2, true));
    }

    [Fact]
    public void Bad_keys_are_refused_before_anything_else()
    {
        Refuses(ErrorCode.InvalidKey, new KvPut(9, "", 1L));
        Refuses(ErrorCode.InvalidKey, new KvPut(0, "a\0", 1L));
        Refuses(ErrorCode.InvalidKey, new KvPut(0, "$a", 1L));
        Refuses(ErrorCode.InvalidKey, new KvPut(0, "\ud800", 1L));
        Refuses(ErrorCode.LimitExceeded, new KvPut(0, new string('k', 1025), 1L));
        Refuses(ErrorCode.InvalidArgument, new KvPutMany(0, [("a", 1L), ("a", 2L)]));
        Refuses(ErrorCode.NotFound, new KvPut(9, "a", 1L));
        Answers(Plain.Absent, new KvGet(0, "$a"));
        Assert.Equal(ErrorCode.None, Do(new KvPut(0, new string('k', 1024), 1L)).Code);
    }

    [Fact]
    public void A_counter_goes_on_after_a_delete_and_moves_with_every_write_of_a_transaction()
    {
        Answers(1L, new StateInit(0, "c", 1L));
        Refuses(ErrorCode.AlreadyExists, new StateInit(0, "c", 1L));
        Answers(true, new StateDelete(0, "c"));
        Answers(3L, new StateInit(0, "c", 1L));
        var result = Do(new TransactionOperation([new StateSet(0, "c", 5L), new StateTransition(0, "c", 2)], Commit: true));
        Assert.Equal(Plain.Array(7L, 5L), result.Inner![1].Answer);
        Refuses(ErrorCode.NotFound, new StateTransition(0, "d", 1));
        Answers(Plain.Array(101L, 1L), new StateTransitionOrInit(0, "d", 100, 1));
        Refuses(ErrorCode.VersionMismatch, new StateCompareAndSet(0, "d", Expect.Stale, 1L));
        Answers(2L, new StateCompareAndSet(0, "d", Expect.Current, 1L));
    }

    [Fact]
    public void A_broken_requirement_fails_the_whole_transaction()
    {
        Do(new StateInit(0, "c", 1L));
        Refuses(ErrorCode.VersionMismatch, new TransactionOperation([new KvPut(0, "x", 1L), new StateRequire(0, "c", Expect.Stale)], Commit: true));
        Answers(Plain.Absent, new KvGet(0, "x"));
    }

    [Fact]
    public void A_lease_is_held_until_it_expires()
    {
        Answers(Plain.Array(true, 1L), new StateAcquire(0, "l", "ada", 1_000_000));
        Answers(Plain.Array(false, "ada"), new StateAcquire(0, "l", "eve", 1_000_000));
        Answers(true, new StateRenew(0, "l", "ada", 2_000_000));
        Do(new Advance(1_500_000));
        Answers(false, new StateRelease(0, "l", "eve"));
        Do(new Advance(1_500_000));
        Answers(Plain.Array(true, 2L), new StateAcquire(0, "l", "eve", 1_000_000));
        Answers(false, new StateRenew(0, "l", "ada", 1_000_000));
    }

    [Fact]
    public void A_rolled_back_transaction_leaves_nothing_and_reads_its_own_writes()
    {
        Do(new KvPut(0, "a", 1L));
        var result = Do(new TransactionOperation(
            [new KvPut(0, "b", 2L), new KvDelete(0, "a"), new KvScan(0, "", null, 10, false), new KvCount(0, null), new EventsAppend(0, "e", Plain.Map()), new EventsCount(0)], Commit: false));
        Assert.Equal(Plain.Array(Plain.Array("b", 2L)), result.Inner![2].Answer);
        Assert.Equal((Plain)1L, result.Inner[3].Answer);
        Assert.Equal((Plain)1L, result.Inner[5].Answer);
        Answers(1L, new KvCount(0, null));
        Answers(0L, new EventsCount(0));
        Assert.Equal(1UL, _model.World.LastSequence);
    }

    [Fact]
    public void Events_are_numbered_from_zero_and_chained_as_EV_3_says()
    {
        Answers(0L, new EventsAppend(0, "tool_call", Plain.Map(("b", 2L), ("a", 1L))));
        Answers(1L, new EventsAppend(0, "é", Plain.Map()));
        var salt = Enumerable.Range(1, 16).Select(i => (byte)i).ToArray();

        var hash = _model.Seal(0, 0, 1_700_000_000_000_001, salt);

        // By hand: {"a": 1, "b": 2} is 82 A1 61 01 A1 62 02; "tool_call" has 9 bytes.
        byte[] payload = [0x82, 0xA1, 0x61, 0x01, 0xA1, 0x62, 0x02];
        var payloadHash = SHA256.HashData([.. salt, .. payload]);
        byte[] head = [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, .. "tool_call"u8, .. BitConverter.GetBytes(1_700_000_000_000_001L)];
        Assert.Equal(SHA256.HashData([.. head, .. payloadHash, .. new byte[32]]), hash);
        Assert.Equal(hash, _model.World.Runs[0].Events[1].Previous);
        Answers(Plain.Array(true, 2L), new EventsVerify(0));
    }

    [Fact]
    public void A_redacted_event_keeps_its_place_in_the_chain()
    {
        Do(new EventsAppend(0, "a", Plain.Map(("secret", "s"))));
        Do(new EventsAppend(0, "b", Plain.Map()));
        Answers(Plain.Done, new EventsRedact(0, 0, "asked for"));
        Answers(Plain.Array(0L, "a"), new EventsGet(0, 0));
        Answers(Plain.Array(true, 3L), new EventsVerify(0));
        Answers(Plain.Array("$redacted", "a", "b"), new EventsTypes(0));
        Refuses(ErrorCode.NotFound, new EventsRedact(0, 7, "asked for"));
    }

    [Fact]
    public void A_changed_event_is_found_by_the_chain()
    {
        for (var i = 0; i < 3; i++)
            Do(new EventsAppend(0, "a", Plain.Map(("n", (long)i))));
        var events = _model.World.Runs[0].Events;
        Assert.Null(EventChain.FirstInvalid(events));
        Assert.Equal(1, EventChain.FirstInvalid(events.SetItem(1, events[1] with { Payload = Plain.Map(("n", 7L)) })));
        Assert.Equal(1, EventChain.FirstInvalid(events.RemoveAt(1)));
        Assert.Equal(2, EventChain.FirstInvalid(events.SetItem(2, events[2] with { Time = 1 })));
    }

    [Fact]
    public void Run_status_follows_the_graph()
    {
        (RunAction Action, RunStatusName Status)[] actions =
        [
            (RunAction.Complete, RunStatusName.Completed), (RunAction.Fail, RunStatusName.Failed), (RunAction.Pause, RunStatusName.Paused),
            (RunAction.Cancel, RunStatusName.Cancelled), (RunAction.Archive, RunStatusName.Archived),
        ];
        var slot = 0;
        foreach (var (first, status) in actions)
        {
            foreach (var second in Enum.GetValues<RunAction>())
            {
                Answers(Plain.Done, new RunsBegin(++slot, null, null, [], Plain.Map()));
                Answers(Plain.Done, new RunsEnd(slot, first));
                Refuses(ErrorCode.RunClosed, new KvPut(slot, "x", 1L));
                var isAllowed = status switch
                {
                    RunStatusName.Paused => second is RunAction.Resume or RunAction.Cancel or RunAction.Archive,
                    RunStatusName.Archived => false,
                    _ => second == RunAction.Archive,
                };
                Assert.Equal(isAllowed ? ErrorCode.None : ErrorCode.InvalidTransition, Do(new RunsEnd(slot, second)).Code);
            }
        }
    }

    [Fact]
    public void A_deleted_run_is_gone_and_its_name_is_free()
    {
        Do(new RunsBegin(1, "alpha", null, ["red", "red"], Plain.Map(("a", 1L))));
        Refuses(ErrorCode.AlreadyExists, new RunsBegin(2, "alpha", null, [], Plain.Map()));
        Refuses(ErrorCode.NotFound, new RunsBegin(2, "beta", 9, [], Plain.Map()));
        Do(new RunsUpdateMetadata(1, Plain.Map(("a", Plain.Null), ("b", Plain.Map(("c", Plain.Null))))));
        Answers(Plain.Array("Active", "alpha", Plain.Null, Plain.Array("red"), Plain.Map(("b", Plain.Map())), 0L), new RunsGet(1));
        Answers(Plain.Done, new RunsDelete(1));
        Refuses(ErrorCode.NotFound, new KvGet(1, "x"));
        Answers(Plain.Done, new RunsBegin(2, "alpha", null, [], Plain.Map()));
        Answers(Plain.Array(2L), new RunsList(null, null, "al"));
    }

    [Fact]
    public void Traces_form_a_tree_in_order_of_time()
    {
        Answers(0L, new TracesRecord(0, null, TraceKind.Thought, 30, ["a", "a"], Plain.Map(("content", "x"), ("confidence", Plain.Of(1)))));
        Answers(1L, new TracesRecord(0, 0, TraceKind.Custom, 20, [], Plain.Map()));
        Answers(2L, new TracesRecord(0, 0, TraceKind.Custom, 10, ["a"], Plain.Map()));
        Answers(3L, new TracesRecord(0, 2, TraceKind.Custom, 40, [], Plain.Map()));
        Refuses(ErrorCode.NotFound, new TracesRecord(0, 9, TraceKind.Custom, 50, [], Plain.Map()));
        Refuses(ErrorCode.ConstraintViolation, new TracesRecord(0, null, TraceKind.Thought, 60, [], Plain.Map(("confidence", Plain.Of(1.1)))));
        Refuses(ErrorCode.ConstraintViolation, new TracesRecord(0, null, TraceKind.Decision, 60, [], Plain.Map(("options", Plain.Array("l")), ("chosen", "r"))));
        Answers(Plain.Array(2L, 1L), new TracesChildren(0, 0));
        Answers(Plain.Array(2L, 0L), new TracesByTag(0, "a"));
        Answers(Plain.Array(2L, 1L), new TracesByTime(0, 10, 30));
        Answers(Plain.Array(0L, Plain.Array(Plain.Array(2L, Plain.Array()), Plain.Array(1L, Plain.Array()))), new TracesTree(0, 0, 1));
    }

    [Fact]
    public void Values_survive_their_canonical_bytes()
    {
        Plain[] values =
        [
            Plain.Null, true, false, 0L, 127L, 128L, 255L, 256L, 65_535L, 65_536L, 4_294_967_295L, 4_294_967_296L, long.MaxValue, -1L, -32L, -33L, -128L, -129L,
            -32_768L, -32_769L, -2_147_483_648L, -2_147_483_649L, long.MinValue, Plain.Of(0), Plain.Of(-0.0), Plain.Of(double.NaN), "", "é", new string('x', 31),
            new string('x', 32), new string('x', 256), new string('x', 70_000), new byte[3], new byte[300], Plain.Array(Enumerable.Range(0, 20).Select(i => (Plain)(long)i)),
            Plain.Map(("b", 1L), ("a", Plain.Array(Plain.Null))),
        ];
        Assert.All(values, v => Assert.Equal(v, Plain.FromCanonical(v.Canonical)));
        Assert.Equal(values.Length, values.Select(v => Convert.ToHexString(v.Canonical)).Distinct().Count());
        Assert.Equal(Plain.Of(double.NaN), Plain.Of(BitConverter.Int64BitsToDouble(unchecked((long)0xFFF8000000000001))));
        Assert.NotEqual((Plain)1L, Plain.Of(1.0));
        Assert.Equal("82A16101A16202", Convert.ToHexString(Plain.Map(("b", 2L), ("a", 1L)).Canonical));
    }

    [Fact]
    public void The_generator_repeats_itself_and_reaches_every_operation_and_both_outcomes()
    {
        Assert.Equal(new Generator(7).Take(500).Select(o => o.ToString()), new Generator(7).Take(500).Select(o => o.ToString()));
        var outcomes = new Dictionary<string, HashSet<ErrorCode>>();
        foreach (var seed in Seeds.Take(4, output))
        {
            var model = new Model();
            void Note(Operation operation, Result result)
            {
                if (!result.IsSkipped)
                    (outcomes.TryGetValue(operation.GetType().Name, out var set) ? set : outcomes[operation.GetType().Name] = []).Add(result.Code);
            }

            var options = new GeneratorOptions(
                SyncEvery: 41, CheckpointEvery: 43, CompactEvery: 97, BackUpEvery: 389, ForkEvery: 53, MergeEvery: 59, DocumentShare: 10,
                VectorShare: 10);
            foreach (var operation in new Generator(seed, options).Take(4_000))
            {
                var result = model.Execute(operation);
                Note(operation, result);
                if (operation is TransactionOperation transaction && result.Inner is not null)
                {
                    foreach (var (inner, answer) in transaction.Body.Zip(result.Inner))
                        Note(inner, answer);
                }
            }

            Assert.Null(EventChain.FirstInvalid(model.World.Runs[0].Events));
        }

        foreach (var (name, codes) in outcomes.OrderBy(o => o.Key, StringComparer.Ordinal))
            output.WriteLine($"{name}: {string.Join(' ', codes)}");
        var all = typeof(Operation).Assembly.GetTypes().Where(t => t.IsSubclassOf(typeof(Operation)) && !t.IsAbstract).Select(t => t.Name);
        Assert.Empty(all.Except(outcomes.Where(o => o.Value.Contains(ErrorCode.None)).Select(o => o.Key)));
        ErrorCode[] expected =
        [
            ErrorCode.NotFound, ErrorCode.InvalidKey, ErrorCode.InvalidName, ErrorCode.InvalidArgument, ErrorCode.WrongType, ErrorCode.Overflow, ErrorCode.LimitExceeded,
            ErrorCode.ConstraintViolation, ErrorCode.AlreadyExists, ErrorCode.InvalidTransition, ErrorCode.RunClosed, ErrorCode.VersionMismatch,
        ];
        Assert.Empty(expected.Except(outcomes.Values.SelectMany(c => c)));
    }

    // --- the model against broken subjects ------------------------------------------------------------------------------

    public enum SubjectFault
    {
        None,
        DeleteKeepsCounter,
        IncrementDropsExpiry,
        RollbackCommits,
        RestartForgetsLastCommit,
        ReverseIgnored,
        EventNumberDuplicated,
        ClosedRunWritable,
    }

    /// <summary>A second model in the place of an engine, with one rule broken.</summary>
    private sealed class Subject(SubjectFault fault) : IModelSubject
    {
        private readonly Model _inner = new(new ModelRules(DeleteCounts: fault != SubjectFault.DeleteKeepsCounter));
        private World? _before;

        public Result Execute(Operation operation, Result expected, Model model)
        {
            var before = _inner.World;
            var result = Run(operation);
            if (result.Sequence != 0)
                _before = before;
            return result;
        }

        private Result Run(Operation operation)
        {
            switch (operation)
            {
                case KvIncrement o when fault == SubjectFault.IncrementDropsExpiry:
                    var sum = _inner.Execute(o);
                    if (sum.Code == ErrorCode.None)
                        _inner.World = _inner.World with { Runs = _inner.World.Runs.SetItem(o.Run, _inner.World.Runs[o.Run] with { Kv = _inner.World.Runs[o.Run].Kv.SetItem(o.Key, _inner.World.Runs[o.Run].Kv[o.Key] with { Expiry = null }) }) };
                    return sum;
                case TransactionOperation { Commit: false } o when fault == SubjectFault.RollbackCommits:
                    return _inner.Execute(o with { Commit = true }) with { Code = ErrorCode.None, Answer = Plain.Done, Sequence = 0 };
                case Restart o when fault == SubjectFault.RestartForgetsLastCommit && _before is not null:
                    _inner.World = _before;
                    return _inner.Execute(o);
                case KvList { Reverse: true } o when fault == SubjectFault.ReverseIgnored:
                    return _inner.Execute(o with { Reverse = false });
                case EventsAppend o when fault == SubjectFault.EventNumberDuplicated && _inner.World.LastSequence % 10 == 9:
                    var appended = _inner.Execute(o);
                    return appended.Code == ErrorCode.None && appended.Answer.AsInt64 > 0 ? appended with { Answer = appended.Answer.AsInt64!.Value - 1 } : appended;
                case KvPut o when fault == SubjectFault.ClosedRunWritable && _inner.World.Runs.TryGetValue(o.Run, out var run) && run.Status == RunStatusName.Completed:
                    return new Result(ErrorCode.None, Plain.Done);
                default:
                    return _inner.Execute(operation);
            }
        }

        public void Dispose()
        {
        }
    }

    [Fact]
    public void Two_models_agree_on_every_program()
    {
        foreach (var seed in Seeds.Take(2, output))
            Assert.Null(ModelRun.FirstDifference([.. new Generator(seed).Take(4_000)], () => new Subject(SubjectFault.None)));
    }

    [Theory]
    [InlineData(SubjectFault.DeleteKeepsCounter)]
    [InlineData(SubjectFault.IncrementDropsExpiry)]
    [InlineData(SubjectFault.RollbackCommits)]
    [InlineData(SubjectFault.RestartForgetsLastCommit)]
    [InlineData(SubjectFault.ReverseIgnored)]
    [InlineData(SubjectFault.EventNumberDuplicated)]
    [InlineData(SubjectFault.ClosedRunWritable)]
    public void A_broken_subject_is_caught_and_the_program_shrinks_to_twenty_operations(SubjectFault fault)
    {
        foreach (var seed in Seeds.Take(20, output))
        {
            var difference = ModelRun.FirstDifference([.. new Generator(seed).Take(2_000)], () => new Subject(fault));
            if (difference is null)
                continue;

            var shrunk = ModelRun.Shrink(difference, () => new Subject(fault), runsMax: 600);

            output.WriteLine($"{difference.Program.Count} operations became {shrunk.Program.Count}: {shrunk}");
            Assert.InRange(shrunk.Program.Count, 1, 20);
            return;
        }

        Assert.Fail($"{fault} was not caught");
    }

    [Fact]
    public void The_worlds_of_the_model_feed_the_crash_oracle()
    {
        foreach (var seed in Seeds.Take(2, output))
        {
            var model = new Model();
            var trace = new List<IssuedCommit>();
            var start = Model.Flatten(model.World);
            var before = start;
            foreach (var operation in new Generator(seed).Take(400))
            {
                var result = model.Execute(operation);
                if (result.Sequence == 0)
                    continue;
                var after = Model.Flatten(model.World);
                var writes = before.Keys.Union(after.Keys).Where(a => before.GetValueOrDefault(a) != after.GetValueOrDefault(a)).Select(a => new CrashWrite(a, after.GetValueOrDefault(a))).ToList();
                trace.Add(new IssuedCommit(trace.Count, writes, CommitStatus.Acknowledged, result.Sequence, trace.Count * 2, (trace.Count * 2) + 1));
                before = after;
            }

            var last = model.World.LastSequence;
            Assert.Equal(last, (ulong)trace.Count);
            Assert.Equal(CrashVerdict.ExactPrefix, CrashOracle.Judge(trace, before, last, last, (start, 0)).Verdict);
            before.Remove(before.Keys.First(k => k.Contains("/kv/", StringComparison.Ordinal)));
            Assert.NotEqual(CrashVerdict.ExactPrefix, CrashOracle.Judge(trace, before, last, null, (start, 0)).Verdict);
        }
    }
}
