#pragma warning disable xUnit1051 // what is carried here is small
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Cairn.Tests.Transfer;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Documents in exports, run files and backups: each comes back as it was.</summary>
[Trait("Requirement", "OPS-6")]
public sealed class DocumentTransferTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Strict)]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-26")]
    public void An_export_gives_back_every_document(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            var lines = ExportTests.Export(test.Db);
            using var copy = new TestDatabase(mode);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            ExportTests.Import(copy.Db, lines);
            copy.NowAndAfterReopening(() =>
            {
                Same(test.Run, copy.Db.Default);
                Assert.Equal(test.Run.ContentHash(), copy.Db.Default.ContentHash());
                ExportTests.Same(lines, ExportTests.Export(copy.Db), $"seed {seed}");
            });
            Assert.Equal(0, ExportTests.Import(copy.Db, lines).Written);
            copy.Db.Default.Json.Set("settings", "$.more", seed);
            Assert.NotEqual(test.Run.ContentHash(), copy.Db.Default.ContentHash());
        }
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Promise", "G1")]
    public void An_import_of_documents_that_loses_power_is_done_again_to_the_same_end()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            var lines = ExportTests.Export(test.Db);
            var random = new Random(seed);
            var storage = new CrashStorage();
            using var copy = new TestDatabase(Durability.Strict, storage: storage);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            for (var life = 0; life < 3; life++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(30);
                try
                {
                    ExportTests.Import(copy.Db, lines);
                }
                catch (Exception failure) when (failure is PowerLossException or CairnException && storage.PowerLost)
                {
                }

                storage = storage.Crash((ulong)random.NextInt64());
                copy.MoveTo(storage);
            }

            ExportTests.Import(copy.Db, lines);
            Same(test.Run, copy.Db.Default);
        }
    }

    [Theory]
    [InlineData("other", ErrorCode.AlreadyExists, "another one")]
    [InlineData("expiry", ErrorCode.AlreadyExists, "another one")]
    [InlineData("no value", ErrorCode.InvalidArgument, "'value'")]
    [InlineData("empty id", ErrorCode.InvalidKey, "")]
    [InlineData("long id", ErrorCode.LimitExceeded, "KeyBytesMax")]
    [InlineData("reserved id", ErrorCode.InvalidKey, "")]
    [InlineData("bytes", ErrorCode.LimitExceeded, "ValueBytesMax")]
    [InlineData("depth", ErrorCode.LimitExceeded, "DepthMax")]
    [InlineData("elements", ErrorCode.LimitExceeded, "ArrayElementsMax")]
    [InlineData("members", ErrorCode.LimitExceeded, "ObjectMembersMax")]
    [InlineData("twice", ErrorCode.InvalidArgument, "earlier line")]
    [Trait("Requirement", "LIM-8")]
    [Trait("Requirement", "JS-19")]
    public void A_document_that_cannot_be_imported_is_refused_with_its_line(string what, ErrorCode code, string words)
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Run.Json.Put("a", Value.FromJson("{\"list\":[1,2,3,4,5,6,7,8],\"deep\":{\"a\":{\"b\":{\"c\":1}}},\"m1\":1,\"m2\":2}"));
        var lines = ExportTests.Export(test.Db);
        Assert.Contains("\"line\":\"json\"", lines[2], StringComparison.Ordinal);
        var limits = what switch
        {
            "bytes" => new Limits() with { ValueBytesMax = 32 },
            "depth" => new Limits() with { DepthMax = 3 },
            "elements" => new Limits() with { ArrayElementsMax = 7 },
            "members" => new Limits() with { ObjectMembersMax = 3 },
            _ => new Limits(),
        };
        using var copy = new TestDatabase(Durability.InMemory, change: options => options with { Limits = limits });
        copy.Clock.Microseconds = test.Clock.Microseconds;
        switch (what)
        {
            case "other":
                copy.Run.Json.Put("a", 1);
                break;
            case "expiry":
                copy.Run.Json.Put("a", test.Run.Json.Get("a")!.Value, TimeSpan.FromHours(1));
                break;
            case "no value":
                lines[2] = lines[2].Replace("\"value\"", "\"worth\"", StringComparison.Ordinal);
                break;
            case "empty id":
                lines[2] = lines[2].Replace("\"id\":\"a\"", "\"id\":\"\"", StringComparison.Ordinal);
                break;
            case "long id":
                lines[2] = lines[2].Replace("\"id\":\"a\"", $"\"id\":\"{new string('a', 1_025)}\"", StringComparison.Ordinal);
                break;
            case "reserved id":
                lines[2] = lines[2].Replace("\"id\":\"a\"", "\"id\":\"$a\"", StringComparison.Ordinal);
                break;
            case "twice":
                lines = [.. lines[..3], lines[2], .. lines[3..]];
                break;
        }

        var refused = Assert.ThrowsAny<CairnException>(() => ExportTests.Import(copy.Db, lines));
        Assert.Equal(code, refused.Code);
        Assert.StartsWith(what == "twice" ? "Line 4:" : "Line 3:", refused.Message, StringComparison.Ordinal);
        Assert.Contains(words, refused.Message, StringComparison.Ordinal);
        Assert.False(copy.Db.Engine.State.HasFailed);
        if (what is not ("other" or "expiry"))
            Assert.Equal(0, copy.Run.Json.Count());
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    /// <summary>Some documents, made and changed in several commits; one expires, one is deleted.</summary>
    internal static void Fill(Run run, int seed)
    {
        var values = new RandomDocuments(seed);
        run.Json.Put("settings", Value.FromJson("{\"list\":[1,2.5,\"x\"],\"n\":1,\"text\":\"a\"}"));
        for (var i = 0; i < 12; i++)
        {
            run.With(new CommitAttributes { Actor = $"writer {i % 3}" })
                .Json.Put($"d{i}", values.Next(4), i % 4 == 0 ? TimeSpan.FromDays(1) : null);
        }

        run.Json.ArrayAppend("settings", "$.list", "last", Value.Bytes([1, 2]));
        run.Json.ArrayInsert("settings", "$.list", 1, Value.FromJson("{\"in\":[]}"));
        run.Json.ArrayRemove("settings", "$.list", 0);
        run.Json.Increment("settings", "$.n", 41);
        run.Json.StringAppend("settings", "$.text", new string('b', 9_000));
        run.Json.Merge("settings", Value.FromJson("{\"merged\":{\"a\":1}}"));
        run.Json.Patch("settings", JsonPatch.Parse("[{\"op\":\"move\",\"from\":\"/merged\",\"path\":\"/moved\"}]"));
        run.Json.Delete("d3");
        run.Json.Put("empty", Value.Object());
    }

    internal static void Same(Run expected, Run actual)
    {
        Assert.Equal(expected.Json.List().ToList(), actual.Json.List().ToList());
        foreach (var id in expected.Json.List())
        {
            var (one, other) = (expected.Json.GetVersioned(id)!.Value, actual.Json.GetVersioned(id)!.Value);
            Assert.True(one.Value == other.Value, $"{id}:\n{one.Value}\n{other.Value}");
            Assert.Equal(one.Expiry, other.Expiry);
        }
    }
}
