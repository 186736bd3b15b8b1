using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>Any bytes give parts and operations or one typed refusal.</summary>
public class TransactionPayloadTests
{
    private static readonly byte[] Put = Payloads.Operation(0x10, "key"u8, "value"u8);

    [Fact]
    public void Each_break_of_the_structure_is_named()
    {
        Refused("a transaction of at least 16 bytes", new byte[15]);
        Refused("at least one run part", Payloads.Transaction(1, []));
        Refused("attributes that end inside the payload", Payloads.Transaction(1, new byte[9], [])[..20]);
        Refused("a run part of at least 32 bytes", Payloads.Transaction(1, [], new byte[31]));
        Refused("at least one operation in a run part", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0)));
        Refused("operations that end inside the payload", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Put)[..^1]));
        Refused("run parts ascending by run id", Payloads.Transaction(1, [], Payloads.Part(RunId.System, 0, Put), Payloads.Part(RunId.Default, 0, Put)));
        Refused("run parts ascending by run id", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Put), Payloads.Part(RunId.Default, 0, Put)));
        Refused("nothing behind the last run part", [.. Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Put)), 0]);
        Refused("an operation of at least 8 bytes", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, new byte[7])));
        Refused("an operation code; 00 is none", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Payloads.Operation(0, "k"u8, []))));
        Refused("an operation that ends inside its run part", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Put[..^1])));
        Refused("an expiry at the head of the body", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Payloads.Operation(0x10, "k"u8, new byte[7], 1))));
        Refused("a key of at most 1024 bytes, not 1025", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Payloads.Operation(0x10, new byte[1025], []))));
        Assert.True(Refused("operation flags 0x02", Payloads.Transaction(1, [], Payloads.Part(RunId.Default, 0, Payloads.Operation(0x10, "k"u8, [], 2)))).IsUnknown);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Changed_bytes_give_parts_or_the_one_refusal_and_nothing_else()
    {
        var good = Payloads.Transaction(1, [0x80], Payloads.Part(RunId.Default, 5, Put, Put), Payloads.Part(RunId.System, 6, Put));
        TransactionPayload.Check(good);
        var chance = new Chance(11);
        var refused = 0;
        for (var i = 0; i < 200_000; i++)
        {
            var bytes = (byte[])good.Clone();
            for (var change = 1 + chance.Below(3); change > 0; change--)
                bytes[chance.Below(bytes.Length)] = (byte)chance.Next();
            try
            {
                TransactionPayload.Check(bytes.AsSpan(0, chance.OneIn(4) ? chance.Below(bytes.Length) : bytes.Length));
            }
            catch (MalformedPayloadException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 50_000, 199_000);
    }

    private static MalformedPayloadException Refused(string expected, byte[] payload)
    {
        var refused = Assert.Throws<MalformedPayloadException>(() => TransactionPayload.Check(payload));
        Assert.Equal(expected, refused.Expected);
        return refused;
    }
}
