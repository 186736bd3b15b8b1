using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Random programs on collections, beside a dictionary: searches, reads, listings and counts at every kind of point, through
/// restarts, kills, checkpoints, expiry, transactions that are given up, forks and the past. Every answer is equal bit for bit.</summary>
[Trait("Model", "Vectors")]
[Trait("Promise", "G12")]
public class VectorModelTests
{
    private const int Dimension = 19;
    private const int Keys = 40;

    private static readonly string[] Filters =
    [
        "part < 2", "part == 3 and small == true", "$key prefix 'k1'", "not part >= 3", "tags exists or part in [0, 4]",
        "tags contains 'x'",
    ];

    public static MatrixTheoryData<Durability, VectorMetric, VectorElement> Worlds => new(
        Enum.GetValues<Durability>(), Enum.GetValues<VectorMetric>(), Enum.GetValues<VectorElement>());

    [Theory]
    [MemberData(nameof(Worlds))]
    [Trait("Requirement", "VEC-11")]
    [Trait("Requirement", "VEC-12")]
    [Trait("Requirement", "VEC-13")]
    [Trait("Requirement", "VEC-14")]
    [Trait("Requirement", "VEC-15")]
    [Trait("Requirement", "VEC-18")]
    [Trait("Requirement", "VEC-23")]
    [Trait("Requirement", "VEC-24")]
    [Trait("Requirement", "VEC-25")]
    [Trait("Kind", "Random")]
    public void VEC_25_G12_Every_answer_is_that_of_a_dictionary_at_every_point(Durability mode, VectorMetric metric, VectorElement element)
    {
        var seed = Seeds.Begin($"{nameof(VEC_25_G12_Every_answer_is_that_of_a_dictionary_at_every_point)} {mode} {metric} {element}");
        using var world = new World(mode, metric, element, new Random(unchecked((int)seed)));
        for (var step = 0; step < Seeds.Scaled(250); step++)
            world.Step();
    }

    private sealed class World : IDisposable
    {
        private readonly TestDatabase _database;
        private readonly Random _random;
        private readonly VectorReference _model;
        private readonly List<(Sequence At, VectorReference Model)> _past = [];
        private readonly List<(Snapshot Snapshot, VectorReference Model)> _kept = [];
        private readonly List<(RunId Fork, VectorReference Model)> _forks = [];

        internal World(Durability mode, VectorMetric metric, VectorElement element, Random random)
        {
            _database = new TestDatabase(mode);
            _random = random;
            _model = new VectorReference(metric, element);
            _database.Run.Vectors.CreateCollection(
                "notes", new VectorDefinition { Dimension = Dimension, Metric = metric, Element = element });
        }

        internal void Step()
        {
            switch (_random.Next(20))
            {
                case < 8:
                    Change(_database.Run.Vectors["notes"], _model);
                    break;
                case < 11:
                    Transact();
                    break;
                case 11 when _kept.Count < 4:
                    _kept.Add((_database.Run.Snapshot(), _model.Copy()));
                    break;
                case 12 when _forks.Count < 4:
                    _forks.Add((_database.Db.Runs.Fork(_database.Run.Id).Id, _model.Copy()));
                    break;
                case 13 when _forks.Count > 0:
                    var fork = _forks[_random.Next(_forks.Count)];
                    Change(_database.Db.Runs.Get(fork.Fork)!.Vectors["notes"], fork.Model);
                    break;
                case 14 when _database.HasLog:
                    Reopen();
                    break;
                case 15 when _database.HasLog:
                    if (_random.Next(2) == 0)
                        LetGo();
                    _database.CheckpointAndForget();
                    break;
                case 16:
                    _database.Maintain();
                    break;
                default:
                    Judge(_database.Run.Vectors["notes"], _model);
                    foreach (var (snapshot, model) in _kept)
                        Judge(snapshot.Vectors["notes"], model);
                    foreach (var (id, model) in _forks)
                        Judge(_database.Db.Runs.Get(id)!.Vectors["notes"], model);
                    JudgePast();
                    break;
            }

            if (_past.Count == 0 || _past[^1].At != _database.Db.Sequence)
                _past.Add((_database.Db.Sequence, _model.Copy()));
        }

        private void Transact()
        {
            var model = _model.Copy();
            var isKept = _random.Next(3) > 0;
            try
            {
                _database.Run.Transact(tx =>
                {
                    for (var i = _random.Next(1, 6); i > 0; i--)
                        Change(tx.Vectors["notes"], model);
                    Judge(tx.Vectors["notes"], model);
                    if (!isKept)
                        throw new InvalidOperationException("given up");
                });
            }
            catch (InvalidOperationException) when (!isKept)
            {
                return;
            }

            _model.Vectors.Clear();
            foreach (var (key, vector) in model.Vectors)
                _model.Vectors.Add(key, vector);
        }

        private void Change(VectorCollection notes, VectorReference model)
        {
            var key = Key();
            var isThere = model.Vectors.TryGetValue(key, out var there);
            switch (_random.Next(10))
            {
                case < 5:
                    var (embedding, metadata) = (Embedding(model), Metadata());
                    notes.Upsert(key, embedding, metadata);
                    model.Vectors[key] = (embedding, metadata);
                    break;
                case 5:
                    var items = Enumerable.Range(0, _random.Next(1, 8)).Select(_ => Key()).Distinct()
                        .Select(one => new VectorItem(one, Embedding(model), Metadata())).ToList();
                    notes.UpsertMany(items);
                    foreach (var item in items)
                        model.Vectors[item.Key] = (item.Embedding.ToArray(), item.Metadata);
                    break;
                case 6 or 7:
                    var patch = Value.Object(
                        ("part", _random.Next(5)), ("tags", _random.Next(2) == 0 ? Value.Null : Value.Array("x", "y")));
                    Assert.Equal(isThere, notes.UpdateMetadata(key, patch));
                    if (isThere)
                        model.Vectors[key] = (there.Embedding, Cairn.MergePatch.Apply(there.Metadata ?? Value.Object(), patch));
                    break;
                default:
                    Assert.Equal(isThere, notes.Delete(key));
                    model.Vectors.Remove(key);
                    break;
            }
        }

        private string Key() => $"k{_random.Next(Keys)}";

        // Now and then one that is there already.
        private float[] Embedding(VectorReference model) => model.Vectors.Count > 0 && _random.Next(6) == 0
            ? model.Vectors.ElementAt(_random.Next(model.Vectors.Count)).Value.Embedding
            : VectorKernelTests.Vector(_random, Dimension);

        private Value? Metadata() => _random.Next(5) == 0
            ? default(Value?)
            : Value.Object(("part", _random.Next(5)), ("small", _random.Next(2) == 0), ("text", new string('t', _random.Next(200))));

        private void Judge(VectorCollectionView notes, VectorReference model)
        {
            Assert.Equal(model.Vectors.Count, notes.Count());
            Assert.Equal(model.Vectors.Keys, notes.Keys(new ScanOptions { Limit = Keys }));
            var key = Key();
            Assert.Equal(model.Vectors.TryGetValue(key, out var vector), notes.TryGet(key, out var read));
            if (read is not null)
            {
                Assert.Equal(model.Given(vector.Embedding), read.Embedding.ToArray());
                Assert.Equal(vector.Metadata, read.Metadata);
            }

            var queries = Enumerable.Range(0, _random.Next(3) == 0 ? 3 : 1).Select(_ => Embedding(model)).ToList();
            var aggregate = (VectorAggregate)_random.Next(3);
            var filter = _random.Next(2) == 0 ? null : Filter.Parse(Filters[_random.Next(Filters.Length)]);
            var least = _random.Next(4) == 0 ? model.Search(queries, 1).FirstOrDefault().Score / 2 : default(double?);
            Func<string, Value?, bool>? holds = filter is null
                ? null
                : (one, metadata) => filter.Matches(new FilterItem(metadata ?? Value.Object(), one, null, null));
            var k = _random.Next(1, Keys);
            var expected = model.Search(queries, Keys, holds, least, aggregate);
            var found = new List<(string, double)>();
            var options = new VectorSearchOptions { Filter = filter, MinScore = least, Aggregate = aggregate, Include = (VectorParts)3 };
            do
            {
                var page = notes.Search([.. queries.Select(query => (ReadOnlyMemory<float>)query)], k, options);
                Assert.True(page.IsComplete);
                Assert.Equal(Math.Min(k, expected.Count - found.Count), page.Matches.Count);
                foreach (var match in page.Matches)
                {
                    found.Add((match.Key, match.Score));
                    Assert.Equal(model.Vectors[match.Key].Metadata, match.Metadata);
                    Assert.Equal(model.Given(model.Vectors[match.Key].Embedding), match.Embedding.ToArray());
                }

                options = options with { Cursor = page.Cursor };
            }
            while (options.Cursor is not null);
            Assert.Equal(expected, found);
        }

        private void JudgePast()
        {
            if (!_database.HasLog || _past.Count == 0)
                return;
            var (at, model) = _past[_random.Next(_past.Count)];
            using var view = _database.Run.At(at);
            Judge(view.Vectors["notes"], model);
        }

        private void Reopen()
        {
            LetGo();
            _database.Reopen(isKilled: _random.Next(2) == 0);
        }

        private void LetGo()
        {
            foreach (var (snapshot, _) in _kept)
                snapshot.Dispose();
            _kept.Clear();
        }

        public void Dispose()
        {
            LetGo();
            _database.Dispose();
        }
    }
}
