namespace Cairn.Store;

/// <summary>Codes of operations in a transaction's record: sixteen per primitive, a code is never reused (docs/format.md has the
/// bodies). 00 is never valid.</summary>
internal enum OperationCode : byte
{
    KvPut = 0x10,
    KvDelete = 0x11,
    KvIncrement = 0x12,
    KvExpire = 0x13,

    JsonCreate = 0x20,
    JsonSet = 0x21,
    JsonDeletePath = 0x22,
    JsonDestroy = 0x23,
    JsonPatch = 0x24,
    JsonMerge = 0x25,
    JsonArrayAppend = 0x26,
    JsonArrayInsert = 0x27,
    JsonArrayRemove = 0x28,
    JsonIncrement = 0x29,
    JsonPut = 0x2A,
    JsonExpire = 0x2B,
    JsonStringAppend = 0x2C,

    EventAppend = 0x30,
    EventConsumerCommit = 0x31,
    EventRedact = 0x32,
    EventTrim = 0x33,

    StateInit = 0x40,
    StateSet = 0x41,
    StateTransition = 0x42,
    StateDelete = 0x43,
    StateLease = 0x44,
    StateExpire = 0x45,

    TraceRecord = 0x50,
    TraceRedact = 0x51,

    RunCreate = 0x60,
    RunUpdate = 0x61,
    RunEnd = 0x62,
    RunResume = 0x63,
    RunDelete = 0x64,
    RunFork = 0x65,
    RunMerge = 0x66,
    RunArchive = 0x67,

    VectorCreate = 0x70,
    VectorDrop = 0x71,
    VectorUpsert = 0x72,
    VectorSetMetadata = 0x73,
    VectorDelete = 0x74,

    GraphPut = 0x80,
    GraphDelete = 0x81,
    GraphAssociate = 0x82,
    GraphDissociate = 0x83,
    GraphTouch = 0x84,
    GraphEnsure = 0x85,

    IndexDefine = 0x90,
    IndexDrop = 0x91,
    TriggerDefine = 0x92,
    TriggerDrop = 0x93,
    TriggerCursor = 0x94,
    Retention = 0x95,
    Idempotency = 0x97,
    SubscriptionSet = 0x98,
    SubscriptionDrop = 0x99,
    IndexBuild = 0x9A,
}

/// <summary>What is true of a code by itself.</summary>
internal static class OperationCodes
{
    private static readonly string[] Primitives =
        ["Kv", "Json", "Event", "State", "Trace", "Run", "Vector", "Subscription", "Trigger", "Index", "Graph"];

    /// <summary>Primitive and operation: <c>KvCompareAndSet</c> is <c>kv.compare_and_set</c>.</summary>
    internal static string NameOf(OperationCode code)
    {
        var name = code.ToString();
        var primitive = Primitives.FirstOrDefault(prefix => name.StartsWith(prefix, StringComparison.Ordinal));
        var operation = name[(primitive?.Length ?? 0)..];
        var text = string.Concat(
            operation.Select((c, i) => char.IsAsciiLetterUpper(c) ? (i == 0 ? "" : "_") + char.ToLowerInvariant(c) : c.ToString()));
        return $"{primitive?.ToLowerInvariant() ?? "core"}.{text}";
    }

    /// <summary>A closed run still takes it (RUN-7): what changes the run's own record, redaction, and what retention does.</summary>
    internal static bool IsAllowedWhenClosed(this OperationCode code) => code is OperationCode.RunUpdate or OperationCode.RunEnd
        or OperationCode.RunResume or OperationCode.RunDelete or OperationCode.RunArchive or OperationCode.TraceRedact
        or OperationCode.EventRedact or OperationCode.EventTrim or OperationCode.Retention or OperationCode.IndexBuild;

    /// <summary>Only the engine itself does it, to keep house (Batch.IsUpkeep).</summary>
    internal static bool IsUpkeep(this OperationCode code) => code is OperationCode.EventTrim or OperationCode.TriggerCursor
        or OperationCode.IndexBuild;

    /// <summary>It only takes away: a full disk still takes it (DUR-9). Redacting an event is none, because it appends one.</summary>
    internal static bool IsDeletion(this OperationCode code) => code is OperationCode.KvDelete or OperationCode.StateDelete
        or OperationCode.TraceRedact or OperationCode.EventTrim or OperationCode.RunDelete
        or OperationCode.JsonDestroy or OperationCode.JsonDeletePath or OperationCode.JsonArrayRemove
        or OperationCode.VectorDrop or OperationCode.VectorDelete or OperationCode.GraphDelete or OperationCode.GraphDissociate;
}
