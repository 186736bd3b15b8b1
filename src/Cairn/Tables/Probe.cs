namespace Cairn.Tables;

/// <summary>Run and key as one string of bytes, as entries are ordered: the run's 16 bytes in network order, then the store key.</summary>
internal static class Probe
{
    /// <summary>What callers keep on the stack: longer keys are rare and take an array.</summary>
    internal const int StackBytes = RunId.Size + 1056;

    internal static int Bytes(ReadOnlySpan<byte> key) => RunId.Size + key.Length;

    internal static Span<byte> Write(Span<byte> target, RunId run, ReadOnlySpan<byte> key)
    {
        run.Write(target);
        key.CopyTo(target[RunId.Size..]);
        return target[..Bytes(key)];
    }

    internal static byte[] Of(RunId run, ReadOnlySpan<byte> key)
    {
        var probe = new byte[Bytes(key)];
        Write(probe, run, key);
        return probe;
    }

    /// <summary>Behind all keys of a run: the next run's id. Empty, which is behind everything, when there is none.</summary>
    internal static byte[] Behind(RunId run) => run.Bits == UInt128.MaxValue ? [] : Of(new RunId(run.Bits + 1), default);
}
