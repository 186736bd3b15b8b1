using System.Runtime.CompilerServices;

namespace Cairn.Tables;

/// <summary>
/// What a checkpoint holds, as one sorted map: its tables, newest first. All versions of a key in a newer table are newer than all in an
/// older one, so the first table that has a version at or below the asked sequence has the answer. Immutable and thread-safe; whoever
/// owns the tables keeps them open while somebody may read.
/// </summary>
internal sealed class Image
{
    private readonly Table[] _tables;

    /// <param name="tables">Newest first.</param>
    internal Image(params ReadOnlySpan<Table> tables) => _tables = tables.ToArray();

    internal static Image Empty { get; } = new();

    /// <summary>Newest first.</summary>
    internal ReadOnlySpan<Table> Tables => _tables;

    internal bool IsEmpty => _tables.Length == 0;

    /// <summary>This image under a newer table.</summary>
    internal Image With(Table newest) => new([newest, .. _tables]);

    /// <summary>This image with one table in place of some neighbours.</summary>
    /// <param name="first">Index of the newest of those that go.</param>
    internal Image WithMerged(int first, int count, Table merged) => new([.. _tables[..first], merged, .. _tables[(first + count)..]]);

    /// <summary>The newest version of a key at or below a sequence, tombstones included. The spans in it stay good.</summary>
    /// <exception cref="CorruptionException">A block on the way is damaged.</exception>
    [SkipLocalsInit]
    internal bool TryGet(RunId run, ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        if (_tables.Length > 0)
        {
            var buffer = Probe.Bytes(key) <= Probe.StackBytes ? stackalloc byte[Probe.StackBytes] : new byte[Probe.Bytes(key)];
            var probe = Probe.Write(buffer, run, key);
            var hash = TableHash.Of(probe);
            var oldestFirst = Mutant.Is("image-oldest-first");
            for (var i = 0; i < _tables.Length; i++)
            {
                var table = _tables[oldestFirst ? _tables.Length - 1 - i : i];
                if (table.Info.FirstSequence <= sequence && table.TryGet(probe, hash, sequence, out version))
                    return true;
            }
        }

        version = default;
        return false;
    }

    /// <summary>False: the image certainly has no version of the key. Asks filters only; may say true wrongly, about once in a
    /// hundred keys and table.</summary>
    [SkipLocalsInit]
    internal bool MayHave(RunId run, ReadOnlySpan<byte> key)
    {
        if (_tables.Length == 0)
            return false;
        var buffer = Probe.Bytes(key) <= Probe.StackBytes ? stackalloc byte[Probe.StackBytes] : new byte[Probe.Bytes(key)];
        var probe = Probe.Write(buffer, run, key);
        var hash = TableHash.Of(probe);
        foreach (var table in _tables)
        {
            if (table.MayHave(probe, hash))
                return true;
        }

        return false;
    }

    /// <summary>The keys of a run in [from, to), each with its newest version at or below a sequence, tombstones included. An empty
    /// <paramref name="to"/> is the end of the run. The bounds are copied.</summary>
    internal ImageCursor Scan(RunId run, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse = false) =>
        new(_tables, run, from, to, sequence, reverse);

    /// <summary>All versions of all runs, for merges and checks: past the cache.</summary>
    internal VersionCursor Versions() => new(_tables, default, [], keep: false);

    /// <summary>All versions of the keys of a run in [from, to), as in <see cref="Scan"/>.</summary>
    internal VersionCursor Versions(RunId run, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to) =>
        new(_tables, Probe.Of(run, from), to.Length > 0 ? Probe.Of(run, to) : Probe.Behind(run), keep: true);
}

/// <summary>The image that the stores of a database read now. Replaced whole; who has read it goes on with what he has.</summary>
internal sealed class CurrentImage
{
    private volatile Image _value = Image.Empty;

    internal Image Value
    {
        get => _value;
        set => _value = value;
    }
}
