using System.Globalization;
using System.Text;
using Cairn.Primitives;

namespace Cairn;

/// <summary>A difference written down: for a terminal, for programs, for a page.</summary>
internal static class DiffReport
{
    private const int TextMax = 60;

    // ---- for programs ---------------------------------------------------------------------------------------------------------

    internal static Value ToValue(RunDiff diff, int itemsMax)
    {
        var shown = Read(diff, itemsMax, out var counts);
        return Fields.Write(
            ("a", Of(diff.A, diff.InfoA)),
            ("b", Of(diff.B, diff.InfoB)),
            ("common", diff.Common is { } common ? Of(common, null) : default(Value?)),
            ("divergence", Divergence(diff, out _) is { } found ? Of(found) : default(Value?)),
            ("commonEvents", diff.CommonEvents),
            ("counts", Value.Object(counts.Select(count => new KeyValuePair<string, Value>(count.Key, Value.Object(
                ("added", count.Value.Added), ("removed", count.Value.Removed), ("modified", count.Value.Modified)))))),
            ("items", Value.Array(shown.Select(Of))),
            ("omitted", Omitted(counts, shown) is > 0 and var omitted ? omitted : default(Value?)));
    }

    private static Value Of(RunPoint point, RunInfo? info) => Fields.Write(
        ("run", point.Run.ToString()), ("name", Fields.Of(info?.Name)), ("sequence", (long)point.Sequence.Value));

    private static Value Of(DiffItem item) => Fields.Write(
        ("address", item.Address.ToString()),
        ("part", Fields.Of(item.Part?.ToString())),
        ("kind", item.Kind.ToString()),
        ("other", Fields.Of(item.OtherAddress?.ToString())),
        ("path", item.Path.Count == 0 ? default(Value?) : Value.Array(item.Path.Select(place => (Value)place))),
        ("before", Of(item.Before)),
        ("after", Of(item.After)));

    internal static Value? Of(DiffVersion? version) => version is null ? default(Value?) : Fields.Write(
        ("value", version.Value),
        ("type", Fields.Of(version.Type)),
        ("counter", version.Counter is { } counter ? (long)counter.Value : default(Value?)),
        ("version", (long)version.Version.Value),
        ("time_us", CommitClock.Microseconds(version.Time)),
        ("expiry_us", version.Expiry is { } expiry ? CommitClock.Microseconds(expiry) : default(Value?)),
        ("redacted", Fields.Of(version.IsRedacted)));

    private static Value Of(Divergence found) => Fields.Write(
        ("ordinalA", found.OrdinalA),
        ("ordinalB", found.OrdinalB),
        ("sequenceA", found.A is { } a ? (long)a.Sequence.Value : default(Value?)),
        ("sequenceB", found.B is { } b ? (long)b.Sequence.Value : default(Value?)),
        ("lastCommonA", found.LastCommonA is { } lastA ? (long)lastA.Value : default(Value?)),
        ("lastCommonB", found.LastCommonB is { } lastB ? (long)lastB.Value : default(Value?)),
        ("operationA", Of(found.OperationA)),
        ("operationB", Of(found.OperationB)),
        ("path", Fields.Of(found.Path)));

    private static Value? Of(LogOperation? operation) => operation is null ? default(Value?) : Fields.Write(
        ("name", operation.Name), ("address", operation.Address.ToString()), ("value", operation.Value));

    // ---- for people -----------------------------------------------------------------------------------------------------------

    internal static IEnumerable<string> ToLines(RunDiff diff, int itemsMax)
    {
        var shown = Read(diff, itemsMax, out var counts);
        yield return $"A  {Name(diff.InfoA)} {diff.A.Sequence}";
        yield return $"B  {Name(diff.InfoB)} {diff.B.Sequence}";
        yield return diff.Common is { } common ? $"in common up to {common.Sequence}" : "no common ancestor";
        foreach (var line in Parting(diff))
            yield return line;
        foreach (var (primitive, count) in counts)
        {
            var prefix = primitive == "events" && diff.CommonEvents > 0 ? $"{diff.CommonEvents} in common, " : "";
            if (count.Total == 0 && prefix.Length == 0)
                continue;
            yield return "";
            yield return $"{primitive}: {prefix}{count.Added} added, {count.Removed} removed, {count.Modified} modified";
            foreach (var item in shown.Where(item => item.Address.Primitive == primitive))
                yield return $"  {Sign(item.Kind)} {new string(' ', 2 * Math.Max(0, item.Path.Count - 1))}{Label(item)}  {Change(item)}";
        }

        if (counts.Values.All(count => count.Total == 0))
            yield return "nothing differs";
        if (Omitted(counts, shown) is > 0 and var omitted)
            yield return $"... and {omitted} more";
    }

    internal static string ToMarkdown(RunDiff diff, int itemsMax)
    {
        var shown = Read(diff, itemsMax, out var counts);
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"# {Cell(Name(diff.InfoA))} and {Cell(Name(diff.InfoB))}\n\n");
        page.Append("| side | run | id | sequence |\n|---|---|---|---|\n");
        page.Append(CultureInfo.InvariantCulture, $"| A | {Cell(Name(diff.InfoA))} | `{diff.A.Run}` | {diff.A.Sequence} |\n");
        page.Append(CultureInfo.InvariantCulture, $"| B | {Cell(Name(diff.InfoB))} | `{diff.B.Run}` | {diff.B.Sequence} |\n\n");
        page.Append(diff.Common is { } common ? $"In common up to {common.Sequence}.\n" : "No common ancestor.\n");
        foreach (var line in Parting(diff))
            page.Append(CultureInfo.InvariantCulture, $"\n{Cell(line.TrimStart())}\n");
        page.Append(CultureInfo.InvariantCulture, $"\n| | added | removed | modified |\n|---|--:|--:|--:|\n");
        foreach (var (primitive, count) in counts)
            page.Append(CultureInfo.InvariantCulture, $"| {primitive} | {count.Added} | {count.Removed} | {count.Modified} |\n");
        if (diff.CommonEvents > 0)
            page.Append(CultureInfo.InvariantCulture, $"\nEvents in common: {diff.CommonEvents}.\n");
        foreach (var primitive in counts.Keys.Where(primitive => counts[primitive].Total > 0))
        {
            page.Append(CultureInfo.InvariantCulture, $"\n## {primitive}\n\n| | what | A | B |\n|---|---|---|---|\n");
            foreach (var item in shown.Where(item => item.Address.Primitive == primitive))
            {
                page.Append(
                    CultureInfo.InvariantCulture,
                    $"| {Sign(item.Kind)} | {Cell(Label(item))} | {Cell(Short(item.Before))} | {Cell(Short(item.After))} |\n");
            }
        }

        if (Omitted(counts, shown) is > 0 and var omitted)
            page.Append(CultureInfo.InvariantCulture, $"\nAnd {omitted} more.\n");
        return page.ToString();
    }

    private static IEnumerable<string> Parting(RunDiff diff)
    {
        if (Divergence(diff, out var unknown) is not { } found)
        {
            if (unknown is not null)
                yield return $"where they part is not known: {unknown}";
            yield break;
        }

        yield return $"they part at commit {found.OrdinalA} of A{At(found.A)}, commit {found.OrdinalB} of B{At(found.B)}"
            + (found.Path is null ? "" : $", at {found.Path}");
        yield return $"  A {Short(found.OperationA)}";
        yield return $"  B {Short(found.OperationB)}";

        static string At(CommittedTransaction? commit) => commit is null ? " (has ended)" : $" ({commit.Sequence})";
    }

    private static Divergence? Divergence(RunDiff diff, out string? unknown)
    {
        unknown = null;
        try
        {
            return diff.FirstDivergence();
        }
        catch (HistoryTrimmedException trimmed)
        {
            unknown = trimmed.Message;
            return null;
        }
    }

    private static string Name(RunInfo info) => info.Name ?? (info.Id == RunId.Default ? "default" : info.Id.ToString());

    private static char Sign(DiffKind kind) => kind switch { DiffKind.Added => '+', DiffKind.Removed => '-', _ => '~' };

    private static string Label(DiffItem item) => item.Address.Primitive switch
    {
        "events" => $"{item.Address.Key} {Types(item)}",
        "traces" => item.Path.Count == 0 ? $"{item.Address.Key} {Types(item)}" : $"{string.Join('.', item.Path)} {Types(item)}",
        _ when item.Part is { } part => $"{Plain(item.Address.Key)} {Plain(part.ToString())}",
        _ => Plain(item.Address.Key),
    };

    // A key may hold anything: what would break a line or speak to a terminal is written as JSON writes it.
    internal static string Plain(string key) => key.Any(char.IsControl) ? ((Value)key).ToJson() : key;

    private static string Types(DiffItem item) => item.Before?.Type is { } before && item.After?.Type is { } after && before != after
        ? $"{before} -> {after}"
        : (item.Before ?? item.After)!.Type!;

    private static string Change(DiffItem item) => item.Kind switch
    {
        DiffKind.Added => Short(item.After),
        DiffKind.Removed => Short(item.Before),
        _ => $"{Short(item.Before)} -> {Short(item.After)}",
    };

    private static string Short(LogOperation? operation) => operation is null
        ? "nothing more"
        : $"{operation.Name} {Plain(operation.Address.ToString())} {(operation.Value is { } value ? Cut(value.ToJson()) : "")}".TrimEnd();

    internal static string Short(DiffVersion? version) =>
        version is null ? "" : version.IsRedacted ? "(redacted)" : Cut(version.Value.ToJson());

    // One line of bounded length, whatever the value is; JSON has escaped what would break the line.
    private static string Cut(string text)
    {
        if (text.Length <= TextMax)
            return text;
        var end = char.IsHighSurrogate(text[TextMax - 1]) ? TextMax - 1 : TextMax;
        return $"{text[..end]}... ({text.Length} characters)";
    }

    private static string Cell(string text) => text.Length == 0 ? "" : text.Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("|", "\\|", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace("`", "\\`", StringComparison.Ordinal).ReplaceLineEndings(" ");

    // ---- both -----------------------------------------------------------------------------------------------------------------

    private static List<DiffItem> Read(RunDiff diff, int itemsMax, out Dictionary<string, DiffCounts> counts)
    {
        if (itemsMax < 0)
            throw new CairnException(ErrorCode.InvalidArgument, $"{itemsMax} items make no sense. Ask for 0 or more.");
        counts = RunDiff.NoCounts();
        var shown = new List<DiffItem>();
        foreach (var item in diff.Items())
        {
            RunDiff.Count(counts, item);
            if (shown.Count < itemsMax)
                shown.Add(item);
        }

        return shown;
    }

    private static long Omitted(Dictionary<string, DiffCounts> counts, List<DiffItem> shown) =>
        counts.Values.Sum(count => count.Total) - shown.Count;
}
