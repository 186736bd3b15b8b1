using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// Follows a log while it is recovered: applies its transactions, and keeps which openings ended without a clean close. A run
/// that is active and was last written in such an opening is orphaned (RUN-11): that is derived here, never stored.
/// </summary>
internal sealed class Openings(Catalogue catalogue, OperationTable operations)
{
    private readonly HashSet<ulong> _unclean = [];
    private ulong _epoch;
    private bool _lastWasSeal;

    /// <summary>Goes on where a checkpoint ended.</summary>
    /// <param name="epoch">Of the opening that made it.</param>
    /// <param name="endedUncleanly">Openings before that one.</param>
    internal void Resume(ulong epoch, IEnumerable<ulong> endedUncleanly)
    {
        _epoch = epoch;
        _unclean.UnionWith(endedUncleanly);
    }

    internal void Follow(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        if (header.Type == RecordType.Transaction)
        {
            CommitPath.Replay(catalogue, operations, header.Sequence, payload, position, _epoch);
        }
        else if (header.Type == RecordType.Open && Opening.TryRead(payload, out var opening))
        {
            // A clean close ends with a seal. A rotation's seal is followed by something else.
            if (_epoch != 0 && !_lastWasSeal)
                _unclean.Add(_epoch);
            _epoch = opening.Epoch;
        }

        _lastWasSeal = header.Type == RecordType.Seal;
    }

    /// <summary>The log was read to its end.</summary>
    internal void End(bool wasClosedCleanly)
    {
        if (!wasClosedCleanly && _epoch != 0)
            _unclean.Add(_epoch);
    }

    internal bool AnyEndedUncleanly => _unclean.Count > 0;

    /// <summary>The opening that wrote what was followed last; 0 = none yet.</summary>
    internal ulong Epoch => _epoch;

    /// <summary>All of them. Does not change any more once the log was read.</summary>
    internal IReadOnlyCollection<ulong> Unclean => _unclean;

    internal bool EndedUncleanly(ulong epoch) => _unclean.Contains(epoch);
}
