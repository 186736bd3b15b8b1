using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>The second opinion on JSON Patch: Python's jsonpatch. Skipped where it is not installed.</summary>
public class JsonPatchOracleTests
{
    private static readonly PythonOracle Oracle = new("jsonpatch", "json_patch.py");

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-10")]
    [Trait("Requirement", "JS-29")]
    public void Random_patches_do_the_same_in_python_jsonpatch()
    {
        Oracle.SkipUnlessInstalled();
        var documents = new RandomDocuments(Codec.RandomValues.PrintSeed());
        var cases = new List<(Value Document, Value Patch)>();
        for (var n = 0; n < Seeds.Scaled(3_000); n++)
        {
            var document = documents.Next(3);
            var patch = n % 3 == 0
                ? JsonPatch.Diff(document, documents.Near(document)).ToValue()
                : Value.Array(Enumerable.Range(0, documents.Random.Next(1, 4)).Select(_ => Operation(documents, document)));
            if (!patch.AsArray().Any(ReplacesHyphen))
                cases.Add((document, patch));
        }

        var answers = Oracle.Run([.. cases.Select(item => Value.Array(item.Document, item.Patch).ToJson())]);
        Assert.Equal(cases.Count, answers.Length);
        var (done, refused) = (0, 0);
        for (var n = 0; n < cases.Count; n++)
        {
            var (document, patch) = cases[n];
            var error = Record.Exception(() => document = JsonPatch.FromValue(patch).Apply(document));
            Assert.True(error is null or DocumentException, $"{error}");

            // jsonpatch follows a path into a text, character by character.
            if (error is DocumentException { Code: ErrorCode.TypeMismatch } through
                && through.Reason.Contains("String", StringComparison.Ordinal))
                continue;
            var mine = error is null ? document.ToJson() : "error";
            var theirs = answers[n].StartsWith("error", StringComparison.Ordinal) ? "error" : Value.FromJson(answers[n]).ToJson();
            Assert.True(
                mine == theirs, $"{cases[n].Document.ToJson()}\n{patch.ToJson()}\nhere {mine}, {error?.Message}\nthere {answers[n]}");
            _ = error is null ? done++ : refused++;
        }

        Assert.True(done > cases.Count / 3 && refused > cases.Count / 20, $"{done} done, {refused} refused");
    }

    // Places that are there, next to such, or neither. Left out is what jsonpatch is known to do otherwise: it takes true for 1 in a
    // test, and moves a value into what has come to its place; nor does it replace a member that is called "-".
    private static Value Operation(RandomDocuments documents, Value document)
    {
        var name = new[] { "add", "remove", "replace", "move", "copy", "test" }[documents.Random.Next(6)];
        var members = new Dictionary<string, Value> { ["op"] = name, ["path"] = Place(documents, document, out var there) };
        switch (name)
        {
            case "add" or "replace":
                members["value"] = documents.Next(2);
                break;
            case "test":
                members["value"] = documents.Random.Next(4) == 0 ? "another" : there;
                break;
            case "move" or "copy":
                members["from"] = Place(documents, document, out _);
                if (name == "move" && members["path"].AsString().StartsWith(members["from"].AsString() + "/", StringComparison.Ordinal))
                    members["op"] = "copy";
                break;
        }

        return Value.Object(members);
    }

    private static bool ReplacesHyphen(Value operation) =>
        operation["op"].AsString() == "replace" && operation["path"].AsString().EndsWith("/-", StringComparison.Ordinal);

    private static string Place(RandomDocuments documents, Value at, out Value there)
    {
        var path = DocumentPath.Root;
        while (at.Kind is ValueKind.Object or ValueKind.Array && at.Count > 0 && documents.Random.Next(4) > 0)
        {
            var index = documents.Random.Next(at.Count);
            (path, at) = at.Kind == ValueKind.Array
                ? (path.Element(index), at[index])
                : (path.Member(at.AsObject().ElementAt(index).Key), at.AsObject().ElementAt(index).Value);
        }

        there = at;
        return documents.Random.Next(3) switch
        {
            0 when at.Kind == ValueKind.Array => path.ToPointer() + "/" + documents.Random.Next(at.Count + 2),
            0 => path.Member(documents.Name()).ToPointer(),
            _ when path.Count == 0 => path.Member("a").ToPointer(),
            _ => path.ToPointer(),
        };
    }
}
