namespace Cairn.Documents;

/// <summary>
/// Where a path led in the document before. Documents of one shape that were made as a whole number their nodes alike, so all keys on
/// the path can be fetched at once, instead of each when the one before it has said which it is. A guess: what is fetched in vain costs
/// its hash, and nothing rests on it. Any thread.
/// </summary>
internal sealed class PathTrail(int segments)
{
    internal const int LevelsMax = 8;

    private const int Rest = 16;                          // chosen: where documents differ, one call in so many guesses

    private readonly ulong[] _nodes = new ulong[Math.Min(segments, LevelsMax)];
    private int _resting;

    /// <summary>Nodes of the containers on the way, from the root's on; 0 = not known.</summary>
    internal ReadOnlySpan<ulong> Nodes => _nodes;

    /// <summary>False: a guess was wrong, and it is too early for another one.</summary>
    internal bool MayGuess() => _resting <= 0 || _resting-- <= 0;

    internal void GuessedWrong() => _resting = Rest;

    internal void Note(int level, ulong node)
    {
        if (level < _nodes.Length && _nodes[level] != node)
            _nodes[level] = node;
    }
}
