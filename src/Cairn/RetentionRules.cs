namespace Cairn;

/// <summary>Which policies this version keeps, checked at the door.</summary>
internal static class RetentionRules
{
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: it would promise what is not kept.</exception>
    internal static void Check(Retention policy, bool hasLog)
    {
        if (policy.Versions is > 1)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"'{policy}' asks for {policy.Versions} versions of each key, and so many are not kept by number: KeepLast takes 1. "
                + "Keep them by time (KeepFor), or all (KeepAll).");
        }

        if (!hasLog && NeedsLog(policy))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"This database lies in memory without a log and keeps the newest versions alone, so a run cannot keep '{policy}'. "
                + "Open it with CairnOptions.Retention set to KeepAll or KeepFor, or in a directory.");
        }
    }

    /// <summary>It keeps older versions than the newest ones.</summary>
    internal static bool NeedsLog(Retention policy) => policy.Duration is not null || policy.Versions is not 1;
}
