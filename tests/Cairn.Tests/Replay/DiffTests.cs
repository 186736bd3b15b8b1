#pragma warning disable xUnit1051 // what is written here is small

using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>What differs between two runs: the laws (RPL-18), and each primitive's rule (RPL-15 to RPL-17).</summary>
public class DiffTests(ITestOutputHelper output)
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered];

    // ---- laws -----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Promise", "G10")]
    [Trait("Requirement", "RPL-18")]
    public void RPL_18_Nothing_differs_from_itself_B_mirrors_A_and_what_differs_makes_B_of_A(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(12), output))
        {
            using var world = new ModeDatabase(mode);
            var random = new Random(seed);
            var (a, b) = (world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b"));
            var shared = Enumerable.Range(0, random.Next(12)).Select(_ => random.Next()).ToArray();
            foreach (var run in (Run[])[a, b])
            {
                var script = new RandomLife(run);
                foreach (var step in shared)
                    script.Do(step);
                for (var own = random.Next(8); own > 0; own--)
                    script.Do(random.Next());
            }

            if (mode != Durability.InMemory && random.Next(2) == 0)
            {
                world.Db.Checkpoint();
                world.Reopen();
                (a, b) = (world.Db.Runs.Get("a")!, world.Db.Runs.Get("b")!);
            }

            foreach (var run in (Run[])[a, b])
            {
                using var self = world.Db.Diff(run.Id, run.Id);
                Assert.Empty(self.Items());
                Assert.True(self.Summarize().IsEmpty);
            }

            using var forth = world.Db.Diff(a.Id, b.Id);
            using var back = world.Db.Diff(b.Id, a.Id);
            Assert.Equal(Sorted(forth.Items().Select(Told)), Sorted(back.Items().Select(Mirrored)));
            Assert.Equal(forth.CommonEvents, back.CommonEvents);
            CheckAgainstListings(forth, a, b);
            Apply(forth, a);
            using var after = world.Db.Diff(a.Id, b.Id);
            Assert.Empty(after.Items("kv", "state"));
        }
    }

    [Fact]
    [Trait("Requirement", "RPL-18")]
    public void RPL_18_Two_points_of_one_run_differ_in_what_was_written_between_them_and_nothing_else_is_looked_at()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            using var world = new ModeDatabase(Durability.Buffered);
            var random = new Random(seed);
            var run = world.Db.Runs.Begin("a");
            var other = world.Db.Runs.Begin("other");
            var script = new RandomLife(run);
            var points = new List<Sequence>();
            for (var step = 0; step < 60; step++)
            {
                script.Do(random.Next());
                points.Add(world.Db.Sequence);
                if (step % 7 == 0)
                    other.Kv.Put("k", step);
                if (step % 20 == 19 && random.Next(2) == 0)
                    world.Db.Checkpoint();
            }

            for (var pair = 0; pair < 8; pair++)
            {
                using var a = run.At(points[random.Next(points.Count)]);
                using var b = run.At(points[random.Next(points.Count)]);
                using var diff = world.Db.Diff(a, b);
                Assert.Equal(new RunPoint(run.Id, a.Sequence < b.Sequence ? a.Sequence : b.Sequence), diff.Common);
                var quick = Sorted(diff.Items().Select(Told));
                using var back = world.Db.Diff(b, a);
                Assert.Equal(quick, Sorted(back.Items().Select(Mirrored)));
                using var slow = new RunDiff(diff, isRelated: false);
                Assert.Equal(Sorted(slow.Items().Select(Told)), quick);
                var found = diff.FirstDivergence();
                Assert.Equal(a.Sequence == b.Sequence, found is null);
                Assert.True(found is null || found.A is null || found.B is null);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-18")]
    public void RPL_18_Forks_differ_in_what_they_wrote_since_they_parted_and_what_differs_makes_one_of_the_other(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            using var world = new ModeDatabase(mode);
            var random = new Random(seed);
            var runs = new List<Run> { world.Db.Runs.Begin("root") };
            for (var step = 0; step < 90; step++)
            {
                var run = runs[random.Next(runs.Count)];
                new RandomLife(run).Do(random.Next());
                if (step % 18 == 17)
                    runs.Add(world.Db.Runs.Fork(run.Id));
                if (step % 30 == 29 && mode != Durability.InMemory && random.Next(2) == 0)
                    world.Db.Checkpoint();
            }

            for (var pair = 0; pair < 8; pair++)
            {
                var (a, b) = (runs[random.Next(runs.Count)], runs[random.Next(runs.Count)]);
                using var diff = world.Db.Diff(a.Id, b.Id);
                using var back = world.Db.Diff(b.Id, a.Id);
                using var slow = new RunDiff(diff, isRelated: false);
                var quick = Sorted(diff.Items().Select(Told));
                Assert.Equal(Sorted(slow.Items().Select(Told)), quick);
                Assert.Equal(quick, Sorted(back.Items().Select(Mirrored)));
                Assert.Equal(world.Db.Runs.CommonAncestor(a.Id, b.Id)!.Value.Run, diff.Common!.Value.Run);
                CheckAgainstListings(diff, a, b);
                var copy = world.Db.Runs.Fork(a.Id);
                Apply(diff, copy);
                using var after = world.Db.Diff(copy.Id, b.Id);
                Assert.Empty(after.Items("kv", "state"));
            }
        }
    }

    [Fact]
    [Trait("Requirement", "RPL-18")]
    public void RPL_18_What_has_expired_between_two_points_differs_although_no_commit_says_so()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("short", 1, TimeSpan.FromMinutes(1));
        var before = world.Run.Kv.Put("long", 1, TimeSpan.FromHours(1));
        world.Clock.Advance(TimeSpan.FromMinutes(2));
        var after = world.Run.Kv.Put("other", 1);
        using var a = world.Run.At(before);
        using var b = world.Run.At(after);
        using var diff = world.Db.Diff(a, b);
        Assert.Equal(2, diff.KeysLookedAt);
        Assert.Equal(
            [(DiffKind.Added, "other"), (DiffKind.Removed, "short")], diff.Items().Select(item => (item.Kind, item.Address.Key)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "RET-7")]
    public void RET_7_What_retention_has_trimmed_on_one_side_is_not_compared(bool isInA)
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Run[] runs = [world.Db.Runs.Begin("kept"), world.Db.Runs.Begin("trimmed")];
        foreach (var run in runs)
        {
            for (var number = 0; number < 9; number++)
                run.Events.Append("n", Value.Object(("n", number), ("own", number is 2 or 7 && run == runs[0])));
        }

        runs[1].Retention.Apply(Retention.KeepEvents(4));
        world.Db.Compact(null, TestContext.Current.CancellationToken);
        Assert.Equal(5, (long)runs[1].Events.Floor().Number.Value);
        using var diff = isInA ? world.Db.Diff(runs[1].Id, runs[0].Id) : world.Db.Diff(runs[0].Id, runs[1].Id);
        Assert.Equal("7: #7", $"{diff.CommonEvents}: {string.Join(' ', diff.Items("events").Select(item => item.Address.Key))}");

        var few = world.Db.Runs.Begin("few");
        few.Events.Append("n", Value.Object(("n", 0)));
        using var apart = world.Db.Diff(runs[1].Id, few.Id);
        Assert.Equal(["#5", "#6", "#7", "#8"], apart.Items("events").Select(item => item.Address.Key));
    }

    [Fact]
    [Trait("Requirement", "RPL-17")]
    public void RPL_17_Forks_part_at_the_first_commit_that_one_did_otherwise_through_any_number_of_levels()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var root = world.Db.Runs.Begin("root");
        root.Kv.Put("before", 1);
        root.Transact(tx =>
        {
            for (var key = 0; key < 5_000; key++)
                tx.Kv.Put($"many {key}", key);
        });
        var a = world.Db.Runs.Fork(root.Id, name: "a");
        var b = world.Db.Runs.Fork(root.Id, name: "b");
        root.Kv.Put("later", 1);                             // not in the past of either
        a.Kv.Put("same", 1);
        b.Kv.Put("same", 1);
        var partsB = b.Kv.Put("k", 2);
        var deep = world.Db.Runs.Fork(b.Id, name: "deep");
        deep.Kv.Put("more", 1);
        var partsA = a.Kv.Put("k", 1);
        using var diff = world.Db.Diff(a.Id, deep.Id);
        var found = diff.FirstDivergence()!;
        Assert.Equal((partsA, partsB), (found.A!.Sequence, found.B!.Sequence));
        Assert.Equal(root.Id, diff.Common!.Value.Run);
        Assert.Equal(3, diff.KeysLookedAt);                  // not the thousands that they have in common
        Assert.Equal(["kv/k", "kv/more"], diff.Items().Select(item => item.Address.ToString()));
    }

    private static IEnumerable<string> Sorted(IEnumerable<string> texts) => texts.Order(StringComparer.Ordinal);

    private static string Told(DiffItem item) => $"{item.Kind} {item.Address} {item.OtherAddress} {Text(item.Before)} {Text(item.After)}";

    private static string Mirrored(DiffItem item)
    {
        var kind = item.Kind switch { DiffKind.Added => DiffKind.Removed, DiffKind.Removed => DiffKind.Added, _ => item.Kind };
        var (address, other) = item.OtherAddress is { } named ? (named, item.Address) : (item.Address, default(ItemAddress?));
        return Told(new DiffItem(address, kind) { OtherAddress = other, Before = item.After, After = item.Before });
    }

    private static string Text(DiffVersion? version) =>
        version is null ? "-" : $"{version.Type} {version.Counter} {version.Value} {version.Version}";

    // The same, the slow way: by listing both sides through the public doors.
    private static void CheckAgainstListings(RunDiff diff, Run a, Run b)
    {
        var (kvA, kvB) = (KeyValues(a), KeyValues(b));
        var keys = kvA.Keys.Union(kvB.Keys).Where(key => kvA.GetValueOrDefault(key) != kvB.GetValueOrDefault(key));
        var (cellsA, cellsB) = (Cells(a), Cells(b));
        var cells = cellsA.Keys.Union(cellsB.Keys).Where(key => cellsA.GetValueOrDefault(key) != cellsB.GetValueOrDefault(key));
        Assert.Equal(
            Sorted(keys.Select(key => $"kv/{key}").Concat(cells.Select(name => $"state/{name}"))),
            Sorted(diff.Items("kv", "state").Select(item => item.Address.ToString())));
        var (eventsA, eventsB) = (Events(a), Events(b));
        var common = eventsA.Zip(eventsB).TakeWhile(pair => pair.First == pair.Second).Count();
        Assert.Equal(common, diff.CommonEvents);
        var steps = Enumerable.Range(0, Math.Max(eventsA.Count, eventsB.Count))
            .Where(i => eventsA.ElementAtOrDefault(i) != eventsB.ElementAtOrDefault(i)).Select(i => $"events/#{i}");
        Assert.Equal(steps, diff.Items("events").Select(item => item.Address.ToString()));
    }

    private static Dictionary<string, string> KeyValues(Run run) =>
        run.Kv.Scan(new ScanOptions { Limit = 1000 })
            .ToDictionary(pair => pair.Key, pair => pair.Value.Value.ToJson(), StringComparer.Ordinal);

    private static Dictionary<string, string> Cells(Run run) =>
        run.State.Scan(new ScanOptions { Limit = 1000 })
            .ToDictionary(pair => pair.Key, pair => pair.Value.Value.ToJson(), StringComparer.Ordinal);

    private static List<string> Events(Run run) => [.. run.Events.Since(0, new EventScanOptions { Limit = 1000 })
        .Select(record => $"{record.Type} {record.Payload}")];

    private static void Apply(RunDiff diff, Run target) => target.Transact(tx =>
    {
        foreach (var item in diff.Items("kv", "state"))
        {
            if (item.Address.Primitive == "kv" && item.After is { } value)
                tx.Kv.Put(item.Address.Key, value.Value);
            else if (item.Address.Primitive == "kv")
                tx.Kv.Delete(item.Address.Key);
            else if (item.After is { } cell)
                tx.State.Set(item.Address.Key, cell.Value);
            else
                tx.State.Delete(item.Address.Key);
        }
    });

    private sealed class RandomLife(Run run)
    {
        private TraceId? _last;

        internal void Do(int choice)
        {
            var random = new Random(choice);
            var key = $"k{random.Next(12)}";
            switch (random.Next(9))
            {
                case 0 or 1:
                    run.Kv.Put(key, random.Next(3) == 0 ? new string('v', 5000 + random.Next(3)) : random.Next(4));
                    break;
                case 2:
                    run.Kv.Delete(key);
                    break;
                case 3:
                    run.State.Set(key, random.Next(4));
                    break;
                case 4:
                    run.State.Delete(key);
                    break;
                case 5 or 6:
                    run.Events.Append(random.Next(2) == 0 ? "call" : "result", Value.Object(("n", random.Next(4))));
                    break;
                case 7:
                    var parent = random.Next(2) == 0 ? _last : null;
                    _last = run.Traces.Record(new ThoughtStep($"t{random.Next(3)}"), new TraceOptions { Parent = parent });
                    break;
                default:
                    run.Transact(tx =>
                    {
                        tx.Kv.Put(key, random.Next(4));
                        tx.Events.Append("both", Value.Object(("key", key)));
                    });
                    break;
            }
        }
    }

    // ---- each primitive -------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-16")]
    public void RPL_16_Items_have_the_address_and_what_both_sides_have(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var (a, b) = (world.Db.Runs.Begin("a", tags: ["x"]), world.Db.Runs.Begin("b", metadata: Value.Object(("m", 1))));
        a.Kv.Put("same", 1);
        b.Kv.Put("same", 1, TimeSpan.FromHours(1));
        a.Kv.Put("gone", 2);
        var written = b.Kv.Put("new", "n");
        a.State.Set("cell", 1);
        b.State.Set("cell", 0);
        b.State.Set("cell", 2);
        b.Complete(42);
        using var diff = world.Db.Diff(a.Id, b.Id);
        var items = diff.Items().ToDictionary(item => item.Address.ToString(), StringComparer.Ordinal);
        Assert.Equal(
            ["runs/status", "runs/tags", "runs/metadata", "runs/result", "kv/gone", "kv/new", "state/cell"],
            diff.Items().Select(item => item.Address.ToString()));
        Assert.Equal((DiffKind.Removed, 2, null), (items["kv/gone"].Kind, items["kv/gone"].Before!.Value, items["kv/gone"].After));
        Assert.Equal((DiffKind.Added, written), (items["kv/new"].Kind, items["kv/new"].After!.Version));
        Assert.Equal((1, 2), (items["state/cell"].Before!.Value, items["state/cell"].After!.Value));
        Assert.Equal((new Counter(1), new Counter(2)), (items["state/cell"].Before!.Counter, items["state/cell"].After!.Counter));
        Assert.Equal("Active", items["runs/status"].Before!.Value.AsString());
        Assert.Equal("Completed", items["runs/status"].After!.Value.AsString());
        Assert.Equal(42, items["runs/result"].After!.Value);
        Assert.Equal(new DiffCounts(1, 1, 0), diff.Summarize().Counts["kv"]);
        Assert.Null(diff.Common);
    }

    [Fact]
    [Trait("Requirement", "RPL-16")]
    public void RPL_16_Events_have_a_common_prefix_and_then_stand_opposite_each_other_step_for_step()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var (a, b) = (world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b"));
        foreach (var run in (Run[])[a, b])
        {
            run.Events.Append("task", Value.Object(("text", "fix it")));
            run.Events.Append("call", Value.Object(("tool", "grep"), ("ms", run == a ? 3 : 70)));
            run.Events.Append("call", Value.Object(("tool", run == a ? "sed" : "python")));
            run.Events.Append("answer", Value.Object(("text", "done")));
        }

        b.Events.Append("note", Value.Object());
        using (var strict = world.Db.Diff(a.Id, b.Id))
            Assert.Equal("1: #1 #2 #4", Numbers(strict));
        using var diff = world.Db.Diff(a.Id, b.Id, new DiffOptions { IgnoredMembers = ["ms"] });
        Assert.Equal("2: #2 #4", Numbers(diff));
        Assert.Equal([DiffKind.Modified, DiffKind.Added], diff.Items("events").Select(item => item.Kind));
        Assert.Equal("call", diff.Items("events").First().Before!.Type);

        a.Events.Redact(0, "secret");
        using var redacted = world.Db.Diff(a.Id, b.Id);
        Assert.Equal(0, redacted.CommonEvents);
        var first = redacted.Items("events").First();
        Assert.Equal((true, false), (first.Before!.IsRedacted, first.After!.IsRedacted));

        static string Numbers(RunDiff diff) =>
            $"{diff.CommonEvents}: {string.Join(' ', diff.Items("events").Select(item => item.Address.Key))}";
    }

    [Fact]
    [Trait("Requirement", "RPL-16")]
    [Trait("Requirement", "RPL-17")]
    public void RPL_16_Events_of_chosen_types_are_compared_by_their_order_whatever_stands_between()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var (a, b) = (world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b"));
        foreach (var (run, third) in ((Run, string)[])[(a, "edit"), (b, "sed")])
        {
            run.Kv.Put("own", run.Id.ToString());
            foreach (var (action, thought) in ((string, string)[])[("ls", "look"), ("cat", "read"), (third, "change"), ("submit", "done")])
            {
                run.Events.Append("action", Value.Object(("action", action), ("thought", thought + run.Id)));
                for (var i = 0; i < (run == a ? 1 : 3); i++)
                    run.Events.Append("observation", Value.Object(("i", i)));
            }
        }

        b.Events.Append("action", Value.Object(("action", "more")));
        var options = new DiffOptions { EventTypes = ["action"], IgnoredMembers = ["thought"] };
        using var diff = world.Db.Diff(a.Id, b.Id, options);
        var items = diff.Items().ToList();
        Assert.Equal(["#4 #8 Modified", "#16  Added"], items.Select(item => $"{item.Address.Key} {item.OtherAddress?.Key} {item.Kind}"));
        Assert.Equal(2, diff.CommonEvents);
        var parting = diff.FirstDivergence()!;
        Assert.Equal(("edit", "sed"), (Action(parting.OperationA), Action(parting.OperationB)));
        Assert.Equal("$.payload.action", parting.Path);
        Assert.Equal((a.AtEvent(4).Sequence, b.AtEvent(8).Sequence), (parting.A!.Sequence, parting.B!.Sequence));

        using (var self = world.Db.Diff(a.Id, a.Id, options))
            Assert.True(self.Summarize().IsEmpty);
        var fork = world.Db.Runs.Fork(a.Id);
        fork.Kv.Put("own", "else");
        fork.Events.Append("observation", Value.Object());
        using (var same = world.Db.Diff(a.Id, fork.Id, options))
        {
            Assert.Empty(same.Items());
            Assert.Null(same.FirstDivergence());
            Assert.Equal(4, same.CommonEvents);
        }

        var refused = Assert.Throws<CairnException>(() => world.Db.Diff(a.Id, b.Id, new DiffOptions { EventTypes = [""] }));
        Assert.Equal(ErrorCode.InvalidName, refused.Code);
        Assert.Throws<LimitException>(() => world.Db.Diff(
            a.Id, b.Id, new DiffOptions { EventTypes = [.. Enumerable.Range(0, 10_001).Select(i => $"t{i}")] }));

        static string Action(LogOperation? operation) => operation!.Value!.Value["action"].AsString();
    }

    [Fact]
    [Trait("Requirement", "RPL-16")]
    public void RPL_16_Recorded_inputs_are_the_same_when_request_and_answer_are()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Run[] runs = [world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b")];
        foreach (var run in runs)
        {
            foreach (var (request, answer) in ((string, string)[])[("q1", "same"), ("q2", run == runs[0] ? "x" : "y")])
            {
                run.Input(InputKind.Model, request, () =>
                {
                    world.Clock.Advance(TimeSpan.FromMilliseconds(run == runs[0] ? 3 : 700));
                    return answer;
                });
                run.Kv.Put(request, answer);
            }
        }

        using var diff = world.Db.Diff(runs[0].Id, runs[1].Id);
        Assert.Equal(1, diff.CommonEvents);
        Assert.Equal("$.payload.answer", diff.FirstDivergence()!.Path);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "TR-8")]
    public void TR_8_Traces_are_matched_by_their_place_and_content_when_ids_differ(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var (a, b) = (world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b"));
        var mails = new Dictionary<Run, TraceId>();
        foreach (var run in (Run[])[a, b])
        {
            var time = DateTimeOffset.UnixEpoch;
            var thought = run.Traces.Record(new ThoughtStep("refund?"), At(null, 1));
            if (run == b)
                run.Traces.Record(new QueryStep("vector", "policy"), At(thought, 2));
            run.Traces.Record(new ToolCallStep("crm", 4711, "Ada", TimeSpan.FromMilliseconds(run == a ? 5 : 900)), At(thought, 3));
            mails[run] = run.Traces.Record(new ToolCallStep("mail", run == a ? "sorry" : "done"), At(thought, 4));
            if (run == b)
                run.Traces.Record(new ErrorStep("timeout", "late", true), At(mails[b], 5));

            TraceOptions At(TraceId? parent, int seconds) =>
                new() { Parent = parent, Timestamp = time.AddSeconds(seconds), Duration = TimeSpan.FromTicks(run == a ? 10 : 70) };
        }

        using var diff = world.Db.Diff(a.Id, b.Id);
        var items = diff.Items().ToList();
        Assert.Equal(
            [(DiffKind.Added, "Query"), (DiffKind.Modified, "ToolCall"), (DiffKind.Added, "Error")],
            items.Select(item => (item.Kind, item.After!.Type!)));
        Assert.Equal([[0, 0], [0, 2], [0, 2, 0]], items.Select(item => item.Path));
        Assert.Equal((ItemAddress.OfTrace(mails[a]), ItemAddress.OfTrace(mails[b])), (items[1].Address, items[1].OtherAddress));
    }

    // ---- first divergence -----------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "RPL-17")]
    public void RPL_17_The_first_divergence_passes_over_sequences_times_and_ids_that_were_made()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var last = new Dictionary<Run, Sequence>();
        Run[] runs = [world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b")];
        foreach (var run in runs)
        {
            world.Db.Runs.Begin(null);                       // other commits between
            var thought = run.Traces.Record(new ThoughtStep("how"));
            run.Events.Append("call", Value.Object(("tool", "grep")));
            run.TransactOnce($"once {run.Name}", tx => tx.Kv.Put("k", 1));
            run.Traces.Redact(thought);
            last[run] = world.Db.Sequence;
            run.Transact(tx =>
            {
                tx.Kv.Put("first", 1);
                tx.Events.Append("call", Value.Object(("tool", "sed"), ("args", Value.Array("-i", run == runs[0] ? "x" : "y"))));
            });
            run.Kv.Put("after", run == runs[0] ? 1 : 2);
        }

        using var diff = world.Db.Diff(runs[0].Id, runs[1].Id);
        var found = diff.FirstDivergence()!;
        Assert.Equal("$.payload.args[1]", found.Path);
        Assert.Equal(("events/#1", "events/#1"), (found.OperationA!.Address.ToString(), found.OperationB!.Address.ToString()));
        Assert.Equal((last[runs[0]], last[runs[1]]), (found.LastCommonA, found.LastCommonB));
        Assert.Equal(found.OrdinalA, found.OrdinalB);
        Assert.True(found.A!.Sequence < found.B!.Sequence);

        using var self = world.Db.Diff(runs[0].Id, runs[0].Id);
        Assert.Null(self.FirstDivergence());
    }

    [Fact]
    [Trait("Requirement", "RPL-17")]
    public void RPL_17_One_that_did_the_same_and_more_diverges_where_the_other_ends()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        Run[] runs = [world.Db.Runs.Begin("a"), world.Db.Runs.Begin("b")];
        foreach (var run in runs)
            run.Kv.Put("k", 1);
        using (var same = world.Db.Diff(runs[0].Id, runs[1].Id))
            Assert.Null(same.FirstDivergence());
        var more = runs[1].Kv.Put("k", 2);
        using var diff = world.Db.Diff(runs[0].Id, runs[1].Id);
        var found = diff.FirstDivergence()!;
        Assert.Equal((null, null, more), (found.A, found.OperationA, found.B!.Sequence));
        Assert.Equal("kv/k", found.OperationB!.Address.ToString());
    }

    [Theory]
    [InlineData("""{"a":1}""", """{"a":2}""", "$.a")]
    [InlineData("""{"a":1}""", """{"b":1}""", "$.a")]
    [InlineData("""{"a":[1,{"two words":1}]}""", """{"a":[1,{"two words":2}]}""", "$.a[1]['two words']")]
    [InlineData("""[1,2]""", """[1,2,3]""", "$[2]")]
    [InlineData("""{"it's":1}""", """{"it's":null}""", """$['it\'s']""")]
    [InlineData("1", "\"1\"", "$")]
    public void RPL_17_The_place_in_a_value_is_named_as_RFC_9535_does(string a, string b, string path) =>
        Assert.Equal(path, Cairn.Replay.ValuePath.FirstDifference(Value.FromJson(a), Value.FromJson(b)));

    [Fact]
    [Trait("Requirement", "RPL-15")]
    public void RPL_15_More_traces_than_fit_are_refused_with_the_limit_and_the_rest_is_told()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        for (var left = DiffOptions.TracesMax + 1; left > 0;)
        {
            world.Run.Transact(tx =>
            {
                for (var most = 10_000; most > 0 && left > 0; most--, left--)
                    tx.Traces.Record(new ThoughtStep("t"));
            });
        }

        using var diff = world.Db.Diff(world.Run.Id, world.Db.Runs.Begin("other").Id);
        var refused = Assert.Throws<LimitException>(() => diff.Items().Count());
        Assert.Equal((nameof(DiffOptions.TracesMax), (long)DiffOptions.TracesMax), (refused.Limit, refused.Allowed));
        Assert.Empty(diff.Items("kv", "events"));
    }

    // ---- doors ----------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "RPL-15")]
    public void RPL_15_What_cannot_be_asked_is_told_by_name()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var unknown = Assert.Throws<CairnException>(() => world.Db.Diff(world.Run.Id, new RunId(7)));
        Assert.Equal(ErrorCode.NotFound, unknown.Code);
        using (var elsewhere = new ModeDatabase(Durability.InMemory))
        {
            using var view = elsewhere.Db.Replay(elsewhere.Run.Id);
            using var own = world.Db.Replay(world.Run.Id);
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => world.Db.Diff(own, view)).Code);
        }

        var diff = world.Db.Diff(world.Run.Id, world.Run.Id);
        var primitive = Assert.Throws<CairnException>(() => diff.Items("nothing"));
        Assert.Equal(ErrorCode.InvalidArgument, primitive.Code);
        Assert.Contains("kv, state, json, vectors, events, traces, graph, associations", primitive.Message, StringComparison.Ordinal);
        var other = world.Db.Runs.Begin("other");
        using (var unlogged = world.Db.Diff(world.Run.Id, other.Id))
        {
            other.Kv.Put("later", 1);
            Assert.Empty(unlogged.Items("kv"));              // both sides stay as they were
            Assert.Throws<HistoryTrimmedException>(unlogged.FirstDivergence);
        }

        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => diff.ToValue(-1)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => diff.ToMarkdown(-1)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => diff.ToLines(-1).Any()).Code);
        var kept = world.Db.Runs.Fork(other.Id);             // keeps what its parent had, which is gone for who asks
        world.Db.Runs.Delete(other.Id);
        Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => world.Db.Diff(other.Id, kept.Id)).Code);
        diff.Dispose();
        diff.Dispose();
        Assert.Throws<ObjectDisposedException>(() => diff.Items());
        Assert.Throws<ObjectDisposedException>(() => diff.CommonEvents);
        Assert.Equal(0, world.Db.Metrics.Pins);
    }
}
