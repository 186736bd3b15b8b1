using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The vectors of a run: embeddings under keys, in named collections of one dimension and metric, found by how alike they are to a
/// query. On <see cref="Run.Vectors"/> each call is a transaction of its own and returns when it is as durable as the database's mode asks;
/// on <see cref="Transaction"/> it takes part in that. Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidName"/>, <see cref="ErrorCode.RunClosed"/>,
/// <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class VectorCollections : VectorCollectionsView
{
    internal VectorCollections(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    /// <inheritdoc/>
    public new VectorCollection this[string name] => new(Engine, Scope, name);

    /// <summary>Makes a collection. The same definition once more changes nothing.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>; unique in the
    /// run.</param>
    /// <param name="definition">What it is. Nothing of it can be changed.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when the collection was there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>: a collection of that name is there and is another
    /// one; the message says in what. <see cref="ErrorCode.InvalidArgument"/>: the definition has a value that is none, or asks for an
    /// index that is not built yet.</exception>
    /// <exception cref="LimitException">The dimension, the name or the number of collections of the run
    /// (<see cref="Limits.CollectionsMax"/>).</exception>
    public Sequence CreateCollection(string name, VectorDefinition definition)
    {
        Scope.ThrowIfNotWritable();
        var configuration = VectorConfiguration.Of(definition, Engine.Limits);
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer, out var length);
        var encoded = buffer[..length];
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            using (var look = new VectorLook(Engine.Pins, Scope))
            {
                if (look.TryFind(encoded, out var there, out _, isForWrite: true))
                {
                    return there.Bytes.SequenceEqual(configuration)
                        ? Sequence.None
                        : throw VectorOperations.Different(encoded, there.Bytes, configuration);
                }
            }

            VectorPending.Create(Scope, encoded, configuration);
            return Sequence.None;
        }

        var owned = encoded.ToArray();
        byte[]? other = null;
        var batch = Scope.BeginSingle();
        var body = VectorBody.Create(configuration);
        body.CopyTo(VectorOperations.Add(batch, OperationCode.VectorCreate, owned, body.Length, 0));
        batch.Decide = _ =>
        {
            // The trial has refused another one. What is there is the same.
            using var reader = Scope.Run.Store.Read();
            Span<byte> key = stackalloc byte[VectorKeys.BytesMax];
            other = reader.TryGetNewest(VectorKeys.Collection(key, owned), out var version) && !version.IsTombstone
                ? version.Value.ToArray()
                : null;
            return other is null;
        };
        var placed = Scope.CommitSingle(batch);
        return other is null ? new Sequence(placed.Sequence) : Sequence.None;
    }

    /// <summary>Deletes a collection with all it holds. Costs what that is; other writers of the run wait meanwhile.</summary>
    /// <param name="name">As in <see cref="CreateCollection"/>.</param>
    /// <returns>Whether it was there. Deleting what is not writes nothing.</returns>
    public bool DeleteCollection(string name)
    {
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer, out var length);
        var encoded = buffer[..length];
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            using (var look = new VectorLook(Engine.Pins, Scope))
            {
                if (!look.TryFind(encoded, out _, out _, isForWrite: true))
                    return false;
            }

            VectorPending.Drop(Scope, encoded);
            return true;
        }

        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        VectorOperations.Add(batch, OperationCode.VectorDrop, encoded, 0, 0);
        Span<byte> key = stackalloc byte[VectorKeys.BytesMax];
        var expected = new Expectation(
            Scope.Run, VectorKeys.Collection(key, encoded).ToArray(), ExpectationKind.Present, 0);
        return Scope.TryCommitSingle(batch, expected, out _);
    }
}
