// Merging: what the source of a merge has changed since the base comes into the target, in one transaction on the target.
//
//      base     source    target     becomes
//      x        x         anything   the target's: the source has not changed it
//      x        y         x          the source's: only the source has changed it
//      x        y         y          the same: both did it, in the same way
//      x        y         z          a conflict: data, and one of three is asked: the strategy, the resolver, or nobody
//      absent and deleted are one value of x, y and z; expired is absent, judged at one time for all three
//
// G1  What is compared are values. An expiry alone is a change that yields: it is taken where the target has value and expiry of the base.
//     What is taken brings its expiry, which is a time and no span.
// G2  All that is read of the target is read in the transaction, so a commit that comes between makes it run again; nothing of such a
//     commit is lost. Source and base are read as they were when the merge began, under pins and a view.
// G3  Which keys: those that the source's records name since its last merge (ChangedKeys), or, where there are no records, those whose
//     version in the source is another one than in the base. Cost follows what the source changed; the target's size costs nothing.
// G4  All or nothing: the writes are counted before the first is made, and what does not fit into one transaction is refused with its size.
// G5  The record ends with one Merge operation: up to where the source is in the target. So the base moves (MergeBase.cs). It moves too
//     when all that was new at the source is there already or was refused in favour of the target: it was decided.
//
//   kv       per key
//   state    per cell; the counter becomes one more than both sides' highest, so that no token of either fits. A lease is never merged, and
//            neither is its end; where the target holds one, what the source wrote is a conflict
//   json     per place of a document (MergeDocuments.cs)
//   vectors  per vector (MergeVectors.cs)
//   traces   union by id; a redaction of either side stands; one id with two contents is a conflict. Causes are renumbered as events are
//   events   MergeEvents.cs
//   graph    concepts by field, associations by their ends (MergeGraph.cs)
//   not      the run's record (status, tags, metadata, retention), consumers, subscriptions, triggers, idempotency keys: they are of a run

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. What one try of a merge decides. One thread.</summary>
/// <param name="target">Inside the transaction.</param>
/// <param name="source">Pinned.</param>
/// <param name="values">As both had it.</param>
/// <param name="common">Up to here versions of one sequence are one version on both sides.</param>
internal sealed class MergePlan(
    Scope target, DiffEnd source, MergeState values, CommonPoint? common, MergeOptions options, Limits limits, MergeProgress progress)
{
    private readonly Dictionary<string, MergeCounts> _counts = new(StringComparer.Ordinal)
    {
        ["kv"] = default, ["state"] = default, ["json"] = default, ["vectors"] = default, ["events"] = default, ["traces"] = default,
        [ItemAddress.GraphPrimitive] = default, [ItemAddress.AssociationsPrimitive] = default,
    };

    private readonly List<PendingWrite> _writes = [];
    private long _operations;
    private long _bytes;

    internal Scope Target => target;

    internal DiffEnd Source => source;

    internal MergeState Values => values;

    internal MergeOptions Options => options;

    internal Limits Limits => limits;

    internal MergeProgress Progress => progress;

    internal IReadOnlyDictionary<string, MergeCounts> Counts => _counts;

    internal List<MergeConflict> Conflicts { get; } = [];

    internal long Open { get; private set; }

    internal long LeasesLeft { get; private set; }

    /// <summary>The source has changed nothing that could be merged.</summary>
    internal bool IsEmpty => _counts.Values.All(count => count == default);

    /// <summary>Numbers of the source's events, in the target; null: it has not got that one.</summary>
    internal Func<ulong, ulong?> NumberOf { get; set; } = number => number;

    // ---- counting and writing -------------------------------------------------------------------------------------------------

    internal void Take(string primitive, long things = 1) =>
        _counts[primitive] = _counts[primitive] with { Taken = _counts[primitive].Taken + things };

    internal long ConflictCount(string primitive) => _counts[primitive].Conflicts;

    internal void CountSame(string primitive) => _counts[primitive] = _counts[primitive] with { Same = _counts[primitive].Same + 1 };

    internal void Write(PendingWrite write)
    {
        _operations++;
        _bytes += write.OperationKey.Length + (long)write.Value.Length;
        if (IsTooLarge)
            _writes.Clear();                                 // G4: from here on it is only measured
        else
            _writes.Add(write);
    }

    private bool IsTooLarge => _operations > limits.TransactionOperationsMax || _bytes > limits.TransactionBytesMax;

    /// <exception cref="LimitException">G4.</exception>
    internal void ThrowIfTooLarge()
    {
        if (_operations > limits.TransactionOperationsMax)
        {
            throw new LimitException(
                nameof(Limits.TransactionOperationsMax), limits.TransactionOperationsMax, _operations, "operations of one merge");
        }

        if (_bytes > limits.TransactionBytesMax)
            throw new LimitException(nameof(Limits.TransactionBytesMax), limits.TransactionBytesMax, _bytes, "bytes of one merge");
    }

    /// <summary>Gives all writes to the transaction.</summary>
    internal void Commit()
    {
        foreach (var write in _writes)
            target.Writes!.Add(write);
    }

    /// <summary>Asks who is to be asked; what is left open is counted.</summary>
    /// <param name="canTakeSource">False: it is written once and cannot be replaced.</param>
    internal MergeResolution Decide(MergeConflict conflict, bool canTakeSource = true)
    {
        var primitive = conflict.Address.Primitive;
        var isOfEvents = primitive == "events";
        var resolution = options.Resolve?.Invoke(conflict) ?? (options.Strategy, isOfEvents) switch
        {
            (_, true) when options.Events == MergeEventRule.AppendAfter => MergeResolution.AppendAfter,
            (MergeStrategy.PreferTarget, _) => MergeResolution.Target,
            (MergeStrategy.PreferSource, _) when canTakeSource => MergeResolution.Source,
            _ => MergeResolution.Refuse,
        };
        var isPossible = resolution.Outcome switch
        {
            MergeOutcome.Source => canTakeSource,
            MergeOutcome.Other => primitive is "kv" or "state" or "json",
            MergeOutcome.AppendAfter => isOfEvents,
            _ => true,
        };
        if (!isPossible)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"The resolver answered {resolution.Outcome} for a conflict of {primitive}, which cannot be. Nothing was written.");
        }

        if (resolution.Outcome == MergeOutcome.Open)
            Open++;
        _counts[primitive] = _counts[primitive] with { Conflicts = _counts[primitive].Conflicts + 1 };
        if (Conflicts.Count < options.ConflictsMax)
            Conflicts.Add(conflict with { Outcome = resolution.Outcome });
        return resolution;
    }

    // ---- key-values and cells -------------------------------------------------------------------------------------------------

    /// <summary>One side of a key, copied: nobody stays in the epoch while a resolver is asked.</summary>
    private readonly record struct Side(bool IsLive, byte[] Stored, ulong Sequence, long Time, long Expiry, ulong Counter)
    {
        internal ReadOnlySpan<byte> ValueBytes(int offset) => Stored.AsSpan(offset);
    }

    internal void Keyed(byte family, IEnumerable<byte[]> keys)
    {
        foreach (var key in keys)
        {
            progress.Advance();
            Keyed(family, key);
        }
    }

    private void Keyed(byte family, byte[] key)
    {
        var offset = family == StoreKeys.State ? StateOperations.CounterBytes : 0;
        var name = family == StoreKeys.State ? "state" : "kv";
        if (!TryRead(key, offset, out var was, out var its, out var ours))
            return;
        var isChanged = !IsSame(was, its, offset);
        if (offset > 0 && StaysAtSource(was, its))
        {
            LeasesLeft += isChanged && its.IsLive ? 1 : 0;
            return;
        }

        if (!isChanged)
        {
            // G1
            if (its.IsLive && its.Expiry != was.Expiry && IsSame(was, ours, offset) && ours.Expiry == was.Expiry)
                TakeFrom(family, name, key, its, ours);
            return;
        }

        var isLeased = offset > 0 && ours.Sequence > target.Run.BasePoint && IsLease(ours);      // a fork inherits none
        if (IsSame(its, ours, offset))
        {
            CountSame(name);
            return;
        }

        if (IsSame(was, ours, offset) && !isLeased && !Mutant.Is("merge-takes-all-for-conflicts"))
        {
            TakeFrom(family, name, key, its, ours);
            return;
        }

        var resolution = Mutant.Is("merge-overwrites-the-target")
            ? MergeResolution.Source
            : Decide(new MergeConflict(new ItemAddress(name, Utf8.GetTrustedString(key.AsSpan(1))))
            {
                Base = Version(was, offset),
                Source = Version(its, offset),
                Target = Version(ours, offset),
            });
        if (resolution.Outcome == MergeOutcome.Source)
            WriteKeyed(family, key, its, its, ours);
        else if (resolution.Outcome == MergeOutcome.Other)
            WriteKeyed(family, key, Chosen(resolution, offset), its, ours);
    }

    private void TakeFrom(byte family, string name, byte[] key, in Side its, in Side ours)
    {
        Take(name);
        WriteKeyed(family, key, its, its, ours);
    }

    // False: the source has the version that both had.
    private bool TryRead(byte[] key, int offset, out Side was, out Side its, out Side ours)
    {
        (was, its, ours) = (default, default, default);
        using var readSource = source.Run.Store.Read();
        using var readBase = values.Store.Read();
        var isInSource = readSource.TryGet(key, source.Sequence, out var inSource);
        var isInBase = readBase.TryGet(key, values.Sequence, out var inBase);
        if (isInSource && isInBase && inSource.Sequence == inBase.Sequence && inSource.Sequence <= common?.Sequence)
            return false;
        its = isInSource ? Copy(inSource, offset) : default;
        was = isInBase ? Copy(inBase, offset) : default;
        using var readTarget = target.Run.Store.Read();
        if (!Mutant.Is("merge-reads-the-target-unseen"))
            target.NotePoint(key);
        if (target.TryGetCommitted(readTarget, key, out var inTarget))
            ours = Copy(inTarget, offset);
        return true;
    }

    private Side Copy(scoped in VersionView version, int offset)
    {
        var isLive = version.IsLiveAt(target.Time);
        var stored = isLive ? version.Value.ToArray() : [];
        var counter = offset > 0 && version.ValueLength >= offset ? BinaryPrimitives.ReadUInt64LittleEndian(version.Value) : 0;
        return new Side(isLive, stored, version.Sequence, version.Time, version.Expiry, counter);
    }

    private static bool IsSame(in Side one, in Side other, int offset) =>
        one.IsLive == other.IsLive && (!one.IsLive || one.ValueBytes(offset).SequenceEqual(other.ValueBytes(offset)));

    private static bool IsLease(in Side side) =>
        side.IsLive && StateOperations.TryReadOwner(Value.Decode(side.ValueBytes(StateOperations.CounterBytes)), out _);

    // RPL-32
    private static bool StaysAtSource(in Side was, in Side its) =>
        !Mutant.Is("merge-takes-leases") && (IsLease(its) || (!its.IsLive && IsLease(was)));

    private Side Chosen(MergeResolution resolution, int offset)
    {
        if (resolution.Chosen is not { } value)
            return default;
        var stored = new byte[offset + ValueCodec.EncodedLength(value, limits)];
        ValueCodec.Encode(value, stored.AsSpan(offset));
        return new Side(true, stored, 0, 0, 0, 0);
    }

    private void WriteKeyed(byte family, byte[] key, in Side what, in Side its, in Side ours)
    {
        if (family == StoreKeys.State)
        {
            WriteCell(key, what, its, ours);
            return;
        }

        Write(new PendingWrite
        {
            StoreKey = key,
            Code = what.IsLive ? OperationCode.KvPut : OperationCode.KvDelete,
            OperationKey = key[1..],
            Value = what.IsLive ? what.Stored : [],
            Expiry = what.IsLive && !Mutant.Is("merge-drops-expiry") ? what.Expiry : 0,
            IsDelete = !what.IsLive,
        });
    }

    private void WriteCell(byte[] key, in Side what, in Side its, in Side ours)
    {
        var counter = (Mutant.Is("merge-counts-on-alone") ? ours.Counter : Math.Max(its.Counter, ours.Counter)) + 1;
        if (counter - ours.Counter > uint.MaxValue)
        {
            throw new CairnException(
                ErrorCode.Overflow,
                $"The counter of a state cell would go from {ours.Counter} to {counter}, which is more than one write may add "
                + $"({uint.MaxValue}). Settle the cell for the target.");
        }

        Write(new PendingWrite
        {
            StoreKey = key,
            Code = what.IsLive ? OperationCode.StateSet : OperationCode.StateDelete,
            OperationKey = key[1..],
            Value = what.IsLive ? what.Stored[StateOperations.CounterBytes..] : [],
            Expiry = what.IsLive ? what.Expiry : 0,
            IsDelete = !what.IsLive,
            Steps = (uint)(counter - ours.Counter),
        });
    }

    private static DiffVersion? Version(in Side side, int offset) => !side.IsLive ? null : new DiffVersion(
        Value.Decode(side.ValueBytes(offset)), new Sequence(side.Sequence), CommitClock.Time(side.Time))
    {
        Counter = offset > 0 ? new Counter(side.Counter) : null,
        Expiry = side.Expiry == 0 ? null : CommitClock.Time(side.Expiry),
    };

    // ---- traces ---------------------------------------------------------------------------------------------------------------

    internal void Traces(IEnumerable<byte[]> keys)
    {
        foreach (var key in keys)
        {
            progress.Advance();
            Trace(key);
        }
    }

    private void Trace(byte[] key)
    {
        if (Find(source.Run.Store, key, source.Sequence) is not { } its)
            return;
        target.NotePoint(key);
        if (Find(target.Run.Store, key, target.Sequence) is not { } ours)
        {
            Take("traces");
            Record(key, its.Content);
            return;
        }

        var (isRedacted, isRedactedHere) = (IsRedacted(its.Content), IsRedacted(ours.Content));
        if (isRedacted && !isRedactedHere)
        {
            Take("traces");
            Redact(key, ours.Content);
            return;
        }

        if (isRedacted || Renumbered(its.Content) == ours.Content)
        {
            CountSame("traces");
            return;
        }

        var was = Find(values.Store, key, values.Sequence);
        if (isRedactedHere || its.Content == was?.Content)
            return;
        Decide(
            new MergeConflict(ItemAddress.OfTrace(TraceId.Read(key.AsSpan(1))))
            {
                Base = was?.ToVersion(),
                Source = its.ToVersion(),
                Target = ours.ToVersion(),
            },
            canTakeSource: false);
    }

    private readonly record struct StoredTrace(Value Content, ulong Sequence)
    {
        internal DiffVersion ToVersion()
        {
            Fields.TryRead(Content, out var fields);
            TraceContent.TryReadOrder(fields, out var order);
            return new DiffVersion(Content, new Sequence(Sequence), CommitClock.Time(order.Time)) { Type = order.Type.ToString() };
        }
    }

    private static StoredTrace? Find(RunStore store, byte[] key, ulong sequence)
    {
        using var reader = store.Read();
        return reader.TryGet(key, sequence, out var version) && !version.IsTombstone
            ? new StoredTrace(Value.Decode(version.Value), version.Sequence)
            : null;
    }

    private static bool IsRedacted(in Value content) => !content.TryGetMember("step", out _);

    // Causes are numbers of events; those that the target has not got are none there.
    private Value Renumbered(in Value content)
    {
        if (!content.TryGetMember("causes", out var causes))
            return content;
        var here = causes.AsArray().Select(cause => NumberOf((ulong)cause.AsInt64())).OfType<ulong>().Select(number => (Value)(long)number)
            .ToArray();
        return Value.Object(content.AsObject()
            .Where(member => member.Key != "causes" || here.Length > 0)
            .Select(member => member.Key == "causes" ? new(member.Key, Value.Array(here)) : member));
    }

    private void Record(byte[] key, in Value content)
    {
        Fields.TryRead(content, out var fields);
        TraceContent.TryReadOrder(fields, out var order);
        Write(new PendingWrite
        {
            StoreKey = key,
            Code = OperationCode.TraceRecord,
            OperationKey = key[1..],
            Value = Renumbered(content).Encode(),
            Steps = (uint)order.Tags.Length,
        });
    }

    private void Redact(byte[] key, in Value content)
    {
        Fields.TryRead(content, out var fields);
        TraceContent.TryReadOrder(fields, out var order);
        Write(new PendingWrite
        {
            StoreKey = key,
            Code = OperationCode.TraceRedact,
            OperationKey = key[1..],
            Value = [],
            Steps = (uint)order.Tags.Length,
        });
    }
}
