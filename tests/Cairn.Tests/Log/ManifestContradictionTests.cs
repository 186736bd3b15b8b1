using Cairn.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>A manifest whose checks are right and that says what cannot be is refused with what it ought to say: no field of it is
/// believed against another.</summary>
[Trait("Promise", "G6")]
public sealed class ManifestContradictionTests
{
    private static readonly (string Expected, Func<Manifest, Manifest> Break)[] Contradictions =
    [
        ("at least one segment", whole => whole with { Segments = [] }),
        ("with a base and copies that fit", whole => WithSegment(whole, 0, segment => segment with { Number = 0 })),
        ("with a base and copies that fit",
            whole => WithSegment(whole, 0, segment => segment with { BasePosition = segment.BasePosition + 1 })),
        ("an end of segment", whole => WithSegment(whole, 0, _ => whole.Segments[^1] with { Number = whole.Segments[0].Number })),
        ("behind its copies", whole => WithSegment(whole, 0, segment => segment with { CopiedTo = segment.End + 8 })),
        ("to begin where segment", whole => WithSegment(whole, 1, segment => segment with { Number = segment.Number + 7 })),
        ("an end of the last segment after a clean close", whole => whole with { IsClean = true }),
        ("an open last segment", whole => whole with { Segments = [.. whole.Segments.SkipLast(1)] }),
        ("at the end of the last segment", whole => whole with
        {
            IsClean = true,
            Segments = [.. whole.Segments.SkipLast(1)],
            EndPosition = whole.Segments[^2].End + 8,
        }),
        ("tables that ascend below", whole => whole with { NextTable = 1 }),
        ("a checkpoint that names table", whole => whole with { Checkpoints = [] }),
        ("each archive once", whole => whole with { Archives = [whole.Archives[0], whole.Archives[0]] }),
        ("archives below number", whole => whole with { NextArchive = 1 }),
        ("length and positions of archive", whole => whole with { Archives = [whole.Archives[0] with { FileBytes = 0 }] }),
        ("and below the segments", whole => whole with { Archives = [whole.Archives[0] with { EndPosition = ulong.MaxValue & ~7UL }] }),
        ("length and sequences of table", whole => WithTable(whole, table => table with { FileBytes = 0 })),
        ("up to its sequence", whole => WithTable(whole, table => table with { LastSequence = ulong.MaxValue })),
        ("checkpoints that ascend", whole => WithCheckpoint(whole, 1, checkpoint => checkpoint with { Number = 0 })),
        ("checkpoints that ascend",
            whole => WithCheckpoint(whole, 1, checkpoint => checkpoint with { Number = whole.Checkpoints[0].Number })),
        ("behind checkpoint", whole => WithCheckpoint(whole, 1, checkpoint => checkpoint with { Sequence = 0 })),
        ("in the log that was synced", whole => whole with { DurablePosition = 0 }),
        ("in the log that was synced",
            whole => WithCheckpoint(whole, 1, checkpoint => checkpoint with { MarkPosition = checkpoint.MarkPosition + 1 })),
    ];

    [Fact]
    public void G6_What_cannot_be_is_refused_with_what_ought_to_stand_there()
    {
        var whole = Make();
        Assert.True(Decode(whole).Archives.Count > 0 && whole.Checkpoints.Count == 2 && whole.Segments.Count > 2, "it has all kinds");
        Assert.All(Contradictions, row =>
        {
            var refused = Assert.Throws<CorruptionException>(() => Decode(row.Break(whole)));
            Assert.Contains(row.Expected, refused.Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void G6_Another_number_than_the_name_says_and_other_limits_are_refused()
    {
        var whole = Make();
        var other = Assert.Throws<CorruptionException>(() => Decode(whole, whole.Number + 1));
        Assert.Contains($"not {whole.Number}", other.Message, StringComparison.Ordinal);
        Assert.Throws<FormatVersionException>(() => Decode(whole with { KeyBytesMax = whole.KeyBytesMax + 1 }));
        Assert.Throws<FormatVersionException>(() => Decode(whole with { NameBytesMax = whole.NameBytesMax + 1 }));
        Assert.Throws<FormatVersionException>(() => Decode(whole with { PayloadBytesMax = whole.PayloadBytesMax + 1 }));
    }

    // What a database with checkpoints and something kept of dropped segments has written itself.
    private static Manifest Make()
    {
        using var database = new TestDatabase(Durability.Buffered, options => options with
        {
            Retention = Retention.KeepLast(1),
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
        });
        database.Kv.Put("kept", new byte[500]);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 40; i++)
                database.Kv.Put("a", new byte[1000]);
            database.Checkpoint();
        }

        database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
        for (var i = 0; i < 40; i++)
            database.Kv.Put("a", new byte[1000]);
        return ((SegmentedLog)database.Db.Engine.Path.Log.Device!).Manifest;
    }

    private static Manifest Decode(Manifest manifest, ulong? number = null) =>
        Manifest.Decode(manifest.EncodeUnchecked(), "MANIFEST", number ?? manifest.Number, forWriting: true, out _);

    private static Manifest WithSegment(Manifest whole, int index, Func<ManifestSegment, ManifestSegment> change) =>
        whole with { Segments = [.. whole.Segments.Select((segment, i) => i == index ? change(segment) : segment)] };

    private static Manifest WithTable(Manifest whole, Func<TableInfo, TableInfo> change) =>
        whole with { Tables = [change(whole.Tables[0]), .. whole.Tables.Skip(1)] };

    private static Manifest WithCheckpoint(Manifest whole, int index, Func<ManifestCheckpoint, ManifestCheckpoint> change) =>
        whole with { Checkpoints = [.. whole.Checkpoints.Select((checkpoint, i) => i == index ? change(checkpoint) : checkpoint)] };
}
