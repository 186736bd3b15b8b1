namespace Cairn;

/// <summary>Which policies this version keeps, checked at the door.</summary>
internal static class RetentionRules
{
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: it would promise what is not kept.</exception>
    internal static void Check(Retention policy, bool hasLog)
    {
        if (!hasLog && NeedsLog(policy))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"This database lies in memory without a log and keeps the newest versions alone, so a run cannot keep '{policy}'. "
                + "Open it with CairnOptions.Retention set to a policy that keeps the past, or in a directory.");
        }
    }

    /// <summary>It keeps older versions than the newest ones.</summary>
    internal static bool NeedsLog(Retention policy) => policy.Duration is not null || policy.Versions is not 1;
}
