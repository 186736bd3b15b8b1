using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn;

/// <summary>One collection of vectors, by its name. Each call is a transaction of its own on <see cref="Run.Vectors"/>, and takes part in
/// one on <see cref="Transaction"/>. Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.RunClosed"/>,
/// <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="LimitException">Every write: the key, the metadata or the time to live is out of its limits.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class VectorCollection : VectorCollectionView
{
    internal VectorCollection(Engine engine, Scope scope, string name)
        : base(engine, scope, name)
    {
    }

    /// <summary>Writes a vector, whatever was there: embedding, metadata and expiry. Blind: it never conflicts with other writes of the
    /// key. A collection that is not there is made (this dimension, <see cref="VectorMetric.Cosine"/>, <see cref="VectorElement.F32"/>,
    /// this model), unless <see cref="CairnOptions.CreateCollections"/> is off.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="embedding">As many elements as the collection's vectors have; all finite. Stored as given, but for the rounding of
    /// <see cref="VectorDefinition.Element"/>.</param>
    /// <param name="metadata">An Object of at most <see cref="Limits.MetadataBytesMax"/> encoded, all numbers finite; null = none.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <param name="model">The model that the embedding comes from; another one than the collection's is refused. Null = not said.</param>
    /// <returns>The vector's number, which stays with the key as long as it lives, and its version.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.DimensionMismatch"/>; <see cref="ErrorCode.ModelMismatch"/>;
    /// <see cref="ErrorCode.InvalidArgument"/>: an element or a number of the metadata is not finite;
    /// <see cref="ErrorCode.ConstraintViolation"/>: the vector has no length and the metric is <see cref="VectorMetric.Cosine"/>;
    /// <see cref="ErrorCode.WrongType"/>: the metadata is no Object; <see cref="ErrorCode.NotFound"/>: there is no such collection, and
    /// none is made.</exception>
    public VectorReceipt Upsert(
        string key, ReadOnlySpan<float> embedding, Value? metadata = null, TimeSpan? ttl = null, string? model = null)
    {
        var write = new Write(this, key, embedding, metadata, ttl, model);
        if (Scope.Transaction is not null)
            return Pend(write);
        while (true)
        {
            var batch = Scope.BeginSingle();
            Add(batch, write);
            try
            {
                return Scope.CommitSingle(batch, ReadReceipt);
            }
            catch (CairnException raced) when (IsRaced(raced, write))
            {
                write = new Write(this, key, embedding, metadata, ttl, model);
            }
        }
    }

    /// <summary>As <see cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)"/>, with the metadata taken from an object's
    /// public properties.</summary>
    /// <inheritdoc cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)"/>
    [RequiresUnreferencedCode(
        "Reads the public properties of objects by reflection. Trimmed programs use Value.From<T> with a JsonTypeInfo<T>.")]
    public VectorReceipt Upsert(
        string key, ReadOnlySpan<float> embedding, object metadata, TimeSpan? ttl = null, string? model = null) =>
        Upsert(key, embedding, Value.From(metadata), ttl, model);

    /// <summary>Like <see cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)"/>, awaiting durability instead of
    /// blocking.</summary>
    /// <param name="key">As there.</param>
    /// <param name="embedding">As there; read before the call returns.</param>
    /// <param name="metadata">As there.</param>
    /// <param name="ttl">As there.</param>
    /// <param name="model">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    /// <inheritdoc cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)" path="/returns"/>
    /// <inheritdoc cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)" path="/exception"/>
    public async ValueTask<VectorReceipt> UpsertAsync(
        string key, ReadOnlyMemory<float> embedding, Value? metadata = null, TimeSpan? ttl = null, string? model = null,
        CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return Upsert(key, embedding.Span, metadata, ttl, model);
        while (true)
        {
            var batch = Scope.BeginOwned();
            var write = new Write(this, key, embedding.Span, metadata, ttl, model);
            Add(batch, write);
            try
            {
                return await Scope.CommitOwnedAsync(batch, ReadReceipt, cancellationToken).ConfigureAwait(false);
            }
            catch (CairnException raced) when (IsRaced(raced, write))
            {
                // Looked at once more.
            }
        }
    }

    /// <summary>Writes several vectors in one transaction: all or nothing.</summary>
    /// <param name="items">At most <see cref="Limits.ManyItemsMax"/>, each key once.</param>
    /// <param name="ttl">For all of them.</param>
    /// <param name="model">For all of them.</param>
    /// <returns>What each has become, in order.</returns>
    /// <inheritdoc cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)" path="/exception"/>
    public IReadOnlyList<VectorReceipt> UpsertMany(
        IReadOnlyCollection<VectorItem> items, TimeSpan? ttl = null, string? model = null)
    {
        ArgumentNullException.ThrowIfNull(items);
        Scope.ThrowIfNotWritable();
        Many.CheckCount(items.Count, Engine.Limits);
        Many.CheckKeys(items.Select(item => item.Key), items.Count, isWrite: true);
        while (true)
        {
            var writes = new List<Write>(items.Count);
            var bytes = 0L;
            foreach (var item in items)
            {
                writes.Add(new Write(this, item.Key, item.Embedding.Span, item.Metadata, ttl, model));
                bytes += writes[^1].BodyBytes;
                Many.CheckBytes(bytes, Engine.Limits);
            }

            if (writes.Count == 0)
                return [];
            if (Scope.Transaction is not null)
                return PendMany(writes, bytes);
            var batch = Scope.BeginSingle();
            if (writes[0].Made is not null && writes.Exists(write => !write.Made.AsSpan().SequenceEqual(writes[0].Made)))
                throw Uneven();
            for (var i = 0; i < writes.Count; i++)
                Add(batch, writes[i], isFirst: i == 0);
            try
            {
                return Scope.CommitSingle(batch, ReadReceipts);
            }
            catch (CairnException raced) when (IsRaced(raced, writes[0]))
            {
                // Looked at once more.
            }
        }
    }

    /// <summary>Changes the metadata of a vector by a Merge Patch (RFC 7396): members of the patch replace, Null removes. Embedding, id and
    /// expiry stay; the version is a new one. Decided on the newest state; inside a transaction it is a read and a write.</summary>
    /// <param name="key">As in <see cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)"/>.</param>
    /// <param name="patch">An Object.</param>
    /// <returns>False when there is no such vector; nothing was written then.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: the patch is no Object; <see cref="ErrorCode.InvalidArgument"/>:
    /// a number is not finite.</exception>
    /// <exception cref="LimitException">The metadata would become larger than <see cref="Limits.MetadataBytesMax"/>.</exception>
    public bool UpdateMetadata(string key, Value patch)
    {
        var encoded = KeyForWrite(key);
        if (patch.Kind != ValueKind.Object)
            throw new CairnException(ErrorCode.WrongType, $"A patch of metadata is an Object; {patch.Kind} was given.");
        patch.Measure.Check(Engine.Limits, FloatRule.Finite);
        if (Scope.Transaction is not null)
            return PendMetadata(encoded, patch);
        CairnException? refused = null;
        var batch = Scope.BeginSingle();
        batch.Decide = time =>
        {
            batch.BeginAgain();
            var body = default(byte[]);
            try
            {
                body = DecideMetadata(encoded, patch, time);
            }
            catch (CairnException exception)
            {
                refused = exception;
            }

            if (body is not null)
            {
                body.CopyTo(VectorOperations.Add(batch, OperationCode.VectorSetMetadata, encoded, body.Length, 0));
                batch.NeedsResolve = false;                  // this is the decision
            }

            batch.EndPart();
            return body is not null;
        };
        AddEmptyMetadata(batch, encoded);
        var placed = Scope.CommitSingle(batch);
        return refused is null ? placed.Sequence != 0 && batch.Operations > 0 : throw refused;
    }

    /// <summary>Removes a vector.</summary>
    /// <param name="key">As in <see cref="Upsert(string, ReadOnlySpan{float}, Value?, TimeSpan?, string?)"/>.</param>
    /// <returns>Whether it was there. Removing what is not writes nothing.</returns>
    public bool Delete(string key)
    {
        var encoded = KeyForWrite(key);
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            if (!Exists(key))
                return false;
            VectorPending.Delete(Scope, EncodedName, encoded);
            return true;
        }

        return DeleteThoseThere([encoded]) > 0;
    }

    /// <summary>Removes several vectors in one transaction.</summary>
    /// <param name="keys">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <returns>How many were there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a key twice.</exception>
    public int DeleteMany(IReadOnlyCollection<string> keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        Many.CheckKeys(keys, Engine.Limits, isWrite: true);
        Scope.ThrowIfNotWritable();
        if (keys.Count == 0)
            return 0;
        if (Scope.Transaction is null)
            return DeleteThoseThere([.. keys.Select(KeyForWrite)]);
        using var use = Scope.Use();
        var count = 0;
        foreach (var key in keys)
            count += Delete(key) ? 1 : 0;
        return count;
    }

    // TX-39: which keys are there is decided under the run's lock.
    private int DeleteThoseThere(List<byte[]> keys)
    {
        var count = 0;
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        foreach (var key in keys)
            VectorOperations.AddDelete(batch, EncodedName, key);
        batch.NeedsResolve = false;
        batch.Decide = time =>
        {
            count = 0;
            batch.BeginAgain();
            Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
            using var reader = Scope.Run.Store.Read();
            foreach (var key in keys)
            {
                if (!reader.TryGetNewest(VectorKeys.Head(buffer, EncodedName, key), out var head) || !head.IsLiveAt(time))
                    continue;
                VectorOperations.AddDelete(batch, EncodedName, key);
                count++;
            }

            batch.NeedsResolve = false;
            batch.EndPart();
            return count > 0;
        };
        Scope.CommitSingle(batch);
        return count;
    }

    // ---- how they are written --------------------------------------------------------------------------------------------------

    /// <summary>A vector in the form of its collection, as that was found.</summary>
    private sealed class Write
    {
        internal Write(
            VectorCollection collection, string key, ReadOnlySpan<float> embedding, Value? metadata, TimeSpan? ttl, string? model)
        {
            Key = collection.KeyForWrite(key);
            Life = Versions.TimeToLive(ttl);
            var metadataBytes = collection.CheckMetadata(metadata);
            VectorElement element;
            VectorMetric metric;
            using (var look = new VectorLook(collection.Engine.Pins, collection.Scope))
            {
                if (look.TryFind(collection.EncodedName, out var configuration, out _, isForWrite: true))
                {
                    CheckModel(configuration, model);
                    CheckDimension(configuration, embedding.Length);
                }
                else
                {
                    Made = collection.Make(embedding.Length, model);
                    configuration = VectorConfiguration.Read(Made);
                }

                (element, metric) = (configuration.Element, configuration.Metric);
                EmbeddingBytes = configuration.EmbeddingBytes;
            }

            Body = new byte[VectorBody.UpsertBytes(collection.EncodedName.Length, EmbeddingBytes, metadataBytes)];
            var rest = VectorBody.WriteUpsert(Body, collection.EncodedName, element, embedding.Length);
            StoredForm.Encode(element, embedding, rest[..EmbeddingBytes]);
            if (metric == VectorMetric.Cosine && StoredForm.IsZero(element, rest[..EmbeddingBytes]))
                throw Scoring.NoLength();
            if (metadata is { } given)
                ValueCodec.Encode(given, rest[EmbeddingBytes..]);
        }

        internal byte[] Key { get; }

        internal long Life { get; }

        internal byte[] Body { get; }

        internal int EmbeddingBytes { get; }

        internal int BodyBytes => Body.Length;

        /// <summary>The configuration of the collection, which is not there; null = it is.</summary>
        internal byte[]? Made { get; }
    }

    private byte[] Make(int dimension, string? model)
    {
        if (!Engine.Options.CreateCollections)
        {
            throw new CairnException(
                ErrorCode.NotFound,
                $"There is no collection '{Name}', and CairnOptions.CreateCollections is off. Make it with CreateCollection.");
        }

        KeyRules.EncodeName(Name, stackalloc byte[Limits.NameBytesMax], out _);
        return VectorConfiguration.Of(new VectorDefinition { Dimension = dimension, Model = model }, Engine.Limits);
    }

    private void Add(Batch batch, Write write, bool isFirst = true)
    {
        if (write.Made is { } made && isFirst)
        {
            var create = VectorBody.Create(made);
            create.CopyTo(VectorOperations.Add(batch, OperationCode.VectorCreate, EncodedName, create.Length, 0));
        }

        write.Body.CopyTo(VectorOperations.Add(batch, OperationCode.VectorUpsert, write.Key, write.BodyBytes, -write.Life));
    }

    // The collection is another one by now: dropped, made, or made by somebody else for another dimension.
    private static bool IsRaced(CairnException exception, Write write) =>
        exception is ConflictException || (exception.Code == ErrorCode.ConstraintViolation && write.Made is not null);

    private static VectorReceipt ReadReceipt(Batch batch, Placed placed) => ReadReceipts(batch, placed)[^1];

    private static List<VectorReceipt> ReadReceipts(Batch batch, Placed placed)
    {
        var receipts = new List<VectorReceipt>(batch.Operations);
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        while (Operation.TryTake(ref rest, out var operation, out _))
        {
            if (operation.Code == (byte)OperationCode.VectorUpsert)
                receipts.Add(new VectorReceipt(VectorOperations.ReadId(operation), placed.Sequence));
        }

        return receipts;
    }

    private VectorReceipt Pend(Write write)
    {
        using var use = Scope.Use();
        if (write.Made is { } made)
            VectorPending.Create(Scope, EncodedName, made);
        return new VectorReceipt(VectorPending.Upsert(Scope, EncodedName, write.Key, write.Body, write.Life));
    }

    private List<VectorReceipt> PendMany(List<Write> writes, long bytes)
    {
        using var use = Scope.Use();
        Scope.Writes!.CheckRoom(writes.Count + 1, bytes + writes.Sum(write => (long)write.Key.Length) + VectorConfiguration.BytesMax);
        if (writes[0].Made is { } made)
        {
            if (writes.Exists(write => !write.Made.AsSpan().SequenceEqual(made)))
                throw Uneven();
            VectorPending.Create(Scope, EncodedName, made);
        }

        return writes.ConvertAll(
            write => new VectorReceipt(VectorPending.Upsert(Scope, EncodedName, write.Key, write.Body, write.Life)));
    }

    private static CairnException Uneven() => new(
        ErrorCode.DimensionMismatch, "The vectors of one call have several dimensions, and those of a collection have one.");

    // ---- metadata --------------------------------------------------------------------------------------------------------------

    private int CheckMetadata(in Value? metadata)
    {
        if (metadata is not { } given)
            return 0;
        RunRules.CheckMetadata(given, Engine.Limits);
        return given.Measure.Check(Engine.Limits, FloatRule.Finite);
    }

    // A place in the record for the collection's name, so that what Apply will read is at hand; it is written anew when it is decided.
    private void AddEmptyMetadata(Batch batch, byte[] key)
    {
        var body = VectorOperations.Add(
            batch, OperationCode.VectorSetMetadata, key, VectorBody.NamedBytes(EncodedName.Length, 0), 0);
        VectorBody.WriteNamed(body, EncodedName);
        batch.NeedsResolve = false;
    }

    /// <summary>Under the run's lock: the body of the operation; null = there is no such vector.</summary>
    private byte[]? DecideMetadata(byte[] key, in Value patch, long time)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        using var reader = Scope.Run.Store.Read();
        if (!reader.TryGetNewest(VectorKeys.Head(buffer, EncodedName, key), out var head) || !head.IsLiveAt(time))
            return null;
        return MetadataBody(Patched(VectorOperations.MetadataOf(head.Value), patch));
    }

    private Value Patched(ReadOnlySpan<byte> metadata, in Value patch)
    {
        var patched = Merging.Apply(metadata.IsEmpty ? Value.Object() : Value.Decode(metadata), patch);
        CheckMetadata(patched);
        return patched;
    }

    private byte[] MetadataBody(in Value metadata)
    {
        var body = new byte[VectorBody.NamedBytes(EncodedName.Length, metadata.EncodedLength)];
        ValueCodec.Encode(metadata, VectorBody.WriteNamed(body, EncodedName));
        return body;
    }

    private bool PendMetadata(byte[] key, in Value patch)
    {
        using var use = Scope.Use();
        Value patched;
        byte[]? whole = null;
        using (var look = new VectorLook(Engine.Pins, Scope))
        {
            if (!look.TryFind(EncodedName, out var configuration, out _, isForWrite: true)
                || !look.TryGet(EncodedName, configuration, key, out var vector))
            {
                return false;
            }

            patched = Patched(vector.Metadata, patch);
            if (IsOwn(key))
            {
                whole = new byte[VectorBody.UpsertBytes(EncodedName.Length, vector.Embedding.Length, patched.EncodedLength)];
                var rest = VectorBody.WriteUpsert(whole, EncodedName, configuration.Element, configuration.Dimension);
                vector.Embedding.CopyTo(rest);
                ValueCodec.Encode(patched, rest[vector.Embedding.Length..]);
            }
        }

        VectorPending.SetMetadata(Scope, EncodedName, key, MetadataBody(patched), whole);
        return true;
    }

    private bool IsOwn(byte[] key)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        return Scope.Writes!.Find(VectorKeys.Head(buffer, EncodedName, key)) is { Delta: (long)OperationCode.VectorUpsert };
    }

    private byte[] KeyForWrite(string key)
    {
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKey(key, buffer, out var length);
        return buffer[..length].ToArray();
    }
}
