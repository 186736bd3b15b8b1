using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>A backup and the backups that it rests on, each proven by its code. Given in any order: each names its parent. Owns the
/// storages.</summary>
internal sealed class BackupChain : IDisposable
{
    private readonly Dictionary<UInt128, IStorage> _storages;

    private BackupChain(Dictionary<UInt128, IStorage> storages, IReadOnlyList<BackupManifest> links)
    {
        _storages = storages;
        Links = links;
    }

    /// <summary>Full backup first, newest last.</summary>
    internal IReadOnlyList<BackupManifest> Links { get; }

    internal BackupManifest Newest => Links[^1];

    /// <summary>Every backup that is needed for the newest one is here.</summary>
    internal bool IsComplete => Missing is null;

    /// <summary>The parent that is not here; null when the chain begins with a full backup.</summary>
    internal UInt128? Missing => Links[0].Parent;

    /// <summary>Opens and proves backups. They must be one chain, the oldest of which may lack its parent.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not one chain, or a key where there is none and the other
    /// way round; <see cref="ErrorCode.NotABackup"/>.</exception>
    /// <exception cref="CorruptionException">One was changed.</exception>
    internal static BackupChain Open(IReadOnlyList<IStorage> storages, ReadOnlySpan<byte> key)
    {
        var byId = new Dictionary<UInt128, IStorage>();
        var manifests = new Dictionary<UInt128, BackupManifest>();
        try
        {
            foreach (var storage in storages)
            {
                var manifest = BackupManifest.Load(storage, key);
                if (!byId.TryAdd(manifest.Id, storage))
                    throw new CairnException(ErrorCode.InvalidArgument, $"The backup in {storage.Description} is given twice.");
                manifests.Add(manifest.Id, manifest);
            }

            return new BackupChain(byId, Order(manifests, byId));
        }
        catch
        {
            foreach (var storage in storages)
                storage.Dispose();
            throw;
        }
    }

    private static List<BackupManifest> Order(Dictionary<UInt128, BackupManifest> manifests, Dictionary<UInt128, IStorage> storages)
    {
        var newest = manifests.Values.Where(one => manifests.Values.All(other => other.Parent != one.Id)).ToList();
        if (newest.Count != 1)
        {
            var names = string.Join(", ", newest.Select(one => storages[one.Id].Description));
            throw new CairnException(
                ErrorCode.InvalidArgument, $"The backups are not one chain: {names} rest on nothing common. Give one backup and its "
                    + $"parents.");
        }

        var links = new List<BackupManifest>();
        for (var link = newest[0]; link is not null; link = link.Parent is { } parent ? manifests.GetValueOrDefault(parent) : null)
        {
            if (link.Database.DatabaseId != newest[0].Database.DatabaseId)
                throw new CairnException(ErrorCode.InvalidArgument, "The backups are of different databases.");
            links.Insert(0, link);
        }

        return links.Count == manifests.Count
            ? links
            : throw new CairnException(ErrorCode.InvalidArgument, "The backups are not one chain: some are parents of none of the others.");
    }

    internal IStorage StorageOf(BackupManifest link) => _storages[link.Id];

    /// <summary>A file of a backup, whole.</summary>
    internal PiecedFile OpenFile(BackupFile file) => PiecedFile.Open(file, StorageOf);

    private IStorage StorageOf(UInt128 id) => _storages.GetValueOrDefault(id)
        ?? throw new CairnException(
            ErrorCode.InvalidArgument, $"The backup rests on backup {BackupManifest.Text(id)}, which is not among those given. Give its "
                + $"directory too.");

    /// <summary>Reads every byte that the backups hold and compares it with what they say.</summary>
    /// <returns>Everything that is not as it was.</returns>
    internal List<CorruptionException> Verify(IProgress<TransferProgress>? progress, CancellationToken cancellationToken, out long bytes)
    {
        var findings = new List<CorruptionException>();
        var own = Links.SelectMany(link => link.Files.SelectMany(file => file.Pieces, (file, piece) => (file, piece))
            .Where(held => held.piece.Backup == link.Id)).ToList();
        bytes = own.Sum(held => held.piece.Bytes);
        using var copy = new FileCopy(bytes, progress, cancellationToken);
        foreach (var (file, piece) in own)
        {
            copy.Step = file.Path;
            if (Verify(copy, file, piece) is { } finding)
                findings.Add(finding);
        }

        return findings;
    }

    private CorruptionException? Verify(FileCopy copy, BackupFile file, in BackupPiece piece)
    {
        var alone = file with { Bytes = piece.Bytes, Pieces = [piece with { Offset = 0 }] };
        var path = $"{StorageOf(piece.Backup).Description}/{file.Path}";
        try
        {
            using var source = OpenFile(alone);
            return copy.Copy(source, 0, piece.Bytes, null, 0) == piece.Digest
                ? null
                : new CorruptionException(path, 0, Sequence.None, $"SHA-256 {piece.Digest}");
        }
        catch (CorruptionException damage)
        {
            return damage;
        }
    }

    public void Dispose()
    {
        foreach (var storage in _storages.Values)
            storage.Dispose();
    }
}
