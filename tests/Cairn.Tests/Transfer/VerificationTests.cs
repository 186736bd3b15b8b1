#pragma warning disable xUnit1051 // what is read here is small; cancelling has a test of its own
using Cairn.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>MNT-12: how deep a verification looks, what it finds, and that it can be watched and ended.</summary>
[Trait("Requirement", "MNT-12")]
public sealed class VerificationTests
{
    [Theory]
    [InlineData(VerificationDepth.Quick)]
    [InlineData(VerificationDepth.Full)]
    [InlineData(VerificationDepth.Deep)]
    public void A_sound_database_has_no_findings_at_any_depth(VerificationDepth depth)
    {
        using var test = Filled();
        var told = new Told();
        var found = test.Db.Verify(depth, told);
        Assert.True(found.IsValid);
        Assert.Equal(test.Db.Sequence, found.Sequence);
        Assert.Equal(depth == VerificationDepth.Deep ? test.Db.StateHash() : default, found.StateHash);
        Assert.All(told.Steps, step => Assert.True(step.Done <= step.Total, step.ToString()));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_flipped_bit_in_an_ended_segment_and_one_in_the_open_one_are_found_by_reading_all()
    {
        using var test = Filled();
        foreach (var number in (uint[])[1, (uint)test.Db.Metrics.LogSegments])
        {
            using var file = test.Storage.Open(LogNames.SegmentPath(number), writable: true);
            Flip(file, SegmentHeader.Size + 300);
            Assert.True(test.Db.Verify(VerificationDepth.Quick).IsValid);
            var finding = Assert.Single(test.Db.Verify(VerificationDepth.Full).Findings);
            Assert.Contains(LogNames.SegmentPath(number), finding.Text, StringComparison.Ordinal);
            Assert.False(test.Db.Verify(VerificationDepth.Deep).IsValid);
            Flip(file, SegmentHeader.Size + 300);
        }

        Assert.True(test.Db.Verify(VerificationDepth.Full).IsValid);
    }

    [Fact]
    public void A_file_that_was_cut_and_a_header_that_was_changed_are_found_at_once()
    {
        using var test = Filled();
        using (var file = test.Storage.Open(LogNames.SegmentPath(2), writable: true))
            file.SetLength(file.Length / 2);
        using (var file = test.Storage.Open(LogNames.SegmentPath(3), writable: true))
            Flip(file, 60);
        var findings = test.Db.Verify(VerificationDepth.Quick).Findings;
        Assert.Equal(2, findings.Count);
        Assert.Contains("manifest names", findings[0].Text, StringComparison.Ordinal);
        Assert.Contains("header", findings[1].Text, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_flipped_bit_in_a_table_is_found_by_reading_all()
    {
        using var test = Filled();
        var name = Assert.Single(test.Storage.List(LogNames.TableDirectory));
        using var file = test.Storage.Open($"{LogNames.TableDirectory}/{name}", writable: true);
        Flip(file, file.Length / 2);
        var finding = Assert.Single(test.Db.Verify(VerificationDepth.Full).Findings);
        Assert.Contains(name, finding.Text, StringComparison.Ordinal);
        Flip(file, file.Length / 2);
        Assert.True(test.Db.Verify(VerificationDepth.Full).IsValid);
    }

    [Theory]
    [InlineData(VerificationDepth.Quick)]
    [InlineData(VerificationDepth.Full)]
    [InlineData(VerificationDepth.Deep)]
    public void It_ends_when_it_is_cancelled(VerificationDepth depth)
    {
        using var test = Filled();
        Assert.Throws<OperationCanceledException>(() => test.Db.Verify(depth, null, new CancellationToken(canceled: true)));
        Assert.True(test.Db.Verify(VerificationDepth.Full).IsValid);
    }

    [Fact]
    public void A_depth_that_is_none_and_a_database_in_memory_are_refused()
    {
        using var test = new TestDatabase(Durability.InMemory);
        Assert.Equal(
            ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => test.Db.Verify(VerificationDepth.Quick)).Code);
        using var filled = Filled();
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => filled.Db.Verify((VerificationDepth)9)).Code);
    }

    private static TestDatabase Filled()
    {
        var test = new TestDatabase(Durability.Strict, options => options with { SegmentBytesMax = 32 << 10 });
        for (var i = 1; i <= 60; i++)
        {
            test.Kv.Put($"key {i}", new byte[2_000]);
            test.Maintain();
        }

        Assert.True(test.Db.Metrics.LogSegments > 3);
        test.Checkpoint();
        return test;
    }

    private static void Flip(Cairn.Storage.IFile file, long offset)
    {
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }

    private sealed class Told : IProgress<TransferProgress>
    {
        internal List<TransferProgress> Steps { get; } = [];

        public void Report(TransferProgress value) => Steps.Add(value);
    }
}
