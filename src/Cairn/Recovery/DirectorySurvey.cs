using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Recovery;

/// <summary>The names in a database directory, sorted by what they mean.</summary>
internal sealed class DirectorySurvey
{
    private DirectorySurvey()
    {
    }

    /// <summary>Ascending.</summary>
    internal List<ulong> Manifests { get; } = [];

    /// <summary>Ascending.</summary>
    internal List<uint> Segments { get; } = [];

    /// <summary>Ascending; those that no manifest names too.</summary>
    internal List<uint> Tables { get; } = [];

    /// <summary>The same for archives.</summary>
    internal List<uint> Archives { get; } = [];

    /// <summary>Paths of files that were being written, and of the prepared segment: no part of the database.</summary>
    internal List<string> Unfinished { get; } = [];

    /// <summary>Paths of files whose names mean nothing here.</summary>
    internal List<string> Foreign { get; } = [];

    internal bool HasQuarantine { get; private set; }

    /// <param name="isWhole">False: what only who tidies up wants to know of a database is not looked for.</param>
    internal static DirectorySurvey Of(IStorage storage, bool isWhole)
    {
        var survey = new DirectorySurvey();
        foreach (var name in storage.List(LogNames.Root))
            survey.AddRoot(name);
        foreach (var name in storage.List(LogNames.LogDirectory))
            survey.AddLog(name);
        if (isWhole || survey.Manifests.Count == 0)
            survey.AddRest(storage);
        survey.Manifests.Sort();
        survey.Segments.Sort();
        survey.Tables.Sort();
        survey.Archives.Sort();
        return survey;
    }

    private void AddRest(IStorage storage)
    {
        foreach (var name in storage.List(LogNames.TableDirectory))
            AddNumbered(LogNames.TableDirectory, name, LogNames.TryParseTable(name, out var number), number, Tables);
        foreach (var name in storage.List(LogNames.ArchiveDirectory))
            AddNumbered(LogNames.ArchiveDirectory, name, LogNames.TryParseArchive(name, out var number), number, Archives);
        foreach (var name in storage.List(LogNames.QuarantineDirectory))
        {
            if (name.EndsWith(LogNames.Part, StringComparison.Ordinal))
                Unfinished.Add(LogNames.QuarantineDirectory + "/" + name);
            else
                HasQuarantine = true;
        }
    }

    private void AddRoot(string name)
    {
        if (name is LogNames.Lock or LogNames.Reserve or LogNames.Salvaging)
            return;
        if (LogNames.TryParseManifest(name, out var number))
            Manifests.Add(number);
        else if (name.EndsWith(LogNames.Part, StringComparison.Ordinal)
            && LogNames.TryParseManifest(name[..^LogNames.Part.Length], out _))
            Unfinished.Add(name);
        else
            Foreign.Add(name);
    }

    private void AddLog(string name)
    {
        var path = LogNames.LogDirectory + "/" + name;
        if (LogNames.TryParseSegment(name, out var number))
            Segments.Add(number);
        else if (name == LogNames.Prepared || name.EndsWith(LogNames.Part, StringComparison.Ordinal))
            Unfinished.Add(path);
        else
            Foreign.Add(path);
    }

    private void AddNumbered(string directory, string name, bool isNumbered, uint number, List<uint> numbers)
    {
        if (isNumbered)
            numbers.Add(number);
        else if (name.EndsWith(LogNames.Part, StringComparison.Ordinal))
            Unfinished.Add(directory + "/" + name);
        else
            Foreign.Add(directory + "/" + name);
    }
}
