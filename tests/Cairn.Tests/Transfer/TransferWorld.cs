#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using Cairn.Storage;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

using Model = Cairn.Tests.Checkers.Model;

/// <summary>A database under random operations over all primitives; keeps the state's hash at each sequence it has seen at
/// rest.</summary>
internal sealed class TransferWorld(Durability mode, ulong seed) : IDisposable
{
    private readonly Model _model = new();
    private readonly EngineSubject _subject = new(mode, change: options => options with { SegmentBytesMin = 16 << 10,
        SegmentBytesMax = 32 << 10 });
    private int _operations;
    private readonly Generator _generator = new((int)seed, new GeneratorOptions(RestartEvery: 80, ForkEvery: 23, ForksPast: true));

    internal SortedDictionary<ulong, Hash256> Hashes { get; } = [];

    internal CairnDatabase Db => _subject.Database.Db;

    internal IStorage Storage => _subject.Database.Storage;

    internal ulong LastBackup { get; private set; }

    internal void Run(int operations)
    {
        foreach (var operation in EngineSubject.Playable(_generator.Take(operations)))
        {
            var expected = _model.Execute(operation);
            if (expected.IsSkipped)
                continue;
            _subject.Execute(operation, expected, _model);
            Hashes[_subject.Database.Sequence] = _subject.Database.Db.StateHash();
            if (_operations++ % 45 == 44)
                _subject.Database.CheckpointAndForget();
        }
    }

    internal MemoryStorage Backup(MemoryStorage? parent)
    {
        var target = new MemoryStorage();
        LastBackup = _subject.Database.Db.BackupTo(target, parent, new BackupOptions()).Sequence.Value;
        Assert.Equal(_subject.Database.Sequence, LastBackup);
        return target;
    }

    public void Dispose() => _subject.Dispose();
}
