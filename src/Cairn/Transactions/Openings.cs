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

    internal bool EndedUncleanly(ulong epoch) => _unclean.Contains(epoch);
}
