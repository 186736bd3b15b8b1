// Content: values too large to be copied about
// --------------------------------------------
// A value above the threshold is written once: the log record that carried it is the content. The store keeps a reference, and memory
// the bytes for as long as there is room:
//
//      log      ... | header 40 | payload: ... op key [ bytes of the value ] op ... | ...
//                                                     ^ position, length, CRC-32C         = the reference, 16 bytes
//      memory   version -- reference -- attached bytes       of what was written in this opening, until the budget needs the room
//      tables   version -- reference
//      cache    position -> bytes                            of what was read from the log, until the budget needs the room
//
// A position names the bytes for ever, whichever file holds them: a segment that is written to, one that has ended, an archive. So no
// reference is ever rewritten, and a new expiry for an old value takes the reference over.
//
// Invariants
// ----------
// C1  What a reference names is the content, or reading it is Corruption with a place: bounds, length and check are looked at on every
//     read from a file, and no answer is ever "absent" or shorter (CNT-3).
// C2  Bytes above the written position are attached and stay attached: only memory has them. Attached bytes go by the writer of their
//     run alone, under its lock, and only once the log can give them again.
// C3  Attached and cached bytes are copies. Dropping them changes cost, never an answer (TIER-1).
// C4  No lock is held while a file is read: of those who ask for the same content one reads, the others wait for it alone. If it fails,
//     whatever the reason, they look again and one of them reads (CNT-1): nobody inherits a failure, nothing stays out of reach.
// C5  Memory is bounded by one budget: attached bytes and the cache have half of it each for certain, and what the other leaves. The cache
//     is managed, and what leaves it stays until the collector comes, which is when about as much has come as there is: it counts twice.
//     Beyond it are only bytes that are not written yet and those in the hands of readers.
//
// One content and three readers, drawn
// ------------------------------------
//     reader 1   looks: absent, leaves a mark | reads the file ........... | checks, keeps it, wakes | answers
//     reader 2        looks: marked, waits for reader 1 ................................... | answers, no second read
//     reader 3   another content: its own mark, its own read; waits for nobody
//
// Borrowing. Attached bytes are native memory: they live as long as the reader's epoch. Bytes from the cache are managed arrays: the
// span keeps them, evicted or not.
//
// What it does not do
// -------------------
// It does not decide what of the log may go (retention does), and finds nothing by content: equal values have a content each. A value
// that an operation does not carry as it is stored has no place in the log and stays inline whatever its size: the record of a run
// (at most metadata and tags), the redacted form of an event with very many causes.

using System.Numerics;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Content;

/// <summary>The contents of one database: which values are such, and their bytes by reference. Thread-safe.</summary>
internal sealed class ContentStore
{
    /// <summary>What a byte of the cache costs the process (C5). Chosen by one profile of <c>./bench storage --part contents</c>, where
    /// what had left the cache and what was in it were about as much.</summary>
    private const int CollectorFactor = 2;

    private readonly long _budget;
    private long _allowed = long.MaxValue;
    private readonly ContentCache _cache;
    private ILogBytes? _log;
    private long _detached;
    private volatile bool _hasLeftMemory;

    /// <param name="threshold">Longest value that is none.</param>
    /// <param name="budget">Bytes of content that memory may keep beside the log (C5).</param>
    internal ContentStore(int threshold, long budget)
    {
        Threshold = threshold;
        _budget = budget;
        _cache = new ContentCache(this);
    }

    /// <summary>Longest value that stays inline.</summary>
    internal int Threshold { get; }

    /// <summary>Bytes that are attached to versions, of all runs.</summary>
    internal SharedBytes Attached { get; } = new();

    /// <summary>Bytes that were read from the log and are kept.</summary>
    internal long CachedBytes => _cache.Bytes;

    /// <summary>What they cost the process.</summary>
    internal long CacheCost => _cache.Bytes * (Mutant.Is("cache-counts-once") ? 1 : CollectorFactor);

    internal long Hits => _cache.Hits;

    internal long Misses => _cache.Misses;

    /// <summary>Contents whose attached bytes were let go.</summary>
    internal long Detached => Volatile.Read(ref _detached);

    /// <summary>More is attached than may be: the writers of runs let go.</summary>
    internal bool HasTooMuchAttached => Attached.Value > Budget - Math.Min(CacheCost, Budget / 2);

    /// <summary>What the cache may hold now.</summary>
    internal long CacheBudget =>
        (Budget - Math.Min(Attached.Value, Budget / 2)) / (Mutant.Is("cache-counts-once") ? 1 : CollectorFactor);

    private long Budget => Math.Min(_budget, Volatile.Read(ref _allowed));

    /// <summary>Contents give way to other memory: they may have no more than this, whatever their own bound.</summary>
    internal void Allow(long bytes) => Volatile.Write(ref _allowed, bytes);

    /// <summary>C2: bytes below are in the log.</summary>
    internal ulong WrittenPosition => Mutant.Is("content-forgets-unwritten") ? ulong.MaxValue : _log?.WrittenPosition ?? 0;

    /// <summary>From now on contents are read here.</summary>
    internal void ReadFrom(ILogBytes log) => Volatile.Write(ref _log, log);

    /// <summary>Where the records are that the contents are parts of.</summary>
    internal ILogRecords Log => Volatile.Read(ref _log) as ILogRecords ?? throw new InvalidOperationException("There is no log yet.");

    /// <summary>False: every content of every run has its bytes attached, so that nobody need look for one.</summary>
    internal bool HasLeftMemory => _hasLeftMemory;

    /// <summary>Some version has no attached bytes from here on, or never had them.</summary>
    internal void LeftMemory()
    {
        if (!_hasLeftMemory)
            _hasLeftMemory = true;
    }

    internal void CountDetached()
    {
        Interlocked.Increment(ref _detached);
        LeftMemory();
    }

    /// <summary>Cuts the cache to what it may hold, after attached bytes have taken room.</summary>
    internal void TrimCache() => _cache.Trim();

    /// <summary>The bytes of a content: from the cache, or from the log.</summary>
    /// <param name="sequence">Of the version, for messages.</param>
    /// <returns>Kept alive by the span.</returns>
    /// <exception cref="CorruptionException">They are not there, or are not what was written.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.Io"/>: the disk failed.</exception>
    internal ReadOnlySpan<byte> Read(scoped in ContentReference reference, ulong sequence) => _cache.Get(reference, sequence);

    /// <summary>The same for a scan: what is not in memory comes into a buffer of the caller's and not into the cache, where a scan would
    /// push others out and leave arrays for the collector behind that have grown old.</summary>
    /// <param name="buffer">Made, and made larger, here; what is returned may lie in it.</param>
    internal ReadOnlySpan<byte> ReadOnce(scoped in ContentReference reference, ulong sequence, ref byte[] buffer)
    {
        if (_cache.TryGet(reference) is { } cached && !Mutant.Is("scan-passes-over-cache"))
            return cached;
        if (buffer.Length < reference.Length)
        {
            Check(OpenLog(), reference, sequence);
            buffer = GC.AllocateUninitializedArray<byte>((int)BitOperations.RoundUpToPowerOf2((uint)reference.Length));
        }

        var bytes = buffer.AsSpan(0, Math.Max(0, reference.Length));
        ReadLog(reference, sequence, bytes);
        return bytes;
    }

    /// <summary>The bytes as the log has them now.</summary>
    internal byte[] ReadLog(in ContentReference reference, ulong sequence)
    {
        Check(OpenLog(), reference, sequence);
        var bytes = GC.AllocateUninitializedArray<byte>(reference.Length);
        ReadLog(reference, sequence, bytes);
        return bytes;
    }

    private ILogBytes OpenLog()
    {
        var log = Volatile.Read(ref _log);
        Invariant.Check(log is not null, "contents are read from a log");
        return log;
    }

    private static void Check(ILogBytes log, in ContentReference reference, ulong sequence)
    {
        if (reference.Length is <= 0 or > RecordFrame.PayloadBytesMax || reference.Position < log.FirstPosition
            || reference.End < reference.Position || reference.End > log.WrittenPosition)
        {
            throw new CorruptionException(
                LogNames.LogDirectory, 0, new Sequence(sequence),
                $"a content of {reference.Length} bytes at {reference.Position}; the log has {log.FirstPosition} to {log.WrittenPosition}");
        }
    }

    private void ReadLog(in ContentReference reference, ulong sequence, Span<byte> bytes)
    {
        var log = OpenLog();
        Check(log, reference, sequence);
        Failpoint.Hit("content.before-read");
        int read;
        try
        {
            read = log.Read(reference.Position, bytes);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(failure.StoragePath);
        }

        Failpoint.Hit("content.read-before-checked");
        if (read < bytes.Length)
            throw Damaged(log, reference, sequence, $"{bytes.Length} bytes of a content, not {read}");
        if (Crc32C.Of(bytes) != reference.Check && !Mutant.Is("content-check-off"))
            throw Damaged(log, reference, sequence, $"a content of {bytes.Length} bytes with check {reference.Check:x8}");
    }

    private static CorruptionException Damaged(ILogBytes log, in ContentReference reference, ulong sequence, string expected)
    {
        var place = log.PlaceOf(reference.Position);
        return new CorruptionException(place.File, place.Offset, new Sequence(sequence), expected);
    }
}

/// <summary>A number of bytes that several own a part of.</summary>
internal sealed class SharedBytes
{
    private long _value;

    internal long Value => Volatile.Read(ref _value);

    internal void Add(long bytes) => Interlocked.Add(ref _value, bytes);
}
