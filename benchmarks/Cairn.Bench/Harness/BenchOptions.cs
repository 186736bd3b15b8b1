namespace Cairn.Bench.Harness;

/// <summary>The command line of a suite.</summary>
/// <param name="IsQuick">Reduced sizes; what would lose its meaning is skipped.</param>
/// <param name="Part">The one part to run; null = all of them.</param>
/// <param name="JsonFile">Where to write the results as JSON too; null = nowhere.</param>
internal sealed record BenchOptions(string Suite, bool IsQuick, string? Part, string? JsonFile)
{
    internal string Command => $"./bench {Suite}{(IsQuick ? " --quick" : "")}{(Part is null ? "" : $" --part {Part}")}";

    /// <exception cref="ArgumentException">Not a command line of a suite; the message says why.</exception>
    internal static BenchOptions Parse(ReadOnlySpan<string> arguments)
    {
        if (arguments.Length == 0)
            throw new ArgumentException("no suite named");
        var options = new BenchOptions(arguments[0], IsQuick: false, Part: null, JsonFile: null);
        for (var i = 1; i < arguments.Length; i++)
        {
            options = arguments[i] switch
            {
                "--quick" => options with { IsQuick = true },
                "--part" when i + 1 < arguments.Length => options with { Part = arguments[++i] },
                "--json" when i + 1 < arguments.Length => options with { JsonFile = arguments[++i] },
                _ => throw new ArgumentException($"unknown or incomplete option {arguments[i]}"),
            };
        }

        return options;
    }
}
