using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>Where in a thing a text stands. The number is the place of its name and weight in <see cref="TextFields"/>.</summary>
internal enum TextField : byte
{
    Key,
    Name,
    Value,
    Type,
    Payload,
    Step,
    Metadata,
    Id,
    Status,
    Tags,
    Error,
    Content,
    Attributes,
}

/// <summary>Names and weights of fields (SRCH-15).</summary>
internal static class TextFields
{
    private static readonly string[] Names =
        ["key", "name", "value", "type", "payload", "step", "metadata", "id", "status", "tags", "error", "content", "attributes"];

    /// <summary>The weight is counted in tenths, so that frequencies are whole numbers and their sums the same in every order.</summary>
    internal const int WeightOne = 10;

    internal static string NameOf(TextField field) => Names[(int)field];

    internal static int WeightOf(TextField field) => field is TextField.Key or TextField.Name ? 12 : WeightOne;
}

/// <summary>The texts of one thing, copied out of the store: used again for one after the other. What is cut into words lies here, so no
/// reader has to stay inside while that is done.</summary>
internal sealed class ThingText
{
    private const int KeptBytesMax = 1 << 20;

    private readonly List<(TextField Field, int Start, int Length)> _fields = [];
    private readonly byte[] _key = new byte[VectorKeys.BytesMax];
    private byte[] _bytes = new byte[4096];
    private int _keyLength;
    private int _used;

    /// <summary>Which kind of things.</summary>
    internal SearchedThings Kind { get; private set; } = null!;

    /// <summary>The thing's key: its store key without the family.</summary>
    internal ReadOnlySpan<byte> Key => _key.AsSpan(0, _keyLength);

    /// <summary>Of the commit that wrote it last; 0 = it is a transaction's own.</summary>
    internal ulong Sequence { get; private set; }

    /// <summary>Of that commit, microseconds since 1970.</summary>
    internal long Time { get; private set; }

    /// <summary>0 = never.</summary>
    internal long Expiry { get; private set; }

    internal int Count => _fields.Count;

    internal TextField FieldAt(int index) => _fields[index].Field;

    internal ReadOnlySpan<byte> this[int index] => _bytes.AsSpan(_fields[index].Start, _fields[index].Length);

    internal void Begin(SearchedThings kind, ReadOnlySpan<byte> key, ulong sequence, long time, long expiry)
    {
        if (_bytes.Length > KeptBytesMax)
            _bytes = new byte[4096];
        _fields.Clear();
        _used = 0;
        Kind = kind;
        key.CopyTo(_key);
        _keyLength = key.Length;
        (Sequence, Time, Expiry) = (sequence, time, expiry);
    }

    /// <summary>One text of a field. No phrase reaches from one into the next.</summary>
    internal void Add(TextField field, ReadOnlySpan<byte> utf8)
    {
        utf8.CopyTo(Room(utf8.Length));
        _fields.Add((field, _used, utf8.Length));
        _used += utf8.Length;
    }

    internal void Add(TextField field, string text)
    {
        var bytes = Utf8.GetByteCount(text);
        Utf8.GetBytes(text, Room(bytes));
        _fields.Add((field, _used, bytes));
        _used += bytes;
    }

    /// <summary>Every string in a value: names of members are none.</summary>
    /// <param name="canonical">The value, encoded; it has been checked.</param>
    internal void AddStrings(TextField field, ReadOnlySpan<byte> canonical)
    {
        var reader = new ValueReader(canonical);
        AddStrings(field, ref reader);
    }

    // As deep as the value, which has a limit.
    private void AddStrings(TextField field, ref ValueReader reader)
    {
        if (reader.Read(out var item) != DecodeFault.None)
            return;
        switch (item.Kind)
        {
            case ValueKind.String:
                Add(field, item.Content);
                break;
            case ValueKind.Array:
                for (var left = item.Bits; left > 0; left--)
                    AddStrings(field, ref reader);
                break;
            case ValueKind.Object:
                for (var left = item.Bits; left > 0; left--)
                {
                    reader.Read(out _);
                    AddStrings(field, ref reader);
                }

                break;
        }
    }

    private Span<byte> Room(int bytes)
    {
        if (_bytes.Length - _used < bytes)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, checked(_used + bytes)));
        return _bytes.AsSpan(_used, bytes);
    }
}
