using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>A document as one side of a comparison has it.</summary>
/// <param name="Expiry">Absolute; 0 = none.</param>
internal readonly record struct StoredDocument(Value Value, ulong Sequence, long Time, long Expiry)
{
    internal DiffVersion ToVersion() => Of(Value);

    /// <summary>A part of it: version and time are the document's.</summary>
    internal DiffVersion Of(Value part) => new(part, new Sequence(Sequence), CommitClock.Time(Time))
    {
        Expiry = Expiry == 0 ? null : CommitClock.Time(Expiry),
    };

    internal HistoryItem<Value> ToItem() =>
        new(Value, false, new Sequence(Sequence), CommitClock.Time(Time), Versions.ToExpiry(Expiry));

    /// <summary>Null: there is none.</summary>
    /// <param name="sequence">Pinned by the caller.</param>
    /// <param name="time">At which expiry is judged.</param>
    internal static StoredDocument? Read(RunStore store, ulong sequence, long time, ReadOnlySpan<byte> id)
    {
        using var reader = store.Read();
        return Read(new PastNodes(reader, sequence, time), id);
    }

    /// <summary>The same in a transaction, which has read all of it then.</summary>
    internal static StoredDocument? Read(Scope scope, ReadOnlySpan<byte> id)
    {
        using var use = scope.Use();
        using var reader = scope.Run.Store.Read();
        return Read(new ScopeNodes(scope, reader, scope.Sequence, scope.Time), id);
    }

    private static StoredDocument? Read<TNodes>(TNodes nodes, ReadOnlySpan<byte> id)
        where TNodes : IDocumentNodes, allows ref struct
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        if (!tree.TryFind(default, Look.Read, out var root))
            return null;
        var header = tree.Header(Look.Blind);
        return new StoredDocument(tree.Read(root), header.Sequence, header.Time, tree.Expiry);
    }
}
