namespace Cairn.Storage;

/// <summary>The lock of a storage that only one process can see.</summary>
internal sealed class OwnerSlot
{
    private readonly Lock gate = new();
    private object? holder;
    private string ownerText = "";

    internal IDisposable Take(string text)
    {
        lock (gate)
        {
            if (holder is not null)
                throw new StorageException(StorageError.Locked, "lock", DirectoryLock.FileName, Errno.WouldBlock, ownerText);
            ownerText = text;
            var holding = new Holding(this);
            holder = holding;
            return holding;
        }
    }

    private sealed class Holding(OwnerSlot slot) : IDisposable
    {
        public void Dispose()
        {
            lock (slot.gate)
            {
                if (slot.holder == this)
                    slot.holder = null;
            }
        }
    }
}
