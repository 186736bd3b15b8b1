namespace Cairn.Tables;

/// <summary>
/// Says of some thousand neighbouring keys that one of them is certainly not there: a Bloom filter in lines of 64 bytes, all bits of a key
/// in one line (Putze, Sanders, Singler 2007, "Cache-, hash- and space-efficient Bloom filters"). Ten bits a key and six probes: a
/// little above one in a hundred of absent keys passes; a test measures it. Layout: block header, then count lines of 64 bytes.
/// <code>
/// line of a hash h    high half of h, times count, shifted right by 32
/// bits in it          h times 9E3779B97F4A7C15: the six highest groups of 9 bits </code>
/// </summary>
internal static class FilterBlock
{
    internal const int BitsPerKey = 10;
    internal const int LineBytes = 64;

    private const int Probes = 6;
    private const ulong Spread = 0x9E3779B97F4A7C15;

    internal static bool IsWhole(ReadOnlySpan<byte> block) =>
        Block.Count(block) > 0 && Block.HeaderBytes + (long)Block.Count(block) * LineBytes == block.Length;

    internal static bool MayHave(ReadOnlySpan<byte> block, ulong hash)
    {
        var line = LineStart(Block.Count(block), hash);
        var bits = hash * Spread;
        var missing = 0UL;
        for (var probe = 0; probe < Probes; probe++, bits <<= 9)
            missing |= ~(Block.UInt64At(block, line + (int)(bits >> 61 << 3)) >> (int)(bits >> 55));     // modulo 64, as shifts are
        return (missing & 1) == 0;
    }

    internal static byte[] Build(ReadOnlySpan<ulong> hashes)
    {
        var lines = Math.Max(1, (int)(((long)hashes.Length * BitsPerKey + 8 * LineBytes - 1) / (8 * LineBytes)));
        var block = new byte[Block.HeaderBytes + lines * LineBytes];
        Block.WriteHeader(block, BlockKind.Filter, 0, 0, lines);
        if (Mutant.Is("table-filter-forgets"))
            hashes = hashes[..^1];
        foreach (var hash in hashes)
        {
            var start = LineStart(lines, hash);
            var bits = hash * Spread;
            for (var probe = 0; probe < Probes; probe++, bits <<= 9)
                block[start + (int)(bits >> 58)] |= (byte)(1 << (int)(bits >> 55 & 7));
        }

        return block;
    }

    private static int LineStart(int lines, ulong hash) => Block.HeaderBytes + (int)((hash >> 32) * (ulong)lines >> 32) * LineBytes;
}
