#pragma warning disable xUnit1051 // what is merged here is small

using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>Merging one run into another: each primitive's rule, conflicts, the base that moves, and what is refused.</summary>
public class RunMergeTests
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static readonly MergeOptions Source = new() { Strategy = MergeStrategy.PreferSource };
    private static readonly MergeOptions Target = new() { Strategy = MergeStrategy.PreferTarget };
    private static readonly MergeOptions After = new() { Events = MergeEventRule.AppendAfter };

    private static Value Payload(int n) => Value.Object(("n", n));

    private static (Run Target, Run Source) Parted(TestDatabase test, Action<Run> before)
    {
        var target = test.Db.Runs.Begin("target");
        before(target);
        return (target, test.Db.Runs.Fork(target.Id, name: "source"));
    }

    private static (Run Target, Run Source) Again(TestDatabase test) => (test.Db.Runs.Get("target")!, test.Db.Runs.Get("source")!);

    // ---- key-values -----------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-27")]
    [Trait("Requirement", "RPL-29")]
    [Trait("Requirement", "KV-11")]
    public void RPL_29_What_one_side_has_changed_is_taken_and_what_both_did_alike_is_fine(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run =>
        {
            foreach (var key in (string[])["kept", "theirs", "ours", "both", "gone", "gone here", "gone both"])
                run.Kv.Put(key, 1);
        });
        source.Kv.Put("theirs", 2);
        source.Kv.Put("both", 2);
        source.Kv.Put("new", new string('x', 300));
        source.Kv.Delete("gone");
        source.Kv.Delete("gone both");
        source.Kv.Put("there and back", 2);
        source.Kv.Delete("there and back");
        target.Kv.Put("ours", 3);
        target.Kv.Put("both", 2);
        target.Kv.Put("new here", 3);
        target.Kv.Delete("gone here");
        target.Kv.Delete("gone both");
        var before = test.Sequence;
        var trial = test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { IsDryRun = true });
        Assert.Equal((before, true, Sequence.None), (test.Sequence, trial.IsDryRun, trial.Sequence));
        var result = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal((before + 1, new Sequence(before + 1)), (test.Sequence, result.Sequence));
        Assert.Equal(trial.Counts, result.Counts);
        Assert.Equal(new MergeCounts(Taken: 3, Same: 2, Conflicts: 0), result.Counts["kv"]);
        Assert.True(result.IsClean);
        test.NowAndAfterReopening(() =>
        {
            (target, source) = Again(test);
            Assert.Equal(["both", "kept", "new", "new here", "ours", "theirs"], target.Kv.List());
            Assert.Equal((2L, 1L), (target.Kv.Number("both"), target.Kv.Number("kept")));
            Assert.Equal((3L, 2L), (target.Kv.Number("ours"), target.Kv.Number("theirs")));
            Assert.Equal(300, target.Kv.Get("new")!.Value.AsString().Length);
            Assert.Equal(["both", "gone here", "kept", "new", "ours", "theirs"], source.Kv.List());

            // What differs now is what the target has changed itself.
            using var diff = test.Db.Diff(source.Id, target.Id);
            Assert.Equal(["kv/gone here", "kv/new here", "kv/ours"], diff.Items("kv").Select(item => item.Address.ToString()).Order());
            var again = test.Db.Runs.Merge(source.Id, target.Id);
            Assert.True(again.IsEmpty && again.Sequence == Sequence.None);
            Assert.Equal(before + 1, test.Sequence);
        });
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-28")]
    [Trait("Requirement", "RPL-29")]
    public void RPL_28_A_strict_merge_with_a_conflict_tells_it_and_changes_nothing(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run =>
        {
            run.Kv.Put("a", 1);
            run.Kv.Put("b", 1);
            run.Kv.Put("c", 1);
        });
        source.Kv.Put("free", 1);
        source.Kv.Put("a", 2);
        source.Kv.Delete("b");
        source.Kv.Put("c", 2);
        source.Kv.Put("d", 2);
        target.Kv.Put("a", 3);
        target.Kv.Put("b", 3);
        target.Kv.Delete("c");
        target.Kv.Put("d", 3);
        var (hash, sequence) = (test.Db.StateHash(), test.Sequence);
        var result = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal((hash, sequence), (test.Db.StateHash(), test.Sequence));
        Assert.Equal((false, 4L, 4L, Sequence.None), (result.IsClean, result.OpenConflicts, result.ConflictCount, result.Sequence));
        Assert.Equal(
            [("kv/a", 1L, 2L, 3L), ("kv/b", 1L, null, 3L), ("kv/c", 1L, 2L, null), ("kv/d", null, 2L, 3L)],
            result.Conflicts.Select(conflict => (
                conflict.Address.ToString(), conflict.Base?.Value.AsInt64(), conflict.Source?.Value.AsInt64(),
                conflict.Target?.Value.AsInt64())));
        Assert.All(result.Conflicts, conflict => Assert.Equal(MergeOutcome.Open, conflict.Outcome));
        var few = test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { ConflictsMax = 1 });
        Assert.Equal((4L, 1), (few.ConflictCount, few.Conflicts.Count));
        Assert.Equal(3L, few.ToValue()["omitted"].AsInt64());
        Assert.Contains("4 conflict(s) open: nothing was written", few.ToLines());

        var taken = test.Db.Runs.Merge(source.Id, target.Id, Source with { IsDryRun = true });
        Assert.All(taken.Conflicts, conflict => Assert.Equal(MergeOutcome.Source, conflict.Outcome));
        Assert.Equal(sequence, test.Sequence);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-28")]
    public void RPL_28_A_conflict_goes_to_the_side_that_is_preferred_or_as_the_resolver_says(Durability mode)
    {
        foreach (var options in (MergeOptions[])[Source, Target])
        {
            using var test = new TestDatabase(mode);
            var (target, source) = Parted(test, run => run.Kv.Put("a", 1));
            source.Kv.Put("a", 2);
            source.Kv.Put("b", 2);
            target.Kv.Put("a", 3);
            var result = test.Db.Runs.Merge(source.Id, target.Id, options);
            Assert.Equal((0L, 1L), (result.OpenConflicts, result.ConflictCount));
            Assert.Equal(options == Source ? 2 : 3, target.Kv.Number("a"));
            Assert.Equal(2, target.Kv.Number("b"));
            Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsEmpty);
        }

        using var other = new TestDatabase(mode);
        var (into, from) = Parted(other, _ => { });
        foreach (var key in (string[])["delete", "put", "source", "target", "unanswered"])
        {
            from.Kv.Put(key, 2);
            into.Kv.Put(key, 3);
        }

        var asked = new List<string>();
        var resolved = other.Db.Runs.Merge(from.Id, into.Id, Target with
        {
            Resolve = conflict =>
            {
                asked.Add(conflict.Address.Key);
                return conflict.Address.Key switch
                {
                    "delete" => MergeResolution.Delete,
                    "put" => MergeResolution.Put("both"),
                    "source" => MergeResolution.Source,
                    "target" => MergeResolution.Target,
                    _ => null,
                };
            },
        });
        Assert.Equal(["delete", "put", "source", "target", "unanswered"], asked);
        Assert.Equal(
            [MergeOutcome.Other, MergeOutcome.Other, MergeOutcome.Source, MergeOutcome.Target, MergeOutcome.Target],
            resolved.Conflicts.Select(conflict => conflict.Outcome));
        Assert.Equal(["put", "source", "target", "unanswered"], into.Kv.List());
        Assert.Equal("both", into.Kv.Text("put"));
        Assert.Equal((2L, 3L, 3L), (into.Kv.Number("source"), into.Kv.Number("target"), into.Kv.Number("unanswered")));
        var last = other.Db.Runs.Fork(into.Id);
        last.Kv.Put("put", 5);
        into.Kv.Put("put", 6);
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(
            () => other.Db.Runs.Merge(last.Id, into.Id, new MergeOptions { Resolve = _ => MergeResolution.AppendAfter })));
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "TTL-2")]
    [Trait("Requirement", "RPL-29")]
    public void What_is_taken_keeps_its_expiry_and_an_expiry_alone_yields(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run =>
        {
            run.Kv.Put("longer", 1);
            run.Kv.Put("yields", 1);
            run.Kv.Put("kept", 1, ttl: TimeSpan.FromHours(1));
        });
        source.Kv.Put("short", 2, ttl: TimeSpan.FromMinutes(1));
        source.State.Set("cell", 2, ttl: TimeSpan.FromMinutes(1));
        source.Kv.Expire("longer", TimeSpan.FromMinutes(1));
        source.Kv.Expire("yields", TimeSpan.FromMinutes(1));
        target.Kv.Put("yields", 3);
        test.Clock.Advance(TimeSpan.FromSeconds(30));
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        foreach (var key in (string[])["short", "longer", "kept"])
            Assert.Equal(source.Kv.GetVersioned(key)!.Value.Expiry, target.Kv.GetVersioned(key)!.Value.Expiry);
        Assert.Equal(source.State.Get("cell")!.Value.Expiry, target.State.Get("cell")!.Value.Expiry);
        Assert.Null(target.Kv.GetVersioned("yields")!.Value.Expiry);
        test.Clock.Advance(TimeSpan.FromSeconds(40));
        Assert.Equal(["kept", "yields"], target.Kv.List());
        Assert.Null(target.State.Get("cell"));
    }

    // ---- the base -------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-30")]
    public void RPL_30_The_base_moves_so_merging_again_brings_what_is_newer(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with { Retention = Retention.KeepAll });
        var (target, source) = Parted(test, run => run.Kv.Put("a", 1));
        source.Kv.Put("a", 2);
        source.Kv.Put("b", 2);
        var first = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal(target.Id, first.Base.Run);
        target.Kv.Put("b", 3);
        source.Kv.Put("a", 4);
        if (test.HasLog)
            test.Checkpoint();
        test.Reopen();
        (target, source) = Again(test);

        // Against the fork's beginning, a would be in conflict, and b too.
        var second = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal((true, new MergeCounts(1, 0, 0)), (second.IsClean, second.Counts["kv"]));
        Assert.Equal(first.Source, second.Base);
        Assert.Equal((4L, 3L), (target.Kv.Number("a"), target.Kv.Number("b")));
        Assert.Equal([new MergedRun(second.Source, second.Sequence)], test.Db.Runs.Merges(target.Id));

        // And the other way: the newest state that both have had is the target behind the second merge.
        source.Kv.Put("c", 5);
        var back = test.Db.Runs.Merge(target.Id, source.Id);
        Assert.Equal((true, new MergeCounts(1, 0, 0), source.Id), (back.IsClean, back.Counts["kv"], back.Base.Run));
        Assert.Equal(3, source.Kv.Number("b"));
        source.Kv.Put("b", 6);
        target.Kv.Put("d", 7);
        var third = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal((true, new MergeCounts(2, 0, 0), target.Id), (third.IsClean, third.Counts["kv"], third.Base.Run));
        Assert.Equal((5L, 6L), (target.Kv.Number("c"), target.Kv.Number("b")));
    }

    [Fact]
    [Trait("Requirement", "RPL-30")]
    public void RPL_30_Without_records_a_further_merge_needs_a_source_that_has_not_changed()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var (target, source) = Parted(test, run => run.Kv.Put("a", 1));
        source.Kv.Put("a", 2);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        target.Kv.Put("b", 1);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsEmpty);
        Assert.Equal(new MergeCounts(1, 0, 0), test.Db.Runs.Merge(target.Id, source.Id).Counts["kv"]);
        source.Kv.Put("a", 3);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        source.Kv.Put("a", 4);
        target.Kv.Put("b", 2);
        var sequence = test.Sequence;
        Assert.Equal(ErrorCode.HistoryTrimmed, TestValues.Refused(() => test.Db.Runs.Merge(source.Id, target.Id)));
        Assert.Equal(sequence, test.Sequence);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-27")]
    public void RPL_27_Siblings_and_forks_of_forks_are_merged_against_where_they_parted(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var root = test.Db.Runs.Begin("root");
        root.Kv.Put("a", 1);
        var (one, other) = (test.Db.Runs.Fork(root.Id), test.Db.Runs.Fork(root.Id));
        root.Kv.Put("later", 1);
        one.Kv.Put("a", 2);
        one.Events.Append("step", Payload(1));
        var deep = test.Db.Runs.Fork(one.Id);
        deep.Kv.Put("b", 2);
        deep.Events.Append("step", Payload(2));
        other.Kv.Put("c", 3);
        test.Db.Runs.Delete(one.Id);                         // its fork keeps what it reads
        Assert.True(test.Db.Runs.Merge(deep.Id, other.Id).IsClean);
        Assert.Equal(["a", "b", "c"], other.Kv.List());
        Assert.Equal(2, other.Kv.Number("a"));
        Assert.Equal([1L, 2L], other.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.True(test.Db.Runs.Merge(deep.Id, root.Id).IsClean);
        Assert.Equal(["a", "b", "later"], root.Kv.List());
        Assert.Equal(deep.Events.Head(), root.Events.Head());

        // The sibling has brought nothing that root has not got, but its own.
        var rest = test.Db.Runs.Merge(other.Id, root.Id);
        Assert.Equal((new MergeCounts(1, 2, 0), default), (rest.Counts["kv"], rest.Counts["events"]));
    }

    [Fact]
    [Trait("Requirement", "RPL-30")]
    public void RPL_30_A_fork_has_the_merges_of_its_parent()
    {
        using var test = new TestDatabase(Durability.Strict);
        var (target, source) = Parted(test, run => run.Kv.Put("a", 1));
        source.Kv.Put("a", 2);
        source.Events.Append("step", Payload(1));
        test.Db.Runs.Merge(source.Id, target.Id);
        var (fork, further) = (test.Db.Runs.Fork(target.Id, name: "fork"), test.Db.Runs.Fork(source.Id, name: "further"));
        target.Kv.Put("a", 9);
        source.Kv.Put("a", 3);
        further.Kv.Put("a", 4);
        further.Events.Append("step", Payload(2));
        test.Checkpoint();
        test.Reopen();
        Assert.Equal(new MergeCounts(1, 0, 0), test.Db.Runs.Merge(source.Id, fork.Id).Counts["kv"]);
        Assert.Equal(3, test.Db.Runs.Get(fork.Id)!.Kv.Number("a"));
        Assert.Equal(1, test.Db.Runs.Merge(further.Id, target.Id).OpenConflicts);
        var taken = test.Db.Runs.Merge(further.Id, target.Id, Source);
        Assert.Equal(new MergeCounts(1, 0, 0), taken.Counts["events"]);
        Assert.Equal([1L, 2L], test.Db.Runs.Get("target")!.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "RPL-27")]
    public void RPL_27_A_fork_of_a_past_point_is_merged_against_that_point(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        target.Kv.Put("b", 1);
        target.Events.Append("a", Payload(0));
        var point = test.Db.Sequence;
        target.Kv.Put("a", 2);
        target.Events.Append("a", Payload(1));
        var source = test.Db.Runs.Fork(target.Id, point, name: "source");
        source.Kv.Put("b", 3);
        source.Events.Append("b", Payload(2));
        test.Checkpoint();
        test.Reopen();
        (target, source) = Again(test);
        Assert.Equal(new RunPoint(target.Id, point), test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { IsDryRun = true }).Base);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, After).IsClean);
        Assert.Equal((2L, 3L), (target.Kv.Number("a"), target.Kv.Number("b")));
        Assert.Equal([0L, 1L, 2L], target.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.Equal(new MergeCounts(1, 0, 0), test.Db.Runs.Merge(target.Id, source.Id, After).Counts["events"]);
        Assert.Equal([0L, 2L, 1L], source.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.Equal(2, source.Kv.Number("a"));
    }

    // ---- state ----------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-32")]
    [Trait("Requirement", "ST-12")]
    public void RPL_32_A_merged_cell_has_a_counter_above_both(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run => run.State.Init("budget", 100));
        for (var i = 0; i < 6; i++)
            source.State.Set("budget", i);
        target.State.Set("other", 1);
        Assert.Equal(new MergeCounts(1, 0, 0), test.Db.Runs.Merge(source.Id, target.Id).Counts["state"]);
        Assert.Equal((5L, 8UL), (target.State.Get("budget")!.Value.Value.AsInt64(), target.State.Get("budget")!.Value.Counter.Value));
        if (mode == Durability.InMemory)
            return;
        source.State.Set("budget", 7);
        target.State.Set("budget", 8);
        var conflict = Assert.Single(test.Db.Runs.Merge(source.Id, target.Id).Conflicts);
        Assert.Equal("state/budget", conflict.Address.ToString());
        Assert.Equal((8UL, 9UL), (conflict.Source!.Counter!.Value.Value, conflict.Target!.Counter!.Value.Value));
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, Source).IsClean);
        Assert.Equal((7L, 10UL), (target.State.Get("budget")!.Value.Value.AsInt64(), target.State.Get("budget")!.Value.Counter.Value));
        source.State.Delete("budget");
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        Assert.Null(target.State.Get("budget"));
        Assert.Equal(12UL, target.State.Init("budget", 1).Counter.Value);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-32")]
    public void RPL_32_Leases_are_never_merged_and_one_of_the_target_is_in_the_way(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run =>
        {
            run.State.Acquire("held", "parent", TimeSpan.FromHours(1));
            run.State.Acquire("let go", "parent", TimeSpan.FromHours(1));
        });
        source.State.Acquire("own", "fork", TimeSpan.FromHours(1));
        var token = source.State.Acquire("let go", "fork", TimeSpan.FromHours(1)).Token;
        Assert.True(source.State.Release("let go", token));
        source.State.Set("taken", 1);
        source.State.Set("held", 1);
        Assert.True(target.State.Acquire("taken", "parent", TimeSpan.FromHours(1)).IsAcquired);
        var result = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal(["state/held", "state/taken"], result.Conflicts.Select(conflict => conflict.Address.ToString()));
        Assert.Equal(1, result.LeasesLeft);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, Target).IsClean);
        Assert.Null(target.State.Get("own"));
        Assert.False(target.State.Acquire("let go", "x", TimeSpan.FromHours(1)).IsAcquired);
        Assert.False(target.State.Acquire("taken", "x", TimeSpan.FromHours(1)).IsAcquired);
    }

    // ---- traces ---------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "TR-8")]
    [Trait("Requirement", "RPL-29")]
    public void Traces_are_united_by_id_and_a_redaction_stands(Durability mode)
    {
        using var test = new TestDatabase(mode);
        TraceId root = default, secret = default, ours = default;
        var (target, source) = Parted(test, run =>
        {
            root = run.Traces.Record(new ThoughtStep("root"));
            secret = run.Traces.Record(new ThoughtStep("secret"), new TraceOptions { Tags = ["s"] });
            ours = run.Traces.Record(new ThoughtStep("ours"));
        });
        target.Events.Append("x", Payload(0));
        var receipt = source.Events.Append("step", Payload(1));
        var child = source.Traces.Record(new ThoughtStep("child"), new TraceOptions
        {
            Parent = root, Tags = ["t"], Causes = [(long)receipt.Number.Value],
        });
        source.Traces.Redact(secret);
        target.Traces.Redact(ours);
        target.Traces.Record(new ThoughtStep("more"), new TraceOptions { Parent = root });
        var result = test.Db.Runs.Merge(source.Id, target.Id, After);
        Assert.Equal(new MergeCounts(2, 0, 0), result.Counts["traces"]);
        test.NowAndAfterReopening(() =>
        {
            target = test.Db.Runs.Get("target")!;
            Assert.Equal(5, target.Traces.Count());
            Assert.True(target.Traces.TryGet(child, out var found));
            Assert.Equal((root, 1L), (found.Parent, Assert.Single(found.Causes)));   // its event is #1 here
            Assert.True(target.Traces.TryGet(secret, out var redacted) && redacted.IsRedacted);
            Assert.True(target.Traces.TryGet(ours, out var own) && own.IsRedacted);
            Assert.Equal([child], target.Traces.ByTag("t").Select(trace => trace.Id));
            Assert.Empty(target.Traces.ByTag("s"));
            Assert.Equal(2, target.Traces.Children(root).Count);
        });
    }

    // ---- events ---------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-31")]
    [Trait("Requirement", "EV-16")]
    public void RPL_31_Events_of_the_one_side_that_has_new_ones_are_taken_hash_for_hash(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run => run.Events.AppendMany([new("a", Payload(0)), new("a", Payload(1))]));
        source.Events.Append("b", Payload(2), [new EventNumber(1)]);
        test.Clock.Advance(TimeSpan.FromSeconds(5));
        source.Events.Redact(0, "private");
        source.Events.Append("b", Payload(3));
        source.Events.Redact(2, "private too");
        test.Clock.Advance(TimeSpan.FromSeconds(5));
        var result = test.Db.Runs.Merge(source.Id, target.Id);
        Assert.Equal(new MergeCounts(Taken: 5, 0, 0), result.Counts["events"]);
        test.NowAndAfterReopening(() =>
        {
            (target, source) = Again(test);
            Assert.Equal(source.Events.Head(), target.Events.Head());
            var (theirs, ours) = (source.Events.Since(0), target.Events.Since(0));
            Assert.Equal(
                theirs.Select(item => (item.Number, item.Hash, item.Time, item.Type, item.IsRedacted)),
                ours.Select(item => (item.Number, item.Hash, item.Time, item.Type, item.IsRedacted)));
            Assert.Equal([new EventNumber(1)], ours[2].Causes);
            Assert.True(target.Events.Verify().IsValid);
            Assert.Equal(new EventOrigin(source.Id, 4, ours[4].Hash), target.Events.Origin(4));
            Assert.Null(target.Events.Origin(1));
            using var diff = test.Db.Diff(source.Id, target.Id);
            Assert.Empty(diff.Items("events"));
        });
        target.Events.Append("c", Payload(4));
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsEmpty);
        Assert.Equal(1, test.Db.Runs.Merge(target.Id, source.Id).Counts["events"].Taken);
        Assert.Equal(target.Events.Head(), source.Events.Head());
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-31")]
    public void RPL_31_When_both_have_new_ones_it_is_a_conflict_or_they_come_behind_with_their_origin(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run => run.Events.Append("a", Payload(0)));
        source.Events.Append("b", Payload(1));
        source.Events.Append("b", Payload(2), [new EventNumber(0), new EventNumber(1)]);
        source.Events.Redact(1, "private");
        test.Clock.Advance(TimeSpan.FromSeconds(5));
        target.Events.Append("x", Payload(9));
        var conflict = Assert.Single(test.Db.Runs.Merge(source.Id, target.Id).Conflicts);
        Assert.Equal("events/#1", conflict.Address.ToString());
        Assert.Equal((3L, 1L), (conflict.Source!.Value["count"].AsInt64(), conflict.Target!.Value["count"].AsInt64()));
        Assert.Equal(1, test.Db.Runs.Merge(source.Id, target.Id, Source).OpenConflicts);   // no log replaces another
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(
            () => test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { Resolve = _ => MergeResolution.Source })));
        Assert.Equal(2, target.Events.Count());
        var result = test.Db.Runs.Merge(source.Id, target.Id, After);
        Assert.Equal(MergeOutcome.AppendAfter, Assert.Single(result.Conflicts).Outcome);
        test.NowAndAfterReopening(() =>
        {
            (target, source) = Again(test);
            var events = target.Events.Since(0);
            Assert.Equal(["a", "x", "b", "b", "$redacted"], events.Select(item => item.Type));
            Assert.Equal([new EventNumber(0), new EventNumber(2)], events[3].Causes);
            Assert.True(events[2].IsRedacted);
            Assert.All(events.Skip(1), item => Assert.Equal(events[1].Time, item.Time));
            Assert.Equal(2, events[4].Payload!.Value["number"].AsInt64());
            Assert.True(target.Events.Verify().IsValid);
            for (var number = 1UL; number < 4; number++)
                Assert.Equal(new EventOrigin(source.Id, number, source.Events.Get(number)!.Hash), target.Events.Origin(number + 1));
            Assert.Null(target.Events.Origin(1));
        });
        if (mode == Durability.InMemory)
            return;

        // Behind the second merge causes still find what came with the first.
        source.Events.Append("b", Payload(3), [new EventNumber(2)]);
        Assert.Equal(1, test.Db.Runs.Merge(source.Id, target.Id).OpenConflicts);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, After).IsClean);
        Assert.Equal([new EventNumber(3)], target.Events.Get(5)!.Causes);
        Assert.Equal(new EventOrigin(source.Id, 4, source.Events.Get(4)!.Hash), target.Events.Origin(5));
    }

    [Fact]
    [Trait("Requirement", "RPL-31")]
    public void RPL_31_Events_that_were_left_to_the_target_stay_out()
    {
        using var test = new TestDatabase(Durability.Strict);
        var (target, source) = Parted(test, run => run.Events.AppendMany([new("a", Payload(0)), new("a", Payload(1))]));
        source.Events.Append("b", Payload(2));
        source.Events.Redact(1, "private");
        target.Events.Append("x", Payload(9));
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, Target).IsClean);
        Assert.Equal(["a", "a", "x", "$redacted"], target.Events.Since(0).Select(item => item.Type));
        Assert.True(target.Events.Get(1)!.IsRedacted);
        Assert.Equal("private", target.Events.Get(3)!.Payload!.Value["reason"].AsString());
        source.Events.Append("c", Payload(3), [new EventNumber(0), new EventNumber(2)]);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, After).IsClean);
        Assert.Equal(["a", "a", "x", "$redacted", "c"], target.Events.Since(0).Select(item => item.Type));
        Assert.Equal([new EventNumber(0)], target.Events.Get(4)!.Causes);
        Assert.True(target.Events.Verify().IsValid);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-31")]
    [Trait("Requirement", "RPL-22")]
    public void Recorded_inputs_go_on_from_the_targets_last_ordinal_and_replay(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var (target, source) = Parted(test, run => Ask(run, "shared"));
        Ask(source, "source 1");
        Ask(source, "source 2");
        target.CommitInputs();
        var plain = test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { IsDryRun = true });
        Assert.True(plain.IsClean);                          // the target has no new event: they would be the source's own
        Ask(target, "target");
        source.CommitInputs();
        var result = test.Db.Runs.Merge(source.Id, target.Id, After);
        Assert.True(result.IsClean);
        Ask(target, "behind");
        target.CommitInputs();
        Assert.Equal([0L, 1, 2, 3, 4], target.ListInputs().Select(input => input.Ordinal));
        Assert.True(target.Events.Verify().IsValid);
        Assert.Equal(source.Events.Get(1)!.Hash, target.Events.Origin(2)!.Value.Hash);
        using var replay = test.Db.Runs.ReplayInputs(target.Id);
        foreach (var request in (string[])["shared", "target", "source 1", "source 2", "behind"])
        {
            var answer = replay.Run.Input(InputKind.Tool, request, () => throw new InvalidOperationException("called"));
            Assert.Equal($"answer to {request}", answer.AsString());
        }

        static void Ask(Run run, string request)
        {
            run.Input(InputKind.Tool, request, () => $"answer to {request}");
            run.CommitInputs();
        }
    }
}
