using System.Reflection;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Completeness;

/// <summary>Every limit at every door of the library: one below, at, and one above (LIM-40). The shell and the import have their own class,
/// because their limits are the defaults, and those are large.</summary>
[Trait("Promise", "G13")]
public class LimitDoorTests
{
    private static readonly EngineHooks Manual = new() { IsMaintenanceManual = true };

    public static TheoryData<string> Limited => [.. LimitDoors.Rows.Select(row => row.Limit)];

    private static IEnumerable<string> Names => typeof(Limits)
        .GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .Where(member => member is FieldInfo || (member is PropertyInfo property && property.Name != "EqualityContract"))
        .Select(member => member.Name);

    [Fact]
    public void LIM_40_Every_limit_has_an_entry_for_every_door()
    {
        Assert.Equal(Names.Order(StringComparer.Ordinal), LimitDoors.Rows.Select(row => row.Limit).Order(StringComparer.Ordinal));
        foreach (var row in LimitDoors.Rows)
        {
            foreach (var door in Enum.GetValues<Door>())
            {
                bool[] has = [HasAttempts(row, door), row.NotHere.ContainsKey(door), row.Elsewhere.ContainsKey(door)];
                var entries = has.Count(entry => entry);
                Assert.True(entries == 1, $"{row.Limit} at the door {door} has {entries} entries in LimitDoors and needs one");
            }

            foreach (var (door, test) in row.Elsewhere)
                Assert.True(IsTest(test), $"{row.Limit} at the door {door} names {test}, and there is no such test");
        }
    }

    private static bool HasAttempts(LimitRow row, Door door) => door switch
    {
        Door.Call => row.Calls.Count + row.OutsideCalls.Count > 0,
        Door.Transaction => row.Calls.Count > 0,
        Door.Commit => row.Commit is not null,
        Door.Import => row.Import is not null,
        _ => row.Shell.Count > 0,
    };

    private static bool IsTest(string name)
    {
        var parts = name.Split('.');
        return typeof(LimitDoorTests).Assembly.GetTypes()
            .Where(type => type.Name == parts[0])
            .SelectMany(type => type.GetMethods())
            .Any(method => method.Name == parts[1] && method.GetCustomAttributes<FactAttribute>().Any());
    }

    [Theory]
    [MemberData(nameof(Limited))]
    public void LIM_40_A_call_at_n_minus_1_n_and_n_plus_1(string limit)
    {
        var row = Row(limit);
        foreach (var (name, call) in row.Calls)
            Judge(row, name, measure => With(row, (_, run) => call(Faces.Of(run), measure)));
        foreach (var (name, call) in row.OutsideCalls)
            Judge(row, name, measure => With(row, (db, run) => call(db, run, measure)));
    }

    [Theory]
    [MemberData(nameof(Limited))]
    public void LIM_40_In_a_transaction_at_n_minus_1_n_and_n_plus_1(string limit)
    {
        var row = Row(limit);
        foreach (var (name, call) in row.Calls)
            Judge(row, name, measure => With(row, (_, run) => run.Transact(tx => call(Faces.Of(tx), measure))));
    }

    // What is refused in a transaction leaves that as it was: the rest of it commits.
    [Theory]
    [MemberData(nameof(Limited))]
    public void LIM_40_What_is_refused_in_a_transaction_leaves_no_half_of_itself(string limit)
    {
        var row = Row(limit);
        foreach (var (name, call) in row.Calls)
        {
            With(row, (db, run) =>
            {
                var before = db.Sequence;
                run.Transact(tx => Assert.ThrowsAny<LimitException>(() => call(Faces.Of(tx), Above(row))));
                Assert.True(db.Sequence == before, $"{name} left something to commit");
            });
        }
    }

    [Theory]
    [MemberData(nameof(Limited))]
    public void LIM_40_At_the_commit_at_n_minus_1_n_and_n_plus_1(string limit)
    {
        var row = Row(limit);
        if (row.Commit is { } commit)
            Judge(row, "commit", measure => With(row, (_, run) => commit(run, measure)));
    }

    private static LimitRow Row(string limit) => LimitDoors.Rows.Single(row => row.Limit == limit);

    private static long Above(LimitRow row) => row.IsLeast ? row.Allowed - 1 : row.Allowed + 1;

    private static void Judge(LimitRow row, string name, Action<long> attempt)
    {
        foreach (var measure in new[] { row.IsLeast ? row.Allowed + 1 : row.Allowed - 1, row.Allowed })
        {
            try
            {
                attempt(measure);
            }
            catch (LimitException refused)
            {
                Assert.Fail($"{name} with {measure} was refused: {refused.Message}");
            }
        }

        var limit = Assert.ThrowsAny<LimitException>(() => attempt(Above(row)));
        Assert.True(
            (limit.Limit, limit.Allowed, limit.Actual) == (row.Limit, row.Allowed, Above(row)),
            $"{name}: {limit.Limit} allows {limit.Allowed} and met {limit.Actual}; "
            + $"it should have been {row.Limit}, {row.Allowed}, {Above(row)}");
        Assert.Contains(row.Limit, limit.Message, StringComparison.Ordinal);
        Assert.NotEmpty(limit.Unit);
    }

    // A database of its own for each attempt, with an event to redact and a run to end.
    private static void With(LimitRow row, Action<CairnDatabase, Run> attempt)
    {
        using var storage = new MemoryStorage();
        var options = new CairnOptions
        {
            Durability = Durability.Buffered,
            Limits = row.Limits,
            SegmentBytesMin = 32 << 10,
            TimeProvider = new FakeClock(),
            RandomSeed = 1,
        };
        using var db = CairnDatabase.Open(storage, options, Manual);
        var run = db.Runs.Begin("r");
        run.Events.Append("first", Value.Object());
        attempt(db, run);
    }

    // ---- what cannot be said in a row -------------------------------------------------------------------------------------------

    // A call over many copied all its values into one record and then looked at its size: a thousand values of 16 MiB would have taken
    // the memory of the process before they were refused.
    [Fact]
    public void LIM_17_LIM_41_A_call_over_many_that_is_too_large_is_refused_before_it_is_copied()
    {
        using var db = CairnDatabase.OpenInMemory();
        var large = (Value)LimitDoors.Text(4 << 20);
        var pairs = Enumerable.Range(0, 100).Select(i => KeyValuePair.Create($"k{i}", large)).ToList();
        var events = Enumerable.Range(0, 100).Select(_ => new NewEvent("t", Value.Object(("m", large)))).ToList();
        foreach (var action in new Action[] { () => db.Default.Kv.PutMany(pairs), () => db.Default.Events.AppendMany(events) })
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var limit = Assert.Throws<LimitException>(action);
            Assert.Equal((nameof(Limits.TransactionBytesMax), 32L << 20), (limit.Limit, limit.Allowed));
            Assert.InRange(limit.Actual, (32L << 20) + 1, 420L << 20);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }

        Assert.Equal(Sequence.None, db.Sequence);
    }

    // A transaction kept whatever it was given and was refused at its commit.
    [Fact]
    public void LIM_17_LIM_41_A_transaction_that_is_too_large_is_refused_at_the_call_that_makes_it_so()
    {
        using var db = CairnDatabase.OpenInMemory();
        var large = (Value)LimitDoors.Text(10 << 20);
        var calls = new Dictionary<string, Action<Transaction, int>>
        {
            ["kv"] = (tx, i) => tx.Kv.Put($"k{i}", large),
            ["state"] = (tx, i) => tx.State.Set($"c{i}", large),
            ["events"] = (tx, i) => tx.Events.Append("t", Value.Object(("m", large))),
            ["traces"] = (tx, i) => tx.Traces.Record(new CustomStep("x", large)),
        };
        foreach (var (name, call) in calls)
        {
            using var transaction = db.Default.BeginTransaction();
            for (var i = 0; i < 3; i++)
                call(transaction, i);
            var limit = Assert.Throws<LimitException>(() => call(transaction, 3));
            Assert.Equal((name, nameof(Limits.TransactionBytesMax)), (name, limit.Limit));
            Assert.InRange(limit.Actual, (40L << 20) - 1, (40L << 20) + 1_000);
        }

        // Writing a key again takes the place of the value before it.
        using var same = db.Default.BeginTransaction();
        for (var i = 0; i < 10; i++)
            same.Kv.Put("k", large);
        same.Kv.Delete("k");
        for (var i = 0; i < 3; i++)
            same.State.Set($"c{i}", large);
        Assert.Equal(1UL, same.Commit().Value);
    }

    [Fact]
    public void LIM_37_A_run_that_stays_locked_is_waited_for_and_then_busy()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { Limits = new Limits { BusyWaitMax = TimeSpan.FromMilliseconds(1) } });
        var gate = db.Default.RunState.CommitLock;
        gate.Enter();
        try
        {
            BusyException? busy = null;
            var other = new Thread(() => busy = Assert.Throws<BusyException>(() => db.Default.Kv.Put("k", 1)));
            other.Start();
            other.Join();
            Assert.Equal((ErrorCode.Busy, true, TimeSpan.FromMilliseconds(1)), (busy!.Code, busy.IsTransient, busy.SuggestedWait));
            Assert.Contains(nameof(Limits.BusyWaitMax), busy.Message, StringComparison.Ordinal);
        }
        finally
        {
            gate.Exit();
        }

        db.Default.Kv.Put("k", 1);
        Assert.Equal(1UL, db.Sequence.Value);
    }

    // The disk stands still in the middle of a sync. Commits get their places until the queue holds four; the next one waits as long as
    // it may and is refused without having got one. When the disk goes on, all that had a place are there.
    [Fact]
    public async Task LIM_36_LIM_37_A_full_queue_is_waited_for_and_then_busy()
    {
        var token = TestContext.Current.CancellationToken;
        using var syncs = new ManualResetEventSlim(true);
        using var stands = new ManualResetEventSlim();
        using var memory = new MemoryStorage();
        using var disk = new LatencyStorage(memory, (call, _) =>
        {
            if (call == StorageCall.DataSync && !syncs.IsSet)
            {
                stands.Set();
                syncs.Wait(token);
            }
        });
        var limits = new Limits { QueuedCommitsMax = 4, BusyWaitMax = TimeSpan.FromMilliseconds(1) };
        using var db = CairnDatabase.Open(disk, new CairnOptions { Limits = limits, RandomSeed = 1 }, Manual);
        db.Default.Kv.Put("first", 1);
        syncs.Reset();
        var leader = new Thread(() => db.Default.Kv.Put("leader", 1));
        leader.Start();
        stands.Wait(token);
        var placed = new List<Task<Sequence>>();
        BusyException? busy = null;
        while (busy is null)
        {
            try
            {
                placed.Add(db.Default.Kv.PutAsync($"k{placed.Count}", 1, cancellationToken: token).AsTask());
            }
            catch (BusyException refused)
            {
                busy = refused;
            }

            Assert.True(placed.Count <= 8, "nothing is ever refused");
        }

        Assert.Equal(ErrorCode.Busy, busy.Code);
        Assert.Contains(nameof(Limits.BusyWaitMax), busy.Message, StringComparison.Ordinal);
        syncs.Set();
        leader.Join();
        await Task.WhenAll(placed);
        Assert.Equal((ulong)(2 + placed.Count), db.Sequence.Value);
    }
}
