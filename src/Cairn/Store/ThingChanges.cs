using System.Diagnostics.CodeAnalysis;

namespace Cairn.Store;

/// <summary>Which things of a run were written by which commits, from a moment on: what an index of words has not seen yet. There is none
/// as long as no index is. Written by Apply under the run's lock, before the commit is visible; so whoever sees a commit finds its things
/// here.</summary>
internal sealed class ThingChanges(ulong since)
{
    /// <summary>Chosen: an index that is so far behind is made anew.</summary>
    internal const int Most = 1 << 17;

    private readonly Lock _gate = new();
    private readonly Queue<(ulong Sequence, byte[] Key)> _changes = new();
    private ulong _since = since;

    /// <summary>Every thing that was written after this is here.</summary>
    internal ulong Since
    {
        get
        {
            lock (_gate)
                return _since;
        }
    }

    internal void Add(ulong sequence, ReadOnlySpan<byte> thing)
    {
        lock (_gate)
        {
            if (_changes.Count == Most)
                _since = _changes.Dequeue().Sequence;
            _changes.Enqueue((sequence, thing.ToArray()));
        }
    }

    /// <summary>More has changed than is told by things: whoever has not seen this commit begins again.</summary>
    internal void BeginAgain(ulong sequence)
    {
        lock (_gate)
        {
            _changes.Clear();
            _since = sequence;
        }
    }

    /// <summary>The things of a family that commits behind one up to another have written, each once, in the order of their keys.</summary>
    /// <param name="things">Without the family.</param>
    /// <returns>False: that is not known any more.</returns>
    internal bool TryRead(ulong after, ulong upTo, byte family, [NotNullWhen(true)] out List<byte[]>? things)
    {
        things = null;
        var set = new HashSet<byte[]>(ByteArrayComparer.Instance);
        lock (_gate)
        {
            if (after < _since)
                return false;
            foreach (var (sequence, key) in _changes)
            {
                if (sequence > upTo)
                    break;
                if (sequence > after && key[0] == family)
                    set.Add(key[1..]);
            }
        }

        things = [.. set];
        things.Sort(ByteArrayComparer.Instance);
        return true;
    }

    /// <summary>Nobody asks about commits up to one any more.</summary>
    internal void Forget(ulong upTo)
    {
        lock (_gate)
        {
            while (_changes.TryPeek(out var oldest) && oldest.Sequence <= upTo)
                _changes.Dequeue();
            _since = Math.Max(_since, upTo);
        }
    }
}
