using System.Globalization;
using System.Reflection;
using Cairn.Log;
using Cairn.Store;
using Cairn.Tests.Log;
using Cairn.Tests.Tidy;
using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Completeness;

/// <summary>CON-7: primitive by room. A part that is not there must be named in missing.txt, and a part that is named there must
/// not be there: a gap is seen when it opens, and the list shrinks when it closes.</summary>
public class CompletenessTests
{
    private const string List = "tests/Cairn.Tests/Completeness/missing.txt";

    private static readonly Type[] EngineTypes = typeof(CairnDatabase).Assembly.GetTypes();
    private static readonly Type[] TestTypes = typeof(CompletenessTests).Assembly.GetTypes();

    [Fact]
    [Trait("Requirement", "CON-7")]
    [Trait("Requirement", "REC-5")]
    public void Every_part_is_there_or_named_as_missing()
    {
        var parts = Parts().ToList();
        var listed = Listed();
        var gaps = parts.Where(part => !part.IsThere && !listed.Contains(part.Name));
        var closed = parts.Where(part => part.IsThere && listed.Contains(part.Name));
        var findings = gaps.Select(part => $"{part.Name} is missing: {part.Where}")
            .Concat(closed.Select(part => $"{part.Name} is there by now: take it off the list"))
            .Concat(listed.Except(parts.Select(part => part.Name)).Select(name => $"{name} is on the list and is no part"));
        Repository.Refuse(findings, $"Primitive by room, with {List}:");
    }

    [Fact]
    [Trait("Requirement", "REC-5")]
    public void Every_operation_code_has_a_row_in_the_format_page()
    {
        var rows = FormatRows();
        var findings = Enum.GetValues<OperationCode>().Select(Hex).Except(rows.Keys)
            .Concat(rows.Where(row => row.Value.Length == 0).Select(row => row.Key + " without a body"));
        Repository.Refuse(findings, "Operation codes without a row in docs/format.md:");
    }

    [Fact]
    [Trait("Requirement", "REC-5")]
    public void The_log_dump_shows_every_operation_code()
    {
        foreach (var code in Enum.GetValues<OperationCode>())
        {
            var operation = Payloads.Operation((byte)code, "k"u8, "body"u8);
            var payload = Payloads.Transaction(1, [], Payloads.Part(RunId.Default, RunPart.NoPrevious, operation));
            var header = new RecordHeader((uint)payload.Length, RecordType.Transaction, RecordHeader.CurrentVersion, default, 1, 0, 0, 0);
            Assert.Contains($" {(byte)code:X2}(1+4)", LogDump.Line(header, payload, 0), StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Requirement", "REC-3")]
    public void A_code_without_an_owner_is_refused_by_name()
    {
        using var db = CairnDatabase.OpenInMemory();
        var refused = Assert.Throws<MalformedPayloadException>(() => Apply(db, db.Engine.Catalogue.Default, 0xF0, 0, "k"u8, []));
        Assert.True(refused.IsUnknown);
        Assert.Contains("F0", refused.Expected, StringComparison.Ordinal);
    }

    private sealed record Part(string Name, bool IsThere, string Where);

    private static IEnumerable<Part> Parts()
    {
        var applied = Applied();
        var rows = FormatRows();
        foreach (var primitive in Primitive.All)
        {
            var codes = primitive.Codes.ToList();
            var handle = Type(primitive.Handle);
            yield return new($"{primitive.Name} codes", codes.Count > 0, $"OperationCode has none from {primitive.Family:X2} on");
            yield return new($"{primitive.Name} handle", handle is { IsPublic: true }, $"public class {primitive.Handle}");
            if (codes.Count == 0 && handle is null)
                continue;
            foreach (var code in codes)
            {
                yield return new($"{code} apply", applied.Contains(code), "a registered OperationSet, and a sample in SampleOperations");
                yield return new($"{code} format", rows.ContainsKey(Hex(code)), "a row in docs/format.md");
            }

            foreach (var door in primitive.Doors)
                yield return new($"{primitive.Name} on {door}", HasProperty(door, primitive.Name), $"{door}.{primitive.Name}");

            yield return new($"{primitive.Name} docs", IsDocumented(handle), $"{primitive.Handle} says which threads may use it");
            yield return new($"{primitive.Name} limits", IsLimited(primitive), "a call with a key that is too long, in Primitives.cs");
            yield return new($"{primitive.Name} model", HasModelTest(primitive), $"a test with [Trait(\"Model\", \"{primitive.Name}\")]");
        }

        yield return new("Retention apply", applied.Contains(OperationCode.Retention), "a registered OperationSet");
        yield return new("Idempotency apply", applied.Contains(OperationCode.Idempotency), "a registered OperationSet");
        foreach (var code in new[]
                 {
                     OperationCode.SubscriptionSet, OperationCode.SubscriptionDrop, OperationCode.TriggerDefine,
                     OperationCode.TriggerCursor, OperationCode.TriggerDrop, OperationCode.IndexDefine, OperationCode.IndexBuild,
                     OperationCode.IndexDrop,
                 })
            yield return new($"{code} apply", applied.Contains(code), "a registered OperationSet");
        foreach (var room in new[] { "Checkpoints", "Text", "Vectors", "Graph", "Search", "Replay" })
            yield return new($"room {room}", EngineTypes.Any(type => type.Namespace == "Cairn." + room), $"namespace Cairn.{room}");
        yield return new("replay", HasMethod("CairnDatabase", "Replay"), "CairnDatabase.Replay");
        yield return new("view at", HasMethod("Run", "At"), "Run.At");
        yield return new("fork", HasMethod("Runs", "Fork"), "Runs.Fork");
        yield return new("diff", HasMethod("CairnDatabase", "Diff"), "CairnDatabase.Diff");
        yield return new("merge", HasMethod("Runs", "Merge") || HasMethod("CairnDatabase", "Merge"), "Runs.Merge");
        yield return new("search", HasMethod("Run", "Search"), "Run.Search");
        yield return new("feed", HasMethod("CairnDatabase", "Changes"), "CairnDatabase.Changes");
        yield return new("history", HasMethod("Kv", "History") || HasMethod("KvView", "History"), "Kv.History");
        yield return new("history of cells", HasMethod("StateView", "History"), "StateView.History");
        yield return new("checkpoint", HasMethod("CairnDatabase", "Checkpoint"), "CairnDatabase.Checkpoint");
        yield return new("backup", HasMethod("CairnDatabase", "Backup"), "CairnDatabase.Backup");
        yield return new("verify", HasMethod("CairnDatabase", "Verify"), "CairnDatabase.Verify");
        yield return new("idempotency keys", Type("OnceOutcome") is { IsPublic: true }, "Run.TransactOnce");
    }

    private static HashSet<string> Listed() => Repository.Lines(List)
        .Where(line => line.Length > 0 && line[0] != '#')
        .ToHashSet(StringComparer.Ordinal);

    // Code in two digits, and what the page says of the body.
    private static Dictionary<string, string> FormatRows()
    {
        return Repository.Lines("docs/format.md")
            .SkipWhile(line => !line.StartsWith("| code | operation |", StringComparison.Ordinal)).Skip(2)
            .TakeWhile(line => line.StartsWith("| ", StringComparison.Ordinal))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .ToDictionary(cells => cells[1], cells => cells[4], StringComparer.Ordinal);
    }

    private static HashSet<OperationCode> Applied()
    {
        using var db = CairnDatabase.OpenInMemory();
        var applied = new HashSet<OperationCode>();
        var run = db.Engine.Catalogue.NewState(new RunId(new Guid("01940000-0000-7000-8000-000000000001")));
        foreach (var (code, flags, key, body) in SampleOperations.All)
        {
            if (db.Engine.Path.Operations.Find(code) is null)
                continue;
            Apply(db, run, (byte)code, flags, key, body);
            applied.Add(code);
        }

        if (!applied.Contains(OperationCode.RunCreate))
            run.Dispose();
        return applied;
    }

    private static void Apply(CairnDatabase db, RunState run, byte code, byte flags, ReadOnlySpan<byte> key, ReadOnlySpan<byte> body)
    {
        var catalogue = db.Engine.Catalogue;
        var bytes = Payloads.Operation(code, key, body, flags);
        lock (run.CommitLock)
        {
            run.Store.Reserve(16, 64 << 10);
            catalogue.State.Store.Reserve(16, 64 << 10);
            db.Engine.Path.Operations.Apply(new Operation(bytes, out _), new ApplyContext(run, catalogue, ++run.LastSequence, 1));
        }
    }

    private static Type? Type(string name) => EngineTypes.FirstOrDefault(type => type.Namespace == "Cairn" && type.Name == name);

    private static bool HasMethod(string type, string method) =>
        Type(type)?.GetMethods(BindingFlags.Public | BindingFlags.Instance).Any(found => found.Name == method) ?? false;

    private static bool HasProperty(string type, string property) => Type(type)?.GetProperty(property) is not null;

    private static string Hex(OperationCode code) => ((byte)code).ToString("X2", CultureInfo.InvariantCulture);

    private static bool IsDocumented(Type? handle) =>
        handle is not null && XmlDocs.Summary("T:" + handle.FullName) is { } summary && summary.Contains("hread", StringComparison.Ordinal);

    private static bool IsLimited(Primitive primitive)
    {
        if (primitive.PassALimit is not { } pass)
            return false;
        using var db = CairnDatabase.OpenInMemory();
        Assert.Throws<LimitException>(() => pass(db, db.Default));
        return db.Sequence == Sequence.None;
    }

    private static bool HasModelTest(Primitive primitive) => TestTypes.Any(type =>
        Carries(type.GetCustomAttributes<TraitAttribute>(), primitive.Name)
        || type.GetMethods().Any(method => Carries(method.GetCustomAttributes<TraitAttribute>(), primitive.Name)));

    private static bool Carries(IEnumerable<TraitAttribute> traits, string name) =>
        traits.Any(trait => trait.Name == "Model" && trait.Value == name);
}
