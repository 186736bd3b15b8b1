// Export: the content of runs as lines of JSON, in an order in which an import can write them.
//
//      {"line":"head", ...}                              format, database, sequence, time
//      {"line":"run", ...}                               identity, name, parent, fork point, created, tags, metadata
//      {"line":"kv"|"json"|"state"|"event"|"trace"|"concept"|"association"|"consumer"}  of that run, each with "run"
//      {"line":"collection"}, {"line":"vector"}          a collection of vectors, then what it holds, with the stored bytes
//      {"line":"events_from"}                            before the events, when those before them were trimmed
//      {"line":"run_end", ...}                           status, completed, error, result; only of a run that is not active
//      ... the next run
//      {"line":"end","lines":N}                          without it the file is not whole
//
// What a commit wrote says who and what caused the commit ("cause"), as far as its record is kept.
//
// A run's end stands behind what it holds, because a run that has ended takes nothing more. All lines are of one cut; each page is read for
// itself, so memory holds a page and one line.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn;

/// <summary>See the essay above. One export; use it once.</summary>
internal sealed class Exporter(Engine engine, Cut cut, Stream target, ExportOptions options, CancellationToken cancellationToken)
{
    internal const int Version = 1;
    private const int ProgressBytes = 1 << 20;

    /// <summary>Names of the columns of traces as CSV.</summary>
    internal const string TraceColumns =
        "run,id,parent,type,time,duration_us,model,input_tokens,output_tokens,tags,causes,redacted,step,metadata";

    private Causes _causes = Causes.None;                    // of the run at hand
    private long _lines;
    private long _bytes;
    private long _told;

    /// <summary>Lines tell who and what caused them. False: nobody reads them.</summary>
    internal bool TellsCauses { get; init; } = true;

    /// <summary>Gets what the runs hold, without what belongs to this database: see <see cref="Run.ContentHash"/>; null = nobody
    /// asks.</summary>
    internal IncrementalHash? Content { get; init; }

    /// <summary>The runs to export in order of their ids; null when one was begun and deleted while the cut was taken.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>.</exception>
    internal static List<RunState>? TryFindRuns(Cut cut, IReadOnlyCollection<RunId>? asked)
    {
        using var reader = cut.Catalogue.State.Store.Read();
        var ids = new SortedSet<RunId>();
        if (asked is null)
        {
            ids.Add(RunId.Default);
            var scan = reader.Scan([StoreKeys.Run], [StoreKeys.Run + 1], cut.Sequence);
            while (scan.MoveNext())
            {
                if (!scan.Version.IsTombstone)
                    ids.Add(RunId.Read(scan.Key[1..]));
            }
        }
        else
        {
            foreach (var id in asked)
            {
                if (id != RunId.Default && (!reader.TryGet(RunKeys.Record(id), cut.Sequence, out var version) || version.IsTombstone))
                    throw Lifecycle.NotFound(id);
                ids.Add(id);
            }
        }

        var runs = new List<RunState>();
        foreach (var id in ids)
        {
            if (cut.Find(id) is not { } run)
                return null;
            runs.Add(run);
        }

        return runs;
    }

    internal ExportReport Write(List<RunState> runs)
    {
        WriteLine(Value.Object(
            ("line", "head"),
            ("cairn_export", Version),
            ("sequence", (long)cut.Sequence),
            ("time_us", cut.Time),
            ("runs", runs.Count)));
        foreach (var run in runs)
            WriteRun(run);
        WriteLine(Value.Object(("line", "end"), ("lines", _lines + 1)));
        return Report(runs);
    }

    private ExportReport Report(List<RunState> runs)
    {
        target.Flush();
        return new ExportReport(new Sequence(cut.Sequence), runs.Count, _lines, _bytes);
    }

    private void WriteRun(RunState run)
    {
        var views = ViewsOf(run);
        var record = RecordOf(run.Id, out var result);
        _causes = TellsCauses ? CausesOf(run) : Causes.None;
        WriteLine(Fields.Write(
            ("line", "run"),
            ("run", run.Id.ToString()),
            ("name", Fields.Of(RunRecord.IsBuiltIn(run.Id) ? null : record.Name)),
            ("parent", Fields.Of(record.Parent?.ToString())),
            ("created_us", Fields.Of(record.Created)),
            ("tags", Fields.Of(record.Tags)),
            ("metadata", record.Metadata.Count == 0 ? default(Value?) : record.Metadata),
            ("fork_sequence", Fields.Of((long?)record.ForkSequence)),
            ("cause", _causes.At(run.Born))));
        WriteValues(run, views);
        WriteDocuments(run, views);
        WriteVectors(run);
        WriteCells(run, views);
        WriteEvents(run, views);
        foreach (var trace in TracesOf(views))
            WriteLine(LineOf(run, trace));
        WriteConcepts(run, views);
        WriteAssociations(run);
        if (record.Status == RunStatus.Active)
            return;
        WriteLine(Fields.Write(
            ("line", "run_end"),
            ("run", run.Id.ToString()),
            ("status", record.Status.ToString()),
            ("completed_us", Fields.Of(record.Completed)),
            ("error", Fields.Of(record.Error)),
            ("result", result)));
    }

    private RunRecord RecordOf(RunId id, out Value? result)
    {
        result = null;
        using var reader = cut.Catalogue.State.Store.Read();
        if (!reader.TryGet(RunKeys.Record(id), cut.Sequence, out var version) || version.IsTombstone)
            return RunRecord.BuiltIn(id)!;
        var record = RunRecord.Read(version.Value);
        if (reader.TryGet(RunKeys.Result(stackalloc byte[1 + RunId.Size], id), cut.Sequence, out var kept) && !kept.IsTombstone)
            result = Value.Decode(kept.Value);
        return record;
    }

    private Causes CausesOf(RunState run)
    {
        try
        {
            using var end = CairnDatabase.EndOf(engine, run, cut.Time);
            return Causes.Of(end, cancellationToken);
        }
        catch (CairnException gone) when (gone.Code == ErrorCode.NotFound)
        {
            return Causes.None;                              // deleted since the cut: the records are nobody's any more
        }
    }

    private SnapshotViews ViewsOf(RunState run) => new(engine, Scope.Snapshot(engine.Path, run, cut.Sequence, cut.Time));

    private void WriteValues(RunState run, SnapshotViews views)
    {
        string? cursor = null;
        do
        {
            var page = views.Kv.Scan(new ScanOptions { Cursor = cursor });
            foreach (var (key, value) in page)
            {
                WriteLine(Fields.Write(
                    ("line", "kv"),
                    ("run", run.Id.ToString()),
                    ("key", key),
                    ("value", value.Value),
                    ("version", (long)value.Version.Value),
                    ("time_us", CommitClock.Microseconds(value.Time)),
                    ("expiry_us", Fields.Of(Microseconds(value.Expiry))),
                    ("cause", _causes.At(value.Version.Value))));
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    // Each document is looked up for itself: a page of ids and one document are in memory, never a page of documents.
    private void WriteDocuments(RunState run, SnapshotViews views)
    {
        string? cursor = null;
        do
        {
            var page = views.Json.List(new ScanOptions { Cursor = cursor });
            foreach (var id in page)
            {
                if (views.Json.GetVersioned(id) is not { } document || Mutant.Is("export-forgets-documents"))
                    continue;
                WriteLine(Fields.Write(
                    ("line", "json"),
                    ("run", run.Id.ToString()),
                    ("id", id),
                    ("value", document.Value),
                    ("version", (long)document.Version.Value),
                    ("time_us", CommitClock.Microseconds(document.Time)),
                    ("expiry_us", Fields.Of(Microseconds(document.Expiry))),
                    ("cause", _causes.At(document.Version.Value))));
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    // As they are stored, so that an import has the same bits.
    private void WriteVectors(RunState run)
    {
        var vectors = new StoredVectors(run.Store, cut.Sequence, cut.Time);
        foreach (var name in vectors.Names())
        {
            var configuration = vectors.Configuration(name, out var version)!;
            WriteLine(Fields.Write(
                ("line", "collection"),
                ("run", run.Id.ToString()),
                ("name", Utf8.GetTrustedString(name)),
                ("definition", version!.Value),
                ("next", (long)vectors.NextId(name)),
                ("version", (long)version.Version.Value),
                ("cause", _causes.At(version.Version.Value))));
            for (var from = VectorKeys.Begin(StoreKeys.VectorHead, name); from.Length > 0;)
            {
                foreach (var head in vectors.Heads(name, ref from))
                {
                    if (vectors.Read(head, configuration) is { } vector)
                        WriteLine(LineOf(run, head, vector));
                }
            }
        }
    }

    private Value LineOf(RunState run, byte[] head, VectorSide vector) => Fields.Write(
        ("line", "vector"),
        ("run", run.Id.ToString()),
        ("collection", Utf8.GetTrustedString(VectorKeys.NameIn(head))),
        ("key", Utf8.GetTrustedString(VectorKeys.KeyIn(head))),
        ("id", Mutant.Is("vector-export-forgets-ids") ? default(Value?) : (long)vector.Id),
        ("element", vector.Element.ToString()),
        ("embedding", Value.Bytes(vector.Embedding)),
        ("metadata", VectorValues.Metadata(vector.Metadata)),
        ("version", (long)vector.Sequence),
        ("time_us", vector.Time),
        ("expiry_us", vector.Expiry == 0 ? default(Value?) : vector.Expiry),
        ("cause", _causes.At(vector.Sequence)));

    // With the counters of what was deleted: a cell of that name goes on from there.
    private void WriteCells(RunState run, SnapshotViews views)
    {
        var from = new byte[] { StoreKeys.State };
        while (true)
        {
            var names = new List<(string Name, ulong Counter, bool IsLive)>();
            using (var reader = run.Store.Read())
            {
                var scan = reader.Scan(from, [StoreKeys.State + 1], cut.Sequence, withTombstones: true);
                while (names.Count < engine.Limits.PageSize && scan.MoveNext())
                {
                    names.Add((
                        Utf8.GetTrustedString(scan.Key[1..]), StateOperations.CounterOf(scan.Version), scan.Version.IsLiveAt(cut.Time)));
                    from = [.. scan.Key, 0];
                }
            }

            foreach (var (name, counter, isLive) in names)
                WriteLine(LineOf(run, name, counter, isLive ? views.State.Get(name) : null));
            if (names.Count < engine.Limits.PageSize)
                return;
        }
    }

    private Value LineOf(RunState run, string name, ulong counter, StateCell? cell) => cell is { } live
        ? Fields.Write(
            ("line", "state"),
            ("run", run.Id.ToString()),
            ("name", name),
            ("counter", (long)counter),
            ("value", live.Value),
            ("version", (long)live.Version.Value),
            ("time_us", CommitClock.Microseconds(live.UpdatedAt)),
            ("expiry_us", Fields.Of(Microseconds(live.Expiry))),
            ("cause", _causes.At(live.Version.Value)))
        : Value.Object(("line", "state"), ("run", run.Id.ToString()), ("name", name), ("counter", (long)counter), ("deleted", true));

    private void WriteEvents(RunState run, SnapshotViews views)
    {
        var floor = views.Events.Floor();
        if (floor.TimeBefore is { } time && !Mutant.Is("export-forgets-the-floor"))
        {
            WriteLine(Value.Object(
                ("line", "events_from"), ("run", run.Id.ToString()), ("number", (long)floor.Number.Value),
                ("hash_before", floor.HashBefore.ToString()), ("time_before_us", CommitClock.Microseconds(time))));
        }

        for (var from = floor.Number; ;)
        {
            var page = views.Events.Since(from);
            foreach (var item in page)
            {
                WriteLine(Fields.Write(
                    ("line", "event"),
                    ("run", run.Id.ToString()),
                    ("number", (long)item.Number.Value),
                    ("type", item.Type),
                    ("time_us", CommitClock.Microseconds(item.Time)),
                    ("payload", item.Payload),
                    ("salt", item.IsRedacted ? default(Value?) : Value.Bytes(item.Salt.Span)),
                    ("payload_hash", item.IsRedacted ? (Value)item.PayloadHash.ToString() : default(Value?)),
                    ("causes", item.Causes.Count == 0
                        ? default(Value?)
                        : Value.Array(item.Causes.Select(cause => (Value)(long)cause.Value))),
                    ("hash", item.Hash.ToString()),
                    ("version", (long)item.Sequence.Value),
                    ("cause", _causes.At(item.Sequence.Value))));
                from = item.Number.Value + 1;
            }

            if (page.Cursor is null)
                break;
        }

        string? cursor = null;
        do
        {
            var page = views.Events.Consumers.List(new ScanOptions { Cursor = cursor });
            foreach (var consumer in page)
            {
                WriteLine(Value.Object(
                    ("line", "consumer"), ("run", run.Id.ToString()), ("name", consumer.Name),
                    ("position", (long)consumer.Position.Value)));
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    private void WriteConcepts(RunState run, SnapshotViews views)
    {
        string? cursor = null;
        do
        {
            var page = views.Graph.ListConcepts(new ScanOptions { Cursor = cursor });
            foreach (var concept in page)
            {
                WriteLine(Fields.Write(
                    ("line", "concept"),
                    ("run", run.Id.ToString()),
                    ("id", concept.Id),
                    ("type", Fields.Of(concept.Type)),
                    ("content", Fields.Of(concept.Content)),
                    ("attributes", concept.Attributes.Count == 0 ? default(Value?) : concept.Attributes),
                    ("strength", (Value)concept.Strength),
                    ("confidence", (Value)concept.Confidence),
                    ("decay", concept.Decay == ConceptDecay.None ? default(Value?) : concept.Decay.ToValue()),
                    ("created_us", CommitClock.Microseconds(concept.Created)),
                    ("accesses", concept.Accesses == 0 ? default(Value?) : concept.Accesses),
                    ("last_access_us", Fields.Of(Microseconds(concept.LastAccess))),
                    ("feedback", concept.Feedback == 0 ? default(Value?) : (Value)concept.Feedback),
                    ("version", (long)concept.Version.Value),
                    ("cause", _causes.At(concept.Version.Value))));
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    // Behind the concepts. A symmetric one under the name it is known by.
    private void WriteAssociations(RunState run)
    {
        var from = new byte[] { StoreKeys.Association };
        while (true)
        {
            var lines = new List<Value>();
            var count = 0;
            using (var reader = run.Store.Read())
            {
                var scan = reader.Scan(from, [StoreKeys.Association + 1], cut.Sequence);
                while (count < engine.Limits.PageSize && scan.MoveNext())
                {
                    count++;
                    from = [.. scan.Key, 0];
                    if (LineOf(run, scan.Key, scan.Version) is { } line)
                        lines.Add(line);
                }
            }

            foreach (var line in lines)
                WriteLine(line);
            if (count < engine.Limits.PageSize)
                return;
        }
    }

    private Value? LineOf(RunState run, ReadOnlySpan<byte> storeKey, scoped in VersionView version)
    {
        Invariant.Check(AssociationRow.TryRead(version.Value, out var row), "a stored association reads back");
        if (row.IsMirror)
            return null;
        GraphKeys.TrySplit(storeKey[1..], out var source, out var type, out var target);
        return Fields.Write(
            ("line", "association"),
            ("run", run.Id.ToString()),
            ("source", Utf8.GetTrustedString(source)),
            ("type", Utf8.GetTrustedString(type)),
            ("target", Utf8.GetTrustedString(target)),
            ("weight", (Value)row.Weight),
            ("confidence", (Value)row.Confidence),
            ("valid_from_us", row.From == long.MinValue ? default(Value?) : row.From),
            ("valid_to_us", row.To == long.MaxValue ? default(Value?) : row.To),
            ("symmetric", Fields.Of(row.IsSymmetric)),
            ("attributes", row.Attributes.IsEmpty ? default(Value?) : Value.Decode(row.Attributes)),
            ("version", (long)version.Sequence),
            ("cause", _causes.At(version.Sequence)));
    }

    private static IEnumerable<TraceRecord> TracesOf(SnapshotViews views)
    {
        string? cursor = null;
        do
        {
            var page = views.Traces.List(new TracePage { Cursor = cursor });
            foreach (var trace in page)
                yield return trace;
            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    private Value LineOf(RunState run, TraceRecord trace) => Fields.Write(
        ("line", "trace"), ("run", run.Id.ToString()), ("id", trace.Id.ToString()), ("version", (long)trace.Version.Value),
        ("content", TraceContent.Of(trace, engine.Limits)), ("cause", _causes.At(trace.Version.Value)));

    // ---- CSV --------------------------------------------------------------------------------------------------------------------

    internal ExportReport WriteTraces(List<RunState> runs)
    {
        Write(TraceColumns + "\r\n");
        foreach (var run in runs)
        {
            foreach (var trace in TracesOf(ViewsOf(run)))
                Write(string.Join(',', ColumnsOf(run, trace).Select(Quoted)) + "\r\n");
        }

        return Report(runs);
    }

    private static string[] ColumnsOf(RunState run, TraceRecord trace) =>
    [
        run.Id.ToString(),
        trace.Id.ToString(),
        trace.Parent?.ToString() ?? "",
        trace.Type.ToString(),
        trace.Timestamp.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture),
        Text(TraceContent.Microseconds(trace.Duration)),
        trace.Model ?? "",
        Text(trace.Tokens?.Input),
        Text(trace.Tokens?.Output),
        string.Join(';', trace.Tags),
        string.Join(';', trace.Causes.Select(cause => cause.ToString(CultureInfo.InvariantCulture))),
        trace.IsRedacted ? "true" : "false",
        trace.Step?.ToValue().ToJson() ?? "",
        trace.Metadata.Kind == ValueKind.Object && trace.Metadata.Count > 0 ? trace.Metadata.ToJson() : "",
    ];

    private static string Text(long? number) => number?.ToString(CultureInfo.InvariantCulture) ?? "";

    // RFC 4180, 2.5 to 2.7.
    private static string Quoted(string field) => field.AsSpan().IndexOfAny("\",\r\n") < 0
        ? field
        : $"\"{field.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    // ---- lines ------------------------------------------------------------------------------------------------------------------

    private static long? Microseconds(DateTimeOffset? time) => time is { } known ? CommitClock.Microseconds(known) : null;

    private void WriteLine(Value line)
    {
        if (Content is { } content && line["line"].AsString() is not ("head" or "end") and var kind)
        {
            content.AppendData(Value.Object(line.AsObject().Where(member => member.Key switch
            {
                "run" or "version" or "created_us" or "fork_sequence" or "cause" => false,
                "name" => kind != "run",
                "time_us" => kind is not ("kv" or "json" or "state" or "vector"),
                _ => true,
            })).Encode());
        }

        Write(new StringBuilder(line.ToJson()).Append('\n').ToString());
    }

    private void Write(string line)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var bytes = Utf8.GetBytes(line);
        target.Write(bytes);
        _lines++;
        _bytes += bytes.Length;
        if (_bytes - _told < ProgressBytes)
            return;
        _told = _bytes;
        options.Progress?.Report(new TransferProgress("lines", _lines, 0));
    }
}
