using System.CommandLine;

namespace Cairn.Cli;

/// <summary>The options of a listing in order of its keys: which part of it, from which end, and how much.</summary>
/// <param name="one">What a row is named by.</param>
/// <param name="many">More than one of it.</param>
internal sealed class ScanRange(string one, string many)
{
    private readonly Option<string?> _prefix = new("--prefix") { Description = $"Only {many} that begin with this.", HelpName = "TEXT" };
    private readonly Option<string?> _from = new("--from") { Description = $"First {one}, inclusive.",
        HelpName = one.ToUpperInvariant() };
    private readonly Option<string?> _to = new("--to") { Description = "End, exclusive.", HelpName = one.ToUpperInvariant() };
    private readonly Option<bool> _reverse = new("--reverse") { Description = $"Largest {one} first." };

    internal Option<int?> Limit { get; } = Parts.Limit(many);

    internal Symbol[] All => [_prefix, _from, _to, Limit, _reverse];

    internal ScanOptions Options(Call call, int limit, string? cursor) => new()
    {
        Prefix = call.Get(_prefix),
        From = call.Get(_from),
        To = call.Get(_to),
        Reverse = call.Get(_reverse),
        Limit = limit,
        Cursor = cursor,
    };
}
