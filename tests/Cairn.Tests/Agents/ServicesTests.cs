using Cairn.Agents;
using Cairn.Tests.Storage;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace Cairn.Tests.Agents;

/// <summary>AGT-3: databases and caches as services.</summary>
[Trait("Requirement", "AGT-3")]
public sealed class ServicesTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Databases_are_opened_once_under_their_keys_and_closed_with_the_container()
    {
        var services = new ServiceCollection();
        services.AddCairn(options => options.Directory = _directory["main"]);
        services.AddKeyedCairn("scratch", options => options.Database = new CairnOptions { Durability = Durability.InMemory });
        services.AddCairnCache();
        services.AddKeyedCairnCache("fast", options =>
        {
            options.DatabaseKey = "scratch";
            options.Prefix = "f/";
        });
        CairnDatabase main, scratch;
        await using (var provider = services.BuildServiceProvider(new ServiceProviderOptions { ValidateOnBuild = true }))
        {
            provider.GetRequiredService<IStartupValidator>().Validate();
            Assert.False(Directory.Exists(_directory["main"]));                  // nothing is opened before it is asked for
            main = provider.GetRequiredService<CairnDatabase>();
            scratch = provider.GetRequiredKeyedService<CairnDatabase>("scratch");
            Assert.Same(main, provider.GetRequiredService<CairnDatabase>());
            Assert.NotSame(main, scratch);
            provider.GetRequiredService<IDistributedCache>().Set("a", [1], new());
            provider.GetRequiredKeyedService<IDistributedCache>("fast").Set("b", [2], new());
            Assert.Equal(["a"], main.Runs.Get("cache")!.Kv.List());
            Assert.Equal(["f/b"], scratch.Runs.Get("cache")!.Kv.List());
            Assert.Equal(Retention.KeepLast(1), main.Runs.Get("cache")!.Retention.Own);
        }

        Assert.Throws<ObjectDisposedException>(() => main.Default.Kv.Put("a", 1));
        Assert.Throws<ObjectDisposedException>(() => scratch.Default.Kv.Put("a", 1));
        await using var again = services.BuildServiceProvider();
        Assert.Equal([1], again.GetRequiredService<IDistributedCache>().Get("a"));
    }

    // A process that died between the two commits that make the run left one that keeps all; a run of the application's stays as it is.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_run_that_was_begun_for_a_cache_gets_its_policy_though_the_process_died_before(bool isOfCache)
    {
        var services = new ServiceCollection();
        services.AddCairn(options => options.Database = new CairnOptions { Durability = Durability.InMemory });
        services.AddCairnCache();
        using var provider = services.BuildServiceProvider();
        var run = provider.GetRequiredService<CairnDatabase>().Runs.Begin("cache", tags: isOfCache ? ["cairn.cache"] : []);
        Assert.Null(run.Retention.Own);
        provider.GetRequiredService<IDistributedCache>();
        Assert.Equal(isOfCache ? Retention.KeepLast(1) : null, run.Retention.Own);
    }

    [Theory]
    [InlineData("none", "Directory is missing")]
    [InlineData("blank", "Directory is empty")]
    [InlineData("both", "Leave one out")]
    [InlineData("range", "SyncCommits")]
    [InlineData("limit", "DepthMax")]
    [InlineData("null", "Database is null")]
    public void Options_that_cannot_be_are_told_when_the_application_starts(string what, string words)
    {
        var services = new ServiceCollection();
        services.AddKeyedCairn("memory", options =>
        {
            options.Directory = what switch { "none" => null, "blank" => " ", _ => _directory["db"] };
            options.Database = what switch
            {
                "both" => new CairnOptions { Durability = Durability.InMemory },
                "range" => new CairnOptions { SyncCommits = 0 },
                "limit" => new CairnOptions { Limits = new Limits { DepthMax = 0 } },
                "null" => null!,
                _ => new CairnOptions(),
            };
        });
        using var provider = services.BuildServiceProvider();
        var wrong = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IStartupValidator>().Validate());
        Assert.Contains("'memory'", wrong.Message, StringComparison.Ordinal);
        Assert.Contains(words, wrong.Message, StringComparison.Ordinal);
        Assert.Throws<OptionsValidationException>(() => provider.GetRequiredKeyedService<CairnDatabase>("memory"));
        Assert.False(Directory.Exists(_directory["db"]));
    }

    [Fact]
    public void A_cache_needs_a_run_and_a_key_is_not_empty()
    {
        var services = new ServiceCollection();
        services.AddCairnCache(options => options.Run = "");
        using var provider = services.BuildServiceProvider();
        Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IStartupValidator>().Validate());
        Assert.Throws<ArgumentException>(() => services.AddKeyedCairn(""));
        Assert.Throws<ArgumentException>(() => services.AddKeyedCairnCache(""));
    }

    [Fact]
    [Trait("Requirement", "AGT-1")]
    public async Task The_sample_agent_runs_and_says_what_a_recording_is_good_for()
    {
        using var output = new StringWriter { NewLine = "\n" };
        await Cairn.Samples.Agent.Program.RunAsync(_directory["sample"], output);
        Assert.Equal(
            [
                "recorded: Together 184.",
                "  input 0: Model ", "  input 1: Tool list_notes", "  input 2: Model ", "  input 3: Tool read_note", "  input 4: Model ",
                "  input 5: Tool read_note", "  input 6: Model ",
                "replayed: Together 184. 7 inputs from the recording, 0 live",
                "changed: input 5; it matters first at input 6, $.messages[6].contents[0].result differs from character 13 on",
                "what if: Together 94. 1 live",
            ],
            output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }
}
