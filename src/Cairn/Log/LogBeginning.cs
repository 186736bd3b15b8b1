namespace Cairn.Log;

/// <summary>What an opening writes before its first record: a segment of its own, and the manifest that names it. After a clean close
/// that waits until there is a record, or another change of the manifest; see decision 0014.</summary>
/// <param name="Header">Of the segment.</param>
/// <param name="Chain">Chain value of the first record behind what the segment begins with.</param>
/// <param name="MakeSegment">Writes, syncs and names it.</param>
/// <param name="Manifest">The one that counts then, but for the segment.</param>
internal sealed record LogBeginning(SegmentHeader Header, uint Chain, Func<OpenSegment> MakeSegment, Manifest Manifest)
{
    /// <summary>Where the first record goes.</summary>
    internal LogStart Start => new(Header.CopiedTo, Chain);

    internal Manifest Naming(OpenSegment segment) => Manifest with
    {
        Segments =
        [
            .. Manifest.Segments,
            new ManifestSegment(Header.Number, Header.BasePosition, Header.CopiedTo, Header.FirstSequence, 0, segment.FileBytes, default),
        ],
    };
}

/// <summary>Position and chain value of the first record of an opening.</summary>
internal readonly record struct LogStart(ulong Position, uint Chain);
