using System.Text;
using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>What every text file of the repository keeps to.</summary>
public partial class TextTests
{
    private const int WidthMax = 140;

    private const int WideMax = 280;

    // Files that hold the only unsafe code: the system calls, and the pinning of buffers for them.
    private static readonly string[] UnsafeFiles = ["src/Cairn/Storage/LinuxCalls.cs", "src/Cairn/Storage/DiskStorage.cs"];

    [Fact]
    public void Texts_are_utf8_without_mark_with_lf_and_a_final_newline()
    {
        var findings = new List<string>();
        foreach (var path in Repository.Texts)
        {
            var bytes = File.ReadAllBytes(Repository.Full(path));
            if (bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble))
                findings.Add($"{path}: byte order mark");
            if (bytes.AsSpan().Contains((byte)'\r'))
                findings.Add($"{path}: CR");
            if (bytes.Length > 0 && bytes[^1] != '\n')
                findings.Add($"{path}: no newline at the end");
            try
            {
                new UTF8Encoding(false, throwOnInvalidBytes: true).GetCharCount(bytes);
            }
            catch (DecoderFallbackException)
            {
                findings.Add($"{path}: not UTF-8");
            }
        }

        Repository.Refuse(findings, "Text files:");
    }

    [Fact]
    public void There_are_no_stray_binaries()
    {
        var findings = Repository.Files
            .Where(path => !path.Contains("/Fixtures/", StringComparison.Ordinal) && !path.StartsWith("samples/", StringComparison.Ordinal))
            .Where(path => File.ReadAllBytes(Repository.Full(path)).AsSpan().Contains((byte)0));
        Repository.Refuse(findings, "Binary files belong to Fixtures or samples:");
    }

    // wide-lines.txt names the files and folders that still have wider lines, up to a width that nothing may pass. It should become
    // shorter.
    [Fact]
    public void Lines_fit()
    {
        const string List = "tests/Cairn.Tests/Tidy/wide-lines.txt";
        var wide = Repository.Lines(List).Where(line => line.Length > 0 && line[0] != '#').ToList();
        var findings =
            from path in Repository.Texts.Where(IsMeasured)
            let most = wide.Any(prefix => path.StartsWith(prefix, StringComparison.Ordinal)) ? WideMax : WidthMax
            from row in Repository.Lines(path).Select((line, index) => (line, Number: index + 1))
            where row.line.Length > most && !IsRow(row.line)
            select $"{path}:{row.Number}: {row.line.Length} characters";
        Repository.Refuse(findings, $"Lines of at most {WidthMax} characters ({WideMax} in the files of {List}):");
    }

    [Fact]
    public void Nothing_is_left_to_do_in_the_code()
    {
        var marks = new[] { "TO" + "DO", "FIX" + "ME", "HA" + "CK", "NotImplemented" + "Exception" };
        Find(Repository.Texts, new Regex($@"\b({string.Join('|', marks)})\b"), "What is left to do is an issue, not a comment:");
    }

    // Both report success when the system's sync failed.
    [Fact]
    [Trait("Promise", "G7")]
    public void No_sync_hides_its_failure() => Find(
        Repository.Sources("src", "tests", "bench", "benchmarks"),
        new Regex(@"\bFlush" + @"ToDisk\b|\bFlush\((flushToDisk: *)?true\)"),
        "These calls report success when the sync failed; use IFile.DataSync or IFile.Sync:");

    [Fact]
    public void No_path_of_a_machine_is_in_the_tree() => Find(
        Repository.Texts,
        new Regex(@"(?<![\w.>/)-])/" + @"(work|home|root|Users)/\w|\b[A-Z]:" + @"\\\\?\w"),
        "Paths of one machine:");

    [Fact]
    public void Unsafe_code_stays_in_its_rooms()
    {
        var findings =
            from path in Repository.Sources("src")
            where !UnsafeFiles.Contains(path) && !path.StartsWith("src/Cairn/Store/Native/", StringComparison.Ordinal)
            from row in Repository.Lines(path).Select((line, index) => (line, Number: index + 1))
            where UnsafeWord().IsMatch(row.line.Split("//")[0])
            select $"{path}:{row.Number}: {row.line.Trim()}";
        Repository.Refuse(findings, "unsafe is for Store/Native and the system calls of Storage:");
    }

    private static bool IsMeasured(string path) =>
        Path.GetExtension(path) is ".cs" or ".md" or ".py" or ".sh" or "" or ".props" or ".csproj";

    // A row of a table has no place to break.
    private static bool IsRow(string line) => line.StartsWith("| ", StringComparison.Ordinal);

    private static void Find(IEnumerable<string> paths, Regex pattern, string rule)
    {
        var findings =
            from path in paths
            from row in Repository.Lines(path).Select((line, index) => (line, Number: index + 1))
            where pattern.IsMatch(row.line)
            select $"{path}:{row.Number}: {row.line.Trim()}";
        Repository.Refuse(findings, rule);
    }

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex UnsafeWord();
}
