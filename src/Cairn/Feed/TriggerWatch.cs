using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Feed;

/// <summary>What a commit means to a trigger.</summary>
/// <param name="Fires">It fires, unless the commit is its own.</param>
/// <param name="IsMet">Its threshold is met behind the commit.</param>
internal readonly record struct TriggerVerdict(bool Fires, bool IsMet);

/// <summary>Judges commits: a function of the definition, of whether its threshold was met before, and of the run's part in the
/// record.</summary>
internal static class TriggerWatch
{
    /// <summary>FEED-7: a commit that so many triggers led to leads to no more.</summary>
    internal const int ChainMax = 8;

    /// <summary>Name of the member of a commit's attributes, and of an event's payload, that tells of a trigger.</summary>
    internal const string Mark = "$trigger";

    internal static TriggerVerdict Judge(TriggerCondition when, bool wasMet, RunPart part, OperationTable operations)
    {
        var matches = false;
        var isMet = wasMet;
        var key = when.Key is null ? [] : Utf8.GetBytes(when.Key);
        while (part.MoveNext(out var operation))
        {
            var code = (OperationCode)operation.Code;
            if (when.Kind == TriggerCondition.EventKind)
            {
                matches |= code == OperationCode.EventAppend && operation.Key.SequenceEqual(Utf8.GetBytes(when.Type!));
                continue;
            }

            var family = when.Primitive switch { "kv" => StoreKeys.Kv, "json" => StoreKeys.Json, _ => StoreKeys.State };
            if ((operation.Code & 0xF0) != family)
                continue;
            if (when.Kind == TriggerCondition.PrefixKind)
            {
                matches |= operation.Key.StartsWith(key);
                continue;
            }

            if (operation.Key.SequenceEqual(key) && IsMetBy(when, operations.Find(code)!, operation, [family, .. key]) is { } met)
                (isMet, matches) = (met, true);
        }

        if (when.Kind != TriggerCondition.ThresholdKind)
            return new TriggerVerdict(matches, false);
        return new TriggerVerdict(matches && isMet && (when.Mode == TriggerMode.Level || !wasMet), isMet);
    }

    // Null: the operation leaves the value alone.
    private static bool? IsMetBy(TriggerCondition when, OperationSet set, in Operation operation, byte[] storeKey) =>
        set.Project(operation, storeKey, out var stored, out _) switch
        {
            Projected.Value => IsMet(when, ValuesBefore.ValueBytes(storeKey[0], stored!)),
            Projected.Deletion => false,
            _ => null,
        };

    /// <summary>Whether a canonical value meets a threshold. What is no number meets none.</summary>
    internal static bool IsMet(TriggerCondition when, ReadOnlySpan<byte> canonical)
    {
        if (!ValueDecoder.TryDecode(canonical, out var value, out _))
            return false;
        double number;
        if (value.Kind == ValueKind.Int64)
            number = value.AsInt64();
        else if (value.Kind == ValueKind.Float64)
            number = value.AsFloat64();
        else
            return false;
        return when.Comparison switch
        {
            TriggerComparison.AtLeast => number >= when.Bound,
            TriggerComparison.Above => number > when.Bound,
            TriggerComparison.AtMost => number <= when.Bound,
            _ => number < when.Bound,
        };
    }

    /// <summary>Only bookkeeping of triggers: no trigger has to look at it again.</summary>
    internal static bool IsBookkeeping(RunPart part)
    {
        while (part.MoveNext(out var operation))
        {
            if ((OperationCode)operation.Code is not (OperationCode.TriggerCursor or OperationCode.TriggerDefine
                or OperationCode.TriggerDrop))
                return false;
        }

        return true;
    }

    /// <summary>What the attributes of a trigger's commit say; depth 0 for any other commit.</summary>
    internal static (string? Run, string? Name, long Depth) OriginOf(ReadOnlySpan<byte> attributes)
    {
        if (attributes.IsEmpty || !CommitAttributes.TryDecode(attributes, out var told) || !told.Entries.TryGetMember(Mark, out var mark)
            || !Fields.TryRead(mark, out var fields) || !fields.TryText("run", out var run) || !fields.TryText("name", out var name)
            || !fields.TryNumber("depth", out var depth))
        {
            return (null, null, 0);
        }

        return (run, name, Math.Clamp(depth ?? 0, 0, ChainMax));
    }

    /// <summary>The attributes of a trigger's commit.</summary>
    internal static byte[] Attributes(RunId run, string name, long depth, Limits limits) => new CommitAttributes
    {
        SourceKind = "trigger",
        Entries = Value.Object((Mark, Value.Object(("run", run.ToString()), ("name", name), ("depth", depth)))),
    }.Encode(limits);

    /// <summary>Adds what the action writes to the current part of a batch.</summary>
    /// <returns>What has to hold for it; null = nothing.</returns>
    internal static Expectation? AddEffect(
        Batch batch, TriggerAction act, RunState target, Value cause, Limits limits, RandomSource random)
    {
        if (act.Kind == TriggerAction.AppendKind)
        {
            var payload = Value.Object([.. act.Value.AsObject().Select(member => (member.Key, member.Value)), (Mark, cause)]);
            EventOperations.AddAppend(
                batch, Utf8.GetBytes(act.Name), 0, default, payload, EventOperations.PayloadLength(payload, limits), random);
            return null;
        }

        var key = Utf8.GetBytes(act.Name);
        if (act.Kind == TriggerAction.IncrementKind)
        {
            KvOperations.AddIncrement(batch, key, act.Delta);
            return null;
        }

        var value = act.Value.Encode();
        KvOperations.AddPut(batch, key, value.Length, 0, out var body);
        value.CopyTo(body);
        return act.Kind == TriggerAction.CompareAndSetKind
            ? new Expectation(target, [StoreKeys.Kv, .. key], ExpectationKind.Value, 0, act.Expected?.Encode())
            : null;
    }
}
