using Cairn.Log;
using System.Text;
using Cairn.Content;
using Cairn.Store;

namespace Cairn.Tests.Store;

/// <summary>A store with its registry and visible word, and the short forms that the tests of the room use.</summary>
internal sealed class StoreTestBed : IDisposable
{
    private readonly bool _debugSlab;
    private readonly ContentStore? _content;

    /// <param name="image">What is below the store, which is whole: the image has nothing yet.</param>
    internal StoreTestBed(bool debugSlab = false, TestImage? image = null, ContentStore? content = null)
    {
        _content = content;
        _debugSlab = debugSlab || RunStore.DebugSlab;
        Image = image;
        Store = new RunStore(Pins, Visible, Tag, TestImage.Run, image?.Current, isWhole: true, content: content, debugSlab: _debugSlab);
    }

    internal const ulong Tag = 7;

    internal SnapshotRegistry Pins { get; } = new();

    internal VisibleSequence Visible { get; } = new();

    internal RunStore Store { get; private set; }

    internal TestImage? Image { get; }

    /// <summary>Throws memory away and begins above the image, which has everything up to a cut.</summary>
    internal void Reload(ulong cut, ulong born = 0, bool isWhole = false)
    {
        Store.Dispose();
        Store = new RunStore(Pins, Visible, Tag, TestImage.Run, Image!.Current, isWhole, born, cut, _content, _debugSlab);
    }

    /// <summary>A whole checkpoint at once.</summary>
    internal void Checkpoint(ulong cut) => new StoreCheckpoint(this, cut).Publish();

    /// <summary>Forgets whatever is clean.</summary>
    internal int ForgetEverything()
    {
        SweepAll();
        var forgotten = 0;
        var until = Environment.TickCount64 + 20_000;
        for (var rounds = 0; rounds < 3 && Environment.TickCount64 < until;)
        {
            var step = Store.Forget(1_000, eager: true);
            forgotten += step.Forgotten;
            if (step.IsRoundDone)
                rounds++;
            else if (step.Looked == 0)
                Thread.Sleep(1);                          // another test's reader stands in the epoch
        }

        return forgotten;
    }

    internal List<ulong> PinnedSequences()
    {
        var pins = default(PinSet);
        Pins.Collect(Tag, ref pins);
        var sequences = new List<ulong>();
        for (var at = pins.FirstAtOrAfter(0); at != ulong.MaxValue; at = pins.FirstAtOrAfter(at + 1))
            sequences.Add(at);
        return sequences;
    }

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

    public void Dispose()
    {
        Store.Dispose();
        Image?.Dispose();
    }
}
