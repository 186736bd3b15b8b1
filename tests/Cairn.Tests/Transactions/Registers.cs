using Cairn.Tests.Checkers;

namespace Cairn.Tests.Transactions;

// The judges of isolation know registers: a key that holds a text or is absent. Here each primitive keeps registers in its own way,
// so that one script asks the same question of all of them:
//
//   primitive   put                       get                                   what the engine takes the read for
//   Kv          Put                       Get                                   a key
//   State       Set or CompareAndSet      Get, with or without Require          a cell; what is required is an expectation as well
//   Events      Append, the key is the    the last event of the key, found      the end of the run's events (TX-16); by stream: the
//               type                      from the end, or by its stream        stream of one type
//   Traces      Record, the key is a tag  the newest trace with the tag         a range of places in an order of traces
//
// Events and traces are never changed, so there a put is an insertion, and a deletion is an insertion that says so.
internal abstract class Registers
{
    internal abstract string? Get(TransactionRun at, string key);

    internal abstract void Put(TransactionRun at, string key, string value);

    internal abstract void Delete(TransactionRun at, string key);

    /// <summary>In any order.</summary>
    internal abstract IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high);

    protected static bool IsBetween(string key, string low, string high) =>
        string.CompareOrdinal(low, key) <= 0 && string.CompareOrdinal(key, high) < 0;

    /// <summary>As a name of a type or a tag. The order of keys stays what it is.</summary>
    protected static string Name(string key) => key.Replace('/', '.');

    protected static Value Content(string key, string? value) =>
        value is null ? Value.Object(("key", key)) : Value.Object(("key", key), ("value", value));

    /// <summary>What a history of contents, oldest first, leaves in the registers.</summary>
    protected static IEnumerable<KeyValuePair<string, string>> Fold(IEnumerable<Value> contents)
    {
        var registers = new Dictionary<string, string>();
        foreach (var content in contents)
        {
            var key = content["key"].AsString();
            if (content.TryGetMember("value", out var value))
                registers[key] = value.AsString();
            else
                registers.Remove(key);
        }

        return registers;
    }
}

internal sealed class KvRegisters : Registers
{
    internal override string? Get(TransactionRun at, string key) => at.Kv.Get(key)?.AsString();

    internal override void Put(TransactionRun at, string key, string value) => at.Kv.Put(key, value);

    internal override void Delete(TransactionRun at, string key) => at.Kv.Delete(key);

    // In pages of changing size, so that ranges are also remembered as the pieces that limits cut.
    internal override IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high)
    {
        string? cursor = null;
        var count = 0;
        do
        {
            var page = at.Kv.Scan(new ScanOptions { From = low, To = high, Limit = count % 2 == 0 ? 3 : 100, Cursor = cursor });
            foreach (var (key, pair) in page)
                yield return KeyValuePair.Create(key, pair.Value.AsString());
            count += page.Count;
            cursor = page.Cursor;
        }
        while (cursor is not null);
    }
}

internal enum StateWriting
{
    Set,

    /// <summary>What was read is written with its counter as the expectation.</summary>
    CompareAndSet,

    /// <summary>The same, and each read is required to stay true.</summary>
    Guarded,
}

internal sealed class StateRegisters(StateWriting writing) : Registers
{
    private readonly Dictionary<string, Counter> _read = [];
    private readonly HashSet<string> _written = [];

    internal override string? Get(TransactionRun at, string key)
    {
        var cell = at.State.Get(key);
        if (!_written.Contains(key))
        {
            _read[key] = cell?.Counter ?? Counter.None;
            if (writing == StateWriting.Guarded)
                at.State.Require(key, _read[key]);
        }

        return cell?.Value.AsString();
    }

    internal override void Put(TransactionRun at, string key, string value)
    {
        _written.Add(key);
        if (writing != StateWriting.Set && _read.TryGetValue(key, out var counter))
            at.State.CompareAndSet(key, counter, value);
        else
            at.State.Set(key, value);
    }

    internal override void Delete(TransactionRun at, string key)
    {
        _written.Add(key);
        at.State.Delete(key);
    }

    internal override IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high)
    {
        foreach (var (name, cell) in at.State.Scan(new ScanOptions { From = low, To = high }))
        {
            if (!_written.Contains(name))
                _read[name] = cell.Counter;
            yield return KeyValuePair.Create(name, cell.Value.AsString());
        }
    }
}

/// <summary>How a reader learns where the events end; each way is a read of the end (TX-16).</summary>
internal enum EventEnd
{
    Since,
    Scan,
    Count,
    Head,
    AbsentNumber,

    /// <summary>The newest event of the type, from the end backwards.</summary>
    Newest,

    /// <summary>What is told about one type: a read of that alone.</summary>
    Stream,
}

internal sealed class EventRegisters(EventEnd end) : Registers
{
    internal override string? Get(TransactionRun at, string key) => Fold(end switch
    {
        EventEnd.Newest => Contents(at.Events.ByType(new EventScanOptions { Types = [Name(key)], Reverse = true, Limit = 1 })),
        EventEnd.Stream => OfStream(at, Name(key)),
        _ => Contents(All(at)),
    }).Where(pair => pair.Key == key).Select(pair => pair.Value).FirstOrDefault();

    internal override void Put(TransactionRun at, string key, string value) => at.Events.Append(Name(key), Content(key, value));

    internal override void Delete(TransactionRun at, string key) => at.Events.Append(Name(key), Content(key, null));

    internal override IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high)
    {
        var contents = end == EventEnd.Stream
            ? at.Events.Types(new ScanOptions { From = Name(low), To = Name(high) }).SelectMany(type => OfStream(at, type))
            : Contents(All(at));
        return Fold(contents).Where(pair => IsBetween(pair.Key, low, high));
    }

    private static IEnumerable<Value> OfStream(TransactionRun at, string type) =>
        at.Events.StreamInfo(type) is { } stream ? Contents([at.Events.Get(stream.LastNumber)!]) : [];

    private static IEnumerable<Value> Contents(IEnumerable<EventRecord> events) => events.Select(item => item.Payload!.Value);

    private List<EventRecord> All(TransactionRun at)
    {
        var events = new List<EventRecord>();
        if (end is EventEnd.Since or EventEnd.Newest)
        {
            string? cursor = null;
            do
            {
                var page = at.Events.Since(0, new EventScanOptions { Limit = 2, Cursor = cursor });
                events.AddRange(page);
                cursor = page.Cursor;
            }
            while (cursor is not null);
            return events;
        }

        if (end == EventEnd.Scan)
        {
            at.Events.Scan(0, ulong.MaxValue, ref events, static (scoped in borrowed, ref events) =>
            {
                events.Add(borrowed.ToRecord());
                return true;
            });
            return events;
        }

        var count = end switch
        {
            EventEnd.Count => (ulong)at.Events.Count(),
            EventEnd.Head => at.Events.Head() is { } head ? head.Number.Value + 1 : 0,
            _ => ulong.MaxValue,
        };
        for (var number = 0UL; number < count && at.Events.Get(new EventNumber(number)) is { } item; number++)
            events.Add(item);
        return events;
    }
}

internal enum TraceOrders
{
    Tag,
    Type,
    Time,
    Roots,
}

/// <summary>The newest trace with a tag counts. Newest is the later commit, and within one the later record: ids and timestamps are
/// taken before the order of commits is known.</summary>
internal sealed class TraceRegisters(TraceOrders by) : Registers
{
    private static readonly DateTimeOffset Past = DateTimeOffset.UnixEpoch;
    private static readonly DateTimeOffset Future = Past.AddYears(200);

    private long _recorded;

    internal override string? Get(TransactionRun at, string key) =>
        Folded(by == TraceOrders.Tag ? Pages(page => at.Traces.ByTag(Name(key), page)) : All(at))
            .Where(pair => pair.Key == key).Select(pair => pair.Value).FirstOrDefault();

    internal override void Put(TransactionRun at, string key, string value) => Record(at, key, value);

    internal override void Delete(TransactionRun at, string key) => Record(at, key, null);

    internal override IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high) =>
        Folded(All(at)).Where(pair => IsBetween(pair.Key, low, high));

    private void Record(TransactionRun at, string key, string? value) =>
        at.Traces.Record(new CustomStep("register", Content(key, value)), new TraceOptions
        {
            Tags = [Name(key)],
            Metadata = Value.Object(("order", _recorded++)),
        });

    // The transaction's own traces have no version yet.
    private static IEnumerable<KeyValuePair<string, string>> Folded(IEnumerable<TraceRecord> traces) => Fold(traces
        .OrderBy(trace => trace.Version == Sequence.None ? ulong.MaxValue : trace.Version.Value)
        .ThenBy(trace => trace.Metadata["order"].AsInt64())
        .Select(trace => ((CustomStep)trace.Step!).Data));

    private List<TraceRecord> All(TransactionRun at) => Pages(page => by switch
    {
        TraceOrders.Type => at.Traces.ByType(TraceType.Custom, page),
        TraceOrders.Time => at.Traces.ByTime(Past, Future, page),
        TraceOrders.Roots => at.Traces.Roots(page),
        _ => at.Traces.List(page),
    });

    private static List<TraceRecord> Pages(Func<TracePage, Page<TraceRecord>> read)
    {
        var traces = new List<TraceRecord>();
        string? cursor = null;
        do
        {
            var page = read(new TracePage { Limit = 2, Cursor = cursor });
            traces.AddRange(page);
            cursor = page.Cursor;
        }
        while (cursor is not null);
        return traces;
    }
}

/// <summary>Neighbouring keys lie in different primitives, so that one transaction spans both.</summary>
internal sealed class MixedRegisters(Registers even, Registers odd) : Registers
{
    internal override string? Get(TransactionRun at, string key) => Of(key).Get(at, key);

    internal override void Put(TransactionRun at, string key, string value) => Of(key).Put(at, key, value);

    internal override void Delete(TransactionRun at, string key) => Of(key).Delete(at, key);

    internal override IEnumerable<KeyValuePair<string, string>> Scan(TransactionRun at, string low, string high) =>
        even.Scan(at, low, high).Concat(odd.Scan(at, low, high));

    private Registers Of(string key) => key.Sum(c => c) % 2 == 0 ? even : odd;
}

/// <summary>A row of the isolation table: a primitive, how it is used, and where that changes what a script must end in.</summary>
/// <param name="Name">Of the row.</param>
/// <param name="Make">Registers for one transaction.</param>
/// <param name="Snapshot">Other expectations at Snapshot than the script's own, by script and whether it spans two runs; null = the
/// script's own.</param>
internal sealed record RegisterKind(
    string Name, Func<Registers> Make, Func<HermitageScript, bool, Expectation?>? Snapshot = null)
{
    internal static IReadOnlyList<RegisterKind> All { get; } =
    [
        new("Kv", () => new KvRegisters()),
        new("State", () => new StateRegisters(StateWriting.Set)),
        new("State by compare-and-set", () => new StateRegisters(StateWriting.CompareAndSet)),
        new("State with guards", () => new StateRegisters(StateWriting.Guarded), Guarded),
        new("Events since", () => new EventRegisters(EventEnd.Since), OneEnd),
        new("Events by scan", () => new EventRegisters(EventEnd.Scan), OneEnd),
        new("Events by count", () => new EventRegisters(EventEnd.Count), OneEnd),
        new("Events by head", () => new EventRegisters(EventEnd.Head), OneEnd),
        new("Events by absent number", () => new EventRegisters(EventEnd.AbsentNumber), OneEnd),
        new("Events from the end", () => new EventRegisters(EventEnd.Newest), OneEnd),
        new("Events by stream", () => new EventRegisters(EventEnd.Stream)),
        new("Traces by tag", () => new TraceRegisters(TraceOrders.Tag), OnlyInsertions),
        new("Traces by type", () => new TraceRegisters(TraceOrders.Type), OnlyInsertions),
        new("Traces by time", () => new TraceRegisters(TraceOrders.Time), OnlyInsertions),
        new("Traces by root", () => new TraceRegisters(TraceOrders.Roots), OnlyInsertions),
        new("Kv and State", () => new MixedRegisters(new KvRegisters(), new StateRegisters(StateWriting.Set))),
        new("Kv and Events", () => new MixedRegisters(new KvRegisters(), new EventRegisters(EventEnd.Since))),
    ];

    public override string ToString() => Name;

    // What is required is checked at both levels, so no decision on single cells outlives them. Ranges have no guard.
    private static Expectation? Guarded(HermitageScript script, bool isOverTwoRuns) =>
        script.Name is "G2-item" or "G2-item by absence" or "G2-item by deletion" or "G2 with two edges" or "G-single by blind write"
            ? Expectation.Prevented
            : null;

    // TX-16: the end of a run's events is one thing, read by all who look and written by all who append. Write skew takes two of them.
    private static Expectation? OneEnd(HermitageScript script, bool isOverTwoRuns) =>
        !isOverTwoRuns && script.Snapshot == Expectation.Shown ? Expectation.Prevented : null;

    // A trace is never written twice, so who takes the newest for the value reads a range and inserts into it: a G2.
    private static Expectation? OnlyInsertions(HermitageScript script, bool isOverTwoRuns) =>
        script.Name.StartsWith("P4", StringComparison.Ordinal) || script.Name is "PMP by write" or "G-single by write"
            ? Expectation.Shown
            : null;
}
