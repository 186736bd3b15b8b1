namespace Cairn.Replay;

/// <summary>The inputs that were recorded, and which of them a replay has used. What is asked must be the next one; or one that was asked,
/// when it was recorded, before all that are still to come had been answered (I2). Not thread-safe.</summary>
internal sealed class Recording
{
    private readonly List<Entry> _entries = [];
    private int _first;

    /// <summary>The recorded input that is due; null at the end.</summary>
    internal Entry? Due => _first < _entries.Count ? _entries[_first] : null;

    /// <summary>Ordinal behind the last one.</summary>
    internal long End { get; private set; }

    internal IEnumerable<Entry> Unused => _entries.Skip(_first).Where(entry => !entry.IsUsed);

    /// <summary>An input that the replay has behind it when it begins.</summary>
    internal void Pass(RecordedInput input) => End = input.Ordinal + 1;

    internal void Add(RecordedInput input)
    {
        End = input.Ordinal + 1;
        if (input.Mark != InputMark.Abandoned)
            _entries.Add(new Entry(input));
    }

    /// <summary>The recorded input that a question repeats; null when it repeats none that may come now.</summary>
    internal Entry? Find(RecordedInput asked)
    {
        if (Due is not { } due)
            return null;
        for (var i = _first; i < _entries.Count; i++)
        {
            var entry = _entries[i];
            if (!entry.IsUsed && (entry.AnsweredBefore <= due.Ordinal || Mutant.Is("recorded-order-ignored")) && entry.IsSameAs(asked))
                return entry;
        }

        return null;
    }

    internal void Use(Entry entry)
    {
        entry.IsUsed = true;
        while (_first < _entries.Count && _entries[_first].IsUsed)
            _first++;
    }

    /// <summary>What of a recorded input is kept in memory; the rest is read when it is used.</summary>
    internal sealed class Entry(RecordedInput input)
    {
        private readonly Hash256 _hash = input.RequestHash;

        internal long Ordinal { get; } = input.Ordinal;

        internal InputKind Kind { get; } = input.Kind;

        internal long AnsweredBefore { get; } = input.AnsweredBefore;

        internal EventNumber Number { get; } = input.Number;

        internal bool IsUsed { get; set; }

        internal bool IsSameAs(RecordedInput asked) =>
            Kind == asked.Kind && (_hash == asked.RequestHash || Mutant.Is("request-hash-ignored"));
    }
}
