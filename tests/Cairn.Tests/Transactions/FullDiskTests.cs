using Cairn.Storage;
using Cairn.Tests.Storage;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Transactions;

/// <summary>DUR-9, C10: a disk that fills up. In memory with a limit, so that each byte is counted; and on a file system of a few
/// MiB.</summary>
[Trait("Promise", "G7")]
[Trait("Test", "C10")]
public sealed class FullDiskTests
{
    private const long SegmentBytesMax = 256 << 10;

    /// <summary>With the segments of <see cref="TestDatabase"/>: twice the largest.</summary>
    private const long Reserve = 2 * SegmentBytesMax;

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    public void DUR9_A_full_disk_refuses_writes_reads_on_deletes_from_the_reserve_and_resumes_by_itself(Durability mode)
    {
        var disk = new MemoryStorage(3 << 20);
        using var database = new TestDatabase(mode, storage: disk);
        database.Run.State.Set("cell", 1);
        var done = database.OtherRun();
        done.Kv.Put("a", 1);
        Assert.Equal((false, Reserve), (database.Db.Metrics.IsDiskFull, database.Db.Metrics.DiskReserveBytes));

        var full = FillUp(database, out var count);

        // Refused by name, before a sequence is taken, with what is to be done; told in health and metrics.
        Assert.Equal((ErrorCode.DiskFull, true), (full.Code, full.IsTransient));
        Assert.Contains("bytes are free", full.Message, StringComparison.Ordinal);
        var acknowledged = database.Sequence;
        Action[] writes =
        [
            () => database.Kv.Put("b", 1), () => database.Kv.TryAdd("b", 1), () => database.Kv.Increment("n"),
            () => database.Run.State.Set("cell", 2), () => database.Run.Events.Append("said", Value.Object()),
            () => database.Db.Runs.Begin("new"), () => database.Kv.Expire("k0", TimeSpan.FromHours(1)),
            () => Once(database.Run, tx => tx.Kv.Put("b", 1)),
            () => Once(database.Run, tx =>
            {
                tx.Kv.Delete("k0");
                tx.Kv.Put("b", 1);
            }),
        ];
        Assert.All(writes, write => Assert.Equal(ErrorCode.DiskFull, Refused(write)));
        Assert.Equal((acknowledged, acknowledged), (database.Sequence, database.Db.Metrics.LastSequence.Value));
        Assert.Equal((true, 0L), (database.Db.Metrics.IsDiskFull, database.Db.Metrics.DiskReserveBytes));
        var part = Assert.Single(database.Db.Health.Parts, part => part.Name == "disk");
        Assert.Equal((HealthStatus.Degraded, full.Code), (part.Status, ErrorCode.DiskFull));
        Assert.Contains("Free space", part.Reason, StringComparison.Ordinal);

        // Reads go on, and transactions that only read.
        Assert.Equal(count, database.Kv.Count());
        Assert.Equal(1, database.Run.State.Get("cell")!.Value.Value.AsInt64());
        Assert.Equal(Sequence.None, Once(database.Run, tx => tx.Kv.Get("k0")));

        // What only deletes works, past the end of the segment in hand.
        Assert.True(database.Run.State.Delete("cell"));
        Once(database.Run, tx => Assert.Equal(2, tx.Kv.DeleteMany(["k0", "k1"])));
        database.Db.Runs.Delete(done.Id);
        for (var round = 0; round < 6; round++)
        {
            for (var i = 2 + 20 * round; i < 22 + 20 * round; i++)
                Assert.True(database.Kv.Delete($"k{i}"));
            Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
            database.Maintain();
        }

        Assert.False(database.Db.Engine.State.HasFailed);
        Assert.Equal(count - 122, database.Kv.Count());

        // Space: writes resume, in this process and in the next.
        disk.CapacityBytes += 3 << 20;
        database.Maintain();
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
        Assert.Equal((false, Reserve), (database.Db.Metrics.IsDiskFull, database.Db.Metrics.DiskReserveBytes));
        for (var i = 0; i < 100; i++)
            database.Kv.Put($"after{i}", new byte[2_000].AsSpan());
        database.NowAndAfterReopening(() => Assert.Equal(count - 22, database.Kv.Count()));
    }

    [Fact]
    public void DUR9_Deletions_go_on_past_the_segments_in_hand_as_far_as_the_reserve_goes()
    {
        var disk = new MemoryStorage(3 << 20);
        using var database = new TestDatabase(Durability.Strict, storage: disk);
        var keys = Enumerable.Range(0, 1_200).Select(i => $"{i:0000}{new string('x', 900)}").ToList();
        foreach (var key in keys)
            database.Kv.Put(key, 1);
        FillUp(database, out _);
        var segments = database.Db.Metrics.LogSegments;
        var deleted = keys.TakeWhile(key => Try(() => Assert.True(database.Kv.Delete(key)))).Count();
        Assert.InRange(deleted, 500, keys.Count);
        Assert.True(database.Db.Metrics.LogSegments > segments + 2, "the deletions fit in what was allocated: the test shows nothing");
        Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
        Assert.False(database.Db.Engine.State.HasFailed);
        disk.CapacityBytes += 1 << 20;                       // for the next opening's first segment
        database.NowAndAfterReopening(() => Assert.Equal(keys.Count - deleted, database.Kv.Count("0") + database.Kv.Count("1")));
    }

    [Fact]
    public void DUR9_Fewer_free_bytes_than_the_reserve_are_a_full_disk_and_leaving_takes_twice_the_reserve()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, storage: storage);
        database.Kv.Put("a", 1);
        bool IsFull(long free)
        {
            storage.FreeBytes = free;
            database.Maintain();
            var isFull = database.Db.Metrics.IsDiskFull;
            var told = Record.Exception(() => database.Kv.Put("a", 1)) as CairnException;
            Assert.Equal(isFull ? ErrorCode.DiskFull : ErrorCode.None, told?.Code ?? ErrorCode.None);
            Assert.Equal(isFull, !storage.Exists("reserve"));
            return isFull;
        }

        Assert.False(IsFull(Reserve));
        Assert.True(IsFull(Reserve - 1));
        Assert.True(IsFull(Reserve));
        Assert.True(IsFull(2 * Reserve - 1));

        // The next segment is to be allocated too, or the disk would be full again at once.
        var next = database.Db.Engine.Path.Log.Device!.Space().Preparing;
        Assert.True(next > 0);
        Assert.True(IsFull(2 * Reserve + next - 1));
        Assert.False(IsFull(2 * Reserve + next));
        Assert.False(IsFull(Reserve));
    }

    [Fact]
    public void DUR9_The_reserve_grows_with_the_segments()
    {
        var disk = new MemoryStorage();
        using var database = new TestDatabase(
            Durability.Buffered, options => options with { SegmentBytesMin = 256 << 10, SegmentBytesMax = 8 << 20 }, disk);
        var held = new List<long>();
        for (var i = 0; i < 120; i++)
        {
            database.Kv.Put("a", new byte[100_000].AsSpan());
            database.Maintain();
            var device = (Cairn.Log.SegmentedLog)database.Db.Engine.Path.Log.Device!;
            Assert.True(database.Db.Metrics.DiskReserveBytes >= Math.Max(2 * device.NextSegmentBytes, 4 << 20));
            held.Add(database.Db.Metrics.DiskReserveBytes);
        }

        Assert.Equal([4 << 20, 8 << 20, 16 << 20], held.Distinct());
        using var file = disk.Open("reserve", writable: false);
        Assert.Equal(held[^1], file.Length);
    }

    [Fact]
    public void DUR9_A_full_disk_at_any_step_before_the_first_commit_refuses_it_and_loses_nothing()
    {
        var refused = 0;
        for (var nth = 1;; nth++)
        {
            var disk = new MemoryStorage();
            using (var before = new TestDatabase(Durability.Strict, storage: disk))
                before.Kv.Put("a", 1);
            var storage = new FaultStorage(disk);
            using var database = new TestDatabase(Durability.Strict, storage: storage);
            storage.Inject(FaultKind.NoSpace, nth, StorageCall.Allocations);
            var told = Record.Exception(() => database.Kv.Put("b", 2)) as CairnException;
            storage.Clear();
            if (told?.Code == ErrorCode.OutcomeUnknown)
                break;                                       // the commit's own write: the first step behind those
            database.Maintain();
            if (told is not null)
            {
                Assert.Equal(ErrorCode.DiskFull, told.Code);
                refused++;
                database.Kv.Put("b", 2);
            }

            database.NowAndAfterReopening(
                () => Assert.Equal((1, 2), (database.Kv.Get("a")?.AsInt64(), database.Kv.Get("b")?.AsInt64())));
        }

        Assert.InRange(refused, 5, 80);
    }

    [Fact]
    public void DUR9_A_reserve_that_cannot_grow_is_a_full_disk()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(
            Durability.Buffered, options => options with { SegmentBytesMin = 1 << 20, SegmentBytesMax = 8 << 20 }, storage);
        storage.Inject(FaultKind.NoSpace, 1, StorageCall.Preallocate, lasting: true, path: "reserve");
        for (var i = 0; i < 30 && !database.Db.Metrics.IsDiskFull; i++)
        {
            database.Kv.Put("a", new byte[100_000].AsSpan());
            database.Maintain();
        }

        Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("a", 1)));
        Assert.False(storage.Exists("reserve"));
        storage.Clear();
        database.Maintain();
        database.Kv.Put("a", 2);
        Assert.Equal(8L << 20, database.Db.Metrics.DiskReserveBytes);
    }

    [Fact]
    public void DUR9_A_database_that_is_opened_on_a_full_disk_reads_deletes_and_says_so_at_the_first_write()
    {
        var disk = new MemoryStorage(2 << 20);
        using var database = new TestDatabase(Durability.Strict, storage: disk);
        FillUp(database, out var count);
        disk.CapacityBytes -= disk.FreeSpace();              // somebody else takes the rest
        database.Reopen();
        Assert.True(database.Db.Recovery.WasClosedCleanly);
        Assert.Equal(count, database.Kv.Count());
        Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
        Assert.True(database.Kv.Delete("k0"));
        disk.CapacityBytes = 8 << 20;
        database.Maintain();
        database.Kv.Put("b", 1);
        database.NowAndAfterReopening(() => Assert.Equal(count, database.Kv.Count()));
    }

    // A segment ends when its record does not fit, and a manifest names the next one: by then the places are taken. The reserve is there.
    [Theory]
    [InlineData(nameof(StorageCall.CreateNew))]
    [InlineData(nameof(StorageCall.Write))]
    [InlineData(nameof(StorageCall.Rename))]
    public void DUR9_A_full_disk_under_a_manifest_or_the_name_of_a_segment_is_met_with_the_reserve(string name)
    {
        var call = Enum.Parse<StorageCall>(name);
        for (var number = 3; number < 7; number++)
        {
            var storage = new FaultStorage(new MemoryStorage());
            using var database = new TestDatabase(Durability.Strict, storage: storage);
            var isName = call == StorageCall.Rename && number % 2 == 0;
            var path = isName ? "log/prepared" : Cairn.Log.LogNames.Manifest((ulong)number) + ".part";
            storage.Inject(FaultKind.NoSpace, 1, call, path: path);
            for (var i = 0; i < 800; i++)
                database.Kv.Put($"k{i}", new byte[1_000].AsSpan());
            Assert.True(storage.Strikes > 0, $"nothing was written as manifest {number}");
            Assert.False(database.Db.Engine.State.HasFailed);
            database.Maintain();
            Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
            database.NowAndAfterReopening(() => Assert.Equal(800, database.Kv.Count()));
        }
    }

    // The next segment was made and its name found no room. The file stayed, the next try met it, and the database failed.
    [Fact]
    public void DUR9_A_full_disk_under_the_name_of_a_segment_that_is_prepared_refuses_writes_and_is_left()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        storage.Inject(FaultKind.NoSpace, 1, StorageCall.Rename, lasting: true, path: "log/prepared.part");
        FillUp(database, out var count);
        Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
        Assert.False(database.Db.Engine.State.HasFailed);
        storage.Clear();
        database.Maintain();
        database.Kv.Put("b", 1);
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
        database.NowAndAfterReopening(() => Assert.Equal(count + 1, database.Kv.Count()));
    }

    /// <summary>Wherever in a script the space runs out: never a failed database, nothing acknowledged lost, and all is well once there is
    /// space.</summary>
    [Fact]
    [Trait("Gate", "Merge")]
    public void C10_DUR9_Whichever_byte_is_the_last_one_the_database_waits_for_space_and_goes_on()
    {
        var fulls = 0;
        for (var capacity = 600L << 10; capacity < 2_400 << 10; capacity += 8_192 + 500)
        {
            var disk = new MemoryStorage(capacity);
            TestDatabase? database = null;
            try
            {
                database = new TestDatabase(capacity % 2 == 0 ? Durability.Strict : Durability.Buffered, storage: disk);
            }
            catch (BusyException full) when (full.Code == ErrorCode.DiskFull)
            {
                continue;                                    // not even the first segment
            }

            using (database)
            {
                var acknowledged = new HashSet<string>();
                for (var i = 0; i < 700; i++)
                {
                    if (Put(database, $"k{i}"))
                        acknowledged.Add($"k{i}");
                    else if (i % 7 == 0 && acknowledged.Count > 0 && acknowledged.First() is var gone && Delete(database, gone))
                        acknowledged.Remove(gone);
                    if (i % 5 == 0)
                        database.Maintain();
                    if (i == 350)
                        database.Reopen(isKilled: capacity % 3 == 0);
                }

                Assert.False(database.Db.Engine.State.HasFailed, $"capacity {capacity}: {database.Db.Engine.State.Cause}");
                fulls += database.Db.Metrics.IsDiskFull ? 1 : 0;
                disk.CapacityBytes = 32 << 20;
                database.Maintain();
                Assert.True(Put(database, "last"));
                acknowledged.Add("last");
                database.NowAndAfterReopening(() => Assert.Equal(
                    acknowledged.Order(StringComparer.Ordinal), database.Kv.List(new ScanOptions { Limit = 1_000 })));
            }
        }

        Assert.True(fulls > 20, "the disk was never full");
    }

    /// <summary>On a disk that is full at whichever byte, checkpoints and a compaction work from the reserve: they give up log that nobody
    /// needs, and writes resume without anybody making room.</summary>
    [Fact]
    [Trait("Gate", "Merge")]
    [Trait("Requirement", "CNT-2")]
    public void C10_DUR9_On_a_full_disk_checkpoints_and_a_compaction_make_room_from_the_reserve()
    {
        const int keys = 20;
        var resumed = 0;
        for (var capacity = 2L << 20; capacity < 4 << 20; capacity += 131_072 - 12_345)
        {
            var disk = new MemoryStorage(capacity);
            using var database = new TestDatabase(Durability.Strict, Churned, disk);
            var last = Churn(database, keys);
            Assert.True(database.Db.Metrics.IsDiskFull);
            Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
            for (var i = 0; i < 4; i++)
            {
                Assert.True(database.Kv.Delete($"k{i}"), $"capacity {capacity}");
                last.Remove($"k{i}");
            }

            database.Checkpoint();
            Assert.True(database.Kv.Delete("k4"), $"capacity {capacity}");
            last.Remove("k4");
            database.Checkpoint();
            var report = database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(report.SegmentsDropped > 0, $"capacity {capacity}: {report}");
            database.Maintain();
            Assert.False(database.Db.Engine.State.HasFailed);
            Assert.False(database.Db.Metrics.IsDiskFull, $"capacity {capacity}: {disk.FreeSpace()} bytes are free");
            database.Kv.Put("after", 1);
            database.Kv.Delete("after");
            resumed++;
            database.NowAndAfterReopening(() => AssertHas(database, last, $"capacity {capacity}"));
            Assert.Empty(database.Db.VerifyDeep().Findings);
        }

        Assert.InRange(resumed, 10, 100);
    }

    /// <summary>Whichever allocation of a checkpoint or a compaction is the first without room; none finds any from then on.</summary>
    [Fact]
    [Trait("Gate", "Merge")]
    [Trait("Requirement", "CKP-5")]
    [Trait("Requirement", "CNT-10")]
    public void C10_DUR9_A_full_disk_at_any_step_of_a_checkpoint_or_a_compaction_is_told_and_loses_nothing()
    {
        const int keys = 20;
        var fulls = 0;
        for (var nth = 1;; nth++)
        {
            using var disk = new MemoryStorage(16 << 20);
            var storage = new FillingStorage(disk);
            using var database = new TestDatabase(Durability.Strict, options => Churned(options) with { Retention = null }, storage);
            var kept = database.OtherRun();
            kept.Retention.Apply(Retention.KeepAll);
            database.Run.Retention.Apply(Retention.KeepLast(1));
            var last = new Dictionary<string, byte>();
            for (var i = 0; i < 150; i++)
            {
                Overwrite(database, last, i, keys);
                if (i % 10 == 0)
                    kept.Kv.Put("k", i);
            }

            database.Checkpoint();
            for (var i = 150; i < 200; i++)
                Overwrite(database, last, i, keys);
            database.Maintain();
            storage.FullAfter(nth);
            Exception?[] told =
            [
                Record.Exception(() => database.Checkpoint()),
                Record.Exception(() => database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken)),
            ];
            var struck = storage.IsFull;
            Assert.All(told, failure => Assert.True(
                failure is null or BusyException { Code: ErrorCode.DiskFull }, $"allocation {nth}: {failure}"));
            Assert.False(database.Db.Engine.State.HasFailed, $"allocation {nth}: {database.Db.Engine.State.Cause}");
            AssertHas(database, last, $"allocation {nth}");
            if (told.Any(failure => failure is not null))
                fulls++;

            disk.CapacityBytes = 64 << 20;
            database.Maintain();
            Overwrite(database, last, 200, keys);
            database.Checkpoint();
            database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(database.Db.Metrics.Archives > 0, $"allocation {nth}: nothing was given up");
            database.NowAndAfterReopening(() =>
            {
                AssertHas(database, last, $"allocation {nth}");
                Assert.Equal(
                    Enumerable.Range(0, 15).Reverse().Select(i => 10L * i),
                    database.OtherRun().Kv.History("k").Select(item => item.Value.AsInt64()));
            });
            if (!struck)
                break;
        }

        Assert.InRange(fulls, 5, 200);
    }

    /// <summary>Somebody else takes all the space that is left, before one of the calls that may need some.</summary>
    private sealed class FillingStorage(MemoryStorage disk) : StorageLayer(disk)
    {
        private int _left = int.MaxValue;

        internal bool IsFull { get; private set; }

        internal void FullAfter(int calls) => _left = calls;

        protected override void Before(StorageCall call, string path)
        {
            if ((call & StorageCall.Allocations) == 0 || IsFull || --_left > 0)
                return;
            IsFull = true;
            disk.CapacityBytes -= disk.FreeSpace();
        }
    }

    private static CairnOptions Churned(CairnOptions options) => options with
    {
        SegmentBytesMin = 32 << 10,
        SegmentBytesMax = 64 << 10,
        Retention = Retention.KeepLast(1),
        CheckpointOnClose = false,
        CheckpointLogBytes = 1L << 40,
        CompactionGarbageMin = 1 << 30,
    };

    // The same keys again and again, until the disk is full of what nobody needs.
    private static Dictionary<string, byte> Churn(TestDatabase database, int keys)
    {
        var last = new Dictionary<string, byte>();
        for (var i = 0; i < 10_000; i++)
        {
            if (!Try(() => Overwrite(database, last, i, keys)))
                return last;
            if (i % 5 == 0)
                database.Maintain();
        }

        throw new InvalidOperationException("the disk does not fill up");
    }

    private static void Overwrite(TestDatabase database, Dictionary<string, byte> last, int i, int keys)
    {
        var value = new byte[1_500];
        value[0] = (byte)i;
        database.Kv.Put($"k{i % keys}", value.AsSpan());
        last[$"k{i % keys}"] = (byte)i;
    }

    private static void AssertHas(TestDatabase database, Dictionary<string, byte> last, string when)
    {
        Assert.True(database.Kv.Count() == last.Count, $"{when}: {database.Kv.Count()} keys, not {last.Count}");
        foreach (var (key, value) in last)
            Assert.True(database.Kv.Get(key)?.AsBytes().Span[0] == value, $"{when}: {key}");
    }

    [Fact]
    [Trait("Gate", "Merge")]
    public void C10_DUR9_On_a_file_system_of_four_MiB_the_database_waits_for_space_and_goes_on()
    {
        var output = OnSmallDisk("4m", "exec \"$@\"", "full", "$0");
        Assert.Equal(
            [
                "refused DiskFull", "reads all", "deleted 50", "refused DiskFull", "health Degraded", "space", "resumed", "closed",
                "reopened clean True", "reads all", "health Healthy",
            ],
            output);
    }

    // Opened with the options of the shell: segments of 1 MiB and a reserve of 4.
    [Fact]
    [Trait("Gate", "Merge")]
    public void C10_DUR9_In_the_shell_a_full_disk_is_exit_code_5_with_what_to_do_and_reads_and_deletions_work()
    {
        const string script = """
            cairn() { dotnet "$CLI" --db "$0/db" "$@" 2>&1; echo "exit $?"; }
            cairn kv put a 1
            cairn kv put c 1
            dd if=/dev/zero of="$0/ballast" bs=64k >/dev/null 2>&1
            cairn kv put b 2
            cairn kv get a
            cairn kv delete c
            rm "$0/ballast"
            cairn kv put b 2
            cairn kv list
            """;
        var output = OnSmallDisk("24m", script);
        var exits = output.Where(line => line.StartsWith("exit ", StringComparison.Ordinal)).Select(line => line[5..]);
        Assert.True(exits.SequenceEqual(["0", "0", "5", "0", "0", "0", "0"]), string.Join('\n', output));
        Assert.Contains(output, line => line.Contains("Free space where the database lies", StringComparison.Ordinal));
        Assert.Equal(["a", "b"], output.SkipLast(1).TakeLast(2));
    }

    private static List<string> OnSmallDisk(string size, string script, params string[] verb)
    {
        Crasher.SkipWithout("unshare");
        Assert.SkipUnless(Environment.UserName == "root", "mounting needs root");
        using var directory = new TemporaryDirectory();
        var tool = Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll");
        var mounted = $"mount -t tmpfs -o size={size} none \"$0\" || exit 77\nCLI=\"{tool}\"\n{script}";
        var arguments = verb.Select(argument => argument == "$0" ? directory.Path : argument);
        using var process = Crasher.StartBehind("unshare", ["--mount", "sh", "-c", mounted, directory.Path], [.. arguments]);
        var (exitCode, output) = process.RunToEnd();
        Assert.SkipWhen(exitCode == 77, "this machine mounts nothing: " + output);
        Assert.True(exitCode == 0, output);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
    }

    private static Sequence Once(Run run, Action<Transaction> body)
    {
        using var transaction = run.BeginTransaction();
        body(transaction);
        return transaction.Commit();
    }

    private static BusyException FillUp(TestDatabase database, out long count)
    {
        for (count = 0; count < 10_000; count++)
        {
            try
            {
                database.Kv.Put($"k{count}", new byte[2_000].AsSpan());
            }
            catch (BusyException full)
            {
                count = database.Kv.Count();
                return full;
            }

            if (count % 5 == 0)
                database.Maintain();
        }

        throw new InvalidOperationException("the disk does not fill up");
    }

    private static bool Put(TestDatabase database, string key) => Try(() => database.Kv.Put(key, new byte[1_500].AsSpan()));

    private static bool Delete(TestDatabase database, string key) => Try(() => Assert.True(database.Kv.Delete(key)));

    private static bool Try(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (BusyException full)
        {
            Assert.Equal(ErrorCode.DiskFull, full.Code);
            return false;
        }
    }
}
