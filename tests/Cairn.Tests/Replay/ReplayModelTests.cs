using Cairn.Log;
using Cairn.Replay;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Replay;

using Model = Cairn.Tests.Checkers.Model;

/// <summary>Random histories, with checkpoints, compactions and restarts between: the view at every sequence is what the run was then, by
/// its state hash (RPL-2, G10).</summary>
[Trait("Promise", "G10")]
[Trait("Model", "Kv")]
[Trait("Model", "Events")]
[Trait("Model", "State")]
[Trait("Model", "Traces")]
[Trait("Model", "Runs")]
public class ReplayModelTests(ITestOutputHelper output)
{
    private const int Operations = 260;

    /// <summary>A run as it was right after a commit.</summary>
    private readonly record struct Known(RunId Run, Sequence Born, Sequence Sequence, Hash256 Hash);

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void RPL_2_The_view_at_every_commit_of_a_random_history_is_what_the_run_was(Durability mode)
    {
        var seed = Seeds.Begin(nameof(RPL_2_The_view_at_every_commit_of_a_random_history_is_what_the_run_was));
        Play(seed, mode, Retention.KeepAll, isTrimmedAllowed: false);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Requirement", "RPL-5")]
    public void RPL_5_Where_retention_has_let_records_go_a_view_is_right_or_refused(int seconds)
    {
        var seed = Seeds.Begin(nameof(RPL_5_Where_retention_has_let_records_go_a_view_is_right_or_refused));
        var policy = seconds == 1
            ? Retention.KeepLast(1)
            : Retention.KeepFor(TimeSpan.FromSeconds(seconds)).Or(Retention.KeepEvents(Retention.EventsMax));
        Play(seed, Durability.Buffered, policy, isTrimmedAllowed: true);
    }

    private void Play(ulong seed, Durability mode, Retention policy, bool isTrimmedAllowed)
    {
        var often = new GeneratorOptions(RestartEvery: 90, CheckpointEvery: 23, CompactEvery: 41, MaintainEvery: 17);
        var program = EngineSubject.Playable(new Generator(unchecked((int)seed), often).Take(Seeds.Scaled(Operations)));
        var model = new Model();
        using var subject = new EngineSubject(mode, change: options => options with
        {
            SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, CompactionGarbageMin = 16 << 10, ContentThreshold = 64,
            ContentMemoryBytes = 0, Retention = policy,
        });
        var known = new List<Known>();
        var last = Sequence.None;
        foreach (var operation in program)
        {
            var expected = model.Execute(operation);
            if (expected.IsSkipped)
                continue;
            subject.Execute(operation, expected, model);
            if (subject.Database.Db.Sequence == last)
                continue;
            last = subject.Database.Db.Sequence;
            foreach (var run in Runs(subject))
                known.Add(new Known(run.Id, run.Info.FirstSequence, last, run.StateHash()));
        }

        var share = 1 + known.Count / 1_500;
        Judge(subject.Database.Db, [.. known.Where((_, index) => index % share == 0)], isTrimmedAllowed);
        subject.Database.Reopen();
        Judge(subject.Database.Db, [.. known.Where((_, index) => index % (7 * share) == 0)], isTrimmedAllowed);
    }

    private static IEnumerable<Run> Runs(EngineSubject subject) => subject.Slots.Values
        .Where(slot => slot.Run is not null && subject.Database.Db.Runs.Exists(slot.Id))
        .Select(slot => subject.Database.Db.Runs.Get(slot.Id)!);

    private void Judge(CairnDatabase db, List<Known> known, bool isTrimmedAllowed)
    {
        var (right, refused) = (0, 0);
        foreach (var then in known)
        {
            // Deleted since, and perhaps begun again under the same id: that is another run.
            if (db.Runs.Get(then.Run) is not { } run || run.Info.FirstSequence != then.Born)
                continue;
            foreach (var from in Enum.GetValues<ReplayBase>())
            {
                try
                {
                    var source = RunView.SourceOf(db.Engine, run.RunState, then.Sequence.Value);
                    using var replay = RunReplay.Build(source, ReplayPoint.At(then.Sequence.Value), from);
                    using var view = run.At(then.Sequence);
                    Assert.Equal(then.Hash, view.StateHash());
                    using var hash = new Cairn.Primitives.StateHash(
                        db.Engine.Path.Operations, then.Sequence.Value, CommitClock.Microseconds(view.Time));
                    Assert.True(then.Hash == hash.OfRun(replay.Run), $"run {then.Run} at {then.Sequence} from {from}");
                    right++;
                }
                catch (HistoryTrimmedException trimmed) when (
                    isTrimmedAllowed || from == ReplayBase.Beginning || IsOfDeletedRun(db, then.Sequence))
                {
                    Assert.True(isTrimmedAllowed || IsOfDeletedRun(db, then.Sequence), trimmed.Message);
                    refused++;
                }
            }
        }

        output.WriteLine($"{right} views are right, {refused} were refused as trimmed");
        Assert.True(right > 0);
    }

    // Nobody needs the record any more but who asks for its time.
    private static bool IsOfDeletedRun(CairnDatabase db, Sequence sequence)
    {
        using var search = new CommitSearch((SegmentedLog)db.Engine.Path.Log.Device!);
        return !search.TryFind(sequence.Value, out _, out _, out _);
    }
}
