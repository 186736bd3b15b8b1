using Cairn.Maintenance;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>MNT-11: what never changes is read within its period, at no more than its rate, and what rots is told.</summary>
[Trait("Requirement", "MNT-11")]
public sealed class ScrubTests : IDisposable
{
    private readonly MemoryStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    [Fact]
    public void MNT_11_Every_flipped_byte_of_an_ended_segment_is_found_with_its_file_and_place()
    {
        using var database = Make();
        Fill(database, 30);
        var segment = database.Db.Engine.Maintainer!.Jobs.OfType<ScrubJob>().Single();
        var file = SegmentFiles()[0];
        foreach (var offset in (long[])[0, 100, 4095, 4096 + 20, 4096 + 3_000, 20_000])
        {
            Flip(file, offset);
            Pass(database, TimeSpan.FromDays(7));
            var part = Part(database);
            Assert.True(part.Status == HealthStatus.Failed, $"a flip at {offset} was not found");
            Assert.StartsWith(file, part.Reason, StringComparison.Ordinal);
            Assert.Contains("sequences 1 to ", part.Reason, StringComparison.Ordinal);
            Assert.Equal((1, 1), (segment.Damaged, database.Db.Metrics.DamagedFiles));
            if (offset > 4096)
                Assert.InRange(OffsetIn(part.Reason), offset - 4_096, offset);
            Assert.Equal(30, database.Kv.Count());
            Flip(file, offset);
            Pass(database, TimeSpan.FromDays(7));
            Assert.Equal((HealthStatus.Healthy, 0), (Part(database).Status, database.Db.Metrics.DamagedFiles));
        }
    }

    [Fact]
    public void MNT_11_A_file_that_is_short_or_gone_though_it_is_named_is_damaged()
    {
        using var database = Make();
        Fill(database, 60);
        var files = SegmentFiles();
        using (var file = _storage.Open(files[0], writable: true))
            file.SetLength(5_000);
        _storage.Unlink(files[1]);
        Pass(database, TimeSpan.FromDays(7));
        Assert.Equal(2, database.Db.Metrics.DamagedFiles);
        Assert.Contains("bytes", Part(database).Reason, StringComparison.Ordinal);
        database.Maintain();
        Assert.Equal(2, Events(database).Count(told => told.Type == "warning" && Text(told, "what") == "damaged file"));
    }

    [Fact]
    public void MNT_11_A_round_takes_less_than_half_the_period_and_never_more_than_the_rate()
    {
        using var database = Make(new MaintenanceOptions { ScrubBytesPerSecond = 64 << 10, ScrubPeriod = TimeSpan.FromMinutes(10) });
        Fill(database, 600);
        var job = database.Db.Engine.Maintainer!.Jobs.OfType<ScrubJob>().Single();
        database.Clock.Advance(TimeSpan.FromMinutes(1));
        var total = ((Cairn.Log.SegmentedLog)database.Db.Engine.Path.Log.Device!).ImmutableFiles().Sum(file => file.Bytes);
        var before = 0L;
        for (var second = 0; second < 270; second++)
        {
            job.Step();
            Assert.InRange(job.Items - before, 0, ScrubJob.PieceBytes);
            if (job.Items > before)
                Assert.True(job.DueIn >= TimeSpan.FromSeconds(3.99));
            before = job.Items;
            database.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.InRange(job.Items, total, 2 * total);
    }

    [Fact]
    public void MNT_11_A_reading_that_fails_is_tried_again_where_it_was()
    {
        var isOn = false;
        using var database = Make(storage: new LatencyStorage(_storage, (call, path) =>
        {
            if (isOn && call == StorageCall.Read && path == "log/0000000001.segment")
                throw new InsufficientMemoryException();
        }));
        Fill(database, 30);
        var job = database.Db.Engine.Maintainer!.Jobs.OfType<ScrubJob>().Single();
        isOn = true;
        database.Clock.Advance(TimeSpan.FromMinutes(1));
        database.Maintain();
        Assert.IsType<InsufficientMemoryException>(job.LastError);
        isOn = false;
        Pass(database, TimeSpan.FromDays(7));
        Assert.Null(job.LastError);
        Assert.Equal(HealthStatus.Healthy, Part(database).Status);
        Assert.True(job.Items > 0);
    }

    private TestDatabase Make(MaintenanceOptions? maintenance = null, IStorage? storage = null) => new(
        Durability.Buffered,
        options => options with { SystemEvents = true, Maintenance = maintenance ?? new MaintenanceOptions() },
        storage ?? _storage);

    private static void Fill(TestDatabase database, int count)
    {
        for (var i = 0; i < count; i++)
            database.Kv.Put($"k{i:000}", new byte[2_000].AsSpan());
    }

    // In steps of ten minutes, as the lane would come round.
    private static void Pass(TestDatabase database, TimeSpan time)
    {
        for (var passed = TimeSpan.Zero; passed < time; passed += TimeSpan.FromMinutes(30))
        {
            database.Clock.Advance(TimeSpan.FromMinutes(30));
            database.Maintain();
        }
    }

    // Those that have ended: all but the last.
    private List<string> SegmentFiles() =>
    [
        .. _storage.List("log").Where(name => name.EndsWith(".segment", StringComparison.Ordinal)).Order().SkipLast(1)
            .Select(name => "log/" + name),
    ];

    private void Flip(string path, long offset)
    {
        using var file = _storage.Open(path, writable: true);
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }

    private static HealthPart Part(TestDatabase database) => database.Db.Health.Parts.Single(part => part.Name == "scrub");

    private static long OffsetIn(string reason) =>
        long.Parse(reason.Split("at offset ")[1].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);

    private static string? Text(EventRecord told, string name) => told.Payload?[name].AsString();

    private static List<EventRecord> Events(TestDatabase database) => [.. database.Db.Runs.Get("$sys")!.Events.Since(default)];
}
