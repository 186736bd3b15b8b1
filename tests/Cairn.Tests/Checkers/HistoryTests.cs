using System.Text.Json;
using Xunit;

namespace Cairn.Tests.Checkers;

public sealed class HistoryTests
{
    [Fact]
    public void A_call_that_never_ends_is_unknown()
    {
        var history = new History();
        history.Invoke(0, "put", "x", "1").Ok("", 7);
        history.Invoke(1, "put", "x", "2");
        history.Invoke(2, "put", "x", "3").Fail("Busy");

        var calls = history.Calls();

        Assert.Equal([Outcome.Ok, Outcome.Unknown, Outcome.Fail], calls.Select(c => c.Outcome));
        Assert.Equal(long.MaxValue, calls[1].End);
        Assert.Equal(7UL, calls[0].Sequence);
    }

    [Fact]
    public void Calls_of_many_threads_are_all_there_and_never_overlap_within_a_process()
    {
        var history = new History();
        var threads = Enumerable.Range(0, 4).Select(p => new Thread(() =>
        {
            for (var i = 0; i < 1_000; i++)
                history.Invoke(p, "append", "log", $"{i}").Ok($"{i}");
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());

        var calls = history.Calls();

        Assert.Equal(4_000, calls.Count);
        Assert.Equal(8_000, calls.SelectMany(c => new[] { c.Begin, c.End }).Distinct().Count());
        foreach (var process in calls.GroupBy(c => c.Process))
            Assert.All(process.Zip(process.Skip(1)), p => Assert.True(p.First.End < p.Second.Begin));
    }

    [Fact]
    public void A_history_survives_a_file_and_a_torn_last_line()
    {
        var history = new History();
        history.Invoke(0, "cas", "x", "0", "ä\n").Ok("VersionMismatch 3");
        history.Invoke(1, "get", "x").Unknown("cut");
        var file = new StringWriter();
        JsonLines.Write(file, history.Calls());

        var whole = JsonLines.Read<RecordedCall>(new StringReader(file.ToString()));
        var torn = JsonLines.Read<RecordedCall>(new StringReader(file.ToString()[..^20]));

        Assert.Equal(history.Calls().Select(c => c.ToString()), whole.Select(c => c.ToString()));
        Assert.Single(torn);
        Assert.Throws<JsonException>(() => JsonLines.Read<RecordedCall>(new StringReader("{\n" + file)));
    }

    [Fact]
    public void Transactions_survive_a_file()
    {
        TransactionTrace[] traces =
        [
            new(1, 0, 1, 4, TransactionEnd.Committed, 9, [new ListRead("l", [1, 2]), new ListAppend("l", 3), new RegisterWrite("r", null)], 8),
            new(2, 1, 2, long.MaxValue, TransactionEnd.Unknown, 0, [new RangeRead("a", "b", [new RegisterRead("a", 1, 4)]), new RegisterRead("c", null)]),
        ];
        var file = new StringWriter();
        JsonLines.Write(file, traces);

        var read = JsonLines.Read<TransactionTrace>(new StringReader(file.ToString()));

        Assert.Equal(traces.Select(t => t.ToString()), read.Select(t => t.ToString()));
        Assert.Equal(8UL, read[0].ReadAt);
    }
}
