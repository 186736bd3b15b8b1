using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Cairn.Bench.Bare;

/// <summary>
/// A file whose every block was written and synced beforehand, written again from its start when its end is reached: a sync then
/// has no extents and no size to record, which is the least a durable write can cost. Calls the system directly, because the
/// library's own sync hides errors.
/// <para>How large the writes were that made the file matters to every later one: the page cache keeps the file in pieces as large,
/// and ext4 walks a whole piece at each write into it. <see cref="LargeSteps"/> is how a file is usually zeroed, and the limit of
/// the goals; <see cref="SmallSteps"/> is how Cairn's segments are, and the least that is known.</para>
/// </summary>
internal sealed unsafe partial class PrewrittenFile : IDisposable
{
    internal const int LargeSteps = 1 << 20;
    internal const int SmallSteps = 16 << 10;

    private const int Interrupted = 4;

    private readonly SafeFileHandle _handle;
    private readonly string _name;
    private readonly long _length;
    private long _end;

    internal PrewrittenFile(string path, long length, int steps = LargeSteps)
    {
        _name = Path.GetFileName(path);
        _length = length;
        _handle = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
        var zeros = new byte[steps];
        for (long offset = 0; offset < length; offset += steps)
            Write(zeros.AsSpan(0, (int)Math.Min(steps, length - offset)), offset);
        Sync();
    }

    /// <summary>Writes behind what was written last: one call of the system.</summary>
    internal void Append(ReadOnlySpan<byte> bytes)
    {
        if (_end + bytes.Length > _length)
            _end = 0;
        Write(bytes, _end);
        _end += bytes.Length;
    }

    internal void Sync()
    {
        if (DataSync(_handle) == 0)
            return;
        var errno = Marshal.GetLastPInvokeError();
        throw new IOException($"fdatasync of {_name} failed with errno {errno}", errno);
    }

    public void Dispose() => _handle.Dispose();

    private void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        while (bytes.Length > 0)
        {
            nint written;
            fixed (byte* start = bytes)
                written = Write(_handle, start, (nuint)bytes.Length, offset);
            if (written < 0)
            {
                var errno = Marshal.GetLastPInvokeError();
                if (errno == Interrupted)
                    continue;
                throw new IOException($"pwrite of {_name} failed with errno {errno}", errno);
            }

            bytes = bytes[(int)written..];
            offset += written;
        }
    }

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint Write(SafeFileHandle file, byte* bytes, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int DataSync(SafeFileHandle file);
}
