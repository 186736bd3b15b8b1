using System.Globalization;

namespace Cairn.Bench;

/// <summary>A Cairn database whose entries of all kinds are spread over runs, through the public door, Buffered and
/// synced by time alone, as peers are. Opening it again finds its runs by name, at first use.</summary>
internal sealed class MixedSubject : IDisposable
{
    private const string EventType = "observation";

    private readonly CairnDatabase _db;
    private readonly Run?[] _runs;

    internal MixedSubject(string directory, int runs)
    {
        _db = CairnDatabase.Open(directory, DirectorySubject.Buffered with { SyncCommits = 1_000_000 });
        _runs = new Run?[runs];
    }

    /// <summary>The key of an entry for peers, which have no runs.</summary>
    internal static string PeerKey(int number) =>
        string.Create(CultureInfo.InvariantCulture, $"{number % 1_000:000}:item:{number:0000000000}");

    internal void Put(int number, ReadOnlySpan<byte> value) => RunOf(number).Kv.Put(Name(number), value);

    internal void Append(int number, ReadOnlySpan<byte> value) =>
        RunOf(number).Events.Append(EventType, Value.Object(("body", Value.Bytes(value))));

    internal void Record(int number, ReadOnlySpan<byte> value) =>
        RunOf(number).Traces.Record(new CustomStep("step", Value.Bytes(value)));

    internal void Set(int number, ReadOnlySpan<byte> value) => RunOf(number).State.Set(Name(number), Value.Bytes(value));

    internal bool TryGet(int number, Span<byte> destination) => RunOf(number).Kv.TryGet(Name(number), destination, out _);

    /// <summary>Over all runs.</summary>
    internal (long Keys, long Events, long Traces, long Cells) Count()
    {
        var (keys, events, traces, cells) = (0L, 0L, 0L, 0L);
        for (var i = 0; i < _runs.Length; i++)
        {
            var run = RunOf(i);
            keys += run.Kv.Count();
            events += run.Events.Count();
            traces += run.Traces.Count();
            cells += run.State.Count();
        }

        return (keys, events, traces, cells);
    }

    public void Dispose() => _db.Dispose();

    private Run RunOf(int number)
    {
        // A run's share of every kind is the same: numbers go to the runs in cycles that the length of a mix does not divide.
        var at = (number + number / _runs.Length) % _runs.Length;
        return _runs[at] ??= Find(DirectorySubject.RunName(at));
    }

    private Run Find(string name) => _db.Runs.TryGet(name, out var found) ? found : _db.Runs.Begin(name);

    private static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"item:{number:0000000000}");
}
