using System.Globalization;
using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>Recorded inputs: when an answer is committed, with what, and what keeps it from being lost, doubled or torn from what it
/// caused.</summary>
public class InputTests
{
    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Value Ask(Run run, string request, Value answer, InputKind kind = InputKind.Tool) =>
        run.Input(kind, request, () => answer);

    private static List<RecordedInput> InputsOf(Run run) => [.. run.ListInputs(1000)];

    private static List<string> Types(Run run) => [.. run.Events.Since(0, new EventScanOptions { Limit = 1000 }).Select(e => e.Type)];

    // ---- RPL-20: what is kept -------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-20")]
    [Trait("Requirement", "EV-15")]
    public void An_input_keeps_request_hash_answer_and_duration(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Run;
        var trace = run.Traces.Record(new ThoughtStep("look it up"));
        var request = Value.Object(("path", "a.txt"), ("lines", 3));

        var answer = run.Input(
            InputKind.Tool, request,
            () =>
            {
                world.Clock.Advance(TimeSpan.FromMilliseconds(7));
                return "content";
            },
            new InputOptions { Name = "read", Trace = trace });
        run.CommitInputs();

        Assert.Equal("content", answer.AsString());
        world.Reopen();
        var input = Assert.Single(InputsOf(world.Run));
        Assert.Equal((0L, InputKind.Tool, "read"), (input.Ordinal, input.Kind, input.Name));
        Assert.Equal((request, (Value)"content", trace), (input.Request!.Value, input.Answer!.Value, input.Trace));
        Assert.Equal(TimeSpan.FromMilliseconds(7), input.Duration);
        Assert.Equal((InputMark.Recorded, null), (input.Mark, input.Failure));
        Assert.NotEqual(default, input.RequestHash);
        Assert.Equal("$input.tool", world.Run.Events.Get(input.Number)!.Type);
        Assert.True(world.Run.Events.Verify().IsValid);
    }

    [Fact]
    [Trait("Requirement", "RPL-20")]
    public void The_hash_of_a_request_does_not_depend_on_the_order_of_members_or_the_culture()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var before = CultureInfo.CurrentCulture;
        try
        {
            world.Run.Input(InputKind.Model, Value.Object(("b", 1.5), ("a", "I")), () => 1);
            var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            comma.NumberFormat.NumberDecimalSeparator = ",";
            CultureInfo.CurrentCulture = comma;
            world.Run.Input(InputKind.Model, Value.Object(("a", "I"), ("b", 1.5)), () => 2);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        world.Run.Input(InputKind.Tool, Value.Object(("a", "I"), ("b", 1.5)), () => 3);
        world.Run.Input(InputKind.Model, Value.Object(("a", "I"), ("b", 1.5)), () => 4, new InputOptions { Name = "m" });
        world.Run.CommitInputs();

        var hashes = InputsOf(world.Run).Select(input => input.RequestHash).ToList();
        Assert.Equal(hashes[0], hashes[1]);
        Assert.Equal(3, hashes.Distinct().Count());
        // A second process must find the same: written down once.
        Assert.Equal("c513dd53507b016e8b4e4aa5bf9d29ec777f2cab3d200a19d09335b3bc6515da", hashes[0].ToString());
    }

    [Fact]
    public void Answers_of_every_kind_come_back_as_they_were()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Value[] answers = [Value.Null, true, 1, 1.5, double.NaN, double.NegativeInfinity, "", Value.Bytes([1, 2]),
            Value.Array(1, double.NaN),
            Value.Object(("$bytes", "x"))];
        for (var i = 0; i < answers.Length; i++)
            Ask(world.Run, $"{i}", answers[i], (InputKind)(i % 6));
        world.Run.Input(InputKind.Model, double.PositiveInfinity, () => 0);
        world.Run.CommitInputs();

        world.Reopen();
        Assert.Equal([.. answers, 0], InputsOf(world.Run).Select(input => input.Answer!.Value));
        Assert.Equal(double.PositiveInfinity, InputsOf(world.Run)[^1].Request!.Value.AsFloat64());
    }

    [Fact]
    [Trait("Requirement", "EV-15")]
    public void Only_the_engine_writes_events_of_inputs()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var refused = Assert.Throws<CairnException>(() => world.Run.Events.Append("$input.tool", Value.Object()));
        Assert.Equal(ErrorCode.InvalidName, refused.Code);
    }

    // ---- RPL-21: in which commit ------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-21")]
    public void An_input_commits_with_its_first_effect(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Run;
        Ask(run, "q", 1);
        Assert.Empty(InputsOf(run));                         // in no commit yet
        Assert.Equal(Sequence.None, world.Db.Sequence);

        var put = run.Kv.Put("effect", 1);

        Assert.Equal(put, Assert.Single(InputsOf(run)).Sequence);
        Assert.Equal(new Sequence(1), world.Db.Sequence);
        run.Kv.Put("later", 2);
        Assert.Single(InputsOf(run));                        // once
    }

    public static TheoryData<string> Effects => [.. Doors.Keys];

    private static readonly Dictionary<string, Func<Run, object?>> Doors = new()
    {
        ["put"] = run => run.Kv.Put("k", 1),
        ["put async"] = run => run.Kv.PutAsync("k", 1).AsTask().GetAwaiter().GetResult(),
        ["put many"] = run => run.Kv.PutMany([new("k", 1), new("l", 2)]),
        ["delete"] = run => run.Kv.Delete("there"),
        ["delete many"] = run => run.Kv.DeleteMany(["there", "absent"]),
        ["increment"] = run => run.Kv.Increment("n", 5),
        ["append"] = run => run.Events.Append("effect", Value.Object(("a", 1))).Number,
        ["append async"] = run => run.Events.AppendAsync("effect", Value.Object()).AsTask().GetAwaiter().GetResult().Number,
        ["append many"] = run => run.Events.AppendMany([new("e", Value.Object()), new("f", Value.Object())]).Count,
        ["consumer"] = run => { run.Events.Consumers.Commit("c", 0); return null; },
        ["state set"] = run => run.State.Set("cell", 1).Counter,
        ["state init"] = run => run.State.Init("cell", 1).Counter,
        ["transition"] = run => run.State.TransitionOrInit("cell", 5, value => value.AsInt64() + 1),
        ["trace"] = run => { run.Traces.Record(new ThoughtStep("t")); return null; },
        ["tags"] = run => run.AddTags("t"),
        ["pause"] = run => run.Pause(),
        ["complete"] = run => run.Complete("done"),
        ["fail"] = run => run.Fail("broken"),
        ["transact"] = run => run.Transact(tx => { tx.Kv.Put("k", 1); return tx.Kv.Increment("n", 2); }),
        ["transact once"] = run => run.TransactOnce("key", tx => tx.Kv.Put("k", 1)).IsRepeat,
    };

    // Every way to write carries the input, gives the same answer as without one, and leaves the same behind.
    [Theory]
    [MemberData(nameof(Effects))]
    [Trait("Requirement", "RPL-21")]
    public void Every_way_to_write_carries_the_input_and_answers_as_without_one(string door)
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var (plain, asking) = (world.Db.Runs.Begin(), world.Db.Runs.Begin());
        plain.Kv.Put("there", 1);
        asking.Kv.Put("there", 1);
        var expected = Doors[door](plain);
        Ask(asking, "q", "a");
        var before = world.Db.Sequence;

        var given = Doors[door](asking);

        Assert.Equal(before.Value + 1, world.Db.Sequence.Value);
        Assert.Equal(before.Value + 1, Assert.Single(InputsOf(asking)).Sequence.Value);
        if (expected is EventNumber number)
            Assert.Equal(number.Value + 1, ((EventNumber)given!).Value);
        else if (expected is not Sequence)
            Assert.Equal(expected?.ToString(), given?.ToString());
        Assert.Equal(["$input.tool", .. Types(plain)], Types(asking));
        Assert.True(asking.Events.Verify().IsValid);
        var hash = asking.StateHash();
        world.Reopen();
        Assert.Equal(hash, world.Db.Runs.Get(asking.Id)!.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RPL-21")]
    public void The_next_input_is_asked_when_the_one_before_is_committed()
    {
        using var world = new ModeDatabase(Durability.Strict);
        Ask(world.Run, "first", 1);
        var seen = -1;
        world.Run.Input(InputKind.Model, "second", () => seen = InputsOf(world.Run).Count);
        Assert.Equal(1, seen);
    }

    [Fact]
    [Trait("Requirement", "RPL-21")]
    public async Task The_awaited_forms_do_the_same()
    {
        using var world = new ModeDatabase(Durability.Strict);
        await world.Run.InputAsync(InputKind.Tool, "first", async _ =>
        {
            await Task.Yield();
            return 1;
        }, cancellationToken: Token);
        var seen = -1;
        await world.Run.InputAsync(
            InputKind.Model, "second", _ => ValueTask.FromResult<Value>(seen = InputsOf(world.Run).Count), cancellationToken: Token);
        Assert.Equal(1, seen);
        Assert.NotEqual(Sequence.None, await world.Run.CommitInputsAsync(Token));
        Assert.Equal(Sequence.None, await world.Run.CommitInputsAsync(Token));
        Assert.Equal(2, InputsOf(world.Run).Count);
    }

    [Fact]
    [Trait("Requirement", "RPL-21")]
    public void What_waits_is_committed_when_the_database_closes()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Ask(world.Run, "q", 1);
        world.Reopen();
        Assert.Single(InputsOf(world.Run));
        Ask(world.Run, "r", 2);
        world.Run.CommitInputs();
        Assert.Equal([0L, 1L], InputsOf(world.Run).Select(input => input.Ordinal));
    }

    [Fact]
    [Trait("Requirement", "RPL-21")]
    public void A_refused_commit_carries_nothing_and_the_input_waits_on()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("k", 1);
        Ask(world.Run, "q", 1);
        Assert.Throws<VersionMismatchException>(() => world.Run.Kv.CompareAndSet("k", new Sequence(77), 2));
        Assert.False(world.Run.Kv.Delete("absent"));
        using (var dropped = world.Run.BeginTransaction())
        {
            dropped.Kv.Put("k", 3);
            dropped.Rollback();
        }

        Assert.Throws<InvalidOperationException>(
            () => world.Run.Transact(_ => throw new InvalidOperationException("no")));
        world.Run.Transact(tx => tx.Kv.Get("k"));            // nothing written
        Assert.Empty(InputsOf(world.Run));

        var at = world.Run.Kv.CompareAndSet("k", new Sequence(1), 2);
        Assert.Equal(at, Assert.Single(InputsOf(world.Run)).Sequence);
    }

    [Fact]
    [Trait("Requirement", "RPL-21")]
    public void One_commit_of_several_runs_carries_the_inputs_of_each()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var runs = Enumerable.Range(0, 3).Select(_ => world.Db.Runs.Begin()).ToList();
        Ask(runs[0], "a", 1);
        Ask(runs[2], "c", 3);
        var n = 0L;
        world.Db.Transact(runs, tx =>
        {
            foreach (var run in runs)
            {
                tx.On(run).Events.Append("effect", Value.Object());
                n = tx.On(run).Kv.Increment("n", 4);
            }
        });
        Assert.Equal(4, n);
        Assert.Equal(["$input.tool", "effect"], Types(runs[0]));
        Assert.Equal(["effect"], Types(runs[1]));
        Assert.Equal(["$input.tool", "effect"], Types(runs[2]));
        var hashes = runs.Select(run => run.StateHash()).ToList();
        world.Reopen();
        Assert.Equal(hashes, runs.Select(run => world.Db.Runs.Get(run.Id)!.StateHash()));
    }

    [Fact]
    [Trait("Requirement", "RPL-20")]
    [Trait("Requirement", "SEC-16")]
    public void The_commit_tells_tool_step_and_kind_of_the_source_unless_its_writer_does()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var step = world.Run.Traces.Record(new ThoughtStep("t"));
        var options = new InputOptions { Name = "crm.lookup", Trace = step };
        world.Run.Input(InputKind.Tool, "q", () => 1, options);
        var first = world.Run.Kv.Put("k", 1);
        Assert.Equal(
            new CommitAttributes { Tool = "crm.lookup", TraceStep = step, SourceKind = "tool" }, world.Db.TransactionAt(first).Attributes);

        world.Run.Input(InputKind.Model, "q", () => 1, new InputOptions { Name = "m" });
        var own = new CommitAttributes { Actor = "planner", SourceKind = "mine", Entries = Value.Object(("long", new string('x', 300))) };
        var other = world.Db.Runs.Begin();
        var second = default(Sequence);
        using (var tx = world.Db.BeginTransaction(
            [world.Run, other], new TransactionOptions { Commit = new CommitOptions { Attributes = own } }))
        {
            tx.On(world.Run).Kv.Put("k", 2);
            tx.On(other).Kv.Put("k", 3);
            second = tx.Commit();
        }

        Assert.Equal(own, world.Db.TransactionAt(second).Attributes);
        var third = world.Run.Kv.Put("k", 4);
        Assert.Equal(CommitAttributes.None, world.Db.TransactionAt(third).Attributes);
        world.Run.Input(InputKind.Clock, "now", () => 1);
        Assert.Equal("clock", world.Db.TransactionAt(world.Run.CommitInputs()).Attributes.SourceKind);
        world.Reopen();
        Assert.Equal(3, world.Db.Runs.Get(other.Id)!.Kv.Get("k")!.Value.AsInt64());
        Assert.True(world.Db.VerifyDeep().IsValid);
    }

    // Who has seen where the events end knows the numbers of its own: an input in front would give them to others.
    [Fact]
    public void A_commit_that_knows_the_numbers_of_its_events_carries_the_input_behind_them()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Ask(world.Run, "q", 1);
        var receipts = world.Run.Events.AppendMany(
            [new("a", Value.Object()), new("b", Value.Object()) { Causes = [0] }]);
        Assert.Equal([0UL, 1UL], receipts.Select(receipt => receipt.Number.Value));
        Assert.Equal(["a", "b", "$input.tool"], Types(world.Run));

        Ask(world.Run, "r", 2);
        world.Run.Transact(tx =>
        {
            var next = (ulong)tx.Events.Count();
            tx.Events.Append("c", Value.Object(("number", (long)next)));
            tx.Events.Append("d", Value.Object(), [next]);
        });
        Assert.Equal(["a", "b", "$input.tool", "c", "d", "$input.tool"], Types(world.Run));
        Assert.Equal([3UL], world.Run.Events.Get(4)!.Causes.Select(cause => cause.Value));
        Assert.True(world.Run.Events.Verify().IsValid);
    }

    [Fact]
    public void Inputs_that_do_not_fit_beside_their_effect_go_before_it()
    {
        using var world = new ModeDatabase(
            Durability.Buffered, new CairnOptions { Limits = new Limits { ValueBytesMax = 64 << 10, TransactionBytesMax = 128 << 10 } });
        Ask(world.Run, "q", new string('a', 50_000));
        world.Run.Transact(tx =>
        {
            tx.Kv.Put("k", new string('b', 60_000));
            tx.Kv.Put("l", new string('c', 60_000));
        });
        Assert.Equal(1UL, Assert.Single(InputsOf(world.Run)).Sequence.Value);
        Assert.Equal(2UL, world.Db.Sequence.Value);
    }

    [Fact]
    public void Upkeep_carries_no_input()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("short", 1, TimeSpan.FromSeconds(1));
        Ask(world.Run, "q", 1);
        world.Clock.Advance(TimeSpan.FromSeconds(5));
        for (var i = 0; i < 20; i++)
            world.Db.Engine.Maintainer!.Step();
        Assert.Equal(0, world.Run.Kv.Count());
        Assert.Equal(2UL, world.Db.Sequence.Value);
        Assert.Empty(InputsOf(world.Run));
    }

    [Fact]
    public void Many_threads_lose_and_double_no_input()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        ModeDatabase.OnThreads(4, thread =>
        {
            for (var i = 0; i < 100; i++)
            {
                Ask(world.Run, $"{thread}/{i}", i);
                if (i % 3 == 0)
                    world.Run.Events.Append("effect", Value.Object());
                else
                    world.Run.Kv.Increment("n", 1);
            }
        });
        world.Run.CommitInputs();
        var inputs = InputsOf(world.Run);
        Assert.Equal(Enumerable.Range(0, 400).Select(n => (long)n), inputs.Select(input => input.Ordinal));
        Assert.Equal(400, inputs.Select(input => input.Request).Distinct().Count());
        Assert.All(inputs, input => Assert.InRange(input.AnsweredBefore, 0, input.Ordinal));
        Assert.True(world.Run.Events.Verify().IsValid);
    }

    // ---- transactions that run again --------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void A_transaction_that_runs_again_gets_the_same_answer(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Kv.Put("k", 0);
        var (calls, tries) = (0, 0);
        world.Run.Transact(tx =>
        {
            tx.Kv.Get("k");
            var answer = world.Run.Input(InputKind.Model, "q", () => ++calls);
            if (++tries == 1)
                tx.Kv.Put("own", 1);
            else
                Assert.Equal(1, answer.AsInt64());
            var second = world.Run.Input(InputKind.Model, "q", () => ++calls);
            Assert.Equal(2, second.AsInt64());
            if (tries < 3)
                Interfere(world);
            tx.Kv.Put("effect", answer);
        });
        Assert.Equal((2, 3), (calls, tries));
        Assert.Equal([InputMark.Recorded, InputMark.Recorded], InputsOf(world.Run).Select(input => input.Mark));

        static void Interfere(ModeDatabase world)
        {
            var thread = new Thread(() => world.Db.Default.Kv.Put("k", 1));
            thread.Start();
            thread.Join();
        }
    }

    [Fact]
    public async Task An_awaited_transaction_that_runs_again_gets_the_same_answer()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("k", 0);
        var (calls, tries) = (0, 0);
        await world.Run.TransactAsync<bool>(
            async tx =>
            {
                tx.Kv.Get("k");
                var answer = await world.Run.InputAsync(InputKind.Model, "q", async _ =>
                {
                    await Task.Yield();
                    return ++calls;
                }, cancellationToken: Token);
                if (++tries == 1)
                {
                    var thread = new Thread(() => world.Db.Default.Kv.Put("k", 1));
                    thread.Start();
                    thread.Join();
                }

                tx.Kv.Put("effect", answer);
                return true;
            },
            cancellationToken: Token);
        Assert.Equal((1, 2), (calls, tries));
    }

    [Fact]
    public void What_the_winning_try_does_not_ask_for_is_marked_as_abandoned()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("k", 0);
        var effect = world.Db.Sequence;
        world.Run.Transact(tx =>
        {
            var seen = tx.Kv.Get("k")!.Value.AsInt64();
            world.Run.Input(InputKind.Model, $"saw {seen}", () => seen);
            if (seen == 0)
            {
                var thread = new Thread(() => world.Db.Default.With(CommitOptions.Default).Kv.CompareAndSet("k", effect, 1));
                thread.Start();
                thread.Join();
            }

            tx.Kv.Put("effect", seen);
        });

        // The other thread's write carried the first one before anybody knew; the second try's has its own.
        Assert.Equal(["saw 0", "saw 1"], InputsOf(world.Run).Select(input => input.Request!.Value.AsString()));
    }

    [Fact]
    public void An_abandoned_input_says_so_if_no_commit_has_it_yet()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var other = world.Db.Runs.Begin();
        other.Kv.Put("k", 0);
        world.Db.Transact([world.Run, other], tx =>
        {
            var seen = tx.On(other).Kv.Get("k")!.Value.AsInt64();
            world.Run.Input(InputKind.Model, $"saw {seen}", () => seen);
            if (seen == 0)
            {
                var thread = new Thread(() => other.Kv.Put("k", 1));
                thread.Start();
                thread.Join();
            }

            tx.On(world.Run).Kv.Put("effect", seen);
        });
        Assert.Equal([InputMark.Abandoned, InputMark.Recorded], InputsOf(world.Run).Select(input => input.Mark));
    }

    // ---- closed and deleted runs --------------------------------------------------------------------------------------------------

    [Fact]
    public void A_closed_run_is_asked_nothing()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin();
        run.Complete();
        var refused = Assert.Throws<RunClosedException>(() => run.Input(InputKind.Model, "q", () => throw new InvalidOperationException()));
        Assert.Equal(RunStatus.Completed, refused.Status);
        world.Db.Runs.Delete(run.Id);
        Assert.Equal(
            ErrorCode.NotFound,
            Assert.Throws<CairnException>(() => run.Input(InputKind.Model, "q", () => throw new InvalidOperationException())).Code);
        Assert.Equal(
            ErrorCode.ReadOnly,
            Assert.Throws<CairnException>(() => world.Db.Runs.Get("$sys")!.Input(InputKind.Model, "q", () => 1)).Code);
    }

    [Fact]
    public void A_run_that_is_closed_during_the_call_keeps_no_answer_and_says_so()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin();
        Assert.Throws<RunClosedException>(() => run.Input(InputKind.Model, "q", () =>
        {
            var thread = new Thread(() => world.Db.Runs.Get(run.Id)!.Complete());
            using (ExecutionContext.SuppressFlow())
                thread.Start();
            thread.Join();
            return 1;
        }));
        Assert.Empty(InputsOf(run));
        Assert.Equal(Sequence.None, run.CommitInputs());
    }

    [Fact]
    public void A_read_only_database_is_asked_nothing()
    {
        using var storage = new Cairn.Storage.MemoryStorage();
        CairnDatabase.Open(storage, new CairnOptions(), EngineHooks.None).Dispose();
        using var db = CairnDatabase.Open(storage, new CairnOptions { IsReadOnly = true }, EngineHooks.None);
        var refused = Assert.Throws<CairnException>(
            () => db.Default.Input(InputKind.Model, "q", () => throw new InvalidOperationException()));
        Assert.Equal(ErrorCode.ReadOnly, refused.Code);
    }

    [Fact]
    public void A_deleted_run_takes_what_waited_with_it()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin();
        Ask(run, "q", 1);
        world.Db.Runs.Delete(run.Id);
        Assert.False(world.Db.Runs.Exists(run.Id));
    }

    // ---- inside the live call -------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_live_call_may_not_write_to_its_run_but_to_others()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var other = world.Db.Runs.Begin();
        var refused = Assert.Throws<InputFailedException>(() => world.Run.Input(InputKind.Tool, "q", () =>
        {
            other.Kv.Put("k", 1);
            world.Run.Kv.Put("k", 1);
            return 1;
        }));
        Assert.IsType<InvalidOperationException>(refused.InnerException);
        Assert.Throws<InputFailedException>(() => world.Run.Input(InputKind.Tool, "q", () =>
        {
            world.Run.Transact(tx => tx.Events.Append("e", Value.Object()));
            return 1;
        }));
        Assert.True(other.Kv.Exists("k"));
        world.Run.Kv.Put("k", 1);                            // behind it
    }

    [Fact]
    public async Task An_input_inside_a_live_call_is_part_of_it()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var sum = await world.Run.InputAsync(InputKind.Tool, "outer", async token =>
        {
            await Task.Yield();
            var inner = await world.Run.InputAsync(InputKind.Model, "inner", _ => ValueTask.FromResult<Value>(2), cancellationToken: token);
            return inner.AsInt64() + world.Run.Input(InputKind.Clock, "now", () => 3).AsInt64();
        }, cancellationToken: Token);
        world.Run.CommitInputs();
        Assert.Equal(5, sum.AsInt64());
        Assert.Equal("outer", Assert.Single(InputsOf(world.Run)).Request!.Value.AsString());
    }

    // ---- what goes wrong ------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_failed_call_is_kept_and_thrown_as_the_same_type_everywhere()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var failed = Assert.Throws<InputFailedException>(
            () => world.Run.Input(InputKind.Model, "q", () => throw new TimeoutException("too slow \ud800!")));
        Assert.Equal((ErrorCode.InputFailed, true, false), (failed.Code, failed.IsDeterministic, failed.IsTransient));
        Assert.IsType<TimeoutException>(failed.InnerException);
        world.Run.CommitInputs();
        var input = Assert.Single(InputsOf(world.Run));
        Assert.Equal(new InputFailure("System.TimeoutException", "too slow \ufffd!"), input.Failure);
        Assert.Null(input.Answer);
    }

    [Fact]
    public void A_cancelled_call_is_no_answer()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => world.Run.InputAsync(
            InputKind.Model, "q",
            token =>
            {
                source.Cancel();
                token.ThrowIfCancellationRequested();
                return ValueTask.FromResult<Value>(1);
            },
            cancellationToken: source.Token).AsTask().GetAwaiter().GetResult());
        Assert.Equal(Sequence.None, world.Run.CommitInputs());
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(1, false)]
    [Trait("Requirement", "LIM-40")]
    public void A_request_that_cannot_be_kept_is_not_asked(int beyond, bool fits)
    {
        var limits = new Limits { ValueBytesMax = 1000 };
        using var world = new ModeDatabase(Durability.InMemory, new CairnOptions { Limits = limits });
        var least = Cairn.Replay.Inputs.ToPayload(new RecordedInput
        {
            Ordinal = long.MaxValue,
            Kind = InputKind.Tool,
            Request = new string('a', 500),
            Duration = TimeSpan.MaxValue,
            AnsweredBefore = 0,
            Failure = new InputFailure("", new string('x', 256)),
        });
        var request = new string('a', 500 + 1000 - least.EncodedLength + beyond);
        var called = false;
        if (fits)
        {
            var much = new string('b', 500);
            Assert.Throws<InputFailedException>(() => world.Run.Input(InputKind.Tool, request, () => { called = true; return much; }));
            Assert.Throws<InputFailedException>(
                () => world.Run.Input(InputKind.Tool, request, () => throw new InvalidOperationException(much)));
        }
        else
        {
            var refused = Assert.Throws<LimitException>(() => world.Run.Input(InputKind.Tool, request, () => { called = true; return 1; }));
            Assert.Equal(nameof(Limits.ValueBytesMax), refused.Limit);
        }

        Assert.Equal(fits, called);
    }

    [Fact]
    [Trait("Requirement", "LIM-40")]
    public void An_answer_that_cannot_be_kept_is_kept_as_a_failure()
    {
        using var world = new ModeDatabase(Durability.InMemory, new CairnOptions { Limits = new Limits { ValueBytesMax = 1000 } });
        var failed = Assert.Throws<InputFailedException>(() => Ask(world.Run, "q", new string('a', 1001)));
        Assert.Equal("Cairn.LimitException", failed.Input.Failure!.Type);
        world.Run.CommitInputs();
        Assert.NotNull(Assert.Single(InputsOf(world.Run)).Failure);
    }

    [Fact]
    [Trait("Requirement", "LIM-40")]
    public void Names_and_kinds_are_checked_before_anything_is_called()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        Value Never() => throw new InvalidOperationException("called");
        var run = world.Run;
        Assert.Throws<LimitException>(() => run.Input(InputKind.Tool, 1, Never, new InputOptions { Name = new string('n', 257) }));
        Assert.Equal(
            ErrorCode.InvalidName,
            Assert.Throws<CairnException>(() => run.Input(InputKind.Tool, 1, Never, new InputOptions { Name = "a/b" })).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => run.Input((InputKind)6, 1, Never)).Code);
        Assert.Throws<ArgumentNullException>(() => run.Input(InputKind.Tool, 1, null!));
        run.Input(InputKind.Tool, 1, () => 1, new InputOptions { Name = new string('n', 256) });
    }

    // ---- streams ----------------------------------------------------------------------------------------------------------------------

    [Fact]
    public async Task A_stream_is_given_on_as_it_comes_and_kept_as_one_input()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var seen = new List<long>();
        await foreach (var item in world.Run.InputStreamAsync(InputKind.Model, "q", _ => Count(3), cancellationToken: Token))
        {
            seen.Add(item.AsInt64());
            Assert.Equal(_given, seen.Count);
        }

        world.Run.Kv.Put("effect", 1);
        Assert.Equal([1, 2, 3], seen);
        var input = Assert.Single(InputsOf(world.Run));
        Assert.Equal((Value.Array(1, 2, 3), true, false), (input.Answer!.Value, input.IsStream, input.IsCut));
    }

    [Fact]
    public async Task A_stream_that_is_left_keeps_what_was_read_and_one_that_breaks_what_came()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        await foreach (var item in world.Run.InputStreamAsync(InputKind.Model, "left", _ => Count(9), cancellationToken: Token))
        {
            if (item.AsInt64() == 2)
                break;
        }

        await Assert.ThrowsAsync<InputFailedException>(async () =>
        {
            await foreach (var item in world.Run.InputStreamAsync(InputKind.Model, "breaks", _ => Count(-2), cancellationToken: Token))
                world.Run.Kv.Put("written", item);           // between two items, so not inside the call
        });
        world.Run.CommitInputs();
        var inputs = InputsOf(world.Run);
        Assert.Equal((Value.Array(1, 2), true), (inputs[0].Answer!.Value, inputs[0].IsCut));
        Assert.Equal((Value.Array(1, 2), "no more"), (inputs[1].Answer!.Value, inputs[1].Failure!.Message));
    }

    private int _given;

    private async IAsyncEnumerable<Value> Count(int to)
    {
        for (var i = 1; i <= Math.Abs(to); i++)
        {
            await Task.Yield();
            _given = i;
            yield return i;
        }

        if (to < 0)
            throw new InvalidOperationException("no more");
    }
}
