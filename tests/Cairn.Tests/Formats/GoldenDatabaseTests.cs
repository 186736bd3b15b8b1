using Cairn.Tests.Log;
using Cairn.Tests.Tidy;
using Xunit;

namespace Cairn.Tests.Formats;

/// <summary>C13: a directory written by each release opens in every later one. Fixtures/format-1.0 is written once, by hand
/// (./test only '*Write_the_fixture*' with -explicit only), before the release, and never again.</summary>
public class GoldenDatabaseTests
{
    private const string Fixture = "tests/Cairn.Tests/Fixtures/format-1.0";

    [Fact(Explicit = true)]
    public void Write_the_fixture()
    {
        var target = Repository.Full(Fixture);
        Assert.False(Directory.Exists(target), "The fixture exists. It is never written again: a new format gets a directory of its own.");
        foreach (var (path, bytes) in GoldenDatabase.Write().Files)
        {
            var file = Path.Combine(target, path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, bytes);
        }
    }

    [Fact]
    [Trait("Promise", "G11")]
    [Trait("Test", "C13")]
    public void The_directory_of_format_1_0_opens_with_its_content()
    {
        var source = Repository.Full(Fixture);
        var image = new DirectoryImage();
        foreach (var file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
            image.Files.Add(Path.GetRelativePath(source, file).Replace('\\', '/'), File.ReadAllBytes(file));

        using var db = GoldenDatabase.Open(image.ToStorage(), new SteppingClock(), Durability.Strict);

        Assert.Null(GoldenDatabase.Differs(db));
    }

    [Fact]
    [Trait("Requirement", "RCV-R1")]
    public void The_same_seed_and_clock_give_the_same_bytes()
    {
        var first = GoldenDatabase.Write();
        var second = GoldenDatabase.Write();

        Assert.Equal(first.Files.Keys, second.Files.Keys);
        foreach (var (path, bytes) in first.Files)
            Assert.True(bytes.AsSpan().SequenceEqual(second.Files[path]), $"{path} differs");
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void What_the_generator_wrote_is_read_back_from_a_copy()
    {
        using var db = GoldenDatabase.Open(GoldenDatabase.Write().ToStorage(), new SteppingClock(), Durability.Strict);

        Assert.Null(GoldenDatabase.Differs(db));
        Assert.True(db.Recovery.Segments > 1, "the fixture should have more than one segment");
    }
}
