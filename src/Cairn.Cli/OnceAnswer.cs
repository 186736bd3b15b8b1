using System.Globalization;

namespace Cairn.Cli;

/// <summary>
/// A writing verb under <c>--once KEY</c> or <c>--require CELL=COUNTER</c>: it runs in one transaction, which is guarded by the cells and
/// remembers the key and what the verb answered, so that a repeat writes nothing and prints the same. What is not known before the
/// commit, its sequence, is left open in the answer and put there when it is printed. A failure is no answer and is not remembered.
/// </summary>
internal sealed class OnceAnswer(Transaction transaction)
{
    private const string Exit = "exit";
    private const string Rows = "rows";
    private const string Texts = "texts";
    private const string Sequence = "sequence";

    private readonly List<Value> _rows = [];
    private readonly List<Value> _texts = [];

    internal Transaction Transaction { get; } = transaction;

    internal static int Run(Call call, string? key, string[] guards, Func<Call, int> verb)
    {
        var cells = guards.Select(Parse).ToList();
        if (key is not null)
            return Print(call, call.Run.TransactOnce(key, Body), isOnce: true);
        using var guarded = call.Run.BeginTransaction();
        var answer = Body(guarded);
        return Print(call, new OnceOutcome(guarded.Commit(), false) { Answer = answer }, isOnce: false);

        Value Body(Transaction transaction)
        {
            foreach (var (cell, counter) in cells)
                transaction.State.Require(cell, counter);
            var kept = new OnceAnswer(transaction);
            call.Once = kept;
            try
            {
                return kept.ToValue(verb(call));
            }
            finally
            {
                call.Once = null;
            }
        }
    }

    private static (string Cell, Counter Counter) Parse(string guard)
    {
        var equals = guard.LastIndexOf('=');
        return equals > 0 && ulong.TryParse(guard.AsSpan(equals + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var counter)
            ? (guard[..equals], new Counter(counter))
            : throw new UsageException($"'{guard}' is no guard. Write --require CELL=COUNTER, with a counter from 0.");
    }

    /// <summary>Takes a line of the answer.</summary>
    internal int Keep(string text, Value row)
    {
        _texts.Add(text);
        _rows.Add(row);
        return ExitCodes.Ok;
    }

    private Value ToValue(int exit) =>
        Value.Object((Exit, exit), (Rows, Value.Array(_rows)), (Texts, Value.Array(_texts)));

    private static int Print(Call call, OnceOutcome outcome, bool isOnce)
    {
        var (rows, texts) = (outcome.Answer[Rows].AsArray(), outcome.Answer[Texts].AsArray());
        for (var i = 0; i < rows.Count; i++)
        {
            var hasSequence = rows[i].TryGetMember(Sequence, out _);
            if (call.IsJson)
            {
                var members = rows[i].AsObject().Where(member => member.Key != Sequence);
                if (isOnce)
                    members = members.Append(KeyValuePair.Create("repeat", (Value)outcome.IsRepeat));
                if (hasSequence)
                    members = members.Append(KeyValuePair.Create(Sequence, Failures.Number(outcome.Sequence)));
                call.Streams.Out.WriteLine(Value.Object(members).ToJson());
                continue;
            }

            call.Streams.Out.WriteLine(hasSequence ? $"{texts[i].AsString()} {outcome.Sequence}".TrimStart() : texts[i].AsString());
        }

        if (outcome.IsRepeat && !call.IsJson)
            call.Streams.Error.WriteLine($"cairn: this key was used before, by the commit {outcome.Sequence}: nothing was written");
        return (int)outcome.Answer[Exit].AsInt64();
    }
}
