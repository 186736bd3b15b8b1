using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Transfer;

// What there is of the past of a state that comes from tables: older versions of keys and cells, from records that archives kept and from
// the log below the checkpoint. They come first, at their own commit times and with their own counters; then the state, of which the
// versions that are there already are not written again.
//
//      archive   a@3  b@5  a@9     log below the mark   b@14     tables   a@9  b@14  c@2
//      new       a    b    a                            b                           c      in this order: five commits
//
// Of a record only writes of keys and cells are taken: of everything else only the newest form can be asked for, and tables have it.
internal sealed partial class SalvageWriter
{
    private readonly Dictionary<RunId, Dictionary<byte[], PastWrite>> _past = [];
    private readonly HashSet<RunId> _begun = [];
    private SalvageImage? _image;

    /// <summary>Versions that history has beside the state.</summary>
    internal long PastVersions { get; private set; }

    /// <summary>Learns which runs there are at the checkpoint.</summary>
    /// <param name="image">The state at the checkpoint; the index of runs comes first.</param>
    /// <param name="contents">Where large values are.</param>
    /// <param name="cancellationToken">Ends it.</param>
    internal void BeginImage(SalvageImage image, SalvageContents contents, CancellationToken cancellationToken)
    {
        _contents = contents;
        _image = image;
        foreach (var entry in image.Entries(cancellationToken).TakeWhile(entry => entry.Run == default))
            NoteRecord(entry);
    }

    /// <summary>Writes a record from below the checkpoint.</summary>
    /// <param name="sequence">Its own, in the damaged database.</param>
    /// <param name="payload">Of the record.</param>
    /// <param name="kept">The runs it was kept for, and which of their operations; null = it is whole.</param>
    internal void CarryPast(ulong sequence, ReadOnlySpan<byte> payload, IReadOnlyDictionary<RunId, KeptOperations>? kept)
    {
        TransactionPayload.Check(payload);
        var transaction = new TransactionPayload(payload);
        setTime(transaction.CommitTime);
        BeginRuns(transaction);
        var batch = Batch.RentMine(transaction.Attributes);
        while (transaction.MoveNext(out var part))
        {
            var marks = KeptOperations.All;
            if (kept?.TryGetValue(part.Run, out marks) != false && HasPast(part.Run, transaction.CommitTime))
                CarryPastPart(new PartOf(batch, part.Run, Find(part.Run)), part, marks, sequence);
        }

        if (batch.PartCount > 0)
            Commit(batch);
        Batch.ReturnMine(batch);
    }

    // A run begins with the first that is there of it, in a commit of its own.
    private void BeginRuns(TransactionPayload transaction)
    {
        while (transaction.MoveNext(out var part))
        {
            if (HasPast(part.Run, transaction.CommitTime) && _records.TryGetValue(part.Run, out var record) && _begun.Add(part.Run))
                BeginRun(_current = part.Run, record!);
        }

        _current = default;
    }

    // A run that is gone by the checkpoint has no history that could be asked for; an earlier life of its id neither. Where tables are
    // damaged, one that they do not tell of may be there.
    private bool HasPast(RunId id, long time) => _records.TryGetValue(id, out var record)
        ? record is not null && !(record.Created > time)
        : RunRecord.IsBuiltIn(id) || _image!.HasLost;

    private RunState? Find(RunId id) => path.Catalogue.Find(id) is { IsDeleted: false } run ? run : null;

    private void CarryPastPart(PartOf target, RunPart part, KeptOperations marks, ulong sequence)
    {
        if (!_past.TryGetValue(part.Run, out var writes))
            _past.Add(part.Run, writes = new Dictionary<byte[], PastWrite>(ByteArrayComparer.Instance));
        for (var index = 0; part.MoveNext(out var operation); index++)
        {
            if (!marks.Has(index) || !VersionedKeys.TryAskedFor(operation, out var key))
                continue;
            EnsureBegun(target);
            if (!TryCarryPast(target, operation))
                continue;
            PastVersions++;
            writes[key] = new PastWrite(sequence, !VersionedKeys.Deletes((OperationCode)operation.Code));
        }

        if (!target.IsOpen)
            return;
        target.Open().AllowWhenClosed();
        target.Open().EndPart();
    }

    private static bool TryCarryPast(PartOf target, in Operation operation)
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.KvPut:
            case OperationCode.KvDelete:
                target.Add(operation);
                return true;
            case OperationCode.KvIncrement when operation.Body.Length == KvOperations.IncrementBytes:
                // As its result: what it was added to may not have been kept.
                Span<byte> sum = stackalloc byte[ValueWriter.HeaderLengthMax];
                var length = ValueCodec.EncodeInt64(BinaryPrimitives.ReadInt64LittleEndian(operation.Body[8..]), sum);
                var expiry = BinaryPrimitives.ReadInt64LittleEndian(operation.Body[16..]);
                KvOperations.AddPut(target.Open(), operation.Key, length, expiry, out var put);
                sum[..length].CopyTo(put);
                target.Note(StoreKeys.Kv, operation.Key);
                return true;
            case OperationCode.KvExpire:
                return target.TryAddChange(StoreKeys.Kv, operation);
            case OperationCode.StateExpire:
                return target.TryAddChange(StoreKeys.State, operation);
            case OperationCode.StateInit or OperationCode.StateSet or OperationCode.StateTransition or OperationCode.StateLease
                or OperationCode.StateDelete:
                return TryStep(target, operation);
            default:
                return false;
        }
    }

    // Counters go on to where the operation led; what was not kept in between is that many steps.
    private static bool TryStep(PartOf target, in Operation operation)
    {
        if (operation.Body.Length < StateOperations.FixedBytes)
            return false;
        var (reached, counter) = (StateOperations.ReadCounter(operation), target.CounterOf(operation.Key));
        if (reached < counter || reached - counter > uint.MaxValue)
            return false;
        var steps = (uint)(reached - counter);
        if ((OperationCode)operation.Code == OperationCode.StateDelete)
        {
            StateOperations.AddDelete(target.Open(), operation.Key, steps);
            return true;
        }

        var value = operation.Body[StateOperations.FixedBytes..];
        StateOperations.AddWrite(
            target.Open(), (OperationCode)operation.Code, operation.Key, steps, value.Length, operation.Expiry, out var written);
        value.CopyTo(written);
        target.Note(StoreKeys.State, operation.Key);
        return true;
    }

    /// <summary>The past ended with this version of the key, or with a newer one that a damaged table had: nothing is to be
    /// written.</summary>
    private bool TryEndPast(in SalvagedEntry entry)
    {
        if (!_past.TryGetValue(_current, out var writes) || !writes.Remove(entry.StoreKey.ToArray(), out var last))
            return false;
        if (last.Sequence >= entry.Sequence)
        {
            Entries++;
            return true;
        }

        if (!entry.Version.IsTombstone || entry.StoreKey[0] == StoreKeys.State)
            return false;
        if (last.IsLive)
            KvOperations.AddDelete(Part().Open(), entry.StoreKey[1..]);
        return true;
    }

    // Keys that the past has and the state has not: they went later, by a deletion that nobody had to keep. Where tables are damaged that
    // cannot be told from a loss, and the past has the better answer.
    private void EndPast()
    {
        if (!_past.Remove(_current, out var writes))
            return;
        foreach (var (key, last) in writes)
        {
            if (!last.IsLive)
                continue;
            if (_image!.HasLost)
            {
                Lose(_current, $"what became of {SalvageImage.NameOf(default, key)}: it is as history has it");
                continue;
            }

            if (key[0] == StoreKeys.Kv)
                KvOperations.AddDelete(Part().Open(), key.AsSpan(1));
            else
                StateOperations.AddDelete(Part().Open(), key.AsSpan(1), steps: 0);
            FlushIfLarge();
        }
    }

    /// <summary>The last that the past wrote to a key.</summary>
    private readonly record struct PastWrite(ulong Sequence, bool IsLive);
}
