using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>A database in one of the three modes over a disk that can lose power, with a clock and maintenance driven by hand.</summary>
public sealed class RunWorld : IDisposable
{
    private readonly CairnOptions _options;
    private CrashStorage _disk = new();

    public RunWorld(Durability mode, Limits? limits = null)
    {
        _options = new CairnOptions
        {
            Durability = mode,
            TimeProvider = Clock,
            RandomSeed = 4711,
            Limits = limits ?? new Limits(),
            SegmentBytesMin = 16 << 10,
        };
        Db = Open();
    }

    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    public static TheoryData<Durability> DurableModes => [Durability.Buffered, Durability.Strict];

    public CairnDatabase Db { get; private set; }

    public ManualClock Clock { get; } = new();

    public void CloseAndReopen()
    {
        Db.Dispose();
        Db = Open();
    }

    /// <summary>The process is killed: what was written stays, nothing is closed.</summary>
    public void CrashAndReopen()
    {
        _disk = _disk.Crash(CrashPattern.All);
        Db = Open();
    }

    public void Dispose()
    {
        Db.Dispose();
        _disk.Dispose();
    }

    private CairnDatabase Open() => _options.Durability == Durability.InMemory
        ? CairnDatabase.OpenInMemory(_options, new EngineHooks { IsMaintenanceManual = true })
        : CairnDatabase.Open(_disk, _options, new EngineHooks { IsMaintenanceManual = true });
}

/// <summary>Time that moves when told to.</summary>
public sealed class ManualClock : TimeProvider
{
    private long _ticks = new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero).UtcTicks;

    public DateTimeOffset Now => GetUtcNow();

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);

    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    public void Advance(TimeSpan time) => Interlocked.Add(ref _ticks, time.Ticks);
}
