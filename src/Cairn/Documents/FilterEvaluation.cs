namespace Cairn.Documents;

/// <summary>What a filter asks about. It answers place by place, so that who stores a document need not read the whole of it.</summary>
internal interface IFilterSubject
{
    /// <summary>What stands at a place of the value.</summary>
    /// <returns>False when nothing does.</returns>
    bool TryGet(DocumentPath path, out Value value);

    /// <summary>The key, version or time, as <see cref="FilterField"/> says.</summary>
    /// <returns>False when what is asked about has none, whatever the value.</returns>
    bool TryGet(FilterField field, out Value value);
}

/// <summary>A value in memory without key, version and time.</summary>
internal readonly struct BareSubject(Value value) : IFilterSubject
{
    private readonly Value _value = value;

    public bool TryGet(DocumentPath path, out Value value) => path.TryGet(_value, out value);

    public bool TryGet(FilterField field, out Value value)
    {
        value = default;
        return false;
    }
}

/// <summary>A value in memory with what is known about it.</summary>
internal readonly struct ItemSubject(in FilterItem item) : IFilterSubject
{
    private readonly FilterItem _item = item;

    public bool TryGet(DocumentPath path, out Value value) => path.TryGet(_item.Value, out value);

    public bool TryGet(FilterField field, out Value value)
    {
        value = field switch
        {
            FilterField.Key when _item.Key is { } key => key,
            FilterField.Version when _item.Version is { } version => (long)version.Value,
            FilterField.Time when _item.Time is { } time => CommitClock.Microseconds(time),
            _ => default,
        };
        return !value.IsNull;
    }
}

/// <summary>Says whether a filter holds (VEC-14), within the steps that the limits allow: a step for each condition and segment, for
/// each value that is compared with, and for sixteen bytes of what is compared or searched. Recursion is as deep as the filter.</summary>
internal ref struct FilterEvaluation<TSubject>
    where TSubject : IFilterSubject, allows ref struct
{
    private const int BytesOfStep = 16;

    private TSubject _subject;
    private readonly int _stepsMax;
    private long _steps;

    internal FilterEvaluation(TSubject subject, Limits limits)
    {
        _subject = subject;
        _stepsMax = limits.QueryStepsMax;
    }

    internal bool Holds(Filter filter)
    {
        Count(1);
        switch (filter.Kind)
        {
            case FilterKind.And:
                foreach (var part in filter.PartSpan)
                {
                    if (!Holds(part))
                        return false;
                }

                return true;
            case FilterKind.Or:
                foreach (var part in filter.PartSpan)
                {
                    if (Holds(part))
                        return true;
                }

                return false;
            case FilterKind.Not:
                return !Holds(filter.PartSpan[0]);
            default:
                // What is not there fulfils no condition, Ne and NotIn neither.
                return TryFind(filter, out var found) ? Holds(filter, found, filter.Value)
                    : Mutant.Is("doc-filter-ne-of-nothing") && filter.Kind == FilterKind.Ne;
        }
    }

    private bool TryFind(Filter filter, out Value found)
    {
        if (filter.Path is not { } path)
            return _subject.TryGet(filter.Field, out found);
        Count(path.Count);
        return _subject.TryGet(path, out found);
    }

    private bool Holds(Filter filter, in Value found, in Value value) => filter.Kind switch
    {
        FilterKind.Eq => AreEqual(found, value),
        FilterKind.Ne => !AreEqual(found, value),
        FilterKind.Gt => Order(found, value) > 0,
        FilterKind.Gte => Order(found, value) >= 0,
        FilterKind.Lt => Order(found, value) < 0,
        FilterKind.Lte => Order(found, value) <= 0,
        FilterKind.In => IsAmong(found, filter.ValueSpan),
        FilterKind.NotIn => !IsAmong(found, filter.ValueSpan),
        FilterKind.Contains => Contains(found, value),
        FilterKind.Prefix => HasPrefix(found, value),
        _ => true,
    };

    private bool Contains(in Value found, in Value value)
    {
        if (found.Kind == ValueKind.Array)
            return IsAmong(value, found.Elements.Items);
        if (found.Kind != ValueKind.String || value.Kind != ValueKind.String)
            return false;
        CountBytes(found.Measure.Bytes);
        return TextSearch.Contains(found.AsString(), value.AsString());
    }

    private bool HasPrefix(in Value found, in Value value)
    {
        if (found.Kind != ValueKind.String || value.Kind != ValueKind.String)
            return false;
        CountLesser(found, value);
        return found.AsString().StartsWith(value.AsString(), StringComparison.Ordinal);
    }

    private bool IsAmong(in Value one, ReadOnlySpan<Value> values)
    {
        foreach (ref readonly var value in values)
        {
            Count(1);
            if (AreEqual(one, value))
                return true;
        }

        return false;
    }

    private bool AreEqual(in Value left, in Value right)
    {
        CountLesser(left, right);
        return Comparison.AreEqual(left, right);
    }

    private int? Order(in Value left, in Value right)
    {
        CountLesser(left, right);
        return Comparison.Order(left, right);
    }

    private void CountLesser(in Value left, in Value right) => CountBytes(Math.Min(left.Measure.Bytes, right.Measure.Bytes));

    private void CountBytes(long bytes) => Count(bytes / BytesOfStep);

    private void Count(long steps)
    {
        _steps += steps;
        if (_steps > _stepsMax && !Mutant.Is("doc-filter-steps-off"))
            throw new LimitException(nameof(Limits.QueryStepsMax), _stepsMax, _steps, "steps");
    }
}
