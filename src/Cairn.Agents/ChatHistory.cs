using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>The messages of a conversation, kept as events of a run: in order, for good, and in one commit with what else a transaction
/// writes. Several histories of one run have names. Thread-safe.</summary>
/// <remarks>A message is kept in the JSON form of <see cref="AIJsonUtilities"/>: text, calls and results of tools, data, usage, and
/// additional properties that have such a form; raw representations of a provider are not. In a run that is replayed a history is written
/// again like everything else.</remarks>
public sealed class ChatHistory
{
    private const string TypePrefix = "chat.";

    private readonly Run _run;
    private readonly string _type;

    /// <summary>A history of a run; it begins empty and is made by its first message.</summary>
    /// <param name="run">The run.</param>
    /// <param name="name">What the history is called: with <c>chat.</c> before it the type of its events, so at most
    /// <see cref="Limits.NameBytesMax"/> - 5 bytes of UTF-8, without control characters and <c>/</c>.</param>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    public ChatHistory(Run run, string name = "main")
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentException.ThrowIfNullOrEmpty(name);
        _run = run;
        _type = TypePrefix + name;
    }

    /// <summary>Messages since the last <see cref="Clear"/>, redacted ones too. Costs a read of them if there was one.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted;
    /// <see cref="ErrorCode.InvalidName"/>.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public long Count => First is { Value: > 0 } ? Records(0).Count : _run.Events.CountByType(_type);

    /// <summary>The messages in their order. Those whose event was redacted are passed over.</summary>
    /// <param name="last">Only so many, the newest; 0 = all.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted;
    /// <see cref="ErrorCode.InvalidName"/>.</exception>
    /// <exception cref="InvalidDataException">An event of this type is no message: somebody else has written it.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public IReadOnlyList<ChatMessage> Read(int last = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(last);
        return [.. Records(last).Where(record => !record.IsRedacted).Select(ToMessage)];
    }

    /// <summary>Appends messages, all or none, in one commit.</summary>
    /// <param name="messages">In their order; none is nothing.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.RunClosed"/>, <see cref="ErrorCode.NotFound"/>,
    /// <see cref="ErrorCode.InvalidName"/>.</exception>
    /// <exception cref="LimitException">A message, or all together, are too large; the name is too long.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the outcome may be unknown.</exception>
    public void Append(params IEnumerable<ChatMessage> messages)
    {
        if (ToEvents(messages) is { Length: > 0 } events)
            _run.Events.AppendMany(events);
    }

    /// <summary>Like <see cref="Append(IEnumerable{ChatMessage})"/>, in a transaction of the run: with what else that writes, or not at
    /// all.</summary>
    /// <param name="transaction">A transaction of the same run.</param>
    /// <param name="messages">As there.</param>
    /// <inheritdoc cref="Append(IEnumerable{ChatMessage})" path="/exception"/>
    public void Append(Transaction transaction, params IEnumerable<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(transaction);
        if (ToEvents(messages) is { Length: > 0 } events)
            transaction.Events.AppendMany(events);
    }

    /// <summary>Like <see cref="Append(IEnumerable{ChatMessage})"/>, awaiting durability instead of blocking.</summary>
    /// <param name="messages">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not a commit that has a place in the log.</param>
    /// <inheritdoc cref="Append(IEnumerable{ChatMessage})" path="/exception"/>
    public async Task AppendAsync(IEnumerable<ChatMessage> messages, CancellationToken cancellationToken = default)
    {
        if (ToEvents(messages) is not { Length: > 0 } events)
            return;
        await _run.TransactAsync(
            transaction =>
            {
                transaction.Events.AppendMany(events);
                return ValueTask.FromResult(true);
            },
            cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The history begins anew. The messages stay in the run's past, as all events do; they are not told any more.</summary>
    /// <inheritdoc cref="Append(IEnumerable{ChatMessage})" path="/exception"/>
    public void Clear() => _run.Transact(transaction =>
    {
        var head = transaction.Events.Head();
        transaction.State.Set(_type, head is { } last ? (long)last.Number.Value + 1 : 0);
    });

    private EventNumber First => _run.State.Get(_type) is { Value: { Kind: ValueKind.Int64 } number }
        ? new EventNumber((ulong)number.AsInt64())
        : default;

    private List<EventRecord> Records(int last)
    {
        var records = new List<EventRecord>();
        var first = First;
        if (_run.Events.Floor().Number is var floor && floor > first)
            first = floor;
        string? cursor = null;
        do
        {
            var page = _run.Events.Since(first, new EventScanOptions { Types = [_type], Cursor = cursor, Reverse = last > 0 });
            records.AddRange(last > 0 ? page.Take(last - records.Count) : page);
            cursor = last > 0 && records.Count == last ? null : page.Cursor;
        }
        while (cursor is not null);

        if (last > 0)
            records.Reverse();
        return records;
    }

    private NewEvent[] ToEvents(IEnumerable<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return [.. messages.Select(message => new NewEvent(_type, Converting.ToValue(message)))];
    }

    private static ChatMessage ToMessage(EventRecord record)
    {
        try
        {
            return Converting.FromValue<ChatMessage>(record.Payload!.Value);
        }
        catch (JsonException wrong)
        {
            throw new InvalidDataException($"Event {record.Number} of type {record.Type} is no message of a chat.", wrong);
        }
    }
}
