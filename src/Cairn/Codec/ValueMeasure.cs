namespace Cairn.Codec;

/// <summary>Whether a door takes numbers that are not finite (VAL-5).</summary>
internal enum FloatRule
{
    /// <summary>NaN and infinities are kept: Kv, State.</summary>
    Any,

    /// <summary>NaN and infinities are refused: Json, event and trace payloads.</summary>
    Finite,
}

/// <summary>The size of a value, in every respect that has a limit. A value knows its measure from the moment it is made, so a door
/// checks all limits in constant time, before anything is allocated (G13).</summary>
/// <param name="Bytes">Length of the canonical encoding.</param>
/// <param name="Depth">Levels of arrays and objects: 0 for a scalar, 1 for an array of scalars.</param>
/// <param name="LongestString">Bytes of the longest string, member name or byte string in it.</param>
/// <param name="MostElements">Elements of its longest array.</param>
/// <param name="MostMembers">Members of its largest object.</param>
/// <param name="IsFinite">False when a NaN or an infinity is in it.</param>
internal readonly record struct ValueMeasure(
    long Bytes, int Depth, int LongestString, int MostElements, int MostMembers, bool IsFinite)
{
    // The hard maxima of the limits table. No value passes them in memory either: so recursion over a value is bounded, and a small
    // graph of arrays that share their elements cannot stand for an endless encoding.
    internal const int BytesHardMax = 64 << 20;
    internal const int StringBytesHardMax = 64 << 20;
    internal const int DepthHardMax = 512;
    internal const int ElementsHardMax = 16_777_216;
    internal const int MembersHardMax = 16_777_216;

    /// <summary>The measure of a scalar without text.</summary>
    internal static ValueMeasure OfScalar(int bytes, bool isFinite = true) => new(bytes, 0, 0, 0, 0, isFinite);

    /// <summary>The measure of a string of so many bytes.</summary>
    internal static ValueMeasure OfString(int utf8Bytes) =>
        new((long)ValueWriter.StringHeaderLength(utf8Bytes) + utf8Bytes, 0, utf8Bytes, 0, 0, true);

    /// <summary>The measure of a byte string of so many bytes.</summary>
    internal static ValueMeasure OfBytes(int bytes) =>
        new((long)ValueWriter.BytesHeaderLength(bytes) + bytes, 0, bytes, 0, 0, true);

    /// <summary>The measure of an array or object as far as this part goes: both, one after another.</summary>
    internal ValueMeasure And(in ValueMeasure next) => new(
        Bytes + next.Bytes,
        Math.Max(Depth, next.Depth),
        Math.Max(LongestString, next.LongestString),
        Math.Max(MostElements, next.MostElements),
        Math.Max(MostMembers, next.MostMembers),
        IsFinite & next.IsFinite);

    /// <summary>The measure of an array whose elements measure this, together.</summary>
    internal ValueMeasure InArray(int elements) => this with
    {
        Bytes = Bytes + ValueWriter.ArrayHeaderLength(elements),
        Depth = Depth + 1,
        MostElements = Math.Max(MostElements, elements),
    };

    /// <summary>The measure of an object whose names and values measure this, together.</summary>
    internal ValueMeasure InObject(int members) => this with
    {
        Bytes = Bytes + ValueWriter.ObjectHeaderLength(members),
        Depth = Depth + 1,
        MostMembers = Math.Max(MostMembers, members),
    };

    /// <summary>Checks every limit of a door.</summary>
    /// <returns>The length of the encoding, in bytes.</returns>
    /// <exception cref="LimitException">The first limit that is passed: LIM-4, 5, 6, 7, then 3.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not finite where it must be.</exception>
    internal int Check(Limits limits, FloatRule floats = FloatRule.Any)
    {
        AtMost(nameof(Limits.StringBytesMax), limits.StringBytesMax, LongestString, "bytes");
        AtMost(nameof(Limits.DepthMax), limits.DepthMax, Depth, "levels");
        AtMost(nameof(Limits.ArrayElementsMax), limits.ArrayElementsMax, MostElements, "elements");
        AtMost(nameof(Limits.ObjectMembersMax), limits.ObjectMembersMax, MostMembers, "members");
        AtMost(nameof(Limits.ValueBytesMax), limits.ValueBytesMax, Bytes, "bytes");
        if (floats == FloatRule.Finite && !IsFinite)
            throw NotFinite();
        return (int)Bytes;
    }

    /// <summary>Checks the hard maxima, which hold for every value in memory.</summary>
    /// <exception cref="LimitException">The first one that is passed.</exception>
    internal ValueMeasure CheckHard()
    {
        AtMost(nameof(Limits.StringBytesMax), StringBytesHardMax, LongestString, "bytes");
        AtMost(nameof(Limits.DepthMax), DepthHardMax, Depth, "levels");
        AtMost(nameof(Limits.ArrayElementsMax), ElementsHardMax, MostElements, "elements");
        AtMost(nameof(Limits.ObjectMembersMax), MembersHardMax, MostMembers, "members");
        AtMost(nameof(Limits.ValueBytesMax), BytesHardMax, Bytes, "bytes");
        return this;
    }

    internal static CairnException NotFinite() => new(ErrorCode.InvalidArgument,
        "NaN and infinities are kept by Kv and State only; documents, event and trace payloads take finite numbers. Send Null or a String.");

    private static void AtMost(string limit, long allowed, long actual, string unit)
    {
        if (actual > allowed)
            throw new LimitException(limit, allowed, actual, unit);
    }
}
