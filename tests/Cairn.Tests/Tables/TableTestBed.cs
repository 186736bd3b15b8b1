using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Tests.Tables;

/// <summary>One version of one key, as tests hold it.</summary>
internal sealed record Row(RunId Run, byte[] Key, ulong Sequence, byte[] Value, long Time = 0, long Expiry = 0,
    bool IsTombstone = false, bool IsContent = false, ulong? Created = null)
{
    internal VersionView View => new(Value, Sequence, Created ?? Sequence, Time, Expiry, IsTombstone, IsContent);

    internal bool IsTheSameAs(in VersionView view) => view.Sequence == Sequence && view.Created == (Created ?? Sequence)
        && view.Time == Time && view.Expiry == Expiry && view.IsTombstone == IsTombstone && view.IsContent == IsContent
        && view.Stored.SequenceEqual(Value);
}

/// <summary>The order of a table: run, key, then the newest version first.</summary>
internal sealed class RowOrder : IComparer<Row>
{
    internal static RowOrder Instance { get; } = new();

    public int Compare(Row? x, Row? y)
    {
        var order = x!.Run.CompareTo(y!.Run);
        if (order == 0)
            order = x.Key.AsSpan().SequenceCompareTo(y.Key);
        return order != 0 ? order : y.Sequence.CompareTo(x.Sequence);
    }
}

/// <summary>Writes rows into tables of a database in memory, and opens them.</summary>
internal sealed class TableTestBed(IStorage? storage = null) : IDisposable
{
    private readonly List<Table> _tables = [];

    internal static UInt128 DatabaseId { get; } = new(0x1111222233334444, 0x5555666677778888);

    internal static UInt128 Salt { get; } = new(0x0102030405060708, 0x090A0B0C0D0E0F10);

    internal IStorage Storage { get; } = storage ?? new MemoryStorage();

    internal BlockCache Cache { get; } = new(64 << 20);

    internal TableInfo Write(uint number, IEnumerable<Row> rows)
    {
        using var writer = new TableWriter(Storage, number, DatabaseId, Salt + number);
        foreach (var row in rows.Order(RowOrder.Instance))
            writer.Add(row.Run, row.Key, row.View);
        return writer.Finish();
    }

    internal Table Open(TableInfo info, BlockCache? cache = null)
    {
        var table = Table.Open(Storage, info, DatabaseId, cache ?? Cache);
        _tables.Add(table);
        return table;
    }

    internal Table Make(uint number, IEnumerable<Row> rows) => Open(Write(number, rows));

    internal byte[] Bytes(TableInfo info)
    {
        using var file = Storage.Open(info.Path, writable: false);
        var bytes = new byte[file.Length];
        file.ReadAt(bytes, 0);
        return bytes;
    }

    public void Dispose()
    {
        foreach (var table in _tables)
            table.Dispose();
        Storage.Dispose();
    }
}
