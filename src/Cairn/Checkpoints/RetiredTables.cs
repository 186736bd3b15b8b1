using Cairn.Log;
using Cairn.Storage;
using Cairn.Store.Native;

namespace Cairn.Checkpoints;

/// <summary>
/// Tables that others have taken the place of. A table goes last (G3): behind the manifest that does not name it, behind the line that the
/// last reader of the old image passed, behind the manifest after that one (two stay, N and N-1), and while no verification holds an older
/// one. Under the gate of the tables' turn.
/// </summary>
internal sealed class RetiredTables(IStorage storage, SegmentedLog device)
{
    private readonly List<Retired> _retired = [];
    private int _count;

    /// <summary>How many wait; asked on any thread.</summary>
    internal int Count => Volatile.Read(ref _count);

    /// <summary>Nobody reads them any more; a manifest is all they wait for.</summary>
    internal bool AreClosed => _retired.TrueForAll(retired => retired.IsClosed);

    /// <param name="line">Behind it nobody reads the table.</param>
    /// <param name="manifest">The first that does not name it.</param>
    /// <param name="setAside">What is done with its file instead of unlinking it.</param>
    internal void Add(Table table, long line, ulong manifest, Action<string>? setAside = null)
    {
        _retired.Add(new Retired(table, line, manifest, setAside));
        Volatile.Write(ref _count, _retired.Count);
    }

    /// <summary>Closes and unlinks what may go.</summary>
    internal void Release()
    {
        if (_retired.Count == 0)
            return;
        foreach (var retired in _retired)
        {
            if (!retired.IsClosed && (Epoch.HasPassed(retired.Line) || Mutant.Is("merge-closes-before-line")))
                retired.Close();
        }

        if (device.HeldFrom == ulong.MaxValue)
            Discard();
    }

    /// <summary>The database is closed: nobody reads any more.</summary>
    internal void End(bool discards)
    {
        foreach (var retired in _retired.Where(retired => !retired.IsClosed))
            retired.Close();
        if (discards)
            Discard();
    }

    private void Discard()
    {
        var manifest = device.Manifest.Number;
        foreach (var retired in _retired.Where(retired => retired.IsClosed && retired.Manifest < manifest))
        {
            Failpoint.Hit("merge.before-unlinked");
            if (retired.SetAside is { } setAside)
                setAside(retired.Table.Info.Path);
            else
                Unlink(retired.Table.Info.Path);
            retired.IsGone = true;
        }

        _retired.RemoveAll(retired => retired.IsGone);
        Volatile.Write(ref _count, _retired.Count);
    }

    private void Unlink(string path)
    {
        try
        {
            storage.Unlink(path);
        }
        catch (StorageException)
        {
            // Nothing names it: it goes at the next opening.
        }
    }

    private sealed class Retired(Table table, long line, ulong manifest, Action<string>? setAside)
    {
        internal Table Table => table;

        internal long Line => line;

        internal ulong Manifest => manifest;

        internal Action<string>? SetAside => setAside;

        internal bool IsClosed { get; private set; }

        internal bool IsGone { get; set; }

        internal void Close()
        {
            table.Dispose();
            IsClosed = true;
        }
    }
}
