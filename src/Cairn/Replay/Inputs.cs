// Recorded inputs: what a run cannot know by itself (a model's answer, a tool's, an embedding, the time, chance, a person) is asked
// through run.Input and kept as an event "$input.<kind>", so that the same code can run again without any of them (RPL-20 .. 25).
//
//   the way of an input, recorded                                    replayed
//     ask      inputs that wait for a commit are committed first       the same
//     live     the call, outside every lock                            the recorded answer; nothing is called
//     answer   gets its ordinal; its event waits in memory             the same event, byte for byte
//     effect   the run's next commit carries the event (RPL-21)        the same
//
// I1  An answered input is in exactly one commit: the first one of its run that takes a place after the answer (Transactions/CommitPath.cs,
//     TryCarryInputs), or one of its own when the next input is asked. Who is refused carries nothing, and the input waits on.
// I2  Ordinals are the order of answers, which is the order of events. An input that was asked while another was open says how many had
//     been answered then: so a replay knows which ones may come in another order, and which may not.
// I3  The event stands before what it caused, unless the commit knows the numbers of its own events; then it stands behind them.
// I4  What runs inside a live call is part of its answer: an input asked there is called and not recorded, and a write to the run is
//     refused, because a replay would not do it.
// I5  A transaction's function that runs again gets the answers of the try before, in their order, by kind, name and request. What the
//     try that wins does not ask for again is marked as abandoned.
//
//   payload  an Object; members that are absent do not apply
//     ordinal  Int64        request, or request_bytes    the request, or its canonical encoding when a number in it is not finite
//     hash     32 bytes     answer, or answer_bytes      the same of the answer
//     name     String       failure                      {type, message}, when the call failed
//     trace    16 bytes     duration_us                  Int64
//     before   Int64        inputs answered when it was asked, if fewer than its ordinal
//     stream   String       "whole" or "cut": the answer is an Array of the items that were read
//     mark     String       "substituted", "live" or "abandoned"
//
//   hash     SHA-256 of "cairn input 1", kind u8, length u32 of the name (all ones for none), name, canonical request
//
// What is lost with the process: an input whose live call has ended and that no commit carries yet, with all that was not committed
// either: nothing durable rests on it, and the recording ends before it. The call itself cannot be taken back; who must know of it, calls
// run.CommitInputs at once. Closing the database commits what waits.
//
// What it does not do: it does not watch the clock or chance by itself; code that asks them past run.Input replays differently, and the
// first request that shows it is reported.

using System.Buffers.Binary;
using System.Security.Cryptography;
using Cairn.Codec;
using Cairn.Primitives;

namespace Cairn.Replay;

/// <summary>See the essay above.</summary>
internal static class Inputs
{
    internal const string Whole = "whole";
    internal const string Cut = "cut";

    private const string TypePrefix = "$input.";

    private static readonly string[] KindNames = ["model", "tool", "embedding", "clock", "random", "user"];
    private static readonly string[] MarkNames = ["", "substituted", "live", "abandoned"];

    /// <summary>Event types of all kinds.</summary>
    internal static IReadOnlyList<string> Types { get; } = [.. KindNames.Select(name => TypePrefix + name)];

    internal static string TypeOf(InputKind kind) => Types[(int)kind];

    internal static string NameOf(InputKind kind) => KindNames[(int)kind];

    /// <exception cref="CairnException">Not a kind; a name that cannot be one.</exception>
    internal static void Check(InputKind kind, InputOptions options)
    {
        if ((uint)kind >= (uint)KindNames.Length)
            throw new CairnException(ErrorCode.InvalidArgument, $"{(int)kind} is no kind of input. Use one of InputKind.");
        if (options.Name is { } name)
            KeyRules.EncodeNameForRead(name, stackalloc byte[Limits.NameBytesMax], out _);
    }

    internal static Hash256 HashOf(InputKind kind, string? name, in Value request)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> head = stackalloc byte[5 + Limits.NameBytesMax];
        var length = name is null ? 0 : Utf8.GetBytes(name, head[5..]);
        head[0] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(head[1..], name is null ? uint.MaxValue : (uint)length);
        hash.AppendData("cairn input 1"u8);
        hash.AppendData(head[..(5 + length)]);
        hash.AppendData(request.Encode());
        Span<byte> result = stackalloc byte[Hash256.Size];
        hash.GetHashAndReset(result);
        return new Hash256(result);
    }

    /// <summary>The payload of an input's event.</summary>
    internal static Value ToPayload(RecordedInput input)
    {
        var (request, requestBytes) = Split(input.Request);
        var (answer, answerBytes) = Split(input.Answer);
        return Fields.Write(
            ("ordinal", input.Ordinal),
            ("name", Fields.Of(input.Name)),
            ("request", request),
            ("request_bytes", requestBytes),
            ("hash", Value.Bytes(input.RequestHash.ToArray())),
            ("answer", answer),
            ("answer_bytes", answerBytes),
            ("failure", input.Failure is { } failure
                ? Value.Object(("type", failure.Type), ("message", failure.Message))
                : default(Value?)),
            ("duration_us", input.Duration.Ticks / TimeSpan.TicksPerMicrosecond),
            ("trace", Fields.Of(input.Trace?.Bits)),
            ("before", Fields.Of(input.AnsweredBefore == input.Ordinal ? null : input.AnsweredBefore)),
            ("stream", input.IsStream ? input.IsCut ? Cut : Whole : default(Value?)),
            ("mark", input.Mark == InputMark.Recorded ? default(Value?) : MarkNames[(int)input.Mark]));
    }

    private static (Value? Value, Value? Bytes) Split(Value? value) =>
        value is { Measure.IsFinite: false } given ? (null, Value.Bytes(given.Encode())) : (value, default(Value?));

    /// <summary>Reads an event. False: it is not one of an input, or not as this version writes it.</summary>
    internal static bool TryRead(EventRecord record, out RecordedInput? input)
    {
        input = null;
        var kind = -1;
        for (var i = 0; i < Types.Count && kind < 0; i++)
        {
            if (Types[i] == record.Type)
                kind = i;
        }

        if (kind < 0)
            return false;
        if (record.IsRedacted)
        {
            input = new RecordedInput
            {
                Ordinal = -1,
                Kind = (InputKind)kind,
                IsRedacted = true,
                AnsweredBefore = -1,
                Number = record.Number,
                Sequence = record.Sequence,
            };
            return true;
        }

        return TryRead((InputKind)kind, record.Payload.Value, out input, record.Number, record.Sequence);
    }

    internal static bool IsType(string type) => type.StartsWith(TypePrefix, StringComparison.Ordinal) && Types.Contains(type);

    /// <summary>Whether a value is the payload of an input's event.</summary>
    internal static bool IsPayload(in Value value) => TryRead(default, value, out _, default, default);

    private static bool TryRead(InputKind kind, in Value payload, out RecordedInput? input, EventNumber number, Sequence sequence)
    {
        input = null;
        if (!Fields.TryRead(payload, out var fields)
            || !fields.TryNumber("ordinal", out var ordinal) || ordinal is null
            || !fields.TryText("name", out var name)
            || !TryValue(fields, "request", out var request) || request is null
            || fields.Any("hash") is not { Kind: ValueKind.Bytes } hash || hash.AsBytes().Length != Hash256.Size
            || !TryValue(fields, "answer", out var answer)
            || !TryFailure(fields, out var failure)
            || !fields.TryNumber("duration_us", out var duration)
            || !fields.TryId("trace", out var trace)
            || !fields.TryNumber("before", out var before)
            || !fields.TryText("stream", out var stream)
            || !fields.TryText("mark", out var mark)
            || System.Array.IndexOf(MarkNames, mark ?? "") is var markIndex && markIndex < 0)
            return false;
        input = new RecordedInput
        {
            Ordinal = ordinal.Value,
            Kind = kind,
            Name = name,
            Request = request,
            RequestHash = new Hash256(hash.AsBytes().Span),
            Answer = answer,
            Failure = failure,
            Duration = TimeSpan.FromMicroseconds(duration ?? 0),
            Trace = trace is { } bits ? new TraceId(bits) : null,
            Mark = (InputMark)markIndex,
            AnsweredBefore = before ?? ordinal.Value,
            IsStream = stream is not null,
            IsCut = stream == Cut,
            Number = number,
            Sequence = sequence,
        };
        return true;
    }

    private static bool TryValue(in Fields fields, string name, out Value? value)
    {
        value = fields.Any(name);
        if (value is not null || fields.Any(name + "_bytes") is not { } bytes)
            return true;
        if (bytes.Kind != ValueKind.Bytes || !ValueDecoder.TryDecode(bytes.AsBytes().Span, out var decoded, out _))
            return false;
        value = decoded;
        return true;
    }

    private static bool TryFailure(in Fields fields, out InputFailure? failure)
    {
        failure = null;
        if (fields.Any("failure") is not { } value)
            return true;
        if (!Fields.TryRead(value, out var parts) || !parts.TryNeedText("type", out var type)
            || !parts.TryNeedText("message", out var message))
            return false;
        failure = new InputFailure(type, message);
        return true;
    }
}
