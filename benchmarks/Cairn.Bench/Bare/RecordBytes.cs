namespace Cairn.Bench.Bare;

/// <summary>How many bytes Cairn's log takes for what the suites write, from the tables of <c>docs/format.md</c>: the bare loops
/// write as many.</summary>
internal static class RecordBytes
{
    private const int Header = 40;
    private const int Transaction = 16;
    private const int RunPart = 32;
    private const int Operation = 8;
    private const int EventFields = 8 + 32 + 32 + 16;

    /// <summary>A commit of one Kv put whose value is a byte string of at most 255 bytes.</summary>
    internal static int Put(int keyBytes, int valueBytes) =>
        Aligned(Header + Transaction + RunPart + Operation + keyBytes + ByteString(valueBytes));

    /// <summary>A commit of one event.</summary>
    /// <param name="payloadBytes">Of the canonical payload.</param>
    internal static int Append(int typeBytes, int payloadBytes) =>
        Aligned(Header + Transaction + RunPart + Operation + typeBytes + EventFields + payloadBytes);

    /// <summary>A canonical object with one member: a short name, and a byte string of at most 255 bytes.</summary>
    internal static int ObjectOfBytes(int nameBytes, int valueBytes) => 1 + 1 + nameBytes + ByteString(valueBytes);

    /// <summary>A canonical byte string of at most 255 bytes.</summary>
    internal static int ByteString(int bytes) => 2 + bytes;

    private static int Aligned(int bytes) => (bytes + 7) & ~7;
}
