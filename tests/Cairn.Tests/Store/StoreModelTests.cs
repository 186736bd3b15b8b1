using Cairn.Store;
using Cairn.Tests.Model;
using Xunit;

namespace Cairn.Tests.Store;

/// <summary>Random histories against the oracle: one thread, so every difference is one of meaning.</summary>
[Trait("Gate", "Merge")]
public class StoreModelTests(ITestOutputHelper output)
{
    public static TheoryData<int, bool, int> Checkpointed()
    {
        var data = new TheoryData<int, bool, int>();
        for (var seed = 1; seed <= 6; seed++)
        {
            data.Add(seed, true, 40);
            data.Add(seed + 100, false, 40);
            data.Add(seed + 200, true, 600);
        }

        return data;
    }

    public static TheoryData<int, bool, int> Histories()
    {
        var data = new TheoryData<int, bool, int>();
        for (var seed = 1; seed <= 6; seed++)
        {
            data.Add(seed, false, 40);                     // few keys: deep chains
            data.Add(seed + 100, true, 40);
            data.Add(seed + 200, false, 3_000);            // many: splits and merges
            data.Add(seed + 300, true, 3_000);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Histories))]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "RET-4")]
    public void A_random_history_reads_like_the_oracle(int seed, bool debugSlab, int keys)
    {
        output.WriteLine($"seed={seed}");
        using var bed = new StoreTestBed(debugSlab);
        new History(bed, seed, keys).Run(20_000);
    }

    /// <summary>The same, whole above an image that grows: checkpoints begin, end and fail at random, and nothing may tell.</summary>
    [Theory]
    [MemberData(nameof(Checkpointed))]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "CKP-3")]
    [Trait("Requirement", "CKP-4")]
    public void A_random_history_with_checkpoints_reads_like_the_oracle(int seed, bool debugSlab, int keys)
    {
        output.WriteLine($"seed={seed}");
        using var bed = new StoreTestBed(debugSlab, new TestImage());
        var history = new History(bed, seed, keys, StoreForm.Whole);
        history.Run(5_000);
        output.WriteLine(history.ToString());
    }

    /// <summary>The same with everything in the image: memory is thrown away wherever a checkpoint has all and no pin is in the
    /// way.</summary>
    [Theory]
    [MemberData(nameof(Checkpointed))]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "TIER-1")]
    [Trait("Requirement", "RCV-12")]
    public void A_random_history_above_an_image_reads_like_the_oracle(int seed, bool debugSlab, int keys)
    {
        output.WriteLine($"seed={seed}");
        using var bed = new StoreTestBed(debugSlab, new TestImage());
        var history = new History(bed, seed, keys, StoreForm.Reloaded);
        history.Run(5_000);
        output.WriteLine(history.ToString());
    }

    /// <summary>The same while keys leave memory and come back at random.</summary>
    [Theory]
    [MemberData(nameof(Checkpointed))]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "TIER-1")]
    [Trait("Requirement", "TIER-2")]
    public void A_random_history_of_a_forgetting_store_reads_like_the_oracle(int seed, bool debugSlab, int keys)
    {
        output.WriteLine($"seed={seed}");
        using var bed = new StoreTestBed(debugSlab, new TestImage());
        var history = new History(bed, seed, keys, StoreForm.Forgetting);
        history.Run(5_000);
        output.WriteLine(history.ToString());
    }

    private enum StoreForm
    {
        InMemory,
        Whole,
        Reloaded,
        Forgetting,
    }

    private sealed class History(StoreTestBed bed, int seed, int keyCount, StoreForm form = StoreForm.InMemory)
    {
        private readonly Random _random = new(seed);
        private readonly ManagedStore _oracle = new();
        private readonly List<SnapshotPin> _pins = [];
        private readonly byte[][] _keys = MakeKeys(new Random(seed), keyCount);
        private readonly ulong _lag = (ulong)new Random(seed).Next(4); // commits that are applied and not yet visible
        private ulong _sequence;
        private StoreCheckpoint? _checkpoint;
        private long _checkpoints, _failed, _forgotten, _forgottenAll, _reloads;

        internal void Run(int commits)
        {
            var deletesMore = false;
            for (var i = 0; i < commits; i++)
            {
                if (i % 2_000 == 0)
                    deletesMore = _random.Next(2) == 0;
                Commit(deletesMore);
                if (_sequence > _lag)
                    bed.Visible.Publish(Math.Max(bed.Visible.Value, _sequence - _lag));
                if (_random.Next(8) == 0)
                    TakeOrRelease();
                CheckPoint();
                if (_random.Next(keyCount < 100 ? 20 : 200) == 0)
                    CheckScan();
                if (_random.Next(20) == 0)
                    CheckNewer();
                if (_random.Next(500) == 0)
                    bed.Store.Sweep(_random.Next(500));
                if (form != StoreForm.InMemory)
                    Above();
            }

            ReleaseAll();
            bed.Visible.Publish(_sequence);
            if (form != StoreForm.InMemory)
                EndAbove();
            var pending = bed.SweepAll();
            Assert.Equal(0, pending);
            CheckEnd();
        }

        // What the checkpointer and the maintainer do, between any two commits.
        private void Above()
        {
            if (_checkpoint is null && _random.Next(30) == 0)
                _checkpoint = new StoreCheckpoint(bed, _sequence);
            else if (_checkpoint is not null && _random.Next(4) == 0)
                _checkpoint.Write(_random.Next(1, 50));
            else if (_checkpoint is not null && _random.Next(30) == 0 && bed.Visible.Value >= _checkpoint.Cut)
                EndCheckpoint(fail: _random.Next(4) == 0);
            if (form == StoreForm.Reloaded && _random.Next(100) == 0)
                Reload();
            if (form != StoreForm.Forgetting)
                return;
            if (_random.Next(60) == 0)
                ReleaseAll();
            if (_random.Next(3) == 0)
                _forgotten += bed.Store.Forget(_random.Next(1, 2 * keyCount), eager: _random.Next(3) != 0).Forgotten;
            if (_random.Next(5) == 0)
                bed.Store.Prefetch(Key());
            if (_random.Next(100) == 0)
            {
                if (_random.Next(4) == 0)
                    Reload();
                _forgottenAll += bed.Store.ForgetAll() ? 1 : 0;
            }
        }

        private void EndCheckpoint(bool fail)
        {
            if (fail)
                _checkpoint!.Fail();
            else
                _checkpoint!.Publish();
            _ = fail ? _failed++ : _checkpoints++;
            _checkpoint = null;
        }

        // A moment at which the image has everything: then memory may go, which is what opening is.
        private void Reload()
        {
            ReleaseAll();
            bed.Visible.Publish(_sequence);
            if (_checkpoint is not null)
                EndCheckpoint(fail: _random.Next(2) == 0);
            bed.Checkpoint(_sequence);
            _reloads++;
            if (form == StoreForm.Reloaded)
                bed.Reload(_sequence);
        }

        public override string ToString() => $"checkpoints={_checkpoints} failed={_failed} emptied or reloaded={_reloads} "
            + $"forgotten={_forgotten} replaced={_forgottenAll} image: {bed.Image}";

        private void EndAbove()
        {
            if (_checkpoint is not null)
                EndCheckpoint(fail: true);
            bed.Checkpoint(_sequence);
            bed.SweepAll();
            Assert.Equal((0, 0, 0), (bed.Store.DirtyCount, bed.Store.DirtyBytes, bed.Store.DeferredDeletions));
            if (form == StoreForm.Whole)
                Assert.True(bed.Store.IsWhole);
            else
                bed.Reload(_sequence);
        }

        private void ReleaseAll()
        {
            foreach (var pin in _pins)
                bed.Pins.Release(pin);
            _pins.Clear();
        }

        private static byte[][] MakeKeys(Random random, int count)
        {
            var keys = new SortedSet<byte[]>(ByteOrder.Instance);
            while (keys.Count < count)
            {
                var key = random.Next(3) switch
                {
                    0 => StoreTestBed.Bytes($"agent:{random.Next(30):D6}:item:{random.Next(count):D5}"),
                    1 => [(byte)random.Next(2, 5), .. BitConverter.GetBytes(random.Next(count)).Reverse()],
                    _ => StoreTestBed.Bytes(new string('x', random.Next(1, 70)) + random.Next(count)),
                };
                keys.Add(key);
            }

            var shuffled = keys.ToArray();
            random.Shuffle(shuffled);
            return shuffled;
        }

        private byte[] Key() => _keys[_random.Next(_keys.Length)];

        private byte[] Value()
        {
            var value = new byte[_random.Next(40) == 0 ? _random.Next(20_000) : _random.Next(120)];
            _random.NextBytes(value);
            return value;
        }

        private void Commit(bool deletesMore)
        {
            _sequence++;
            var time = StoreTestBed.Time(_sequence);
            var writes = _random.Next(6) == 0 ? _random.Next(1, 12) : 1;
            var keys = Enumerable.Range(0, writes).Select(_ => Key()).ToArray();
            bed.Store.BeginResident();
            foreach (var key in keys)
            {
                if (_random.Next(2) == 0)
                    bed.Store.MakeResident(key);
            }

            bed.Store.Reserve(writes, writes * 20_100);
            foreach (var key in keys)
            {
                switch (_random.Next(deletesMore ? 12 : 24))
                {
                    case < 5:
                        CheckPrevious(key, bed.Store.Delete(key, default, _sequence, time));
                        _oracle.Delete(key, [], _sequence, time);
                        break;
                    case 5:
                        CheckPrevious(key, bed.Store.Delete(key, "remains"u8, _sequence, time));
                        _oracle.Delete(key, "remains"u8.ToArray(), _sequence, time);
                        break;
                    case 6:
                        var family = (byte)_random.Next(3);
                        var delta = _random.Next(-5, 9);
                        bed.Store.AddCount(family, delta, _sequence, time);
                        _oracle.AddCount(family, delta, _sequence, time);
                        break;
                    default:
                        var value = Value();
                        var expiry = _random.Next(4) == 0 ? time + _random.Next(-50, 500) : 0;
                        CheckPrevious(key, bed.Store.Put(key, value, _sequence, time, expiry));
                        _oracle.Put(key, value, _sequence, time, expiry);
                        break;
                }
            }
        }

        private void CheckPrevious(byte[] key, PreviousVersion previous)
        {
            var expected = _oracle.Get(key, ulong.MaxValue);
            Assert.Equal(expected is { IsTombstone: false }, previous.IsCounted);
            if (previous.Exists)
                Assert.Equal((expected!.IsTombstone, expected.Expiry), (previous.IsTombstone, previous.Expiry));
            else
                Assert.True(expected is null or { IsPlainTombstone: true });
        }

        private void TakeOrRelease()
        {
            if (_pins.Count < 100 && _random.Next(5) < 3)
            {
                if (_pins.Count > 0 && _random.Next(4) == 0)
                    _pins.Add(bed.Pins.TakeAt(_pins[_random.Next(_pins.Count)].Sequence, SnapshotRegistry.AllRuns));
                else
                    _pins.Add(bed.Pins.Take(bed.Visible, StoreTestBed.Tag));
                return;
            }

            if (_pins.Count == 0)
                return;
            var index = _random.Next(_pins.Count);
            bed.Pins.Release(_pins[index]);
            _pins.RemoveAt(index);
        }

        private ulong PinnedSequence() =>
            _pins.Count == 0 ? bed.Visible.Value : _pins[_random.Next(_pins.Count)].Sequence;

        private void CheckPoint()
        {
            var key = Key();
            var at = PinnedSequence();
            using var reader = bed.Store.Read();
            Check(key, _oracle.Get(key, at), reader.TryGet(key, at, out var version), version);
            Check(key, _oracle.Get(key, bed.Visible.Value), reader.TryGetVisible(key, out version), version);
            Check(key, _oracle.Get(key, ulong.MaxValue), reader.TryGetNewest(key, out version), version);
            Assert.Equal(_oracle.Count(1, at), reader.Count(1, at));
        }

        private static void Check(byte[] key, ManagedVersion? expected, bool isFound, VersionView version)
        {
            if (!isFound)
            {
                Assert.True(expected is null or { IsPlainTombstone: true }, Convert.ToHexString(key));
                return;
            }

            Assert.NotNull(expected);
            Assert.Equal(
                (expected.Sequence, expected.Created, expected.Time, expected.Expiry, expected.IsTombstone),
                (version.Sequence, version.Created, version.Time, version.Expiry, version.IsTombstone));
            Assert.True(version.Value.SequenceEqual(expected.Value));
        }

        private void CheckScan()
        {
            var at = PinnedSequence();
            var from = _random.Next(4) == 0 ? [] : Key();
            var to = _random.Next(4) == 0 ? [] : Key();
            var isReverse = _random.Next(2) == 0;
            var expected = _oracle.Scan(from, to, at, isReverse);
            using var reader = bed.Store.Read();
            var scan = reader.Scan(from, to, at, isReverse);
            foreach (var (key, version) in expected)
            {
                Assert.True(scan.MoveNext());
                Assert.True(scan.Key.SequenceEqual(key));
                Check(key, version, true, scan.Version);
            }

            Assert.False(scan.MoveNext());
        }

        private void CheckNewer()
        {
            var at = PinnedSequence();
            var from = Key();
            var to = _random.Next(4) == 0 ? [] : Key();
            using var reader = bed.Store.Read();
            var isFound = reader.FindNewer(from, to, at, out var found, out var newer);
            foreach (var (key, version) in _oracle.Newer(from, to, at))
            {
                if (isFound && found.SequenceEqual(key))
                {
                    Assert.Equal(version.Sequence, newer);
                    return;
                }

                Assert.True(version.IsPlainTombstone, "only what was swept may be passed over");
            }

            Assert.False(isFound);
        }

        private void CheckEnd()
        {
            var scanned = _oracle.Scan([], [], _sequence, reverse: false);
            var remains = _oracle.Newer([], [], 0).Count(pair => pair.Version is { IsTombstone: true, IsPlainTombstone: false });
            if (form is StoreForm.InMemory or StoreForm.Whole)
                Assert.Equal(scanned.Count + remains, bed.Store.EntryCount);
            using var reader = bed.Store.Read();
            var scan = reader.Scan(default, default, _sequence);
            foreach (var (key, version) in scanned)
            {
                Assert.True(scan.MoveNext());
                Assert.True(scan.Key.SequenceEqual(key));
                Check(key, version, true, scan.Version);
            }

            Assert.False(scan.MoveNext());
            foreach (var key in _keys)
                Check(key, _oracle.Get(key, _sequence), reader.TryGetVisible(key, out var version), version);
        }
    }
}
