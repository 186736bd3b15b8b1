namespace Cairn.Storage;

/// <summary>Any storage, opened for reading only: what would change it is refused and never reaches it.</summary>
internal sealed class ReadOnlyStorage(IStorage inner) : StorageLayer(inner)
{
    public override bool IsReadOnly => true;

    public override IFile Open(string path, bool writable) =>
        writable ? throw Errno.RefusedAsReadOnly("open", path) : base.Open(path, writable);

    protected override void Before(StorageCall call, string path)
    {
        if ((call & StorageCall.Changes) != 0)
            throw Errno.RefusedAsReadOnly(call.ToString(), path);
    }
}
