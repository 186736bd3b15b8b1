using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Recovery;

/// <summary>
/// Why: a record that writes a key of the checkpoint's image needs what the image has of it (S8). Records come in the order of time, which
/// is no order of keys, so each reads a block of its own, and on a table larger than the cache the same block again and again. Here a
/// stretch of records is held back; the keys that they name are sorted and brought in that order, each block once; then the records are
/// applied, and find their keys in memory.
/// <code>
/// records   r r r r r r r r r r | r r r r r r r ...        handed on at once while few of them read a block;
///                                 held, sorted, brought    behind a window in which many did, by stretches, until few do again </code>
/// It changes no answer: what it brings is what Apply would have brought, and what it does not know Apply brings itself. So it names only
/// keys that follow from an operation alone, and only of runs that were met before. Nothing here looks at the state that the held records
/// have not made yet, but for whether memory has a key.
/// </summary>
/// <remarks>One thread. Whoever hands in a record hands out the rest before he looks at what was built.</remarks>
internal sealed class LookAhead
{
    /// <summary>Records between two looks at whether holding is worth it.</summary>
    internal const int Window = 4096;

    /// <summary>Held when one of so many records read a block.</summary>
    private const int RecordsPerRead = 16;

    private const int BytesBegun = 1 << 20;

    /// <summary>What a held record and its keys take beside their bytes, about.</summary>
    private const int RecordBytes = 100;

    private readonly OperationTable _operations;
    private readonly int _heldBytes;
    private byte[] _bytes = [];
    private int _used;
    private readonly List<Held> _held = [];
    private readonly Dictionary<RunState, KeysAhead> _keys = [];
    private BlockCache? _cache;
    private Catalogue? _catalogue;
    private long _missesBefore;
    private int _records;

    /// <param name="heldBytes">How many bytes held records take at most, but for one record that has more.</param>
    internal LookAhead(OperationTable operations, int heldBytes)
    {
        _operations = operations;
        _heldBytes = heldBytes;
    }

    /// <summary>How much is held where memory is no matter: a stretch of a hundred and fifty thousand small records.</summary>
    internal static int HeldBytesMost => 32 << 20;

    /// <summary>Offset in its file of the record that is being handed out; good while <see cref="HandOut"/> runs.</summary>
    internal long Offset { get; private set; }

    /// <summary>Of the record that is being handed out.</summary>
    internal ulong Sequence { get; private set; }

    /// <summary>A held record is being applied: what is wrong is wrong with that one.</summary>
    internal bool IsHandingOut { get; private set; }

    /// <summary>Records are held back now.</summary>
    internal bool IsHolding { get; private set; }

    /// <summary>Keys that were brought before their records were applied.</summary>
    internal long Brought { get; private set; }

    /// <summary>Begins, or begins anew: what was held is not wanted.</summary>
    /// <param name="cache">Of the image's blocks; its misses say what the records cost.</param>
    internal void Begin(Catalogue catalogue, BlockCache cache)
    {
        Drop();
        (_catalogue, _cache, _missesBefore, _records) = (catalogue, cache, cache.Misses, 0);
        (IsHolding, IsHandingOut, Brought) = (false, false, 0);
    }

    /// <summary>The log was read to its end: what holding took is given back.</summary>
    internal void End()
    {
        Drop();
        _bytes = [];
        _held.Capacity = 0;
        _keys.TrimExcess();
        (_catalogue, _cache, IsHolding) = (null, null, false);
    }

    /// <summary>Takes a record, or hands it to <paramref name="apply"/> at once.</summary>
    /// <param name="offset">In its file.</param>
    internal void Follow(ApplyRecord apply, in RecordHeader header, ReadOnlySpan<byte> payload, ulong position, long offset)
    {
        if (IsHolding)
        {
            if (_held.Count > 0 && _used + payload.Length + (long)RecordBytes * _held.Count > _heldBytes)
                HandOut(apply);
            if (IsHolding)
            {
                Hold(header, payload, position, offset);
                return;
            }
        }

        apply(header, payload, position);
        _records++;
        Judge();
    }

    /// <summary>Brings the keys of what is held, and applies it.</summary>
    internal void HandOut(ApplyRecord apply)
    {
        if (_held.Count == 0 || Mutant.Is("recovery-forgets-held-records"))
            return;
        IsHandingOut = true;
        Bring();
        foreach (var held in _held)
        {
            (Offset, Sequence) = (held.Offset, held.Header.Sequence);
            apply(held.Header, _bytes.AsSpan(held.From, held.Bytes), held.Position);
        }

        IsHandingOut = false;
        _records += _held.Count;
        Drop();
        Judge();
    }

    private void Judge()
    {
        if (_records < Window || _cache is null)
            return;
        var misses = _cache.Misses;
        IsHolding = (misses - _missesBefore) * RecordsPerRead >= _records && !Mutant.Is("recovery-never-looks-ahead");
        if (!IsHolding)
            _bytes = [];
        (_missesBefore, _records) = (misses, 0);
    }

    private void Hold(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position, long offset)
    {
        if (payload.Length > _bytes.Length - _used)
        {
            var more = Math.Max(Math.Min(Math.Max(2L * _bytes.Length, BytesBegun), _heldBytes), (long)_used + payload.Length);
            Array.Resize(ref _bytes, checked((int)more));
        }

        payload.CopyTo(_bytes.AsSpan(_used));
        _held.Add(new Held(header, _used, payload.Length, position, offset));
        _used += payload.Length;
    }

    private void Drop()
    {
        _held.Clear();
        _keys.Clear();
        _used = 0;
    }

    private void Bring()
    {
        foreach (var held in _held)
        {
            // The records before a broken one are applied first, as ever; it tells of itself when its turn comes.
            if (held.Header.Type == RecordType.Transaction && !TryName(_bytes.AsSpan(held.From, held.Bytes)))
                break;
        }

        foreach (var (run, keys) in _keys)
            Brought += keys.Bring(run.Store);
    }

    private bool TryName(ReadOnlySpan<byte> payload)
    {
        try
        {
            var transaction = new TransactionPayload(payload);
            while (transaction.MoveNext(out var part))
            {
                if (_catalogue!.FindLoaded(part.Run) is { } run)
                    Name(run, ref part);
            }

            return true;
        }
        catch (MalformedPayloadException)
        {
            return false;
        }
    }

    private void Name(RunState run, ref RunPart part)
    {
        Span<byte> buffer = stackalloc byte[OperationSet.ChangedBytesMax];
        KeysAhead? keys = null;
        while (part.MoveNext(out var operation))
        {
            if (operation.Key.Length is 0 or > Limits.KeyBytesMax
                || _operations.Find((OperationCode)operation.Code) is not { } set
                || set.Family is not (StoreKeys.Kv or StoreKeys.State or StoreKeys.Json or StoreKeys.VectorCollection))
                continue;
            if (keys is null && !_keys.TryGetValue(run, out keys))
                _keys.Add(run, keys = new KeysAhead());
            if (set.Changed(operation, buffer) is { Length: > 0 } key)
                keys.Add(key);
        }
    }

    private readonly record struct Held(RecordHeader Header, int From, int Bytes, ulong Position, long Offset);
}
