using System.Buffers.Binary;
using System.Buffers.Text;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// Where listings of live runs go on. A cursor is opaque text: which listing, the sequence of its snapshot, and the last key
/// given. The snapshot stays pinned here between pages; the least recently used goes when there are too many (LIM-27), or when
/// it has not been used for as long as a transaction may live.
/// </summary>
internal sealed class Cursors(SnapshotRegistry pins, TimeProvider clock, TimeSpan life, int openMax)
{
    private const int HeaderBytes = 1 + 8 + 8 + 8;

    private readonly Lock _gate = new();
    private readonly Dictionary<(ulong Tag, ulong Sequence), Held> _held = [];

    /// <summary>Text that continues after <paramref name="lastKey"/>, and a pin kept for it. The caller's own pin keeps the
    /// sequence meanwhile.</summary>
    internal string Keep(byte listing, RunState run, ulong sequence, long time, ReadOnlySpan<byte> lastKey, uint request)
    {
        lock (_gate)
        {
            CloseIdleLocked();
            var name = (run.Store.RunTag, sequence);
            if (!_held.TryGetValue(name, out var held))
            {
                if (_held.Count >= openMax)
                    Drop(_held.MinBy(pair => pair.Value.UsedAt).Key);
                held = new Held(pins.TakeAt(sequence, run.Store.RunTag));
                _held.Add(name, held);
            }

            held.UsedAt = clock.GetTimestamp();
        }

        return Format(listing, sequence, time, lastKey, request);
    }

    internal static string Format(byte listing, ulong sequence, long time, ReadOnlySpan<byte> lastKey, uint request)
    {
        var bytes = new byte[HeaderBytes + 4 + lastKey.Length];
        bytes[0] = listing;
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(1), sequence);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(9), time);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(17), request);
        lastKey.CopyTo(bytes.AsSpan(21));
        var end = 21 + lastKey.Length;
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(end), Crc32C.Of(bytes.AsSpan(0, end)));
        return Base64Url.EncodeToString(bytes.AsSpan(0, end + 4));
    }

    /// <summary>Reads a cursor of a listing. <paramref name="request"/> binds it to the other options.</summary>
    internal static void Parse(string cursor, byte listing, uint request, out ulong sequence, out long time, out byte[] lastKey)
    {
        byte[] bytes;
        try
        {
            bytes = Base64Url.DecodeFromChars(cursor);
        }
        catch (FormatException)
        {
            throw Invalid();
        }

        if (bytes.Length < 25 || bytes[0] != listing
            || BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(bytes.Length - 4)) != Crc32C.Of(bytes.AsSpan(0, bytes.Length - 4))
            || BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(17)) != request)
        {
            throw Invalid();
        }

        sequence = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(1));
        time = BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(9));
        lastKey = bytes[21..^4];
    }

    /// <summary>Pins the cursor's sequence once more, for the next page.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>.</exception>
    internal SnapshotPin Resume(RunState run, ulong sequence)
    {
        lock (_gate)
        {
            if (!_held.TryGetValue((run.Store.RunTag, sequence), out var held))
            {
                throw new CairnException(
                    ErrorCode.CursorExpired,
                    $"The snapshot behind this cursor is gone (kept for {life.TotalSeconds} s after its last use, {openMax} at a time: "
                    + "Limits.CursorsMax). Start the listing again.");
            }

            held.UsedAt = clock.GetTimestamp();
            return pins.TakeAt(sequence, run.Store.RunTag);
        }
    }

    /// <summary>By the maintainer: gives up snapshots that nobody has asked for lately.</summary>
    internal void CloseIdle()
    {
        lock (_gate)
            CloseIdleLocked();
    }

    internal int Open
    {
        get
        {
            lock (_gate)
                return _held.Count;
        }
    }

    private void CloseIdleLocked()
    {
        if (_held.Count == 0)
            return;
        foreach (var name in _held.Where(pair => clock.GetElapsedTime(pair.Value.UsedAt) > life).Select(pair => pair.Key).ToList())
            Drop(name);
    }

    private void Drop((ulong, ulong) name)
    {
        pins.Release(_held[name].Pin);
        _held.Remove(name);
    }

    private static CairnException Invalid() =>
        new(
            ErrorCode.InvalidArgument,
            "The cursor is not one of this listing with these options. Pass Page.Cursor back unchanged, with the same options.");

    private sealed class Held(SnapshotPin pin)
    {
        internal SnapshotPin Pin { get; } = pin;

        internal long UsedAt { get; set; }
    }
}
