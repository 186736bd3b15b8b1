using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Secondary indexes of a run: they make queries quicker (<see cref="TracesView.Query"/>,
/// <see cref="JsonView.Query(Filter, QueryOptions)"/>, <see cref="EventsView.Query"/>) and never change an answer. Defining
/// one is quick; it is built in the background, and kept by every commit from then on. On <see cref="Run.Indexes"/> each call is a
/// transaction of its own; on <see cref="Transaction"/> it takes part in that. A fork inherits them. Thread-safe on a run; a
/// transaction belongs to one thread at a time.</summary>
public sealed class Indexes
{
    private readonly Engine _engine;
    private readonly Scope _scope;

    internal Indexes(Engine engine, Scope scope)
    {
        _engine = engine;
        _scope = scope;
    }

    /// <summary>Defines an index. Queries use it once it is ready; <see cref="Get"/> says when that is.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>; unique in the
    /// run.</param>
    /// <param name="definition">What it is over.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>; <see cref="ErrorCode.InvalidName"/>;
    /// <see cref="ErrorCode.InvalidArgument"/>: no path, more than <see cref="IndexDefinition.PathsMax"/>, one twice, the whole
    /// document, of traces and events a place that only a query knows (<c>$version</c>, <c>$time</c>) or uniqueness, a unique one inside a
    /// transaction; <see cref="ErrorCode.ConstraintViolation"/>: it would be unique, and documents have the same value, which are named;
    /// <see cref="ErrorCode.RunClosed"/>.</exception>
    /// <exception cref="LimitException">The run has <see cref="Limits.IndexesMax"/>, or the name is too long.</exception>
    public Sequence Define(string name, IndexDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        Check(definition);
        var stored = StoredIndex.WriteDefinition(definition);
        if (definition.IsUnique && _scope.Transaction is null)
        {
            _scope.ThrowIfNotReadable();
            IndexOperations.ReadAhead(_scope.Run, StoredIndex.Coming(name, 0, stored)!);
        }

        return Write(name, OperationCode.IndexDefine, stored);
    }

    /// <summary>Drops an index. What it holds is cleared away in the background; snapshots that were taken before use it still.</summary>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.RunClosed"/>; <see cref="ErrorCode.InvalidName"/>.</exception>
    public bool Drop(string name)
    {
        _scope.ThrowIfNotWritable();
        if (!Exists(name))
            return false;
        try
        {
            Write(name, OperationCode.IndexDrop, []);
            return true;
        }
        catch (CairnException gone) when (gone.Code == ErrorCode.NotFound && !_scope.Run.IsGone)
        {
            return false;                                    // somebody else was quicker
        }
    }

    /// <summary>Finds an index; null when there is none of that name. In a transaction one that it defines itself is not told
    /// of.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public IndexInfo? Get(string name)
    {
        KeyRules.EncodeNameForRead(name, stackalloc byte[Limits.NameBytesMax], out _);
        return List(index => index.Name == name).FirstOrDefault();
    }

    /// <summary>The indexes of the run, in order of the names' UTF-8 bytes. In a transaction: those there were when it began.</summary>
    public IReadOnlyList<IndexInfo> List() => List(static _ => true);

    private List<IndexInfo> List(Predicate<StoredIndex> isAsked)
    {
        using var pinned = new PinnedScope(_engine.Pins, _scope);
        var scope = pinned.Scope;
        scope.NoteRange([StoreKeys.Index], [StoreKeys.Index + 1]);
        var found = new List<IndexInfo>();
        foreach (var index in IndexSet.Read(scope.Run, scope.Sequence).All)
        {
            if (index.State == StoredIndexState.Clearing || !isAsked(index))
                continue;
            if (index.State == StoredIndexState.Building)
                _engine.IndexesChanged(scope.Run.Id);
            var (items, bytes) = Measure(scope, index);
            found.Add(new IndexInfo
            {
                Name = index.Name,
                Definition = new IndexDefinition { Target = index.Target, Paths = index.Paths, IsUnique = index.IsUnique },
                State = index.State == StoredIndexState.Ready ? IndexState.Ready : IndexState.Building,
                Items = items,
                Bytes = bytes,
                Watermark = index.State == StoredIndexState.Ready ? new Sequence(scope.Sequence) : Sequence.None,
            });
        }

        found.Sort((left, right) => Utf8.Compare(left.Name, right.Name));
        return found;
    }

    private static (long Items, long Bytes) Measure(Scope scope, StoredIndex index)
    {
        const int itemsPerReader = 1_024;
        long items = 0, bytes = 0;
        byte[] prefix = IndexItems.Prefix(index.Number);
        var from = prefix;
        var to = KeyInterval.After(prefix);
        while (from.Length > 0)
        {
            using var reader = scope.Run.Store.Read();
            var scan = reader.Scan(from, to, scope.Sequence);
            var next = Array.Empty<byte>();
            for (var read = 0; scan.MoveNext(); read++)
            {
                if (read == itemsPerReader)
                {
                    next = scan.Key.ToArray();
                    break;
                }

                items++;
                bytes += scan.Key.Length;
            }

            from = next;
        }

        return (items, bytes);
    }

    private static void Check(IndexDefinition definition)
    {
        if (!Enum.IsDefined(definition.Target))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no index target {(int)definition.Target}.");
        ArgumentNullException.ThrowIfNull(definition.Paths);
        if (definition.IsUnique && definition.Target != IndexTarget.Documents)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Indexes of {definition.Target} are never unique; those of documents may be.");
        }

        if (definition.Paths.Count is 0 or > IndexDefinition.PathsMax)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"An index has 1 to {IndexDefinition.PathsMax} paths; {definition.Paths.Count} were given.");
        }

        if (definition.Paths.Distinct().Count() != definition.Paths.Count)
            throw new CairnException(ErrorCode.InvalidArgument, "A path is named twice in one index. Name each once.");
        foreach (var path in definition.Paths)
        {
            if (path.Count == 0)
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument, "An index is over places in a document, not over the whole. Name a place.");
            }

            if (IndexTargets.Of(definition.Target).TellsOfVersions && Queries.IsOfVersion(path))
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument,
                    $"The place {path} is of the stored version and not of what is stored: queries know it, indexes do not keep it.");
            }
        }
    }

    private bool Exists(string name)
    {
        _scope.ThrowIfNotReadable();
        using var use = _scope.Use();
        using var reader = _scope.Run.Store.Read();
        return _scope.TryGet(reader, Key(name, isForRead: true), out _);
    }

    private static byte[] Key(string name, bool isForRead = false)
    {
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        int length;
        if (isForRead)
            KeyRules.EncodeNameForRead(name, buffer, out length);
        else
            KeyRules.EncodeName(name, buffer, out length);
        return [StoreKeys.Index, .. buffer[..length]];
    }

    private Sequence Write(string name, OperationCode code, byte[] value)
    {
        _scope.ThrowIfNotReadable();
        _scope.ThrowIfNotWritable();
        var key = Key(name);
        var write = new PendingWrite
        {
            StoreKey = key,
            Code = code,
            OperationKey = key[1..],
            Value = value,
            IsDelete = code == OperationCode.IndexDrop,
        };
        if (_scope.Transaction is not null)
        {
            SetPending(write);
            return Sequence.None;
        }

        var batch = _scope.BeginSingle();
        _engine.Path.Operations.Find(code)!.Encode(batch, write);
        var sequence = new Sequence(_scope.CommitSingle(batch).Sequence);
        _engine.IndexesChanged(_scope.Run.Id);
        return sequence;
    }

    // One change of a name in a transaction: an index that is dropped and defined again would be two.
    private void SetPending(PendingWrite write)
    {
        using var use = _scope.Use();
        if (write.Code == OperationCode.IndexDefine && StoredIndex.Coming("", 0, write.Value) is { IsUnique: true })
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "A unique index is built by the commit that defines it, and that does nothing else. Define it outside of a transaction.");
        }

        if (_scope.Writes!.Find(write.StoreKey) is not null)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "A transaction changes an index once. Drop and define one of the same name in two transactions.");
        }

        using (var reader = _scope.Run.Store.Read())
        {
            var isThere = _scope.TryGet(reader, write.StoreKey, out _);
            if (write.Code == OperationCode.IndexDefine && isThere)
                throw IndexOperations.Exists();
            var kept = reader.Count(StoreKeys.Index, _scope.Sequence)
                + _scope.Writes.InOrder.Count(other => other.Code == OperationCode.IndexDefine);
            if (write.Code == OperationCode.IndexDefine && IndexOperations.CheckRoom(kept, _engine.Limits) is { } refused)
                throw refused;
        }

        _scope.Writes.CheckRoom(write.StoreKey, write.Value.Length);
        _scope.Writes.Add(write);
    }
}
