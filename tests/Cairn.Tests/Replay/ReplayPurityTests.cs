using System.Diagnostics;
using Cairn.Tests.Cli;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>The same runs replayed in another process, under another culture, time zone and set of processor features, are the same bit
/// for bit (P5); and replaying leaves no trace on the disk (P2, P4).</summary>
[Trait("Promise", "G10")]
public class ReplayPurityTests
{
    private const int Runs = 40;

    [Fact]
    [Trait("Requirement", "RPL-2")]
    [Trait("Requirement", "RPL-12")]
    public void RPL_P5_Runs_replayed_in_other_processes_under_other_settings_are_bit_equal()
    {
        using var bed = new CliBed();
        var count = Seeds.Scaled(Runs);
        Fill(bed.Path, count);
        var files = Files(bed.Path);
        var here = new Dictionary<string, string>();
        using (var db = CairnDatabase.Open(bed.Path, new CairnOptions { IsReadOnly = true }))
        {
            foreach (var info in All(db))
            {
                using var view = db.Replay(info.Id);
                here[info.Id.ToString()] = view.StateHash().ToString();
            }
        }

        foreach (var settings in new[]
        {
            new[] { ("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("DOTNET_EnableAVX2", "0"), ("DOTNET_EnableSSE42", "0") },
            [("LC_ALL", "de_DE.UTF-8"), ("TZ", "America/St_Johns"), ("DOTNET_TieredCompilation", "0"), ("DOTNET_EnableHWIntrinsic", "0")],
        })
        {
            var there = Replayed(bed.Path, settings);
            Assert.Equal(here.Count + 1, there.Count);       // and the run 'default'
            Assert.All(here, run => Assert.Equal(run.Value, there[run.Key]));
        }

        Assert.Equal(files, Files(bed.Path));
    }

    private static IEnumerable<RunInfo> All(CairnDatabase db)
    {
        string? cursor = null;
        do
        {
            var page = db.Runs.List(new RunFilter { Limit = 1000, Cursor = cursor });
            foreach (var info in page)
                yield return info;
            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    private static void Fill(string path, int runs)
    {
        using var db = CairnDatabase.Open(path, new CairnOptions { Durability = Durability.Buffered, CheckpointLogBytes = 256 << 10 });
        var random = new Random(7);
        for (var i = 0; i < runs; i++)
        {
            var run = db.Runs.Begin("İstanbul-" + i, tags: ["ß", "ı"], metadata: Value.Object(("n", i / 3.0)));
            for (var j = 0; j < 12; j++)
            {
                run.Kv.Put("k" + random.Next(6), Value.Array(random.NextDouble(), new string('ı', random.Next(40)), random.NextInt64()));
                run.Events.Append(j % 2 == 0 ? "İlk" : "ilk", Value.Object(("when", j * 1.1), ("i", j)));
                run.State.TransitionOrInit("cell", 1.5, value => value.AsFloat64() * 1.0000001);
            }

            run.Traces.Record(new ThoughtStep("düşünce", 0.1), new TraceOptions { Tags = ["I", "i"] });
            run.Kv.Put("large", new string('x', 6_000 + i));
            if (i % 4 == 0)
            {
                // Its base is made anew of the run's records in every process, and of a fork's base that of the fork above it.
                var past = db.Runs.ForkAtStep(run.Id, 5 + random.Next(20), "geçmiş-" + i);
                past.Kv.Put("k0", i / 7.0);
                past.Events.Append("ilk", Value.Object(("own", i)));
                past.Kv.Put("k1", i);
                db.Runs.Fork(past.Id, past.Info.FirstSequence, "iç-" + i).State.TransitionOrInit("cell", 1.5, value => value);
            }

            if (i % 3 == 0)
                run.Complete("done");
        }
    }

    private static Dictionary<string, string> Replayed(string path, (string Name, string Value)[] settings)
    {
        var dll = Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll");
        string[] arguments = [dll, "run", "replay", "--all", "--json", "--db", path];
        var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true };
        foreach (var (name, value) in settings)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var lines = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Value.FromJson)
            .ToDictionary(line => line["run"].AsString(), line => line["state_hash"].AsString());
    }

    private static Dictionary<string, string> Files(string path) => Directory.GetFiles(path, "*", SearchOption.AllDirectories)
        .ToDictionary(file => file, file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file))));
}
