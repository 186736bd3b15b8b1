using System.Text;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>The files of the clone that the tests run in, without what builds leave behind.</summary>
internal static class Repository
{
    private static readonly HashSet<string> Skipped = new(StringComparer.Ordinal)
    {
        ".git", "artifacts", "bin", "obj", "node_modules", "cairn-data", ".vs", ".idea",
    };

    /// <summary>The directory of Cairn.slnx.</summary>
    internal static string Root { get; } = FindRoot();

    private static readonly Lazy<string[]> All = new(() => [.. Walk(Root).Order(StringComparer.Ordinal)]);

    /// <summary>Paths below the root, with '/', in ordinal order.</summary>
    internal static IReadOnlyList<string> Files => All.Value;

    /// <summary>Files written by people: no lock files, no fixtures, no samples of real data.</summary>
    internal static IEnumerable<string> Texts => Files.Where(path =>
        !path.EndsWith("packages.lock.json", StringComparison.Ordinal)
        && !path.Contains("/Fixtures/", StringComparison.Ordinal)
        && !path.EndsWith(".traj", StringComparison.Ordinal)
        && !path.EndsWith(".tgz", StringComparison.Ordinal));

    internal static IEnumerable<string> Sources(params string[] folders) => Files.Where(path =>
        path.EndsWith(".cs", StringComparison.Ordinal)
        && folders.Any(folder => path.StartsWith(folder + "/", StringComparison.Ordinal)));

    internal static IEnumerable<string> Pages => Files.Where(path => path.EndsWith(".md", StringComparison.Ordinal));

    internal static string Full(string path) => Path.Combine(Root, path);

    internal static string Read(string path) => File.ReadAllText(Full(path));

    internal static string[] Lines(string path) => Read(path).Split('\n');

    /// <summary>Fails with one line per finding.</summary>
    internal static void Refuse(IEnumerable<string> findings, string rule)
    {
        var found = findings.Take(100).ToList();
        Assert.True(found.Count == 0, rule + Environment.NewLine + string.Join(Environment.NewLine, found));
    }

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Cairn.slnx")))
                return directory.FullName;
        }

        throw new InvalidOperationException("These tests read the repository: run them from a build inside it.");
    }

    private static IEnumerable<string> Walk(string directory)
    {
        foreach (var file in Directory.EnumerateFiles(directory))
        {
            if (Path.GetFileName(file) != ".git")
                yield return Path.GetRelativePath(Root, file).Replace('\\', '/');
        }

        foreach (var child in Directory.EnumerateDirectories(directory))
        {
            if (Skipped.Contains(Path.GetFileName(child)) || new DirectoryInfo(child).LinkTarget is not null)
                continue;
            foreach (var file in Walk(child))
                yield return file;
        }
    }
}

/// <summary>A page, or a part of one, that is made from the code. CAIRN_UPDATE_DOCS=1 writes it; otherwise it is compared.</summary>
internal static class MadePage
{
    private static bool Updates => Environment.GetEnvironmentVariable("CAIRN_UPDATE_DOCS") == "1";

    /// <summary>The whole file.</summary>
    internal static void Compare(string path, string made)
    {
        var full = Repository.Full(path);
        if (Updates)
            File.WriteAllText(full, made, new UTF8Encoding(false));
        var written = File.Exists(full) ? File.ReadAllText(full) : "";
        Assert.True(written == made, Difference(path, written, made));
    }

    /// <summary>The lines between "&lt;!-- name --&gt;" and "&lt;!-- end --&gt;".</summary>
    internal static void ComparePart(string path, string name, string made)
    {
        var page = Repository.Read(path);
        var opening = $"<!-- {name} -->\n";
        var from = page.IndexOf(opening, StringComparison.Ordinal);
        Assert.True(from >= 0, $"{path} has no line <!-- {name} -->");
        from += opening.Length;
        var to = page.IndexOf("<!-- end -->", from, StringComparison.Ordinal);
        Assert.True(to >= 0, $"{path} has no line <!-- end --> behind <!-- {name} -->");
        var written = page[from..to];
        if (Updates && written != made)
        {
            File.WriteAllText(Repository.Full(path), page[..from] + made + page[to..], new UTF8Encoding(false));
            written = made;
        }

        Assert.True(written == made, Difference(path, written, made));
    }

    private static string Difference(string path, string written, string made)
    {
        var before = written.Split('\n');
        var after = made.Split('\n');
        var gone = before.Except(after).Take(20).Select(line => "  - " + line);
        var come = after.Except(before).Take(20).Select(line => "  + " + line);
        return $"{path} is not what the code says. If the change is meant: CAIRN_UPDATE_DOCS=1 ./test only '*Tidy*', and look at the diff."
            + Environment.NewLine + string.Join(Environment.NewLine, gone.Concat(come));
    }
}
