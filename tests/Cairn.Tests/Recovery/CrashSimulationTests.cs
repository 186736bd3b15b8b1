using System.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>A writer's script on a machine that loses power at a random operation, again and again, also inside recovery (C3). After
/// each: an exact prefix of what was issued, nothing acknowledged missing.</summary>
[Trait("Gate", "Merge")]
public class CrashSimulationTests
{
    /// <summary>Lives of a database per test at a merge; four power cuts each.</summary>
    private const int Lives = 600;

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R2")]
    [Trait("Requirement", "RCV-R3")]
    [Trait("Requirement", "RCV-R5")]
    [Trait("Kind", "Random")]
    public void A_power_cut_anywhere_leaves_an_exact_prefix_with_everything_acknowledged()
    {
        var began = Stopwatch.GetTimestamp();
        var seed = Seeds.Begin(nameof(RunLifetime));
        var crashes = 0;
        for (var i = 0ul; i < (ulong)Seeds.Scaled(Lives); i++)
            crashes += Run(seed + i, RunLifetime);
        Print("power cuts", crashes, began, seed);
        Assert.True(crashes >= 2000, $"only {crashes} crashes");
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G7")]
    [Trait("Kind", "Random")]
    public void What_was_recovered_after_a_failed_sync_survives_the_next_power_cut()
    {
        var began = Stopwatch.GetTimestamp();
        var seed = Seeds.Begin(nameof(RunWithLyingCache));
        var crashes = 0;
        for (var i = 0ul; i < (ulong)Seeds.Scaled(Lives); i++)
            crashes += Run(seed + i, RunWithLyingCache);
        Print("failed syncs", crashes, began, seed);
    }

    [Fact]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R1")]
    public void Two_recoveries_of_one_image_agree_and_leave_equal_directories()
    {
        for (var seed = 1ul; seed <= 200; seed++)
        {
            var storage = new CrashStorage { PowerFailsAt = 60 + (long)seed };
            using (var script = new LogScript(storage, seed))
                RunUntilPowerFails(script);
            var pattern = CrashPattern.Random(seed);
            var (first, second) = (storage.Crash(pattern), storage.Crash(pattern));
            Assert.Equal(first.Hash(), second.Hash());
            Assert.Equal(Recover(first, seed), Recover(second, seed));
            Assert.Equal(first.Crash(CrashPattern.None).Hash(), second.Crash(CrashPattern.None).Hash());
        }
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R3")]
    public void Every_image_of_every_moment_of_a_short_script_recovers()
    {
        var began = Stopwatch.GetTimestamp();
        var storage = new CrashStorage();
        var seen = new HashSet<UInt128>();
        var images = 0;
        using var script = new LogScript(storage, 3);
        storage.AtEachOperation = () =>
        {
            foreach (var image in storage.Images((ulong)storage.Operations, seen, randomCount: 8))
            {
                images++;
                using var check = new LogScript(image.Storage, 4, trace: [.. script.Trace]) { Acknowledged = script.Acknowledged };
                try
                {
                    check.Open();
                }
                catch (Exception bug) when (bug is CairnException or LostException)
                {
                    throw new InvalidOperationException($"operation {storage.Operations}, {image.Pattern}: {bug.Message}", bug);
                }
            }
        };
        script.Open();
        script.Commit(30);
        script.Sync();
        script.Commit(900);
        script.Write();
        script.Commit(10);
        script.Rotate();
        script.Commit(10);
        script.Sync();
        script.Close();
        storage.AtEachOperation = null;
        Print("images", images, began);
        Assert.True(images > 100, $"only {images} images");
    }

    [Fact(Explicit = true)]
    public void Replay_of_a_million_small_commits_beside_bare_reading()
    {
        const int commits = 1_000_000;
        var storage = new MemoryStorage();
        using (var script = new LogScript(storage, 1, LogScript.Options(1, 1 << 20, 64 << 20)))
        {
            script.Open();
            for (var i = 0; i < commits; i++)
            {
                script.Commit(Payloads.Transaction(i, [], Payloads.Part(RunId.Default, RunPart.NoPrevious, Payloads.Operation(0x10, BitConverter.GetBytes((ulong)(i % 100_000)), BitConverter.GetBytes((ulong)i)))));
                if (i % 1000 == 0)
                    script.Sync();
            }

            script.Close();
        }

        for (var round = 0; round < 3; round++)
        {
            var bare = Bare(storage, out var bareCount);
            var began = Stopwatch.GetTimestamp();
            var before = GC.GetAllocatedBytesForCurrentThread();
            var state = new Dictionary<ulong, ulong>();
            var recovered = Cairn.Recovery.Recovery.Open(storage, LogScript.Options(2) with { IsReadOnly = true }, (in header, payload, _) =>
            {
                if (header.Type == RecordType.Transaction)
                    Put(state, payload);
            });
            var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            Assert.Equal(bareCount, state.Count);
            TestContext.Current.TestOutputHelper?.WriteLine(
                $"replay {commits / seconds / 1e6:F2} M/s, bare {commits / bare / 1e6:F2} M/s, ratio {bare / seconds:F2}, allocated {(GC.GetAllocatedBytesForCurrentThread() - before) >> 10} KiB");
            recovered.Log.Dispose();
        }
    }

    /// <summary>Read in large pieces, check every payload, rebuild a dictionary; nothing else.</summary>
    private static double Bare(MemoryStorage storage, out int count)
    {
        var began = Stopwatch.GetTimestamp();
        var state = new Dictionary<ulong, ulong>();
        var buffer = new byte[64 << 20];
        foreach (var name in storage.List("log"))
        {
            using var file = storage.Open("log/" + name, writable: false);
            var bytes = buffer.AsSpan(0, file.ReadAt(buffer, 0));
            var salt = bytes.Slice(96, 16);
            for (var offset = 4096; offset + 40 <= bytes.Length && RecordHeader.TryRead(bytes[offset..], out var header); offset += (int)header.RecordLength)
            {
                var payload = bytes.Slice(offset + 40, (int)header.Length);
                Assert.True(RecordFrame.PayloadCheck(salt, payload) == header.PayloadCheck);
                if (header.Type == RecordType.Transaction)
                    Put(state, payload);
            }
        }

        count = state.Count;
        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static void Put(Dictionary<ulong, ulong> state, ReadOnlySpan<byte> payload) =>
        state[BitConverter.ToUInt64(payload[56..])] = BitConverter.ToUInt64(payload[64..]);

    private static string Recover(CrashStorage storage, ulong seed)
    {
        var seen = new List<byte[]>();
        var recovered = Cairn.Recovery.Recovery.Open(storage, LogScript.Options(seed), LogScript.Collect(seen));
        recovered.Log.Dispose();
        return $"{recovered.LastSequence} {recovered.NextPosition} {recovered.Chain} {recovered.Findings.Cut} {recovered.Findings.Floor}"
            + string.Concat(seen.Select(Convert.ToHexString));
    }

    private static int Run(ulong seed, Func<ulong, int> life)
    {
        try
        {
            return life(seed);
        }
        catch (Exception bug)
        {
            throw new InvalidOperationException($"seed={seed}: {bug.Message}", bug);
        }
    }

    /// <summary>Opens, writes and loses power until four crashes have happened; some strike inside recovery, up to three deep.</summary>
    private static int RunLifetime(ulong seed)
    {
        var chance = new Chance(seed);
        var storage = new CrashStorage();
        var trace = new List<byte[]>();
        var acknowledged = 0;
        var crashes = 0;
        for (; crashes < 4; crashes++)
        {
            var depth = chance.OneIn(3) ? chance.Below(30) : 30 + chance.Below(200);
            storage.PowerFailsAt = 1 + depth;
            using var script = new LogScript(storage, seed * 31 + (ulong)crashes, trace: trace) { Acknowledged = acknowledged };
            RunUntilPowerFails(script);
            acknowledged = script.Acknowledged;
            storage = storage.Crash(CrashPattern.Random(chance.Next()));
        }

        using var last = new LogScript(storage, seed, trace: trace) { Acknowledged = acknowledged };
        last.Open();
        var count = last.Trace.Count;
        last.Close();
        using var again = new LogScript(storage, seed + 1, trace: trace) { Acknowledged = count };
        again.Open();
        Assert.Equal(0, again.Recovered!.Findings.CopiedBytes);
        return crashes;
    }

    private static void RunUntilPowerFails(LogScript script)
    {
        try
        {
            script.Open();
            for (var i = 0; i < 400; i++)
                script.Step();
            script.Close();
        }
        catch (PowerLossException)
        {
        }
    }

    /// <summary>A sync fails, the process ends, the next one recovers from a cache that lies, and then the power goes.</summary>
    private static int RunWithLyingCache(ulong seed)
    {
        var chance = new Chance(seed);
        var storage = new CrashStorage { SyncFailsAt = 40 + chance.Below(100), SyncFailureSeed = chance.OneIn(2) ? seed : null };
        var trace = new List<byte[]>();
        int acknowledged;
        using (var script = new LogScript(storage, seed, trace: trace))
        {
            try
            {
                script.Open();
                while (true)
                    script.Step();
            }
            catch (StorageException)
            {
            }

            acknowledged = script.Acknowledged;
        }

        using var next = new LogScript(storage, seed + 1, trace: trace) { Acknowledged = acknowledged };
        next.Open();
        var shown = next.Acknowledged;
        using var last = new LogScript(storage.Crash(CrashPattern.Random(chance.Next())), seed + 2, trace: trace) { Acknowledged = shown };
        last.Open();
        return 1;
    }

    private static void Print(string what, int count, long began, ulong seed = 0)
    {
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        Ledger.Add("C3", what + " of the log", seed, count, Stopwatch.GetElapsedTime(began));
        TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {count}, {count / seconds:F0} per second");
    }
}
