using System.Globalization;

namespace Cairn.Tests.Graph;

/// <summary>The graph as a page of plain code says it: two dictionaries, read through whenever something is asked. What the engine answers
/// is compared with this.</summary>
internal sealed class PlainGraph
{
    private readonly SortedDictionary<string, PlainConcept> _concepts = new(StringComparer.Ordinal);
    private readonly SortedDictionary<(string Source, string Type, string Target), AssociationOptions> _associations =
        new(Comparer<(string Source, string Type, string Target)>.Create(Order));

    internal PlainGraph Copy()
    {
        var copy = new PlainGraph();
        foreach (var (id, concept) in _concepts)
            copy._concepts.Add(id, concept);
        foreach (var (name, association) in _associations)
            copy._associations.Add(name, association);
        return copy;
    }

    internal bool Has(string id) => _concepts.ContainsKey(id);

    internal void Put(string id, ConceptFields given)
    {
        var before = _concepts.GetValueOrDefault(id) ?? new PlainConcept();
        _concepts[id] = before with
        {
            Content = given.Content ?? before.Content,
            Type = given.ClearsType ? null : given.Type ?? before.Type,
            Attributes = given.Attributes ?? before.Attributes,
            Strength = given.Strength ?? before.Strength,
            Confidence = given.Confidence ?? before.Confidence,
        };
    }

    internal bool Delete(string id)
    {
        if (!Has(id))
            return false;
        foreach (var name in _associations.Keys.Where(name => name.Source == id || name.Target == id).ToList())
            _associations.Remove(name);
        return _concepts.Remove(id);
    }

    /// <returns>False: an end is missing, and nothing was written.</returns>
    internal bool Associate(string source, string type, string target, AssociationOptions options)
    {
        foreach (var end in new[] { source, target }.Where(end => !IsAddress(end) && !Has(end)))
        {
            if (options.MissingEnd == MissingEnd.Reject)
                return false;
            if (options.MissingEnd == MissingEnd.Stub)
                _concepts[end] = new PlainConcept();
        }

        Take(source, type, target);
        if (options.IsSymmetric)
            Take(target, type, source);
        _associations[(source, type, target)] = options;
        return true;
    }

    internal bool Dissociate(string source, string type, string target) => Take(source, type, target);

    // What has the name, whole: a symmetric one has two.
    private bool Take(string source, string type, string target) => _associations.Remove((source, type, target))
        || (_associations.TryGetValue((target, type, source), out var other) && other.IsSymmetric
            && _associations.Remove((target, type, source)));

    internal void Touch(string id, int accesses, double feedback)
    {
        if (_concepts.TryGetValue(id, out var concept))
            _concepts[id] = concept with { Accesses = concept.Accesses + accesses, Feedback = Math.Round(concept.Feedback + feedback, 6) };
    }

    private static bool IsAddress(string end) => end.Contains('/', StringComparison.Ordinal);

    private static int Order((string Source, string Type, string Target) left, (string Source, string Type, string Target) right)
    {
        var order = string.CompareOrdinal(left.Source, right.Source);
        order = order != 0 ? order : string.CompareOrdinal(left.Type, right.Type);
        return order != 0 ? order : string.CompareOrdinal(left.Target, right.Target);
    }

    /// <summary>All that can be asked of it, a line for each answer.</summary>
    internal List<string> Lines(IEnumerable<string> ends)
    {
        var lines = _concepts.Select(pair => $"{pair.Key}: {pair.Value}").ToList();
        lines.AddRange(_concepts.Where(pair => pair.Value.Type is not null).OrderBy(pair => pair.Value.Type, StringComparer.Ordinal)
            .ThenBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Value.Type} has {pair.Key}"));
        lines.Add($"{_concepts.Count} concepts, {_associations.Count} associations");
        foreach (var end in ends)
        {
            var all = _associations.Where(pair => pair.Key.Source == end || pair.Key.Target == end).ToList();
            var symmetric = all.Count(pair => pair.Value.IsSymmetric);
            var outgoing = all.Count(pair => !pair.Value.IsSymmetric && pair.Key.Source == end);
            lines.Add($"{end} has {outgoing} out, {all.Count - outgoing - symmetric} in, {symmetric} symmetric");
            lines.AddRange(Seen(all, end, AssociationDirection.Out).Select(line => $"out of {end}: {line}"));
            lines.AddRange(Seen(all, end, AssociationDirection.In).Select(line => $"into {end}: {line}"));
        }

        return lines;
    }

    private static IEnumerable<string> Seen(
        List<KeyValuePair<(string Source, string Type, string Target), AssociationOptions>> all, string end,
        AssociationDirection direction) =>
        all.Where(pair => pair.Value.IsSymmetric || (direction == AssociationDirection.Out ? pair.Key.Source : pair.Key.Target) == end)
            .Select(pair => (pair.Key.Type, Other: pair.Key.Source == end ? pair.Key.Target : pair.Key.Source, pair.Value))
            .OrderBy(row => row.Type, StringComparer.Ordinal).ThenByDescending(row => IsAddress(row.Other))
            .ThenBy(row => row.Other, StringComparer.Ordinal).Select(row => Text(row.Type, row.Other, row.Value));

    /// <summary>Level by level, and within a level in the order of ends.</summary>
    internal List<string> Reachable(string start, int depth, AssociationDirection direction)
    {
        var levels = new Dictionary<string, int>(StringComparer.Ordinal) { [start] = 0 };
        var lines = new List<string>();
        var ends = new List<string> { start };
        for (var level = 1; level <= depth; level++)
        {
            ends = [.. ends.SelectMany(end => Next(end, direction)).Distinct(StringComparer.Ordinal).Where(end => !levels.ContainsKey(end))
                .OrderByDescending(IsAddress).ThenBy(end => end, StringComparer.Ordinal)];
            foreach (var end in ends)
            {
                levels.Add(end, level);
                lines.Add($"{level} {end}");
            }
        }

        return lines;
    }

    private IEnumerable<string> Next(string end, AssociationDirection direction) => _associations
        .Where(pair => direction == AssociationDirection.Both || pair.Value.IsSymmetric
            ? pair.Key.Source == end || pair.Key.Target == end
            : (direction == AssociationDirection.Out ? pair.Key.Source : pair.Key.Target) == end)
        .Select(pair => pair.Key.Source == end ? pair.Key.Target : pair.Key.Source);

    internal static string Text(string type, string other, AssociationOptions options) => string.Create(
        CultureInfo.InvariantCulture,
        $"{type} {other} {options.Weight} {options.Confidence} {options.IsSymmetric} {options.ValidFrom?.Ticks} {options.ValidTo?.Ticks} "
            + $"{(options.Attributes ?? Value.Object()).ToJson()}");
}

internal sealed record PlainConcept
{
    internal string? Content { get; init; }

    internal string? Type { get; init; }

    internal Value Attributes { get; init; } = Value.Object();

    internal double Strength { get; init; } = 1;

    internal double Confidence { get; init; } = 1;

    internal long Accesses { get; init; }

    internal double Feedback { get; init; }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Type ?? "-"} {(Content is null ? "none" : $"'{Content}'")} {Attributes.ToJson()} {Strength} {Confidence} {Accesses} {Feedback}");
}
