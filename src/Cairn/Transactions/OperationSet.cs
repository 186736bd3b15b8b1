using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Cairn.Codec;
using Cairn.Content;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// What a primitive contributes to the one <c>Apply</c>: how its operations get their last numbers, and what they do to the store.
/// Commit, recovery and (later) replay, fork and replica all come through here with the same bytes.
/// </summary>
internal abstract class OperationSet
{
    /// <summary>Longest store key that <see cref="Changed"/> gives: of an association, with two ends and a type.</summary>
    internal const int ChangedBytesMax = 1 + Limits.KeyBytesMax + 1 + Limits.NameBytesMax + 1 + Limits.KeyBytesMax;

    /// <summary>High four bits of the codes.</summary>
    internal abstract byte Family { get; }

    /// <summary>Whether operations of this code are its own.</summary>
    internal virtual bool Takes(OperationCode code) => ((byte)code & 0xF0) == Family;

    /// <summary>The primitive's name in errors, addresses and dumps.</summary>
    internal abstract string Name { get; }

    /// <summary>Under the run's lock, before a sequence is taken: fills what depends on the newest committed state, or refuses.
    /// At most one operation per key and record asks for it.</summary>
    /// <returns>Null, or why the commit is refused; nothing has changed then.</returns>
    /// <param name="holes">The operation's body behind the expiry, writable.</param>
    internal virtual CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time) => null;

    /// <summary>Its operations rest on one another, and are tried together: <see cref="ResolvePart"/> and <see cref="EachKeyOfPart"/> are
    /// called once for all that a part has, instead of <see cref="Resolve"/> and <see cref="EachKey"/> for each.</summary>
    internal virtual bool ResolvesParts => false;

    /// <summary>As <see cref="Resolve"/>, for all its operations in a part, in order.</summary>
    /// <param name="part">The part's operations; those of others are left alone.</param>
    /// <param name="limits">What the results keep to.</param>
    /// <param name="writes">What Apply will write at most.</param>
    internal virtual CairnException? ResolvePart(
        Span<byte> part, RunState run, Catalogue catalogue, long time, Limits limits, out WriteCount writes)
    {
        writes = default;
        return null;
    }

    /// <summary>What applying all its operations in a part to a run will write at most.</summary>
    internal virtual WriteCount CountWrites(ReadOnlySpan<byte> part, RunState run) => default;

    /// <summary>As <see cref="EachKey"/>, for all its operations in a part.</summary>
    internal virtual void EachKeyOfPart(Span<byte> part, RunState run, StoreKeyVisitor visit)
    {
    }

    /// <summary>The store key whose newest value <see cref="Resolve"/> or <see cref="Apply"/> will look at; empty = none, or none that can
    /// be large. A large one is read before the locks are taken, as far as it is not at hand.</summary>
    internal virtual ReadOnlySpan<byte> ValueRead(in Operation operation, Span<byte> buffer) => default;

    /// <summary>Names the store keys that an operation will read or replace, as far as they are known before it has a sequence: so that
    /// they are in memory by then and no disk is touched behind it. Those that <see cref="ApplyContext.PutNew"/> writes are left out,
    /// and so are places in the expiry order, which come with their keys. Any other that is left out costs a read behind the sequence,
    /// never an answer.</summary>
    internal virtual void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
    }

    /// <summary>Under the run's lock, with sequence and commit time known, right before <see cref="Apply"/>: fills what depends on
    /// them. Must not fail.</summary>
    /// <param name="holes">The operation's body behind the expiry, writable.</param>
    internal virtual void Fill(in Operation operation, Span<byte> holes, in ApplyContext context)
    {
    }

    /// <summary>What it writes has items in secondary indexes. A set that says no is never asked, and the run's indexes are not
    /// looked at: a fork of the past that only begins, or ends, reads nothing of it.</summary>
    internal virtual bool HasItems => false;

    /// <summary>Under the run's lock: what <see cref="Apply"/> will write into the run's secondary indexes.</summary>
    internal virtual WriteCount CountIndexWrites(in Operation operation, RunState run) => default;

    /// <summary>Changes the store. A function of the operation, the sequence, the time and the store alone. False when the bytes
    /// are not such an operation (corruption, when they come from a log).</summary>
    internal abstract bool Apply(in Operation operation, in ApplyContext context);

    /// <summary>Adds a transaction's pending write to the batch, as the operation that it stands for.</summary>
    internal abstract void Encode(Batch batch, PendingWrite write);

    /// <summary>The value that a relative pending write gives on top of what was committed.</summary>
    internal virtual byte[] Overlay(PendingWrite write, bool exists, bool live, in VersionView committed) => write.Value;

    /// <summary>Adds the operation that removes an expired key (TTL-5).</summary>
    internal virtual void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) =>
        Invariant.Broken($"{Name} has no keys that expire");

    /// <summary>For history: what an operation made of a store key of this primitive.</summary>
    /// <param name="stored">The value as the store keeps it, when one was written.</param>
    internal virtual Projected Project(in Operation operation, ReadOnlySpan<byte> storeKey, out byte[]? stored, out long expiry)
    {
        stored = null;
        expiry = 0;
        return Projected.Nothing;
    }

    /// <summary>For differences: the store key of the thing that an operation changes; empty when a difference is found in another way
    /// (events, by the length of what is common) or shows none of it.</summary>
    /// <param name="buffer">At least <see cref="ChangedBytesMax"/>.</param>
    internal virtual ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) => default;

    /// <summary>For indexes of words: tells which thing an operation that was applied has written.</summary>
    internal virtual void TellChange(in Operation operation, ulong sequence, ThingChanges changes)
    {
    }

    /// <summary>Tells the thing of <see cref="Changed"/>.</summary>
    protected void TellThing(in Operation operation, ulong sequence, ThingChanges changes)
    {
        Span<byte> buffer = stackalloc byte[ChangedBytesMax];
        changes.Add(sequence, Changed(operation, buffer));
    }

    /// <summary>Names what an operation of a record changes, in the words in which store keys are named.</summary>
    internal virtual string Describe(in Operation operation, RunId run) => Utf8.GetTrustedString(operation.Key);

    /// <summary>Tells people which thing a store key belongs to.</summary>
    internal abstract string Describe(ReadOnlySpan<byte> storeKey);

    /// <summary>Where in its thing a store key stands, as a text; empty when the thing has one key.</summary>
    internal virtual string Region(ReadOnlySpan<byte> storeKey, RunState run) => "";

    /// <summary>The value in a version of a store key that is no derived one; null where there is none to show.</summary>
    internal virtual Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) => Value.Decode(version.Value);

    /// <summary>First byte of the store keys that this primitive owns.</summary>
    internal abstract bool Owns(byte storeFamily);

    /// <summary>True for keys that follow from others of this primitive, as orders and counts do: no part of the state hash.</summary>
    internal virtual bool IsDerived(byte storeFamily) => false;

    /// <summary>Leading bytes of a value that outlast its deletion and its expiry.</summary>
    internal virtual int RemainsBytes => 0;

    /// <summary>Things of this primitive in a run, at a cost that does not grow with them: those that have expired and were not swept
    /// are among them.</summary>
    internal virtual long CountItems(scoped in StoreReader reader, ulong sequence) => reader.Count(Family, sequence);
}

/// <summary>Writes in the store, and their bytes with keys.</summary>
internal readonly record struct WriteCount(int Writes, long Bytes)
{
    internal WriteCount And(int writes, long bytes) => new(Writes + writes, Bytes + bytes);

    internal WriteCount And(WriteCount more) => new(Writes + more.Writes, Bytes + more.Bytes);

    /// <summary>These keys too, without values.</summary>
    internal WriteCount And(List<byte[]> keys) => new(Writes + keys.Count, Bytes + keys.Sum(key => key.Length + (long)VersionBytes));

    /// <inheritdoc cref="And(List{byte[]})"/>
    internal WriteCount And(ItemBuffer keys) => new(Writes + keys.Count, Bytes + keys.Bytes + keys.Count * (long)VersionBytes);

    /// <summary>What a version takes beside its key.</summary>
    private const int VersionBytes = 64;
}

/// <summary>Takes a store key; borrowed for the call.</summary>
internal delegate void StoreKeyVisitor(RunStore store, ReadOnlySpan<byte> key);

/// <summary>What an operation made of a key.</summary>
internal enum Projected
{
    /// <summary>The operation is about something else.</summary>
    Nothing,

    /// <summary>It wrote a value.</summary>
    Value,

    /// <summary>It removed the key.</summary>
    Deletion,

    /// <summary>It kept the value and changed the expiry.</summary>
    ExpiryOnly,
}

/// <summary>What an operation is applied to.</summary>
/// <param name="payload">Of the record that carries the operation.</param>
/// <param name="position">Of that record; <see cref="RunState.NoPosition"/> without a log.</param>
internal readonly ref struct ApplyContext(
    RunState run, Catalogue catalogue, ulong sequence, long time, ReadOnlySpan<byte> payload = default,
    ulong position = RunState.NoPosition)
{
    private readonly ReadOnlySpan<byte> _payload = payload;
    private readonly ulong _position = position;

    internal RunState Run { get; } = run;

    internal Catalogue Catalogue { get; } = catalogue;

    internal ulong Sequence { get; } = sequence;

    /// <summary>Commit time, microseconds since 1970.</summary>
    internal long Time { get; } = time;

    internal StoreReader Read() => Run.Store.Read();

    /// <summary>Writes a version. With an expiry, the key also gets a place in the run's expiry order, and loses an older one.</summary>
    internal PreviousVersion Put(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> value, long expiry = 0)
    {
        var time = Mutant.Is("apply-uses-clock") ? TimeProvider.System.GetUtcNow().Ticks : Time;
        var previous = value.Length > Catalogue.ContentThreshold && TryRefer(value, out var reference)
            ? Run.Store.PutContent(storeKey, reference, value, Sequence, time, expiry)
            : Run.Store.Put(storeKey, value, Sequence, time, expiry);
        Written(storeKey, previous, expiry);
        return previous;
    }

    /// <summary>Writes the first version of a key that is not there and was not a moment ago: a number that was just given, a place in an
    /// order. No image is asked for it.</summary>
    internal void PutNew(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> value)
    {
        if (value.Length > Catalogue.ContentThreshold && TryRefer(value, out var reference))
            Run.Store.PutContent(storeKey, reference, value, Sequence, Time, expiry: 0, isNew: true);
        else
            Run.Store.PutNew(storeKey, value, Sequence, Time);
        Run.Recent?.Add(Sequence, storeKey);
    }

    /// <summary>Writes a version with the value that another key has. A content stays where it stands.</summary>
    internal void PutCopy(ReadOnlySpan<byte> storeKey, scoped in VersionView source)
    {
        if (source.IsContent)
            Run.Store.PutContent(
                storeKey, source.Reference, source.IsValueAtHand ? source.Value : default, Sequence, Time, expiry: 0);
        else
            Run.Store.Put(storeKey, source.Value, Sequence, Time, expiry: 0);
        Run.Recent?.Add(Sequence, storeKey);
    }

    /// <summary>Writes a version whose expiry is that of another key, which has the place in the run's expiry order.</summary>
    /// <param name="isNew">See <see cref="PutNew"/>.</param>
    internal void PutBesides(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> value, long expiry, bool isNew = false)
    {
        if (isNew)
            Run.Store.PutNew(storeKey, value, Sequence, Time, expiry);
        else
            Run.Store.Put(storeKey, value, Sequence, Time, expiry);
        Run.Recent?.Add(Sequence, storeKey);
    }

    /// <summary>Writes a version with the newest value of a key and another expiry.</summary>
    /// <returns>False: the key has no value.</returns>
    internal bool PutExpiry(ReadOnlySpan<byte> storeKey, long expiry)
    {
        byte[] copy;
        int length;
        using (var reader = Read())
        {
            if (!reader.TryGetForApply(storeKey, out var version) || version.IsTombstone)
                return false;
            if (version.IsContent && !Mutant.Is("content-expire-copies"))
            {
                Written(storeKey, Run.Store.CarryContent(storeKey, Sequence, Time, expiry), expiry);
                return true;
            }

            length = version.Value.Length;
            copy = ArrayPool<byte>.Shared.Rent(length);
            version.Value.CopyTo(copy);
        }

        Written(storeKey, Run.Store.Put(storeKey, copy.AsSpan(0, length), Sequence, Time, expiry), expiry);
        ArrayPool<byte>.Shared.Return(copy);
        return true;
    }

    /// <summary>The same commit on another run.</summary>
    internal ApplyContext On(RunState run) => new(run, Catalogue, Sequence, Time, _payload, _position);

    private void Written(ReadOnlySpan<byte> storeKey, PreviousVersion previous, long expiry)
    {
        Run.Recent?.Add(Sequence, storeKey);
        if ((previous.Expiry | expiry) != 0)
            MoveExpiry(storeKey, previous.Expiry, expiry);
    }

    // A large value that is a piece of the record is its content (CNT-7). One that was put together by Apply has no place in the log.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryRefer(ReadOnlySpan<byte> value, out ContentReference reference)
    {
        reference = default;
        if (!_payload.Overlaps(value, out var offset))
            return false;
        Invariant.Check(offset >= 0 && offset + value.Length <= _payload.Length, "a content lies inside its record");
        reference = new ContentReference(_position + RecordHeader.Size + (uint)offset, value.Length, Crc32C.Of(value));
        return true;
    }

    internal PreviousVersion Delete(ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> remains = default)
    {
        var previous = Run.Store.Delete(storeKey, remains, Sequence, Time);
        Run.Recent?.Add(Sequence, storeKey);
        if (previous.Expiry != 0)
            MoveExpiry(storeKey, previous.Expiry, 0);
        return previous;
    }

    private void MoveExpiry(ReadOnlySpan<byte> storeKey, long before, long now)
    {
        if (before == now)
            return;
        Span<byte> key = stackalloc byte[StoreKeys.ExpiryPrefixBytes + storeKey.Length];
        if (before != 0)
            Run.Store.Delete(StoreKeys.Expiry(key, before, storeKey), default, Sequence, Time);
        if (now != 0)
            Run.Store.PutNew(StoreKeys.Expiry(key, now, storeKey), default, Sequence, Time);
    }

    internal void AddCount(byte family, long delta) => Run.Store.AddCount(family, delta, Sequence, Time);
}

/// <summary>The sets by code; the engine has one table. Dispatch of the one Apply.</summary>
internal sealed class OperationTable
{
    private readonly OperationSet?[] _byCode = new OperationSet?[256];
    private readonly OperationSet[] _sets;

    internal OperationTable(params ReadOnlySpan<OperationSet> sets)
    {
        _sets = sets.ToArray();
        foreach (var set in sets)
        {
            for (var code = 0; code < _byCode.Length; code++)
            {
                if (set.Takes((OperationCode)code))
                    _byCode[code] = set;
            }
        }
    }

    internal OperationSet? Find(OperationCode code) => _byCode[(byte)code];

    internal IReadOnlyList<OperationSet> Sets => _sets;

    /// <summary>The last step before a sequence is taken: numbers that rest on the newest committed state.</summary>
    /// <param name="writes">What Apply will write beyond what the operations were added with.</param>
    internal CairnException? Resolve(Span<byte> part, RunState run, Catalogue catalogue, long time, Limits limits, out WriteCount writes)
    {
        writes = default;
        var whole = part;
        OperationSet? tried = null;
        while (Operation.TryTake(ref part, out var operation, out var holes))
        {
            var set = Find((OperationCode)operation.Code)!;
            if (set.ResolvesParts)
            {
                if (set == tried)
                    continue;
                tried = set;
                if (set.ResolvePart(whole, run, catalogue, time, limits, out writes) is { } refusal)
                    return refusal;
                continue;
            }

            if (set.Resolve(operation, BehindExpiry(operation, holes), run, catalogue, time) is { } refused)
                return refused;
        }

        return null;
    }

    /// <summary>What applying the operations of a part that are tried together will write at most.</summary>
    internal WriteCount CountWrites(ReadOnlySpan<byte> part, RunState run)
    {
        var count = default(WriteCount);
        foreach (var set in _sets)
        {
            if (!set.ResolvesParts)
                continue;
            var more = set.CountWrites(part, run);
            count = count.And(more.Writes, more.Bytes);
        }

        return count;
    }

    /// <summary>Something of the operations of a part has items in secondary indexes.</summary>
    internal bool HaveItems(ReadOnlySpan<byte> part)
    {
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            if (Find((OperationCode)operation.Code) is { HasItems: true })
                return true;
        }

        return false;
    }

    /// <summary>Under the run's lock: what the operations of a part will write into the run's secondary indexes.</summary>
    internal WriteCount CountIndexWrites(ReadOnlySpan<byte> part, RunState run)
    {
        var count = default(WriteCount);
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            count = count.And(CountIndexWrites(operation, run));
        }

        return count;
    }

    /// <summary>Under the run's lock: what one operation will write into them.</summary>
    internal WriteCount CountIndexWrites(in Operation operation, RunState run) =>
        Find((OperationCode)operation.Code) is { HasItems: true } set ? set.CountIndexWrites(operation, run) : default;

    /// <summary>Without a lock: brings the large values that the operations of a part will look at into the cache.</summary>
    internal void ReadAhead(Span<byte> part, RunState run)
    {
        CountWrites(part, run);                              // a trial looks at what Apply will look at
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        while (Operation.TryTake(ref part, out var operation, out _))
        {
            var key = Find((OperationCode)operation.Code)!.ValueRead(operation, buffer);
            if (!key.IsEmpty)
                run.Store.ReadAhead(key);
        }
    }

    /// <summary>Names the store keys of a part's operations.</summary>
    internal void EachKey(Span<byte> part, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        var whole = part;
        OperationSet? tried = null;
        while (Operation.TryTake(ref part, out var operation, out _))
        {
            var set = Find((OperationCode)operation.Code)!;
            if (!set.ResolvesParts)
            {
                set.EachKey(operation, run, catalogue, visit);
            }
            else if (set != tried)
            {
                tried = set;
                set.EachKeyOfPart(whole, run, visit);
            }
        }
    }

    /// <summary>Fills the last holes of a part and applies it, operation by operation: one may rest on the one before.</summary>
    internal void FillAndApply(Span<byte> part, in ApplyContext context, OperationCounts counts)
    {
        while (Operation.TryTake(ref part, out var operation, out var holes))
        {
            if (operation.Expiry < 0)
                BinaryPrimitives.WriteInt64LittleEndian(holes, context.Time - operation.Expiry);
            var set = Find((OperationCode)operation.Code)!;
            set.Fill(operation, BehindExpiry(operation, holes), context);
            Apply(set, operation, context);
            counts.Add(operation.Code);
        }
    }

    /// <summary>The one Apply.</summary>
    /// <exception cref="MalformedPayloadException">Not an operation that this version knows.</exception>
    internal void Apply(in Operation operation, in ApplyContext context)
    {
        var set = Find((OperationCode)operation.Code)
            ?? throw new MalformedPayloadException($"operation code {operation.Code:X2}", isUnknown: true);
        Apply(set, operation, context);
    }

    private static void Apply(OperationSet set, in Operation operation, in ApplyContext context)
    {
        if (!set.Apply(operation, context))
            throw new MalformedPayloadException($"a {set.Name} operation of code {operation.Code:X2}");
        if (context.Run.Changes is { } changes)
            set.TellChange(operation, context.Sequence, changes);
    }

    /// <summary>Where in its thing a store key stands; empty when that says nothing.</summary>
    internal string Region(ReadOnlySpan<byte> storeKey, RunState run)
    {
        foreach (var set in _sets)
        {
            if (set.Owns(storeKey[0]))
                return set.Region(storeKey, run);
        }

        return "";
    }

    private static Span<byte> BehindExpiry(in Operation operation, Span<byte> holes) => operation.HasExpiry ? holes[8..] : holes;

    /// <summary>The set that owns a store key; null for what belongs to the store itself: counts and the order of expiry.</summary>
    internal OperationSet? OwnerOf(ReadOnlySpan<byte> storeKey)
    {
        foreach (var set in _sets)
        {
            if (storeKey.Length > 0 && set.Owns(storeKey[0]))
                return set;
        }

        return null;
    }

    /// <summary>Primitive and text of a store key, for conflicts.</summary>
    internal (string Primitive, string Key) Describe(ReadOnlySpan<byte> storeKey)
    {
        foreach (var set in _sets)
        {
            if (storeKey.Length > 0 && set.Owns(storeKey[0]))
                return (set.Name, set.Describe(storeKey));
        }

        return ("store", Convert.ToHexStringLower(storeKey));
    }
}
