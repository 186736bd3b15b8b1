using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run export|import</c>: a run in one file.</summary>
internal static class RunFileVerbs
{
    internal static Verb Export()
    {
        var run = RunVerbs.RunArgument();
        var file = new Argument<string>("file") { Description = "A new file." };
        return new Verb(
            "export", "Writes a run into one self-contained file with checks, as it is now.",
            "cairn run export refund-4711 refund-4711.cairnrun", Needs.ReadDatabase,
            call =>
            {
                var found = RunNames.Find(call.Database, call.Get(run));
                var path = call.Get(file);
                var report = call.Watched("exporting", (progress, cancellationToken) => ExportVerbs.WriteFile(path, target =>
                    call.Database.ExportRun(found.Id, target, progress, cancellationToken)));
                return call.Answer(
                    $"{path}: {Show.Number(report.Lines)} lines, {Show.Bytes(report.Bytes)}, content {report.ContentHash}",
                    ("file", path), ("run", report.Run.ToString()), ("lines", report.Lines), ("bytes", report.Bytes),
                    ("sequence", Failures.Number(report.Sequence)), ("content_hash", report.ContentHash.ToString()));
            },
            run, file);
    }

    internal static Verb Import()
    {
        var file = new Argument<string>("file") { Description = "What 'cairn run export' wrote." };
        var name = new Option<string?>("--name")
        {
            Description = "Name of the new run, which gets an id of its own. Default: name and id of the file.", HelpName = "NAME",
        };
        return new Verb(
            "import", "Begins a run with what a file of 'cairn run export' holds. A file that is damaged, cut, newer or something else "
                + "changes nothing; an interrupt takes the run back.",
            "cairn run import refund-4711.cairnrun --name refund-copy --db ./copy", Needs.WriteDatabase,
            call =>
            {
                var report = call.Watched("importing", (progress, cancellationToken) =>
                {
                    using var source = Open(call.Get(file));
                    return call.Database.ImportRun(
                        source, new RunImportOptions { Name = call.Get(name), Progress = progress }, cancellationToken);
                });
                return call.Answer(
                    $"{report.Run}: {Show.Number(report.Lines)} lines, content {report.ContentHash}"
                        + (report.IsExact ? " as in the file" : "; something in the file has expired since it was written"),
                    ("run", report.Run.ToString()), ("original", report.Original.ToString()), ("lines", report.Lines),
                    ("content_hash", report.ContentHash.ToString()), ("exact", report.IsExact));
            },
            file, name);
    }

    private static FileStream Open(string file)
    {
        try
        {
            return new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RefusedException(ErrorCode.NotFound, $"There is no file '{file}'.");
        }
    }
}
