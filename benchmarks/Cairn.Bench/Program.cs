using Cairn.Bench.Harness;
using Cairn.Bench.Suites;

if (args is [Probe.Verb, ..])
{
    FootprintPart.Answer(args.AsSpan(1));
    return 0;
}

var suites = new Dictionary<string, Action<BenchOptions, Report, string>>(StringComparer.Ordinal)
{
    [KvSuite.Name] = KvSuite.Run,
};

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

if (!suites.TryGetValue(options.Suite, out var suite))
{
    Console.Error.WriteLine($"bench: no suite {options.Suite}; there are: {string.Join(", ", suites.Keys)}");
    return 2;
}

if (options.Part is { } part && !KvSuite.Parts.Contains(part))
{
    Console.Error.WriteLine($"bench: no part {part}; there are: {string.Join(", ", KvSuite.Parts)}");
    return 2;
}

// Beside the build, which is on a disk; /tmp may be memory.
var directory = Path.Combine(Directory.GetCurrentDirectory(), "artifacts", "bench-data", $"{Environment.ProcessId}");
Directory.CreateDirectory(directory);
try
{
    var report = new Report(options, Machine.Describe(directory));
    suite(options, report, directory);
    if (options.JsonFile is not null)
        report.WriteJson(options.JsonFile);
    if (!options.IsQuick && options.Part is null)
        Page.Write(report, $"Benchmark {options.Suite}", Path.Combine("docs", "benchmarks", $"{options.Suite}.md"));
}
finally
{
    Directory.Delete(directory, recursive: true);
}

return 0;
