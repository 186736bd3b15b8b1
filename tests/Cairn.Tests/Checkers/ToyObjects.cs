using System.Globalization;

namespace Cairn.Tests.Checkers;

internal enum ToyObjectFault
{
    None,

    /// <summary>Compare-and-set does not compare.</summary>
    CasCheckRemoved,

    /// <summary>Compare-and-set compares when the call comes in, and writes later.</summary>
    CasCheckedEarly,

    /// <summary>Increment reads when the call comes in, and writes later.</summary>
    LostUpdate,

    /// <summary>Reads answer with what was there when the process read last.</summary>
    StaleRead,

    /// <summary>The number of an append is taken when the call comes in.</summary>
    NumberDuplicated,

    /// <summary>Now and then an append is answered and dropped.</summary>
    AppendDropped,

    /// <summary>The counter of a cell starts anew after a delete.</summary>
    CounterRestarts,
}

/// <summary>State cells, Kv keys and logs under one lock, correct unless told otherwise.</summary>
internal sealed class ToyObjects(ToyObjectFault fault = ToyObjectFault.None)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (string? Value, long Counter)> _cells = [];
    private readonly Dictionary<string, (string? Value, ulong Version)> _keys = [];
    private readonly Dictionary<string, (string? Value, ulong Version)> _stale = [];
    private readonly Dictionary<string, List<string>> _logs = [];
    private ulong _last;
    private int _calls;

    /// <summary>As an executor of one call at a time, for threads.</summary>
    internal OperationExecutor Executor(ObjectKind kind) => (operation, key, arguments) => Starter(kind)(operation, key, arguments)();

    internal OperationStarter Starter(ObjectKind kind) => kind switch
    {
        ObjectKind.Cell => Cell,
        ObjectKind.Kv => Kv,
        _ => Log,
    };

    private Func<(string, ulong)> Cell(string operation, string key, string[] arguments)
    {
        (string? Value, long Counter) early;
        lock (_gate)
            early = _cells.GetValueOrDefault(key);
        return () =>
        {
            lock (_gate)
            {
                var now = _cells.GetValueOrDefault(key);
                string Write(string? value)
                {
                    var counter = now.Counter + 1;
                    if (fault == ToyObjectFault.CounterRestarts && value is null)
                        counter = 0;
                    _cells[key] = (value, counter);
                    return Text(counter);
                }

                var live = now.Value is null ? 0 : now.Counter;
                var compared = fault == ToyObjectFault.CasCheckedEarly ? (early.Value is null ? 0 : early.Counter) : live;
                return operation switch
                {
                    "init" => (now.Value is null ? Write(arguments[0]) : "AlreadyExists", 0),
                    "set" => (Write(arguments[0]), 0),
                    "cas" => (fault == ToyObjectFault.CasCheckRemoved || Text(compared) == arguments[0] ? Write(arguments[1]) : $"VersionMismatch {live}", 0),
                    "add" => (now.Value is null ? "NotFound" : Add(), 0),
                    "delete" => (now.Value is null ? "false" : Write(null) is null ? "" : "true", 0UL),
                    _ => (now.Value is null ? "absent" : $"{now.Value}@{now.Counter}", 0),
                };

                string Add()
                {
                    var value = Text(Number((fault == ToyObjectFault.LostUpdate ? early.Value : now.Value) ?? now.Value!) + Number(arguments[0]));
                    return $"{value}@{Write(value)}";
                }
            }
        };
    }

    private Func<(string, ulong)> Kv(string operation, string key, string[] arguments)
    {
        (string? Value, ulong Version) early;
        lock (_gate)
            early = _keys.GetValueOrDefault(key);
        return () =>
        {
            lock (_gate)
            {
                _calls++;
                var now = _keys.GetValueOrDefault(key);
                (string, ulong) Write(string? value, string result)
                {
                    _stale[key] = now;
                    _keys[key] = (value, ++_last);
                    return (result, _last);
                }

                var live = now.Value is null ? 0 : now.Version;
                var compared = fault == ToyObjectFault.CasCheckedEarly ? (early.Value is null ? 0 : early.Version) : live;
                switch (operation)
                {
                    case "put":
                        return Write(arguments[0], "");
                    case "cas":
                        return fault == ToyObjectFault.CasCheckRemoved || compared == ulong.Parse(arguments[0], CultureInfo.InvariantCulture)
                            ? Write(arguments[1], "") : ("VersionMismatch", 0);
                    case "tryAdd":
                        return now.Value is null ? Write(arguments[0], "true") : ("false", 0);
                    case "increment":
                        var value = Text(Number((fault == ToyObjectFault.LostUpdate ? early.Value : now.Value) ?? "0") + Number(arguments[0]));
                        return Write(value, value);
                    case "delete":
                        return now.Value is null ? ("false", 0) : Write(null, "true");
                    default:
                        var seen = fault == ToyObjectFault.StaleRead && _calls % 5 == 0 ? _stale.GetValueOrDefault(key) : now;
                        return (seen.Value is null ? "absent" : $"{seen.Value}@{seen.Version}", 0);
                }
            }
        };
    }

    private Func<(string, ulong)> Log(string operation, string key, string[] arguments)
    {
        int early;
        lock (_gate)
            early = _logs.GetValueOrDefault(key)?.Count ?? 0;
        return () =>
        {
            lock (_gate)
            {
                if (!_logs.TryGetValue(key, out var log))
                    _logs[key] = log = [];
                switch (operation)
                {
                    case "append":
                        var number = fault == ToyObjectFault.NumberDuplicated ? early : log.Count;
                        if (fault != ToyObjectFault.AppendDropped || ++_calls % 20 != 0)
                            log.Add(arguments[0]);
                        return (Text(number), 0);
                    case "count":
                        return (Text(log.Count), 0);
                    default:
                        return (string.Join(',', log.Take((int)Number(arguments[1])).Skip((int)Number(arguments[0]))), 0);
                }
            }
        };
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
