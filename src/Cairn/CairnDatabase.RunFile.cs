using System.Security.Cryptography;
using Cairn.Transfer;

namespace Cairn;

// A run in one file.
public sealed partial class CairnDatabase
{
    private const int VerifyBytes = 64 << 10;

    /// <summary>Writes a run into one self-contained file with checks (docs/format.md), as it is at one commit: all that
    /// <see cref="Export"/> tells of it. A fork is written whole. Commits go on meanwhile; memory does not grow with the run.</summary>
    /// <param name="run">The run; <c>default</c> too, and not <c>$sys</c>.</param>
    /// <param name="target">Gets the file; stays open.</param>
    /// <param name="progress">Told about every mebibyte with the lines written so far; called on the calling thread. Null = nobody.</param>
    /// <param name="cancellationToken">Ends it; what was written until then is no whole file, and every import says so.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run; <see cref="ErrorCode.InvalidArgument"/>: it
    /// is <c>$sys</c>.</exception>
    /// <exception cref="CorruptionException">Something on the way is damaged.</exception>
    public RunExportReport ExportRun(
        RunId run, Stream target, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (run == RunId.System)
            throw new CairnException(ErrorCode.InvalidArgument, "The run $sys is the engine's own. Export another one.");
        while (true)
        {
            using var cut = TakeCut();
            if (Exporter.TryFindRuns(cut, [run]) is not { } found)
                continue;
            using var file = new RunFileWriter(target, new RunFileHeader(run, cut.Sequence, cut.Time));
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData("cairn run content 1"u8);
            var report = new Exporter(_engine, cut, file, new ExportOptions { Progress = progress }, cancellationToken) { Content = hash }
                .Write(found);
            var content = new Hash256(hash.GetHashAndReset());
            file.End(report.Lines, content);
            return new RunExportReport(run, report.Sequence, report.Lines, file.FileBytes, content);
        }
    }

    /// <summary>Begins a run with what <see cref="ExportRun"/> has written. The file is read twice: once to its end, so that a file that is
    /// damaged, cut, newer or something else changes nothing, and once to write it. Numbers, times, counters and hashes stay; versions and
    /// the times of commits are those of the import, and idempotency keys, retention, subscriptions and triggers are not in the
    /// file.</summary>
    /// <param name="source">The file from where it stands to its end. It must be able to seek. Stays open.</param>
    /// <param name="options">Another name, progress; null = as it was called.</param>
    /// <param name="cancellationToken">Ends it between two commits; the run is deleted again.</param>
    /// <returns>What was imported.</returns>
    /// <remarks>It is several commits, and others see the run while it grows. What ends it deletes the run again. If the process dies, the
    /// run stays as far as it came, active and orphaned (<see cref="Runs.Orphaned"/>): delete it, and import again.</remarks>
    /// <exception cref="CorruptionException">The file is damaged or cut; with the offset.</exception>
    /// <exception cref="FormatVersionException">The file is of a newer version.</exception>
    /// <exception cref="LimitException">A limit of this database.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>: the id or the name is taken;
    /// <see cref="ErrorCode.InvalidArgument"/>: no run file, or it is of the run <c>default</c> and no name was given, or a line is not
    /// what it should be; <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.ReadOnly"/>; others: a rule of this database. Nothing
    /// is changed then.</exception>
    /// <exception cref="ArgumentException">The source cannot seek.</exception>
    public RunImportReport ImportRun(
        Stream source, RunImportOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (!source.CanSeek)
            throw new ArgumentException("A run file is read twice: give a stream that can seek.", nameof(source));
        _engine.State.ThrowIfNotWritable(onlyDeletes: false);
        options ??= RunImportOptions.Default;
        if (options.Name is { } chosen)
            Primitives.RunRules.CheckName(chosen);
        var begin = source.Position;
        var (header, end) = VerifyRunFile(source, options.Progress, cancellationToken);
        var named = NameOf(header.Run, options.Name);
        source.Position = begin;
        using var file = new RunFileReader(source);
        try
        {
            var report = new Importer(this, file, options.Progress, cancellationToken, named).Read();
            if (!named.IsBegun)
                throw new CairnException(ErrorCode.InvalidArgument, "There is no run in this file.");
            var content = Runs.Get(named.Id)!.ContentHash();
            return new RunImportReport(named.Id, header.Run, report.Lines, content, content == end.Content);
        }
        catch (Exception failure) when (named.IsBegun && failure is not DatabaseFailedException)
        {
            Runs.Delete(named.Id);
            throw;
        }
    }

    private ImportedRun NameOf(RunId original, string? name)
    {
        if (name is not null)
        {
            if (Runs.Exists(name))
                throw new CairnException(ErrorCode.AlreadyExists, $"A run named '{name}' exists. Choose another name.");
            return new ImportedRun(original, new RunId(_engine.Random.NextUuid(_engine.Clock.Microseconds())), name);
        }

        if (Primitives.RunRecord.IsBuiltIn(original))
            throw new CairnException(ErrorCode.InvalidArgument, "The file is of a run that every database has. Give the new run a name.");
        return Runs.Exists(original)
            ? throw new CairnException(ErrorCode.AlreadyExists, $"Run {original} exists. Import it under another name.")
            : new ImportedRun(original, original, null);
    }

    private static (RunFileHeader Header, RunFileEnd End) VerifyRunFile(
        Stream source, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        using var file = new RunFileReader(source);
        var buffer = new byte[VerifyBytes];
        var told = 0L;
        while (file.Read(buffer) > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (file.Position - told >= Importer.ProgressBytes)
                progress?.Report(new TransferProgress("checking", told = file.Position, file.Length));
        }

        return (file.Header, file.End!.Value);
    }
}

/// <summary>How to import a run file.</summary>
public sealed record RunImportOptions
{
    internal static RunImportOptions Default { get; } = new();

    /// <summary>Name of the new run, which then has an id of its own too; null = id and name as in the file.</summary>
    public string? Name { get; init; }

    /// <summary>Told about every mebibyte that was checked or read, with the bytes of the file; called on the calling thread. Null =
    /// nobody.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>A run that was written into a file.</summary>
/// <param name="Run">The run.</param>
/// <param name="Sequence">It is as it was right after this commit.</param>
/// <param name="Lines">Lines in the file.</param>
/// <param name="Bytes">Bytes of the file.</param>
/// <param name="ContentHash">What <see cref="Run.ContentHash"/> gave at that commit.</param>
public sealed record RunExportReport(RunId Run, Sequence Sequence, long Lines, long Bytes, Hash256 ContentHash);

/// <summary>A run that came from a file.</summary>
/// <param name="Run">The run here.</param>
/// <param name="Original">Its id where it comes from.</param>
/// <param name="Lines">Lines in the file.</param>
/// <param name="ContentHash">What <see cref="Run.ContentHash"/> gives now.</param>
/// <param name="IsExact">It is the hash that the file tells: nothing is missing and nothing is otherwise. False when something in it has
/// expired since it was exported.</param>
public sealed record RunImportReport(RunId Run, RunId Original, long Lines, Hash256 ContentHash, bool IsExact);

/// <summary>What a run of an export is called here.</summary>
internal sealed class ImportedRun(RunId original, RunId id, string? name)
{
    internal RunId Original => original;

    internal RunId Id => id;

    internal string? Name => name;

    /// <summary>The run was begun by this import.</summary>
    internal bool IsBegun { get; set; }
}
