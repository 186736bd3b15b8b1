using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// The secondary indexes of a run as its newest state has them, in memory: for <c>Apply</c> and for what comes before it, under the run's
/// lock. It is read from the store when it is first needed and forgotten when a definition changes, so it is a function of the store.
/// </summary>
internal sealed class IndexSet
{
    /// <summary>Of a run without any.</summary>
    internal static readonly IndexSet Empty = new([]);

    private readonly StoredIndex[][] _byTarget;

    private IndexSet(List<StoredIndex> all)
    {
        All = all;
        Since = all.Count == 0 ? 0 : all.Max(index => index.Version);
        _byTarget = [.. Enum.GetValues<IndexTarget>().Select(
            target => all.Where(index => index.Target == target && index.IsMaintained).ToArray())];
    }

    /// <summary>The last change that it knows of. (One that was cleared away altogether since is missing in it: whoever reads at an older
    /// sequence does without.)</summary>
    private ulong Since { get; }

    /// <summary>All, those that are being cleared included.</summary>
    internal IReadOnlyList<StoredIndex> All { get; }

    internal bool IsEmpty => All.Count == 0;

    /// <summary>Something is left to be built or cleared away.</summary>
    internal bool HasWork => All.Any(index => index.State != StoredIndexState.Ready);

    /// <summary>Those that things of a kind have items in.</summary>
    internal ReadOnlySpan<StoredIndex> On(IndexTarget target) => _byTarget[(int)target];

    /// <summary>The indexes of a run; under its lock, or where nobody else writes.</summary>
    internal static IndexSet Of(RunState run) => run.Indexes ??= Read(run, ulong.MaxValue);

    /// <summary>The indexes of a run for a query at a sequence.</summary>
    internal static IndexSet At(RunState run, ulong sequence)
    {
        if (run.Indexes is not { } newest)
        {
            lock (run.CommitLock)
                newest = Of(run);
        }

        return newest.Since <= sequence ? newest : Read(run, sequence);
    }

    /// <summary>The indexes of a run at a sequence.</summary>
    internal static IndexSet Read(RunState run, ulong sequence)
    {
        using var reader = run.Store.Read();
        if (reader.Count(StoreKeys.IndexNumbers, sequence) == 0)
            return Empty;
        var all = new List<StoredIndex>();
        var names = new Dictionary<uint, (string Name, byte[] Definition)>();
        var definitions = reader.Scan([StoreKeys.Index], [StoreKeys.Index + 1], sequence);
        while (definitions.MoveNext())
        {
            names.Add(
                BinaryPrimitives.ReadUInt32LittleEndian(definitions.Version.Value),
                (Codec.Utf8.GetTrustedString(definitions.Key[1..]), definitions.Version.Value[sizeof(uint)..].ToArray()));
        }

        var states = reader.Scan([StoreKeys.IndexState], [StoreKeys.IndexState + 1], sequence);
        while (states.MoveNext())
        {
            var number = BinaryPrimitives.ReadUInt32BigEndian(states.Key[1..]);
            var (name, definition) = names.TryGetValue(number, out var found) ? found : ("", []);
            all.Add(StoredIndex.Read(name, number, definition, states.Version));
        }

        return all.Count == 0 ? Empty : new IndexSet(all);
    }
}

/// <summary>How far an index is.</summary>
internal enum StoredIndexState : byte
{
    /// <summary>Things up to the cursor have items.</summary>
    Building = 0,

    /// <summary>All things have items.</summary>
    Ready = 1,

    /// <summary>Dropped: its items are being taken away.</summary>
    Clearing = 2,
}

/// <summary>What a step of building or clearing comes to.</summary>
internal sealed class IndexStep
{
    /// <summary>Of the index.</summary>
    internal required uint Number { get; init; }

    /// <summary>The cursor that it goes on from.</summary>
    internal required byte[] From { get; init; }

    /// <summary>Things, or items, at most.</summary>
    internal required int Most { get; init; }

    /// <summary>The state that it was found in.</summary>
    internal required ulong Sequence { get; init; }

    /// <summary>Nothing that was there is forgotten yet.</summary>
    internal bool IsPinned { get; set; }

    /// <summary>The state that it holds in: that, or a later one.</summary>
    internal required ulong HoldsAt { get; set; }

    /// <summary>The last thing, or item, that it does; empty = there was none left.</summary>
    internal required byte[] Cursor { get; init; }

    /// <summary>That come, or go; in order.</summary>
    internal required ItemBuffer Items { get; set; }

    /// <summary>There is nothing behind them.</summary>
    internal required bool IsDone { get; init; }

    /// <summary>The step that an operation asks for.</summary>
    internal bool IsOf(StoredIndex index, int most) =>
        Number == index.Number && Most == most && From.AsSpan().SequenceEqual(index.Cursor);
}

/// <summary>One index. The value of its definition is its number as u32 and a canonical object of target and paths; the value of its
/// state is the state as u8 and the cursor: the key of the last thing, or item, that was done.</summary>
internal sealed class StoredIndex
{
    private StoredIndex(
        string name, uint number, IndexTarget target, DocumentPath[] paths, bool isUnique, StoredIndexState state, byte[] cursor,
        ulong version)
    {
        Name = name;
        Number = number;
        Target = target;
        Paths = paths;
        IsUnique = isUnique;
        State = state;
        Cursor = cursor;
        Version = version;
    }

    internal string Name { get; }

    /// <summary>Never used again in the run.</summary>
    internal uint Number { get; }

    internal IndexTarget Target { get; }

    internal DocumentPath[] Paths { get; }

    /// <summary>No two things have the same values there.</summary>
    internal bool IsUnique { get; }

    internal StoredIndexState State { get; }

    internal byte[] Cursor { get; }

    /// <summary>Sequence of the commit that wrote the state.</summary>
    internal ulong Version { get; }

    internal bool IsMaintained => State != StoredIndexState.Clearing;

    /// <summary>A thing has items: it was reached by the build, or all were.</summary>
    internal bool Has(ReadOnlySpan<byte> thingKey) => State == StoredIndexState.Ready || Mutant.Is("index-keeps-what-it-has-not-reached")
        || (State == StoredIndexState.Building && thingKey.SequenceCompareTo(Cursor) <= 0);

    internal static StoredIndex Read(string name, uint number, ReadOnlySpan<byte> definition, scoped in VersionView state)
    {
        var target = default(IndexTarget);
        DocumentPath[] paths = [];
        var isUnique = false;
        Invariant.Check(
            state.Value.Length > 0 && (definition.IsEmpty || TryReadDefinition(definition, out target, out paths, out isUnique)),
            "a stored index reads back");
        return new StoredIndex(
            name, number, target, paths, isUnique, (StoredIndexState)state.Value[0], state.Value[1..].ToArray(), state.Sequence);
    }

    /// <summary>An index that is about to be defined; null when the bytes are no definition.</summary>
    internal static StoredIndex? Coming(string name, uint number, ReadOnlySpan<byte> definition) =>
        TryReadDefinition(definition, out var target, out var paths, out var isUnique)
            ? new StoredIndex(name, number, target, paths, isUnique, StoredIndexState.Building, [], 0)
            : null;

    /// <summary>False when the bytes are no definition.</summary>
    internal static bool TryReadDefinition(
        ReadOnlySpan<byte> canonical, out IndexTarget target, out DocumentPath[] paths, out bool isUnique)
    {
        target = default;
        paths = [];
        isUnique = false;
        if (!Codec.ValueDecoder.TryDecode(canonical, out var value, out _) || value.Kind != ValueKind.Object
            || !value.TryGetMember("target", out var number) || number.Kind != ValueKind.Int64
            || !Enum.IsDefined((IndexTarget)number.AsInt64())
            || !value.TryGetMember("paths", out var texts) || texts.Kind != ValueKind.Array
            || texts.Count is 0 or > IndexDefinition.PathsMax)
        {
            return false;
        }

        if (value.TryGetMember("unique", out var unique))
        {
            if (unique != true || number != (long)IndexTarget.Documents)
                return false;
            isUnique = true;
        }

        target = (IndexTarget)number.AsInt64();
        paths = new DocumentPath[texts.Count];
        for (var i = 0; i < paths.Length; i++)
        {
            if (texts[i].Kind != ValueKind.String)
                return false;
            try
            {
                paths[i] = DocumentPath.Parse(texts[i].AsString());
            }
            catch (CairnException)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>What <see cref="TryReadDefinition"/> reads.</summary>
    internal static byte[] WriteDefinition(IndexDefinition definition)
    {
        var target = (Name: "target", Value: (Value)(long)definition.Target);
        var paths = (Name: "paths", Value: Value.Array(definition.Paths.Select(path => (Value)path.ToString())));
        return (definition.IsUnique ? Value.Object(target, paths, ("unique", true)) : Value.Object(target, paths)).Encode();
    }
}
