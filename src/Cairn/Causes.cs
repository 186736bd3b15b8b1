using Cairn.Replay;

namespace Cairn;

/// <summary>Who and what caused the commits of a run and of what it was forked from, by sequence, as far as their records are kept. Read
/// once, from the run's own chain; memory holds a few bytes for each commit that tells, and each text once.</summary>
internal sealed class Causes
{
    private readonly Dictionary<ulong, int> _told = [];
    private readonly List<Value> _values = [];

    private Causes()
    {
    }

    /// <summary>Nothing is told.</summary>
    internal static Causes None { get; } = new();

    /// <exception cref="CorruptionException">A record is damaged.</exception>
    internal static Causes Of(DiffEnd end, CancellationToken cancellationToken)
    {
        var causes = new Causes();
        var seen = new Dictionary<byte[], int>(Store.ByteArrayComparer.Instance);
        using var chain = new DiffChain(end, null);
        while (chain.MoveNext(out var payload))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var attributes = new Log.TransactionPayload(payload).Attributes;
            if (attributes.IsEmpty)
                continue;
            var bytes = attributes.ToArray();
            if (!seen.TryGetValue(bytes, out var at))
            {
                if (!CommitAttributes.TryDecode(bytes, out var told))
                {
                    var (path, offset, _) = end.Log!.PlaceOf(chain.Position);
                    throw new CorruptionException(path, offset, new Sequence(chain.Header.Sequence), "attributes of a commit");
                }

                seen.Add(bytes, at = causes._values.Count);
                causes._values.Add(told.ToLine());
            }

            causes._told[chain.Header.Sequence] = at;
        }

        return causes;
    }

    /// <summary>Null when nothing was told, or the record is no longer kept.</summary>
    internal Value? At(ulong sequence) =>
        _told.TryGetValue(sequence, out var at) && _values[at].Count > 0 ? _values[at] : default(Value?);
}
