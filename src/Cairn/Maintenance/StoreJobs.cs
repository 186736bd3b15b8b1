using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Removes expired values by ordinary transactions that apply only if the version is still the expired one (TTL-5).</summary>
internal sealed class ExpiryJob(CommitPath path) : MaintenanceJob("expiry")
{
    private const int KeysPerStep = 256;

    internal long Removed { get; private set; }

    internal override bool Step()
    {
        if (path.State.IsDiskFull)
            return false;
        var more = false;
        foreach (var run in path.Catalogue.Runs)
            more |= Step(run);
        return more;
    }

    private bool Step(RunState run)
    {
        var time = path.ReadTime();
        var expired = FindExpired(run, time);
        foreach (var (key, sequence) in expired)
        {
            var set = path.Operations.Sets.First(set => set.Owns(key[0]));
            var batch = Batch.RentOwned();
            batch.IsAllowedWhenClosed = true;
            batch.OnlyDeletes = true;
            batch.BeginPart(run);
            set.EncodeExpired(batch, key);
            batch.EndPart();
            var expected = new Expectation(run, key, ExpectationKind.Newest, sequence);
            var placed = path.Place(batch, null, [expected], path.Clock.GetTimestamp());
            if (placed.Refusal is null)
                Removed++;
            path.Log.Drive(mayLeave: true);
        }

        return expired.Count == KeysPerStep;
    }

    private static List<(byte[] Key, ulong Sequence)> FindExpired(RunState run, long time)
    {
        var expired = new List<(byte[], ulong)>();
        Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> to = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        using var reader = run.Store.Read();
        var scan = reader.Scan(StoreKeys.Expiry(from, 0, default), StoreKeys.Expiry(to, time + 1, default), ulong.MaxValue);
        while (expired.Count < KeysPerStep && scan.MoveNext())
        {
            var key = scan.Key[StoreKeys.ExpiryPrefixBytes..].ToArray();
            if (reader.TryGetNewest(key, out var version) && !version.IsTombstone && !version.IsLiveAt(time))
                expired.Add((key, version.Sequence));
        }

        return expired;
    }
}

/// <summary>Frees versions that nobody needs any more in runs that are not written to.</summary>
internal sealed class SweepJob(Catalogue catalogue) : MaintenanceJob("sweep")
{
    private const int StepsPerRun = 1024;

    private long _pendingBefore;

    internal override bool Step()
    {
        var pending = Sweep(catalogue.State);
        foreach (var run in catalogue.Runs)
            pending += Sweep(run);

        // What pins hold is pending too, and stays so however often this looks: more is in sight only while the number moves.
        var more = pending > 0 && pending != _pendingBefore;
        _pendingBefore = pending;
        return more;
    }

    private static long Sweep(RunState run)
    {
        if (!run.CommitLock.TryEnter())
            return 0;                                        // it is being written to, and writes sweep by themselves
        try
        {
            return run.Store.Sweep(StepsPerRun);
        }
        finally
        {
            run.CommitLock.Exit();
        }
    }
}

/// <summary>Ends what was left open for too long: transactions and cursors, so that they pin no versions (TX-32).</summary>
internal sealed class TimeoutJob(Func<int> closeTransactions, Cursors cursors) : MaintenanceJob("timeout")
{
    internal override bool Step()
    {
        closeTransactions();
        cursors.CloseIdle();
        return false;
    }
}
