using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>Taking and releasing a snapshot of a run that has entries: time and allocation.</summary>
internal sealed class SnapshotPart(KvRun run)
{
    private const int Snapshots = 200_000;

    private readonly Series _time = Series.For(CairnSubject.Missing);
    private readonly Series _allocation = Series.For(CairnSubject.Missing);

    internal void Run()
    {
        if (CairnSubject.Missing is null)
        {
            using var subject = CairnSubject.Open(Durability.InMemory, run.NewDirectory());
            subject.Load(run.Insertion, run.Value);
            Take(subject);
            for (var round = 0; round < run.Rounds; round++)
            {
                var start = Stopwatch.GetTimestamp();
                Take(subject);
                _time.Add(Stopwatch.GetElapsedTime(start).TotalNanoseconds / Snapshots);
                _allocation.Add(Allocations.PerOperation(_ => subject.TakeAndReleaseSnapshot()));
            }
        }

        run.Report.Judge(KvGates.SnapshotTime, _time, run.Size);
        run.Report.Judge(KvGates.SnapshotAllocation, _allocation, run.Size);
    }

    private static void Take(CairnSubject subject)
    {
        for (var i = 0; i < Snapshots; i++)
            subject.TakeAndReleaseSnapshot();
    }
}
