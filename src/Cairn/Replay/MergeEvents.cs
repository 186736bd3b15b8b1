// Merging events. A log is never rewritten and two logs are never mixed unseen:
//
//      number       #0 #1 #2 #3 #4        the source has new ones, the target has none: they are taken, and since an event keeps its time,
//      target       a  b                  its salt and its number, the chain of the target becomes that of the source, hash for hash
//      source       a  b  c  d
//      target       a  b  x               both have: one conflict for all of them. Left to the target: c and d stay out, for good.
//      source       a  b  c  d            AppendAfter: a b x c d. c and d get new numbers and hashes; the Merge operation says what they
//                                         were called (Primitives/MergeOperations.cs)
//
// New is an event of one side that the other has not got under any number: what a merge brought, in whichever direction, is not new.
//
// Times of events never go back, because they are searched by halves: one that is older than the event before it gets that one's time, and
// is a row of its own in the operation, since its hash at its origin cannot be made anew from another time.
//
// What names numbers is renumbered on the way: causes (those that the target has not got are left out; they are not under the hash), the
// number in a $redacted event, the ordinal of a recorded input. The last two stand in the payload, so those events get a salt and a
// payload hash of their own when their number changes, and a row of their own in the operation.
//
// Recorded inputs keep their order and go on from the target's last ordinal, so the target's inputs have no gap and none twice: replaying
// it answers what the target's own code asked, and then what the source's did. For that nobody may get an ordinal meanwhile: the caller of
// Merge holds the run's Answering, and what waits was committed before.
//
// A redaction of an event that both have is taken with the source's new events, among which is its $redacted; where those stay out, it is
// recorded by a $redacted of the target's own.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. Of one try of a merge.</summary>
/// <param name="nextInput">Ordinal of the target's next input; asked for at most once.</param>
internal sealed class MergeEvents(
    MergePlan plan, MergeBase at, EventLine sourceLine, EventLine targetLine, Func<long> nextInput, RandomSource random)
{
    private readonly EventIdentities _theirs = new(sourceLine, MergedEvents.All(plan.Source.Scope));
    private readonly EventIdentities _ours = new(targetLine, MergedEvents.All(plan.Target));
    private readonly ulong _shared = EventLine.Shared(sourceLine, targetLine, at.Common);
    private readonly Dictionary<ulong, ulong> _carried = [];
    private ulong _next;
    private Hash256 _head;
    private long _time;                                      // of the target's newest event so far
    private ulong _appended;
    private long? _nextInput;
    private long? _firstOrdinal;
    private bool _isLastRowAlone;                            // the hash of its event cannot be made anew
    private (ulong At, Hash256[] Hashes)? _row;              // of the source, that is being carried

    /// <summary>What the Merge operation says of them.</summary>
    internal List<MergedEvents> Rows { get; } = [];

    /// <param name="redacted">Store keys of the source's events that may have been redacted since the base.</param>
    internal void Merge(IReadOnlyList<byte[]> redacted)
    {
        plan.NumberOf = number => Known(number) ?? (_carried.TryGetValue(number, out var carried) ? carried : null);
        var news = New();
        if (news.Count == 0 && redacted.Count == 0)
            return;
        ReadEnd();
        var isTaken = news.Count > 0 && (!HasOwn(news, out var conflict) || Mutant.Is("merge-mixes-events")
            || plan.Decide(conflict!, canTakeSource: false).Outcome == MergeOutcome.AppendAfter);
        foreach (var key in redacted)
        {
            plan.Progress.Advance();
            Redact(BinaryPrimitives.ReadUInt64BigEndian(key.AsSpan(1)), isTaken ? null : news);
        }

        if (isTaken)
            Carry(news);
    }

    // ---- what is new ----------------------------------------------------------------------------------------------------------

    /// <summary>Number of the source's first event that may be new.</summary>
    internal static ulong FirstOf(MergeBase at, EventLine sourceLine, ulong shared) =>
        at.Into is { } into && !Mutant.Is("merge-base-stays")
            ? Math.Min(into.UpTo.Next, sourceLine.BoundOf(into.Point.Run))
            : shared;

    private List<ulong> New()
    {
        var news = new List<ulong>();
        for (var number = FirstOf(at, sourceLine, _shared); number < sourceLine.Next; number++)
        {
            if (Known(number) is null)
                news.Add(number);
            else
                plan.Progress.Advance();
        }

        if (news.Count == 0)
            return news;
        using var reader = plan.Source.Run.Store.Read();
        new EventReader(plan.Source.Scope, reader, stackalloc byte[EventReader.KeyBytes]).Floor().ThrowIfBelow(news[0]);
        return news;
    }

    // What an event of the source is called in the target, as far as it came there before.
    private ulong? Known(ulong number) => _ours.Find(_theirs.Of(number));

    private void ReadEnd()
    {
        using var reader = plan.Target.Run.Store.Read();
        var events = new EventReader(plan.Target, reader, stackalloc byte[EventReader.KeyBytes]);
        (_next, _head) = (events.Committed, events.HeadHash);
        _time = _next > 0 && events.TryGet(_next - 1, out _, out var time, out _) ? time : events.Floor().Time;
        events.NoteEnd();
    }

    private bool HasOwn(List<ulong> news, out MergeConflict? conflict)
    {
        conflict = null;
        var from = at.Back is { } back ? Math.Max(_shared, Math.Min(back.UpTo.Next, targetLine.BoundOf(back.Point.Run))) : _shared;
        var own = new List<ulong>();
        for (var number = from; number < _next; number++)
        {
            plan.Progress.Check();
            if (_theirs.Find(_ours.Of(number)) is null)
                own.Add(number);
        }

        if (own.Count == 0)
            return false;
        conflict = new MergeConflict(ItemAddress.OfEvent(news[0]))
        {
            Source = Version(plan.Source.Scope, news),
            Target = Version(plan.Target, own),
        };
        return true;
    }

    private static DiffVersion Version(Scope scope, List<ulong> numbers)
    {
        using var reader = scope.Run.Store.Read();
        var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
        var isThere = events.TryGet(numbers[^1], out var last, out var time, out var sequence);
        var value = Fields.Write(
            ("count", numbers.Count), ("first", (long)numbers[0]), ("last", (long)numbers[^1]),
            ("hash", isThere ? last.Hash.ToString() : default(Value?)));
        return new DiffVersion(value, sequence, CommitClock.Time(isThere ? time : 0));
    }

    // ---- redactions -----------------------------------------------------------------------------------------------------------

    /// <param name="recorded">The source's new events if they stay out: one of them has the reason. Null: they come, and it with
    /// them.</param>
    private void Redact(ulong number, List<ulong>? recorded)
    {
        if (Known(number) is not { } here || !IsRedacted(plan.Source.Scope, number, out _))
            return;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        StoreKeys.Of(key, StoreKeys.Event, here);
        plan.Target.NotePoint(key);
        if (IsRedacted(plan.Target, here, out var payloadHash))
        {
            plan.CountSame("events");
            return;
        }

        if (payloadHash is not { } left)
            return;                                          // retention has let go of it
        plan.Take("events");
        plan.Write(new PendingWrite
        {
            StoreKey = key.ToArray(),
            Code = OperationCode.EventRedact,
            OperationKey = [],
            Value = EventOperations.Redaction(here, left),
        });
        if (recorded is not null)
            RecordRedaction(here, ReasonOf(number, recorded));
    }

    private static bool IsRedacted(Scope scope, ulong number, out Hash256? payloadHash)
    {
        payloadHash = null;
        using var reader = scope.Run.Store.Read();
        var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
        if (!events.TryGet(number, out var stored, out _, out _))
            return false;
        payloadHash = stored.PayloadHash;
        return stored.IsRedacted;
    }

    private string ReasonOf(ulong number, List<ulong> recorded)
    {
        using var reader = plan.Source.Run.Store.Read();
        var events = new EventReader(plan.Source.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        foreach (var candidate in recorded)
        {
            if (events.TryGet(candidate, out var stored, out _, out _) && IsRecordOfRedaction(stored)
                && Value.Decode(stored.Payload) is var payload && payload["number"].AsInt64() == (long)number)
            {
                return payload["reason"].AsString();
            }
        }

        return $"redacted in run {plan.Source.Live.Id}";
    }

    private void RecordRedaction(ulong number, string reason)
    {
        var payload = Value.Object(("number", (long)number), ("reason", reason));
        var body = new byte[EventOperations.BodyLength(0, EventOperations.PayloadLength(payload, plan.Limits))];
        EventOperations.WriteBody(body, _appended, default, payload, random);
        plan.Write(new PendingWrite
        {
            StoreKey = KeyOf(_next + _appended++),
            Code = OperationCode.EventAppend,
            OperationKey = EventOperations.RedactedType.ToArray(),
            Value = body,
        });
    }

    // ---- carrying -------------------------------------------------------------------------------------------------------------

    private void Carry(List<ulong> news)
    {
        using var reader = plan.Source.Run.Store.Read();
        var events = new EventReader(plan.Source.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        foreach (var number in news)
        {
            plan.Progress.Advance();
            var isThere = events.TryGet(number, out var stored, out var time, out _);
            Invariant.Check(isThere, "an event behind the floor is there");
            if (!TryRewrite(stored, out var rewritten))
                continue;
            var (previous, hash) = HashesAtOrigin(events, number, stored);
            Carry(number, stored, time, rewritten, previous, hash);
        }
    }

    // The hashes of an event and the one before where it was appended.
    private (Hash256 Previous, Hash256 Hash) HashesAtOrigin(EventReader events, ulong number, scoped in StoredEvent stored)
    {
        if (_theirs.RowOf(number) is not { } row)
            return (stored.Previous, stored.Hash);
        if (_row?.At != row.At)
        {
            var hashes = row.HashesThere(events, row.At + row.Count - 1);
            _row = (row.At, hashes ?? throw new HistoryTrimmedException(new EventNumber(row.At), new EventNumber(number)));
        }

        var at = (int)(number - row.At);
        return (at == 0 ? row.Previous : _row.Value.Hashes[at - 1], _row.Value.Hashes[at]);
    }

    private void Carry(ulong number, scoped in StoredEvent stored, long time, Value? rewritten, Hash256 previous, Hash256 hashThere)
    {
        var here = _next + _appended;
        Span<byte> hash = stackalloc byte[Hash256.Size];
        stored.PayloadHash.CopyTo(hash);
        byte[] rest;
        if (rewritten is { } payload)
        {
            rest = new byte[EventHash.SaltSize + EventOperations.PayloadLength(payload, plan.Limits)];
            random.Fill(rest.AsSpan(0, EventHash.SaltSize));
            ValueCodec.Encode(payload, rest.AsSpan(EventHash.SaltSize));
            EventHash.OfPayload(rest, hash);
        }
        else
        {
            rest = stored.Body[(EventOperations.CausesOffset + stored.Causes.Length)..].ToArray();
        }

        if (!Mutant.Is("merge-lets-times-go-back"))
            time = Math.Max(time, _time);
        _time = time;
        if (stored.IsRedacted)
            BinaryPrimitives.WriteInt64LittleEndian(rest, time);

        plan.Write(new PendingWrite
        {
            StoreKey = KeyOf(here),
            Code = stored.IsRedacted ? OperationCode.EventRedact : OperationCode.EventAppend,
            OperationKey = stored.Type.ToArray(),
            Value = EventOperations.CarriedBody(_appended, _appended == 0 ? _head : default, new Hash256(hash), Causes(stored), rest),
            Expiry = stored.IsRedacted ? 0 : time,
        });
        plan.Take("events");
        var identity = _theirs.Of(number);
        AddToRows(identity, here, CanBeMade(identity.Number, stored.Type, time, hash, previous, hashThere), previous, hashThere);
        _carried.Add(number, here);
        _appended++;
    }

    // Whether the hash of an event at its origin follows from what the target has of it.
    private static bool CanBeMade(
        ulong number, ReadOnlySpan<byte> type, long time, ReadOnlySpan<byte> payloadHash, Hash256 previous, Hash256 hash)
    {
        Span<byte> made = stackalloc byte[2 * Hash256.Size];
        previous.CopyTo(made[Hash256.Size..]);
        EventHash.OfEvent(number, type, time, payloadHash, made[Hash256.Size..], made[..Hash256.Size]);
        return new Hash256(made[..Hash256.Size]) == hash;
    }

    private void AddToRows((RunId Run, ulong Number) identity, ulong here, bool canBeMade, Hash256 previous, Hash256 hash)
    {
        if (canBeMade && !_isLastRowAlone && Rows.Count > 0 && Rows[^1] is var last && last.Origin == identity.Run
            && last.From + last.Count == identity.Number && last.At + last.Count == here && last.Last == previous)
        {
            Rows[^1] = last with { Count = last.Count + 1, Last = hash };
            return;
        }

        Rows.Add(new MergedEvents(identity.Run, identity.Number, here, 1, previous, hash));
        _isLastRowAlone = !canBeMade;
    }

    private ReadOnlySpan<ulong> Causes(scoped in StoredEvent stored)
    {
        var causes = new List<ulong>();
        for (var rest = stored.Causes; rest.Length > 0; rest = rest[sizeof(ulong)..])
        {
            if (plan.NumberOf(BinaryPrimitives.ReadUInt64LittleEndian(rest)) is { } here)
                causes.Add(here);
        }

        return causes.ToArray();
    }

    // False: it is of no use in the target.
    private bool TryRewrite(scoped in StoredEvent stored, out Value? rewritten)
    {
        rewritten = null;
        if (Inputs.IsType(Utf8.GetTrustedString(stored.Type)))
        {
            rewritten = RewriteInput(stored);
            return true;
        }

        if (!IsRecordOfRedaction(stored))
            return true;
        var payload = Value.Decode(stored.Payload);
        var number = payload["number"].AsInt64();
        if (plan.NumberOf((ulong)number) is not { } here)
            return false;                                    // it tells of an event that stayed out
        if (here != (ulong)number)
            rewritten = With(payload, ("number", (long)here));
        return true;
    }

    private static bool IsRecordOfRedaction(scoped in StoredEvent stored) =>
        !stored.IsRedacted && stored.Type.SequenceEqual(EventOperations.RedactedType);

    private Value? RewriteInput(scoped in StoredEvent stored)
    {
        var ordinal = _nextInput ??= nextInput();
        _nextInput++;
        if (stored.IsRedacted || Mutant.Is("merge-keeps-ordinals"))
            return null;
        var payload = Value.Decode(stored.Payload);
        var was = payload["ordinal"].AsInt64();
        _firstOrdinal ??= was;
        if (was == ordinal)
            return null;

        // What was answered before it was asked: of those before the source's new ones the target has as many at least.
        return payload.TryGetMember("before", out var before) && before.AsInt64() >= _firstOrdinal
            ? With(payload, ("ordinal", ordinal), ("before", before.AsInt64() + (ordinal - was)))
            : With(payload, ("ordinal", ordinal));
    }

    private static Value With(in Value payload, params (string Name, Value Value)[] changes) => Value.Object(payload.AsObject().Select(
        member => changes.FirstOrDefault(change => change.Name == member.Key) is { Name: not null } change
            ? new KeyValuePair<string, Value>(member.Key, change.Value)
            : member));

    private static byte[] KeyOf(ulong number) => StoreKeys.Of(stackalloc byte[EventReader.KeyBytes], StoreKeys.Event, number).ToArray();
}
