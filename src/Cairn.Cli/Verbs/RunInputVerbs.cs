using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run inputs</c>: what a run was answered; <c>cairn run substitute</c>: what if it had been another answer.</summary>
internal static class RunInputVerbs
{
    private const int TextMax = 60;

    internal static Verb Inputs()
    {
        var run = RunVerbs.RunArgument();
        var ordinal = new Argument<long?>("ordinal")
        {
            Description = "Only this input, with all of its request and answer; counted from 0.", Arity = ArgumentArity.ZeroOrOne,
        };
        var kind = new Option<InputKind?>("--kind")
        {
            Description = "Only inputs of this kind: model, tool, embedding, clock, random or user.", HelpName = "KIND",
        };
        var limit = Parts.Limit("inputs");
        return new Verb(
            "inputs", "Lists the recorded inputs of a run: what a model, a tool, a clock, chance or a person was asked and answered.",
            "cairn run inputs refund-4711\ncairn run inputs refund-4711 3 --json", Needs.ReadDatabase,
            call =>
            {
                var found = RunNames.Find(call.Database, call.Get(run));
                if (call.Get(ordinal) is not { } asked)
                    return List(call, found, call.Get(kind), call.Get(limit));
                if (call.IsGiven(kind) || call.IsGiven(limit))
                    throw new UsageException("One input is asked for: --kind and --limit have no meaning.");
                return Find(call, found, asked) is { } input ? Tell(call, input) : call.Absent("ordinal", asked);
            },
            run, ordinal, kind, limit);
    }

    internal static Verb Substitute()
    {
        var run = RunVerbs.RunArgument();
        var ordinal = new Argument<long>("ordinal") { Description = "The input, counted from 0, as 'cairn run inputs' lists them." };
        var value = new Option<string?>("--value")
        {
            Description = "The other answer; - reads standard input. Of a stream an array of its items.", HelpName = "VALUE",
        };
        var type = ValueText.TypeOption("json");
        var name = new Option<string?>("--name") { Description = "Name of the fork. Default: none.", HelpName = "NAME" };
        return new Verb(
            "substitute",
            "Forks a run right before the commit that holds an input, answers that input otherwise there, and prints the fork's id: what "
            + "if the tool had said X.",
            "cairn run substitute refund-4711 3 --value '{\"status\":\"lost\"}' --name refund-4711-lost", Needs.WriteDatabase,
            call =>
            {
                var found = RunNames.Find(call.Database, call.Get(run));
                var answer = ValueText.Read(call, call.Get(value), call.Get(type)!);
                if (Find(call, found, call.Get(ordinal)) is not { } input)
                    return call.Absent("ordinal", call.Get(ordinal));
                if (input.IsRedacted)
                {
                    throw new RefusedException(
                        ErrorCode.InvalidArgument, $"Input {input.Ordinal} was redacted: nobody knows any more what was asked.");
                }

                if (input.IsStream && answer.Kind != ValueKind.Array)
                    throw new UsageException($"Input {input.Ordinal} was answered by a stream: give an array of its items.");
                return Substitute(call, found, input, answer, call.Get(name));
            },
            run, ordinal, value, type, name);
    }

    private static int Substitute(Call call, Run run, RecordedInput input, Value answer, string? name)
    {
        // Those that the same commit holds before it come as they were.
        var before = call.Pages(null, (limit, cursor) => run.ListInputs(limit, cursor))
            .Where(other => other.Sequence == input.Sequence && other.Ordinal < input.Ordinal).ToList();
        RunInfo info;
        using (var replay = call.Runs.ReplayInputs(run.Id, new InputReplayOptions
        {
            From = input.Ordinal, Name = name, Substitutions = [InputSubstitution.At(input.Ordinal, answer)],
        }))
        {
            try
            {
                foreach (var asked in before.Append(input))
                    Ask(replay.Run, asked);
                replay.Run.CommitInputs();
                info = replay.Run.Info;
            }
            catch
            {
                call.Runs.Delete(replay.Run.Id);             // a fork without its answer is not what was asked for
                throw;
            }
        }

        return call.Answer(
            info.Id.ToString(),
            ("id", info.Id.ToString()),
            ("name", (Value)info.Name),
            ("parent", run.Id.ToString()),
            ("fork_sequence", Failures.Number(info.ForkSequence!.Value)),
            ("sequence", Failures.Number(info.LastSequence)),
            ("ordinal", input.Ordinal),
            ("kind", KindOf(input)),
            ("was", input.Answer ?? Value.Null),
            ("answer", answer));
    }

    private static void Ask(Run run, RecordedInput asked)
    {
        if (asked.IsRedacted)
        {
            throw new RefusedException(
                ErrorCode.InvalidArgument, $"Input {asked.Ordinal} of the same commit was redacted, so the fork cannot have it.");
        }

        var options = new InputOptions { Name = asked.Name, Trace = asked.Trace };
        try
        {
            if (!asked.IsStream)
            {
                run.Input(asked.Kind, asked.Request!.Value, NotLive, options);
                return;
            }

            var items = run.InputStreamAsync(asked.Kind, asked.Request!.Value, _ => throw NotAnswered(), options);
            foreach (var _ in items.ToBlockingEnumerable())
            {
            }
        }
        catch (InputFailedException) when (asked.Failure is not null)
        {
            // It failed when it was recorded, and is kept as that.
        }

        static Value NotLive() => throw NotAnswered();

        static InvalidOperationException NotAnswered() => new("A recorded input is answered from the recording.");
    }

    private static RecordedInput? Find(Call call, Run run, long ordinal) =>
        call.Pages(null, (limit, cursor) => run.ListInputs(limit, cursor)).FirstOrDefault(input => input.Ordinal == ordinal);

    private static int List(Call call, Run run, InputKind? kind, int? limit) => call.List(
        call.Pages(null, (count, cursor) => run.ListInputs(count, cursor)).Where(input => kind is null || input.Kind == kind)
            .Take(limit ?? int.MaxValue),
        Json,
        new Column<RecordedInput>("input", input => Show.Plain(input.Ordinal), Justify.Right),
        new Column<RecordedInput>("commit", input => input.Sequence.ToString(), Justify.Right),
        new Column<RecordedInput>("kind", input => KindOf(input)),
        new Column<RecordedInput>("name", input => input.Name ?? "-"),
        new Column<RecordedInput>("took", input => Show.Duration(input.Duration), Justify.Right),
        new Column<RecordedInput>("request", input => Cut(input.Request)),
        new Column<RecordedInput>("answer", Answered));

    private static int Tell(Call call, RecordedInput input) => call.Figures(
        Value.Object(Json(input)),
        [
            ("input", Show.Plain(input.Ordinal)),
            ("commit", input.Sequence.ToString()),
            ("event", input.Number.ToString()),
            ("kind", KindOf(input)),
            ("name", input.Name ?? "-"),
            ("mark", input.Mark.ToString()),
            ("took", Show.Duration(input.Duration)),
            ("request hash", input.RequestHash.ToString()),
            ("request", input.Request is { } request ? request.ToJson() : "(redacted)"),
            ("answer", input.Failure is { } failure ? $"{failure.Type}: {failure.Message}" : input.Answer?.ToJson() ?? "(redacted)"),
        ]);

    private static (string Name, Value Value)[] Json(RecordedInput input) =>
    [
        ("ordinal", input.Ordinal),
        ("sequence", Failures.Number(input.Sequence)),
        ("event", (long)input.Number.Value),
        ("kind", KindOf(input)),
        ("name", input.Name),
        ("mark", input.Mark.ToString()),
        ("duration_us", input.Duration.Ticks / TimeSpan.TicksPerMicrosecond),
        ("request", input.Request ?? Value.Null),
        ("request_hash", input.RequestHash.ToString()),
        ("answer", input.Answer ?? Value.Null),
        ("failure", input.Failure is { } failure
            ? Value.Object(("type", failure.Type), ("message", failure.Message))
            : Value.Null),
        ("answered_before", input.AnsweredBefore),
        ("stream", input.IsStream),
        ("cut", input.IsCut),
        ("redacted", input.IsRedacted),
    ];

    private static string KindOf(RecordedInput input) => input.Kind.ToString().ToLowerInvariant();

    private static string Answered(RecordedInput input) => input.Failure is { } failure ? $"failed: {failure.Type}" : Cut(input.Answer);

    private static string Cut(Value? value)
    {
        if (value is not { } given)
            return "(redacted)";
        var text = given.ToJson();
        if (text.Length <= TextMax)
            return text;
        var end = char.IsHighSurrogate(text[TextMax - 1]) ? TextMax - 1 : TextMax;
        return string.Create(CultureInfo.InvariantCulture, $"{text[..end]}... ({text.Length} characters)");
    }
}
