using System.Text.Json;
using Cairn.Agents;
using Microsoft.Extensions.AI;
using Xunit;

namespace Cairn.Tests.Agents;

/// <summary>Each of the recorded seams alone: what comes back while recording is what a replay gives, and nothing inside is
/// called.</summary>
public class RecordedAgentsTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<(T Recorded, T Replayed)> BothAsync<T>(Func<Run, bool, Task<T>> work)
    {
        using var db = CairnDatabase.OpenInMemory();
        var run = db.Runs.Begin();
        var recorded = await work(run, true);
        run.Complete();
        using var replay = db.Runs.ReplayInputs(run.Id);
        var replayed = await work(replay.Run, false);
        Assert.True(replay.Report.IsWhole);
        return (recorded, replayed);
    }

    private static string Json<T>(T item) => JsonSerializer.Serialize(item, AIJsonUtilities.DefaultOptions);

    [Fact]
    [Trait("Requirement", "AGT-1")]
    public async Task A_response_comes_back_with_all_that_it_says()
    {
        var (recorded, replayed) = await BothAsync(async (run, live) =>
        {
            using var client = run.Record(live ? new ScriptedModel(_ => new ChatMessage(ChatRole.Assistant, [
                new TextReasoningContent("hm"), new TextContent("caf\u00e9 \U0001f600"),
                new FunctionCallContent("1", "f", new Dictionary<string, object?> { ["b"] = 1.5, ["a"] = null, ["c"] = ulong.MaxValue }),
                new DataContent(new byte[] { 1, 2, 3 }, "image/png")])
            {
                AuthorName = "me",
                AdditionalProperties = new() { ["$bytes"] = "not base64!" },
            }) : Never());
            return await client.GetResponseAsync("hello", new ChatOptions { Seed = 5, StopSequences = ["x"] }, Token);
        });
        Assert.Equal(Json(recorded), Json(replayed));
        Assert.Equal("caf\u00e9 \U0001f600", replayed.Text);
        Assert.Equal("response-1", replayed.ResponseId);
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.FromHours(2)), replayed.CreatedAt);
        Assert.Equal(1, replayed.Usage!.OutputTokenCount);
        Assert.Equal(4, replayed.Messages[0].Contents.Count);
    }

    [Fact]
    [Trait("Requirement", "AGT-1")]
    public async Task A_stream_is_streamed_again_update_by_update()
    {
        var (recorded, replayed) = await BothAsync(async (run, live) =>
        {
            using var client = run.Record(live ? new ScriptedModel(
                _ => new ChatMessage(ChatRole.Assistant, [new TextContent("one two three"), new TextContent("four")])) : Never());
            var updates = new List<string>();
            await foreach (var update in client.GetStreamingResponseAsync("count", cancellationToken: Token))
                updates.Add(Json(update));
            return updates;
        });
        Assert.Equal(4, recorded.Count);
        Assert.Equal(recorded, replayed);
    }

    [Fact]
    [Trait("Requirement", "AGT-1")]
    public async Task A_tool_comes_back_with_result_null_and_failure()
    {
        var (recorded, replayed) = await BothAsync(async (run, live) =>
        {
            var calls = 0;
            var tool = run.Record(AIFunctionFactory.Create(
                (int n) =>
                {
                    Assert.True(live);
                    calls++;
                    return n switch { 0 => (object?)null, 1 => new[] { 1.0, 2.5 }, _ => throw new IOException("no such thing") };
                },
                "look"));
            var results = new List<string>();
            for (var n = 0; n < 3; n++)
            {
                try
                {
                    results.Add(Json(await tool.InvokeAsync(new AIFunctionArguments { ["n"] = n }, Token)));
                }
                catch (InputFailedException failed)
                {
                    results.Add(failed.Message);
                }
            }

            Assert.Equal(live ? 3 : 0, calls);
            return results;
        });
        Assert.Equal(recorded, replayed);
        Assert.Equal("null", recorded[0]);
        Assert.Contains("System.IO.IOException: no such thing", recorded[2], StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "AGT-2")]
    public async Task Vectors_come_back_bit_by_bit()
    {
        var (recorded, replayed) = await BothAsync(async (run, live) =>
        {
            using var generator = new RecordedEmbeddingGenerator(run, live ? new Hashing() : null);
            return await generator.GenerateAsync(["a", "b"], new EmbeddingGenerationOptions { Dimensions = 5 }, Token);
        });
        Assert.Equal(2, replayed.Count);
        Assert.Equal(recorded.Select(one => one.Vector.ToArray().Select(BitConverter.SingleToInt32Bits)),
            replayed.Select(one => one.Vector.ToArray().Select(BitConverter.SingleToInt32Bits)));
        Assert.Equal((3, "hash"), ((int)replayed.Usage!.InputTokenCount!, replayed[0].ModelId));
        Assert.Equal(recorded[1].CreatedAt, replayed[1].CreatedAt);
    }

    [Fact]
    [Trait("Requirement", "RPL-20")]
    public async Task Clock_and_chance_come_back()
    {
        var (recorded, replayed) = await BothAsync((run, live) =>
        {
            var clock = run.Record(live ? TimeProvider.System : new FakeClock());
            var chance = new RecordedRandom(run);
            var bytes = new byte[11];
            chance.NextBytes(bytes);
            List<object> seen = [clock.GetUtcNow(), clock.GetLocalNow(), clock.GetTimestamp(), clock.LocalTimeZone.Id,
                chance.Next(), chance.Next(10), chance.Next(-5, 5), chance.NextInt64(), chance.NextInt64(long.MinValue, long.MaxValue),
                chance.NextDouble(), chance.NextSingle(), Convert.ToHexString(bytes)];
            return Task.FromResult(seen);
        });
        Assert.Equal(recorded, replayed);
    }

    [Fact]
    public async Task Chance_covers_its_range_and_no_more()
    {
        using var db = CairnDatabase.OpenInMemory();
        var chance = new RecordedRandom(db.Default);
        var counts = new int[6];
        for (var i = 0; i < 6000; i++)
            counts[chance.Next(1, 7) - 1]++;
        Assert.All(counts, count => Assert.InRange(count, 800, 1200));
        Assert.Equal(3, chance.Next(3, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => chance.Next(4, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => chance.Next(-1));
        Assert.InRange(chance.NextDouble(), 0, 1);
        await Task.CompletedTask;
    }

    [Fact]
    public async Task A_client_without_a_model_can_only_be_replayed_and_says_so()
    {
        using var db = CairnDatabase.OpenInMemory();
        using var client = new RecordedChatClient(db.Default);
        var failed = await Assert.ThrowsAsync<InputFailedException>(() => client.GetResponseAsync("q", cancellationToken: Token));
        Assert.Contains("no model inside", failed.Message, StringComparison.Ordinal);
        using var generator = new RecordedEmbeddingGenerator(db.Default);
        await Assert.ThrowsAsync<InputFailedException>(() => generator.GenerateAsync(["q"], cancellationToken: Token));
        Assert.Same(client, client.GetService(typeof(RecordedChatClient)));
        Assert.Null(client.GetService(typeof(ScriptedModel)));
    }

    [Fact]
    public async Task What_the_model_could_have_seen_is_what_is_matched()
    {
        using var db = CairnDatabase.OpenInMemory();
        using var model = new ScriptedModel(_ => new ChatMessage(ChatRole.Assistant, "x"));
        var client = db.Default.Record(model);
        var tool = AIFunctionFactory.Create((int n) => n, "f", "does f");
        var other = AIFunctionFactory.Create((string n) => n, "f", "does f");
        await client.GetResponseAsync("q", new ChatOptions { Tools = [tool] }, Token);
        await client.GetResponseAsync("q", new ChatOptions { Tools = [other] }, Token);
        await client.GetResponseAsync("q", new ChatOptions { Temperature = 1, Tools = [tool] }, Token);
        await client.GetResponseAsync("q", new ChatOptions { Tools = [tool] }, Token);
        db.Default.CommitInputs();
        var hashes = db.Default.ListInputs().Select(input => input.RequestHash).ToList();
        Assert.Equal(hashes[0], hashes[3]);
        Assert.Equal(3, hashes.Distinct().Count());
    }

    private static ScriptedModel Never() => new(_ => throw new InvalidOperationException("called live"));

    private sealed class Hashing : IEmbeddingGenerator<string, Embedding<float>>
    {
        public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
            IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default) =>
            Task.FromResult(new GeneratedEmbeddings<Embedding<float>>(values.Select(value => new Embedding<float>(
                new[] { 0.1f, -0f, float.NaN, float.Epsilon, value[0] })
            {
                ModelId = "hash",
                CreatedAt = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.FromHours(1)),
            }))
            {
                Usage = new UsageDetails { InputTokenCount = 3 },
            });

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
