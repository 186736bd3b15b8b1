using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Transfer;

/// <summary>Commits salvaged transactions in the new database, operation by operation with what each had resolved to. What rests on
/// something lost:
/// <list type="bullet">
/// <item>a run whose beginning was lost begins without name and tags, so that what it holds can be reached;</item>
/// <item>a run's name that another has by now, because its deletion was lost, is left out;</item>
/// <item>events behind lost ones follow the last one that is there: new numbers, and hashes that go with them; causes that were lost are
/// left out, consumers and redactions follow the numbers;</item>
/// <item>a vector of a collection whose beginning was lost comes into one that is made for it, by cosine; one whose id is another's gets a
/// new one; metadata of a vector that was lost is dropped;</item>
/// <item>a document whose operations were lost in between stays as it was before them, until it is written as a whole again;</item>
/// <item>a change of something that is not there (an expiry, a redaction, an end of a run) is dropped and counted.</item>
/// </list></summary>
internal sealed partial class SalvageWriter(CommitPath path, SnapshotRegistry pins, Action<long> setTime)
{
    /// <summary>More than any operation writes.</summary>
    private const int WritesMax = 8;

    private readonly Dictionary<RunId, Source> _runs = [];
    private readonly SortedDictionary<RunId, SortedSet<string>> _losses = [];
    private readonly List<(ulong First, ulong Last, ulong Made)> _carried = [];

    /// <summary>Commits made.</summary>
    internal long Transactions { get; private set; }

    /// <summary>Operations that could not be carried over.</summary>
    internal long Dropped { get; private set; }

    /// <summary>What each run has lost, in words.</summary>
    internal IEnumerable<(RunId Run, string Text)> Losses => _losses.SelectMany(run => run.Value.Select(text => (run.Key, text)));

    /// <summary>Writes a transaction of the log.</summary>
    /// <param name="sequence">Its own, in the damaged database.</param>
    /// <param name="payload">Of its record.</param>
    /// <param name="position">Of its record.</param>
    /// <param name="kept">Of a record in an archive: the runs it was kept for, and which of their operations; null = it is whole.</param>
    internal void Carry(
        ulong sequence, ReadOnlySpan<byte> payload, ulong position, IReadOnlyDictionary<RunId, KeptOperations>? kept = null)
    {
        TransactionPayload.Check(payload);
        var transaction = new TransactionPayload(payload);
        setTime(transaction.CommitTime);
        var batch = Batch.RentMine(transaction.Attributes);
        while (transaction.MoveNext(out var part))
        {
            var marks = KeptOperations.All;
            if (kept?.TryGetValue(part.Run, out marks) != false)
                CarryPart(batch, part, sequence, position, marks);
        }

        if (batch.PartCount == 0)
        {
            Batch.ReturnMine(batch);
            return;
        }

        Commit(batch);
        Batch.ReturnMine(batch);
        Transactions++;
        Note(sequence);
    }

    // What a fork calls its point is a sequence of the damaged database; memory grows with what was lost, not with what is there.
    internal void Note(ulong sequence)
    {
        var made = path.Log.LastSequence;
        if (_carried.Count > 0 && _carried[^1] is var last && sequence - last.First == made - last.Made)
            _carried[^1] = last with { Last = sequence };
        else
            _carried.Add((sequence, sequence, made));
    }

    /// <summary>The sequence here of the newest commit up to one of the damaged database; null = none of those is here as it was.</summary>
    private ulong? Here(ulong sequence)
    {
        for (var i = _carried.Count - 1; i >= 0; i--)
        {
            var (first, last, made) = _carried[i];
            if (first <= sequence)
                return made + (Math.Min(sequence, last) - first);
        }

        return null;
    }

    private void Commit(Batch batch)
    {
        batch.IsAllowedWhenClosed = true;                    // it was decided when it was committed first
        batch.Record.NeedsSync = false;
        path.Commit(batch);
    }

    private void CarryPart(Batch batch, RunPart part, ulong sequence, ulong position, KeptOperations marks)
    {
        var known = _runs.GetValueOrDefault(part.Run);
        if (known is null)
            _runs.Add(part.Run, known = new Source());
        if (part.Previous != known.LastPosition)
        {
            Lose(part.Run, $"records before sequence {sequence}");
            known.Documents.Gap++;
        }

        known.LastPosition = position;

        var target = new PartOf(batch, part.Run, path.Catalogue.Find(part.Run) is { IsDeleted: false } run ? run : null);
        for (var index = 0; part.MoveNext(out var operation); index++)
        {
            if (!marks.Has(index))
            {
                if (IsDocument(operation))
                    known.Documents.Gap++;
                continue;
            }

            if (!TryCarry(target, known, operation))
            {
                Dropped++;
                Lose(part.Run, $"an operation of code {operation.Code:x2} that rested on something lost");
            }
        }

        if (target.IsOpen)
        {
            batch.AllowWhenClosed();
            batch.EndPart();
        }
    }

    private const string IndexesText = "its secondary indexes, which hold nothing of their own: define them again";
    private const string TriggersText = "its triggers: their cursors are of the log that was damaged";

    private const string MergesText = "what it was merged from: a later merge of the same run begins where the two parted";

    private const string SubscriptionsText = "its subscriptions: their cursors are of the log that was damaged";

    private bool TryCarry(PartOf target, Source known, in Operation operation)
    {
        var code = (OperationCode)operation.Code;
        if (code == OperationCode.RunCreate)
            return TryBegin(target, operation.FullBody);
        if (code == OperationCode.RunFork)
            return TryFork(target, known, operation.FullBody);
        if (target.Run is null)
        {
            if (code == OperationCode.RunDelete)
                return false;
            Lose(target.Id, "its beginning: it has no name and no tags");
            Begin(target, Fields.Write().Encode());
        }

        if (IsDocument(operation))
            return TryChangeDocument(target, known, operation);
        if (VectorBody.IsVector(operation.Code))
            return TryChangeVectors(target, operation);
        switch (code)
        {
            case OperationCode.EventAppend:
            case OperationCode.EventRedact when !operation.Key.IsEmpty:
                return TryAppend(target, known, operation);
            case OperationCode.EventConsumerCommit:
                var position = known.FirstAt(BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody));
                EventOperations.AddConsumerCommit(target.Open(), operation.Key, position, isForced: true);
                return true;
            case OperationCode.EventRedact:
                if (known.Find(BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody)) is not { } number)
                    return false;
                target.Run!.Store.HoldContent(StoreKeys.Of(stackalloc byte[9], StoreKeys.Event, number));
                EventOperations.AddRedact(target.Open(), number, new Hash256(operation.FullBody[8..]));
                return true;
            case OperationCode.EventTrim:
                return TryTrim(target, known, operation);
            case OperationCode.KvExpire:
                return target.TryAddChange(StoreKeys.Kv, operation);
            case OperationCode.StateExpire:
                return target.TryAddChange(StoreKeys.State, operation);
            case OperationCode.TraceRecord:
                return TryRecord(target, operation);
            case OperationCode.TraceRedact:
                return target.TryAddChange(StoreKeys.Trace, operation);
            case OperationCode.SubscriptionSet or OperationCode.SubscriptionDrop:
                Lose(target.Id, SubscriptionsText);
                return true;
            case OperationCode.RunMerge:
                Lose(target.Id, MergesText);
                return true;
            case OperationCode.TriggerDefine or OperationCode.TriggerDrop or OperationCode.TriggerCursor:
                Lose(target.Id, TriggersText);
                return true;
            case OperationCode.IndexDefine or OperationCode.IndexDrop or OperationCode.IndexBuild:
                Lose(target.Id, IndexesText);
                return true;
            case OperationCode.RunUpdate or OperationCode.RunEnd or OperationCode.RunResume or OperationCode.RunArchive
                or OperationCode.RunDelete or OperationCode.Retention:
                operation.FullBody.CopyTo(target.Open().AddToRecord(code, operation.FullBody.Length, 2 * path.Limits.TagsMax));
                if (code == OperationCode.RunDelete)
                    _runs.Remove(target.Id);                 // its id may be used again
                return true;
            case OperationCode.GraphAssociate or OperationCode.GraphDissociate:
                Span<byte> buffer = stackalloc byte[GraphKeys.AssociationBytesMax];
                if (!GraphKeys.TryRead(operation, buffer, out var association, out var row))
                    return false;
                Associate(target, association, code, row);
                return true;
            case OperationCode.GraphPut or OperationCode.GraphDelete or OperationCode.GraphTouch or OperationCode.GraphEnsure:
                operation.FullBody.CopyTo(ConceptOperations.Add(target.Open(), code, operation.Key, operation.FullBody.Length));
                return true;
            default:
                target.Add(operation);
                return true;
        }
    }

    // Ends that it was to be refused without may be lost: it was not refused.
    private static void Associate(PartOf target, ReadOnlySpan<byte> association, OperationCode code, ReadOnlySpan<byte> row)
    {
        var body = AssociationOperations.Add(target.Open(), code, association, row.Length);
        row.CopyTo(body);
        if (body.Length > 0)
            body[0] &= unchecked((byte)~AssociationRow.Needs);
    }

    // ---- runs -------------------------------------------------------------------------------------------------------------------

    private bool TryBegin(PartOf target, ReadOnlySpan<byte> body)
    {
        if (target.Run is not null || !Fields.TryRead(body, out var fields) || !fields.TryText("name", out var name))
            return false;
        if (name is not null && IsTaken(name))
        {
            Lose(target.Id, "its name, which another run has");
            Begin(target, Value.Object(fields.Object.AsObject().Where(member => member.Key != "name")).Encode());
            return true;
        }

        Begin(target, body);
        return true;
    }

    // Records come in their order, so what is here of the parent by now is what the fork had, as far as it could be saved; and of a past
    // point, what is here of the parent's commits up to it, of which the engine makes the fork's base.
    private bool TryFork(PartOf target, Source known, ReadOnlySpan<byte> body)
    {
        if (target.Run is not null || !Fields.TryRead(body, out var fields)
            || !RunRecord.TryFork(fields, long.MaxValue, out var record, out var start)
            || !fields.TryFlag("past", out var isPast))
        {
            return false;
        }

        var isTaken = record.Name is { } name && IsTaken(name);
        if (isTaken)
            Lose(target.Id, "its name, which another run has");
        var kept = Value.Object(fields.Object.AsObject().Where(
            member => member.Key is not ("from" or "at" or "past") && !(isTaken && member.Key == "name")));
        var parent = record.Parent!.Value;
        var from = path.Catalogue.Find(parent) is { IsDeleted: false } above ? StartOf(above, start.Sequence, isPast) : null;
        if (from is { } begin)
        {
            known.Follow(_runs.GetValueOrDefault(parent), isPast ? start.NextEvent : ulong.MaxValue);
            var point = fields.Has("at") || isPast ? Here(start.Sequence) : null;
            var members = Fields.Write(
                [.. kept.AsObject().Select(member => (member.Key, (Value?)member.Value)),
                ("from", begin.ToValue()), ("at", Fields.Of((long?)point)), ("past", isPast ? true : default(Value?))]);
            Begin(target, members.Encode(), OperationCode.RunFork);
            target.Open().NeedsResolve = true;
            return true;
        }

        known.Documents.Gap++;
        Lose(target.Id, isPast
            ? $"what it had from run {parent}, which it was forked from at its sequence {start.Sequence}: what that was then is not there"
            : $"what it had from run {parent} when it was forked");
        Begin(target, kept.Encode());
        return true;
    }

    // Null: what the parent was then cannot be made.
    private ForkStart? StartOf(RunState parent, ulong point, bool isPast)
    {
        if (!isPast)
            return ForkStart.Open;
        if (Here(point) is not { } at || at < parent.Born || path.Catalogue.Past is not { } past || Mutant.Is("salvage-forgets-past-forks"))
            return null;
        RunNumbers numbers;
        lock (parent.CommitLock)
            numbers = parent.Numbers;
        path.Log.WaitVisible(numbers.LastSequence);          // the base is made of written records
        if (ForkStart.OfPast(parent, numbers, at) is { } told)
            return told;
        using var made = past(new PastPoint(parent, numbers.LastPosition, at));
        return new ForkStart(at, RunState.NoPosition, made.Run.NextEvent, made.Run.EventHead);
    }

    private void Begin(PartOf target, ReadOnlySpan<byte> body, OperationCode code = OperationCode.RunCreate)
    {
        target.Run = path.Catalogue.NewState(target.Id);
        body.CopyTo(target.Open().AddToRecord(code, body.Length, path.Limits.TagsMax));
    }

    private bool IsTaken(string name)
    {
        using var reader = path.Catalogue.State.Store.Read();
        return reader.TryGetNewest(RunKeys.Name(stackalloc byte[RunKeys.LengthMax], name), out var version) && !version.IsTombstone;
    }

    // ---- events -----------------------------------------------------------------------------------------------------------------

    private bool TryAppend(PartOf target, Source known, in Operation operation)
    {
        if (!StoredEvent.TryRead(operation, out var stored))
            return false;
        var next = target.Run!.NextEvent + target.Appended;
        if (stored.Number != known.NextEvent)
            LoseEvents(target.Id, known.NextEvent, stored.Number - 1);
        known.Map(stored.Number, next);
        var causes = CausesOf(known, stored.Causes, next);

        // With the payload's hash in the hole: Fill makes the event's of it, which is the old one where nothing was lost.
        var rest = operation.Body[(EventOperations.CausesOffset + stored.Causes.Length)..];
        var lead = operation.FullBody.Length - operation.Body.Length;
        var whole = target.Open().Add(
            (OperationCode)operation.Code, operation.Flags, operation.Key,
            lead + EventOperations.CausesOffset + 8 * causes.Length + rest.Length, WritesMax);
        operation.FullBody[..lead].CopyTo(whole);
        var body = whole[lead..];
        BinaryPrimitives.WriteUInt64LittleEndian(body, target.Appended);
        body[8..EventOperations.HashOffset].Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(body[EventOperations.CauseCountOffset..], (ushort)causes.Length);
        for (var i = 0; i < causes.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(body[(EventOperations.CausesOffset + 8 * i)..], causes[i].Value);
        rest.CopyTo(body[(EventOperations.CausesOffset + 8 * causes.Length)..]);
        stored.PayloadHash.CopyTo(body[EventOperations.HashOffset..]);
        target.Appended++;
        return true;
    }

    // Planned anew, because numbers and counts may be other ones here. Of events that were all lost nothing is left to go.
    private bool TryTrim(PartOf target, Source known, in Operation operation)
    {
        if (!EventTrim.TryRead(operation.FullBody, out var floor, out _))
            return false;
        if (target.Run!.NextEvent == 0 && target.Appended == 0)
        {
            known.BeginAt(floor.Number);
            EventTrim.AddBeginning(target.Open(), floor);
            return true;
        }

        if (EventTrim.Plan(pins, Scope.Live(path, target.Run, CommitOptions.Default), known.FirstAt(floor.Number)) is { } plan)
            plan.AddTo(target.Open());
        return true;
    }

    // Those that are there, by their new numbers.
    private static EventNumber[] CausesOf(Source known, ReadOnlySpan<byte> old, ulong next)
    {
        var causes = new List<EventNumber>();
        for (var i = 0; i < old.Length; i += sizeof(ulong))
        {
            if (known.Find(BinaryPrimitives.ReadUInt64LittleEndian(old[i..])) is { } cause && cause < next)
                causes.Add(cause);
        }

        return [.. causes];
    }

    // ---- traces -----------------------------------------------------------------------------------------------------------------

    private static bool TryRecord(PartOf target, in Operation operation)
    {
        if (target.Has(StoreKeys.Trace, operation.Key) || !Fields.TryRead(operation.FullBody, out var fields)
            || !TraceContent.TryReadOrder(fields, out var order))
            return false;
        operation.FullBody.CopyTo(TraceOperations.AddRecord(target.Open(), operation.Key, operation.FullBody.Length, order.Tags.Length));
        target.Note(StoreKeys.Trace, operation.Key);
        return true;
    }

    private void Lose(RunId run, string text)
    {
        if (!_losses.TryGetValue(run, out var texts))
            _losses.Add(run, texts = new SortedSet<string>(StringComparer.Ordinal));
        texts.Add(text);
    }

    /// <summary>What is known of a run in the damaged database.</summary>
    private sealed class Source
    {
        // Beginnings of stretches of events that kept their distance: old number, new number.
        private readonly List<(ulong Old, ulong New)> _stretches = [];

        private ulong _floor;

        internal SalvagedDocuments Documents { get; } = new();

        internal ulong LastPosition { get; set; } = RunPart.NoPrevious;

        /// <summary>Old number that the next event has, if none is lost.</summary>
        internal ulong NextEvent { get; private set; }

        /// <summary>The run has no event yet, and its first one will have this number.</summary>
        internal void BeginAt(ulong floor) => NextEvent = _floor = floor;

        internal void Map(ulong old, ulong made)
        {
            if (_stretches.Count == 0 || old != NextEvent)
                _stretches.Add((old, made));
            NextEvent = old + 1;
        }

        /// <summary>A fork of a run begins with the numbers that the run has come to, or had come to at a past point.</summary>
        internal void Follow(Source? parent, ulong below)
        {
            if (parent is null)
                return;
            _stretches.AddRange(parent._stretches.TakeWhile(stretch => stretch.Old < below));
            NextEvent = Math.Min(parent.NextEvent, below);
            Documents.Follow(parent.Documents, isPast: below != ulong.MaxValue);
        }

        /// <summary>The new number of an event; null when that was lost.</summary>
        internal ulong? Find(ulong old)
        {
            if (old >= NextEvent)
                return null;
            for (var i = _stretches.Count - 1; i >= 0; i--)
            {
                var (begin, made) = _stretches[i];
                if (old < begin)
                    continue;
                var number = made + (old - begin);
                return i + 1 < _stretches.Count && number >= _stretches[i + 1].New ? null : number;
            }

            return null;
        }

        /// <summary>The new number of the first event at or behind an old one.</summary>
        internal ulong FirstAt(ulong old)
        {
            if (old < _floor)
                return old;                                  // whoever reads from there is told that it is gone, as before
            for (var at = old; at < NextEvent; at++)
            {
                if (Find(at) is { } found)
                    return found;
            }

            return NextEvent == 0 || Find(NextEvent - 1) is not { } last ? NextEvent : last + 1;
        }
    }

    /// <summary>The part of a run in a batch; begun when it gets its first operation.</summary>
    private sealed class PartOf(Batch batch, RunId id, RunState? run)
    {
        private readonly HashSet<string> _written = new(StringComparer.Ordinal);

        internal RunId Id => id;

        internal RunState? Run { get; set; } = run;

        internal bool IsOpen { get; private set; }

        /// <summary>Events that this part appends.</summary>
        internal ulong Appended { get; set; }

        internal Batch Open()
        {
            if (!IsOpen)
                batch.BeginPart(Run!);
            IsOpen = true;
            return batch;
        }

        internal void Add(in Operation operation)
        {
            operation.FullBody.CopyTo(
                Open().Add((OperationCode)operation.Code, operation.Flags, operation.Key, operation.FullBody.Length, WritesMax));
            if ((OperationCode)operation.Code is OperationCode.KvPut or OperationCode.KvIncrement)
                Note(StoreKeys.Kv, operation.Key);
            else if (operation.Code >> 4 == (byte)OperationCode.StateSet >> 4)
                Note(StoreKeys.State, operation.Key);
        }

        /// <summary>Adds an operation that writes what is there once more; false when nothing is.</summary>
        internal bool TryAddChange(byte family, in Operation operation)
        {
            if (!Has(family, operation.Key))
                return false;
            Run!.Store.HoldContent([family, .. operation.Key]);  // it is read under the lock
            Add(operation);
            batch.AddWriteBytes(BytesOf(family, operation.Key));
            return true;
        }

        /// <summary>This part writes it.</summary>
        internal bool IsNoted(byte family, ReadOnlySpan<byte> key) => _written.Contains(Convert.ToHexString([family, .. key]));

        internal void Note(byte family, ReadOnlySpan<byte> key) => _written.Add(Convert.ToHexString([family, .. key]));

        internal bool Has(byte family, ReadOnlySpan<byte> key)
        {
            if (IsNoted(family, key))
                return true;
            using var reader = Run!.Store.Read();
            return reader.TryGetNewest([family, .. key], out var version) && !version.IsTombstone;
        }

        /// <summary>Of a state cell as it is committed.</summary>
        internal ulong CounterOf(ReadOnlySpan<byte> name)
        {
            using var reader = Run!.Store.Read();
            return reader.TryGetNewest([StoreKeys.State, .. name], out var version) ? StateOperations.CounterOf(version) : 0;
        }

        private long BytesOf(byte family, ReadOnlySpan<byte> key)
        {
            using var reader = Run!.Store.Read();
            return reader.TryGetNewest([family, .. key], out var version) ? version.Value.Length + 1_024 : 1_024;
        }
    }
}
