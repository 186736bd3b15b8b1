using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace Cairn.Tests.Store;

/// <summary>
/// One writer and several readers over one store. Every value says which key and which commit it belongs to, and the rest of it
/// is a function of both, so each reader can judge what it reads alone: <i>torn</i> is a value whose bytes do not fit together,
/// <i>lost</i> one that is older than what the reader is entitled to, or missing. Each commit writes one key and its mirror,
/// so that a snapshot that mixes two commits shows.
/// </summary>
public class StoreSoak(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Promise", "G8")]
    public void Readers_and_a_writer_agree_for_a_while(bool debugSlab) =>
        Run(seconds: 3, seed: debugSlab ? 2 : 1, keys: 5_000, readers: 2, debugSlab);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Readers_of_few_hot_keys_and_a_writer_agree_for_a_while(bool debugSlab) =>
        Run(seconds: 2, seed: 3, keys: 8, readers: 2, debugSlab);

    /// <summary>The same above an image: checkpoints are cut by the writer, written beside it and published or given back, and keys leave
    /// memory all the while, one by one and all at once.</summary>
    [Theory]
    [InlineData(3_000, false)]
    [InlineData(3_000, true)]
    [InlineData(200, true)]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "TIER-1")]
    [Trait("Requirement", "CKP-3")]
    public void Readers_and_a_writer_agree_while_keys_leave_memory(int keys, bool debugSlab) =>
        Run(seconds: 3, seed: debugSlab ? 12 : 11, keys, readers: 2, debugSlab, new TestImage());

    [Fact(Explicit = true)]
    [Trait("Soak", "store")]
    public void Soak()
    {
        var seconds = int.Parse(Environment.GetEnvironmentVariable("CAIRN_SOAK_SECONDS") ?? "60", CultureInfo.InvariantCulture);
        var seed = unchecked((int)ulong.Parse(Environment.GetEnvironmentVariable("CAIRN_TEST_SEED") ?? "1", CultureInfo.InvariantCulture));
        for (var part = 0; part < 4; part++)
            Run(Math.Max(1, seconds / 8), seed + part, part % 2 == 0 ? 200_000 : 300, readers: 3, debugSlab: part >= 2);
        for (var part = 0; part < 4; part++)
            Run(Math.Max(1, seconds / 8), seed + part, part % 2 == 0 ? 20_000 : 300, readers: 3, debugSlab: part >= 2, new TestImage());
    }

    private void Run(int seconds, int seed, int keys, int readers, bool debugSlab, TestImage? image = null)
    {
        output.WriteLine($"seed={seed} keys={keys} debug slab={debugSlab}");
        using var bed = new StoreTestBed(debugSlab, image);
        var history = new History(bed, keys);
        for (var i = 0; i < keys; i++)
            history.Commit(i, length: 40);
        var threads = Enumerable.Range(0, readers).Select(i => new Thread(() => history.Read(seed * 31 + i, scans: i % 2 == 1))).ToArray();
        foreach (var thread in threads)
            thread.Start();
        history.Write(seed, TimeSpan.FromSeconds(seconds));
        foreach (var thread in threads)
            thread.Join();
        history.EndCheckpoint(fail: true);
        var pending = bed.SweepAll();
        if (image is not null)
        {
            output.WriteLine($"checkpoints={history.Checkpoints} failed={history.FailedCheckpoints} "
                + $"forgotten={history.Forgotten} emptied={history.Emptied} image: {image}");
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"operations={history.Operations} reads={history.Reads} scans={history.Scans} tree retries={bed.Store.Memory.Retries} torn={history.Torn} lost={history.Lost} memory={bed.Store.MemoryBytes >> 10} KiB live={bed.Store.LiveBytes >> 10} KiB pending={pending}"));
        Console.WriteLine($"store soak seed={seed}: operations={history.Operations} reads={history.Reads} scans={history.Scans} "
            + $"retries={bed.Store.Memory.Retries} torn={history.Torn} lost={history.Lost} memory={bed.Store.MemoryBytes >> 10} KiB");
        Assert.Null(history.Failure);
        Assert.Equal((0L, 0L, 0L), (history.Torn, history.Lost, pending));
        Ledger.Add("Soak", "operations on the store", (ulong)seed, history.Operations, TimeSpan.FromSeconds(seconds));
        Ledger.Add("Soak", "reads of the store, none torn or lost", (ulong)seed, history.Reads, TimeSpan.FromSeconds(seconds));
    }

    private sealed class History(StoreTestBed bed, int keys)
    {
        private readonly ulong[] _visibleAt = new ulong[keys];  // newest commit of each key that is surely published
        private readonly ulong[] _begunAt = new ulong[keys];    // newest that may be: equal to the other when none is in between
        private volatile bool _isDone;
        private ulong _sequence;
        private StoreCheckpoint? _checkpoint;
        private Task? _writing;
        private int _rest;

        internal long Checkpoints, FailedCheckpoints, Forgotten, Emptied;
        internal long Operations, Reads, Scans, Torn, Lost;
        internal Exception? Failure;

        internal void Write(int seed, TimeSpan span)
        {
            try
            {
                var random = new Random(seed);
                var clock = Stopwatch.StartNew();
                while (clock.Elapsed < span && Failure is null)
                {
                    for (var i = 0; i < 200; i++)
                    {
                        Commit(random.Next(keys), random.Next(100) == 0 ? random.Next(12_000) : random.Next(200), random.Next(10) < 3);
                        if (bed.Image is not null)
                            Above(random);
                    }
                }
            }
            catch (Exception failure)
            {
                Failure = failure;
            }

            _isDone = true;
        }

        // What the run's lock is held for beside commits.
        private void Above(Random random)
        {
            if (_checkpoint is null && random.Next(400) == 0)
            {
                _checkpoint = new StoreCheckpoint(bed, _sequence);
                _writing = Task.Run(() =>
                {
                    while (_checkpoint.Write(50))
                    {
                    }
                });
            }
            else if (_writing is { IsCompleted: true })
            {
                EndCheckpoint(fail: random.Next(5) == 0);
            }

            if (random.Next(20) == 0)
                Forgotten += bed.Store.Forget(random.Next(1, 500), eager: random.Next(4) != 0).Forgotten;
            if (random.Next(40) == 0 && bed.Store.ForgetAll())
                Emptied++;
            if (random.Next(1_000) == 0)
                _rest = random.Next(2_000);               // a while of forgetting without writing: then all may become clean
            for (; _rest > 0 && !_isDone; _rest--)
            {
                if (_writing is { IsCompleted: true })
                    EndCheckpoint(fail: false);
                if (_checkpoint is null && bed.Store.DirtyCount > 0)
                {
                    _checkpoint = new StoreCheckpoint(bed, _sequence);
                    while (_checkpoint.Write(1_000))
                    {
                    }

                    _writing = Task.CompletedTask;
                }

                Forgotten += bed.Store.Forget(100, eager: true).Forgotten;
                if (bed.Store.ForgetAll())
                    Emptied++;
                if (_rest % 16 == 0)
                    Thread.Yield();
            }
        }

        internal void EndCheckpoint(bool fail)
        {
            if (_checkpoint is null)
                return;
            _writing!.GetAwaiter().GetResult();
            if (fail)
                _checkpoint.Fail();
            else
                _checkpoint.Publish();
            _ = fail ? FailedCheckpoints++ : Checkpoints++;
            (_checkpoint, _writing) = (null, null);
        }

        internal void Commit(int key, int length, bool isDelete = false)
        {
            _sequence++;
            bed.Store.Reserve(2, 2 * (length + 40));
            Span<byte> name = stackalloc byte[32];
            var value = new byte[16 + length];
            Fill(value, key, _sequence);
            foreach (var side in "ab")
            {
                var written = Name(name, side, key);
                if (isDelete)
                    bed.Store.Delete(written, default, _sequence, 1);
                else
                    bed.Store.Put(written, value, _sequence, 1, 0);
            }

            var word = _sequence << 1 | (isDelete ? 1u : 0);
            Volatile.Write(ref _begunAt[key], word);
            bed.Visible.Publish(_sequence);
            Volatile.Write(ref _visibleAt[key], word);
            Operations++;
        }

        internal void Read(int seed, bool scans)
        {
            try
            {
                var random = new Random(seed);
                long reads = 0, scanned = 0;
                while (!_isDone && Failure is null)
                {
                    if (scans && random.Next(50) == 0)
                    {
                        Scan(random);
                        scanned++;
                        continue;
                    }

                    ReadOne(random);
                    reads++;
                }

                Interlocked.Add(ref Reads, reads);
                Interlocked.Add(ref Scans, scanned);
            }
            catch (Exception failure)
            {
                Failure = failure;
            }
        }

        private void ReadOne(Random random)
        {
            Span<byte> name = stackalloc byte[32];
            var key = random.Next(keys);
            var known = Volatile.Read(ref _visibleAt[key]);
            if (random.Next(3) != 0)
            {
                using var reader = bed.Store.Read();
                if (!reader.TryGetVisible(Name(name, 'a', key), out var version))
                {
                    // Absent: right only if the newest known commit, or a later one, deleted it.
                    if ((known & 1) == 0 && Volatile.Read(ref _begunAt[key]) == known)
                        Interlocked.Increment(ref Lost);
                    return;
                }

                Check(version, key, atLeast: known >> 1);
                return;
            }

            var pin = bed.Pins.Take(bed.Visible, StoreTestBed.Tag);
            using (var reader = bed.Store.Read())
            {
                var hasA = reader.TryGet(Name(name, 'a', key), pin.Sequence, out var a);
                if (hasA)
                    Check(a, key, atLeast: known >> 1, atMost: pin.Sequence);
                var sequence = hasA && !a.IsTombstone ? a.Sequence : 0;
                var hasB = reader.TryGet(Name(name, 'b', key), pin.Sequence, out var b);
                if (hasB)
                    Check(b, key, atLeast: known >> 1, atMost: pin.Sequence);
                if (sequence != (hasB && !b.IsTombstone ? b.Sequence : 0))
                    Interlocked.Increment(ref Lost);
            }

            bed.Pins.Release(pin);
        }

        // One side forward, the other backward, at one snapshot: the same keys at the same commits.
        private void Scan(Random random)
        {
            Span<byte> low = stackalloc byte[32];
            Span<byte> high = stackalloc byte[32];
            var from = random.Next(keys);
            var to = Math.Min(keys, from + random.Next(1, 2_000));
            var pin = bed.Pins.Take(bed.Visible, StoreTestBed.Tag);
            var forward = new List<(int, ulong)>();
            var backward = new List<(int, ulong)>();
            var known = new ulong[to - from];
            for (var i = from; i < to; i++)
                known[i - from] = Volatile.Read(ref _visibleAt[i]);
            using (var reader = bed.Store.Read())
            {
                var scan = reader.Scan(Name(low, 'a', from), Name(high, 'a', to), pin.Sequence);
                while (scan.MoveNext())
                    forward.Add((KeyOf(scan.Key), Check(scan.Version, KeyOf(scan.Key), 0, pin.Sequence)));
            }

            using (var reader = bed.Store.Read())
            {
                var scan = reader.Scan(Name(low, 'b', from), Name(high, 'b', to), pin.Sequence, reverse: true);
                while (scan.MoveNext())
                    backward.Add((KeyOf(scan.Key), Check(scan.Version, KeyOf(scan.Key), 0, pin.Sequence)));
            }

            backward.Reverse();
            if (!forward.SequenceEqual(backward) || !forward.SequenceEqual(forward.Order()))
                Interlocked.Increment(ref Lost);

            // What was published before the pin, and not since, must be among them.
            var found = forward.ToDictionary(pair => pair.Item1, pair => pair.Item2);
            for (var i = from; i < to; i++)
            {
                var word = known[i - from];
                if (word >> 1 > pin.Sequence)
                    continue;
                if (Volatile.Read(ref _begunAt[i]) == word && ((word & 1) == 0) != found.ContainsKey(i))
                    Interlocked.Increment(ref Lost);
            }

            bed.Pins.Release(pin);
        }

        private ulong Check(VersionView version, int key, ulong atLeast, ulong atMost = ulong.MaxValue)
        {
            if (version.Sequence < atLeast || version.Sequence > atMost)
                Interlocked.Increment(ref Lost);
            if (version.IsTombstone)
                return version.Sequence;
            var value = version.Value;
            if (value.Length < 16 || BinaryPrimitives.ReadInt64LittleEndian(value) != key
                || BinaryPrimitives.ReadUInt64LittleEndian(value[8..]) != version.Sequence
                || value[16..].ContainsAnyExcept(Pattern(key, version.Sequence)))
                Interlocked.Increment(ref Torn);
            return version.Sequence;
        }

        private static void Fill(Span<byte> value, int key, ulong sequence)
        {
            BinaryPrimitives.WriteInt64LittleEndian(value, key);
            BinaryPrimitives.WriteUInt64LittleEndian(value[8..], sequence);
            value[16..].Fill(Pattern(key, sequence));
        }

        private static byte Pattern(int key, ulong sequence) => (byte)((ulong)key * 31 + sequence);

        private static ReadOnlySpan<byte> Name(Span<byte> buffer, char side, int key)
        {
            buffer[0] = (byte)side;
            "gent:"u8.CopyTo(buffer[1..]);
            key.TryFormat(buffer[6..], out var written, "D8", CultureInfo.InvariantCulture);
            return buffer[..(6 + written)];
        }

        private static int KeyOf(ReadOnlySpan<byte> name) => int.Parse(name[6..], CultureInfo.InvariantCulture);
    }
}
