using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// What entries cost while they lie there: memory per entry, and the pauses of the collector while they are updated at random,
/// each key formatted anew as a program would. Every measurement has a process of its own.
/// </summary>
internal sealed class FootprintPart(KvRun run)
{
    internal const string MemoryProbe = "memory";
    internal const string PauseProbe = "pause";
    private const int Million = 1_000_000;
    private const int PauseSeconds = 10;
    private const int MemoryRounds = 3;
    private const int PauseRounds = 3;
    private const int WarmUpKeys = 1000;
    private const int ValueBytes = 100;

    /// <summary>Cairn is the first and the dictionary the last.</summary>
    private static readonly PeerEntry[] Entries =
        [CairnSubject.Entry, StoreSubject.Entry, PeerCatalogue.ConcurrentDictionary];

    /// <summary>Too long, and too noisy when shortened, for a quick run.</summary>
    internal static IReadOnlyList<Gate> Gates { get; } =
        [KvGates.MemoryToDictionary, KvGates.PauseAtOneMillion, KvGates.PauseAtTenMillion];

    internal void Run()
    {
        Memory();
        Pauses(Million, PauseRounds, KvGates.PauseAtOneMillion);
        Pauses(10 * Million, 1, KvGates.PauseAtTenMillion);
    }

    /// <summary>In the child process.</summary>
    /// <param name="arguments">The probe, the peer's name, the number of keys, and for pauses the seconds.</param>
    internal static double[] Answer(ReadOnlySpan<string> arguments)
    {
        var (probe, name) = (arguments[0], arguments[1]);
        var keys = int.Parse(arguments[2], CultureInfo.InvariantCulture);
        var entry = Array.Find(Entries, entry => entry.Name == name)
            ?? throw new ArgumentException($"no peer {name}");
        return probe == MemoryProbe
            ? [BytesPerEntry(entry, keys)]
            : PausesOf(entry, keys, TimeSpan.FromSeconds(double.Parse(arguments[3], CultureInfo.InvariantCulture)));
    }

    private void Memory()
    {
        var perEntry = Array.ConvertAll(Entries, entry => Series.For(entry.Missing));
        for (var round = 0; round < MemoryRounds; round++)
        {
            for (var i = 0; i < Entries.Length; i++)
            {
                if (Entries[i].Missing is null)
                    perEntry[i].Add(Probe.Ask(MemoryProbe, Entries[i].Name, Text(Million))[0]);
            }
        }

        var size = KvRun.SizeOf(Million);
        for (var i = 0; i < Entries.Length; i++)
            run.Report.Add($"memory-per-entry {Entries[i].Name}", perEntry[i], "bytes", size);
        run.Report.Judge(KvGates.MemoryToDictionary, Series.Ratio(perEntry[0], perEntry[^1]), size);
    }

    private void Pauses(int keys, int rounds, Gate gate)
    {
        var worst = Array.ConvertAll(Entries, entry => Series.For(entry.Missing));
        var total = Array.ConvertAll(Entries, entry => Series.For(entry.Missing));
        var rate = Array.ConvertAll(Entries, entry => Series.For(entry.Missing));
        for (var round = 0; round < rounds; round++)
        {
            for (var i = 0; i < Entries.Length; i++)
            {
                if (Entries[i].Missing is not null)
                    continue;
                var answer = Probe.Ask(PauseProbe, Entries[i].Name, Text(keys), Text(PauseSeconds));
                worst[i].Add(answer[0]);
                total[i].Add(answer[1]);
                rate[i].Add(answer[2]);
            }
        }

        var size = string.Create(CultureInfo.InvariantCulture, $"keys={keys} seconds={PauseSeconds}");
        for (var i = 0; i < Entries.Length; i++)
        {
            run.Report.Add($"collector-pause-worst {Entries[i].Name}", worst[i], "ms", size);
            run.Report.Add($"collector-pause-total {Entries[i].Name}", total[i], "ms", size);
            run.Report.Add($"formatted-update {Entries[i].Name}", rate[i], "/s", size);
        }

        run.Report.Judge(gate, worst[0], size);
    }

    private static double BytesPerEntry(PeerEntry entry, int keys)
    {
        var value = new ChangingValue(ValueBytes);
        using (var warmUp = entry.Open(Durability.InMemory, "", WarmUpKeys))
        {
            for (var i = 0; i < WarmUpKeys; i++)
                warmUp.Put(Keys.At(i), value.Next());
        }

        var order = Order(keys);
        var before = ResidentMemory.BytesAfterCompaction();
        using var peer = entry.Open(Durability.InMemory, "", keys);
        foreach (var number in order)
            peer.Put(Keys.At(number), value.Next());
        var bytes = (ResidentMemory.BytesAfterCompaction() - before) / (double)keys;
        GC.KeepAlive(order);
        return bytes;
    }

    /// <summary>Worst pause and all pauses together in milliseconds, updates per second.</summary>
    private static double[] PausesOf(PeerEntry entry, int keys, TimeSpan time)
    {
        var value = new ChangingValue(ValueBytes);
        using var peer = entry.Open(Durability.InMemory, "", keys);
        foreach (var number in Order(keys))
            peer.Put(Keys.At(number), value.Next());
        KvRun.Settle();
        var random = new Random(5);
        var pauses = new CollectorPauses();
        var start = Stopwatch.GetTimestamp();
        long updates = 0;
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            peer.Put(Keys.At(random.Next(keys)), value.Next());
            pauses.Look();
            updates++;
        }

        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        pauses.Collect();
        return [pauses.Worst.TotalMilliseconds, pauses.Total.TotalMilliseconds, updates / seconds];
    }

    private static int[] Order(int keys)
    {
        var order = new int[keys];
        for (var i = 0; i < keys; i++)
            order[i] = i;
        new Random(1).Shuffle(order);
        return order;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
