namespace Cairn.Codec;

/// <summary>Why bytes are not the canonical encoding of a value (VAL-8).</summary>
internal enum DecodeFault : byte
{
    None = 0,
    Truncated,
    TrailingBytes,
    NotShortest,
    UnusedLeadByte,
    Extension,
    Float32,
    OtherNaN,
    OutsideInt64,
    InvalidUtf8,
    NameNotString,
    NamesNotOrdered,
    DuplicateName,
    TooDeep,
    TooManyElements,
    TooManyMembers,
    TooLong,
}

/// <summary>What is wrong with an encoding, and at which byte. The caller decides what it means: corruption when the bytes come from
/// the database's own files, an invalid argument when they come from outside.</summary>
internal readonly record struct DecodeFailure(DecodeFault Fault, int Offset)
{
    /// <summary>The failure as text without any of the data: "not the shortest form at byte 12".</summary>
    public override string ToString() => $"{Text(Fault)} at byte {Offset}";

    internal CairnException ToException() => new(ErrorCode.InvalidArgument,
        $"The bytes are not the canonical MessagePack encoding of a value: {this}. Encode with Value.Encode, or send JSON.");

    private static string Text(DecodeFault fault) => fault switch
    {
        DecodeFault.None => "nothing wrong",
        DecodeFault.Truncated => "the end comes too early",
        DecodeFault.TrailingBytes => "bytes after the end of the value",
        DecodeFault.NotShortest => "not the shortest form of an integer or length",
        DecodeFault.UnusedLeadByte => "the lead byte C1, which means nothing",
        DecodeFault.Extension => "an extension type",
        DecodeFault.Float32 => "a Float32; floats take nine bytes",
        DecodeFault.OtherNaN => "a NaN other than 7FF8000000000000",
        DecodeFault.OutsideInt64 => "an integer above Int64",
        DecodeFault.InvalidUtf8 => "a string that is not valid UTF-8",
        DecodeFault.NameNotString => "a member name that is not a string",
        DecodeFault.NamesNotOrdered => "member names that are not in the order of their bytes",
        DecodeFault.DuplicateName => "a member name for the second time",
        DecodeFault.TooDeep => $"more than {ValueMeasure.DepthHardMax} levels",
        DecodeFault.TooManyElements => $"more than {ValueMeasure.ElementsHardMax} elements",
        DecodeFault.TooManyMembers => $"more than {ValueMeasure.MembersHardMax} members",
        DecodeFault.TooLong => $"more than {ValueMeasure.BytesHardMax} bytes",
        _ => fault.ToString(),
    };
}
