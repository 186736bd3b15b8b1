using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Checkpoints;

/// <summary>What a failure of work on tables means: the one rule for checkpoints, merges and rebuilding.</summary>
internal static class TableFailure
{
    /// <summary>Gives the attempt up where another may follow, and ends writing where none may: after a failed sync (D:5.5), and once a
    /// manifest names what memory knows in parts only.</summary>
    /// <param name="isPublished">A manifest names what the attempt has made.</param>
    /// <param name="abandon">Gives it up.</param>
    /// <returns>What to tell instead of the failure; null = the failure itself.</returns>
    internal static Exception? Judge(Exception cause, bool isPublished, EngineState state, IStorage storage, Action abandon)
    {
        switch (cause)
        {
            case StorageException { Error: StorageError.NoSpace, Operation: not "sync directory" } when !state.HasFailed:
                abandon();
                return state.DiskFull();
            case StorageException { IsOfSync: true } failure:
                return state.Fail(failure);
            case StorageException failure when !state.HasFailed:
                abandon();
                return failure.ToCairn(storage.Description);
            default:
                if (isPublished)
                    state.Fail(cause);
                abandon();
                return null;
        }
    }
}
