namespace Cairn.Bench.Harness;

/// <summary>
/// The worst and the total pause of the garbage collector while one thread works. The working thread itself calls
/// <see cref="Look"/> after each operation: the runtime remembers only its last collections, and a thread that looks between
/// any two of them misses none.
/// </summary>
internal sealed class CollectorPauses
{
    private static readonly GCKind[] Kinds = [GCKind.Ephemeral, GCKind.FullBlocking, GCKind.Background];

    private readonly long[] _lastIndex = new long[Kinds.Length];
    private readonly TimeSpan _totalBefore = GC.GetTotalPauseDuration();
    private int _collections = GC.CollectionCount(0);

    internal CollectorPauses()
    {
        for (var kind = 0; kind < Kinds.Length; kind++)
            _lastIndex[kind] = GC.GetGCMemoryInfo(Kinds[kind]).Index;
    }

    internal TimeSpan Worst { get; private set; }

    internal TimeSpan Total => GC.GetTotalPauseDuration() - _totalBefore;

    internal void Look()
    {
        var collections = GC.CollectionCount(0);
        if (collections == _collections)
            return;
        _collections = collections;
        Collect();
    }

    /// <summary>Takes in what is left: a background collection may end without the count moving.</summary>
    internal void Collect()
    {
        for (var kind = 0; kind < Kinds.Length; kind++)
        {
            var info = GC.GetGCMemoryInfo(Kinds[kind]);
            if (info.Index == _lastIndex[kind])
                continue;
            _lastIndex[kind] = info.Index;
            foreach (var pause in info.PauseDurations)
                Worst = pause > Worst ? pause : Worst;
        }
    }
}
