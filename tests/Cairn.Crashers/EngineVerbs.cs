using System.Globalization;

namespace Cairn.Crashers;

/// <summary>Verbs that use the engine through its public door.</summary>
internal static class EngineVerbs
{
    /// <summary>`write DIR MODE SEED THREADS`: commits for ever. Each commit n of thread t writes the keys t/a and t/b, both n, and t/sum.
    /// Says `t n sequence` after each acknowledgement.</summary>
    internal static void Write(string[] arguments)
    {
        var mode = Enum.Parse<Durability>(arguments[1]);
        var threads = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        using var db = CairnDatabase.Open(arguments[0], new CairnOptions { Durability = mode });
        var output = new Lock();
        Console.WriteLine("ready");
        var workers = Enumerable.Range(0, threads).Select(thread => new Thread(() =>
        {
            var run = db.Default;
            var from = run.Kv.Get($"{thread}/a")?.AsInt64() ?? 0;
            for (var n = from + 1; ; n++)
            {
                var number = n;
                run.Transact(tx =>
                {
                    tx.Kv.Put($"{thread}/a", number);
                    tx.Kv.Put($"{thread}/b", number);
                    tx.Kv.Add($"{thread}/sum", number);
                });
                lock (output)
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{thread} {number}"));
            }
        })).ToList();
        workers.ForEach(worker => worker.Start());
        workers.ForEach(worker => worker.Join());
    }

    /// <summary>`put DIR COUNT`: Strict puts, one after the other; says `ok` or the error code of each, and the state at the end.</summary>
    internal static void Put(string[] arguments)
    {
        var count = int.Parse(arguments[1], CultureInfo.InvariantCulture);
        using var db = CairnDatabase.Open(arguments[0]);
        for (var i = 0; i < count; i++)
        {
            try
            {
                db.Default.Kv.Put($"k{i}", i);
                Console.WriteLine("ok");
            }
            catch (CairnException refused)
            {
                Console.WriteLine(refused.Code);
            }
        }

        Console.WriteLine($"health {db.Health.Status}");
    }
}
