namespace Cairn.Tests.Checkers;

// Operations as plain data: what the generator makes, the model and the engine's driver execute, and the shrinker leaves out. An
// operation names nothing that only exists at run time: runs are slots (0 is the run `default`), traces are ordinals within their
// run, and an expected version is an intention (Expect) that the model turns into a number. So any subset of a list is a valid list.
//
// The shape of each answer stands beside it; "done" is Plain.Done, "absent" is Plain.Absent. A refusal has an ErrorCode instead.

/// <summary>Which expectation a compare-and-set carries, resolved against the committed state (KV-10).</summary>
public enum Expect
{
    Absent,
    Current,
    Stale,
}

public enum RunAction
{
    Complete,
    Fail,
    Abort,
    Pause,
    Resume,
    Cancel,
    Archive,
}

public enum RunStatusName
{
    Active,
    Paused,
    Completed,
    Failed,
    Cancelled,
    Archived,
}

public enum TraceKind
{
    ToolCall,
    Decision,
    Query,
    Thought,
    Error,
    Custom,
}

public abstract record Operation;

/// <summary>Moves the fake clock.</summary>
public sealed record Advance(long Microseconds) : Operation;

/// <summary>Close and open again; with a crash where the driver can. Changes nothing that a later operation could see.</summary>
public sealed record Restart(bool Crash) : Operation;

/// <summary>One turn of the maintainer. Changes nothing that a later operation could see, except that a commit of its own moves the
/// clock of commits (<see cref="Model.MaintainerCommitted"/>). It is an operation like any other, and not something that the driver
/// does at its n-th call, so that a shorter list keeps it where it was.</summary>
public sealed record Maintain : Operation;

/// <summary>Makes durable what was committed. Changes nothing that a later operation could see; it says what a crash may not lose.</summary>
public sealed record Sync : Operation;

/// <summary>Makes a checkpoint, and lets memory forget what it may. Changes nothing that a later operation could see (M2); what was
/// committed before cannot be lost by a crash.</summary>
public sealed record Checkpoint : Operation;

/// <summary>Gives up what no policy keeps: of the log, and of archives. Changes nothing that a later operation could see, but for
/// questions about the past, which no operation here asks (M2).</summary>
public sealed record Compact : Operation;

/// <summary>Copies the database elsewhere, restores the copy there, and compares: restore(backup) = state (M2).</summary>
public sealed record BackUp : Operation;

public abstract record RunOperation(int Run) : Operation;

/// <summary>Several operations as one commit. Answer: one inner result each; a refused operation inside does not end it.</summary>
public sealed record TransactionOperation(IReadOnlyList<RunOperation> Body, bool Commit) : Operation
{
    public override string ToString() => $"Transaction {(Commit ? "commit" : "rollback")} {{\n    {string.Join("\n    ", Body)} }}";
}

// --- Kv ---------------------------------------------------------------------------------------------------------------------
/// <summary>Value, or absent.</summary>
public sealed record KvGet(int Run, string Key) : RunOperation(Run);

/// <summary>[value, version, expiry or null], or absent. Outside transactions only.</summary>
public sealed record KvGetVersioned(int Run, string Key) : RunOperation(Run);

public sealed record KvExists(int Run, string Key) : RunOperation(Run);

/// <summary>Array of value or absent.</summary>
public sealed record KvGetMany(int Run, IReadOnlyList<string> Keys) : RunOperation(Run)
{
    public override string ToString() => $"KvGetMany {Run} {string.Join(' ', Keys)}";
}

/// <summary>Done.</summary>
public sealed record KvPut(int Run, string Key, Plain Value, long? TtlMicroseconds = null) : RunOperation(Run);

/// <summary>Done.</summary>
public sealed record KvPutMany(int Run, IReadOnlyList<(string Key, Plain Value)> Pairs) : RunOperation(Run)
{
    public override string ToString() => $"KvPutMany {Run} {string.Join(' ', Pairs)}";
}

/// <summary>Was it added.</summary>
public sealed record KvTryAdd(int Run, string Key, Plain Value) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record KvDelete(int Run, string Key) : RunOperation(Run);

/// <summary>How many were there.</summary>
public sealed record KvDeleteMany(int Run, IReadOnlyList<string> Keys) : RunOperation(Run)
{
    public override string ToString() => $"KvDeleteMany {Run} {string.Join(' ', Keys)}";
}

/// <summary>Done, or VersionMismatch. The expected version is <see cref="Result.Expectation"/>.</summary>
public sealed record KvCompareAndSet(int Run, string Key, Expect Expect, Plain Value) : RunOperation(Run);

/// <summary>Bool. The expected value (or absent) is <see cref="Result.Expectation"/>.</summary>
public sealed record KvCompareAndSetValue(int Run, string Key, Expect Expect, Plain Value) : RunOperation(Run);

/// <summary>The new number.</summary>
public sealed record KvIncrement(int Run, string Key, long Delta) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record KvExpire(int Run, string Key, long TtlMicroseconds) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record KvPersist(int Run, string Key) : RunOperation(Run);

/// <summary>Keys of [From, To), To null = to the end.</summary>
public sealed record KvList(int Run, string From, string? To, int Limit, bool Reverse) : RunOperation(Run);

/// <summary>Keys that begin so.</summary>
public sealed record KvListPrefix(int Run, string Prefix, int Limit, bool Reverse) : RunOperation(Run);

/// <summary>[[key, value], ...] of [From, To).</summary>
public sealed record KvScan(int Run, string From, string? To, int Limit, bool Reverse) : RunOperation(Run);

/// <summary>Number; prefix null = all.</summary>
public sealed record KvCount(int Run, string? Prefix) : RunOperation(Run);

// --- Documents --------------------------------------------------------------------------------------------------------------
// Objects whose members "a" and "b" are anything, and "n" a number.

/// <summary>The document, or absent.</summary>
public sealed record DocumentGet(int Run, string Id) : RunOperation(Run);

/// <summary>Done.</summary>
public sealed record DocumentPut(int Run, string Id, Plain Value) : RunOperation(Run);

/// <summary>Done. Makes a document that is not there.</summary>
public sealed record DocumentSet(int Run, string Id, string Member, Plain Value) : RunOperation(Run);

/// <summary>The new number. Makes what is not there.</summary>
public sealed record DocumentIncrement(int Run, string Id, long Delta) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record DocumentDrop(int Run, string Id, string Member) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record DocumentDelete(int Run, string Id) : RunOperation(Run);

// --- Vectors ----------------------------------------------------------------------------------------------------------------
// In one collection, by angle, of which the number says so many of 100 steps; a query stands a quarter of a step behind its number, so
// that no two numbers are equally near. Metadata has a tag.

/// <summary>[number, tag], or absent.</summary>
public sealed record VectorGet(int Run, string Key) : RunOperation(Run);

/// <summary>Done. Makes the collection.</summary>
public sealed record VectorPut(int Run, string Key, long Number, long Tag) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record VectorTag(int Run, string Key, long Tag) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record VectorDelete(int Run, string Key) : RunOperation(Run);

/// <summary>Keys of the nearest, with this tag; null = with any.</summary>
public sealed record VectorSearch(int Run, long Number, int Count, long? Tag) : RunOperation(Run);

/// <summary>Was the collection there.</summary>
public sealed record VectorsDrop(int Run) : RunOperation(Run);

// --- Events -----------------------------------------------------------------------------------------------------------------
// An event in an answer: [number, type, payload], and [number, type] when redacted.

/// <summary>The number. Hash and salt: <see cref="Model.Seal"/>.</summary>
public sealed record EventsAppend(int Run, string Type, Plain Payload) : RunOperation(Run);

/// <summary>Array of numbers.</summary>
public sealed record EventsAppendMany(int Run, IReadOnlyList<(string Type, Plain Payload)> Items) : RunOperation(Run)
{
    public override string ToString() => $"EventsAppendMany {Run} {string.Join(' ', Items)}";
}

public sealed record EventsGet(int Run, long Number) : RunOperation(Run);

public sealed record EventsRange(int Run, long From, long To, int Limit, bool Reverse) : RunOperation(Run);

/// <summary>Number = the first one that is wanted.</summary>
public sealed record EventsSince(int Run, long Number, int Limit) : RunOperation(Run);

public sealed record EventsByType(int Run, string Type, int Limit) : RunOperation(Run);

public sealed record EventsCount(int Run) : RunOperation(Run);

public sealed record EventsCountByType(int Run, string Type) : RunOperation(Run);

/// <summary>Number of the last event, or absent. The hash is compared through <see cref="Model.Head"/>.</summary>
public sealed record EventsHead(int Run) : RunOperation(Run);

/// <summary>Names in byte order.</summary>
public sealed record EventsTypes(int Run) : RunOperation(Run);

/// <summary>[count, first number, last number], or absent.</summary>
public sealed record EventsStreamInfo(int Run, string Type) : RunOperation(Run);

/// <summary>[is valid, length].</summary>
public sealed record EventsVerify(int Run) : RunOperation(Run);

/// <summary>Done, or NotFound. Skipped (<see cref="Result.IsSkipped"/>) when it is redacted already.</summary>
public sealed record EventsRedact(int Run, long Number, string Reason) : RunOperation(Run);

/// <summary>Retention lets go of all events but the newest <paramref name="Keep"/> (RET-7), up to <see cref="AtOnce"/> of them: [first number
/// that is kept, number of kept ones]. Not in transactions.</summary>
public sealed record EventsTrim(int Run, long Keep) : RunOperation(Run)
{
    /// <summary>The most that goes in one commit.</summary>
    public const int AtOnce = 256;
}

/// <summary>Done; ConstraintViolation when it would go back and is not forced.</summary>
public sealed record EventsConsumerCommit(int Run, string Consumer, long Number, bool Forced) : RunOperation(Run);

/// <summary>Number or absent.</summary>
public sealed record EventsConsumerPosition(int Run, string Consumer) : RunOperation(Run);

/// <summary>[[name, number], ...].</summary>
public sealed record EventsConsumers(int Run) : RunOperation(Run);

// --- State ------------------------------------------------------------------------------------------------------------------
/// <summary>Counter, or AlreadyExists.</summary>
public sealed record StateInit(int Run, string Name, Plain Value) : RunOperation(Run);

/// <summary>Counter.</summary>
public sealed record StateSet(int Run, string Name, Plain Value, long? TtlMicroseconds = null) : RunOperation(Run);

/// <summary>Counter, or VersionMismatch. The expected counter is <see cref="Result.Expectation"/>.</summary>
public sealed record StateCompareAndSet(int Run, string Name, Expect Expect, Plain Value) : RunOperation(Run);

/// <summary>[value, counter], or absent.</summary>
public sealed record StateGet(int Run, string Name) : RunOperation(Run);

public sealed record StateExists(int Run, string Name) : RunOperation(Run);

/// <summary>Names.</summary>
public sealed record StateList(int Run, string Prefix) : RunOperation(Run);

/// <summary>Was it there.</summary>
public sealed record StateDelete(int Run, string Name) : RunOperation(Run);

/// <summary>[value, counter], or NotFound. The function is <see cref="Model.Step"/>.</summary>
public sealed record StateTransition(int Run, string Name, long Delta) : RunOperation(Run);

/// <summary>[value, counter]: the function is applied to the initial value when the cell is absent, as one write.</summary>
public sealed record StateTransitionOrInit(int Run, string Name, long Initial, long Delta) : RunOperation(Run);

/// <summary>The value.</summary>
public sealed record StateGetOrInit(int Run, string Name, Plain Value) : RunOperation(Run);

/// <summary>Fails the whole transaction with VersionMismatch unless the committed counter is the expected one; only inside.</summary>
public sealed record StateRequire(int Run, string Name, Expect Expect) : RunOperation(Run);

/// <summary>[true, token], or [false, holder]. Skipped when the owner holds it already.</summary>
public sealed record StateAcquire(int Run, string Name, string Owner, long TtlMicroseconds) : RunOperation(Run);

/// <summary>Bool: false when the owner does not hold it.</summary>
public sealed record StateRenew(int Run, string Name, string Owner, long TtlMicroseconds) : RunOperation(Run);

/// <summary>Bool: false when the owner does not hold it.</summary>
public sealed record StateRelease(int Run, string Name, string Owner) : RunOperation(Run);

// --- Traces -----------------------------------------------------------------------------------------------------------------
/// <summary>The ordinal; NotFound (parent), ConstraintViolation.</summary>
public sealed record TracesRecord(int Run, long? Parent, TraceKind Kind, long Timestamp, IReadOnlyList<string> Tags, Plain Fields) : RunOperation(Run)
{
    public override string ToString() => $"TracesRecord {Run} {Kind} parent {Parent?.ToString() ?? "none"} at {Timestamp} tags [{string.Join(' ', Tags)}] {Fields}";
}

/// <summary>[kind, parent or null, timestamp, tags, fields], or absent.</summary>
public sealed record TracesGet(int Run, long Ordinal) : RunOperation(Run);

/// <summary>Ordinals by (timestamp, ordinal), like all below.</summary>
public sealed record TracesChildren(int Run, long Ordinal) : RunOperation(Run);

public sealed record TracesRoots(int Run) : RunOperation(Run);

/// <summary>[ordinal, [child trees]] down to the depth (0 = the root alone), or NotFound.</summary>
public sealed record TracesTree(int Run, long Root, int Depth) : RunOperation(Run);

public sealed record TracesByType(int Run, TraceKind Kind) : RunOperation(Run);

public sealed record TracesByTag(int Run, string Tag) : RunOperation(Run);

public sealed record TracesByTime(int Run, long From, long To) : RunOperation(Run);

public sealed record TracesCount(int Run) : RunOperation(Run);

// --- Runs -------------------------------------------------------------------------------------------------------------------
/// <summary>Done; AlreadyExists (name), NotFound (parent). Each begin has a new slot.</summary>
public sealed record RunsBegin(int Run, string? Name, int? Parent, IReadOnlyList<string> Tags, Plain Metadata) : RunOperation(Run)
{
    public override string ToString() => $"RunsBegin {Run} name {Name ?? "none"} parent {Parent?.ToString() ?? "none"} tags [{string.Join(' ', Tags)}] {Metadata}";
}

/// <summary>Done; AlreadyExists (name), NotFound. Each fork has a new slot.</summary>
/// <param name="Run">The fork.</param>
/// <param name="From">What is forked.</param>
/// <param name="Back">So many of its commits ago; beyond its first one: behind that. 0 = as it is.</param>
public sealed record RunsFork(int Run, int From, int Back, string? Name) : RunOperation(Run);

/// <summary>Merges a fork into what it was forked from; of conflicts the fork's side is taken. [clean, then of key-values, cells, events and
/// traces taken, same and in conflict]; NotFound, RunClosed. What the model's merge does not know is skipped.</summary>
/// <param name="Run">The fork.</param>
public sealed record RunsMerge(int Run) : RunOperation(Run);

/// <summary>Done; InvalidTransition.</summary>
public sealed record RunsEnd(int Run, RunAction Action) : RunOperation(Run);

/// <summary>Done; also on a closed run.</summary>
public sealed record RunsAddTags(int Run, IReadOnlyList<string> Tags) : RunOperation(Run)
{
    public override string ToString() => $"RunsAddTags {Run} {string.Join(' ', Tags)}";
}

/// <summary>Done; also on a closed run.</summary>
public sealed record RunsRemoveTags(int Run, IReadOnlyList<string> Tags) : RunOperation(Run)
{
    public override string ToString() => $"RunsRemoveTags {Run} {string.Join(' ', Tags)}";
}

/// <summary>Done: RFC 7396 merge patch; also on a closed run.</summary>
public sealed record RunsUpdateMetadata(int Run, Plain Patch) : RunOperation(Run);

/// <summary>Done. Everything of the run is gone.</summary>
public sealed record RunsDelete(int Run) : RunOperation(Run);

/// <summary>[status, name or null, parent slot or null, tags sorted, metadata, event count], or absent.</summary>
public sealed record RunsGet(int Run) : RunOperation(Run);

/// <summary>Slots ascending, without <c>default</c>; the driver sorts. Each filter may be null.</summary>
public sealed record RunsList(RunStatusName? Status, string? Tag, string? NamePrefix) : RunOperation(0);

/// <summary>Without <c>default</c>.</summary>
public sealed record RunsCount() : RunOperation(0);

/// <summary>Slots ascending.</summary>
public sealed record RunsChildren(int Run) : RunOperation(Run);

/// <summary>Slots, nearest first; ends at the first that is deleted.</summary>
public sealed record RunsAncestors(int Run) : RunOperation(Run);

/// <summary>What an operation answered. Drivers build one from the engine and ask <see cref="Agrees"/>.</summary>
/// <param name="Code">None, or why it was refused.</param>
/// <param name="Answer">The shape beside the operation; absent when it was refused.</param>
/// <param name="Expectation">From the model: what a compare-and-set has to expect.</param>
/// <param name="Inner">Of a transaction: one result for each operation of the body.</param>
/// <param name="Sequence">Of the commit, 0 when nothing was written.</param>
/// <param name="Alternative">From the model: this refusal is right too (W4, W6).</param>
/// <param name="IsSkipped">From the model: do not run this on the engine, the rules leave the outcome open.</param>
public sealed record Result(ErrorCode Code, Plain Answer, Plain? Expectation = null, IReadOnlyList<Result>? Inner = null, ulong Sequence = 0, bool IsSkipped = false,
    ErrorCode Alternative = ErrorCode.None)
{
    public static Result Refused(ErrorCode code) => new(code, Plain.Absent);

    /// <summary>Same code, answer and inner results; sequences only when both have one.</summary>
    public bool Agrees(Result actual)
    {
        if (IsSkipped || (Alternative != ErrorCode.None && actual.Code == Alternative))
            return true;
        if (IsInputError(Code) && (IsInputError(actual.Code) || actual.Code is ErrorCode.NotFound or ErrorCode.RunClosed))
            return true;
        if (Code != actual.Code || !Answer.Equals(actual.Answer) || (Sequence != 0 && actual.Sequence != 0 && Sequence != actual.Sequence))
            return false;
        return Inner is null || (actual.Inner is { } other && Inner.Count == other.Count && Inner.Zip(other).All(p => p.First.Agrees(p.Second)));
    }

    // A generated operation may be wrong in several ways at once, and no rule says which of them is told first: a bad key in a
    // deleted run is refused as either. Each error on its own is pinned by the tests of the primitives.
    private static bool IsInputError(ErrorCode code) => code is >= ErrorCode.InvalidKey and <= ErrorCode.ConstraintViolation;

    public override string ToString() => Code != ErrorCode.None ? Code.ToString()
        : (Inner is null ? Answer.ToString() : $"[{string.Join("; ", Inner)}]") + (Sequence == 0 ? "" : $" @{Sequence}");
}
