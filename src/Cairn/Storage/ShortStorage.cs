namespace Cairn.Storage;

/// <summary>Reads and writes in small pieces of seeded length. Over CrashStorage a write becomes several unsynced operations, so that
/// a crash may strike between any two of its bytes; over FaultStorage a fault finds it half done. Not a form that answers
/// short: the pieces add up.</summary>
internal sealed class ShortStorage(IStorage inner, ulong seed, int pieceBytesMax = 100) : StorageLayer(inner)
{
    private readonly Lock gate = new();
    private readonly Chance chance = new(seed);

    protected override int Read(IFile file, Span<byte> buffer, long offset)
    {
        var done = 0;
        while (done < buffer.Length)
        {
            var piece = buffer.Slice(done, PieceOf(buffer.Length - done));
            var read = file.ReadAt(piece, offset + done);
            done += read;
            if (read < piece.Length)
                break;
        }

        return done > 0 ? done : file.ReadAt([], offset);
    }

    protected override void Write(IFile file, ReadOnlySpan<byte> bytes, long offset)
    {
        do
        {
            var piece = PieceOf(bytes.Length);
            file.WriteAt(bytes[..piece], offset);
            bytes = bytes[piece..];
            offset += piece;
        }
        while (bytes.Length > 0);
    }

    protected override void Write(IFile file, IReadOnlyList<ReadOnlyMemory<byte>> buffers, long offset)
    {
        for (var i = 0; i < buffers.Count; i++)
        {
            Write(file, buffers[i].Span, offset);
            offset += buffers[i].Length;
        }
    }

    private int PieceOf(int count)
    {
        lock (gate)
            return Math.Min(count, 1 + chance.Below(pieceBytesMax));
    }
}
