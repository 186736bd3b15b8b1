using System.Runtime.CompilerServices;
using Cairn.Bench.Peers;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Bench;

// Every call of the benchmarks to the engine, and none elsewhere: CairnSubject goes through the public door (but for the commit
// path, which gate PERF-1 asks for alone), StoreSubject calls a run's store as a commit does, without the commit around it.

/// <summary>An open Cairn database and one of its runs. Any number of threads.</summary>
internal sealed class CairnSubject : Peer
{
    internal const string PeerName = "Cairn";

    private const int LoadChunk = 1_000;
    private const int BodyHeaderBytes = 8;                   // of an object with the member "body", a byte string of up to 255 bytes

    private readonly CairnDatabase _db;
    private readonly Run _run;
    private readonly bool _owns;

    private CairnSubject(string? directory, CairnOptions options)
    {
        _db = directory is null ? CairnDatabase.OpenInMemory(options) : CairnDatabase.Open(directory, options);
        _run = _db.Default;
        _owns = true;
    }

    private CairnSubject(CairnDatabase db, Run run) => (_db, _run) = (db, run);

    /// <summary>Why Cairn cannot be measured; null when it can.</summary>
    internal static string? Missing => null;

    /// <summary>The same for <see cref="OpenRun"/> alone.</summary>
    internal static string? RunsMissing => Missing;

    /// <summary>The same for events alone.</summary>
    internal static string? EventsMissing => Missing;

    /// <summary>For <see cref="PeerCatalogue"/>'s kind of use: opened empty, with default options.</summary>
    internal static PeerEntry Entry { get; } = new(
        PeerName, Missing, (durability, directory, _) => Open(durability, directory));

    internal override string Name => PeerName;

    internal override string Configuration => $"{_db.Options.Durability}, ordered index on, defaults";

    /// <summary>Opens or reopens a database and its run <c>default</c>.</summary>
    /// <param name="directory">Not looked at when <paramref name="durability"/> is InMemory.</param>
    /// <param name="syncsByTimeAlone">Buffered: the trigger by commit count is as good as off (its maximum).</param>
    internal static CairnSubject Open(Durability durability, string directory, bool syncsByTimeAlone = false) => new(
        durability == Durability.InMemory ? null : directory,
        new CairnOptions { Durability = durability, SyncCommits = syncsByTimeAlone ? 1_000_000 : 1_000 });

    /// <summary>The same, Buffered, and nothing but the log is written: the next opening has to replay all of it.</summary>
    internal static CairnSubject OpenWithoutCheckpoints(string directory) => new(directory, DirectorySubject.WithoutCheckpoints);

    /// <summary>Another run of the same database, made if it is not there; disposing it disposes nothing.</summary>
    internal CairnSubject OpenRun(string name) =>
        new(_db, _db.Runs.TryGet(name, out var run) ? run : _db.Runs.Begin(name));

    /// <summary><c>run.Kv.Put</c>, the value as a byte string.</summary>
    internal override void Put(string key, ReadOnlySpan<byte> value) => _run.Kv.Put(key, value);

    /// <summary><c>run.Kv.PutAsync</c>.</summary>
    internal async ValueTask PutAsync(string key, ReadOnlyMemory<byte> value) =>
        await _run.Kv.PutAsync(key, Value.Bytes(value.Span)).ConfigureAwait(false);

    /// <summary><c>run.Kv.PutMany</c>: one value under many keys, in one commit.</summary>
    internal void PutMany(ReadOnlySpan<string> keys, ReadOnlySpan<byte> value)
    {
        var shared = Value.Bytes(value);
        var pairs = new KeyValuePair<string, Value>[keys.Length];
        for (var i = 0; i < keys.Length; i++)
            pairs[i] = new(keys[i], shared);
        _run.Kv.PutMany(pairs);
    }

    /// <summary>What <see cref="Put"/> does below the door: a commit of one put of an encoded key and value (A1 of PERF-1).</summary>
    [SkipLocalsInit]
    internal void CommitPut(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var scope = _run.Kv.Scope;
        var batch = scope.BeginSingle();
        var length = System.Text.Encoding.UTF8.GetBytes(key, buffer);
        KvOperations.AddPut(batch, buffer[..length], ValueCodec.BytesHeaderLength(value.Length) + value.Length, 0, out var target);
        ValueCodec.EncodeBytes(value, target);
        scope.CommitSingle(batch);
    }

    /// <summary><c>run.Kv.TryGet(key, destination, out written)</c>, the overload that allocates nothing.</summary>
    internal override bool TryGet(string key, Span<byte> destination, out int written) =>
        _run.Kv.TryGet(key, destination, out written);

    /// <summary><c>PutMany</c> in chunks of what it takes.</summary>
    internal override void Load(ReadOnlySpan<string> keys, ReadOnlySpan<byte> value)
    {
        for (var at = 0; at < keys.Length; at += LoadChunk)
            PutMany(keys.Slice(at, Math.Min(LoadChunk, keys.Length - at)), value);
    }

    internal override bool IsOrdered => true;

    /// <summary>All of <c>run.Kv.Scan</c>.</summary>
    internal override long Scan()
    {
        long bytes = 0;
        string? cursor = null;
        do
        {
            var page = _run.Kv.Scan(new ScanOptions { Limit = _db.Limits.PageSizeMax, Cursor = cursor });
            foreach (var pair in page)
                bytes += pair.Value.Value.AsBytes().Length;
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return bytes;
    }

    /// <summary>The first pairs of <c>run.Kv.Scan</c>, in key order; returns how many there were.</summary>
    internal int ScanFirst(int count) => _run.Kv.Scan(new ScanOptions { Limit = count }).Count;

    /// <summary><c>run.Snapshot()</c> and its <c>Dispose</c>.</summary>
    internal void TakeAndReleaseSnapshot() => _run.Snapshot().Dispose();

    /// <summary><c>run.Events.Append</c>; the payload is an object with one member <c>body</c>, a byte string.</summary>
    internal void AppendEvent(string type, ReadOnlySpan<byte> body) => _run.Events.Append(type, Value.Object(("body", Value.Bytes(body))));

    /// <summary>All of <c>run.Events.Scan</c>, every payload looked up and none copied, as an iterator gives values; returns the bytes of
    /// the bodies.</summary>
    internal long ScanEvents()
    {
        long bytes = 0;
        _run.Events.Scan(0, ulong.MaxValue, ref bytes, static (scoped in borrowed, ref sum) =>
        {
            sum += borrowed.Payload.Length - BodyHeaderBytes;
            return true;
        });
        return bytes;
    }

    /// <summary>The same by pages of <c>run.Events.Since</c>, every payload decoded.</summary>
    internal long PageEvents()
    {
        long bytes = 0;
        string? cursor = null;
        do
        {
            var page = _run.Events.Since(default, new EventScanOptions { Limit = _db.Limits.PageSizeMax, Cursor = cursor });
            foreach (var record in page)
                bytes += record.Payload!.Value["body"].AsBytes().Length;
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return bytes;
    }

    public override void Dispose()
    {
        if (_owns)
            _db.Dispose();
    }
}

/// <summary>The store of one run, written as a commit writes it but without lock, log or validation. One thread.</summary>
internal sealed class StoreSubject : Peer
{
    internal const string PeerName = "Cairn-store";

    private const ulong RunTag = 1;

    private readonly VisibleSequence _visible = new();
    private readonly RunStore _store;
    private ulong _sequence;

    internal StoreSubject() => _store = new RunStore(new SnapshotRegistry(), _visible, RunTag);

    internal static PeerEntry Entry { get; } = new(PeerName, null, (_, _, _) => new StoreSubject());

    internal override string Name => PeerName;

    internal override string Configuration => "RunStore alone, ordered index on";

    [SkipLocalsInit]
    internal override void Put(string key, ReadOnlySpan<byte> value)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        var encoded = Encode(key, buffer);
        _store.Reserve(writes: 1, encoded.Length + value.Length);
        _store.Put(encoded, value, ++_sequence, time: 0, expiry: 0);
        _visible.Publish(_sequence);
    }

    [SkipLocalsInit]
    internal override bool TryGet(string key, Span<byte> destination, out int written)
    {
        Span<byte> buffer = stackalloc byte[KeyBytesMax];
        using var reader = _store.Read();
        written = 0;
        if (!reader.TryGetVisible(Encode(key, buffer), out var version) || version.IsTombstone)
            return false;
        version.Value.CopyTo(destination);
        written = version.Value.Length;
        return true;
    }

    internal override bool IsOrdered => true;

    internal override long Scan()
    {
        var pin = _store.Pins.Take(_visible, RunTag);
        long bytes = 0;
        using (var reader = _store.Read())
        {
            var scan = reader.Scan(default, default, pin.Sequence);
            while (scan.MoveNext())
                bytes += scan.Version.Value.Length;
        }

        _store.Pins.Release(pin);
        return bytes;
    }

    public override void Dispose() => _store.Dispose();
}
