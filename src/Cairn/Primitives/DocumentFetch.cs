using Cairn.Documents;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>Fetches the keys on a path into the processor's cache, all at once, where the path's trail says they are: a hint in two
/// halves, as <see cref="RunStore.PrefetchBucket"/> has it.</summary>
/// <param name="hashes">Room for <see cref="KeysMax"/>.</param>
internal ref struct DocumentFetch(RunStore store, Span<ulong> hashes)
{
    internal const int KeysMax = 2 + PathTrail.LevelsMax;

    private readonly Span<ulong> _hashes = hashes;
    private int _count;

    /// <summary>What was guessed by; null when nothing was.</summary>
    internal PathTrail? Trail { get; private set; }

    /// <summary>The first half: buckets.</summary>
    /// <param name="buffer">At least <see cref="DocumentKeys.BufferBytes"/>.</param>
    /// <param name="forChange">The header too.</param>
    internal void Begin(Span<byte> buffer, ReadOnlySpan<byte> id, DocumentPath path, bool forChange)
    {
        if (path.Count == 0 || path.Trail is not { } trail || !trail.MayGuess())
            return;
        Trail = trail;
        var keys = new DocumentKeys(buffer, id);
        Add(keys.Root());
        if (forChange)
            Add(keys.Header());
        var walk = new EncodedPath(path.Encoded);
        foreach (var node in trail.Nodes)
        {
            walk.MoveNext(out var segment);
            if (segment is { Kind: SegmentKind.Name, Name.Length: <= DocumentKeys.NameBytesMax })
                Add(keys.Member(node, segment.Name));
            else if (segment is { Kind: SegmentKind.Index, CountsFromEnd: false })
                Add(keys.Element(node, segment.IndexIn(0)));
        }
    }

    /// <summary>The second half: entries.</summary>
    /// <returns>False: the path leads elsewhere, as far as that can be seen. Whoever walks it next should tell the trail.</returns>
    internal readonly bool End()
    {
        var isRight = true;
        foreach (var hash in _hashes[.._count])
            isRight &= store.PrefetchEntry(hash);
        if (!isRight)
            Trail!.GuessedWrong();
        return isRight;
    }

    private void Add(ReadOnlySpan<byte> key) => _hashes[_count++] = store.PrefetchBucket(key);
}
