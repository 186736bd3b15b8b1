using System.Globalization;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;

namespace Cairn.Tests.Crash;

using Slot = EngineSubject.Slot;

/// <summary>
/// Everything that a reopened database shows through its public door, over all primitives and runs, as address and text: what
/// crash tests compare with the model's world of the same sequence (<see cref="Of"/>).
/// </summary>
/// <remarks>The power fails in the middle of one operation, so at most one run and the traces of one commit can be there whose ids
/// nobody was told. The first gets the number that the model gave to it, the others the ordinals that come next.</remarks>
internal sealed class RecoveredWorld
{
    private readonly IReadOnlyDictionary<int, Slot> _slots;
    private readonly Dictionary<RunId, int> _numbers = [];

    private RecoveredWorld(IReadOnlyDictionary<int, Slot> slots) => _slots = slots;

    internal SortedDictionary<string, string> Items { get; } = new(StringComparer.Ordinal);

    /// <summary>The runs that are there.</summary>
    internal Dictionary<int, RunId> Runs { get; } = [];

    /// <summary>Their traces, by ordinal.</summary>
    internal Dictionary<int, List<TraceId>> Traces { get; } = [];

    /// <summary>Reads a database.</summary>
    /// <param name="db">Just opened.</param>
    /// <param name="slots">Ids that were known before the crash.</param>
    /// <param name="world">What must be there; only asked for the number of a run that nobody was told of.</param>
    /// <param name="version">The model's sequence of a commit.</param>
    internal static RecoveredWorld Read(
        CairnDatabase db, IReadOnlyDictionary<int, Slot> slots, World world, Func<Sequence, Plain> version)
    {
        var read = new RecoveredWorld(slots);
        foreach (var (number, slot) in slots)
            read._numbers[slot.Id] = number;
        var all = EngineSubject.All(cursor => db.Runs.List(new RunFilter { Limit = 100, Cursor = cursor }));
        var untold = world.Runs.Keys.Where(number => !slots.ContainsKey(number)).ToList();
        foreach (var info in all.Where(info => !read._numbers.ContainsKey(info.Id)))
        {
            if (untold.Count == 1 && read._numbers.TryAdd(info.Id, untold[0]))
                continue;
            read.Items.Add($"run {info.Id}", "which nobody began");
        }

        foreach (var id in all.Select(info => info.Id).Append(RunId.Default).Where(read._numbers.ContainsKey))
            read.Add(db.Runs.Get(id)!, read._numbers[id], version);
        return read;
    }

    private void Add(Run run, int number, Func<Sequence, Plain> version)
    {
        Runs.Add(number, run.Id);
        var at = number.ToString(CultureInfo.InvariantCulture);
        var info = run.Info;
        Items[$"{at}/run"] = Show(
            info.Status.ToString(), info.Name, info.Parent is { } up ? _numbers.GetValueOrDefault(up, -1) : null, info.Tags,
            EngineSubject.ToPlain(info.Metadata));
        foreach (var (key, found) in EngineSubject.All(cursor => run.Kv.Scan(new ScanOptions { Limit = 100, Cursor = cursor })))
            Items[$"{at}/kv/{key}"] = $"{EngineSubject.ToPlain(found.Value)} @{version(found.Version)} {Expiry(found.Expiry)}";
        foreach (var (name, cell) in EngineSubject.All(cursor => run.State.Scan(new ScanOptions { Limit = 100, Cursor = cursor })))
            Items[$"{at}/state/{name}"] = $"{Holder(cell.Value)} #{cell.Counter.Value} {Expiry(cell.Expiry)}";
        foreach (var (id, document) in EngineSubject.All(cursor => run.Json.Scan(new ScanOptions { Limit = 100, Cursor = cursor })))
            Items[$"{at}/json/{id}"] = EngineSubject.ToPlain(document).ToString();
        var vectors = run.Vectors[EngineSubject.Vectors];
        foreach (var key in EngineSubject.All(cursor => vectors.Keys(new ScanOptions { Limit = 100, Cursor = cursor })))
            Items[$"{at}/vectors/{key}"] = EngineSubject.OfVector(vectors.Get(key)!).ToString();
        AddEvents(run.Events, at);
        AddTraces(run.Traces, number, at);
    }

    /// <summary>A lease is shown as what it is; the model knows it as the name of its holder.</summary>
    internal static Plain Holder(Value value) =>
        EngineSubject.ToPlain(value) is { Members: { Count: 1 } members } && members.TryGetValue("$lease", out var holder)
            ? holder : EngineSubject.ToPlain(value);

    private void AddEvents(Events events, string at)
    {
        var there = EngineSubject.All(
            cursor => events.Range(events.Floor().Number, ulong.MaxValue, new EventScanOptions { Limit = 100, Cursor = cursor }));
        foreach (var e in there)
            Items[$"{at}/events/{e.Number.Value}"] = $"{e.Type} {(e.IsRedacted ? "redacted" : EngineSubject.ToPlain(e.Payload.Value))}";
        var verified = events.Verify();
        Items[$"{at}/chain"] = $"{verified.IsValid} {verified.Length}";
        foreach (var consumer in events.Consumers.List())
            Items[$"{at}/consumers/{consumer.Name}"] = consumer.Position.Value.ToString(CultureInfo.InvariantCulture);
    }

    private void AddTraces(Traces traces, int number, string at)
    {
        var there = EngineSubject.All(cursor => traces.List(new TracePage { Limit = 100, Cursor = cursor }));
        var ids = there.ConvertAll(trace => trace.Id).ToHashSet();
        // Told and lost: behind those that are there, because a prefix came back.
        var ordinals = _slots.GetValueOrDefault(number)?.Traces.TakeWhile(ids.Contains).ToList() ?? [];
        ordinals.AddRange(there.Select(trace => trace.Id).Except(ordinals));
        Traces.Add(number, ordinals);
        foreach (var trace in there)
        {
            Items[$"{at}/traces/{ordinals.IndexOf(trace.Id)}"] = Show(
                trace.Type.ToString(), trace.Parent is { } up ? ordinals.IndexOf(up) : null, EngineSubject.Microseconds(trace.Timestamp),
                trace.Tags, EngineSubject.FieldsOf(trace.Step!));
        }
    }

    /// <summary>The same of a world of the model, as it shows itself when the clock says <paramref name="now"/>.</summary>
    internal static SortedDictionary<string, string> Of(World world, long now)
    {
        var live = Math.Max(now, world.LastCommitTime);
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (number, run) in world.Runs)
        {
            var at = number.ToString(CultureInfo.InvariantCulture);
            all[$"{at}/run"] = Show(run.Status.ToString(), run.Name, run.Parent, run.Tags, run.Metadata);
            foreach (var (key, e) in run.Kv.Where(pair => !(pair.Value.Expiry <= live)))
                all[$"{at}/kv/{key}"] = $"{e.Value} @{(Plain)e.Version} {e.Expiry}";
            foreach (var (name, cell) in run.Cells.Where(pair => pair.Value.Value is not null && !(pair.Value.Expiry <= live)))
                all[$"{at}/state/{name}"] = $"{cell.Value} #{cell.Counter} {cell.Expiry}";
            foreach (var (id, document) in run.Documents)
                all[$"{at}/json/{id}"] = document.ToString();
            foreach (var (key, vector) in run.Vectors)
                all[$"{at}/vectors/{key}"] = Plain.Array(vector.Number, vector.Tag).ToString();
            foreach (var e in run.KeptEvents)
                all[$"{at}/events/{e.Number}"] = $"{e.Type} {(e.Payload is { } payload ? payload : "redacted")}";
            all[$"{at}/chain"] = $"{true} {run.KeptEvents.Count()}";
            foreach (var (name, position) in run.Consumers)
                all[$"{at}/consumers/{name}"] = position.ToString(CultureInfo.InvariantCulture);
            foreach (var t in run.Traces)
                all[$"{at}/traces/{t.Ordinal}"] = Show(t.Kind.ToString(), t.Parent, t.Timestamp, t.Tags, t.Fields);
        }

        return all;
    }

    /// <summary>Where the two differ, a few lines; empty when they do not.</summary>
    internal string Differences(IReadOnlyDictionary<string, string> expected) => string.Join(
        "; ", Items.Keys.Union(expected.Keys)
            .Where(address => Items.GetValueOrDefault(address) != expected.GetValueOrDefault(address)).Take(5)
            .Select(address => $"{address} is {Show(Items, address)}, must be {Show(expected, address)}"));

    private static string Show(IReadOnlyDictionary<string, string> items, string address) => items.GetValueOrDefault(address) ?? "absent";

    private static string Show(string status, string? name, int? parent, IEnumerable<string> tags, Plain metadata) =>
        $"{status} {name} under {parent} [{string.Join(' ', tags.Order(Utf8Order.Instance))}] {metadata}";

    private static string Show(string kind, long? parent, long time, IEnumerable<string> tags, Plain fields) =>
        $"{kind} under {parent} at {time} [{string.Join(' ', tags)}] {fields}";

    private static string Expiry(DateTimeOffset? time) =>
        time is { } at ? EngineSubject.Microseconds(at).ToString(CultureInfo.InvariantCulture) : "";
}
