using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Cairn.Tests.Checkers;

/// <summary>A value as the judges hold it: the eight kinds of VAL-1, and <see cref="Absent"/> for "there is none" in answers.
/// Equality is that of the canonical MessagePack bytes (VAL-4..6), written here a second time on purpose: the engine's codec is
/// among the things under test. A driver converts through <see cref="Canonical"/> and <see cref="FromCanonical"/>, nowhere else.</summary>
public sealed class Plain : IEquatable<Plain>
{
    private static readonly UTF8Encoding Utf8 = new(false, true);

    private readonly object? _raw;
    private byte[]? _canonical;

    private Plain(object? raw) => _raw = raw;

    public static Plain Null { get; } = new(null);

    public static Plain True { get; } = new(true);

    public static Plain False { get; } = new(false);

    /// <summary>Not a value: the answer to a read of nothing. Its one byte, C1, is never used by MessagePack.</summary>
    public static Plain Absent { get; } = new(typeof(Plain));

    /// <summary>The answer of an operation that has none.</summary>
    public static Plain Done { get; } = new("done");

    public static Plain Of(double value) => new(value);

    public static Plain Array(params IEnumerable<Plain> items) => new(items.ToArray());

    public static Plain Map(params IEnumerable<(string Name, Plain Value)> members)
    {
        var sorted = new SortedDictionary<string, Plain>(Utf8Order.Instance);
        foreach (var (name, value) in members)
            sorted.Add(name, value);
        return new Plain(sorted);
    }

    public static implicit operator Plain(long value) => new(value);

    public static implicit operator Plain(ulong value) => new(checked((long)value));

    public static implicit operator Plain(bool value) => value ? True : False;

    public static implicit operator Plain(string value) => new(value);

    public static implicit operator Plain(byte[] value) => new(value);

    public bool IsAbsent => _raw is Type;

    public bool IsNull => _raw is null;

    public bool IsObject => _raw is SortedDictionary<string, Plain>;

    public long? AsInt64 => _raw as long?;

    public double? AsDouble => _raw as double?;

    public string? AsText => _raw as string;

    public IReadOnlyList<Plain>? Items => _raw as Plain[];

    public IReadOnlyDictionary<string, Plain>? Members => _raw as SortedDictionary<string, Plain>;

    public byte[] Canonical
    {
        get
        {
            if (_canonical is null)
            {
                using var target = new MemoryStream();
                Encode(target);
                _canonical = target.ToArray();
            }

            return _canonical;
        }
    }

    public static Plain FromCanonical(ReadOnlySpan<byte> bytes)
    {
        var value = Decode(ref bytes);
        return bytes.IsEmpty ? value : throw new FormatException($"{bytes.Length} bytes are left over");
    }

    public bool Equals(Plain? other) => other is not null && Canonical.AsSpan().SequenceEqual(other.Canonical);

    public override bool Equals(object? obj) => Equals(obj as Plain);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(Canonical);
        return hash.ToHashCode();
    }

    public override string ToString() => _raw switch
    {
        null => "null",
        Type => "absent",
        bool b => b ? "true" : "false",
        long n => n.ToString(CultureInfo.InvariantCulture),
        double d => d.ToString("R", CultureInfo.InvariantCulture) + "f",
        string s => s.Length > 40 ? $"\"{s[..20]}...\"({s.Length})" : $"\"{s.Replace("\0", "\\0", StringComparison.Ordinal)}\"",
        byte[] b => "0x" + Convert.ToHexString(b),
        Plain[] items => $"[{string.Join(", ", (object[])items)}]",
        SortedDictionary<string, Plain> members => $"{{{string.Join(", ", members.Select(m => $"{m.Key}: {m.Value}"))}}}",
        _ => throw new InvalidOperationException(),
    };

    private void Encode(MemoryStream target)
    {
        switch (_raw)
        {
            case null: target.WriteByte(0xC0); break;
            case Type: target.WriteByte(0xC1); break;
            case bool b: target.WriteByte(b ? (byte)0xC3 : (byte)0xC2); break;
            case long n: EncodeInt64(target, n); break;
            case double d:
                target.WriteByte(0xCB);
                Big(target, double.IsNaN(d) ? 0x7FF8000000000000 : (ulong)BitConverter.DoubleToInt64Bits(d), 8);
                break;
            case string s:
                var text = Utf8.GetBytes(s);
                Head(target, text.Length, 0xA0, 31, 0xD9, 0xDA, 0xDB);
                target.Write(text);
                break;
            case byte[] bytes:
                Head(target, bytes.Length, 0, -1, 0xC4, 0xC5, 0xC6);
                target.Write(bytes);
                break;
            case Plain[] items:
                Head(target, items.Length, 0x90, 15, -1, 0xDC, 0xDD);
                foreach (var item in items)
                    item.Encode(target);
                break;
            case SortedDictionary<string, Plain> members:
                Head(target, members.Count, 0x80, 15, -1, 0xDE, 0xDF);
                foreach (var (name, value) in members)
                {
                    new Plain(name).Encode(target);
                    value.Encode(target);
                }

                break;
        }
    }

    private static void EncodeInt64(MemoryStream target, long n)
    {
        switch (n)
        {
            case >= 0 and <= 0x7F or >= -32 and < 0: target.WriteByte((byte)n); break;
            case >= 0 and <= 0xFF: target.WriteByte(0xCC); Big(target, (ulong)n, 1); break;
            case >= 0 and <= 0xFFFF: target.WriteByte(0xCD); Big(target, (ulong)n, 2); break;
            case >= 0 and <= 0xFFFFFFFF: target.WriteByte(0xCE); Big(target, (ulong)n, 4); break;
            case >= 0: target.WriteByte(0xCF); Big(target, (ulong)n, 8); break;
            case >= sbyte.MinValue: target.WriteByte(0xD0); Big(target, (ulong)n, 1); break;
            case >= short.MinValue: target.WriteByte(0xD1); Big(target, (ulong)n, 2); break;
            case >= int.MinValue: target.WriteByte(0xD2); Big(target, (ulong)n, 4); break;
            default: target.WriteByte(0xD3); Big(target, (ulong)n, 8); break;
        }
    }

    private static void Head(MemoryStream target, int length, int fix, int fixMax, int one, int two, int four)
    {
        if (length <= fixMax)
        {
            target.WriteByte((byte)(fix | length));
            return;
        }

        var (tag, size) = one >= 0 && length <= 0xFF ? (one, 1) : length <= 0xFFFF ? (two, 2) : (four, 4);
        target.WriteByte((byte)tag);
        Big(target, (ulong)length, size);
    }

    private static void Big(MemoryStream target, ulong value, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        target.Write(bytes[(8 - size)..]);
    }

    private static Plain Decode(ref ReadOnlySpan<byte> source)
    {
        var tag = source[0];
        source = source[1..];
        switch (tag)
        {
            case <= 0x7F: return (long)tag;
            case <= 0x8F: return DecodeObject(ref source, tag & 0x0F);
            case <= 0x9F: return DecodeArray(ref source, tag & 0x0F);
            case <= 0xBF: return DecodeText(ref source, tag & 0x1F);
            case 0xC0: return Null;
            case 0xC1: return Absent;
            case 0xC2: return False;
            case 0xC3: return True;
            case 0xC4: return DecodeBytes(ref source, (int)Take(ref source, 1));
            case 0xC5: return DecodeBytes(ref source, (int)Take(ref source, 2));
            case 0xC6: return DecodeBytes(ref source, (int)Take(ref source, 4));
            case 0xCB: return Of(BitConverter.Int64BitsToDouble((long)Take(ref source, 8)));
            case 0xCC: return (long)Take(ref source, 1);
            case 0xCD: return (long)Take(ref source, 2);
            case 0xCE: return (long)Take(ref source, 4);
            case 0xCF: return checked((long)Take(ref source, 8));
            case 0xD0: return (long)(sbyte)Take(ref source, 1);
            case 0xD1: return (long)(short)Take(ref source, 2);
            case 0xD2: return (long)(int)Take(ref source, 4);
            case 0xD3: return (long)Take(ref source, 8);
            case 0xD9: return DecodeText(ref source, (int)Take(ref source, 1));
            case 0xDA: return DecodeText(ref source, (int)Take(ref source, 2));
            case 0xDB: return DecodeText(ref source, (int)Take(ref source, 4));
            case 0xDC: return DecodeArray(ref source, (int)Take(ref source, 2));
            case 0xDD: return DecodeArray(ref source, (int)Take(ref source, 4));
            case 0xDE: return DecodeObject(ref source, (int)Take(ref source, 2));
            case 0xDF: return DecodeObject(ref source, (int)Take(ref source, 4));
            case >= 0xE0: return (long)(sbyte)tag;
            default: throw new FormatException($"tag {tag:X2}");
        }
    }

    private static ulong Take(ref ReadOnlySpan<byte> source, int size)
    {
        ulong value = 0;
        foreach (var b in source[..size])
            value = (value << 8) | b;
        source = source[size..];
        return value;
    }

    private static string DecodeText(ref ReadOnlySpan<byte> source, int length)
    {
        var text = Utf8.GetString(source[..length]);
        source = source[length..];
        return text;
    }

    private static Plain DecodeBytes(ref ReadOnlySpan<byte> source, int length)
    {
        var bytes = source[..length].ToArray();
        source = source[length..];
        return bytes;
    }

    private static Plain DecodeArray(ref ReadOnlySpan<byte> source, int count)
    {
        var items = new Plain[count];
        for (var i = 0; i < count; i++)
            items[i] = Decode(ref source);
        return new Plain(items);
    }

    private static Plain DecodeObject(ref ReadOnlySpan<byte> source, int count)
    {
        var members = new (string, Plain)[count];
        for (var i = 0; i < count; i++)
        {
            var name = Decode(ref source).AsText ?? throw new FormatException("a member name is not a string");
            members[i] = (name, Decode(ref source));
        }

        return Map(members);
    }
}

/// <summary>Order of UTF-8 bytes (NAM-4), which differs from the order of UTF-16 units for characters above U+FFFF.</summary>
public sealed class Utf8Order : IComparer<string>
{
    public static Utf8Order Instance { get; } = new();

    public int Compare(string? x, string? y) =>
        Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(y!));
}
