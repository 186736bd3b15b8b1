using System.Runtime.InteropServices;

namespace Cairn.Storage;

/// <summary>Builds the tree that a crash leaves: the durable one, and of what was not synced what the pattern lets arrive.</summary>
internal sealed class CrashImaging
{
    private const int SectorBytes = 512;

    private readonly CrashPattern pattern;
    private readonly CrashChoice[] choices;
    private readonly Chance chance;
    private readonly Dictionary<CrashFile, List<(UnsyncedOperation, CrashChoice)>> changes = [];
    private readonly Dictionary<CrashDirectory, SortedDictionary<string, CrashNode>> names = [];
    private readonly Dictionary<CrashFile, CrashFile> files = [];       // a file with two names is one file afterwards, too

    internal CrashImaging(List<UnsyncedOperation> unsynced, CrashPattern pattern)
    {
        this.pattern = pattern;
        choices = pattern.Choose(unsynced, out chance);
        for (var i = 0; i < unsynced.Count; i++)
        {
            if (choices[i] == CrashChoice.Lost)
                continue;
            if (unsynced[i].File is { } file)
                (CollectionsMarshal.GetValueRefOrAddDefault(changes, file, out _) ??= []).Add((unsynced[i], choices[i]));
            else
                unsynced[i].ApplyTo(NamesOf);
        }
    }

    internal CrashDirectory Build(CrashDirectory directory)
    {
        var built = new CrashDirectory();
        foreach (var (name, node) in names.GetValueOrDefault(directory, directory.Durable))
        {
            CrashNode child = node is CrashFile file ? Build(file) : Build((CrashDirectory)node);
            built.Durable.Add(name, child);
            built.Current.Add(name, child);
        }

        return built;
    }

    private CrashFile Build(CrashFile file)
    {
        if (files.TryGetValue(file, out var built))
            return built;
        var bytes = file.Durable.Copy();
        if (changes.TryGetValue(file, out var list))
        {
            if (pattern.Reorders && chance.OneIn(2))
                ShuffleWrites(CollectionsMarshal.AsSpan(list));
            foreach (var (change, choice) in list)
                Apply(change, choice, bytes);
        }

        built = new CrashFile(bytes);
        files.Add(file, built);
        return built;
    }

    private SortedDictionary<string, CrashNode> NamesOf(CrashDirectory directory)
    {
        if (!names.TryGetValue(directory, out var copy))
            names.Add(directory, copy = new SortedDictionary<string, CrashNode>(directory.Durable, StringComparer.Ordinal));
        return copy;
    }

    /// <summary>Writes land in any order, but not across a change of length: the file system keeps those in order.</summary>
    private void ShuffleWrites(Span<(UnsyncedOperation Change, CrashChoice)> list)
    {
        var start = 0;
        for (var i = 0; i < list.Length; i++)
        {
            if (!list[i].Change.IsWrite)
            {
                start = i + 1;
                continue;
            }

            var other = start + chance.Below(i - start + 1);
            (list[i], list[other]) = (list[other], list[i]);
        }
    }

    private void Apply(UnsyncedOperation change, CrashChoice choice, PagedBytes bytes)
    {
        if (!change.IsWrite || choice == CrashChoice.Kept)
        {
            change.ApplyTo(bytes);
            return;
        }

        var end = change.Offset + change.Count;
        switch (choice)
        {
            case CrashChoice.Torn:
                for (var (from, to) = (change.Offset, SectorEnd(change.Offset)); from < end; (from, to) = (to, SectorEnd(to)))
                {
                    if (chance.OneIn(2))
                        change.ApplyPartTo(bytes, from, Math.Min(to, end));
                }

                break;
            case CrashChoice.FirstHalf:
                change.ApplyPartTo(bytes, change.Offset, change.Offset + Cut(change.Count));
                break;
            case CrashChoice.SecondHalf:
                change.ApplyPartTo(bytes, change.Offset + Cut(change.Count), end);
                break;
            case CrashChoice.Garbage:
                change.ApplyTo(bytes);
                var hit = change.Offset + chance.Below((int)change.Count);
                var sector = Math.Max(change.Offset, hit - (hit % SectorBytes));
                Span<byte> garbage = stackalloc byte[SectorBytes];
                garbage = garbage[..(int)(Math.Min(end, SectorEnd(hit)) - sector)];
                chance.Fill(garbage);
                bytes.Write(garbage, sector);
                break;
        }

        if (bytes.Length < end && (choice == CrashChoice.SizeOnly || chance.OneIn(2)))
            bytes.SetLength(end);
    }

    private static long SectorEnd(long offset) => offset - (offset % SectorBytes) + SectorBytes;

    private long Cut(long count) => chance.OneIn(2) ? count / 2 : chance.Below((int)count + 1);
}
