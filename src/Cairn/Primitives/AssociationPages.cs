using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Pages of the associations of one end, in the order of <see cref="AssociationFilter.RangesOf"/>. A cursor holds the last key
/// that was given, which says in which range it was.</summary>
internal sealed class AssociationPages
{
    private const byte ListingAssociations = 0x83;

    private readonly Cursors _cursors;
    private readonly SnapshotRegistry _pins;
    private readonly Scope _scope;
    private readonly string? _cursor;
    private readonly AssociationFilter _filter;
    private readonly List<(byte[] From, byte[] To)> _ranges;
    private readonly int _limit;
    private readonly uint _request;

    /// <exception cref="CairnException">The query asks for what there cannot be.</exception>
    /// <exception cref="LimitException">Something of it is too large.</exception>
    internal AssociationPages(Cursors cursors, SnapshotRegistry pins, Scope scope, ReadOnlySpan<byte> end, AssociationQuery query)
    {
        (_cursors, _pins, _scope, _cursor) = (cursors, pins, scope, query.Cursor);
        var limits = scope.Path.Limits;
        _filter = new AssociationFilter(query.Direction, query.Types, query.ValidAt, query.MinConfidence, query.Filter, limits);
        _limit = KeyRange.PageLimit(query.Limit, limits);
        _ranges = _filter.RangesOf(end);
        var crc = _filter.Check(Crc32C.Start);
        foreach (var (from, _) in _ranges)
            crc = Crc32C.Append(crc, from);
        _request = Crc32C.Finish(crc);
    }

    /// <summary>Reads the page.</summary>
    /// <param name="sequence">What all pages show.</param>
    /// <returns>The cursor of the next page; null: there is none.</returns>
    internal string? Read(List<Association> found, out ulong sequence)
    {
        var pin = default(SnapshotPin);
        var isPinned = false;
        var at = _scope;
        byte[]? last = null;
        try
        {
            _scope.ThrowIfNotReadable();
            if (_cursor is { } cursor)
            {
                Cursors.Parse(cursor, ListingAssociations, _request, out sequence, out var time, out last);
                if (_scope.IsLive)
                {
                    pin = _cursors.Resume(_scope.Run, sequence);
                    isPinned = true;
                    at = Scope.Snapshot(_scope.Path, _scope.Run, sequence, time);
                }
                else if (sequence != _scope.Sequence)
                {
                    throw new CairnException(
                        ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a listing where it was begun.");
                }
            }
            else if (_scope.IsLive)
            {
                pin = _pins.Take(_scope.Run.Visible, _scope.Run.Store.RunTag);
                isPinned = true;
                at = Scope.Snapshot(_scope.Path, _scope.Run, pin.Sequence, _scope.Path.ReadTime());
            }

            sequence = at.Sequence;
            if (!Read(at, found, ref last))
                return null;
            return _scope.IsLive
                ? _cursors.Keep(ListingAssociations, _scope.Run, sequence, at.Time, last, _request)
                : Cursors.Format(ListingAssociations, sequence, at.Time, last, _request);
        }
        finally
        {
            if (isPinned)
                _pins.Release(pin);
        }
    }

    // True: the page is full and there is more. Then what was given last is in last.
    private bool Read(Scope at, List<Association> found, ref byte[]? last)
    {
        foreach (var (start, to) in _ranges)
        {
            var from = start;
            if (last is not null)
            {
                if (last.AsSpan().SequenceCompareTo(to) >= 0)
                    continue;
                if (last.AsSpan().SequenceCompareTo(start) >= 0)
                    from = [.. last, 0];
            }

            if (Read(at, from, to, found, ref last))
                return true;
        }

        return false;
    }

    private bool Read(Scope at, byte[] from, byte[] to, List<Association> found, ref byte[]? last)
    {
        var rows = new Listing(at, _cursors, _pins, ListingAssociations, from, to, int.MaxValue, null, reverse: false);
        try
        {
            while (rows.MoveNext())
            {
                if (!_filter.Takes(at, rows.Key, rows.Version, out var association))
                    continue;
                if (found.Count == _limit)
                {
                    at.NoteRange(from, [.. rows.Key, 0]);
                    return true;
                }

                found.Add(association ?? AssociationFilter.Read(at, rows.Key, rows.Version));
                last = rows.Key.ToArray();
            }

            rows.End();
            return false;
        }
        finally
        {
            rows.Dispose();
        }
    }
}
