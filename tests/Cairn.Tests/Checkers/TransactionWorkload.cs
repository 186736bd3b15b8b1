using System.Globalization;

// Random transactions against any ITransactionalStore, recorded for the judges. Each client is a sequence of small steps, so the
// same client runs interleaved on one thread, in an order that a seed fixes, or freely on threads of its own.
//
//   Lists      read and append to lists (a list is one value that is read, extended and put)
//   Registers  get, put, delete and scan; most are updates, some write blindly
//   Bank       transfers between accounts, and reads of all of them
//   LongFork   each key is put once; reads of a whole group
namespace Cairn.Tests.Checkers;

internal enum WorkloadKind
{
    Lists,
    Registers,
    Bank,
    LongFork,
}

/// <param name="Clients">Transactions that may be open at the same time.</param>
/// <param name="Transactions">Per client.</param>
/// <param name="Keys">Few keys: many conflicts.</param>
internal sealed record WorkloadOptions(WorkloadKind Kind, IsolationLevel Level, int Clients = 5, int Transactions = 40, int Keys = 6);

internal sealed class TransactionWorkload(ITransactionalStore store, WorkloadOptions options, int seed)
{
    private const long Deposit = 100;

    private readonly ITransactionalStore _store = store;
    private readonly WorkloadOptions _options = options;
    private readonly History _clock = new();
    private readonly Lock _gate = new();
    private readonly List<TransactionTrace> _traces = [];
    private readonly List<Dictionary<string, long>> _bankReads = [];
    private readonly List<List<string>> _forkReads = [];
    private long _lastValue;
    private int _lastId;

    /// <summary>The transactions so far, for <see cref="Serializability"/>.</summary>
    internal IReadOnlyList<TransactionTrace> Traces => _traces;

    /// <summary>What all judges of this kind of workload have to say; empty = nothing against it.</summary>
    internal IReadOnlyList<string> Judge()
    {
        var findings = Serializability.Check(_traces).Violations(_options.Level).Select(f => f.ToString()).ToList();
        if (_options.Kind == WorkloadKind.Bank)
            findings.AddRange(Bank.Check(_bankReads, _options.Keys, _options.Keys * Deposit));
        if (_options.Kind == WorkloadKind.LongFork)
        {
            foreach (var group in _forkReads.Where(r => r.Count > 0).GroupBy(r => r[0][..8]))
                findings.AddRange(LongFork.Check(group));
        }

        return findings;
    }

    /// <summary>One thread; the seed picks who moves next.</summary>
    internal void RunInterleaved()
    {
        SetUp();
        var random = new Random(seed);
        var clients = Enumerable.Range(0, _options.Clients).Select(p => Client(p).GetEnumerator()).ToList();
        while (clients.Count > 0)
        {
            var at = random.Next(clients.Count);
            if (!clients[at].MoveNext())
                clients.RemoveAt(at);
        }
    }

    /// <summary>A thread for each client, with random yields.</summary>
    internal void RunThreads()
    {
        SetUp();
        Exception? failure = null;
        var threads = Enumerable.Range(0, _options.Clients).Select(p => new Thread(() =>
        {
            try
            {
                var random = new Random(seed + p);
                foreach (var _ in Client(p))
                {
                    if (random.Next(4) == 0)
                        Thread.Yield();
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        if (failure is not null)
            throw new InvalidOperationException("a client failed", failure);
    }

    private void SetUp()
    {
        if (_options.Kind != WorkloadKind.Bank)
            return;
        using var tx = _store.Begin(_options.Level);
        for (var i = 0; i < _options.Keys; i++)
            tx.Put(Account(i), Text(Deposit));
        tx.Commit();
    }

    private IEnumerable<bool> Client(int process)
    {
        var random = new Random(HashCodeOf(seed, process));
        for (var i = 0; i < _options.Transactions; i++)
        {
            var client = new Transaction(this, process, random);
            foreach (var step in client.Plan())
            {
                client.Take(step);
                yield return true;
                if (client.IsOver)
                    break;
            }

            client.Finish();
            yield return true;
        }
    }

    private static int HashCodeOf(int seed, int process) => unchecked((seed * 486_187_739) + process);

    private static string Account(int i) => $"account/{i.ToString("D2", CultureInfo.InvariantCulture)}";

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>One transaction of one client, from plan to trace.</summary>
    private sealed class Transaction(TransactionWorkload work, int process, Random random)
    {
        private readonly List<Access> _accesses = [];
        private readonly long _begin = work._clock.Next();
        private readonly ITransactionHandle _handle = work._store.Begin(work._options.Level);
        private TransactionEnd? _end;
        private ulong _sequence;
        private Dictionary<string, long>? _bankRead;
        private List<string>? _forkRead;

        internal bool IsOver => _end is not null;

        internal List<Action> Plan() => work._options.Kind switch
        {
            WorkloadKind.Lists => [.. Enumerable.Range(0, random.Next(1, 5)).Select<int, Action>(_ => random.Next(2) == 0 ? ReadList : AppendList)],
            WorkloadKind.Registers => [.. Enumerable.Range(0, random.Next(1, 6)).Select<int, Action>(_ => random.Next(10) switch
            {
                < 3 => ReadRegister,
                < 6 => UpdateRegister,
                6 => BlindRegister,
                7 => DeleteRegister,
                _ => ScanRegisters,
            })],
            WorkloadKind.Bank => random.Next(3) == 0 ? [ReadBank] : [.. Transfer()],
            _ => random.Next(3) == 0 ? [PutFork] : [ReadFork],
        };

        internal void Take(Action step)
        {
            try
            {
                step();
            }
            catch (RefusedException)
            {
                _end = TransactionEnd.Aborted;
            }
        }

        internal void Finish()
        {
            if (_end is null)
            {
                try
                {
                    if (random.Next(20) == 0)
                    {
                        _handle.Rollback();
                        _end = TransactionEnd.Aborted;
                    }
                    else
                    {
                        _sequence = _handle.Commit();
                        _end = TransactionEnd.Committed;
                    }
                }
                catch (RefusedException)
                {
                    _end = TransactionEnd.Aborted;
                }
                catch (UnknownOutcomeException)
                {
                    _end = TransactionEnd.Unknown;
                }
            }

            var readAt = _handle.ReadAt;
            _handle.Dispose();
            var end = _end == TransactionEnd.Unknown ? long.MaxValue : work._clock.Next();
            lock (work._gate)
            {
                work._traces.Add(new TransactionTrace(++work._lastId, process, _begin, end, _end.Value, _sequence, _accesses, readAt));
                if (_end == TransactionEnd.Committed && _bankRead is not null)
                    work._bankReads.Add(_bankRead);
                if (_end == TransactionEnd.Committed && _forkRead is not null)
                    work._forkReads.Add(_forkRead);
            }
        }

        private string List() => $"list/{random.Next(work._options.Keys).ToString("D2", CultureInfo.InvariantCulture)}";

        private string Register() => $"register/{random.Next(work._options.Keys).ToString("D2", CultureInfo.InvariantCulture)}";

        private long NewValue() => Interlocked.Increment(ref work._lastValue);

        private List<long> Values(string key) => [.. (_handle.Get(key) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Number)];

        private void ReadList()
        {
            var key = List();
            _accesses.Add(new ListRead(key, Values(key)));
        }

        private void AppendList()
        {
            var key = List();
            var values = Values(key);
            var value = NewValue();
            _accesses.Add(new ListRead(key, values));
            _handle.Put(key, string.Join(' ', values.Append(value).Select(Text)));
            _accesses.Add(new ListAppend(key, value));
        }

        private long? Read(string key)
        {
            var text = _handle.Get(key);
            long? value = text is null ? null : Number(text);
            _accesses.Add(new RegisterRead(key, value));
            return value;
        }

        private void Write(string key, long? value)
        {
            if (value is null)
                _handle.Delete(key);
            else
                _handle.Put(key, Text(value.Value));
            _accesses.Add(new RegisterWrite(key, value));
        }

        private void ReadRegister() => Read(Register());

        private void UpdateRegister()
        {
            var key = Register();
            Read(key);
            Write(key, NewValue());
        }

        private void BlindRegister() => Write(Register(), NewValue());

        private void DeleteRegister()
        {
            var key = Register();
            if (Read(key) is not null)                       // deleting what is absent writes nothing, in the engine either
                Write(key, null);
        }

        private void ScanRegisters()
        {
            var low = Register();
            var high = random.Next(2) == 0 ? "register0" : low + "5";
            _accesses.Add(new RangeRead(low, high, [.. _handle.Scan(low, high).Select(p => new RegisterRead(p.Key, Number(p.Value)))]));
        }

        private void ReadBank()
        {
            _bankRead = _handle.Scan("account/", "account0").ToDictionary(p => p.Key, p => Number(p.Value));
        }

        /// <summary>In two steps, so that others come between.</summary>
        private List<Action> Transfer()
        {
            var source = Account(random.Next(work._options.Keys));
            var target = Account(random.Next(work._options.Keys));
            var amount = random.Next(1, 20);
            return source == target ? [ReadBank] :
            [
                () => _handle.Put(source, Text(Number(_handle.Get(source)!) - amount)),
                () => _handle.Put(target, Text(Number(_handle.Get(target)!) + amount)),
            ];
        }

        private void PutFork()
        {
            var value = NewValue();
            Write($"fork/{(value / 4).ToString("D3", CultureInfo.InvariantCulture)}/{(value % 4).ToString(CultureInfo.InvariantCulture)}", value);
        }

        private void ReadFork()
        {
            var group = $"fork/{(Interlocked.Read(ref work._lastValue) / 4).ToString("D3", CultureInfo.InvariantCulture)}";
            var pairs = _handle.Scan(group + "/", group + "0");
            _forkRead = [.. pairs.Select(p => p.Key)];
            _accesses.Add(new RangeRead(group + "/", group + "0", [.. pairs.Select(p => new RegisterRead(p.Key, Number(p.Value)))]));
        }
    }
}
