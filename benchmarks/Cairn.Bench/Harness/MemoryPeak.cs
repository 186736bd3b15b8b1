namespace Cairn.Bench.Harness;

/// <summary>The most physical memory that this process had more than when this was made, as far as somebody looked.</summary>
internal sealed class MemoryPeak
{
    private readonly long _before = ResidentMemory.BytesAfterCompaction();

    internal long Bytes { get; private set; }

    internal void Look() => Bytes = Math.Max(Bytes, ResidentMemory.Bytes() - _before);
}
