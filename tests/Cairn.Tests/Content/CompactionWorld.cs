using Cairn.Content;
using Cairn.Log;
using Cairn.Maintenance;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>A database with small segments, what was ever written to it, and compaction driven by hand up to any segment.</summary>
internal sealed class CompactionWorld : IDisposable
{
    internal static readonly CompactionTrigger Always = new(0, 1);

    private readonly Dictionary<(RunId Run, string Key), List<Written>> _written = [];
    private ulong _bits = 1;

    internal CompactionWorld(Retention? policy = null, IStorage? storage = null)
    {
        Storage = storage ?? new MemoryStorage();
        Db = CairnDatabase.Open(
            Storage,
            new CairnOptions
            {
                Durability = Durability.Buffered,
                SegmentBytesMin = 16 << 10,
                SegmentBytesMax = 16 << 10,
                Retention = policy,
                RandomSeed = 1,
                TimeProvider = Clock,
            },
            new EngineHooks { IsMaintenanceManual = true });
    }

    internal IStorage Storage { get; }

    internal FakeClock Clock { get; } = new();

    internal CairnDatabase Db { get; }

    internal SegmentedLog Log => (SegmentedLog)Db.Engine.Path.Log.Device!;

    internal List<LogExtent> Contents { get; } = [];

    internal long RanksBytesMax { get; set; } = Cairn.Primitives.HistoryNeeds.RanksBytesMax;

    internal Run Run(string name, Retention? policy = null)
    {
        var run = Db.Runs.Get(name) ?? Db.Runs.Begin(name);
        if (policy is not null)
            run.Retention.Apply(policy);
        return run;
    }

    internal void Put(Run run, string key, string? value)
    {
        if (value is not null)
            run.Kv.Put(key, value);
        else if (!run.Kv.Delete(key))
            return;                                          // nothing was there, and nothing was written
        if (!_written.TryGetValue((run.Id, key), out var versions))
            _written.Add((run.Id, key), versions = []);
        versions.Add(new Written(Db.Sequence.Value, Db.Engine.Path.Log.LastTime, value));
    }

    /// <summary>Writes to a run of its own until so many segments have ended.</summary>
    internal void FillSegments(int count)
    {
        var filler = Run("filler", Retention.KeepLast(1));
        for (var wanted = Log.SegmentCount + count; Log.SegmentCount < wanted;)
            filler.Kv.Put("filler", new string('x', 2_000));
    }

    /// <summary>Compacts all segments but the open one, or the first of them.</summary>
    internal CompactionFigures Compact(int? segments = null, CompactionTrigger? trigger = null, bool onlyPlans = false)
    {
        var limit = Log.Manifest.Segments[Math.Min(segments ?? int.MaxValue, Log.Manifest.Segments.Count - 1)].BasePosition;
        var compaction = new LogCompaction(
            Db.Engine.Path, Db.Engine.Pins, Log, Storage, Db.Engine.Retention, () => _bits++,
            (from, to) => Contents.Where(extent => extent.Position >= from && extent.Position < to)) { RanksBytesMax = RanksBytesMax };
        foreach (var _ in compaction.Run(limit, trigger ?? Always, onlyPlans))
        {
        }

        return compaction.Figures;
    }

    /// <summary>Asks every question about a run that has an answer.</summary>
    /// <param name="mayBeTrimmed">Whether a question about this sequence and time may be refused.</param>
    internal int Check(Run run, IReadOnlyList<string> keys, Func<ulong, long, bool> mayBeTrimmed)
    {
        var refused = 0;
        foreach (var key in keys)
        {
            var versions = _written.TryGetValue((run.Id, key), out var written) ? written : [];
            foreach (var (sequence, time) in _moments)
            {
                var expected = versions.LastOrDefault(version => version.Sequence <= sequence)?.Value;
                refused += Ask(
                    () => run.Kv.GetAt(key, new Sequence(sequence))?.AsString(), expected, mayBeTrimmed(sequence, time),
                    $"{run.Name}/{key} at @{sequence}");
                var atTime = versions.LastOrDefault(version => version.Time <= time)?.Value;
                refused += Ask(
                    () => run.Kv.GetAt(key, DateTimeOffset.UnixEpoch.AddMicroseconds(time))?.AsString(), atTime,
                    mayBeTrimmed(sequence, time), $"{run.Name}/{key} at {time}");
            }

            CheckList(run, key, versions, mayBeTrimmed);
        }

        return refused;
    }

    private readonly List<(ulong Sequence, long Time)> _moments = [];

    /// <summary>Remembers this moment as one to ask about.</summary>
    internal void Remember() => _moments.Add((Db.Sequence.Value, Db.Engine.Path.Log.LastTime));

    // As many versions as are promised come back, in order; with more they are right, or refused.
    private static void CheckList(Run run, string key, List<Written> versions, Func<ulong, long, bool> mayBeTrimmed)
    {
        var expected = versions.AsEnumerable().Reverse().ToList();
        for (var count = 1; count <= expected.Count; count++)
        {
            try
            {
                var found = run.Kv.History(key, count);
                Assert.Equal(expected.Take(count).Select(version => version.Sequence), found.Select(item => item.Version.Value));
                Assert.Equal(
                    expected.Take(count).Select(version => version.Value),
                    found.Select(item => item.IsDeletion ? null : item.Value.AsString()));
            }
            catch (HistoryTrimmedException trimmed)
            {
                // Of each of them but the newest, the last moment at which it was valid is right before its successor.
                Assert.True(count > 1 || expected[0].Value is null, $"the newest version of {key} was refused");
                // A deletion that old is only promised to be nothing.
                var successor = expected[Math.Max(0, count - 2)];
                Assert.True(
                    mayBeTrimmed(successor.Sequence - 1, successor.Time - 1)
                    || expected.Take(count).Any(version => version.Value is null && mayBeTrimmed(version.Sequence, version.Time)),
                    $"{run.Name}/{key}: {count} versions were refused, from {trimmed.Earliest} on");
            }
        }
    }

    private static int Ask(Func<string?> question, string? expected, bool mayBeTrimmed, string what)
    {
        try
        {
            var answer = question();
            Assert.True(answer == expected, $"{what} is {answer ?? "absent"}, was {expected ?? "absent"}");
            return 0;
        }
        catch (HistoryTrimmedException trimmed)
        {
            Assert.True(mayBeTrimmed, $"{what} was refused: {trimmed.Message}");
            return 1;
        }
    }

    public void Dispose() => Db.Dispose();

    private sealed record Written(ulong Sequence, long Time, string? Value);
}
