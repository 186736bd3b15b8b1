using System.Globalization;

namespace Cairn.Tests.Checkers;

/// <param name="RestartEvery">Mean distance of restarts, in operations; 0 = none.</param>
/// <param name="Keys">How many plain keys and cells: few, so that operations meet.</param>
/// <param name="TransactionShare">Of 100 operations, how many are transactions.</param>
/// <param name="WithRuns">Begin, end and delete runs; otherwise everything happens in <c>default</c>.</param>
/// <param name="WithBadArguments">One key or name in fifty breaks a rule.</param>
/// <param name="MaintainEvery">Every n-th operation is a turn of the maintainer; 0 = none. Nothing is drawn for it.</param>
/// <param name="SyncEvery">Every n-th is a sync; 0 = none. Nothing is drawn for it either.</param>
/// <param name="CheckpointEvery">Every n-th is a checkpoint; 0 = none. Nor for that.</param>
/// <param name="CompactEvery">Every n-th is a compaction; 0 = none. Nor for that.</param>
/// <param name="BackUpEvery">Every n-th is a backup that is restored elsewhere; 0 = none. Nor for that.</param>
/// <param name="TrimEvery">Every n-th lets go of events; 0 = none. Nor for that.</param>
/// <param name="ForkEvery">Every n-th forks a run, with runs; 0 = none. Nor for that.</param>
/// <param name="ForksPast">Two of three forks are of a past point. That takes a log.</param>
/// <param name="MergeEvery">Every n-th merges a run into what it was forked from; 0 = none. Nothing is drawn for it.</param>
/// <param name="DocumentShare">Of 100 operations on runs, how many are on documents; 0 = none, and nothing is drawn for it.</param>
/// <param name="VectorShare">The same of vectors.</param>
public sealed record GeneratorOptions(
    int RestartEvery = 500, int Keys = 12, int TransactionShare = 15, bool WithRuns = true, bool WithBadArguments = true,
    int MaintainEvery = 29, int SyncEvery = 0, int CheckpointEvery = 0, int CompactEvery = 0, int BackUpEvery = 0,
    int TrimEvery = 47, int ForkEvery = 43, bool ForksPast = false, int MergeEvery = 0,
    int DocumentShare = 0,
    int VectorShare = 0);

/// <summary>An endless list of operations from a seed: the same seed gives the same list, for ever (<see cref="Random"/> with a seed
/// keeps its algorithm). Lists are data: print them, shrink them, run them on the model and on the engine.</summary>
public sealed class Generator(int seed, GeneratorOptions? options = null)
{
    // Order of UTF-8 differs from that of UTF-16 between the last two.
    private static readonly string[] OddKeys = ["a", "ab", "a b", "A", "ä", "a/b", "%2e", "\u007f", "\uff21", "\U0001f5ff"];
    private static readonly string[] BadKeys = ["", "a\0b", "$mine", new string('k', 1025), "\ud800"];
    private static readonly string[] BadNames = ["", "a/b", "a\nb", "$mine", new string('n', 257)];
    private static readonly string[] EventTypes = ["tool_call", "observation", "note", "é"];
    private static readonly string[] TagNames = ["red", "green", "blue", "grün"];
    private static readonly string[] RunNames = ["alpha", "alpha-2", "beta", "gamma", "delta"];
    private static readonly string[] Owners = ["ada", "eve", "bob"];

    private readonly Random _random = new(seed);
    private readonly GeneratorOptions _options = options ?? new GeneratorOptions();
    private int _lastRun;
    private long _lastTimestamp = 1_600_000_000_000_000;
    private long _events;
    private long _traces;
    private int _operations;

    public IEnumerable<Operation> Take(int count) => Enumerable.Range(0, count).Select(_ => Next());

    public Operation Next()
    {
        _operations++;
        if (_options.MaintainEvery > 0 && _operations % _options.MaintainEvery == 0)
            return new Maintain();
        if (_options.SyncEvery > 0 && _operations % _options.SyncEvery == 0)
            return new Sync();
        if (_options.CheckpointEvery > 0 && _operations % _options.CheckpointEvery == 0)
            return new Checkpoint();
        if (_options.CompactEvery > 0 && _operations % _options.CompactEvery == 0)
            return new Compact();
        if (_options.BackUpEvery > 0 && _operations % _options.BackUpEvery == 0)
            return new BackUp();
        if (_options.TrimEvery > 0 && _operations % _options.TrimEvery == 0)
            return new EventsTrim(_operations / _options.TrimEvery % 3 == 0 ? 0 : _lastRun, 1 + _operations % 7);
        if (_options.WithRuns && _options.ForkEvery > 0 && _operations % _options.ForkEvery == 0)
        {
            var turn = _operations / _options.ForkEvery;
            var from = turn % 3 == 0 ? 0 : Math.Max(0, _lastRun - turn % 2);
            return new RunsFork(
                ++_lastRun, from, _options.ForksPast && turn % 3 != 1 ? 1 + turn % 7 * 2 : 0,
                turn % 5 == 0 ? RunNames[turn % RunNames.Length] : null);
        }

        if (_options.WithRuns && _options.MergeEvery > 0 && _operations % _options.MergeEvery == 0)
            return new RunsMerge(Math.Max(0, _lastRun - _operations / _options.MergeEvery % 3));
        if (_options.RestartEvery > 0 && _random.Next(_options.RestartEvery) == 0)
            return new Restart(Chance(50));
        if (Chance(3))
            return new Advance(_random.Next(6) switch { 0 => 1, 1 => 1_000, 2 => 60_000_000, 3 => -5_000_000, _ => _random.Next(3_000_000) });
        return Chance(_options.TransactionShare) ? Transaction() : One(Slot(), isInside: false);
    }

    /// <summary>One to twelve operations over one run, rarely two, mixing the primitives; sometimes with the end of a run in it.</summary>
    private TransactionOperation Transaction()
    {
        var first = Slot();
        var second = Chance(15) ? Slot() : first;
        var body = new List<RunOperation>();
        var cells = new HashSet<(int, string)>();
        for (var i = _random.Next(1, 13); i > 0; i--)
        {
            var operation = One(Chance(50) ? first : second, isInside: true);
            // The counter that a compare-and-set meets behind an own write of the cell is left open by the rules.
            if (operation is StateCompareAndSet or StateRequire && cells.Contains((operation.Run, CellOf(operation)!)))
                continue;
            if (CellOf(operation) is { } cell)
                cells.Add((operation.Run, cell));
            body.Add(operation);
        }

        if (_options.WithRuns && first != 0 && Chance(5))
            body.Add(new RunsEnd(first, RunAction.Complete));
        return new TransactionOperation(body, Commit: !Chance(15));
    }

    private static string? CellOf(RunOperation operation) => operation switch
    {
        StateInit o => o.Name,
        StateSet o => o.Name,
        StateCompareAndSet o => o.Name,
        StateDelete o => o.Name,
        StateTransition o => o.Name,
        StateTransitionOrInit o => o.Name,
        StateGetOrInit o => o.Name,
        _ => null,
    };

    private RunOperation One(int run, bool isInside)
    {
        if (_options.DocumentShare > 0 && Chance(_options.DocumentShare))
            return DocumentOperation(run);
        if (_options.VectorShare > 0 && Chance(_options.VectorShare))
            return VectorOperation(run);
        var pick = _random.Next(100);
        return pick switch
        {
            < 42 => KvOperation(run, isInside),
            < 60 => EventsOperation(run, isInside),
            < 80 => StateOperation(run, isInside),
            < 90 => TracesOperation(run),
            _ => _options.WithRuns && !isInside ? RunsOperation() : KvOperation(run, isInside),
        };
    }

    private RunOperation DocumentOperation(int run) => _random.Next(10) switch
    {
        0 => new DocumentGet(run, Key()),
        1 or 2 => new DocumentPut(run, Key(), Plain.Map(("a", Part()), ("b", Plain.Map(("c", Part()))), ("n", (long)_random.Next(100)))),
        3 or 4 or 5 => new DocumentSet(run, Key(), Chance(50) ? "a" : "b", Part()),
        6 or 7 => new DocumentIncrement(run, Key(), _random.Next(-5, 6)),
        8 => new DocumentDrop(run, Key(), Chance(50) ? "a" : "n"),
        _ => new DocumentDelete(run, Key()),
    };

    private RunOperation VectorOperation(int run) => _random.Next(12) switch
    {
        0 => new VectorGet(run, Key()),
        < 6 => new VectorPut(run, Key(), _random.Next(100), _random.Next(3)),
        6 => new VectorTag(run, Key(), _random.Next(3)),
        7 => new VectorDelete(run, Key()),
        8 when Chance(20) => new VectorsDrop(run),
        _ => new VectorSearch(run, _random.Next(100), 1 + _random.Next(5), Chance(50) ? _random.Next(3) : null),
    };

    private Plain Part() => _random.Next(6) switch
    {
        0 => (long)_random.Next(200),
        1 => Text(),
        2 => new string('y', Pick(new[] { 32, 300, 5_000 })),
        3 => Plain.Array(1L, Text(), Plain.Map(("x", Plain.Null))),
        4 => Plain.Map(),
        _ => Plain.Map(("é", Text()), ("list", Plain.Array(Plain.True, 2L))),
    };

    private RunOperation KvOperation(int run, bool isInside) => _random.Next(isInside ? 1 : 0, 22) switch
    {
        0 => new KvGetVersioned(run, Key()),
        1 => new KvGet(run, Key()),
        2 => new KvExists(run, Key()),
        3 => new KvGetMany(run, Some(Key, 4)),
        4 or 5 or 6 => new KvPut(run, Key(), Value(), Chance(20) ? Ttl() : null),
        7 => new KvPutMany(run, [.. Some(Key, 4).Select(k => (k, Value()))]),
        8 => new KvTryAdd(run, Key(), Value()),
        9 or 10 => new KvDelete(run, Key()),
        11 => new KvDeleteMany(run, Some(Key, 3)),
        12 => new KvCompareAndSet(run, Key(), Expectation(), Value()),
        13 => new KvCompareAndSetValue(run, Key(), Expectation(), Value()),
        14 or 15 => new KvIncrement(run, Key(), Chance(5) ? long.MaxValue : _random.Next(-5, 6)),
        16 => new KvExpire(run, Key(), Ttl()),
        17 => new KvPersist(run, Key()),
        18 => new KvList(run, Chance(50) ? "" : GoodKey(), Chance(50) ? null : GoodKey(), Limit(), Chance(30)),
        19 => new KvListPrefix(run, Chance(50) ? "k" : "a", Limit(), Chance(30)),
        20 => new KvScan(run, Chance(50) ? "" : GoodKey(), Chance(50) ? null : GoodKey(), Limit(), Chance(30)),
        _ => new KvCount(run, Chance(50) ? null : "k"),
    };

    private RunOperation EventsOperation(int run, bool isInside)
    {
        switch (_random.Next(18))
        {
            case < 5:
                _events++;
                return new EventsAppend(run, EventType(), Fields());
            case 5:
                _events += 3;
                return new EventsAppendMany(run, [.. Enumerable.Range(0, _random.Next(1, 4)).Select(_ => (EventType(), Fields()))]);
            case 6: return new EventsGet(run, EventNumber());
            case 7: return new EventsRange(run, EventNumber(), EventNumber(), Limit(), Chance(30));
            case 8: return new EventsSince(run, EventNumber(), Limit());
            case 9: return new EventsByType(run, Pick(EventTypes), Limit());
            case 10: return new EventsCount(run);
            case 11: return new EventsCountByType(run, Pick(EventTypes));
            case 12: return isInside ? new EventsTypes(run) : new EventsHead(run);
            case 13: return new EventsStreamInfo(run, Pick(EventTypes));
            case 14: return isInside ? new EventsCount(run) : new EventsVerify(run);
            case 15: return isInside ? new EventsConsumers(run) : new EventsRedact(run, EventNumber(), "asked for");
            case 16: return new EventsConsumerCommit(run, Name(Owners), EventNumber(), Chance(20));
            default: return new EventsConsumerPosition(run, Pick(Owners));
        }
    }

    private RunOperation StateOperation(int run, bool isInside) => _random.Next(18) switch
    {
        0 => new StateInit(run, Cell(), Value()),
        1 or 2 => new StateSet(run, Cell(), Value(), Chance(15) ? Ttl() : null),
        3 or 4 => new StateCompareAndSet(run, Cell(), Expectation(), Value()),
        5 or 6 => new StateGet(run, Cell()),
        7 => new StateExists(run, Cell()),
        8 => new StateList(run, Chance(50) ? "" : "k"),
        9 => new StateDelete(run, Cell()),
        10 or 11 => new StateTransition(run, Cell(), _random.Next(-3, 4)),
        12 => new StateTransitionOrInit(run, Cell(), 100, _random.Next(-3, 4)),
        13 => new StateGetOrInit(run, Cell(), Value()),
        14 => isInside ? new StateRequire(run, Cell(), Chance(80) ? Expect.Current : Expect.Stale) : new StateGet(run, Cell()),
        15 => new StateAcquire(run, Lease(), Pick(Owners), Ttl()),
        16 => new StateRenew(run, Lease(), Pick(Owners), Ttl()),
        _ => new StateRelease(run, Lease(), Pick(Owners)),
    };

    private RunOperation TracesOperation(int run)
    {
        switch (_random.Next(14))
        {
            case < 6:
                _traces++;
                var kind = (TraceKind)_random.Next(6);
                return new TracesRecord(run, Chance(60) ? _random.NextInt64(-1, _traces + 1) is >= 0 and var p ? p : null : null, kind, Timestamp(), Some(() => Name(TagNames), 3), TraceFields(kind));
            case 6: return new TracesGet(run, _random.NextInt64(_traces + 1));
            case 7: return new TracesChildren(run, _random.NextInt64(_traces + 1));
            case 8: return new TracesRoots(run);
            case 9: return new TracesTree(run, _random.NextInt64(_traces + 1), _random.Next(4));
            case 10: return new TracesByType(run, (TraceKind)_random.Next(6));
            case 11: return new TracesByTag(run, Pick(TagNames));
            case 12: return new TracesByTime(run, _lastTimestamp - _random.Next(1_000_000), _lastTimestamp - _random.Next(1_000));
            default: return new TracesCount(run);
        }
    }

    private RunOperation RunsOperation() => _random.Next(14) switch
    {
        0 or 1 or 2 => new RunsBegin(++_lastRun, Chance(60) ? Name(RunNames) : null, Chance(30) ? Slot() : null, Some(() => Pick(TagNames), 2), Fields()),
        3 or 4 or 5 => new RunsEnd(Slot(), (RunAction)_random.Next(7)),
        6 => new RunsAddTags(Slot(), Some(() => Name(TagNames), 2)),
        7 => new RunsRemoveTags(Slot(), Some(() => Pick(TagNames), 2)),
        8 => new RunsUpdateMetadata(Slot(), Plain.Map(("a", Chance(30) ? Plain.Null : Value()), ("b", Plain.Map(("c", Chance(30) ? Plain.Null : 1L))))),
        9 => new RunsDelete(Slot()),
        10 => new RunsGet(Slot()),
        11 => new RunsList(Chance(50) ? (RunStatusName)_random.Next(6) : null, Chance(30) ? Pick(TagNames) : null, Chance(30) ? "alpha" : null),
        12 => Chance(50) ? new RunsCount() : new RunsChildren(Slot()),
        _ => new RunsAncestors(Slot()),
    };

    // --- draws --------------------------------------------------------------------------------------------------------

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Pick<T>(T[] from) => from[_random.Next(from.Length)];

    private List<T> Some<T>(Func<T> draw, int max) => [.. Enumerable.Range(0, _random.Next(1, max + 1)).Select(_ => draw())];

    /// <summary>Mostly <c>default</c> and the latest runs; now and then one that is closed, deleted or never began.</summary>
    private int Slot() => !_options.WithRuns || Chance(40) ? 0 : Math.Max(0, _lastRun + 1 - _random.Next(5));

    private string GoodKey() => Chance(20) ? Pick(OddKeys) : $"k{_random.Next(_options.Keys).ToString("D2", CultureInfo.InvariantCulture)}";

    private string Key() => _options.WithBadArguments && Chance(2) ? Pick(BadKeys) : GoodKey();

    private string Cell() => Key();

    private string Lease() => $"lease-{_random.Next(2).ToString(CultureInfo.InvariantCulture)}";

    private string Name(string[] good) => _options.WithBadArguments && Chance(2) ? Pick(BadNames) : Pick(good);

    private string EventType() => Name(EventTypes);

    private long EventNumber() => _random.NextInt64(_events + 2);

    private int Limit() => Chance(50) ? 1_000 : _random.Next(1, 6);

    private Expect Expectation() => Chance(60) ? Expect.Current : Chance(50) ? Expect.Absent : Expect.Stale;

    private long Ttl() => Chance(5) ? 10 : _random.Next(5) switch { 0 => 1_000, 1 => 500_000, 2 => 2_000_000, 3 => 90_000_000, _ => 3_600_000_000 };

    /// <summary>No two traces share one, so that their order does not hang on generated ids.</summary>
    private long Timestamp() => _lastTimestamp += _random.Next(1, 50_000);

    private Plain Fields() => Plain.Map(("n", _random.Next(1_000)), ("text", Text()));

    private Plain TraceFields(TraceKind kind) => kind switch
    {
        TraceKind.ToolCall => Plain.Map(("tool", "search"), ("arguments", Fields())),
        TraceKind.Decision => Plain.Map(("question", "which"), ("options", Plain.Array("left", "right")), ("chosen", Chance(10) ? "neither" : Chance(50) ? "left" : "right")),
        TraceKind.Query => Plain.Map(("kind", "kv"), ("query", Text())),
        TraceKind.Thought => Plain.Map(("content", Text()), ("confidence", Plain.Of(Chance(10) ? 1.5 : 0.5))),
        TraceKind.Error => Plain.Map(("kind", "timeout"), ("message", Text()), ("recoverable", Chance(50))),
        _ => Plain.Map(("name", "custom"), ("data", Value())),
    };

    private string Text() => $"{Pick(OddKeys)} {_random.Next(1_000_000).ToString(CultureInfo.InvariantCulture)}";

    private Plain Value() => _random.Next(14) switch
    {
        0 => Plain.Null,
        1 => Chance(50),
        2 or 3 or 4 or 5 => (long)_random.Next(-200, 200),
        6 => Pick(new Plain[] { long.MinValue, long.MaxValue, 127L, 128L, -32L, -33L, 65_536L, 1L << 32 }),
        7 => Plain.Of(Pick(new[] { 0.0, -0.0, 1.0, double.NaN, double.PositiveInfinity, 0.1 })),
        8 or 9 => Text(),
        10 => new string('x', Pick(new[] { 31, 32, 255, 256, 5_000 })),
        11 => new byte[_random.Next(40)],
        12 => Plain.Array(1L, Plain.Null, Text(), Plain.Array()),
        _ => Plain.Map(("b", 1L), ("a", Plain.Map(("é", Text()))), ("", Plain.True)),
    };
}
