using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

// What is made of concepts, associations and vectors together: each call is one transaction.
public sealed partial class ConceptGraph
{
    /// <summary>From a concept to the one that it takes the place of.</summary>
    internal const string SupersedesType = "$supersedes";

    /// <summary>Between two that cannot both be so.</summary>
    internal const string ContradictsType = "$contradicts";

    /// <summary>Remembers a text, in one transaction: a concept that is known by the text (<see cref="PutConcept(ConceptFields)"/>), its
    /// associations, and its embedding as a vector under the concept's id. What is known already is not made twice: the same call again
    /// writes the same once more and makes nothing new. Texts that are only alike are different ones.</summary>
    /// <param name="content">At most <see cref="Limits.ConceptContentBytesMax"/>.</param>
    /// <param name="options">What else is said; null = nothing.</param>
    /// <exception cref="CairnException">As those calls; <see cref="ErrorCode.InvalidArgument"/>: an embedding without a collection, or a
    /// collection without an embedding.</exception>
    public Remembered Remember(string content, RememberOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(content);
        options ??= RememberOptions.None;
        if (options.Embedding.IsEmpty != (options.Collection is null))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "A memory has an embedding and the collection that it goes to, or neither. Give both.");
        }

        if (Scope.Transaction is not null)
            return RememberHere(content, options);
        TransactionContext? last = null;
        var remembered = Engine.Transact(
            [Scope.Run], new TransactionOptions { Commit = Scope.Options }, TransactionOptions.Default.Retries, transaction =>
            {
                last = transaction;
                return new ConceptGraph(Engine, transaction.Find(Scope.Run.Id)!).RememberHere(content, options);
            });
        return remembered with { Sequence = new Sequence(last!.CommittedAt) };
    }

    private Remembered RememberHere(string content, RememberOptions options)
    {
        var fields = new ConceptFields { Content = content, Type = options.Type, Attributes = options.Attributes };
        ConceptRecord.Check(fields, Engine.Limits);
        var id = IdOf(content);
        var wasKnown = Exists(id);
        AssociationItem[] links =
            [.. options.Associations.Select(link => new AssociationItem(ItemAddress.OfConcept(id), link.Type, link.Target, link.Options))];
        CheckLinks(links);

        // What may still be refused comes first: in a caller's transaction all of it is pending then, or nothing.
        if (options.Collection is { } collection)
            new VectorCollections(Engine, Scope)[collection].Upsert(id, options.Embedding.Span, model: options.Model);
        PutConcept(id, fields);
        AssociateMany(links);
        return new Remembered(id, wasKnown, Sequence.None);
    }

    private void CheckLinks(AssociationItem[] links)
    {
        Many.CheckCount(links.Length, Engine.Limits);
        var named = new HashSet<byte[]>(ByteArrayComparer.Instance);
        var ensured = new HashSet<byte[]>(ByteArrayComparer.Instance);
        foreach (var link in links)
        {
            Prepare(link, [], named, ensured, isReserved: false);
            if (link is { Options.MissingEnd: MissingEnd.Reject, Target.Primitive: ItemAddress.GraphPrimitive } && !Exists(link.Target.Key))
                throw new MissingConceptException(link.Target.Key);
        }
    }

    /// <summary>Records that a concept takes the place of another: an association of the reserved type <c>$supersedes</c> from the new one
    /// to the old one. Neither is changed.</summary>
    /// <param name="old">What is not so any more.</param>
    /// <param name="replacement">What is so.</param>
    /// <param name="reason">Why; null = not said. It is kept as the attribute <c>reason</c>.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such concept;
    /// <see cref="ErrorCode.ConstraintViolation"/>: both are one.</exception>
    public Sequence Supersede(string old, string replacement, string? reason = null) =>
        AssociateReserved(replacement, SupersedesType, old, reason, isSymmetric: false);

    /// <summary>Records that two concepts cannot both be so: a symmetric association of the reserved type <c>$contradicts</c>.</summary>
    /// <param name="first">The one.</param>
    /// <param name="second">The other.</param>
    /// <param name="reason">Why; null = not said. It is kept as the attribute <c>reason</c>.</param>
    /// <inheritdoc cref="Supersede" path="/returns"/>
    /// <inheritdoc cref="Supersede" path="/exception"/>
    public Sequence Contradict(string first, string second, string? reason = null) =>
        AssociateReserved(first, ContradictsType, second, reason, isSymmetric: true);

    private Sequence AssociateReserved(string source, string type, string target, string? reason, bool isSymmetric) => Associate(
        [
            new AssociationItem(
                ItemAddress.OfConcept(source), type, ItemAddress.OfConcept(target),
                new AssociationOptions
                {
                    IsSymmetric = isSymmetric,
                    MissingEnd = MissingEnd.Reject,
                    Attributes = reason is null ? default(Value?) : Value.Object(("reason", reason)),
                }),
        ],
        isReserved: true);
}

/// <summary>What is said of a memory beside its text.</summary>
public sealed record RememberOptions
{
    internal static RememberOptions None { get; } = new();

    /// <summary>What kind of thing it is; null = as it is.</summary>
    public string? Type { get; init; }

    /// <summary>An Object in place of all attributes; null = as they are.</summary>
    public Value? Attributes { get; init; }

    /// <summary>Where it leads to; at most <see cref="Limits.ManyItemsMax"/>, each association once.</summary>
    public IReadOnlyCollection<RememberedLink> Associations { get; init; } = [];

    /// <summary>The text's embedding; empty = none. Together with <see cref="Collection"/>.</summary>
    public ReadOnlyMemory<float> Embedding { get; init; }

    /// <summary>The collection of vectors that the embedding goes to; made if there is none.</summary>
    public string? Collection { get; init; }

    /// <summary>The model that the embedding comes from; null = not said.</summary>
    public string? Model { get; init; }
}

/// <summary>An association of what is remembered.</summary>
/// <param name="Type">What it says.</param>
/// <param name="Target">Where it leads to.</param>
/// <param name="Options">What is said of it; null = weight and confidence 1.</param>
public sealed record RememberedLink(string Type, ItemAddress Target, AssociationOptions? Options = null);

/// <summary>A memory.</summary>
/// <param name="Id">Of the concept, and of its vector.</param>
/// <param name="WasKnown">The same text was remembered before.</param>
/// <param name="Sequence">Of the commit; <see cref="Sequence.None"/> inside a transaction.</param>
public sealed record Remembered(string Id, bool WasKnown, Sequence Sequence);
