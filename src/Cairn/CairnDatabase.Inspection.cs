using Cairn.Log;
using Cairn.Recovery;
using Cairn.Storage;

namespace Cairn;

// Looking at what lies on disk: the log record by record, its checks, and a directory before it is opened.
public sealed partial class CairnDatabase
{
    // Removed by the next opening, if a crash leaves it.
    private const string ProbePath = LogNames.LogDirectory + "/probe" + LogNames.Part;
    private const int ProbeBytes = 4096;
    private const long ProgressBytes = 1 << 20;

    /// <summary>Reads the records of the log in order, each with its checks. Costs a read of all the log up to the end of the
    /// range.</summary>
    /// <param name="from">First sequence; none = from the beginning, with the records before the first transaction.</param>
    /// <param name="to">End, exclusive; null = to the last record.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory and has no log.</exception>
    /// <exception cref="CorruptionException">A record is damaged; thrown when reading gets there.</exception>
    public IEnumerable<LogRecord> ReadLog(Sequence from = default, Sequence? to = null)
    {
        var log = LogOrThrow();
        return Records();

        IEnumerable<LogRecord> Records()
        {
            using var reader = new LogReader(log);
            for (var position = log.FirstPosition; reader.HasRecordAt(position);)
            {
                var header = reader.ReadNext(ref position, out var payload);
                if (to is { } end && header.Sequence >= end.Value)
                    yield break;
                var record = header.Sequence >= from.Value ? RecordOf(log, header, payload, position) : null;
                position += (ulong)header.RecordLength;
                if (record is not null)
                    yield return record;
            }
        }
    }

    /// <summary>Reads the whole log again and checks every record: header, payload, and that the payload is what the format says.</summary>
    /// <param name="progress">Told now and then how many bytes have been read, of <see cref="DatabaseMetrics.LogBytesKept"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory and has no log.</exception>
    public LogVerification VerifyLog(IProgress<long>? progress = null)
    {
        var log = LogOrThrow();
        var found = new LogVerification { Segments = log.SegmentCount };
        using var reader = new LogReader(log);
        var position = log.FirstPosition;
        var last = Sequence.None;
        var told = 0L;
        try
        {
            while (reader.HasRecordAt(position))
            {
                if (progress is not null && found.Bytes - told >= ProgressBytes)
                    progress.Report(told = found.Bytes);
                var header = reader.ReadNext(ref position, out var payload);
                if (header.Type == RecordType.Transaction)
                    TransactionPayload.Check(payload);
                last = new Sequence(header.Sequence);
                position += (ulong)header.RecordLength;
                found = found with
                {
                    Records = found.Records + 1,
                    Transactions = found.Transactions + (header.Type == RecordType.Transaction ? 1 : 0),
                    Bytes = found.Bytes + header.RecordLength,
                };
            }

            return found;
        }
        catch (CorruptionException damage)
        {
            return found with { Damage = damage };
        }
        catch (MalformedPayloadException malformed)
        {
            var segment = log.SegmentAt(position);
            return found with { Damage = new CorruptionException(segment.Path, segment.OffsetOf(position), last, malformed.Expected) };
        }
    }

    /// <summary>Looks at a directory without opening the database: what is there, who owns it, whether a write and its sync work. Writes
    /// and removes one small file, if it is a database and nobody owns it. Never throws for what it finds.</summary>
    /// <param name="directory">A path; relative ones start at the working directory.</param>
    public static DirectoryReport Inspect(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        var problems = new List<CairnException>();
        var report = new DirectoryReport { Problems = problems };
        try
        {
            using var storage = DiskStorage.OpenOrCreate(directory, createIfMissing: false, readOnly: true);
            var survey = DirectorySurvey.Of(storage, isWhole: true);
            report = report with
            {
                Exists = true,
                IsDatabase = survey.Manifests.Count > 0,
                Foreign = survey.Foreign,
                QuarantinedFiles = storage.List(LogNames.QuarantineDirectory).Count,
                FreeBytes = storage.FreeSpace(),
                SyncErrorsAreReported = storage.SyncErrorsAreReported,
            };
            if (report.IsDatabase)
                report = ReadManifest(report, storage, survey.Manifests[^1]);
        }
        catch (CairnException failure)
        {
            problems.Add(failure);
        }
        catch (StorageException failure)
        {
            problems.Add(failure.ToCairn(directory));
        }

        return report.IsDatabase ? Probe(report, directory, problems) : report;
    }

    private static DirectoryReport ReadManifest(DirectoryReport report, IStorage storage, ulong number)
    {
        var manifest = Manifest.Load(storage, number, forWriting: false, out _);
        return report with { Format = $"{manifest.Format.Major}.{manifest.Format.Minor}", WasClosedCleanly = manifest.IsClean,
            CommitTime = CommitClock.Time(manifest.CommitTime) };
    }

    private static DirectoryReport Probe(DirectoryReport report, string directory, List<CairnException> problems)
    {
        try
        {
            using var storage = DiskStorage.OpenOrCreate(directory, createIfMissing: false, readOnly: false);
            using var owned = storage.Lock($"pid {Environment.ProcessId}");
            if (storage.Exists(ProbePath))
                storage.Unlink(ProbePath);
            var began = TimeProvider.System.GetTimestamp();
            using (var file = storage.CreateNew(ProbePath))
            {
                file.WriteAt(new byte[ProbeBytes], 0);
                file.DataSync();
            }

            var time = TimeProvider.System.GetElapsedTime(began);
            storage.Unlink(ProbePath);
            return report with { IsWritable = true, SyncTime = time };
        }
        catch (StorageException failure) when (failure.Error == StorageError.Locked)
        {
            return report with { Owner = failure.Detail };
        }
        catch (StorageException failure)
        {
            problems.Add(failure.ToCairn(directory));
            return report;
        }
    }

    private SegmentedLog LogOrThrow()
    {
        _engine.Path.ThrowIfNotReadable();
        return _engine.Path.Log.Device as SegmentedLog
            ?? throw new CairnException(ErrorCode.InvalidArgument, "A database in memory has no log. Open one in a directory.");
    }

    private static LogRecord RecordOf(SegmentedLog log, in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        var commit = header.Type == RecordType.Transaction ? CommittedTransaction.Of(log, Operations, header, payload, position) : null;

        return new LogRecord
        {
            Position = (long)position,
            Type = LogDump.Name(header.Type),
            Sequence = new Sequence(header.Sequence),
            PayloadBytes = (int)header.Length,
            DurableUpTo = (long)header.DurableUpTo,
            Time = commit?.Time,
            Operations = commit?.Operations ?? [],
            Attributes = commit?.Attributes ?? CommitAttributes.None,
            Line = LogDump.Line(header, payload, position),
        };
    }
}
