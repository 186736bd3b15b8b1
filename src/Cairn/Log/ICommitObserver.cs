namespace Cairn.Log;

/// <summary>The one way up for committed operations: indexes, feeds, waiters.</summary>
internal interface ICommitObserver
{
    /// <summary>Called once per commit, in sequence order, after the commit is visible, on the thread that wrote it. Must be quick
    /// and must not throw.</summary>
    /// <param name="payload">The transaction's payload; borrowed for the call.</param>
    void Observe(ulong sequence, ReadOnlySpan<byte> payload);
}
