namespace Cairn.Log;

/// <summary>What a device has and needs, in bytes.</summary>
/// <param name="Free">What an unprivileged process may still allocate.</param>
/// <param name="Held">Kept aside now.</param>
/// <param name="Reserve">What should be kept aside, and be free beside it.</param>
/// <param name="Preparing">Still to be allocated for the next segment.</param>
internal readonly record struct DeviceSpace(long Free, long Held, long Reserve, long Preparing);

/// <summary>
/// When the disk is full, and when it is no more (durability rule 5.7). Full: the next segment could not be allocated, or less is free
/// than the reserve, or the reserve could not be kept as large as the segments ask. Then the state refuses writes, and after that the
/// reserve is given up, for transactions that only delete: nobody else can take it.
///
///   free   ---- 2 x reserve + next segment ------------- resumes: the reserve is built first, then writes are taken
///               |  still full (else it would be full again at once)
///          ---- 1 x reserve ---------------------------- full from here on down
///
/// Looked at by the maintainer in every turn, when the database is opened, and by whoever finds no room for a record.
/// </summary>
internal sealed class DiskSpace(LogDevice device, EngineState state)
{
    private readonly Lock _gate = new();
    private long _free;
    private long _held;

    /// <summary>Bytes that were free when this was looked at last.</summary>
    internal long FreeBytes => Volatile.Read(ref _free);

    /// <summary>Bytes that the reserve held then.</summary>
    internal long ReserveBytes => Volatile.Read(ref _held);

    /// <summary>Looks, and enters or leaves the state.</summary>
    internal void Step()
    {
        lock (_gate)
        {
            var space = Look();
            if (state.IsDiskFull)
                ResumeIfRoom(space);
            else
                EnterIfShort(space);
        }
    }

    /// <summary>A file could not be allocated.</summary>
    /// <returns>False: the reserve was given up before, there is no more to use.</returns>
    internal bool Enter(Storage.StorageException full)
    {
        lock (_gate)
            return Enter(Look(), full.Message, full);
    }

    private DeviceSpace Look()
    {
        var space = device.Space();
        Volatile.Write(ref _free, space.Free);
        Volatile.Write(ref _held, space.Held);
        return space;
    }

    private void EnterIfShort(in DeviceSpace space)
    {
        if (Mutant.Is("full-disk-unseen"))
            return;
        var missing = Math.Max(0, space.Reserve - space.Held);
        if (space.Free - missing < space.Reserve)
            Enter(space, $"{space.Free} bytes are free, too few beside a reserve of {space.Reserve} bytes.", null);
        else if (missing > 0 && !device.TryBuildReserve())
            Enter(space, $"The reserve could not be built to {space.Reserve} bytes.", null);
        else
            Volatile.Write(ref _held, Math.Max(space.Held, space.Reserve));
    }

    private bool Enter(in DeviceSpace space, string what, Storage.StorageException? cause)
    {
        state.EnterDiskFull(what, NeededToResume(space), cause);
        if (!state.IsDiskFull || space.Held == 0)
            return false;
        device.ReleaseReserve();
        Volatile.Write(ref _held, 0);
        return true;
    }

    private void ResumeIfRoom(in DeviceSpace space)
    {
        if (space.Free + space.Held < (Mutant.Is("full-disk-no-hysteresis") ? space.Reserve : NeededToResume(space)))
            return;
        if (!device.TryBuildReserve())
        {
            device.ReleaseReserve();
            return;
        }

        Volatile.Write(ref _held, space.Reserve);
        state.LeaveDiskFull();
    }

    private static long NeededToResume(in DeviceSpace space) => 2 * space.Reserve + space.Preparing;
}
