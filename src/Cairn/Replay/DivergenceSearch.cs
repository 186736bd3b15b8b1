using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;

namespace Cairn.Replay;

/// <summary>
/// The first commits of two histories that do different things. Both chains are followed back to the common point, which gives where their
/// records lie, and then read forward side by side, commit by commit. Commits without anything to compare, such as the beginning of a run,
/// are passed over on both sides.
///
/// Compared are operation, address and value. Not compared: sequences, times, expiries, hashes and salts; ids of traces, instead of which
/// their order of appearance counts; idempotency keys; and what the options pass over.
/// </summary>
internal static class DivergenceSearch
{
    /// <param name="chosen">Types of the events whose appends are compared, and nothing else; null = everything.</param>
    internal static Divergence? First(DiffEnd a, DiffEnd b, CommonPoint? common, TypeFilter? chosen, DiffOptions options)
    {
        using var inA = new Commits(a, common, chosen, options);
        using var inB = new Commits(b, common, chosen, options);
        while (true)
        {
            var (hasA, hasB) = (inA.MoveNext(), inB.MoveNext());
            if (!hasA && !hasB)
                return null;
            var at = 0;
            while (hasA && hasB && at < inA.Told.Count && at < inB.Told.Count && inA.Told[at].IsSame(inB.Told[at]))
                at++;
            if (hasA && hasB && at == inA.Told.Count && at == inB.Told.Count)
            {
                inA.Pass();
                inB.Pass();
                continue;
            }

            var toldA = hasA ? inA.Told.ElementAtOrDefault(at) : null;
            var toldB = hasB ? inB.Told.ElementAtOrDefault(at) : null;
            return new Divergence
            {
                OrdinalA = inA.Ordinal,
                OrdinalB = inB.Ordinal,
                A = hasA ? inA.Commit : null,
                B = hasB ? inB.Commit : null,
                OperationA = toldA?.Operation,
                OperationB = toldB?.Operation,
                Path = toldA is { Value: { } left } && toldB is { Value: { } right } && toldA.IsAbout(toldB)
                    ? ValuePath.FirstDifference(left, right)
                    : null,
                LastCommonA = inA.LastCommon,
                LastCommonB = inB.LastCommon,
            };
        }
    }

    /// <summary>An operation as it is compared.</summary>
    private sealed class Told(LogOperation operation, string address, Value? value)
    {
        internal LogOperation Operation => operation;

        internal string Address => address;

        internal Value? Value => value;

        internal bool IsAbout(Told other) => operation.Name == other.Operation.Name && address == other.Address;

        internal bool IsSame(Told other) => IsAbout(other) && value == other.Value;
    }

    /// <summary>The commits of one side behind the common point, oldest first.</summary>
    private sealed class Commits : IDisposable
    {
        private readonly DiffEnd _end;
        private readonly TypeFilter? _chosen;
        private readonly DiffOptions _options;
        private readonly List<(RunId Run, ulong Position)> _positions = [];
        private readonly Dictionary<string, string> _traces = new(StringComparer.Ordinal);
        private readonly LogReader? _reader;
        private int _next;

        internal Commits(DiffEnd end, CommonPoint? common, TypeFilter? chosen, DiffOptions options)
        {
            (_end, _chosen, _options) = (end, chosen, options);
            using var chain = new DiffChain(end, common);
            while (chain.MoveNext(out _))
                _positions.Add((chain.Run, chain.Position));
            if (chain.IsTrimmed)
                throw Trimmed(chain.Oldest);
            _positions.Reverse();
            _reader = new LogReader(end.Log!);
        }

        internal List<Told> Told { get; } = [];

        internal CommittedTransaction? Commit { get; private set; }

        internal long Ordinal => _next;

        internal Sequence? LastCommon { get; private set; }

        /// <summary>Goes to the next commit with something to compare.</summary>
        internal bool MoveNext()
        {
            Told.Clear();
            while (Told.Count == 0 && _next < _positions.Count)
                Read(_positions[_next++]);
            if (Told.Count > 0)
                return true;
            _next = _positions.Count + 1;
            return false;
        }

        /// <summary>The present commit has its like on the other side.</summary>
        internal void Pass() => LastCommon = Commit!.Sequence;

        private void Read((RunId Run, ulong Position) record)
        {
            var (run, position) = record;
            var log = _end.Log!;
            if (!History.TryRead(log, _reader!, run, position, out _, out var header, out var payload))
                throw Trimmed(log.SegmentAt(log.FirstPosition).FirstSequence);      // given up since the chain was walked
            Commit = CommittedTransaction.Of(log, _end.Operations, header, payload, position);
            foreach (var operation in Commit.Operations.Where(operation => operation.Run == run))
            {
                if (operation.Address.Primitive is "idempotency" or "merges" || operation.Name is "run.create" or "run.fork")
                    continue;
                if (_chosen is not null && !(operation.Name == "event.append" && _chosen.Takes(operation.Key.Span)))
                    continue;
                Told.Add(new Told(operation, AddressOf(operation), ValueOf(operation)));
            }
        }

        private string AddressOf(LogOperation operation) => operation.Address.Primitive switch
        {
            "traces" => TraceName(operation.Address.Key),
            "runs" => "runs",
            "events" when _chosen is not null => "events",     // their order counts, and not their numbers
            "json" => $"{operation.Address}{operation.Path}",
            _ => operation.Address.ToString(),
        };

        private string TraceName(string id)
        {
            if (!_traces.TryGetValue(id, out var name))
                _traces[id] = name = $"traces/{_traces.Count}";
            return name;
        }

        private Value? ValueOf(LogOperation operation)
        {
            if (operation.Value is not { } value)
                return operation.Name is "event.consumer_commit" ? Value.Bytes(operation.Body.Span) : default(Value?);
            if (operation.Address.Primitive == "events")
            {
                var type = Utf8.GetTrustedString(operation.Key.Span);
                return Value.Object(("type", type), ("payload", EventDifferences.Compared(type, value, _options)));
            }

            if (operation.Address.Primitive != "traces" || value.Kind != ValueKind.Object)
                return value;
            var content = TraceDifferences.Compared(value);
            if (!value.TryGetMember("parent", out var parent))
                return content;
            var above = new TraceId(RunId.Read(parent.AsBytes().Span).Bits).ToString();
            return Value.Object(content.AsObject().Append(new("parent", TraceName(above))));
        }

        private HistoryTrimmedException Trimmed(ulong earliest) =>
            new(new Sequence(Math.Min(earliest, _end.Sequence)), new Sequence(earliest));

        public void Dispose() => _reader?.Dispose();
    }
}
