using Cairn.Log;

namespace Cairn.Tables;

/// <summary>Tables in which somebody met damage: a read, a merge, scrubbing. Each is told once, and stays until it was rebuilt, was found
/// right, or is named no more. Thread-safe; telling costs nobody a wait.</summary>
internal sealed class DamagedTables
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<uint, DamagedTable> _tables = [];
    private int _count;
    private string? _waiting;
    private long _rebuilt;
    private long _bytesWritten;

    /// <summary>Told of each table once, on the thread that met the damage.</summary>
    internal Action<DamagedTable>? Found { get; set; }

    internal int Count => Volatile.Read(ref _count);

    // ---- told by whoever rebuilds them ----------------------------------------------------------------------------------------

    /// <summary>What the rebuilding under way waits for; null = it goes on.</summary>
    internal string? Waiting
    {
        get => Volatile.Read(ref _waiting);
        set => Volatile.Write(ref _waiting, value);
    }

    /// <summary>Tables that were rebuilt.</summary>
    internal long Rebuilt => Volatile.Read(ref _rebuilt);

    /// <summary>Bytes of those that took their places.</summary>
    internal long BytesWritten => Volatile.Read(ref _bytesWritten);

    internal void Made(long bytes)
    {
        Interlocked.Increment(ref _rebuilt);
        Interlocked.Add(ref _bytesWritten, bytes);
    }

    // ---- told by whoever meets damage -----------------------------------------------------------------------------------------

    /// <summary>Oldest first.</summary>
    internal IReadOnlyList<DamagedTable> All
    {
        get
        {
            lock (_gate)
                return [.. _tables.Values];
        }
    }

    /// <summary>One waits to be looked at.</summary>
    internal bool AnyUnjudged
    {
        get
        {
            if (Count == 0)
                return false;
            lock (_gate)
                return _tables.Values.Any(table => table.Hindrance is null);
        }
    }

    /// <summary>The same by who reads all files now and then: what was found to hinder rebuilding is looked at again.</summary>
    internal void TellAgain(TableInfo table, CorruptionException damage)
    {
        Tell(table, damage);
        lock (_gate)
        {
            if (_tables.TryGetValue(table.Number, out var told))
                _tables[table.Number] = told with { Hindrance = null };
        }
    }

    internal void Tell(TableInfo table, CorruptionException damage)
    {
        var found = new DamagedTable(table, damage, null);
        lock (_gate)
        {
            if (!_tables.TryAdd(table.Number, found))
                return;
            Volatile.Write(ref _count, _tables.Count);
        }

        Found?.Invoke(found);
    }

    /// <summary>The table is not damaged, or no more.</summary>
    internal void Forget(uint number)
    {
        lock (_gate)
        {
            _tables.Remove(number);
            Volatile.Write(ref _count, _tables.Count);
        }
    }

    /// <summary>It cannot be rebuilt, for this reason. What is right about another table may change that.</summary>
    internal void Judge(uint number, string hindrance)
    {
        lock (_gate)
        {
            if (_tables.TryGetValue(number, out var table))
                _tables[number] = table with { Hindrance = hindrance };
        }
    }

    /// <summary>All are looked at anew.</summary>
    internal void ForgetJudgements()
    {
        lock (_gate)
        {
            foreach (var table in _tables.Values.ToList())
                _tables[table.Table.Number] = table with { Hindrance = null };
        }
    }
}

/// <summary>One of them.</summary>
/// <param name="Hindrance">Why it cannot be rebuilt, in a sentence; null while nothing is known to hinder that.</param>
internal sealed record DamagedTable(TableInfo Table, CorruptionException Damage, string? Hindrance);
