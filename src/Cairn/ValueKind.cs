using System.Diagnostics.CodeAnalysis;

namespace Cairn;

/// <summary>The eight kinds of <see cref="Value"/>. There are no others and nothing converts between them by itself: Int64 1 is not
/// Float64 1.0, a String is not Bytes.</summary>
[SuppressMessage("Naming", "CA1720", Justification = "The names of the value model, the same in every client and on the wire.")]
public enum ValueKind
{
    /// <summary>Null, which is a value: not the same as absent.</summary>
    Null = 0,

    /// <summary>True or false.</summary>
    Bool = 1,

    /// <summary>An integer of 64 bits with sign.</summary>
    Int64 = 2,

    /// <summary>A binary floating-point number of 64 bits (IEEE 754), with one NaN.</summary>
    Float64 = 3,

    /// <summary>Text that is valid UTF-8, kept as given: neither trimmed nor normalised. May hold NUL.</summary>
    String = 4,

    /// <summary>Bytes.</summary>
    Bytes = 5,

    /// <summary>Values in order.</summary>
    Array = 6,

    /// <summary>Values under distinct names, ordered by the UTF-8 bytes of the name.</summary>
    Object = 7,
}
