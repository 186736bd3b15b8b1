namespace Cairn.Replay;

/// <summary>The records of two runs, field by field. Names and parents are what tells runs apart, and no difference.</summary>
internal static class RecordDifferences
{
    internal static IEnumerable<DiffItem> Of(RunInfo a, RunInfo b)
    {
        (string Name, Value? Before, Value? After)[] fields =
        [
            ("status", a.Status.ToString(), b.Status.ToString()),
            ("tags", Tags(a), Tags(b)),
            ("metadata", Metadata(a), Metadata(b)),
            ("error", Text(a.Error), Text(b.Error)),
            ("result", a.Result, b.Result),
        ];
        foreach (var (name, before, after) in fields)
        {
            if (before == after)
                continue;
            yield return new DiffItem(
                new ItemAddress("runs", name), before is null ? DiffKind.Added : after is null ? DiffKind.Removed : DiffKind.Modified)
            {
                Before = Version(a, before),
                After = Version(b, after),
            };
        }
    }

    private static DiffVersion? Version(RunInfo info, Value? value) =>
        value is { } given ? new DiffVersion(given, info.Version, info.Updated ?? DateTimeOffset.UnixEpoch) : null;

    private static Value? Tags(RunInfo info) =>
        info.Tags.Count == 0 ? default(Value?) : Value.Array(info.Tags.Order(StringComparer.Ordinal).Select(tag => (Value)tag));

    private static Value? Metadata(RunInfo info) =>
        info.Metadata.Kind == ValueKind.Object && info.Metadata.Count > 0 ? info.Metadata : default(Value?);

    private static Value? Text(string? text) => text is null ? default(Value?) : (Value)text;
}
