using System.Globalization;
using System.Text;

// The isolation table (H1), after Martin Kleppmann's "Hermitage" scripts: for each anomaly an interleaving of two or three clients
// that would show it. Nobody waits for anybody: a store that is optimistic ends one of them with a refusal, which is legal.
//
//   P4, lost update            T1 get a -> 10
//                                                 T2 get a -> 10
//                              T1 put a 11
//                                                 T2 put a 11
//                              T1 commit -> ok
//                                                 T2 commit -> must be refused
//
// Each script asks one question of what was seen (Shows: is the anomaly there?) and has one expectation for each level:
//   Prevented   the anomaly must not show; any refusal is legal
//   Shown       the script must show it, with all clients committed: otherwise the level is mislabelled
//   Open        both are legal (the rules do not say whether a store compares ranges it also writes into)
// Independently of that, the trace goes to the serializability judge, which must find nothing that the level does not allow.
namespace Cairn.Tests.Checkers;

internal enum Expectation
{
    Prevented,
    Shown,
    Open,
}

/// <param name="Name">Of the table, such as <c>P4</c>.</param>
/// <param name="Story">What would go wrong.</param>
/// <param name="Play">The interleaving.</param>
/// <param name="Shows">Is the anomaly in what was seen?</param>
/// <param name="Serializable">Expected at that level.</param>
/// <param name="Snapshot">Expected at that level.</param>
internal sealed record HermitageScript(
    string Name, string Story, Action<HermitageStage> Play, Func<HermitageStage, bool> Shows,
    Expectation Serializable = Expectation.Prevented, Expectation Snapshot = Expectation.Prevented)
{
    public override string ToString() => Name;
}

/// <param name="Failure">Null when the script ended as it must.</param>
/// <param name="HasShown">The anomaly was there.</param>
/// <param name="Transcript">Every step and what it answered.</param>
internal sealed record HermitageReport(string? Failure, bool HasShown, string Transcript);

internal static class Hermitage
{
    private const string A = "row/a";
    private const string B = "row/b";
    private const string C = "row/c";
    private const string D = "row/d";

    /// <summary>All scripts. Every stage begins with a = 10 and b = 20; c and d are absent.</summary>
    internal static IReadOnlyList<HermitageScript> Scripts { get; } =
    [
        new("G0", "two writers interleave and the result is a mix of both", s =>
        {
            s.T1.Put(A, 11);
            s.T2.Put(A, 12);
            s.T1.Put(B, 21);
            s.T1.Commit();
            s.T2.Put(B, 22);
            s.T2.Commit();
        }, s => (s.Final(A), s.Final(B)) is not ((11, 21) or (12, 22))),

        new("G1a", "a read of what is rolled back later", s =>
        {
            s.T1.Put(A, 101);
            s.T2.Get(A);
            s.T1.Rollback();
            s.T2.Get(A);
            s.T2.Commit();
        }, s => s.T2.Seen(A).Contains(101)),

        new("G1a by range", "a scan of what is rolled back later", s =>
        {
            s.T1.Put(C, 101);
            s.T2.Scan();
            s.T1.Rollback();
            s.T2.Scan();
            s.T2.Commit();
        }, s => s.T2.Seen(C).Contains(101)),

        new("G1b", "a read of a value that its own writer replaces before it commits", s =>
        {
            s.T1.Put(A, 101);
            s.T2.Get(A);
            s.T1.Put(A, 11);
            s.T1.Commit();
            s.T2.Get(A);
            s.T2.Commit();
        }, s => s.T2.Seen(A).Contains(101)),

        new("G1c", "two transactions each see the write of the other", s =>
        {
            s.T1.Put(A, 11);
            s.T2.Put(B, 22);
            s.T1.Get(B);
            s.T2.Get(A);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2) && s.T1.Seen(B).Contains(22) && s.T2.Seen(A).Contains(11)),

        new("OTV", "a transaction that was seen vanishes again", s =>
        {
            s.T1.Put(A, 11);
            s.T1.Put(B, 19);
            s.T2.Put(A, 12);
            s.T1.Commit();
            s.T3.Get(A);
            s.T2.Put(B, 18);
            s.T3.Get(B);
            s.T2.Commit();
            s.T3.Get(B);
            s.T3.Get(A);
            s.T3.Commit();
        }, s => s.T3.Seen(A).Distinct().Count() > 1 || s.T3.Seen(B).Distinct().Count() > 1
            || (s.T3.Seen(A)[0], s.T3.Seen(B)[0]) is not ((10, 20) or (11, 19) or (12, 18))),

        new("PMP", "a scan repeated finds what another inserted in between", s =>
        {
            s.T1.Scan();
            s.T2.Put(C, 30);
            s.T2.Commit();
            s.T1.Scan();
            s.T1.Get(C);
            s.T1.Commit();
        }, s => s.T1.Seen(C).Contains(30)),

        new("PMP by delete", "a scan repeated misses what another deleted in between", s =>
        {
            s.T1.Scan();
            s.T2.Delete(B);
            s.T2.Commit();
            s.T1.Scan();
            s.T1.Get(B);
            s.T1.Commit();
        }, s => s.T1.Seen(B).Contains(null)),

        new("PMP by write", "a delete of all rows with 20 meets one that has just become something else", s =>
        {
            s.T1.Put(A, 20);
            s.T1.Put(B, 30);
            foreach (var key in s.T2.Scan().Where(p => p.Value == 20).Select(p => p.Key).ToList())
                s.T2.Delete(key);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2) && (s.Final(A), s.Final(B)) is not (20, 30)),

        new("P4", "two clients read one value, and the later overwrites the earlier unseen", s =>
        {
            s.T1.Get(A);
            s.T2.Get(A);
            s.T1.Put(A, 11);
            s.T2.Put(A, 12);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2)),

        new("P4 by creation", "two clients see that a key is absent, and both create it", s =>
        {
            s.T1.Get(C);
            s.T2.Get(C);
            s.T1.Put(C, 31);
            s.T2.Put(C, 32);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2)),

        new("P4 by deletion", "a client updates what another has deleted meanwhile", s =>
        {
            s.T1.Get(A);
            s.T2.Get(A);
            s.T2.Delete(A);
            s.T2.Commit();
            s.T1.Put(A, 11);
            s.T1.Commit();
        }, s => s.AllCommitted(1, 2)),

        new("P4 by absence and return", "a key is created and deleted between the read of its absence and the write (TX-8)", s =>
        {
            s.T1.Get(C);
            s.T2.Put(C, 30);
            s.T2.Commit();
            s.T3.Delete(C);
            s.T3.Commit();
            s.T1.Put(C, 31);
            s.T1.Commit();
        }, s => s.AllCommitted(1, 2, 3)),

        new("G-single", "one read before, one read after a transfer", s =>
        {
            s.T1.Get(A);
            s.T2.Get(A);
            s.T2.Get(B);
            s.T2.Put(A, 12);
            s.T2.Put(B, 18);
            s.T2.Commit();
            s.T1.Get(B);
            s.T1.Commit();
        }, s => s.T1.Seen(B).Contains(18)),

        new("G-single by range", "a scan before, a point read after a transfer", s =>
        {
            s.T1.Scan();
            s.T2.Put(A, 12);
            s.T2.Put(C, 30);
            s.T2.Commit();
            s.T1.Get(C);
            s.T1.Commit();
        }, s => s.T1.Seen(C).Contains(30)),

        new("G-single by write", "a decision on the state before, a write onto the state after", s =>
        {
            s.T1.Get(A);
            s.T1.Scan();
            s.T2.Put(A, 12);
            s.T2.Put(B, 18);
            s.T2.Commit();
            s.T1.Delete(B);
            s.T1.Commit();
        }, s => s.AllCommitted(1, 2)),

        new("G-single by blind write", "a decision on the state before, a blind write onto the state after (TX-15 lets Snapshot do it)", s =>
        {
            s.T1.Get(A);
            s.T2.Put(A, 12);
            s.T2.Put(B, 18);
            s.T2.Commit();
            s.T1.Put(B, 21);
            s.T1.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Open),

        new("G2-item", "write skew: each reads both and writes one", s =>
        {
            s.T1.Get(A);
            s.T1.Get(B);
            s.T2.Get(A);
            s.T2.Get(B);
            s.T1.Put(A, 11);
            s.T2.Put(B, 21);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Shown),

        new("G2-item by absence", "write skew over absent keys: each sees that the other's is not there", s =>
        {
            s.T1.Get(C);
            s.T1.Get(D);
            s.T2.Get(C);
            s.T2.Get(D);
            s.T1.Put(C, 31);
            s.T2.Put(D, 41);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Shown),

        new("G2-item by deletion", "write skew over deletes: each sees the other's key and removes its own", s =>
        {
            s.T1.Get(B);
            s.T2.Get(A);
            s.T1.Delete(A);
            s.T2.Delete(B);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Shown),

        new("G2", "write skew by phantoms: each scans a range and inserts into the other's", s =>
        {
            s.T1.Scan("on-call/x/", "on-call/x0");
            s.T2.Scan("on-call/y/", "on-call/y0");
            s.T1.Put("on-call/y/1", 31);
            s.T2.Put("on-call/x/1", 42);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Shown),

        new("G2 in one range", "write skew by phantoms: both scan a range and both insert into it", s =>
        {
            s.T1.Scan();
            s.T2.Scan();
            s.T1.Put(C, 30);
            s.T2.Put(D, 42);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Open),

        new("G2 by deletion in a range", "one counts a range and writes elsewhere, while the other deletes in it and counts there", s =>
        {
            s.T1.Scan(B, C);
            s.T2.Scan("on-call/", "on-call0");
            s.T1.Put("on-call/1", 31);
            s.T2.Delete(B);
            s.T1.Commit();
            s.T2.Commit();
        }, s => s.AllCommitted(1, 2), Snapshot: Expectation.Shown),

        new("G2 with two edges", "a reader sees a state that the serial order of two writers never had (Fekete's read-only anomaly)", s =>
        {
            s.T1.Get(A);
            s.T1.Get(B);
            s.T2.Get(B);
            s.T2.Put(B, 25);
            s.T2.Commit();
            s.T3.Scan();
            s.T3.Commit();
            s.T1.Put(A, 0);
            s.T1.Commit();
        }, s => s.AllCommitted(1, 2, 3) && s.T3.Seen(B).Contains(25) && s.T3.Seen(A).Contains(10), Snapshot: Expectation.Shown),
    ];

    /// <summary>Plays one script on a fresh store.</summary>
    /// <param name="script">Which.</param>
    /// <param name="store">Empty.</param>
    /// <param name="level">Of all its transactions.</param>
    /// <param name="instead">What must come of it where that is not the script's own expectation.</param>
    internal static HermitageReport Run(
        HermitageScript script, ITransactionalStore store, IsolationLevel level, Expectation? instead = null)
    {
        var stage = new HermitageStage(store, level);
        script.Play(stage);
        stage.End();
        var hasShown = script.Shows(stage);
        var own = level == IsolationLevel.Serializable ? script.Serializable : script.Snapshot;
        var expected = instead ?? own;

        // What must show here and nowhere else is another anomaly than the judge would call it.
        var isJudged = own != Expectation.Prevented || expected != Expectation.Shown;
        var findings = isJudged ? Serializability.Check(stage.Traces).Violations(level) : [];
        string? failure = null;
        if (expected == Expectation.Prevented && hasShown)
            failure = $"{script.Name} shows at {level}: {script.Story}";
        else if (expected == Expectation.Shown && !hasShown)
            failure = $"{script.Name} does not show at {level}: the level is stronger than its name";
        else if (findings.Count > 0)
            failure = $"{script.Name} at {level}: {findings[0]}";
        return new HermitageReport(failure, hasShown, stage.Transcript);
    }
}

/// <summary>Up to three clients over one store. A client begins its transaction, and takes its snapshot, with its first step.</summary>
internal sealed class HermitageStage
{
    private readonly StringBuilder _transcript = new();
    private readonly History _clock = new();
    private readonly ITransactionalStore _store;
    private readonly IsolationLevel _level;
    private readonly List<TransactionTrace> _traces = [];
    private readonly Dictionary<string, long> _final = [];
    private readonly Client?[] _clients = new Client?[4];

    internal HermitageStage(ITransactionalStore store, IsolationLevel level)
    {
        _store = store;
        _level = level;
        var set = new Client(this, 0);
        set.Put("row/a", 10);
        set.Put("row/b", 20);
        set.Commit();
        set.End();
    }

    internal Client T1 => Get(1);

    internal Client T2 => Get(2);

    internal Client T3 => Get(3);

    internal IReadOnlyList<TransactionTrace> Traces => _traces;

    internal string Transcript => _transcript.ToString();

    internal bool AllCommitted(params int[] clients) => clients.All(c => _clients[c]?.Status == TransactionEnd.Committed);

    /// <summary>What a key holds after all.</summary>
    internal long? Final(string key) => _final.TryGetValue(key, out var value) ? value : null;

    internal void End()
    {
        foreach (var client in _clients)
            client?.End();
        var reader = new Client(this, 4);
        foreach (var (key, value) in reader.Scan("", "\uffff"))
            _final[key] = value;
        reader.Commit();
        reader.End();
    }

    private Client Get(int number) => _clients[number] ??= new Client(this, number);

    /// <summary>One client with one transaction. After a refusal its further steps do nothing: a client would stop, too.</summary>
    internal sealed class Client
    {
        private readonly HermitageStage _stage;
        private readonly int _number;
        private readonly long _begin;
        private readonly ITransactionHandle _handle;
        private readonly List<Access> _accesses = [];
        private readonly List<(string Key, long? Value)> _seen = [];
        private ulong _sequence;
        private long _end;

        internal Client(HermitageStage stage, int number)
        {
            (_stage, _number) = (stage, number);
            _begin = stage._clock.Next();
            _handle = stage._store.Begin(stage._level);
        }

        internal TransactionEnd? Status { get; private set; }

        /// <summary>All answers about a key, in order; null = absent.</summary>
        internal IReadOnlyList<long?> Seen(string key) => [.. _seen.Where(s => s.Key == key).Select(s => s.Value)];

        internal void Get(string key) => Step($"get {key}", () =>
        {
            var value = Number(_handle.Get(key));
            _seen.Add((key, value));
            _accesses.Add(new RegisterRead(key, value));
            return Text(value);
        });

        internal IReadOnlyList<KeyValuePair<string, long>> Scan(string low = "row/", string high = "row0")
        {
            IReadOnlyList<KeyValuePair<string, long>> pairs = [];
            Step($"scan [{low}, {high})", () =>
            {
                pairs = [.. _handle.Scan(low, high).Select(p => KeyValuePair.Create(p.Key, Number(p.Value)!.Value))];
                foreach (var key in (string[])["row/a", "row/b", "row/c", "row/d"])
                {
                    if (string.CompareOrdinal(low, key) <= 0 && string.CompareOrdinal(key, high) < 0)
                        _seen.Add((key, pairs.Where(p => p.Key == key).Select(p => (long?)p.Value).FirstOrDefault()));
                }

                _accesses.Add(new RangeRead(low, high, [.. pairs.Select(p => new RegisterRead(p.Key, p.Value))]));
                return string.Join(", ", pairs.Select(p => $"{p.Key}={p.Value}"));
            });
            return pairs;
        }

        internal void Put(string key, long value) => Step($"put {key} {value}", () =>
        {
            _handle.Put(key, Text(value));
            _accesses.Add(new RegisterWrite(key, value));
            return "";
        });

        internal void Delete(string key) => Step($"delete {key}", () =>
        {
            _handle.Delete(key);
            _accesses.Add(new RegisterWrite(key, null));
            return "";
        });

        internal void Commit() => Step("commit", () =>
        {
            _sequence = _handle.Commit();
            Status = TransactionEnd.Committed;
            _end = _stage._clock.Next();
            return $"@{_sequence}";
        });

        internal void Rollback() => Step("rollback", () =>
        {
            _handle.Rollback();
            Status = TransactionEnd.Aborted;
            _end = _stage._clock.Next();
            return "";
        });

        internal void End()
        {
            if (Status is null)
                Rollback();
            _stage._traces.Add(new TransactionTrace(_number, _number, _begin, _end, Status!.Value, _sequence, _accesses, _handle.ReadAt));
            _handle.Dispose();
        }

        private void Step(string what, Func<string> step)
        {
            if (Status is not null)
                return;
            string answer;
            try
            {
                answer = step();
            }
            catch (RefusedException refused)
            {
                Status = TransactionEnd.Aborted;
                _end = _stage._clock.Next();
                answer = refused.Message;
            }

            _stage._transcript.Append(CultureInfo.InvariantCulture, $"T{_number} {what}{(answer.Length == 0 ? "" : $" -> {answer}")}\n");
        }

        private static long? Number(string? text) => text is null ? null : long.Parse(text, CultureInfo.InvariantCulture);

        private static string Text(long? number) => number?.ToString(CultureInfo.InvariantCulture) ?? "absent";
    }
}
