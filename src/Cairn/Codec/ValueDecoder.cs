using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Cairn.Codec;

/// <summary>Reads canonical MessagePack (VAL-8): total, without recursion, and with allocations in proportion to the input. First
/// <see cref="TryMeasure"/> judges every byte and allocates nothing; then the value is built from bytes that cannot fail.</summary>
internal static class ValueDecoder
{
    /// <summary>True when the bytes are the canonical encoding of exactly one value.</summary>
    internal static bool IsCanonical(ReadOnlySpan<byte> canonical) => TryMeasure(canonical, out _, out _);

    /// <summary>Reads a value.</summary>
    /// <returns>False, with the first fault, when the bytes are not the canonical encoding of exactly one value.</returns>
    internal static bool TryDecode(ReadOnlySpan<byte> canonical, out Value value, out DecodeFailure failure)
    {
        if (!TryMeasure(canonical, out _, out failure))
        {
            value = default;
            return false;
        }

        value = Build(canonical);
        return true;
    }

    /// <summary>Reads a value.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not the canonical encoding of a value.</exception>
    internal static Value Decode(ReadOnlySpan<byte> canonical) =>
        TryDecode(canonical, out var value, out var failure) ? value : throw failure.ToException();

    /// <summary>Judges an encoding without building the value, and measures it, so that a door can check its limits on bytes that came
    /// from outside: <c>measure.Check(limits)</c>.</summary>
    /// <returns>False, with the first fault, when the bytes are not the canonical encoding of exactly one value.</returns>
    [SkipLocalsInit]
    internal static bool TryMeasure(ReadOnlySpan<byte> canonical, out ValueMeasure measure, out DecodeFailure failure)
    {
        measure = default;
        failure = default;
        if (canonical.Length > ValueMeasure.BytesHardMax + ValueWriter.HeaderLengthMax)
        {
            failure = new DecodeFailure(DecodeFault.TooLong, 0);
            return false;
        }

        Span<OpenContainer> open = stackalloc OpenContainer[ValueMeasure.DepthHardMax];
        var walk = new Walk(canonical, open);
        var fault = walk.Run();
        if (fault != DecodeFault.None)
        {
            failure = new DecodeFailure(fault, walk.Offset);
            return false;
        }

        measure = walk.Measure;
        return true;
    }

    /// <summary>The encoding of an object's member, as it stands in the encoding of the object.</summary>
    /// <param name="canonical">Judged before.</param>
    /// <returns>False when it is no object or has no such member.</returns>
    internal static bool TryFindMember(ReadOnlySpan<byte> canonical, ReadOnlySpan<byte> name, out ReadOnlySpan<byte> member)
    {
        var reader = new ValueReader(canonical);
        member = default;
        if (reader.Read(out var top) != DecodeFault.None || top.Kind != ValueKind.Object)
            return false;
        for (var left = top.Bits; left > 0; left--)
        {
            reader.Read(out var found);
            var start = reader.Offset;
            if (!TryPass(ref reader))
                return false;
            if (!found.Content.SequenceEqual(name))
                continue;
            member = canonical[start..reader.Offset];
            return true;
        }

        return false;
    }

    /// <summary>The encoding of an array's element, as it stands in the encoding of the array.</summary>
    /// <param name="canonical">Judged before.</param>
    /// <param name="index">Which; outside of the array there is none.</param>
    /// <returns>False when it is no array or has no such element.</returns>
    internal static bool TryFindElement(ReadOnlySpan<byte> canonical, long index, out ReadOnlySpan<byte> element)
    {
        element = default;
        if (index < 0 || index >= ElementCount(canonical))
            return false;
        var reader = new ValueReader(canonical);
        reader.Read(out _);
        for (; index > 0; index--)
        {
            if (!TryPass(ref reader))
                return false;
        }

        var start = reader.Offset;
        if (!TryPass(ref reader))
            return false;
        element = canonical[start..reader.Offset];
        return true;
    }

    /// <summary>Elements of an encoded array; 0 when it is none.</summary>
    internal static long ElementCount(ReadOnlySpan<byte> canonical) =>
        new ValueReader(canonical).Read(out var top) == DecodeFault.None && top.Kind == ValueKind.Array ? top.Bits : 0;

    // One value, with all that is in it.
    private static bool TryPass(ref ValueReader reader)
    {
        for (var pending = 1L; pending > 0; pending--)
        {
            if (reader.Read(out var item) != DecodeFault.None)
                return false;
            pending += item.Kind switch
            {
                ValueKind.Array => item.Bits,
                ValueKind.Object => 2 * item.Bits,
                _ => 0,
            };
        }

        return true;
    }

    private static Value Build(ReadOnlySpan<byte> canonical)
    {
        var reader = new ValueReader(canonical);
        var open = System.Array.Empty<OpenValues>();
        var depth = 0;
        while (true)
        {
            if (depth > 0 && open[depth - 1].Names is { } names)
                names[open[depth - 1].Filled] = Utf8.GetTrustedString(Next(ref reader).Content);
            var item = Next(ref reader);
            Value value;
            if (item.Kind is ValueKind.Array or ValueKind.Object)
            {
                if (item.Bits > 0)
                {
                    if (depth == open.Length)
                        System.Array.Resize(ref open, Math.Max(4, 2 * depth));
                    open[depth++] = new OpenValues((int)item.Bits, item.Kind == ValueKind.Object);
                    continue;
                }

                value = item.Kind == ValueKind.Array ? new Value(ValueElements.Empty) : new Value(ValueMembers.Empty);
            }
            else
            {
                value = BuildScalar(item);
            }

            while (true)
            {
                if (depth == 0)
                    return value;
                ref var innermost = ref open[depth - 1];
                innermost.Values[innermost.Filled++] = value;
                if (innermost.Filled < innermost.Values.Length)
                    break;
                value = innermost.Close();
                innermost = default;
                depth--;
            }
        }
    }

    private static ValueItem Next(ref ValueReader reader)
    {
        var fault = reader.Read(out var item);
        Invariant.Check(fault == DecodeFault.None, "bytes that were judged canonical read without a fault");
        return item;
    }

    private static Value BuildScalar(in ValueItem item) => item.Kind switch
    {
        ValueKind.Bool => item.Bits != 0,
        ValueKind.Int64 => item.Bits,
        ValueKind.Float64 => BitConverter.Int64BitsToDouble(item.Bits),
        ValueKind.String => Value.Trusted(Utf8.GetTrustedString(item.Content), item.Content.Length),
        ValueKind.Bytes => Value.Bytes(item.Content),
        _ => Value.Null,
    };

    /// <summary>An array or object whose items have not all been judged.</summary>
    private struct OpenContainer
    {
        internal int Missing;
        internal bool IsObject;
        internal bool HasName;
        internal int NameStart;
        internal int NameLength;
    }

    /// <summary>An array or object whose items have not all been built.</summary>
    private struct OpenValues(int count, bool isObject)
    {
        internal readonly Value[] Values = new Value[count];
        internal readonly string[]? Names = isObject ? new string[count] : null;
        internal int Filled;

        internal readonly Value Close() => Names is null
            ? new Value(new ValueElements(Values))
            : new Value(new ValueMembers(Names, Values));
    }

    /// <summary>One pass over an encoding, with its own stack.</summary>
    [SuppressMessage("Performance", "CA1815", Justification = "Never compared.")]
    private ref struct Walk(ReadOnlySpan<byte> source, Span<OpenContainer> open)
    {
        private readonly ReadOnlySpan<byte> _source = source;
        private readonly Span<OpenContainer> _open = open;
        private ValueReader _reader = new(source);
        private int _depth;
        private int _deepest;
        private int _longestString;
        private int _mostElements;
        private int _mostMembers;
        private bool _hasNotFinite;

        // Items that were announced and have not come. Each takes at least a byte, so more of them than bytes is a lie.
        private long _promised = 1;

        internal readonly int Offset => _reader.Offset;

        internal readonly ValueMeasure Measure =>
            new(_source.Length, _deepest, _longestString, _mostElements, _mostMembers, !_hasNotFinite);

        internal DecodeFault Run()
        {
            do
            {
                if (_depth > 0 && _open[_depth - 1].IsObject)
                {
                    var nameFault = Name(ref _open[_depth - 1]);
                    if (nameFault != DecodeFault.None)
                        return nameFault;
                }

                var fault = Item();
                if (fault != DecodeFault.None)
                    return fault;
                while (_depth > 0 && _open[_depth - 1].Missing == 0)
                    _depth--;
            }
            while (_depth > 0);

            return _reader.IsAtEnd ? DecodeFault.None : DecodeFault.TrailingBytes;
        }

        private DecodeFault Item()
        {
            var start = _reader;
            var fault = _reader.Read(out var item);
            if (fault != DecodeFault.None)
                return fault;
            _promised--;
            if (_depth > 0)
                _open[_depth - 1].Missing--;
            switch (item.Kind)
            {
                case ValueKind.Float64:
                    _hasNotFinite |= !double.IsFinite(BitConverter.Int64BitsToDouble(item.Bits));
                    return DecodeFault.None;
                case ValueKind.String or ValueKind.Bytes:
                    _longestString = Math.Max(_longestString, item.Content.Length);
                    fault = item.Content.Length > ValueMeasure.StringBytesHardMax ? DecodeFault.TooLong : DecodeFault.None;
                    break;
                case ValueKind.Array or ValueKind.Object:
                    fault = Open((int)Math.Min(item.Bits, int.MaxValue), item.Kind == ValueKind.Object);
                    break;
            }

            if (fault != DecodeFault.None)
                _reader = start;
            return fault;
        }

        private DecodeFault Open(int count, bool isObject)
        {
            if (_depth == ValueMeasure.DepthHardMax)
                return DecodeFault.TooDeep;
            if (_source.Length > ValueMeasure.BytesHardMax)
                return DecodeFault.TooLong;
            if (isObject && count > ValueMeasure.MembersHardMax)
                return DecodeFault.TooManyMembers;
            if (!isObject && count > ValueMeasure.ElementsHardMax)
                return DecodeFault.TooManyElements;
            _promised += isObject ? 2L * count : count;
            if (_promised > _reader.Remaining)
                return DecodeFault.Truncated;

            if (isObject)
                _mostMembers = Math.Max(_mostMembers, count);
            else
                _mostElements = Math.Max(_mostElements, count);
            _open[_depth++] = new OpenContainer { Missing = count, IsObject = isObject };
            _deepest = Math.Max(_deepest, _depth);
            return DecodeFault.None;
        }

        private DecodeFault Name(ref OpenContainer container)
        {
            var start = _reader;
            var fault = _reader.Read(out var item);
            if (fault == DecodeFault.None)
                fault = Judge(item, ref container);
            if (fault != DecodeFault.None)
                _reader = start;
            return fault;
        }

        private DecodeFault Judge(in ValueItem name, ref OpenContainer container)
        {
            if (name.Kind != ValueKind.String)
                return DecodeFault.NameNotString;
            if (container.HasName)
            {
                var order = _source.Slice(container.NameStart, container.NameLength).SequenceCompareTo(name.Content);
                if (order == 0)
                    return DecodeFault.DuplicateName;
                if (order > 0)
                    return DecodeFault.NamesNotOrdered;
            }

            _promised--;
            _longestString = Math.Max(_longestString, name.Content.Length);
            container.HasName = true;
            container.NameStart = _reader.Offset - name.Content.Length;
            container.NameLength = name.Content.Length;
            return DecodeFault.None;
        }
    }
}
