using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>A database in one of the three modes; the two with a log lie in a <see cref="MemoryStorage"/>, so that they can be opened
/// again. The clock is a <see cref="FakeClock"/>, maintenance is driven by hand.</summary>
internal sealed class ModeDatabase : IDisposable
{
    private readonly MemoryStorage _storage = new();
    private readonly CairnOptions _options;

    internal ModeDatabase(Durability mode, CairnOptions? options = null)
    {
        _options = (options ?? new CairnOptions()) with { Durability = mode, TimeProvider = Clock };
        if (mode == Durability.Buffered)
            _options = _options with { ContentThreshold = 64, ContentMemoryBytes = 2 << 10 };   // no test may notice
        Db = Open();
    }

    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    internal IStorage Storage => _storage;

    internal FakeClock Clock { get; } = new();

    internal CairnDatabase Db { get; private set; }

    internal Run Run => Db.Default;

    /// <summary>Closes and opens it; nothing in memory, which has nothing to open again.</summary>
    internal void Reopen()
    {
        if (_options.Durability == Durability.InMemory)
            return;
        Db.Dispose();
        Db = Open();
    }

    /// <summary>As if the run had been completed.</summary>
    internal void CloseRun()
    {
        Db.Engine.Catalogue.Default.Status = RunStatus.Completed;
        Db.Engine.Feed.PulseAll();
    }

    /// <summary>Runs the same on several threads and passes on what they throw.</summary>
    internal static void OnThreads(int count, Action<int> body)
    {
        var failures = new List<Exception>();
        var threads = Enumerable.Range(0, count).Select(index => new Thread(() =>
        {
            try
            {
                body(index);
            }
            catch (Exception failure)
            {
                lock (failures)
                    failures.Add(failure);
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Empty(failures);
    }

    public void Dispose()
    {
        Db.Dispose();
        _storage.Dispose();
    }

    private CairnDatabase Open()
    {
        var hooks = EngineHooks.None with { IsMaintenanceManual = true };
        return _options.Durability == Durability.InMemory
            ? CairnDatabase.OpenInMemory(_options, hooks)
            : CairnDatabase.Open(_storage, _options, hooks);
    }
}
