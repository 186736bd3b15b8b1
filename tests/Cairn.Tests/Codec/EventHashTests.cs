using Cairn.Codec;
using Xunit;
using static Cairn.Tests.Codec.RandomValues;

namespace Cairn.Tests.Codec;

/// <summary>The literals come from tests/oracles/event_hash.py, which knows nothing of Cairn.</summary>
public sealed class EventHashTests
{
    [Fact]
    [Trait("Requirement", "EV-3")]
    public void EV_3_The_chain_gives_the_hashes_of_the_golden_vectors()
    {
        var object1 = Value.Object(("id", 4711), ("tool", "crm.lookup")).Encode();
        byte[] big = new byte[4096];
        for (var at = 0; at < big.Length; at++)
            big[at] = (byte)at;

        var previous = EventHash.BeforeFirst.ToArray();
        Check(0, "tool_call", 1_700_000_000_000_000, Salt(0), object1,
            "5ebf7d05917b666de08c4410bb566928869534ec058db552a265ef10f7e3d130",
            "72a8f0222b0eef343be0c5773c0b028a1b7a4362f7cef8d2f25aae2790fbce6c");
        Check(1, "événement", 1_700_000_000_000_001, Salt(16), Value.Object().Encode(),
            "481e9a17180a34bee20133729b13817be65e8834f6d69a6cd9d66cca1db372a3",
            "a8d96a276f6a6aa5365f4b3dcaf7ce88a529c256df8eb7e5d27bb1101cccb7ec");
        Check(2, "$redacted", -1, Enumerable.Repeat((byte)0xFF, 16).ToArray(), Value.Object(("n", 0)).Encode(),
            "7e438adfb553806b6ef70f3d24b982a4a573dfb6bf83312620bc8fe736b1900a",
            "ddefdb6072e8b8783a12159d73ebe5405710859665bcd263918fa56a5ea41cf1");
        Check(3, "big", 1_700_000_000_000_001, new byte[16], Value.Object(("b", big)).Encode(),
            "8d31d4b36cff538bd78ea2b9e3b643d351a5f22f6bf8ce54fa3c1fe66e918e5c",
            "d13f3edc40a4c62cda43a7c924d48f2b4432f19274d3e23f5791eca53ecae3a7");

        void Check(ulong number, string type, long time, byte[] salt, byte[] payload, string payloadHash, string hash)
        {
            var apart = new byte[EventHash.Size];
            var together = new byte[EventHash.Size];
            EventHash.OfPayload(salt, payload, apart);
            EventHash.OfPayload([.. salt, .. payload], together);
            Assert.Equal(payloadHash, Hex(apart));
            Assert.Equal(payloadHash, Hex(together));
            EventHash.OfEvent(number, Utf8.GetBytes(type), time, apart, previous, previous);
            Assert.Equal(hash, Hex(previous));
        }

        static byte[] Salt(int from) => [.. Enumerable.Range(from, 16).Select(i => (byte)i)];
    }

    [Fact]
    [Trait("Requirement", "EV-4")]
    public void EV_4_Before_the_first_event_stand_32_zero_bytes() => Assert.Equal(new byte[32], EventHash.BeforeFirst.ToArray());
}
