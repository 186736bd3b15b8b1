using Cairn.Diagnostics;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>The hooks themselves: nothing when they are off, nothing without a plan, and under a plan a failure at any of them is either
/// no commit at all or a failed database.</summary>
public sealed class FailpointTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-hooks-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Compiled_code_calls_a_hook_only_where_hooks_are_on(bool areOn)
    {
        var listing = Path.Combine(_directory, "listing");
        // Straight to the best code, so that this does not take long.
        using var child = Crasher.StartIn(
            [
                ("DOTNET_JitDisasm", "*CommitPath:Place *LogWriter:WriteRoundOrThrow *LogWriter:TryTake"),
                ("DOTNET_JitStdOutFile", listing),
                ("DOTNET_TieredPGO", "0"), ("DOTNET_TC_CallCountingDelayMs", "0"),
            ],
            areOn ? null : Off(), "hot");
        var (exitCode, output) = child.RunToEnd();
        Assert.True(exitCode == 0, output);
        Assert.Equal($"failpoints {(areOn ? "on" : "off")}", output.Trim());
        var best = File.ReadAllText(listing).Split("; Assembly listing for method ")
            .Where(method => method.Contains("(Tier1)", StringComparison.Ordinal)).ToList();
        Assert.Contains(best, method => method.StartsWith("Cairn.Transactions.CommitPath:Place", StringComparison.Ordinal));
        Assert.Contains(best, method => method.StartsWith("Cairn.Log.LogWriter:WriteRoundOrThrow", StringComparison.Ordinal));
        Assert.Equal(areOn, best.Exists(method => method.Contains("Failpoint", StringComparison.Ordinal)));
    }

    // As a program of users: without the switch.
    private string Off()
    {
        var path = Path.Combine(_directory, "off.runtimeconfig.json");
        var lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Cairn.Crashers.runtimeconfig.json"));
        File.WriteAllLines(path, lines.Where(line => !line.Contains("Cairn.Failpoints", StringComparison.Ordinal)));
        return path;
    }

    [Fact]
    public void A_plan_reaches_the_threads_of_a_database_that_is_opened_under_it_and_no_other()
    {
        var plan = new Collector();
        using var beside = new TestDatabase(Durability.Buffered);
        using (Failpoint.Use(plan))
        {
            using var database = new TestDatabase(Durability.Strict);
            database.Kv.Put("a", 1);
            var thread = new Thread(() => database.Kv.Put("b", 1));
            thread.Start();
            thread.Join();
        }

        var seen = plan.Names.Count;
        Assert.True(plan.Names.ContainsKey("close.manifest-published"));
        Assert.Equal(2, plan.Names["commit.locked"]);
        beside.Kv.Put("c", 1);
        Assert.Equal(2, plan.Names["commit.locked"]);
        Assert.Equal(seen, plan.Names.Count);
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Promise", "G7")]
    [Trait("Promise", "G1")]
    public void G7_An_exception_at_any_failpoint_is_a_clean_refusal_or_a_failed_database(Durability mode)
    {
        var all = new Collector();
        using (Failpoint.Use(all))
            Script(mode, new Cairn.Storage.MemoryStorage(), out _);
        foreach (var (name, hits) in all.Names)
        {
            // What fails while the database is being failed has nobody to tell.
            if (name == "state.failing")
                continue;
            for (var nth = 1; nth <= hits; nth += 1 + hits / 3)
                ThrowAt(mode, name, nth);
        }
    }

    private static void ThrowAt(Durability mode, string name, int nth)
    {
        var storage = new Cairn.Storage.MemoryStorage();
        long acknowledged;
        long issued;
        using (Failpoint.Use(new Thrower(name, nth)))
        {
            issued = Script(mode, storage, out acknowledged);
        }

        using var db = CairnDatabase.Open(storage, CrashOptions(mode), new EngineHooks { IsMaintenanceManual = true });
        var n = db.Default.Kv.Get("n")?.AsInt64() ?? 0;
        Assert.True(n >= acknowledged && n <= issued, $"{name} #{nth}: shows {n}, acknowledged {acknowledged}, issued {issued}");
        Assert.Equal(n * (n + 1) / 2, db.Default.Kv.Get("sum")?.AsInt64() ?? 0);
        Assert.Empty(db.VerifyDeep().Findings);
        var hash = db.StateHash();
        db.Dispose();
        using var again = CairnDatabase.Open(storage, CrashOptions(mode), new EngineHooks { IsMaintenanceManual = true });
        Assert.Equal(hash, again.StateHash());
    }

    private static CairnOptions CrashOptions(Durability mode) => new()
    {
        Durability = mode,
        SegmentBytesMin = 16 << 10,
        SegmentBytesMax = 16 << 10,
        RandomSeed = 5,
    };

    // Lives until something is refused for good; what is acknowledged counts, whatever came behind.
    private static long Script(Durability mode, Cairn.Storage.MemoryStorage storage, out long acknowledged)
    {
        var issued = acknowledged = 0L;
        CairnDatabase? db = null;
        try
        {
            for (var opening = 0; opening < 2; opening++)
            {
                db = CairnDatabase.Open(storage, CrashOptions(mode), new EngineHooks { IsMaintenanceManual = true });
                for (var left = 8; left > 0; left--)
                {
                    var n = issued + 1;
                    try
                    {
                        db.Default.Transact(tx =>
                        {
                            tx.Kv.Put("n", n);
                            tx.Kv.Put("padding", new byte[3000]);
                            tx.Kv.Add("sum", n);
                        });
                        acknowledged = issued = n;
                    }
                    catch (InjectedException)
                    {
                        // Before the place: as if it had not been tried.
                        Assert.False(db.Engine.State.HasFailed);
                    }
                    catch (DatabaseFailedException refused)
                    {
                        Assert.True(db.Engine.State.HasFailed);
                        issued = refused.Code == ErrorCode.OutcomeUnknown ? n : issued;
                        return issued;
                    }

                    db.Engine.Maintainer!.Step();
                }

                db.Engine.Path.Log.MarkIfIdle(TimeSpan.Zero);
                using var run = db.Runs.Begin("other").Snapshot();
                db.Runs.Delete(db.Runs.Get("other")!.Id);
                db.Dispose();
            }
        }
        catch (Exception failure) when (failure is InjectedException or DatabaseFailedException)
        {
        }
        finally
        {
            Abandon(db);
        }

        return issued;
    }

    private static void Abandon(CairnDatabase? db)
    {
        try
        {
            db?.Dispose();
        }
        catch (Exception failure) when (failure is InjectedException or DatabaseFailedException)
        {
        }
    }

    private sealed class InjectedException() : Exception("thrown by a test at a failpoint");

    private sealed class Collector : FailpointPlan
    {
        internal SortedDictionary<string, int> Names { get; } = new(StringComparer.Ordinal);

        internal override void Hit(string name)
        {
            lock (Names)
                Names[name] = Names.GetValueOrDefault(name) + 1;
        }
    }

    private sealed class Thrower(string name, int nth) : FailpointPlan
    {
        private int _hits;

        internal override void Hit(string at)
        {
            if (at == name && Interlocked.Increment(ref _hits) == nth)
                throw new InjectedException();
        }
    }
}
