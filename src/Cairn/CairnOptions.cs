namespace Cairn;

/// <summary>How to open a database. Every option has an observable effect; a value out of its range is refused at open by name.</summary>
public sealed record CairnOptions
{
    /// <summary>How much a crash may take. Default <see cref="Durability.Strict"/>.</summary>
    public Durability Durability { get; init; } = Durability.Strict;

    /// <summary>Longest time from the oldest unsynced commit to the start of its sync in <see cref="Durability.Buffered"/> mode.
    /// Default 100 ms; from 1 ms to 10 s.</summary>
    public TimeSpan SyncInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Most unsynced commits before a sync starts in <see cref="Durability.Buffered"/> mode. Default 1,000; from 1 to
    /// 1,000,000.</summary>
    public int SyncCommits { get; init; } = 1_000;

    /// <summary>Opens for reading only. The directory must have been closed cleanly; any other is refused, because recovery
    /// writes.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>When false, a directory without a database is refused instead of made into one. Default true.</summary>
    public bool CreateIfMissing { get; init; } = true;

    /// <summary>A vector that is written to a collection which is not there makes it. False refuses it. Default true.</summary>
    public bool CreateCollections { get; init; } = true;

    /// <summary>After an I/O failure, reads go on at the last visible sequence. False refuses them too. Default true.</summary>
    public bool ReadsAfterFailure { get; init; } = true;

    /// <summary>What of the past is kept, in runs that have no policy of their own (<see cref="Run.Retention"/>). Null (the default) is
    /// <see cref="Cairn.Retention.KeepAll"/> with a log, and in memory <c>KeepLast(1)</c>: the newest versions, and older ones as long as a
    /// snapshot or a transaction needs them. In memory any other policy keeps the log in memory too, and nothing of it is given
    /// up.</summary>
    public Retention? Retention { get; init; }

    /// <summary>Least garbage, in bytes of files, for which the log is compacted without being asked; more than half of what is looked
    /// through must be garbage too. Default 64 MiB; from 16 KiB to 1 TiB.</summary>
    public long CompactionGarbageMin { get; init; } = 64 << 20;

    /// <summary>How text becomes terms in searches that name nothing else. Default <see cref="TextAnalysis.English"/>. May differ from
    /// opening to opening.</summary>
    public TextAnalysis TextAnalysis { get; init; } = TextAnalysis.English;

    /// <summary>When text is indexed. Default <see cref="TextIndexing.OnSearch"/>. Changes no answer.</summary>
    public TextIndexing TextIndexing { get; init; }

    /// <summary>The limits in force.</summary>
    public Limits Limits { get; init; } = new();

    /// <summary>Largest segment of the log, in bytes. Default 64 MiB; from 16 KiB to 1 GiB. The first segment after an open has
    /// <see cref="SegmentBytesMin"/>, each next doubles up to this.</summary>
    public long SegmentBytesMax { get; init; } = 64 << 20;

    /// <summary>First segment after an open, in bytes. Default 1 MiB; from 16 KiB to <see cref="SegmentBytesMax"/>.</summary>
    public long SegmentBytesMin { get; init; } = 1 << 20;

    /// <summary>Longest value that the run keeps itself, encoded, in bytes. A longer one is a content: it stands once, in the log record
    /// that carried it, and memory is only a cache of it. Has no effect in memory, where there is no log. Default 4 KiB; from 64 bytes
    /// to 64 MiB, which is no content at all. May differ from opening to opening.</summary>
    public int ContentThreshold { get; init; } = 4 << 10;

    /// <summary>Most bytes of content that memory keeps beside the log, those not counted that are not written yet. What was read from the
    /// log and is kept counts twice, for the collector leaves about as much behind. Default 128 MiB; from 0, where every read of a content
    /// reads the log, to 1 TiB.</summary>
    public long ContentMemoryBytes { get; init; } = 128 << 20;

    /// <summary>The engine tells what it does and meets in the run <c>$sys</c>, as events that anybody can read: openings, recoveries,
    /// checkpoints, compactions, backups, changes of health, warnings, slow commits and syncs. They are commits like others and take
    /// sequences, after the opening; they are not in <see cref="CairnDatabase.StateHash"/>. The newest 100,000 are kept, for seven days.
    /// Default false: off it costs nothing; on, a database that its user did not write to has commits, and a reader of sequences sees
    /// gaps.</summary>
    public bool SystemEvents { get; init; }

    /// <summary>How background work is paced.</summary>
    public MaintenanceOptions Maintenance { get; init; } = new();

    /// <summary>Bytes of log after which a checkpoint is made, so that an opening has no more than that to read. Default 100 MiB; from
    /// 64 KiB to 1 TiB.</summary>
    public long CheckpointLogBytes { get; init; } = 100 << 20;

    /// <summary>Time after which a checkpoint is made if there was a commit. Default 30 minutes; from 1 second to 30 days.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Makes a checkpoint when the database is closed cleanly, if there were commits since the last one. Default true.</summary>
    public bool CheckpointOnClose { get; init; } = true;

    /// <summary>Most bytes of checkpointed data that are kept in memory as blocks. Default 64 MiB; from 1 MiB to 1 TiB.</summary>
    public long BlockCacheBytes { get; init; } = 64 << 20;

    /// <summary>Most bytes of memory that the database holds: its runs, cached contents and blocks together. From 70 % of it on contents
    /// leave memory, and what was neither read nor written for five minutes; from 85 % on everything that a checkpoint has; at 95 %
    /// commits wait for memory, up to <see cref="Limits.BusyWaitMax"/>, and are then refused with <see cref="ErrorCode.Busy"/>. Reads and
    /// deletions never wait. Null (the default) is 60 % of what the process may have; from 16 MiB to 1 PiB. Within it the cache of blocks
    /// has an eighth at most, whatever <see cref="BlockCacheBytes"/> says. In memory there is nothing to evict into: refused.</summary>
    public long? MemoryBudgetBytes { get; init; }

    /// <summary>What <see cref="MemoryBudgetBytes"/> is if nothing is said: 60 % of what the process may have, in bytes.</summary>
    public static long MemoryBudgetDefault => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 100 * 60;

    /// <summary>All time comes from here. Default the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Seed of the random source that ids, salts and back-off are drawn from; null (the default) takes it from the
    /// system's cryptographic generator. With a seed, ids and salts are predictable: for tests and reproductions.</summary>
    public ulong? RandomSeed { get; init; }

    /// <summary>Looks at every option as opening does, without opening anything.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an option or a limit is out of its range; the message
    /// names it, its value and the range.</exception>
    /// <exception cref="ArgumentNullException">An option that may not be null is.</exception>
    public void Validate() => OptionRules.Check(this);
}
