namespace Cairn.Cli;

/// <summary>From text on the command line to a run.</summary>
internal static class RunNames
{
    /// <summary>The run that --run names.</summary>
    /// <param name="begin">For a writing verb: a name that is not taken begins a run. An id is never made up.</param>
    internal static Run Find(Runs runs, string nameOrId, bool begin)
    {
        if (runs.TryGet(nameOrId, out var run))
            return run;
        return begin && !RunId.TryParse(nameOrId, out _) ? runs.Begin(nameOrId) : throw Missing(nameOrId);
    }

    internal static Run Find(CairnDatabase database, string nameOrId) => Find(database.Runs, nameOrId, begin: false);

    /// <summary>For people: the name if it has one.</summary>
    internal static string Show(RunInfo info) => info.Name ?? (info.Id == RunId.Default ? "default" : info.Id.ToString());

    private static RefusedException Missing(string nameOrId) =>
        new(ErrorCode.NotFound, $"There is no run '{nameOrId}'. 'cairn run list' shows those there are; 'cairn run begin' makes one.");
}
