using Cairn.Log;
using Cairn.Store;

namespace Cairn.Checkpoints;

/// <summary>What a database is at a cut, and the opening that is writing then: the head of the catalogue's record in the image.</summary>
/// <param name="Sequence">Of the newest commit in it.</param>
/// <param name="Time">Commit time there.</param>
/// <param name="Since">The cut of what lies below: only what has changed behind it is written.</param>
/// <param name="Epoch">The opening.</param>
/// <param name="EndedUncleanly">Those before it that a crash ended.</param>
internal sealed record TableCut(ulong Sequence, long Time, ulong Since, ulong Epoch, IReadOnlyCollection<ulong> EndedUncleanly);

/// <summary>
/// Writes the table of a cut, in steps: of each run that has changed since the cut below, in the order of their ids, the record and then
/// the dirty keys as they were at the cut. A run that was deleted is a tombstone of its record, if the image below may have it.
/// Runs are frozen for the cut, and the cut is pinned. Not thread-safe. Disposing throws away what is not finished.
/// </summary>
internal sealed class CutTable : IDisposable
{
    private const int RunsPerStep = 256;
    private const int KeysPerStep = 4096;

    private readonly TableCut _cut;
    private readonly Image _below;
    private readonly TableWriter _writer;
    private readonly SortedDictionary<RunId, Item> _items = [];
    private readonly Queue<KeyValuePair<RunId, Item>> _rest;
    private FrozenKeys? _keys;
    private RunId _keysOf;

    /// <param name="frozen">Every run that may have changed.</param>
    /// <param name="below">What the table will lie above.</param>
    internal CutTable(TableCut cut, Catalogue catalogue, IReadOnlyList<RunState> frozen, Image below, Func<TableWriter> begin)
    {
        _cut = cut;
        _below = below;
        foreach (var run in frozen)
        {
            if (run.FrozenDeletedAt > 0)
                AddGone(run.Id, run.FrozenDeletedAt);
            else if (run.Frozen.LastSequence > cut.Since)
                _items[run.Id] = new Item(run, 0);
            if (run.HasFrozenKeys)
                Expected += run.Store.Memory.FrozenCount;
        }

        foreach (var (id, deletedAt) in catalogue.GoneUpTo(cut.Sequence))
            AddGone(id, deletedAt);

        _items[default] = new Item(catalogue.State, 0);
        _writer = begin();
        _rest = new Queue<KeyValuePair<RunId, Item>>(_items);
    }

    /// <summary>Keys that will be written, about.</summary>
    internal long Expected { get; }

    /// <summary>Keys that were written, about.</summary>
    internal long Written { get; private set; }

    // An id may have been taken again since: then the record of the new run hides the old one.
    private void AddGone(RunId id, ulong deletedAt)
    {
        if (!_items.TryGetValue(id, out var other) || (other.Run is null && other.DeletedAt < deletedAt))
            _items[id] = new Item(null, deletedAt);
    }

    /// <summary>Writes a bounded piece.</summary>
    /// <returns>False when all is written.</returns>
    internal bool Step()
    {
        if (_keys is { } keys)
        {
            var id = _keysOf;
            Written += KeysPerStep;
            if (keys.Visit(KeysPerStep, (key, in version) => _writer.Add(id, key, version)))
                return true;
            keys.Dispose();
            _keys = null;
            return true;
        }

        for (var i = 0; i < RunsPerStep && _keys is null; i++)
        {
            if (!_rest.TryDequeue(out var next))
                return false;
            WriteRecord(next.Key, next.Value);
            if (next.Value.Run is { HasFrozenKeys: true } run)
                (_keys, _keysOf) = (run.Store.OpenFrozen(_cut.Sequence), run.Id);
        }

        return true;
    }

    private void WriteRecord(RunId id, Item item)
    {
        if (item.Run is null)
        {
            var tombstone = new VersionView(default, item.DeletedAt, item.DeletedAt, _cut.Time, 0, isTombstone: true);
            if (_below.MayHave(id, RunNumbers.Key))
                _writer.Add(id, RunNumbers.Key, tombstone);
            return;
        }

        var numbers = item.Run.Frozen;
        if (id == default)
        {
            var record = new CatalogueRecord(numbers, _cut.Epoch, [.. _cut.EndedUncleanly.Order()]).Encode();
            _writer.Add(id, RunNumbers.Key, new VersionView(record, _cut.Sequence, 0, _cut.Time, 0, isTombstone: false));
            return;
        }

        Span<byte> bytes = stackalloc byte[RunNumbers.SizeMax];
        bytes = bytes[..numbers.EncodedSize];
        numbers.Write(bytes);
        _writer.Add(id, RunNumbers.Key, new VersionView(bytes, numbers.LastSequence, numbers.Born, _cut.Time, 0, isTombstone: false));
    }

    /// <summary>Syncs the table and gives it its name.</summary>
    internal TableInfo Finish() => _writer.Finish();

    public void Dispose()
    {
        _keys?.Dispose();
        _keys = null;
        _writer.Dispose();
    }

    /// <summary>What is written of one run: its record and its keys, or that it is gone.</summary>
    private readonly record struct Item(RunState? Run, ulong DeletedAt);
}
