using Cairn.Agents;
using Microsoft.Extensions.AI;
using Xunit;

namespace Cairn.Tests.Agents;

/// <summary>AGT-3: the messages of a conversation in a run.</summary>
[Trait("Requirement", "AGT-3")]
public sealed class ChatHistoryTests
{
    private static ChatMessage Say(string text) => new(ChatRole.User, text);

    private static IEnumerable<string> Texts(IEnumerable<ChatMessage> messages) => messages.Select(message => message.Text);

    [Fact]
    public void Messages_come_back_in_order_with_all_that_has_a_form()
    {
        using var db = CairnDatabase.OpenInMemory();
        var history = new ChatHistory(db.Default);
        Assert.Empty(history.Read());
        var call = new ChatMessage(
            ChatRole.Assistant,
            [
                new TextContent("looking"),
                new FunctionCallContent("c1", "look", new Dictionary<string, object?> { ["at"] = "x", ["n"] = 3 }),
                new DataContent(new byte[] { 1, 2, 3 }, "image/png"),
            ])
        {
            MessageId = "m1", AuthorName = "planner", CreatedAt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(1)),
            AdditionalProperties = new() { ["mood"] = "calm" },
        };
        history.Append(Say("hello"), call, new ChatMessage(ChatRole.Tool, [new FunctionResultContent("c1", "seen")]));
        history.Append();
        var read = history.Read();
        Assert.Equal(3, history.Count);
        Assert.Equal([ChatRole.User, ChatRole.Assistant, ChatRole.Tool], read.Select(message => message.Role));
        Assert.Equal(("m1", "planner", call.CreatedAt), (read[1].MessageId, read[1].AuthorName, read[1].CreatedAt));
        Assert.Equal("calm", read[1].AdditionalProperties!["mood"]!.ToString());
        var asked = Assert.IsType<FunctionCallContent>(read[1].Contents[1]);
        Assert.Equal(("c1", "look", "x"), (asked.CallId, asked.Name, asked.Arguments!["at"]!.ToString()));
        Assert.Equal([1, 2, 3], Assert.IsType<DataContent>(read[1].Contents[2]).Data.ToArray());
        Assert.Equal("seen", Assert.IsType<FunctionResultContent>(read[2].Contents[0]).Result!.ToString());
        Assert.Equal(["seen"], history.Read(last: 1).Select(m => ((FunctionResultContent)m.Contents[0]).Result!.ToString()));
    }

    [Fact]
    public async Task Histories_of_a_run_stand_beside_each_other_and_a_transaction_takes_its_messages_with_it()
    {
        using var db = CairnDatabase.OpenInMemory();
        var (main, other) = (new ChatHistory(db.Default), new ChatHistory(db.Default, "other"));
        main.Append(Say("a"));
        await other.AppendAsync([Say("b"), Say("c")], TestContext.Current.CancellationToken);
        db.Default.Events.Append("note", Value.Object());
        db.Default.Transact(tx =>
        {
            main.Append(tx, Say("d"));
            tx.Kv.Put("k", 1);
        });
        Assert.Throws<InvalidOperationException>(() => db.Default.Transact(tx =>
        {
            main.Append(tx, Say("never"));
            throw new InvalidOperationException("no");
        }));
        Assert.Equal(["a", "d"], Texts(main.Read()));
        Assert.Equal(["b", "c"], Texts(other.Read()));
    }

    [Fact]
    public void A_long_history_is_read_whole_or_from_its_end_and_begins_anew()
    {
        using var db = CairnDatabase.OpenInMemory();
        var history = new ChatHistory(db.Default);
        for (var i = 0; i < 2_500; i++)
        {
            history.Append(Say($"{i}"));
            if (i % 3 == 0)
                db.Default.Events.Append("other", Value.Object());
        }

        Assert.Equal(Enumerable.Range(0, 2_500).Select(i => $"{i}"), Texts(history.Read()));
        Assert.Equal(Enumerable.Range(1_000, 1_500).Select(i => $"{i}"), Texts(history.Read(1_500)));
        history.Clear();
        Assert.Equal(0, history.Count);
        Assert.Empty(history.Read());
        history.Append(Say("new"));
        Assert.Equal(["new"], Texts(history.Read()));
        Assert.Equal(["new"], Texts(history.Read(10)));
        Assert.Equal(1, history.Count);
    }

    [Fact]
    public void What_is_redacted_is_passed_over_and_what_is_no_message_is_told()
    {
        using var db = CairnDatabase.OpenInMemory();
        var history = new ChatHistory(db.Default);
        history.Append(Say("a"), Say("secret"), Say("b"));
        db.Default.Events.Redact(1, "asked for");
        Assert.Equal(["a", "b"], Texts(history.Read()));
        db.Default.Events.Append("chat.main", Value.Object(("role", 7)));
        Assert.Contains("#4", Assert.Throws<InvalidDataException>(() => history.Read()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_limits_and_ended_runs_are_refused_before_anything_is_written()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { Limits = new Limits { ValueBytesMax = 2_000 } });
        Assert.Throws<ArgumentException>(() => new ChatHistory(db.Default, ""));
        Assert.Equal(ErrorCode.InvalidName, Code(() => new ChatHistory(db.Default, "a/b").Append(Say("x"))));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => new ChatHistory(db.Default, new string('n', 252)).Append(Say("x"))));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => new ChatHistory(db.Default).Append(Say("x"), Say(new string('x', 3_000)))));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ChatHistory(db.Default).Read(-1));
        Assert.Equal(0, db.Default.Events.Count());
        var ended = db.Runs.Begin("ended");
        ended.Complete();
        Assert.Equal(ErrorCode.RunClosed, Code(() => new ChatHistory(ended).Append(Say("x"))));

        static ErrorCode Code(Action action) => Assert.ThrowsAny<CairnException>(action).Code;
    }
}
