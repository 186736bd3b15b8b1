// Import: lines of an export written into a database, each of which says what must be there.
//
// I1  A line is done when what it says is there. So a line that is there already costs a look, and an import that was interrupted, by an
//     error or a kill, is done again from its first line; nothing is kept about it.
// I2  What is there and differs is refused with the number of the line. Nothing is replaced.
// I3  Lines of one run are committed together, up to LinesPerCommit of them or BytesPerCommit. What was looked at is expected unchanged
//     at the commit; an event names the hash that it belongs behind.
// I4  Every rule and limit of this database holds, and is told with the line. Memory holds one line and one commit.
//
// I5  What has a cause is written by a commit that has it: lines of one cause are committed together. The commit that begins a run tells
//     where it came from ($import): run, sequence and time of the export, and of a fork its parent and the point. A fork comes in whole
//     and reads through to nobody here, so it has no ForkSequence.
//
// Kept as they were: ids, names, times of events and of runs' beginnings and ends, numbers, salts, hashes, counters, expiries. Not:
// versions and the times of commits, which are the import's.

using System.Buffers;
using System.Globalization;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;
using Cairn.Vectors;

namespace Cairn;

/// <summary>See the essay above. One import; use it once.</summary>
internal sealed class Importer(CairnDatabase database, Stream source, IProgress<TransferProgress>? progress,
    CancellationToken cancellationToken, ImportedRun? only = null)
{
    /// <summary>Chosen: a sync in Strict is shared by many lines, and a commit stays short.</summary>
    private const int LinesPerCommit = 256;
    private const int BytesPerCommit = 1 << 20;
    internal const int ProgressBytes = 1 << 20;
    private const int ReadBytes = 64 << 10;

    /// <summary>Entry of the attributes of the commit that begins a run.</summary>
    internal const string Origin = "$import";

    /// <summary>A value's encoding in JSON is at most so many times as long: every byte of text escaped.</summary>
    private const int JsonPerByte = 6;

    private readonly Engine _engine = database.Engine;
    private readonly List<Expectation> _expected = [];
    private readonly HashSet<string> _keys = new(StringComparer.Ordinal);
    private Batch? _batch;
    private RunState? _run;
    private byte[] _cause = [];                              // of the batch
    private (long Sequence, long Time) _exported;
    private ulong _appended;
    private Hash256 _head;
    private long _headTime;
    private int _linesInBatch;
    private long _firstInBatch;
    private long _line;
    private long _written;
    private long _present;
    private int _runs;
    private bool _hasHead;
    private bool _hasEnd;

    private int LineBytesMax => (int)Math.Min(int.MaxValue / 2, (long)JsonPerByte * _engine.Limits.ValueBytesMax + (1 << 20));

    internal ImportReport Read()
    {
        var buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
        int filled = 0, begin = 0;
        long read = 0, told = 0;
        try
        {
            while (true)
            {
                var end = buffer.AsSpan(begin, filled - begin).IndexOf((byte)'\n');
                if (end >= 0)
                {
                    Take(buffer.AsSpan(begin, end));
                    begin += end + 1;
                    continue;
                }

                if (begin > 0)
                {
                    buffer.AsSpan(begin, filled - begin).CopyTo(buffer);
                    filled -= begin;
                    begin = 0;
                }

                if (filled == buffer.Length)
                    Grow(ref buffer, filled);
                cancellationToken.ThrowIfCancellationRequested();
                var count = source.Read(buffer, filled, buffer.Length - filled);
                if (count == 0)
                    break;
                filled += count;
                read += count;
                if (read - told >= ProgressBytes)
                    progress?.Report(new TransferProgress("lines", told = read, source.CanSeek ? source.Length : 0));
            }

            if (filled > 0)
                Take(buffer.AsSpan(0, filled));
            Commit();
            if (!_hasEnd)
                throw Refused(ErrorCode.InvalidArgument, "the file ends before its last line; it is not a whole export");
            return new ImportReport(_runs, _line, _written, _present);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Grow(ref byte[] buffer, int filled)
    {
        if (filled >= LineBytesMax)
        {
            _line++;
            throw Refused(ErrorCode.LimitExceeded, $"it is longer than {LineBytesMax} bytes");
        }

        var larger = ArrayPool<byte>.Shared.Rent(2 * buffer.Length);
        buffer.AsSpan(0, filled).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }

    private void Take(ReadOnlySpan<byte> text)
    {
        _line++;
        try
        {
            var line = Value.FromJson(text);
            if (line.Kind != ValueKind.Object)
                throw new CairnException(ErrorCode.InvalidArgument, "a line is an object.");
            Take(new Line(line));
        }
        catch (CairnException refused) when (refused is not DatabaseFailedException)
        {
            _batch = null;
            throw Refused(refused.Code, refused.Message, refused);
        }
    }

    private CairnException Refused(ErrorCode code, string message, Exception? cause = null) =>
        new(code, string.Create(CultureInfo.InvariantCulture, $"Line {_line}: {message}"), cause);

    private void Take(Line line)
    {
        var kind = line.Text("line");
        if (_hasEnd)
            throw new CairnException(ErrorCode.InvalidArgument, "nothing follows the last line.");
        if (_hasHead == (kind == "head"))
            throw new CairnException(ErrorCode.InvalidArgument, "an export begins with its head, and has one.");
        switch (kind)
        {
            case "head":
                if (line.Number("cairn_export") != Exporter.Version)
                    throw new FormatVersionException("export", $"version {line.Number("cairn_export")}", $"version {Exporter.Version}");
                _hasHead = true;
                _exported = (line.Number("sequence"), line.Number("time_us"));
                return;
            case "end":
                Commit();
                if (line.Number("lines") != _line)
                    throw new CairnException(ErrorCode.InvalidArgument, $"the export had {line.Number("lines")} lines, and here are "
                        + $"{_line}.");
                _hasEnd = true;
                return;
            case "run":
                Commit();
                _cause = [];
                Begin(line);
                return;
        }

        var run = Find(line);
        var cause = CauseOf(line).Encode(_engine.Limits);
        if (run != _run || _linesInBatch >= LinesPerCommit || _batch?.Record.PayloadLength > BytesPerCommit
            || !_cause.AsSpan().SequenceEqual(cause))
        {
            Commit();
        }

        (_run, _cause) = (run, cause);
        var isWritten = kind switch
        {
            "kv" => Put(line, run),
            "json" => Create(line, run),
            "collection" => MakeCollection(line, run),
            "vector" => Upsert(line, run),
            "state" => Set(line, run),
            "events_from" => BeginEvents(line, run),
            "event" => Append(line, run),
            "consumer" => Move(line, run),
            "trace" => Record(line, run),
            "concept" => PutConcept(line, run),
            "association" => Associate(line, run),
            "run_end" => End(line, run),
            _ => throw new CairnException(ErrorCode.InvalidArgument, $"there is no line of kind '{kind}'."),
        };
        if (isWritten)
            _linesInBatch++;
        else
            _present++;
    }

    // ---- runs -------------------------------------------------------------------------------------------------------------------

    // Of a run file there is one run, which may have another id and name here.
    private RunId RunOf(Line line)
    {
        var id = line.Run("run");
        if (only is null)
            return id;
        return id == only.Original
            ? only.Id
            : throw new CairnException(ErrorCode.InvalidArgument, "a run file has lines of one run only.");
    }

    private RunState Find(Line line)
    {
        var id = RunOf(line);
        if (_run?.Id == id)
            return _run;
        return database.Runs.TryGet(id, out var run) ? run.RunState : throw Lifecycle.NotFound(id);
    }

    private void Begin(Line line)
    {
        var id = RunOf(line);
        if (id == RunId.System)
            throw new CairnException(ErrorCode.ReadOnly, "the run $sys is the engine's own.");
        var (name, tags, metadata) = (line.TextOrNull("name"), line.Texts("tags"), line.Any("metadata"));
        if (only is not null)
            CheckFree(id, name = only.Name ?? name);
        if (database.Runs.TryGet(id, out var there))
        {
            Compare(there, name, line.Any("parent") is null ? null : line.Run("parent"), tags, metadata ?? Value.Object());
            return;
        }

        if (name is not null)
            RunRules.CheckName(name);
        if (metadata is { } given)
            RunRules.CheckMetadata(given, _engine.Limits);
        var kept = RunRules.CheckTags(tags, _engine.Limits);
        var body = Fields.Write(
            ("name", Fields.Of(name)),
            ("parent", line.Any("parent") is null ? default(Value?) : Fields.Of((UInt128?)line.Run("parent").Bits)),
            ("tags", Fields.Of(kept)),
            ("metadata", metadata),
            ("created", Fields.Of(line.NumberOrNull("created_us")))).Encode();
        var index = _engine.Catalogue.State;
        _expected.Add(new Expectation(index, RunKeys.Record(id), ExpectationKind.Value, 0));
        if (name is not null)
        {
            var key = RunKeys.Name(stackalloc byte[RunKeys.LengthMax], name).ToArray();
            _expected.Add(new Expectation(index, key, ExpectationKind.Value, 0));
        }

        if (line.NumberOrNull("created_us") > _engine.Path.ReadTime())
            throw Later("the run was begun");
        var state = _engine.Catalogue.NewState(id);
        _cause = OfBeginning(line);
        var batch = Open(state);
        RunOperations.Add(batch, OperationCode.RunCreate, body, kept.Length);
        _linesInBatch++;
        Commit();
        if (only is not null)
            only.IsBegun = true;
        _run = state;
        _runs++;
    }

    // I5
    private byte[] OfBeginning(Line line)
    {
        var cause = CauseOf(line);
        var before = cause.Entries.TryGetMember(Origin, out var older) ? older : default(Value?);
        var origin = Fields.Write(
            ("run", line.Text("run")), ("sequence", _exported.Sequence), ("time_us", _exported.Time),
            ("parent", Fields.Of(line.TextOrNull("parent"))), ("fork_sequence", Fields.Of(line.NumberOrNull("fork_sequence"))),
            ("before", before));
        return (cause with { SourceKind = cause.SourceKind ?? "import" }).EncodeWith(Origin, origin, _engine.Limits);
    }

    private static CommitAttributes CauseOf(Line line) => line.Any("cause") is not { } told ? CommitAttributes.None
        : CommitAttributes.TryReadLine(told, out var cause) ? cause
        : throw new CairnException(ErrorCode.InvalidArgument, "'cause' is not what the attributes of a commit are.");

    private void CheckFree(RunId id, string? name)
    {
        if (database.Runs.Exists(id))
            throw new CairnException(ErrorCode.AlreadyExists, $"run {id} exists.");
        if (name is not null && database.Runs.Exists(name))
            throw new CairnException(ErrorCode.AlreadyExists, $"a run named '{name}' exists. Import it under another name.");
    }

    // The run `default` is there always, and takes what the export's had.
    private void Compare(Run there, string? name, RunId? parent, string[] tags, Value metadata)
    {
        var info = there.Info;
        if (there.Id == RunId.Default && info.Tags.Count == 0 && info.Metadata.Count == 0 && (tags.Length > 0 || metadata.Count > 0))
        {
            // In one commit: half of it would be another record, and refused when the import is done again.
            var kept = RunRules.CheckTags(tags, _engine.Limits);
            RunRules.CheckMetadata(metadata, _engine.Limits);
            var body = Fields.Write(
                ("addTags", Fields.Of(kept)), ("metadata", metadata.Count == 0 ? default(Value?) : Value.Array(metadata))).Encode();
            RunOperations.Add(Open(there.RunState), OperationCode.RunUpdate, body, kept.Length);
            _linesInBatch++;
            Commit();
            return;
        }

        var isSame = (there.Id == RunId.Default || (info.Name == name && info.Parent == parent))
            && info.Tags.SequenceEqual(tags, StringComparer.Ordinal) && info.Metadata == metadata;
        if (!isSame)
            throw new CairnException(ErrorCode.AlreadyExists, $"run {there.Id} is there, and its name, parent, tags or metadata are "
                + $"other ones.");
        _present++;
    }

    private bool End(Line line, RunState run)
    {
        Commit();
        if (!Enum.TryParse<RunStatus>(line.Text("status"), out var status) || status == RunStatus.Active || RunRecord.IsBuiltIn(run.Id))
            throw new CairnException(ErrorCode.InvalidArgument, "a run ends with a status that ends it.");
        if (run.Status == status)
            return false;
        if (run.Status != RunStatus.Active)
            throw new CairnException(ErrorCode.AlreadyExists, $"run {run.Id} is {run.Status} already.");
        var (completed, error, result) = (line.NumberOrNull("completed_us"), line.TextOrNull("error"), line.Any("result"));
        if (result is { } value)
            ValueCodec.EncodedLength(value, _engine.Limits);
        if (error is not null)
            RunRules.CheckError(error, _engine.Limits);
        if (completed > _engine.Path.ReadTime())
            throw Later("the run was completed");
        var batch = Open(run);
        var isUpdate = status == RunStatus.Paused;
        var body = Fields.Write(
            ("status", Fields.Of((long)(isUpdate || status != RunStatus.Archived ? status : RunStatus.Cancelled))),
            ("completed", Fields.Of(isUpdate ? default(long?) : completed)), ("error", isUpdate ? default(Value?) : Fields.Of(error)),
            ("result", isUpdate ? default(Value?) : result)).Encode();
        RunOperations.Add(batch, isUpdate ? OperationCode.RunUpdate : OperationCode.RunEnd, body, 0);
        if (status == RunStatus.Archived)
            RunOperations.Add(batch, OperationCode.RunArchive, Fields.Write(("from", Fields.Of((long?)RunStatus.Cancelled))).Encode(), 0);
        _linesInBatch++;
        Commit();
        _present--;                                          // counted by the commit as written
        return false;
    }

    // ---- content ----------------------------------------------------------------------------------------------------------------

    private bool Put(Line line, RunState run)
    {
        var key = line.Text("key");
        var value = line.Need("value");
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.Kv, key, isWrite: true, buffer);
        var length = ValueCodec.EncodedLength(value, _engine.Limits);
        var expiry = line.NumberOrNull("expiry_us") ?? 0;
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest(storeKey, out var version) && version.IsLiveAt(_engine.Path.ReadTime()))
                return Differs(version.Expiry == expiry && Value.Decode(version.Value) == value, "key");
        }

        if (IsOver(expiry))
            return false;
        Expect(run, storeKey);
        KvOperations.AddPut(Open(run), storeKey[1..], length, expiry, out var target);
        ValueCodec.Encode(value, target);
        return true;
    }

    private bool Create(Line line, RunState run)
    {
        var id = line.Text("id");
        var value = line.Need("value");
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.Json, id, isWrite: true, buffer);
        var length = value.Measure.Check(_engine.Limits, FloatRule.Finite);
        var expiry = line.NumberOrNull("expiry_us") ?? 0;
        if (new Run(_engine, run, CommitOptions.Default).Json.GetVersioned(id) is { } there)
            return Differs(Versions.ToExpiry(expiry) == there.Expiry && there.Value == value, "document");
        if (IsOver(expiry))
            return false;
        Expect(run, storeKey);
        var body = DocumentOperations.Add(
            Open(run), OperationCode.JsonCreate, storeKey[1..], DocumentBody.Length(OperationCode.JsonCreate, 0, length), expiry);
        ValueCodec.Encode(value, DocumentBody.Write(body, OperationCode.JsonCreate, default));
        return true;
    }

    // In a commit of its own: its vectors look at it.
    private bool MakeCollection(Line line, RunState run)
    {
        Commit();
        var name = line.Text("name");
        var told = line.Need("definition");
        VectorDefinition? definition = null;
        if (!Fields.TryRead(told, out var fields) || (definition = DefinitionOf(fields)) is null)
            throw new CairnException(ErrorCode.InvalidArgument, "'definition' is none of a collection of vectors.");
        var configuration = VectorConfiguration.Of(definition, _engine.Limits);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        KeyRules.EncodeName(name, buffer[1..], out var length);
        var encoded = buffer.Slice(1, length).ToArray();
        var vectors = new Replay.StoredVectors(run.Store, ulong.MaxValue, _engine.Path.ReadTime());
        if (vectors.Configuration(encoded, out _) is { } there)
            return Differs(configuration.AsSpan().SequenceEqual(there), "collection");
        _expected.Add(new Expectation(
            run, VectorKeys.Collection(buffer, encoded).ToArray(), ExpectationKind.Version, 0));
        var body = VectorBody.Create(configuration, (ulong)Math.Max(1, line.Number("next")));
        body.CopyTo(VectorOperations.Add(Open(run), OperationCode.VectorCreate, encoded, body.Length, 0));
        _linesInBatch++;
        Commit();
        _present--;                                          // counted by the commit as written
        return false;
    }

    private static VectorDefinition? DefinitionOf(in Fields fields) => fields.TryNumber("dimension", out var dimension)
        && fields.TryText("metric", out var metric) && Enum.TryParse<VectorMetric>(metric, out var asMetric)
        && fields.TryText("element", out var element) && Enum.TryParse<VectorElement>(element, out var asElement)
        && fields.TryText("index", out var index) && Enum.TryParse<VectorIndexKind>(index, out var asIndex)
        && fields.TryText("model", out var model)
        ? new VectorDefinition
        {
            Dimension = (int)Math.Clamp(dimension ?? 0, 0, int.MaxValue), Metric = asMetric, Element = asElement, Index = asIndex,
            Model = model,
        }
        : null;

    private bool Upsert(Line line, RunState run)
    {
        var (name, key) = (line.Text("collection"), line.Text("key"));
        var id = line.NumberOrNull("id") ?? 0;
        var metadata = line.Any("metadata");
        if (metadata is { } given)
        {
            RunRules.CheckMetadata(given, _engine.Limits);
            given.Measure.Check(_engine.Limits, FloatRule.Finite);
        }

        var expiry = line.NumberOrNull("expiry_us") ?? 0;
        if (!Enum.TryParse<VectorElement>(line.Text("element"), out var element))
            throw new CairnException(ErrorCode.InvalidArgument, "'element' is none.");
        var vectors = new Replay.StoredVectors(run.Store, ulong.MaxValue, _engine.Path.ReadTime());
        var collection = VectorCollectionsView.EncodedName(name);
        if (vectors.Configuration(collection, out _) is not { } bytes || VectorConfiguration.Read(bytes).Element != element)
            throw new CairnException(ErrorCode.InvalidArgument, $"the collection '{name}' of this element is not there.");
        var configuration = VectorConfiguration.Read(bytes);
        var embedding = line.Bytes("embedding", configuration.EmbeddingBytes);
        if (!StoredForm.IsFinite(element, embedding)
            || (configuration.Metric == VectorMetric.Cosine && StoredForm.IsZero(element, embedding)))
            throw new CairnException(ErrorCode.InvalidArgument, "'embedding' is no vector of its collection.");
        Span<byte> buffer = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKey(key, buffer, out var length);
        var head = VectorKeys.Head(new byte[VectorKeys.BytesMax], collection, buffer[..length]).ToArray();
        if (vectors.Read(head, bytes) is { } there)
        {
            return Differs(
                there.Expiry == expiry && embedding.SequenceEqual(there.Embedding) && (id == 0 || there.Id == (ulong)id)
                && VectorValues.Metadata(there.Metadata) == metadata,
                "vector");
        }

        if (IsOver(expiry))
            return false;
        Expect(run, head);
        var metadataBytes = metadata?.Encode() ?? [];
        var body = VectorOperations.Add(
            Open(run), OperationCode.VectorUpsert, buffer[..length],
            VectorBody.UpsertBytes(collection.Length, embedding.Length, metadataBytes.Length), expiry);
        var rest = VectorBody.WriteUpsert(body, collection, element, configuration.Dimension, (ulong)id);
        embedding.CopyTo(rest);
        metadataBytes.CopyTo(rest[embedding.Length..]);
        return true;
    }

    private bool Set(Line line, RunState run)
    {
        var name = line.Text("name");
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.State, name, isWrite: true, buffer);
        var counter = (ulong)line.Number("counter");
        var isDeleted = line.Any("deleted") is not null;
        var value = isDeleted ? default : line.Need("value");
        var length = isDeleted ? 0 : ValueCodec.EncodedLength(value, _engine.Limits);
        var expiry = line.NumberOrNull("expiry_us") ?? 0;
        var now = 0ul;
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest(storeKey, out var version))
            {
                now = StateOperations.CounterOf(version);
                var isLive = version.IsLiveAt(_engine.Path.ReadTime());
                var isSame = now == counter && (isLive
                    ? !isDeleted && version.Expiry == expiry && Value.Decode(version.Value[StateOperations.CounterBytes..]) == value
                    : isDeleted || IsOver(expiry));
                if (isLive || isSame || now >= counter)
                    return Differs(isSame, "cell");
            }
        }

        // One step is one write: a counter goes up by what is missing. In more than one operation only beyond 2^32 writes.
        var steps = counter - now;
        if (steps > uint.MaxValue)
            throw new CairnException(ErrorCode.Overflow, $"the counter {counter} is further than {uint.MaxValue} writes from {now}.");
        _expected.Add(new Expectation(run, storeKey.ToArray(), ExpectationKind.Version, 0));
        Once(storeKey);
        // A deletion needs something to delete; a cell that expired before it was written comes to the same (S3 of StateOperations).
        if (isDeleted || IsOver(expiry))
            (value, length, expiry) = (Value.Null, ValueCodec.EncodedLength(Value.Null, _engine.Limits), 1);
        StateOperations.AddWrite(Open(run), OperationCode.StateSet, storeKey[1..], (uint)steps, length, expiry, out var target);
        ValueCodec.Encode(value, target);
        return true;
    }

    // Where the exported run's events were trimmed. In a commit of its own: the first event looks at the head that it leaves.
    private bool BeginEvents(Line line, RunState run)
    {
        Commit();
        var floor = new TrimFloor((ulong)line.Number("number"), line.Hash("hash_before"), line.Number("time_before_us"));
        if (floor.Number == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "events that begin at #0 are whole.");
        if (floor.Time > _engine.Path.ReadTime())
            throw Later("the events before were");
        var events = new Run(_engine, run, CommitOptions.Default).Events;
        if (run.NextEvent >= floor.Number)
        {
            var there = events.Floor();
            return Differs(
                there.Number == floor.Number ? there.HashBefore == floor.Before
                : there.Number > floor.Number || events.Get(floor.Number - 1)?.Hash == floor.Before,
                "event before");
        }

        if (run.NextEvent > 0)
        {
            throw new CairnException(
                ErrorCode.ConstraintViolation,
                $"events from #{floor.Number} on cannot follow event #{run.NextEvent - 1}: those between were trimmed before the export.");
        }

        EventTrim.AddBeginning(Open(run), floor);
        _linesInBatch++;
        Commit();
        _present--;                                          // counted by the commit as written
        return false;
    }

    private bool Append(Line line, RunState run)
    {
        var number = (ulong)line.Number("number");
        var type = line.Text("type");
        var hash = line.Hash("hash");
        if (_batch is null || _appended == 0)
            (_head, _headTime) = (run.EventHead, TimeOfLast(run));
        var next = run.NextEvent + _appended;
        if (number < run.NextEvent)
        {
            // What was trimmed here was there.
            var events = new Run(_engine, run, CommitOptions.Default).Events;
            return Differs(number < events.Floor().Number.Value || events.Get(number)?.Hash == hash, "event");
        }

        if (number != next)
            throw new CairnException(ErrorCode.ConstraintViolation, $"event #{number} cannot follow event #{next - 1}: events have no "
                + $"gaps.");

        Span<byte> name = stackalloc byte[Limits.NameBytesMax];
        var typeBytes = 0;
        if (type == "$redacted" || Inputs.IsType(type))
            KeyRules.EncodeNameForRead(type, name, out typeBytes);
        else
            KeyRules.EncodeName(type, name, out typeBytes);
        var time = line.Number("time_us");
        if (time < 0 || time > _engine.Path.ReadTime())
            throw Later("the event happened");
        if (time < _headTime)
            throw new CairnException(ErrorCode.ConstraintViolation, $"event #{number} happened before the one before it: times never go "
                + $"back.");
        var causes = line.Numbers("causes").Select(cause => new EventNumber((ulong)cause)).ToArray();
        byte[]? rest = null;
        Span<byte> payloadHash = stackalloc byte[Hash256.Size];
        if (line.Any("payload") is { } payload)
        {
            var length = EventOperations.PayloadLength(payload, _engine.Limits);
            EventOperations.BodyLength(causes.Length, length);
            if (Inputs.IsType(type) && !Inputs.IsPayload(payload))
                throw new CairnException(ErrorCode.InvalidArgument, $"event #{number} of type {type} does not have the form of an input.");
            var salt = line.Bytes("salt", EventHash.SaltSize);
            rest = new byte[EventHash.SaltSize + length];
            salt.CopyTo(rest);
            ValueCodec.Encode(payload, rest.AsSpan(EventHash.SaltSize));
            EventHash.OfPayload(rest, payloadHash);
        }
        else
        {
            line.Hash("payload_hash").CopyTo(payloadHash);
        }

        // Wrong content is found here, before it is written: the export's own hash is the witness.
        Span<byte> made = stackalloc byte[Hash256.Size];
        EventHash.OfEvent(number, name[..typeBytes], time, payloadHash, _head.ToArray(), made);
        if (new Hash256(made) != hash && !Mutant.Is("import-hash-not-compared"))
            throw new CairnException(ErrorCode.ConstraintViolation, $"event #{number} does not have the hash that it had: it was changed.");
        EventOperations.AddCarried(
            Open(run), name[..typeBytes], _appended, time, _appended == 0 ? run.EventHead : default, causes, rest,
                new Hash256(payloadHash));
        _appended++;
        (_head, _headTime) = (hash, time);
        return true;
    }

    private long TimeOfLast(RunState run)
    {
        if (run.NextEvent == 0)
            return 0;
        var events = new Run(_engine, run, CommitOptions.Default).Events;
        return CommitClock.Microseconds(
            events.Floor() is { TimeBefore: { } before } floor && floor.Number.Value == run.NextEvent
                ? before
                : events.Get(run.NextEvent - 1)!.Time);
    }

    private bool Move(Line line, RunState run)
    {
        var name = line.Text("name");
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(name, buffer, out var bytes);
        var position = (ulong)line.Number("position");
        ulong? there = null;
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest([StoreKeys.Consumer, .. buffer[..bytes]], out var version) && !version.IsTombstone)
                there = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(version.Value);
        }

        if (there == position)
            return false;
        if (there > position)
            throw new CairnException(ErrorCode.AlreadyExists, $"the consumer is at #{there} already, behind #{position}.");
        EventOperations.AddConsumerCommit(Open(run), buffer[..bytes], position, isForced: false);
        return true;
    }

    private bool Record(Line line, RunState run)
    {
        if (!Guid.TryParseExact(line.Text("id"), "D", out var guid))
            throw new CairnException(ErrorCode.InvalidArgument, "a trace has an id.");
        var id = new TraceId(guid);
        if (!Fields.TryRead(line.Need("content"), out var fields) || !TraceContent.TryRead(fields, id, out var trace))
            throw new CairnException(ErrorCode.InvalidArgument, "this is no content of a trace.");
        var content = TraceContent.Of(trace!, _engine.Limits);  // checks it as a recording does
        Span<byte> buffer = stackalloc byte[TraceKeys.LengthMax];
        var storeKey = TraceKeys.Trace(buffer, id);
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest(storeKey, out var version))
                return Differs(Value.Decode(version.Value) == content, "trace");
        }

        Expect(run, storeKey);
        var bytes = content.Encode();
        bytes.CopyTo(TraceOperations.AddRecord(Open(run), storeKey[1..], bytes.Length, trace!.Tags.Count));
        return true;
    }

    private bool PutConcept(Line line, RunState run)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.Concept, line.Text("id"), isWrite: true, buffer);
        var fields = new ConceptFields
        {
            Type = line.TextOrNull("type"),
            Content = line.TextOrNull("content"),
            Attributes = line.Any("attributes"),
            Strength = line.Float("strength", 1),
            Confidence = line.Float("confidence", 1),
            Decay = line.Any("decay") is not { } told ? null
                : ConceptDecay.TryRead(told, out var decay) ? decay
                : throw new CairnException(ErrorCode.InvalidArgument, "'decay' must be what an export says of one."),
        };
        ConceptRecord.Check(fields, _engine.Limits);
        var created = line.Number("created_us");
        var use = new Use(
            (ulong)(line.NumberOrNull("accesses") ?? 0), line.NumberOrNull("last_access_us") ?? 0,
            (long)Math.Round(line.Float("feedback", 0) * Use.FeedbackUnit));
        if (Math.Max(created, use.LastAccess) > _engine.Path.ReadTime())
            throw Later("the concept was made or used");
        var body = ConceptRecord.Write(fields, created);
        if (StoredConcept.Read(run.Store, ulong.MaxValue, storeKey[1..]) is { } there)
        {
            ConceptRecord.TryRead(body, out var asked, out var attributes, out var content);
            var wanted = ConceptRecord.Fields(
                ConceptRecord.With(default, asked, created), content.IsEmpty ? default(Value?) : Value.Decode(content),
                attributes.Length <= 1 ? default(Value?) : Value.Decode(attributes));
            return Differs(there.Fields == wanted && there.Use == use && there.Created == created, "concept");
        }

        Expect(run, storeKey);
        body.CopyTo(ConceptOperations.Add(Open(run), OperationCode.GraphPut, storeKey[1..], body.Length));
        foreach (var touch in ConceptRecord.Touches(use.Accesses, use.Feedback, use.LastAccess))
            touch.CopyTo(ConceptOperations.Add(Open(run), OperationCode.GraphTouch, storeKey[1..], touch.Length));
        return true;
    }

    // Its ends stand before it, if the export had them.
    private bool Associate(Line line, RunState run)
    {
        Span<byte> key = stackalloc byte[GraphKeys.AssociationBytesMax];
        Span<byte> name = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(line.Text("type"), name, out var length);
        var (source, target) = (EndOf(line.Text("source")), EndOf(line.Text("target")));
        var options = new AssociationOptions
        {
            Weight = line.Float("weight", 1),
            Confidence = line.Float("confidence", 1),
            ValidFrom = line.Time("valid_from_us"),
            ValidTo = line.Time("valid_to_us"),
            Attributes = line.Any("attributes"),
            IsSymmetric = line.Any("symmetric") is not null,
            MissingEnd = MissingEnd.Allow,
        };
        AssociationRow.Check(options, _engine.Limits);
        var order = source.AsSpan().SequenceCompareTo(target);
        if (order == 0 || (options.IsSymmetric && order > 0))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "an association has two ends, and a symmetric one is told from the smaller one.");
        }

        var association = GraphKeys.Association(key, source, name[..length], target);
        byte[] storeKey = [StoreKeys.Association, .. association];
        var row = AssociationRow.Write(options, 0);
        using (var reader = run.Store.Read())
        {
            if (reader.TryGetNewest(storeKey, out var version) && !version.IsTombstone)
                return Differs(version.Value.SequenceEqual(row), "association");
        }

        Expect(run, storeKey);
        row.CopyTo(AssociationOperations.Add(Open(run), OperationCode.GraphAssociate, association, row.Length));
        return true;
    }

    private static byte[] EndOf(string text)
    {
        Span<byte> end = stackalloc byte[Limits.KeyBytesMax];
        if (text.StartsWith('$') && !ItemAddress.TryParse(text.AsSpan(1).ToString(), out _))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "an end of an association is the id of a concept, or an address behind a '$'.");
        }

        KeyRules.EncodeKeyForRead(text, end, out var length);
        return end[..length].ToArray();
    }

    private static CairnException Later(string what) =>
        new(ErrorCode.InvalidArgument, $"{what} later than it is now here: look at the clocks.");

    private bool IsOver(long expiry) => expiry != 0 && expiry <= _engine.Path.ReadTime();

    // False: it is there as it should be.
    private static bool Differs(bool isSame, string what) => isSame
        ? false
        : throw new CairnException(ErrorCode.AlreadyExists, $"the {what} is there, and it is another one. Nothing is replaced: remove it "
            + $"first.");

    // ---- commits ----------------------------------------------------------------------------------------------------------------

    private void Expect(RunState run, ReadOnlySpan<byte> storeKey)
    {
        _expected.Add(new Expectation(run, storeKey.ToArray(), ExpectationKind.Version, 0));
        Once(storeKey);
    }

    private void Once(ReadOnlySpan<byte> storeKey)
    {
        if (!_keys.Add(Convert.ToHexString(storeKey)))
            throw new CairnException(ErrorCode.InvalidArgument, "the same thing is in an earlier line.");
    }

    private Batch Open(RunState run)
    {
        if (_batch is not null)
            return _batch;
        _batch = Batch.RentOwned(_cause);
        _batch.BeginPart(run);
        _batch.Record.NeedsSync = _engine.Path.NeedsSync(CommitOptions.Default);
        _firstInBatch = _line;
        return _batch;
    }

    private void Commit()
    {
        if (_batch is { } batch)
        {
            batch.EndPart();
            _batch = null;
            if (!_engine.Path.TryCommit(batch, null, _expected, out var placed))
            {
                throw new CairnException(
                    ErrorCode.AlreadyExists,
                    $"what lines {_firstInBatch} to {_line} say was written by somebody else meanwhile: "
                    + placed.Refusal!.ToException(_engine.Path.Operations).Message);
            }

            _written += _linesInBatch;
            Failpoint.Hit("import.committed");
        }

        _linesInBatch = 0;
        _appended = 0;
        _expected.Clear();
        _keys.Clear();
    }

    /// <summary>A line and its members, which must be what they should be.</summary>
    private readonly struct Line(Value members)
    {
        internal Value? Any(string name) => members.TryGetMember(name, out var value) ? value : default(Value?);

        internal Value Need(string name) => Any(name) ?? throw Wrong(name, "there");

        internal string Text(string name) => Any(name) is { Kind: ValueKind.String } text ? text.AsString() : throw Wrong(name, "a text");

        internal string? TextOrNull(string name) => Any(name) is null ? null : Text(name);

        internal long Number(string name) => Any(name) is { Kind: ValueKind.Int64 } number && number.AsInt64() >= 0
            ? number.AsInt64()
            : throw Wrong(name, "a number of 0 or more");

        internal double Float(string name, double otherwise) => Any(name) is not { } number ? otherwise
            : number.Kind == ValueKind.Float64 ? number.AsFloat64()
            : throw Wrong(name, "a number with a fraction");

        internal DateTimeOffset? Time(string name) => Any(name) is not { } time ? null
            : time.Kind == ValueKind.Int64 ? CommitClock.Time(time.AsInt64())
            : throw Wrong(name, "a time in microseconds");

        internal long? NumberOrNull(string name) => Any(name) is null ? null : Number(name);

        internal string[] Texts(string name) => Any(name) is not { } list ? []
            : list.Kind == ValueKind.Array && list.AsArray().All(item => item.Kind == ValueKind.String)
                ? [.. list.AsArray().Select(item => item.AsString())]
                : throw Wrong(name, "a list of texts");

        internal long[] Numbers(string name) => Any(name) is not { } list ? []
            : list.Kind == ValueKind.Array && list.AsArray().All(item => item.Kind == ValueKind.Int64 && item.AsInt64() >= 0)
                ? [.. list.AsArray().Select(item => item.AsInt64())]
                : throw Wrong(name, "a list of numbers");

        internal ReadOnlySpan<byte> Bytes(string name, int length) =>
            Any(name) is { Kind: ValueKind.Bytes } bytes && bytes.AsBytes().Length == length
                ? bytes.AsBytes().Span
                : throw Wrong(name, $"{length} bytes");

        internal RunId Run(string name) => RunId.TryParse(Text(name), out var id) ? id : throw Wrong(name, "the id of a run");

        internal Hash256 Hash(string name)
        {
            var bytes = new byte[Hash256.Size];
            return Text(name) is { Length: 2 * Hash256.Size } text
                && Convert.FromHexString(text, bytes, out _, out var written) == OperationStatus.Done && written == bytes.Length
                    ? new Hash256(bytes)
                    : throw Wrong(name, "a hash of 64 hexadecimal digits");
        }

        private static CairnException Wrong(string name, string what) =>
            new(ErrorCode.InvalidArgument, $"'{name}' must be {what}.");
    }
}
