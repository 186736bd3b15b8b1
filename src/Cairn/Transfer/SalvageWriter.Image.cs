using System.Buffers.Binary;
using System.Globalization;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Transfer;

// A state that tables have, written as an import writes one: ids, names, times of events and of runs' beginnings and ends, numbers, salts,
// hashes, counters and expiries as they were; versions and commit times are new ones.
internal sealed partial class SalvageWriter
{
    private const int OperationsPerCommit = 256;
    private const int BytesPerCommit = 1 << 20;

    private readonly SortedDictionary<RunId, RunRecord?> _records = [];     // null: it was deleted
    private readonly Dictionary<RunId, SalvagedEntry> _results = [];
    private SalvageContents _contents = null!;
    private Batch? _imageBatch;
    private PartOf? _part;
    private RunId _current;
    private Source _known = new();
    private ulong _born;
    private ulong _events;
    private bool _isGone;

    /// <summary>Keys that came from tables.</summary>
    internal long Entries { get; private set; }

    /// <summary>Writes the state at a checkpoint, over the past.</summary>
    /// <param name="entries">The newest version of each key, by run and key.</param>
    /// <param name="time">Commit time of the checkpoint.</param>
    internal void CarryImage(IEnumerable<SalvagedEntry> entries, long time)
    {
        setTime(time);
        foreach (var entry in entries.SkipWhile(entry => entry.Run == default))
        {
            var run = entry.Run;
            if (run != _current)
                MoveTo(run);
            if (!_isGone && (entry.StoreKey[0] == RunNumbers.Key[0] || entry.Sequence >= _born))
                CarryEntry(entry);
        }

        MoveTo(null);
    }

    // The index of runs comes first: its run has the id zero. What else it keeps follows from the records.
    private void NoteRecord(in SalvagedEntry entry)
    {
        if (entry.StoreKey.Length != 1 + RunId.Size)
            return;
        var id = RunId.Read(entry.StoreKey[1..]);
        switch (entry.StoreKey[0])
        {
            case StoreKeys.Run when entry.Version.IsTombstone:
                _records[id] = null;
                break;
            case StoreKeys.Run when _contents.ValueOf(entry) is { } value:
                _records[id] = RunRecord.Read(value);
                break;
            case StoreKeys.RunResult when !entry.Version.IsTombstone:
                _results[id] = entry;
                break;
        }
    }

    /// <summary>To the next run of which there are keys; null = all are read. Runs that have a record alone come in between.</summary>
    private void MoveTo(RunId? next)
    {
        End();
        while (_records.Count > 0 && _records.Keys.First() is var id && (next is null || id < next))
        {
            Begin(id);
            End();
        }

        if (next is { } run)
            Begin(run);
    }

    private void Begin(RunId id)
    {
        _current = id;
        _born = 0;
        _events = 0;
        _known = new Source();
        _heads.Clear();
        _isGone = _records.TryGetValue(id, out var record) && record is null;
        if (_isGone)
            return;
        if (_image!.HasLost)
            _known.Documents.MayLack = document => MayLack(_image, id, document);
        _runs[id] = _known;
        if (record is not null && _begun.Add(id))
            BeginRun(id, record);
    }

    private void BeginRun(RunId id, RunRecord record)
    {
        if (record is { ForkSequence: not null, Parent: { } parent })
        {
            _known.Documents.Gap++;
            Lose(id, $"what it had from run {parent} when it was forked");
        }

        if (!RunRecord.IsBuiltIn(id))
        {
            var name = record.Name;
            if (name is not null && IsTaken(name))
            {
                Lose(id, "its name, which another run has");
                name = null;
            }

            Begin(Part(), Fields.Write(
                ("name", Fields.Of(name)),
                ("parent", Fields.Of(record.Parent?.Bits)),
                ("tags", Fields.Of(record.Tags)),
                ("metadata", record.Metadata.Count == 0 ? default(Value?) : record.Metadata),
                ("created", Fields.Of(record.Created))).Encode());
        }
        else if (record.Tags.Length > 0 || record.Metadata.Count > 0)
        {
            AddToRecord(OperationCode.RunUpdate, Fields.Write(
                ("addTags", Fields.Of(record.Tags)),
                ("metadata", record.Metadata.Count == 0 ? default(Value?) : Value.Array(record.Metadata))));
        }

        if (record.Retention is { } policy)
            AddToRecord(OperationCode.Retention, RunRecord.ToValue(policy));
        Flush();
    }

    // What a run holds, then its end.
    private void End()
    {
        if (_current == default)
            return;
        if (!_isGone && _events > _known.NextEvent)
            LoseEvents(_current, _known.NextEvent, _events - 1);
        if (!_isGone)
        {
            EndDocuments();
            EndPast();
        }

        Flush();
        if (!_isGone && _records.GetValueOrDefault(_current) is { Status: not RunStatus.Active } record && !RunRecord.IsBuiltIn(_current))
            EndAs(record);
        Flush();
        _records.Remove(_current);
        _results.Remove(_current);
        _current = default;
    }

    private void EndAs(RunRecord record)
    {
        if (record.Status == RunStatus.Paused)
        {
            AddToRecord(OperationCode.RunUpdate, Fields.Write(("status", Fields.Of((long?)RunStatus.Paused))));
            return;
        }

        Value? result = null;
        if (_results.TryGetValue(_current, out var kept))
        {
            if (_contents.ValueOf(kept) is { } bytes)
                result = Value.Decode(bytes);
            else
                Lose(_current, "its result, which is in no file any more");
        }

        AddToRecord(OperationCode.RunEnd, Fields.Write(
            ("status", Fields.Of((long)(record.Status == RunStatus.Archived ? RunStatus.Cancelled : record.Status))),
            ("completed", Fields.Of(record.Completed)), ("error", Fields.Of(record.Error)), ("result", result)));
        if (record.Status == RunStatus.Archived)
            AddToRecord(OperationCode.RunArchive, Fields.Write());
    }

    private void CarryEntry(in SalvagedEntry entry)
    {
        var version = entry.Version;
        var key = entry.StoreKey[1..];
        var family = entry.StoreKey[0];
        if (family == RunNumbers.Key[0] && entry.StoreKey.Length == 1)
        {
            _isGone = version.IsTombstone;
            if (!_isGone && RunNumbers.TryRead(version.Value, out var numbers))
            {
                _known.LastPosition = numbers.LastPosition;
                _born = numbers.Born;
                _events = numbers.NextEvent;
            }

            return;
        }

        if (family == StoreKeys.Trigger && !version.IsTombstone)
            Lose(_current, TriggersText);
        if (family == StoreKeys.Index && !version.IsTombstone)
            Lose(_current, IndexesText);
        if (family == StoreKeys.Merged && !version.IsTombstone)
            Lose(_current, MergesText);
        if (family == StoreKeys.Subscription && !version.IsTombstone)
            Lose(_current, SubscriptionsText);
        if (family is StoreKeys.Json or StoreKeys.JsonNode)
        {
            if (!version.IsTombstone)
                CarryDocumentKey(entry);
            return;
        }

        if (family is StoreKeys.Kv or StoreKeys.State && TryEndPast(entry))
            return;
        if (family is not (StoreKeys.Kv or StoreKeys.State or StoreKeys.Event or StoreKeys.Consumer or StoreKeys.Trace
            or StoreKeys.VectorCollection or StoreKeys.VectorHead or StoreKeys.VectorRow
            or StoreKeys.Concept or StoreKeys.Association or StoreKeys.ConceptContent or StoreKeys.ConceptUse or StoreKeys.ConceptAttributes
            or StoreKeys.Idempotency) || (version.IsTombstone && family != StoreKeys.State))
            return;
        if (_contents.ValueOf(entry) is not { } value)
        {
            Lose(_current, $"the content of {SalvageImage.NameOf(default, entry.StoreKey)}, which no file has whole");
            return;
        }

        var target = Part();
        EnsureBegun(target);
        if (TryCarry(target, family, key, version.Expiry, version.Time, version.IsTombstone, value))
        {
            Entries++;
        }
        else
        {
            Dropped++;
            Lose(_current, $"{SalvageImage.NameOf(default, entry.StoreKey)}, which is not what its check was taken of");
        }

        FlushIfLarge();
    }

    private void FlushIfLarge()
    {
        if (_imageBatch is { } batch && (batch.Operations >= OperationsPerCommit || batch.Record.PayloadLength >= BytesPerCommit))
            Flush();
    }

    private bool TryCarry(
        PartOf target, byte family, ReadOnlySpan<byte> key, long expiry, long time, bool isTombstone, ReadOnlySpan<byte> value)
    {
        switch (family)
        {
            case StoreKeys.Kv:
                KvOperations.AddPut(target.Open(), key, value.Length, expiry, out var put);
                value.CopyTo(put);
                return true;
            case StoreKeys.State:
                return TrySet(key, expiry, isTombstone, value);
            case StoreKeys.VectorCollection or StoreKeys.VectorHead or StoreKeys.VectorRow:
                return TryCarryVector(target, [family, .. key], expiry, value);
            case StoreKeys.Event when key.IsEmpty:
                return TryBeginEvents(target, value);
            case StoreKeys.Event:
                return StoredEvent.TryRead(value, out var stored) && TryAppend(target, stored, time);
            case StoreKeys.Consumer:
                if (value.Length != sizeof(ulong))
                    return false;
                var position = _known.FirstAt(BinaryPrimitives.ReadUInt64LittleEndian(value));
                EventOperations.AddConsumerCommit(target.Open(), key, position, isForced: true);
                return true;
            case StoreKeys.Trace:
                if (!Fields.TryRead(value, out var fields) || !TraceContent.TryReadOrder(fields, out var order))
                    return false;
                value.CopyTo(TraceOperations.AddRecord(target.Open(), key, value.Length, order.Tags.Length));
                return true;
            case StoreKeys.Concept:
                return Fields.TryRead(value, out var record) && TryPut(target, key, ConceptRecord.Body(record.Object, [], []));
            case StoreKeys.ConceptContent:
                return TryPut(target, key, ConceptRecord.Body(Value.Object(), [], value));
            case StoreKeys.ConceptAttributes:
                return TryPut(target, key, ConceptRecord.Body(Value.Object(), value, []));
            case StoreKeys.ConceptUse:
                return TryTouch(target, key, value);
            case StoreKeys.Association:
                if (!GraphKeys.TrySplit(key, out _, out _, out _) || !AssociationRow.TryRead(value, out var row))
                    return false;
                if (!row.IsMirror)
                    Associate(target, key, OperationCode.GraphAssociate, value);
                return true;
            default:
                var remembered = target.Open().Add(
                    OperationCode.Idempotency, Operation.HasExpiryFlag, key, sizeof(long) + value.Length, WritesMax);
                BinaryPrimitives.WriteInt64LittleEndian(remembered, expiry);
                value.CopyTo(remembered[sizeof(long)..]);
                return true;
        }
    }

    // Its parts come one by one; the record before them.
    private static bool TryPut(PartOf target, ReadOnlySpan<byte> id, byte[] body)
    {
        if (!ConceptRecord.TryRead(body, out _, out _, out _))
            return false;
        body.CopyTo(ConceptOperations.Add(target.Open(), OperationCode.GraphPut, id, body.Length));
        return true;
    }

    private static bool TryTouch(PartOf target, ReadOnlySpan<byte> id, ReadOnlySpan<byte> value)
    {
        if (value.Length != ConceptRecord.UseBytes)
            return false;
        var use = Use.Read(value);
        foreach (var touch in ConceptRecord.Touches(use.Accesses, use.Feedback, use.LastAccess))
            touch.CopyTo(ConceptOperations.Add(target.Open(), OperationCode.GraphTouch, id, touch.Length));
        return true;
    }

    // One step is one write, so the counter goes up by all of them at once. A deleted cell is one that expired before it was written: that
    // comes to the same, and its counter goes on (S3 of StateOperations).
    private bool TrySet(ReadOnlySpan<byte> name, long expiry, bool isDeleted, ReadOnlySpan<byte> stored)
    {
        if (stored.Length < StateOperations.CounterBytes)
            return false;
        var value = stored[StateOperations.CounterBytes..];
        ReadOnlySpan<byte> none = [MessagePackFormat.Null];
        if (isDeleted)
        {
            value = none;
            expiry = 1;
        }

        var (reached, counter) = (BinaryPrimitives.ReadUInt64LittleEndian(stored), Part().Run is null ? 0 : Part().CounterOf(name));
        if (reached == 0 || value.IsEmpty || reached < counter)
            return false;
        for (var (left, isFirst) = (reached - counter, true); left > 0 || isFirst; isFirst = false)
        {
            var steps = (uint)Math.Min(left, uint.MaxValue);
            StateOperations.AddWrite(Part().Open(), OperationCode.StateSet, name, steps, value.Length, expiry, out var target);
            value.CopyTo(target);
            left -= steps;
            if (left > 0)
                Flush();                                     // each commit counts from what is there
        }

        return true;
    }

    // The floor sorts before the events. In a commit of its own: the first event looks at the head that it leaves.
    private bool TryBeginEvents(PartOf target, ReadOnlySpan<byte> value)
    {
        if (value.Length != TrimFloor.Size || TrimFloor.Read(value) is not { Number: > 0 } floor)
            return false;
        _known.BeginAt(floor.Number);
        EventTrim.AddBeginning(target.Open(), floor);
        Flush();
        return true;
    }

    private bool TryAppend(PartOf target, in StoredEvent stored, long versionTime)
    {
        var next = target.Run!.NextEvent + target.Appended;
        if (stored.Number > _known.NextEvent)
            LoseEvents(target.Id, _known.NextEvent, stored.Number - 1);
        _known.Map(stored.Number, next);
        var causes = CausesOf(_known, stored.Causes, next);
        EventOperations.AddCarried(
            target.Open(), stored.Type, target.Appended, stored.TimeIn(versionTime), target.Appended == 0 ? target.Run.EventHead : default,
            causes, stored.IsRedacted ? null : [.. stored.Salt, .. stored.Payload], stored.PayloadHash);
        target.Appended++;
        return true;
    }

    // ---- batches ----------------------------------------------------------------------------------------------------------------

    private PartOf Part()
    {
        _imageBatch ??= Batch.RentMine();
        return _part ??= new PartOf(_imageBatch, _current, path.Catalogue.Find(_current) is { IsDeleted: false } run ? run : null);
    }

    private void EnsureBegun(PartOf target)
    {
        if (target.Run is not null)
            return;
        Lose(target.Id, "its beginning: it has no name and no tags");
        Begin(target, Fields.Write().Encode());
    }

    private void AddToRecord(OperationCode code, Value fields)
    {
        var body = fields.Encode();
        var target = Part();
        EnsureBegun(target);
        body.CopyTo(target.Open().AddToRecord(code, body.Length, 2 * path.Limits.TagsMax));
    }

    private void Flush()
    {
        var (batch, part) = (_imageBatch, _part);
        (_imageBatch, _part) = (null, null);
        if (batch is null)
            return;
        if (part!.IsOpen)
        {
            batch.AllowWhenClosed();
            batch.EndPart();
            Commit(batch);
        }

        Batch.ReturnMine(batch);
    }

    private void LoseEvents(RunId run, ulong first, ulong last) => Lose(
        run, string.Create(CultureInfo.InvariantCulture, $"events #{first} to #{last}; those behind them have new numbers"));
}
