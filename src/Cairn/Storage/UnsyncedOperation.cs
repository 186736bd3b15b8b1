namespace Cairn.Storage;

/// <summary>Something that was done and not synced: a write, a change of length, or a change of names.</summary>
internal sealed class UnsyncedOperation
{
    private enum Kind
    {
        Write,
        SetLength,
        Preallocate,
        Name,
        Unname,
        Rename,
    }

    private readonly Kind kind;
    private readonly string path;
    private byte[]? bytes;              // of a write; null when all are zero
    private string name = "";
    private string newName = "";

    private UnsyncedOperation(Kind kind, string path)
    {
        this.kind = kind;
        this.path = path;
    }

    /// <summary>The file whose bytes or length change.</summary>
    internal CrashFile? File { get; private init; }

    /// <summary>Of a write: its place. Of a length: the length itself is <see cref="Count"/>.</summary>
    internal long Offset { get; private init; }

    internal long Count { get; private init; }

    /// <summary>A write beyond the end that the file had when it was issued.</summary>
    internal bool Grows { get; private init; }

    /// <summary>The directory whose names change; of a rename, that of the old name until it is synced.</summary>
    internal CrashDirectory? Directory { get; private init; }

    /// <summary>Of a rename: the directory of the new name.</summary>
    internal CrashDirectory? Target { get; private set; }

    /// <summary>What is named.</summary>
    internal CrashNode? Node { get; private init; }

    internal bool IsWrite => kind == Kind.Write;

    internal bool IsOfNames => Directory is not null;

    /// <summary>The file or the directory that it changes.</summary>
    internal object Subject => (object?)File ?? Directory!;

    internal static UnsyncedOperation Written(string path, CrashFile file, ReadOnlySpan<byte> bytes, long offset, bool grows) =>
        new(Kind.Write, path)
        {
            File = file,
            Offset = offset,
            Count = bytes.Length,
            Grows = grows,
            bytes = bytes.ContainsAnyExcept((byte)0) ? bytes.ToArray() : null,
        };

    internal static UnsyncedOperation LengthSet(string path, CrashFile file, long length) =>
        new(Kind.SetLength, path) { File = file, Count = length };

    internal static UnsyncedOperation Preallocated(string path, CrashFile file, long length) =>
        new(Kind.Preallocate, path) { File = file, Count = length };

    internal static UnsyncedOperation Named(string path, CrashDirectory directory, string name, CrashNode node) =>
        new(Kind.Name, path) { Directory = directory, name = name, Node = node };

    internal static UnsyncedOperation Unnamed(string path, CrashDirectory directory, string name, CrashNode node) =>
        new(Kind.Unname, path) { Directory = directory, name = name, Node = node };

    internal static UnsyncedOperation Renamed(
        string path, CrashDirectory source, string name, CrashDirectory target, string newName, CrashNode node) =>
        new(Kind.Rename, path) { Directory = source, Target = target, name = name, newName = newName, Node = node };

    internal void ApplyTo(PagedBytes file)
    {
        switch (kind)
        {
            case Kind.Write:
                ApplyPartTo(file, Offset, Offset + Count);
                break;
            case Kind.SetLength:
                file.SetLength(Count);
                break;
            case Kind.Preallocate:
                file.SetLength(Math.Max(file.Length, Count));
                break;
        }
    }

    /// <summary>Applies the bytes of a write that lie in [from, to) of the file.</summary>
    internal void ApplyPartTo(PagedBytes file, long from, long to)
    {
        if (to <= from)
            return;
        if (bytes is null)
            file.WriteZeros(from, to - from);
        else
            file.Write(bytes.AsSpan((int)(from - Offset), (int)(to - from)), from);
    }

    /// <summary>Applies a change of names, whole.</summary>
    internal void ApplyTo(Func<CrashDirectory, SortedDictionary<string, CrashNode>> namesOf)
    {
        if (kind is Kind.Unname or Kind.Rename && namesOf(Directory!).GetValueOrDefault(name) == Node)
            namesOf(Directory!).Remove(name);
        if (kind is Kind.Name)
            namesOf(Directory!)[name] = Node!;
        else if (kind is Kind.Rename && Target is not null)
            namesOf(Target)[newName] = Node!;
    }

    /// <summary>Makes the change durable as far as the names of a synced directory go. False when a part is still unsynced: that is
    /// the old name of a rename of which only the new directory was synced.</summary>
    internal bool SyncNames(CrashDirectory synced)
    {
        if (kind == Kind.Rename && Directory != Target && synced == Target)
        {
            Target.Durable[newName] = Node!;
            Target = null;
            return false;
        }

        ApplyTo(directory => directory.Durable);
        return true;
    }

    public override string ToString() => kind switch
    {
        Kind.Write => $"write {path} @{Offset}+{Count}",
        Kind.SetLength => $"set length {path} {Count}",
        Kind.Preallocate => $"preallocate {path} {Count}",
        Kind.Name => $"name {path}",
        Kind.Unname => $"unname {path}",
        _ => $"rename {path} to {newName}",
    };
}
