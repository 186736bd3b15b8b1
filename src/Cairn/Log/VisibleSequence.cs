using System.Runtime.InteropServices;

namespace Cairn.Log;

/// <summary>
/// The one word that publishes commits to readers: every commit at or below it is applied and as firm as its durability asks.
/// With a log there is one per database; in memory one per run. Padded to lines of its own: the word every reader loads must
/// not share a line with a word that every writer stores (store.md of the evidence, pitfall 6: 0.3x of scaling).
/// Written by one thread at a time; never goes back.
///
/// In memory a commit over several runs has to move several words as one. It marks them all, moves the one flag that the marks lead
/// to, and then writes the words out. Who meets a mark asks the flag, so nobody waits and nobody sees one run after the commit and
/// another before it:
///
///   word of a   7    7*   7*   9    9        * = marked: the word says what was visible before,
///   word of b   5    5*   5*   5*   9            the flag whether 9 is visible instead
///   flag             -    9    9    9
///   readers     7 5  7 5  9 9  9 9  9 9
/// </summary>
internal sealed class VisibleSequence
{
    private const ulong Mark = 1UL << 63;

    private Padded _word;
    private SharedSequence? _shared;

    internal ulong Value
    {
        get
        {
            var word = Volatile.Read(ref _word.Value);
            return (word & Mark) == 0 ? word : Resolve();
        }
    }

    internal void Publish(ulong sequence)
    {
        Invariant.Check(sequence >= _word.Value, "the visible sequence never goes back");
        Volatile.Write(ref _word.Value, sequence);
    }

    /// <summary>Binds the word to a flag that moves several at once. The flag has not moved yet.</summary>
    internal void Bind(SharedSequence shared)
    {
        Invariant.Check(shared.Value >= _word.Value, "the visible sequence never goes back");
        Volatile.Write(ref _shared, shared);
        Volatile.Write(ref _word.Value, _word.Value | Mark);
    }

    /// <summary>The flag has moved: the word says so itself from now on.</summary>
    internal void Unbind()
    {
        Invariant.Check((_word.Value & Mark) != 0 && _shared!.IsVisible, "a word is written out when its flag has moved");
        Volatile.Write(ref _word.Value, _shared.Value);
    }

    // A word that is the same before and after was marked all the while, and by this flag: words never come again.
    private ulong Resolve()
    {
        while (true)
        {
            var word = Volatile.Read(ref _word.Value);
            if ((word & Mark) == 0)
                return word;
            var shared = Volatile.Read(ref _shared)!;
            var isVisible = shared.IsVisible;
            if (Volatile.Read(ref _word.Value) == word)
                return isVisible ? shared.Value : word & ~Mark;
        }
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Padded
    {
        [FieldOffset(128)]
        internal ulong Value;
    }
}

/// <summary>The sequence of a commit over several runs in memory, and whether readers see it: one flag for all their words.</summary>
internal sealed class SharedSequence(ulong value)
{
    private volatile bool _isVisible;

    internal ulong Value { get; } = value;

    internal bool IsVisible => _isVisible;

    internal void Publish() => _isVisible = true;
}
