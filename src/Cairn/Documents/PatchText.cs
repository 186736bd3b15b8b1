using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>JSON Patch (RFC 6902): its JSON form, and its operations done in order.</summary>
internal static class PatchText
{
    private static readonly string[] Names = ["add", "remove", "replace", "move", "copy", "test"];

    // An array and an object are around each value of a patch, and beside it the other operations. The values themselves are measured
    // as parts of the documents that they come into.
    private const int DepthOfOperation = 2;

    /// <summary>The limits that the text of a patch is read under.</summary>
    internal static Limits LimitsOfText(Limits limits) => limits with
    {
        ValueBytesMax = Math.Max(limits.ValueBytesMax, limits.TransactionBytesMax),
        DepthMax = Math.Min(limits.DepthMax + DepthOfOperation, ValueMeasure.DepthHardMax),
        ObjectMembersMax = Math.Max(limits.ObjectMembersMax, MembersOfOperation),
    };

    // op, path, and from or value.
    private const int MembersOfOperation = 3;

    internal static List<JsonPatchOperation> Read(in Value patch, Limits limits)
    {
        if (patch.Kind != ValueKind.Array)
            throw new DocumentException(ErrorCode.InvalidArgument, "$", $"a patch is an Array of operations, and this is {patch.Kind}.");
        CheckCount(patch.Count, limits);
        var operations = new List<JsonPatchOperation>(patch.Count);
        for (var n = 0; n < patch.Count; n++)
            operations.Add(ReadOperation(patch[n], n, limits));
        return operations;
    }

    private static JsonPatchOperation ReadOperation(in Value operation, int number, Limits limits)
    {
        if (operation.Kind != ValueKind.Object)
            throw Malformed(number, $"an operation is an Object, and this is {operation.Kind}.");
        var kind = Array.IndexOf(Names, Text(operation, "op", number));
        var path = Path(operation, "path", number, limits);
        return kind switch
        {
            (int)JsonPatchKind.Add => JsonPatchOperation.Add(path, Content(operation, number)),
            (int)JsonPatchKind.Remove => JsonPatchOperation.Remove(path),
            (int)JsonPatchKind.Replace => JsonPatchOperation.Replace(path, Content(operation, number)),
            (int)JsonPatchKind.Move => JsonPatchOperation.Move(Path(operation, "from", number, limits), path),
            (int)JsonPatchKind.Copy => JsonPatchOperation.Copy(Path(operation, "from", number, limits), path),
            (int)JsonPatchKind.Test => JsonPatchOperation.Test(path, Content(operation, number)),
            _ => throw Malformed(number, "the member 'op' is one of " + string.Join(", ", Names) + "."),
        };
    }

    private static DocumentPath Path(in Value operation, string member, int number, Limits limits) =>
        DocumentPath.ParsePointer(Text(operation, member, number), limits);

    private static string Text(in Value operation, string member, int number)
    {
        if (operation.TryGetMember(member, out var value) && value.Kind == ValueKind.String)
            return value.AsString();
        throw Malformed(number, $"the operation needs a member '{member}' that is a String.");
    }

    private static Value Content(in Value operation, int number) => operation.TryGetMember("value", out var value)
        ? value
        : throw Malformed(number, "the operation needs a member 'value'.");

    private static DocumentException Malformed(int number, string reason) =>
        new(ErrorCode.InvalidArgument, $"$[{number}]", reason, number);

    internal static Value Write(ReadOnlySpan<JsonPatchOperation> operations)
    {
        var items = new Value[operations.Length];
        for (var n = 0; n < items.Length; n++)
            items[n] = Write(operations[n]);
        return Value.Array(items);
    }

    private static Value Write(JsonPatchOperation operation)
    {
        var members = new List<KeyValuePair<string, Value>>
        {
            new("op", Names[(int)operation.Kind]),
            new("path", operation.Path.ToPointer()),
        };
        if (operation.From is { } from)
            members.Add(new("from", from.ToPointer()));
        else if (operation.Kind != JsonPatchKind.Remove)
            members.Add(new("value", operation.Value));
        return Value.Object(members);
    }

    internal static Value Apply(ReadOnlySpan<JsonPatchOperation> operations, in Value document, Limits limits)
    {
        CheckCount(operations.Length, limits);
        var result = document;
        for (var n = 0; n < operations.Length; n++)
        {
            try
            {
                result = Patching.Checked(Apply(operations[n], result), limits);
            }
            catch (DocumentException failed)
            {
                if (Mutant.Is("doc-patch-half-applied"))
                    return result;
                throw failed.In(n);
            }
        }

        return result;
    }

    private static Value Apply(JsonPatchOperation operation, in Value document)
    {
        var path = operation.Path.Segments;
        switch (operation.Kind)
        {
            case JsonPatchKind.Add:
                return Patching.Add(document, path, operation.Value);
            case JsonPatchKind.Remove:
                return Patching.Remove(document, path);
            case JsonPatchKind.Replace:
                return Patching.Replace(document, path, operation.Value);
            case JsonPatchKind.Copy:
                return Patching.Add(document, path, Patching.Get(document, operation.From!.Segments));
            case JsonPatchKind.Move:
                return Move(document, operation.From!.Segments, path);
            default:
                return Comparison.AreEqual(Patching.Get(document, path), operation.Value)
                    && (!Mutant.Is("doc-test-by-kind") || Patching.Get(document, path) == operation.Value)
                    ? document
                    : throw new DocumentException(ErrorCode.TestFailed, PathText.Write(path), "the value there is another one.");
        }
    }

    private static Value Move(in Value document, ReadOnlySpan<PathSegment> from, ReadOnlySpan<PathSegment> path)
    {
        var moved = Patching.Get(document, from);
        if (path.SequenceEqual(from))
            return document;
        if (path.StartsWith(from) && !Mutant.Is("doc-move-into-itself"))
            throw new DocumentException(ErrorCode.InvalidPath, PathText.Write(path), "a value is not moved into a part of itself.");
        return Patching.Add(Patching.Remove(document, from), path, moved);
    }

    private static void CheckCount(int count, Limits limits)
    {
        if (count > limits.PatchOperationsMax)
            throw new LimitException(nameof(Limits.PatchOperationsMax), limits.PatchOperationsMax, count, "operations");
    }
}
