using System.Diagnostics;
using Cairn.Log;
using Cairn.Recovery;
using Cairn.Storage;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>Every truncation and every flipped bit of a small database (C5, C6): an exact prefix that lacks nothing acknowledged, or
/// an error that names the place. Only behind the last witness may damage pass for a torn tail; those cases are counted and printed.</summary>
[Trait("Gate", "Merge")]
public class DamageTests
{
    public enum Ending
    {
        /// <summary>Closed cleanly.</summary>
        Closed,

        /// <summary>Killed after a mark was synced.</summary>
        Marked,

        /// <summary>Killed after the sync of the last group; no witness for it yet.</summary>
        Unwitnessed,
    }

    [Theory]
    [InlineData(Ending.Closed)]
    [InlineData(Ending.Marked)]
    [InlineData(Ending.Unwitnessed)]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "RCV-8")]
    public void Every_flipped_bit_of_every_file_is_named_or_harmless(Ending ending)
    {
        var database = new Database(ending);
        var began = Stopwatch.GetTimestamp();
        var images = 0;
        foreach (var (path, original) in database.Image.Files.ToArray())
        {
            var bytes = (byte[])original.Clone();
            var used = UsedBytes(original);
            database.Image.Files[path] = bytes;
            for (var offset = 0; offset < used; offset++)
            {
                // Fields and records bit by bit; of the zeros that fill a header or a manifest one bit in every eighth byte.
                var isFiller = IsFiller(path, original, offset);
                if (isFiller && offset % 8 != 0)
                    continue;
                for (var bit = isFiller ? offset / 8 % 8 : 0; bit < 8; bit += isFiller ? 8 : 1)
                {
                    bytes[offset] ^= (byte)(1 << bit);
                    database.Check($"{path} byte {offset} bit {bit}");
                    bytes[offset] ^= (byte)(1 << bit);
                    images++;
                }
            }

            database.Image.Files[path] = original;
        }

        database.Print("flips", images, began);
    }

    [Theory]
    [InlineData(Ending.Closed)]
    [InlineData(Ending.Marked)]
    [InlineData(Ending.Unwitnessed)]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "RCV-8")]
    public void Every_truncation_of_every_file_is_named_or_harmless(Ending ending)
    {
        var database = new Database(ending);
        var began = Stopwatch.GetTimestamp();
        var images = 0;
        foreach (var (path, original) in database.Image.Files.ToArray())
        {
            for (var length = 0; length < UsedBytes(original); length++)
            {
                if (IsFiller(path, original, length) && length % 32 != 0)
                    continue;
                database.Image.Files[path] = original[..length];
                database.Check($"{path} cut to {length}");
                images++;
            }

            database.Image.Files[path] = original;
        }

        database.Print("truncations", images, began);
    }

    [Theory]
    [InlineData(Ending.Closed)]
    [InlineData(Ending.Marked)]
    [Trait("Promise", "G6")]
    public void Zeroed_doubled_and_swapped_pieces_are_named_or_harmless(Ending ending)
    {
        const int piece = 64;
        var database = new Database(ending);
        foreach (var (path, original) in database.Image.Files.ToArray())
        {
            var used = UsedBytes(original);
            for (var offset = 0; offset + piece < used; offset += piece)
            {
                // The record and its only witness in one piece: that is the limit of what can be told (D:16).
                var isMark = ending == Ending.Marked && path == database.LastSegment && offset + 2 * piece > used - RecordHeader.Size;
                var zeroed = (byte[])original.Clone();
                zeroed.AsSpan(offset, piece).Clear();
                var doubled = (byte[])original.Clone();
                doubled.AsSpan(offset, piece).CopyTo(doubled.AsSpan(Math.Min(offset + piece, doubled.Length - piece)));
                foreach (var damaged in new[] { zeroed, doubled })
                {
                    database.Image.Files[path] = damaged;
                    database.Check($"{path} at {offset}", mayLose: isMark);
                }
            }

            database.Image.Files[path] = original;
        }
    }

    [Theory]
    [InlineData(Ending.Closed)]
    [InlineData(Ending.Marked)]
    [Trait("Promise", "G6")]
    public void A_missing_or_swapped_segment_is_named(Ending ending)
    {
        var database = new Database(ending);
        var segments = database.Image.Files.Keys.Where(path => path.EndsWith(".segment", StringComparison.Ordinal)).ToArray();
        Assert.True(segments.Length >= 3);
        foreach (var path in segments)
        {
            var original = database.Image.Files[path];
            database.Image.Files.Remove(path);
            Assert.Equal(path, database.Refuse().File);
            foreach (var other in segments.Where(other => other != path))
            {
                database.Image.Files[path] = database.Image.Files[other];
                Assert.Equal(path, database.Refuse().File);
            }

            database.Image.Files[path] = original;
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "RCV-9")]
    public void Without_a_manifest_segments_are_corruption_and_never_an_empty_database()
    {
        foreach (var ending in Enum.GetValues<Ending>())
        {
            var database = new Database(ending);
            foreach (var path in database.Image.Files.Keys.Where(path => path.StartsWith("manifest-", StringComparison.Ordinal)).ToArray())
                database.Image.Files.Remove(path);
            Assert.Contains("a manifest; none is here", database.Refuse().Expected, StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_lost_newest_manifest_is_found_by_the_segment_that_only_it_named()
    {
        var database = new Database(Ending.Marked);
        var newest = database.Image.Files.Keys.Last(path => path.StartsWith("manifest-", StringComparison.Ordinal));
        database.Image.Files.Remove(newest);
        var refused = database.Refuse();
        Assert.Contains("it was lost", refused.Expected, StringComparison.Ordinal);
        Assert.Contains("good records", refused.Expected, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Corruption_names_file_offset_last_good_sequence_and_what_lies_behind()
    {
        var database = new Database(Ending.Marked);
        var path = database.LastSegment;
        var bytes = database.Image.Files[path];
        var first = SegmentHeader.Size;
        Assert.True(RecordHeader.TryRead(bytes.AsSpan(first), out var header));
        bytes[first + RecordHeader.Size] ^= 1;

        var refused = database.Refuse();

        Assert.Equal(path, refused.File);
        Assert.Equal(first, refused.Offset);
        Assert.Equal(header.Sequence - 1, refused.Sequence.Value);
        Assert.Contains("the payload check is wrong", refused.Expected, StringComparison.Ordinal);
        Assert.Contains($"good records (sequences {header.Sequence + 1} to {database.Trace.Count}) behind it", refused.Expected, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_read_that_fails_is_that_error_and_never_a_tail()
    {
        var database = new Database(Ending.Unwitnessed);
        for (var failing = 1; ; failing++)
        {
            var storage = database.Image.ToStorage();
            using var faulty = new UnreadableStorage(storage, failing);
            try
            {
                Cairn.Recovery.Recovery.Open(faulty, LogScript.Options(1), (in _, _, _) => { }).Log.Dispose();
            }
            catch (StorageException failure) when (failure.Error == StorageError.Io)
            {
                Assert.True(DirectoryImage.Of(storage).Equals(database.Image) || failing > 10);
                continue;
            }

            Assert.True(failing > 8);
            return;
        }
    }

    /// <summary>How far a file is worth damaging: a little past its last byte that is not zero.</summary>
    private static int UsedBytes(byte[] file) => Math.Min(file.Length, file.AsSpan().LastIndexOfAnyExcept((byte)0) + 9);

    private static bool IsFiller(string path, byte[] file, int offset) =>
        file[offset] == 0 && (path.StartsWith("log/", StringComparison.Ordinal) ? offset is >= 192 and < 4090 : offset is > 500 and < 4090);

    private sealed class Database
    {
        private readonly int acknowledged;
        private readonly int witnessed;
        private readonly bool isReadOnly;
        private readonly List<byte[]> seen = [];

        internal Database(Ending ending)
        {
            var storage = new MemoryStorage();
            using var script = new LogScript(storage, 7);
            script.Open();
            for (var i = 0; i < 12; i++)
            {
                script.Commit(i * 7 % 40);
                if (i % 3 == 2)
                    script.Sync();
                if (i is 4 or 7)
                    script.Rotate();
                witnessed = ending == Ending.Unwitnessed && i < 9 ? script.Trace.Count : witnessed;
            }

            if (ending == Ending.Marked)
            {
                script.Mark();
                script.Sync();
            }

            if (ending == Ending.Closed)
                script.Close();
            acknowledged = script.Acknowledged;
            witnessed = ending == Ending.Unwitnessed ? witnessed : acknowledged;
            isReadOnly = ending == Ending.Closed;
            Trace = script.Trace;
            Image = DirectoryImage.Of(storage);
            Image.Files.Remove(LogNames.PreparedPath);
            Assert.Equal(12, acknowledged);
        }

        internal List<byte[]> Trace { get; }

        internal DirectoryImage Image { get; }

        internal int LostUnwitnessed { get; private set; }

        internal int Refused { get; private set; }

        internal string LastSegment => Image.Files.Keys.Last(path => path.EndsWith(".segment", StringComparison.Ordinal));

        internal void Check(string damage, bool mayLose = false)
        {
            seen.Clear();
            var storage = Image.ToStorage();
            RecoveredLog recovered;
            try
            {
                recovered = Cairn.Recovery.Recovery.Open(storage, LogScript.Options(1) with { IsReadOnly = isReadOnly }, LogScript.Collect(seen));
            }
            catch (CairnException refused) when (refused is CorruptionException or FormatVersionException)
            {
                Refused++;
                if (Refused % 100 == 0)
                    Assert.True(DirectoryImage.Of(storage).Equals(Image), $"{damage}: a refusal changed a file");
                return;
            }

            recovered.Log.Dispose();
            for (var i = 0; i < seen.Count; i++)
                Assert.True(seen[i].AsSpan().SequenceEqual(Trace[i]), $"{damage}: transaction {i + 1} differs");
            Assert.True(mayLose || seen.Count >= witnessed, $"{damage}: opened with {seen.Count} of {witnessed} acknowledged and witnessed");
            if (seen.Count < acknowledged)
                LostUnwitnessed++;
        }

        internal CorruptionException Refuse()
        {
            var storage = Image.ToStorage();
            var refused = Assert.Throws<CorruptionException>(() =>
                Cairn.Recovery.Recovery.Open(storage, LogScript.Options(1), (in _, _, _) => { }));
            Assert.True(DirectoryImage.Of(storage).Equals(Image));
            return refused;
        }

        internal void Print(string what, int images, long began)
        {
            var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            TestContext.Current.TestOutputHelper?.WriteLine(
                $"{what}: {images} images, {Refused} refused, {images - Refused} opened, of which {LostUnwitnessed} lost the last unwitnessed group; {images / seconds:F0} per second");
        }
    }

    /// <summary>The nth read fails.</summary>
    private sealed class UnreadableStorage(IStorage inner, int failing) : IStorage
    {
        private int reads;

        public string Description => inner.Description;

        public bool SyncErrorsAreReported => true;

        public bool IsReadOnly => false;

        public IFile CreateNew(string path) => inner.CreateNew(path);

        public IFile Open(string path, bool writable) => new UnreadableFile(this, inner.Open(path, writable));

        public bool Exists(string path) => inner.Exists(path);

        public void CreateDirectory(string path) => inner.CreateDirectory(path);

        public IReadOnlyList<string> List(string directory) => inner.List(directory);

        public void Rename(string oldPath, string newPath) => inner.Rename(oldPath, newPath);

        public void Link(string existingPath, string newPath) => inner.Link(existingPath, newPath);

        public void Unlink(string path) => inner.Unlink(path);

        public void SyncDirectory(string directory) => inner.SyncDirectory(directory);

        public long FreeSpace() => inner.FreeSpace();

        public IDisposable Lock(string ownerText) => inner.Lock(ownerText);

        public void Dispose() => inner.Dispose();

        private sealed class UnreadableFile(UnreadableStorage storage, IFile inner) : IFile
        {
            public string Path => inner.Path;

            public long Length => inner.Length;

            public int ReadAt(Span<byte> buffer, long offset) => ++storage.reads == storage.FailingRead
                ? throw new StorageException(StorageError.Io, "read", inner.Path, 5)
                : inner.ReadAt(buffer, offset);

            public void WriteAt(ReadOnlySpan<byte> bytes, long offset) => inner.WriteAt(bytes, offset);

            public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset) => inner.WriteAt(buffers, offset);

            public void SetLength(long length) => inner.SetLength(length);

            public void Preallocate(long length) => inner.Preallocate(length);

            public void DataSync() => inner.DataSync();

            public void Sync() => inner.Sync();

            public void Dispose() => inner.Dispose();
        }

        private int FailingRead => failing;
    }
}
