using Cairn.Agents;
using Microsoft.Extensions.DependencyInjection;

namespace Cairn.Samples.Agent;

public static class Program
{
    private const string Question = "What do my notes cost together?";

    public static async Task Main()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-sample-").FullName;
        try
        {
            await RunAsync(directory, Console.Out);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    public static async Task RunAsync(string directory, TextWriter output)
    {
        await using var services = new ServiceCollection()
            .AddCairn(options => options.Directory = Path.Combine(directory, "db")).Services
            .BuildServiceProvider();
        var database = services.GetRequiredService<CairnDatabase>();

        var notes = Directory.CreateDirectory(Path.Combine(directory, "notes")).FullName;
        await File.WriteAllTextAsync(Path.Combine(notes, "bread.txt"), "bread was 4 euros");
        await File.WriteAllTextAsync(Path.Combine(notes, "tent.txt"), "the tent was 180 euros");
        using var model = new OfflineModel();
        var run = database.Runs.Begin("notes");
        var tools = NotesAgent.Tools(notes);
        await output.WriteLineAsync($"recorded: {await NotesAgent.AnswerAsync(run, model, tools, Question)}");
        foreach (var input in run.ListInputs())
            await output.WriteLineAsync($"  input {input.Ordinal}: {input.Kind} {input.Name}");

        // The same again: the notes are gone, and no model is asked.
        Directory.Delete(notes, recursive: true);
        using (var replay = database.Runs.ReplayInputs(run.Id))
        {
            var answer = await NotesAgent.AnswerAsync(replay.Run, null, tools, Question);
            await output.WriteLineAsync($"replayed: {answer} {replay.Report.Used} inputs from the recording, {replay.Report.Live} live");
        }

        // What if the tent had been cheaper? Strict: where does it matter first?
        var tent = run.ListInputs().First(
            input => input.Name == "read_note" && input.Request!.Value["name"].AsString() == "tent.txt");
        InputSubstitution[] cheaper = [InputSubstitution.At(tent.Ordinal, "the tent was 90 euros")];
        using (var replay = database.Runs.ReplayInputs(run.Id, new InputReplayOptions { Substitutions = cheaper }))
        {
            try
            {
                await NotesAgent.AnswerAsync(replay.Run, null, tools, Question);
            }
            catch (ReplayDivergenceException parted)
            {
                await output.WriteLineAsync($"changed: input {tent.Ordinal}; it matters first at input {parted.Step}, {parted.Difference}");
            }
        }

        // And with a model at hand: what would it have said?
        using (var replay = database.Runs.ReplayInputs(
            run.Id, new InputReplayOptions { Mode = ReplayMode.Lenient, Substitutions = cheaper }))
        {
            var answer = await NotesAgent.AnswerAsync(replay.Run, model, tools, Question);
            await output.WriteLineAsync($"what if: {answer} {replay.Report.Live} live");
        }
    }
}
