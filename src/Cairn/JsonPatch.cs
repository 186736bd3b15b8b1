using Cairn.Documents;

namespace Cairn;

/// <summary>What an operation of a JSON Patch does (RFC 6902, section 4).</summary>
public enum JsonPatchKind
{
    /// <summary>Makes or replaces a member, puts an element in, or replaces the whole document.</summary>
    Add = 0,

    /// <summary>Removes a member or an element.</summary>
    Remove = 1,

    /// <summary>Replaces what is there.</summary>
    Replace = 2,

    /// <summary>Removes from one place and adds at another.</summary>
    Move = 3,

    /// <summary>Adds what stands at another place.</summary>
    Copy = 4,

    /// <summary>Fails the patch unless an equal value is there: numbers by value (1 equals 1.0), objects without order.</summary>
    Test = 5,
}

/// <summary>One operation of a JSON Patch (RFC 6902, section 4).</summary>
public sealed record JsonPatchOperation
{
    private JsonPatchOperation(JsonPatchKind kind, DocumentPath path, DocumentPath? from, Value value)
    {
        Kind = kind;
        Path = path;
        From = from;
        Value = value;
    }

    /// <summary>What it does.</summary>
    public JsonPatchKind Kind { get; }

    /// <summary>The place it works on.</summary>
    public DocumentPath Path { get; }

    /// <summary>The place that a move or a copy takes from; null for the others.</summary>
    public DocumentPath? From { get; }

    /// <summary>The value to add, replace or test with; Null for the others.</summary>
    public Value Value { get; }

    /// <summary>RFC 6902, section 4.1.</summary>
    public static JsonPatchOperation Add(DocumentPath path, Value value) => new(JsonPatchKind.Add, NotNull(path), null, value);

    /// <summary>RFC 6902, section 4.2. The root cannot be removed.</summary>
    public static JsonPatchOperation Remove(DocumentPath path) => new(JsonPatchKind.Remove, NotNull(path), null, default);

    /// <summary>RFC 6902, section 4.3.</summary>
    public static JsonPatchOperation Replace(DocumentPath path, Value value) => new(JsonPatchKind.Replace, NotNull(path), null, value);

    /// <summary>RFC 6902, section 4.4. A value cannot be moved into a part of itself.</summary>
    public static JsonPatchOperation Move(DocumentPath from, DocumentPath path) =>
        new(JsonPatchKind.Move, NotNull(path), NotNull(from), default);

    /// <summary>RFC 6902, section 4.5.</summary>
    public static JsonPatchOperation Copy(DocumentPath from, DocumentPath path) =>
        new(JsonPatchKind.Copy, NotNull(path), NotNull(from), default);

    /// <summary>RFC 6902, section 4.6.</summary>
    public static JsonPatchOperation Test(DocumentPath path, Value value) => new(JsonPatchKind.Test, NotNull(path), null, value);

    private static DocumentPath NotNull(DocumentPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return path;
    }
}

/// <summary>A JSON Patch (RFC 6902): operations that are done in order, all or none. Works on values in memory. Immutable; safe from any
/// thread.</summary>
public sealed class JsonPatch
{
    private readonly JsonPatchOperation[] _operations;

    /// <summary>A patch of these operations.</summary>
    public JsonPatch(params IEnumerable<JsonPatchOperation> operations)
    {
        ArgumentNullException.ThrowIfNull(operations);
        _operations = [.. operations];
    }

    /// <summary>The operations, in order.</summary>
    public IReadOnlyList<JsonPatchOperation> Operations => _operations;

    /// <summary>Reads the JSON text of a patch (RFC 6902, section 3). Members that the RFC does not know are ignored.</summary>
    /// <param name="json">An array of objects, of at most <see cref="Limits.TransactionBytesMax"/> bytes: several values of the largest
    /// size may stand in it, each of them as deep as a value may be.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="DocumentException"><see cref="ErrorCode.InvalidArgument"/>: not a patch; it says which operation.</exception>
    /// <exception cref="MalformedTextException">A path in it is no pointer.</exception>
    /// <exception cref="LimitException">More than <see cref="Limits.PatchOperationsMax"/> operations, or another limit.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>, <see cref="ErrorCode.Overflow"/>: as
    /// <see cref="Value.FromJson(string)"/>.</exception>
    public static JsonPatch Parse(string json, Limits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(json);
        var allowed = limits ?? Limits.Defaults;
        PathScanner.CheckText(json, nameof(Limits.TransactionBytesMax), allowed.TransactionBytesMax);
        return FromValue(Value.FromJson(json, PatchText.LimitsOfText(allowed)), allowed);
    }

    /// <summary>A patch from the value of its JSON.</summary>
    /// <inheritdoc cref="Parse"/>
    public static JsonPatch FromValue(Value patch, Limits? limits = null) =>
        new(PatchText.Read(patch, limits ?? Limits.Defaults));

    /// <summary>A patch that makes one document of another: applied to <paramref name="from"/> it gives <paramref name="to"/>, kind for
    /// kind. Members that both have are followed into; elements that both have in the same order stay. It is not the shortest patch there
    /// is, and where it would be longer than <see cref="Limits.PatchOperationsMax"/> it replaces the document.</summary>
    /// <param name="from">The document as it is.</param>
    /// <param name="to">The document as it should be.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    public static JsonPatch Diff(Value from, Value to, Limits? limits = null) =>
        new(PatchDiff.Between(from, to, limits ?? Limits.Defaults));

    /// <summary>The document with all operations done, in order (RFC 6902, section 5). The document itself stays as it is.</summary>
    /// <param name="document">The document.</param>
    /// <param name="limits">The limits that the patch and the document after each operation keep to; null for the defaults.</param>
    /// <exception cref="DocumentException">An operation cannot be done: <see cref="ErrorCode.TestFailed"/>,
    /// <see cref="ErrorCode.PathNotFound"/>, <see cref="ErrorCode.TypeMismatch"/> or <see cref="ErrorCode.InvalidPath"/>. It says which
    /// operation, and where.</exception>
    /// <exception cref="LimitException">More than <see cref="Limits.PatchOperationsMax"/> operations, or a result too large.</exception>
    public Value Apply(Value document, Limits? limits = null) => PatchText.Apply(_operations, document, limits ?? Limits.Defaults);

    /// <summary>The value of the patch's JSON.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidPath"/>: a path counts from the end, which a pointer
    /// cannot.</exception>
    public Value ToValue() => PatchText.Write(_operations);

    /// <summary>The patch as JSON text.</summary>
    /// <inheritdoc cref="ToValue"/>
    public string ToJson() => ToValue().ToJson();
}
