namespace Cairn.Log;

/// <summary>What a record is. A table of its own, not the operation codes. 00 is never valid: it is what zero fill reads as.</summary>
internal enum RecordType : byte
{
    Transaction = 0x01,
    CheckpointMark = 0x02,
    DurableMark = 0x03,
    Seal = 0x04,
    Open = 0x05,
    Content = 0x06,
    Prepared = 0x07,
    Decision = 0x08,
    Resolved = 0x09,
    Ownership = 0x0A,
}

/// <summary>Flags of a record; any other bit is refused by name.</summary>
[Flags]
internal enum RecordFlags : ushort
{
    None = 0,

    /// <summary>The payload is stored encrypted.</summary>
    Encrypted = 1,

    /// <summary>A control record that a version which does not know its type may step over.</summary>
    Ignorable = 0x8000,
}
