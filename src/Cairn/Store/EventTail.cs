namespace Cairn.Store;

/// <summary>
/// What appends leave to the end of a load. Each append writes, beside its event, the counts of its type and the head of the run, over what
/// the append before has written there; while nobody reads, all but the first and the last of these writes are seen by nobody. So the first
/// append of a type in a load writes as always, and those behind it are only added up here, until what they come to is written once, with
/// sequence and time of the last one: the same versions in the end, bit for bit. Whatever else looks at those keys has it written first.
/// One thread.
/// </summary>
internal sealed class EventTail
{
    /// <summary>Chosen: types are few in a run; those beyond write as always.</summary>
    private const int TypesMax = 8;

    private readonly Tally[] _types = new Tally[TypesMax];
    private int _count;
    private int _last;                                       // where the type of the last append stands

    /// <summary>The head was written once, and appends behind that are noted in <see cref="Head"/>.</summary>
    internal bool HasHead { get; set; }

    /// <summary>The last append whose head is not written yet; sequence 0 = none.</summary>
    internal (ulong Sequence, long Time) Head { get; set; }

    internal ReadOnlySpan<Tally> Types => _types.AsSpan(0, _count);

    /// <summary>Adds an append up.</summary>
    /// <param name="eventTime">Of the event itself.</param>
    /// <returns>False: the type was not begun with.</returns>
    internal bool TryAdd(ReadOnlySpan<byte> type, ulong number, long eventTime, ulong sequence, long time)
    {
        if (_count == 0)
            return false;
        if (!_types[_last].Type.AsSpan().SequenceEqual(type))
        {
            var at = 0;
            while (!_types[at].Type.AsSpan().SequenceEqual(type))
            {
                if (++at == _count)
                    return false;
            }

            _last = at;
        }

        ref var tally = ref _types[_last];
        tally.Count++;
        tally.Last = number;
        tally.EventTime = eventTime;
        tally.Sequence = sequence;
        tally.Time = time;
        return true;
    }

    /// <summary>The counts of a type were written as always: what follows can be added up.</summary>
    internal void Begin(ReadOnlySpan<byte> type)
    {
        if (_count < TypesMax)
            _types[_last = _count++] = new Tally { Type = type.ToArray() };
    }

    /// <summary>All of it is written.</summary>
    internal void Clear()
    {
        _count = 0;
        Head = default;
        HasHead = false;
    }

    /// <summary>Appends of one type that are not in its counts yet.</summary>
    internal struct Tally
    {
        internal byte[] Type;
        internal ulong Count;

        /// <summary>Number of the last of them, and its own time.</summary>
        internal ulong Last;
        internal long EventTime;

        /// <summary>Of the commit that appended it.</summary>
        internal ulong Sequence;
        internal long Time;
    }
}
