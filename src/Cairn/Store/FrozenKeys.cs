using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>Takes one key of a frozen dirty set, with its newest version at the cut. Both are borrowed for the call.</summary>
internal delegate void FrozenKeyVisitor(ReadOnlySpan<byte> key, in VersionView version);

/// <summary>
/// The dirty keys of a run as of a cut, in key order, each with its version at the cut, tombstones included, and behind it those older
/// ones that forks of the run read: what a checkpoint writes of the run. Read without the run's lock while commits go on: the entries stay
/// in memory until the cut is published or given back, and their versions at the cut as long as that is pinned, which the caller sees to.
/// </summary>
internal sealed class FrozenKeys : IDisposable
{
    private readonly RunStore _store;
    private readonly RunMemory _memory;
    private readonly ulong _cut;
    private readonly ulong _since;
    private readonly KeySort _keys;
    private int _next;

    internal FrozenKeys(RunStore store, ulong cut)
    {
        _store = store;
        _memory = store.Memory;
        _cut = cut;
        _since = _memory.FrozenSince;
        _keys = new KeySort(_memory.FrozenCount);
        try
        {
            using var inside = store.Read();
            _memory.CopyFrozen(cut, _keys.Entries);
            _keys.Sort();
        }
        catch
        {
            _keys.Dispose();
            throw;
        }
    }

    /// <summary>How many were listed; a key that was given back once may count twice.</summary>
    internal int Count => _keys.Entries.Length;

    /// <summary>Deletions that need not be written: the image has nothing of the key, for certain.</summary>
    internal long Skipped { get; private set; }

    /// <summary>Hands out up to <paramref name="keys"/> keys. The visitor may read and write files: no lock is held, only the
    /// epoch.</summary>
    /// <returns>False when all have been handed out.</returns>
    /// <exception cref="ObjectDisposedException">The store was disposed of.</exception>
    internal bool Visit(int keys, FrozenKeyVisitor visit)
    {
        var entries = _keys.Entries;
        for (; keys > 0 && _next < entries.Length; _next++)
        {
            if (_next > 0 && entries[_next] == entries[_next - 1])
                continue;
            keys--;
            using var inside = _store.Read();
            var key = RunMemory.KeyOf(entries[_next]);
            var isThere = _memory.TryRead(entries[_next], _cut, out var version);
            Invariant.Check(isThere, "a frozen key has a version at its cut, which is pinned");
            var isHeld = _memory.VisitHeld(entries[_next], _cut, _since, null);
            if (isHeld || _memory.NeedsWriting(key, version))
                visit(key, version);
            else
                Skipped++;
            if (isHeld)
                _memory.VisitHeld(entries[_next], _cut, _since, visit);
        }

        return _next < entries.Length;
    }

    public void Dispose() => _keys.Dispose();
}
