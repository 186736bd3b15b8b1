// Scrubbing: reads every file that never changes and compares it with the SHA-256 that the manifest has of it (MNT-11, D:11), so that
// a bit that rots is found while a backup still has the right one.
//
//   round    |file 1 ......|file 2 ..............|file 3 ..|                 a round takes 45 % of ScrubPeriod: whatever is named at any
//            |<------------ 0.45 x ScrubPeriod ------------>|<-- next ...    moment was read whole within two of them, so within the period
//
// C1  A piece is due when its share of the round's bytes has passed of the round's time, and never sooner after the one before than
//     ScrubBytesPerSecond allows. What the device takes longer for is the backlog.
// C2  The position is kept between steps and over a failure. A new opening begins its first round at a file drawn by chance: a process
//     that never lives as long as a round reads all files all the same, in the long run, and nothing has to be written for that.
// C3  A file that is gone, or cannot be read, is damaged if the manifest still names it. One that it names no more is left out.
// C4  A finding stays until the file is right or named no more: in Health, in the metrics, and as an event.
// C5  Damage to what is derived is put right: a table is handed to who rebuilds it (Rebuilder.cs), a manifest that is not what memory has
//     is written anew under the next number. Damage to segments and archives is primary: Health is Failed for it, nothing is dropped.

using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Maintenance;

/// <summary>See the essay above.</summary>
/// <param name="tables">Told of damaged tables, and of right ones; null = nobody rebuilds here, and nothing is written.</param>
internal sealed class ScrubJob(
    SegmentedLog log, EngineState state, TimeProvider clock, MaintenanceOptions options, RandomSource random, SystemEvents events,
    DamagedTables? tables)
    : MaintenanceJob("scrub"), IDisposable
{
    /// <summary>Read in one step.</summary>
    internal const int PieceBytes = 256 << 10;

    private const double RoundShare = 0.45;

    /// <summary>Opening has enough to do.</summary>
    private static readonly TimeSpan FirstAfter = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, CorruptionException> _findings = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();                     // the findings, which Health reads
    private byte[]? _buffer;                                 // while a file is read: an idle database has none

    private IReadOnlyList<ScrubbedFile> _files = [];
    private long _total;
    private long _done;
    private int _next;
    private bool _hasBegun;
    private long _roundAt = clock.GetTimestamp();
    private long _pieceAt;
    private IFile? _file;
    private RunningDigest? _digest;
    private long _offset;

    private TimeSpan Round => options.ScrubPeriod * RoundShare;

    /// <summary>Files that are not what they must be.</summary>
    internal int Damaged
    {
        get
        {
            lock (_gate)
                return _findings.Count;
        }
    }

    internal override string? Alarm
    {
        get
        {
            lock (_gate)
                return _findings.Count == 0 ? null : string.Join(' ', _findings.Values.Select(damage => damage.Message).Order());
        }
    }

    internal override long Backlog
    {
        get
        {
            var total = Volatile.Read(ref _total);
            var passed = Math.Min(1, clock.GetElapsedTime(Volatile.Read(ref _roundAt)) / Round);
            return Math.Max(0, (long)(total * passed) - Volatile.Read(ref _done));
        }
    }

    /// <summary>What may be read in ten minutes.</summary>
    internal override long Capacity => 600 * options.ScrubBytesPerSecond;

    internal override TimeSpan? DueIn
    {
        get
        {
            if (!Volatile.Read(ref _hasBegun))
                return FirstAfter - clock.GetElapsedTime(Volatile.Read(ref _roundAt));
            var total = Volatile.Read(ref _total);
            var share = total == 0 ? 1 : Math.Min(1, (double)Volatile.Read(ref _done) / total);
            var due = Round * share - clock.GetElapsedTime(Volatile.Read(ref _roundAt));
            var least = TimeSpan.FromSeconds((double)PieceBytes / options.ScrubBytesPerSecond)
                - clock.GetElapsedTime(Volatile.Read(ref _pieceAt));
            return due > least ? due : least;
        }
    }

    internal override bool Step()
    {
        if (DueIn > TimeSpan.Zero)
            return false;
        if (_file is null && !TryBegin())
            return false;
        Volatile.Write(ref _pieceAt, clock.GetTimestamp());
        var file = _files[_next];
        try
        {
            ReadPiece(file);
        }
        catch (StorageException failure)
        {
            Finish(file, Damage(file, 0, $"bytes that can be read ({failure.Message})"));
        }

        return true;
    }

    // False: nothing is left of this round; the next one has been begun, and is due in its time.
    private bool TryBegin()
    {
        if (_next < _files.Count)
            return true;
        if (tables is not null)
            CheckManifest();
        var isFirst = !_hasBegun;
        _files = log.ImmutableFiles();
        _next = 0;
        if (isFirst && _files.Count > 1)
        {
            var first = (int)(random.NextUInt64() % (ulong)_files.Count);
            _files = [.. _files.Skip(first), .. _files.Take(first)];
        }

        Forget();
        Volatile.Write(ref _total, _files.Sum(file => file.Bytes));
        Volatile.Write(ref _done, 0);
        Volatile.Write(ref _roundAt, clock.GetTimestamp());
        Volatile.Write(ref _hasBegun, true);
        return _files.Count > 0;
    }

    // C5. On a full disk it waits for the next round.
    private void CheckManifest()
    {
        try
        {
            if (log.RewriteManifestIfDamaged() is { } damage)
                events.Raise(SystemEvents.Rebuild, ("file", damage), ("rebuilt_as", log.Manifest.Name));
        }
        catch (Exception cause) when (log.HasFailed)
        {
            throw state.Fail(cause);                         // what a manifest says is not known: no commit may be told more
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            return;
        }
    }

    private void ReadPiece(ScrubbedFile file)
    {
        if (_file is null)
        {
            _digest?.Dispose();
            _digest = new RunningDigest();
            _offset = 0;
            _file = log.OpenImmutable(file.Path);
        }

        var buffer = _buffer ??= new byte[(int)Math.Min(PieceBytes, file.Bytes)];
        var most = (int)Math.Min(PieceBytes, file.Bytes - _offset);
        var read = most == 0 ? 0 : _file.ReadAt(buffer.AsSpan(0, most), _offset);
        _digest!.Append(buffer.AsSpan(0, read));
        _offset += read;
        Volatile.Write(ref _done, Volatile.Read(ref _done) + read);
        Did(read);
        if (read < most)
            Finish(file, Damage(file, _offset, $"a file of {file.Bytes} bytes"));
        else if (_offset == file.Bytes && IsTooLong(file))
            Finish(file, Damage(file, file.Bytes, $"a file of {file.Bytes} bytes"));
        else if (_offset == file.Bytes)
            Finish(file, _digest.Current() == file.Digest || Mutant.Is("scrub-not-compared") ? null : Locate(file));
    }

    // Behind the records of a segment may be what was prepared for more.
    private bool IsTooLong(ScrubbedFile file) =>
        PublishedFile.DirectoryOf(file.Path) != LogNames.LogDirectory && _file!.Length != file.Bytes;

    private CorruptionException Locate(ScrubbedFile file) =>
        log.FindDamage(file) is { } damage ? Damage(file, damage.Offset, damage.Expected) : Damage(file, 0, $"SHA-256 {file.Digest}");

    private static CorruptionException Damage(ScrubbedFile file, long offset, string expected) => new(
        file.Path, offset, new Sequence(file.FirstSequence),
        $"{expected}, in a file that holds sequences {file.FirstSequence} to {file.LastSequence}");

    private void Finish(ScrubbedFile file, CorruptionException? damage)
    {
        Volatile.Write(ref _done, Volatile.Read(ref _done) + (file.Bytes - _offset));
        _next++;
        _offset = 0;
        _file?.Dispose();
        _file = null;
        _buffer = null;
        if (tables is not null && log.Manifest.Tables.FirstOrDefault(table => table.Path == file.Path) is { } found)
        {
            if (damage is null)
                tables.Forget(found.Number);
            else
                tables.TellAgain(found, damage);
            return;
        }

        bool isNew;
        lock (_gate)
        {
            if (damage is null || !log.ImmutableFiles().Contains(file))   // C3: named no more, so it was not needed
            {
                _findings.Remove(file.Path);
                return;
            }

            isNew = _findings.TryAdd(file.Path, damage);
        }

        if (isNew)
        {
            events.Raise(
                SystemEvents.Warning,
                ("what", "damaged file"), ("file", file.Path), ("offset", damage.Offset), ("first_sequence", (long)file.FirstSequence),
                ("last_sequence", (long)file.LastSequence), ("expected", damage.Expected));
        }
    }

    // C4: what is named no more.
    private void Forget()
    {
        lock (_gate)
        {
            foreach (var path in _findings.Keys.Except(_files.Select(file => file.Path)).ToList())
                _findings.Remove(path);
        }
    }

    /// <summary>Lets the file go that it reads.</summary>
    public void Dispose()
    {
        _file?.Dispose();
        _digest?.Dispose();
    }
}
