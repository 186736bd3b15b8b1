using Cairn.Log;
using System.Text;
using Cairn.Store;

namespace Cairn.Tests.Store;

/// <summary>A store with its registry and visible word, and the short forms that the tests of the room use.</summary>
internal sealed class StoreTestBed : IDisposable
{
    internal StoreTestBed(bool debugSlab = false) => Store = new RunStore(Pins, Visible, Tag, debugSlab || RunStore.DebugSlab);

    internal const ulong Tag = 7;

    internal SnapshotRegistry Pins { get; } = new();

    internal VisibleSequence Visible { get; } = new();

    internal RunStore Store { get; }

    internal static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    internal void Put(string key, string value, ulong sequence, long expiry = 0) =>
        Store.Put(Bytes(key), Bytes(value), sequence, Time(sequence), expiry);

    internal void Delete(string key, ulong sequence, string remains = "") =>
        Store.Delete(Bytes(key), Bytes(remains), sequence, Time(sequence));

    /// <summary>Puts and publishes.</summary>
    internal void Commit(string key, string value, ulong sequence)
    {
        Put(key, value, sequence);
        Visible.Publish(sequence);
    }

    internal SnapshotPin Pin() => Pins.Take(Visible, Tag);

    internal string? Get(string key, ulong sequence)
    {
        using var reader = Store.Read();
        return reader.TryGet(Bytes(key), sequence, out var version) && !version.IsTombstone ? Encoding.UTF8.GetString(version.Value) : null;
    }

    internal string? GetVisible(string key)
    {
        using var reader = Store.Read();
        return reader.TryGetVisible(Bytes(key), out var version) && !version.IsTombstone ? Encoding.UTF8.GetString(version.Value) : null;
    }

    internal List<string> Scan(string from, string to, ulong sequence, bool reverse = false)
    {
        var found = new List<string>();
        using var reader = Store.Read();
        var scan = reader.Scan(Bytes(from), Bytes(to), sequence, reverse);
        while (scan.MoveNext())
            found.Add(Encoding.UTF8.GetString(scan.Key) + "=" + Encoding.UTF8.GetString(scan.Version.Value));
        return found;
    }

    /// <summary>Sweeps until only what pins hold is left.</summary>
    internal long SweepAll()
    {
        var until = Environment.TickCount64 + 20_000;
        while (true)
        {
            var pending = Store.Sweep(100_000);
            if (pending == Store.Memory.ParkedVersions || Environment.TickCount64 > until)
                return pending;
            Thread.Sleep(1);                              // another test's reader stands in the epoch, or was put aside there
        }
    }

    internal static long Time(ulong sequence) => 1_000_000 + (long)sequence * 10;

    public void Dispose() => Store.Dispose();
}
