// What can be reached from a thing by associations, step by step
// --------------------------------------------------------------
// A breadth-first search over the keys of associations, at one sequence. A level is finished before the next begins, and within a level the
// ends are taken in the order of their bytes, so what is found, under which thing and in which order depends on the graph and the question
// alone. Drawn, from ada, whatever the type:
//
//      ada --knows--> bob --knows--> eve        level 0: ada
//       |              |                        level 1: bob, kv/invoice
//       +--pays------> kv/invoice <---names-----+   level 2: eve (found from bob; invoice is older)
//
// Effort is bounded three ways (LIM-24): things reached, associations read, time. What was found by then is given, and the answer says what
// ran out. Time is looked at every CheckEvery associations, so a hub cannot hold the caller for longer than that takes; the other two are
// exact, so within them the same question has the same answer.

using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Graph;

/// <summary>See the essay above. One search; one thread.</summary>
internal sealed class Reachability
{
    private const int CheckEvery = 1_024;
    private const byte ListingSearch = 0x84;

    private readonly Cursors _cursors;
    private readonly SnapshotRegistry _pins;
    private readonly Scope _at;
    private readonly int _depth;
    private readonly int _thingsMax;
    private readonly int _associationsMax;
    private readonly TimeSpan _timeMax;
    private readonly AssociationFilter _filter;
    private readonly TimeProvider _clock;
    private readonly long _began;
    private readonly CancellationToken _token;
    private readonly Dictionary<byte[], int> _levels = new(ByteArrayComparer.Instance);

    /// <param name="at">Stays at one sequence.</param>
    internal Reachability(
        Cursors cursors, SnapshotRegistry pins, Scope at, ReachOptions options, CancellationToken token)
    {
        (_cursors, _pins, _at, _token) = (cursors, pins, at, token);
        var limits = at.Path.Limits;
        _filter = new AssociationFilter(
            options.Direction, options.Types, options.ValidAt, options.MinConfidence, options.Filter, limits);
        _depth = Within(nameof(limits.GraphDepthMax), options.Depth, limits.GraphDepthMax, "steps");
        if (_depth == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "A search of 0 steps reaches nothing. Ask for 1 or more.");
        _thingsMax = OrMost(
            Within(nameof(limits.GraphThingsMax), options.ThingsMax, limits.GraphThingsMax, "things"), limits.GraphThingsMax);
        _associationsMax = OrMost(
            Within(nameof(limits.GraphAssociationsMax), options.AssociationsMax, limits.GraphAssociationsMax, "associations"),
            limits.GraphAssociationsMax);
        _timeMax = options.TimeMax ?? limits.GraphTimeMax;
        var (time, most) = ((int)Math.Ceiling(_timeMax.TotalMilliseconds), (int)limits.GraphTimeMax.TotalMilliseconds);
        Within(nameof(limits.GraphTimeMax), time, most, "ms");
        _clock = at.Path.Clock;
        _began = _clock.GetTimestamp();
    }

    private static int Within(string limit, int asked, int most, string unit) => asked < 0
        ? throw new CairnException(ErrorCode.InvalidArgument, $"A search of {asked} {unit} makes no sense. Ask for 0 or more.")
        : asked <= most ? asked : throw new LimitException(limit, most, asked, unit);

    private static int OrMost(int asked, int most) => asked == 0 ? most : asked;

    internal long AssociationsRead { get; private set; }

    internal GraphOutcome Outcome { get; private set; }

    internal List<ReachedThing> Search(byte[] start)
    {
        var found = new List<ReachedThing>();
        var level = new SortedDictionary<byte[], (byte[] From, string Type)>(ByteArrayComparer.Instance);
        var ends = new List<byte[]> { start };
        _levels.Add(start, 0);
        for (var depth = 1; depth <= _depth && ends.Count > 0; depth++)
        {
            level.Clear();
            foreach (var end in ends)
            {
                if (!Expand(end, level))
                {
                    Give(found, level, depth);
                    return found;
                }
            }

            ends = Give(found, level, depth);
            if (Outcome != GraphOutcome.Complete)
                return found;
        }

        return found;
    }

    // What the level found, as far as the budget of things goes.
    private List<byte[]> Give(List<ReachedThing> found, SortedDictionary<byte[], (byte[] From, string Type)> level, int depth)
    {
        var ends = new List<byte[]>(level.Count);
        foreach (var (end, way) in level)
        {
            if (found.Count == _thingsMax)
            {
                Outcome = GraphOutcome.ThingsExhausted;
                break;
            }

            _levels.Add(end, depth);
            ends.Add(end);
            found.Add(new ReachedThing(GraphKeys.ReadEnd(end), depth, GraphKeys.ReadEnd(way.From), way.Type));
        }

        return ends;
    }

    // False: something ran out.
    private bool Expand(byte[] end, SortedDictionary<byte[], (byte[] From, string Type)> level)
    {
        foreach (var (from, to) in _filter.RangesOf(end))
        {
            var rows = new Listing(_at, _cursors, _pins, ListingSearch, from, to, int.MaxValue, null, reverse: false);
            try
            {
                while (rows.MoveNext())
                {
                    if (AssociationsRead == _associationsMax)
                    {
                        Outcome = GraphOutcome.AssociationsExhausted;
                        _at.NoteRange(from, rows.Key);
                        return false;
                    }

                    if (AssociationsRead++ % CheckEvery == CheckEvery - 1 && IsOutOfTime())
                    {
                        _at.NoteRange(from, [.. rows.Key, 0]);
                        return false;
                    }

                    GraphKeys.TrySplit(rows.Key[1..], out _, out var type, out var other);
                    var known = _levels.GetAlternateLookup<ReadOnlySpan<byte>>();
                    if (known.ContainsKey(other) || !_filter.Takes(_at, rows.Key, rows.Version, out _))
                        continue;
                    level.TryAdd(other.ToArray(), (end, Codec.Utf8.GetTrustedString(type)));
                }

                rows.End();
            }
            finally
            {
                rows.Dispose();
            }
        }

        return true;
    }

    private bool IsOutOfTime()
    {
        _token.ThrowIfCancellationRequested();
        if (_clock.GetElapsedTime(_began) <= _timeMax)
            return false;
        Outcome = GraphOutcome.TimeExhausted;
        return true;
    }
}
