using System.Globalization;

namespace Cairn.Tests.Checkers;

/// <summary>Which sequential object a workload is about, see SequentialModels.cs.</summary>
internal enum ObjectKind
{
    Cell,
    Kv,
    Log,
}

/// <summary>Executes one operation of SequentialModels.cs and answers as written there. Throws <see cref="RefusedException"/> when it
/// certainly had no effect (busy, closed) and <see cref="UnknownOutcomeException"/> when nobody can say.</summary>
internal delegate (string Result, ulong Sequence) OperationExecutor(string operation, string key, string[] arguments);

/// <summary>The same in two parts for a toy: what it does when the call comes in, and what it does and answers later.</summary>
internal delegate Func<(string Result, ulong Sequence)> OperationStarter(string operation, string key, string[] arguments);

/// <summary>Random single operations of several processes on a few keys, recorded for <see cref="Linearizability"/> (L1).</summary>
internal sealed class SingleOperationWorkload(ObjectKind kind, int processes, int operations, int keys, int seed)
{
    private readonly ObjectKind _kind = kind;
    private readonly int _keys = keys;
    private readonly int _seed = seed;

    internal History History { get; } = new();

    internal LinearizabilityReport Judge(bool deleteCounts = true, long stepsMax = Linearizability.StepsMaxDefault)
    {
        var calls = History.Calls();
        return _kind switch
        {
            ObjectKind.Cell => Linearizability.Check(calls, new StateCellModel(deleteCounts), stepsMax),
            ObjectKind.Kv => Linearizability.Check(calls, new KvModel(), stepsMax),
            _ => Linearizability.Check(calls, new LogModel(), stepsMax),
        };
    }

    /// <summary>A thread for each process.</summary>
    internal void RunThreads(OperationExecutor execute)
    {
        var threads = Enumerable.Range(0, processes).Select(p => new Thread(() =>
        {
            var plan = new Planner(this, p);
            for (var i = 0; i < operations; i++)
            {
                var (operation, key, arguments) = plan.Next();
                var pending = History.Invoke(p, operation, key, arguments);
                plan.Told(Finish(pending, () => execute(operation, key, arguments)));
                if (i % 7 == 0)
                    Thread.Yield();
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
    }

    /// <summary>One thread: each call goes in, works and comes back at moments that the seed picks. One in a hundred never comes back.</summary>
    internal void RunInterleaved(OperationStarter start)
    {
        var random = new Random(_seed);
        var clients = Enumerable.Range(0, processes).Select(p => Client(p, start, random).GetEnumerator()).ToList();
        while (clients.Count > 0)
        {
            var at = random.Next(clients.Count);
            if (!clients[at].MoveNext())
                clients.RemoveAt(at);
        }
    }

    private IEnumerable<bool> Client(int process, OperationStarter start, Random random)
    {
        var plan = new Planner(this, process);
        for (var i = 0; i < operations; i++)
        {
            var (operation, key, arguments) = plan.Next();
            var pending = History.Invoke(process, operation, key, arguments);
            yield return true;
            var work = start(operation, key, arguments);
            yield return true;
            var isLost = random.Next(100) == 0;
            if (isLost && random.Next(2) == 0)
                yield break;                                              // H3: lost before it worked
            var answer = work();
            yield return true;
            if (isLost)
                yield break;                                              // lost after it
            pending.Ok(answer.Result, answer.Sequence);
            plan.Told(answer.Result);
        }
    }

    private static string Finish(History.Pending pending, Func<(string Result, ulong Sequence)> work)
    {
        try
        {
            var (result, sequence) = work();
            pending.Ok(result, sequence);
            return result;
        }
        catch (RefusedException refused)
        {
            pending.Fail(refused.Code.ToString());
        }
        catch (UnknownOutcomeException)
        {
            pending.Unknown();
        }

        return "";
    }

    /// <summary>Draws operations; a compare-and-set expects what this process saw last.</summary>
    private sealed class Planner(SingleOperationWorkload work, int process)
    {
        private readonly Random _random = new(unchecked((work._seed * 486_187_739) + process));
        private readonly Dictionary<string, string> _seen = [];
        private string _key = "";
        private int _written;

        internal (string Operation, string Key, string[] Arguments) Next()
        {
            _key = $"k{_random.Next(work._keys).ToString(CultureInfo.InvariantCulture)}";
            var value = ((process * 1_000_000L) + ++_written).ToString(CultureInfo.InvariantCulture);
            var seen = _seen.GetValueOrDefault(_key, "0");
            var draw = _random.Next(10);
            return work._kind switch
            {
                ObjectKind.Cell => draw switch
                {
                    0 => ("init", _key, [value]),
                    1 => ("set", _key, [value]),
                    2 or 3 or 4 => ("cas", _key, [seen, value]),
                    5 => ("add", _key, ["1"]),
                    6 => ("delete", _key, []),
                    _ => ("get", _key, []),
                },
                ObjectKind.Kv => draw switch
                {
                    0 or 1 => ("put", _key, [value]),
                    2 or 3 => ("cas", _key, [seen, value]),
                    4 => ("tryAdd", _key, [value]),
                    5 => ("increment", _key, ["1"]),
                    6 => ("delete", _key, []),
                    _ => ("get", _key, []),
                },
                _ => draw switch
                {
                    < 5 => ("append", _key, [value]),
                    5 => ("count", _key, []),
                    _ => ("read", _key, [Math.Max(0, Parse(seen) - 3).ToString(CultureInfo.InvariantCulture), (Parse(seen) + 10).ToString(CultureInfo.InvariantCulture)]),
                },
            };
        }

        internal void Told(string result)
        {
            var at = result.LastIndexOf('@');
            if (at >= 0)
                _seen[_key] = result[(at + 1)..];
            else if (work._kind != ObjectKind.Kv && long.TryParse(result, CultureInfo.InvariantCulture, out _))
                _seen[_key] = result;                                     // a counter, or the number of an event
            else if (result is "absent" or "NotFound")
                _seen[_key] = "0";
        }

        private static long Parse(string text) => long.Parse(text, CultureInfo.InvariantCulture);
    }
}
