using Cairn.Storage;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;

namespace Cairn.Tests.Crash;

using Model = Cairn.Tests.Checkers.Model;

/// <summary>
/// The whole engine on a machine that loses power, beside the model. One client runs operations over all primitives, runs and
/// transactions; the model keeps the world after each sequence. What comes back after a crash must be one of those worlds, whole:
/// not before the last acknowledged one, and not after the last that was issued.
/// </summary>
/// <example><code>
/// worlds         0 ... 7 (acknowledged) 8 9 (issued, in the middle of it the power fails)
/// legal          7, 8 or 9, the same at every later opening
/// </code></example>
/// <remarks>The oracle is plain dictionaries and the order of commits; nothing of the engine's reading decides what must be there.
/// A machine of its own clock: crash tests run the maintainer as an operation.</remarks>
/// <param name="mode">Strict or Buffered.</param>
/// <param name="storage">The machine of its first life.</param>
/// <param name="forgets">It keeps no history, and of large values nearly nothing in memory.</param>
/// <param name="seed">Of ids and salts.</param>
internal sealed class EngineLife(Durability mode, CrashStorage storage, bool forgets = false, ulong seed = 1)
    : IDisposable
{
    private readonly Model _model = new();
    private readonly List<World> _worlds = [new Model().World];
    private readonly SortedDictionary<int, Hash256> _hashes = [];      // of the living state, at sequences where nothing was under way
    private EngineSubject? _subject;
    private bool _isOver;

    /// <summary>The highest sequence that no crash may lose.</summary>
    internal int Acknowledged { get; private set; }

    /// <summary>The highest that may have got a place in the log.</summary>
    internal int Issued => _worlds.Count - 1;

    internal CrashStorage Storage { get; private set; } = storage;

    /// <summary>The power is gone, or a sync failed as it was told to: nothing that was answered since says anything. A database that
    /// failed for another reason has not ended, it is wrong.</summary>
    private bool HasEnded(Exception? thrown = null)
    {
        var cause = _subject?.Database.Db.Engine.State.Cause;
        if (cause is not (null or PowerLossException or IOException or StorageException { Error: StorageError.Io }))
            return false;
        for (var inner = thrown; inner is not null; inner = inner.InnerException)
        {
            if (inner is StorageException { Error: StorageError.Io })
                return true;
        }

        return Storage.PowerLost || cause is StorageException;
    }

    /// <summary>Small segments, so that rotations happen. A life that forgets keeps no history and nearly no large value in memory, so that
    /// compactions find garbage, archives take in what is needed, and reads need files.</summary>
    private CairnOptions Options(CairnOptions options) => forgets
        ? options with
        {
            SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, Retention = Retention.KeepLast(1), ContentThreshold = 64,
            ContentMemoryBytes = 0, RandomSeed = seed,
        }
        : options with { SegmentBytesMin = 16 << 10, SegmentBytesMax = 32 << 10, RandomSeed = seed };

    /// <summary>Runs the operations until they end or the power does. Opens the database first if this is its first life.</summary>
    internal void Run(IEnumerable<Operation> operations)
    {
        try
        {
            _subject ??= new EngineSubject(mode, Storage, Options);
            foreach (var operation in operations)
                Do(operation);
        }
        catch (Exception thrown) when (HasEnded(thrown))
        {
            _isOver = true;
        }
    }

    /// <summary>Closes cleanly, if the power lets it.</summary>
    internal void Close()
    {
        if (_isOver || HasEnded())
            return;
        try
        {
            _subject?.Database.Db.Dispose();
            if (!HasEnded())
                Acknowledged = Issued;
        }
        catch (Exception thrown) when (HasEnded(thrown))
        {
        }
    }

    private void Do(Operation operation)
    {
        // Of an event that came back unanswered this learns time and salt. The next crash may come back to this same sequence, and then the
        // hash of the event behind it is over them (seed 87850160150718).
        _subject!.CompareHashes(_model);
        _worlds[^1] = _worlds[^1] with { Runs = _model.World.Runs, Pasts = _model.World.Pasts };
        var expected = _model.Execute(operation);
        if (expected.IsSkipped)
            return;
        var before = Issued;
        // What is issued may come back, told or not; of a turn of the maintainer nobody knows how many commits it makes.
        if (expected.Sequence != 0)
            _worlds.Add(_model.World);
        if (operation is Maintain)
            Issue(_model.ExpiredCount);
        var actual = _subject.Execute(operation, expected, _model);
        if (HasEnded())
            throw new PowerLossException(Storage.Operations);
        if (!expected.Agrees(actual))
            throw new InvalidOperationException($"{operation} answered {actual}, the model says {expected}");
        if (operation is Maintain)
            _worlds.RemoveRange((int)_subject.Database.Sequence + 1, Issued - (int)_subject.Database.Sequence);
        else if (Issued > before)
            _worlds[^1] = _model.World;     // with the times and salts of its events
        if (Issued > before)
            _hashes[Issued] = _subject.Database.Db.StateHash();
        if (operation is Sync or Restart or Checkpoint || (mode == Durability.Strict && Issued > before && operation is not Maintain))
            Acknowledged = Issued;
    }

    private void Issue(int commits)
    {
        var time = Math.Max(_model.Now, _model.World.LastCommitTime);
        for (var i = 0; i < commits; i++)
            _worlds.Add(_model.World with { LastCommitTime = time });
    }

    /// <summary>The process is gone; what is on the machine that came back must be right. Life goes on there.</summary>
    internal void Recover(CrashStorage machine)
    {
        Storage = machine;
        _isOver = false;
        if (_subject is null)
            _subject = new EngineSubject(mode, machine, Options);
        else
            _subject.Database.MoveTo(machine);
        var recovered = Judge(_subject.Database.Db);
        var sequence = (int)_subject.Database.Sequence;
        var world = _worlds[sequence];
        var lost = _worlds.Skip(sequence + 1).SelectMany(later => later.Runs.Keys).Except(world.Runs.Keys).ToList();
        _worlds.RemoveRange(sequence + 1, Issued - sequence);
        foreach (var later in _hashes.Keys.Where(at => at > sequence).ToList())
            _hashes.Remove(later);
        _hashes[sequence] = _subject.Database.Db.StateHash();
        _model.World = world;
        _subject.Resume(world, recovered, lost);
        Acknowledged = sequence;            // it was shown, and recovery has synced what it showed
    }

    /// <summary>Opens what a crash may have left here and now, and once more; this life goes on as if nothing had been.</summary>
    internal void JudgeImage(IStorage machine)
    {
        var first = JudgeOnce(machine);
        using var again = Open(machine);
        Judge(again);
        if ((again.Sequence, again.StateHash()) != first)
            throw new InvalidOperationException($"the first recovery gave {first}, the second {again.Sequence} {again.StateHash()}");
        if (again.VerifyDeep() is { IsValid: false } damaged)
            throw new InvalidOperationException($"recovered, and not sound: {string.Join("; ", damaged.Findings)}");
    }

    /// <summary>Opens it and judges it, if it can be opened.</summary>
    /// <param name="machine">What came back.</param>
    /// <param name="opened">Called in between.</param>
    internal (Sequence Sequence, Hash256 Hash) JudgeOnce(IStorage machine, Action? opened = null)
    {
        using var db = Open(machine);
        opened?.Invoke();
        Judge(db);
        return (db.Sequence, db.StateHash());
    }

    /// <summary>Tries to open it; the power may fail again meanwhile.</summary>
    internal void OpenUntilPowerFails(CrashStorage machine)
    {
        try
        {
            Open(machine).Dispose();
        }
        catch (Exception failure) when (machine.PowerLost && failure is PowerLossException or CairnException)
        {
        }
    }

    private CairnDatabase Open(IStorage machine) => CairnDatabase.Open(
        machine, Options(new CairnOptions { Durability = mode, RandomSeed = 1, TimeProvider = Clock }),
        new EngineHooks { IsMaintenanceManual = true });

    private FakeClock Clock => _subject?.Database.Clock ?? new FakeClock();

    private RecoveredWorld Judge(CairnDatabase db)
    {
        var sequence = (int)db.Sequence.Value;
        if (sequence < Acknowledged || sequence > Issued)
            throw new InvalidOperationException($"sequence {sequence} came back; {Acknowledged} was acknowledged, {Issued} issued");
        var slots = _subject?.Slots ?? new Dictionary<int, EngineSubject.Slot> { [0] = new(RunId.Default, null) };
        var recovered = RecoveredWorld.Read(db, slots, _worlds[sequence], version => _subject!.ToModel(version));
        var differences = recovered.Differences(RecoveredWorld.Of(_worlds[sequence], _subject is null ? _model.Now : Clock.Microseconds));
        if (differences.Length > 0)
            throw new InvalidOperationException($"at sequence {sequence}: {differences}");
        if (_hashes.TryGetValue(sequence, out var living) && db.StateHash() != living)
            throw new InvalidOperationException($"at sequence {sequence} the state hash is {db.StateHash()}, it was {living}");
        return recovered;
    }

    public void Dispose()
    {
        _subject?.Database.Abandon();
        _subject?.Dispose();
    }
}
