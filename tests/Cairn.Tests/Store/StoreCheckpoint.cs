using Cairn.Store;

namespace Cairn.Tests.Store;

/// <summary>A checkpoint of one store, in the steps that the engine makes: cut, write without the lock, publish or give back. Each of them
/// whenever the test wants.</summary>
internal sealed class StoreCheckpoint
{
    private readonly StoreTestBed _bed;
    private readonly SnapshotPin _pin;
    private readonly List<(byte[] Key, TestVersion Version)> _written = [];
    private FrozenKeys? _keys;

    /// <summary>Cuts behind the newest write.</summary>
    internal StoreCheckpoint(StoreTestBed bed, ulong cut)
    {
        _bed = bed;
        Cut = cut;
        _pin = bed.Pins.TakeAt(cut, SnapshotRegistry.AllRuns);
        bed.Store.SplitDirty(cut);
    }

    internal ulong Cut { get; }

    internal IReadOnlyList<(byte[] Key, TestVersion Version)> Written => _written;

    internal long Skipped => _keys?.Skipped ?? 0;

    /// <summary>Writes some keys; false when all are written.</summary>
    internal bool Write(int keys)
    {
        _keys ??= _bed.Store.OpenFrozen(Cut);
        return _keys.Visit(keys, (key, in version) => _written.Add((key.ToArray(), TestVersion.Of(version))));
    }

    internal void Publish()
    {
        while (Write(1_000))
        {
        }

        _keys!.Dispose();
        _bed.Image!.Add(_written, _bed.PinnedSequences());
        _bed.Store.Published(Cut);
        _bed.Pins.Release(_pin);
    }

    internal void Fail()
    {
        _keys?.Dispose();
        _bed.Store.GiveBack(Cut);
        _bed.Pins.Release(_pin);
    }
}

/// <param name="Stored">The value; of a content its reference.</param>
internal sealed record TestVersion(
    byte[] Stored, ulong Sequence, ulong Created, long Time, long Expiry, bool IsTombstone, bool IsContent = false)
{
    internal static TestVersion Of(in VersionView version) =>
        new(version.Stored.ToArray(), version.Sequence, version.Created, version.Time, version.Expiry, version.IsTombstone,
            version.IsContent);

    internal VersionView View => new(Stored, Sequence, Created, Time, Expiry, IsTombstone, IsContent);

    internal bool IsPlainTombstone => IsTombstone && Stored.Length == 0;
}
