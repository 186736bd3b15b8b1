using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>A file of a backed-up database, read through the pieces that the backups of a chain hold. Read-only.</summary>
internal sealed class PiecedFile : IFile
{
    private readonly List<(BackupPiece Piece, IFile File)> _pieces = [];

    private PiecedFile(BackupFile file)
    {
        Path = file.Path;
        Length = file.Bytes;
    }

    public string Path { get; }

    public long Length { get; }

    /// <param name="storageOf">The directory of a backup.</param>
    /// <exception cref="CorruptionException">A piece is missing, or has another length than it had.</exception>
    internal static PiecedFile Open(BackupFile file, Func<UInt128, IStorage> storageOf)
    {
        var pieced = new PiecedFile(file);
        try
        {
            foreach (var piece in file.Pieces)
                pieced.Add(piece, storageOf(piece.Backup));
            return pieced;
        }
        catch
        {
            pieced.Dispose();
            throw;
        }
    }

    private void Add(in BackupPiece piece, IStorage storage)
    {
        try
        {
            var file = storage.Open(Path, writable: false);
            _pieces.Add((piece, file));
            if (file.Length != piece.Bytes)
                throw new CorruptionException($"{storage.Description}/{Path}", file.Length, Sequence.None, $"{piece.Bytes} bytes");
        }
        catch (StorageException missing) when (missing.Error == StorageError.NotFound)
        {
            throw new CorruptionException($"{storage.Description}/{Path}", 0, Sequence.None, "the file that the backup names; it is "
                + "missing");
        }
    }

    public int ReadAt(Span<byte> buffer, long offset)
    {
        var done = 0;
        foreach (var (piece, file) in _pieces)
        {
            var from = offset + done - piece.Offset;
            if (from >= piece.Bytes || done == buffer.Length)
                continue;
            var wanted = (int)Math.Min(buffer.Length - done, piece.Bytes - from);
            var read = file.ReadAt(buffer.Slice(done, wanted), from);
            done += read;
            if (read < wanted)
                break;
        }

        return done;
    }

    public void WriteAt(ReadOnlySpan<byte> bytes, long offset) => throw ReadOnly("write");

    public void WriteAt(IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset) => throw ReadOnly("write");

    public void SetLength(long length) => throw ReadOnly("set length");

    public void Preallocate(long length) => throw ReadOnly("preallocate");

    public void DataSync() => throw ReadOnly("sync");

    public void Sync() => throw ReadOnly("sync");

    private StorageException ReadOnly(string operation) => new(StorageError.ReadOnly, operation, Path, 0);

    public void Dispose()
    {
        foreach (var (_, file) in _pieces)
            file.Dispose();
    }
}
