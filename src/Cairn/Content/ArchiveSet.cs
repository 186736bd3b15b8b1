using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Content;

/// <summary>The archives of one database, in the order of the log, as its newest manifest names them. Replaced whole when a manifest names
/// others; who reads one that has gone finishes, and looks again for what comes next. Thread-safe.</summary>
internal sealed class ArchiveSet : LogArchive
{
    private readonly IStorage _storage;
    private readonly UInt128 _databaseId;
    private Archive[] _archives;

    internal ArchiveSet(IStorage storage, UInt128 databaseId, IEnumerable<ManifestArchive> named)
    {
        _storage = storage;
        _databaseId = databaseId;
        _archives = [.. named.OrderBy(archive => archive.FirstPosition).Select(archive => new Archive(storage, archive, databaseId))];
    }

    internal IReadOnlyList<Archive> Archives => Volatile.Read(ref _archives);

    internal override ulong FirstPosition => Volatile.Read(ref _archives) is [var first, ..] ? first.FirstPosition : ulong.MaxValue;

    /// <summary>A manifest names these now. Those that stay keep their handles.</summary>
    internal override void Replace(IReadOnlyList<ManifestArchive> named)
    {
        var before = _archives;
        Archive[] after = [.. named.OrderBy(archive => archive.FirstPosition)
            .Select(archive => Array.Find(before, known => known.Named == archive) ?? new Archive(_storage, archive, _databaseId))];
        Volatile.Write(ref _archives, after);
        foreach (var gone in before.Except(after))
            gone.Dispose();
    }

    internal override int Read(ulong position, Span<byte> buffer)
    {
        while (TryHold(position, out var archive, out var isGone) || isGone)
        {
            if (isGone)
                continue;
            try
            {
                return archive!.Read(position, buffer);
            }
            finally
            {
                archive!.Unpin();
            }
        }

        return 0;
    }

    internal override bool TrySaltAt(ulong position, Span<byte> salt)
    {
        while (TryHold(position, out var archive, out var isGone) || isGone)
        {
            if (isGone)
                continue;
            try
            {
                if (!archive!.TrySourceAt(position, out var source))
                    return false;
                BinaryPrimitives.WriteUInt128LittleEndian(salt, source.Salt);
                return true;
            }
            finally
            {
                archive!.Unpin();
            }
        }

        return false;
    }

    internal override (string Path, long Offset) PlaceOf(ulong position)
    {
        while (TryHold(position, out var archive, out var isGone) || isGone)
        {
            if (isGone)
                continue;
            try
            {
                return (archive!.Path, archive.OffsetOf(position));
            }
            finally
            {
                archive!.Unpin();
            }
        }

        return (LogNames.ArchiveDirectory, 0);
    }

    internal override bool TryFind(RunId run, ulong position, out KeptOperations kept)
    {
        kept = default;
        while (TryHold(position, out var archive, out var isGone) || isGone)
        {
            if (isGone)
                continue;
            try
            {
                if (!archive!.TryFindRecord(run, position, out var found) || found.Position != position)
                    return false;
                kept = archive.MarksOf(found);
                return true;
            }
            finally
            {
                archive!.Unpin();
            }
        }

        return false;
    }

    internal override Gap? Across(RunId run, ulong position)
    {
        while (TryHold(position, out var archive, out var isGone) || isGone)
        {
            if (isGone)
                continue;
            try
            {
                if (archive!.FloorOf(run) is not { } floor)
                    return null;
                var next = archive.TryFindRecord(run, position, out var below) ? below.Position : floor.Below;
                return new Gap(floor.Since, next, archive.FirstPosition);
            }
            finally
            {
                archive!.Unpin();
            }
        }

        return null;
    }

    public override void Dispose()
    {
        foreach (var archive in Interlocked.Exchange(ref _archives, []))
            archive.Dispose();
    }

    /// <summary>Holds the archive that stands for a position. Gone: it is no longer part of the database; look again.</summary>
    private bool TryHold(ulong position, out Archive? archive, out bool isGone)
    {
        isGone = false;
        archive = Array.FindLast(Volatile.Read(ref _archives), archive => archive.FirstPosition <= position);
        if (archive is null || position >= archive.EndPosition)
            return false;
        isGone = !archive.TryPin();
        return !isGone;
    }
}
