using Xunit;

namespace Cairn.Tests.Checkers;

[Trait("Promise", "G8")]
public sealed class HermitageTests(ITestOutputHelper output)
{
    public static TheoryData<string, string> All
    {
        get
        {
            var rows = new TheoryData<string, string>();
            foreach (var script in Hermitage.Scripts)
            {
                foreach (var level in Enum.GetValues<IsolationLevel>())
                    rows.Add(script.Name, level.ToString());
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_table_holds_for_a_correct_store(string name, string level)
    {
        var script = Hermitage.Scripts.Single(s => s.Name == name);

        var report = Hermitage.Run(script, new ToyStore(), Enum.Parse<IsolationLevel>(level));

        output.WriteLine(report.Transcript);
        Assert.True(report.Failure is null, report.Failure);
    }

    [Theory]
    [InlineData("ReadValidationOff", "P4", "Serializable")]
    [InlineData("ReadValidationOff", "P4", "Snapshot")]
    [InlineData("ReadValidationOff", "G2-item", "Serializable")]
    [InlineData("LostUpdate", "P4", "Snapshot")]
    [InlineData("LostUpdate", "P4 by creation", "Serializable")]
    [InlineData("LostUpdate", "P4 by deletion", "Serializable")]
    [InlineData("Phantom", "G2", "Serializable")]
    [InlineData("Phantom", "G2 in one range", "Serializable")]
    [InlineData("DeletedKeysNotTracked", "G2-item by absence", "Serializable")]
    [InlineData("DeletedKeysNotTracked", "P4 by creation", "Serializable")]
    [InlineData("DeletedKeysNotTracked", "P4 by absence and return", "Serializable")]
    [InlineData("NoSnapshot", "PMP", "Snapshot")]
    [InlineData("NoSnapshot", "G-single", "Snapshot")]
    [InlineData("NoSnapshot", "OTV", "Snapshot")]
    [InlineData("WriteThrough", "G1a", "Snapshot")]
    [InlineData("WriteThrough", "G1a by range", "Snapshot")]
    [InlineData("WriteThrough", "G1b", "Snapshot")]
    [InlineData("WriteThrough", "G1c", "Snapshot")]
    public void A_script_fails_on_the_store_that_is_broken_for_it(string fault, string name, string level)
    {
        var script = Hermitage.Scripts.Single(s => s.Name == name);

        var report = Hermitage.Run(script, new ToyStore(Enum.Parse<ToyFault>(fault)), Enum.Parse<IsolationLevel>(level));

        output.WriteLine(report.Failure ?? "");
        Assert.NotNull(report.Failure);
    }

    [Fact]
    public void A_store_that_is_stronger_than_Snapshot_is_told_so()
    {
        var script = Hermitage.Scripts.Single(s => s.Name == "G2-item");

        var report = Hermitage.Run(script, new AlwaysSerializable(), IsolationLevel.Snapshot);

        Assert.Contains("stronger than its name", report.Failure, StringComparison.Ordinal);
    }

    private sealed class AlwaysSerializable : ITransactionalStore
    {
        private readonly ToyStore _store = new();

        public ITransactionHandle Begin(IsolationLevel level) => _store.Begin(IsolationLevel.Serializable);
    }
}
