using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run inputs</c>: what a run was answered.</summary>
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
