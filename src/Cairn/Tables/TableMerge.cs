// Several tables that are neighbours in an image become one, with what MergeRules keep: in steps, so that it can share a thread, and
// reading past the block cache. The sources are not touched; the new table counts once a manifest names it in their place.
//
// A key's versions come newest first. What superseded a version is the next newer one, kept or not, or the deletion of its run:
//
//      sequence      12    9     7(tombstone)   4         pins 5, 8; nothing asked by the run; the bottom
//      superseded by  -    12    9              7
//      kept?         M1    no    pin 8          pin 5     -> 12, 7, 4
//
//      without pin 5: 4 goes, then nothing older than the tombstone is kept, and M4 lets it go too; who reads at 8 finds nothing
//      either way
//
// M4 is known only when the versions below have been judged, so tombstones wait for the next older version that is kept.

using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tables;

/// <summary>A merge under way. Not thread-safe. Disposing it before it is done throws the new table away.</summary>
internal sealed class TableMerge : IDisposable
{
    /// <summary>Tombstones of one key that wait at most: more of them are written, needed or not.</summary>
    private const int WaitingMax = 64;

    /// <summary>Of an entry beside key and value: its head, its slot and its offset.</summary>
    private const int EntryBytes = 30;

    private readonly MergeRules _rules;
    private readonly VersionCursor _versions;
    private readonly TableWriter? _writer;       // null: only counts
    private readonly List<Tombstone> _waiting = [];
    private byte[] _key = new byte[64];          // run and key under way
    private int _keyBytes;
    private RunId _run;
    private RunRule _rule;
    private bool _hasRun;
    private ulong _newer;                        // sequence of the version before, of the same key; 0 = none
    private int _count;                          // versions of the key so far

    private readonly record struct Tombstone(ulong Sequence, ulong Created, long Time, long Expiry, bool IsAsked);

    /// <param name="storage">Where the database lives.</param>
    /// <param name="number">The new table's; never used before.</param>
    /// <param name="databaseId">Of the database.</param>
    /// <param name="salt">Random; seeds every check of the new file.</param>
    /// <param name="tables">Neighbours, newest first. They stay open until the merge is disposed of.</param>
    internal TableMerge(
        IStorage storage, uint number, UInt128 databaseId, UInt128 salt, ReadOnlySpan<Table> tables, MergeRules rules)
    {
        _rules = rules;
        _versions = new VersionCursor(tables, default, [], keep: false);
        _writer = new TableWriter(storage, number, databaseId, salt);
    }

    /// <summary>A merge that writes nothing and counts what one would keep.</summary>
    /// <param name="tables">Neighbours, newest first.</param>
    internal TableMerge(ReadOnlySpan<Table> tables, MergeRules rules)
    {
        _rules = rules;
        _versions = new VersionCursor(tables, default, [], keep: false);
    }

    /// <summary>Bytes of the entries that were read, about: the parts of a file are not counted.</summary>
    internal long EntryBytesRead { get; private set; }

    /// <summary>Bytes of those that are kept.</summary>
    internal long EntryBytesKept { get; private set; }

    /// <summary>The new table, once <see cref="Step"/> has said that it is done.</summary>
    internal TableInfo? Result { get; private set; }

    /// <summary>All is read and written; the file is being published, or is.</summary>
    internal bool IsPublishing { get; private set; }

    /// <summary>Entries read so far.</summary>
    internal long EntriesRead { get; private set; }

    /// <summary>Bytes written so far.</summary>
    internal long BytesWritten => _writer?.Bytes ?? 0;

    /// <summary>Reads up to so many entries and writes what is kept of them; the last step publishes the file.</summary>
    /// <returns>True when it is done.</returns>
    /// <exception cref="CorruptionException">A source is damaged; nothing is published.</exception>
    internal bool Step(int entries)
    {
        Invariant.Check(Result is null, "a merge ends once");
        for (; entries > 0; entries--)
        {
            if (!_versions.MoveNext())
            {
                EndKey();
                IsPublishing = _writer is not null;
                Result = _writer?.Finish();
                return true;
            }

            EntriesRead++;
            EntryBytesRead += BytesOf(_versions.Key, _versions.Version);
            Judge(_versions.Version);
        }

        return false;
    }

    public void Dispose() => _writer?.Dispose();

    private static long BytesOf(ReadOnlySpan<byte> key, in VersionView version) =>
        EntryBytes + key.Length + (version.IsContent ? ContentReference.Size : version.Value.Length);

    private void Write(ReadOnlySpan<byte> key, in VersionView version)
    {
        EntryBytesKept += BytesOf(key, version);
        _writer?.Add(_run, key, version);
    }

    private void Judge(in VersionView version)
    {
        if (_keyBytes == 0 || !_versions.RunAndKey.SequenceEqual(_key.AsSpan(0, _keyBytes)))
        {
            EndKey();
            BeginKey();
        }

        var sequence = version.Sequence;
        var isDeleted = sequence < _rule.DeletedAt;
        var superseded = _newer == 0 ? ulong.MaxValue : _newer;
        if (isDeleted)
            superseded = Math.Min(superseded, _rule.DeletedAt);
        var isNewest = superseded == ulong.MaxValue;
        _newer = sequence;
        var isAsked = !isDeleted && (_count++ < _rule.Versions || superseded > _rule.Since);
        if (!isNewest && !isAsked && !_rules.IsPinned(sequence, superseded) && !_rule.IsHeld(sequence, superseded))
            return;

        var mayGo = !_rule.KeepsTombstones || isDeleted || Mutant.Is("merge-drops-tombstones-of-forks");
        if (version.IsPlainTombstone && mayGo && (_rules.IsBottom || Mutant.Is("merge-drops-tombstones")) && _waiting.Count < WaitingMax)
        {
            // Its own deletion is what the run asks to see, and not that there is nothing any more: that, no version says as well.
            isAsked &= _rule.Versions > 1 || sequence > _rule.Since;
            _waiting.Add(new Tombstone(sequence, version.Created, version.Time, version.Expiry, isAsked));
            return;
        }

        WriteWaiting(onlyAsked: false);
        Write(_versions.Key, version);
    }

    private void BeginKey()
    {
        var key = _versions.RunAndKey;
        if (_key.Length < key.Length)
            _key = new byte[Math.Max(2 * _key.Length, key.Length)];
        key.CopyTo(_key);
        _keyBytes = key.Length;
        _newer = 0;
        _count = 0;
        if (_hasRun && _run == _versions.Run)
            return;
        _hasRun = true;
        _run = _versions.Run;
        _rule = _rules.RuleOf(_run);
    }

    private void EndKey() => WriteWaiting(onlyAsked: true);

    private void WriteWaiting(bool onlyAsked)
    {
        foreach (var one in _waiting)
        {
            if (!onlyAsked || one.IsAsked)
            {
                Write(
                    _key.AsSpan(RunId.Size, _keyBytes - RunId.Size),
                    new VersionView(default, one.Sequence, one.Created, one.Time, one.Expiry, isTombstone: true));
            }
        }

        _waiting.Clear();
    }
}
