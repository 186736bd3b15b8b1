using System.Runtime.InteropServices;

namespace Cairn.Log;

/// <summary>
/// The one word that publishes commits to readers: every commit at or below it is applied and as firm as its durability asks.
/// With a log there is one per database; in memory one per run. Padded to lines of its own: the word every reader loads must
/// not share a line with a word that every writer stores (store.md of the evidence, pitfall 6: 0.3x of scaling).
/// Written by one thread at a time; never goes back.
/// </summary>
internal sealed class VisibleSequence
{
    private Padded _word;

    internal ulong Value => Volatile.Read(ref _word.Value);

    internal void Publish(ulong sequence)
    {
        Invariant.Check(sequence >= _word.Value, "the visible sequence never goes back");
        Volatile.Write(ref _word.Value, sequence);
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Padded
    {
        [FieldOffset(128)]
        internal ulong Value;
    }
}
