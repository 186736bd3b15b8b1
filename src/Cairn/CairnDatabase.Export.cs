namespace Cairn;

// Export and import as lines of JSON, traces as CSV.
public sealed partial class CairnDatabase
{
    /// <summary>Writes the content of runs as lines of JSON (docs/export.md), all of them as they were at one commit: values with versions,
    /// times and expiries, state cells with counters, events with numbers, times, causes, salts and hashes, traces, consumers, and the
    /// records of runs. Not in it: older versions, what was deleted or has expired, idempotency keys, policies of retention. Commits go
    /// on meanwhile; memory does not grow with what is exported.</summary>
    /// <param name="target">Gets UTF-8; stays open.</param>
    /// <param name="options">Which runs, progress; null = all runs.</param>
    /// <param name="cancellationToken">Ends it; the lines lack their last one, so that no import takes them for whole.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    public ExportReport Export(Stream target, ExportOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        while (true)
        {
            using var cut = TakeCut();
            if (Exporter.TryFindRuns(cut, options?.Runs) is { } runs)
                return new Exporter(_engine, cut, target, options ?? ExportOptions.Default, cancellationToken).Write(runs);
        }
    }

    /// <summary>Writes what <see cref="Export"/> gave into this database. Everything keeps its identity, numbers, times and hashes;
    /// versions
    /// are those of the import. Does nothing for what is there already, so an import that was interrupted is simply done again. What is
    /// there and differs is refused, never replaced.</summary>
    /// <param name="source">UTF-8; stays open. Read once, line by line.</param>
    /// <param name="progress">Told about every mebibyte with the bytes read so far; null = nobody.</param>
    /// <param name="cancellationToken">Ends it between two commits; what was written stays.</param>
    /// <exception cref="CairnException">A line cannot be imported; the message names it, and the lines before it are written.
    /// <see cref="ErrorCode.InvalidArgument"/>: it is not such a line, or the last one is missing; <see cref="ErrorCode.AlreadyExists"/>:
    /// something else is there; <see cref="ErrorCode.LimitExceeded"/>, <see cref="ErrorCode.InvalidKey"/> and others: a rule or limit of
    /// this database.</exception>
    public ImportReport Import(
        Stream source, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        _engine.State.ThrowIfNotWritable(onlyDeletes: false);
        return new Importer(this, source, progress, cancellationToken).Read();
    }

    /// <summary>Writes the traces of runs as CSV (RFC 4180) in order of run, time and id: one row each, with a row of names before
    /// them. For tables and statistics; it cannot be imported.</summary>
    /// <inheritdoc cref="Export" path="/param"/>
    /// <inheritdoc cref="Export" path="/exception"/>
    public ExportReport ExportTraces(Stream target, ExportOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        while (true)
        {
            using var cut = TakeCut();
            if (Exporter.TryFindRuns(cut, options?.Runs) is { } runs)
                return new Exporter(_engine, cut, target, options ?? ExportOptions.Default, cancellationToken).WriteTraces(runs);
        }
    }
}
