using Cairn.Codec;
using Cairn.Primitives;

namespace Cairn.Feed;

/// <summary>Definitions of triggers as they are kept: a canonical object of when, do, run?, times?. Checks everything that a definition
/// must be.</summary>
internal static class TriggerForm
{
    /// <exception cref="CairnException">Something in it cannot be.</exception>
    /// <exception cref="LimitException">Something is too long.</exception>
    internal static Value Of(TriggerDefinition definition, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(definition.When);
        ArgumentNullException.ThrowIfNull(definition.Do);
        Check(definition.When);
        Check(definition.Do, limits);
        if (definition.Times is < 1)
            throw new CairnException(ErrorCode.InvalidArgument, $"Times is {definition.Times}; it must be 1 or more, or null for no end.");
        var (when, act) = (definition.When, definition.Do);
        var value = Fields.Write(
            ("when", Fields.Write(
                ("kind", when.Kind),
                ("primitive", Fields.Of(when.Primitive)),
                ("key", Fields.Of(when.Key)),
                ("type", Fields.Of(when.Type)),
                ("compare", when.Kind == TriggerCondition.ThresholdKind ? (long)when.Comparison : default(Value?)),
                ("bound", when.Kind == TriggerCondition.ThresholdKind ? when.Bound : default(Value?)),
                ("mode", when.Kind == TriggerCondition.ThresholdKind ? (long)when.Mode : default(Value?)))),
            ("do", Fields.Write(
                ("kind", act.Kind),
                ("name", act.Name),
                ("value", act.Kind == TriggerAction.IncrementKind ? default(Value?) : act.Value),
                ("expected", act.Expected),
                ("delta", act.Kind == TriggerAction.IncrementKind ? act.Delta : default(Value?)))),
            ("run", Fields.Of(definition.Target?.Bits)),
            ("times", Fields.Of(definition.Times)));
        ValueCodec.EncodedLength(value, limits);
        return value;
    }

    private static void Check(TriggerCondition when)
    {
        if (when.Kind == TriggerCondition.EventKind)
        {
            ArgumentNullException.ThrowIfNull(when.Type);
            KeyRules.EncodeNameForRead(when.Type, stackalloc byte[Limits.NameBytesMax], out _);
            return;
        }

        if (when.Kind == TriggerCondition.ThresholdKind && when.Primitive == "json")
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "A threshold is on a number in kv or state. A document has no one number: use a prefix on json.");
        }

        if (when.Primitive is not ("kv" or "json" or "state"))
            throw new CairnException(ErrorCode.InvalidArgument, "The condition of a trigger is on kv, json or state; name one of them.");
        ArgumentNullException.ThrowIfNull(when.Key);
        KeyRules.EncodeKeyForRead(when.Key, stackalloc byte[Limits.KeyBytesMax], out _);
        if (!double.IsFinite(when.Bound))
            throw new CairnException(ErrorCode.InvalidArgument, "The bound of a threshold is a finite number.");
        if (!Enum.IsDefined(when.Comparison) || !Enum.IsDefined(when.Mode))
            throw new CairnException(ErrorCode.InvalidArgument, "There is no such comparison or mode of a threshold.");
    }

    private static void Check(TriggerAction act, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(act.Name);
        if (act.Kind == TriggerAction.AppendKind)
        {
            KeyRules.EncodeName(act.Name, stackalloc byte[Limits.NameBytesMax], out _);
            EventOperations.PayloadLength(act.Value, limits);
            return;
        }

        KeyRules.EncodeKey(act.Name, stackalloc byte[Limits.KeyBytesMax], out _);
        if (act.Kind == TriggerAction.IncrementKind)
            return;
        ValueCodec.EncodedLength(act.Value, limits);
        if (act.Expected is { } expected)
            ValueCodec.EncodedLength(expected, limits);
    }

    /// <summary>Reads what <see cref="Of"/> wrote.</summary>
    /// <exception cref="FormatVersionException">A kind that this version does not know.</exception>
    internal static TriggerDefinition Read(in Value stored)
    {
        if (!Fields.TryRead(stored, out var fields) || !fields.TryObject("when", out var whenValue)
            || !Fields.TryRead(whenValue, out var when)
            || !fields.TryObject("do", out var doValue) || !Fields.TryRead(doValue, out var act) || !fields.TryId("run", out var run)
            || !fields.TryNumber("times", out var times) || !when.TryText("kind", out var kind)
            || !when.TryText("primitive", out var primitive)
            || !when.TryText("key", out var key) || !when.TryText("type", out var type) || !when.TryNumber("compare", out var compare)
            || !when.TryFloat("bound", out var bound) || !when.TryNumber("mode", out var mode) || !act.TryText("kind", out var action)
            || !act.TryText("name", out var name) || !act.TryNumber("delta", out var delta)
            || kind is not (TriggerCondition.PrefixKind or TriggerCondition.EventKind or TriggerCondition.ThresholdKind)
            || action is not (TriggerAction.AppendKind or TriggerAction.PutKind or TriggerAction.CompareAndSetKind
                or TriggerAction.IncrementKind))
        {
            throw new FormatVersionException("a trigger", "a condition or an action that is not known", "those of this version");
        }

        return new TriggerDefinition
        {
            When = new TriggerCondition
            {
                Kind = kind,
                Primitive = primitive,
                Key = key,
                Type = type,
                Comparison = (TriggerComparison)(compare ?? 0),
                Bound = bound ?? 0,
                Mode = (TriggerMode)(mode ?? 0),
            },
            Do = new TriggerAction
            {
                Kind = action,
                Name = name!,
                Value = act.Any("value") ?? Value.Null,
                Expected = act.Any("expected"),
                Delta = delta ?? 0,
            },
            Target = run is { } bits ? new RunId(bits) : null,
            Times = times,
        };
    }
}
