using System.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>
/// C5 and C6 over every kind of file of a whole database: segments and manifests of one that was closed, where damage is named or
/// harmless and nothing acknowledged goes missing; and the files that hold no data (prepared, reserve, LOCK), where any damage is
/// harmless. Every bit and every length of a small log: <see cref="Recovery.DamageTests"/>.
/// </summary>
[Trait("Promise", "G6")]
[Trait("Requirement", "RCV-8")]
[Trait("Kind", "Random")]
[Trait("Gate", "Merge")]
public class DamagedFileTests
{
    [Fact]
    [Trait("Test", "C5")]
    [Trait("Test", "C6")]
    public void C5_C6_A_damaged_segment_or_manifest_of_a_closed_database_is_named_or_harmless()
    {
        var seed = Seeds.Begin(nameof(C5_C6_A_damaged_segment_or_manifest_of_a_closed_database_is_named_or_harmless));
        var chance = new Chance(seed);
        var began = Stopwatch.GetTimestamp();
        var (mode, operations) = CrashPrograms.All["a bit of everything"];
        using var life = new EngineLife(mode, new CrashStorage());
        life.Run(operations);
        life.Close();
        var machine = life.Storage.Crash(CrashPattern.None);
        var files = Files(machine).Where(path => path is not (LogNames.Reserve or LogNames.PreparedPath)).ToList();
        Assert.Contains(files, path => path.StartsWith("manifest-", StringComparison.Ordinal));
        var (refused, images) = (0, Seeds.Scaled(1_500));
        for (var i = 0; i < images; i++)
        {
            var disk = machine.Image(CrashPattern.All);
            var what = Damage(disk, files[chance.Below(files.Count)], chance);
            try
            {
                life.JudgeOnce(disk);
            }
            catch (CairnException named) when (named is CorruptionException or FormatVersionException)
            {
                refused++;
            }
            catch (Exception bug)
            {
                throw new InvalidOperationException($"{what}: {bug.Message}", bug);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{images} images, {refused} refused, {images / Stopwatch.GetElapsedTime(began).TotalSeconds:f0} per second");
        Ledger.Add("C6", "damaged files of a closed database", seed, images, Stopwatch.GetElapsedTime(began));
        Assert.InRange(refused, 1, images - 1);
    }

    [Fact]
    [Trait("Test", "C5")]
    [Trait("Test", "C6")]
    public void C5_C6_Damage_to_files_without_data_is_harmless()
    {
        var chance = new Chance(Seeds.Begin(nameof(C5_C6_Damage_to_files_without_data_is_harmless)));
        var (mode, operations) = CrashPrograms.All["segments that fill"];
        using var life = new EngineLife(mode, new CrashStorage());
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
        .Concat(storage.List(LogNames.TableDirectory).Select(name => $"{LogNames.TableDirectory}/{name}"));

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
