using Cairn.Bench.Harness;
using Cairn.Bench.Suites;

// Some measurements have a process of their own: see Probe.
if (args is [Probe.Verb, var probe, ..])
{
    double[] figures = probe switch
    {
        FootprintPart.MemoryProbe or FootprintPart.PauseProbe => FootprintPart.Answer(args.AsSpan(1)),
        ContentsPart.ProbeName => ContentsPart.Answer(args.AsSpan(2)),
        IdlePart.ProbeName => IdlePart.Answer(args.AsSpan(2)),
        MemoryPart.ProbeName => MemoryPart.Answer(args.AsSpan(2)),
        MixedPart.ProbeName => MixedPart.Answer(args.AsSpan(2)),
        _ => throw new ArgumentException($"no probe {probe}"),
    };
    Probe.Answer(figures);
    return 0;
}

Suite[] suites = [KvSuite.Suite, StorageSuite.Suite, ScaleSuite.Suite, ReplaySuite.Suite, JsonSuite.Suite, RecallSuite.Suite];

BenchOptions options;
try
{
    options = BenchOptions.Parse(args);
}
catch (ArgumentException mistake)
{
    Console.Error.WriteLine($"bench: {mistake.Message}; ./bench prints the help");
    return 2;
}

if (Array.Find(suites, suite => suite.Name == options.Suite) is not { } suite)
{
    Console.Error.WriteLine($"bench: no suite {options.Suite}; there are: {string.Join(", ", suites.Select(each => each.Name))}");
    return 2;
}

if (options.Part is { } part && !suite.Parts.Contains(part))
{
    Console.Error.WriteLine($"bench: no part {part} of {suite.Name}; there are: {string.Join(", ", suite.Parts)}");
    return 2;
}

// Beside the build, which is on a disk; /tmp may be memory.
var directory = Path.Combine(Directory.GetCurrentDirectory(), "artifacts", "bench-data", $"{Environment.ProcessId}");
Directory.CreateDirectory(directory);
try
{
    var report = new Report(options, Machine.Describe(directory));
    suite.Run(options, report, directory);
    if (options.JsonFile is not null)
        report.WriteJson(options.JsonFile);
    if (suite == KvSuite.Suite && !options.IsQuick && options.Part is null)
        Page.Write(report, $"Benchmark {options.Suite}", Path.Combine("docs", "benchmarks", $"{options.Suite}.md"));
}
finally
{
    Directory.Delete(directory, recursive: true);
}

return 0;
