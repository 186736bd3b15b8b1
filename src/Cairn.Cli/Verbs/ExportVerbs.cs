using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn export ...</c>, and <c>cairn import jsonl</c>.</summary>
internal static class ExportVerbs
{
    internal static Group Group() => new("export", "The content of runs as lines, for other tools and other databases.", Lines(), Traces());

    private static Option<string[]> Only() => new("--only")
    {
        Description = "Only this run, by name or id; may be given often. Default: all runs.",
        HelpName = "RUN",
    };

    private static Argument<string> Target() => new("file") { Description = "A new file; - is standard output." };

    private static Verb Lines()
    {
        var (file, only) = (Target(), Only());
        return new Verb(
            "jsonl",
            "Writes runs as lines of JSON, as they are at one commit: values, cells with counters, events with hashes, traces, records.",
            "cairn export jsonl memory.jsonl\ncairn export jsonl - --only refund-4711", Needs.ReadDatabase,
            call => Write(call, call.Get(file), call.Get(only), (target, options, cancellationToken) =>
                call.Database.Export(target, options, cancellationToken)),
            file, only);
    }

    private static Verb Traces()
    {
        var (file, only) = (Target(), Only());
        return new Verb(
            "traces", "Writes the traces of runs as CSV, one row each, for tables and statistics.",
            "cairn export traces traces.csv --only refund-4711", Needs.ReadDatabase,
            call => Write(call, call.Get(file), call.Get(only), (target, options, cancellationToken) =>
                call.Database.ExportTraces(target, options, cancellationToken)),
            file, only);
    }

    private static int Write(
        Call call, string file, string[]? only, Func<Stream, ExportOptions, CancellationToken, ExportReport> export)
    {
        RunId[]? runs = only is { Length: > 0 } names ? [.. names.Select(name => RunNames.Find(call.Database.Runs, name, begin: false).Id)]
            : null;
        if (file == "-")
        {
            call.Streams.Out.Flush();
            using var text = new TextTarget(call.Streams.Out);
            using var interruption = new Interruption();
            export(text, new ExportOptions { Runs = runs }, interruption.Token);
            return ExitCodes.Ok;
        }

        var report = call.Watched("exporting", (progress, cancellationToken) => WriteFile(file, target =>
            export(target, new ExportOptions { Runs = runs, Progress = progress }, cancellationToken)));
        return call.Answer(
            $"{file}: {Show.Number(report.Lines)} lines, {Show.Bytes(report.Bytes)}, {Show.Number(report.Runs)} run(s), sequence "
                + $"{report.Sequence.Value}",
            ("file", file), ("lines", report.Lines), ("bytes", report.Bytes), ("runs", report.Runs),
            ("sequence", Failures.Number(report.Sequence)));
    }

    // Under its name when it is whole, never over a file that is there.
    internal static T WriteFile<T>(string file, Func<Stream, T> write)
    {
        if (File.Exists(file) || Directory.Exists(file))
            throw new RefusedException(ErrorCode.AlreadyExists, $"{file} exists. Name a new file.");
        var part = file + ".part";
        try
        {
            T report;
            using (var target = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
                report = write(target);
            File.Move(part, file, overwrite: false);
            return report;
        }
        catch
        {
            File.Delete(part);
            throw;
        }
    }

    internal static Verb Import()
    {
        var file = new Argument<string>("file") { Description = "What 'cairn export jsonl' wrote; - is standard input." };
        return new Verb(
            "jsonl",
            "Writes an export into this database. What is there already is passed over, so an import that was interrupted is simply done "
                + "again; what is there and differs is refused with its line.",
            "cairn import jsonl memory.jsonl --db ./copy", Needs.WriteDatabase, call => Import(call, call.Get(file)), file);
    }

    private static int Import(Call call, string file)
    {
        var report = file == "-"
            ? Read(call, new TextSource(call.Streams.In))
            : call.Watched("importing", (progress, cancellationToken) =>
            {
                using var source = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
                return call.Database.Import(source, progress, cancellationToken);
            });
        return call.Answer(
            $"{Show.Number(report.Lines)} lines: {Show.Number(report.Written)} written, {Show.Number(report.Present)} there already, "
                + $"{Show.Number(report.Runs)} run(s) begun",
            ("lines", report.Lines), ("written", report.Written), ("present", report.Present), ("runs", report.Runs));
    }

    private static ImportReport Read(Call call, Stream source)
    {
        using var interruption = new Interruption();
        using (source)
            return call.Database.Import(source, null, interruption.Token);
    }
}
