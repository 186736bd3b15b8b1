using System.Globalization;
using System.Text.Json;

namespace Cairn.Bench.Harness;

/// <summary>
/// What a suite found, printed line by line as it comes and kept for the page and the JSON file:
/// <code>
/// machine ...                                        hardware, runtime, commit
/// peer NAME ...                                      how a peer was configured
/// figure NAME MEDIAN UNIT spread=LEAST..MOST ...     a measured quantity
/// ratio NAME MEDIAN goal &gt;=X met|missed|unsure ...   a figure that has a goal
/// skipped NAME REASON                                a peer or a goal that was not measured
/// </code>
/// </summary>
internal sealed class Report
{
    private readonly List<Figure> _figures = [];
    private readonly List<Ratio> _ratios = [];
    private readonly List<Skipped> _skipped = [];
    private readonly SortedDictionary<string, string> _peers = new(StringComparer.Ordinal);

    internal Report(BenchOptions options, Machine machine)
    {
        Options = options;
        Machine = machine;
        Print($"machine {machine.Processor}, {machine.Cores} cores, {machine.Memory}, {machine.Disk}, {machine.Kernel}, "
            + $"{machine.Runtime}, commit {machine.Commit}");
    }

    internal BenchOptions Options { get; }

    internal Machine Machine { get; }

    internal IReadOnlyList<Figure> Figures => _figures;

    internal IReadOnlyList<Ratio> Ratios => _ratios;

    internal IReadOnlyList<Skipped> SkippedOnes => _skipped;

    internal IReadOnlyDictionary<string, string> Peers => _peers;

    /// <summary>What was found since a part began: the place of its first figure, ratio and skipped one.</summary>
    internal (int Figures, int Ratios, int Skipped) Place => (_figures.Count, _ratios.Count, _skipped.Count);

    /// <summary>Says once how a peer is configured.</summary>
    internal void Peer(string name, string configuration)
    {
        if (_peers.TryAdd(name, configuration))
            Print($"peer {name} {configuration}");
    }

    internal void Skip(string name, string reason)
    {
        if (_skipped.Exists(skipped => skipped.Name == name))
            return;
        _skipped.Add(new Skipped(name, reason));
        Print($"skipped {name} {reason}");
    }

    /// <summary>A figure without a goal. Nothing is printed for an absent one: its peer has said why.</summary>
    internal void Add(string name, Series series, string unit, string size)
    {
        if (series.Missing is not null)
            return;
        _figures.Add(new Figure(name, series, unit, size));
        Print($"figure {name} {Number(series.Median)} {unit} {Spread(series)} {size}");
    }

    /// <summary>A figure with a goal.</summary>
    /// <param name="size">What it was measured at, such as <c>keys=100000</c>.</param>
    internal void Judge(Gate gate, Series series, string size)
    {
        if (series.Missing is { } reason)
        {
            Skip(gate.Name, reason);
            return;
        }

        var verdict = gate.Judge(series);
        _ratios.Add(new Ratio(gate, series, verdict, size));
        Print($"ratio {gate.Name} {Number(series.Median)} goal {gate.Goal} {Word(verdict)} {Spread(series)} {size}");
    }

    /// <summary>Whatever has neither a ratio nor a reason gets the given one: no goal is dropped in silence.</summary>
    internal void SkipRest(IEnumerable<Gate> gates, string reason)
    {
        foreach (var gate in gates)
        {
            if (!_ratios.Exists(ratio => ratio.Gate == gate))
                Skip(gate.Name, reason);
        }
    }

    internal void WriteJson(string file)
    {
        using var stream = File.Create(file);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("suite", Options.Suite);
        json.WriteString("command", Options.Command);
        json.WriteStartObject("machine");
        json.WriteString("processor", Machine.Processor);
        json.WriteNumber("cores", Machine.Cores);
        json.WriteString("memory", Machine.Memory);
        json.WriteString("disk", Machine.Disk);
        json.WriteString("kernel", Machine.Kernel);
        json.WriteString("runtime", Machine.Runtime);
        json.WriteString("commit", Machine.Commit);
        json.WriteEndObject();
        json.WriteStartObject("peers");
        foreach (var (name, configuration) in _peers)
            json.WriteString(name, configuration);
        json.WriteEndObject();
        json.WriteStartArray("ratios");
        foreach (var ratio in _ratios)
        {
            json.WriteStartObject();
            json.WriteString("name", ratio.Gate.Name);
            json.WriteString("goal", ratio.Gate.Goal);
            json.WriteString("verdict", Word(ratio.Verdict));
            WriteSeries(json, ratio.Series, ratio.Size);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("figures");
        foreach (var figure in _figures)
        {
            json.WriteStartObject();
            json.WriteString("name", figure.Name);
            json.WriteString("unit", figure.Unit);
            WriteSeries(json, figure.Series, figure.Size);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("skipped");
        foreach (var skipped in _skipped)
        {
            json.WriteStartObject();
            json.WriteString("name", skipped.Name);
            json.WriteString("reason", skipped.Reason);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>Three or so digits that mean something.</summary>
    internal static string Number(double value) => value.ToString(
        Math.Abs(value) switch { >= 1000 => "0", >= 10 => "0.0", _ => "0.00##" },
        CultureInfo.InvariantCulture);

    internal static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Met => "met",
        Verdict.Missed => "missed",
        _ => "unsure",
    };

    private static string Spread(Series series) =>
        $"spread={Number(series.Least)}..{Number(series.Most)} rounds={series.Rounds.Count}";

    private static void WriteSeries(Utf8JsonWriter json, Series series, string size)
    {
        json.WriteString("size", size);
        json.WriteNumber("median", series.Median);
        json.WriteStartArray("rounds");
        foreach (var value in series.Rounds)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    private static void Print(string line)
    {
        Console.WriteLine(line);
        Console.Out.Flush();
    }

    internal sealed record Figure(string Name, Series Series, string Unit, string Size);

    internal sealed record Ratio(Gate Gate, Series Series, Verdict Verdict, string Size);

    internal sealed record Skipped(string Name, string Reason);
}
