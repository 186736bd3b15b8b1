using Cairn.Storage;

namespace Cairn.Log;

/// <summary>The file <c>reserve</c>: space that is taken while there is some, and given back when the disk is full, for
/// checkpoint, retention and transactions that only delete. Its bytes mean nothing and nothing durable rests on it.</summary>
internal sealed class Reserve(IStorage storage)
{
    /// <summary>Bytes held now.</summary>
    internal long HeldBytes
    {
        get => _heldBytes ??= Measure(storage);
        private set => _heldBytes = value;
    }

    // Looked at when it is first asked for: who only reads never asks.
    private long? _heldBytes;

    /// <summary>Takes the space, or more of it; gives back what is more than that.</summary>
    /// <returns>False when the disk has not that much; then a part may be held.</returns>
    /// <exception cref="StorageException">Any failure but a full disk.</exception>
    internal bool TryBuild(long bytes)
    {
        if (HeldBytes == bytes || (HeldBytes > bytes && Mutant.Is("reserve-only-grows")))
            return true;
        try
        {
            using var file = storage.Exists(LogNames.Reserve)
                ? storage.Open(LogNames.Reserve, writable: true)
                : storage.CreateNew(LogNames.Reserve);
            if (HeldBytes > bytes)
                file.SetLength(bytes);                       // segments were larger once
            else
                file.Preallocate(bytes);
            HeldBytes = bytes;
            return true;
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            HeldBytes = Measure(storage);
            return false;
        }
    }

    /// <summary>Gives the space back.</summary>
    internal void Release()
    {
        if (storage.Exists(LogNames.Reserve))
            storage.Unlink(LogNames.Reserve);
        HeldBytes = 0;
    }

    private static long Measure(IStorage storage)
    {
        try
        {
            using var file = storage.Open(LogNames.Reserve, writable: false);
            return file.LengthWhenOpened;
        }
        catch (StorageException missing) when (missing.Error == StorageError.NotFound)
        {
            return 0;
        }
    }
}
