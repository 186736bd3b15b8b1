using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Maintenance;

/// <summary>
/// The contents that the tables of a manifest refer to, as stretches of the log. Of all of its checkpoints: the newest is what the stores
/// read, the older one is what recovery may go back to. It has handles of its own, so that a merge that goes on beside it takes nothing
/// away. Asked in the order of the log it reads each table once; asked for something earlier, it begins again.
/// </summary>
/// <remarks>
/// That the tables say it all: what a store refers to below the older checkpoint's mark was valid at that checkpoint, so it is in its
/// image; what came later stands above the mark; and what only an older snapshot still sees holds the log (LogNeeds).
/// </remarks>
internal sealed class LiveContents : IDisposable
{
    private readonly List<Table> _tables = [];
    private IEnumerator<LogExtent>? _walk;
    private bool _hasNext;
    private ulong _passed;

    private LiveContents(Manifest manifest) => Manifest = manifest;

    /// <summary>The manifest whose tables they are.</summary>
    internal Manifest Manifest { get; }

    /// <summary>The tables of the older checkpoint, newest first; good as long as this is.</summary>
    internal Table[] TablesOfOlder => Manifest.Checkpoints.Count == 0
        ? []
        : [.. Manifest.Checkpoints[0].Tables.Select(number => _tables.First(table => table.Info.Number == number))];

    /// <summary>Opens the tables that the log's newest manifest names.</summary>
    /// <exception cref="CorruptionException">One of them is damaged.</exception>
    internal static LiveContents Of(SegmentedLog log, IStorage storage)
    {
        while (true)
        {
            var manifest = log.Manifest;
            var contents = new LiveContents(manifest);
            try
            {
                var cache = new BlockCache(0);
                foreach (var info in manifest.Tables)
                    contents._tables.Add(Table.Open(storage, info, manifest.DatabaseId, cache));
                return contents;
            }
            catch (CorruptionException) when (log.Manifest != manifest)
            {
                contents.Dispose();                          // a merge has replaced a table meanwhile
            }
            catch
            {
                contents.Dispose();
                throw;
            }
        }
    }

    /// <summary>Those that begin in a part of the log, in its order; what is shared comes several times.</summary>
    internal IEnumerable<LogExtent> In(ulong from, ulong to)
    {
        if (_walk is null || from < _passed)
        {
            _walk?.Dispose();
            _walk = Merged().GetEnumerator();
            _hasNext = _walk.MoveNext();
        }

        for (; _hasNext && _walk.Current.Position < to; _hasNext = _walk.MoveNext())
        {
            _passed = _walk.Current.Position;
            if (_passed >= from && !Mutant.Is("compaction-forgets-contents"))
                yield return _walk.Current;
        }

        _passed = Math.Max(_passed, to);
    }

    private IEnumerable<LogExtent> Merged()
    {
        var heap = new PriorityQueue<IEnumerator<ContentExtent>, ContentExtent>();
        foreach (var table in _tables)
        {
            var extents = table.ReadContents().GetEnumerator();
            if (extents.MoveNext())
                heap.Enqueue(extents, extents.Current);
        }

        while (heap.TryPeek(out var next, out var extent))
        {
            yield return new LogExtent(extent.Position, extent.Length);
            if (next.MoveNext())
                heap.DequeueEnqueue(next, next.Current);
            else
                heap.Dequeue();
        }
    }

    public void Dispose()
    {
        _walk?.Dispose();
        foreach (var table in _tables)
            table.Dispose();
    }
}
