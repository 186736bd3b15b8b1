using Cairn.Storage;

namespace Cairn.Crashers;

/// <summary>Verbs on a storage alone.</summary>
internal static class StorageVerbs
{
    /// <summary>Writes a file in the directory and syncs its data: the call that must never fail in silence.</summary>
    internal static void Sync(string[] arguments)
    {
        using var storage = DiskStorage.OpenOrCreate(arguments[0], createIfMissing: true, readOnly: false);
        using var file = storage.CreateNew("file");
        file.WriteAt("0123456789"u8, 0);
        file.DataSync();
        Console.WriteLine("ok");
    }

    /// <summary>One of every other call that changes something, in the order of publishing a file.</summary>
    internal static void Change(string[] arguments)
    {
        using var storage = DiskStorage.OpenOrCreate(arguments[0], createIfMissing: true, readOnly: false);
        storage.CreateDirectory("log");
        using (var file = storage.CreateNew("log/new.part"))
        {
            file.Preallocate(100_000);
            file.WriteAt(new List<ReadOnlyMemory<byte>> { "01234"u8.ToArray(), "56789"u8.ToArray() }, 0);
            file.SetLength(10);
            file.Sync();
        }

        storage.Rename("log/new.part", "log/new");
        storage.Link("log/new", "log/second");
        storage.Unlink("log/second");
        storage.SyncDirectory("log");
        using (var file = storage.Open("log/new", writable: false))
        {
            var bytes = new byte[20];
            var read = file.ReadAt(bytes, 0);
            Console.WriteLine($"length={file.Length} read={System.Text.Encoding.ASCII.GetString(bytes, 0, read)}");
        }

        Console.WriteLine("ok");
    }

    /// <summary>Takes the directory (`lock DIRECTORY TEXT`, or `lock DIRECTORY TEXT read` as a reader), says so, and holds it until
    /// standard input ends.</summary>
    internal static void Lock(string[] arguments)
    {
        using var storage = DiskStorage.OpenOrCreate(arguments[0], createIfMissing: true, readOnly: arguments.Contains("read"));
        using var held = storage.Lock(arguments[1]);
        Console.WriteLine("locked");
        while (Console.In.Read() >= 0)
        {
        }
    }
}
