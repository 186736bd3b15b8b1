using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

/// <summary>Every way in which a call of the storage fails, at every call, once and from then on.</summary>
internal static class EachFault
{
    /// <param name="least">Calls that must have been struck for each way, or the test would show nothing.</param>
    /// <param name="strikes">Works with a fault at the n-th call, and checks; false: there were not as many calls.</param>
    internal static void Strikes(int least, Func<FaultKind, int, bool, bool> strikes)
    {
        foreach (var kind in Enum.GetValues<FaultKind>().Where(kind => kind is not FaultKind.FlippedBit))
        {
            foreach (var lasting in new[] { false, true })
            {
                var faults = 0;
                for (var at = 1; strikes(kind, at, lasting); at++)
                    faults++;
                Assert.True(faults >= least, $"only {faults} faults of {kind}");
            }
        }
    }
}
