namespace Cairn.Storage;

/// <summary>Calls a hook before each operation, on the thread that asked for it: to wait for a signal, to move a fake clock, to look
/// at the world. It sleeps nowhere by itself.</summary>
internal sealed class LatencyStorage(IStorage inner, Action<StorageCall, string> beforeEach) : StorageLayer(inner)
{
    protected override void Before(StorageCall call, string path) => beforeEach(call, path);
}
