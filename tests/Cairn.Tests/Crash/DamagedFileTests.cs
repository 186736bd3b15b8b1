using System.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>
/// C5 and C6 over every kind of file of a whole database: segments, manifests, tables and archives of one that was closed, where damage is
/// named or harmless and nothing acknowledged goes missing; and the files that hold no data (prepared, reserve, LOCK), where any damage is
/// harmless. Every bit and every length of a small log: <see cref="Recovery.DamageTests"/>.
/// </summary>
[Trait("Promise", "G6")]
[Trait("Requirement", "RCV-8")]
[Trait("Kind", "Random")]
[Trait("Gate", "Merge")]
public class DamagedFileTests
{
    /// <summary>Two whole databases: one with everything in its log, and one with archives, tables and large values.</summary>
    public static TheoryData<string> Closed => ["a bit of everything", Compacted];

    [Theory]
    [MemberData(nameof(Closed))]
    [Trait("Test", "C5")]
    [Trait("Test", "C6")]
    public void C5_C6_A_damaged_file_of_a_closed_database_is_named_or_harmless(string script)
    {
        var seed = Seeds.Begin(nameof(C5_C6_A_damaged_file_of_a_closed_database_is_named_or_harmless));
        var chance = new Chance(seed);
        using var life = ClosedLife(script);
        var machine = life.Storage.Crash(CrashPattern.None);
        var files = FilesWithData(machine);
        Judge(life, machine, script, seed, Enumerable.Range(0, Seeds.Scaled(1_500)).Select(_ => (Func<CrashStorage, string>)(
            disk => Damage(disk, files[chance.Below(files.Count)], chance))));
    }

    [Fact]
    [Trait("Test", "C5")]
    public void C5_Every_file_of_a_closed_database_cut_at_any_length_is_named_or_harmless()
    {
        var seed = Seeds.Begin(nameof(C5_Every_file_of_a_closed_database_cut_at_any_length_is_named_or_harmless));
        var chance = new Chance(seed);
        using var life = ClosedLife(Compacted);
        var machine = life.Storage.Crash(CrashPattern.None);
        var stride = Math.Max(1, 8 / Seeds.Scaled(1));       // every length at eight times the size of a merge
        Judge(life, machine, "cut", seed, FilesWithData(machine).SelectMany(path => Cuts(path, UsedBytes(machine, path), stride, chance)));
    }

    private static IEnumerable<Func<CrashStorage, string>> Cuts(string path, int used, int stride, Chance chance)
    {
        for (var length = chance.Below(stride); length < used; length += stride)
        {
            var cut = length;
            yield return disk =>
            {
                using var file = disk.Open(path, writable: true);
                file.SetLength(cut);
                return $"{path} cut to {cut}";
            };
        }
    }

    [Fact]
    [Trait("Test", "C6")]
    public void C6_A_bit_of_any_byte_of_every_file_of_a_closed_database_is_named_or_harmless()
    {
        var seed = Seeds.Begin(nameof(C6_A_bit_of_any_byte_of_every_file_of_a_closed_database_is_named_or_harmless));
        var chance = new Chance(seed);
        using var life = ClosedLife(Compacted);
        var machine = life.Storage.Crash(CrashPattern.None);
        var stride = Math.Max(1, 8 / Seeds.Scaled(1));       // every byte at eight times the size of a merge
        var damages = FilesWithData(machine).SelectMany(path => Flips(path, UsedBytes(machine, path), stride, chance));
        Judge(life, machine, "one bit", seed, damages);
    }

    private static IEnumerable<Func<CrashStorage, string>> Flips(string path, int used, int stride, Chance chance)
    {
        for (var at = chance.Below(stride); at < used; at += stride)
        {
            var (place, bit) = (at, chance.Below(8));
            yield return disk =>
            {
                Flip(disk, path, place, bit);
                return $"{path} at {place}, bit {bit}";
            };
        }
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    public void RCV9_Files_that_are_missing_swapped_foreign_or_newer_are_named_or_harmless_and_a_refusal_changes_nothing()
    {
        using var life = ClosedLife(Compacted);
        using var foreign = new EngineLife(Durability.Strict, new CrashStorage(), forgets: true, seed: 2);
        foreign.Run([.. CrashPrograms.All[Compacted].Operations, new Checkers.KvPut(0, "foreign", 1L)]);
        foreign.Close();
        var machine = life.Storage.Crash(CrashPattern.None);
        var other = foreign.Storage.Crash(CrashPattern.None);
        var files = FilesWithData(machine);
        var wrongs = new List<Func<CrashStorage, string>>();
        foreach (var path in files)
        {
            wrongs.Add(disk =>
            {
                disk.Unlink(path);
                return $"{path} is missing";
            });
            wrongs.Add(disk =>
            {
                Replace(disk, path, []);
                return $"{path} is empty";
            });
            if (other.Exists(path))
            {
                wrongs.Add(disk =>
                {
                    Replace(disk, path, Read(other, path));
                    return $"{path} is of another database";
                });
            }

            // Behind the magic stands the version of the format; the checks of the header are right only for the old one.
            wrongs.Add(disk =>
            {
                Flip(disk, path, 9, 1);
                return $"{path} is of another version";
            });
            foreach (var second in files.Where(second => second != path && Folder(second) == Folder(path)))
            {
                wrongs.Add(disk =>
                {
                    var (one, two) = (Read(disk, path), Read(disk, second));
                    Replace(disk, path, two);
                    Replace(disk, second, one);
                    return $"{path} and {second} are swapped";
                });
            }
        }

        Judge(life, machine, "wrong files", 0, wrongs);
    }

    /// <summary>Each image is right, whole, or refused by name at opening or at a read; a refused opening has changed no byte.</summary>
    private static void Judge(
        EngineLife life, CrashStorage machine, string what, ulong seed, IEnumerable<Func<CrashStorage, string>> damages)
    {
        var began = Stopwatch.GetTimestamp();
        var (images, refused, refusedAtRead) = (0, 0, 0);
        foreach (var damage in damages)
        {
            var disk = machine.Image(CrashPattern.All);
            var told = damage(disk);
            var before = DirectoryImage.Of(disk);
            var isOpen = false;
            images++;
            try
            {
                life.JudgeOnce(disk, () => isOpen = true);
            }
            catch (CairnException named) when (named is CorruptionException or FormatVersionException)
            {
                refused += isOpen ? 0 : 1;
                refusedAtRead += isOpen ? 1 : 0;
                if (!isOpen && !before.Equals(DirectoryImage.Of(disk)))
                    throw new InvalidOperationException($"{told}: refused, and something was changed on the disk", named);
            }
            catch (Exception bug)
            {
                throw new InvalidOperationException($"{told}: {bug.Message}", bug);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{what}: {images} images, {refused} refused at opening, {refusedAtRead} at a read, "
            + $"{images / Stopwatch.GetElapsedTime(began).TotalSeconds:f0} per second");
        Ledger.Add("C6", $"damaged files of a closed database, {what}", seed, images, Stopwatch.GetElapsedTime(began));
        Assert.InRange(refused + refusedAtRead, 1, images - 1);
    }

    private const string Compacted = "archives that become smaller";

    private static EngineLife ClosedLife(string script)
    {
        var life = CrashPrograms.LifeOf(script, new CrashStorage());
        life.Run(CrashPrograms.All[script].Operations);
        life.Close();
        var files = FilesWithData(life.Storage);
        Assert.Contains(files, path => path.StartsWith("manifest-", StringComparison.Ordinal));
        if (script == Compacted)
        {
            foreach (var directory in (string[])[LogNames.LogDirectory, LogNames.TableDirectory, LogNames.ArchiveDirectory])
                Assert.Contains(files, path => Folder(path) == directory);
        }

        return life;
    }

    private static List<string> FilesWithData(CrashStorage storage) =>
        [.. Files(storage).Where(path => path is not (LogNames.Reserve or LogNames.PreparedPath or LogNames.Lock))];

    private static string Folder(string path) => path.Contains('/', StringComparison.Ordinal) ? path[..path.IndexOf('/')] : "";

    private static byte[] Read(CrashStorage storage, string path)
    {
        using var file = storage.Open(path, writable: false);
        var bytes = new byte[file.Length];
        file.ReadAt(bytes, 0);
        return bytes;
    }

    private static void Replace(CrashStorage storage, string path, byte[] bytes)
    {
        using var file = storage.Open(path, writable: true);
        file.SetLength(0);
        if (bytes.Length > 0)
            file.WriteAt(bytes, 0);
    }

    private static void Flip(CrashStorage storage, string path, int at, int bit)
    {
        using var file = storage.Open(path, writable: true);
        var bytes = new byte[1];
        file.ReadAt(bytes, at);
        file.WriteAt([(byte)(bytes[0] ^ (1 << bit))], at);
    }

    // Where bytes are, and a little behind them.
    private static int UsedBytes(CrashStorage storage, string path)
    {
        var bytes = Read(storage, path);
        return Math.Min(bytes.Length, Math.Max(1, bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 65));
    }

    [Fact]
    [Trait("Test", "C5")]
    [Trait("Test", "C6")]
    public void C5_C6_Damage_to_files_without_data_is_harmless()
    {
        var chance = new Chance(Seeds.Begin(nameof(C5_C6_Damage_to_files_without_data_is_harmless)));
        var operations = CrashPrograms.All["segments that fill"].Operations;
        using var life = CrashPrograms.LifeOf("segments that fill", new CrashStorage());
        life.Run(operations);
        var machine = life.Storage.Crash(CrashPattern.All);
        var files = Files(machine).Where(path => path is LogNames.Reserve or LogNames.PreparedPath).ToList();
        Assert.Equal(2, files.Count);
        for (var i = 0; i < Seeds.Scaled(100); i++)
        {
            var disk = machine.Image(CrashPattern.All);
            var what = Damage(disk, files[i % 2], chance);
            try
            {
                life.JudgeImage(disk);
            }
            catch (Exception bug)
            {
                throw new InvalidOperationException($"{what}: {bug.Message}", bug);
            }
        }
    }

    [Fact]
    [Trait("Promise", "G9")]
    public void C5_C6_G9_Whatever_LOCK_holds_the_database_opens_and_has_one_owner()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-lock-").FullName;
        try
        {
            using (var db = CairnDatabase.Open(directory))
                db.Default.Kv.Put("a", 1);
            var path = Path.Combine(directory, LogNames.Lock);
            var original = File.ReadAllBytes(path);
            for (var length = 0; length <= original.Length; length++)
                Open(original[..length]);
            for (var bit = 0; bit < 8 * original.Length; bit++)
            {
                var bytes = (byte[])original.Clone();
                bytes[bit / 8] ^= (byte)(1 << (bit % 8));
                Open(bytes);
            }

            void Open(byte[] content)
            {
                File.WriteAllBytes(path, content);
                using var db = CairnDatabase.Open(directory);
                Assert.Equal(1, db.Default.Kv.Get("a")?.AsInt64());
                Assert.ThrowsAny<CairnException>(() => CairnDatabase.Open(directory));
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static IEnumerable<string> Files(CrashStorage storage) => storage.List(LogNames.Root)
        .Concat(storage.List(LogNames.LogDirectory).Select(name => $"{LogNames.LogDirectory}/{name}"))
        .Concat(storage.List(LogNames.TableDirectory).Select(name => $"{LogNames.TableDirectory}/{name}"))
        .Concat(storage.List(LogNames.ArchiveDirectory).Select(name => $"{LogNames.ArchiveDirectory}/{name}"));

    // A flipped bit, a file cut short, a sector of zeros, or a sector of noise; where bytes are, and a little behind them.
    private static string Damage(CrashStorage storage, string path, Chance chance)
    {
        using var file = storage.Open(path, writable: true);
        var bytes = new byte[file.Length];
        file.ReadAt(bytes, 0);
        var used = Math.Min(bytes.Length, Math.Max(1, bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 65));
        var at = chance.Below(used);
        var kind = chance.Below(8);
        switch (kind)
        {
            case 0:
                file.SetLength(at);
                break;
            case 1:
                file.WriteAt(new byte[Math.Min(512, bytes.Length - at)], at);
                break;
            case 2:
                var noise = new byte[Math.Min(512, bytes.Length - at)];
                chance.Fill(noise);
                file.WriteAt(noise, at);
                break;
            default:
                file.WriteAt([(byte)(bytes[at] ^ (1 << chance.Below(8)))], at);
                break;
        }

        return $"{path} at {at}, {kind switch { 0 => "cut", 1 => "zeros", 2 => "noise", _ => "one bit" }}";
    }
}
