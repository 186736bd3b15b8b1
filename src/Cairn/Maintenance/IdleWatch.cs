namespace Cairn.Maintenance;

/// <summary>
/// Looks once a second after the databases of this process whose maintainers have no thread, and starts it where something is due: a value
/// that expires, a transaction that grows too old. One thread for all of them, which ends at its next look when none is left: a
/// thousand open databases that rest cost a thousand looks at a few numbers a second. It starts threads and does no work of theirs, so
/// no device can hold it up.
/// </summary>
internal static class IdleWatch
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<Maintainer> RestingOnes = [];
    private static readonly ManualResetEventSlim Never = new(false, spinCount: 0);
    private static Thread? _thread;

    internal static int Resting
    {
        get
        {
            lock (Gate)
                return RestingOnes.Count;
        }
    }

    /// <summary>False: no thread could be started, so nobody would look.</summary>
    internal static bool TryAdd(Maintainer maintainer)
    {
        lock (Gate)
        {
            if (_thread is null)
            {
                try
                {
                    var thread = new Thread(Run) { IsBackground = true, Name = "cairn-idle" };
                    thread.UnsafeStart();
                    _thread = thread;
                }
                catch (Exception cannot) when (cannot is OutOfMemoryException or ThreadStartException)
                {
                    return false;
                }
            }

            RestingOnes.Add(maintainer);
            return true;
        }
    }

    internal static void Remove(Maintainer maintainer)
    {
        // The thread sees it within a second. Until then it serves whoever is opened next.
        lock (Gate)
            RestingOnes.Remove(maintainer);
    }

    private static void Run()
    {
        while (true)
        {
            Never.Wait(Maintainer.IdlePoll);
            Maintainer[] resting;
            lock (Gate)
            {
                if (RestingOnes.Count == 0)
                {
                    _thread = null;
                    return;
                }

                resting = [.. RestingOnes];
            }

            foreach (var maintainer in resting)
            {
                if (maintainer.WakeIfNeeded())
                    Remove(maintainer);
            }
        }
    }
}
